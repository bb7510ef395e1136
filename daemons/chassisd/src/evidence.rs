//! What was lost, from counters: the state before and after a run, compared; and the report.

use std::collections::BTreeMap;

use holdfast_issu::{Daemon, End, Outcome, Side};
use holdfast_proto::v1;

use crate::calls::{Link, answer};
use crate::limits::EVIDENCE_CALL_DEADLINE;
use crate::restarts;
use crate::run::CurrentRun;

/// Sessions, interfaces and the FIB at one moment; `None` where the daemon did not answer.
#[derive(Debug, Default)]
pub struct Baseline {
    /// From rpd.
    pub sessions: Option<Vec<v1::BgpNeighborDetail>>,
    /// From pfed.
    pub interfaces: Option<Vec<v1::Interface>>,
    /// From pfed.
    pub forwarding: Option<v1::ForwardingSummary>,
    /// Why something is missing.
    pub missing: Vec<String>,
}

/// Asks rpd and pfed of one slot, all at once.
pub async fn collect(rpd: Option<Link>, pfed: Option<Link>) -> Baseline {
    let gone = || "the process does not run".to_string();
    let sessions = async {
        let mut client = rpd.as_ref().ok_or_else(gone)?.routing();
        answer(EVIDENCE_CALL_DEADLINE, client.show_bgp_neighbors(v1::ShowBgpNeighborsRequest::default())).await
    };
    let interfaces = async {
        let mut client = pfed.as_ref().ok_or_else(gone)?.forwarding();
        answer(EVIDENCE_CALL_DEADLINE, client.show_interfaces(v1::ShowInterfacesRequest::default())).await
    };
    let forwarding = async {
        let mut client = pfed.as_ref().ok_or_else(gone)?.forwarding();
        answer(EVIDENCE_CALL_DEADLINE, client.show_forwarding_summary(v1::ShowForwardingSummaryRequest {})).await
    };
    let (sessions, interfaces, forwarding) = tokio::join!(sessions, interfaces, forwarding);
    let mut missing = Vec::new();
    let mut note = |what: &str, error: &String| missing.push(format!("{what} ({error})"));
    sessions.as_ref().err().inspect(|error| note("sessions of rpd", error));
    interfaces.as_ref().err().inspect(|error| note("interface counters of pfed", error));
    forwarding.as_ref().err().inspect(|error| note("forwarding counters of pfed", error));
    Baseline {
        sessions: sessions.ok().map(|reply| reply.neighbors),
        interfaces: interfaces.ok().map(|reply| reply.interfaces),
        forwarding: forwarding.ok(),
        missing,
    }
}

