use hashbrown::HashMap;

use super::attributes::AttributeId;
use super::limits::PATHS_MAX;

/// A member's number in the tables of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seat(pub u16);

/// Which of the paths that we tell to one destination: a session without path identifiers has only the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(u8);

impl Slot {
    /// That of the only path.
    pub const ONLY: Slot = Slot(0);

    /// All of them.
    pub fn all() -> impl Iterator<Item = Slot> {
        (0..PATHS_MAX).map(Slot)
    }

    /// How the neighbour hears it called (RFC 7911 §3).
    pub fn identifier(self) -> u32 {
        u32::from(self.0) + 1
    }

    /// The slot that we call so; `None`: we call none so.
    pub fn of_identifier(identifier: u32) -> Option<Slot> {
        let slot = u8::try_from(identifier.checked_sub(1)?).ok()?;
        (slot < PATHS_MAX).then_some(Slot(slot))
    }

    /// For tables that are indexed by slot.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Beyond this many other versions their room is given back once there are none.
const SPARE_VERSIONS_MAX: usize = 1024;

/// The end of a chain.
const END: u32 = u32::MAX;

/// What the members of an export group have from us, of one family: by entry (a prefix's number) and member.
///
/// Members are told the same, so the attributes are noted once, in four bytes, and for each member one bit says whether it has
/// them. Whoever told us the route has not, nor has one whose session has just come up. A change reaches members one after
/// another, so an entry may have other versions beside the first: each with its bits, in a table that is empty when all
/// have read what there is. A version is there as long as a member has it; the first one is never missing while there is another.
#[derive(Default)]
pub struct Told {
    first: Vec<AttributeId>,
    /// Who has the first version: [`Self::width`] bytes for each entry.
    holders: Vec<u8>,
    /// Bytes of one set of members.
    width: usize,
    /// By entry: the head of the chain of its other versions.
    others: HashMap<u32, u32>,
    versions: Vec<Version>,
    version_holders: Vec<u8>,
    free: Vec<u32>,
}

/// A version of an entry that is not the first; its holders are in a vector of their own.
#[derive(Clone, Copy)]
struct Version {
    attributes: AttributeId,
    next: u32,
}

/// What a change of one member's entry meant for the entry as a whole: each version counts as one user of its attributes, and an
/// entry with any version as one user of its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What the member had.
    pub had: AttributeId,
    /// Nobody else had what it has now.
    pub gained: bool,
    /// Nobody has what it had.
    pub lost: bool,
    /// The entry was empty before.
    pub filled: bool,
    /// It is now.
    pub emptied: bool,
}

fn bit(seat: Seat) -> (usize, u8) {
    (usize::from(seat.0 / 8), 1 << (seat.0 % 8))
}

impl Told {
    /// What a member has.
    #[inline]
    pub fn get(&self, entry: u32, seat: Seat) -> AttributeId {
        let (byte, mask) = bit(seat);
        // The first version is never missing while there is another.
        let Some(first) = self.first.get(entry as usize).filter(|first| !first.is_none() && byte < self.width) else {
            return AttributeId::NONE;
        };
        if self.holders[entry as usize * self.width + byte] & mask != 0 {
            return *first;
        }
        let held = |at: &u32| self.version_holders[*at as usize * self.width + byte] & mask != 0;
        self.chain(entry).find(held).map_or(AttributeId::NONE, |at| self.versions[at as usize].attributes)
    }

