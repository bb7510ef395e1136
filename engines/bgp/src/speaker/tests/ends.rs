//! How sessions end by an operator's will, what the other operator is told, and what is remembered of it.

use std::time::Duration;

use super::peer::Peer;
use super::world::{World, v4};
use crate::wire::{Cease, NotificationMessage};

fn world() -> World {
    World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)])
}

fn detail(world: &World, peer: usize) -> holdfast_proto::v1::BgpNeighborDetail {
    world.primary().speaker.detail(world.id(peer), world.now).expect("it is configured")
}

#[test]
fn a_shutdown_is_told_with_its_text_and_refuses_attempts_with_it() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| {
        neighbor.disable = true;
        neighbor.shutdown_message = "back at 6".into();
    });
    let told = NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "back at 6");
    assert_eq!(world.peers[0].notifications.as_slice(), std::slice::from_ref(&told));
    let now = world.now;
    let super::world::Engine { speaker, rib } = &mut world.engines[0];
    let rejection = speaker.tcp_accepted(v4("10.0.0.1"), rib, now).expect_err("it is shut down");
    assert_eq!(rejection.notification, Some(told));
    let rejection = speaker.tcp_accepted(v4("10.0.0.77"), rib, now).expect_err("it is nobody");
    assert_eq!(rejection.notification, Some(NotificationMessage::cease(Cease::ConnectionRejected)));
    let rejection = speaker.tcp_accepted(v4("10.0.0.2"), rib, now).expect_err("it is up");
    assert_eq!(rejection.notification, Some(NotificationMessage::cease(Cease::ConnectionCollision)));
    // Another text is no reason to do anything; deleting the statement brings the session back.
    world.configure_neighbor(0, |neighbor| neighbor.shutdown_message = "or at 7".into());
    assert_eq!(world.peers[0].notifications.len(), 1);
    world.configure_neighbor(0, |neighbor| neighbor.disable = false);
    world.establish();
    assert_eq!(world.peers[0].sessions, 2);
}

#[test]
fn a_reset_and_the_end_of_the_router_carry_a_text_or_none() {
    let mut world = world();
    let (one, two) = (world.id(0), world.id(1));
    let now = world.now;
    let super::world::Engine { speaker, rib } = &mut world.engines[0];
    speaker.reset(one, "new optics", rib, now);
    speaker.shut_down(two, "", rib, now);
    world.act();
    let text = NotificationMessage::cease_with_text(Cease::AdministrativeReset, "new optics");
    assert_eq!(world.peers[0].notifications, [text]);
    assert_eq!(world.peers[1].notifications, [NotificationMessage::cease(Cease::AdministrativeShutdown)]);
}

#[test]
fn what_was_said_at_the_end_is_known_to_whoever_leads_next() {
    let mut world = world();
    // One has ended before the follower joins, the other one while it follows.
    let said = NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "\u{1b}[1mmaintenance");
    world.peers[0].out.extend(said.encode());
    world.peers[0].away = true;
    world.run();
    world.cut(0);
    world.join();
    world.run();
    world.peers[1].out.extend(NotificationMessage::cease(Cease::MaximumPrefixes).encode());
    world.peers[1].away = true;
    world.run();
    world.cut(1);
    let before = [detail(&world, 0), detail(&world, 1)];
    world.advance(Duration::from_secs(5));
    world.hand_over("after the ends");
    world.run();
    for (peer, before) in before.iter().enumerate() {
        let after = detail(&world, peer);
        let received = after.last_notification_received.expect("it is remembered");
        let known = before.last_notification_received.clone().expect("it was noted");
        assert_eq!((&received.name, &received.message), (&known.name, &known.message));
        assert_eq!(received.ago_ms, known.ago_ms + 5000);
        assert_eq!(after.summary.expect("a summary").flaps, 1);
    }
    assert_eq!(before[0].last_notification_received.as_ref().unwrap().message, " [1mmaintenance");
}

