use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;
use smallvec::SmallVec;

use super::Speaker;
use super::limits::{BACKGROUND_BATCH, REIMPORT_ROUNDS};
use super::neighbor::{FamilyState, Reimport};
use super::output::is_led_by_bgp;
use super::table::{NeighborId, Path, PathKey, Refusal};

impl Speaker {
    /// Takes note of next hops whose way changed; the paths that use them are decided anew in slices.
    pub fn nexthops_moved(&mut self, moved: impl IntoIterator<Item = holdfast_rib::NexthopSetId>) {
        let mut moved = moved.into_iter().peekable();
        if moved.peek().is_some() {
            // From the beginning, also for those that are being looked at already: what was decided may be wrong by now.
            self.rescan = [Some(0); 2];
            self.moved_nexthops.extend(moved);
        }
    }

    /// Whether [`Speaker::background`] has anything to do.
    pub fn has_background(&self) -> bool {
        self.aggregates_have_work()
            || self.rescan.iter().any(Option::is_some)
            || self
                .neighbors
                .iter()
                .flatten()
                .any(|neighbor| neighbor.leaving.is_some() || neighbor.families.iter().any(FamilyState::has_background))
    }

    /// One slice of work on whole tables: about a millisecond.
    pub fn background(&mut self, rib: &mut Rib) {
        for family in Family::ALL {
            self.rescan_slice(family, rib);
            for id in self.neighbor_ids() {
                self.sweep_slice(id, family, rib);
                self.reimport_slice(id, family, rib);
                self.redecide_slice(id, family, rib);
                self.unrefreshed_slice(id, family, rib);
            }
        }
        for id in self.neighbor_ids() {
            self.move_slice(id, rib);
        }
        self.aggregates_slice(rib);
        if self.rescan.iter().all(Option::is_none) {
            self.moved_nexthops.clear();
        }
        self.forget_freed();
    }

    pub(super) fn slice(&self, family: Family, from: u32) -> (std::ops::Range<u32>, Option<u32>) {
        let capacity = self.tables[family.index()].capacity();
        let to = capacity.min(from.saturating_add(BACKGROUND_BATCH));
        (from..to, (to < capacity).then_some(to))
    }

    fn rescan_slice(&mut self, family: Family, rib: &mut Rib) {
        let Some(from) = self.rescan[family.index()] else { return };
        let (range, next) = self.slice(family, from);
        self.rescan[family.index()] = next;
        for prefix in range.map(PrefixId) {
            let concerned = self.tables[family.index()].paths(prefix).any(|path| {
                let nexthop = self.nexthop_of(path.neighbor, path.effective);
                nexthop.is_some_and(|nexthop| self.moved_nexthops.contains(&nexthop))
            });
            if concerned {
                self.decide(family, prefix, rib);
                // A neighbour may have been told of it, or not, while the next hop was away and the decision not yet taken
                // back; it is the same decision now.
                self.mark_dirty(family, prefix, is_led_by_bgp(rib, family, prefix), rib);
            }
        }
    }

    /// Paths of earlier sessions of this neighbour are to go.
    pub(super) fn begin_sweep(&mut self, id: NeighborId, family: Family) {
        if let Some(neighbor) = self.get_mut(id) {
            let state = &mut neighbor.families[family.index()];
            (state.sweep, state.sessions_kept, state.long_lived) = (Some(0), 0, None);
            if let Some(stale) = &mut neighbor.stale {
                stale.long_lived_s[family.index()] = 0;
            }
        }
    }

