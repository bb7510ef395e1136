//! Why a path is not the best one, for operators.

use holdfast_rib::{Family, PrefixId, Rib};
use smallvec::SmallVec;

use super::Speaker;
use super::decision::{self, Candidate, Rule};
use super::table::PathKey;

impl Speaker {
    /// By which rule each usable path to a destination lost to the best one; nothing of the best one itself.
    pub(super) fn lost_by(&self, rib: &Rib, family: Family, prefix: PrefixId) -> SmallVec<[(PathKey, Rule); 8]> {
        let mut keys: SmallVec<[PathKey; 8]> = SmallVec::new();
        let mut candidates: SmallVec<[Candidate; 8]> = SmallVec::new();
        for (identifier, path) in self.tables[family.index()].identified(prefix) {
            // What takes part in the decision has a next hop that was registered then.
            if let Some(candidate) = self.candidate(keys.len() as u32, (identifier, path), rib) {
                candidates.push(candidate);
                keys.push(PathKey { neighbor: path.neighbor, identifier });
            }
        }
        let lost = decision::lost_by(&mut candidates, self.med_rules);
        lost.into_iter().map(|(handle, rule)| (keys[handle as usize], rule)).collect()
    }
}
