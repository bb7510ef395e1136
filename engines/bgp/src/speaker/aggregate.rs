//! Aggregates: routes of our own that exist as long as a longer one does (RFC 4271 §9.2.2.2).
//!
//! What becomes of an aggregate follows from the active routes that it covers and nothing else, so both engines come to the same
//! without telling each other. Which of these contribute, and with what, is kept (`contributions`): a route that changes is marked,
//! and in the background looked at again, alone. Only a new configuration has the whole table looked through, in slices; until
//! that is done, what was told of the aggregate stays. So a turn's work is bounded, however much an aggregate covers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_policy::{Chain, Changes, Disposition, PolicyError, PolicySet, Protocol};
use holdfast_proto::v1::{AggregateRoute, aggregate_route};
use holdfast_rib::{ActiveRoute, DirtySet, Family, NexthopSpec, PrefixId, Protocol as RibProtocol, Rib};
use ipnet::IpNet;

use crate::wire::PathAttributes;

use super::Speaker;
use super::action::Action;
use super::attributes::{AttributeId, AttributeSet};
use super::contributions::{Contributions, Contributor, Parts};
use super::export_rules::Teller;
use super::group::ourselves;
use super::limits::BACKGROUND_BATCH;
use super::local::LocalPart;
use super::neighbor::Neighbor;
use super::output::is_led_by_bgp;
use super::policy_view::PolicyRoute;

/// One aggregate.
pub struct Aggregate {
    prefix: IpNet,
    config: AggregateRoute,
    /// Which routes contribute.
    policy: Chain,
    members: Members,
    /// The whole table is being looked through, from here on.
    scan: Option<u32>,
    /// Its route is to be worked out anew.
    outdated: bool,
    /// Under which it is told on; none: no route contributes, or what all have is longer than a message can be.
    pub attributes: AttributeId,
    /// The log was told that these are too long.
    warned_of_length: bool,
}

/// The routes that contribute to an aggregate. Their prefixes are held in the RIB's table, so that their numbers keep their meaning.
#[derive(Default)]
pub struct Members {
    counted: BTreeMap<PrefixId, Contributor>,
    common: Contributions,
    /// Destinations that have changed, to be looked at again.
    waiting: DirtySet,
}

impl Aggregate {
    /// Its route is to be worked out anew, from the same contributors.
    pub fn mark(&mut self) {
        self.outdated = true;
    }

    fn family(&self) -> Family {
        Family::of(&self.prefix)
    }

    fn has_work(&self) -> bool {
        self.outdated || self.scan.is_some() || !self.members.waiting.is_empty()
    }

    fn covers(&self, prefix: &IpNet) -> bool {
        self.prefix.contains(prefix) && self.prefix != *prefix
    }
}

/// What has to be known of the contributors for this configuration.
fn parts(config: &AggregateRoute) -> Parts {
    Parts { as_set: config.as_set, first: config.kind() == aggregate_route::Kind::Generate }
}

/// The aggregates of a configuration, all to be looked at anew.
pub fn compile(wanted: &[AggregateRoute], policies: &PolicySet) -> Result<Vec<Aggregate>, PolicyError> {
    let compiled = wanted.iter().filter_map(|config| Some((config.prefix.parse::<IpNet>().ok()?.trunc(), config)));
    compiled
        .map(|(prefix, config)| {
            Ok(Aggregate {
                prefix,
                config: config.clone(),
                policy: policies.chain(&config.policies)?,
                members: Members { common: Contributions::new(parts(config)), ..Members::default() },
                scan: Some(0),
                outdated: true,
                attributes: AttributeId::NONE,
                warned_of_length: false,
            })
        })
        .collect()
}

impl Speaker {
    /// Puts other aggregates in force. Those that stay keep what is known of them until it is known anew.
    pub(super) fn set_aggregates(&mut self, mut wanted: Vec<Aggregate>, rib: &mut Rib) {
        for mut before in std::mem::take(&mut self.aggregates) {
            let family = before.family();
            match wanted.iter_mut().find(|aggregate| aggregate.prefix == before.prefix) {
                Some(stays) => {
                    (stays.attributes, stays.warned_of_length) = (before.attributes, before.warned_of_length);
                    if stays.members.common.parts() == before.members.common.parts() {
                        std::mem::swap(&mut stays.members, &mut before.members);
                    }
                }
                None => {
                    rib.set_aggregate(before.prefix, None);
                    self.attributes.release(before.attributes, rib);
                }
            }
            self.former_members.push((family, before.members));
        }
        self.aggregates = wanted;
    }

