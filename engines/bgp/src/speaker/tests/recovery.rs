//! The routing process dies and is started again (RFC 4724 §4.1 as a whole): a speaker that knows nothing among helpers that
//! still have our routes.

use std::time::Duration;

use holdfast_replication::Switchover;
use holdfast_rib::Family;

use super::own_restart::announced;
use super::peer::Peer;
use super::world::World;
use crate::wire::Capability;

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

/// Three helpers, each with a route of its own; graceful restart is configured for all.
fn world() -> World {
    let mut world =
        World::cold((1..=3).map(|n| Peer::new(n, 65000 + u32::from(n)).with_graceful_restart(&[], 0)).collect());
    for peer in 0..3 {
        world.configure_neighbor(peer, |neighbor| neighbor.graceful_restart = true);
    }
    world.establish();
    (0..3).for_each(|peer| tell(&mut world, peer));
    world
}

fn tell(world: &mut World, peer: usize) {
    let attributes = world.peers[peer].attributes(&[65001 + peer as u32]);
    world.peers[peer].announce(&[[P, Q, "192.0.2.0/25"][peer]], &attributes);
    end(world, peer);
}

fn end(world: &mut World, peer: usize) {
    Family::ALL.into_iter().for_each(|family| world.peers[peer].end_of_rib(family));
    world.run();
}

fn is_recovering(world: &World) -> bool {
    world.primary().speaker.is_recovering()
}

fn state(world: &World, peer: usize) -> Option<String> {
    let detail = world.primary().speaker.detail(world.id(peer), world.now).expect("configured");
    detail.graceful_restart.map(|restart| restart.state)
}

#[test]
fn nobody_hears_of_a_choice_before_everybody_has_said_everything() {
    let mut world = world();
    assert_eq!(announced(&world, 0), (false, false), "a router that was switched on has forwarded nothing");
    world.crash(&[0, 1, 2]);
    world.establish();
    assert_eq!(announced(&world, 0), (true, true), "Restart State and Forwarding State");
    tell(&mut world, 0);
    tell(&mut world, 1);
    world.advance(Duration::from_secs(20));
    assert!(is_recovering(&world));
    assert!((0..3).all(|peer| world.peers[peer].ends_of_rib == [0, 0] && world.peers[peer].table.is_empty()));
    assert!(world.peers.iter().all(Peer::is_up), "keepalives are no choice");
    assert_eq!(world.primary().speaker.recovery_waits_for(world.now), ["10.0.0.3: its routes"]);
    let readiness = world.primary().speaker.readiness(world.now);
    assert!(readiness.iter().all(|session| !session.ready), "no run in the middle of it: {readiness:?}");
    let many: Vec<String> = (0..100).map(|n| format!("203.1.{n}.0/24")).collect();
    let attributes = world.peers[2].attributes(&[65003]);
    world.peers[2].announce(&many.iter().map(String::as_str).collect::<Vec<_>>(), &attributes);
    tell(&mut world, 2);
    world.advance(Duration::from_secs(1));
    assert!(is_recovering(&world), "its table has to stand still as well");
    world.advance(Duration::from_secs(2));
    assert!(!is_recovering(&world));
    assert!((0..3).all(|peer| world.peers[peer].ends_of_rib == [1, 1]));
    assert_eq!([0, 1, 2].map(|peer| world.peers[peer].table.len()), [102, 102, 2], "whole tables");
    assert_eq!(world.primary().speaker.readiness(world.now).iter().filter(|session| session.ready).count(), 3);
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap().graceful_restart.unwrap();
    assert_eq!((detail.state.as_str(), detail.routes_kept, detail.routes_swept), ("complete", 1, 0));
}

#[test]
fn only_the_first_session_after_the_crash_says_so() {
    let mut world = world();
    world.crash(&[0, 1, 2]);
    world.establish();
    world.cut(0);
    world.establish();
    assert_eq!(announced(&world, 0), (false, true), "the restart was said; forwarding was kept over this end too");
    assert_eq!(state(&world, 0).as_deref(), Some("expired"), "it did not come to its end in one session");
}

