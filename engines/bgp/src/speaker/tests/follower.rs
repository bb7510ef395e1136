//! The second engine: whatever happens, at rest it holds what the first one holds; and whoever leads, the
//! neighbours cannot tell.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::v1::{self, PolicyActions, PolicyMatch, bgp_neighbor_config::PrefixLimit};
use holdfast_rib::{Family, NexthopSpec};
use ipnet::IpNet;
use proptest::prelude::*;

use super::peer::{Heard, Peer};
use super::selection::{prefix, random_attributes, vary};
use super::world::{LOCAL_AS, Random, World, accept, policy, term};
use crate::wire::RefreshMark;

const BOTH: [(Family, bool); 2] = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];

fn peers() -> Vec<Peer> {
    vec![
        Peer::new(1, 65001).with_graceful_restart(&BOTH, 40).with_add_path(3),
        Peer::new(2, 65001).with_enhanced_refresh(),
        Peer::new(3, 65002).old().with_graceful_restart(&BOTH[..1], 40).with_add_path(1),
        Peer::new(4, LOCAL_AS).with_graceful_restart(&[(Family::Ipv4Unicast, false), (Family::Ipv6Unicast, true)], 40),
        Peer::new(5, LOCAL_AS).with_enhanced_refresh().with_add_path(3),
    ]
}

/// One thing that happens. Routes come from `random`, whose state does not depend on what the engines do.
fn happening(world: &mut World, random: &mut Random) {
    let peer = random.below(5) as usize;
    let number = random.below(30);
    let attributes = random_attributes(random, &world.peers[peer]);
    let (kind, choice) = (random.below(100), random.below(1000));
    let (net, path): (IpNet, u32) = (prefix(number).parse().unwrap(), 1 + random.below(2) as u32);
    match kind {
        0..60 if world.peers[peer].is_up() => {
            let next_hop = world.peers[peer].next_hop(Family::of(&net));
            world.peers[peer].announce_path(path, &[net], &attributes, next_hop);
        }
        60..80 if world.peers[peer].is_up() => world.peers[peer].withdraw_path(path, net),
        // Who is gone stays away until all come back together, so that two worlds can be compared.
        80..85 => {
            world.peers[peer].away = true;
            if kind < 83 { world.cut(peer) } else { world.cease(peer) }
        }
        85..88 => come_back(world),
        88..91 if world.peers[peer].is_up() => world.peers[peer].end_of_rib(Family::ALL[(choice % 2) as usize]),
        91..93 if world.peers[peer].is_up() => world.peers[peer].ask_refresh(Family::ALL[(choice % 2) as usize]),
        93..95 => world.advance(Duration::from_secs(choice % 60)),
        95 => world.set_static(&[("172.16.5.0/24", NexthopSpec::Discard)][..(choice % 2) as usize]),
        96 => world.interface(|rib| rib.interface_update(1, "eth0", choice % 3 > 0)),
        97 if choice % 2 == 0 => world.configure_neighbor(peer, |neighbor| {
            neighbor.add_path.iter_mut().for_each(|add_path| add_path.send_path_count = 2 + (choice % 3) as u32);
        }),
        97 => world.configure_neighbor(peer, |neighbor| neighbor.multipath = !neighbor.multipath),
        98 => world.configure_neighbor(peer, |neighbor| {
            neighbor.export_policies = ["m".to_owned()].into_iter().take((choice % 2) as usize).collect();
        }),
        99 if world.peers[peer].is_up() => {
            let mark = [RefreshMark::Begin, RefreshMark::End][(choice % 2) as usize];
            world.peers[peer].mark_refresh(Family::ALL[(choice / 2 % 2) as usize], mark);
        }
        _ => {}
    }
}

fn come_back(world: &mut World) {
    world.peers.iter_mut().for_each(|peer| peer.away = false);
    world.establish();
}

