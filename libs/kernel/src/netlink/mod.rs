//! Bulk rtnetlink: routes by nexthop id, nexthop objects, links and addresses.
//!
//! # The idea
//!
//! A [`Batch`] is encoded by whoever knows what to write, and executed elsewhere ([`Requester::execute_all`]): one
//! `sendmsg` for up to [`BATCHES_AT_ONCE_MAX`] batches of [`BATCH_MESSAGES_MAX`] messages. Only the last message asks for an acknowledgement; the kernel
//! reports errors for the others anyway, each with its sequence number, so the failures are known one by one at the price
//! of one answer. Where answers are lost (ENOBUFS) the outcome says so, and the caller reads the kernel's tables again.
//!
//! A dump ([`Requester::dump_routes`] and its sisters) is filtered by the kernel where it can be. A [`Monitor`] hears
//! what others change; a socket filter keeps out what its own process writes and what does not touch ours.
//!
//! # What it must never do
//!
//! Trust a length. Every message goes through [`wire`], which survives arbitrary bytes.

mod address;
mod async_monitor;
mod batch;
mod link;
mod monitor;
mod neighbor;
mod nexthop;
mod requester;
mod route;
mod socket;
pub mod wire;

#[cfg(test)]
mod robustness_tests;

pub use address::Address;
pub use async_monitor::AsyncMonitor;
pub use batch::{BATCH_MESSAGES_MAX, BATCHES_AT_ONCE_MAX, Batch, BatchOutcome, Failure};
pub use link::{Counters, LINK_GROUP_HOLDFAST, Link, LinkChange, OperState};
pub use monitor::{Event, Monitor};
pub use neighbor::{Neighbor, NeighborState};
pub use nexthop::{NexthopContent, NexthopMember, NexthopObject, RESILIENT_BUCKETS, WEIGHT_ALL, WEIGHT_NONE};
pub use requester::Requester;
pub use route::{Route, RouteTarget, RouteWrite};

/// `rtm_protocol`, `nh_protocol` and `IFA_PROTO` of everything that Holdfast puts into the kernel.
pub const PROTOCOL_HOLDFAST: u8 = 72;

/// The metric of our routes: better than what daemons and administrators use by default for IPv6 (1024), worse than the
/// kernel's connected IPv4 routes (0).
pub const ROUTE_METRIC: u32 = 20;

/// The only routing table we write to (`RT_TABLE_MAIN`).
pub const TABLE_MAIN: u32 = 254;

/// Address family numbers as rtnetlink carries them.
pub(crate) const AF_UNSPEC: u8 = 0;
pub(crate) const AF_INET: u8 = libc::AF_INET as u8;
pub(crate) const AF_INET6: u8 = libc::AF_INET6 as u8;
