//! Routes as policy sees them, and what it asks for done to attributes.

use std::net::IpAddr;

use holdfast_policy::{self as policy, Changes, Protocol, RouteView};
use holdfast_rib::Protocol as RibProtocol;
use ipnet::IpNet;

use crate::wire::{AsPath, NextHop, Origin, PathAttributes, SegmentKind};

use super::decision::LOCAL_PREFERENCE_DEFAULT;
use super::local::LocalPart;

/// A route under evaluation, on its way in or out.
pub struct PolicyRoute<'a> {
    /// Destination.
    pub prefix: IpNet,
    /// Whose route it is.
    pub protocol: Protocol,
    /// Who told us.
    pub neighbor: Option<IpAddr>,
    /// Whom it is told to.
    pub target: Option<IpAddr>,
    /// Whether it was told by another AS.
    pub external: Option<bool>,
    /// Its next hop.
    pub next_hop: NextHop,
    /// What policy has said of it that is no attribute; of other protocols what they say.
    pub local: LocalPart,
    /// Its attributes.
    pub attributes: &'a PathAttributes,
}

impl RouteView for PolicyRoute<'_> {
    fn prefix(&self) -> IpNet {
        self.prefix
    }
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn neighbor(&self) -> Option<IpAddr> {
        self.neighbor
    }
    fn target(&self) -> Option<IpAddr> {
        self.target
    }
    fn external(&self) -> Option<bool> {
        self.external
    }
    fn origin(&self) -> policy::Origin {
        match self.attributes.origin {
            Origin::Igp => policy::Origin::Igp,
            Origin::Egp => policy::Origin::Egp,
            Origin::Incomplete => policy::Origin::Incomplete,
        }
    }
    fn as_path(&self, hop: &mut dyn FnMut(&[u32])) {
        for segment in &self.attributes.as_path.segments {
            match segment.kind {
                SegmentKind::Sequence | SegmentKind::ConfedSequence => {
                    segment.asns.iter().for_each(|asn| hop(std::slice::from_ref(asn)));
                }
                SegmentKind::Set | SegmentKind::ConfedSet => hop(&segment.asns),
            }
        }
    }
    fn as_path_length(&self) -> u32 {
        self.attributes.as_path.path_length() as u32
    }
    fn next_hop(&self) -> Option<IpAddr> {
        Some(self.next_hop.address()).filter(|address| !address.is_unspecified())
    }
    fn local_preference(&self) -> u32 {
        self.attributes.local_pref.unwrap_or(LOCAL_PREFERENCE_DEFAULT)
    }
    fn metric(&self) -> Option<u32> {
        self.attributes.med
    }
    fn preference(&self) -> u32 {
        let protocol = match self.protocol {
            Protocol::Direct => RibProtocol::Direct,
            Protocol::Static => RibProtocol::Static,
            Protocol::Bgp => RibProtocol::Bgp,
            Protocol::Aggregate => RibProtocol::Aggregate,
        };
        self.local.preference.unwrap_or_else(|| protocol.default_preference()).into()
    }
    fn tag(&self) -> u32 {
        self.local.tag
    }
    fn communities(&self) -> &[u32] {
        &self.attributes.communities
    }
    fn extended_communities(&self) -> &[[u8; 8]] {
        &self.attributes.extended_communities
    }
    fn large_communities(&self) -> &[[u32; 3]] {
        &self.attributes.large_communities
    }
}

/// Repeats the AS that the route came through last, as `as-path-expand` asks. On export this comes before our own AS does.
pub fn expand_path(path: &mut AsPath, changes: &Changes) {
    let nearest = path.segments.first().filter(|segment| segment.kind == SegmentKind::Sequence);
    if let Some(asn) = nearest.and_then(|segment| segment.asns.first().copied()) {
        path.prepend(asn, changes.expand.into());
    }
}

/// Changes attributes as the accepted policy terms asked.
pub fn apply_changes(attributes: &mut PathAttributes, changes: &Changes) {
    attributes.local_pref = changes.local_preference.or(attributes.local_pref);
    attributes.med = changes.metric.or(attributes.med);
    attributes.origin = match changes.origin {
        None => attributes.origin,
        Some(policy::Origin::Igp) => Origin::Igp,
        Some(policy::Origin::Egp) => Origin::Egp,
        Some(policy::Origin::Incomplete) => Origin::Incomplete,
    };
    if !changes.communities.is_empty() {
        attributes.communities = changes.standard_communities(&attributes.communities);
        attributes.extended_communities = changes.extended_communities(&attributes.extended_communities);
        attributes.large_communities = changes.large_communities(&attributes.large_communities);
    }
    // The leftmost of the list is to stand leftmost, so the last one goes in first.
    for asn in changes.prepend.iter().rev() {
        attributes.as_path.prepend(*asn, 1);
    }
}
