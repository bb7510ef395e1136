//! A run's report: what was lost, from counters.

use holdfast_proto::v1::{Check, Difference, RunReport, SessionPosition, SessionReport, TableComparison, TableDigest};

use super::{
    bgp::mode,
    chassis::phases,
    readiness::{checks, forecast, titled},
    table::{Table, wrap},
    time::{clock, moment, short},
};

/// `show chassis in-service-upgrade report`
pub fn report(report: &RunReport, columns: usize) -> String {
    let mut out = heading(report, columns);
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            out.push_str(&format!("\n{title}\n{body}"));
        }
    };
    if !report.phases.is_empty() {
        section("Phases", phases(&report.phases));
    }
    section("Not rehearsed", report.not_rehearsed.iter().map(|open| format!("  {open}\n")).collect());
    section("Forecast of the real run", report.next_forecast.as_ref().map(forecast).unwrap_or_default());
    section(&sessions_title(report), sessions(&report.sessions, columns));
    section("Longest silence", silences(report));
    section("Bytes at the handoff (replicated facts against the kernel's counters)", bytes(&report.sessions));
    section("Kernel forwarding table, from the freeze until the end of verification", forwarding(report));
    section("Interfaces, over the run", interfaces(report));
    if !report.tables.is_empty() {
        section(&tables_title(report), digests(&report.tables));
    }
    section("What differs, before and after", differences(&report.differences, columns));
    let of_severity = |warning: bool| -> Vec<Check> {
        report.checks.iter().filter(|check| !check.passed && check.warning == warning).cloned().collect()
    };
    section("Checks that failed", checks(&of_severity(false), columns));
    section("Checks that warned", checks(&of_severity(true), columns));
    section("Missing evidence", report.missing_evidence.iter().map(|missing| format!("  {missing}\n")).collect());
    let verdict = if report.success { "SUCCESS" } else { "FAILED" };
    out.push_str(&format!("\nVerdict: {verdict}: {}\n", report.verdict));
    out
}

fn heading(report: &RunReport, columns: usize) -> String {
    let kind = if report.dry_run { "Rehearsal of an in-service reboot" } else { "In-service reboot" };
    let mut out = format!(
        "{kind}, run {}\n  Started: {}    Duration: {}\n",
        report.run_id,
        clock(report.started_unix_ms),
        short(report.duration_ms),
    );
    if !report.requested_by.is_empty() {
        out.push_str(&format!("  Requested by: {}\n", report.requested_by));
    }
    if !report.message.is_empty() {
        out.push_str(&format!("  Message: {}\n", report.message));
    }
    out.push_str(&format!(
        "  Routing engine: {} -> {}    Epoch: {} -> {}\n",
        report.from_slot, report.to_slot, report.epoch_before, report.epoch_after,
    ));
    out.push_str(&gap(report));
    if !report.reason.is_empty() {
        let reason = format!("Reason: {}", report.reason);
        out.push_str(&format!("  {}\n", wrap(&reason, columns.saturating_sub(6)).join("\n      ")));
    }
    out
}

/// The gap, where there was one, beside what was expected.
fn gap(report: &RunReport) -> String {
    if report.control_plane_gap_ms <= 0.0 {
        return "  Control-plane gap: none, nothing was switched\n".to_owned();
    }
    let expected = report.forecast.as_ref().map_or_else(String::new, |forecast| {
        format!(
            " (forecast {:.1} ms, at most {:.0} ms)",
            forecast.control_plane_gap_ms, forecast.control_plane_gap_max_ms
        )
    });
    let back = if report.control_plane_gap_back_ms > 0.0 {
        format!("  Control-plane gap on the way back: {:.3} ms\n", report.control_plane_gap_back_ms)
    } else {
        String::new()
    };
    format!("  Control-plane gap: {:.3} ms{expected}\n{back}", report.control_plane_gap_ms)
}

fn sessions_title(report: &RunReport) -> String {
    format!("Sessions: {} established before, {} after", report.sessions_before, report.sessions_after)
}

fn tables_title(report: &RunReport) -> String {
    let equal = report.tables.iter().filter(|table| table.equal).count();
    let when = if report.control_plane_gap_ms > 0.0 { "at the handoff" } else { "at the last comparison" };
    format!("Digests {when}: {equal} of {} tables equal", report.tables.len())
}

/// Of each protocol, from the kernel's time stamps: what a hold timer saw.
fn silences(report: &RunReport) -> String {
    let line = |silence: &holdfast_proto::v1::ProtocolSilence| {
        let tolerated = match silence.tolerated_ms {
            0 => "for ever".to_owned(),
            ms => short(ms),
        };
        format!(
            "  {}: {} towards {}, which tolerates {tolerated}\n",
            silence.protocol,
            short(silence.longest_ms),
            silence.neighbor
        )
    };
    report.silences.iter().map(line).collect()
}

