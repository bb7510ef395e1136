//! Limits of prefixes: a session whose neighbour tells more ends with Cease / Maximum Number of Prefixes Reached (RFC 4486 §4), and
//! rests until an operator lets it in again.

use super::Chapter;
use crate::interop::peer::PeerPlan;

/// What each neighbour may tell in a family: more than all announce by the script.
pub const PREFIXES_MAX: usize = 16;

/// See the module.
pub struct Limits;

impl Chapter for Limits {
    fn family(&self, _neighbor: &PeerPlan) -> &'static str {
        const { assert!(PREFIXES_MAX == 16) };
        "prefix-limit { maximum 16; teardown { percent 95; idle-timeout forever; } }"
    }
}
