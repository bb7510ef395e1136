//! One session at a time, step by step.

use super::connection::ConnectionSide::{Accepted, Opened};
use super::*;
use crate::wire::{
    Capability, Cease, HEADER_LEN, MessageType, NotificationMessage, OpenMessage, RefreshMark, RouteRefresh,
    encode_refresh_mark, encode_route_refresh, frame,
};
use holdfast_rib::Family;
use std::net::Ipv4Addr;
use std::time::Duration;

pub(crate) fn config(local_as: u32, peer_as: u32, id: u8) -> SessionConfig {
    SessionConfig {
        local_as,
        peer_as,
        internal: local_as == peer_as,
        router_id: Ipv4Addr::new(10, 0, 0, id),
        hold_time_s: 90,
        passive: false,
        families: [true, false],
        extended_next_hop: false,
        role: None,
        long_lived: None,
        receives_paths: [false; 2],
        sends_paths: [false; 2],
        graceful_restart: None,
        helper: false,
        restarting: false,
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What comes out, in one word each, with the type of each message.
fn drain(session: &mut Session, now: Duration) -> Vec<String> {
    let mut words = Vec::new();
    while let Some(output) = session.poll(now) {
        words.push(match output {
            Output::Connect => "connect".to_owned(),
            Output::Close { side } => format!("close {side:?}"),
            Output::Established { side } => format!("up {side:?}"),
            Output::Down { reason } => format!("down graceful={}", reason.graceful),
            Output::Send { side, message } => match frame(&message).unwrap() {
                Some((_, MessageType::Notification)) => {
                    format!("{side:?} {}", NotificationMessage::decode(&message[HEADER_LEN..]))
                }
                Some((length, kind)) if length == message.len() => format!("{side:?} {kind:?}"),
                other => panic!("{other:?}"),
            },
        });
    }
    words
}

fn receive_wire(session: &mut Session, side: ConnectionSide, wire: &[u8], now: Duration) -> Received {
    let (length, kind) = frame(wire).unwrap().unwrap();
    assert_eq!(length, wire.len());
    session.receive(side, kind, &wire[HEADER_LEN..], now)
}

fn peer_open(asn: u32, id: u8) -> OpenMessage {
    config(asn, 65001, id).open()
}

fn keepalive(session: &mut Session, side: ConnectionSide, now: Duration) {
    session.receive(side, MessageType::Keepalive, &[], now);
}

/// Established on the connection that we opened.
fn established(config: SessionConfig, open: &OpenMessage) -> Session {
    let mut session = Session::new(config, 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    receive_wire(&mut session, Opened, &open.encode(), s(0));
    keepalive(&mut session, Opened, s(0));
    drain(&mut session, s(0));
    assert_eq!(session.state(), State::Established, "{:?}", session.why_not_established());
    session
}

#[test]
fn the_ordinary_way_up() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    assert_eq!(session.why_not_established().unwrap(), "the session is stopped");
    session.start(s(0));
    assert_eq!((drain(&mut session, s(0)), session.state()), (vec!["connect".to_owned()], State::Connect));
    session.tcp_connected(s(1));
    assert_eq!((drain(&mut session, s(1)), session.state()), (vec!["Opened Open".to_owned()], State::OpenSent));
    receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), s(2));
    assert_eq!((drain(&mut session, s(2)), session.state()), (vec!["Opened Keepalive".to_owned()], State::OpenConfirm));
    assert!(session.why_not_established().unwrap().contains("waiting for the neighbor's KEEPALIVE"));
    keepalive(&mut session, Opened, s(3));
    assert_eq!((drain(&mut session, s(3)), session.state()), (vec!["up Opened".to_owned()], State::Established));
    assert_eq!((session.established_at(), session.state_since()), (Some(s(3)), s(3)));
    assert_eq!(session.why_not_established(), None);
    assert_eq!(session.remote_open_wire(), Some(peer_open(65002, 2).encode().as_slice()));
    let counters = session.counters();
    assert_eq!((counters.messages_in, counters.messages_out, counters.established), (2, 2, 1));
}

