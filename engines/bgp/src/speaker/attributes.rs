use std::net::IpAddr;

use hashbrown::HashTable;
use holdfast_rib::{NexthopSetId, NexthopSpec, Rib, entry_hash, prefix_bytes};
use ipnet::IpNet;

use crate::wire::{NextHop, PathAttributes};

use super::decision::Rank;

/// Names an interned attribute set. Zero is "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttributeId(u32);

impl AttributeId {
    /// No attributes: not accepted, not advertised.
    pub const NONE: AttributeId = AttributeId(0);

    /// Whether this names nothing.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// For side tables that are indexed by attribute set.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An attribute set that somebody remembers but does not hold: once its last user is gone it means nothing any more.
///
/// What policies make of attribute sets is remembered this way. Were it held, sets could hold each other in a circle, and
/// a set that policy leaves as it is would hold itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    id: AttributeId,
    serial: u32,
}

/// One distinct set of path attributes: the canonical bytes as received, and what was decoded from them, once.
pub struct AttributeSet {
    /// Canonical wire form ([`crate::wire::AttributeBlock`]).
    pub block: Box<[u8]>,
    /// The next hop, which travels outside the block.
    pub next_hop: NextHop,
    /// Decoded once.
    pub attributes: PathAttributes,
    /// What the decision process compares.
    pub rank: Rank,
    /// The next hop as the RIB resolves it; registered on first use by a received path.
    pub nexthop_set: Option<NexthopSetId>,
    /// Hash over block and next hop, the same on every engine and version.
    pub content_hash: u64,
    references: u32,
    /// Tells it from others that had the same number before.
    serial: u32,
}

impl AttributeSet {
    /// Hash of one route for a table's digest.
    pub fn route_hash(&self, prefix: &IpNet) -> u64 {
        entry_hash(&[&prefix_bytes(prefix), &self.content_hash.to_be_bytes()])
    }
}

/// All distinct attribute sets, counted by their users.
#[derive(Default)]
pub struct AttributeTable {
    sets: Vec<Option<AttributeSet>>,
    by_content: HashTable<u32>,
    /// Unused now; numbers are given out anew only after [`Self::take_freed`], so that no side table keeps a stale meaning.
    freed: Vec<AttributeId>,
    free: Vec<u32>,
    serial: u32,
}

fn next_hop_bytes(next_hop: &NextHop) -> ([u8; 32], usize) {
    let mut bytes = [0; 32];
    match next_hop {
        NextHop::V4(address) => {
            bytes[..4].copy_from_slice(&address.octets());
            (bytes, 4)
        }
        NextHop::V6 { global, link_local } => {
            bytes[..16].copy_from_slice(&global.octets());
            match link_local {
                Some(address) => {
                    bytes[16..].copy_from_slice(&address.octets());
                    (bytes, 32)
                }
                None => (bytes, 16),
            }
        }
    }
}

impl AttributeTable {
    /// The set with this content, with one use counted for the caller. `None`: the block is not decodable,
    /// which the codec excludes for blocks that it made.
    pub fn intern(&mut self, block: &[u8], next_hop: NextHop) -> Option<AttributeId> {
        let (bytes, length) = next_hop_bytes(&next_hop);
        let hash = entry_hash(&[block, &bytes[..length]]);
        let sets = &mut self.sets;
        let found = self.by_content.find(hash, |&index| {
            sets[index as usize].as_ref().is_some_and(|set| *set.block == *block && set.next_hop == next_hop)
        });
        if let Some(&index) = found {
            if let Some(set) = &mut sets[index as usize] {
                set.references += 1;
            }
            return Some(AttributeId(index));
        }
        let attributes = PathAttributes::decode(block).ok()?;
        self.serial = self.serial.wrapping_add(1);
        let set = AttributeSet {
            rank: Rank::of(&attributes),
            block: block.into(),
            next_hop,
            attributes,
            nexthop_set: None,
            content_hash: hash,
            references: 1,
            serial: self.serial,
        };
        let index = self.place(set);
        self.by_content
            .insert_unique(hash, index, |&index| self.sets[index as usize].as_ref().map_or(0, |set| set.content_hash));
        Some(AttributeId(index))
    }

