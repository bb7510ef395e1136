//! A gateway's BFD (RFC 5880), as far as the lab needs it: asynchronous mode over a single hop, without authentication.

use std::time::Duration;

use super::scenario::MULTIPLIER;

/// Octets of a packet without authentication (RFC 5880 §4.1).
pub const PACKET_BYTES: usize = 24;
/// As long as the session is not up, packets are this far apart at least (RFC 5880 §6.8.3).
const SLOW_US: u32 = 1_000_000;

/// RFC 5880 §4.1, `Sta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    AdminDown = 0,
    Down = 1,
    Init = 2,
    Up = 3,
}

/// RFC 5880 §4.1, `Diag`: what ended the last session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Diagnostic {
    None = 0,
    DetectionTimeExpired = 1,
    NeighborSignaledDown = 3,
}

/// What is read of a packet, and written to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    state: State,
    diagnostic: u8,
    poll: bool,
    is_final: bool,
    multiplier: u8,
    own: u32,
    yours: u32,
    transmit_us: u32,
    receive_us: u32,
}

impl Packet {
    /// As it is sent.
    pub fn encode(&self) -> [u8; PACKET_BYTES] {
        const VERSION: u8 = 1;
        let mut out = [0; PACKET_BYTES];
        out[0] = VERSION << 5 | self.diagnostic & 0x1f;
        out[1] = (self.state as u8) << 6 | u8::from(self.poll) << 5 | u8::from(self.is_final) << 4;
        out[2] = self.multiplier;
        out[3] = PACKET_BYTES as u8;
        for (place, word) in [self.own, self.yours, self.transmit_us, self.receive_us].into_iter().enumerate() {
            out[4 + 4 * place..8 + 4 * place].copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Nothing where RFC 5880 §6.8.6 has it discarded, or it asks for what the lab does not have.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; PACKET_BYTES] = octets.try_into().ok()?;
        let word = |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let state = match octets[1] >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let packet = Self {
            state,
            diagnostic: octets[0] & 0x1f,
            poll: octets[1] & 0x20 != 0,
            is_final: octets[1] & 0x10 != 0,
            multiplier: octets[2],
            own: word(4),
            yours: word(8),
            transmit_us: word(12),
            receive_us: word(16),
        };
        let is_authenticated = octets[1] & 0x04 != 0;
        let is_known = packet.yours != 0 || matches!(state, State::Down | State::AdminDown);
        let is_sound = octets[0] >> 5 == 1 && usize::from(octets[3]) == PACKET_BYTES && packet.multiplier != 0;
        (is_sound && is_known && !is_authenticated && packet.own != 0).then_some(packet)
    }
}

/// One session. Knows no clock and no socket.
#[derive(Debug)]
pub struct Session {
    state: State,
    diagnostic: Diagnostic,
    own: u32,
    interval_us: u32,
    remote: Option<Packet>,
    /// The router has not confirmed the interval that holds now.
    polling: bool,
    transmit_at: Duration,
    detect_at: Option<Duration>,
    had_respite: bool,
    downs: u64,
}

impl Session {
    /// One that has heard nothing; `own`: its discriminator, not 0.
    pub fn new(own: u32, interval_ms: u32, now: Duration) -> Self {
        Self {
            state: State::Down,
            diagnostic: Diagnostic::None,
            own,
            interval_us: interval_ms * 1000,
            remote: None,
            polling: false,
            transmit_at: now,
            detect_at: None,
            had_respite: false,
            downs: 0,
        }
    }

    /// Whether both hear each other.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// How often it was up and is not any more.
    pub fn downs(&self) -> u64 {
        self.downs
    }

    /// When to ask it again at the latest.
    pub fn deadline(&self) -> Duration {
        self.detect_at.map_or(self.transmit_at, |at| at.min(self.transmit_at))
    }