#[test]
fn passive_waits_and_accepts() {
    let mut session = Session::new(SessionConfig { passive: true, ..config(65001, 65002, 1) }, 1);
    assert_eq!(session.tcp_accepted(s(0)), Verdict::Refuse("the session is stopped"));
    session.start(s(0));
    assert_eq!(drain(&mut session, s(1000)), Vec::<String>::new());
    assert!(session.why_not_established().unwrap().contains("passive"));
    assert_eq!(session.tcp_accepted(s(1001)), Verdict::Accept);
    assert_eq!(drain(&mut session, s(1001)), ["Accepted Open"]);
    session.tcp_closed(Accepted, "reset", s(1002));
    assert_eq!((session.state(), session.next_deadline()), (State::Active, None));
    // No longer passive: it dials at once.
    assert!(!session.configure(config(65001, 65002, 1)));
    assert_eq!(drain(&mut session, s(1003)), ["connect"]);
}

#[test]
fn each_wrong_open_is_refused_with_its_subcode() {
    let good = peer_open(65002, 2);
    let ipv6_only = vec![Capability::MultiProtocol(Family::Ipv6Unicast), Capability::FourOctetAs(65002)];
    let cases = [
        (peer_open(65003, 2), "Bad Peer AS"),
        (peer_open(0, 2), "Bad Peer AS"),
        (OpenMessage { router_id: Ipv4Addr::UNSPECIFIED, ..good.clone() }, "Bad BGP Identifier"),
        (OpenMessage { hold_time_s: 2, ..good.clone() }, "Unacceptable Hold Time"),
        (OpenMessage { hold_time_s: 1, ..good.clone() }, "Unacceptable Hold Time"),
        (OpenMessage { capabilities: ipv6_only, ..good.clone() }, "Unsupported Capability"),
    ];
    for (open, word) in cases {
        let mut session = Session::new(config(65001, 65002, 1), 1);
        session.start(s(0));
        session.tcp_connected(s(0));
        drain(&mut session, s(0));
        receive_wire(&mut session, Opened, &open.encode(), s(0));
        assert_eq!(drain(&mut session, s(0)), [format!("Opened OPEN Message Error / {word}"), "close Opened".into()]);
        assert_eq!(session.state(), State::Idle);
        assert!(session.last_error().unwrap().contains("OPEN refused"), "{:?}", session.last_error());
        assert_eq!(session.tcp_accepted(s(0)), Verdict::Refuse("the session rests after an error"));
        let deadline = session.next_deadline().unwrap();
        assert_eq!(drain(&mut session, deadline), ["connect"]);
    }
    // Equal identifiers: refused inside an AS, fine between two (RFC 6286).
    established(config(65001, 65002, 1), &peer_open(65002, 1));
    let mut session = Session::new(config(65001, 65001, 1), 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    receive_wire(&mut session, Opened, &peer_open(65001, 1).encode(), s(0));
    assert!(session.last_error().unwrap().contains("which is ours"));
}

#[test]
fn messages_out_of_turn_are_fsm_errors() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    drain(&mut session, s(0));
    keepalive(&mut session, Opened, s(0));
    let words = drain(&mut session, s(0));
    assert!(words[0].contains("Unexpected Message in OpenSent"), "{words:?}");
    assert_eq!(data_sent(&mut session), [MessageType::Keepalive as u8], "RFC 6608 §4: which message it was");
    let mut session = established(config(65001, 65002, 1), &peer_open(65002, 2));
    receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), s(1));
    let words = drain(&mut session, s(1));
    assert!(words[0].contains("Unexpected Message in Established"), "{words:?}");
    assert_eq!(words[1..], ["close Opened", "down graceful=false"]);
    assert_eq!(data_sent(&mut session), [MessageType::Open as u8]);
}

fn data_sent(session: &mut Session) -> Vec<u8> {
    session.take_notifications().and_then(|noted| noted.sent).expect("a NOTIFICATION was sent").message.data
}

