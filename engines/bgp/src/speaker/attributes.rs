use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use holdfast_rib::{Family, NexthopSetId, NexthopSpec, Rib, entry_hash, path_hash};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::wire::{ATTRIBUTES_MAX_LEN, NextHop, PathAttributes};

use super::contents::{Contents, Piece};
use super::decision::Rank;
use super::limits::ALWAYS_FITS_LEN;
use super::local::LocalPart;
use super::ranks::{RankId, Ranks};

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

impl Remembered {
    /// What is remembered is that policy rejects the routes.
    pub const REFUSED: Remembered = Remembered { id: AttributeId::NONE, serial: 1 };

    /// What is remembered is that so many octets of attributes came out, more than [`ATTRIBUTES_MAX_LEN`]: no set that there could be.
    pub fn too_long(octets: usize) -> Remembered {
        Remembered { id: AttributeId::NONE, serial: u32::try_from(octets).unwrap_or(u32::MAX) }
    }

    /// How many they were, if that is what is remembered.
    pub fn octets_too_long(self) -> Option<usize> {
        Some(self.serial as usize).filter(|octets| self.id.is_none() && *octets > ATTRIBUTES_MAX_LEN)
    }
}

/// In place of the RIB's number of a next hop. The RIB gives its numbers out from 0.
const UNREGISTERED: NexthopSetId = NexthopSetId(u32::MAX);

/// What is known of one distinct set of path attributes. There are as many as a tenth of the routes, each with what it becomes on its way
/// out, so it is kept small: its content lies elsewhere, and all that is not asked for often is decoded from that.
struct Entry {
    /// Hash over block and next hop, the same on every engine and version.
    content_hash: u64,
    /// Users; 0: the number is not in use.
    references: u32,
    /// Tells it from others that had the same number before.
    serial: u32,
    /// What the decision process compares.
    rank: RankId,
    /// The next hop as the RIB resolves it, or [`UNREGISTERED`]; one of a link is in [`AttributeTable::on_links`].
    nexthop: NexthopSetId,
    /// Canonical wire form ([`crate::wire::AttributeBlock`]), behind it the next hop, behind that what stays with us.
    content: Piece,
    /// Octets of the canonical wire form.
    block_len: u16,
    /// Octets of the next hop, with [`OURSELVES`].
    next_hop_len: u8,
    /// Octets of what stays with us.
    local_len: u8,
}

/// Under number zero, which is [`AttributeId::NONE`].
const NOTHING: Entry = Entry {
    content_hash: 0,
    references: 0,
    serial: 0,
    rank: RankId::FIRST,
    nexthop: UNREGISTERED,
    content: Piece::FIRST,
    block_len: 0,
    next_hop_len: 0,
    local_len: 0,
};

/// Beside the length of a next hop that stands for ourselves.
const OURSELVES: u8 = 0x80;

impl Entry {
    /// Its next hop is a link-local address: somebody else on each link.
    fn is_of_a_link(&self) -> bool {
        usize::from(self.next_hop_len & !OURSELVES) == 2 * size_of::<Ipv6Addr>()
    }
}

/// One distinct set of path attributes: its canonical bytes, and what every route needs of them.
#[derive(Clone, Copy)]
pub struct AttributeSet<'a> {
    entry: &'a Entry,
    contents: &'a Contents,
}

