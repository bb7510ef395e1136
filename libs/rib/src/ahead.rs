//! In which order forwarding entries are told: what waits is put in order, as much as can be at once.
//!
//! # The idea
//!
//! What the kernel spends on a route depends on the one before it. It keeps IPv4 routes in a tree whose inner nodes are arrays that double as
//! they fill. Routes in no order miss the processor's caches at every step of it, and make it grow in many steps, most of which are undone. In the order
//! of their addresses they find everything in the caches, but the tree grows at one place, and is balanced there again and again. So they go
//! [level by level](crate::levels), from a few that are far apart to those that lie between all others. Where few of many change, and for IPv6, whose tree has
//! single bits for nodes, the caches are all there is to win: those go by address.
//!
//! The changes that are put in order at once are a *stretch*. While a table comes in the first stretches are as short as what waits; one is made anew when
//! much more waits than it was made of. That happens a few times until what waited has been told, so no change waits for ever.
//!
//! A stretch is only an order. Whether there still is something to tell of a prefix, and what, is looked up when its turn comes.

use crate::Family;
use crate::dirty::DirtySet;
use crate::limits::{FIB_LEVELS_MIN, FIB_LEVELS_PART, FIB_STRETCH, FIB_STRETCH_BY_ADDRESS};
use crate::prefix_table::{PrefixId, PrefixTable};

/// What there is to tell, and of what.
pub(crate) struct Changes<'a, Told> {
    /// Prefixes of which there is something to tell.
    pub waiting: &'a mut DirtySet,
    pub prefixes: &'a PrefixTable,
    /// Forwarding entries in all.
    pub entries: u64,
    /// Whether the reader has an entry of a prefix of which there is nothing to tell.
    pub is_told: Told,
}

/// What is left of a stretch, the last first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead {
    stretch: Vec<u32>,
    /// So many waited when it was made.
    made_of: usize,
}

impl Ahead {
    /// Takes the next id out of the set.
    pub fn take(&mut self, mut changes: Changes<'_, impl Fn(PrefixId) -> bool>) -> Option<PrefixId> {
        if changes.waiting.len() > self.made_of + self.made_of / 2 + FIB_LEVELS_MIN {
            self.stretch.clear();
        }
        while !changes.waiting.is_empty() {
            match self.stretch.pop() {
                Some(id) if changes.waiting.remove(id) => return Some(PrefixId(id)),
                Some(_) => {}
                None => {
                    self.made_of = changes.waiting.len();
                    self.stretch = changes.stretch();
                }
            }
        }
        *self = Self::default();
        None
    }
}

impl<Told: Fn(PrefixId) -> bool> Changes<'_, Told> {
    /// The next stretch.
    fn stretch(&mut self) -> Vec<u32> {
        let count = self.waiting.len();
        let is_much = count >= FIB_LEVELS_MIN && count as u64 >= self.entries / FIB_LEVELS_PART;
        if self.prefixes.family() == Family::Ipv4Unicast && is_much {
            let mut ids = self.waiting.gather(FIB_STRETCH);
            let all = (0..self.prefixes.capacity()).map(PrefixId);
            let present = all.filter(|id| (self.is_told)(*id) && !self.waiting.contains(id.0));
            self.prefixes.sort_by_level_backwards(&mut ids, present);
            ids
        } else {
            let mut ids = self.waiting.gather(FIB_STRETCH_BY_ADDRESS);
            self.prefixes.sort_descending(&mut ids);
            ids
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::{IpNet, Ipv4Net};
    use std::collections::HashSet;

    #[derive(Default)]
    struct Reader {
        ahead: Ahead,
        waiting: DirtySet,
        told: HashSet<PrefixId>,
    }

    impl Reader {
        /// There is news of prefixes that begin with this octet.
        fn hears_of(&mut self, prefixes: &mut PrefixTable, octet: u32, count: u32) {
            for n in 0..count {
                // In no order.
                let address = (octet << 24) | (n.wrapping_mul(0x9e37_79b1) >> 10 << 2);
                let net = Ipv4Net::new(address.into(), 30).unwrap();
                self.waiting.insert(prefixes.intern(net.into()).0);
            }
        }

        fn take(&mut self, prefixes: &PrefixTable) -> Option<IpNet> {
            let Self { ahead, waiting, told } = self;
            let entries = (told.len() + waiting.len()) as u64;
            let id = ahead.take(Changes { waiting, prefixes, entries, is_told: |id| told.contains(&id) })?;
            assert!(told.insert(id), "once");
            Some(prefixes.prefix(id))
        }
    }

    fn octets(reader: &mut Reader, prefixes: &PrefixTable, count: usize) -> Vec<u8> {
        let taken = (0..count).map_while(|_| reader.take(prefixes));
        taken.filter_map(|net| if let IpNet::V4(net) = net { Some(net.network().octets()[0]) } else { None }).collect()
    }

    #[test]
    fn little_is_told_by_address_and_much_level_by_level() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        for octet in [200, 1, 100] {
            reader.hears_of(&mut prefixes, octet, 2);
        }
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX), [1, 1, 100, 100, 200, 200]);
        for octet in [201, 2, 101, 65] {
            reader.hears_of(&mut prefixes, octet, 10_000);
        }
        // 1 and 200 have reached their halves, 100 its quarter: it is a matter of the bits that each shares with what has been told.
        assert_eq!(octets(&mut reader, &prefixes, 4), [65, 2, 101, 201]);
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), 39_996);
    }

    #[test]
    fn a_stretch_is_made_anew_when_much_more_waits() {
        let (mut reader, mut prefixes) = (Reader::default(), PrefixTable::new(Family::Ipv4Unicast));
        reader.hears_of(&mut prefixes, 1, 20_000);
        assert_eq!(octets(&mut reader, &prefixes, 2), [1, 1]);
        reader.hears_of(&mut prefixes, 200, 20_000);
        assert_eq!(octets(&mut reader, &prefixes, 2), [1, 1], "not much more");
        reader.hears_of(&mut prefixes, 201, 20_000);
        assert_eq!(octets(&mut reader, &prefixes, 2), [200, 201], "not reached yet");
        assert_eq!(octets(&mut reader, &prefixes, usize::MAX).len(), 60_000 - 6);
        assert!(reader.waiting.is_empty());
    }
}
