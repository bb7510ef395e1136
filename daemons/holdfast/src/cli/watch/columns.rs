//! The parts of the view: phases, neighbours, tables, cards. Each is a list of lines for a column of a given width.

use holdfast_proto::v1::{RunState, SessionReadiness, SwitchoverMode, TableComparison};

use super::span::{Line, Style, line, pad, span};

/// Milliseconds below ten seconds, seconds above.
pub fn short(ms: u64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1000.0) }
}

/// States in which what was expected does not come any more.
fn is_undone(state: &str) -> bool {
    matches!(state, "aborting" | "rolling-back")
}

/// A rehearsal that came to its end takes everything back as planned: that is no failure.
fn is_rehearsed(run: &RunState) -> bool {
    let complete = run.phases.iter().any(|phase| phase.name == "ready-for-switchover");
    run.dry_run && complete && (!run.ended || run.success)
}

/// The phase that did not come to its end: the one before the way back, or the last of a run that was refused.
fn stopped_in(run: &RunState) -> Option<usize> {
    let back = run.phases.iter().position(|phase| is_undone(&phase.name));
    match back {
        _ if is_rehearsed(run) => None,
        Some(back) => back.checked_sub(1),
        None => (run.ended && run.verdict.starts_with("refused")).then(|| run.phases.len().saturating_sub(1)),
    }
}

/// Phases gone through, the one under way, and those to come, each beside what was expected of it.
pub fn phases(run: &RunState, columns: usize) -> Vec<Line> {
    let name_columns = columns.saturating_sub(22);
    let row = |mark: &str, name: &str, spent: String, expected: String, style: Style| {
        let name: String = name.chars().take(name_columns).collect();
        vec![
            span(format!("{mark} {name:<name_columns$}"), style),
            span(format!("{spent:>9} "), if style == Style::Faint { Style::Faint } else { Style::Plain }),
            span(format!("{expected:>9} "), Style::Faint),
        ]
    };
    let mut lines = vec![row(" ", "Phase", "Spent".into(), "Forecast".into(), Style::Title)];
    let expected = |ms: u64| if ms > 0 { short(ms) } else { "-".to_owned() };
    let last = run.phases.len().saturating_sub(1);
    let (rehearsed, stopped) = (is_rehearsed(run), stopped_in(run));
    for (index, phase) in run.phases.iter().enumerate() {
        let failed = stopped == Some(index) || is_undone(&phase.name) && !rehearsed;
        let (mark, style) = match (failed, index == last && !run.ended) {
            (true, _) => ("!", Style::Bad),
            (false, true) => (">", Style::Busy),
            (false, false) => ("+", Style::Good),
        };
        lines.push(row(mark, &phase.name, short(phase.duration_ms), expected(phase.forecast_ms), style));
    }
    let entered = |name: &str| run.phases.iter().any(|phase| phase.name == name);
    if !run.ended && !run.phases.iter().any(|phase| is_undone(&phase.name)) {
        let forecast = run.forecast.iter().flat_map(|forecast| &forecast.phases);
        for phase in forecast.into_iter().filter(|phase| !entered(&phase.name)) {
            lines.push(row(" ", &phase.name, "-".into(), expected(phase.duration_ms), Style::Faint));
        }
    }
    lines
}

