//! Several paths to one destination (RFC 7911): which are told and under which names, and which are taken.

use std::time::Duration;

use holdfast_rib::Family;
use ipnet::IpNet;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::speaker::limits::PATHS_RECEIVED_MAX;
use crate::wire::{AsPath, NextHop, PathAttributes};

const P: &str = "203.0.113.0/24";
const P6: &str = "2001:db8:1::/48";

/// 0 hears several paths; 1 to 4 tell one each; 0 is told three at most.
fn world() -> World {
    let mut peers = vec![Peer::new(1, LOCAL_AS).with_add_path(3)];
    peers.extend((2..=5).map(|index| Peer::new(index, 65000 + u32::from(index))));
    World::new(peers)
}

/// A neighbour announces a path of so many ASes.
fn announce(world: &mut World, peer: usize, prefix: &str, length: usize) {
    let own = world.peers[peer].open.autonomous_system;
    let attributes = world.peers[peer].attributes(&vec![own; length]);
    world.peers[peer].announce(&[prefix], &attributes);
    world.run();
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn told(world: &World, prefix: &str) -> Vec<(u32, String)> {
    world.peers[0].paths_to(prefix)
}

fn named(paths: &[(u32, &str)]) -> Vec<(u32, String)> {
    paths.iter().map(|(identifier, path)| (*identifier, (*path).to_owned())).collect()
}

#[test]
fn the_best_are_told_and_keep_their_names() {
    let mut world = world();
    world.join();
    for prefix in [P, P6] {
        for (peer, length) in [(1, 4), (2, 3), (3, 2)] {
            announce(&mut world, peer, prefix, length);
        }
        let three = named(&[(1, "65002 65002 65002 65002"), (2, "65003 65003 65003"), (3, "65004 65004")]);
        assert_eq!(told(&world, prefix), three, "each as it came");
        assert_eq!(world.peers[4].path(prefix), "65000 65004 65004", "others hear one");
        // A better one takes the place of the worst, with one message.
        let before = world.peers[0].updates;
        announce(&mut world, 4, prefix, 1);
        assert_eq!(told(&world, prefix), named(&[(1, "65005"), (2, "65003 65003 65003"), (3, "65004 65004")]));
        assert_eq!(world.peers[0].updates, before + 1);
        // The one that had no place comes back when another goes.
        world.peers[2].withdraw(&[prefix]);
        world.run();
        assert_eq!(told(&world, prefix), named(&[(1, "65005"), (2, "65002 65002 65002 65002"), (3, "65004 65004")]));
        for peer in [1, 3] {
            world.peers[peer].withdraw(&[prefix]);
            world.run();
        }
        assert_eq!(told(&world, prefix), named(&[(1, "65005")]));
    }
    assert_eq!((world.peers[0].repeated, world.peers[0].idle_withdrawals), (0, 0));
    world.assert_equal("several");
    world.peers[4].withdraw(&[P, P6]);
    world.run();
    assert!(world.peers[0].paths.is_empty());
    assert_eq!([0, 1].map(|index| world.held(index)), [(0, 0); 2]);
}

/// Nothing is told again after a switchover, and what comes then is told under the names that the neighbour knows.
#[test]
fn names_live_through_a_switchover() {
    let mut world = world();
    for peer in 1..=4 {
        announce(&mut world, peer, P, peer);
    }
    world.peers[1].withdraw(&[P]);
    world.join();
    world.run();
    let before = (told(&world, P), world.updates());
    for round in 0..3 {
        world.hand_over("several paths");
        world.run();
        assert_eq!((told(&world, P), world.updates()), before, "round {round}");
        world.assert_equal("handed over");
    }
    announce(&mut world, 1, P, 1);
    let names: Vec<u32> = told(&world, P).iter().map(|(identifier, _)| *identifier).collect();
    assert_eq!(names, [1, 2, 3]);
    let kept = told(&world, P).iter().filter(|path| before.0.contains(path)).count();
    assert_eq!((kept, world.peers[0].repeated, world.peers[0].idle_withdrawals), (2, 0, 0));
    world.peers[0].ask_refresh(Family::Ipv4Unicast);
    let all = told(&world, P);
    world.run();
    assert_eq!((told(&world, P), world.peers[0].repeated), (all, 3), "all of it again, as it was called");
    world.assert_equal("told again");
}

#[test]
fn how_many_are_told_changes_in_the_session() {
    let mut world = world();
    world.join();
    for peer in 1..=4 {
        announce(&mut world, peer, P, peer);
    }
    for (count, ases) in [(2, 3), (4, 10), (3, 6)] {
        world.configure_neighbor(0, |neighbor| neighbor.add_path[0].send_path_count = count);
        let paths = told(&world, P);
        assert_eq!(paths.len(), count as usize);
        let total: usize = paths.iter().map(|(_, path)| path.split(' ').count()).sum();
        assert_eq!(total, ases, "the best ones");
        world.assert_equal("another number");
    }
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
    assert_eq!((world.peers[0].repeated, world.peers[0].idle_withdrawals), (0, 0));
    // Whether there are any is agreed on in the OPENs.
    world.configure_neighbor(0, |neighbor| neighbor.add_path.clear());
    world.establish();
    assert_eq!((world.peers[0].sessions, told(&world, P)), (2, named(&[(0, "65002")])));
    world.assert_equal("one path");
}

/// What a neighbour told us is not told to it, and does not count.
#[test]
fn not_back_to_where_they_came_from() {
    let mut world =
        World::new((1..=4).map(|index| Peer::new(index, 65000 + u32::from(index)).with_add_path(3)).collect());
    for peer in 0..4 {
        announce(&mut world, peer, P, 1);
    }
    for peer in 0..4 {
        let paths = world.peers[peer].paths_to(P);
        let own = world.peers[peer].open.autonomous_system.to_string();
        assert_eq!(paths.len(), 3);
        assert!(paths.iter().all(|(_, path)| path.split(' ').nth(1) != Some(&own)), "{paths:?}");
    }
    assert_eq!(world.peers.iter().map(|peer| peer.repeated + peer.idle_withdrawals).sum::<u64>(), 0);
}

/// Paths of one neighbour: all of them are candidates, each is withdrawn by its name.
#[test]
fn several_are_taken() {
    let mut world = World::new(vec![Peer::new(1, 65001).with_add_path(3), Peer::new(2, 65002)]);
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 4;
        config.bgp.as_mut().unwrap().neighbors[0].multipath = true;
    });
    world.join();
    let attributes = world.peers[0].attributes(&[65001]);
    let via = |index: u8| NextHop::V4([10, 0, 0, index].into());
    world.peers[0].announce_path(7, &[net(P)], &attributes, via(7));
    world.peers[0].announce_path(9, &[net(P)], &attributes, via(9));
    let longer = PathAttributes { as_path: AsPath::sequence(&[65001, 65099]), ..attributes.clone() };
    world.peers[0].announce_path(0, &[net(P)], &longer, via(8));
    world.run();
    let ways = |world: &World| {
        let rib = &world.primary().rib;
        let id = rib.prefixes(Family::Ipv4Unicast).get(net(P)).unwrap();
        let used = rib.resolved(rib.bgp_route(Family::Ipv4Unicast, id).unwrap().nexthop).unwrap();
        used.gateways().iter().map(|gateway| gateway.address.unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ways(&world), ["10.0.0.7", "10.0.0.9"], "equally good ones together");
    assert_eq!(world.peers[1].path(P), "65000 65001");
    world.assert_equal("three paths");
    let shown = |world: &World| {
        let engine = world.primary();
        let id = engine.rib.prefixes(Family::Ipv4Unicast).get(net(P)).unwrap();
        let routes = engine.speaker.routes(&engine.rib, Family::Ipv4Unicast, id);
        routes.iter().map(|route| (route.path_id, route.active)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&world), [(7, true), (0, false), (9, false)]);
    world.peers[0].withdraw_path(7, net(P));
    world.run();
    assert_eq!(ways(&world), ["10.0.0.9"]);
    world.peers[0].withdraw_path(9, net(P));
    world.run();
    assert_eq!((world.peers[1].path(P).as_str(), shown(&world)), ("65000 65001 65099", vec![(0, true)]));
    world.peers[0].withdraw_path(3, net(P));
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65001 65099", "it has no path 3");
    world.hand_over("one path is left");
    world.peers[0].withdraw_path(0, net(P));
    world.run();
    assert!(!world.peers[1].has(P));
    assert_eq!([0, 1].map(|index| world.held(index)), [(0, 0); 2]);
}

