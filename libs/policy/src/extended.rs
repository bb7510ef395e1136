//! Extended communities (RFC 4360) as text.
//!
//! `target` and `origin` are known by name, with a 2-octet AS number, an IPv4 address (RFC 4360 §3.1, §3.2) or a 4-octet AS
//! number (RFC 5668) in front: `target:65000:100`, `target:192.0.2.1:100`, `target:4200000000:100`. A 4-octet number that
//! would fit into two octets is written with an L, as in Junos: `target:65000L:100`. `bandwidth:65000:1250000000` tells of a link's
//! octets per second (draft-ietf-idr-link-bandwidth; not transitive). Every other one is `extended:` and its sixteen hexadecimal digits.

use std::fmt::{self, Write};
use std::net::Ipv4Addr;

/// Subtypes of the three types with an administrator in front (the IANA registry of each).
const TARGET: u8 = 0x02;
const ORIGIN: u8 = 0x03;

/// Type and subtype of the bandwidth of a link.
const BANDWIDTH: [u8; 2] = [0x40, 0x04];
/// Its name, with what follows it.
const BANDWIDTH_PREFIX: &str = "bandwidth:";

/// What stands in front of the local number: it decides how many octets both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Administrator {
    /// Type 0x00: two octets, and four for the local number.
    TwoOctetAs(u16),
    /// Type 0x01: four octets, and two for the local number.
    Address(Ipv4Addr),
    /// Type 0x02: four octets, and two for the local number (RFC 5668).
    FourOctetAs(u32),
}

impl Administrator {
    pub fn parse(text: &str) -> Option<Administrator> {
        if let Ok(address) = text.parse() {
            return Some(Administrator::Address(address));
        }
        let digits = text.strip_suffix('L').unwrap_or(text);
        let number: u32 = super::community::decimal(digits)?;
        Some(match u16::try_from(number) {
            Ok(short) if digits.len() == text.len() => Administrator::TwoOctetAs(short),
            _ => Administrator::FourOctetAs(number),
        })
    }
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Administrator::TwoOctetAs(number) => write!(f, "{number}"),
            Administrator::Address(address) => write!(f, "{address}"),
            Administrator::FourOctetAs(number) if *number <= u32::from(u16::MAX) => write!(f, "{number}L"),
            Administrator::FourOctetAs(number) => write!(f, "{number}"),
        }
    }
}

/// The subtype that a name in front stands for, and the rest of the text.
pub(crate) fn named(text: &str) -> Option<(u8, &str)> {
    let (name, rest) = text.split_once(':')?;
    match name {
        "target" => Some((TARGET, rest)),
        "origin" => Some((ORIGIN, rest)),
        _ => None,
    }
}

/// One that is known by name, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub subtype: u8,
    pub administrator: Administrator,
    pub local: u32,
}

impl Named {
    pub fn of(value: &[u8; 8]) -> Option<Named> {
        let [kind, subtype, a, b, c, d, e, f] = *value;
        let (administrator, local) = match kind {
            0x00 => (Administrator::TwoOctetAs(u16::from_be_bytes([a, b])), u32::from_be_bytes([c, d, e, f])),
            0x01 => (Administrator::Address(Ipv4Addr::new(a, b, c, d)), u16::from_be_bytes([e, f]).into()),
            0x02 => (Administrator::FourOctetAs(u32::from_be_bytes([a, b, c, d])), u16::from_be_bytes([e, f]).into()),
            _ => return None,
        };
        matches!(subtype, TARGET | ORIGIN).then_some(Named { subtype, administrator, local })
    }

    fn encode(&self) -> Option<[u8; 8]> {
        let mut value = [0; 8];
        value[1] = self.subtype;
        let long = |kind, front: [u8; 4], value: &mut [u8; 8]| {
            value[0] = kind;
            value[2..6].copy_from_slice(&front);
            value[6..].copy_from_slice(&u16::try_from(self.local).ok()?.to_be_bytes());
            Some(())
        };
        match self.administrator {
            Administrator::TwoOctetAs(number) => {
                value[2..4].copy_from_slice(&number.to_be_bytes());
                value[4..].copy_from_slice(&self.local.to_be_bytes());
            }
            Administrator::Address(address) => long(0x01, address.octets(), &mut value)?,
            Administrator::FourOctetAs(number) => long(0x02, number.to_be_bytes(), &mut value)?,
        }
        Some(value)
    }
}

