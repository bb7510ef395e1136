//! Why a path is the best one, or not, for operators.

use holdfast_rib::{Candidate as Local, Family, Gateway, NexthopSetId, PrefixId, Rib};
use smallvec::SmallVec;

use super::Speaker;
use super::decision::{self, Candidate, Rule};
use super::table::PathKey;

/// Why the best path is the best, by what the others have lost.
pub(super) fn why_best(lost: &[(PathKey, Rule)]) -> String {
    match lost.iter().map(|(_, rule)| *rule).max() {
        None => "the only usable BGP path".to_owned(),
        Some(last) => format!("best of {} BGP paths: {}", lost.len() + 1, last.merit()),
    }
}

/// Why a route of another protocol is the active one, if there are others that could be.
pub(super) fn why_preferred(active: &Local, all: &[Local]) -> String {
    let others = all.iter().filter(|other| other.reachable && other.route.protocol != active.route.protocol);
    let others: SmallVec<[&Local; 4]> = others.collect();
    if others.is_empty() {
        return String::new();
    }
    let lower = others.iter().all(|other| active.route.preference < other.route.preference);
    let names: SmallVec<[&str; 4]> = others.iter().map(|other| other.route.protocol.name()).collect();
    let merit = if lower { "lower preference" } else { "of the same preference, by the order of protocols" };
    format!("preferred to {}: {merit}", names.join(" and "))
}

/// Whether packets of a destination go by all gateways of this next hop, beside others.
pub(super) fn shares(rib: &Rib, family: Family, prefix: PrefixId, nexthop: NexthopSetId) -> bool {
    let gateways = |nexthop| rib.resolved(nexthop).map(|resolved| resolved.gateways());
    let used = rib.bgp_route(family, prefix).and_then(|route| gateways(route.nexthop)).unwrap_or_default();
    let own = gateways(nexthop).unwrap_or_default();
    let way = |gateway: &Gateway| (gateway.address, gateway.interface_index); // weights differ
    used.len() > 1 && own.iter().all(|gateway| used.iter().any(|other| way(other) == way(gateway)))
}

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