/// RFC 7313 §5: what it says of errors is for who announced the capability; for others the octet is reserved (RFC 2918 §3).
#[test]
fn a_mark_that_is_too_long_is_an_error_where_marks_are_known() {
    let mut wire = Vec::new();
    encode_refresh_mark(&mut wire, Family::Ipv4Unicast, RefreshMark::Begin);
    wire.push(0);
    wire[17] += 1;
    let knows = peer_open(65002, 2);
    let mut session = established(config(65001, 65002, 1), &knows);
    receive_wire(&mut session, Opened, &wire, s(1));
    assert_eq!(drain(&mut session, s(1))[0], "Opened ROUTE-REFRESH Message Error / Invalid Message Length");
    assert_eq!(data_sent(&mut session), wire, "the whole message goes along");
    let mut older = knows;
    older.capabilities.retain(|capability| *capability != Capability::EnhancedRouteRefresh);
    let mut session = established(config(65001, 65002, 1), &older);
    assert_eq!(receive_wire(&mut session, Opened, &wire, s(1)), Received::Handled);
    assert_eq!(session.state(), State::Established);
}

/// We are 10.0.0.1: against 10.0.0.2 the neighbour's connection is kept, against 10.0.0.0 ours.
#[test]
fn a_collision_leaves_the_connection_of_the_higher_identifier() {
    for (peer_id, kept) in [(2, Accepted), (0, Opened)] {
        for first in ConnectionSide::ALL {
            let mut session = Session::new(config(65001, 65002, 1), 1);
            session.start(s(0));
            assert_eq!(session.tcp_accepted(s(0)), Verdict::Accept);
            session.tcp_connected(s(0));
            drain(&mut session, s(0));
            let open = peer_open(65002, peer_id).encode();
            receive_wire(&mut session, first, &open, s(0));
            // The weaker one waits for the other.
            let answer = if first == kept { vec![format!("{first:?} Keepalive")] } else { vec![] };
            assert_eq!(drain(&mut session, s(0)), answer);
            receive_wire(&mut session, first.other(), &open, s(0));
            let words = drain(&mut session, s(0));
            let lost = kept.other();
            assert!(words.contains(&format!("{lost:?} Cease / Connection Collision Resolution")), "{words:?}");
            keepalive(&mut session, kept, s(0));
            assert_eq!(drain(&mut session, s(0)), [format!("up {kept:?}")]);
            assert_eq!(session.last_error(), None);
        }
    }
}

/// The stronger connection is there but dead or slow: the weaker one waits, not for ever, and forgets nothing.
#[test]
fn a_weaker_connection_goes_on_when_the_other_does_not() {
    let waiting = |with_keepalive: bool| {
        let mut session = Session::new(config(65001, 65002, 1), 1);
        session.start(s(0));
        session.tcp_accepted(s(0));
        session.tcp_connected(s(0));
        receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), s(0));
        if with_keepalive {
            keepalive(&mut session, Opened, s(0));
        }
        assert_eq!(drain(&mut session, s(0)), ["connect", "Accepted Open", "Opened Open"]);
        session
    };
    let mut session = waiting(false);
    assert_eq!(session.next_deadline(), Some(s(5)));
    assert_eq!(drain(&mut session, s(5)), ["Opened Keepalive"]);
    // Its KEEPALIVE waits again while the other is there; an UPDATE decides.
    keepalive(&mut session, Opened, s(6));
    assert_eq!(session.state(), State::OpenConfirm);
    assert_eq!(session.receive(Opened, MessageType::Update, &[0; 4], s(6)), Received::Update);
    let words = ["Accepted Cease / Connection Collision Resolution", "close Accepted", "up Opened"];
    assert_eq!(drain(&mut session, s(6)), words);

    let mut session = waiting(true);
    session.tcp_closed(Accepted, "reset", s(1));
    assert_eq!(drain(&mut session, s(1)), ["Opened Keepalive", "up Opened"]);
    let mut session = waiting(true);
    let words = drain(&mut session, s(5));
    assert_eq!(words.last().unwrap(), "up Opened", "{words:?}");
    let mut session = waiting(false);
    receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), s(1));
    assert!(session.last_error().unwrap().contains("second OPEN"));
}