/// All neighbours up, and a policy that is not in force anywhere.
fn world() -> World {
    let mut world = World::new(peers());
    world.configure(|config| {
        let change = PolicyActions { metric: Some(9), ..accept() };
        config.policy.as_mut().unwrap().statements = vec![policy("m", vec![term(PolicyMatch::default(), change)])];
    });
    world
}

fn settle(world: &mut World) {
    world.interface(|rib| rib.interface_update(1, "eth0", true));
    come_back(world);
    world.run();
}

/// What each neighbour has. What paths are called depends on how they became known, and is nobody's business but ours.
fn tables(world: &World) -> Vec<BTreeMap<IpNet, Vec<Heard>>> {
    let table = |peer: &Peer| {
        let mut table: BTreeMap<IpNet, Vec<Heard>> = BTreeMap::new();
        for ((prefix, _), heard) in &peer.paths {
            table.entry(*prefix).or_default().push(heard.clone());
        }
        table.values_mut().for_each(|paths| paths.sort_by_key(|(block, next_hop)| (block.clone(), next_hop.address())));
        table
    };
    world.peers.iter().map(table).collect()
}

fn follow(seed: u64) {
    let mut random = Random(seed);
    let mut world = world();
    world.random = Random(!seed);
    world.settles_always = seed & 1 == 0;
    world.slice = 1 + (seed % 9) as usize;
    let joins_at = random.below(120);
    world.configure(|config| {
        vary(config, (seed % 128) as u8);
        let family = v1::AddressFamily::Ipv4Unicast.into();
        let limit = PrefixLimit { family, maximum: 9, warn_percent: 100, drop_excess: true, ..PrefixLimit::default() };
        config.bgp.as_mut().unwrap().neighbors[1].prefix_limits = vec![limit];
    });
    for step in 0..240 {
        happening(&mut world, &mut random);
        if step == joins_at || (world.follows && random.below(80) == 0) {
            world.join_anew();
        }
        world.stagger();
        if world.follows && random.below(20) == 0 {
            world.run();
            world.assert_equal(&format!("seed {seed} step {step}"));
        }
    }
    settle(&mut world);
    world.assert_equal(&format!("seed {seed} at the end"));
}

/// The same happenings with and without handovers.
fn lives(seed: u64, handovers: bool) -> World {
    let mut random = Random(seed);
    let mut world = world();
    world.random = Random(!seed);
    world.settles_always = seed & 1 == 0;
    world.configure(|config| vary(config, (seed % 128) as u8));
    let mut switches = Random(seed ^ 0x5555);
    if handovers {
        world.join();
    }
    for step in 0..200 {
        happening(&mut world, &mut random);
        if handovers {
            world.stagger();
        }
        match switches.below(30) {
            0 if handovers => {
                world.run();
                let before = (world.updates(), tables(&world));
                world.hand_over(&format!("seed {seed} step {step}"));
                world.run();
                assert_eq!(world.updates(), before.0, "seed {seed} step {step}: nothing was due");
                assert_eq!(tables(&world), before.1, "seed {seed} step {step}");
                world.assert_equal(&format!("seed {seed} step {step} handed over"));
            }
            1 if handovers => world.hand_over(&format!("seed {seed} step {step} in full flow")),
            2 if handovers => {
                world.run();
                let before = world.updates();
                world.freeze_and_thaw();
                world.run();
                assert_eq!(world.updates(), before, "seed {seed} step {step}: thawed");
            }
            _ => {}
        }
        if !handovers {
            world.run();
        }
    }
    settle(&mut world);
    if handovers {
        world.assert_equal(&format!("seed {seed} at the end"));
    }
    // Whoever was stale is swept.
    world.advance(Duration::from_secs(400));
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn at_rest_the_follower_holds_the_same(seed in any::<u64>()) {
        println!("seed {seed}");
        follow(seed);
    }

    #[test]
    fn handovers_leave_no_trace(seed in any::<u64>()) {
        println!("seed {seed}");
        let (plain, switched) = (lives(seed, false), lives(seed, true));
        prop_assert_eq!(plain.peers.iter().map(|peer| peer.sessions).collect::<Vec<_>>(),
            switched.peers.iter().map(|peer| peer.sessions).collect::<Vec<_>>(), "seed {}", seed);
        for (peer, (one, other)) in tables(&plain).iter().zip(&tables(&switched)).enumerate() {
            prop_assert_eq!(one, other, "seed {} neighbour {}", seed, peer);
        }
    }
}

