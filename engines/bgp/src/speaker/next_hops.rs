//! Which next hops a neighbour may name (RFC 4271 §5.1.3, §6.3).
//!
//! What an external neighbour one hop away tells leads to that neighbour itself, or to somebody on a subnet that we share, on whatever link.
//! Another next hop could be reached, too, where a static route leads there; but then the neighbour decides what we use that route
//! for, so an operator has to agree (`accept-remote-nexthop`). A next hop that import policy names is the operator's already.
//!
//! The RIB knows of each distinct next hop whether it is on a link, and says when that changes: nothing is asked here for each route.

use std::borrow::Cow;

use holdfast_proto::v1::BgpNeighborConfig;
use holdfast_rib::{NexthopSetId, Rib};

use super::attributes::AttributeSet;
use super::neighbor::Neighbor;

/// Whether next hops beyond our own links are usable, as far as configuration says. Who need not be one hop away cannot be bound to
/// our links.
pub fn remote_next_hops(config: &BgpNeighborConfig) -> bool {
    config.internal || config.multihop_ttl > 0 || config.ttl_security_hops > 1 || config.accept_remote_nexthop
}

impl Neighbor {
    /// Metric of the way to the next hop of what it tells; none: there is no way, or it may not be taken.
    #[inline]
    pub fn metric_of(&self, set: AttributeSet<'_>, nexthop: NexthopSetId, rib: &Rib) -> Option<u32> {
        let reach = rib.nexthop_reach(nexthop)?;
        (reach.on_link || self.may_name(set)).then_some(reach.metric)
    }

    /// Whether it may name this next hop wherever that is.
    fn may_name(&self, set: AttributeSet<'_>) -> bool {
        remote_next_hops(&self.config) || set.local().next_hop_named || set.next_hop().address() == self.address
    }

    /// Why what it tells is not usable by its next hop, in words; none: it is.
    pub fn why_not_by(
        &self,
        set: AttributeSet<'_>,
        nexthop: Option<NexthopSetId>,
        rib: &Rib,
    ) -> Option<Cow<'static, str>> {
        let Some(reach) = nexthop.and_then(|nexthop| rib.nexthop_reach(nexthop)) else {
            return Some("next hop unreachable".into());
        };
        (!reach.on_link && !self.may_name(set)).then(|| {
            let next_hop = set.next_hop();
            format!("next hop {next_hop} is on no link of ours (RFC 4271 section 6.3); accept-remote-nexthop lets it be used")
                .into()
        })
    }
}
