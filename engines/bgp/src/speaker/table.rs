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

/// One neighbour's route to one destination: 16 bytes.
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

/// The end of a chain.
const END: u32 = u32::MAX;

/// No neighbour has this number ([`super::limits::NEIGHBORS_MAX`]).
const NOBODY: NeighborId = NeighborId(u16::MAX);

const NO_PATH: Path = Path {
    neighbor: NOBODY,
    generation: 0,
    refusal: Refusal::None,
    received: AttributeId::NONE,
    effective: AttributeId::NONE,
    next: END,
};

/// The best path of a destination. Packed: there is one for each prefix, and a quarter of it would be padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(2))]
pub struct Best {
    /// Who sent it.
    pub neighbor: NeighborId,
    /// Its attributes after import.
    pub attributes: AttributeId,
}

const NO_BEST: Best = Best { neighbor: NOBODY, attributes: AttributeId::NONE };

/// All paths of one family, indexed by prefix.
///
/// Nearly every prefix has one path, so the first one lies under the prefix's number itself, and only the others in an arena, chained. The
/// newest is the first.
#[derive(Default)]
pub struct PathTable {
    first: Paths,
    others: Paths,
    /// Head of the chain of unused places among the others; none while there are none.
    free: Option<u32>,
    vacant: usize,
    best: Vec<Best>,
    destinations: usize,
}

/// Paths with their identifiers: these are left out while all are 0, so that who sends one path only pays for one.
#[derive(Default)]
struct Paths {
    paths: Vec<Path>,
    identifiers: Vec<u32>,
}

impl Paths {
    #[inline]
    fn get(&self, at: u32) -> Option<(u32, &Path)> {
        Some((self.identifier(at), self.paths.get(at as usize)?))
    }

    fn identifier(&self, at: u32) -> u32 {
        self.identifiers.get(at as usize).copied().unwrap_or(0)
    }

    /// Whether the path in a place is this neighbour's of this name.
    fn is(&self, at: u32, key: PathKey) -> bool {
        self.paths[at as usize].neighbor == key.neighbor && self.identifier(at) == key.identifier
    }

    fn put(&mut self, at: u32, identifier: u32, path: Path) {
        let index = at as usize;
        self.paths[index] = path;
        if index >= self.identifiers.len() {
            if identifier == 0 {
                return;
            }
            self.identifiers.resize(self.paths.len(), 0);
        }
        self.identifiers[index] = identifier;
    }

    /// Puts a path in place of an earlier one of the same name.
    fn replace(&mut self, at: u32, path: Path) -> Path {
        let place = &mut self.paths[at as usize];
        let next = place.next;
        std::mem::replace(place, Path { next, ..path })
    }
}

impl PathTable {
    /// The paths of one destination.
    pub fn paths(&self, prefix: PrefixId) -> impl Iterator<Item = &Path> {
        self.identified(prefix).map(|(_, path)| path)
    }

    /// The same, each with its identifier.
    pub fn identified(&self, prefix: PrefixId) -> impl Iterator<Item = (u32, &Path)> {
        let first = self.first.get(prefix.0).filter(|(_, path)| path.neighbor != NOBODY);
        std::iter::successors(first, move |(_, path)| self.others.get(path.next))
    }

    /// The path of a destination that has just one.
    #[inline]
    pub fn only(&self, prefix: PrefixId) -> Option<Path> {
        let first = self.first.paths.get(prefix.0 as usize).copied();
        first.filter(|path| path.neighbor != NOBODY && path.next == END)
    }

    /// One neighbour's paths.
    pub fn of_neighbor(&self, prefix: PrefixId, neighbor: NeighborId) -> impl Iterator<Item = (u32, &Path)> {
        self.identified(prefix).filter(move |(_, path)| path.neighbor == neighbor)
    }

