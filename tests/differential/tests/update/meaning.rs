//! What an UPDATE says, in terms that all codecs have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// AS_PATH: kind of each segment (RFC 4271 §4.3) and its AS numbers.
pub type Path = Vec<(u8, Vec<u32>)>;

/// Routes, by family: IPv4, IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    pub announced: [Vec<IpNet>; 2],
    pub withdrawn: [Vec<IpNet>; 2],
    pub next_hops: [Option<IpAddr>; 2],
    /// `None`: not worked out, because nothing is announced.
    pub attributes: Option<Attributes>,
}

/// Attributes of the announced routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub origin: Option<u8>,
    pub as_path: Option<Path>,
    pub med: Option<u32>,
    pub local_pref: Option<u32>,
    pub atomic_aggregate: bool,
    pub aggregator: Option<(u32, Ipv4Addr)>,
    pub communities: Vec<u32>,
    pub large_communities: Vec<[u32; 3]>,
    /// How many: one of the codecs does not keep their octets.
    pub extended_communities: usize,
    pub originator_id: Option<Ipv4Addr>,
    pub cluster_list: Vec<Ipv4Addr>,
}

impl Meaning {
    /// In what another codec's reading differs; `None`: in nothing that matters.
    pub fn difference(&self, other: &Meaning) -> Option<String> {
        let differs = |what: &str, ours: &dyn std::fmt::Debug, theirs: &dyn std::fmt::Debug| {
            Some(format!("{what}: {ours:?} and {theirs:?}"))
        };
        for family in 0..2 {
            let (ours, theirs) = (&self.announced[family], unicast(&other.announced[family]));
            if *ours != theirs {
                return differs("announced", ours, &theirs);
            }
            let (ours, theirs) = (&self.withdrawn[family], unicast(&other.withdrawn[family]));
            if *ours != theirs {
                return differs("withdrawn", ours, &theirs);
            }
            // A next hop without routes says nothing (RFC 4271 §5.1.3 speaks of destinations that are listed).
            if !self.announced[family].is_empty() && self.next_hops[family] != other.next_hops[family] {
                return differs("next hop", &self.next_hops[family], &other.next_hops[family]);
            }
        }
        // Attributes are those of the routes announced (RFC 4271 §4.3): without any, we do not work them out.
        let ours = self.attributes.as_ref()?;
        let theirs = other.attributes.as_ref()?;
        (ours != theirs).then(|| format!("attributes: {ours:?} and {theirs:?}"))
    }
}

/// RFC 4271 §6.3: a prefix that is no unicast prefix is logged and ignored. We leave them out when reading; others hand them on to whoever
/// uses the message.
fn unicast(prefixes: &[IpNet]) -> Vec<IpNet> {
    let is_unicast = |net: &&IpNet| match net {
        IpNet::V4(net) => net.prefix_len() < 4 || !net.addr().is_multicast(),
        IpNet::V6(net) if net.prefix_len() >= 10 && net.addr().is_unicast_link_local() => false,
        IpNet::V6(net) => net.prefix_len() < 8 || !net.addr().is_multicast(),
    };
    // RFC 4271 §4.3: bits beyond the length are irrelevant. Some keep them.
    prefixes.iter().map(IpNet::trunc).collect::<Vec<_>>().iter().filter(is_unicast).copied().collect()
}

/// RFC 2545 §3 wants a global address first; on links without one some send `::` there, and the link-local address is meant.
pub fn meant(next_hop: IpAddr, link_local: Option<Ipv6Addr>) -> IpAddr {
    match link_local.filter(|address| next_hop.is_unspecified() && address.is_unicast_link_local()) {
        Some(link_local) => IpAddr::V6(link_local),
        None => next_hop,
    }
}