/// Reads one as the configuration writes it.
pub(crate) fn parse(text: &str) -> Option<[u8; 8]> {
    if let Some(digits) = text.strip_prefix("extended:") {
        let hexadecimal = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return hexadecimal.then(|| u64::from_str_radix(digits, 16).ok().map(u64::to_be_bytes))?;
    }
    if let Some(bandwidth) = text.strip_prefix(BANDWIDTH_PREFIX) {
        let (number, octets_per_second) = bandwidth.split_once(':')?;
        return Some(bandwidth_of(super::community::decimal(number)?, super::community::decimal(octets_per_second)?));
    }
    let (subtype, rest) = named(text)?;
    let (administrator, local) = rest.split_once(':')?;
    let administrator = Administrator::parse(administrator)?;
    Named { subtype, administrator, local: super::community::decimal(local)? }.encode()
}

/// The nearest that the floating point number of the wire can tell.
fn bandwidth_of(number: u16, octets_per_second: u64) -> [u8; 8] {
    let ([kind, subtype], [a, b]) = (BANDWIDTH, number.to_be_bytes());
    let [c, d, e, f] = (octets_per_second as f32).to_be_bytes();
    [kind, subtype, a, b, c, d, e, f]
}

/// The text of a bandwidth in whole octets per second, from which it can be read again.
fn bandwidth_text(value: &[u8; 8]) -> Option<String> {
    let [kind, subtype, a, b, c, d, e, f] = *value;
    let (number, told) = (u16::from_be_bytes([a, b]), f32::from_be_bytes([c, d, e, f]));
    let whole = ([kind, subtype] == BANDWIDTH && told >= 0.0).then_some(told as u64)?;
    (bandwidth_of(number, whole) == *value).then(|| format!("{BANDWIDTH_PREFIX}{number}:{whole}"))
}

/// As operators write it.
pub fn extended_community_text(value: &[u8; 8]) -> String {
    match Named::of(value) {
        Some(Named { subtype, administrator, local }) => {
            format!("{}:{administrator}:{local}", if subtype == TARGET { "target" } else { "origin" })
        }
        None => bandwidth_text(value).unwrap_or_else(|| {
            value.iter().fold("extended:".to_owned(), |mut text, octet| {
                let _ = write!(text, "{octet:02x}"); // writing to a String does not fail
                text
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_octets() {
        for (text, octets) in [
            ("target:65000:100", [0, 2, 0xfd, 0xe8, 0, 0, 0, 100]),
            ("target:65000L:100", [2, 2, 0, 0, 0xfd, 0xe8, 0, 100]),
            ("origin:4200000000:7", [2, 3, 0xfa, 0x56, 0xea, 0, 0, 7]),
            ("target:192.0.2.1:65535", [1, 2, 192, 0, 2, 1, 0xff, 0xff]),
            ("extended:4304fde849742400", [0x43, 4, 0xfd, 0xe8, 0x49, 0x74, 0x24, 0]),
            ("bandwidth:65000:1000000", [0x40, 4, 0xfd, 0xe8, 0x49, 0x74, 0x24, 0]),
            ("bandwidth:65000:0", [0x40, 4, 0xfd, 0xe8, 0, 0, 0, 0]),
            ("extended:4004fde83f000000", [0x40, 4, 0xfd, 0xe8, 0x3f, 0, 0, 0]),
            ("extended:4004fde8bf800000", [0x40, 4, 0xfd, 0xe8, 0xbf, 0x80, 0, 0]),
            ("extended:4004fde87fc00000", [0x40, 4, 0xfd, 0xe8, 0x7f, 0xc0, 0, 0]),
        ] {
            assert_eq!((parse(text), extended_community_text(&octets)), (Some(octets), text.to_owned()));
        }
        for wrong in [
            "target:1",
            "target:1:2:3",
            "target:70000:65536",
            "target:1.2.3.4:65536",
            "target:-1:2",
            "route:1:2",
            "extended:12",
            "bandwidth:65000",
            "bandwidth:65536:1",
            "bandwidth:65000:-1",
            "bandwidth:65000:1.5",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
