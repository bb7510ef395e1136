//! BFD: the control packet, and sessions that are told anything at any time, configured anew, handed over and found.

use holdfast_bfd::Discard;
use holdfast_bfd::session::{Inheritance, Output, SessionConfig};
use holdfast_bfd::sessions::{Arrival, SessionKey, Sessions};
use holdfast_bfd::wire::{AuthSection, Authentication, ControlPacket, Diagnostic, Key, State};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Outputs that one input may lead to.
const OUTPUTS_MAX: usize = 16;
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn authentication(meticulous: bool) -> Authentication {
    Authentication { meticulous, key_id: 1, key: Key::new(b"fuzzed").expect("a key") }
}

/// What is accepted is written as it came, and a signature is believed only if it is ours.
pub fn check_packet(input: &[u8]) {
    let Ok(packet) = ControlPacket::decode(input) else { return };
    assert!(packet.my_discriminator != 0 && packet.detect_multiplier != 0);
    let length = usize::from(input[3]);
    match packet.authentication {
        None => {
            let again = packet.encode(None);
            assert_eq!(ControlPacket::decode(again.octets()), Ok(packet));
            assert_eq!(again.octets()[4..24], input[4..24]);
        }
        Some(AuthSection::Other { .. }) => assert!(length >= 26),
        Some(AuthSection::Sha1(section)) => {
            assert_eq!(length, 52);
            let ours = authentication(section.meticulous);
            if section.verify(input, &ours).is_ok() {
                let again = packet.encode(Some((&ours, section.sequence)));
                assert_eq!(again.octets()[32..], input[32..52], "another packet with the same digest");
            }
        }
    }
}

struct Machine {
    sessions: Sessions,
    key: SessionKey,
    now: Duration,
    is_up: bool,
}

fn config(octet: u8) -> SessionConfig {
    SessionConfig {
        minimum_transmit_us: 10_000 << (octet & 7),
        minimum_receive_us: 10_000 << (octet >> 3 & 7),
        multiplier: 1 + (octet >> 6),
        authentication: None,
        minimum_ttl: if octet & 1 == 0 { 0 } else { 250 },
        admin_down: octet == 0xff,
    }
}

impl Machine {
    fn settle(&mut self) {
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "no end of outputs");
            match self.sessions.poll(self.now) {
                None => break,
                Some((_, Output::Send { datagram, .. })) => {
                    let packet = ControlPacket::decode(datagram.octets()).expect("what we send is valid");
                    assert!(!(packet.poll && packet.is_final), "RFC 5880 6.8.7");
                    assert!(packet.state == State::Up || packet.desired_min_tx_us >= 1_000_000, "RFC 5880 6.8.3");
                }
                Some((_, Output::Changed(change))) => {
                    assert!(self.is_up == (change.from == State::Up), "a change that nobody was told of");
                    self.is_up = change.to == State::Up;
                }
                Some((_, Output::Left)) => assert!(!self.is_up, "left without saying farewell"),
            }
        }
        assert!(self.sessions.next_deadline().is_none_or(|deadline| deadline > self.now));
        if let Some((_, session)) = self.sessions.find(&self.key).and_then(|place| self.sessions.get(place)) {
            assert_eq!(session.state() == State::Up, self.is_up);
            assert!(session.failed_since().is_none() || !self.is_up);
        }
    }

    /// A packet of these octets; its Your Discriminator is ours unless a bit says otherwise.
    fn hear(&mut self, octets: &[u8]) {
        let Some((&flags, octets)) = octets.split_first() else { return };
        let mut octets = octets.to_vec();
        let ours = self.sessions.find(&self.key).and_then(|place| self.sessions.get(place));
        if let (Some((_, session)), Some(field), 0) = (ours, octets.get_mut(8..12), flags & 1) {
            field.copy_from_slice(&session.discriminator().to_be_bytes());
        }
        let ttl = if flags & 2 == 0 { Some(255) } else { Some(flags) };
        let arrival = Arrival { source: PEER, interface: 1, ttl, multihop: flags & 4 != 0 };
        let result = self.sessions.packet_received(&octets, &arrival, self.now);
        assert!(arrival.multihop || ttl == Some(255) || result == Err(Discard::Ttl));
    }

    /// A successor takes all of it.
    fn hand_over(&mut self, inheritance: Inheritance) {
        let mut successor = Sessions::new(2);
        for (place, ..) in self.sessions.iter() {
            let record = self.sessions.record(place).expect("it exists");
            successor.adopt(place, &record, inheritance, self.now).expect("our own record");
            assert_eq!(successor.record(place).map(|record| record[..60].to_vec()), Some(record[..60].to_vec()));
        }
        self.sessions = successor;
    }
}

/// One operation after the other: an octet that says which, and its operands.
pub fn check_sessions(input: &[u8]) {
    let key = SessionKey { peer: PEER, interface: 0, multihop: false };
    let mut machine = Machine { sessions: Sessions::new(1), key, now: Duration::from_secs(1000), is_up: false };
    machine.sessions.ensure(key, None, config(0x12), machine.now).expect("room");
    machine.settle();
    let mut rest = input;
    while let Some((operation, operands)) = rest.split_first() {
        let (octet, after) = operands.split_first().map_or((0, operands), |(octet, after)| (*octet, after));
        rest = after;
        match operation % 8 {
            0 => machine.now += Duration::from_millis(u64::from(octet)),
            1 => machine.now = machine.sessions.next_deadline().unwrap_or(machine.now).max(machine.now),
            2 => drop(machine.sessions.ensure(key, None, config(octet), machine.now)),
            3 => machine.sessions.leave(&key, machine.now),
            4 => machine.hand_over(Inheritance::HandedOver),
            5 => machine.hand_over(Inheritance::Found),
            _ => {
                let (octets, after) = operands.split_at(operands.len().min(25));
                machine.hear(octets);
                rest = after;
            }
        }
        machine.settle();
    }
}

fn packet(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        control_plane_independent: true,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 7,
        your_discriminator: if state == State::Down { 0 } else { 9 },
        desired_min_tx_us: 50_000,
        required_min_rx_us: 50_000,
        required_min_echo_rx_us: 0,
        authentication: None,
    }
}

/// Plain and signed packets.
pub(crate) fn packets() -> [(&'static str, Vec<u8>); 3] {
    let signed = |meticulous| packet(State::Up).encode(Some((&authentication(meticulous), 5))).octets().to_vec();
    [("up", packet(State::Up).encode(None).octets().to_vec()), ("keyed", signed(false)), ("meticulous", signed(true))]
}

/// A session comes up, is configured anew, handed over, polled, lost, and leaves.
pub(crate) fn life() -> Vec<u8> {
    let hear = |flags: u8, packet: ControlPacket| [&[6, flags][..], packet.encode(None).octets()].concat();
    let up = packet(State::Up);
    [
        hear(1, packet(State::Down)),
        hear(0, packet(State::Init)),
        hear(0, ControlPacket { is_final: true, ..up }),
        vec![2, 0x1b, 4, 0, 1, 0],
        hear(0, ControlPacket { poll: true, ..up }),
        vec![5, 0, 0, 255, 0, 255, 3, 0, 1, 0],
        hear(3, up),
    ]
    .concat()
}
