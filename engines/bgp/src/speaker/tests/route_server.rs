//! A route server (RFC 7947): routes pass as if it were not there, and a path that one client may not have hides no other.

use std::time::Duration;

use holdfast_proto::v1::PolicyMatch;
use holdfast_rib::NexthopSpec;

use super::peer::Peer;
use super::world::{World, accept, policy, reject, term};
use crate::wire::{AsPath, NextHop, PathAttributes};

const P: &str = "203.0.113.0/24";
const P6: &str = "2001:db8:1::/48";

/// Three clients.
fn world() -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, 65003)]);
    world.configure(|config| {
        let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
        neighbors.iter_mut().for_each(|neighbor| neighbor.route_server_client = true);
    });
    world
}

#[test]
fn routes_pass_unchanged() {
    let mut world = world();
    let attributes =
        PathAttributes { med: Some(7), communities: vec![9], ..world.peers[0].attributes(&[65001, 65100]) };
    world.peers[0].announce(&[P], &attributes);
    let (global, link_local) = (world.peers[0].v6, Some("fe80::1".parse().unwrap()));
    world.peers[0].announce_via(&[P6.parse().unwrap()], &attributes, NextHop::V6 { global, link_local });
    world.join();
    world.run();
    for peer in [1, 2] {
        let (told, next_hop) = world.peers[peer].route(P).unwrap();
        assert_eq!((told.as_path, told.med), (AsPath::sequence(&[65001, 65100]), Some(7)));
        assert_eq!((next_hop, told.communities), (world.peers[0].address, vec![9]));
        // In sessions over global addresses those alone are told, as with our own.
        assert_eq!(world.peers[peer].table[&P6.parse().unwrap()].1, NextHop::V6 { global, link_local: None });
    }
    world.assert_equal("transparent");
    world.configure_neighbor(1, |neighbor| neighbor.route_server_client = false);
    assert_eq!(world.peers[1].path(P), "65000 65001 65100");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

/// Who has the best path is told the second; a client from which policy keeps the best path, too.
#[test]
fn the_best_path_hides_no_other() {
    let mut world = world();
    world.configure(|config| {
        let not_first = PolicyMatch { neighbors: vec!["10.0.0.1".into()], ..PolicyMatch::default() };
        let terms = vec![term(not_first, reject()), term(PolicyMatch::default(), accept())];
        config.policy.as_mut().unwrap().statements = vec![policy("not-first", terms)];
        config.bgp.as_mut().unwrap().neighbors[2].export_policies = vec!["not-first".into()];
    });
    let (best, second) = (world.peers[0].attributes(&[65001]), world.peers[1].attributes(&[65002, 65100]));
    world.peers[0].announce(&[P], &best);
    world.join();
    world.run();
    assert!(!world.peers[2].has(P));
    world.peers[1].announce(&[P], &second);
    world.run();
    assert_eq!(world.peers[0].path(P), "65002 65100");
    assert_eq!(world.peers[1].path(P), "65001");
    assert_eq!(world.peers[2].path(P), "65002 65100");
    world.assert_equal("nothing hidden");
    for round in 0..2 {
        let before = world.updates();
        world.hand_over("nothing hidden");
        world.run();
        assert_eq!(world.updates(), before);
        let other = PathAttributes { communities: vec![round], ..second.clone() };
        world.peers[1].announce(&[P], &other);
        world.run();
        assert_eq!(world.peers[2].route(P).unwrap().0.communities, [round], "the best path has not changed");
        world.assert_equal("handed over");
    }
    world.peers[1].withdraw(&[P]);
    world.run();
    assert!(!world.peers[0].has(P) && world.peers[1].has(P) && !world.peers[2].has(P));
}

#[test]
fn what_is_not_in_force_may_be_told() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.set_static(&[(P, NexthopSpec::Discard)]);
    world.join();
    world.run();
    assert!(!world.peers[1].has(P));
    world.configure_neighbor(1, |neighbor| neighbor.advertise_inactive = true);
    assert!(world.peers[1].has(P) && !world.peers[2].has(P) && !world.peers[0].has(P));
    let other = PathAttributes { communities: vec![4], ..attributes };
    world.peers[0].announce(&[P], &other);
    world.run();
    assert_eq!(world.peers[1].route(P).unwrap().0.communities, [4]);
    world.assert_equal("inactive");
    world.peers[0].withdraw(&[P]);
    world.run();
    assert!(!world.peers[1].has(P));
}

#[test]
fn changes_wait_and_only_their_outcome_is_told() {
    let mut world = world();
    world.configure_neighbor(1, |neighbor| neighbor.out_delay_s = 5);
    world.join();
    let attributes = world.peers[0].attributes(&[65001]);
    for round in 0..4 {
        let other = PathAttributes { communities: vec![round], ..attributes.clone() };
        world.peers[0].announce(&[P], &other);
        world.run();
        world.advance(Duration::from_secs(1));
        assert!(world.peers[2].has(P) && !world.peers[1].has(P), "{round}");
    }
    let before = world.peers[1].updates;
    world.advance(Duration::from_secs(2));
    assert_eq!(world.peers[1].route(P).unwrap().0.communities, [3]);
    assert_eq!(world.peers[1].updates, before + 1);
    world.assert_equal("delayed");
    world.peers[0].withdraw(&[P]);
    world.run();
    assert!(world.peers[1].has(P));
    world.hand_over("in the middle of a delay");
    world.run();
    world.advance(Duration::from_secs(5));
    assert!(!world.peers[1].has(P), "what was not told is told by whoever leads");
    world.assert_equal("handed over");
    assert_eq!(world.held(world.primary), world.held(1 - world.primary));
}
