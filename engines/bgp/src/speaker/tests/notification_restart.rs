//! Graceful restart that outlives a NOTIFICATION (RFC 8538), on the engine that leads and on the one that follows.

use std::time::Duration;

use holdfast_rib::Family;

use super::peer::Peer;
use super::world::World;
use crate::wire::{Capability, Cease, NotificationMessage};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";
const BOTH: [(Family, bool); 2] = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];

/// The first neighbour keeps routes over a NOTIFICATION and has announced P and Q; a follower is there.
fn world() -> World {
    let first = Peer::new(1, 65001).with_graceful_restart(&BOTH, 60).with_notification_restart();
    let mut world = World::new(vec![first, Peer::new(2, 65002)]);
    tell(&mut world, &[P, Q]);
    world.join();
    world.run();
    world
}

fn tell(world: &mut World, prefixes: &[&str]) {
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(prefixes, &attributes);
    world.run();
}

fn was_kept(world: &World) -> bool {
    let first = world.peers[0].address;
    world.downs.iter().rev().find(|(address, ..)| *address == first).is_some_and(|(.., kept)| *kept)
}

fn last_notification(world: &World) -> NotificationMessage {
    world.peers[0].notifications.last().expect("a NOTIFICATION").clone()
}

#[test]
fn routes_outlive_a_notification_and_a_takeover_while_they_wait() {
    let mut world = world();
    world.notify(0, &NotificationMessage::cease(Cease::OutOfResources));
    world.run();
    assert!(was_kept(&world) && world.peers[1].has(P));
    world.assert_equal("kept");
    let before = world.peers[1].updates;
    world.hand_over("while routes wait");
    world.establish();
    tell(&mut world, &[P]);
    assert_eq!((world.peers[1].updates, world.peers[1].table.len()), (before, 2));
    Family::ALL.into_iter().for_each(|family| world.peers[0].end_of_rib(family));
    world.run();
    assert!(world.peers[1].has(P) && !world.peers[1].has(Q), "what was not told again is gone");
    world.assert_equal("told");
}

#[test]
fn a_hard_reset_ends_it() {
    let mut world = world();
    world.notify(0, &NotificationMessage::cease(Cease::AdministrativeShutdown).hard_reset());
    world.run();
    assert!(!was_kept(&world) && world.peers[1].table.is_empty());
    world.assert_equal("reset");
}

#[test]
fn what_we_send_and_keep_depends_on_the_cause() {
    let mut world = world();
    // A message that is wrong, and a change of configuration: both sides keep routes.
    world.peers[0].out.extend([0xff; 18]);
    world.peers[0].out.push(9);
    world.run();
    assert_eq!((last_notification(&world).code, was_kept(&world)), (1, true));
    world.establish();
    tell(&mut world, &[P]);
    world.configure_neighbor(0, |neighbor| neighbor.hold_time_s = 60);
    let sent = last_notification(&world);
    assert_eq!((sent.subcode, was_kept(&world)), (Cease::ConfigurationChange as u8, true));
    // What an operator asks for, and another AS: a session from nothing.
    world.establish();
    tell(&mut world, &[P]);
    let (id, now) = (world.id(0), world.now);
    let engine = &mut world.engines[world.primary];
    engine.speaker.reset(id, "", &mut engine.rib, now);
    world.run();
    let sent = last_notification(&world);
    assert!(sent.is_hard_reset() && !was_kept(&world), "{sent}");
    assert_eq!(sent.reason(), NotificationMessage::cease(Cease::AdministrativeReset));
    world.establish();
    tell(&mut world, &[P]);
    world.peers[0].away = true; // once it is told, it is refused as another AS
    world.configure_neighbor(0, |neighbor| neighbor.peer_as = 65009);
    let sent = last_notification(&world);
    assert!(sent.is_hard_reset() && !was_kept(&world), "{sent}");
    assert!(!world.peers[1].has(P));
}

#[test]
fn silence_is_survived_as_well() {
    let mut world = world();
    world.peers[0].away = true;
    world.now += Duration::from_secs(91);
    world.run();
    assert_eq!((last_notification(&world), was_kept(&world)), (NotificationMessage::hold_timer_expired(), true));
    world.advance(Duration::from_secs(61));
    assert!(world.peers[1].table.is_empty(), "it did not come back in time");
    world.assert_equal("timed out");
}

#[test]
fn it_takes_both_sides() {
    let first = Peer::new(1, 65001).with_graceful_restart(&BOTH, 60);
    let mut world = World::new(vec![first, Peer::new(2, 65002)]);
    tell(&mut world, &[P]);
    let ours = world.peers[0].heard_open.clone().unwrap();
    assert!(ours.capabilities.iter().any(|c| matches!(c, Capability::GracefulRestart { notification: true, .. })));
    world.notify(0, &NotificationMessage::cease(Cease::OutOfResources));
    world.run();
    assert!(!was_kept(&world) && world.peers[1].table.is_empty());
    // And the operator's reset is no Hard Reset to one who would not know it.
    world.establish();
    let (id, now) = (world.id(0), world.now);
    let engine = &mut world.engines[world.primary];
    engine.speaker.reset(id, "", &mut engine.rib, now);
    world.run();
    assert_eq!(last_notification(&world), NotificationMessage::cease(Cease::AdministrativeReset));
}

/// It is away, and it is not the session that ends: what it told does not wait for its time.
#[test]
fn what_an_operator_ends_for_good_waits_no_longer() {
    for how in ["shutdown", "another AS", "clear"] {
        let mut world = world();
        world.peers[0].away = true;
        world.cut(0);
        world.run();
        assert!(was_kept(&world) && world.peers[1].has(P));
        match how {
            "shutdown" => world.configure_neighbor(0, |neighbor| neighbor.disable = true),
            "another AS" => world.configure_neighbor(0, |neighbor| neighbor.peer_as = 65009),
            _ => {
                let (id, now) = (world.id(0), world.now);
                let engine = &mut world.engines[world.primary];
                engine.speaker.reset(id, "", &mut engine.rib, now);
                world.run();
            }
        }
        assert!(world.peers[1].table.is_empty(), "{how}");
        world.assert_equal(how);
    }
}
