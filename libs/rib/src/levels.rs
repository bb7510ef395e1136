//! The order in which the kernel's tree of IPv4 routes grows with the least work.
//!
//! # The idea
//!
//! The tree's inner nodes are arrays, each for some bits of the address. One that has become full enough doubles, and takes into itself the small nodes that
//! had to be made meanwhile for routes that met at one of its places. These are made to be thrown away; so nearly all of the tree's growth is in vain.
//!
//! Level by level there are none. On level *n* the address space is divided into 2^n parts of equal size, and the level holds the first route of
//! each part that no earlier level has reached. So as long as places are left for them, no two routes meet: the arrays double when they are due, by moving what
//! they hold. Within a level routes go by address, which is what the processor's caches want.
//!
//! The first route of a part, by address, is a first one of all levels above it, too. So a route's level follows from its neighbours, which are the one before it, and
//! the nearest on either side that the tree has already: with each it shares a part down to the first bit in which they differ.
//!
//! A million are put in order in steps, none of which takes more than a millisecond or two: who does it has other things to do in between.

use std::ops::Range;

/// One for each number of bits that two addresses can share.
const LEVELS: usize = u32::BITS as usize + 1;
/// So many numbers are sorted at once; more are parted in two before: some half a millisecond.
const SORTED_AT_ONCE: usize = 32_768;
/// So many are looked at to find one that is about in the middle.
const SAMPLES: usize = 64;
/// Of so many sorted keys the level is found in one step: as long.
const LEVELLED_AT_ONCE: usize = 131_072;

/// The order of IPv4 prefixes level by level, within a level by address. A key has the prefix's address in its upper half, and in the lower one what
/// its owner knows it by; `present` are addresses that the tree has already.
#[derive(Clone, Debug)]
pub struct LevelByLevel {
    keys: Vec<u64>,
    present: Vec<u32>,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    SortKeys(Sorting),
    SortPresent(Sorting),
    /// How many keys each level has, so far.
    Count(Walk, [usize; LEVELS]),
    /// Where the next of each level goes. What has been put is given back: as much is taken up where it goes.
    Put(Walk, [usize; LEVELS]),
}

impl LevelByLevel {
    /// Nothing is in order yet.
    pub fn new(keys: Vec<u64>, present: Vec<u32>) -> Self {
        let stage = Stage::SortKeys(Sorting::of(keys.len()));
        Self { keys, present, stage }
    }

    /// Goes on for a millisecond or two. `put` is given every key once, with its place counted from the end, for owners who take from there. False once it has
    /// been given all.
    pub fn step(&mut self, mut put: impl FnMut(usize, u64)) -> bool {
        let Self { keys, present, stage } = self;
        match stage {
            Stage::SortKeys(sorting) => {
                if !sorting.step(keys) {
                    *stage = Stage::SortPresent(Sorting::of(present.len()));
                }
            }
            Stage::SortPresent(sorting) => {
                if !sorting.step(present) {
                    *stage = Stage::Count(Walk::over(keys, present), [0; LEVELS]);
                }
            }
            Stage::Count(walk, counts) => {
                if !walk.step(keys, present, |level, _| counts[level] += 1) {
                    let mut left = keys.len();
                    let begins = counts.map(|count| {
                        left -= count;
                        left
                    });
                    *stage = Stage::Put(Walk::over(keys, present), begins);
                }
            }
            Stage::Put(walk, begins) => {
                let goes_on = walk.step(keys, present, |level, key| {
                    put(begins[level], key);
                    begins[level] += 1;
                });
                walk.give_back(keys, present);
                return goes_on;
            }
        }
        true
    }
}

/// What of a list is not sorted yet: ranges, of which each is to lie before those under it.
#[derive(Clone, Debug)]
struct Sorting(Vec<Range<usize>>);

impl Sorting {
    fn of(count: usize) -> Self {
        Self(std::iter::once(0..count).collect())
    }

    /// Parts a long range in two, or sorts a short one. False once nothing is left.
    fn step<T: Ord + Copy>(&mut self, items: &mut [T]) -> bool {
        let Some(range) = self.0.pop() else { return false };
        if range.len() <= SORTED_AT_ONCE {
            items[range].sort_unstable();
        } else {
            let middle = range.start + part(&mut items[range.clone()]);
            self.0.extend([middle..range.end, range.start..middle]);
        }
        !self.0.is_empty()
    }
}