impl<'a> AttributeSet<'a> {
    /// Block, next hop, local part.
    fn split(self) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let block_len = usize::from(self.entry.block_len);
        let next_hop_len = usize::from(self.entry.next_hop_len & !OURSELVES);
        let told_len = block_len + next_hop_len;
        let content = self.contents.get(self.entry.content, told_len + usize::from(self.entry.local_len));
        let (told, local) = content.split_at(told_len);
        let (block, next_hop) = told.split_at(block_len);
        (block, next_hop, local)
    }

    /// Whether its next hop stands for ourselves, by an address of the family's own: known without a look at the content, as it is
    /// asked for each route.
    pub fn leads_to_ourselves_by(self, family: Family) -> bool {
        let own_len = match family {
            Family::Ipv4Unicast => size_of::<Ipv4Addr>(),
            Family::Ipv6Unicast => size_of::<Ipv6Addr>(),
        };
        self.entry.next_hop_len == OURSELVES | own_len as u8
    }

    /// What policy says of its routes that is told to nobody.
    #[inline]
    pub fn local(self) -> LocalPart {
        if self.entry.local_len == 0 { LocalPart::default() } else { LocalPart::decode(self.split().2) }
    }

    /// The canonical wire form.
    pub fn block(self) -> &'a [u8] {
        self.split().0
    }

    /// Whether the next hop is ourselves, whatever our address is where the route leaves ([`super::group::ourselves`]).
    pub fn leads_to_ourselves(self) -> bool {
        self.entry.next_hop_len & OURSELVES != 0
    }

    /// The next hop, which travels outside the block.
    pub fn next_hop(self) -> NextHop {
        next_hop_of(self.split().1)
    }

    /// All of it as values.
    pub fn decode(self) -> PathAttributes {
        // What the table took in was decodable.
        PathAttributes::decode(self.block()).unwrap_or_default()
    }

    /// Hash of one route for a table's digest; identifier 0: of the only one to its prefix.
    pub fn path_hash(self, prefix: &IpNet, identifier: u32) -> u64 {
        path_hash(prefix, self.entry.content_hash, identifier)
    }
}

/// A link-local next hop as the RIB resolves it on each link; none: the neighbour's is not known.
type OnLinks = SmallVec<[(Option<u32>, NexthopSetId); 1]>;

/// All distinct attribute sets, counted by their users.
#[derive(Default)]
pub struct AttributeTable {
    sets: Vec<Entry>,
    contents: Contents,
    by_content: HashTable<u32>,
    ranks: Ranks,
    /// Next hops that are link-local addresses.
    on_links: HashMap<AttributeId, OnLinks>,
    /// Unused now; numbers are given out anew only after [`Self::take_freed`], so that no side table keeps a stale meaning.
    freed: Vec<AttributeId>,
    free: Vec<u32>,
    serial: u32,
    /// Sets in use that may be too long for some neighbour ([`ALWAYS_FITS_LEN`]).
    long: usize,
    /// What was decoded last: routes with equal attributes come in a row.
    decoded: Option<(Remembered, Arc<PathAttributes>)>,
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

/// The inverse.
fn next_hop_of(bytes: &[u8]) -> NextHop {
    if let Ok(address) = <[u8; 4]>::try_from(bytes) {
        return NextHop::V4(address.into());
    }
    let v6 = |bytes: &[u8]| bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
    NextHop::V6 { global: v6(bytes).unwrap_or(Ipv6Addr::UNSPECIFIED), link_local: bytes.get(16..).and_then(v6) }
}

impl AttributeTable {
    /// The set with this content, with one use counted for the caller. `None`: the block is not decodable,
    /// which the codec excludes for blocks that it made.
    pub fn intern(&mut self, block: &[u8], next_hop: NextHop) -> Option<AttributeId> {
        self.intern_ranked(block, next_hop, LocalPart::default(), || {
            PathAttributes::decode(block).ok().map(|attributes| Rank::of(&attributes))
        })
    }

    /// The same for attributes that are at hand as values; none: they have become longer than any message.
    pub fn intern_values(&mut self, attributes: &PathAttributes, next_hop: NextHop) -> AttributeId {
        self.intern_local(attributes, next_hop, LocalPart::default())
    }

    /// The same with what stays with us.
    pub fn intern_local(&mut self, attributes: &PathAttributes, next_hop: NextHop, local: LocalPart) -> AttributeId {
        let block = attributes.encode();
        if block.len() > ATTRIBUTES_MAX_LEN {
            return AttributeId::NONE;
        }
        let interned = self.intern_ranked(&block, next_hop, local, || Some(Rank::of(attributes)));
        interned.unwrap_or_default()
    }

