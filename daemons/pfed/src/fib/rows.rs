//! Prefixes with one word each, packed: 9 octets per IPv4 prefix, 21 per IPv6 prefix, and less than three for what holds them together.
//!
//! # The idea
//!
//! Linear hashing (W. Litwin, 1980). Rows lie unordered in small *buckets*, each a vector with hardly a row to spare. When there are too many for the buckets, the
//! next bucket in turn is split in two, and only that one: the table grows in small steps, never holds a second copy of itself, and is as
//! dense with a million rows as with a thousand. (A table that doubles is half empty after it.) A row is found by looking through its
//! bucket, which is a few cache lines one behind the other.
//!
//! Buckets never merge, so whoever walks from bucket to bucket meets every row that was there all the time, whatever is added or
//! removed meanwhile; one that is split behind him he may meet twice.
//!
//! The hash is seeded per process, because the prefixes come from strangers; nothing observable but the order depends on it.

use std::fmt::Debug;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, Ipv6Addr};

use hashbrown::DefaultHashBuilder;
use holdfast_rib::index::{bucket_of, next_to_split};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Rows per bucket on the average: more cost time to look through, less cost memory (a bucket's vector takes 32 octets).
const BUCKET_ROWS: usize = 48;
/// A bucket grows by so many rows, and shrinks when twice as many are to spare.
const BUCKET_STEP: usize = 8;

/// A prefix in the form in which rows hold it.
pub trait Key: Copy + Eq {
    /// A key and its word, without alignment.
    type Row: Copy + Debug;
    fn with(self, word: u32) -> Self::Row;
    fn of(row: &Self::Row) -> Self;
    fn word(row: &Self::Row) -> u32;
    fn prefix(self) -> Option<IpNet>;
    fn hash(self, hasher: &DefaultHashBuilder) -> u64;
}

/// An IPv4 prefix: the address above the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key4(u64);

impl Key4 {
    pub fn new(net: &Ipv4Net) -> Self {
        Self(u64::from(net.network().to_bits()) << 8 | u64::from(net.prefix_len()))
    }
}

impl Key for Key4 {
    type Row = [u8; 9];

    fn with(self, word: u32) -> [u8; 9] {
        let ([a, b, c, d, e, ..], [w, x, y, z]) = (self.0.to_le_bytes(), word.to_le_bytes());
        [a, b, c, d, e, w, x, y, z]
    }

    fn of(row: &[u8; 9]) -> Self {
        let [a, b, c, d, e, ..] = *row;
        Self(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }

    fn word(row: &[u8; 9]) -> u32 {
        let [.., w, x, y, z] = *row;
        u32::from_le_bytes([w, x, y, z])
    }

    fn prefix(self) -> Option<IpNet> {
        let net = Ipv4Net::new(Ipv4Addr::from_bits((self.0 >> 8) as u32), self.0 as u8);
        net.ok().map(IpNet::V4)
    }

    fn hash(self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one(self.0)
    }
}

/// An IPv6 prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key6 {
    address: u128,
    length: u8,
}

impl Key6 {
    pub fn new(net: &Ipv6Net) -> Self {
        Self { address: net.network().to_bits(), length: net.prefix_len() }
    }
}

impl Key for Key6 {
    type Row = [u8; 21];

    fn with(self, word: u32) -> [u8; 21] {
        let mut row = [0; 21];
        row[..16].copy_from_slice(&self.address.to_le_bytes());
        row[16] = self.length;
        row[17..].copy_from_slice(&word.to_le_bytes());
        row
    }

    fn of(row: &[u8; 21]) -> Self {
        let address = row.first_chunk().map_or(0, |octets| u128::from_le_bytes(*octets));
        Self { address, length: row[16] }
    }

    fn word(row: &[u8; 21]) -> u32 {
        row.last_chunk().map_or(0, |octets| u32::from_le_bytes(*octets))
    }

    fn prefix(self) -> Option<IpNet> {
        Ipv6Net::new(Ipv6Addr::from_bits(self.address), self.length).ok().map(IpNet::V6)
    }

    fn hash(self, hasher: &DefaultHashBuilder) -> u64 {
        hasher.hash_one((self.address, self.length))
    }
}

/// Where a row lies, until the next one is added or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    bucket: usize,
    index: usize,
}

/// The rows.
#[derive(Debug)]
pub struct Rows<K: Key> {
    buckets: Vec<Vec<K::Row>>,
    count: usize,
    hasher: DefaultHashBuilder,
}

impl<K: Key> Rows<K> {
    pub fn new() -> Self {
        Self { buckets: vec![Vec::new()], count: 0, hasher: DefaultHashBuilder::default() }
    }

    fn bucket_of(&self, key: K) -> usize {
        bucket_of(key.hash(&self.hasher), self.buckets.len())
    }

    pub fn find(&self, key: K) -> Option<Place> {
        let bucket = self.bucket_of(key);
        let index = self.buckets[bucket].iter().position(|row| K::of(row) == key)?;
        Some(Place { bucket, index })
    }

    /// Adds a row for a key that has none.
    pub fn add(&mut self, key: K, word: u32) -> Place {
        debug_assert!(self.find(key).is_none(), "a key has one row");
        if self.count >= self.buckets.len() * BUCKET_ROWS {
            self.split();
        }
        self.count += 1;
        let bucket = self.bucket_of(key);
        let rows = &mut self.buckets[bucket];
        if rows.len() == rows.capacity() {
            rows.reserve_exact(BUCKET_STEP);
        }
        rows.push(key.with(word));
        Place { bucket, index: rows.len() - 1 }
    }

