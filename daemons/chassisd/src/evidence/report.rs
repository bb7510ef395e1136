//! The report of a run that has ended, by whatever way.

use std::collections::BTreeMap;

use holdfast_issu::{Daemon, End, Outcome, State};
use holdfast_proto::v1;

use super::differences::differences;
use super::judge::{activated_tables, judge};
use super::sessions::{sessions, silences};
use crate::forecast::{self, Past};
use crate::journal::Record;
use crate::run::CurrentRun;

/// The report.
pub fn report(run: &mut CurrentRun, end: &End) -> v1::RunReport {
    let (started_unix_ms, duration_ms, phases) = run.finish_times();
    let verified = run.verified[Daemon::Pfed.index()].clone().unwrap_or_default();
    let mut report = v1::RunReport {
        run_id: end.run_id,
        verdict: end.verdict.clone(),
        success: end.success,
        reason: end.reason.clone(),
        started_unix_ms,
        duration_ms,
        phases,
        control_plane_gap_ms: end.gap_ns.map_or(0.0, |gap| gap as f64 / 1e6),
        control_plane_gap_back_ms: end.gap_back_ns.map_or(0.0, |gap| gap as f64 / 1e6),
        from_slot: run.from.into(),
        to_slot: run.to.into(),
        epoch_after: end.epoch,
        tables: tables(run),
        fib_writes: verified.kernel_writes,
        fib_writes_needless: verified.kernel_writes_needless,
        requested_by: run.request.requested_by.clone(),
        message: run.request.message.clone(),
        dry_run: run.request.dry_run,
        sizes: run.baseline.as_ref().map(super::Baseline::sizes),
        ..v1::RunReport::default()
    };
    {
        let record = run.log.lock();
        report.epoch_before = record.epoch_before;
        report.checks.clone_from(&record.run.checks);
        report.forecast.clone_from(&record.run.forecast);
    }
    compare(run, end, &mut report);
    report.differences.extend(run.alarms.iter().map(|alarm| v1::Difference {
        what: "alarm raised by the run".into(),
        before: "none".into(),
        after: alarm.clone(),
        loss: false,
    }));
    if run.request.dry_run && end.outcome == Outcome::Rehearsed {
        rehearsed(run, &mut report);
    }
    report
}

/// Before and after.
fn compare(run: &CurrentRun, end: &End, report: &mut v1::RunReport) {
    let Some((side, after)) = &run.evidence else {
        if end.outcome != Outcome::Refused && run.baseline.is_some() {
            report.missing_evidence.push("sessions and counters after the run".into());
        }
        return;
    };
    report.sessions = sessions(run, *side, after);
    report.silences = silences(&report.sessions);
    let established = |state: fn(&v1::SessionReport) -> &str| {
        report.sessions.iter().filter(|session| state(session).eq_ignore_ascii_case("established")).count() as u32
    };
    (report.sessions_before, report.sessions_after) =
        (established(|s| &s.state_before), established(|s| &s.state_after));
    report.missing_evidence = judge(run, *side, after).1;
    if let Some(before) = &run.baseline {
        report.differences = differences(before, after);
        if let (Some(before), Some(after)) = (&before.interfaces, &after.interfaces) {
            report.interfaces = interface_counters(before, after);
        }
    }
    report.fib_routes = after.forwarding.as_ref().map_or(0, |summary| summary.routes_ipv4 + summary.routes_ipv6);
    if matches!(end.outcome, Outcome::Finished | Outcome::Kept) && end.gap_ns.is_none() {
        report.missing_evidence.push("control-plane gap".into());
    }
}

/// Those of the handoff; before it those of the last synchronization.
fn tables(run: &CurrentRun) -> Vec<v1::TableComparison> {
    match run.activated.iter().flatten().next() {
        Some(_) => activated_tables(run).cloned().collect(),
        None => run.synchronization.iter().flatten().cloned().collect(),
    }
}

/// What a rehearsal leaves open, and what the real run would take after what was learned.
fn rehearsed(run: &CurrentRun, report: &mut v1::RunReport) {
    let entered = |state: State| report.phases.iter().any(|phase| phase.name == state.name());
    let open = State::planned().filter(|state| !entered(*state));
    report.not_rehearsed = open.map(|state| format!("{}: {}", state.name(), only_for_real(state, report))).collect();
    let Some(baseline) = &run.baseline else { return };
    let mut past: Vec<Past> = Past::of(report).into_iter().collect();
    past.extend(baseline.past.iter().cloned());
    report.next_forecast = Some(forecast::predict(&past, baseline.sizes()));
}

/// What happens in a phase that a rehearsal cannot go through without effect.
fn only_for_real(state: State, report: &v1::RunReport) -> String {
    match state {
        State::Switching => format!(
            "the old engine is not frozen, {} sessions and the kernel's table are not handed over",
            report.sessions_before
        ),
        State::Verifying => "no neighbor is asked to acknowledge what the new engine says".into(),
        State::ShuttingDownOld => "the new engine is ended instead of the old one".into(),
        _ => "not reached".into(),
    }
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

/// The report of a run whose chassisd did not live to end it: all that its record knows.
pub fn interrupted(record: &Record, verdict: &str, reason: &str) -> v1::RunReport {
    let run = &record.run;
    v1::RunReport {
        run_id: run.run_id,
        verdict: verdict.into(),
        reason: reason.into(),
        started_unix_ms: run.started_unix_ms,
        duration_ms: run.elapsed_ms,
        phases: run.phases.clone(),
        from_slot: record.from_slot.clone(),
        to_slot: record.to_slot.clone(),
        epoch_before: record.epoch_before,
        checks: run.checks.clone(),
        tables: run.tables.clone(),
        forecast: run.forecast.clone(),
        dry_run: run.dry_run,
        requested_by: run.requested_by.clone(),
        message: run.message.clone(),
        missing_evidence: vec!["everything after chassisd ended".into()],
        ..v1::RunReport::default()
    }
}
