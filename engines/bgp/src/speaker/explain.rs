//! Why a path is not the best one, for operators.

use holdfast_rib::{Family, PrefixId, Protocol, Rib};
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
            let (Some(neighbor), Some(set)) = (self.get(path.neighbor), self.attributes.get(path.effective)) else {
                continue;
            };
            // What takes part in the decision has a next hop that was registered then.
            let Some(metric) = set.nexthop_set.and_then(|nexthop| rib.nexthop_reachable(nexthop)) else { continue };
            candidates.push(Candidate {
                handle: keys.len() as u32,
                preference: set.local().preference.unwrap_or_else(|| Protocol::Bgp.default_preference()),
                rank: set.rank,
                external: !neighbor.config.internal,
                metric,
                router_id: neighbor.router_id,
                address: neighbor.address,
                identifier,
            });
            keys.push(PathKey { neighbor: path.neighbor, identifier });
        }
        let lost = decision::lost_by(&mut candidates, self.med_rules);
        lost.into_iter().map(|(handle, rule)| (keys[handle as usize], rule)).collect()
    }
}