    /// Splits the next bucket in turn.
    fn split(&mut self) {
        let next = next_to_split(self.buckets.len());
        let together = std::mem::take(&mut self.buckets[next]);
        self.buckets.push(Vec::new());
        let stays: Vec<bool> = together.iter().map(|row| self.bucket_of(K::of(row)) == next).collect();
        let staying = stays.iter().filter(|stays| **stays).count();
        let mut parts = [Vec::with_capacity(staying), Vec::with_capacity(together.len() - staying)];
        for (row, stays) in together.iter().zip(stays) {
            parts[usize::from(!stays)].push(*row);
        }
        let [stayed, moved] = parts;
        self.buckets[next] = stayed;
        if let Some(last) = self.buckets.last_mut() {
            *last = moved;
        }
    }

    pub fn remove(&mut self, place: Place) {
        let rows = &mut self.buckets[place.bucket];
        rows.swap_remove(place.index);
        if rows.capacity() - rows.len() >= 2 * BUCKET_STEP {
            rows.shrink_to(rows.len() + BUCKET_STEP);
        }
        self.count -= 1;
    }

    pub fn word(&self, place: Place) -> u32 {
        K::word(&self.buckets[place.bucket][place.index])
    }

    pub fn set_word(&mut self, place: Place, word: u32) {
        let row = &mut self.buckets[place.bucket][place.index];
        *row = K::of(row).with(word);
    }

    /// Takes bits out of every word.
    pub fn clear(&mut self, bits: u32) {
        for row in self.buckets.iter_mut().flatten() {
            *row = K::of(row).with(K::word(row) & !bits);
        }
    }

    /// The rows of one bucket, in no order.
    pub fn bucket(&self, index: usize) -> impl Iterator<Item = (IpNet, u32)> + '_ {
        let rows = self.buckets.get(index).map_or(&[][..], Vec::as_slice);
        rows.iter().filter_map(|row| Some((K::of(row).prefix()?, K::word(row))))
    }

    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        let rows: usize = self.buckets.iter().map(Vec::capacity).sum();
        rows * size_of::<K::Row>() + self.buckets.capacity() * size_of::<Vec<K::Row>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(n: u16) -> Key4 {
        Key4::new(&Ipv4Net::new(Ipv4Addr::new(10, (n >> 8) as u8, n as u8, 0), 24).unwrap())
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0u8..4, 0u16..400, any::<u32>()), 0..2_000)) {
            let (mut rows, mut model) = (Rows::<Key4>::new(), BTreeMap::new());
            for (step, n, word) in steps {
                let place = rows.find(key(n));
                prop_assert_eq!(place.map(|place| rows.word(place)), model.get(&n).copied());
                match (place, step) {
                    (Some(place), 0) => {
                        rows.remove(place);
                        model.remove(&n);
                    }
                    (Some(place), _) => {
                        rows.set_word(place, word);
                        model.insert(n, word);
                    }
                    (None, _) => {
                        let place = rows.add(key(n), word);
                        prop_assert_eq!(rows.word(place), word);
                        model.insert(n, word);
                    }
                }
            }
            let walked: BTreeMap<IpNet, u32> = (0..rows.buckets()).flat_map(|index| rows.bucket(index)).collect();
            let expected: BTreeMap<IpNet, u32> =
                model.iter().map(|(n, word)| (key(*n).prefix().unwrap(), *word)).collect();
            prop_assert_eq!(walked, expected);
            rows.clear(0xffff_0000);
            for (n, word) in model {
                prop_assert_eq!(rows.find(key(n)).map(|place| rows.word(place)), Some(word & 0xffff));
            }
        }
    }

    #[test]
    fn who_walks_meets_what_was_there_all_the_time() {
        let mut rows = Rows::<Key4>::new();
        for n in 0..500 {
            rows.add(key(n), 1);
        }
        let (mut met, mut bucket) = (Vec::new(), 0);
        while bucket < rows.buckets() {
            met.extend(rows.bucket(bucket).filter(|(_, word)| *word == 1).map(|(prefix, _)| prefix));
            if bucket == 3 {
                for n in 500..5_000 {
                    rows.add(key(n), 2);
                }
            }
            bucket += 1;
        }
        met.sort();
        met.dedup();
        assert_eq!(met.len(), 500);
    }

    #[test]
    fn rows_are_dense_at_any_size_and_give_back_what_they_do_not_need() {
        for count in [10_000u32, 65_000, 131_073, 200_000] {
            let mut rows = Rows::<Key4>::new();
            let nth = |n: u32| Key4::new(&Ipv4Net::new(Ipv4Addr::from_bits(n << 8), 24).unwrap());
            for n in 0..count {
                rows.add(nth(n), n);
            }
            let octets = rows.memory_bytes() as f64 / f64::from(count);
            assert!(octets < 11.5, "{octets} octets per row of {count}");
            for n in 0..count {
                let place = rows.find(nth(n)).unwrap();
                rows.remove(place);
            }
            assert!(rows.memory_bytes() < count as usize * 5);
        }
    }

    #[test]
    fn ipv6_prefixes_come_back_as_they_were() {
        let net: Ipv6Net = "2001:db8:ffff::/47".parse().unwrap();
        let mut rows = Rows::<Key6>::new();
        let place = rows.add(Key6::new(&net), 7);
        rows.set_word(place, u32::MAX);
        assert_eq!(rows.bucket(0).collect::<Vec<_>>(), [(IpNet::V6(net.trunc()), u32::MAX)]);
    }
}
