//! rpd: it answers, it is primary, its tables are worked through.

use holdfast_proto::{
    check::Rule,
    v1::{Check, Role},
};

use super::observed::Observed;

/// Checks on rpd's own figures.
pub fn checks(observed: &Observed) -> Vec<Check> {
    let status = match &observed.rpd {
        Err(reason) => Err(reason.clone()),
        Ok(status) if !status.error.is_empty() => Err(status.error.clone()),
        Ok(status) if !status.ready => Err(format!("rpd is not ready: {}", status.detail)),
        Ok(status) if status.role() != Role::Primary => Err(format!("rpd is {}", status.role().as_str_name())),
        Ok(status) => Ok(format!("rpd is primary in epoch {}", status.epoch)),
    };
    let work = match &observed.replication {
        Err(reason) => Err(reason.clone()),
        Ok(replication) if replication.working_on.is_empty() => Ok("nothing is left to do".to_owned()),
        Ok(replication) => Err(replication.working_on.clone()),
    };
    vec![
        Rule::refuses("routing-primary", "Routing online", "rpd is primary and ready")
            .remedy("show log; restart routing")
            .disturbing()
            .observe(status),
        // The run waits for it, up to its deadline; who can wait loses no time by starting later.
        Rule::asks("routing-converged", "Routing converged", "tables are complete and worked through")
            .remedy("wait a moment")
            .observe(work),
    ]
}
