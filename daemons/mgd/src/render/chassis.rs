//! Routing engines and in-service runs.

use holdfast_proto::v1::{ChassisState, Check, ContainerState, ListRunsReply, PhaseTime, Role, RunState};

use super::{
    bgp::{sessions, tables},
    readiness::{checks, titled},
    table::Table,
    time::{clock, short, span},
};

/// A role in one word.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "Primary",
        Role::Backup => "Backup",
        Role::Frozen => "Frozen",
        Role::Activated => "Activated",
        Role::Unspecified => "-",
    }
}

/// `show chassis routing-engine`
pub fn routing_engine(chassis: &ChassisState) -> String {
    let by = if chassis.runtime_version.is_empty() { String::new() } else { format!(" ({})", chassis.runtime_version) };
    let mut out = format!(
        "In-service state: {}    Epoch: {}    Runtime: {}{by}\n",
        chassis.state, chassis.epoch, chassis.runtime
    );
    for (index, slot) in ["re0", "re1"].into_iter().enumerate() {
        let processes: Vec<_> = chassis.processes.iter().filter(|process| process.slot == slot).collect();
        out.push_str(&format!("Slot {index} ({slot}):\n"));
        let master = chassis.master_slot == slot;
        let state = match (processes.is_empty(), master) {
            (true, _) => "Empty",
            (false, true) => "Master",
            (false, false) => "Backup",
        };
        out.push_str(&format!("  Current state: {state}\n"));
        if let Some(started) = processes.iter().map(|process| process.started_unix_ms).min() {
            let rss: u64 = processes.iter().map(|process| process.rss_kib).sum();
            let cpu: u64 = processes.iter().map(|process| process.cpu_ms).sum();
            out.push_str(&format!(
                "  Start time: {}\n  Uptime: {}\n  Memory: {} MiB    CPU: {}\n",
                clock(started),
                span(holdfast_ipc::unix_ms().saturating_sub(started)),
                rss / 1024,
                short(cpu),
            ));
        }
        chassis
            .containers
            .iter()
            .filter(|container| container.slot == slot)
            .for_each(|c| out.push_str(&self::container(c)));
    }
    out
}

/// One container: what it may use and uses, and where it stands.
fn container(container: &ContainerState) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let cpu_limit = match container.cpu_limit_percent {
        0 => String::new(),
        percent => format!(" (limit {percent}%)"),
    };
    let frozen = if container.frozen { "    frozen" } else { "" };
    let kills = match container.oom_kills {
        0 => String::new(),
        kills => format!("    memory limit reached: {kills} times"),
    };
    format!(
        "  Container {}{frozen}\n    Image: {}\n    Memory: {} of {} MiB    CPU: {}{cpu_limit}{kills}\n",
        container.id,
        container.image,
        mib(container.memory_bytes),
        mib(container.memory_limit_bytes),
        short(container.cpu_ms),
    )
}

/// `show chassis in-service-upgrade`
pub fn run(run: &RunState, columns: usize) -> String {
    if run.run_id == 0 {
        return "No in-service reboot has been requested yet\n".to_owned();
    }
    let kind = if run.dry_run { "Rehearsal" } else { "Run" };
    let mut out = format!("{kind} {}: {}", run.run_id, run.state);
    if run.ended {
        out.push_str(&format!(", ended: {}", run.verdict));
    } else if run.steps > 0 {
        out.push_str(&format!(", step {} of {}", run.step, run.steps));
    }
    let expected = run.forecast.as_ref().map_or_else(String::new, |forecast| {
        format!("    Forecast: {}, gap {:.1} ms", short(forecast.duration_ms), forecast.control_plane_gap_ms)
    });
    out.push_str(&format!(
        "\nStarted: {}    Elapsed: {}{expected}\n",
        clock(run.started_unix_ms),
        short(run.elapsed_ms)
    ));
    out.extend(confirmation(run));
    if !run.phases.is_empty() {
        out.push_str(&phases(&run.phases));
    }
    let failed: Vec<Check> = run.checks.iter().filter(|check| !check.passed).cloned().collect();
    if !failed.is_empty() {
        out.push_str("Checks that did not pass:\n");
        out.push_str(&checks(&failed, columns));
    }
    if !run.readiness.is_empty() {
        out.push_str(&sessions(&run.readiness));
    }
    if !run.tables.is_empty() {
        let equal = run.tables.iter().filter(|table| table.equal).count();
        out.push_str(&format!("{equal} of {} tables equal\n", run.tables.len()));
        out.push_str(&tables(&run.tables));
    }
    if !run.frus.is_empty() {
        let mut cards = Table::new(&["Item", "Status", "Reason"]);
        for card in &run.frus {
            cards.row(vec![card.item.clone(), card.status.clone(), card.reason.clone()]);
        }
        out.push_str(&cards.print());
    }
    out
}

