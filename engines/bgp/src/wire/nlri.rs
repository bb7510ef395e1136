//! Prefixes on the wire (RFC 4271 §4.3): a length in bits, then as many octets as it needs.

use holdfast_rib::Family;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The prefixes of one family in an UPDATE, straight from the message. Checked before it is made, so it cannot fail.
///
/// Bits beyond the prefix length are cleared (RFC 4271 §4.3: "irrelevant"). Multicast and link-local prefixes are no
/// unicast routes and are passed over (RFC 4271 §6.3: "logged and ignored"), alike in announcements and withdrawals.
#[derive(Clone, Debug)]
pub struct NlriIter<'a> {
    family: Family,
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> NlriIter<'a> {
    /// Over two fields of a message that [`check`] has passed.
    pub(crate) fn new(family: Family, first: &'a [u8], second: &'a [u8]) -> Self {
        NlriIter { family, first, second }
    }

    /// Nothing at all on the wire.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    #[inline]
    fn take(&mut self) -> Option<IpNet> {
        if self.first.is_empty() {
            self.first = std::mem::take(&mut self.second);
        }
        let (&length, rest) = self.first.split_first()?;
        // Cannot be `None` after `check`; an end is better than a panic all the same.
        let after = rest.get(octets_of(length)..)?;
        self.first = after;
        net(self.family, length, rest)
    }
}

impl Iterator for NlriIter<'_> {
    type Item = IpNet;

    fn next(&mut self) -> Option<IpNet> {
        loop {
            let net = self.take()?;
            if is_unicast(&net) {
                return Some(net);
            }
        }
    }
}

const fn octets_of(length: u8) -> usize {
    (length as usize).div_ceil(8)
}

/// A prefix whose octets `field` begins with; what else is there is masked away.
#[inline]
fn net(family: Family, length: u8, field: &[u8]) -> Option<IpNet> {
    match family {
        Family::Ipv4Unicast => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(length))).unwrap_or(0);
            let bits = u32::from_be_bytes(leading(field)) & mask;
            Some(IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits), length).ok()?))
        }
        Family::Ipv6Unicast => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(u32::from(length))).unwrap_or(0);
            let bits = u128::from_be_bytes(leading(field)) & mask;
            Some(IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits), length).ok()?))
        }
    }
}

/// The first `N` octets, with zeros where there are fewer.
#[inline]
fn leading<const N: usize>(field: &[u8]) -> [u8; N] {
    match field.first_chunk() {
        Some(octets) => *octets,
        None => {
            let mut octets = [0; N];
            octets[..field.len()].copy_from_slice(field);
            octets
        }
    }
}

fn is_unicast(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() < 4 || !net.addr().is_multicast(),
        IpNet::V6(net) if net.prefix_len() >= 10 && net.addr().is_unicast_link_local() => false,
        IpNet::V6(net) => net.prefix_len() < 8 || !net.addr().is_multicast(),
    }
}

/// Can every prefix of the field be read (RFC 7606 §5.3)?
pub(crate) fn check(family: Family, mut field: &[u8]) -> bool {
    let max = family.max_prefix_len();
    while let Some((&length, rest)) = field.split_first() {
        let octets = octets_of(length);
        if length > max || rest.len() < octets {
            return false;
        }
        field = &rest[octets..];
    }
    true
}

/// What [`encode`] writes for this prefix.
pub(crate) fn encoded_len(net: &IpNet) -> usize {
    1 + octets_of(net.prefix_len())
}

/// Appends one prefix.
pub(crate) fn encode(out: &mut Vec<u8>, net: &IpNet) {
    let length = net.prefix_len();
    out.push(length);
    match net {
        IpNet::V4(net) => out.extend_from_slice(&net.network().octets()[..octets_of(length)]),
        IpNet::V6(net) => out.extend_from_slice(&net.network().octets()[..octets_of(length)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(family: Family, field: &[u8]) -> Vec<String> {
        assert!(check(family, field));
        NlriIter::new(family, field, &[]).map(|net| net.to_string()).collect()
    }

    #[test]
    fn irrelevant_bits_are_cleared() {
        assert_eq!(read(Family::Ipv4Unicast, &[9, 10, 0xff, 0]), ["10.128.0.0/9", "0.0.0.0/0"]);
    }

    #[test]
    fn what_is_no_unicast_prefix_is_passed_over() {
        let field = [24, 224, 0, 1, 8, 10, 4, 0xe0, 3, 0xe0];
        assert_eq!(read(Family::Ipv4Unicast, &field), ["10.0.0.0/8", "224.0.0.0/3"]);
        let field = [16, 0xff, 0x02, 16, 0xfe, 0x80, 16, 0x20, 0x01];
        assert_eq!(read(Family::Ipv6Unicast, &field), ["2001::/16"]);
    }

    #[test]
    fn prefixes_that_cannot_be_read() {
        assert!(!check(Family::Ipv4Unicast, &[33, 1, 2, 3, 4, 5]));
        assert!(!check(Family::Ipv4Unicast, &[24, 1, 2]));
        assert!(!check(Family::Ipv6Unicast, &[129, 0]));
        assert!(check(Family::Ipv6Unicast, &[]));
    }

    #[test]
    fn two_fields_are_one_sequence() {
        let nets: Vec<_> = NlriIter::new(Family::Ipv4Unicast, &[8, 10], &[8, 11]).collect();
        assert_eq!(nets.len(), 2);
    }
}