    /// The other versions of an entry.
    fn chain(&self, entry: u32) -> impl Iterator<Item = u32> + '_ {
        let head = if self.others.is_empty() { END } else { self.others.get(&entry).copied().unwrap_or(END) };
        let mut at = head;
        std::iter::from_fn(move || {
            let present = at;
            at = self.versions.get(present as usize)?.next;
            Some(present)
        })
    }

    /// Notes what a member has now. `capacity`: entries that may come soon.
    pub fn set(&mut self, entry: u32, seat: Seat, attributes: AttributeId, capacity: u32) -> Change {
        let had = self.get(entry, seat);
        if had == attributes {
            return Change { had, ..Change::default() };
        }
        self.make_room(entry, seat, capacity);
        if self.first[entry as usize].is_none() {
            return self.fill(entry, seat, attributes);
        }
        let lost = !had.is_none() && self.take(entry, seat);
        let gained = !attributes.is_none() && self.put(entry, seat, attributes);
        Change { had, gained, lost, filled: false, emptied: self.first[entry as usize].is_none() }
    }

    /// The first version of an entry, as most are.
    fn fill(&mut self, entry: u32, seat: Seat, attributes: AttributeId) -> Change {
        let (byte, mask) = bit(seat);
        self.first[entry as usize] = attributes;
        self.holders[entry as usize * self.width + byte] |= mask;
        Change { gained: true, filled: true, ..Change::default() }
    }

    fn make_room(&mut self, entry: u32, seat: Seat, capacity: u32) {
        let width = (bit(seat).0 + 1).next_power_of_two();
        if width > self.width {
            for holders in [&mut self.holders, &mut self.version_holders] {
                *holders = widened(holders, self.width, width);
            }
            self.width = width;
        }
        let entries = self.first.len().max(entry as usize + 1);
        if entries > self.first.len() {
            let entries = entries.max(capacity as usize);
            self.first.resize(entries, AttributeId::NONE);
            self.holders.resize(entries * self.width, 0);
        }
    }

    /// True when it was the last one to have it.
    fn take(&mut self, entry: u32, seat: Seat) -> bool {
        let (byte, mask) = bit(seat);
        let at = entry as usize * self.width;
        if self.holders[at + byte] & mask == 0 {
            return self.take_other(entry, seat);
        }
        self.holders[at + byte] &= !mask;
        let lost = self.holders[at..at + self.width].iter().all(|members| *members == 0);
        if lost {
            self.first[entry as usize] = self.promote(entry);
        }
        lost
    }

    /// Another version takes the place of the first, which nobody has any more.
    fn promote(&mut self, entry: u32) -> AttributeId {
        let Some(head) = self.chain(entry).next() else { return AttributeId::NONE };
        let version = self.versions[head as usize];
        let (from, to) = (head as usize * self.width, entry as usize * self.width);
        let holders = &mut self.version_holders[from..from + self.width];
        self.holders[to..to + self.width].copy_from_slice(holders);
        holders.fill(0);
        self.unlink(entry, END, head);
        version.attributes
    }

    fn take_other(&mut self, entry: u32, seat: Seat) -> bool {
        let (byte, mask) = bit(seat);
        let (mut before, mut found) = (END, END);
        for at in self.chain(entry) {
            if self.version_holders[at as usize * self.width + byte] & mask != 0 {
                found = at;
                break;
            }
            before = at;
        }
        if found == END {
            return false;
        }
        let at = found as usize * self.width;
        self.version_holders[at + byte] &= !mask;
        let lost = self.version_holders[at..at + self.width].iter().all(|members| *members == 0);
        if lost {
            self.unlink(entry, before, found);
        }
        lost
    }

    fn unlink(&mut self, entry: u32, before: u32, at: u32) {
        let next = self.versions[at as usize].next;
        match self.versions.get_mut(before as usize) {
            Some(before) => before.next = next,
            None if next == END => drop(self.others.remove(&entry)),
            None => drop(self.others.insert(entry, next)),
        }
        self.free.push(at);
        if self.others.is_empty() && self.versions.len() > SPARE_VERSIONS_MAX {
            self.others = HashMap::new();
            (self.versions, self.version_holders, self.free) = Default::default();
        }
    }

    /// True when nobody else has it.
    fn put(&mut self, entry: u32, seat: Seat, attributes: AttributeId) -> bool {
        let (byte, mask) = bit(seat);
        let first = &mut self.first[entry as usize];
        let gained = first.is_none();
        if gained {
            *first = attributes;
        }
        if *first == attributes {
            self.holders[entry as usize * self.width + byte] |= mask;
            return gained;
        }
        let same = self.chain(entry).find(|at| self.versions[*at as usize].attributes == attributes);
        let at = same.unwrap_or_else(|| self.link(entry, attributes));
        self.version_holders[at as usize * self.width + byte] |= mask;
        same.is_none()
    }

    fn link(&mut self, entry: u32, attributes: AttributeId) -> u32 {
        let at = self.free.pop().unwrap_or(self.versions.len() as u32);
        let next = self.others.insert(entry, at).unwrap_or(END);
        let version = Version { attributes, next };
        match self.versions.get_mut(at as usize) {
            Some(slot) => *slot = version,
            None => {
                self.versions.push(version);
                self.version_holders.resize(self.versions.len() * self.width, 0);
            }
        }
        at
    }

    /// Upper bound of the entries.
    pub fn capacity(&self) -> u32 {
        self.first.len() as u32
    }
}

