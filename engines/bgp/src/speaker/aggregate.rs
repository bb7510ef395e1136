//! Aggregates: routes of our own that exist as long as a longer one does (RFC 4271 §9.2.2.2).
//!
//! What becomes of an aggregate follows from the active routes that it covers and nothing else, so both engines come to the same
//! without telling each other. A change of a covered route marks it; in the background the covered routes are looked through
//! once, whatever has changed meanwhile.

use holdfast_policy::{Chain, Changes, Disposition, PolicyError, PolicySet, Protocol};
use holdfast_proto::v1::{AggregateRoute, aggregate_route};
use holdfast_rib::{ActiveRoute, Family, NexthopSpec, PrefixId, Protocol as RibProtocol, Rib};
use ipnet::IpNet;

use crate::wire::{AsPath, Origin, PathAttributes, Segment, SegmentKind};

use super::Speaker;
use super::attributes::{AttributeId, AttributeSet};
use super::export_rules::Teller;
use super::group::ourselves;
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
    /// To be worked out anew.
    dirty: bool,
    /// Under which it is told on; none: no route contributes.
    pub attributes: AttributeId,
}

impl Aggregate {
    /// It is to be worked out anew.
    pub fn mark(&mut self) {
        self.dirty = true;
    }
}

/// What the contributing routes have in common.
#[derive(Default)]
struct Contributions {
    any: bool,
    origin: Origin,
    /// A route was put together before, or parts of its path are not in the aggregate's.
    atomic: bool,
    /// The path that all have begun with; none: there was no path yet.
    common: Option<Vec<u32>>,
    /// Every AS on any path.
    asns: Vec<u32>,
    communities: Vec<u32>,
    /// Preference and prefix of the first among them, and where it goes.
    first: Option<(u8, IpNet, NexthopSpec)>,
}

impl Contributions {
    fn add(&mut self, attributes: Option<&PathAttributes>) {
        self.any = true;
        let none = PathAttributes::default();
        let attributes = attributes.unwrap_or(&none);
        self.origin = self.origin.max(attributes.origin);
        self.atomic |= attributes.atomic_aggregate;
        self.asns.extend(attributes.as_path.asns());
        self.communities.extend(&attributes.communities);
        let path = leading_sequence(&attributes.as_path);
        match &mut self.common {
            None => self.common = Some(path),
            Some(common) => {
                let equal = common.iter().zip(&path).take_while(|(one, other)| one == other).count();
                common.truncate(equal);
            }
        }
    }

    /// RFC 4271 §9.2.2.2.
    fn into_attributes(mut self, as_set: bool, aggregator: (u32, std::net::Ipv4Addr)) -> PathAttributes {
        let mut attributes = PathAttributes {
            origin: self.origin,
            aggregator: Some(aggregator),
            atomic_aggregate: self.atomic || !as_set && !self.asns.is_empty(),
            ..PathAttributes::default()
        };
        if as_set {
            let common = self.common.unwrap_or_default();
            // What bore our own AS would be a loop to ourselves.
            self.asns.retain(|asn| !common.contains(asn) && *asn != aggregator.0);
            attributes.as_path = AsPath::sequence(&common);
            let asns = sorted(self.asns);
            if !asns.is_empty() {
                attributes.as_path.segments.push(Segment { kind: SegmentKind::Set, asns });
            }
            attributes.communities = sorted(self.communities);
        }
        attributes
    }
}

fn leading_sequence(path: &AsPath) -> Vec<u32> {
    let sequences = path.segments.iter().take_while(|segment| segment.kind == SegmentKind::Sequence);
    sequences.flat_map(|segment| segment.asns.iter().copied()).collect()
}

fn sorted(mut values: Vec<u32>) -> Vec<u32> {
    values.sort_unstable();
    values.dedup();
    values
}

