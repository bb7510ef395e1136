//! The forwarding table as two columns: what rpd wants, and what the kernel has.
//!
//! # The idea
//!
//! Every prefix that either side knows has one row of two columns: the *content* that is desired (a resolved next hop,
//! interned) and the kernel *object* that its route uses. An object (a nexthop object of the kernel,
//! or one of three fixed ones for discard, reject and "not understood") has a content. The two columns agree where
//! the object's content is the desired one; which of several equal objects it is does not matter, and so a restarted
//! process finds everything again by content.
//!
//! The kernel's column is written *ahead*: planning a change notes its effect at once, and a refusal that comes back takes
//! it back ([`Fib::finished`]). When an object dies (deleted, or its link went down) the kernel drops its routes without a
//! word; here they are dropped just as fast, because every object carries the sums over its routes.
//!
//! # The parts
//!
//! [`contents`] interns next hops, [`objects`] mirrors the kernel's nexthop objects, [`table`] holds the columns, packed by [`rows`],
//! [`account`] keeps digests and the count of differences true, [`desired`] takes what rpd says, [`kernel`] what the kernel
//! says, [`walk`] finds differences, [`plan`] turns them into batches, [`making`] makes the objects, [`backup`] and [`seats`] are about next hops that have
//! another one standing by, [`gateways`] about those that do not answer, [`leaving`] about how they are left. [`comparison`] lays a second such table beside the working one.
//!
//! # What it must never do
//!
//! I/O. Touch what does not carry our mark. Plan a removal before the first complete table was received: its caller
//! asks for [`Fib::reconcile`] only then.

mod account;
mod backup;
mod comparison;
mod contents;
mod desired;
mod gateways;
mod kernel;
mod leaving;
mod making;
mod objects;
mod plan;
mod rows;
mod seats;
mod table;
#[cfg(test)]
mod tests;
mod views;
mod walk;

use hashbrown::{HashMap, HashSet};
use holdfast_rib::{Digest, Family};

use backup::Refused;
use contents::{ContentId, Contents};
use gateways::FailedGateways;
use objects::Objects;
use table::Table;

pub use comparison::{Comparison, Difference, Kind, Stranger};
pub use kernel::KernelChange;
pub use plan::{Memo, Plan, Planned};
pub use table::Cursor;
pub use views::Entry;
pub use walk::Walk;

/// Both families, in the order of their indexes.
pub const FAMILIES: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

/// The forwarding table: desired and present.
#[derive(Debug)]
pub struct Fib {
    tables: [Table; 2],
    contents: Contents,
    objects: Objects,
    /// The kernel's routes, as far as we know; see [`account`].
    present: [Digest; 2],
    /// What rpd wants.
    wanted: [Digest; 2],
    /// Prefixes whose columns disagree.
    different: [u64; 2],
    /// A group of the kernel's changed under its routes: the sums must be made anew before they are read.
    sums_stale: bool,
    /// The present sender's nexthop ids.
    sender: HashMap<u32, ContentId>,
    /// What senders before it held, until the present one has sent its whole table.
    earlier_senders: Vec<ContentId>,
    /// Whether a complete table was received since this process started.
    complete: bool,
    /// Whether the kernel's routes have been read.
    routes_known: bool,
    /// Interfaces that packets can leave through.
    links_up: HashSet<u32>,
    /// Objects deleted or changed by us, while the kernel's answers are not there yet: how many.
    under_way: HashMap<u32, u32>,
    /// See [`gateways`].
    failed: FailedGateways,
    /// Who answers has changed: groups may have what their routes are not to have any more ([`Self::put_right`]).
    groups_in_doubt: bool,
    /// See [`backup`].
    refused: Refused,
    /// See [`seats`].
    seats_in_doubt: bool,
    /// Somebody else leads a member of a group elsewhere, of which the kernel tells the group nothing.
    members_moved: bool,
}

impl Default for Fib {
    fn default() -> Self {
        Self {
            tables: FAMILIES.map(Table::new),
            contents: Contents::new(),
            objects: Objects::new(),
            present: Default::default(),
            wanted: Default::default(),
            different: [0; 2],
            sums_stale: false,
            sender: HashMap::new(),
            earlier_senders: Vec::new(),
            complete: false,
            routes_known: false,
            links_up: HashSet::new(),
            under_way: HashMap::new(),
            failed: FailedGateways::default(),
            groups_in_doubt: false,
            refused: Refused::new(),
            seats_in_doubt: false,
            members_moved: false,
        }
    }
}

impl Fib {
    /// Whether the desired table is known as a whole.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Notes whether packets can leave through an interface. True when that is new.
    pub fn set_link(&mut self, interface_index: u32, up: bool) -> bool {
        let is_new = if up { self.links_up.insert(interface_index) } else { self.links_up.remove(&interface_index) };
        if is_new {
            // The kernel's answer may be another one now.
            self.refused.clear();
            if !self.failed.is_empty() {
                self.gateways_changed();
            }
        }
        is_new
    }

    /// The interfaces that packets can leave through.
    pub fn links_up(&self) -> Vec<u32> {
        self.links_up.iter().copied().collect()
    }

    /// What the kernel has, per family.
    pub fn kernel_digest(&mut self, family: Family) -> Digest {
        self.refresh_sums();
        self.present[family.index()]
    }

    /// What rpd wants, per family.
    pub fn desired_digest(&self, family: Family) -> Digest {
        self.wanted[family.index()]
    }

    /// How many routes would have to be written for the kernel to have what is desired.
    pub fn pending_writes(&mut self) -> u64 {
        self.refresh_sums();
        self.different.iter().sum()
    }

    /// Whether there are any. Costs nothing, however many routes there are and whatever has become of the sums.
    pub fn has_differences(&self) -> bool {
        self.tables.iter().flat_map(Table::pairs).any(|(desired, object)| self.differs(desired, object))
    }

    /// Whether the kernel has exactly what is desired, and none of it is only remembered from an earlier sender.
    pub fn has_no_leftovers(&mut self) -> bool {
        !self.complete && self.earlier_senders.is_empty() && self.pending_writes() == 0
    }

    /// A change of an object is on its way to the kernel.
    fn begins(&mut self, id: u32) {
        *self.under_way.entry(id).or_default() += 1;
    }

    /// The kernel has answered one.
    fn answered(&mut self, id: u32) {
        if let Some(count) = self.under_way.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(&id);
            }
        }
    }

    /// Nexthop objects of ours that the kernel has.
    pub fn nexthop_objects(&self) -> u64 {
        self.objects.alive()
    }
}