    fn intern_ranked(
        &mut self,
        block: &[u8],
        next_hop: NextHop,
        local: LocalPart,
        rank: impl FnOnce() -> Option<Rank>,
    ) -> Option<AttributeId> {
        let block_len = u16::try_from(block.len()).ok()?;
        let (bytes, length) = next_hop_bytes(&next_hop);
        let next_hop = &bytes[..length];
        let local = local.encode();
        let local = local.as_ref();
        let hash =
            if local.is_empty() { entry_hash(&[block, next_hop]) } else { entry_hash(&[block, next_hop, local]) };
        let (sets, contents) = (&self.sets, &self.contents);
        let found = self.by_content.find(hash, |&index| {
            let entry = &sets[index as usize];
            entry.content_hash == hash && AttributeSet { entry, contents }.split() == (block, next_hop, local)
        });
        if let Some(&index) = found {
            self.sets[index as usize].references += 1;
            return Some(AttributeId(index));
        }
        let rank = self.ranks.intern(rank()?);
        self.serial = self.serial.wrapping_add(1);
        self.long += usize::from(block.len() > ALWAYS_FITS_LEN);
        let ourselves = if next_hop.iter().all(|octet| *octet == 0) { OURSELVES } else { 0 };
        let content = self.contents.put([block, next_hop, local]);
        let index = self.place(Entry {
            content_hash: hash,
            references: 1,
            serial: self.serial,
            rank,
            nexthop: UNREGISTERED,
            content,
            block_len,
            next_hop_len: ourselves | length as u8,
            local_len: local.len() as u8,
        });
        self.by_content.insert_unique(hash, index, |&index| self.sets[index as usize].content_hash);
        Some(AttributeId(index))
    }

    fn place(&mut self, entry: Entry) -> u32 {
        if self.sets.is_empty() {
            self.sets.push(NOTHING);
        }
        match self.free.pop() {
            Some(index) => {
                self.sets[index as usize] = entry;
                index
            }
            None => {
                self.sets.push(entry);
                (self.sets.len() - 1) as u32
            }
        }
    }

    fn entry_mut(&mut self, id: AttributeId) -> Option<&mut Entry> {
        self.sets.get_mut(id.index()).filter(|entry| entry.references > 0)
    }

    /// The set behind a number in use.
    #[inline]
    pub fn get(&self, id: AttributeId) -> Option<AttributeSet<'_>> {
        let entry = self.sets.get(id.index()).filter(|entry| entry.references > 0)?;
        Some(AttributeSet { entry, contents: &self.contents })
    }

    /// What the decision process compares of a set.
    #[inline]
    pub fn rank(&self, set: AttributeSet<'_>) -> &Rank {
        self.ranks.get(set.entry.rank)
    }

    /// All of a set as values.
    pub fn decoded(&mut self, id: AttributeId) -> Option<Arc<PathAttributes>> {
        let set = self.get(id)?;
        let note = Remembered { id, serial: set.entry.serial };
        if let Some((of, attributes)) = &self.decoded
            && *of == note
        {
            return Some(Arc::clone(attributes));
        }
        let attributes = Arc::new(set.decode());
        self.decoded = Some((note, Arc::clone(&attributes)));
        Some(attributes)
    }

    /// One more user. `NONE` has none.
    pub fn retain(&mut self, id: AttributeId) {
        if let Some(entry) = self.entry_mut(id) {
            entry.references += 1;
        }
    }

    /// A note of a set in use.
    pub fn remember(&self, id: AttributeId) -> Remembered {
        Remembered { id, serial: self.get(id).map_or(0, |set| set.entry.serial) }
    }

    /// The set of a note, with one use counted for the caller, if it is still there.
    pub fn recall(&mut self, note: Remembered) -> Option<AttributeId> {
        let entry = self.entry_mut(note.id).filter(|entry| entry.serial == note.serial)?;
        entry.references += 1;
        Some(note.id)
    }

    /// One user less; the last one frees the set.
    #[inline]
    pub fn release(&mut self, id: AttributeId, rib: &mut Rib) {
        let Some(entry) = self.entry_mut(id) else { return };
        entry.references -= 1;
        if entry.references == 0 {
            self.free_set(id, rib);
        }
    }

