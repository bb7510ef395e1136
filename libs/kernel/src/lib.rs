//! Linux as Holdfast uses it: TCP sessions that outlive a process, descriptors that travel, processes, rtnetlink.
//!
//! This is the one crate with `unsafe` in it. Everything it offers to the others is safe, small and typed, and
//! none of it keeps state of its own beyond the descriptor it was given.
//!
//! - [`tcp`]: reading without consuming, discarding without copying, and the kernel's own counters, which say to
//!   the byte where a dead process stood; listening and connecting sockets with the options BGP needs.
//! - [`descriptor`]: descriptors over Unix sockets (`SCM_RIGHTS`), without leaks.
//! - [`cgroup`]: freezing and use of a container's control groups, removal of those that were left.
//! - [`process`]: pidfds, start times, resource use, network namespaces.
//! - [`udp`]: datagrams with the TTL and the interface they came in by. [`realtime`]: a thread that is on time. [`records`]: what outlives
//!   its writer at any instruction.
//! - [`allocations`]: how often a thread asks for memory.
//! - [`ethtool`]: the speed of a link.
//! - [`netlink`]: bulk rtnetlink with its own encoder and decoder: batches whose acknowledgements are accounted by
//!   sequence number, dumps that notice interruption, a monitor that reports overflow.
//!
//! It must never block where its documentation does not say so, never panic on what the kernel (or anything that
//! claims to be the kernel) sends, and never keep a descriptor that it did not hand out.

pub mod allocations;
pub mod cgroup;
pub mod descriptor;
pub mod ethtool;
pub mod netlink;
pub mod process;
pub mod realtime;
pub mod records;
pub mod tcp;
pub mod terminal;
pub mod udp;

mod error;

pub use error::KernelError;
