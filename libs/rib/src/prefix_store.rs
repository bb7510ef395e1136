//! The storage under [`crate::PrefixTable`], generic over the address' width.
//!
//! A slot is the network address and one word: 24 bits of use count above 8 bits of prefix length. That makes 8 bytes for
//! IPv4 and 20 for IPv6. The [index](crate::index) holds slot numbers alone, at some nine bytes each; keys are compared in the slots. Free
//! slots are chained through their address. The hash is seeded per process, because the prefixes come from strangers; nothing
//! observable depends on it.

use crate::index::Index;
use crate::limits::PREFIX_USES_MAX;
use hashbrown::DefaultHashBuilder;
use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::ops::BitXor;

/// The length that marks a free slot; no prefix has it.
const LENGTH_FREE: u8 = u8::MAX;

/// End of the chain of free slots.
const CHAIN_END: u32 = u32::MAX;

/// An address as a number that can be masked, and can hold a slot number.
pub(crate) trait Address: Copy + Ord {
    /// Width in bits.
    const BITS: u8;
    fn mask(self, length: u8) -> Self;
    fn from_slot(slot: u32) -> Self;
    fn to_slot(self) -> u32;
    fn hash(self, length: u8, hasher: &DefaultHashBuilder) -> u64;
}

impl Address for u32 {
    const BITS: u8 = 32;

    fn mask(self, length: u8) -> u32 {
        self & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
    }

    fn from_slot(slot: u32) -> u32 {
        slot
    }

    fn to_slot(self) -> u32 {
        self
    }

    fn hash(self, length: u8, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one((u64::from(self) << 8) | u64::from(length))
    }
}

/// An IPv6 address in four words, the highest first, so that a slot needs no more than 4-byte alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Address6(pub [u32; 4]);

impl Address6 {
    pub fn from_bits(bits: u128) -> Address6 {
        Address6([(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32])
    }

    pub fn bits(self) -> u128 {
        self.0.iter().fold(0, |bits, word| (bits << 32) | u128::from(*word))
    }
}

impl Address for Address6 {
    const BITS: u8 = 128;

    fn mask(self, length: u8) -> Address6 {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        Address6::from_bits(self.bits() & mask)
    }

    fn from_slot(slot: u32) -> Address6 {
        Address6([0, 0, 0, slot])
    }

    fn to_slot(self) -> u32 {
        self.0[3]
    }

