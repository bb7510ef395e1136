//! Interoperation: the router among other people's routers, each announcing routes with every attribute both sides know, and
//! each asked by its own tools what it sees; before, during and after an in-service reboot.
//!
//! The idea: what is announced is data ([`offer`]), what a neighbour must see follows from the RFCs ([`expect`]) and from what a
//! scenario is about ([`chapter`]), and what it does see is its own word, made comparable ([`seen`]). A scenario ([`scenario`]) says who takes part, over which kinds of
//! sessions, and the script; `run` does it. A router of another make is a file in `peer`.
//!
//! What a neighbour cannot do is skipped by name and with the reason, in the log and in the result: never silently.

mod absence;
pub mod chapter;
mod checks;
mod crash;
mod decide;
mod evidence;
pub mod expect;
pub mod features;
pub mod offer;
mod peer;
mod place;
mod router;
pub mod run;
pub mod scenario;
pub mod seen;
mod session_scenarios;
mod session_steps;

pub use self::{
    peer::Maker,
    run::{Choices, run},
    scenario::Interop,
};
