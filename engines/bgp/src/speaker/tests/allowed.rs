//! Neighbours that are not configured but allowed: they come with their connection and go when nothing of them is left, on both
//! engines.

use std::time::Duration;

use holdfast_proto::v1::bgp_neighbor_config::PrefixLimit;
use holdfast_proto::v1::{AddressFamily, BgpAllowed};

use super::peer::Peer;
use super::world::{World, neighbor_config};
use crate::wire::{Cease, Family, NotificationMessage};

const P: &str = "203.0.113.0/24";

/// 10.0.0.1 is configured; the others, of AS 65002, may connect from 10.0.0.0/24, two at a time.
fn world(peers: Vec<Peer>) -> World {
    let mut all = vec![Peer::new(1, 65001)];
    all.extend(peers);
    all[1..].iter_mut().for_each(|peer| peer.away = true);
    let mut world = World::cold(all);
    let mut template = neighbor_config(&world.peers[1]);
    template.address.clear();
    template.peer_as = 65002;
    world.configure(|config| {
        let bgp = config.bgp.as_mut().unwrap();
        bgp.neighbors.truncate(1);
        bgp.allowed = vec![BgpAllowed { prefix: "10.0.0.0/24".into(), limit: 2, template: Some(template) }];
    });
    world.establish();
    world
}

fn two() -> Vec<Peer> {
    vec![Peer::new(2, 65002), Peer::new(3, 65002), Peer::new(4, 65002)]
}

fn is_known(world: &World, engine: usize, peer: usize) -> bool {
    world.engines[engine].speaker.find_neighbor(world.peers[peer].address).is_some()
}

fn announce(world: &mut World, peer: usize) {
    let attributes = world.peers[peer].attributes(&[65002]);
    world.peers[peer].announce(&[P], &attributes);
    world.run();
}

#[test]
fn they_come_with_a_connection_and_go_with_it() {
    let mut world = world(two());
    assert!(!is_known(&world, 0, 1));
    world.call(1).expect("it is allowed");
    assert!(world.peers[1].is_up());
    announce(&mut world, 1);
    assert_eq!(world.peers[0].path(P), "65000 65002");
    world.call(2).expect("two are allowed");
    let reason = world.call(3).expect_err("a third is not");
    assert!(reason.contains("allow 10.0.0.0/24 has its 2 neighbors already"), "{reason}");
    assert!(!is_known(&world, 0, 3));
    let summary = world.primary().speaker.summary(world.now);
    assert_eq!((summary.allowed[0].neighbors, summary.allowed[0].limit), (2, 2));
    assert_eq!(summary.neighbors.iter().filter(|n| n.allowed_by == "10.0.0.0/24").count(), 2);
    world.cut(1);
    world.run();
    assert!(!is_known(&world, 0, 1) && !world.peers[0].has(P));
    world.call(3).expect("there is room again");
    // Its place was taken by another one: nobody is mixed up.
    announce(&mut world, 3);
    assert_eq!(world.peers[0].path(P), "65000 65002");
    world.cut(3);
    world.cut(2);
    world.run();
    assert_eq!(world.primary().speaker.neighbor_ids().len(), 1);
    assert!(!world.peers[0].has(P));
}

#[test]
fn a_handshake_that_fails_leaves_nobody_behind_and_is_damped() {
    let mut world = world(vec![Peer::new(2, 65099)]);
    world.call(1).expect("its address is allowed");
    assert!(is_known(&world, 0, 1), "it rests after the error");
    assert!(world.call(1).is_err());
    world.advance(Duration::from_secs(3));
    assert!(!is_known(&world, 0, 1));
}

#[test]
fn a_follower_knows_them_and_their_end() {
    for early in [true, false] {
        let mut world = world(two());
        if early {
            world.join();
        }
        world.call(1).expect("it is allowed");
        announce(&mut world, 1);
        if !early {
            world.join();
        }
        world.run();
        world.assert_equal("they are there");
        world.hand_over("with them");
        world.run();
        assert!(world.peers[1].is_up(), "its session went over");
        assert_eq!(world.peers[1].sessions, 1);
        assert_eq!(world.peers[0].path(P), "65000 65002");
        world.call(2).expect("another one comes to the new engine");
        world.run();
        assert!(is_known(&world, 0, 2) && is_known(&world, 1, 2));
        world.cut(1);
        world.run();
        assert!(!is_known(&world, 0, 1) && !is_known(&world, 1, 1), "both have forgotten it");
        world.assert_equal("one is gone");
        world.call(1).expect("it comes back");
        world.run();
        world.assert_equal("and is back");
        world.hand_over("back again");
        world.run();
        assert!(world.peers[1].is_up() && world.peers[2].is_up());
    }
}

