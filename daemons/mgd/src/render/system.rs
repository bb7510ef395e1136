//! Processes, versions, times.

use holdfast_proto::v1::{Alarm, ProcessState};

use super::{
    bgp::{sessions, tables},
    chassis::role,
    table::Table,
    time::{ago, clock, short},
};
use crate::commands::{Switchover, Uptime, Version};

/// `show system processes`
pub fn processes(processes: &[ProcessState]) -> String {
    let contained = processes.iter().any(|process| !process.container.is_empty());
    let mut titles =
        vec!["Name", "Slot", ">PID", "Role", "State", ">Restarts", ">RSS MiB", ">CPU", ">Files", "Last exit"];
    if contained {
        titles.insert(titles.len() - 1, "Container");
    }
    let mut table = Table::new(&titles);
    for process in processes {
        let mut row = vec![
            process.name.clone(),
            process.slot.clone(),
            process.pid.to_string(),
            role(process.role()).into(),
            process.state.clone(),
            process.restarts.to_string(),
            format!("{:.1}", process.rss_kib as f64 / 1024.0),
            short(process.cpu_ms),
            process.descriptors.to_string(),
            process.last_exit.clone(),
        ];
        if contained {
            row.insert(row.len() - 1, process.container.clone());
        }
        table.row(row);
    }
    table.print()
}

/// `show system uptime`
pub fn uptime(uptime: &Uptime) -> String {
    let since = |unix_ms: u64| format!("{} ({})", clock(unix_ms), ago(uptime.current_unix_ms.saturating_sub(unix_ms)));
    let mut out = format!(
        "Current time:      {}\nRouter started:    {}\n",
        clock(uptime.current_unix_ms),
        since(uptime.router_started_unix_ms)
    );
    if uptime.configured_unix_ms > 0 {
        out.push_str(&format!("Last configured:   {} by {}\n", since(uptime.configured_unix_ms), uptime.configured_by));
    }
    for process in &uptime.processes {
        let name = format!("{}:", placed(&process.name, &process.slot));
        out.push_str(&format!("{name:<18} {}\n", since(process.started_unix_ms)));
    }
    out
}

/// `show version`
pub fn version(version: &Version) -> String {
    let mut out = String::new();
    if !version.host_name.is_empty() {
        out.push_str(&format!("Hostname: {}\n", version.host_name));
    }
    out.push_str(&format!("Holdfast: {}\n", version.version));
    for process in &version.processes {
        out.push_str(&format!("  {}: {}\n", placed(&process.name, &process.slot), process.version));
    }
    out
}

/// `show system alarms`
pub fn alarms(alarms: &[Alarm]) -> String {
    match alarms.len() {
        0 => "No alarms currently active\n".to_owned(),
        count => format!(
            "{count} alarms currently active\nAlarm time               Description\n{}",
            alarms.iter().map(|alarm| format!("{}  {}\n", clock(alarm.raised_unix_ms), alarm.text)).collect::<String>()
        ),
    }
}

/// `show system switchover`
pub fn switchover(view: &Switchover) -> String {
    let on = |value: bool| if value { "On" } else { "Off" };
    let backup = if view.backup_present { "Present" } else { "Not running (it is started for an in-service reboot)" };
    let ready = if view.ready { "Ready" } else { "Not ready" };
    let mut out = format!(
        "Graceful switchover: {}\nNonstop routing: {}\nMaster: {}\nBackup routing engine: {backup}\nIn-service state: {}\n",
        on(view.graceful_switchover),
        on(view.nonstop_routing),
        view.master_slot,
        view.state,
    );
    if view.backup_present {
        out.push_str(&format!("Switchover status: {ready}\n"));
    }
    if !view.tables.is_empty() {
        out.push_str(&tables(&view.tables));
    }
    if !view.sessions.is_empty() {
        out.push_str(&sessions(&view.sessions));
    }
    out
}

/// A process by its name and, where it belongs to one, its slot.
fn placed(name: &str, slot: &str) -> String {
    if slot.is_empty() { name.to_owned() } else { format!("{name} of {slot}") }
}
