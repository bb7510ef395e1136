//! What policy sees of a route.

use ipnet::IpNet;
use std::net::IpAddr;

/// Where a route comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// The subnet of an interface.
    Direct,
    /// Configured.
    Static,
    /// Learned by BGP.
    Bgp,
    /// Put together from longer routes.
    Aggregate,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Protocol; 4] = [Protocol::Direct, Protocol::Static, Protocol::Bgp, Protocol::Aggregate];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Direct => "direct",
            Protocol::Static => "static",
            Protocol::Bgp => "bgp",
            Protocol::Aggregate => "aggregate",
        }
    }

    /// The protocol of a name.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }
}

/// How a route came into BGP (RFC 4271 §5.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// From an interior protocol.
    #[default]
    Igp,
    /// From EGP.
    Egp,
    /// By other means.
    Incomplete,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Origin; 3] = [Origin::Igp, Origin::Egp, Origin::Incomplete];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        }
    }

    /// The origin of a name.
    pub fn from_name(name: &str) -> Option<Origin> {
        Origin::ALL.into_iter().find(|origin| origin.name() == name)
    }
}

/// A route under evaluation, as it was before policy.
pub trait RouteView {
    /// Destination.
    fn prefix(&self) -> IpNet;
    /// Where it comes from.
    fn protocol(&self) -> Protocol;
    /// The neighbour it was learned from.
    fn neighbor(&self) -> Option<IpAddr>;
    /// The neighbour it is to be told to; on import the one it was learned from.
    fn target(&self) -> Option<IpAddr>;
    /// Learned from another AS (true) or from our own (false).
    fn external(&self) -> Option<bool>;
    /// ORIGIN.
    fn origin(&self) -> Origin;
    /// Calls `hop` for each step of the AS path, nearest first: one AS, or the members of a set.
    fn as_path(&self, hop: &mut dyn FnMut(&[u32]));
    /// The length of the AS path as best path selection counts it (RFC 4271 §9.1.2.2 a).
    fn as_path_length(&self) -> u32;
    /// The BGP next hop.
    fn next_hop(&self) -> Option<IpAddr>;
    /// LOCAL_PREF; of a route without, what is taken for it.
    fn local_preference(&self) -> u32;
    /// MULTI_EXIT_DISC.
    fn metric(&self) -> Option<u32>;
    /// Preference against routes of other protocols.
    fn preference(&self) -> u32;
    /// The number an operator gave to it; 0: none.
    fn tag(&self) -> u32;
    /// Standard communities (RFC 1997), in any order.
    fn communities(&self) -> &[u32];
    /// Extended communities (RFC 4360), in any order.
    fn extended_communities(&self) -> &[[u8; 8]];
    /// Large communities (RFC 8092), in any order.
    fn large_communities(&self) -> &[[u32; 3]];
}

/// The outcome for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Taken in or sent out, with the changes.
    Accept,
    /// Not.
    Reject,
}
