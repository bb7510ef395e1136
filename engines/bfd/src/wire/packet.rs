//! The mandatory section (RFC 5880 §4.1).

use super::authentication::{self, AuthSection, Authentication, SHA1_SECTION_LEN};
use super::values::{Diagnostic, State};
use crate::Discard;

/// Octets of a packet without authentication.
pub(super) const PACKET_LEN: usize = 24;
/// Octets of the longest packet that we send. A received one may be longer only with an authentication that is not built.
pub const PACKET_LEN_MAX: usize = PACKET_LEN + SHA1_SECTION_LEN;
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION_PRESENT: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// One control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPacket {
    /// Why the sender last left Up.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// The sender wants an answer with `is_final`.
    pub poll: bool,
    /// Answers a poll.
    pub is_final: bool,
    /// The sender's BFD does not share the fate of its control plane.
    pub control_plane_independent: bool,
    /// The sender would rather not be sent to periodically.
    pub demand: bool,
    /// Packets that may be missing in a row.
    pub detect_multiplier: u8,
    /// Names the session at the sender.
    pub my_discriminator: u32,
    /// Names the session at the receiver; zero when not known.
    pub your_discriminator: u32,
    /// The sender would like to send as often, in microseconds.
    pub desired_min_tx_us: u32,
    /// The sender wants to receive no more often; zero: not at all.
    pub required_min_rx_us: u32,
    /// The same for echo packets; zero: none.
    pub required_min_echo_rx_us: u32,
    /// What came behind.
    pub authentication: Option<AuthSection>,
}

/// A packet as it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    octets: [u8; PACKET_LEN_MAX],
    length: u8,
}

impl Datagram {
    /// What goes to the socket.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

impl ControlPacket {
    /// The checks of RFC 5880 §6.8.6 that need no session; the order is the RFC's.
    pub fn decode(octets: &[u8]) -> Result<ControlPacket, Discard> {
        let Some(fixed) = octets.first_chunk::<PACKET_LEN>() else { return Err(Discard::TooShort) };
        if fixed[0] >> 5 != VERSION {
            return Err(Discard::Version);
        }
        let flags = fixed[1];
        let has_section = flags & AUTHENTICATION_PRESENT != 0;
        let least = if has_section { PACKET_LEN + 2 } else { PACKET_LEN };
        let length = usize::from(fixed[3]);
        if length < least || length > octets.len() {
            return Err(Discard::Length);
        }
        if fixed[2] == 0 {
            return Err(Discard::ZeroMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(Discard::Multipoint);
        }
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let packet = ControlPacket {
            diagnostic: Diagnostic::from_bits(fixed[0]),
            state: State::from_bits(flags >> 6),
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_multiplier: fixed[2],
            my_discriminator: word(4),
            your_discriminator: word(8),
            desired_min_tx_us: word(12),
            required_min_rx_us: word(16),
            required_min_echo_rx_us: word(20),
            authentication: has_section.then(|| authentication::decode(&octets[PACKET_LEN..length])).transpose()?,
        };
        if packet.my_discriminator == 0 {
            return Err(Discard::ZeroMyDiscriminator);
        }
        if packet.your_discriminator == 0 && matches!(packet.state, State::Init | State::Up) {
            return Err(Discard::NoYourDiscriminator);
        }
        Ok(packet)
    }

    /// The packet as it is sent, signed where a key and a sequence number are given. `authentication` of the packet itself is
    /// what was received, and not written.
    pub fn encode(&self, authentication: Option<(&Authentication, u32)>) -> Datagram {
        let length = if authentication.is_some() { PACKET_LEN_MAX } else { PACKET_LEN };
        let mut octets = [0; PACKET_LEN_MAX];
        let flag = |set, bit| if set { bit } else { 0 };
        octets[0] = VERSION << 5 | self.diagnostic.bits();
        octets[1] = (self.state as u8) << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.control_plane_independent, CONTROL_PLANE_INDEPENDENT)
            | flag(authentication.is_some(), AUTHENTICATION_PRESENT)
            | flag(self.demand, DEMAND);
        octets[2] = self.detect_multiplier;
        octets[3] = length as u8;
        let words = [
            self.my_discriminator,
            self.your_discriminator,
            self.desired_min_tx_us,
            self.required_min_rx_us,
            self.required_min_echo_rx_us,
        ];
        for (place, word) in octets[4..PACKET_LEN].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        if let Some((authentication, sequence)) = authentication {
            authentication.sign(&mut octets, sequence);
        }
        Datagram { octets, length: length as u8 }
    }
}
