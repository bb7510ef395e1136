//! The loss of a BFD session (RFC 9384), on the engine that leads and on the one that follows.

use std::time::Duration;

use holdfast_proto::v1::BfdLiveness;
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::World;
use crate::session::Verdict;
use crate::speaker::bfd::{Consequence, WayLost};
use crate::wire::Cease;

const P: &str = "203.0.113.0/24";

fn liveness() -> BfdLiveness {
    BfdLiveness { minimum_transmit_us: 50_000, minimum_receive_us: 50_000, multiplier: 3, ..BfdLiveness::default() }
}

/// The first neighbour is watched, restarts gracefully over NOTIFICATIONs, and has announced a route.
fn world() -> World {
    let both = Family::ALL.map(|family| (family, true));
    let first = Peer::new(1, 65001).with_graceful_restart(&both, 60).with_notification_restart();
    let mut world = World::new(vec![first, Peer::new(2, 65002)]);
    world.configure_neighbor(0, |neighbor| neighbor.bfd = Some(liveness()));
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.join();
    world.run();
    world
}

fn lose_with(world: &mut World, since: Duration, independent: bool) -> Consequence {
    let (id, now) = (world.id(0), world.now);
    let primary = world.primary;
    let engine = &mut world.engines[primary];
    let consequence = engine.speaker.bfd_lost(id, since, independent, &mut engine.rib, now);
    world.run();
    consequence
}

fn lose(world: &mut World, since: Duration) -> bool {
    lose_with(world, since, false) == Consequence::SessionEnds
}

#[test]
fn a_neighbor_is_watched_when_it_is_to_be_and_its_session_is_not_touched_by_that() {
    let mut world = world();
    let watched = |world: &World| world.primary().speaker.watched_by_bfd(&world.primary().rib);
    assert_eq!(watched(&world).len(), 1);
    assert_eq!((watched(&world)[0].address, &watched(&world)[0].liveness), (world.peers[0].address, &liveness()));
    world.configure_neighbor(0, |neighbor| neighbor.bfd = None);
    assert!(watched(&world).is_empty() && world.peers[0].sessions == 1);
}

#[test]
fn its_loss_ends_the_session_at_once_and_keeps_nothing() {
    let mut world = world();
    world.advance(Duration::from_secs(1));
    let since = world.now;
    assert!(lose(&mut world, since));
    let sent = world.peers[0].notifications.last().expect("a NOTIFICATION");
    assert_eq!(sent.reason().subcode, Cease::BfdDown as u8);
    assert!(sent.is_hard_reset(), "what BFD does not reach does not forward");
    assert!(!world.peers[1].has(P));
    world.assert_equal("lost");
}

#[test]
fn a_session_that_came_up_after_the_loss_stays() {
    let mut world = world();
    let before = world.now;
    world.advance(Duration::from_secs(1));
    world.cut(0);
    world.establish();
    assert!(!lose(&mut world, before));
    assert!(world.peers[0].is_up());
}

/// From a loss until the session is up again.
fn out_for(world: &mut World) -> Duration {
    let since = world.now;
    assert!(lose(world, since));
    assert!(!world.peers[0].is_up());
    world.establish();
    world.now - since
}

#[test]
fn a_way_that_is_lost_again_and_again_is_used_the_later_each_time() {
    let mut world = world();
    let mut last = Duration::ZERO;
    for round in 1..=5 {
        world.advance(Duration::from_secs(3));
        let out = out_for(&mut world);
        assert!(out > last, "round {round}: {out:?} after {last:?}");
        last = out;
    }
    assert!(last >= Duration::from_secs(10) && last <= Duration::from_secs(20), "{last:?}");
    world.assert_equal("back");
    // Only a session that has lasted is believed again.
    world.advance(Duration::from_secs(50));
    assert!(out_for(&mut world) > last, "50 s are not enough");
    world.advance(Duration::from_secs(61));
    assert!(out_for(&mut world) <= Duration::from_millis(1_200));
}

