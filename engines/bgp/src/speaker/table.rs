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

/// Names a path among those to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathKey {
    /// Who sent it.
    pub neighbor: NeighborId,
    /// What the neighbour calls it (RFC 7911 §3); 0 where it sends one path only.
    pub identifier: u32,
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
    /// The paths' identifiers; none while all are 0, so that who sends one path only pays for one.
    identifiers: Vec<u32>,
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

    /// The same, each with its identifier.
    pub fn identified(&self, prefix: PrefixId) -> impl Iterator<Item = (u32, &Path)> {
        let mut at = self.head(prefix);
        std::iter::from_fn(move || {
            let path = self.paths.get(at as usize)?;
            let identifier = self.identifier(at);
            at = path.next;
            Some((identifier, path))
        })
    }

    /// The path of a destination that has just one.
    pub fn only(&self, prefix: PrefixId) -> Option<Path> {
        self.paths.get(self.head(prefix) as usize).filter(|path| path.next == END).copied()
    }

    /// One neighbour's paths.
    pub fn of_neighbor(&self, prefix: PrefixId, neighbor: NeighborId) -> impl Iterator<Item = (u32, &Path)> {
        self.identified(prefix).filter(move |(_, path)| path.neighbor == neighbor)
    }

    fn identifier(&self, at: u32) -> u32 {
        self.identifiers.get(at as usize).copied().unwrap_or(0)
    }

    fn set_identifier(&mut self, at: u32, identifier: u32) {
        let index = at as usize;
        if index >= self.identifiers.len() {
            if identifier == 0 {
                return;
            }
            self.identifiers.resize(self.paths.len(), 0);
        }
        self.identifiers[index] = identifier;
    }

    /// Whether there is no path to the destination.
    pub fn is_empty(&self, prefix: PrefixId) -> bool {
        self.head(prefix) == END
    }

    /// Puts a neighbour's path in place of its earlier one of the same name, which is returned.
    pub fn insert(
        &mut self,
        prefix: PrefixId,
        key: PathKey,
        generation: u8,
        refusal: Refusal,
        received: AttributeId,
        effective: AttributeId,
    ) -> Option<Path> {
        let PathKey { neighbor, identifier } = key;
        let index = prefix.0 as usize;
        if index >= self.heads.len() {
            self.heads.resize(index + 1, END);
            self.best.resize(index + 1, NO_BEST);
        }
        let mut at = self.heads[index];
        while at != END {
            let named = self.identifier(at) == identifier;
            let path = &mut self.paths[at as usize];
            if path.neighbor == neighbor && named {
                let before = *path;
                *path = Path { neighbor, generation, refusal, received, effective, next: before.next };
                return Some(before);
            }
            at = path.next;
        }
        self.destinations += usize::from(self.heads[index] == END);
        let path = Path { neighbor, generation, refusal, received, effective, next: self.heads[index] };
        let at = match self.free.pop() {
            Some(free) => {
                self.paths[free as usize] = path;
                free
            }
            None => {
                self.paths.push(path);
                (self.paths.len() - 1) as u32
            }
        };
        self.set_identifier(at, identifier);
        self.heads[index] = at;
        None
    }

    /// Takes a neighbour's path out.
    pub fn remove(&mut self, prefix: PrefixId, key: PathKey) -> Option<Path> {
        let mut before = END;
        let mut at = self.head(prefix);
        while at != END {
            let path = self.paths[at as usize];
            if path.neighbor == key.neighbor && self.identifier(at) == key.identifier {
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
        fn behaves_as_a_map(
            identifiers in 1u32..3,
            operations in prop::collection::vec((0u32..5, 0u16..4, any::<bool>(), 0u8..3, any::<u32>()), 0..80),
        ) {
            let mut table = PathTable::default();
            let mut model: BTreeMap<(u32, PathKey), u8> = BTreeMap::new();
            for (prefix, neighbor, add, generation, identifier) in operations {
                let key = PathKey { neighbor: NeighborId(neighbor), identifier: identifier % identifiers };
                let id = PrefixId(prefix);
                let before = if add {
                    let none = AttributeId::NONE;
                    let before = table.insert(id, key, generation, Refusal::None, none, none);
                    prop_assert_eq!(before.map(|path| path.generation), model.insert((prefix, key), generation));
                    continue;
                } else {
                    table.remove(id, key)
                };
                prop_assert_eq!(before.map(|path| path.generation), model.remove(&(prefix, key)));
            }
            prop_assert_eq!(table.len(), model.len());
            let prefixes: std::collections::BTreeSet<u32> = model.keys().map(|(prefix, _)| *prefix).collect();
            prop_assert_eq!(table.destinations(), prefixes.len());
            for ((prefix, key), generation) in &model {
                let mut paths = table.of_neighbor(PrefixId(*prefix), key.neighbor);
                let path = paths.find(|(identifier, _)| *identifier == key.identifier);
                prop_assert_eq!(path.map(|(_, path)| path.generation), Some(*generation));
            }
            prop_assert!(identifiers > 1 || table.identifiers.is_empty(), "one path costs nothing more");
        }
    }
}
