//! What a change of the configuration would do to readiness, before it is committed.

use holdfast_proto::{
    check::Rule,
    v1::{Check, RouterConfig},
};

use super::document;

/// Below this a failed switch that is taken back can outlast the hold time: a keepalive interval of a third of it,
/// and the way back of some five seconds (the deadlines of the switch, one after the other).
const HOLD_TIME_SAFE_S: u32 = 9;

/// The checks that `candidate` would fail and `in_force` does not: what a commit has to warn of. Only what follows from
/// the configuration itself is looked at; nothing is asked of anybody.
pub fn newly_failing(in_force: &RouterConfig, candidate: &RouterConfig) -> Vec<Check> {
    let before = failing(in_force);
    failing(candidate).into_iter().filter(|check| !before.iter().any(|known| known.id == check.id)).collect()
}

fn failing(config: &RouterConfig) -> Vec<Check> {
    let mut checks = document::of_configuration(config);
    checks.push(hold_times(config));
    checks.retain(|check| !check.passed);
    checks
}

fn hold_times(config: &RouterConfig) -> Check {
    let neighbors = config.bgp.iter().flat_map(|bgp| &bgp.neighbors);
    let short = neighbors.into_iter().filter(|neighbor| (1..HOLD_TIME_SAFE_S).contains(&neighbor.hold_time_s));
    let short: Vec<String> = short.map(|neighbor| format!("{} {} s", neighbor.address, neighbor.hold_time_s)).collect();
    let required = format!("hold times of {HOLD_TIME_SAFE_S} s or more, or 0");
    Rule::asks("hold-time-margin", "Hold times, undone", required)
        .remedy(format!("set protocols bgp hold-time {HOLD_TIME_SAFE_S} or more"))
        .disturbing()
        .observe(if short.is_empty() { Ok("none is shorter".to_owned()) } else { Err(short.join(", ")) })
}
