//! Whether an in-service reboot would go through now, and what it would mean: without effect, at any time.
//!
//! The founding document's nine checks come first, in its order and words; then ours. Everybody looks at his own room:
//! chassisd at processes, descriptors, image, machine and what is on disk ([`Inspection`](holdfast_proto::v1::Inspection));
//! mgd at the configuration and at what rpd and pfed say of themselves. A run asks the same question in its first phase.
//!
//! ```text
//!  rpd, pfed, chassisd --observed--> Observed --document, configuration, sessions, routing, forwarding, features--> checks
//!                                        '--neighbors, features--> what a run means for each
//! ```
//!
//! What could not be observed is not assumed: the check that needs it is not passed, and says who did not answer.

mod candidate;
mod configuration;
mod document;
mod features;
mod forwarding;
mod neighbors;
mod observed;
mod routing;
mod sessions;
mod spacing;
#[cfg(test)]
mod tests;

pub use candidate::newly_failing;
use holdfast_proto::v1::{Check, CheckReadinessReply};
pub use observed::Observed;

use crate::state::State;

/// Makes all checks. `run_id`: the run that asks, 0 when it is an operator. `force`: what may be overridden only asks.
pub async fn check(state: &State, run_id: u64, force: bool) -> CheckReadinessReply {
    judge(&Observed { force, ..Observed::gather(state, run_id).await })
}

/// All checks from what was observed. `Ready for ISSR` is the conjunction of all that refuse.
fn judge(observed: &Observed) -> CheckReadinessReply {
    let neighbors = neighbors::forecast(observed);
    let features = features::forecast(observed, &neighbors);
    let mut ours = configuration::checks(observed);
    ours.extend(routing::checks(observed));
    ours.extend(sessions::checks(observed, &neighbors));
    ours.extend(features::checks(&features));
    ours.extend(forwarding::checks(observed));
    ours.extend(spacing::checks(observed));
    ours.extend(observed.chassis_checks());
    let mut checks = document::checks(observed);
    let refusing: Vec<&Check> = checks.iter().chain(&ours).filter(|check| !check.passed && !check.warning).collect();
    let ready = refusing.is_empty();
    let conjunction = document::ready(&refusing);
    checks.push(conjunction);
    checks.append(&mut ours);
    let config = observed.config.clone().unwrap_or_default();
    let routing = config.routing.unwrap_or_default();
    CheckReadinessReply {
        checks,
        minimum_spacing_s: config.chassis.map_or(0, |chassis| chassis.minimum_spacing_s),
        nonstop_routing: routing.nonstop_routing,
        graceful_restart: routing.graceful_restart,
        ready,
        neighbors,
        features,
        forecast: observed.inspection.as_ref().ok().and_then(|inspection| inspection.forecast.clone()),
    }
}