    /// A packet has come (RFC 5880 §6.8.6). What to answer at once.
    pub fn receive(&mut self, packet: Packet, now: Duration) -> Option<Packet> {
        if packet.yours != 0 && packet.yours != self.own {
            return None;
        }
        self.remote = Some(packet);
        self.had_respite = false;
        self.polling &= !packet.is_final;
        let detection_us = u64::from(packet.multiplier) * u64::from(packet.transmit_us.max(self.interval_us));
        self.detect_at = Some(now + Duration::from_micros(detection_us));
        match (self.state, packet.state) {
            (State::Down, State::Down) => self.go(State::Init, Diagnostic::None),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => self.go(State::Up, Diagnostic::None),
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.go(State::Down, Diagnostic::NeighborSignaledDown);
            }
            _ => {}
        }
        // What was due after a longer interval is due after the present one: the router has been told of that, and counts on it.
        self.transmit_at = self.transmit_at.min(now + self.interval());
        packet.poll.then(|| Packet { poll: false, is_final: true, ..self.packet() })
    }

    /// What is due. `jitter`: anything, another each time.
    pub fn poll(&mut self, jitter: u32, now: Duration) -> Option<Packet> {
        if self.detect_at.is_some_and(|at| at <= now) {
            (self.detect_at, self.remote, self.polling) = (None, None, false);
            if self.state != State::Down {
                self.go(State::Down, Diagnostic::DetectionTimeExpired);
            }
        }
        if self.transmit_at > now {
            return None;
        }
        // RFC 5880 §6.8.7: shorter by up to a quarter.
        self.transmit_at = now + self.interval() * (768 + jitter % 257) / 1024;
        Some(self.packet())
    }

    /// This machine has stood still, and the router with it: a silence that is too long now may last as long as this yet.
    pub fn give_respite(&mut self, now: Duration, respite: Duration) {
        if let Some(at) = self.detect_at.filter(|at| *at <= now && !self.had_respite) {
            self.had_respite = true;
            self.detect_at = Some(at.max(now + respite));
        }
    }

    fn go(&mut self, state: State, diagnostic: Diagnostic) {
        self.downs += u64::from(self.state == State::Up);
        (self.state, self.diagnostic) = (state, diagnostic);
        // Up and down the interval is another one, which the router has to be asked for (RFC 5880 §6.8.3).
        self.polling = state == State::Up;
    }

    fn transmit_us(&self) -> u32 {
        if self.is_up() { self.interval_us } else { self.interval_us.max(SLOW_US) }
    }

    fn interval(&self) -> Duration {
        let wanted_us = self.remote.map_or(0, |remote| remote.receive_us);
        Duration::from_micros(self.transmit_us().max(wanted_us).into())
    }

    fn packet(&self) -> Packet {
        Packet {
            state: self.state,
            diagnostic: self.diagnostic as u8,
            poll: self.polling,
            is_final: false,
            multiplier: MULTIPLIER as u8,
            own: self.own,
            yours: self.remote.map_or(0, |remote| remote.own),
            transmit_us: self.transmit_us(),
            receive_us: self.interval_us,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Two of them, until a time; what one sends the other hears at once, if it may.
    fn run(ends: &mut [Session; 2], now: &mut Duration, until: Duration, connected: bool) {
        while *now < until {
            for end in 0..2 {
                let mut under_way = ends[end].poll(end as u32 * 100, *now);
                let mut to = 1 - end;
                while let Some(packet) = under_way.take().filter(|_| connected) {
                    under_way = Packet::decode(&packet.encode()).and_then(|packet| ends[to].receive(packet, *now));
                    to = 1 - to;
                }
            }
            *now += ms(1);
        }
    }

    #[test]
    fn two_find_each_other_and_notice_a_silence_after_three_packets() {
        let mut now = ms(5_000);
        let mut ends = [Session::new(7, 50, now), Session::new(9, 50, now)];
        run(&mut ends, &mut now, ms(8_000), true);
        assert!(ends.iter().all(|end| end.is_up() && end.downs() == 0 && !end.polling), "{ends:?}");
        assert!(ends.iter().all(|end| end.deadline() <= now + ms(50)), "{ends:?}");
        run(&mut ends, &mut now, ms(8_100), false);
        assert!(ends.iter().all(Session::is_up));
        run(&mut ends, &mut now, ms(8_200), false);
        assert!(ends.iter().all(|end| !end.is_up() && end.downs() == 1), "{ends:?}");
        run(&mut ends, &mut now, ms(12_000), true);
        assert!(ends.iter().all(|end| end.is_up() && end.downs() == 1), "{ends:?}");
    }

    #[test]
    fn a_silence_is_longer_where_the_machine_stood_still_and_only_once() {
        let mut now = ms(0);
        let mut ends = [Session::new(7, 50, now), Session::new(9, 50, now)];
        run(&mut ends, &mut now, ms(4_000), true);
        let [end, _] = &mut ends;
        let late = now + ms(180);
        end.give_respite(late, ms(20));
        while end.poll(0, late).is_some() {}
        assert!(end.is_up());
        end.give_respite(late + ms(20), ms(20));
        while end.poll(0, late + ms(20)).is_some() {}
        assert!(!end.is_up());
    }

    #[test]
    fn packets_have_the_form_of_the_rfc_and_others_are_not_read() {
        let mut session = Session::new(0x0102_0304, 50, ms(0));
        let packet = session.poll(0, ms(0)).expect("the first is due at once");
        let octets = packet.encode();
        assert_eq!(octets[..12], [0x20, 0x40, 3, 24, 1, 2, 3, 4, 0, 0, 0, 0]);
        assert_eq!(octets[12..], [0, 15, 66, 64, 0, 0, 195, 80, 0, 0, 0, 0]);
        assert_eq!(Packet::decode(&octets), Some(packet));
        for (place, value) in [(0, 0x40), (1, 0xc0), (1, 0x44), (2, 0), (3, 23), (3, 26)] {
            let mut other = octets;
            other[place] = value;
            assert_eq!(Packet::decode(&other), None, "octet {place}: {value:#x}");
        }
        assert!(Packet::decode(&octets[..23]).is_none());
        let other = Packet { own: 8, yours: 5, state: State::Init, ..packet };
        assert!(session.receive(other, ms(1)).is_none() && session.state == State::Down, "not for this session");
    }

    #[test]
    fn who_is_up_sends_at_once_as_often_as_it_has_said() {
        let mut session = Session::new(7, 50, ms(0));
        let first = session.poll(0, ms(0)).expect("the first is due at once");
        assert!(session.deadline() > ms(700), "not up yet: a second");
        let router = Packet { own: 9, yours: 7, state: State::Init, poll: true, ..first };
        let answer = session.receive(router, ms(1)).expect("an answer");
        assert_eq!((answer.state, answer.transmit_us), (State::Up, 50_000));
        assert!(session.deadline() <= ms(51));
    }

    #[test]
    fn a_router_that_says_down_is_believed_and_a_poll_is_answered() {
        let mut now = ms(0);
        let mut ends = [Session::new(7, 50, now), Session::new(9, 50, now)];
        run(&mut ends, &mut now, ms(4_000), true);
        let said = ends[0].packet();
        let answer = ends[1].receive(Packet { poll: true, ..said }, now).expect("an answer");
        assert!(answer.is_final && !answer.poll && answer.yours == 7);
        assert!(ends[1].receive(Packet { state: State::Down, ..said }, now).is_none());
        assert!(!ends[1].is_up() && ends[1].downs() == 1);
        assert_eq!(ends[1].packet().diagnostic, Diagnostic::NeighborSignaledDown as u8);
    }
}
