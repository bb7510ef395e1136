//! Runs are spaced, so that what went wrong in one is seen before the next. In a run the state machine itself checks this,
//! with its own clock and `force`; an operator who only asks is told the same beforehand.

use holdfast_proto::{check::Rule, v1::Check};

use super::observed::Observed;

/// None when a run asks, or when chassisd does not say when the last run ended.
pub fn checks(observed: &Observed) -> Vec<Check> {
    let (Some(now_unix_ms), Ok(inspection), Some(config)) =
        (observed.asked_unix_ms, &observed.inspection, &observed.config)
    else {
        return Vec::new();
    };
    let spacing_s = u64::from(config.chassis.map_or(0, |chassis| chassis.minimum_spacing_s));
    let forced = observed.force;
    let observed = match inspection.last_run_ended_unix_ms {
        0 => Ok("no run before".to_owned()),
        ended => {
            let since_s = now_unix_ms.saturating_sub(ended) / 1000;
            let seen = format!("{since_s} s since the last run");
            match (since_s >= spacing_s, inspection.steady) {
                (true, _) => Ok(seen),
                (false, true) => Ok(format!("{seen}; proven steady: {}", inspection.steadiness)),
                (false, false) => {
                    let left_s = spacing_s - since_s;
                    Err(format!("{seen}, {left_s} s left; not proven steady: {}", inspection.steadiness))
                }
            }
        }
    };
    let kind = if forced { Rule::asks } else { Rule::refuses };
    let rule = kind(
        "minimum-spacing",
        "Minimum spacing",
        format!("{spacing_s} s between two runs, or proof that nothing has moved"),
    );
    let remedy = "wait, or request system reboot in-service force, or set chassis in-service minimum-spacing";
    vec![rule.remedy(remedy).observe(observed)]
}