    #[cold]
    fn free_set(&mut self, id: AttributeId, rib: &mut Rib) {
        let entry = &self.sets[id.index()];
        self.ranks.release(entry.rank);
        self.long -= usize::from(usize::from(entry.block_len) > ALWAYS_FITS_LEN);
        self.contents.remove(entry.content);
        if let Ok(found) = self.by_content.find_entry(entry.content_hash, |&index| index == id.0) {
            found.remove();
        }
        if entry.nexthop != UNREGISTERED {
            rib.release_nexthop(entry.nexthop);
        }
        for (_, nexthop) in self.on_links.remove(&id).into_iter().flatten() {
            rib.release_nexthop(nexthop);
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

    /// The RIB's number of a set's next hop, for a neighbour on this link (which matters to link-local next hops alone); none: no path
    /// of such a neighbour has used it.
    #[inline]
    pub fn nexthop(&self, id: AttributeId, scope: Option<u32>) -> Option<NexthopSetId> {
        let entry = self.sets.get(id.index())?;
        match entry.is_of_a_link() {
            true => self.on_links.get(&id)?.iter().find(|(link, _)| *link == scope).map(|(_, nexthop)| *nexthop),
            false => Some(entry.nexthop).filter(|nexthop| *nexthop != UNREGISTERED),
        }
    }

    /// The same, registered on first use.
    pub fn nexthop_set(&mut self, id: AttributeId, scope: Option<u32>, rib: &mut Rib) -> Option<NexthopSetId> {
        if let Some(known) = self.nexthop(id, scope) {
            return Some(known);
        }
        let set = self.get(id)?;
        let spec = set.local().forwarding.spec().unwrap_or_else(|| nexthop_spec(&set.next_hop(), scope));
        let registered = rib.intern_nexthop(spec);
        let entry = &mut self.sets[id.index()];
        if entry.is_of_a_link() {
            self.on_links.entry(id).or_default().push((scope, registered));
        } else {
            entry.nexthop = registered;
        }
        Some(registered)
    }

    /// Whether any set may be too long for some neighbour.
    pub fn has_long(&self) -> bool {
        self.long > 0
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
        // RFC 2545 §3: beside a global next hop the link-local one is what to forward to on the shared link. Where the session is
        // between global addresses these resolve as well, and are preferred; where it is between link-local ones they need not.
        (NextHop::V6 { link_local: Some(address), .. }, Some(interface_index)) => {
            NexthopSpec::ScopedGateway { address: IpAddr::V6(*address), interface_index }
        }
        (NextHop::V6 { global, .. }, _) => NexthopSpec::gateway(IpAddr::V6(*global)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_small_and_come_back_as_they_were() {
        assert!(size_of::<Entry>() <= 32);
        let mut table = AttributeTable::default();
        let attributes = PathAttributes { med: Some(7), ..PathAttributes::default() };
        let (global, local): (Ipv6Addr, Ipv6Addr) = ("2001:db8::1".parse().unwrap(), "fe80::1".parse().unwrap());
        let next_hops = [
            NextHop::V4([192, 0, 2, 1].into()),
            NextHop::V6 { global, link_local: None },
            NextHop::V6 { global: local, link_local: None },
            NextHop::V6 { global: local, link_local: Some(local) },
            NextHop::V6 { global, link_local: Some(local) },
        ];
        for next_hop in next_hops {
            let id = table.intern_values(&attributes, next_hop);
            assert_eq!(table.intern(&attributes.encode(), next_hop), Some(id));
            let set = table.get(id).unwrap();
            assert_eq!(
                (set.next_hop(), set.block(), set.decode()),
                (next_hop, &attributes.encode()[..], attributes.clone())
            );
            assert_eq!(*table.decoded(id).unwrap(), attributes);
        }
        assert_eq!(table.len(), next_hops.len());
        assert_eq!(table.intern(&[1], next_hops[0]), None);
    }

    #[test]
    fn what_was_decoded_is_not_taken_for_another_set_of_the_same_number() {
        let (mut table, mut rib) = (AttributeTable::default(), Rib::new());
        let next_hop = NextHop::V4([192, 0, 2, 1].into());
        let with = |med| PathAttributes { med: Some(med), ..PathAttributes::default() };
        let first = table.intern_values(&with(1), next_hop);
        assert_eq!(table.decoded(first).unwrap().med, Some(1));
        table.release(first, &mut rib);
        table.take_freed();
        let second = table.intern_values(&with(2), next_hop);
        assert_eq!((second, table.decoded(second).unwrap().med), (first, Some(2)));
    }
}
