//! Prefixes under dense ids.

use crate::Family;
use crate::prefix_store::{Address6, Store};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The number of an interned prefix within its family's table: dense, reused after the last release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixId(pub u32);

impl PrefixId {
    /// The id as the index of a side vector.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug)]
enum Kind {
    V4(Store<u32>),
    V6(Store<Address6>),
}

/// The prefixes of one family. An id lives as long as it has users: [`PrefixTable::intern`] and
/// [`PrefixTable::retain`] add one, [`PrefixTable::release`] takes one away, and with the last the id is free to be given
/// to another prefix.
///
/// Host bits of a prefix given in are ignored. A prefix of the other family is never found; interning one is a mistake
/// of the program and panics.
#[derive(Clone, Debug)]
pub struct PrefixTable {
    kind: Kind,
}

fn key_v4(prefix: IpNet) -> Option<(u32, u8)> {
    let IpNet::V4(net) = prefix else { return None };
    Some((net.network().to_bits(), net.prefix_len()))
}

fn key_v6(prefix: IpNet) -> Option<(Address6, u8)> {
    let IpNet::V6(net) = prefix else { return None };
    Some((Address6::from_bits(net.network().to_bits()), net.prefix_len()))
}

/// Runs the same code on either store.
macro_rules! each {
    ($table:expr, $store:ident => $code:expr) => {
        match $table {
            Kind::V4($store) => $code,
            Kind::V6($store) => $code,
        }
    };
}

impl PrefixTable {
    /// An empty table.
    pub fn new(family: Family) -> PrefixTable {
        let kind = match family {
            Family::Ipv4Unicast => Kind::V4(Store::new()),
            Family::Ipv6Unicast => Kind::V6(Store::new()),
        };
        PrefixTable { kind }
    }

    /// The family whose prefixes this table holds.
    pub fn family(&self) -> Family {
        match self.kind {
            Kind::V4(_) => Family::Ipv4Unicast,
            Kind::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// The id of a prefix, created if need be, **with one more user**: who calls this calls `release` later.
    ///
    /// # Panics
    /// When the prefix is of the other family: choose the table by [`Family::of`].
    pub fn intern(&mut self, prefix: IpNet) -> PrefixId {
        let id = match &mut self.kind {
            Kind::V4(store) => key_v4(prefix).map(|(address, length)| store.intern(address, length)),
            Kind::V6(store) => key_v6(prefix).map(|(address, length)| store.intern(address, length)),
        };
        match id {
            Some(id) => PrefixId(id),
            None => panic!("prefix {prefix} interned in the table of the other family"),
        }
    }

    /// To be called before [`PrefixTable::get`] of several prefixes one after the other: the memory that this will need is waited for once for
    /// all of them, and not for each. It changes nothing.
    pub fn touch_to_get(&self, prefixes: impl Iterator<Item = IpNet>) {
        match &self.kind {
            Kind::V4(store) => store.touch_to_get(prefixes.filter_map(key_v4)),
            Kind::V6(store) => store.touch_to_get(prefixes.filter_map(key_v6)),
        }
    }

    /// The same before they are interned.
    pub fn touch_to_intern(&self, prefixes: impl Iterator<Item = IpNet>) {
        match &self.kind {
            Kind::V4(store) => store.touch_to_intern(prefixes.filter_map(key_v4)),
            Kind::V6(store) => store.touch_to_intern(prefixes.filter_map(key_v6)),
        }
    }

    /// The id of a prefix if somebody uses it. Adds no user.
    pub fn get(&self, prefix: IpNet) -> Option<PrefixId> {
        let slot = match &self.kind {
            Kind::V4(store) => key_v4(prefix).and_then(|(address, length)| store.get(address, length)),
            Kind::V6(store) => key_v6(prefix).and_then(|(address, length)| store.get(address, length)),
        };
        slot.map(PrefixId)
    }

    /// The prefix of an id. An id that is free gives the family's default route: ask only for ids you use.
    pub fn prefix(&self, id: PrefixId) -> IpNet {
        debug_assert!(self.try_prefix(id).is_some(), "prefix id {} is not in use", id.0);
        self.try_prefix(id).unwrap_or(match self.kind {
            Kind::V4(_) => IpNet::V4(Ipv4Net::default()),
            Kind::V6(_) => IpNet::V6(Ipv6Net::default()),
        })
    }

    /// The prefix of an id, if it is in use.
    pub fn try_prefix(&self, id: PrefixId) -> Option<IpNet> {
        // The length came from an `IpNet`, so `new` cannot refuse it.
        match &self.kind {
            Kind::V4(store) => {
                let (address, length, _) = store.slot(id.0)?;
                Ipv4Net::new(Ipv4Addr::from_bits(address), length).ok().map(IpNet::V4)
            }
            Kind::V6(store) => {
                let (address, length, _) = store.slot(id.0)?;
                Ipv6Net::new(Ipv6Addr::from_bits(address.bits()), length).ok().map(IpNet::V6)
            }
        }
    }

    /// Sorts ids by address, the highest first; the longest of one address first.
    pub(crate) fn sort_descending(&self, ids: &mut [u32]) {
        each!(&self.kind, store => store.sort_descending(ids));
    }

    /// The address that an IPv4 prefix begins at, by its id; 0 for one that is free, or of the other family.
    pub(crate) fn first_address(&self, id: PrefixId) -> u32 {
        match &self.kind {
            Kind::V4(store) => store.slot(id.0).map_or(0, |(address, ..)| address),
            Kind::V6(_) => 0,
        }
    }

    /// One more user of an id in use.
    pub fn retain(&mut self, id: PrefixId) {
        each!(&mut self.kind, store => store.retain(id.0));
    }

    /// One user less. True when it was the last: the id means nothing any more.
    pub fn release(&mut self, id: PrefixId) -> bool {
        each!(&mut self.kind, store => store.release(id.0))
    }

    /// Users of an id; 0 when it is free.
    pub fn uses(&self, id: PrefixId) -> u32 {
        each!(&self.kind, store => store.slot(id.0).map_or(0, |(_, _, uses)| uses))
    }

    /// Exclusive upper bound of all ids given out so far: the length of a side vector.
    pub fn capacity(&self) -> u32 {
        each!(&self.kind, store => store.capacity())
    }

    /// Prefixes in use.
    pub fn len(&self) -> usize {
        each!(&self.kind, store => store.len())
    }

    /// True when no prefix is in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        each!(&self.kind, store => store.memory())
    }

    /// Every prefix in use, by id.
    pub fn iter(&self) -> impl Iterator<Item = (PrefixId, IpNet)> + '_ {
        (0..self.capacity()).filter_map(|id| Some((PrefixId(id), self.try_prefix(PrefixId(id))?)))
    }

