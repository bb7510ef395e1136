//! What was lost, and what cannot be known: the verdict is made of these.

use holdfast_issu::{Daemon, Side};
use holdfast_proto::v1;

use super::Baseline;
use super::differences::differences;
use super::sessions::sessions;
use crate::restarts;
use crate::run::CurrentRun;

/// What was lost between the baseline and `after`, and what cannot be known: one sentence each.
pub fn judge(run: &CurrentRun, side: Side, after: &Baseline) -> (Vec<String>, Vec<String>) {
    let mut missing = after.missing.clone();
    let Some(before) = &run.baseline else {
        return (Vec::new(), vec!["the state before the run".into()]);
    };
    missing.extend(before.missing.iter().map(|what| format!("before the run: {what}")));
    let mut losses = Vec::new();
    for session in sessions(run, side, after) {
        // Where nobody could say how the sessions are, that is missing, and nothing is known to be lost.
        if after.sessions.is_some() {
            losses.extend(restarts::loss(&session));
        }
        if let (Some(facts), Some(kernel)) = (&session.facts, &session.kernel)
            && facts != kernel
        {
            losses.push(format!(
                "session with {}: the facts end at {} bytes in and {} out, the kernel stood at {} in and {} out",
                session.neighbor,
                facts.bytes_consumed,
                facts.bytes_written,
                kernel.bytes_consumed,
                kernel.bytes_written
            ));
        }
        let nonstop = session.taken() == v1::SwitchoverMode::Nsr && session.mode() == v1::SwitchoverMode::Nsr;
        if side == Side::New && nonstop && (session.facts.is_none() || session.kernel.is_none()) {
            missing.push(format!("position of the session with {} at the handoff", session.neighbor));
        }
        if side == Side::New && nonstop && session.silence_out_ms.is_none() {
            missing.push(format!("silence of the session with {} around the switch", session.neighbor));
        }
    }
    let lost = differences(before, after).into_iter().filter(|difference| difference.loss);
    losses.extend(lost.map(|lost| format!("{} differs: {} before, {} now", lost.what, lost.before, lost.after)));
    if side == Side::New {
        judge_switch(run, &mut losses, &mut missing);
    }
    (losses, missing)
}

fn judge_switch(run: &CurrentRun, losses: &mut Vec<String>, missing: &mut Vec<String>) {
    for table in activated_tables(run) {
        if !table.equal && table.primary.is_some() {
            losses.push(format!("table {} differs between the old and the new engine at the handoff", table.table));
        }
    }
    for daemon in Daemon::ALL {
        if run.activated[daemon.index()].is_none() {
            missing.push(format!("what {daemon} found at its activation"));
        }
    }
    match &run.verified[Daemon::Pfed.index()] {
        Some(reply) if reply.kernel_writes_needless > 0 => {
            losses.push(format!("{} needless writes to the kernel's table", reply.kernel_writes_needless));
        }
        Some(_) => {}
        None => missing.push("writes to the kernel's table during the switchover".into()),
    }
}

/// Tables as the new engine compared them at its activation.
pub(super) fn activated_tables(run: &CurrentRun) -> impl Iterator<Item = &v1::TableComparison> {
    run.activated.iter().flatten().flat_map(|reply| &reply.tables)
}