#[test]
fn the_first_to_be_established_ends_the_others() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    session.tcp_accepted(s(0));
    receive_wire(&mut session, Accepted, &peer_open(65002, 2).encode(), s(0));
    drain(&mut session, s(0));
    keepalive(&mut session, Accepted, s(0));
    // Our attempt was still under way.
    assert_eq!(drain(&mut session, s(0)), ["close Opened", "up Accepted"]);
    session.tcp_connected(s(0)); // too late
    assert_eq!(drain(&mut session, s(0)), Vec::<String>::new());
    assert_eq!(session.tcp_accepted(s(0)), Verdict::Refuse("the session is established on another connection"));
}

#[test]
fn keepalives_every_third_and_later_when_something_was_sent() {
    let mut session = established(config(65001, 65002, 1), &OpenMessage { hold_time_s: 9, ..peer_open(65002, 2) });
    let first = session.next_deadline().unwrap();
    assert!(first >= Duration::from_millis(2250) && first <= s(3), "{first:?}");
    session.note_sent(3, 2, s(2));
    let later = session.next_deadline().unwrap();
    assert!(later >= Duration::from_millis(4250) && later <= s(5), "{later:?}");
    assert_eq!(drain(&mut session, later), ["Opened Keepalive"]);
    assert_eq!((session.counters().updates_out, session.counters().messages_out), (2, 6));
}

#[test]
fn silence_for_the_hold_time_ends_the_session() {
    let mut session = established(config(65001, 65002, 1), &OpenMessage { hold_time_s: 9, ..peer_open(65002, 2) });
    keepalive(&mut session, Opened, s(5));
    session.note_sent(1, 1, s(12));
    assert_eq!(drain(&mut session, Duration::from_millis(13_999)), Vec::<String>::new());
    let words = drain(&mut session, s(14));
    assert_eq!(words, ["Opened Hold Timer Expired", "close Opened", "down graceful=false"]);
    assert!(session.last_error().unwrap().contains("hold time of 9 s"));
    assert_eq!(session.counters().flaps, 1);
}

#[test]
fn without_a_hold_time_nothing_is_timed() {
    let session = established(config(65001, 65002, 1), &OpenMessage { hold_time_s: 0, ..peer_open(65002, 2) });
    assert_eq!(session.next_deadline(), None);
}

/// RFC 9687: KEEPALIVEs come, and nothing of ours is read.
#[test]
fn a_neighbor_that_reads_nothing_is_given_up() {
    let gone = ["Opened Send Hold Timer Expired", "close Opened", "down graceful=false"];
    let mut session = established(config(65001, 65002, 1), &OpenMessage { hold_time_s: 0, ..peer_open(65002, 2) });
    session.output_blocked(Opened, s(10));
    session.output_blocked(Opened, s(100)); // still
    assert_eq!(session.next_deadline(), Some(s(490)));
    session.output_moves(Opened);
    assert_eq!(session.next_deadline(), None);
    session.output_blocked(Opened, s(500));
    assert_eq!(drain(&mut session, s(980)), gone);
    assert!(session.last_error().unwrap().contains("read nothing of ours for 480 s"), "{:?}", session.last_error());
    // Twice the hold time where that is more.
    let long = SessionConfig { hold_time_s: 65535, ..config(65001, 65002, 1) };
    let mut session = established(long, &OpenMessage { hold_time_s: 65535, ..peer_open(65002, 2) });
    session.output_blocked(Opened, s(0));
    for at in 1..5 {
        keepalive(&mut session, Opened, s(at * 30_000));
        drain(&mut session, s(at * 30_000));
    }
    assert_eq!(session.state(), State::Established);
    keepalive(&mut session, Opened, s(131_069));
    drain(&mut session, s(131_069));
    assert_eq!(drain(&mut session, s(131_070)), gone);
}

