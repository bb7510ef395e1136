//! The loss of a gateway: two neighbours have told the router the same table, packets go by one of them, or by both where their
//! paths are used together, and one is lost, in each way in which a gateway can be. What counts is for how long packets are lost.
//!
//! ```text
//!                      ┌── switch ── primary ──┐
//!   source ── router ──┤                       ├── world
//!                      └──────────── backup ───┘
//! ```
//!
//! Both gateways are the lab's own speakers, so that a million routes from each cost the machine next to nothing, and so is their BFD. Behind
//! both are the receivers of the probes. The switch is what makes the difference between a link that is lost and a gateway that
//! does not answer any more.
//!
//! How it flows: a scenario ([`scenario`]) says how the paths are used and which losses there are; `place` is where it happens, [`mod@run`]
//! does one after the other, each with the gateway's return, and [`judge`] says what became of the packets: from the sequence
//! numbers that arrived, the times at which the probes were sent, and the moment at which the lab itself took the link away.

mod bfd;
mod gateways;
pub mod judge;
mod place;
mod router;
pub mod run;
pub mod scenario;
pub(crate) mod table;
mod watch;

pub use self::{run::run, scenario::GatewayLoss};
