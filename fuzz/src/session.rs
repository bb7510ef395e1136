//! The state machine of one neighbour: any events in any order, with any messages, at any times.

use holdfast_bgp::session::{ConnectionSide, GracefulRestart, Output, RoleConfig, Session, SessionConfig, State};
use holdfast_bgp::wire::{
    Capability, Cease, Family, HEADER_LEN, MessageType, NotificationMessage, OpenMessage, Role, frame,
};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Outputs that one input may lead to.
const OUTPUTS_MAX: usize = 32;

/// What the neighbour would say if it were in its right mind.
pub(crate) fn sound_open() -> OpenMessage {
    let mut capabilities = Family::ALL.map(Capability::MultiProtocol).to_vec();
    capabilities.push(Capability::RouteRefresh);
    capabilities.push(Capability::FourOctetAs(65002));
    OpenMessage { autonomous_system: 65002, hold_time_s: 9, router_id: Ipv4Addr::new(192, 0, 2, 2), capabilities }
}

fn config(octet: u8) -> SessionConfig {
    SessionConfig {
        local_as: 65001,
        peer_as: if octet & 1 == 0 { 65002 } else { 65001 },
        internal: octet & 1 == 1,
        router_id: Ipv4Addr::new(192, 0, 2, if octet & 2 == 0 { 1 } else { 3 }),
        hold_time_s: if octet & 4 == 0 { 90 } else { 0 },
        passive: octet & 8 != 0,
        families: [true, octet & 16 == 0],
        extended_next_hop: octet & 32 == 0,
        receives_paths: [octet & 64 == 0, false],
        sends_paths: [octet & 64 != 0, octet & 16 != 0],
        role: (octet & 3 == 2).then_some(RoleConfig { role: Role::Customer, strict: octet & 64 != 0 }),
        long_lived: (octet & 96 == 96).then_some([3600, 0]),
        graceful_restart: (octet & 32 != 0)
            .then_some(GracefulRestart { restart_time_s: 120, forwarding_kept: octet & 64 != 0 }),
        helper: true,
        restarting: octet & 128 != 0,
    }
}

/// The machine, its time, and what it must never do.
struct Machine {
    session: Session,
    now: Duration,
    /// Established was said, and Down not since.
    is_up: bool,
}

impl Machine {
    /// Everything that follows from the last input.
    fn settle(&mut self) {
        for count in 0.. {
            assert!(count < OUTPUTS_MAX, "no end of outputs");
            match self.session.poll(self.now) {
                None => break,
                Some(Output::Send { message, .. }) => {
                    let (length, _) = frame(&message).expect("a message").expect("a whole one");
                    assert_eq!(length, message.len());
                }
                Some(Output::Established { .. }) => assert!(!std::mem::replace(&mut self.is_up, true), "up twice"),
                Some(Output::Down { reason }) => {
                    assert!(std::mem::replace(&mut self.is_up, false), "down twice");
                    assert!(!reason.text.is_empty());
                }
                Some(Output::Connect | Output::Close { .. }) => {}
            }
        }
        assert_eq!(self.is_up, self.session.state() == State::Established);
        assert!(
            self.session.next_deadline().is_none_or(|deadline| deadline > self.now),
            "overdue after polling at {:?}: {:?}",
            self.now,
            self.session
        );
        assert_eq!(self.session.why_not_established().is_none(), self.is_up, "silent about why it is not up");
    }

    fn receive(&mut self, side: ConnectionSide, kind: MessageType, body: &[u8]) {
        let _ = self.session.receive(side, kind, body, self.now);
    }

    /// One input, by its first octets; what is left of the rest.
    fn step<'a>(&mut self, operation: u8, input: &'a [u8]) -> &'a [u8] {
        let side = ConnectionSide::ALL[usize::from(operation >> 7)];
        let (octet, rest) = input.split_first().map_or((0, input), |(octet, rest)| (*octet, rest));
        match operation % 16 {
            0 => self.session.start(self.now),
            1 => self.session.stop(Cease::AdministrativeShutdown, self.now),
            2 => self.session.reset(NotificationMessage::cease(Cease::AdministrativeReset), self.now),
            3 => self.session.tcp_connected(self.now),
            4 => self.session.tcp_failed("refused", self.now),
            5 => drop(self.session.tcp_accepted(self.now)),
            6 => self.session.tcp_closed(side, "reset", self.now),
            7 => {
                self.now += Duration::from_millis(u64::from(octet).pow(2));
                return rest;
            }
            8 => self.now = self.session.next_deadline().unwrap_or(self.now).max(self.now),
            9 => self.receive(side, MessageType::Open, &sound_open().encode()[HEADER_LEN..]),
            10 => self.receive(side, MessageType::Keepalive, &[]),
            11 => self.session.fail(NotificationMessage::malformed_attribute_list(), self.now),
            12 => self.session.note_sent(u64::from(octet), 1, self.now),
            13 => {
                let _ = self.session.configure(config(octet));
                return rest;
            }
            _ => {
                let (length, rest) = rest.split_first().map_or((0, rest), |(length, rest)| (*length, rest));
                let (body, rest) = rest.split_at(usize::from(length).min(rest.len()));
                let kinds =
                    [MessageType::Open, MessageType::Update, MessageType::Notification, MessageType::RouteRefresh];
                self.receive(side, kinds[usize::from(octet % 4)], body);
                return rest;
            }
        }
        input
    }
}

/// The configuration, then one operation after the other.
pub fn check_session(input: &[u8]) {
    let Some((kind, mut rest)) = input.split_first() else { return };
    let session = Session::new(config(*kind), 7);
    let mut machine = Machine { session, now: Duration::from_secs(1000), is_up: false };
    machine.session.start(machine.now);
    machine.settle();
    while let Some((operation, input)) = rest.split_first() {
        rest = machine.step(*operation, input);
        machine.settle();
    }
}
