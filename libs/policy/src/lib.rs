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
//! - `prefixes` matches prefix lists and route filters; `community` and `extended` parse and compare communities; `as_path`
//!   holds AS-path expressions. `expression` reads regular expressions, `automaton` runs them in linear time.
//! - `compile` turns the configuration into statements. `conditions` is what a term asks, `statement` runs terms and
//!   subroutines, [`Chain`] is a list of statements, `changes` what they ask for.
//!
//! # Semantics
//!
//! Terms are tried in order. Of a term's different conditions all have to match; of several values in one condition any
//! suffices; a term without conditions matches everything. A matching term's actions take effect at once, also when the
//! decision falls later, and later terms see the route as earlier terms left it. `accept` and `reject` end
//! the chain, `next policy` goes to the chain's next statement, and at the chain's end the default given by the
//! caller holds (as in Junos, accept for BGP routes, reject for others on export), unless a term has set another one by
//! `default-action`.
//!
//! `from policy` asks other statements as a chain of their own. The term matches if they accept, and then what they change
//! is changed; if they reject, or another condition does not match, nothing of it is. Their default is the caller's, too.
//!
//! # What it must never do
//!
//! No I/O, no clock, no state between two routes: equal routes and equal chains give equal answers. No configuration makes
//! one route cost more than a bounded amount of work: expressions are automata, subroutines do not recur.

mod as_path;
mod automaton;
mod chain;
mod changes;
mod community;
mod compile;
mod conditions;
mod error;
mod expression;
mod extended;
pub mod limits;
mod prefixes;
mod route;
mod statement;

pub use as_path::AsPathExpression;
pub use chain::{Chain, Explanation, Step};
pub use changes::{Changes, CommunityChange, NextHopAction};
pub use community::{COMMUNITY_REQUIRED, CommunityValues, check_community_member, community_text};
pub use compile::{PolicySet, Summary};
pub use error::PolicyError;
pub use expression::ExpressionError;
pub use extended::extended_community_text;
pub use route::{Disposition, Origin, Protocol, RouteView};