    fn hash(self, length: u8, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one((self.bits(), length))
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot<A> {
    address: A,
    word: u32,
}

impl<A: Address> Slot<A> {
    fn new(address: A, length: u8, uses: u32) -> Slot<A> {
        Slot { address, word: (uses << 8) | u32::from(length) }
    }

    fn length(&self) -> u8 {
        self.word as u8
    }

    /// A free slot is no prefix's.
    fn is(&self, address: A, length: u8) -> bool {
        self.address == address && self.length() == length
    }

    fn uses(&self) -> u32 {
        self.word >> 8
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Store<A> {
    slots: Vec<Slot<A>>,
    index: Index,
    hasher: DefaultHashBuilder,
    free: u32,
    /// The last one that was interned: what was told together the first time mostly is again, by everybody and to everybody, so the
    /// next one is looked for behind it first.
    last: u32,
    /// Prefixes per length, so that a longest match probes only lengths that occur.
    lengths: Box<[u32]>,
}

impl<A: Address> Store<A> {
    pub fn new() -> Store<A> {
        Store {
            slots: Vec::new(),
            index: Index::new(),
            hasher: DefaultHashBuilder::default(),
            free: CHAIN_END,
            last: CHAIN_END,
            lengths: vec![0; A::BITS as usize + 1].into_boxed_slice(),
        }
    }

    /// Reads what [`Store::get`] of these prefixes will read first. It does that one after the other, and of a large table waits for memory each
    /// time; here no read depends on another, so the processor waits for all of them at once.
    pub fn touch_to_get(&self, keys: impl Iterator<Item = (A, u8)>) {
        let touched = keys.map(|(address, length)| self.index.touch(address.hash(length, &self.hasher)));
        black_box(touched.fold(0, BitXor::bitxor));
    }

    /// The same before [`Store::intern`], which does not need the index for what was told together before.
    pub fn touch_to_intern(&self, keys: impl Iterator<Item = (A, u8)>) {
        let mut keys = keys.peekable();
        let (Some((address, length)), Some((second, second_length))) = (keys.next(), keys.peek()) else { return };
        let first = self.next_is(address, length).or_else(|| self.get(address, length));
        if first.is_none_or(|first| !self.is_at(first.wrapping_add(1), *second, *second_length)) {
            self.touch_to_get(keys);
        }
    }

    /// The slot behind the last one that was interned, if it is this prefix's.
    fn next_is(&self, address: A, length: u8) -> Option<u32> {
        let next = self.last.wrapping_add(1);
        self.is_at(next, address, length).then_some(next)
    }

    fn is_at(&self, number: u32, address: A, length: u8) -> bool {
        self.slots.get(number as usize).is_some_and(|slot| slot.is(address, length))
    }

    pub fn get(&self, address: A, length: u8) -> Option<u32> {
        let hash = address.hash(length, &self.hasher);
        let same = |slot: u32| self.slots[slot as usize].is(address, length);
        self.index.find(hash, same).map(|(_, number)| number)
    }

    /// Finds or creates, with one more use.
    pub fn intern(&mut self, address: A, length: u8) -> u32 {
        if let Some(known) = self.next_is(address, length).or_else(|| self.get(address, length)) {
            self.retain(known);
            self.last = known;
            return known;
        }
        let fresh = Slot::new(address, length, 1);
        // The index first: the slots lend their addresses to it until then.
        let number = if self.free == CHAIN_END { self.slots.len() as u32 } else { self.free };
        let (slots, hasher) = (&self.slots, &self.hasher);
        let hash_of = |slot: u32| {
            let slot = &slots[slot as usize];
            slot.address.hash(slot.length(), hasher)
        };
        self.index.insert(address.hash(length, hasher), number, hash_of);
        if self.free == CHAIN_END {
            self.slots.push(fresh);
        } else {
            self.free = self.slots[number as usize].address.to_slot();
            self.slots[number as usize] = fresh;
        }
        self.lengths[length as usize] += 1;
        self.last = number;
        number
    }

    pub fn retain(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        debug_assert!(slot.length() != LENGTH_FREE, "retain of a prefix that is not interned");
        if slot.uses() < PREFIX_USES_MAX {
            slot.word += 1 << 8;
        }
    }

    /// One use less; true when that was the last and the slot is free now.
    pub fn release(&mut self, number: u32) -> bool {
        let slot = &mut self.slots[number as usize];
        debug_assert!(slot.length() != LENGTH_FREE, "release of a prefix that is not interned");
        if slot.length() == LENGTH_FREE || slot.uses() == PREFIX_USES_MAX {
            return false;
        }
        if slot.uses() > 1 {
            slot.word -= 1 << 8;
            return false;
        }
        let (address, length) = (slot.address, slot.length());
        *slot = Slot::new(A::from_slot(self.free), LENGTH_FREE, 0);
        self.free = number;
        self.lengths[length as usize] -= 1;
        if let Some((place, _)) = self.index.find(address.hash(length, &self.hasher), |slot| slot == number) {
            self.index.remove(place);
        }
        true
    }

    /// Address, length and uses of an interned prefix.
    pub fn slot(&self, number: u32) -> Option<(A, u8, u32)> {
        let slot = self.slots.get(number as usize)?;
        (slot.length() != LENGTH_FREE).then(|| (slot.address, slot.length(), slot.uses()))
    }

    /// Sorts numbers by address, the highest first; the longest of one address first.
    pub fn sort_descending(&self, numbers: &mut [u32]) {
        let key = |number: &u32| self.slots.get(*number as usize).map(|slot| (slot.address, slot.length()));
        numbers.sort_unstable_by_key(|number| Reverse(key(number)));
    }

    /// Interned prefixes that contain an address, longest first.
    pub fn matches(&self, address: A) -> impl Iterator<Item = u32> + '_ {
        let occurring = self.lengths.iter().enumerate().rev().filter(|(_, count)| **count > 0);
        occurring.filter_map(move |(length, _)| self.get(address.mask(length as u8), length as u8))
    }

    pub fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<A>>() + self.index.memory() + size_of_val(&*self.lengths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_as_small_as_promised() {
        assert_eq!(size_of::<Slot<u32>>(), 8);
        assert_eq!(size_of::<Slot<Address6>>(), 20);
    }

    #[test]
    fn masks_at_the_edges() {
        assert_eq!(u32::MAX.mask(0), 0);
        assert_eq!(u32::MAX.mask(1), 1 << 31);
        assert_eq!(u32::MAX.mask(32), u32::MAX);
        assert_eq!(Address6::from_bits(u128::MAX).mask(0).bits(), 0);
        assert_eq!(Address6::from_bits(u128::MAX).mask(127).bits(), u128::MAX - 1);
        assert_eq!(Address6::from_bits(u128::MAX).mask(128).bits(), u128::MAX);
    }

    #[test]
    fn use_count_sticks_at_its_limit() {
        let mut store: Store<u32> = Store::new();
        let slot = store.intern(0x0a00_0000, 8);
        (0..PREFIX_USES_MAX + 5).for_each(|_| store.retain(slot));
        assert!(!store.release(slot));
        assert_eq!(store.slot(slot), Some((0x0a00_0000, 8, PREFIX_USES_MAX)));
    }
}
