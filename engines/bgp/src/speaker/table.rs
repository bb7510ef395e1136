use holdfast_rib::PrefixId;

use super::attributes::AttributeId;

/// Names a neighbour inside one speaker. Dense; stays as long as the neighbour is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeighborId(pub u16);

/// Why a received path takes no part in the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// It does take part.
    #[default]
    None,
    /// The import policy rejects it.
    Policy,
    /// Our own AS is in its path (RFC 4271 §9.1.2).
    AsLoop,
    /// Its AS path does not begin with the neighbour's AS (RFC 4271 §6.3).
    FirstAs,
    /// We are its originator, or our cluster is in its list (RFC 4456 §8).
    ReflectionLoop,
    /// It was told where it must not be told (RFC 9234 §5).
    Leak,
    /// Its neighbour is away for long, and it is not to be kept so long (RFC 9494 §4.7).
    NoLongLife,
    /// The import policy has made its attributes longer than a message can be.
    TooLong,
}

/// One neighbour's route to one destination: 16 bytes, in a flat arena.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Who sent it.
    pub neighbor: NeighborId,
    /// Which session of the neighbour it was received in; an older one than the neighbour's is stale or about to go.
    pub generation: u8,
    /// Whether and why it is passed over.
    pub refusal: Refusal,
    /// As received.
    pub received: AttributeId,
    /// After the import policy; `NONE` when refused.
    pub effective: AttributeId,
    next: u32,
}

/// The end of a chain, and "no path".
const END: u32 = u32::MAX;

/// The best path of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// Who sent it.
    pub neighbor: NeighborId,
    /// Its attributes after import.
    pub attributes: AttributeId,
}

const NO_BEST: Best = Best { neighbor: NeighborId(u16::MAX), attributes: AttributeId::NONE };

/// All paths of one family, indexed by prefix.
#[derive(Default)]
pub struct PathTable {
    heads: Vec<u32>,
    best: Vec<Best>,
    paths: Vec<Path>,
    free: Vec<u32>,
    destinations: usize,
}

impl PathTable {
    fn head(&self, prefix: PrefixId) -> u32 {
        self.heads.get(prefix.0 as usize).copied().unwrap_or(END)
    }

    /// The paths of one destination.
    pub fn paths(&self, prefix: PrefixId) -> impl Iterator<Item = &Path> {
        let mut at = self.head(prefix);
        std::iter::from_fn(move || {
            let path = self.paths.get(at as usize)?;
            at = path.next;
            Some(path)
        })
    }

    /// One neighbour's path.
    pub fn find(&self, prefix: PrefixId, neighbor: NeighborId) -> Option<&Path> {
        self.paths(prefix).find(|path| path.neighbor == neighbor)
    }

    /// Whether there is no path to the destination.
    pub fn is_empty(&self, prefix: PrefixId) -> bool {
        self.head(prefix) == END
    }

    /// Puts a neighbour's path in place of its earlier one, which is returned.
    pub fn insert(
        &mut self,
        prefix: PrefixId,
        neighbor: NeighborId,
        generation: u8,
        refusal: Refusal,
        received: AttributeId,
        effective: AttributeId,
    ) -> Option<Path> {
        let index = prefix.0 as usize;
        if index >= self.heads.len() {
            self.heads.resize(index + 1, END);
            self.best.resize(index + 1, NO_BEST);
        }
        let mut at = self.heads[index];
        while at != END {
            let path = &mut self.paths[at as usize];
            if path.neighbor == neighbor {
                let before = *path;
                *path = Path { neighbor, generation, refusal, received, effective, next: before.next };
                return Some(before);
            }
            at = path.next;
        }
        self.destinations += usize::from(self.heads[index] == END);
        let path = Path { neighbor, generation, refusal, received, effective, next: self.heads[index] };
        self.heads[index] = match self.free.pop() {
            Some(free) => {
                self.paths[free as usize] = path;
                free
            }
            None => {
                self.paths.push(path);
                (self.paths.len() - 1) as u32
            }
        };
        None
    }

    /// Takes a neighbour's path out.
    pub fn remove(&mut self, prefix: PrefixId, neighbor: NeighborId) -> Option<Path> {
        let mut before = END;
        let mut at = self.head(prefix);
        while at != END {
            let path = self.paths[at as usize];
            if path.neighbor == neighbor {
                if before == END {
                    self.heads[prefix.0 as usize] = path.next;
                } else {
                    self.paths[before as usize].next = path.next;
                }
                self.free.push(at);
                self.destinations -= usize::from(self.is_empty(prefix));
                return Some(path);
            }
            (before, at) = (at, path.next);
        }
        None
    }

    /// The best path as last decided.
    pub fn best(&self, prefix: PrefixId) -> Option<Best> {
        self.best.get(prefix.0 as usize).copied().filter(|best| !best.attributes.is_none())
    }

    /// Notes a decision; true when it differs from the last one.
    pub fn set_best(&mut self, prefix: PrefixId, best: Option<Best>) -> bool {
        let best = best.unwrap_or(NO_BEST);
        match self.best.get_mut(prefix.0 as usize) {
            Some(slot) if *slot != best => {
                *slot = best;
                true
            }
            _ => false,
        }
    }

    /// Paths held.
    pub fn len(&self) -> usize {
        self.paths.len() - self.free.len()
    }

    /// Destinations with a path.
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// Upper bound of the prefixes that may have paths.
    pub fn capacity(&self) -> u32 {
        self.heads.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_path_is_sixteen_bytes() {
        assert_eq!(std::mem::size_of::<Path>(), 16);
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(operations in prop::collection::vec((0u32..5, 0u16..4, any::<bool>(), 0u8..3), 0..80)) {
            let mut table = PathTable::default();
            let mut model: BTreeMap<(u32, u16), u8> = BTreeMap::new();
            for (prefix, neighbor, add, generation) in operations {
                let (id, who) = (PrefixId(prefix), NeighborId(neighbor));
                let before = if add {
                    let none = AttributeId::NONE;
                    let before = table.insert(id, who, generation, Refusal::None, none, none);
                    prop_assert_eq!(before.map(|path| path.generation), model.insert((prefix, neighbor), generation));
                    continue;
                } else {
                    table.remove(id, who)
                };
                prop_assert_eq!(before.map(|path| path.generation), model.remove(&(prefix, neighbor)));
            }
            prop_assert_eq!(table.len(), model.len());
            let prefixes: std::collections::BTreeSet<u32> = model.keys().map(|(prefix, _)| *prefix).collect();
            prop_assert_eq!(table.destinations(), prefixes.len());
            for ((prefix, neighbor), generation) in &model {
                let path = table.find(PrefixId(*prefix), NeighborId(*neighbor));
                prop_assert_eq!(path.map(|path| path.generation), Some(*generation));
            }
        }
    }
}
