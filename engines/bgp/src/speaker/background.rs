use std::time::Duration;

use holdfast_proto::v1::{BgpEvent, bgp_event};
use holdfast_rib::{Family, PrefixId, Rib};

use super::action::Action;
use super::limits::BACKGROUND_BATCH;
use super::neighbor::Sweep;
use super::table::NeighborId;
use super::{Speaker, facts};

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
        self.rescan.iter().any(Option::is_some)
            || self
                .neighbors
                .iter()
                .flatten()
                .any(|neighbor| neighbor.families.iter().any(|state| state.sweep.is_some() || state.reimport.is_some()))
    }

    /// One slice of work on whole tables: about a millisecond.
    pub fn background(&mut self, rib: &mut Rib) {
        for family in Family::ALL {
            self.rescan_slice(family, rib);
            for id in self.neighbor_ids() {
                self.sweep_slice(id, family, rib);
                self.reimport_slice(id, family, rib);
            }
        }
        if self.rescan.iter().all(Option::is_none) {
            self.moved_nexthops.clear();
        }
        self.forget_freed();
    }

    fn slice(&self, family: Family, from: u32) -> (std::ops::Range<u32>, Option<u32>) {
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
                let set = self.attributes.get(path.effective);
                set.and_then(|set| set.nexthop_set).is_some_and(|nexthop| self.moved_nexthops.contains(&nexthop))
            });
            if concerned {
                self.decide(family, prefix, rib);
                // A neighbour may have been told of it, or not, while the next hop was away and the decision not yet taken
                // back; it is the same decision now.
                self.mark_dirty(family, prefix, rib);
            }
        }
    }

    /// Paths of earlier sessions of this neighbour are to go.
    pub(super) fn begin_sweep(&mut self, id: NeighborId, family: Family) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].sweep = Some(Sweep { from: 0, keeps_last: false });
        }
    }

    fn sweep_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(neighbor) = self.get(id) else { return };
        let Some(sweep) = neighbor.families[family.index()].sweep else { return };
        let (present, last) = (neighbor.generation, neighbor.generation.wrapping_sub(1));
        let goes = |generation| generation != present && !(sweep.keeps_last && generation == last);
        let (range, next) = self.slice(family, sweep.from);
        for prefix in range.map(PrefixId) {
            if self.tables[family.index()].find(prefix, id).is_some_and(|path| goes(path.generation)) {
                self.remove_path(id, family, prefix, rib);
            }
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].sweep = next.map(|from| Sweep { from, ..sweep });
        }
    }

    fn reimport_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(from) = self.get(id).and_then(|neighbor| neighbor.families[family.index()].reimport) else { return };
        let (range, next) = self.slice(family, from);
        for prefix_id in range.map(PrefixId) {
            let Some(path) = self.tables[family.index()].find(prefix_id, id).copied() else { continue };
            let prefix = rib.prefixes(family).prefix(prefix_id);
            let (effective, refusal) = self.import(id, prefix, path.received);
            self.tables[family.index()].insert(prefix_id, id, path.generation, refusal, path.received, effective);
            if let Some(neighbor) = self.get_mut(id) {
                let state = &mut neighbor.families[family.index()];
                state.accepted =
                    state.accepted + u64::from(!effective.is_none()) - u64::from(!path.effective.is_none());
            }
            // Also when attributes stay: what else the decision depends on may have changed.
            self.decide(family, prefix_id, rib);
            self.attributes.release(path.effective, rib);
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].reimport = next;
        }
    }

    /// RFC 4724 §4.2: End-of-RIB ends the time of stale routes of its family.
    pub(super) fn end_of_rib(&mut self, id: NeighborId, family: Family, _now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.families[family.index()].end_of_rib_received = true;
        if neighbor.stale_until.is_some() {
            let exchanged: Vec<Family> = Family::ALL.into_iter().filter(|f| neighbor.exchanges(*f)).collect();
            if exchanged.iter().all(|family| neighbor.families[family.index()].end_of_rib_received) {
                neighbor.stale_until = None;
            }
            self.begin_sweep(id, family);
        }
    }

    /// The neighbour did not come back, or not finish, in time.
    pub(super) fn expire_stale(&mut self, id: NeighborId, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        if neighbor.stale_until.is_none_or(|until| until > now) {
            return;
        }
        neighbor.stale_until = None;
        let address = neighbor.address;
        for family in Family::ALL {
            self.begin_sweep(id, family);
            let event = BgpEvent { event: Some(bgp_event::Event::StaleSwept(family.name().into())) };
            self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
        }
    }
}
