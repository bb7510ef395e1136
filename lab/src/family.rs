//! The two families of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::bgp::message::Prefix;

/// Families of addresses and of routes (RFC 4760).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4 unicast.
    Inet,
    /// IPv6 unicast.
    Inet6,
}

/// A table is drawn up in IPv4. In IPv6 it has the same shape: behind these 16 bits come the 32 of IPv4.
const BEFORE_IPV4: u128 = 0x2a00 << 112;
/// How many bits those are.
pub const BITS_BEFORE_IPV4: u8 = 16;
/// How many bits come after.
const BITS_BEHIND_IPV4: u32 = 80;

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Inet, Self::Inet6];

    /// Which of two values is this family's.
    pub fn pick<T>(self, inet: T, inet6: T) -> T {
        match self {
            Self::Inet => inet,
            Self::Inet6 => inet6,
        }
    }

    /// The address that stands for one of the table.
    pub fn address(self, address: Ipv4Addr) -> IpAddr {
        self.pick(address.into(), Ipv6Addr::from(embed(address.into()) | 1).into())
    }
}

fn embed(address: u32) -> u128 {
    BEFORE_IPV4 | u128::from(address) << BITS_BEHIND_IPV4
}

/// The IPv6 prefix that stands for one of the table: address and length.
pub fn prefix6(prefix: Prefix) -> (u128, u8) {
    (embed(prefix.address), BITS_BEFORE_IPV4 + prefix.length)
}

/// The prefix of the table that an IPv6 one stands for, if it stands for any.
pub fn from_prefix6(address: u128, length: u8) -> Option<Prefix> {
    let length = length.checked_sub(BITS_BEFORE_IPV4).filter(|length| *length <= 32)?;
    let is_ours = address >> 112 == BEFORE_IPV4 >> 112;
    is_ours.then(|| Prefix::new((address >> BITS_BEHIND_IPV4) as u32, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_in_ipv6_has_the_shape_of_that_in_ipv4() {
        let prefix = Prefix::new(0x0102_0300, 24);
        let (address, length) = prefix6(prefix);
        assert_eq!((Ipv6Addr::from(address).to_string().as_str(), length), ("2a00:102:300::", 40));
        assert_eq!(from_prefix6(address, length), Some(prefix));
        assert_eq!(from_prefix6(address, 15), None);
        assert_eq!(from_prefix6(0x2001 << 112, 40), None);
        let inside = Ipv4Addr::new(1, 2, 3, 77);
        assert_eq!(Family::Inet6.address(inside).to_string(), "2a00:102:34d::1");
        assert_eq!(Family::Inet.address(inside), IpAddr::from(inside));
    }
}
