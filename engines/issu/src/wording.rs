//! The lines an operator reads. Order and phases follow the founding document; the words are ours.

use crate::failure::Failure;
use crate::limits;
use crate::machine::Run;
use crate::message::{Check, Daemon, Outcome, Request, Side};

/// The block of pre-checks, in the document's layout.
pub(crate) fn pre_checks(checks: &[Check]) -> Vec<String> {
    let mut lines = vec!["PRE ISSR CHECK:".to_string(), "---------------".to_string()];
    for check in checks {
        lines.push(format!("{} : {}", check.title, check.value));
        if !check.passed && check.warning {
            lines.push(format!("warning: {}", refusal(check)));
        }
    }
    lines
}

/// What, why, and the command that mends it.
pub(crate) fn refusal(check: &Check) -> String {
    let mut line = format!("{}: {}", check.title, check.observed);
    if !check.required.is_empty() {
        line.push_str(&format!("; required: {}", check.required));
    }
    if !check.remedy.is_empty() {
        line.push_str(&format!("; to mend: {}", check.remedy));
    }
    line
}

/// "Item Status Reason".
pub(crate) fn fru_status_table() -> [String; 2] {
    [format!("  {:<15}{:<24}{}", "Item", "Status", "Reason"), format!("  {:<15}{}", "FPC 0", "Online (ISSU)")]
}

pub(crate) fn restarted(slot: &str, daemon: Daemon) -> String {
    format!("{slot}/{daemon} has been restarted")
}

/// "re1/rpd: activation not confirmed within 2 s".
pub(crate) fn request_failed(run: &Run, request: &Request, failure: &Failure) -> String {
    let of = |side: Side, daemon: Daemon| format!("{}/{daemon}", run.slot(side));
    let (who, act) = match request {
        Request::Record { state, .. } => ("journal".into(), format!("recording {state}")),
        Request::PreChecks => (of(Side::Old, Daemon::Mgd), "pre-checks".into()),
        Request::CollectBaseline => ("chassisd".into(), "collecting the state before the run".into()),
        Request::Spawn { daemons } => {
            let names: Vec<&str> = daemons.iter().map(|daemon| daemon.name()).collect();
            (run.slot(Side::New).into(), format!("starting {}", names.join(" and ")))
        }
        Request::Synchronization { daemon } => (of(Side::New, *daemon), "synchronization".into()),
        Request::Prepare { daemon } => (of(Side::Old, *daemon), "readiness for the switchover".into()),
        Request::Cancel { daemon } => (of(Side::Old, *daemon), "taking the preparation back".into()),
        Request::Freeze { daemon } => (of(Side::Old, *daemon), "freezing".into()),
        Request::Fence => (run.slot(Side::Old).into(), "stopping its processes".into()),
        Request::Unfence => (run.slot(Side::Old).into(), "continuing its processes".into()),
        Request::RaiseEpoch { epoch } => ("vault".into(), format!("raising the epoch to {epoch}")),
        Request::Activate { side, daemon, .. } => (of(*side, *daemon), "activation".into()),
        Request::Commit { side, daemon, .. } => (of(*side, *daemon), "commit".into()),
        Request::Flip { side } => ("mgd.sock".into(), format!("pointing it to {}", run.slot(*side))),
        Request::Verify { side, daemon } => (of(*side, *daemon), "verification".into()),
        Request::Respawn { side, daemon, .. } => (of(*side, *daemon), "restart".into()),
        Request::Retire => (run.slot(Side::Old).into(), "shutting down".into()),
        Request::Kill { side, daemon: Some(daemon) } => (of(*side, *daemon), "ending it".into()),
        Request::Kill { side, daemon: None } => (run.slot(*side).into(), "ending its processes".into()),
        Request::CollectEvidence { .. } => ("chassisd".into(), "collecting the evidence".into()),
    };
    match failure {
        Failure::TimedOut => {
            let seconds = limits::request_deadline(request).as_secs_f64();
            format!("{who}: {act} was not confirmed within {seconds} s")
        }
        other => format!("{who}: {act}: {other}"),
    }
}

/// The verdict, and whether it is a success.
pub(crate) fn verdict(run: &Run) -> (String, bool) {
    let clean = run.losses.is_empty() && run.missing.is_empty();
    // Undone before anything was measured means that nothing of the primary had been touched yet.
    let known = run.evidence || !run.baseline;
    let loss = if clean && known {
        "nothing lost"
    } else if run.losses.is_empty() {
        "evidence missing"
    } else {
        "with losses"
    };
    match run.outcome {
        Outcome::Refused => ("refused, nothing changed".into(), false),
        Outcome::Finished if clean && known => ("nothing lost".into(), true),
        Outcome::Finished => (format!("failed, {loss}"), false),
        Outcome::Undone => (format!("undone, {loss}"), false),
        Outcome::Rehearsed => (format!("rehearsed, {loss}"), clean && known),
    }
}

/// The last lines of a run.
pub(crate) fn closing(run: &Run, verdict: &str, gap_ns: Option<u64>) -> Vec<String> {
    let mut lines = Vec::new();
    match run.outcome {
        Outcome::Finished => {
            lines.push(format!("{} is primary, {} is shut down", run.slot(Side::New), run.slot(Side::Old)));
        }
        _ => lines.push(format!("{} is primary", run.slot(Side::Old))),
    }
    if let Some(gap_ns) = gap_ns {
        lines.push(format!("Control-plane gap : {:.1} ms", gap_ns as f64 / 1e6));
    }
    lines.extend(run.losses.iter().map(|loss| format!("Lost : {loss}")));
    lines.extend(run.missing.iter().map(|missing| format!("Evidence missing : {missing}")));
    if run.outcome != Outcome::Refused && !run.reason.is_empty() {
        lines.push(format!("Reason : {}", run.reason));
    }
    lines.push(format!("Verdict : {verdict}"));
    lines
}
