//! Both columns side by side, from the first row to the last: what differs is planned.
//!
//! Rows lie in no order, and a few are written as they are met. Where much of a table of IPv4 routes is missing, as after a link was down, what differs is
//! gathered first, and written in the order in which the kernel takes it fastest ([`LevelByLevel`]). What each needs is looked up when its
//! turn comes, so a change that comes meanwhile is not undone.

use std::net::Ipv4Addr;

use holdfast_rib::limits::FIB_STRETCH;
use holdfast_rib::{Family, LevelByLevel};
use ipnet::{IpNet, Ipv4Net};

use super::plan::Plan;
use super::table::{Cursor, Pair};
use super::{FAMILIES, Fib};
use crate::limits::ORDERED_FROM;

/// How far a comparison has come.
#[derive(Debug)]
pub struct Walk {
    cursor: Cursor,
    /// So many IPv4 rows that differ are put in order.
    ordered_from: u64,
    /// Those found so far: the address above the length.
    found: Vec<u64>,
    /// Addresses of those that the kernel has as they are to be.
    present: Vec<u32>,
    /// Those that are being put in order, and where they go.
    ordering: Option<(LevelByLevel, Vec<u64>)>,
    /// Those in order, the last first.
    ahead: Vec<u64>,
    /// The rows of the bucket under the cursor; kept for its memory.
    rows: Vec<(IpNet, Pair)>,
}

impl Default for Walk {
    fn default() -> Self {
        let (found, present, ordering, ahead, rows) = Default::default();
        Self { cursor: Cursor::default(), ordered_from: ORDERED_FROM, found, present, ordering, ahead, rows }
    }
}

impl Walk {
    /// One that puts everything in order, however little it is.
    #[cfg(test)]
    pub fn in_order() -> Self {
        Self { ordered_from: 0, ..Self::default() }
    }

    /// Goes on to put in order what was found.
    fn put_in_order(&mut self) {
        let (order, ahead) = self.ordering.get_or_insert_with(|| {
            let found = std::mem::take(&mut self.found);
            let ahead = vec![0; found.len()];
            (LevelByLevel::new(found, std::mem::take(&mut self.present)), ahead)
        });
        if !order.step(|place, key| ahead[place] = key) {
            self.ahead = std::mem::take(ahead);
            self.ordering = None;
        }
    }

    /// Whether what was found so far is to be put in order, or is being.
    fn is_to_be_ordered(&self, is_at_end: bool) -> bool {
        self.ordering.is_some() || self.found.len() >= FIB_STRETCH || (is_at_end && !self.found.is_empty())
    }
}

impl Fib {
    /// Goes on with a walk, over at most `prefixes` rows or until `batches` are full, and plans what differs. True at the end of the
    /// tables.
    pub fn reconcile(&mut self, walk: &mut Walk, prefixes: u32, batches: usize, plan: &mut Plan) -> bool {
        self.refresh_sums();
        let mut looked_at = 0u32;
        while looked_at < prefixes && plan.batches() < batches {
            let Cursor { family, bucket } = walk.cursor;
            let is_at_end = bucket >= self.tables[family].buckets();
            if let Some(key) = walk.ahead.pop() {
                looked_at = looked_at.saturating_add(1);
                let net = Ipv4Net::new(Ipv4Addr::from_bits((key >> u32::BITS) as u32), key as u8);
                net.into_iter().for_each(|net| self.plan_different(&net.into(), plan));
            } else if walk.is_to_be_ordered(is_at_end) {
                walk.put_in_order();
                return false; // one step in a turn: it takes a millisecond or two
            } else if !is_at_end {
                looked_at = looked_at.saturating_add(self.look_at_bucket(walk, plan));
            } else if family + 1 < FAMILIES.len() {
                walk.cursor = Cursor { family: family + 1, bucket: 0 };
            } else {
                return true;
            }
        }
        false
    }

    /// Finds what differs in the bucket under the cursor. Returns how many rows it has.
    fn look_at_bucket(&mut self, walk: &mut Walk, plan: &mut Plan) -> u32 {
        let Cursor { family, bucket } = walk.cursor;
        walk.cursor.bucket += 1;
        let in_order = family == Family::Ipv4Unicast.index() && self.different[family] >= walk.ordered_from;
        let mut rows = std::mem::take(&mut walk.rows);
        self.tables[family].read_bucket(bucket, &mut rows);
        for (prefix, pair) in &rows {
            let needy = self.needs_a_look(*pair);
            match prefix {
                IpNet::V4(net) if in_order => match (needy, net.network().to_bits()) {
                    (true, address) => walk.found.push(u64::from(address) << u32::BITS | u64::from(net.prefix_len())),
                    (false, address) => walk.present.push(address),
                },
                _ if needy => self.plan_different(prefix, plan),
                _ => {}
            }
        }
        let looked_at = rows.len() as u32;
        walk.rows = rows;
        looked_at
    }

    fn plan_different(&mut self, prefix: &IpNet, plan: &mut Plan) {
        if let Some(place) = self.tables[Self::family_of(prefix)].find(prefix) {
            // A row that is blocked is counted in the plan and tried again when its interface comes up.
            let _ = self.plan_row(prefix, place, plan);
        }
    }
}