    /// A destination's route has changed: what covers it may have, too.
    pub(super) fn touch_aggregates(&mut self, family: Family, prefix_id: PrefixId, rib: &mut Rib) {
        if self.aggregates.is_empty() {
            return;
        }
        let Some(prefix) = rib.prefixes(family).try_prefix(prefix_id) else { return };
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| aggregate.covers(&prefix)) {
            if aggregate.members.waiting.insert(prefix_id.0) {
                rib.prefixes_mut(family).retain(prefix_id);
            }
        }
    }

    /// Whether [`Self::aggregates_slice`] has anything to do.
    pub(super) fn aggregates_have_work(&self) -> bool {
        !self.former_members.is_empty() || self.aggregates.iter().any(Aggregate::has_work)
    }

    /// A slice of the work on aggregates. The longest come first: they contribute to shorter ones. Says how many destinations it
    /// has looked at: no more than [`BACKGROUND_BATCH`].
    pub(super) fn aggregates_slice(&mut self, rib: &mut Rib) -> usize {
        let mut left = BACKGROUND_BATCH as usize;
        self.forget_former_members(&mut left, rib);
        let at_work = self.aggregates.iter().enumerate().filter(|(_, aggregate)| aggregate.has_work());
        let mut order: Vec<(Reverse<u8>, usize)> =
            at_work.map(|(index, aggregate)| (Reverse(aggregate.prefix.prefix_len()), index)).collect();
        order.sort_unstable();
        for (_, index) in order {
            self.look_through(index, &mut left, rib);
            self.look_again(index, &mut left, rib);
            let aggregate = &mut self.aggregates[index];
            if aggregate.scan.is_none() && std::mem::take(&mut aggregate.outdated) {
                self.work_out_aggregate(index, rib);
            }
        }
        BACKGROUND_BATCH as usize - left
    }

    /// A part of the whole table, for an aggregate of a new configuration. Half of what is left: what changes meanwhile goes on.
    fn look_through(&mut self, index: usize, left: &mut usize, rib: &mut Rib) {
        let aggregate = &mut self.aggregates[index];
        let family = aggregate.family();
        let Some(from) = aggregate.scan else { return };
        let capacity = rib.prefixes(family).capacity();
        let to = capacity.min(from.saturating_add(left.div_ceil(2) as u32));
        aggregate.scan = (to < capacity).then_some(to);
        *left -= to.saturating_sub(from) as usize;
        let policy = aggregate.policy.clone();
        for prefix_id in (from..to).map(PrefixId) {
            self.recount(index, prefix_id, &policy, rib);
        }
    }

    /// Destinations that have changed.
    fn look_again(&mut self, index: usize, left: &mut usize, rib: &mut Rib) {
        let (family, policy) = (self.aggregates[index].family(), self.aggregates[index].policy.clone());
        while *left > 0
            && let Some(prefix_id) = self.aggregates[index].members.waiting.pop().map(PrefixId)
        {
            *left -= 1;
            self.recount(index, prefix_id, &policy, rib);
            rib.prefixes_mut(family).release(prefix_id);
        }
    }

    /// Counts one destination as it is now, instead of as it was.
    fn recount(&mut self, index: usize, prefix_id: PrefixId, policy: &Chain, rib: &mut Rib) {
        let (family, parts) = (self.aggregates[index].family(), parts(&self.aggregates[index].config));
        let Some(prefix) = rib.prefixes(family).try_prefix(prefix_id) else { return };
        if !self.aggregates[index].covers(&prefix) {
            return;
        }
        let route = (prefix_id, prefix);
        let now = self.contribution(family, route, policy, parts, rib);
        let members = &mut self.aggregates[index].members;
        let before = match &now {
            Some((counted, _)) => members.counted.insert(prefix_id, *counted),
            None => members.counted.remove(&prefix_id),
        };
        if now.is_some() && before.is_none() {
            rib.prefixes_mut(family).retain(prefix_id);
        }
        let same = before == now.as_ref().map(|(counted, _)| *counted);
        // Where the first one goes is asked when the route is worked out.
        self.aggregates[index].outdated |= !same || parts.first;
        if !same && let Some(counted) = before {
            let attributes = self.attributes.decoded(counted.attributes).unwrap_or_default();
            self.aggregates[index].members.common.remove(route, &counted, &attributes);
        }
        if !same && let Some((counted, attributes)) = &now {
            self.attributes.retain(counted.attributes);
            self.aggregates[index].members.common.add(route, counted, attributes);
        }
        if !same && let Some(counted) = before {
            self.attributes.release(counted.attributes, rib);
        }
        if now.is_none() && before.is_some() {
            rib.prefixes_mut(family).release(prefix_id);
        }
    }

    /// What a covered destination contributes, if anything.
    fn contribution(
        &mut self,
        family: Family,
        (prefix_id, prefix): (PrefixId, IpNet),
        policy: &Chain,
        parts: Parts,
        rib: &Rib,
    ) -> Option<(Contributor, Arc<PathAttributes>)> {
        let active = rib.active(family, prefix_id)?;
        let (id, protocol, told_by) = self.contributor(family, prefix_id, prefix, &active);
        let next_hop = self.attributes.get(id).map(AttributeSet::next_hop);
        let attributes = self.attributes.decoded(id).unwrap_or_default();
        let route = PolicyRoute {
            prefix,
            protocol,
            neighbor: told_by.map(|told_by| told_by.address),
            target: None,
            external: told_by.map(|told_by| told_by.external),
            next_hop: next_hop.unwrap_or_else(|| ourselves(family)),
            local: LocalPart { preference: Some(active.preference), tag: active.tag, ..LocalPart::default() },
            attributes: &attributes,
        };
        if policy.evaluate(&route, Disposition::Accept, &mut Changes::default()) != Disposition::Accept {
            return None;
        }
        let mut counted = Contributor::new(active.preference, &attributes);
        if parts.as_set {
            counted.attributes = id;
        }
        Some((counted, attributes))
    }

    /// The aggregate's route, from what is counted.
    fn work_out_aggregate(&mut self, index: usize, rib: &mut Rib) {
        let aggregate = &self.aggregates[index];
        let (prefix, before, family) = (aggregate.prefix, aggregate.attributes, aggregate.family());
        let common = &aggregate.members.common;
        let spec = match aggregate.config.kind() {
            aggregate_route::Kind::Reject => Some(NexthopSpec::Reject),
            aggregate_route::Kind::Discard => Some(NexthopSpec::Discard),
            aggregate_route::Kind::Generate => {
                let active = common.first().and_then(|first| rib.active(family, first));
                active.and_then(|active| rib.nexthop(active.nexthop)).cloned()
            }
        };
        let preference = aggregate.config.preference.min(u32::from(u8::MAX)) as u8;
        let route = spec.filter(|_| common.any()).map(|spec| (spec, preference));
        let told = route.as_ref().and_then(|_| common.attributes((self.local_as, self.router_id)));
        let attributes = told.map_or(AttributeId::NONE, |told| self.attributes.intern_values(&told, ourselves(family)));
        self.aggregates[index].attributes = attributes;
        self.note_aggregate_length(index, route.is_some() && attributes.is_none());
        rib.set_aggregate(prefix, route);
        if attributes != before
            && let Some(prefix_id) = rib.prefixes(family).get(prefix)
        {
            self.mark_dirty(family, prefix_id, is_led_by_bgp(rib, family, prefix_id), rib);
        }
        self.attributes.release(before, rib);
    }

    /// An aggregate has become longer than any message, or is not any more; the log is told once.
    fn note_aggregate_length(&mut self, index: usize, too_long: bool) {
        let aggregate = &mut self.aggregates[index];
        let was_known = std::mem::replace(&mut aggregate.warned_of_length, too_long && !self.following);
        if aggregate.warned_of_length && !was_known {
            let text = format!(
                "aggregate {}: nobody is told of it: the AS numbers and communities of all routes in it are more than a message has room for; \
                 delete as-set, or let a policy take fewer routes",
                aggregate.prefix
            );
            self.actions.push_back(Action::Warn { text });
        }
    }

    /// What was counted for aggregates that are no more, or not as they were, lets go of what it holds.
    fn forget_former_members(&mut self, left: &mut usize, rib: &mut Rib) {
        while *left > 0
            && let Some((family, members)) = self.former_members.last_mut()
        {
            let counted = members.counted.pop_first();
            let Some(prefix_id) = counted.map(|(id, _)| id).or_else(|| members.waiting.pop().map(PrefixId)) else {
                self.former_members.pop();
                continue;
            };
            *left -= 1;
            rib.prefixes_mut(*family).release(prefix_id);
            self.attributes.release(counted.map_or(AttributeId::NONE, |(_, counted)| counted.attributes), rib);
        }
    }

    /// A covered route as policy sees it.
    fn contributor(
        &self,
        family: Family,
        prefix_id: PrefixId,
        prefix: IpNet,
        active: &ActiveRoute,
    ) -> (AttributeId, Protocol, Option<Teller>) {
        match active.protocol {
            RibProtocol::Bgp => {
                let best = self.tables[family.index()].best(prefix_id);
                let teller = best.and_then(|best| self.get(best.neighbor)).map(Neighbor::as_teller);
                (best.map_or(AttributeId::NONE, |best| best.attributes), Protocol::Bgp, teller)
            }
            RibProtocol::Aggregate => (self.aggregate_attributes(&prefix), Protocol::Aggregate, None),
            RibProtocol::Static => (AttributeId::NONE, Protocol::Static, None),
            RibProtocol::Direct => (AttributeId::NONE, Protocol::Direct, None),
        }
    }

    /// Under which an aggregate is told on.
    pub(super) fn aggregate_attributes(&self, prefix: &IpNet) -> AttributeId {
        let found = self.aggregates.iter().find(|aggregate| aggregate.prefix == *prefix);
        found.map_or(AttributeId::NONE, |aggregate| aggregate.attributes)
    }
}
