//! The decision process over whole tables: the outcome depends on what was told, never on when.

use holdfast_proto::v1::bgp_neighbor_config::Multipath;
use holdfast_proto::v1::{self, AggregateRoute, PathSelection, PolicyMatch, RouterConfig};
use holdfast_rib::{Family, NexthopSpec};
use proptest::prelude::*;

use super::peer::Peer;
use super::world::{LOCAL_AS, Random, World, accept, policy, term};
use crate::wire::{Origin, PathAttributes};

fn peers() -> Vec<Peer> {
    vec![
        Peer::new(1, 65001),
        Peer::new(2, 65001),
        Peer::new(3, 65002),
        Peer::new(4, 65003),
        Peer::new(5, LOCAL_AS),
        Peer::new(6, LOCAL_AS),
    ]
}

/// Few values, so that ties are many.
pub fn random_attributes(random: &mut Random, peer: &Peer) -> PathAttributes {
    let internal = peer.open.autonomous_system == LOCAL_AS;
    let first = if internal { 65001 + random.below(3) as u32 } else { peer.open.autonomous_system };
    let mut path = vec![first];
    path.extend((0..random.below(3)).map(|_| 64600 + random.below(2) as u32));
    PathAttributes {
        origin: [Origin::Igp, Origin::Egp][random.below(2) as usize],
        med: [None, Some(0), Some(10), Some(20)][random.below(4) as usize],
        local_pref: internal.then(|| 100 + 50 * random.below(2) as u32),
        communities: (0..random.below(3) as u32).map(|i| 64600 << 16 | i).collect(),
        ..peer.attributes(&path)
    }
}

pub fn prefix(number: u64) -> String {
    if number.is_multiple_of(4) {
        format!("2001:db8:{number:x}::/48")
    } else {
        format!("172.{}.{}.0/24", 16 + number / 256, number % 256)
    }
}

fn digests(world: &World) -> Vec<String> {
    world.tables(world.primary).iter().map(|table| format!("{table:?}")).collect()
}

/// What may be configured, by the bits of a number: how MEDs compare, clients of a reflector and of a route server, an aggregate.
pub fn vary(config: &mut RouterConfig, variety: u8) {
    let has = |bit: u8| variety & 1 << bit != 0;
    let bgp = config.bgp.as_mut().unwrap();
    bgp.path_selection =
        Some(PathSelection { always_compare_med: has(0), cisco_non_deterministic: has(1), med_plus_igp: has(2) });
    for neighbor in &mut bgp.neighbors {
        neighbor.cluster = u32::from(has(3) && neighbor.internal);
        neighbor.route_server_client = has(4) && !neighbor.internal;
        neighbor.own_as_loops = u32::from(has(5));
        neighbor.export_policies = vec!["aggregates".into()];
    }
    let aggregate =
        AggregateRoute { prefix: "172.16.0.0/12".into(), as_set: has(6), preference: 130, ..Default::default() };
    config.routing.as_mut().unwrap().aggregates = vec![aggregate];
    let from = PolicyMatch { protocols: vec!["aggregate".into(), "bgp".into()], ..PolicyMatch::default() };
    config.policy.as_mut().unwrap().statements.push(policy("aggregates", vec![term(from, accept())]));
}

/// Every neighbour's announcements in some order; `noise`: something else is announced first, or withdrawn in between.
fn told_in_order(seed: u64, order: u64, noise: bool, multipath: u32, variety: u8) -> World {
    let mut world = World::cold(peers());
    world.config.routing.as_mut().unwrap().maximum_paths = multipath;
    vary(&mut world.config, variety);
    world.configure(|config| {
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.multipath = multipath > 1);
    });
    world.establish();
    let mut random = Random(seed);
    let mut told = Vec::new();
    for number in 0..40 {
        for peer in 0..world.peers.len() {
            if random.below(3) > 0 {
                told.push((peer, prefix(number), random_attributes(&mut random, &world.peers[peer])));
            }
        }
    }
    let mut shuffle = Random(order);
    for at in (1..told.len()).rev() {
        told.swap(at, shuffle.below(at as u64 + 1) as usize);
    }
    for (peer, prefix, attributes) in &told {
        if noise && shuffle.below(3) == 0 {
            let other = random_attributes(&mut shuffle, &world.peers[*peer]);
            world.peers[*peer].announce(&[prefix], &other);
            if shuffle.below(2) == 0 {
                world.run();
                world.peers[*peer].withdraw(&[prefix]);
            }
        }
        world.peers[*peer].announce(&[prefix], attributes);
        if shuffle.below(4) == 0 {
            world.stagger();
        }
    }
    world.run();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn order_and_history_do_not_matter(
        seed in any::<u64>(), order in any::<u64>(), multipath in 1u32..4, variety in 0u8..128,
    ) {
        let plain = told_in_order(seed, 0, false, multipath, variety);
        let other = told_in_order(seed, order, true, multipath, variety);
        prop_assert_eq!(digests(&plain), digests(&other), "seed {} order {}", seed, order);
        for (one, other) in plain.peers.iter().zip(&other.peers) {
            prop_assert_eq!(&one.table, &other.table, "seed {} order {}", seed, order);
        }
    }
}