#[test]
fn hold_times_from_three_seconds_to_the_longest() {
    for (hold_time_s, keepalive_s) in [(3, 1), (4, 1), (9, 3), (65535, 21845)] {
        let long = SessionConfig { hold_time_s: u16::MAX, ..config(65001, 65002, 1) };
        let session = established(long, &OpenMessage { hold_time_s, ..peer_open(65002, 2) });
        let negotiated = session.negotiated().unwrap();
        assert_eq!((negotiated.hold_time_s, negotiated.keepalive_s), (hold_time_s, keepalive_s));
        let due = session.next_deadline().unwrap();
        assert!(due <= s(keepalive_s.into()) && due >= s(keepalive_s.into()) * 3 / 4, "{hold_time_s}: {due:?}");
    }
}

/// A header that is wrong ends the connection that it came on, in any state (RFC 4271 §6.1).
#[test]
fn a_wrong_header_is_answered_in_every_state() {
    let wrong = NotificationMessage::connection_not_synchronized();
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    drain(&mut session, s(0));
    session.fail_on(Opened, wrong.clone(), s(0));
    let ends = ["Opened Message Header Error / Connection Not Synchronized", "close Opened"];
    assert_eq!(drain(&mut session, s(0)), ends);
    assert_eq!((session.state(), session.failures()), (State::Idle, 1));
    let attempt = session.next_attempt().unwrap();
    assert!(attempt <= s(1), "{attempt:?}");
    assert_eq!(drain(&mut session, attempt), ["connect"]);
    assert_eq!(session.next_attempt(), None);
    session.tcp_connected(attempt);
    receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), attempt);
    drain(&mut session, attempt);
    session.fail_on(Opened, wrong, attempt);
    assert_eq!(drain(&mut session, attempt), ends);
    assert_eq!(session.failures(), 2);
}

#[test]
fn an_open_that_does_not_come() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    drain(&mut session, s(0));
    assert_eq!(session.next_deadline(), Some(s(240)));
    assert_eq!(drain(&mut session, s(240)), ["Opened Hold Timer Expired", "close Opened"]);
    assert!(session.last_error().unwrap().contains("sent no OPEN"));
}

#[test]
fn the_ends_of_a_session() {
    let up = || established(config(65001, 65002, 1), &peer_open(65002, 2));
    let mut session = up();
    session.stop(Cease::AdministrativeShutdown, s(1));
    let ends = ["Opened Cease / Administrative Shutdown", "close Opened", "down graceful=false"];
    assert_eq!(drain(&mut session, s(1)), ends);
    assert_eq!((session.state(), session.next_deadline()), (State::Idle, None));
    session.start(s(2));
    assert_eq!(drain(&mut session, s(2)), ["connect"]);

    let mut session = up();
    session.reset(NotificationMessage::cease(Cease::AdministrativeReset), s(1));
    assert_eq!(drain(&mut session, s(1))[0], "Opened Cease / Administrative Reset");
    assert_eq!(session.state(), State::Active);
    let retry = session.next_deadline().unwrap();
    assert!(retry <= s(2), "{retry:?}");
    assert_eq!(drain(&mut session, retry), ["connect"]);

    let mut session = up();
    let body = NotificationMessage::cease(Cease::MaximumPrefixes).encode()[HEADER_LEN..].to_vec();
    session.receive(Opened, MessageType::Notification, &body, s(1));
    assert_eq!(drain(&mut session, s(1)), ["close Opened", "down graceful=false"]);
    assert_eq!(session.last_error(), Some("NOTIFICATION received: Cease / Maximum Number of Prefixes Reached"));

    let mut session = up();
    session.tcp_closed(Opened, "reset by peer", s(1));
    assert_eq!(drain(&mut session, s(1)), ["down graceful=true"]);
    assert_eq!(session.tcp_accepted(s(1)), Verdict::Accept);

    let mut session = up();
    session.fail(NotificationMessage::malformed_attribute_list(), s(1));
    let ends = ["Opened UPDATE Message Error / Malformed Attribute List", "close Opened", "down graceful=false"];
    assert_eq!(drain(&mut session, s(1)), ends);
}