/// Has all that is less than some item in the middle come before all else. Returns where that begins.
fn part<T: Ord + Copy>(items: &mut [T]) -> usize {
    let mut some: Vec<T> = items.iter().step_by(items.len() / SAMPLES).copied().collect();
    let (_, pivot, _) = some.select_nth_unstable(SAMPLES / 2);
    let mut less = 0;
    for next in 0..items.len() {
        let is_less = items[next] < *pivot;
        items.swap(next, less); // without a branch, which would be foretold wrong every other time
        less += usize::from(is_less);
    }
    let is_halfway = (items.len() / 8..items.len() - items.len() / 8).contains(&less);
    if is_halfway {
        return less;
    }
    // Somebody has put them so that the samples mislead. This takes longer, and is never misled.
    items.select_nth_unstable(items.len() / 2);
    items.len() / 2
}

/// A way through sorted keys and sorted addresses that the tree has, from the highest to the lowest.
#[derive(Clone, Debug)]
struct Walk {
    /// Keys that are ahead.
    keys: usize,
    /// Addresses of the tree that are below the last one.
    below: usize,
    last: Option<u32>,
    level: usize,
}

impl Walk {
    fn over(keys: &[u64], present: &[u32]) -> Self {
        Self { keys: keys.len(), below: present.len(), last: None, level: 0 }
    }

    /// Tells the levels of some keys. Prefixes that begin at the same address are one place of the tree, and stay together. False after the last.
    fn step(&mut self, keys: &[u64], present: &[u32], mut tell: impl FnMut(usize, u64)) -> bool {
        let address_of = |key: &u64| (key >> u32::BITS) as u32;
        let end = self.keys.saturating_sub(LEVELLED_AT_ONCE);
        while self.keys > end {
            let (key, before) = (keys[self.keys - 1], &keys[..self.keys - 1]);
            let address = address_of(&key);
            if self.last != Some(address) {
                let shared = |other: u32| (other ^ address).leading_zeros() as usize;
                let before = before.iter().rev().map(address_of).find(|other| *other != address);
                self.below -= present[..self.below].iter().rev().take_while(|other| **other >= address).count();
                let (below, above) = present.split_at(self.below);
                let nearest = [before, below.last().copied(), above.first().copied()];
                self.level = nearest.into_iter().flatten().map(shared).max().unwrap_or(0);
                self.last = Some(address);
            }
            tell(self.level, key);
            self.keys -= 1;
        }
        end > 0
    }

