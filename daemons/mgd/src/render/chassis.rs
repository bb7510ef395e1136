//! Routing engines and in-service runs.

use holdfast_proto::v1::{ChassisState, Check, CheckReadinessReply, ContainerState, ListRunsReply, Role, RunState};

use super::{
    bgp::{sessions, tables},
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

/// Checks in the founding document's layout, with what mends those that failed.
pub fn checks(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.title.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for check in checks {
        out.push_str(&format!("{:<width$} : {}\n", check.title, check.value));
        if !check.passed && check.id != "ready" {
            out.push_str(&format!("    observed: {}\n    required: {}\n", check.observed, check.required));
            if !check.remedy.is_empty() {
                let disturbs = if check.remedy_disturbs_traffic { " (disturbs traffic)" } else { "" };
                out.push_str(&format!("    remedy:   {}{disturbs}\n", check.remedy));
            }
        }
    }
    out
}

/// `show chassis in-service-upgrade readiness`
pub fn readiness(reply: &CheckReadinessReply) -> String {
    format!("PRE ISSR CHECK:\n---------------\n{}", checks(&reply.checks))
}

/// `show chassis in-service-upgrade`
pub fn run(run: &RunState) -> String {
    if run.run_id == 0 {
        return "No in-service reboot has been requested yet\n".to_owned();
    }
    let mut out = format!("Run {}: {}", run.run_id, run.state);
    if run.ended {
        out.push_str(&format!(", ended: {}", run.verdict));
    } else if run.steps > 0 {
        out.push_str(&format!(", step {} of {}", run.step, run.steps));
    }
    out.push_str(&format!("\nStarted: {}    Elapsed: {}\n", clock(run.started_unix_ms), short(run.elapsed_ms)));
    if !run.phases.is_empty() {
        out.push_str(&phases(&run.phases));
    }
    let failed: Vec<Check> = run.checks.iter().filter(|check| !check.passed).cloned().collect();
    if !failed.is_empty() {
        out.push_str("Checks that failed:\n");
        out.push_str(&checks(&failed));
    }
    if !run.readiness.is_empty() {
        out.push_str(&sessions(&run.readiness));
    }
    if !run.tables.is_empty() {
        out.push_str(&tables(&run.tables));
    }
    out
}

/// Phases with their durations.
pub fn phases(phases: &[holdfast_proto::v1::PhaseTime]) -> String {
    let mut table = Table::new(&["Phase", ">Duration"]);
    for phase in phases {
        table.row(vec![phase.name.clone(), short(phase.duration_ms)]);
    }
    table.print()
}

/// `show chassis in-service-upgrade history`
pub fn history(runs: &ListRunsReply) -> String {
    if runs.runs.is_empty() {
        return "No in-service reboot has been requested yet\n".to_owned();
    }
    let mut table = Table::new(&[">Run", "Started", ">Duration", "Verdict"]);
    for run in &runs.runs {
        table.row(vec![
            run.run_id.to_string(),
            clock(run.started_unix_ms),
            short(run.duration_ms),
            run.verdict.clone(),
        ]);
    }
    table.print()
}
