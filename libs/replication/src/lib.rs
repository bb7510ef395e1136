//! What a routing engine tells its successor, and the one interface through which it does.
//!
//! **Facts, not internals.** What is replicated is what neighbours told us and what we told them, in the
//! protocol's own wire format, inside a small versioned envelope (`proto/holdfast/v1/replication.proto`). The
//! follower computes everything else for itself, so a release may change every internal structure.
//!
//! Five parts, none of which does I/O:
//! - [`Switchover`]: what every protocol registers with. The daemon knows protocols through nothing else when it
//!   prepares, freezes, hands over or takes over.
//! - [`Outbound`]: the sender's end of the stream. A fact counts as replicated once the kernel has it in the
//!   stream socket's buffer, which outlives the sender. `Outbound` holds what the kernel did not take yet; as long as it
//!   holds anything, the daemon neither consumes input nor writes output.
//! - [`Pace`]: whether the follower keeps up, and what the primary holds back while it does not.
//! - [`Inbound`]: the follower's end, from bytes back to frames, whatever sizes the bytes come in.
//! - [`ledger`]: the books of a session's byte streams, kept by its owner and by its follower.
//!
//! The stream is one and ordered, so facts of one neighbour are ordered too, which is all that correctness needs.

mod compare;
mod error;
mod inbound;
pub mod ledger;
pub mod limits;
mod outbound;
mod pace;
mod switchover;

pub use compare::compare_tables;
pub use error::ReplicationError;
pub use inbound::Inbound;
pub use outbound::Outbound;
pub use pace::Pace;
pub use switchover::Switchover;
