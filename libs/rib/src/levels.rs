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

/// One for each number of bits that two addresses can share.
const LEVELS: usize = u32::BITS as usize + 1;

/// The order of IPv4 prefixes level by level, within a level by address. A key has the prefix's address in its upper half, and in the lower one what
/// its owner knows it by; `present` are addresses that the tree has already. `put` is given every key once, with its place counted from the end, for owners who
/// take from there.
pub fn level_by_level(mut keys: Vec<u64>, mut present: Vec<u32>, mut put: impl FnMut(usize, u64)) {
    keys.sort_unstable();
    present.sort_unstable();
    let mut counts = [0; LEVELS];
    levels(&keys, &present).for_each(|level| counts[level] += 1);
    let mut left = keys.len();
    let mut ends = counts.map(|count| {
        let end = left;
        left -= count;
        end
    });
    for (level, key) in levels(&keys, &present).zip(&keys) {
        ends[level] -= 1;
        put(ends[level], *key);
    }
}

/// The level of each, both being sorted. Prefixes that begin at the same address are one place of the tree, and stay together.
fn levels<'a>(keys: &'a [u64], mut present: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
    let (mut before, mut level) = (None, 0);
    keys.iter().map(move |key| {
        let address = (key >> u32::BITS) as u32;
        if before != Some(address) {
            let shared = |other: u32| (other ^ address).leading_zeros() as usize;
            let passed = present.iter().take_while(|other| **other < address).count();
            let (below, above) = present.split_at(passed);
            let nearest = [before, below.last().copied(), above.first().copied()];
            level = nearest.into_iter().flatten().map(shared).max().unwrap_or(0);
            (before, present) = (Some(address), above);
        }
        level
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn order(prefixes: &[(u32, u8)], present: &[u32]) -> Vec<(u32, u8)> {
        let keys = prefixes.iter().map(|(address, length)| u64::from(*address) << 32 | u64::from(*length)).collect();
        let mut backwards = vec![(0, 0); prefixes.len()];
        level_by_level(keys, present.to_vec(), |place, key| backwards[place] = ((key >> 32) as u32, key as u8));
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
