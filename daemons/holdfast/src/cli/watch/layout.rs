//! What stands where, for a terminal of any size. Pure: a view and a size in, lines out.

use holdfast_proto::v1::RunState;

use super::{
    columns::{beside, cards, neighbors, phases, short, tables},
    span::{Line, Style, cut, line, span, wrapped},
};

/// From this width on tables and cards have a column of their own.
const WIDE_COLUMNS: usize = 140;
/// Below this width the parts stand one below the other.
const NARROW_COLUMNS: usize = 70;
/// The column of the phases.
const PHASES_COLUMNS: usize = 42;
/// The bar of the progress.
const BAR_COLUMNS: usize = 24;

/// Everything that is known.
#[derive(Debug, Clone)]
pub struct View {
    /// The run.
    pub run_id: u64,
    /// As chassisd told it last.
    pub state: Option<RunState>,
    /// The last lines of its log.
    pub log: Vec<String>,
}

impl View {
    /// Nothing is known yet.
    pub fn new(run_id: u64) -> Self {
        Self { run_id, state: None, log: Vec::new() }
    }
}

/// The view while the run goes on: exactly as many lines as the terminal has, or fewer.
pub fn live(view: &View, columns: usize, rows: usize) -> Vec<Line> {
    let Some(run) = &view.state else {
        return vec![line(format!("Run {}: asking chassisd", view.run_id), Style::Faint)];
    };
    let footer = line("q or Ctrl-C leaves, the run goes on", Style::Faint);
    let mut lines = heading(run);
    lines.push(Vec::new());
    lines.extend(body(run, columns));
    let room = rows.saturating_sub(lines.len() + 1);
    if room > 1 {
        let from = view.log.len().saturating_sub(room - 1);
        lines.push(line("Log", Style::Title));
        lines.extend(view.log[from..].iter().map(|text| log_line(text)));
    }
    lines.truncate(rows.saturating_sub(1));
    lines.push(footer);
    lines.into_iter().map(|line| cut(line, columns)).collect()
}

/// What stays on the screen when the run has ended.
pub fn last(view: &View, columns: usize) -> Vec<Line> {
    // Nobody scrolls sideways: what a line of the log says at the end of a run is broken, not cut.
    let whole = |text: &String| wrapped(&format!("  {text}"), columns, log_style(text));
    let Some(run) = &view.state else { return view.log.iter().flat_map(whole).collect() };
    let mut lines = heading(run);
    lines.push(Vec::new());
    lines.extend(body(run, columns));
    lines.push(Vec::new());
    let mut lines: Vec<Line> = lines.into_iter().map(|line| cut(line, columns)).collect();
    // From the end of the procedure on: gap, losses, reason, verdict.
    let from = view.log.iter().rposition(|text| text.ends_with(": IDLE")).map_or(0, |idle| idle + 1);
    lines.extend(view.log[from..].iter().flat_map(whole));
    lines
}

fn log_line(text: &str) -> Line {
    line(format!("  {text}"), log_style(text))
}

fn log_style(text: &str) -> Style {
    match text {
        _ if text.contains("error: ") || text.starts_with("Lost : ") => Style::Bad,
        _ if text.starts_with("warning: ") => Style::Busy,
        _ => Style::Plain,
    }
}

fn heading(run: &RunState) -> Vec<Line> {
    let kind = if run.dry_run { "Rehearsal" } else { "In-service reboot" };
    let mut first = vec![
        span(format!("{kind}, run {}", run.run_id), Style::Title),
        span(format!("   {} -> {}   ", run.from_slot, run.to_slot), Style::Plain),
    ];
    match (run.ended, run.success) {
        (true, true) => first.push(span(&run.verdict, Style::Good)),
        (true, false) => first.push(span(&run.verdict, Style::Bad)),
        (false, _) => {
            if run.step > 0 && run.steps > 0 {
                first.push(span(format!("step {} of {}   ", run.step, run.steps), Style::Plain));
            }
            first.push(span(&run.state, Style::Busy));
        }
    }
    let mut second = vec![span(format!("Time spent {}", short(run.elapsed_ms)), Style::Plain)];
    if let Some(forecast) = run.forecast.as_ref().filter(|forecast| forecast.duration_ms > 0) {
        let expected = short(forecast.duration_ms);
        second.push(span(format!(" of {expected} expected   "), Style::Plain));
        // A run that was refused or taken back stays where it stopped.
        let permille = if run.ended && run.success { 1000 } else { progress_permille(run) };
        let full = BAR_COLUMNS * permille as usize / 1000;
        second.push(span("#".repeat(full), Style::Good));
        second.push(span(".".repeat(BAR_COLUMNS - full), Style::Faint));
        second.push(span(format!(" {} %", permille / 10), Style::Plain));
    }
    let mut lines = vec![first, second];
    lines.extend(confirmation(run));
    lines
}