/// The same sets of members with more room in each.
fn widened(holders: &[u8], from: usize, to: usize) -> Vec<u8> {
    if from == 0 {
        return Vec::new();
    }
    let mut wide = vec![0; holders.len() / from * to];
    for (old, new) in holders.chunks_exact(from).zip(wide.chunks_exact_mut(to)) {
        new[..from].copy_from_slice(old);
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::attributes::AttributeTable;
    use crate::wire::{NextHop, PathAttributes};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Distinct attribute sets; the first is none.
    fn sets() -> Vec<AttributeId> {
        let mut table = AttributeTable::default();
        let with = |med| PathAttributes { med: Some(med), ..PathAttributes::default() };
        let next_hop = NextHop::V4([192, 0, 2, 1].into());
        let some = (0..4).map(|med| table.intern_values(&with(med), next_hop));
        std::iter::once(AttributeId::NONE).chain(some.collect::<Vec<_>>()).collect()
    }

    proptest! {
        #[test]
        fn behaves_as_a_map_for_each_member(operations in prop::collection::vec((0u32..3, 0usize..5, 0usize..5), 0..200)) {
            let (sets, seats) = (sets(), [0u16, 3, 7, 8, 40].map(Seat));
            let (mut told, mut model) = (Told::default(), BTreeMap::<(u32, u16), AttributeId>::new());
            let versions = |model: &BTreeMap<(u32, u16), AttributeId>, entry: u32| -> BTreeSet<AttributeId> {
                model.iter().filter(|((of, _), value)| *of == entry && !value.is_none()).map(|(_, value)| *value).collect()
            };
            for (entry, seat, value) in operations {
                let (seat, value) = (seats[seat], sets[value]);
                let before = versions(&model, entry);
                let change = told.set(entry, seat, value, 0);
                let had = model.insert((entry, seat.0), value).unwrap_or(AttributeId::NONE);
                let after = versions(&model, entry);
                prop_assert_eq!(change, Change {
                    had,
                    gained: after.contains(&value) && !before.contains(&value),
                    lost: before.contains(&had) && !after.contains(&had),
                    filled: before.is_empty() && !after.is_empty(),
                    emptied: !before.is_empty() && after.is_empty(),
                });
                for ((entry, seat), value) in &model {
                    prop_assert_eq!(told.get(*entry, Seat(*seat)), *value);
                }
                let others: usize = (0..3).map(|entry| versions(&model, entry).len().saturating_sub(1)).sum();
                prop_assert_eq!(told.versions.len() - told.free.len(), others);
            }
        }
    }

    #[test]
    fn room_for_versions_is_given_back() {
        let (sets, mut told) = (sets(), Told::default());
        let entries = SPARE_VERSIONS_MAX as u32 + 1;
        for entry in 0..entries {
            told.set(entry, Seat(0), sets[1], entries);
            told.set(entry, Seat(1), sets[2], entries);
        }
        assert_eq!(told.versions.len(), entries as usize);
        for entry in 0..entries {
            told.set(entry, Seat(0), sets[2], entries);
        }
        assert_eq!((told.versions.len(), told.others.capacity()), (0, 0));
        assert!((0..entries).all(|entry| told.get(entry, Seat(0)) == sets[2] && told.get(entry, Seat(1)) == sets[2]));
    }
}