    fn place(&mut self, set: AttributeSet) -> u32 {
        if self.sets.is_empty() {
            self.sets.push(None); // number zero is AttributeId::NONE
        }
        match self.free.pop() {
            Some(index) => {
                self.sets[index as usize] = Some(set);
                index
            }
            None => {
                self.sets.push(Some(set));
                (self.sets.len() - 1) as u32
            }
        }
    }

    /// The set behind a number in use.
    pub fn get(&self, id: AttributeId) -> Option<&AttributeSet> {
        self.sets.get(id.index())?.as_ref()
    }

    /// One more user. `NONE` has none.
    pub fn retain(&mut self, id: AttributeId) {
        if let Some(Some(set)) = self.sets.get_mut(id.index()) {
            set.references += 1;
        }
    }

    /// A note of a set in use.
    pub fn remember(&self, id: AttributeId) -> Remembered {
        Remembered { id, serial: self.get(id).map_or(0, |set| set.serial) }
    }

    /// The set of a note, with one use counted for the caller, if it is still there.
    pub fn recall(&mut self, note: Remembered) -> Option<AttributeId> {
        let set = self.sets.get_mut(note.id.index())?.as_mut().filter(|set| set.serial == note.serial)?;
        set.references += 1;
        Some(note.id)
    }

    /// One user less; the last one frees the set.
    pub fn release(&mut self, id: AttributeId, rib: &mut Rib) {
        let Some(slot) = self.sets.get_mut(id.index()) else { return };
        let Some(set) = slot else { return };
        set.references -= 1;
        if set.references > 0 {
            return;
        }
        let (hash, nexthop_set) = (set.content_hash, set.nexthop_set);
        *slot = None;
        if let Ok(entry) = self.by_content.find_entry(hash, |&index| index == id.0) {
            entry.remove();
        }
        if let Some(nexthop_set) = nexthop_set {
            rib.release_nexthop(nexthop_set);
        }
        self.freed.push(id);
    }

    /// Numbers that lost their meaning since the last call; the caller forgets them, then they may be given out anew.
    pub fn take_freed(&mut self) -> Vec<AttributeId> {
        let freed = std::mem::take(&mut self.freed);
        self.free.extend(freed.iter().map(|id| id.0));
        freed
    }

    /// Whether there is anything for [`Self::take_freed`].
    pub fn has_freed(&self) -> bool {
        !self.freed.is_empty()
    }

    /// The RIB's number of this set's next hop, registered on first use. `scope` is the interface of the
    /// neighbour for next hops that are link-local.
    pub fn nexthop_set(&mut self, id: AttributeId, scope: Option<u32>, rib: &mut Rib) -> Option<NexthopSetId> {
        let set = self.sets.get_mut(id.index())?.as_mut()?;
        if set.nexthop_set.is_none() {
            set.nexthop_set = Some(rib.intern_nexthop(nexthop_spec(&set.next_hop, scope)));
        }
        set.nexthop_set
    }

    /// Sets in use.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_content.len()
    }

    /// Upper bound of [`AttributeId::index`], for side tables.
    pub fn capacity(&self) -> usize {
        self.sets.len()
    }
}

fn nexthop_spec(next_hop: &NextHop, scope: Option<u32>) -> NexthopSpec {
    match (next_hop, scope) {
        (NextHop::V4(address), _) => NexthopSpec::gateway(IpAddr::V4(*address)),
        // RFC 2545 §3: beside a global next hop the link-local one is what to forward to on the shared link. A
        // global address resolves as well, so it is preferred; only a bare link-local one needs the scope.
        (NextHop::V6 { global, .. }, Some(interface_index)) if global.is_unicast_link_local() => {
            NexthopSpec::ScopedGateway { address: IpAddr::V6(*global), interface_index }
        }
        (NextHop::V6 { global, .. }, _) => NexthopSpec::gateway(IpAddr::V6(*global)),
    }
}
