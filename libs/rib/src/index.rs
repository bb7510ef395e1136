//! Numbers under the hashes of what they stand for, packed: some nine octets each, whatever their number, and mostly one cache line to be
//! read to find one, or to find that it is not there.
//!
//! The keys lie elsewhere; whoever looks for one says whether a number is that of an equal key, and gives a number's hash again when it has to be
//! moved. Linear hashing (W. Litwin, 1980): numbers lie in small *buckets*, and when there are too many for the buckets, the next bucket
//! in turn is split in two. So the index grows in small steps, never stands beside a second copy of itself, and is never half
//! empty, as a table that doubles is after it has doubled.
//!
//! A bucket is a *line*: as many numbers as a cache line has room for, each with a tag of eight bits of its hash; all tags are compared at once. A bucket
//! that is full, as some are before it is their turn to be split, goes on in a spare line. Where a line lies follows from the hash alone, so those of
//! many hashes can be fetched at once (`Index::touch`).

/// Numbers per bucket on the average: with more, more of the buckets would go on in a spare line.
const BUCKET_NUMBERS: usize = 8;
/// Numbers in a line.
const LINE_NUMBERS: usize = 12;
/// Lines that are allocated at once.
const BLOCK_LINES: usize = 64;
/// The tag of a place without a number.
const VACANT: u8 = 0;
/// What a line has for the next one when it goes on in none.
const NO_LINE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line {
    numbers: [u32; LINE_NUMBERS],
    /// Those of the numbers, the vacant ones last.
    tags: [u8; LINE_NUMBERS],
    /// The spare line in which it goes on; of a spare line that is free, the next one that is.
    next: u32,
}

const VACANT_LINE: Line = Line { numbers: [0; LINE_NUMBERS], tags: [VACANT; LINE_NUMBERS], next: NO_LINE };

impl Line {
    /// The high bit of every octet whose tag is this one.
    fn equal(&self, tag: u8) -> u128 {
        const LOW: u128 = 0x7f7f_7f7f_7f7f_7f7f_7f7f_7f7f;
        const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080;
        const EACH: u128 = 0x0101_0101_0101_0101_0101_0101;
        let mut tags = [0; size_of::<u128>()];
        tags[..LINE_NUMBERS].copy_from_slice(&self.tags);
        let different = u128::from_le_bytes(tags) ^ (EACH * u128::from(tag));
        !(((different & LOW) + LOW) | different) & HIGH
    }

    fn len(&self) -> usize {
        // Nothing but vacant places comes behind the first of them.
        (self.equal(VACANT).trailing_zeros() as usize / 8).min(LINE_NUMBERS)
    }

    /// Adds a number where there is room.
    fn push(&mut self, tag: u8, number: u32) -> bool {
        let index = self.len();
        if index == LINE_NUMBERS {
            return false;
        }
        (self.tags[index], self.numbers[index]) = (tag, number);
        true
    }

    /// Takes the last number out.
    fn pop(&mut self) -> Option<(u8, u32)> {
        let index = self.len().checked_sub(1)?;
        Some((std::mem::replace(&mut self.tags[index], VACANT), self.numbers[index]))
    }
}

/// Lines that stay where they are while there come to be more of them.
#[derive(Clone, Debug, Default)]
struct Lines {
    blocks: Vec<Box<[Line]>>,
    len: usize,
}

impl Lines {
    fn push(&mut self) -> usize {
        if self.len == self.blocks.len() * BLOCK_LINES {
            self.blocks.push(vec![VACANT_LINE; BLOCK_LINES].into_boxed_slice());
        }
        self.len += 1;
        self.len - 1
    }

    fn get(&self, line: usize) -> &Line {
        &self.blocks[line / BLOCK_LINES][line % BLOCK_LINES]
    }

    fn get_mut(&mut self, line: usize) -> &mut Line {
        &mut self.blocks[line / BLOCK_LINES][line % BLOCK_LINES]
    }

    fn memory(&self) -> usize {
        self.blocks.len() * BLOCK_LINES * size_of::<Line>() + self.blocks.capacity() * size_of::<Box<[Line]>>()
    }
}