/// RFC 4724 §4.2.
#[test]
fn a_restarted_neighbor_replaces_its_old_connection() {
    let helper = SessionConfig { helper: true, ..config(65001, 65002, 1) };
    let restart = GracefulRestart { restart_time_s: 120, forwarding_kept: true };
    let peer = SessionConfig { graceful_restart: Some(restart), ..config(65002, 65001, 2) }.open();
    let mut session = established(helper, &peer);
    session.fail_on(Accepted, NotificationMessage::bad_message_type(9), s(1)); // nothing there: no effect
    // What comes right after the session is up is left over from a collision.
    assert!(matches!(session.tcp_accepted(s(1)), Verdict::Refuse(_)));
    assert_eq!(session.tcp_accepted(s(10)), Verdict::Replace { closes: Opened });
    assert_eq!(drain(&mut session, s(10)), ["down graceful=true", "Accepted Open"]);
    let kept = session.last_negotiated().unwrap().peer_graceful_restart.clone().unwrap();
    assert_eq!((kept.time_s, kept.families.as_slice()), (120, &[(Family::Ipv4Unicast, true)][..]));
    // Once more before the OPEN: the newest connection counts.
    assert_eq!(session.tcp_accepted(s(11)), Verdict::Replace { closes: Accepted });
    assert_eq!(drain(&mut session, s(11)), ["Accepted Open"]);
    receive_wire(&mut session, Accepted, &peer.encode(), s(11));
    keepalive(&mut session, Accepted, s(11));
    assert_eq!(session.state(), State::Established);
}

#[test]
fn attempts_become_rarer_and_a_success_forgets() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    let (mut now, mut delays) = (s(0), Vec::new());
    for _ in 0..8 {
        assert_eq!(drain(&mut session, now), ["connect"]);
        session.tcp_failed("connection refused", now);
        let next = session.next_deadline().unwrap();
        delays.push(next - now);
        now = next;
    }
    assert!(delays[0] <= s(1) && delays.windows(2).take(4).all(|pair| pair[0] < pair[1]), "{delays:?}");
    assert!(delays.iter().all(|delay| *delay <= s(30)));
    let why = |session: &Session| session.why_not_established().unwrap();
    assert!(why(&session).ends_with("; last error: connecting failed: connection refused"), "{}", why(&session));
    drain(&mut session, now);
    session.tcp_connected(now);
    session.tcp_closed(Opened, "reset", now);
    drain(&mut session, now);
    assert!(why(&session).ends_with("; last error: connection lost: reset"), "{}", why(&session));
    assert!(session.next_deadline().unwrap() - now <= s(1));
    // An attempt that nobody answers is given up for another one.
    let next = session.next_deadline().unwrap();
    drain(&mut session, next);
    let given_up = session.next_deadline().unwrap();
    assert_eq!(drain(&mut session, given_up), ["close Opened", "connect"]);
}

#[test]
fn updates_and_refreshes_are_handed_over_only_when_established() {
    let mut open = peer_open(65002, 2);
    open.capabilities.retain(|capability| *capability != Capability::EnhancedRouteRefresh);
    let mut session = established(config(65001, 65002, 1), &open);
    assert_eq!(session.receive(Opened, MessageType::Update, &[0; 4], s(1)), Received::Update);
    let mut refresh = Vec::new();
    encode_route_refresh(&mut refresh, Family::Ipv4Unicast);
    let request = RouteRefresh::Request(Family::Ipv4Unicast);
    assert_eq!(receive_wire(&mut session, Opened, &refresh, s(1)), Received::RouteRefresh(request));
    // A mark that the neighbour has not announced (RFC 7313 §4).
    refresh.clear();
    encode_refresh_mark(&mut refresh, Family::Ipv4Unicast, RefreshMark::Begin);
    assert_eq!(receive_wire(&mut session, Opened, &refresh, s(1)), Received::Handled);
    // A family that the session does not carry.
    refresh.clear();
    encode_route_refresh(&mut refresh, Family::Ipv6Unicast);
    assert_eq!(receive_wire(&mut session, Opened, &refresh, s(1)), Received::Handled);
    assert_eq!(session.receive(Accepted, MessageType::Update, &[0; 4], s(1)), Received::Handled);
    assert_eq!(session.counters().updates_in, 1);
}

