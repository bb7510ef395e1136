//! Our own reading.

use holdfast_bgp::wire::{Family, HEADER_LEN, MessageType, Negotiated, PathAttributes, Update, frame};

use super::meaning::{Attributes, Meaning};

/// Wholly accepted: nothing treated as withdrawn, nothing left out (RFC 7606 §2).
pub fn read(wire: &[u8], session: &Negotiated) -> Option<Meaning> {
    let (length, MessageType::Update) = frame(wire).ok()?? else { return None };
    if length != wire.len() {
        return None;
    }
    let update = Update::parse(&wire[HEADER_LEN..], session).ok()?;
    if update.treat_as_withdraw.is_some() || !update.discarded.is_empty() {
        return None;
    }
    Some(Meaning {
        announced: Family::ALL.map(|family| update.announced(family).collect()),
        withdrawn: Family::ALL.map(|family| update.withdrawn(family).collect()),
        next_hops: Family::ALL.map(|family| update.next_hop(family).map(|next_hop| next_hop.address())),
        attributes: update.attributes.as_deref().map(attributes),
    })
}

fn attributes(block: &[u8]) -> Attributes {
    let read = PathAttributes::decode(block).expect("a canonical block can be read");
    Attributes {
        origin: Some(read.origin as u8),
        as_path: Some(read.as_path.segments.into_iter().map(|segment| (segment.kind as u8, segment.asns)).collect()),
        med: read.med,
        local_pref: read.local_pref,
        atomic_aggregate: read.atomic_aggregate,
        aggregator: read.aggregator,
        communities: read.communities,
        large_communities: read.large_communities,
        extended_communities: read.extended_communities.len(),
        originator_id: read.originator_id,
        cluster_list: read.cluster_list,
    }
}