    fn sweep_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(neighbor) = self.get(id) else { return };
        let state = &neighbor.families[family.index()];
        let Some(from) = state.sweep else { return };
        let (present, kept) = (neighbor.generation, state.sessions_kept);
        let goes = |generation: u8| present.wrapping_sub(generation) > kept;
        let (range, next) = self.slice(family, from);
        let kept_of = neighbor.restart.as_ref().map(|restart| restart.generation);
        let mut swept = 0;
        for prefix in range.map(PrefixId) {
            let paths = self.tables[family.index()].of_neighbor(prefix, id);
            let going = paths.filter(|(_, path)| goes(path.generation));
            let going: SmallVec<[(u32, u8); 4]> = going.map(|(key, path)| (key, path.generation)).collect();
            for (identifier, generation) in going {
                self.remove_path(PathKey { neighbor: id, identifier }, family, prefix, rib);
                swept += u64::from(Some(generation) == kept_of);
            }
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].sweep = next;
            if let Some(restart) = &mut neighbor.restart {
                restart.swept += swept;
            }
        }
    }

    fn reimport_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(mut walk) = self.get(id).and_then(|neighbor| neighbor.families[family.index()].reimport) else {
            return;
        };
        let capacity = self.tables[family.index()].capacity();
        // Most paths have their turn in another round.
        let to = capacity.min(walk.from.saturating_add(BACKGROUND_BATCH * REIMPORT_ROUNDS as u32));
        // Where what is accepted beyond a limit is dropped, what was accepted before comes first: it may make room.
        let limited = self.get(id).is_some_and(|neighbor| neighbor.drops_accepted(family));
        let (round, late) = (walk.round % REIMPORT_ROUNDS, walk.round >= REIMPORT_ROUNDS);
        let is_due = |path: &Path| {
            path.received.index() % REIMPORT_ROUNDS == round && (!limited || path.effective.is_none() == late)
        };
        let (mut judged, mut excess) = (0, Vec::new());
        while walk.from < to && judged < BACKGROUND_BATCH {
            let prefix = PrefixId(walk.from);
            let due = self.tables[family.index()].of_neighbor(prefix, id).filter(|(_, path)| is_due(path));
            let due: SmallVec<[(u32, Path); 4]> = due.map(|(identifier, path)| (identifier, *path)).collect();
            for (identifier, path) in due {
                let key = PathKey { neighbor: id, identifier };
                excess.extend(self.reimport(key, &path, family, prefix, rib).map(|prefix| (identifier, prefix)));
                judged += 1;
            }
            walk.from += 1;
        }
        self.tell_dropped(id, family, &excess);
        if walk.from >= capacity {
            walk = Reimport { round: walk.round + 1, from: 0 };
        }
        let rounds = if limited { 2 * REIMPORT_ROUNDS } else { REIMPORT_ROUNDS };
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].reimport = Some(walk).filter(|walk| walk.round < rounds);
        }
    }

    fn redecide_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(from) = self.get(id).and_then(|neighbor| neighbor.families[family.index()].redecide) else { return };
        let (range, next) = self.slice(family, from);
        for prefix in range.map(PrefixId) {
            if self.tables[family.index()].of_neighbor(prefix, id).next().is_some() {
                self.decide(family, prefix, rib);
            }
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].redecide = next;
        }
    }

    /// One path is judged by the import policy that is in force now. Returns the prefix of one that is dropped: it is accepted now, and
    /// that is one more than a limit lets in.
    fn reimport(
        &mut self,
        key: PathKey,
        path: &Path,
        family: Family,
        prefix_id: PrefixId,
        rib: &mut Rib,
    ) -> Option<IpNet> {
        let prefix = rib.prefixes(family).prefix(prefix_id);
        let (effective, refusal) = self.import(key.neighbor, prefix, path.received, path.generation);
        if refusal == Refusal::NoLongLife {
            self.remove_path(key, family, prefix_id, rib);
            return None;
        }
        let newly = path.effective.is_none() && !effective.is_none();
        if newly && !self.following && self.get(key.neighbor).is_some_and(|neighbor| neighbor.accepts_no_more(family)) {
            self.attributes.release(effective, rib);
            self.remove_path(key, family, prefix_id, rib);
            return Some(prefix);
        }
        self.tables[family.index()].insert(prefix_id, key, path.generation, refusal, path.received, effective);
        if let Some(neighbor) = self.get_mut(key.neighbor) {
            let state = &mut neighbor.families[family.index()];
            state.accepted = state.accepted + u64::from(!effective.is_none()) - u64::from(!path.effective.is_none());
        }
        // Also when attributes stay: what else the decision depends on may have changed.
        self.decide(family, prefix_id, rib);
        self.attributes.release(path.effective, rib);
        None
    }
}