#[test]
fn multipath_uses_no_more_paths_than_configured_and_always_the_best() {
    let mut world = told_in_order(1, 0, false, 2, 0);
    for peer in [3, 2, 1, 0] {
        let attributes = world.peers[peer].attributes(&[world.peers[peer].open.autonomous_system]);
        world.peers[peer].announce(&["192.0.2.0/24"], &attributes);
        world.run();
    }
    assert_eq!(used(&world), ["10.0.0.1", "10.0.0.2"]);
}

/// The gateways of 192.0.2.0/24.
fn used(world: &World) -> Vec<String> {
    let rib = &world.primary().rib;
    let id = rib.prefixes(Family::Ipv4Unicast).get("192.0.2.0/24".parse().unwrap()).unwrap();
    let nexthop = rib.bgp_route(Family::Ipv4Unicast, id).unwrap().nexthop;
    rib.resolved(nexthop).unwrap().gateways().iter().map(|gateway| gateway.address.unwrap().to_string()).collect()
}

/// The gateway that stands by for 192.0.2.0/24.
fn standing_by(world: &World) -> Option<String> {
    let rib = &world.primary().rib;
    let id = rib.prefixes(Family::Ipv4Unicast).get("192.0.2.0/24".parse().unwrap()).unwrap();
    let nexthop = rib.bgp_route(Family::Ipv4Unicast, id).unwrap().nexthop;
    rib.resolved(nexthop).unwrap().backup().map(|gateway| gateway.address.unwrap().to_string())
}

/// The second best stands by wherever one way is used alone, and follows what becomes of the paths.
#[test]
fn the_next_best_path_stands_by() {
    const P: &[&str] = &["192.0.2.0/24"];
    let mut world = World::new(peers());
    world.run();
    let tell = |world: &mut World, peer: usize, length: usize| {
        let attributes = world.peers[peer].attributes(&vec![world.peers[peer].open.autonomous_system; length]);
        world.peers[peer].announce(P, &attributes);
        world.run();
    };
    tell(&mut world, 0, 1);
    assert_eq!((used(&world), standing_by(&world)), (vec!["10.0.0.1".into()], None), "there is no other");
    tell(&mut world, 2, 3);
    assert_eq!(standing_by(&world).as_deref(), Some("10.0.0.3"));
    tell(&mut world, 1, 2);
    assert_eq!((used(&world), standing_by(&world)), (vec!["10.0.0.1".into()], Some("10.0.0.2".into())));
    world.join();
    world.run();
    world.assert_equal("a backup");
    let digest = world.primary().rib.fib_digest(Family::Ipv4Unicast);
    world.peers[1].withdraw(P);
    world.run();
    assert_eq!(standing_by(&world).as_deref(), Some("10.0.0.3"));
    assert_ne!(world.primary().rib.fib_digest(Family::Ipv4Unicast), digest, "the kernel has to hear of it");
    world.assert_equal("another backup");
    world.peers[0].withdraw(P);
    world.run();
    assert_eq!((used(&world), standing_by(&world)), (vec!["10.0.0.3".into()], None));
    tell(&mut world, 0, 1);
    world.configure_neighbor(2, |neighbor| neighbor.not_installed = vec![v1::AddressFamily::Ipv4Unicast.into()]);
    assert_eq!(
        (used(&world), standing_by(&world)),
        (vec!["10.0.0.1".into()], None),
        "what is not installed protects nothing"
    );
    world.assert_equal("no backup");
}

