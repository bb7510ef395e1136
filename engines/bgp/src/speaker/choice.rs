//! What becomes of a destination's paths: the best, where it leads, and what stands by.

use holdfast_rib::{BgpRoute, Family, NexthopSetId, NexthopSpec, PrefixId, Protocol as RibProtocol, Rib};
use smallvec::SmallVec;

use crate::wire::link_bandwidth;

use super::Speaker;
use super::attributes::{AttributeId, AttributeSet};
use super::decision::{self, Candidate};
use super::local::Forwarding;
use super::shares;
use super::table::{Best, NeighborId, Path};

/// Usable paths.
pub(super) type Candidates = SmallVec<[Candidate; 8]>;
/// By the handles of candidates: from whom, and with what.
pub(super) type Sources = SmallVec<[(NeighborId, AttributeId); 8]>;

/// What was decided about a destination.
#[derive(Clone, Copy)]
struct Choice {
    best: Best,
    /// As the RIB takes it.
    route: BgpRoute,
    /// A next hop that was registered for it, to be released once the RIB holds it.
    interned: Option<NexthopSetId>,
}

impl Speaker {
    /// The usable paths to a destination, and by their handles from whom they are and with what.
    #[inline]
    pub(super) fn candidates(&mut self, family: Family, prefix: PrefixId, rib: &mut Rib) -> (Candidates, Sources) {
        let (mut candidates, mut sources) = (Candidates::new(), Sources::new());
        let paths = self.tables[family.index()].identified(prefix);
        let chain: SmallVec<[(u32, Path); 8]> = paths.map(|(identifier, path)| (identifier, *path)).collect();
        for (identifier, path) in chain.into_iter().filter(|(_, path)| !path.effective.is_none()) {
            let Some(scope) = self.get(path.neighbor).map(|neighbor| neighbor.scope) else { continue };
            self.attributes.nexthop_set(path.effective, scope, rib);
            if let Some(candidate) = self.candidate(sources.len() as u32, (identifier, &path), rib) {
                sources.push((path.neighbor, path.effective));
                candidates.push(candidate);
            }
        }
        (candidates, sources)
    }

    /// A path as the decision sees it, if it is usable: its next hop is registered, and reachable.
    #[inline]
    pub(super) fn candidate(&self, handle: u32, (identifier, path): (u32, &Path), rib: &Rib) -> Option<Candidate> {
        let (neighbor, set) = (self.get(path.neighbor)?, self.attributes.get(path.effective)?);
        let nexthop = self.attributes.nexthop(path.effective, neighbor.scope)?;
        Some(Candidate {
            handle,
            preference: preference_of(set),
            rank: *self.attributes.rank(set),
            external: !neighbor.config.internal,
            metric: neighbor.metric_of(set, nexthop, rib)?,
            router_id: neighbor.router_id,
            address: neighbor.address,
            identifier,
        })
    }

    /// The next hop of a neighbour's path as the RIB resolves it; none: it has not been registered.
    #[inline]
    pub(super) fn nexthop_of(&self, neighbor: NeighborId, attributes: AttributeId) -> Option<NexthopSetId> {
        self.attributes.nexthop(attributes, self.get(neighbor)?.scope)
    }

    /// The choice where there is one path, as nearly everywhere: it is usable, or there is none.
    fn choose_only(&mut self, path: Path, family: Family, rib: &mut Rib) -> Option<Choice> {
        let neighbor = self.get(path.neighbor)?;
        let (scope, installed) = (neighbor.scope, neighbor.installs(family));
        let nexthop = self.attributes.nexthop_set(path.effective, scope, rib)?;
        let (neighbor, set) = (self.get(path.neighbor)?, self.attributes.get(path.effective)?);
        neighbor.metric_of(set, nexthop, rib)?;
        let preference = preference_of(set);
        let best = Best { neighbor: path.neighbor, attributes: path.effective };
        Some(Choice { best, route: BgpRoute { nexthop, preference, installed }, interned: None })
    }

    fn choose(&mut self, family: Family, prefix: PrefixId, rib: &mut Rib) -> Option<Choice> {
        let (all, sources) = self.candidates(family, prefix, rib);
        let (chosen, equal) = decision::best(&mut all.clone(), self.med_rules)?;
        let (neighbor, attributes) = sources[chosen.handle as usize];
        let best = Best { neighbor, attributes };
        let installed = self.get(neighbor)?.installs(family);
        let nexthop = match self.several_ways(&best, equal.iter().map(|handle| sources[*handle as usize]), rib) {
            Some(spec) => {
                let several = rib.intern_nexthop(spec);
                let route = BgpRoute { nexthop: several, preference: chosen.preference, installed };
                return Some(Choice { best, route, interned: Some(several) });
            }
            None => self.nexthop_of(neighbor, attributes)?,
        };
        let protected = if installed { self.protected(family, nexthop, all, &sources, rib) } else { None };
        let route = BgpRoute { nexthop: protected.unwrap_or(nexthop), preference: chosen.preference, installed };
        Some(Choice { best, route, interned: protected })
    }