/// The aggregates of a configuration. Those that stay as they were keep what is known of them; all are looked at anew.
pub fn compile(wanted: &[AggregateRoute], policies: &PolicySet) -> Result<Vec<Aggregate>, PolicyError> {
    let compiled = wanted.iter().filter_map(|config| Some((config.prefix.parse::<IpNet>().ok()?.trunc(), config)));
    compiled
        .map(|(prefix, config)| {
            let policy = policies.chain(&config.policies)?;
            Ok(Aggregate { prefix, config: config.clone(), policy, dirty: true, attributes: AttributeId::NONE })
        })
        .collect()
}

impl Speaker {
    /// Puts other aggregates in force.
    pub(super) fn set_aggregates(&mut self, mut wanted: Vec<Aggregate>, rib: &mut Rib) {
        for before in std::mem::take(&mut self.aggregates) {
            match wanted.iter_mut().find(|aggregate| aggregate.prefix == before.prefix) {
                Some(stays) => stays.attributes = before.attributes,
                None => {
                    rib.set_aggregate(before.prefix, None);
                    self.attributes.release(before.attributes, rib);
                }
            }
        }
        self.aggregates = wanted;
    }

    /// A destination's route has changed: what covers it may have, too.
    pub(super) fn touch_aggregates(&mut self, family: Family, prefix_id: PrefixId, rib: &Rib) {
        if self.aggregates.is_empty() {
            return;
        }
        let Some(prefix) = rib.prefixes(family).try_prefix(prefix_id) else { return };
        for aggregate in self.aggregates.iter_mut().filter(|aggregate| covers(&aggregate.prefix, &prefix)) {
            aggregate.dirty = true;
        }
    }

    /// Whether [`Self::work_out_aggregate`] has anything to do.
    pub(super) fn has_dirty_aggregates(&self) -> bool {
        self.aggregates.iter().any(|aggregate| aggregate.dirty)
    }

    /// Works the next marked one out. The longest come first: they contribute to shorter ones.
    pub(super) fn work_out_aggregate(&mut self, rib: &mut Rib) {
        let marked = self.aggregates.iter().enumerate().filter(|(_, aggregate)| aggregate.dirty);
        let Some((index, _)) = marked.max_by_key(|(_, aggregate)| aggregate.prefix.prefix_len()) else { return };
        self.aggregates[index].dirty = false;
        let contributions = self.contributions(index, rib);
        let (aggregator, aggregate) = ((self.local_as, self.router_id), &self.aggregates[index]);
        let (prefix, before, preference) = (aggregate.prefix, aggregate.attributes, aggregate.config.preference);
        let family = Family::of(&prefix);
        let spec = match aggregate.config.kind() {
            aggregate_route::Kind::Reject => Some(NexthopSpec::Reject),
            aggregate_route::Kind::Discard => Some(NexthopSpec::Discard),
            aggregate_route::Kind::Generate => contributions.first.as_ref().map(|(.., spec)| spec.clone()),
        };
        let route = spec.filter(|_| contributions.any).map(|spec| (spec, preference.min(u32::from(u8::MAX)) as u8));
        let attributes = if route.is_some() {
            let attributes = contributions.into_attributes(aggregate.config.as_set, aggregator);
            self.attributes.intern_values(&attributes, ourselves(family))
        } else {
            AttributeId::NONE
        };
        self.aggregates[index].attributes = attributes;
        rib.set_aggregate(prefix, route);
        if attributes != before
            && let Some(prefix_id) = rib.prefixes(family).get(prefix)
        {
            self.mark_dirty(family, prefix_id, is_led_by_bgp(rib, family, prefix_id), rib);
        }
        self.attributes.release(before, rib);
    }