/// Whichever engine leads: how often the way was lost, and how long the session still rests.
#[test]
fn a_successor_goes_on_with_the_rest() {
    let mut world = world();
    let mut last = Duration::ZERO;
    for _ in 1..=4 {
        world.advance(Duration::from_secs(3));
        last = out_for(&mut world);
    }
    world.advance(Duration::from_secs(3));
    let since = world.now;
    assert!(lose(&mut world, since));
    world.advance(Duration::from_secs(2));
    world.hand_over("at rest");
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
    assert!(detail.why_not_established.contains("resting after an error"), "{}", detail.why_not_established);
    world.establish();
    let out = world.now - since;
    assert!(out > last && out <= Duration::from_secs(20), "{out:?} after {last:?}");
    // The successor has not seen any of the losses but the last one's rest; and the next is the sixth.
    world.join_anew();
    world.run();
    world.hand_over("while it is up");
    world.run();
    world.advance(Duration::from_secs(3));
    let sixth = out_for(&mut world);
    assert!(sixth > out, "{sixth:?} after {out:?}");
    // An operator's word ends it, for the successor as well.
    world.join_anew();
    let since = world.now;
    assert!(lose(&mut world, since));
    let (id, now) = (world.id(0), world.now);
    world.peers[0].away = true;
    let super::world::Engine { speaker, rib } = &mut world.engines[world.primary];
    speaker.reset(id, "", rib, now);
    world.run();
    world.hand_over("cleared");
    world.peers[0].away = false;
    world.establish();
    assert!(world.now - since < Duration::from_secs(3), "{:?}", world.now - since);
}

#[test]
fn while_a_lost_session_rests_the_neighbor_is_not_let_in() {
    let mut world = world();
    world.advance(Duration::from_secs(1));
    let (id, since) = (world.id(0), world.now);
    assert!(lose(&mut world, since));
    let primary = world.primary;
    let engine = &mut world.engines[primary];
    let neighbor = engine.speaker.get_mut(id).expect("it is configured");
    assert_eq!(neighbor.session.tcp_accepted(since), Verdict::Refuse("the session rests after an error"));
    let why = neighbor.session.why_not_established().unwrap_or_default();
    assert!(why.contains("resting after an error") && why.contains("BFD Down"), "{why}");
    // Our operator has it at once.
    engine.speaker.reset(id, "", &mut engine.rib, since);
    world.establish();
    assert_eq!(world.now, since);
}

#[test]
fn an_engine_that_follows_ends_nothing_and_its_successor_does() {
    let mut world = world();
    world.advance(Duration::from_secs(1));
    let (id, since) = (world.id(0), world.now);
    let standby = 1 - world.primary;
    let follower = &mut world.engines[standby];
    assert_eq!(follower.speaker.bfd_lost(id, since, true, &mut follower.rib, since), Consequence::Nothing);
    world.hand_over("lost meanwhile");
    assert!(lose(&mut world, since), "what was lost before the switch is found after it");
    assert!(!world.peers[1].has(P));
}

/// The neighbour seems to restart: its routes wait.
fn restarting() -> World {
    let mut world = world();
    world.advance(Duration::from_secs(1));
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    assert!(world.peers[1].has(P), "its routes wait");
    world.advance(Duration::from_secs(1));
    world
}

#[test]
fn its_loss_ends_a_graceful_restart_where_it_shares_no_control_planes_fate() {
    let mut world = restarting();
    let since = world.now;
    assert_eq!(lose_with(&mut world, since, false), Consequence::Nothing, "a restart looks like that");
    assert!(world.peers[1].has(P));
    assert_eq!(lose_with(&mut world, since, true), Consequence::RestartIsOver);
    assert!(!world.peers[1].has(P));
    world.assert_equal("over");
    assert_eq!(lose_with(&mut world, since, true), Consequence::Nothing, "there is nothing left to end");
}

#[test]
fn a_loss_from_before_the_restart_says_nothing_of_it() {
    let mut world = world();
    let before = world.now;
    world.advance(Duration::from_secs(1));
    world.peers[0].away = true;
    world.cut(0);
    world.run();
    assert_eq!(lose_with(&mut world, before, true), Consequence::Nothing);
    assert!(world.peers[1].has(P));
    // And an engine that came to lead meanwhile knows it as well.
    world.hand_over("restarting");
    assert_eq!(lose_with(&mut world, before, true), Consequence::Nothing);
    let since = world.now;
    assert_eq!(lose_with(&mut world, since, true), Consequence::RestartIsOver);
    assert!(!world.peers[1].has(P));
}

