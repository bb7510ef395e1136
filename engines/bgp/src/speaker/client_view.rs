//! What a route server's client is told (RFC 7947 §2.3): not the best path of all, but the best of those that it may have.
//!
//! There is one table and one decision for everybody. Where the best path cannot go to a client, because policy keeps it from it or
//! because it is its own, a router tells nothing, and hides with that all other paths. For clients the same decision is
//! made once more without that path, until one is left that may go. It costs only where something is in the way.

use holdfast_rib::{Family, PrefixId, Rib};

use super::Speaker;
use super::attributes::AttributeId;
use super::decision;
use super::table::NeighborId;

impl Speaker {
    /// What a client is to be told about a destination whose best path it may not have. One use of it is counted for the caller.
    pub(super) fn next_best_for_client(
        &mut self,
        id: NeighborId,
        family: Family,
        prefix_id: PrefixId,
        rib: &mut Rib,
    ) -> AttributeId {
        let (mut left, sources) = self.candidates(family, prefix_id, rib);
        left.retain(|candidate| sources[candidate.handle as usize].0 != id);
        while let Some((best, _)) = decision::best(&mut left.clone(), self.med_rules) {
            let (from, attributes) = sources[best.handle as usize];
            let exported = self.export_path(id, family, prefix_id, from, attributes, rib);
            if !exported.is_none() {
                return exported;
            }
            left.retain(|candidate| candidate.handle != best.handle);
        }
        AttributeId::NONE
    }

    /// Clients look at a destination again although its best path is the same.
    pub(super) fn mark_clients_dirty(&mut self, family: Family, prefix: PrefixId, rib: &mut Rib) {
        let following = self.following;
        for neighbor in self.neighbors.iter_mut().flatten() {
            if neighbor.exchanges(family) && neighbor.config.route_server_client {
                neighbor.mark_dirty(family, prefix, following, rib);
            }
        }
    }
}
