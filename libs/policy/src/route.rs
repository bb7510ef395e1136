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
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Protocol; 3] = [Protocol::Direct, Protocol::Static, Protocol::Bgp];

    /// The name in configuration and output.
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Direct => "direct",
            Protocol::Static => "static",
            Protocol::Bgp => "bgp",
        }
    }

    /// The protocol of a name.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
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
    /// Standard communities (RFC 1997), in any order.
    fn communities(&self) -> &[u32];
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
