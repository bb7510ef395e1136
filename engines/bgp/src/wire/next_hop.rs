//! Next hops as they are on the wire: NEXT_HOP (RFC 4271 §5.1.3) and the field of MP_REACH_NLRI (RFC 2545 §3, RFC 8950).

use holdfast_rib::Family;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a neighbour says that packets should be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NextHop {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, with the link-local address of the same router on a shared link.
    V6 {
        /// The global address; on links without one, the link-local address again.
        global: Ipv6Addr,
        /// The link-local address.
        link_local: Option<Ipv6Addr>,
    },
}

impl NextHop {
    /// The address by which the next hop is known and resolved.
    pub fn address(&self) -> IpAddr {
        match self {
            NextHop::V4(address) => IpAddr::V4(*address),
            NextHop::V6 { global, .. } => IpAddr::V6(*global),
        }
    }

    /// Reads NEXT_HOP or the field of MP_REACH_NLRI. `None`: the length is none of 4, 16 and 32 octets.
    pub(crate) fn decode(octets: &[u8]) -> Option<NextHop> {
        if let Ok(v4) = <[u8; 4]>::try_from(octets) {
            return Some(NextHop::V4(v4.into()));
        }
        let (first, second) = octets.split_at_checked(16)?;
        let first = Ipv6Addr::from(<[u8; 16]>::try_from(first).ok()?);
        if second.is_empty() {
            let link_local = first.is_unicast_link_local().then_some(first);
            return Some(NextHop::V6 { global: first, link_local });
        }
        let second = Ipv6Addr::from(<[u8; 16]>::try_from(second).ok()?);
        // The same next hop has one form, whichever way it came: a follower may read it from a message of ours.
        let link_local = [second, first].into_iter().find(Ipv6Addr::is_unicast_link_local);
        // On links without global addresses some send `::` in the first place; the link-local one is meant.
        let global = link_local.filter(|_| first.is_unspecified()).unwrap_or(first);
        Some(NextHop::V6 { global, link_local })
    }

    /// Whether routes of a family can have it; `extended`: RFC 8950 was agreed upon.
    pub(crate) fn fits(&self, family: Family, extended: bool) -> bool {
        match (family, self) {
            (Family::Ipv4Unicast, NextHop::V4(_)) | (Family::Ipv6Unicast, NextHop::V6 { .. }) => true,
            (Family::Ipv4Unicast, NextHop::V6 { .. }) => extended,
            (Family::Ipv6Unicast, NextHop::V4(_)) => false,
        }
    }

    /// Why no router can have this address, if so (RFC 4271 §6.3: "syntactically correct").
    pub(crate) fn fault(&self) -> Option<&'static str> {
        match self {
            NextHop::V4(a) if a.is_unspecified() => Some("unspecified"),
            NextHop::V4(a) if a.octets()[0] == 0 => Some("in 0.0.0.0/8"),
            NextHop::V4(a) if a.is_loopback() => Some("loopback"),
            NextHop::V4(a) if a.is_multicast() => Some("multicast"),
            NextHop::V4(a) if a.octets()[0] >= 240 => Some("in 240.0.0.0/4"),
            NextHop::V6 { global, .. } if global.is_unspecified() => Some("unspecified"),
            NextHop::V6 { global, .. } if global.is_loopback() => Some("loopback"),
            NextHop::V6 { global, .. } if global.is_multicast() => Some("multicast"),
            _ => None,
        }
    }

    /// Octets of the field of MP_REACH_NLRI, where an IPv4 address stands for itself.
    pub(crate) fn encode_mp(&self, out: &mut Vec<u8>) {
        match self {
            NextHop::V4(address) => out.extend_from_slice(&address.octets()),
            NextHop::V6 { global, link_local } => {
                out.extend_from_slice(&global.octets());
                if let Some(link_local) = link_local.filter(|l| l != global) {
                    out.extend_from_slice(&link_local.octets());
                }
            }
        }
    }

    /// What [`NextHop::encode_mp`] writes.
    pub(crate) fn mp_len(&self) -> usize {
        match self {
            NextHop::V4(_) => 4,
            NextHop::V6 { global, link_local } => 16 + 16 * usize::from(link_local.is_some_and(|l| l != *global)),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::V4(address) => write!(f, "{address}"),
            NextHop::V6 { global, .. } => write!(f, "{global}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_but_three_is_refused() {
        for length in 0..=64 {
            assert_eq!(NextHop::decode(&vec![1; length]).is_some(), matches!(length, 4 | 16 | 32), "{length}");
        }
    }

    #[test]
    fn addresses_that_no_router_has() {
        for bogus in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.5", "255.255.255.255"] {
            assert!(NextHop::V4(bogus.parse().unwrap()).fault().is_some(), "{bogus}");
        }
        for bogus in ["::", "::1", "ff02::1"] {
            let global = bogus.parse().unwrap();
            assert!(NextHop::V6 { global, link_local: None }.fault().is_some(), "{bogus}");
        }
        assert_eq!(NextHop::V4("192.0.2.1".parse().unwrap()).fault(), None);
    }

    /// What is written is read as the same next hop; else a follower would hold another one than its primary.
    #[test]
    fn every_next_hop_has_one_form() {
        let addresses =
            ["::", "2001:db8::1", "2001:db8::2", "fe80::1", "fe80::2"].map(|a| a.parse::<Ipv6Addr>().unwrap());
        for first in addresses {
            for second in addresses {
                let octets = [first.octets(), second.octets()].concat();
                let next_hop = NextHop::decode(&octets).unwrap();
                let mut wire = Vec::new();
                next_hop.encode_mp(&mut wire);
                assert_eq!(NextHop::decode(&wire), Some(next_hop), "{first} {second}");
            }
        }
    }

    #[test]
    fn a_link_without_global_addresses() {
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        let mut octets = [0; 32];
        octets[16..].copy_from_slice(&link_local.octets());
        let expected = NextHop::V6 { global: link_local, link_local: Some(link_local) };
        assert_eq!(NextHop::decode(&octets), Some(expected));
        assert_eq!(NextHop::decode(&link_local.octets()), Some(expected));
        let mut wire = Vec::new();
        expected.encode_mp(&mut wire);
        assert_eq!((wire.len(), expected.mp_len()), (16, 16));
    }
}
