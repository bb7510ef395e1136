//! AS numbers in AS paths: loops allowed, the first one checked, ours shown and others hidden; changed without touching a session.

use holdfast_proto::v1::{BgpNeighborConfig, bgp_neighbor_config::RemovePrivate};
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};

const P: &str = "203.0.113.0/24";

/// 0 and 1: external; 2: internal.
fn world() -> World {
    World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)])
}

fn announced(peer: usize, path: &[u32]) -> World {
    let mut world = world();
    let attributes = world.peers[peer].attributes(path);
    world.peers[peer].announce(&[P], &attributes);
    world.join();
    world.run();
    world
}

fn inactive_reason(world: &World) -> String {
    let engine = world.primary();
    let prefix = engine.rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap()).unwrap();
    engine.speaker.routes(&engine.rib, Family::Ipv4Unicast, prefix)[0].inactive_reason.clone()
}

/// A change of rules leaves sessions alone, and the follower agrees.
fn change(world: &mut World, peer: usize, change: impl FnOnce(&mut BgpNeighborConfig)) {
    world.configure_neighbor(peer, change);
    world.assert_equal("changed");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1), "{:?}", world.downs);
}

#[test]
fn our_own_as_may_be_allowed() {
    let mut world = announced(0, &[65001, LOCAL_AS, LOCAL_AS]);
    assert!(!world.peers[1].has(P));
    change(&mut world, 0, |neighbor| neighbor.own_as_loops = 1);
    assert!(!world.peers[1].has(P));
    assert_eq!(inactive_reason(&world), "our own AS is in its path");
    change(&mut world, 0, |neighbor| neighbor.own_as_loops = 2);
    assert_eq!(world.peers[1].path(P), "65000 65001 65000 65000");
    change(&mut world, 0, |neighbor| neighbor.own_as_loops = 0);
    assert!(!world.peers[1].has(P));
}

#[test]
fn the_first_as_is_the_neighbours() {
    for path in [&[65009, 65001][..], &[]] {
        let mut world = announced(0, path);
        assert!(!world.peers[1].has(P));
        assert_eq!(inactive_reason(&world), "its AS path does not begin with the neighbor's AS");
        change(&mut world, 0, |neighbor| neighbor.no_enforce_first_as = true);
        assert!(world.peers[1].has(P));
    }
    assert!(announced(2, &[65009]).peers[0].has(P), "of internal neighbours nothing is asked");
}

#[test]
fn another_as_of_ours() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| {
        (neighbor.local_as, neighbor.shown_as, neighbor.received_behind_as) = (65100, LOCAL_AS, 65100);
    });
    world.establish();
    assert_eq!(world.peers[0].heard_open.as_ref().unwrap().autonomous_system, 65100);
    let (theirs, others) = (world.peers[0].attributes(&[65001]), world.peers[1].attributes(&[65002]));
    world.peers[0].announce(&[P], &theirs);
    world.peers[1].announce(&["198.51.100.0/24"], &others);
    world.join();
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65100 65001");
    assert_eq!(world.peers[2].path(P), "65100 65001");
    assert_eq!(world.peers[0].path("198.51.100.0/24"), "65100 65000 65002");
    world.assert_equal("local-as");
    world.configure_neighbor(0, |neighbor| (neighbor.shown_as, neighbor.received_behind_as) = (0, 0));
    assert_eq!(world.peers[1].path(P), "65000 65001");
    assert_eq!(world.peers[0].path("198.51.100.0/24"), "65100 65002");
    world.assert_equal("replaced");
    let before = world.updates();
    world.hand_over("local-as");
    world.run();
    assert_eq!(world.updates(), before);
    world.assert_equal("handed over");
    let looped = world.peers[0].attributes(&[65001, 65100]);
    world.peers[0].announce(&[P], &looped);
    world.run();
    assert!(!world.peers[1].has(P), "both numbers are ours");
}

#[test]
fn private_numbers_and_the_neighbours_own() {
    let mut world = announced(0, &[65001, 64512, 3356, 65002]);
    change(&mut world, 1, |neighbor| neighbor.remove_private = RemovePrivate::Leading.into());
    assert_eq!(world.peers[1].path(P), "65000 3356 65002");
    change(&mut world, 1, |neighbor| neighbor.replace_private = true);
    assert_eq!(world.peers[1].path(P), "65000 65000 65000 3356 65002");
    change(&mut world, 1, |neighbor| (neighbor.remove_private, neighbor.replace_private) = (0, false));
    change(&mut world, 1, |neighbor| neighbor.as_override = true);
    assert_eq!(world.peers[1].path(P), "65000 65001 64512 3356 65000");
    assert_eq!(world.peers[2].path(P), "65001 64512 3356 65002", "an internal neighbour hears what was said");
}
