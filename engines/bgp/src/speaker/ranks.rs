//! Distinct ranks: attribute sets are many, and what of them the decision process compares is the same for most.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::decision::Rank;

/// Names an interned rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankId(u32);

impl RankId {
    /// Which nobody need have.
    pub const FIRST: RankId = RankId(0);
}

/// All ranks, counted by the attribute sets that have them.
#[derive(Default)]
pub struct Ranks {
    ranks: Vec<Counted>,
    by_value: HashTable<u32>,
    free: Vec<u32>,
    /// Seeded per process, because attributes come from strangers; nothing observable depends on it.
    hasher: DefaultHashBuilder,
}

struct Counted {
    rank: Rank,
    users: u32,
}

impl Ranks {
    /// The number of a rank, with one more user.
    pub fn intern(&mut self, rank: Rank) -> RankId {
        let (ranks, hasher) = (&mut self.ranks, &self.hasher);
        let hash = hasher.hash_one(rank);
        if let Some(index) = self.by_value.find(hash, |&index| ranks[index as usize].rank == rank) {
            ranks[*index as usize].users += 1;
            return RankId(*index);
        }
        let counted = Counted { rank, users: 1 };
        let index = match self.free.pop() {
            Some(index) => {
                ranks[index as usize] = counted;
                index
            }
            None => {
                ranks.push(counted);
                (ranks.len() - 1) as u32
            }
        };
        self.by_value.insert_unique(hash, index, |&index| hasher.hash_one(ranks[index as usize].rank));
        RankId(index)
    }

    /// The rank of a number in use.
    #[inline]
    pub fn get(&self, id: RankId) -> &Rank {
        &self.ranks[id.0 as usize].rank
    }

    /// One user less; the last one frees the number.
    pub fn release(&mut self, id: RankId) {
        let counted = &mut self.ranks[id.0 as usize];
        counted.users -= 1;
        if counted.users > 0 {
            return;
        }
        let hash = self.hasher.hash_one(counted.rank);
        if let Ok(entry) = self.by_value.find_entry(hash, |&index| index == id.0) {
            entry.remove();
        }
        self.free.push(id.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PathAttributes;

    #[test]
    fn equal_ranks_have_one_number_as_long_as_anybody_has_it() {
        let rank = |med| Rank::of(&PathAttributes { med: Some(med), ..PathAttributes::default() });
        let mut ranks = Ranks::default();
        let (one, other) = (ranks.intern(rank(1)), ranks.intern(rank(2)));
        assert_ne!(one, other);
        assert_eq!(ranks.intern(rank(1)), one);
        ranks.release(one);
        assert_eq!((*ranks.get(one), ranks.intern(rank(3))), (rank(1), RankId(2)), "it has a user left");
        ranks.release(one);
        assert_eq!(ranks.intern(rank(4)), one, "the number is given out anew");
        assert_eq!((*ranks.get(one), *ranks.get(other)), (rank(4), rank(2)));
        assert_ne!(ranks.intern(rank(1)), one);
    }
}
