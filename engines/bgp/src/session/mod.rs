//! # One neighbour's session
//!
//! RFC 4271 §8 as a value: what happens and the time go in ([`Session::receive`], [`Session::tcp_connected`], ...), what is to
//! be done comes out of [`Session::poll`], which is called until it says `None` and again at [`Session::next_deadline`].
//!
//! ```text
//!             start, stop, reset ──┐          ┌── Connect, Close, Send       -> the TCP connections
//!  tcp_connected, failed, closed ──┤  fsm +   │
//!                   tcp_accepted ──┤  timers ─┼── Established, Down          -> the speaker
//!                  message bodies ─┘          └── Received::Update, RouteRefresh (returned, not queued)
//! ```
//!
//! A neighbour may have two TCP connections for a moment: one that we opened and one that it opened. So a session is one
//! *dialer*, which holds the states before a connection (Idle, Connect, Active), and up to two *connections*, which hold the
//! states on one (OpenSent, OpenConfirm, Established). All follow the one table in `fsm`. When a connection ends, its next state
//! goes back to the dialer, unless the other connection lives on.
//!
//! What a session must never do: report Established twice without Down between, let two connections be Established, or keep
//! silent about why it is not up ([`Session::why_not_established`]).

mod back_off;
mod cause;
mod collision;
mod config;
mod connection;
mod fsm;
mod inputs;
mod limits;
mod machine;
mod messages;
mod notifications;
mod output;
mod status;
mod takeover;
mod validate;

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod simulation;

pub use config::{GracefulRestart, RoleConfig, SessionConfig};
pub use connection::ConnectionSide;
pub use fsm::State;
pub use limits::STEADY;
pub use machine::Session;
pub use notifications::{Noted, Notifications};
pub use output::{Counters, DownReason, Output, Received, Verdict};
pub use takeover::Rest;
