//! # Many sessions
//!
//! [`Sessions`] owns them, each in a place of its own from 0 to [`SESSIONS_MAX`](crate::SESSIONS_MAX), which is also where its record
//! lies. It finds the session of a packet (RFC 5880 §6.3, RFC 5881 §3, RFC 5883 §3) and the one whose turn it is; both without
//! allocation and in a time that does not depend on how many there are, or on its logarithm.

mod deadlines;
mod key;
mod table;

#[cfg(test)]
mod tests;

pub use key::{Arrival, SessionKey};
pub use table::{Place, RECORD_LEN, Record, Sessions};
