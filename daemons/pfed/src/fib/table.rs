//! One family's prefixes with their two columns, in flat vectors under dense ids: 21 octets per IPv4 route, 33 per IPv6
//! route, plus two bits.

use holdfast_rib::{Family, PrefixId, PrefixTable};
use ipnet::IpNet;

use super::contents::ContentId;
use super::objects::ObjectIndex;

/// Where a walk over both tables stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    pub family: usize,
    pub id: u32,
}

/// One bit per prefix.
#[derive(Debug, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn set(&mut self, id: PrefixId, value: bool) {
        let (word, bit) = (id.index() / 64, id.index() % 64);
        if word >= self.0.len() {
            if !value {
                return;
            }
            self.0.resize(word + 1, 0);
        }
        if value {
            self.0[word] |= 1 << bit;
        } else {
            self.0[word] &= !(1 << bit);
        }
    }

    pub fn get(&self, id: PrefixId) -> bool {
        self.0.get(id.index() / 64).is_some_and(|word| word >> (id.index() % 64) & 1 == 1)
    }
}

#[derive(Debug)]
pub struct Table {
    prefixes: PrefixTable,
    desired: Vec<ContentId>,
    kernel: Vec<ObjectIndex>,
    /// Heard of on the present `Program` stream.
    pub confirmed: Bits,
    /// Met while the kernel's table is read.
    pub seen: Bits,
}

impl Table {
    pub fn new(family: Family) -> Self {
        Self {
            prefixes: PrefixTable::new(family),
            desired: Vec::new(),
            kernel: Vec::new(),
            confirmed: Bits::default(),
            seen: Bits::default(),
        }
    }

    /// The id of a prefix, made if need be. One that still has nothing in either column must be given back by `tidy`.
    pub fn enter(&mut self, prefix: IpNet) -> PrefixId {
        if let Some(id) = self.prefixes.get(prefix) {
            return id;
        }
        let id = self.prefixes.intern(prefix);
        let length = self.prefixes.capacity() as usize;
        self.desired.resize(length.max(self.desired.len()), 0);
        self.kernel.resize(length.max(self.kernel.len()), 0);
        self.confirmed.set(id, false);
        self.seen.set(id, false);
        id
    }

    pub fn find(&self, prefix: IpNet) -> Option<PrefixId> {
        self.prefixes.get(prefix)
    }

    /// The id of the longest prefix that covers an address.
    pub fn longest_match(&self, address: std::net::IpAddr) -> Option<PrefixId> {
        self.prefixes.longest_match(address)
    }

    /// Gives the id back when neither column has anything.
    pub fn tidy(&mut self, id: PrefixId) {
        if self.row(id) == (0, 0) && self.prefixes.try_prefix(id).is_some() {
            self.prefixes.release(id);
        }
    }

    pub fn prefix(&self, id: PrefixId) -> Option<IpNet> {
        self.prefixes.try_prefix(id)
    }

    /// Both columns: desired content, kernel object.
    pub fn row(&self, id: PrefixId) -> (ContentId, ObjectIndex) {
        let column = |values: &[u32]| values.get(id.index()).copied().unwrap_or(0);
        (column(&self.desired), column(&self.kernel))
    }

    pub fn set_row(&mut self, id: PrefixId, desired: ContentId, kernel: ObjectIndex) {
        if let (Some(d), Some(k)) = (self.desired.get_mut(id.index()), self.kernel.get_mut(id.index())) {
            (*d, *k) = (desired, kernel);
        }
    }

    pub fn capacity(&self) -> u32 {
        self.prefixes.capacity()
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.prefixes.memory_bytes() + (self.desired.capacity() + self.kernel.capacity()) * size_of::<u32>()
    }
}