#[test]
fn who_does_not_come_back_is_waited_for_as_long_as_it_was_told_and_no_longer_claimed_from() {
    let mut world = world();
    world.peers[2].away = true;
    world.crash(&[0, 1, 2]);
    world.establish();
    tell(&mut world, 0);
    tell(&mut world, 1);
    world.advance(Duration::from_secs(100));
    assert!(is_recovering(&world));
    world.advance(Duration::from_secs(21));
    assert!(!is_recovering(&world) && world.peers[0].has(Q));
    assert_eq!(state(&world, 2).as_deref(), Some("expired"));
    world.peers[2].away = false;
    world.establish();
    assert_eq!(announced(&world, 2), (false, true), "its time is over");
    assert!(world.peers[2].has(P));
}

#[test]
fn who_never_finishes_is_given_up_in_time() {
    let mut world = world();
    world.crash(&[0, 1, 2]);
    world.establish();
    tell(&mut world, 0);
    tell(&mut world, 1);
    world.advance(Duration::from_secs(400));
    assert!(is_recovering(&world));
    world.advance(Duration::from_secs(25));
    assert!(!is_recovering(&world), "restart-time and stale-routes-time");
}

/// Whoever wakes the speaker by its deadlines alone sees each of these moments.
#[test]
fn the_ends_of_waiting_are_deadlines() {
    let mut world = world();
    world.peers[2].away = true;
    world.crash(&[0, 1, 2]);
    world.establish();
    let crashed = world.now;
    tell(&mut world, 0);
    tell(&mut world, 1);
    for (until, says) in [(119, true), (121, false)] {
        while world.primary().speaker.next_deadline().is_some_and(|due| due < crashed + Duration::from_secs(until)) {
            let due = world.primary().speaker.next_deadline().expect("just seen").max(world.now);
            let by = due - world.now + Duration::from_nanos(1);
            world.advance(by);
        }
        assert_eq!(is_recovering(&world), says, "{:?} after the crash", world.now - crashed);
    }
    assert_eq!(announced(&world, 0), (true, true));
    // Quiet after the last word is a moment, too.
    world.peers[2].away = false;
    world.crash(&[0]);
    world.establish();
    tell(&mut world, 0);
    let quiet = world.primary().speaker.next_deadline().expect("a deadline");
    assert!(quiet <= world.now + crate::speaker::limits::QUIET_MIN, "{quiet:?} at {:?}", world.now);
}

#[test]
fn who_was_down_before_is_not_waited_for() {
    let mut world = world();
    world.peers[2].away = true;
    world.cut(2);
    world.crash(&[0, 1]);
    world.establish();
    tell(&mut world, 0);
    tell(&mut world, 1);
    world.advance(Duration::from_secs(3));
    assert!(!is_recovering(&world) && world.peers[0].has(Q));
    assert_eq!(state(&world, 2), None);
}

#[test]
fn without_graceful_restart_nothing_is_claimed_and_nobody_waits() {
    let mut world = world();
    for peer in 0..3 {
        world.configure_neighbor(peer, |neighbor| neighbor.graceful_restart = false);
    }
    world.crash(&[0, 1, 2]);
    world.establish();
    let open = world.peers[0].heard_open.clone().unwrap();
    assert!(open.capabilities.iter().any(|capability| matches!(
        capability,
        Capability::GracefulRestart { restarting: false, families, .. } if families.is_empty()
    )));
    world.advance(Duration::from_millis(1));
    assert!(!is_recovering(&world), "neighbours that have given our routes up are told what is known at once");
    assert_eq!(state(&world, 0), None, "its session flapped");
}

#[test]
fn a_neighbour_without_the_capability_has_flapped_and_its_table_counts_when_it_stands_still() {
    let mut world = world();
    world.peers[0].open.capabilities.pop();
    world.crash(&[0]);
    world.establish();
    assert_eq!(state(&world, 0), None);
    world.advance(Duration::from_millis(2500));
    assert!(!is_recovering(&world));
}

/// RFC 4724 §4.1: two that restart at once must not wait for each other.
#[test]
fn a_neighbour_that_restarts_as_well_is_not_waited_for_to_the_end() {
    let mut world = world();
    world.peers[0].open.capabilities.pop();
    let families = Family::ALL.map(|family| (family, true)).to_vec();
    let restarts = Capability::GracefulRestart { restarting: true, notification: false, time_s: 60, families };
    world.peers[0].open.capabilities.push(restarts);
    world.crash(&[0]);
    world.establish();
    world.advance(Duration::from_secs(5));
    assert!(is_recovering(&world), "it may have to say something yet");
    world.advance(Duration::from_secs(6));
    assert!(!is_recovering(&world));
}