    /// Whether there is no path to the destination.
    pub fn is_empty(&self, prefix: PrefixId) -> bool {
        self.first.paths.get(prefix.0 as usize).is_none_or(|path| path.neighbor == NOBODY)
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
        let path = Path { neighbor: key.neighbor, generation, refusal, received, effective, next: END };
        let index = prefix.0 as usize;
        if index >= self.best.len() {
            self.first.paths.resize(index + 1, NO_PATH);
            self.best.resize(index + 1, NO_BEST);
        }
        if self.first.paths[index].neighbor == NOBODY {
            self.destinations += 1;
            self.first.put(prefix.0, key.identifier, path);
            return None;
        }
        if self.first.is(prefix.0, key) {
            return Some(self.first.replace(prefix.0, path));
        }
        let first = self.first.paths[index];
        let mut at = first.next;
        while at != END {
            if self.others.is(at, key) {
                return Some(self.others.replace(at, path));
            }
            at = self.others.paths[at as usize].next;
        }
        let next = self.vacant_place();
        self.others.put(next, self.first.identifier(prefix.0), first);
        self.first.put(prefix.0, key.identifier, Path { next, ..path });
        None
    }

    /// A place among the others.
    fn vacant_place(&mut self) -> u32 {
        match self.free {
            Some(at) => {
                let next = self.others.paths[at as usize].next;
                self.free = (next != END).then_some(next);
                self.vacant -= 1;
                at
            }
            None => {
                self.others.paths.push(NO_PATH);
                (self.others.paths.len() - 1) as u32
            }
        }
    }

    fn vacate(&mut self, at: u32) {
        self.others.paths[at as usize] = Path { next: self.free.unwrap_or(END), ..NO_PATH };
        self.free = Some(at);
        self.vacant += 1;
    }

    /// Takes a neighbour's path out.
    pub fn remove(&mut self, prefix: PrefixId, key: PathKey) -> Option<Path> {
        if self.is_empty(prefix) {
            return None;
        }
        let first = self.first.paths[prefix.0 as usize];
        if self.first.is(prefix.0, key) {
            self.remove_first(prefix, first.next);
            return Some(first);
        }
        let (mut before, mut at) = (END, first.next);
        while at != END {
            let path = self.others.paths[at as usize];
            if self.others.is(at, key) {
                match self.others.paths.get_mut(before as usize) {
                    Some(before) => before.next = path.next,
                    None => self.first.paths[prefix.0 as usize].next = path.next,
                }
                self.vacate(at);
                return Some(path);
            }
            (before, at) = (at, path.next);
        }
        None
    }

    /// The second path of a destination, if there is one, becomes the first.
    fn remove_first(&mut self, prefix: PrefixId, second: u32) {
        match self.others.get(second) {
            Some((identifier, path)) => {
                self.first.put(prefix.0, identifier, *path);
                self.vacate(second);
            }
            None => {
                self.first.put(prefix.0, 0, NO_PATH);
                self.destinations -= 1;
            }
        }
    }

    /// The best path as last decided.
    pub fn best(&self, prefix: PrefixId) -> Option<Best> {
        self.best.get(prefix.0 as usize).copied().filter(|best| best.neighbor != NOBODY)
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
        self.destinations + self.others.paths.len() - self.vacant
    }

    /// Destinations with a path.
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// Upper bound of the prefixes that may have paths.
    pub fn capacity(&self) -> u32 {
        self.first.paths.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_prefix_with_one_path_costs_twenty_two_bytes() {
        assert_eq!((size_of::<Path>(), size_of::<Best>()), (16, 6));
    }

    #[test]
    fn places_of_paths_that_went_are_used_again() {
        let mut table = PathTable::default();
        let (prefix, none) = (PrefixId(0), AttributeId::NONE);
        let key = |number| PathKey { neighbor: NeighborId(number), identifier: 0 };
        for round in 0..3 {
            for number in 0..5 {
                table.insert(prefix, key(number), round, Refusal::None, none, none);
            }
            let order: Vec<u16> = table.paths(prefix).map(|path| path.neighbor.0).collect();
            assert_eq!(order, [4, 3, 2, 1, 0], "the newest is the first");
            for number in [2, 4, 0, 3, 1] {
                assert_eq!(table.remove(prefix, key(number)).map(|path| path.generation), Some(round));
            }
            assert!(table.is_empty(prefix) && table.only(prefix).is_none());
            assert_eq!((table.len(), table.others.paths.len()), (0, 4));
        }
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
            let identified = [&table.first, &table.others].map(|paths| paths.identifiers.len());
            prop_assert!(identifiers > 1 || identified == [0, 0], "one path costs nothing more");
        }
    }
}