    fn contributions(&mut self, index: usize, rib: &Rib) -> Contributions {
        let (prefix, policy) = (self.aggregates[index].prefix, self.aggregates[index].policy.clone());
        let family = Family::of(&prefix);
        let mut contributions = Contributions::default();
        let mut covered: Vec<(PrefixId, IpNet)> = rib.prefixes(family).covered_by(prefix).collect();
        // The digest of attributes must not depend on the numbers of prefixes, which differ between engines.
        covered.sort_unstable_by_key(|(_, prefix)| *prefix);
        for (prefix_id, contributor) in covered.into_iter().filter(|(_, contributor)| *contributor != prefix) {
            let Some(active) = rib.active(family, prefix_id) else { continue };
            let (attributes, protocol, told_by) = self.contributor(family, prefix_id, contributor, &active);
            let next_hop = attributes.and_then(|id| self.attributes.get(id)).map(AttributeSet::next_hop);
            let attributes = attributes.and_then(|id| self.attributes.decoded(id));
            let none = PathAttributes::default();
            let route = PolicyRoute {
                prefix: contributor,
                protocol,
                neighbor: told_by.map(|told_by| told_by.address),
                target: None,
                external: told_by.map(|told_by| told_by.external),
                next_hop: next_hop.unwrap_or_else(|| ourselves(family)),
                local: LocalPart { preference: Some(active.preference), tag: active.tag, ..LocalPart::default() },
                attributes: attributes.as_deref().unwrap_or(&none),
            };
            if policy.evaluate(&route, Disposition::Accept, &mut Changes::default()) != Disposition::Accept {
                continue;
            }
            contributions.add(attributes.as_deref());
            let better = contributions.first.as_ref().is_none_or(|(preference, ..)| active.preference < *preference);
            if let Some(spec) = rib.nexthop(active.nexthop).filter(|_| better) {
                contributions.first = Some((active.preference, contributor, spec.clone()));
            }
        }
        contributions
    }

    /// A covered route as policy sees it.
    fn contributor(
        &self,
        family: Family,
        prefix_id: PrefixId,
        prefix: IpNet,
        active: &ActiveRoute,
    ) -> (Option<AttributeId>, Protocol, Option<Teller>) {
        match active.protocol {
            RibProtocol::Bgp => {
                let best = self.tables[family.index()].best(prefix_id);
                let teller = best.and_then(|best| self.get(best.neighbor)).map(Neighbor::as_teller);
                (best.map(|best| best.attributes), Protocol::Bgp, teller)
            }
            RibProtocol::Aggregate => (Some(self.aggregate_attributes(&prefix)), Protocol::Aggregate, None),
            RibProtocol::Static => (None, Protocol::Static, None),
            RibProtocol::Direct => (None, Protocol::Direct, None),
        }
    }

    /// Under which an aggregate is told on.
    pub(super) fn aggregate_attributes(&self, prefix: &IpNet) -> AttributeId {
        let found = self.aggregates.iter().find(|aggregate| aggregate.prefix == *prefix);
        found.map_or(AttributeId::NONE, |aggregate| aggregate.attributes)
    }
}

fn covers(aggregate: &IpNet, prefix: &IpNet) -> bool {
    aggregate.contains(prefix) && aggregate != prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(paths: &[&[u32]], as_set: bool) -> PathAttributes {
        let mut contributions = Contributions::default();
        for path in paths {
            let attributes = PathAttributes { as_path: AsPath::sequence(path), ..PathAttributes::default() };
            contributions.add(Some(&attributes));
        }
        contributions.into_attributes(as_set, (65000, [192, 0, 2, 1].into()))
    }

    #[test]
    fn paths_are_put_together() {
        let paths: [&[u32]; 3] = [&[1, 2, 3], &[1, 2, 4], &[1, 2]];
        assert_eq!(with(&paths, true).as_path.to_string(), "1 2 {3 4}");
        assert_eq!(with(&[&[1, 2], &[1, 2]], true).as_path.to_string(), "1 2", "equal paths stay whole");
        assert_eq!(with(&[&[1, 2], &[]], true).as_path.to_string(), "{1 2}", "one of our own has none");
        assert_eq!(with(&[&[1, 65000], &[2]], true).as_path.to_string(), "{1 2}", "not ourselves");
        assert!(!with(&paths, true).atomic_aggregate);
        let without = with(&paths, false);
        assert_eq!((without.as_path.to_string().as_str(), without.atomic_aggregate), ("", true));
        assert!(!with(&[&[]], false).atomic_aggregate, "nothing is missing in it");
        assert_eq!(without.aggregator, Some((65000, [192, 0, 2, 1].into())));
    }
}