    /// The next hop with that of the path standing by which would be the best if every path through it were lost; none where no other
    /// path leads elsewhere. The caller releases it once the RIB holds it.
    fn protected(
        &self,
        family: Family,
        nexthop: NexthopSetId,
        mut candidates: Candidates,
        sources: &Sources,
        rib: &mut Rib,
    ) -> Option<NexthopSetId> {
        // Where packets go several ways, or nowhere, there is nothing to protect.
        if !rib.nexthop(nexthop)?.is_one_gateway() {
            return None;
        }
        let leads_to = |handle: u32| {
            let (neighbor, attributes) = sources[handle as usize];
            let set = self.attributes.get(attributes)?;
            let forwards = set.local().forwarding == Forwarding::NextHop && self.get(neighbor)?.installs(family);
            self.nexthop_of(neighbor, attributes).filter(|_| forwards)
        };
        candidates.retain(|path| leads_to(path.handle).is_some_and(|other| other != nexthop));
        let (backup, _) = decision::best(&mut candidates, self.med_rules)?;
        let primary = rib.nexthop(nexthop)?.clone();
        let backup = rib.nexthop(leads_to(backup.handle)?)?.clone();
        Some(rib.intern_nexthop(primary.protected_by(backup)))
    }

    /// RFC 4271 §9.1.2: chooses among the usable paths and tells the RIB and the neighbours' queues.
    pub(super) fn decide(&mut self, family: Family, prefix: PrefixId, rib: &mut Rib) {
        let choice = match self.tables[family.index()].only(prefix) {
            Some(path) => self.choose_only(path, family, rib),
            None => self.choose(family, prefix, rib),
        };
        let interned = choice.as_ref().and_then(|choice| choice.interned);
        let (best, route) = choice.map(|choice| (choice.best, choice.route)).unzip();
        let before = self.tables[family.index()].best(prefix);
        let changed = self.tables[family.index()].set_best(prefix, best);
        if before.map(|best| best.neighbor) != best.map(|best| best.neighbor) {
            if let Some(loser) = before.and_then(|best| self.get_mut(best.neighbor)) {
                loser.families[family.index()].best -= 1;
            }
            if let Some(winner) = best.and_then(|best| self.get_mut(best.neighbor)) {
                winner.families[family.index()].best += 1;
            }
        }
        let leads = rib.set_bgp(family, prefix, route);
        if let Some(interned) = interned {
            rib.release_nexthop(interned);
        }
        if changed {
            self.mark_dirty(family, prefix, leads, rib);
        } else {
            if self.serves_clients {
                self.mark_clients_dirty(family, prefix, rib);
            }
            self.mark_several(family, prefix, rib);
        }
    }

    /// The next hops of the best path and the equally good ones, where multipath is on and they are several, with the parts that each has of
    /// the packets. Each is a usable path's: it is registered.
    fn several_ways(
        &self,
        best: &Best,
        equal: impl Iterator<Item = (NeighborId, AttributeId)>,
        rib: &Rib,
    ) -> Option<NexthopSpec> {
        let config = &self.get(best.neighbor)?.config;
        let rules = config.multipath_rules.unwrap_or_default();
        let maximum = if rules.maximum_paths > 0 { rules.maximum_paths } else { self.maximum_paths };
        let set = self.attributes.get(best.attributes)?;
        // Where the best one drops, so does the route; who else drops has no part in it.
        let goes = |set: AttributeSet<'_>| set.local().forwarding == Forwarding::NextHop;
        if !config.multipath || maximum < 2 || !goes(set) {
            return None;
        }
        let rank = self.attributes.rank(set);
        let joins = |(neighbor, id): &(NeighborId, AttributeId)| {
            let takes_part = self.get(*neighbor).is_some_and(|neighbor| neighbor.config.multipath);
            let set = self.attributes.get(*id).filter(|set| takes_part && goes(*set));
            set.is_some_and(|set| rules.multiple_as || self.attributes.rank(set).is_through_same_as(rank))
        };
        let way = |(neighbor, id)| Some((self.attributes.get(id)?, self.nexthop_of(neighbor, id)?));
        let paths: SmallVec<[(AttributeSet<'_>, NexthopSetId); 8]> =
            equal.filter(joins).take(maximum as usize).filter_map(way).collect();
        if paths.len() < 2 {
            return None;
        }
        let bandwidths: SmallVec<[Option<f32>; 8]> = paths.iter().map(|(set, _)| link_bandwidth(set.block())).collect();
        let ways = paths.iter().zip(shares::weights(&bandwidths));
        let weighted = ways.filter_map(|((_, nexthop), weight)| Some((rib.nexthop(*nexthop)?.clone(), weight)));
        Some(NexthopSpec::weighted(weighted)).filter(NexthopSpec::is_shared)
    }
}

/// Preference against routes of other protocols that policy gave to a route, or BGP's.
fn preference_of(set: AttributeSet<'_>) -> u8 {
    set.local().preference.unwrap_or_else(|| RibProtocol::Bgp.default_preference())
}
