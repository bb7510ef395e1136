//! The table as operators see it.

use holdfast_rib::ForwardingNexthop;
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
    /// Some `count` routes from `cursor` on, in no order; less only at the end.
    pub fn page(&self, cursor: &mut Cursor, count: usize) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(count.min(1024));
        while entries.len() < count {
            let table = &self.tables[cursor.family];
            if cursor.bucket >= table.buckets() {
                if cursor.family == 1 {
                    break;
                }
                *cursor = Cursor { family: 1, bucket: 0 };
                continue;
            }
            entries
                .extend(table.select(cursor.bucket, None, |_, _| true).iter().filter_map(|prefix| self.entry(prefix)));
            cursor.bucket += 1;
        }
        entries
    }

    /// The route to exactly this prefix, else the longest one that covers its address.
    pub fn lookup(&self, prefix: &IpNet) -> Option<Entry> {
        let table = &self.tables[Self::family_of(prefix)];
        self.entry(prefix).or_else(|| self.entry(&table.longest_match(prefix.addr())?))
    }

    fn entry(&self, prefix: &IpNet) -> Option<Entry> {
        let (_, index) = self.tables[Self::family_of(prefix)].row_of(prefix);
        let object = self.objects.living(index)?;
        Some(Entry { prefix: *prefix, nexthop: self.contents.get(object.content).cloned(), object: object.kernel_id })
    }

    /// Octets of memory that the tables hold.
    pub fn memory_bytes(&self) -> usize {
        self.tables.iter().map(super::table::Table::memory_bytes).sum()
    }
}
