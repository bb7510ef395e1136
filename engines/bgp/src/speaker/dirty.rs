use std::collections::VecDeque;

use holdfast_rib::PrefixId;

/// Prefixes to look at again, in the order in which they changed, each once. Bounded by the number of prefixes.
#[derive(Debug, Default)]
pub struct DirtyPrefixes {
    queue: VecDeque<u32>,
    marked: Vec<u64>,
}

impl DirtyPrefixes {
    /// Marks a prefix; true when it was not marked.
    pub fn insert(&mut self, prefix: PrefixId) -> bool {
        let (word, bit) = (prefix.0 as usize / 64, 1u64 << (prefix.0 % 64));
        if word >= self.marked.len() {
            self.marked.resize(word + 1, 0);
        }
        let fresh = self.marked[word] & bit == 0;
        if fresh {
            self.marked[word] |= bit;
            self.queue.push_back(prefix.0);
        }
        fresh
    }

    /// Takes the oldest mark.
    pub fn pop(&mut self) -> Option<PrefixId> {
        let prefix = self.queue.pop_front()?;
        self.marked[prefix as usize / 64] &= !(1u64 << (prefix % 64));
        Some(PrefixId(prefix))
    }

    /// Nothing is marked.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_waits_once_and_may_come_again() {
        let mut dirty = DirtyPrefixes::default();
        assert!(dirty.insert(PrefixId(70)));
        assert!(dirty.insert(PrefixId(1)));
        assert!(!dirty.insert(PrefixId(70)));
        assert!(!dirty.is_empty());
        assert_eq!(dirty.pop(), Some(PrefixId(70)));
        assert!(dirty.insert(PrefixId(70)));
        assert_eq!(dirty.pop(), Some(PrefixId(1)));
        assert_eq!(dirty.pop(), Some(PrefixId(70)));
        assert_eq!(dirty.pop(), None);
    }
}
