//! What policies do to routes that are let in, and to those that are told on.

use super::{Chapter, Hop};
use crate::interop::{
    peer::{PeerPlan, Session},
    router,
    seen::Seen,
};

/// What every route learned gets.
const LOCAL_PREFERENCE: u32 = 250;
/// The community that every route learned gets, 65000:999.
const ADDED: u32 = router::AUTONOMOUS_SYSTEM << 16 | 999;
/// The MED that external neighbours are told.
const METRIC: u32 = 50;
/// In front of the path that external neighbours are told, before the router's own number.
const PREPENDED: &str = "65000 65000";

/// See the module.
pub struct Policies;

impl Chapter for Policies {
    fn policies(&self) -> &'static str {
        "policy-options {
    community ADDED members 65000:999;
    policy-statement LEARNED { term all { then { local-preference 250; community add ADDED; accept; } } }
    policy-statement TOLD { term bgp { from { protocol bgp; } then { metric 50; as-path-prepend \"65000 65000\"; accept; } } }
}
"
    }

    fn group(&self, neighbor: &PeerPlan, _session: &Session) -> String {
        let export = if neighbor.is_internal() { "" } else { "export TOLD;" };
        format!("import LEARNED; {export}")
    }

    fn told(&self, hop: &Hop<'_>, plain: Option<Seen>) -> Option<Seen> {
        let mut seen = plain?;
        seen.communities.push(ADDED);
        if hop.to.is_internal() {
            seen.local_preference = Some(LOCAL_PREFERENCE);
        } else {
            seen.path = format!("{PREPENDED} {}", seen.path);
            seen.med = Some(METRIC);
        }
        Some(seen)
    }
}
