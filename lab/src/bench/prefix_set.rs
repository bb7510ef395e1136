//! A set of IPv4 prefixes up to /24 as bits, by the number of the prefix in a binary heap: 4 MiB, whatever is in it, and one
//! access per prefix.

use crate::bgp::message::Prefix;

/// Prefixes up to this length are known.
pub const LENGTH_MAX: u8 = 24;

/// The set.
#[derive(Debug, Clone)]
pub struct PrefixSet {
    words: Vec<u64>,
    len: usize,
}

impl Default for PrefixSet {
    fn default() -> Self {
        Self { words: vec![0; 1 << (LENGTH_MAX as usize + 1 - 6)], len: 0 }
    }
}

/// The prefix's number in the heap; nothing for one that is too long.
pub fn number(prefix: Prefix) -> Option<u32> {
    (prefix.length <= LENGTH_MAX)
        .then(|| 1 << prefix.length | prefix.address.checked_shr(32 - u32::from(prefix.length)).unwrap_or(0))
}

impl PrefixSet {
    /// Of these.
    pub fn of(prefixes: impl Iterator<Item = Prefix>) -> Self {
        let mut set = Self::default();
        for number in prefixes.filter_map(number) {
            set.insert(number);
        }
        set
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it is in it.
    pub fn contains(&self, number: u32) -> bool {
        self.words.get(number as usize >> 6).is_some_and(|word| word >> (number & 63) & 1 == 1)
    }

    /// Puts it in; whether it was not there.
    pub fn insert(&mut self, number: u32) -> bool {
        let Some(word) = self.words.get_mut(number as usize >> 6) else { return false };
        let fresh = *word >> (number & 63) & 1 == 0;
        *word |= 1 << (number & 63);
        self.len += usize::from(fresh);
        fresh
    }

    /// Takes it out; whether it was there.
    pub fn remove(&mut self, number: u32) -> bool {
        let Some(word) = self.words.get_mut(number as usize >> 6) else { return false };
        let there = *word >> (number & 63) & 1 == 1;
        *word &= !(1 << (number & 63));
        self.len -= usize::from(there);
        there
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.len = 0;
    }

    /// Those of this set that are not in the other.
    pub fn without(mut self, other: &Self) -> Self {
        for (word, theirs) in self.words.iter_mut().zip(&other.words) {
            *word &= !theirs;
        }
        self.len = self.words.iter().map(|word| word.count_ones() as usize).sum();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_with_another_length_is_another_prefix() {
        let prefixes = [(0, 0), (0, 1), (0x0a00_0000, 8), (0x0a00_0000, 9), (0x0a00_0000, 24), (0xffff_ff00, 24)];
        let prefixes = prefixes.map(|(address, length)| Prefix::new(address, length));
        let mut set = PrefixSet::of(prefixes.into_iter());
        assert_eq!(set.len(), prefixes.len());
        let first = number(prefixes[2]).unwrap();
        assert!(set.contains(first) && !set.insert(first) && set.remove(first) && !set.remove(first));
        assert_eq!((set.len(), set.clone().without(&PrefixSet::of(prefixes.into_iter().skip(1))).len()), (5, 1));
        assert_eq!(number(Prefix::new(0x0a00_0001, 32)), None);
        set.clear();
        assert!(set.is_empty() && !set.contains(number(prefixes[5]).unwrap()));
    }
}