#[test]
fn what_ends_a_handshake_is_reported_once() {
    let mut wrong = Peer::new(1, 65001);
    wrong.open.hold_time_s = 1;
    let mut world = World::cold(vec![wrong]);
    for _ in 0..10 {
        world.run();
        world.advance(Duration::from_secs(60));
    }
    assert!(world.peers[0].sessions > 2, "it is tried again and again");
    assert_eq!(world.reports.len(), 1, "{:?}", world.reports);
    assert!(world.reports[0].1.contains("hold time of 1 s"), "{:?}", world.reports);
    assert_eq!(detail(&world, 0).last_notification_sent.unwrap().name, "OPEN Message Error / Unacceptable Hold Time");
}

/// The first neighbour resets its session, before a follower joins or while there is one.
fn reset(world: &mut World, follower_joins: bool) {
    if follower_joins {
        world.join();
        world.run();
    }
    world.peers[0].out.extend(NotificationMessage::cease(Cease::AdministrativeReset).encode());
    world.run();
    world.cut(0);
}

/// Also to whoever leads next: by the facts while it follows, or by the description of the session when it joins.
#[test]
fn a_session_that_is_back_says_why_the_one_before_ended() {
    for joins_first in [true, false] {
        let mut world = world();
        assert_eq!(detail(&world, 0).summary.unwrap().last_error, "", "there was none before");
        reset(&mut world, joins_first);
        world.advance(Duration::from_secs(60));
        world.establish();
        let before = detail(&world, 0).summary.unwrap();
        assert_eq!((before.state.as_str(), before.flaps), ("Established", 1));
        assert!(before.last_error.contains("Administrative Reset"), "{}", before.last_error);
        if !joins_first {
            world.join();
        }
        world.run();
        world.hand_over("after the reset");
        world.run();
        assert_eq!(detail(&world, 0).summary.unwrap().last_error, before.last_error);
    }
}

/// A report of what a run lost names what ended the session, not what became of the attempts since, whichever engine is asked.
#[test]
fn attempts_since_do_not_hide_what_ended_a_session() {
    for joins_first in [true, false] {
        let mut world = world();
        assert_eq!(detail(&world, 0).session_end, "", "none has ended");
        reset(&mut world, joins_first);
        world.peers[0].open.hold_time_s = 1;
        for _ in 0..5 {
            world.advance(Duration::from_secs(60));
            world.run();
        }
        let before = detail(&world, 0);
        assert!(before.why_not_established.contains("hold time of 1 s"), "{}", before.why_not_established);
        assert!(before.session_end.contains("Administrative Reset"), "{}", before.session_end);
        if !joins_first {
            world.join();
        }
        world.run();
        world.hand_over("while it is refused");
        assert_eq!(detail(&world, 0).session_end, before.session_end);
    }
}

#[test]
fn a_session_that_never_began_is_as_old_as_its_configuration() {
    let mut world = world();
    world.configure(|config| {
        let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
        let other = neighbors[0].clone();
        neighbors.push(holdfast_proto::v1::BgpNeighborConfig { address: "10.0.0.99".into(), disable: true, ..other });
    });
    world.advance(Duration::from_secs(2));
    let summary = world.primary().speaker.summary(world.now);
    let added = summary.neighbors.iter().find(|neighbor| neighbor.address == "10.0.0.99").expect("it is there");
    assert!((2000..10_000).contains(&added.established_ms), "{} ms of {:?}", added.established_ms, world.now);
}

/// Whatever is tried meanwhile, and whoever leads.
#[test]
fn a_neighbor_is_down_since_its_session_ended() {
    for joins_first in [true, false] {
        let mut world = world();
        if joins_first {
            world.join();
            world.run();
        }
        world.peers[0].away = true;
        world.cut(0);
        let lost = world.now;
        world.advance(Duration::from_secs(200));
        if !joins_first {
            world.join();
        }
        world.run();
        world.hand_over("while it is away");
        world.advance(Duration::from_secs(40));
        let summary = detail(&world, 0).summary.unwrap();
        assert_ne!(summary.state, "Established");
        assert_eq!(summary.established_ms, (world.now - lost).as_millis() as u64);
        assert!(summary.messages_in > 0 && summary.messages_out > 0, "{summary:?}");
    }
}
