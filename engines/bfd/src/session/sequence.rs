//! Sequence numbers of authenticated packets (RFC 5880 §6.7.4).

use crate::Discard;
use crate::wire::{AuthSection, Authentication, ControlPacket};

/// What a successor cannot know exactly of a predecessor that was killed between sending and noting it: so many are skipped.
const SKIPPED_BY_A_SUCCESSOR: u32 = 2;
/// A neighbour may have lost so many packets, times the multiplier, and is believed all the same.
const WINDOW: u32 = 3;

/// Both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequences {
    /// The next one to be sent (bfd.XmitAuthSeq).
    pub transmit: u32,
    /// The last one believed (bfd.RcvAuthSeq); None: any is (bfd.AuthSeqKnown is zero).
    pub received: Option<u32>,
}

impl Sequences {
    /// For a packet to be sent. Each has its own, also with the plain keyed type, which merely allows it.
    pub fn next(&mut self) -> u32 {
        let sequence = self.transmit;
        self.transmit = sequence.wrapping_add(1);
        sequence
    }

    /// Somebody else goes on.
    pub fn skip(&mut self) {
        self.transmit = self.transmit.wrapping_add(SKIPPED_BY_A_SUCCESSOR);
    }

    /// Whether the packet, whose octets these are, comes from the neighbour and was not sent before.
    pub fn check(
        &mut self,
        packet: &ControlPacket,
        octets: &[u8],
        wanted: Option<&Authentication>,
    ) -> Result<(), Discard> {
        let (wanted, section) = match (wanted, &packet.authentication) {
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(Discard::AuthenticationUnexpected),
            (Some(_), None) => return Err(Discard::AuthenticationMissing),
            (Some(_), Some(AuthSection::Other { .. })) => return Err(Discard::AuthenticationType),
            (Some(wanted), Some(AuthSection::Sha1(section))) => (wanted, section),
        };
        if let Some(last) = self.received {
            let ahead = section.sequence.wrapping_sub(last);
            let least = u32::from(wanted.meticulous);
            if ahead < least || ahead > WINDOW * u32::from(packet.detect_multiplier) {
                return Err(Discard::AuthenticationSequence);
            }
        }
        section.verify(octets, wanted)?;
        self.received = Some(section.sequence);
        Ok(())
    }
}
