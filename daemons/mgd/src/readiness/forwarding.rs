//! pfed: the kernel's table is the wanted one, and nothing is on its way.

use holdfast_proto::{
    check::Rule,
    v1::{Check, ForwardingSummary, Role},
};

use super::observed::Observed;

/// Checks on pfed's own figures.
pub fn checks(observed: &Observed) -> Vec<Check> {
    let summary = || observed.forwarding.as_ref().map_err(Clone::clone);
    vec![
        Rule::refuses("fib-primary", "FIB written by one", "pfed writes the kernel's table")
            .remedy("restart forwarding")
            .observe(summary().and_then(is_primary)),
        Rule::refuses("fib-agreement", "FIB in agreement", "the kernel's table equals the wanted one")
            .remedy("restart forwarding")
            .observe(summary().and_then(agreement)),
        // Routes come and go while a router works; the run waits until none is on its way.
        Rule::asks("fib-pending", "FIB settled", "no write to the kernel's table is pending")
            .remedy("wait a moment")
            .observe(summary().and_then(|summary| match summary.pending_writes {
                0 => Ok("no write is pending".to_owned()),
                pending => Err(format!("{pending} writes are pending")),
            })),
        Rule::asks("fib-errors", "FIB without errors", "the kernel has refused nothing since pfed started")
            .remedy("show log; restart forwarding")
            .observe(summary().and_then(|summary| match summary.errors {
                0 => Ok("no errors".to_owned()),
                errors => Err(format!("{errors} writes were refused, the last: {}", summary.last_error)),
            })),
    ]
}

fn is_primary(summary: &ForwardingSummary) -> Result<String, String> {
    match summary.role() {
        Role::Primary => Ok(format!("pfed is primary in epoch {}", summary.epoch)),
        role => Err(format!("pfed is {}", role.as_str_name())),
    }
}

/// Digests tell of a difference only when nothing is pending that would make them equal.
fn agreement(summary: &ForwardingSummary) -> Result<String, String> {
    if summary.pending_writes > 0 {
        return Ok(format!("{} writes are pending, compared when they are done", summary.pending_writes));
    }
    for desired in &summary.desired {
        let kernel = summary.kernel.iter().find(|kernel| kernel.table == desired.table);
        let Some(kernel) = kernel else {
            return Err(format!("{} is not known of the kernel", desired.table));
        };
        if (kernel.digest, kernel.entries) != (desired.digest, desired.entries) {
            return Err(format!("{}: {} in the kernel, {} wanted", desired.table, kernel.entries, desired.entries));
        }
    }
    let routes = summary.routes_ipv4 + summary.routes_ipv6;
    Ok(format!("{routes} routes, {} tables equal", summary.desired.len()))
}
