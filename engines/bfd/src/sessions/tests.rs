use super::*;
use crate::session::{Inheritance, Output, SessionConfig};
use crate::wire::{ControlPacket, Diagnostic, State};
use crate::{BfdError, Discard, SESSIONS_MAX};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn address(last: u16) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + u32::from(last)).into()
}

fn key(last: u16, multihop: bool) -> SessionKey {
    SessionKey { peer: address(last), interface: 0, multihop }
}

fn config() -> SessionConfig {
    SessionConfig {
        minimum_transmit_us: 50_000,
        minimum_receive_us: 50_000,
        multiplier: 3,
        authentication: None,
        minimum_ttl: 0,
        admin_down: false,
    }
}

fn from(last: u16) -> Arrival {
    Arrival { source: address(last), interface: 4, ttl: Some(255), multihop: false }
}

fn packet(state: State, your_discriminator: u32) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 77,
        your_discriminator,
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
        authentication: None,
    }
}

fn receive(sessions: &mut Sessions, packet: ControlPacket, arrival: Arrival) -> Result<Place, Discard> {
    sessions.packet_received(packet.encode(None).octets(), &arrival, NOW)
}

const NOW: Duration = Duration::from_secs(5);

#[test]
fn a_packet_finds_its_session_first_by_address_then_by_discriminator() {
    let mut sessions = Sessions::new(1);
    let places = [1, 2, 3].map(|last| sessions.ensure(key(last, false), None, config(), NOW).unwrap());
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), from(2)), Ok(places[1]));
    let ours = sessions.get(places[1]).unwrap().1.discriminator();
    assert_eq!(receive(&mut sessions, packet(State::Init, ours), from(2)), Ok(places[1]));
    assert_eq!(sessions.get(places[1]).unwrap().1.state(), State::Up);
    assert_eq!(receive(&mut sessions, packet(State::Up, ours), from(3)), Err(Discard::WrongSource));
    assert_eq!(receive(&mut sessions, packet(State::Up, ours ^ 1), from(2)), Err(Discard::UnknownDiscriminator));
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), from(9)), Err(Discard::UnknownSource));
}

#[test]
fn a_single_hop_is_one_hop_and_several_have_a_port_of_their_own() {
    let mut sessions = Sessions::new(1);
    let single = sessions.ensure(key(1, false), None, config(), NOW).unwrap();
    let several = sessions.ensure(key(1, true), None, config(), NOW).unwrap();
    for ttl in [Some(254), Some(1), None] {
        let result = receive(&mut sessions, packet(State::Down, 0), Arrival { ttl, ..from(1) });
        assert_eq!(result, Err(Discard::Ttl));
    }
    let far = Arrival { ttl: Some(250), multihop: true, ..from(1) };
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), far), Ok(several));
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), from(1)), Ok(single));
    let ours = sessions.get(several).unwrap().1.discriminator();
    assert_eq!(receive(&mut sessions, packet(State::Init, ours), from(1)), Err(Discard::WrongSource));
}

#[test]
fn several_hops_are_no_more_than_configured() {
    let mut sessions = Sessions::new(1);
    let place = sessions.ensure(key(1, true), None, SessionConfig { minimum_ttl: 253, ..config() }, NOW).unwrap();
    let far = |ttl| Arrival { ttl, multihop: true, ..from(1) };
    for ttl in [Some(252), Some(1), None] {
        assert_eq!(receive(&mut sessions, packet(State::Down, 0), far(ttl)), Err(Discard::MinimumTtl));
    }
    let session = sessions.get(place).unwrap().1;
    assert_eq!(session.state(), State::Down);
    assert_eq!((session.statistics().discarded, session.statistics().last_discard), (3, Some(Discard::MinimumTtl)));
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), far(Some(253))), Ok(place));
    // Of single hops it says nothing, and a successor knows it.
    let record = sessions.record(place).unwrap();
    let mut successor = Sessions::new(2);
    successor.adopt(place, &record, Inheritance::HandedOver, NOW).unwrap();
    assert_eq!(receive(&mut successor, packet(State::Down, 0), far(Some(252))), Err(Discard::MinimumTtl));
}