/// How long the operator still has to say that he is content.
fn confirmation(run: &RunState) -> Option<String> {
    let now_unix_ms = run.started_unix_ms + run.elapsed_ms;
    let left_s = run.confirm_until_unix_ms.checked_sub(now_unix_ms)? / 1000;
    let (minutes, seconds) = (left_s / 60, left_s % 60);
    let left = format!("Confirm within {minutes} m {seconds:02} s: request system reboot in-service confirm\n");
    (!run.ended && left_s > 0).then_some(left)
}

/// Phases with their durations, beside what was expected of them.
pub fn phases(phases: &[PhaseTime]) -> String {
    let mut table = Table::new(&["Phase", ">Duration", ">Forecast"]);
    for phase in phases {
        let forecast = if phase.forecast_ms > 0 { short(phase.forecast_ms) } else { "-".to_owned() };
        table.row(vec![phase.name.clone(), short(phase.duration_ms), forecast]);
    }
    table.print()
}

/// `show chassis in-service-upgrade history`
pub fn history(runs: &ListRunsReply, columns: usize) -> String {
    if runs.runs.is_empty() {
        return "No in-service reboot has been requested yet\n".to_owned();
    }
    let mut table = Table::new(&[">Run", "Started", ">Duration", ">Forecast", ">Gap", "Verdict"]);
    for run in &runs.runs {
        let forecast = if run.forecast_ms > 0 { short(run.forecast_ms) } else { "-".to_owned() };
        let gap =
            if run.control_plane_gap_ms > 0.0 { format!("{:.1} ms", run.control_plane_gap_ms) } else { "-".to_owned() };
        table.row(vec![
            run.run_id.to_string(),
            clock(run.started_unix_ms),
            short(run.duration_ms),
            forecast,
            gap,
            run.verdict.clone(),
        ]);
    }
    let text = table.print();
    let mut lines = text.lines();
    let mut out = lines.next().map_or_else(String::new, |heading| format!("{heading}\n"));
    // A reason is a sentence: beside the columns it would have no room at 80.
    for (run, line) in runs.runs.iter().zip(lines) {
        out.push_str(&format!("{line}\n"));
        if !run.reason.is_empty() {
            out.push_str(&titled("reason:", &run.reason, columns));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::RunSummary;

    use super::*;

    #[test]
    fn a_reason_in_the_history_stands_below_its_run() {
        let summary = |run_id: u64, verdict: &str, reason: String| RunSummary {
            run_id,
            verdict: verdict.into(),
            reason,
            ..Default::default()
        };
        let long = "re1/rpd: activation was not confirmed within 2 s; ".repeat(3);
        let runs = vec![
            summary(2, "undone, nothing lost", long.trim_end().to_owned()),
            summary(1, "nothing lost", String::new()),
        ];
        let text = history(&ListRunsReply { runs }, 80);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            lines[1].ends_with("undone, nothing lost") && lines[2].starts_with("    reason:   re1/rpd: "),
            "{text}"
        );
        assert!(lines.last().is_some_and(|line| line.ends_with("  nothing lost")), "{text}");
    }

    #[test]
    fn the_time_left_to_confirm_is_told_while_it_is_waited_for() {
        let soaking = RunState {
            run_id: 4,
            state: "soaking".into(),
            started_unix_ms: 1_000,
            elapsed_ms: 5_000,
            confirm_until_unix_ms: 131_000,
            ..Default::default()
        };
        let expected = "Confirm within 2 m 05 s: request system reboot in-service confirm\n";
        assert!(run(&soaking, 0).contains(expected));
        assert!(!run(&RunState { ended: true, ..soaking.clone() }, 0).contains("Confirm"));
        assert!(!run(&RunState { confirm_until_unix_ms: 0, ..soaking }, 0).contains("Confirm"));
    }
}
