//! Several paths to one destination, for neighbours that agreed to hear them (RFC 7911).
//!
//! A neighbour hears the best paths, as many as `path-count` says, without those that it told itself. Each is in a *slot*, and the
//! slot's number is the path's identifier. Which slot is for which path follows from what the neighbour has: a path that
//! it has keeps its slot, a new one takes the place of one that goes, and so is told with one message. So identifiers need be
//! agreed on with nobody: a follower that knows what was told goes on as the primary would have.

use holdfast_rib::{Family, PrefixId, Protocol as RibProtocol, Rib};
use smallvec::SmallVec;

use super::Speaker;
use super::attributes::AttributeId;
use super::path_order;
use super::table::NeighborId;
use super::told::Slot;

/// What a neighbour is to have in some slots; `NONE`: nothing.
pub type Wanted = SmallVec<[(Slot, AttributeId); 1]>;

impl Speaker {
    /// Notes for which families anybody hears several paths.
    pub(super) fn note_several(&mut self) {
        self.several = Family::ALL.map(|family| self.neighbors.iter().flatten().any(|one| one.sends_paths(family)));
    }

    /// A path has changed, though not which one is best: only who hears several looks at the prefix again.
    pub(super) fn mark_several(&mut self, family: Family, prefix: PrefixId, rib: &mut Rib) {
        if !self.several[family.index()] {
            return;
        }
        let following = self.following;
        for neighbor in self.neighbors.iter_mut().flatten().filter(|one| one.sends_paths(family)) {
            neighbor.mark_dirty(family, prefix, following, rib);
        }
    }

    /// What a neighbour is to have now for a prefix: all that it is to have in the only slot, or what differs from what
    /// it has in several. One use of each is counted for the caller.
    pub(super) fn wanted(&mut self, id: NeighborId, family: Family, prefix: PrefixId, rib: &mut Rib) -> Wanted {
        let Some(neighbor) = self.get(id) else { return Wanted::new() };
        if !neighbor.sends_paths(family) {
            return smallvec::smallvec![(Slot::ONLY, self.wanted_only(id, family, prefix, rib))];
        }
        let count = usize::from(neighbor.path_count(family));
        let paths = self.wanted_several(id, family, prefix, count, rib);
        let Some(neighbor) = self.get(id) else { return Wanted::new() };
        let has: SmallVec<[(Slot, AttributeId); 4]> = self.advertised(neighbor, family, prefix).collect();
        let (kept, fresh): (SmallVec<[AttributeId; 4]>, SmallVec<[AttributeId; 4]>) =
            paths.into_iter().partition(|path| has.iter().any(|(_, has)| has == path));
        let wanted = placed(&has, &kept, &fresh);
        for path in kept {
            self.attributes.release(path, rib);
        }
        wanted
    }

    /// The best paths as a neighbour hears them, best first: no two alike, for that would tell it nothing.
    fn wanted_several(
        &mut self,
        id: NeighborId,
        family: Family,
        prefix: PrefixId,
        count: usize,
        rib: &mut Rib,
    ) -> SmallVec<[AttributeId; 4]> {
        let mut paths: SmallVec<[AttributeId; 4]> = SmallVec::new();
        if rib.active(family, prefix).is_none_or(|active| active.protocol != RibProtocol::Bgp) {
            paths.extend(Some(self.wanted_only(id, family, prefix, rib)).filter(|path| !path.is_none()));
            return paths;
        }
        let (candidates, sources) = self.candidates(family, prefix, rib);
        for handle in path_order::in_order(candidates, self.med_rules) {
            let (from, attributes) = sources[handle as usize];
            if from == id {
                continue; // it told us
            }
            let exported = self.export_path(id, family, prefix, from, attributes, rib);
            if exported.is_none() || paths.contains(&exported) {
                self.attributes.release(exported, rib);
                continue;
            }
            paths.push(exported);
            if paths.len() == count {
                break;
            }
        }
        paths
    }
}

/// The slots that change: fresh paths take the place of those that go, then the lowest free ones; what is left of those goes.
fn placed(has: &[(Slot, AttributeId)], kept: &[AttributeId], fresh: &[AttributeId]) -> Wanted {
    let goes = has.iter().filter(|(_, path)| !kept.contains(path)).map(|(slot, _)| *slot);
    let free = Slot::all().filter(|slot| has.iter().all(|(taken, _)| taken != slot));
    let paths = fresh.iter().copied().chain(std::iter::repeat(AttributeId::NONE));
    let going = goes.clone().count();
    let slots = goes.chain(free).take(going.max(fresh.len()));
    slots.zip(paths).collect()
}