    /// Gives back the memory of what is behind, but for the address that is next above.
    fn give_back(&self, keys: &mut Vec<u64>, present: &mut Vec<u32>) {
        keys.truncate(self.keys);
        keys.shrink_to_fit();
        present.truncate(self.below + 1);
        present.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn order(prefixes: &[(u32, u8)], present: &[u32]) -> Vec<(u32, u8)> {
        let keys = prefixes.iter().map(|(address, length)| u64::from(*address) << 32 | u64::from(*length)).collect();
        let mut backwards = vec![(0, 0); prefixes.len()];
        let mut order = LevelByLevel::new(keys, present.to_vec());
        while order.step(|place, key| backwards[place] = ((key >> 32) as u32, key as u8)) {}
        backwards.into_iter().rev().collect()
    }

    #[test]
    fn each_level_goes_through_the_addresses_once() {
        let a = |first: u32, second: u32| (first << 24 | second << 16, 16);
        let told = order(&[a(1, 0), a(1, 1), a(1, 128), a(2, 0), a(64, 0), a(128, 0), a(192, 0), a(192, 1)], &[]);
        let halves = [a(1, 0), a(128, 0)];
        let quarters = [a(64, 0), a(192, 0)];
        let rest = [a(2, 0), a(1, 128), a(1, 1), a(192, 1)];
        assert_eq!(told, [&halves[..], &quarters, &rest].concat());
        // What the tree has already has reached its parts before any other.
        let told = order(&[a(1, 0), a(64, 0), a(128, 0), a(200, 0)], &[(1 << 24) + (1 << 8), 201 << 24]);
        assert_eq!(told, [a(64, 0), a(128, 0), a(200, 0), a(1, 0)]);
    }

    #[test]
    fn prefixes_of_one_address_stay_together() {
        let told = order(&[(0, 0), (0, 8), (1 << 24, 8), (1 << 24, 24), (1 << 31, 1)], &[]);
        let addresses: Vec<u32> = told.iter().map(|(address, _)| *address).collect();
        assert_eq!(addresses, [0, 0, 1 << 31, 1 << 24, 1 << 24]);
        assert!(order(&[], &[]).is_empty());
        assert_eq!(
            order(&[(7 << 24, 8), (9 << 24, 8)], &[7 << 24]),
            [(9 << 24, 8), (7 << 24, 8)],
            "the tree has that place"
        );
    }

    /// Longer than what is sorted at once, with these addresses and every third of the tree's.
    fn check_long(addresses: &[u32]) {
        let told_first: Vec<u32> = addresses.iter().copied().step_by(3).collect();
        let waiting: Vec<(u32, u8)> = addresses.iter().filter(|a| *a % 5 > 0).map(|address| (*address, 32)).collect();
        let mut known = told_first.clone();
        known.sort_unstable();
        let mut sorted: Vec<u32> = waiting.iter().map(|(address, _)| *address).collect();
        sorted.sort_unstable();
        let shared = |a: u32, b: Option<&u32>| b.map_or(0, |b| (a ^ b).leading_zeros());
        let level = |place: usize| {
            let address = sorted[place];
            let passed = known.partition_point(|other| *other < address);
            let before = shared(address, place.checked_sub(1).and_then(|place| sorted.get(place)));
            let below = shared(address, passed.checked_sub(1).and_then(|place| known.get(place)));
            before.max(below).max(shared(address, known.get(passed)))
        };
        let mut expected: Vec<(u32, u32)> = (0..sorted.len()).map(|place| (level(place), sorted[place])).collect();
        expected.sort_unstable();
        let told = order(&waiting, &told_first);
        assert!(told.iter().map(|(address, _)| address).eq(expected.iter().map(|(_, address)| address)));
    }

    #[test]
    fn long_lists_are_put_in_order_however_they_lie() {
        const COUNT: u32 = 300_000;
        let scattered = |n: u32| n.wrapping_mul(0x9e37_79b1);
        check_long(&(0..COUNT).map(scattered).collect::<Vec<_>>());
        check_long(&(0..COUNT).collect::<Vec<_>>());
        check_long(&(0..COUNT).rev().map(|n| n << 8).collect::<Vec<_>>());
        // What is looked at to part the keys in the middle is the greatest of all.
        let keys = (0..COUNT).filter(|n| n % 5 > 0).count();
        let mut misleading: Vec<u32> = (0..COUNT).filter(|n| n % 5 > 0).collect();
        (0..keys).step_by(keys / SAMPLES).for_each(|place| misleading[place] |= 1 << 31);
        check_long(&misleading);
        assert_eq!(part(&mut [7; 1_000]), 500, "all are equal");
    }

    #[test]
    fn what_has_been_put_is_given_back() {
        const COUNT: u32 = 500_000;
        let keys = (0..COUNT).map(|n| u64::from(n.wrapping_mul(0x9e37_79b1) | 1) << 32).collect();
        let mut order = LevelByLevel::new(keys, (0..COUNT).map(|n| n.wrapping_mul(0x9e37_79b1) & !1).collect());
        let (mut left, mut goes_on) = (COUNT as usize, true);
        while goes_on {
            goes_on = order.step(|_, _| left -= 1);
            assert_eq!((order.keys.len(), order.keys.capacity()), (left, left));
            // The tree's are as far apart: as many of them are ahead, about.
            let present = order.present.capacity();
            assert!(present <= left + 1_000, "{present} where {left} keys are left");
        }
        assert_eq!(left, 0);
    }

    proptest! {
        /// Whatever the prefixes: all are told, and on no level does one of them meet another, or what the tree has.
        #[test]
        fn no_two_of_a_level_meet(
            addresses in prop::collection::hash_set((0u32..1 << 12, 0u32..4), 0..300),
            has in 0usize..100,
        ) {
            let addresses: Vec<u32> = addresses.into_iter().map(|(high, low)| high << 20 | low).collect();
            let (present, waiting) = addresses.split_at(has.min(addresses.len()));
            let prefixes: Vec<(u32, u8)> = waiting.iter().map(|address| (*address, 32)).collect();
            let told: Vec<u32> = order(&prefixes, present).into_iter().map(|(address, _)| address).collect();
            prop_assert_eq!(told.iter().collect::<HashSet<_>>(), waiting.iter().collect::<HashSet<_>>());
            prop_assert_eq!(told.len(), waiting.len());
            let mut rest = &told[..];
            for level in 0..=u32::BITS {
                let part = |address: &u32| address.checked_shr(u32::BITS - level).unwrap_or(0);
                let reached: HashSet<u32> = present.iter().map(part).collect();
                let all: HashSet<u32> = addresses.iter().map(part).collect();
                // So many are told by then: one in every part that has any but was not reached, each in another one.
                let by_then = all.len() - reached.len();
                let told_in: HashSet<u32> = told[..by_then].iter().map(part).collect();
                prop_assert_eq!(told_in.len(), by_then);
                prop_assert!(told_in.is_disjoint(&reached));
                let (this, others) = rest.split_at(by_then - (told.len() - rest.len()));
                prop_assert!(this.is_sorted(), "level {}: {:?}", level, this);
                rest = others;
            }
            prop_assert!(rest.is_empty());
        }
    }
}
