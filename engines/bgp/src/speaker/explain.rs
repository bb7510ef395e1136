//! Why a path is not the best one, for operators.

use holdfast_rib::{Family, PrefixId, Protocol, Rib};
use smallvec::SmallVec;

use super::Speaker;
use super::decision::{self, Candidate, Rule};
use super::table::NeighborId;

impl Speaker {
    /// By which rule each neighbour's usable path to a destination lost to the best one; nothing of the best one itself.
    pub(super) fn lost_by(&self, rib: &Rib, family: Family, prefix: PrefixId) -> SmallVec<[(NeighborId, Rule); 8]> {
        let mut neighbors: SmallVec<[NeighborId; 8]> = SmallVec::new();
        let mut candidates: SmallVec<[Candidate; 8]> = SmallVec::new();
        for path in self.tables[family.index()].paths(prefix) {
            let (Some(neighbor), Some(set)) = (self.get(path.neighbor), self.attributes.get(path.effective)) else {
                continue;
            };
            // What takes part in the decision has a next hop that was registered then.
            let Some(metric) = set.nexthop_set.and_then(|nexthop| rib.nexthop_reachable(nexthop)) else { continue };
            candidates.push(Candidate {
                handle: neighbors.len() as u32,
                preference: set.local().preference.unwrap_or_else(|| Protocol::Bgp.default_preference()),
                rank: set.rank,
                external: !neighbor.config.internal,
                metric,
                router_id: neighbor.router_id,
                address: neighbor.address,
            });
            neighbors.push(path.neighbor);
        }
        let lost = decision::lost_by(&mut candidates, self.med_rules);
        lost.into_iter().map(|(handle, rule)| (neighbors[handle as usize], rule)).collect()
    }
}