/// Whether each protocol, and each neighbour of it, is ready.
pub fn neighbors(run: &RunState, rows: usize) -> Vec<Line> {
    let (sessions, protocols): (Vec<&SessionReadiness>, Vec<_>) =
        run.readiness.iter().partition(|session| !session.neighbor.is_empty());
    let ready = |sessions: &[&SessionReadiness]| sessions.iter().filter(|session| session.ready).count();
    let mut title = vec![span("Readiness  ", Style::Title)];
    if run.readiness.is_empty() {
        title.push(span("not asked yet", Style::Faint));
        return vec![title];
    }
    title.push(span(
        format!("{} of {} neighbors", ready(&sessions), sessions.len()),
        if ready(&sessions) == sessions.len() { Style::Good } else { Style::Busy },
    ));
    let mut lines = vec![title];
    if !protocols.is_empty() {
        let mut own = vec![span(" ", Style::Plain)];
        for protocol in &protocols {
            let (word, style) = if protocol.ready { ("ready", Style::Good) } else { ("not ready", Style::Bad) };
            own.push(span(format!(" {} ", protocol.protocol), Style::Plain));
            own.push(span(word, style));
        }
        lines.push(own);
    }
    // Those that hold the run up are seen first.
    let mut sorted = sessions.clone();
    sorted.sort_by_key(|session| session.ready);
    let room = rows.saturating_sub(lines.len());
    let shown = if sorted.len() > room { room.saturating_sub(1) } else { sorted.len() };
    lines.extend(sorted.iter().take(shown).map(|session| neighbor(session)));
    if shown < sorted.len() {
        lines.push(line(format!("  and {} more", sorted.len() - shown), Style::Faint));
    }
    lines
}

fn neighbor(session: &SessionReadiness) -> Line {
    let road = match session.mode() {
        SwitchoverMode::Nsr => "NSR",
        SwitchoverMode::Gr => "GR",
        SwitchoverMode::Lost => "lost",
        SwitchoverMode::Down | SwitchoverMode::Unspecified => "-",
    };
    let (word, style) = match (session.ready, session.mode()) {
        (false, _) => ("not ready", Style::Bad),
        (true, SwitchoverMode::Down) => ("down", Style::Faint),
        (true, SwitchoverMode::Lost) => ("lost", Style::Bad),
        (true, _) => ("ready", Style::Good),
    };
    let mut parts = vec![
        span(format!("  {} {:<15} {road:<4} ", session.protocol, session.neighbor), Style::Plain),
        span(word, style),
    ];
    if !session.reason.is_empty() {
        parts.push(span(format!(" {}", session.reason), Style::Faint));
    }
    parts
}

/// How many tables are equal, and those that are not.
pub fn tables(run: &RunState, rows: usize) -> Vec<Line> {
    let differing: Vec<&TableComparison> = run.tables.iter().filter(|table| !table.equal).collect();
    let equal = run.tables.len() - differing.len();
    let mut title = vec![span("Digests  ", Style::Title)];
    if run.tables.is_empty() {
        title.push(span("none compared yet", Style::Faint));
        return vec![title];
    }
    let style = if differing.is_empty() { Style::Good } else { Style::Busy };
    title.push(span(format!("{equal} of {} tables equal", run.tables.len()), style));
    let mut lines = vec![title];
    let room = rows.saturating_sub(1);
    let shown = if differing.len() > room { room.saturating_sub(1) } else { differing.len() };
    lines.extend(differing.iter().take(shown).map(|table| line(format!("  {} differs", table.table), Style::Busy)));
    if shown < differing.len() {
        lines.push(line(format!("  and {} more", differing.len() - shown), Style::Faint));
    }
    lines
}

/// The status table of the founding document.
pub fn cards(run: &RunState, columns: usize) -> Vec<Line> {
    let mut lines = vec![line(format!("{:<8}{:<21}Reason", "Item", "Status"), Style::Title)];
    for card in &run.frus {
        let style = if card.status.contains("Online") { Style::Good } else { Style::Busy };
        let status = format!("{:<21}", card.status);
        let head = vec![span(format!("{:<8}", card.item), Style::Plain), span(status, style)];
        // In a narrow column the reason stands below.
        if columns < 60 && !card.reason.is_empty() {
            lines.push(head);
            lines.push(line(format!("  {}", card.reason), Style::Faint));
        } else {
            lines.push([head, vec![span(&card.reason, Style::Faint)]].concat());
        }
    }
    lines
}

/// Columns side by side, as long as the longest.
pub fn beside(parts: Vec<(Vec<Line>, usize)>) -> Vec<Line> {
    let rows = parts.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
    (0..rows)
        .map(|row| {
            let cell =
                |(lines, columns): &(Vec<Line>, usize)| pad(lines.get(row).cloned().unwrap_or_default(), *columns);
            parts.iter().flat_map(cell).collect()
        })
        .collect()
}