/// RFC 4724 §4.2 by path: those that a neighbour does not tell again after its restart go.
#[test]
fn paths_that_are_not_told_again_are_swept() {
    let families = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];
    let restarting = Peer::new(1, 65001).with_graceful_restart(&families, 60).with_add_path(3);
    let mut world = World::new(vec![restarting, Peer::new(2, LOCAL_AS).with_add_path(3)]);
    let tell = |world: &mut World, identifier: u32, ases: &[u32]| {
        let attributes = world.peers[0].attributes(ases);
        let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
        world.peers[0].announce_path(identifier, &[net(P)], &attributes, next_hop);
    };
    tell(&mut world, 1, &[65001]);
    tell(&mut world, 2, &[65001, 65002]);
    world.join();
    world.run();
    let both = named(&[(1, "65001"), (2, "65001 65002")]);
    assert_eq!(world.peers[1].paths_to(P), both);
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    assert_eq!(world.peers[1].paths_to(P), both, "stale, and told");
    world.assert_equal("away");
    world.join_anew();
    world.run();
    world.assert_equal("a follower that joins meanwhile");
    world.peers[0].away = false;
    world.establish();
    tell(&mut world, 2, &[65001, 65002]);
    for family in Family::ALL {
        world.peers[0].end_of_rib(family);
    }
    world.run();
    world.advance(Duration::from_secs(1));
    assert_eq!(world.peers[1].paths_to(P), named(&[(2, "65001 65002")]));
    assert_eq!((world.peers[1].repeated, world.peers[1].idle_withdrawals), (0, 0));
    world.assert_equal("swept");
}

