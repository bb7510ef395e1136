//! The table as operators see it.

use holdfast_rib::{ForwardingNexthop, PrefixId};
use ipnet::IpNet;

use super::{Fib, table::Cursor};

/// One route that the kernel has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its destination.
    pub prefix: IpNet,
    /// Where it leads; `None` where that is not understood.
    pub nexthop: Option<ForwardingNexthop>,
    /// The nexthop object it uses, 0 for none.
    pub object: u32,
}

impl Fib {
    /// Up to `count` routes from `cursor` on; less only at the end.
    pub fn page(&self, cursor: &mut Cursor, count: usize) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(count.min(1024));
        while entries.len() < count {
            if cursor.id >= self.tables[cursor.family].capacity() {
                if cursor.family == 1 {
                    break;
                }
                *cursor = Cursor { family: 1, id: 0 };
                continue;
            }
            entries.extend(self.entry(cursor.family, PrefixId(cursor.id)));
            cursor.id += 1;
        }
        entries
    }

    /// The route to exactly this prefix, else the longest one that covers its address.
    pub fn lookup(&self, prefix: &IpNet) -> Option<Entry> {
        let family = Self::family_of(prefix);
        let table = &self.tables[family];
        let exact = table.find(*prefix).and_then(|id| self.entry(family, id));
        exact.or_else(|| self.entry(family, table.longest_match(prefix.addr())?))
    }

    fn entry(&self, family: usize, id: PrefixId) -> Option<Entry> {
        let prefix = self.tables[family].prefix(id)?;
        let (_, index) = self.tables[family].row(id);
        let object = self.objects.living(index)?;
        Some(Entry { prefix, nexthop: self.contents.get(object.content).cloned(), object: object.kernel_id })
    }

    /// Octets of memory that the tables hold.
    pub fn memory_bytes(&self) -> usize {
        self.tables.iter().map(super::table::Table::memory_bytes).sum()
    }
}
