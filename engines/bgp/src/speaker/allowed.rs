//! Neighbours that need not be configured: whoever connects from an allowed prefix, up to a number, with what its group has.
//!
//! Such a neighbour begins with its connection and ends with it, once nothing of it is left: no stale routes wait, its routes are
//! swept. A follower finds what it needs in its own configuration when the first fact of it comes; its end is a fact, because what it
//! waits for is the primary's.

use std::net::IpAddr;
use std::time::Duration;

use holdfast_policy::{Chain, PolicySet};
use holdfast_proto::v1::{BgpAllowed, BgpAllowedView, BgpConfig, BgpEvent, BgpNeighborConfig, bgp_event};
use holdfast_rib::Rib;
use ipnet::IpNet;

use crate::wire::{Cease, NotificationMessage};

use super::action::{Action, Rejection};
use super::limits::NEIGHBORS_MAX;
use super::neighbor::Neighbor;
use super::settings::{SettingsError, Wanted};
use super::table::NeighborId;
use super::{Speaker, facts};

/// A prefix that neighbours are accepted from.
pub struct Allowed {
    prefix: IpNet,
    limit: u32,
    template: BgpNeighborConfig,
    import: Chain,
    export: Chain,
}

impl Allowed {
    fn new(allowed: &BgpAllowed, policies: &PolicySet) -> Result<Self, SettingsError> {
        let template = allowed.template.clone().unwrap_or_default();
        Ok(Self {
            prefix: allowed.prefix.parse().map_err(|_| SettingsError::Prefix(allowed.prefix.clone()))?,
            limit: allowed.limit,
            import: policies.chain(&template.import_policies)?,
            export: policies.chain(&template.export_policies)?,
            template,
        })
    }

    /// Those of a configuration.
    pub(super) fn all(bgp: &BgpConfig, policies: &PolicySet) -> Result<Vec<Self>, SettingsError> {
        bgp.allowed.iter().map(|allowed| Self::new(allowed, policies)).collect()
    }

    /// The one that an address belongs to: the longest prefix.
    pub(super) fn of(all: &[Self], address: IpAddr) -> Option<&Self> {
        all.iter().filter(|allowed| allowed.prefix.contains(&address)).max_by_key(|allowed| allowed.prefix.prefix_len())
    }

    /// What a neighbour with this address is configured with.
    pub(super) fn settings(&self, address: IpAddr) -> Wanted {
        let config = BgpNeighborConfig { address: address.to_string(), passive: true, ..self.template.clone() };
        Wanted { address, config, import: self.import.clone(), export: self.export.clone(), allowed: true }
    }
}

impl Neighbor {
    /// Nothing is left of it, and nothing is waited for.
    fn is_over(&self) -> bool {
        self.allowed
            && self.up.is_none()
            && !self.session.is_connected()
            && self.session.next_attempt().is_none()
            && self.stale.is_none()
            && self.claims_restart_until.is_none()
            && self.idle_until.is_none()
            && self.families.iter().all(|family| family.sweep.is_none() && family.received.entries == 0)
    }
}

impl Speaker {
    /// Any prefix is allowed: connections may come although nobody is configured.
    pub fn allows_any(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// What somebody at this address is configured with, or would be.
    pub(super) fn settings_of(&self, address: IpAddr) -> Option<&BgpNeighborConfig> {
        let known = self.find_neighbor(address).and_then(|id| self.get(id)).map(|neighbor| &neighbor.config);
        known.or_else(|| Allowed::of(&self.allowed, address.to_canonical()).map(|allowed| &allowed.template))
    }

    /// Somebody who is not configured has connected: he is a neighbour from now on, if he may be one.
    pub(super) fn welcome(&mut self, address: IpAddr, rib: &mut Rib, now: Duration) -> Result<NeighborId, Rejection> {
        let reject = |reason| {
            let notification = Some(NotificationMessage::cease(Cease::ConnectionRejected));
            Err(Rejection { reason, notification })
        };
        let Some(allowed) = Allowed::of(&self.allowed, address) else {
            return reject(format!("{address} is not a configured neighbor"));
        };
        let (prefix, limit) = (allowed.prefix, allowed.limit);
        if self.neighbors_of(prefix) >= limit {
            let remedy = "raise limit there, or wait until one of them is gone";
            return reject(format!("{address}: allow {prefix} has its {limit} neighbors already; {remedy}"));
        }
        if self.by_address.len() >= NEIGHBORS_MAX {
            return reject(format!("{address}: there are {NEIGHBORS_MAX} neighbors, the most this version handles"));
        }
        self.add_allowed(address, rib, now);
        self.find_neighbor(address).map_or_else(|| reject(format!("{address} is not allowed")), Ok)
    }

    /// Makes a neighbour of somebody whose address is in an allowed prefix.
    pub(super) fn add_allowed(&mut self, address: IpAddr, rib: &mut Rib, now: Duration) {
        let Some(allowed) = Allowed::of(&self.allowed, address) else { return };
        let wanted = allowed.settings(address);
        self.add_neighbor(wanted, rib, now);
    }

    fn neighbors_of(&self, prefix: IpNet) -> u32 {
        let same = |neighbor: &&Neighbor| {
            neighbor.allowed && Allowed::of(&self.allowed, neighbor.address).is_some_and(|a| a.prefix == prefix)
        };
        self.neighbors.iter().flatten().filter(same).count() as u32
    }

    /// The prefix that a neighbour owes its place to; empty: it is configured.
    pub(super) fn allowed_by(&self, neighbor: &Neighbor) -> String {
        let allowed = Allowed::of(&self.allowed, neighbor.address).filter(|_| neighbor.allowed);
        allowed.map(|allowed| allowed.prefix.to_string()).unwrap_or_default()
    }

    /// Each prefix and how many have come from it.
    pub(super) fn allowed_views(&self) -> Vec<BgpAllowedView> {
        let view = |allowed: &Allowed| BgpAllowedView {
            group: allowed.template.group.clone(),
            prefix: allowed.prefix.to_string(),
            neighbors: self.neighbors_of(allowed.prefix),
            limit: allowed.limit,
        };
        self.allowed.iter().map(view).collect()
    }

    /// Those of whom nothing is left are forgotten.
    pub(super) fn forget_allowed(&mut self, rib: &mut Rib, now: Duration) {
        let over: Vec<NeighborId> =
            self.neighbors.iter().flatten().filter(|neighbor| neighbor.is_over()).map(|neighbor| neighbor.id).collect();
        for id in over {
            let Some(address) = self.neighbor_address(id) else { continue };
            let event = BgpEvent { event: Some(bgp_event::Event::Forgotten(true)) };
            self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
            self.remove_neighbor(id, rib, now);
            self.retire_groups();
        }
    }
}
