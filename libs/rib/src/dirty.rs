//! A set of prefix ids that a reader has not seen yet: one bit per id, so it is bounded whatever happens.

const WORD_BITS: usize = u64::BITS as usize;

/// A way once around the set, in pieces.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    word: usize,
    left: usize,
}

/// A bitmap with a summary bitmap above it, read round-robin so that no id starves.
#[derive(Clone, Debug, Default)]
pub struct DirtySet {
    words: Vec<u64>,
    summary: Vec<u64>,
    cursor: usize,
    len: usize,
}

impl DirtySet {
    /// True when the id was not in the set.
    pub fn insert(&mut self, id: u32) -> bool {
        let (word, bit) = (id as usize / WORD_BITS, 1u64 << (id as usize % WORD_BITS));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / WORD_BITS + 1, 0);
        }
        if self.words[word] & bit != 0 {
            return false;
        }
        self.words[word] |= bit;
        self.summary[word / WORD_BITS] |= 1 << (word % WORD_BITS);
        self.len += 1;
        true
    }

    /// Whether it is in the set.
    pub fn contains(&self, id: u32) -> bool {
        let word = self.words.get(id as usize / WORD_BITS).copied().unwrap_or(0);
        word & (1 << (id as usize % WORD_BITS)) != 0
    }

    /// Takes it out; true when it was in the set.
    pub fn remove(&mut self, id: u32) -> bool {
        if !self.contains(id) {
            return false;
        }
        let (word, bit) = (id as usize / WORD_BITS, 1u64 << (id as usize % WORD_BITS));
        self.words[word] &= !bit;
        if self.words[word] == 0 {
            self.summary[word / WORD_BITS] &= !(1 << (word % WORD_BITS));
        }
        self.len -= 1;
        true
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next id at or after the place where the last one was taken.
    pub fn pop(&mut self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let word = self.next_word(self.cursor).or_else(|| self.next_word(0))?;
        let bit = self.words[word].trailing_zeros() as usize;
        self.words[word] &= self.words[word] - 1;
        if self.words[word] == 0 {
            self.summary[word / WORD_BITS] &= !(1 << (word % WORD_BITS));
        }
        self.cursor = word;
        self.len -= 1;
        Some((word * WORD_BITS + bit) as u32)
    }

    /// At least `max` ids, if there are as many, and less than a word more, in the order in which [`Self::pop`] would take them. They stay in
    /// the set: who is told of one takes it out with [`Self::remove`]. What is gathered or popped next comes behind them.
    pub fn gather(&mut self, max: usize) -> Vec<u32> {
        let mut ids = Vec::with_capacity(self.len.min(max + WORD_BITS));
        let begin = self.cursor;
        for (first, end) in [(begin, self.words.len()), (0, begin)] {
            let mut from = first;
            while ids.len() < max
                && let Some(word) = self.next_word(from).filter(|word| *word < end)
            {
                let mut bits = self.words[word];
                while bits != 0 {
                    ids.push(word as u32 * u64::BITS + bits.trailing_zeros());
                    bits &= bits - 1;
                }
                from = word + 1;
                self.cursor = from;
            }
        }
        ids
    }

    /// A round that begins where the last id was taken.
    pub fn round(&self) -> Round {
        Round { word: self.cursor, left: self.words.len() }
    }

    /// Goes on with a round: the ids among the next `span`, which stay in the set. False at its end. What comes into the set or leaves it meanwhile may be met
    /// or not, and where it grows meanwhile, so may those before the place where the round began.
    pub fn go_round(&self, round: &mut Round, span: usize, mut meet: impl FnMut(u32)) -> bool {
        for _ in 0..span.div_ceil(WORD_BITS).min(round.left) {
            round.word = if round.word < self.words.len() { round.word } else { 0 };
            let mut bits = self.words[round.word];
            while bits != 0 {
                meet(round.word as u32 * u64::BITS + bits.trailing_zeros());
                bits &= bits - 1;
            }
            round.word += 1;
            round.left -= 1;
        }
        round.left > 0
    }

    /// What is gathered or popped next comes behind what a round has met.
    pub fn come_after(&mut self, round: Round) {
        self.cursor = round.word;
    }

    /// The first word with a bit set, from `from` on.
    fn next_word(&self, from: usize) -> Option<usize> {
        let first = from / WORD_BITS;
        for (offset, summary) in self.summary.get(first..)?.iter().enumerate() {
            let visible = if offset == 0 { summary & (u64::MAX << (from % WORD_BITS)) } else { *summary };
            if visible != 0 {
                return Some((first + offset) * WORD_BITS + visible.trailing_zeros() as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn behaves_like_a_set(operations in prop::collection::vec((0u8..5, 0u32..20_000), 0..400)) {
            let (mut dirty, mut model) = (DirtySet::default(), BTreeSet::new());
            for (operation, id) in operations {
                if operation < 2 {
                    prop_assert_eq!(dirty.insert(id), model.insert(id));
                } else if operation == 2 {
                    let id = model.first().copied().filter(|_| id % 2 == 0).unwrap_or(id);
                    prop_assert_eq!(dirty.remove(id), model.remove(&id));
                } else if operation == 3 {
                    let max = id as usize % 40;
                    let gathered = dirty.gather(max);
                    let distinct: BTreeSet<u32> = gathered.iter().copied().collect();
                    prop_assert!(distinct.is_subset(&model) && distinct.len() == gathered.len());
                    prop_assert!(gathered.len() >= max.min(model.len()) && gathered.len() < max + WORD_BITS);
                } else if let Some(taken) = dirty.pop() {
                    prop_assert!(model.remove(&taken));
                } else {
                    prop_assert!(model.is_empty());
                }
                prop_assert_eq!(dirty.len(), model.len());
                prop_assert_eq!(dirty.contains(id), model.contains(&id));
            }
            while let Some(taken) = dirty.pop() {
                prop_assert!(model.remove(&taken));
            }
            prop_assert!(model.is_empty() && dirty.is_empty());
        }
    }

    #[test]
    fn a_round_meets_every_id_once_in_the_order_in_which_they_are_taken() {
        let mut dirty = DirtySet::default();
        for id in [1, 70, 500, 5_000, 9_000] {
            dirty.insert(id);
        }
        assert_eq!(dirty.gather(2), [1, 70]);
        let (mut round, mut met) = (dirty.round(), Vec::new());
        assert!(dirty.go_round(&mut round, 4_000, |id| met.push(id)) && met == [500]);
        let before = round;
        while dirty.go_round(&mut round, 1_000, |id| met.push(id)) {}
        assert_eq!(met, [500, 5_000, 9_000, 1, 70]);
        assert_eq!(dirty.len(), 5);
        dirty.come_after(before);
        assert_eq!(dirty.pop(), Some(5_000));
        let empty = DirtySet::default();
        assert!(!empty.go_round(&mut empty.round(), 1_000, |_| unreachable!("nothing is in it")));
    }

    #[test]
    fn gathers_and_pops_go_round_together() {
        let mut dirty = DirtySet::default();
        for id in [1, 70, 500, 5_000, 9_000] {
            dirty.insert(id);
        }
        assert_eq!(dirty.gather(2), [1, 70]);
        assert_eq!(dirty.pop(), Some(500));
        assert_eq!(dirty.gather(3), [5_000, 9_000, 1]);
        assert_eq!(dirty.len(), 4);
        assert!(dirty.remove(1));
        assert_eq!(dirty.gather(9), [70, 5_000, 9_000]);
    }
}