/// How long the operator still has to say that he is content.
fn confirmation(run: &RunState) -> Option<Line> {
    let now_unix_ms = run.started_unix_ms + run.elapsed_ms;
    let left_s = run.confirm_until_unix_ms.checked_sub(now_unix_ms)? / 1000;
    let left = format!("Confirm within {} m {:02} s: ", left_s / 60, left_s % 60);
    (!run.ended && left_s > 0)
        .then(|| vec![span(left, Style::Busy), span("request system reboot in-service confirm", Style::Plain)])
}

/// By what was expected of the phases gone through; within a phase by time, but not beyond its end.
fn progress_permille(run: &RunState) -> u64 {
    let Some(forecast) = run.forecast.as_ref().filter(|forecast| forecast.duration_ms > 0) else { return 0 };
    let last = run.phases.len().saturating_sub(1);
    let done: u64 = run
        .phases
        .iter()
        .enumerate()
        .map(|(index, phase)| match index == last {
            true => phase.duration_ms.min(phase.forecast_ms),
            false => phase.forecast_ms,
        })
        .sum();
    (done * 1000 / forecast.duration_ms).min(999)
}

fn body(run: &RunState, columns: usize) -> Vec<Line> {
    if columns < NARROW_COLUMNS {
        let mut lines = phases(run, columns);
        lines.extend(neighbors(run, 4));
        lines.extend(tables(run, 2));
        lines.extend(cards(run, columns));
        return lines;
    }
    let left = phases(run, PHASES_COLUMNS);
    let rows = left.len();
    let right_columns = columns - PHASES_COLUMNS - 1;
    if columns < WIDE_COLUMNS {
        let cards = cards(run, right_columns);
        let tables = tables(run, 3);
        let mut right = neighbors(run, rows.saturating_sub(cards.len() + tables.len() + 2).max(2));
        right.push(Vec::new());
        right.extend(tables);
        right.push(Vec::new());
        right.extend(cards);
        return beside(vec![(left, PHASES_COLUMNS + 1), (right, right_columns)]);
    }
    let middle_columns = right_columns / 2;
    let mut right = tables(run, rows.saturating_sub(4).max(2));
    right.push(Vec::new());
    right.extend(cards(run, right_columns - middle_columns));
    let middle = neighbors(run, rows.max(3));
    beside(vec![(left, PHASES_COLUMNS + 1), (middle, middle_columns), (right, right_columns - middle_columns)])
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::{
        Forecast, FruStatus, PhaseForecast, PhaseTime, SessionReadiness, SwitchoverMode, TableComparison,
    };

    use super::{super::span::width, *};

    const PHASES: [&str; 12] = [
        "validating",
        "preparing-backup",
        "synchronizing",
        "preparing-daemons",
        "daemons-ready",
        "fru-warm-booting",
        "fru-warm-booted",
        "preparing-switchover",
        "ready-for-switchover",
        "switching",
        "verifying",
        "shutting-down-old",
    ];

    fn view(entered: usize) -> View {
        let expected = |name: &&str| PhaseForecast { name: (*name).into(), duration_ms: 100, measured: true };
        let phase =
            |name: &&str| PhaseTime { name: (*name).into(), duration_ms: 90, forecast_ms: 100, ..Default::default() };
        let session = |index: u32| SessionReadiness {
            protocol: "bgp".into(),
            neighbor: format!("10.0.{index}.2"),
            mode: SwitchoverMode::Nsr.into(),
            ready: index != 7,
            reason: if index == 7 { "in the middle of its handshake".into() } else { String::new() },
            ..Default::default()
        };
        let table = |index: u32| TableComparison {
            table: format!("bgp/10.0.{index}.2/ipv4-unicast/received"),
            equal: index > 5,
            ..Default::default()
        };
        let state = RunState {
            run_id: 12,
            state: PHASES[entered - 1].into(),
            step: entered as u32,
            steps: 12,
            elapsed_ms: 1_234,
            phases: PHASES.iter().take(entered).map(phase).collect(),
            forecast: Some(Forecast {
                duration_ms: 1_200,
                phases: PHASES.iter().map(expected).collect(),
                ..Default::default()
            }),
            readiness: (0..20).map(session).collect(),
            tables: (0..30).map(table).collect(),
            frus: vec![FruStatus {
                item: "FPC 0".into(),
                status: "Warm Booting (ISSU)".into(),
                reason: "pfed of re1 reads the kernel's table".into(),
            }],
            from_slot: "re0".into(),
            to_slot: "re1".into(),
            ..Default::default()
        };
        let log = (0..40).map(|index| format!("[Feb 22 02:37:{index:02}]:ISSU: line {index}")).collect();
        View { run_id: 12, state: Some(state), log }
    }

    fn text(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|span| span.text.as_str()).collect::<String>()).collect()
    }

    #[test]
    fn nothing_is_wider_or_longer_than_the_terminal() {
        for (columns, rows) in [(80, 24), (200, 50), (40, 24), (80, 8), (1, 1), (132, 43), (10, 3)] {
            for entered in [1, 6, 12] {
                let lines = live(&view(entered), columns, rows);
                assert!(lines.len() <= rows, "{columns}x{rows}: {} lines", lines.len());
                assert!(lines.iter().all(|line| width(line) <= columns), "{columns}x{rows}");
            }
        }
    }

    #[test]
    fn at_80_by_24_everything_that_matters_is_there() {
        let lines = text(&live(&view(6), 80, 24));
        let all = lines.join("\n");
        for part in [
            "In-service reboot, run 12   re0 -> re1   step 6 of 12   fru-warm-booting",
            "Time spent 1234 ms of 1200 ms expected   ###########............. 49 %",
            "> fru-warm-booting        90 ms    100 ms",
            "+ synchronizing ",
            "  shutting-down-old           -    100 ms",
            "Readiness  19 of 20 neighbors",
            "10.0.7.2        NSR  not ready",
            "Digests  24 of 30 tables equal",
            "FPC 0   Warm Booting (ISSU)",
            "line 39",
            "q or Ctrl-C leaves",
        ] {
            assert!(all.contains(part), "{part:?} is not in\n{all}");
        }
        assert_eq!(lines.len(), 24);
    }

    #[test]
    fn at_200_columns_reasons_and_tables_have_room() {
        let all = text(&live(&view(6), 200, 50)).join("\n");
        assert!(all.contains("not ready in the middle of its handshake "), "{all}");
        assert!(all.contains("bgp/10.0.5.2/ipv4-unicast/received differs"), "{all}");
        assert!(all.contains("Warm Booting (ISSU)  pfed of re1 reads the kernel's table"), "{all}");
    }

    #[test]
    fn the_last_picture_shows_the_verdict_and_no_expectations() {
        let mut view = view(5);
        let state = view.state.as_mut().unwrap();
        state.phases.push(PhaseTime { name: "aborting".into(), duration_ms: 30, ..Default::default() });
        (state.ended, state.verdict) = (true, "undone, nothing lost".into());
        view.log.push("[Feb 22 02:37:50]:ISSU: IDLE".into());
        view.log.push("Verdict : undone, nothing lost".into());
        let all = text(&last(&view, 80)).join("\n");
        assert!(all.contains("! aborting") && all.contains("Verdict : undone"), "{all}");
        assert!(!all.contains("switching") && !all.contains("line 39") && !all.contains("leaves"), "{all}");
        assert!(all.contains("! daemons-ready"), "where it stopped: {all}");
        assert!(!all.contains("100 %"), "it did not come to its end: {all}");
        assert!(text(&live(&View::new(3), 80, 24))[0].contains("Run 3"));
    }

    #[test]
    fn the_last_picture_cuts_no_reason() {
        let mut view = view(1);
        let state = view.state.as_mut().unwrap();
        (state.ended, state.verdict) = (true, "refused, nothing changed".into());
        view.log = vec![format!("error: Sessions settled: {} in their handshake", "10.0.0.1 and ".repeat(12))];
        let lines = text(&last(&view, 80));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines.concat().contains("in their handshake"), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("! validating")), "{lines:?}");
    }

    #[test]
    fn a_rehearsal_that_comes_to_its_end_has_not_failed() {
        let mut view = view(9);
        let state = view.state.as_mut().unwrap();
        state.dry_run = true;
        state.phases.push(PhaseTime { name: "aborting".into(), duration_ms: 30, ..Default::default() });
        assert!(text(&live(&view, 80, 24)).join("\n").contains("> aborting"));
        let state = view.state.as_mut().unwrap();
        (state.ended, state.success, state.verdict) = (true, true, "rehearsed, nothing lost".into());
        let all = text(&last(&view, 80)).join("\n");
        assert!(all.contains("+ aborting") && all.contains("100 %") && !all.contains('!'), "{all}");
    }

    #[test]
    fn the_time_left_to_confirm_is_counted_down() {
        let mut view = view(11);
        let state = view.state.as_mut().unwrap();
        (state.started_unix_ms, state.elapsed_ms, state.confirm_until_unix_ms) = (1_000, 5_000, 131_000);
        let all = text(&live(&view, 80, 24)).join("\n");
        assert!(all.contains("Confirm within 2 m 05 s: request system reboot in-service confirm"), "{all}");
        view.state.as_mut().unwrap().ended = true;
        assert!(!text(&last(&view, 80)).join("\n").contains("Confirm within"));
    }
}