#[test]
fn a_successor_goes_on_without_a_word() {
    let old = established(config(65001, 65002, 1), &peer_open(65002, 2));
    let mut new = Session::new(config(65001, 65002, 1), 9);
    let (local, remote) = (old.local_open_wire().unwrap(), old.remote_open_wire().unwrap());
    new.adopt_established_wire(local, remote, s(0), old.counters(), s(50)).unwrap();
    assert_eq!(drain(&mut new, s(50)), Vec::<String>::new());
    assert_eq!((new.state(), new.negotiated()), (State::Established, old.negotiated()));
    assert_eq!((new.established_at(), new.counters()), (Some(s(0)), old.counters()));
    assert_eq!((new.local_open_wire(), new.remote_open_wire()), (Some(local), Some(remote)));
    // Timers begin anew: a KEEPALIVE within half of the interval, the hold time from here.
    let first = new.next_deadline().unwrap();
    assert!(first > s(50) && first <= s(65), "{first:?}");
    assert_eq!(drain(&mut new, first), ["Opened Keepalive"]);
    assert!(drain(&mut new, s(140)).contains(&"down graceful=false".to_owned()));
    assert!(new.adopt_established_wire(&[1], remote, s(0), old.counters(), s(50)).is_err());
}

#[test]
fn what_needs_a_new_session_and_what_does_not() {
    let base = config(65001, 65002, 1);
    let changes: [(SessionConfig, bool); 9] = [
        (SessionConfig { passive: true, ..base.clone() }, false),
        (SessionConfig { restarting: true, ..base.clone() }, false),
        (SessionConfig { hold_time_s: 30, ..base.clone() }, true),
        (SessionConfig { peer_as: 7, ..base.clone() }, true),
        (SessionConfig { router_id: Ipv4Addr::new(9, 9, 9, 9), ..base.clone() }, true),
        (SessionConfig { families: [true, true], ..base.clone() }, true),
        (SessionConfig { helper: true, ..base.clone() }, true),
        (SessionConfig { sends_paths: [true, false], ..base.clone() }, true),
        (base.clone(), false),
    ];
    for (change, expected) in changes {
        let mut session = established(base.clone(), &peer_open(65002, 2));
        assert_eq!(session.configure(change.clone()), expected, "{change:?}");
        let mut stopped = Session::new(base.clone(), 1);
        assert!(!stopped.configure(change));
    }
}

/// Two connections, and the one with an OPEN waits: a caller that sends all the same makes nothing due that never happens.
#[test]
fn nothing_is_due_that_must_not_be_sent() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    session.tcp_connected(s(0));
    assert_eq!(session.tcp_accepted(s(0)), Verdict::Accept);
    receive_wire(&mut session, Opened, &peer_open(65002, 2).encode(), s(0));
    drain(&mut session, s(0));
    assert_eq!(session.state(), State::OpenSent);
    session.note_sent(1, 1, s(0));
    for _ in 0..3 {
        let due = session.next_deadline().expect("something is waited for");
        drain(&mut session, due);
        assert!(session.next_deadline().is_none_or(|next| next > due), "still due at {due:?}");
    }
}

/// A neighbour behind a filter calls us and cannot be called: that its AS is another one must not be hidden by that.
#[test]
fn why_it_was_refused_is_said_beside_why_it_cannot_be_called() {
    let mut session = Session::new(config(65001, 65002, 1), 1);
    session.start(s(0));
    drain(&mut session, s(0));
    session.tcp_failed("connection refused", s(0));
    assert_eq!(session.tcp_accepted(s(0)), Verdict::Accept);
    receive_wire(&mut session, Accepted, &peer_open(65003, 2).encode(), s(0));
    drain(&mut session, s(0));
    let next = session.next_deadline().unwrap();
    assert_eq!(drain(&mut session, next), ["connect"]);
    session.tcp_failed("connection refused", next);
    let why = session.why_not_established().unwrap();
    let both = "last error: connecting failed: connection refused; the last connection ended: OPEN refused";
    assert!(why.contains(both), "{why}");
}
