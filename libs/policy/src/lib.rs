//! Routing policy: which routes are let in and out, and what is changed on the way.
//!
//! # The idea
//!
//! `policy-options` is compiled once per commit into a [`PolicySet`]; names are looked up, texts parsed and mistakes reported
//! then, never while routes flow. A neighbour's import or export list becomes a [`Chain`], which is evaluated for each
//! route and allocates nothing unless the policy changes something.
//!
//! Policy does not change routes. It says what is to be changed, as a [`Changes`] value that can be compared and hashed, so
//! that who encodes routes can remember the outcome per set of attributes instead of encoding a million times.
//!
//! # The parts
//!
//! - [`RouteView`] is all that policy sees of a route; it knows nothing of BGP's encodings.
//! - `prefixes` matches prefix lists and route filters, `community` parses and compares communities.
//! - `compile` turns the configuration into terms, [`Chain`] runs them.
//!
//! # Semantics
//!
//! Terms are tried in order. Of a term's different conditions all have to match; of several values in one condition any
//! suffices; a term without conditions matches everything. A matching term's actions take effect at once, also when the
//! decision falls later, and later terms see the communities as earlier terms left them. `accept` and `reject` end
//! the chain, `next policy` goes to the chain's next statement, and at the chain's end the default given by the
//! caller holds: as in Junos, accept for BGP routes, reject for others on export.
//!
//! # What it must never do
//!
//! No I/O, no clock, no state between two routes: equal routes and equal chains give equal answers.

mod chain;
mod changes;
mod community;
mod compile;
mod error;
pub mod limits;
mod prefixes;
mod route;

pub use chain::{Chain, Explanation};
pub use changes::{Changes, CommunityChange, NextHopAction};
pub use community::{CommunityValues, WELL_KNOWN_COMMUNITIES, parse_community, well_known_name};
pub use compile::PolicySet;
pub use error::PolicyError;
pub use route::{Disposition, Protocol, RouteView};
