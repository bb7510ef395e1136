//! Graceful restart as a helper (RFC 4724 §4.2), on the engine that leads and on the one that follows.

use std::time::Duration;

use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";
const P6: &str = "2001:db8:1::/48";
const BOTH: [(Family, bool); 2] = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];

/// The first neighbour has announced P, Q and P6, and can restart; a follower is there.
fn world() -> World {
    world_with(&BOTH)
}

fn world_with(families: &[(Family, bool)]) -> World {
    let first = Peer::new(1, 65001).with_graceful_restart(families, 60);
    let mut world = World::new(vec![first, Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    tell(&mut world, &[P, Q, P6]);
    world.join();
    world.run();
    world
}

fn tell(world: &mut World, prefixes: &[&str]) {
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(prefixes, &attributes);
    world.run();
}

fn told(world: &World) -> Vec<String> {
    world.peers[1].table.keys().map(ToString::to_string).collect()
}

#[test]
fn routes_are_kept_until_end_of_rib() {
    let mut world = world();
    world.cut(0);
    world.run();
    assert_eq!(world.downs.last().map(|(_, _, kept)| *kept), Some(true));
    assert_eq!(told(&world), [Q, P, P6], "kept");
    world.assert_equal("kept");
    world.establish();
    tell(&mut world, &[P, P6]);
    assert_eq!(told(&world), [Q, P, P6], "the rest may still come");
    world.assert_equal("half told");
    let before = world.updates();
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.run();
    assert_eq!(told(&world), [P, P6], "what was not told again is gone");
    assert_eq!(world.updates(), before + 2, "one withdrawal for each of the others, and nothing else");
    world.peers[0].end_of_rib(Family::Ipv6Unicast);
    world.run();
    assert_eq!(told(&world), [P, P6]);
    world.assert_equal("told");
}

#[test]
fn routes_are_swept_when_the_neighbour_does_not_come_back() {
    let mut world = world();
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    world.advance(Duration::from_secs(59));
    assert_eq!(told(&world).len(), 3);
    world.advance(Duration::from_secs(2));
    assert!(told(&world).is_empty());
    world.assert_equal("timed out");
}

#[test]
fn routes_are_swept_when_the_neighbour_does_not_finish() {
    let mut world = world();
    world.cut(0);
    world.establish();
    tell(&mut world, &[P]);
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.run();
    assert_eq!(told(&world), [P, P6]);
    world.advance(Duration::from_secs(301));
    assert_eq!(told(&world), [P], "no End-of-RIB for IPv6 within the time for stale routes");
    world.assert_equal("not finished");
}

#[test]
fn a_notification_ends_it_at_once() {
    let mut world = world();
    world.cease(0);
    world.run();
    assert_eq!(world.downs.last().map(|(_, _, kept)| *kept), Some(false));
    assert!(told(&world).is_empty());
    world.assert_equal("ceased");
}

#[test]
fn without_the_capability_or_the_helper_routes_go_at_once() {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    tell(&mut world, &[P]);
    world.cut(0);
    world.run();
    assert!(told(&world).is_empty());

    let mut world = self::world();
    world.configure_neighbor(0, |neighbor| neighbor.graceful_restart_helper = false);
    world.establish();
    tell(&mut world, &[P]);
    world.cut(0);
    world.run();
    assert!(told(&world).is_empty());
}

#[test]
fn a_neighbour_that_lost_its_forwarding_state_loses_its_routes() {
    let mut world = world();
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    world.peers[0].set_graceful_restart(&[(Family::Ipv4Unicast, false), (Family::Ipv6Unicast, true)], 60);
    world.peers[0].away = false;
    world.establish();
    assert_eq!(told(&world), [P6]);
    world.assert_equal("forwarding state lost");
}

/// RFC 4724 §4.2: only the families of the capability are kept.
#[test]
fn families_without_restart_go_at_once() {
    let mut world = world_with(&BOTH[..1]);
    world.cut(0);
    world.run();
    assert_eq!(told(&world), [Q, P]);
    world.assert_equal("one family");
}

/// A family that the new session does not carry has no End-of-RIB to wait for.
#[test]
fn a_family_that_does_not_come_back_goes() {
    let mut world = world();
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    world.peers[0].open.capabilities.remove(1);
    world.peers[0].away = false;
    world.establish();
    tell(&mut world, &[P, Q]);
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.run();
    assert_eq!(told(&world), [Q, P]);
    world.assert_equal("family gone");
}

/// RFC 4724 §4.2, consecutive restarts: what was stale already goes, what was told in between is kept.
#[test]
fn a_second_restart_before_the_first_is_over() {
    let mut world = world();
    world.cut(0);
    world.establish();
    tell(&mut world, &[P]);
    world.cut(0);
    world.run();
    assert_eq!(told(&world), [P]);
    world.assert_equal("second restart");
    world.establish();
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.peers[0].end_of_rib(Family::Ipv6Unicast);
    world.run();
    assert!(told(&world).is_empty());
    world.assert_equal("nothing told");
}

/// The connection breaks again while the sweep after End-of-RIB is still under way.
#[test]
fn a_restart_in_the_middle_of_a_sweep() {
    let mut world = world();
    let nets: Vec<ipnet::IpNet> =
        (0..6000u32).map(|i| format!("172.{}.{}.0/24", 16 + i / 256, i % 256).parse().unwrap()).collect();
    let attributes = world.peers[0].attributes(&[65001]);
    let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
    world.peers[0].announce_via(&nets, &attributes, next_hop);
    world.run();
    world.cut(0);
    world.establish();
    world.peers[0].announce_via(&nets[1..], &attributes, next_hop);
    world.run();
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.read_only();
    let engine = &mut world.engines[0];
    engine.speaker.background(&mut engine.rib);
    assert!(engine.speaker.has_background(), "not through yet");
    world.cut(0);
    world.run();
    assert_eq!(world.peers[1].table.len(), 5999, "kept, all of them");
    world.assert_equal("in the middle");
}

#[test]
fn a_follower_may_join_at_any_moment() {
    let mut world = world();
    world.peers[0].away = true;
    world.cut(0);
    world.join_anew();
    world.run();
    world.assert_equal("joined while the neighbour is away");
    world.peers[0].away = false;
    world.establish();
    tell(&mut world, &[P]);
    world.join_anew();
    world.run();
    world.assert_equal("joined while stale routes wait");
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.read_only(); // the sweep has begun and not got anywhere
    world.join_anew();
    world.run();
    assert_eq!(told(&world), [P, P6]);
    world.assert_equal("joined during the sweep");
    world.peers[0].end_of_rib(Family::Ipv6Unicast);
    world.run();
    assert_eq!(told(&world), [P]);
    world.assert_equal("over");
}

/// Whoever leads in the end sweeps.
#[test]
fn the_successor_sweeps_what_never_comes_back() {
    let mut world = world();
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    world.hand_over("stale");
    world.run();
    assert_eq!(told(&world).len(), 3);
    world.advance(Duration::from_secs(310));
    assert!(told(&world).is_empty());
    world.assert_equal("swept by the successor");
}

/// Ties between a stale path and another one are broken alike by whoever decides, and whenever.
#[test]
fn a_stale_path_keeps_its_rank() {
    let mut world = world();
    let attributes = world.peers[1].attributes(&[65002]);
    world.peers[1].announce(&[P, Q], &attributes);
    world.run();
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    world.assert_equal("stale and tied");
    // Decided again for one of them, not for the other.
    world.peers[1].withdraw(&[P]);
    world.run();
    world.peers[1].announce(&[P], &attributes);
    world.run();
    world.assert_equal("decided again");
    world.join_anew();
    world.run();
    world.assert_equal("decided by a newcomer");
    assert_eq!(world.peers[2].path(P), world.peers[2].path(Q));
    // It comes back as somebody else: the tie goes the other way, for all of its routes.
    world.peers[0].open.router_id = "192.0.2.99".parse().unwrap();
    world.peers[0].away = false;
    world.establish();
    world.run();
    assert_eq!((world.peers[2].path(P), world.peers[2].path(Q)), ("65002".into(), "65002".into()));
    world.assert_equal("somebody else");
    tell(&mut world, &[P, Q, P6]);
    world.join_anew();
    world.run();
    world.assert_equal("somebody else, to a newcomer");
}

/// FRR says End-of-RIB whenever it has nothing to send for a moment. Whoever believed it would remove routes from the kernel
/// that are told a moment later.
#[test]
fn an_end_of_rib_in_the_middle_of_a_table_completes_nothing() {
    let peer = Peer::new(1, 65001).with_graceful_restart(&BOTH, 60);
    let mut world = World::new(vec![peer]);
    let complete = |world: &World| world.primary().speaker.has_heard_everybody(world.now);
    let many = |third: u8| -> Vec<String> { (0..100).map(|n| format!("203.{third}.{n}.0/24")).collect() };
    let announce = |world: &mut World, prefixes: &[String]| {
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        tell(world, &prefixes);
    };
    announce(&mut world, &many(1));
    Family::ALL.into_iter().for_each(|family| world.peers[0].end_of_rib(family));
    world.run();
    assert!(!complete(&world), "the rest may still come");
    world.advance(Duration::from_millis(1500));
    announce(&mut world, &many(2));
    world.advance(Duration::from_millis(1500));
    assert!(!complete(&world), "it has grown since");
    world.advance(Duration::from_secs(1));
    assert!(complete(&world));
}

/// RFC 4724 §3 lets the time be 0: nobody waits for us then, so the session does not restart gracefully.
#[test]
fn a_restart_time_of_nothing_is_none() {
    let mut world = World::cold(vec![Peer::new(1, 65001).with_graceful_restart(&[], 0)]);
    world.configure_neighbor(0, |neighbor| {
        (neighbor.graceful_restart, neighbor.nonstop_routing, neighbor.restart_time_s) = (true, false, 0);
    });
    world.establish();
    let readiness =
        |world: &World| holdfast_replication::Switchover::readiness(&world.primary().speaker, world.now).remove(0);
    assert_eq!(readiness(&world).mode(), holdfast_proto::v1::SwitchoverMode::Lost);
    let why = world.primary().speaker.why_not_restart(world.id(0));
    assert_eq!(why, Some("its restart-time is 0, so the neighbor does not wait for us"));
    world.configure_neighbor(0, |neighbor| neighbor.restart_time_s = 1);
    world.establish();
    assert_eq!(readiness(&world).mode(), holdfast_proto::v1::SwitchoverMode::Gr);
}