#[test]
fn link_local_neighbors_are_told_apart_by_their_interface() {
    let mut sessions = Sessions::new(1);
    let peer: IpAddr = "fe80::1".parse().unwrap();
    let places = [4, 5].map(|interface| {
        sessions.ensure(SessionKey { peer, interface, multihop: false }, None, config(), NOW).unwrap()
    });
    let arrival = Arrival { source: peer, interface: 5, ttl: Some(255), multihop: false };
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), arrival), Ok(places[1]));
    let elsewhere = Arrival { interface: 6, ..arrival };
    assert_eq!(receive(&mut sessions, packet(State::Down, 0), elsewhere), Err(Discard::UnknownSource));
}

#[test]
fn a_session_that_nobody_wants_says_farewell_and_makes_room() {
    let mut sessions = Sessions::new(1);
    let place = sessions.ensure(key(1, false), None, config(), NOW).unwrap();
    sessions.leave(&key(1, false), NOW);
    assert!(!sessions.is_wanted(place) && sessions.len() == 1);
    let mut now = NOW;
    let (mut said, mut left) = (0, false);
    while let Some(deadline) = sessions.next_deadline() {
        now = now.max(deadline);
        while let Some((_, output)) = sessions.poll(now) {
            left |= output == Output::Left;
            if let Output::Send { datagram, .. } = output {
                said += u32::from(ControlPacket::decode(datagram.octets()).unwrap().state == State::AdminDown);
            }
        }
    }
    assert!(said >= 3, "{said}");
    assert!(sessions.is_empty() && left && now > NOW + Duration::from_secs(2));
    // One that is wanted again before that stays.
    sessions.ensure(key(1, false), None, config(), now).unwrap();
    sessions.leave(&key(1, false), now);
    let place = sessions.ensure(key(1, false), None, config(), now).unwrap();
    while sessions.poll(now + Duration::from_secs(9)).is_some() {}
    assert_eq!(sessions.get(place).unwrap().1.state(), State::Down);
}

/// Two sessions that are up, and when they were heard last.
fn two_up() -> (Sessions, [Place; 2]) {
    let mut sessions = Sessions::new(1);
    let places = [1, 2].map(|last| {
        let place = sessions.ensure(key(last, false), None, config(), NOW).unwrap();
        receive(&mut sessions, packet(State::Down, 0), from(last)).unwrap();
        let ours = sessions.get(place).unwrap().1.discriminator();
        receive(&mut sessions, packet(State::Init, ours), from(last)).unwrap();
        place
    });
    while sessions.poll(NOW).is_some() {}
    (sessions, places)
}

fn states(sessions: &Sessions, places: [Place; 2]) -> [State; 2] {
    places.map(|place| sessions.get(place).unwrap().1.state())
}

#[test]
fn what_follows_from_one_neighbors_packet_is_nothing_to_the_others() {
    let (mut sessions, places) = two_up();
    // Nobody has looked for a while; both have sent meanwhile, and the first one's packet is fed.
    let late = NOW + Duration::from_millis(180);
    let fed = |sessions: &mut Sessions, last: u16, place| {
        let ours = sessions.get(place).unwrap().1.discriminator();
        let octets = packet(State::Up, ours).encode(None);
        assert_eq!(sessions.packet_received(octets.octets(), &from(last), late), Ok(place));
        while sessions.poll_one(place, late).is_some() {}
    };
    fed(&mut sessions, 1, places[0]);
    assert_eq!(states(&sessions, places), [State::Up; 2]);
    fed(&mut sessions, 2, places[1]);
    while sessions.poll(late).is_some() {}
    assert_eq!(states(&sessions, places), [State::Up; 2]);
}