/// What is said on either engine to the loss of the way to a neighbour.
fn said(world: &World, index: usize, since: Duration, independent: bool) -> WayLost {
    let address = world.peers[index].address;
    let both = [0, 1].map(|engine| world.engines[engine].speaker.way_lost(address, 0, since, independent));
    assert_eq!(both[0], both[1], "who follows knows what who leads knows");
    both[0]
}

#[test]
fn a_lost_way_counts_for_packets_also_where_the_neighbor_is_not_watched() {
    let mut world = world();
    world.advance(Duration::from_secs(1));
    let since = world.now;
    assert_eq!((said(&world, 0, since, false), said(&world, 1, since, false)), (WayLost::Counts, WayLost::Counts));
    assert!(world.peers[1].is_up(), "its session is its own");
    // Who comes up later has been reached.
    world.advance(Duration::from_secs(1));
    world.cut(1);
    world.establish();
    assert_eq!(said(&world, 1, since, false), WayLost::IsProvenOtherwise);
    assert_eq!(said(&world, 0, since, false), WayLost::Counts);
    let nobody = world.primary().speaker.way_lost("192.0.2.99".parse().unwrap(), 0, since, false);
    assert_eq!(nobody, WayLost::Counts, "a static route has no neighbour");
}

#[test]
fn a_way_that_is_lost_in_a_graceful_restart_counts_where_it_shares_no_control_planes_fate() {
    let world = restarting();
    assert_eq!(said(&world, 0, world.now, false), WayLost::MayBeRestart);
    assert_eq!(said(&world, 0, world.now, true), WayLost::Counts);
}

/// Whether either engine waits for the routes of a neighbour after the loss of the way there.
fn awaits(world: &World, index: usize, since: Duration) -> bool {
    let address = world.peers[index].address;
    let both = [0, 1].map(|engine| world.engines[engine].speaker.is_to_tell_again(address, 0, since, world.now));
    assert_eq!(both[0], both[1], "who follows knows what who leads knows");
    both[0]
}

#[test]
fn routes_are_awaited_from_a_neighbor_whose_session_ended_with_its_way_until_it_has_told_them() {
    let mut world = world();
    world.advance(Duration::from_secs(5));
    let since = world.now;
    assert!(!awaits(&world, 0, since), "its session is up, and was");
    world.advance(Duration::from_secs(1));
    world.peers[0].away = true;
    assert!(lose_with(&mut world, since, true) == Consequence::SessionEnds);
    assert!(awaits(&world, 0, since) && !awaits(&world, 1, since));
    let ended = |engine: usize| world.engines[engine].speaker.sessions_that_ended().collect::<Vec<_>>();
    assert_eq!((ended(0).len(), ended(0)[0]), (1, (world.peers[0].address, 0, world.now)));
    assert_eq!(ended(0), ended(1), "a follower sees it as well");
    world.peers[0].away = false;
    world.establish();
    world.advance(Duration::from_secs(3));
    assert!(awaits(&world, 0, since), "it is up, and has not said that this is all");
    Family::ALL.into_iter().for_each(|family| world.peers[0].end_of_rib(family));
    let many: Vec<String> = (0..200).map(|n| format!("10.{n}.0.0/16")).collect();
    let attributes = world.peers[0].attributes(&[65001]);
    for forty in many.chunks(40) {
        world.peers[0].announce(&forty.iter().map(String::as_str).collect::<Vec<_>>(), &attributes);
        world.run();
        world.advance(Duration::from_secs(1));
        assert!(awaits(&world, 0, since), "its table grows, whatever it has said");
    }
    world.advance(Duration::from_secs(3));
    assert!(!awaits(&world, 0, since));
    // Who is shut down is not expected.
    world.configure_neighbor(0, |neighbor| neighbor.disable = true);
    assert!(!awaits(&world, 0, since));
    let nobody = world.primary().speaker.is_to_tell_again("192.0.2.99".parse().unwrap(), 0, since, world.now);
    assert!(!nobody, "a static route has no neighbour");
}
