//! Benchmarks of the forwarding table: how fast routes get into the kernel, and how little is written when they are there already.
//!
//! The yardstick is the kernel itself: `bare-netlink` (`netlink`) is a loop that writes the same routes in batches, by nexthop id, and does
//! nothing else. A router has the whole table, from BGP and told on, and keeps it out of the kernel until the clock starts with
//! the word that lets it in ([`super::router::Router::install`]); the clock ends with the last route in the kernel, by the kernel's
//! own word of it ([`crate::kernel_watch`], which listens to the last hundredth only) and its own count. What looks on meanwhile must not take what
//! the router needs (`sample`).
//!
//! In the `warm-` cases the process that writes is killed when everything is in place (for `warm-1000-changed` the kernel's table is altered
//! while it stands still). The clock ends when its successor has read the table and has nothing more to write; every
//! notification of a change in the router's kernel is counted meanwhile ([`crate::kernel_watch`]). Only this router can be measured
//! so; beside it stands what a bare loop needs to read the table and to write as many routes.

mod case;
mod compare;
mod measure;
mod netlink;
mod report;
mod sample;

pub use compare::{Comparison, Subject};
pub use report::{rows, table};