/// A neighbour that tells one prefix under any number of names has a bounded part of the table, on both engines; it keeps its session,
/// and others hear what they would.
#[test]
fn too_many_to_one_destination_are_dropped() {
    const DROPPED: u32 = 500;
    let most = PATHS_RECEIVED_MAX as u32;
    let mut world = World::new(vec![Peer::new(1, 65001).with_add_path(3), Peer::new(2, LOCAL_AS).with_add_path(3)]);
    world.configure_neighbor(0, |neighbor| neighbor.no_enforce_first_as = true);
    world.join();
    let tell = |world: &mut World, identifier: u32, prefix: &str, ases: &[u32]| {
        let attributes = world.peers[0].attributes(ases);
        let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
        world.peers[0].announce_path(identifier, &[net(prefix)], &attributes, next_hop);
    };
    for identifier in 1..=most + DROPPED {
        // As many neighbouring ASes as paths, and ever better ones.
        let length = if identifier <= most { 3 } else { 1 };
        tell(&mut world, identifier.wrapping_mul(0x9e37_79b1), P, &vec![64000 + identifier; length]);
    }
    tell(&mut world, 1, "198.51.100.0/24", &[65001]);
    world.run();
    let counters = |world: &World, index: usize| {
        let speaker = &world.engines[index].speaker;
        let id = speaker.find_neighbor(world.peers[0].address).unwrap();
        let families = speaker.detail(id, world.now).unwrap().summary.unwrap().families;
        let family = families.iter().find(|counters| counters.family == Family::Ipv4Unicast.name()).unwrap();
        (family.received, family.dropped)
    };
    let expected = (u64::from(most) + 1, u64::from(DROPPED));
    assert_eq!([counters(&world, 0), counters(&world, 1)], [expected; 2]);
    assert_eq!(
        world.warnings,
        ["neighbor 10.0.0.1: more than 256 paths to 203.0.113.0/24 are dropped; have the neighbor send fewer"]
    );
    let lengths = |world: &World| -> Vec<usize> {
        let paths = world.peers[1].paths_to(P);
        paths.iter().map(|(_, path)| path.split(' ').count()).collect()
    };
    assert_eq!(lengths(&world), [3; 3], "those that came first");
    assert_eq!(world.peers[1].paths_to("198.51.100.0/24").len(), 1);
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
    world.assert_equal("dropped");
    // What is known may change; who takes a place that becomes free is taken, on the new engine as well.
    world.hand_over("dropped");
    world.run();
    let name = |index: u32| index.wrapping_mul(0x9e37_79b1);
    tell(&mut world, name(1), P, &[64001, 64001]);
    world.peers[0].withdraw_path(name(2), net(P));
    tell(&mut world, name(most + 1), P, &[64001]);
    tell(&mut world, name(most + 2), P, &[64002]);
    world.run();
    assert_eq!(counters(&world, world.primary), (expected.0, expected.1 + 1));
    let mut told = lengths(&world);
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
    world.assert_equal("handed over");
}