    /// The prefixes in use that lie within `cover`, itself included, by id. A scan of the table: for operators.
    pub fn covered_by(&self, cover: IpNet) -> impl Iterator<Item = (PrefixId, IpNet)> + '_ {
        self.iter().filter(move |(_, prefix)| cover.contains(prefix))
    }

    /// The prefixes in use that contain an address, longest first.
    pub fn matches(&self, address: IpAddr) -> impl Iterator<Item = PrefixId> + '_ {
        let v4 = match (&self.kind, address) {
            (Kind::V4(store), IpAddr::V4(address)) => Some(store.matches(address.to_bits())),
            _ => None,
        };
        let v6 = match (&self.kind, address) {
            (Kind::V6(store), IpAddr::V6(address)) => Some(store.matches(Address6::from_bits(address.to_bits()))),
            _ => None,
        };
        v4.into_iter().flatten().chain(v6.into_iter().flatten()).map(PrefixId)
    }

    /// The longest prefix in use that contains an address.
    pub fn longest_match(&self, address: IpAddr) -> Option<PrefixId> {
        self.matches(address).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn nets() -> impl Strategy<Value = IpNet> {
        // Few distinct bits, so that prefixes collide and nest.
        prop_oneof![
            (0u32..16, 0u8..=32).prop_map(|(bits, length)| {
                IpNet::V4(Ipv4Net::new(Ipv4Addr::from_bits(bits << 28 | bits), length).unwrap())
            }),
            (0u128..16, 0u8..=128).prop_map(|(bits, length)| {
                IpNet::V6(Ipv6Net::new(Ipv6Addr::from_bits(bits << 124 | bits), length).unwrap())
            }),
        ]
    }

    fn tables() -> [PrefixTable; 2] {
        Family::ALL.map(PrefixTable::new)
    }

    fn check(tables: &[PrefixTable; 2], model: &BTreeMap<IpNet, (PrefixId, u32)>) -> Result<(), TestCaseError> {
        let all: BTreeMap<IpNet, PrefixId> = tables.iter().flat_map(|t| t.iter()).map(|(id, net)| (net, id)).collect();
        prop_assert_eq!(all.len(), model.len());
        prop_assert_eq!(tables[0].len() + tables[1].len(), model.len());
        for (net, (id, uses)) in model {
            prop_assert_eq!(all.get(net), Some(id));
            prop_assert_eq!(tables[Family::of(net).index()].uses(*id), *uses);
            prop_assert_eq!(tables[Family::of(net).index()].get(*net), Some(*id));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn interns_like_a_map(operations in prop::collection::vec((0u8..3, nets()), 1..200), probe in nets()) {
            let mut tables = tables();
            let mut model: BTreeMap<IpNet, (PrefixId, u32)> = BTreeMap::new();
            for (operation, net) in operations {
                let table = &mut tables[Family::of(&net).index()];
                let net = net.trunc();
                table.touch_to_get([net, probe].into_iter());
                table.touch_to_intern([net, probe].into_iter());
                if operation < 2 {
                    let id = table.intern(net);
                    let entry = model.entry(net).or_insert((id, 0));
                    prop_assert_eq!(entry.0, id);
                    entry.1 += 1;
                } else if let Some((id, uses)) = model.get_mut(&net) {
                    *uses -= 1;
                    prop_assert_eq!(table.release(*id), *uses == 0);
                    if *uses == 0 {
                        model.remove(&net);
                    }
                } else {
                    prop_assert_eq!(table.get(net), None);
                }
            }
            check(&tables, &model)?;
            let table = &tables[Family::of(&probe).index()];
            let mut expected: Vec<IpNet> = model.keys().filter(|net| net.contains(&probe.addr())).copied().collect();
            expected.sort_by_key(|net| std::cmp::Reverse(net.prefix_len()));
            let found: Vec<IpNet> = table.matches(probe.addr()).map(|id| table.prefix(id)).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(table.longest_match(probe.addr()).map(|id| table.prefix(id)), expected.first().copied());
            let covered = table.covered_by(probe).count();
            prop_assert_eq!(covered, model.keys().filter(|net| probe.contains(*net)).count());
        }
    }

    #[test]
    fn ids_are_reused() {
        let mut table = PrefixTable::new(Family::Ipv4Unicast);
        let one = table.intern("10.0.0.0/8".parse().unwrap());
        let two = table.intern("10.0.0.0/9".parse().unwrap());
        assert!(table.release(one));
        assert_eq!(table.intern("11.0.0.0/8".parse().unwrap()), one);
        assert_eq!(table.capacity(), 2);
        assert_eq!(table.prefix(two).to_string(), "10.0.0.0/9");
    }
}