/// Two paths through one gateway are lost together.
#[test]
fn a_path_through_the_same_gateway_does_not_stand_by() {
    const P: &[&str] = &["192.0.2.0/24"];
    let mut world = World::new(peers());
    let first = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(P, &first);
    let longer = world.peers[1].attributes(&[65001, 65001]);
    let the_same = world.peers[0].next_hop(Family::Ipv4Unicast);
    world.peers[1].announce_via(&[P[0].parse().unwrap()], &longer, the_same);
    world.run();
    assert_eq!((used(&world), standing_by(&world)), (vec!["10.0.0.1".into()], None));
    let further = world.peers[3].attributes(&[65003, 65003, 65003]);
    world.peers[3].announce(P, &further);
    world.run();
    assert_eq!(standing_by(&world).as_deref(), Some("10.0.0.4"));
}

#[test]
fn paths_are_used_together_through_one_as_or_several() {
    let mut world = World::new(peers());
    for peer in 0..4 {
        let attributes = world.peers[peer].attributes(&[world.peers[peer].open.autonomous_system]);
        world.peers[peer].announce(&["192.0.2.0/24"], &attributes);
    }
    world.join();
    let mut with = |multiple_as, maximum_paths| {
        world.configure(|config| {
            config.routing.as_mut().unwrap().maximum_paths = 8;
            for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
                // Who does not take part is not used beside others.
                neighbor.multipath = neighbor.address != "10.0.0.3";
                neighbor.multipath_rules = Some(Multipath { multiple_as, maximum_paths });
            }
        });
        world.assert_equal("multipath");
        used(&world)
    };
    assert_eq!(with(false, 0), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(with(true, 0), ["10.0.0.1", "10.0.0.2", "10.0.0.4"]);
    assert_eq!(with(true, 2), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(with(true, 1), ["10.0.0.1"]);
}

/// Multipath is a matter of forwarding: turning it on or off takes effect at once and touches no session.
#[test]
fn multipath_can_be_changed() {
    let mut world = World::new(peers());
    for peer in 0..4 {
        let attributes = world.peers[peer].attributes(&[world.peers[peer].open.autonomous_system]);
        world.peers[peer].announce(&["192.0.2.0/24"], &attributes);
    }
    world.run();
    let single = world.primary().rib.fib_digest(Family::Ipv4Unicast);
    world.join();
    world.run();
    for (paths, equal) in [(4, false), (1, true)] {
        world.configure(|config| {
            config.routing.as_mut().unwrap().maximum_paths = paths;
            config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.multipath = true);
        });
        assert_eq!(world.primary().rib.fib_digest(Family::Ipv4Unicast) == single, equal, "{paths} paths");
        world.assert_equal("multipath");
    }
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

/// The best path says by what it is the best, one that is used beside it that it is used.
#[test]
fn a_route_says_why_it_is_the_best() {
    const P: &str = "192.0.2.0/24";
    let mut world = World::new(peers());
    let tell = |world: &mut World, peer: usize, length: usize| {
        let attributes = world.peers[peer].attributes(&vec![world.peers[peer].open.autonomous_system; length]);
        world.peers[peer].announce(&[P], &attributes);
        world.run();
    };
    let reasons = |world: &World| -> Vec<(String, String)> {
        let engine = world.primary();
        let id = engine.rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap()).unwrap();
        let routes = engine.speaker.routes(&engine.rib, Family::Ipv4Unicast, id);
        routes.into_iter().map(|route| (route.best_reason, route.inactive_reason)).collect()
    };
    let both = |best: &str, lost: &str| (best.to_owned(), lost.to_owned());
    tell(&mut world, 0, 1);
    assert_eq!(reasons(&world), [both("the only usable BGP path", "")]);
    tell(&mut world, 2, 2);
    let longer = both("", "another BGP path is better: shorter AS path");
    assert_eq!(reasons(&world), [both("best of 2 BGP paths: shorter AS path", ""), longer.clone()]);
    tell(&mut world, 1, 1);
    let best = both("best of 3 BGP paths: lower router id", "");
    let twin = "another BGP path is better: lower router id";
    assert_eq!(reasons(&world), [best.clone(), both("", twin), longer.clone()]);
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 2;
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.multipath = true);
    });
    let used = format!("{twin} (packets go by both: multipath)");
    assert_eq!(reasons(&world), [best, both("", &used), longer.clone()]);
    world.set_static(&[(P, NexthopSpec::Discard)]);
    let passed_over = both("best of 3 BGP paths: lower router id", "a route of another protocol is preferred");
    let active = both("preferred to bgp: lower preference", "");
    assert_eq!(reasons(&world), [active, passed_over, both("", &used), longer]);
}
