//! The result for a person: a table that says at a glance what was lost, and where each figure comes from.

use std::fmt::Write as _;

use crate::{
    fault_table, gateway,
    result::{AS_DECLARED, LabResult, Measured, NOTHING_LOST, PeerResult, WITHIN_LIMITS},
    scenario::gaps::SizeGaps,
};

/// Colours, where there is a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether to use them.
    pub colours: bool,
}

impl Style {
    pub(crate) fn paint(self, text: &str, code: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Green where it is as it must be, red where not.
    pub(crate) fn judge(self, text: &str, good: bool) -> String {
        self.paint(text, if good { "32" } else { "1;31" })
    }
}

/// One row: what, how much, whether that is good, who says so.
struct Row {
    what: String,
    figure: String,
    good: Option<bool>,
    source: &'static str,
}

impl Row {
    fn zero(what: impl Into<String>, count: u64, source: &'static str) -> Self {
        Self { what: what.into(), figure: thousands(count), good: Some(count == 0), source }
    }

    fn info(what: impl Into<String>, figure: String, source: &'static str) -> Self {
        Self { what: what.into(), figure, good: None, source }
    }
}

/// The whole text.
pub fn render(result: &LabResult, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n{}   router: {}", style.paint(&result.scenario, "1"), result.subject);
    let faults = result.runs.iter().any(|run| run.cell.is_some());
    let gateways = result.total.interruption.is_some();
    if faults {
        fault_table::render(&mut out, result, style);
    } else if gateways {
        gateway::table::render(&mut out, result, style);
    } else {
        table(&mut out, &rows(&result.total), style);
    }
    if result.runs.len() > 1 && !faults && !gateways {
        runs_table(&mut out, &result.runs, style);
    }
    sizes(&mut out, &result.sizes);
    peers(&mut out, result, style);
    phases(&mut out, &result.total);
    processes(&mut out, &result.total);
    baseline(&mut out, result);
    for skipped in &result.total.skipped {
        let _ = writeln!(out, "  skipped: {skipped}");
    }
    let (good, sentence) = match result.total.verdict.as_str() {
        NOTHING_LOST => (true, "NOTHING WAS LOST"),
        WITHIN_LIMITS => (true, "NO MORE WAS LOST THAN MAY BE"),
        AS_DECLARED => (true, "EVERY FAULT ENDED AS DECLARED"),
        lost => (false, lost),
    };
    let _ = writeln!(out, "\n{}", style.judge(&format!("verdict: {sentence}"), good));
    out
}

/// Ours beside the others, each in a lab of its own made alike.
fn peers(out: &mut String, result: &LabResult, style: Style) {
    if result.peers.is_empty() {
        return;
    }
    let ours = PeerResult::of(result);
    let _ = writeln!(
        out,
        "\n  {:<34}{:>14}{:>14}{:>12}{:>16}{:>8}",
        "the same restart with", "control plane", "packets lost", "pause", "kernel writes", "flaps"
    );
    let _ = writeln!(out, "  {:<34}{:>14}", "", "away");
    for (index, peer) in std::iter::once(&ours).chain(&result.peers).enumerate() {
        let away = format!("{:.0} ms", peer.gap.propagation_max_ms);
        let shorter = index == 0 || peer.gap.propagation_max_ms > ours.gap.propagation_max_ms;
        let _ = writeln!(
            out,
            "  {:<34}{}{:>14}{:>12}{:>16}{:>8}",
            peer.subject,
            style.judge(&format!("{away:>14}"), shorter),
            thousands(peer.lost),
            format!("{:.0} ms", peer.longest_gap_ms),
            thousands(peer.kernel_writes),
            peer.flaps,
        );
    }
    let _ = writeln!(out, "  away: the longest that a change of a route took from one neighbour to the other");
}

fn rows(m: &Measured) -> Vec<Row> {
    let sum = |get: fn(&crate::traffic::flow::FlowReport) -> u64| m.traffic.iter().map(get).sum::<u64>();
    let gap = m.traffic.iter().map(|f| f.longest_gap_ms).fold(0.0, f64::max);
    let receivers = "sequence numbers at the receivers";
    let mut rows = vec![
        Row::info("packets sent", thousands(sum(|f| f.sent)), "the senders"),
        Row::info("packets received", thousands(sum(|f| f.received)), receivers),
        Row::zero("packets lost", sum(|f| f.lost), receivers),
        Row::zero("packets duplicated", sum(|f| f.duplicated), receivers),
        Row::info("longest pause in a flow", format!("{gap:.1} ms"), receivers),
    ];
    for s in &m.sessions {
        let who = format!("{} {}", s.implementation, s.version);
        if s.has_bfd {
            rows.push(Row::zero(format!("BFD failures, {who}"), s.bfd_flaps, "that neighbour's own log or counter"));
        }
        if s.restarts_gracefully() {
            let figure = format!("{} of {} planned", s.flaps, s.restarts);
            rows.push(Row {
                what: format!("restarts of the session, {who}"),
                figure,
                good: Some(s.flaps <= s.restarts),
                source: "that neighbour's own log",
            });
            continue;
        }
        rows.push(Row::zero(format!("session flaps, {who}"), s.flaps, "that neighbour's own log"));
        rows.push(Row::zero(
            format!("SYN, RST, FIN, {who}"),
            s.syns_on_wire + s.resets_on_wire + s.fins_on_wire,
            "packet capture",
        ));
        rows.push(Row::zero(
            format!("OPEN, NOTIFICATION, {who}"),
            s.opens_on_wire + s.notifications_on_wire,
            "packet capture",
        ));
        rows.push(Row::zero(
            format!("missing or surplus bytes, {who}"),
            s.stream_faults.len() as u64 + s.repeated_updates,
            "streams put together again",
        ));
        rows.push(Row::info(
            format!("longest silence towards {who}"),
            format!("{:.0} ms", s.longest_silence_ms),
            "packet capture (hold time 9 s)",
        ));
    }
    rows.push(Row::info("routes in the kernel", thousands(m.fib.routes), "the kernel"));
    rows.push(Row::zero("needless kernel writes", m.fib.writes_during_switchover, "the kernel's notifications"));
    rows.extend(m.tables.iter().map(|table| {
        let what = format!("of {} routes told to {}, wrong", thousands(table.routes as u64), table.name);
        Row::zero(what, table.difference.count() as u64, "a router that never rebooted, fed the same")
    }));
    rows.push(Row::info(
        "slowest route change, end to end",
        format!("{:.1} ms", m.gap.propagation_max_ms),
        "beacons, neighbour to neighbour",
    ));
    if let Some(ms) = m.gap.control_plane_ms {
        let median = m.gap.median_ms.map(|median| format!("median {median:.1}, worst ")).unwrap_or_default();
        rows.push(Row::info("control-plane gap", format!("{median}{ms:.1} ms"), "the router's report"));
    }
    rows.push(Row::info("the router took", format!("{:.1} s", m.seconds), "from the request to its end"));
    rows
}

fn table(out: &mut String, rows: &[Row], style: Style) {
    let width = |get: fn(&Row) -> &str| rows.iter().map(|r| get(r).chars().count()).max().unwrap_or(0);
    let (what, figure) = (width(|r| &r.what), width(|r| &r.figure));
    for row in rows {
        let number = format!("{:>figure$}", row.figure);
        let (number, sign) = match row.good {
            Some(true) => (style.judge(&number, true), style.judge("ok", true)),
            Some(false) => (style.judge(&number, false), style.judge("NO", false)),
            None => (number, "  ".into()),
        };
        let _ = writeln!(out, "  {:<what$}  {number}  {sign}  {}", row.what, style.paint(row.source, "90"));
    }
}

fn runs_table(out: &mut String, runs: &[Measured], style: Style) {
    let _ = writeln!(
        out,
        "\n  {:<48} {:>7} {:>6} {:>6} {:>8} {:>9} {:>7}",
        "run", "took s", "lost", "flaps", "gap ms", "beacon ms", "writes"
    );
    for run in runs {
        let gap = run.gap.control_plane_ms.map_or_else(|| "-".into(), |g| format!("{g:.1}"));
        let flaps: u64 = run.sessions.iter().map(|s| s.flaps).sum();
        let line = format!(
            "  {:<48} {:>7.1} {:>6} {:>6} {:>8} {:>9.1} {:>7}",
            run.name,
            run.seconds,
            run.lost(),
            flaps,
            gap,
            run.gap.propagation_max_ms,
            run.fib.writes_during_switchover
        );
        let good = run.verdict == NOTHING_LOST;
        let _ = writeln!(
            out,
            "{}{}",
            style.judge(&line, good),
            if good { String::new() } else { format!("\n      {}", run.verdict) }
        );
    }
}

fn sizes(out: &mut String, sizes: &[SizeGaps]) {
    if sizes.len() < 2 {
        return;
    }
    let _ = writeln!(out, "\n  {:>12} {:>6} {:>15} {:>14}", "routes", "runs", "median gap, ms", "worst gap, ms");
    for size in sizes {
        let routes = thousands(size.routes);
        let _ = writeln!(out, "  {routes:>12} {:>6} {:>15.1} {:>14.1}", size.runs, size.median_ms, size.worst_ms);
    }
}

fn phases(out: &mut String, m: &Measured) {
    if m.phases.is_empty() {
        return;
    }
    let list: Vec<_> = m.phases.iter().map(|p| format!("{} {:.0}", p.name, p.ms)).collect();
    let _ = writeln!(out, "\n  phases, ms: {}", list.join(", "));
}

fn processes(out: &mut String, m: &Measured) {
    let list: Vec<_> = m
        .rss_mib
        .iter()
        .map(|(name, mib)| format!("{name} {mib:.1} MiB, {:.1} s", m.cpu_s.get(name).copied().unwrap_or(0.0)))
        .collect();
    if !list.is_empty() {
        let _ = writeln!(out, "  memory and processor time: {}", list.join("; "));
    }
}

fn baseline(out: &mut String, result: &LabResult) {
    let list: Vec<_> = result
        .baseline
        .iter()
        .map(|b| format!("{} median {:.1} ms, longest {:.1} ms", b.name, b.delays.median_ms, b.delays.max_ms))
        .collect();
    if !list.is_empty() {
        let _ = writeln!(out, "  route changes before anything was done: {}", list.join("; "));
    }
    if result.machine_backlog_drops > 0 {
        let _ = writeln!(
            out,
            "  note: this machine's processors dropped {} packets in their backlog during the lab",
            result.machine_backlog_drops
        );
    }
}

/// 1234567 as 1,234,567.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
