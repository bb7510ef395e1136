//! # One session
//!
//! RFC 5880 §6 as a value. [`Session::receive`] and the time go in; what is to be done comes out of [`Session::poll`], which is
//! called until it says `None` after every input, and again at [`Session::next_deadline`].
//!
//! Three things are kept apart that are easily mixed up: what is *configured*; what is *announced* (while the session is not Up
//! at least one second to send); and what is *in force*, which follows an announcement only when the neighbour has
//! confirmed it with the final packet of a poll sequence, wherever it could otherwise be taken for a failure (§6.8.3).
//!
//! Packets are due at jittered intervals. A change of state, a new poll and an answer to a poll are told at once, in between,
//! without moving the periodic ones (§6.8.7).

mod config;
mod fsm;
mod machine;
mod output;
mod poll_sequence;
mod record;
mod sequence;
mod timing;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod simulation;

pub use config::SessionConfig;
pub use machine::Session;
pub use output::{Change, Output, Remote, Statistics};
pub use record::Inheritance;
pub(crate) use record::{Reader, SESSION_RECORD_LEN, Writer};
pub(crate) use timing::Random;
