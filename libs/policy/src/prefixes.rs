//! Matching prefixes: against lists by one hash look-up, against route filters by one per prefix length that occurs.

use hashbrown::{HashMap, HashSet};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

/// The members of a `prefix-list`; a route matches the same prefix only.
pub(crate) type PrefixSet = HashSet<IpNet>;

/// The route filters of one term, each as a network and the lengths allowed within it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RouteFilters {
    /// Per network its ranges of lengths, both ends included.
    ranges: HashMap<IpNet, SmallVec<[(u8, u8); 1]>>,
    /// Lengths of the networks that occur: IPv4, IPv6; ascending.
    lengths: [SmallVec<[u8; 8]>; 2],
}

impl RouteFilters {
    /// Adds a network, with the shortest and longest length that match within it.
    pub fn push(&mut self, network: IpNet, shortest: u8, longest: u8) {
        let network = network.trunc();
        let ranges = self.ranges.entry(network).or_default();
        if let Err(place) = ranges.binary_search(&(shortest, longest)) {
            ranges.insert(place, (shortest, longest));
        }
        let lengths = &mut self.lengths[family(&network)];
        if let Err(place) = lengths.binary_search(&network.prefix_len()) {
            lengths.insert(place, network.prefix_len());
        }
    }

    pub fn matches(&self, prefix: &IpNet) -> bool {
        let length = prefix.prefix_len();
        let networks = self.lengths[family(prefix)].iter().take_while(|network| **network <= length);
        networks.filter_map(|network| self.ranges.get(&shortened(prefix, *network))).any(|ranges| {
            let mut ranges = ranges.iter();
            ranges.any(|(shortest, longest)| (*shortest..=*longest).contains(&length))
        })
    }
}

fn family(prefix: &IpNet) -> usize {
    usize::from(matches!(prefix, IpNet::V6(_)))
}

/// The network of `length` that contains the prefix; `length` is at most the prefix's own.
fn shortened(prefix: &IpNet, length: u8) -> IpNet {
    match prefix {
        IpNet::V4(net) => IpNet::V4(Ipv4Net::new(net.addr(), length).unwrap_or(*net).trunc()),
        IpNet::V6(net) => IpNet::V6(Ipv6Net::new(net.addr(), length).unwrap_or(*net).trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn nets() -> impl Strategy<Value = IpNet> {
        prop_oneof![
            (0u32..8, 0u8..=32)
                .prop_map(|(bits, length)| IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits << 29), length).unwrap())),
            (0u128..8, 0u8..=128)
                .prop_map(|(bits, length)| IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits << 125), length).unwrap())),
        ]
    }

    proptest! {
        #[test]
        fn filters_match_like_their_definition(
            filters in prop::collection::vec((nets(), 0u8..=128, 0u8..=128), 0..12), probe in nets(),
        ) {
            let mut compiled = RouteFilters::default();
            filters.iter().for_each(|(net, low, high)| compiled.push(*net, *low, *high));
            let expected = filters.iter().any(|(net, low, high)| {
                net.trunc().contains(&probe.trunc()) && (*low..=*high).contains(&probe.prefix_len())
            });
            prop_assert_eq!(compiled.matches(&probe.trunc()), expected);
        }
    }
}
