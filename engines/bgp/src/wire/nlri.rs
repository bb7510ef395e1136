//! Prefixes on the wire (RFC 4271 §4.3): a length in bits, then as many octets as it needs; before it the identifier of the path
//! where several are told for one prefix (RFC 7911 §3).

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
    identified: bool,
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> NlriIter<'a> {
    /// Over two fields of a message that [`check`] has passed.
    pub(crate) fn new(family: Family, identified: bool, first: &'a [u8], second: &'a [u8]) -> Self {
        NlriIter { family, identified, first, second }
    }

    /// The same, each with the identifier of its path; 0 where the session has none.
    pub fn identified(mut self) -> impl Iterator<Item = (u32, IpNet)> + use<'a> {
        std::iter::from_fn(move || self.next_identified())
    }

    /// Nothing at all on the wire.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.second.is_empty()
    }

    #[inline]
    fn take(&mut self) -> Option<(u32, IpNet)> {
        if self.first.is_empty() {
            self.first = std::mem::take(&mut self.second);
        }
        let (identifier, field) = if self.identified {
            let (octets, field) = self.first.split_first_chunk::<IDENTIFIER_LEN>()?;
            (u32::from_be_bytes(*octets), field)
        } else {
            (0, self.first)
        };
        let (&length, rest) = field.split_first()?;
        // Cannot be `None` after `check`; an end is better than a panic all the same.
        let after = rest.get(octets_of(length)..)?;
        self.first = after;
        Some((identifier, net(self.family, length, rest)?))
    }

    #[inline]
    fn next_identified(&mut self) -> Option<(u32, IpNet)> {
        loop {
            let (identifier, net) = self.take()?;
            if is_unicast(&net) {
                return Some((identifier, net));
            }
        }
    }
}

impl Iterator for NlriIter<'_> {
    type Item = IpNet;

    #[inline]
    fn next(&mut self) -> Option<IpNet> {
        self.next_identified().map(|(_, net)| net)
    }
}

/// Octets of a path identifier (RFC 7911 §3).
const IDENTIFIER_LEN: usize = 4;

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

/// Can every prefix of the field be read (RFC 7606 §5.3)? `identified`: each stands behind the identifier of its path.
pub(crate) fn check(family: Family, identified: bool, mut field: &[u8]) -> bool {
    let max = family.max_prefix_len();
    while !field.is_empty() {
        let behind = field.get(if identified { IDENTIFIER_LEN } else { 0 }..);
        let Some((&length, rest)) = behind.and_then(|behind| behind.split_first()) else { return false };
        let octets = octets_of(length);
        if length > max || rest.len() < octets {
            return false;
        }
        field = &rest[octets..];
    }
    true
}

/// What stands in a message for a route: its prefix, alone or behind the identifier of its path (RFC 7911 §3).
pub trait Nlri {
    /// The destination.
    fn prefix(&self) -> &IpNet;

    /// The path's identifier; `None` where the session has none.
    fn identifier(&self) -> Option<u32>;
}

impl Nlri for IpNet {
    fn prefix(&self) -> &IpNet {
        self
    }
    fn identifier(&self) -> Option<u32> {
        None
    }
}

impl Nlri for (Option<u32>, IpNet) {
    fn prefix(&self) -> &IpNet {
        &self.1
    }
    fn identifier(&self) -> Option<u32> {
        self.0
    }
}

/// What [`encode`] writes for this route.
pub(crate) fn encoded_len(nlri: &impl Nlri) -> usize {
    let identifier = if nlri.identifier().is_some() { IDENTIFIER_LEN } else { 0 };
    identifier + 1 + octets_of(nlri.prefix().prefix_len())
}

/// Appends one route.
pub(crate) fn encode(out: &mut Vec<u8>, nlri: &impl Nlri) {
    if let Some(identifier) = nlri.identifier() {
        out.extend_from_slice(&identifier.to_be_bytes());
    }
    let length = nlri.prefix().prefix_len();
    out.push(length);
    match nlri.prefix() {
        IpNet::V4(net) => out.extend_from_slice(&net.network().octets()[..octets_of(length)]),
        IpNet::V6(net) => out.extend_from_slice(&net.network().octets()[..octets_of(length)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(family: Family, field: &[u8]) -> Vec<String> {
        assert!(check(family, false, field));
        NlriIter::new(family, false, field, &[]).map(|net| net.to_string()).collect()
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
        assert!(!check(Family::Ipv4Unicast, false, &[33, 1, 2, 3, 4, 5]));
        assert!(!check(Family::Ipv4Unicast, false, &[24, 1, 2]));
        assert!(!check(Family::Ipv6Unicast, false, &[129, 0]));
        assert!(check(Family::Ipv6Unicast, false, &[]));
    }

    #[test]
    fn two_fields_are_one_sequence() {
        let nets: Vec<_> = NlriIter::new(Family::Ipv4Unicast, false, &[8, 10], &[8, 11]).collect();
        assert_eq!(nets.len(), 2);
    }

    #[test]
    fn identifiers_stand_before_prefixes() {
        let routes = [(7, "10.0.0.0/8".parse().unwrap()), (u32::MAX, "0.0.0.0/0".parse().unwrap())];
        let mut field = Vec::new();
        let encoded = routes.map(|(identifier, prefix): (u32, IpNet)| (Some(identifier), prefix));
        encoded.iter().for_each(|route| encode(&mut field, route));
        assert_eq!(field, [0, 0, 0, 7, 8, 10, 255, 255, 255, 255, 0]);
        assert_eq!(field.len(), encoded.iter().map(encoded_len).sum::<usize>());
        assert!(check(Family::Ipv4Unicast, true, &field));
        assert!(NlriIter::new(Family::Ipv4Unicast, true, &field, &[]).identified().eq(routes));
        for cut in [1, 4, 5, 7, 10] {
            assert!(!check(Family::Ipv4Unicast, true, &field[..cut]), "{cut}");
        }
    }
}
