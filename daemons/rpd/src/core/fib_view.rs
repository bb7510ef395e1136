//! What the RIB wants in the kernel, for who compares it with what pfed was told and what the kernel has.

use std::collections::HashSet;

use holdfast_proto::v1;
use holdfast_rib::{Family, ForwardingNexthopId};

use super::Core;
use super::fib::definition;
use crate::destinations::Numbers;

impl Core {
    /// One page of the forwarding entries that follow from the RIB at this moment, and where the next one begins. It defines
    /// what it uses itself: between two pages a number may have been given to another next hop.
    pub(super) fn forwarding_page(&self, place: Numbers) -> (v1::FibBatch, Option<Numbers>) {
        let entry = |family: Family, id| {
            let next_hop = self.rib.fib_entry(family, id);
            next_hop.map(|next_hop| (self.rib.prefixes(family).prefix(id), next_hop))
        };
        let (entries, next) = place.page(&self.rib, entry);
        let mut batch = v1::FibBatch::default();
        let mut defined = HashSet::new();
        for (prefix, ForwardingNexthopId(number)) in entries {
            if defined.insert(number) {
                let id = ForwardingNexthopId(number);
                batch.nexthops.push(definition(id, self.rib.forwarding_nexthop(id)));
            }
            batch.pack((prefix.network(), prefix.prefix_len(), number));
        }
        (batch, next)
    }
}
