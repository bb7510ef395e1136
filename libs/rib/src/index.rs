//! Numbers under the hashes of what they stand for, packed: some six octets each, whatever their number.
//!
//! The keys lie elsewhere; whoever looks for one says whether a number is that of an equal key, and gives a number's hash again when it has to be
//! moved. Linear hashing (W. Litwin, 1980): numbers lie in small *buckets*, and when there are too many for the buckets, the next bucket
//! in turn is split in two. So the index grows in small steps, never stands beside a second copy of itself, and is never half
//! empty, as a table that doubles is after it has doubled. A bucket is a row of groups of eight; eight tags of eight bits of the hash
//! are compared at once.

use smallvec::SmallVec;

/// Numbers per bucket on the average.
const BUCKET_NUMBERS: usize = 48;
const GROUP: usize = 8;
/// The tag of a place without a number.
const VACANT: u8 = 0;

#[derive(Clone, Copy, Debug)]
struct Group {
    tags: [u8; GROUP],
    numbers: [u32; GROUP],
}

const VACANT_GROUP: Group = Group { tags: [VACANT; GROUP], numbers: [0; GROUP] };

impl Group {
    /// Up to [`GROUP`] numbers with their tags.
    fn of(numbers: &[(u8, u32)]) -> Group {
        let mut group = VACANT_GROUP;
        for (index, (tag, number)) in numbers.iter().enumerate() {
            (group.tags[index], group.numbers[index]) = (*tag, *number);
        }
        group
    }

    /// The high bit of every octet whose tag is this one.
    fn equal(&self, tag: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let different = u64::from_le_bytes(self.tags) ^ u64::from_le_bytes([tag; GROUP]);
        !(((different & LOW) + LOW) | different | LOW)
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
    group: usize,
    index: usize,
}

/// The index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    buckets: Vec<Vec<Group>>,
    len: usize,
}

impl Index {
    pub fn new() -> Index {
        Index { buckets: vec![Vec::new()], len: 0 }
    }

    /// The number with this hash for which `same` says yes.
    pub fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<(Place, u32)> {
        let (bucket, tag) = (bucket_of(hash, self.buckets.len()), tag_of(hash));
        for (at, group) in self.buckets[bucket].iter().enumerate() {
            let mut equal = group.equal(tag);
            while equal != 0 {
                let index = equal.trailing_zeros() as usize / GROUP;
                if same(group.numbers[index]) {
                    return Some((Place { bucket, group: at, index }, group.numbers[index]));
                }
                equal &= equal - 1;
            }
        }
        None
    }

    /// Adds a number that is not there; `hash_of` gives the hash of any that is.
    pub fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len >= self.buckets.len() * BUCKET_NUMBERS {
            self.split(hash_of);
        }
        let bucket = bucket_of(hash, self.buckets.len());
        push(&mut self.buckets[bucket], tag_of(hash), number);
        self.len += 1;
    }

    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let (next, last) = (next_to_split(self.buckets.len()), self.buckets.len());
        let together = std::mem::take(&mut self.buckets[next]);
        self.buckets.push(Vec::new());
        let mut parts: [SmallVec<[(u8, u32); 2 * BUCKET_NUMBERS]>; 2] = Default::default();
        for group in &together {
            for (tag, number) in group.tags.iter().zip(group.numbers).filter(|(tag, _)| **tag != VACANT) {
                let bucket = bucket_of(hash_of(number), self.buckets.len());
                debug_assert!(bucket == next || bucket == last);
                parts[usize::from(bucket == last)].push((*tag, number));
            }
        }
        for (bucket, part) in [next, last].into_iter().zip(parts) {
            self.buckets[bucket] = part.chunks(GROUP).map(Group::of).collect();
        }
    }

    /// Takes a number out: the last one of its bucket takes its place.
    pub fn remove(&mut self, place: Place) {
        let groups = &mut self.buckets[place.bucket];
        let Some(last) = groups.last_mut() else { return };
        let used = last.tags.iter().take_while(|tag| **tag != VACANT).count();
        let Some(end) = used.checked_sub(1) else { return };
        let moved = (last.tags[end], last.numbers[end]);
        last.tags[end] = VACANT;
        if end == 0 {
            groups.pop();
            if groups.capacity() > 2 * groups.len() {
                groups.shrink_to_fit();
            }
        }
        self.len -= 1;
        // It was itself the last one where its group is gone, or its place is vacant by now.
        if let Some(group) = groups.get_mut(place.group)
            && group.tags[place.index] != VACANT
        {
            (group.tags[place.index], group.numbers[place.index]) = moved;
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        let groups: usize = self.buckets.iter().map(Vec::capacity).sum();
        groups * size_of::<Group>() + self.buckets.capacity() * size_of::<Vec<Group>>()
    }
}

fn push(groups: &mut Vec<Group>, tag: u8, number: u32) {
    let vacant = groups.last().and_then(|group| group.tags.iter().position(|tag| *tag == VACANT));
    let index = vacant.unwrap_or_else(|| {
        groups.reserve_exact(1);
        groups.push(VACANT_GROUP);
        0
    });
    if let Some(group) = groups.last_mut() {
        (group.tags[index], group.numbers[index]) = (tag, number);
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
        fn tags_are_compared_one_by_one(tags in any::<[u8; GROUP]>(), tag in any::<u8>()) {
            let equal = Group { tags, ..VACANT_GROUP }.equal(tag);
            for (at, other) in tags.iter().enumerate() {
                prop_assert_eq!(equal >> (8 * at + 7) & 1 == 1, *other == tag);
            }
            prop_assert_eq!(equal & 0x7f7f_7f7f_7f7f_7f7f, 0);
        }
    }

    #[test]
    fn a_number_takes_few_octets_at_any_size() {
        for count in [10_000u32, 66_000, 131_073] {
            let mut index = Index::new();
            (0..count).for_each(|number| index.insert(hash(number), number, hash));
            let octets = index.memory() as f64 / f64::from(count);
            assert!(octets < 6.8, "{octets} octets for each of {count}");
            for number in 0..count {
                let place = find(&index, number).unwrap();
                index.remove(place);
            }
            assert_eq!(index.len(), 0);
        }
    }
}
