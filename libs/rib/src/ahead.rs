//! In which order forwarding entries are told: some ten thousand at a time, by address.
//!
//! # The idea
//!
//! The kernel keeps IPv4 routes in a tree whose inner nodes are arrays that double as they fill. Routes in no order miss the processor's caches at
//! every step of it. In the order of their addresses they find everything there, but the tree grows at one place, and is balanced there
//! again and again. So the changes that wait are sorted by address within a *stretch* of them: each stretch goes once through the whole address space,
//! and the tree grows everywhere alike.
//!
//! A stretch is only an order. Whether there still is something to tell of a prefix, and what, is looked up when its turn comes.

use crate::dirty::DirtySet;
use crate::limits::FIB_STRETCH;
use crate::prefix_table::{PrefixId, PrefixTable};

/// What is left of a stretch, the last first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead(Vec<u32>);

impl Ahead {
    /// Takes the next id out of the set.
    pub fn take(&mut self, waiting: &mut DirtySet, prefixes: &PrefixTable) -> Option<PrefixId> {
        while !waiting.is_empty() {
            match self.0.pop() {
                Some(id) if waiting.remove(id) => return Some(PrefixId(id)),
                Some(_) => {}
                None => {
                    self.0 = waiting.gather(FIB_STRETCH);
                    prefixes.sort_descending(&mut self.0);
                }
            }
        }
        self.0 = Vec::new();
        None
    }
}
