//! What a commit says before it is made: whether the router could still reboot in service.

use holdfast_proto::v1::{Check, RouterConfig};

use crate::readiness;

/// The checks that fail with the candidate and do not fail with what is in force, as lines.
pub(super) fn lines(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let Check { title, observed, required, remedy, .. } = check;
        let mend = if remedy.is_empty() { String::new() } else { format!("; mend it with: {remedy}") };
        let effect =
            if check.warning { "an in-service reboot would ask" } else { "no longer ready for an in-service reboot" };
        format!("warning: {effect}: {title}: {observed}; required: {required}{mend}\n")
    };
    checks.iter().map(line).collect()
}

/// The checks that `candidate` would fail and `in_force` does not.
pub(super) fn newly_failing(in_force: &RouterConfig, candidate: &RouterConfig) -> Vec<Check> {
    readiness::newly_failing(in_force, candidate)
}
