//! The lines an operator reads. Order and phases follow the founding document; the words are ours.

use std::time::Duration;

use crate::failure::Failure;
use crate::limits;
use crate::message::{Check, Daemon, Outcome, Request, Side};
use crate::run::Run;

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

/// "5 m", "4 m 58 s", "2 h".
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let named: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n} {unit}")).collect();
    if named.is_empty() { "0 s".into() } else { named.join(" ") }
}

/// What an operator has to do, and what happens otherwise.
pub(crate) fn confirm_within(run: &Run, left: Duration) -> String {
    let left = span(left);
    let otherwise = match run.way_closed {
        None => format!("or the roles go back to {}", run.slot(Side::Old)),
        Some(_) => format!("the way back is closed, {} stays primary", run.slot(Side::New)),
    };
    format!("Confirm within {left} ('request system reboot in-service confirm') {otherwise}")
}

pub(crate) fn way_open(run: &Run) -> String {
    format!(
        "{} follows {} as its backup, digests equal: the way back is open",
        run.slot(Side::Old),
        run.slot(Side::New)
    )
}

pub(crate) fn way_closed(run: &Run, what: &str) -> String {
    let (run_id, old) = (run.start.run_id, run.slot(Side::Old));
    format!("run {run_id}: the way back to {old} is closed: {what}")
}

/// A crash in the middle of a run that becomes its switchover.
pub(crate) fn owner_lost(run: &Run, daemon: Daemon) -> String {
    let (run_id, old, new) = (run.start.run_id, run.slot(Side::Old), run.slot(Side::New));
    format!("run {run_id}: {old}/{daemon} is gone and {new} stands ready with every fact: it takes over at once")
}

/// mgd or pfed of an engine that only stands by.
pub(crate) fn mended_on_the_way_back(what: &str) -> String {
    format!("{what}; it is started anew should the roles go back")
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
        Request::Synchronization { side, daemon } => (of(*side, *daemon), "synchronization".into()),
        Request::Prepare { daemon } => (of(Side::Old, *daemon), "readiness for the switchover".into()),
        Request::Cancel { daemon } => (of(Side::Old, *daemon), "taking the preparation back".into()),
        Request::Freeze { side, daemon } => (of(*side, *daemon), "freezing".into()),
        Request::Follow { side, daemon, .. } => (of(*side, *daemon), "following".into()),
        Request::Watch { side, daemon } => (of(*side, *daemon), "sign of life".into()),
        Request::Fence { side } => (run.slot(*side).into(), "stopping its processes".into()),
        Request::Unfence { side } => (run.slot(*side).into(), "continuing its processes".into()),
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
        Outcome::Finished if clean && known => (format!("nothing lost{}", run.remark), true),
        Outcome::Finished => (format!("failed, {loss}"), false),
        Outcome::Undone => (format!("undone, {loss}"), false),
        Outcome::Kept => (format!("undo failed, {loss}"), false),
        Outcome::Rehearsed => (format!("rehearsed, {loss}"), clean && known),
    }
}

/// The last lines of a run.
pub(crate) fn closing(run: &Run, verdict: &str) -> Vec<String> {
    let mut lines = Vec::new();
    match run.outcome {
        Outcome::Finished | Outcome::Kept => {
            lines.push(format!("{} is primary, {} is shut down", run.slot(Side::New), run.slot(Side::Old)));
        }
        _ => lines.push(format!("{} is primary", run.slot(Side::Old))),
    }
    let gaps = [("Control-plane gap", run.gap_ns()), ("Control-plane gap on the way back", run.gap_back_ns())];
    for (title, gap_ns) in gaps {
        lines.extend(gap_ns.map(|gap_ns| format!("{title} : {:.1} ms", gap_ns as f64 / 1e6)));
    }
    lines.extend(run.losses.iter().map(|loss| format!("Lost : {loss}")));
    lines.extend(run.missing.iter().map(|missing| format!("Evidence missing : {missing}")));
    if run.outcome != Outcome::Refused && !run.reason.is_empty() {
        lines.push(format!("Reason : {}", run.reason));
    }
    lines.push(format!("Verdict : {verdict}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Start;

    #[test]
    fn what_a_success_is_told_with_is_told_in_log_and_verdict_alike() {
        let (from_slot, to_slot) = ("re0".into(), "re1".into());
        let start = Start { run_id: 1, from_slot, to_slot, epoch: 1, force: false, dry_run: false, confirm: None };
        let mut run = Run::new(start, Duration::ZERO);
        (run.outcome, run.evidence) = (Outcome::Finished, true);
        run.remark = "; 1 session restarted gracefully as planned".into();
        let (text, success) = verdict(&run);
        assert_eq!((text.as_str(), success), ("nothing lost; 1 session restarted gracefully as planned", true));
        assert_eq!(closing(&run, &text).last(), Some(&format!("Verdict : {text}")));
        run.losses.push("a session".into());
        assert_eq!(verdict(&run), ("failed, with losses".into(), false), "no remark softens a loss");
    }
}