#[test]
fn who_stood_still_itself_waits_a_little_longer_and_only_once() {
    let (mut sessions, places) = two_up();
    let respite = Duration::from_millis(20);
    let late = NOW + Duration::from_millis(180);
    sessions.stood_still(late, respite);
    while sessions.poll(late).is_some() {}
    assert_eq!(states(&sessions, places), [State::Up; 2]);
    // One is heard; the other is not, whoever stands still again.
    let ours = sessions.get(places[0]).unwrap().1.discriminator();
    let soon = late + Duration::from_millis(5);
    sessions.packet_received(packet(State::Up, ours).encode(None).octets(), &from(1), soon).unwrap();
    let end = late + respite;
    sessions.stood_still(end, respite);
    while sessions.poll(end).is_some() {}
    assert_eq!(states(&sessions, places), [State::Up, State::Down]);
    // Nobody stood still: no respite.
    let silent = soon + Duration::from_millis(150);
    while sessions.poll(silent).is_some() {}
    assert_eq!(states(&sessions, places), [State::Down; 2]);
}

#[test]
fn there_is_an_end_to_the_number_of_sessions() {
    let mut sessions = Sessions::new(1);
    for last in 0..SESSIONS_MAX {
        sessions.ensure(key(last as u16, false), None, config(), NOW).unwrap();
    }
    assert_eq!(sessions.ensure(key(60_000, false), None, config(), NOW), Err(BfdError::Full));
    assert!(sessions.ensure(key(5, false), None, config(), NOW).is_ok(), "those that exist can be changed");
}

#[test]
fn all_of_it_goes_over_into_another_process() {
    let mut sessions = Sessions::new(1);
    let v6 = SessionKey { peer: "2001:db8::1".parse().unwrap(), interface: 3, multihop: true };
    for (index, key) in [key(1, false), key(2, true), v6].into_iter().enumerate() {
        let place = sessions.ensure(key, Some(address(100)), config(), NOW).unwrap();
        sessions.set_source_port(place, 50_000 + index as u16);
    }
    receive(&mut sessions, packet(State::Down, 0), from(1)).unwrap();
    let mut successor = Sessions::new(2);
    for place in 0..SESSIONS_MAX {
        if let Some(record) = sessions.record(place) {
            successor.adopt(place, &record, Inheritance::HandedOver, NOW).unwrap();
            assert_eq!(successor.adopt(place, &record, Inheritance::HandedOver, NOW), Err(BfdError::Duplicate));
        }
    }
    assert_eq!(successor.len(), 3);
    for (place, key, session) in sessions.iter() {
        assert_eq!(successor.find(key), Some(place));
        assert_eq!(successor.source(place), sessions.source(place));
        // A change that nobody was told of is known by its state.
        assert_eq!(successor.get(place).unwrap().1.state(), session.state());
        assert_eq!(successor.get(place).unwrap().1.next_deadline(), session.next_deadline());
    }
    let mut record = sessions.record(0).unwrap();
    record[0] = 9;
    let refused = Sessions::new(3).adopt(0, &record, Inheritance::Found, NOW);
    assert_eq!(refused, Err(BfdError::RecordVersion { found: 9, known: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any octets in place of a record are refused or make a session that works, and never a panic.
    #[test]
    fn any_record(mut octets in proptest::collection::vec(any::<u8>(), RECORD_LEN..=RECORD_LEN)) {
        (octets[0], octets[1], octets[2]) = (1, 0, 4);
        let mut sessions = Sessions::new(1);
        let record: Record = octets.try_into().unwrap();
        if sessions.adopt(7, &record, Inheritance::Found, NOW).is_ok() {
            for _ in 0..20 {
                let now = sessions.next_deadline().unwrap_or(NOW).clamp(NOW, Duration::from_secs(1 << 40));
                while sessions.poll(now).is_some() {}
            }
        }
    }
}
