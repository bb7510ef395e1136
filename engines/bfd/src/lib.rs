//! # Bidirectional Forwarding Detection
//!
//! RFC 5880 in asynchronous mode, for one hop (RFC 5881) and for several (RFC 5883), as a plain value: packets and time go in,
//! packets and changes of state come out. No socket, no clock, no thread, and no allocation once a session exists.
//!
//! ```text
//!   datagram, TTL, source ──> Sessions::packet_received ──┐      ┌──> Output::Send     -> a socket
//!                      time ──> Sessions::poll ───────────┤ one  ├──> Output::Changed  -> whoever asked for the session
//!             configuration ──> Sessions::ensure, leave ──┤ each │
//!                    record ──> Sessions::adopt ──────────┴──────┴──> Sessions::record -> whoever takes over
//! ```
//!
//! - [`wire`]: the control packet and its authentication sections, byte by byte.
//! - [`session`]: one session: the state machine (one table), timers, poll sequences, what a successor needs.
//! - [`sessions`]: many of them: discriminators, demultiplexing, whose turn it is.
//!
//! A session outlives the process that runs it. All that it is fits into a record of fixed size ([`sessions::Record`]), which the
//! process keeps up to date where a successor finds it: discriminators, sequence numbers, poll sequences and every deadline. Time
//! is a `Duration` since an arbitrary origin that both share (CLOCK_MONOTONIC), so a deadline means the same to both.
//!
//! What is not built: the echo function (we announce that we receive none) and demand mode of our own (that of the neighbour is
//! obeyed). Simple passwords and MD5 are refused: the one is no authentication, RFC 5880 §6.7.3 discourages the other.
//!
//! It must never flap a session because of a change of intervals, never send faster than the neighbour has allowed, and never
//! believe a packet before all of RFC 5880 §6.8.6 has been checked.

mod error;
mod limits;
pub mod session;
pub mod sessions;
pub mod wire;

pub use error::{BfdError, Discard};
pub use limits::{MINIMUM_INTERVAL_US, SESSIONS_MAX};