#[test]
fn one_that_restarts_gracefully_is_waited_for() {
    let families = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];
    let mut world = world(vec![Peer::new(2, 65002).with_graceful_restart(&families, 60)]);
    world.join();
    world.call(1).expect("it is allowed");
    announce(&mut world, 1);
    world.cut(1);
    world.run();
    assert!(is_known(&world, 0, 1) && world.peers[0].has(P), "its routes wait");
    world.assert_equal("it is away");
    world.hand_over("while it is away");
    world.run();
    world.call(1).expect("it is back");
    announce(&mut world, 1);
    for family in [Family::Ipv4Unicast, Family::Ipv6Unicast] {
        world.peers[1].end_of_rib(family);
    }
    world.run();
    assert!(world.peers[0].has(P));
    world.assert_equal("it is back");
    world.cut(1);
    world.advance(Duration::from_secs(61));
    assert!(!is_known(&world, 0, 1) && !is_known(&world, 1, 1) && !world.peers[0].has(P));
    world.assert_equal("it did not come back");
}

#[test]
fn a_commit_may_configure_or_forbid_them() {
    let mut world = world(two());
    world.join();
    world.call(1).expect("it is allowed");
    world.call(2).expect("it is allowed");
    let config = neighbor_config(&world.peers[1]);
    world.configure(|all| all.bgp.as_mut().unwrap().neighbors.push(config));
    assert!(world.peers[1].is_up(), "it has the same settings: its session stays");
    world.configure(|all| all.bgp.as_mut().unwrap().allowed.clear());
    assert!(world.peers[1].is_up());
    assert_eq!(world.peers[2].notifications, [NotificationMessage::cease(Cease::PeerDeconfigured)]);
    assert!(!is_known(&world, 0, 2) && !is_known(&world, 1, 2));
    assert!(world.call(2).is_err());
    world.assert_equal("forbidden");
}

/// A crash that nobody took over: who was there, and can be helped, is waited for as if it were configured.
#[test]
fn a_crash_waits_for_those_that_were_there() {
    let families = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];
    let mut world = world(vec![Peer::new(2, 65002).with_graceful_restart(&families, 60)]);
    world.configure(|all| {
        let bgp = all.bgp.as_mut().unwrap();
        bgp.allowed[0].template.as_mut().unwrap().graceful_restart = true;
    });
    world.call(1).expect("it is allowed");
    world.crash(&[0, 1]);
    assert!(is_known(&world, 0, 1));
    world.advance(Duration::from_secs(200));
    assert!(!is_known(&world, 0, 1), "it did not come back in time");
}

/// Its rest after too many prefixes is not cut short by forgetting it.
#[test]
fn one_that_sent_too_much_rests() {
    let mut world = world(two());
    world.configure(|all| {
        let template = all.bgp.as_mut().unwrap().allowed[0].template.as_mut().unwrap();
        template.prefix_limits = vec![PrefixLimit {
            family: AddressFamily::Ipv4Unicast.into(),
            maximum: 1,
            teardown: true,
            idle_minutes: Some(1),
            ..PrefixLimit::default()
        }];
    });
    world.join();
    world.call(1).expect("it is allowed");
    let attributes = world.peers[1].attributes(&[65002]);
    world.peers[1].announce(&[P, "198.51.100.0/24"], &attributes);
    world.run();
    let told: Vec<_> = world.peers[1].notifications.iter().map(|told| (told.code, told.subcode)).collect();
    assert_eq!(told, [(6, 1)], "Cease / Maximum Number of Prefixes Reached");
    world.advance(Duration::from_secs(50));
    assert!(is_known(&world, 0, 1) && is_known(&world, 1, 1), "it rests");
    assert!(world.call(1).is_err());
    world.advance(Duration::from_secs(15));
    assert!(!is_known(&world, 0, 1) && !is_known(&world, 1, 1));
    world.call(1).expect("it may try again");
}