fn forwarding(report: &RunReport) -> String {
    if report.control_plane_gap_ms <= 0.0 && report.fib_routes == 0 {
        return String::new();
    }
    format!(
        "  Routes: {}    Writes: {}    Needless writes: {}\n",
        report.fib_routes, report.fib_writes, report.fib_writes_needless
    )
}

fn differences(differences: &[Difference], columns: usize) -> String {
    let told = |value: &str| if value.is_empty() { "-".to_owned() } else { value.to_owned() };
    let one = |difference: &Difference| {
        let lost = if difference.loss { " (LOST)" } else { "" };
        let (before, after) = (told(&difference.before), told(&difference.after));
        let sides = titled("before:", &before, columns) + &titled("after:", &after, columns);
        format!("  {}{lost}\n{sides}", difference.what)
    };
    differences.iter().map(one).collect()
}

/// The old engine's digests, and the new one's where they are not the same.
fn digests(tables: &[TableComparison]) -> String {
    let digest = |side: &Option<TableDigest>| {
        side.as_ref().map_or_else(|| "-".to_owned(), |digest| format!("{:016x}", digest.digest))
    };
    let mut table = Table::new(&["Table", ">Entries", "Digest", "Equal"]);
    for comparison in tables {
        let entries = comparison.primary.as_ref().or(comparison.backup.as_ref()).map_or(0, |digest| digest.entries);
        let (old, new) = (digest(&comparison.primary), digest(&comparison.backup));
        let shown = if comparison.equal && comparison.backup.is_some() { new } else { format!("{old} / {new}") };
        table.row(vec![comparison.table.clone(), entries.to_string(), shown, yes_no(comparison.equal)]);
    }
    table.print()
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "NO" }.to_owned()
}

fn sessions(sessions: &[SessionReport], columns: usize) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["Proto", "Neighbor", "Road", "State", "Unbroken", "Up since", ">Silent", ">Heard"]);
    let measured = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), short);
    for session in sessions {
        let state = if session.state_before == session.state_after {
            session.state_after.clone()
        } else {
            format!("{} -> {}", session.state_before, session.state_after)
        };
        table.row(vec![
            session.protocol.clone(),
            session.neighbor.clone(),
            mode(session.mode()).into(),
            state,
            yes_no(session.unbroken),
            moment(session.established_after_unix_ms),
            measured(session.silence_out_ms),
            measured(session.silence_in_ms),
        ]);
    }
    let explained = "Silent: longest without a byte of ours. Heard: longest without one of the neighbor's.\n";
    let noted = sessions.iter().filter(|session| !session.note.is_empty());
    let notes: String = noted.map(|session| format!("  {}: {}\n", session.neighbor, session.note)).collect();
    format!("{}{}{notes}", table.print(), wrap(explained, columns).join("\n"))
}

fn bytes(sessions: &[SessionReport]) -> String {
    let known: Vec<_> = sessions.iter().filter(|session| session.facts.is_some() || session.kernel.is_some()).collect();
    if known.is_empty() {
        return String::new();
    }
    let count = |position: &Option<SessionPosition>, of: fn(&SessionPosition) -> u64| {
        position.as_ref().map_or_else(|| "-".to_owned(), |position| of(position).to_string())
    };
    let mut table = Table::new(&["Neighbor", ">In facts", ">In kernel", ">Out facts", ">Out kernel", "Equal"]);
    for session in known {
        let equal = match (&session.facts, &session.kernel) {
            (Some(facts), Some(kernel)) => {
                facts.bytes_consumed == kernel.bytes_consumed && facts.bytes_written == kernel.bytes_written
            }
            _ => false,
        };
        table.row(vec![
            session.neighbor.clone(),
            count(&session.facts, |position| position.bytes_consumed),
            count(&session.kernel, |position| position.bytes_consumed),
            count(&session.facts, |position| position.bytes_written),
            count(&session.kernel, |position| position.bytes_written),
            yes_no(equal),
        ]);
    }
    table.print()
}

fn interfaces(report: &RunReport) -> String {
    if report.interfaces.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["Interface", ">Packets in", ">Packets out", ">Dropped in", ">Dropped out"]);
    for interface in &report.interfaces {
        let counters = [interface.rx_packets, interface.tx_packets, interface.rx_dropped, interface.tx_dropped];
        let mut row = vec![interface.name.clone()];
        row.extend(counters.iter().map(ToString::to_string));
        table.row(row);
    }
    table.print()
}
