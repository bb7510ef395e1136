//! What the rules of BGP, before any policy, make of a received route: whether it may be used at all, and what changes.

use holdfast_proto::v1::BgpNeighborConfig;

use crate::wire::{self, PathAttributes, Role};

use super::communities;
use super::leak::{self, Arrival};
use super::local::Forwarding;
use super::neighbor::role_of;
use super::table::Refusal;

/// The rules for one neighbour's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportRules {
    /// Our AS numbers: the session's and the router's.
    own: [u32; 2],
    /// They may stand so often in the path.
    loops: usize,
    /// The path has to begin with this one.
    first: Option<u32>,
    /// Put before the path.
    behind: Option<u32>,
    /// What we are to the neighbour (RFC 9234), and its AS.
    role: Option<(Role, u32)>,
    /// Local preference of what the neighbour is about to give up (RFC 8326).
    at_shutdown: Option<u32>,
    /// What it marks is discarded (RFC 7999).
    blackhole: bool,
}

impl ImportRules {
    /// As configured. `router_as`: our own AS.
    pub fn of(config: &BgpNeighborConfig, router_as: u32) -> Self {
        let external = !config.internal;
        let known = config.well_known.unwrap_or_default();
        Self {
            own: [config.local_as, router_as],
            loops: config.own_as_loops as usize,
            first: (external && !config.no_enforce_first_as).then_some(config.peer_as),
            role: role_of(config).map(|role| (role, config.peer_as)),
            behind: (external && config.received_behind_as != 0).then_some(config.received_behind_as),
            at_shutdown: known.preference_at_shutdown.filter(|_| external),
            blackhole: known.blackhole,
        }
    }

    /// Why a route with these attributes (a canonical block) is not used, by its AS path.
    pub fn refusal(&self, block: &[u8]) -> Option<Refusal> {
        if wire::as_path_count(block, &self.own) > self.loops {
            return Some(Refusal::AsLoop); // RFC 4271 §9.1.2
        }
        // RFC 4271 §6.3: the neighbour's own AS is leftmost in what it tells.
        let unlike = self.first.is_some_and(|first| wire::as_path_first(block) != Some(first));
        unlike.then_some(Refusal::FirstAs)
    }

    /// What the neighbour's role makes of a route with these attributes.
    pub fn arrival(&self, block: &[u8]) -> Arrival {
        let judge = |(role, peer_as)| leak::arrival(role, peer_as, wire::only_to_customer(block));
        self.role.map_or(Arrival::AsItIs, judge)
    }

    /// Whether [`Self::preference_before_policy`] and [`Self::prepare`] change nothing about these attributes (a canonical block).
    pub fn leave_as_is(&self, block: &[u8]) -> bool {
        self.behind.is_none()
            && (self.at_shutdown.is_none() || !wire::has_community(block, communities::GRACEFUL_SHUTDOWN))
            && (!self.blackhole || !wire::has_community(block, communities::BLACKHOLE))
    }

    /// The local preference that policy begins with, of what the neighbour is about to give up (RFC 8326 §4.1): a policy that adds to it adds
    /// to this one.
    pub fn preference_before_policy(&self, attributes: &PathAttributes) -> Option<u32> {
        self.at_shutdown.filter(|_| attributes.communities.contains(&communities::GRACEFUL_SHUTDOWN))
    }

    /// What changes whatever policy says, and where packets go.
    pub fn prepare(&self, attributes: &mut PathAttributes) -> Forwarding {
        if let Some(asn) = self.behind {
            attributes.as_path.prepend(asn, 1);
        }
        if self.blackhole && attributes.communities.contains(&communities::BLACKHOLE) {
            communities::add(&mut attributes.communities, communities::NO_EXPORT); // RFC 7999 §3.2: it does not leave the AS
            return Forwarding::Discard;
        }
        Forwarding::NextHop
    }
}