/// What was lost between the baseline and `after`, and what cannot be known: one sentence each.
pub fn judge(run: &CurrentRun, side: Side, after: &Baseline) -> (Vec<String>, Vec<String>) {
    let mut missing = after.missing.clone();
    let Some(before) = &run.baseline else {
        return (Vec::new(), vec!["the state before the run".into()]);
    };
    missing.extend(before.missing.iter().map(|what| format!("before the run: {what}")));
    let mut losses = Vec::new();
    for session in sessions(run, side, after, None) {
        losses.extend(restarts::loss(&session));
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
    }
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

fn activated_tables(run: &CurrentRun) -> impl Iterator<Item = &v1::TableComparison> {
    run.activated.iter().flatten().flat_map(|reply| &reply.tables)
}

/// Each session before and after.
pub fn sessions(run: &CurrentRun, side: Side, after: &Baseline, gap_ms: Option<f64>) -> Vec<v1::SessionReport> {
    let before = run.baseline.as_ref().and_then(|baseline| baseline.sessions.as_deref()).unwrap_or_default();
    let now: BTreeMap<&str, &v1::BgpNeighborDetail> =
        after.sessions.iter().flatten().map(|neighbor| (address(neighbor), neighbor)).collect();
    let position = |positions: Option<&Vec<v1::SessionPosition>>, neighbor: &str| {
        positions.into_iter().flatten().find(|position| position.neighbor == neighbor).cloned()
    };
    let rpd = Daemon::Rpd.index();
    let switched = side == Side::New;
    let record = run.log.lock();
    let mode = |neighbor: &str| {
        record.run.readiness.iter().find(|r| r.neighbor == neighbor).map_or(0, |readiness| readiness.mode)
    };
    before
        .iter()
        .map(|session| {
            let neighbor = address(session);
            let later = now.get(neighbor);
            let state_before = state(session);
            let state_after = later.map_or("unknown", |session| state(session)).to_string();
            let established_after_unix_ms = later.map_or(0, |session| session.established_unix_ms);
            let facts = run.frozen[rpd].as_ref().filter(|_| switched).map(|reply| &reply.sessions);
            let kernel = run.activated[rpd].as_ref().filter(|_| switched).map(|reply| &reply.sessions);
            let mut report = v1::SessionReport {
                protocol: "bgp".into(),
                neighbor: neighbor.into(),
                state_before: state_before.into(),
                unbroken: state_after == state_before && established_after_unix_ms == session.established_unix_ms,
                state_after,
                established_before_unix_ms: session.established_unix_ms,
                established_after_unix_ms,
                facts: position(facts, neighbor),
                kernel: position(kernel, neighbor),
                longest_silence_ms: gap_ms.map_or(0, |gap| gap.ceil() as u64),
                mode: mode(neighbor),
                ..v1::SessionReport::default()
            };
            restarts::describe(&mut report, later.and_then(|session| session.graceful_restart.as_ref()));
            report
        })
        .collect()
}

fn address(neighbor: &v1::BgpNeighborDetail) -> &str {
    neighbor.summary.as_ref().map_or("", |summary| &summary.address)
}

fn state(neighbor: &v1::BgpNeighborDetail) -> &str {
    neighbor.summary.as_ref().map_or("", |summary| &summary.state)
}

/// Differences of the counters over the run, for interfaces known at both ends.
fn interface_counters(before: &[v1::Interface], after: &[v1::Interface]) -> Vec<v1::InterfaceCounters> {
    let earlier: BTreeMap<&str, &v1::Interface> = before.iter().map(|i| (i.name.as_str(), i)).collect();
    after
        .iter()
        .filter_map(|now| {
            let then = earlier.get(now.name.as_str())?;
            Some(v1::InterfaceCounters {
                name: now.name.clone(),
                rx_packets: now.rx_packets.wrapping_sub(then.rx_packets),
                tx_packets: now.tx_packets.wrapping_sub(then.tx_packets),
                rx_dropped: now.rx_dropped.wrapping_sub(then.rx_dropped),
                tx_dropped: now.tx_dropped.wrapping_sub(then.tx_dropped),
            })
        })
        .collect()
}

/// The machine's verdict, with what a person may wonder about.
fn verdict(end: &End, sessions: &[v1::SessionReport]) -> String {
    let remark = if end.success { restarts::remark(sessions) } else { String::new() };
    format!("{}{remark}", end.verdict)
}

/// The report of a run that has ended.
pub fn report(run: &mut CurrentRun, end: &End) -> v1::RunReport {
    let (started_unix_ms, duration_ms, phases) = run.finish_times();
    let gap_ms = end.gap_ns.map(|gap| gap as f64 / 1e6);
    let (mut session_reports, mut interfaces, mut missing_evidence) = (Vec::new(), Vec::new(), Vec::new());
    let mut fib_routes = 0;
    if let Some((side, after)) = &run.evidence {
        session_reports = sessions(run, *side, after, gap_ms);
        missing_evidence = judge(run, *side, after).1;
        if let (Some(before), Some(after)) =
            (run.baseline.as_ref().and_then(|baseline| baseline.interfaces.as_ref()), &after.interfaces)
        {
            interfaces = interface_counters(before, after);
        }
        fib_routes = after.forwarding.as_ref().map_or(0, |summary| summary.routes_ipv4 + summary.routes_ipv6);
    } else if end.outcome != Outcome::Refused && run.baseline.is_some() {
        missing_evidence.push("sessions and counters after the run".into());
    }
    if matches!(end.outcome, Outcome::Finished | Outcome::Kept) && end.gap_ns.is_none() {
        missing_evidence.push("control-plane gap".into());
    }
    let verified = run.verified[Daemon::Pfed.index()].clone().unwrap_or_default();
    let tables: Vec<v1::TableComparison> = match run.activated.iter().flatten().next() {
        Some(_) => activated_tables(run).cloned().collect(),
        None => run.synchronization.iter().flatten().cloned().collect(),
    };
    let record = run.log.lock();
    v1::RunReport {
        run_id: end.run_id,
        verdict: verdict(end, &session_reports),
        success: end.success,
        reason: end.reason.clone(),
        started_unix_ms,
        duration_ms,
        phases,
        control_plane_gap_ms: gap_ms.unwrap_or_default(),
        control_plane_gap_back_ms: end.gap_back_ns.map_or(0.0, |gap| gap as f64 / 1e6),
        from_slot: run.from.into(),
        to_slot: run.to.into(),
        epoch_before: record.epoch_before,
        epoch_after: end.epoch,
        sessions: session_reports,
        tables,
        fib_routes,
        fib_writes: verified.kernel_writes,
        fib_writes_needless: verified.kernel_writes_needless,
        interfaces,
        missing_evidence,
        checks: record.run.checks.clone(),
        requested_by: run.request.requested_by.clone(),
        message: run.request.message.clone(),
    }
}