/// The bucket of a hash among so many. Those before the one that is split next have been split already in this round; their
/// hashes are told apart by one more bit.
pub fn bucket_of(hash: u64, buckets: usize) -> usize {
    let round = 1 << buckets.ilog2();
    let bucket = hash as usize & (2 * round - 1);
    if bucket < buckets { bucket } else { hash as usize & (round - 1) }
}

/// The bucket that is split when there is to be one more than so many; the new one is the last.
pub fn next_to_split(buckets: usize) -> usize {
    buckets - (1 << buckets.ilog2())
}

fn tag_of(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(VACANT + 1)
}

/// Where a number lies, until the next one is added or removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    bucket: usize,
    /// In the line of the bucket itself: none.
    spare: Option<u32>,
    index: usize,
}

/// The index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// One for each bucket.
    lines: Lines,
    /// Those in which buckets go on.
    spare: Lines,
    /// The first spare line that is free.
    free: u32,
    len: usize,
}

impl Index {
    pub fn new() -> Index {
        let mut lines = Lines::default();
        lines.push();
        Index { lines, spare: Lines::default(), free: NO_LINE, len: 0 }
    }

    /// The number with this hash for which `same` says yes.
    pub fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<(Place, u32)> {
        let (bucket, tag) = (bucket_of(hash, self.lines.len), tag_of(hash));
        let (mut line, mut spare) = (self.lines.get(bucket), None);
        loop {
            let mut equal = line.equal(tag);
            while equal != 0 {
                let index = equal.trailing_zeros() as usize / 8;
                if same(line.numbers[index]) {
                    return Some((Place { bucket, spare, index }, line.numbers[index]));
                }
                equal &= equal - 1;
            }
            if line.next == NO_LINE {
                return None;
            }
            spare = Some(line.next);
            line = self.spare.get(line.next as usize);
        }
    }

    /// Reads what [`Index::find`] of this hash will read first, and makes nothing of it.
    pub fn touch(&self, hash: u64) -> u8 {
        self.lines.get(bucket_of(hash, self.lines.len)).tags[0]
    }