/// Seeds that have found something.
const ONCE_LEFT_A_TRACE: &[u64] = &[12148683159208762958];

#[test]
fn handovers_that_once_left_a_trace() {
    for seed in ONCE_LEFT_A_TRACE.iter().copied() {
        assert_eq!(tables(&lives(seed, false)), tables(&lives(seed, true)), "seed {seed}");
    }
}

/// A route that is gone before it is written to a neighbour: the follower hears of the end first, and of the telling after it.
#[test]
fn told_after_it_was_gone() {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    world.join();
    world.run();
    let attributes = world.peers[0].attributes(&[65001]);
    let net = ["203.0.113.0/24"];
    world.peers[0].announce(&net, &attributes);
    while world.turn(0) {}
    world.peers[0].withdraw(&net);
    while world.turn(0) {}
    assert_eq!(world.stream.len(), 4, "heard and told, heard and told: {:?}", world.stream);
    world.stream.swap(1, 2);
    let last = world.stream.pop_back();
    while world.turn(1) {}
    let neighbor = world.id(1);
    let waits = |world: &World| !world.engines[1].speaker.get(neighbor).unwrap().families[0].dirty.is_empty();
    assert!(waits(&world), "who takes over now has to withdraw it");
    world.stream.extend(last);
    while world.turn(1) {}
    assert!(!waits(&world));
    world.assert_equal("all told");
}

/// There and back: the frozen engine follows the new one and takes over again.
#[test]
fn there_and_back_again() {
    let mut world = World::new(peers());
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["203.0.113.0/24", "2001:db8:1::/48"], &attributes);
    world.join();
    world.run();
    for round in 0..6 {
        let before = world.updates();
        world.hand_over("there and back");
        world.run();
        assert_eq!(world.updates(), before);
        let net = format!("198.51.{round}.0/24");
        world.peers[1].announce(&[&net], &attributes);
        world.run();
        assert!([2, 4].iter().all(|peer| !world.peers[*peer].paths_to(&net).is_empty()));
        world.assert_equal("there and back");
        world.advance(Duration::from_secs(100));
        assert!(world.peers.iter().all(|peer| peer.sessions == 1), "{:?}", world.downs);
        world.assert_equal("after a while");
    }
}

/// Handed over in the middle of the first table: what was told is not told again, what was not is.
#[test]
fn handed_over_in_the_middle_of_the_first_table() {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    let nets: Vec<IpNet> =
        (0..5000u32).map(|i| format!("172.{}.{}.0/24", 16 + i / 256, i % 256).parse().unwrap()).collect();
    world.cut(1);
    world.peers[1].away = true;
    let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
    for (index, net) in nets.iter().enumerate() {
        let mut attributes = world.peers[0].attributes(&[65001]);
        attributes.med = Some(index as u32);
        attributes.communities = vec![index as u32];
        world.peers[0].announce_via(&[*net], &attributes, next_hop);
    }
    world.join();
    world.slice = 4096;
    world.run();
    world.peers[1].away = false;
    for _ in 0..1000 {
        if !world.peers[1].table.is_empty() {
            break;
        }
        world.advance_slowly(Duration::from_millis(100));
    }
    let half = world.peers[1].table.len();
    assert!((1..5000).contains(&half), "{half}");
    world.hand_over("in the middle");
    world.run();
    assert_eq!((world.peers[1].table.len(), world.peers[1].repeated), (5000, 0));
    assert_eq!(world.peers[1].ends_of_rib, [1, 1]);
    world.assert_equal("in the middle");
}
