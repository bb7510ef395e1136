//! Keyed SHA1 and Meticulous Keyed SHA1 (RFC 5880 §4.4, §6.7.4).

use super::packet::PACKET_LEN;
use crate::{BfdError, Discard};
use sha1::{Digest, Sha1};

/// Types of authentication that are built.
const KEYED_SHA1: u8 = 4;
const METICULOUS_KEYED_SHA1: u8 = 5;
/// Type, length, key id, reserved, sequence number, digest.
pub(super) const SHA1_SECTION_LEN: usize = 28;
pub(super) const DIGEST_LEN: usize = 20;
/// Where the digest lies in a packet.
const DIGEST_AT: usize = PACKET_LEN + 8;

/// A secret of 1 to 20 octets, with zeroes behind it (RFC 5880 §6.7.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key {
    octets: [u8; DIGEST_LEN],
    length: u8,
}

impl Key {
    /// The key of these octets.
    pub fn new(octets: &[u8]) -> Result<Key, BfdError> {
        if octets.is_empty() || octets.len() > DIGEST_LEN {
            return Err(BfdError::KeyLength { found: octets.len() });
        }
        let mut key = Key { octets: [0; DIGEST_LEN], length: octets.len() as u8 };
        key.octets[..octets.len()].copy_from_slice(octets);
        Ok(key)
    }

    /// As it was given.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }
}

/// A secret is not for logs.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// How packets of a session are authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The sequence number grows with each packet, so that none can be replayed.
    pub meticulous: bool,
    /// Names the key to the neighbour.
    pub key_id: u8,
    /// The secret.
    pub key: Key,
}

impl Authentication {
    pub(super) fn type_code(&self) -> u8 {
        if self.meticulous { METICULOUS_KEYED_SHA1 } else { KEYED_SHA1 }
    }

    /// Writes the section behind the packet, with the digest over both.
    pub(super) fn sign(&self, packet: &mut [u8; PACKET_LEN + SHA1_SECTION_LEN], sequence: u32) {
        packet[PACKET_LEN] = self.type_code();
        packet[PACKET_LEN + 1] = SHA1_SECTION_LEN as u8;
        packet[PACKET_LEN + 2] = self.key_id;
        packet[PACKET_LEN + 3] = 0;
        packet[PACKET_LEN + 4..DIGEST_AT].copy_from_slice(&sequence.to_be_bytes());
        let digest = digest(&packet[..DIGEST_AT], &self.key);
        packet[DIGEST_AT..].copy_from_slice(&digest);
    }
}

/// The digest is computed with the key in its own place.
fn digest(before: &[u8], key: &Key) -> [u8; DIGEST_LEN] {
    Sha1::new().chain_update(before).chain_update(key.octets).finalize().into()
}

/// What a packet says about its authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthSection {
    /// Either kind of SHA1.
    Sha1(Sha1Section),
    /// A type that is not built, of a valid length.
    Other {
        /// Its number.
        type_code: u8,
    },
}

/// The fields of RFC 5880 §4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha1Section {
    /// See [`Authentication::meticulous`].
    pub meticulous: bool,
    /// Which key.
    pub key_id: u8,
    /// Against replays.
    pub sequence: u32,
    digest: [u8; DIGEST_LEN],
}

impl Sha1Section {
    /// Whether `packet`, the octets that this section was decoded from, was signed so by somebody with the key.
    pub fn verify(&self, packet: &[u8], authentication: &Authentication) -> Result<(), Discard> {
        if self.meticulous != authentication.meticulous {
            return Err(Discard::AuthenticationType);
        }
        if self.key_id != authentication.key_id {
            return Err(Discard::AuthenticationKeyId);
        }
        let before = packet.get(..DIGEST_AT).ok_or(Discard::Length)?;
        // The whole of it is compared, wherever the first difference is.
        let differs = digest(before, &authentication.key).iter().zip(self.digest).fold(0, |sum, (a, b)| sum | (a ^ b));
        if differs == 0 { Ok(()) } else { Err(Discard::AuthenticationDigest) }
    }
}

/// The section of a packet with the A bit; `section` is what lies behind the 24 octets, up to the packet's length.
pub(super) fn decode(section: &[u8]) -> Result<AuthSection, Discard> {
    let [type_code, length, key_id, ..] = *section else { return Err(Discard::Length) };
    // RFC 5880 §6.7.4: the length of a SHA1 section is 28. Nothing may lie behind a section.
    if usize::from(length) != section.len() {
        return Err(Discard::Length);
    }
    if !matches!(type_code, KEYED_SHA1 | METICULOUS_KEYED_SHA1) {
        return Ok(AuthSection::Other { type_code });
    }
    let Ok(section) = <&[u8; SHA1_SECTION_LEN]>::try_from(section) else { return Err(Discard::Length) };
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(&section[8..]);
    Ok(AuthSection::Sha1(Sha1Section {
        meticulous: type_code == METICULOUS_KEYED_SHA1,
        key_id,
        sequence: u32::from_be_bytes([section[4], section[5], section[6], section[7]]),
        digest,
    }))
}