    /// Adds a number that is not there; `hash_of` gives the hash of any that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len >= self.lines.len * BUCKET_NUMBERS {
            self.split(hash_of);
        }
        self.push(bucket_of(hash, self.lines.len), tag_of(hash), number);
        self.len += 1;
    }

    /// A bucket's own line is full before there is a spare one, and every spare line before there is another one, which comes first.
    fn push(&mut self, bucket: usize, tag: u8, number: u32) {
        let own = self.lines.get_mut(bucket);
        if own.push(tag, number) {
            return;
        }
        let first = own.next;
        if first != NO_LINE && self.spare.get_mut(first as usize).push(tag, number) {
            return;
        }
        let fresh = self.take_spare();
        let line = self.spare.get_mut(fresh as usize);
        line.push(tag, number);
        line.next = first;
        self.lines.get_mut(bucket).next = fresh;
    }

    fn take_spare(&mut self) -> u32 {
        if self.free == NO_LINE {
            return self.spare.push() as u32;
        }
        let taken = self.free;
        self.free = std::mem::replace(self.spare.get_mut(taken as usize), VACANT_LINE).next;
        taken
    }

    fn free_spare(&mut self, line: u32) {
        *self.spare.get_mut(line as usize) = Line { next: self.free, ..VACANT_LINE };
        self.free = line;
    }

    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let next = next_to_split(self.lines.len);
        let mut line = std::mem::replace(self.lines.get_mut(next), VACANT_LINE);
        let last = self.lines.push();
        loop {
            let len = line.len();
            // No hash waits for the one before it: the keys are far apart in memory.
            let mut hashes = [0; LINE_NUMBERS];
            for (hash, number) in hashes.iter_mut().zip(&line.numbers[..len]) {
                *hash = hash_of(*number);
            }
            for (index, hash) in hashes[..len].iter().enumerate() {
                let bucket = bucket_of(*hash, last + 1);
                debug_assert!(bucket == next || bucket == last);
                self.push(bucket, line.tags[index], line.numbers[index]);
            }
            let spare = line.next;
            if spare == NO_LINE {
                return;
            }
            line = *self.spare.get(spare as usize);
            self.free_spare(spare);
        }
    }

    /// Takes a number out: the last one of the bucket takes its place.
    pub fn remove(&mut self, place: Place) {
        let own = self.lines.get_mut(place.bucket);
        let first = own.next;
        let end = if first == NO_LINE { own } else { self.spare.get_mut(first as usize) };
        let Some((tag, number)) = end.pop() else { return };
        let (is_empty, behind) = (end.len() == 0, end.next);
        self.len -= 1;
        let line = match place.spare {
            None => self.lines.get_mut(place.bucket),
            Some(spare) => self.spare.get_mut(spare as usize),
        };
        // It was itself the last one where its place is vacant by now.
        if line.tags[place.index] != VACANT {
            (line.tags[place.index], line.numbers[place.index]) = (tag, number);
        }
        if first != NO_LINE && is_empty {
            self.lines.get_mut(place.bucket).next = behind;
            self.free_spare(first);
        }
        if self.len == 0 {
            *self = Self::new();
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.lines.memory() + self.spare.memory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Few different hashes in the high bits, so that tags are equal and keys are not.
    fn hash(number: u32) -> u64 {
        u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x03ff_ffff_ffff_ffff
    }

    fn find(index: &Index, number: u32) -> Option<Place> {
        index.find(hash(number), |other| other == number).map(|(place, found)| {
            assert_eq!(found, number);
            place
        })
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(steps in prop::collection::vec((0u8..3, 0u32..600), 0..3_000)) {
            let (mut index, mut model) = (Index::new(), BTreeSet::new());
            for (step, number) in steps {
                match (find(&index, number), step) {
                    (Some(place), 0) => {
                        prop_assert!(model.remove(&number));
                        index.remove(place);
                    }
                    (Some(_), _) => prop_assert!(model.contains(&number)),
                    (None, _) => {
                        prop_assert!(model.insert(number));
                        index.insert(hash(number), number, hash);
                    }
                }
                prop_assert_eq!(index.len(), model.len());
            }
            for number in 0..600 {
                prop_assert_eq!(find(&index, number).is_some(), model.contains(&number));
            }
        }

        #[test]
        fn tags_are_compared_one_by_one(tags in any::<[u8; LINE_NUMBERS]>(), tag in any::<u8>()) {
            let mut equal = Line { tags, ..VACANT_LINE }.equal(tag);
            for (at, other) in tags.iter().enumerate() {
                prop_assert_eq!(equal >> (8 * at + 7) & 1 == 1, *other == tag);
                equal &= !(1 << (8 * at + 7));
            }
            prop_assert_eq!(equal, 0);
        }
    }

    #[test]
    fn a_number_takes_few_octets_at_any_size() {
        for count in [10_000u32, 66_000, 131_073] {
            let mut index = Index::new();
            (0..count).for_each(|number| index.insert(hash(number), number, hash));
            let octets = index.memory() as f64 / f64::from(count);
            assert!(octets < 10.5, "{octets} octets for each of {count}");
            for number in 0..count {
                let place = find(&index, number).unwrap();
                index.remove(place);
            }
            assert_eq!(index.len(), 0);
            assert!(index.memory() < 5_000, "{}", index.memory());
        }
    }

    #[test]
    fn a_bucket_goes_on_in_several_lines() {
        let same = |_| 0x5a_u64;
        let mut index = Index::new();
        let mut left: BTreeSet<u32> = (0..200).collect();
        left.iter().for_each(|number| index.insert(same(*number), *number, same));
        for number in (0..200).step_by(3).chain((0..200).filter(|number| number % 3 > 0)) {
            let (place, _) = index.find(same(number), |other| other == number).unwrap();
            index.remove(place);
            left.remove(&number);
            let found = (0..200).filter(|number| index.find(same(*number), |other| other == *number).is_some());
            assert!(found.eq(left.iter().copied()));
        }
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn a_line_is_a_cache_line() {
        assert_eq!((size_of::<Line>(), align_of::<Line>()), (64, 64));
    }
}
