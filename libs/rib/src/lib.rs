//! The routing table: who offers which route, which one is active, and what the forwarding table has to say.
//!
//! # The idea
//!
//! Data flows one way: candidates (direct, static, aggregates, BGP's best) -> active route -> forwarding entry. Every prefix has a
//! small dense id, and everything known about a prefix lies in flat vectors under that id: no boxed object per
//! route, six bytes of state per prefix. Next hops are interned: a route holds the id of a [`NexthopSpec`], and the
//! *specification* is resolved once for all routes that share it, through direct and static routes.
//!
//! # The parts
//!
//! - [`PrefixTable`] gives prefixes their ids, counts their users and answers longest-match questions.
//! - [`NexthopSpec`] is what a route says about where to go; [`ForwardingNexthop`] is what came of it.
//! - `interfaces` knows links and addresses, `local` the direct and static routes and the aggregates, `resolve` the way from a gateway to
//!   an interface.
//! - [`Rib`] ties them together: it selects, keeps the digests, and remembers in bitmaps (never in queues that grow)
//!   what a reader has not taken yet.
//! - [`Digest`] is how two processes find out that their tables are equal without sending them.
//!
//! # What it must never do
//!
//! No I/O, no clock, no threads. No answer may depend on the order in which routes arrived: two processes with the same
//! facts have the same tables. BGP routes do not resolve BGP next hops (only direct and static routes do), so
//! that resolution cannot oscillate with BGP's decisions.

mod ahead;
mod digest;
mod dirty;
mod family;
mod forwarding;
pub mod index;
mod interfaces;
mod levels;
pub mod limits;
mod local;
mod nexthop;
mod prefix_store;
mod prefix_table;
mod protocol;
mod resolve;
mod rib;
mod table;
mod views;

#[cfg(test)]
mod model_tests;

pub use digest::{Digest, entry_hash, path_hash, prefix_bytes, route_hash};
pub use dirty::DirtySet;
pub use family::Family;
pub use forwarding::{ForwardingNexthop, ForwardingNexthopId, Gateway, HashedNexthop, fib_entry_hash};
pub use interfaces::LinkAddress;
pub use levels::LevelByLevel;
pub use nexthop::{NexthopSetId, NexthopSpec, Reach};
pub use prefix_table::{PrefixId, PrefixTable};
pub use protocol::Protocol;
pub use rib::{ActiveRoute, BgpRoute, Candidate, FibChange, Rib, StaticRouteSpec};
pub use views::{ProtocolCounts, TableCounts};

/// Time since an arbitrary origin (CLOCK_MONOTONIC); always passed in, never read.
pub type Time = std::time::Duration;
