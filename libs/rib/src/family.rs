//! Address families (RFC 4760): the AFI/SAFI pairs that Holdfast routes.

use ipnet::IpNet;
use std::net::IpAddr;

/// An address family with its own routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// Every family, in the order of [`Family::index`].
    pub const ALL: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

    /// Address family identifier as on the wire.
    pub const fn afi(self) -> u16 {
        match self {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }

    /// Subsequent address family identifier as on the wire.
    pub const fn safi(self) -> u8 {
        1
    }

    /// The family of a pair from the wire, if it is one of ours.
    pub const fn from_afi_safi(afi: u16, safi: u8) -> Option<Family> {
        match (afi, safi) {
            (1, 1) => Some(Family::Ipv4Unicast),
            (2, 1) => Some(Family::Ipv6Unicast),
            _ => None,
        }
    }

    /// Whether UPDATE's own fields carry it (RFC 4271 §4.3); every other one travels in MP_REACH_NLRI and MP_UNREACH_NLRI.
    pub const fn is_classic(self) -> bool {
        matches!(self, Family::Ipv4Unicast)
    }

    /// The name in facts, digests and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Family::Ipv4Unicast => "ipv4-unicast",
            Family::Ipv6Unicast => "ipv6-unicast",
        }
    }

    /// The name of the routing table as operators know it.
    pub const fn table(self) -> &'static str {
        match self {
            Family::Ipv4Unicast => "inet.0",
            Family::Ipv6Unicast => "inet6.0",
        }
    }

    /// A small dense number, for arrays with one element per family.
    pub const fn index(self) -> usize {
        match self {
            Family::Ipv4Unicast => 0,
            Family::Ipv6Unicast => 1,
        }
    }

    /// Length of a host prefix: 32 or 128.
    pub const fn max_prefix_len(self) -> u8 {
        match self {
            Family::Ipv4Unicast => 32,
            Family::Ipv6Unicast => 128,
        }
    }

    /// The unicast family that a prefix belongs to.
    pub const fn of(prefix: &IpNet) -> Family {
        match prefix {
            IpNet::V4(_) => Family::Ipv4Unicast,
            IpNet::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// The unicast family that an address belongs to.
    pub const fn of_address(address: &IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::Ipv4Unicast,
            IpAddr::V6(_) => Family::Ipv6Unicast,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_pair_and_index_round_trip() {
        for (index, family) in Family::ALL.into_iter().enumerate() {
            assert_eq!(Family::from_afi_safi(family.afi(), family.safi()), Some(family));
            assert_eq!(family.index(), index);
        }
        assert_eq!(Family::from_afi_safi(1, 2), None);
        assert_eq!(Family::from_afi_safi(25, 70), None);
    }
}
