//! Limits of prefixes: a session whose neighbour tells more ends with Cease / Maximum Number of Prefixes Reached (RFC 4486 §4), and
//! rests until an operator lets it in again.

use super::Chapter;
use crate::interop::peer::PeerPlan;

/// See the module.
pub struct Limits;

impl Chapter for Limits {
    /// More than all announce by the script, fewer than that and what [`super::super::scenario::Step::Exceed`] adds.
    fn family(&self, _neighbor: &PeerPlan) -> &'static str {
        "prefix-limit { maximum 16; teardown { percent 95; idle-timeout forever; } }"
    }
}
