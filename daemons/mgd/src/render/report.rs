//! A run's report: what was lost, from counters.

use holdfast_proto::v1::{RunReport, SessionPosition, SessionReport};

use super::{
    bgp::{mode, tables},
    chassis::{checks, phases},
    table::Table,
    time::{clock, short},
};

/// `show chassis in-service-upgrade report`
pub fn report(report: &RunReport) -> String {
    let mut out = heading(report);
    let mut section = |title: &str, body: String| {
        if !body.is_empty() {
            out.push_str(&format!("\n{title}\n{body}"));
        }
    };
    if !report.phases.is_empty() {
        section("Phases", phases(&report.phases));
    }
    section("Sessions", sessions(&report.sessions));
    section("Bytes at the handoff (replicated facts against the kernel's counters)", bytes(&report.sessions));
    let forwarding = format!(
        "  Routes: {}    Writes: {}    Needless writes: {}\n",
        report.fib_routes, report.fib_writes, report.fib_writes_needless
    );
    section("Kernel forwarding table, from the freeze until the end of verification", forwarding);
    section("Interfaces, over the run", interfaces(report));
    if !report.tables.is_empty() {
        section("Digests at the handoff", tables(&report.tables));
    }
    let failed: Vec<_> = report.checks.iter().filter(|check| !check.passed).cloned().collect();
    section("Checks that failed", checks(&failed));
    section("Missing evidence", report.missing_evidence.iter().map(|missing| format!("  {missing}\n")).collect());
    let verdict = if report.success { "SUCCESS" } else { "FAILED" };
    out.push_str(&format!("\nVerdict: {verdict}: {}\n", report.verdict));
    out
}

fn heading(report: &RunReport) -> String {
    let mut out = format!(
        "In-service reboot, run {}\n  Started: {}    Duration: {}\n",
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
    out.push_str(&format!("  Control-plane gap: {:.3} ms\n", report.control_plane_gap_ms));
    if !report.reason.is_empty() {
        out.push_str(&format!("  Reason: {}\n", report.reason));
    }
    out
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "NO" }.to_owned()
}

fn sessions(sessions: &[SessionReport]) -> String {
    if sessions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["Protocol", "Neighbor", "Mode", "Before", "After", "Unbroken", ">Silence"]);
    for session in sessions {
        table.row(vec![
            session.protocol.clone(),
            session.neighbor.clone(),
            mode(session.mode()).into(),
            session.state_before.clone(),
            session.state_after.clone(),
            yes_no(session.unbroken),
            short(session.longest_silence_ms),
        ]);
    }
    let noted = sessions.iter().filter(|session| !session.note.is_empty());
    noted.fold(table.print(), |out, session| format!("{out}  {}: {}\n", session.neighbor, session.note))
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
