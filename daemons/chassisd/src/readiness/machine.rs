//! The machine: memory and processes for a second routing engine, a CPU with time for it, a kernel with what is needed, a
//! clock that can be believed.

use std::path::Path;
use std::time::Duration;

use holdfast_ipc::unix_ms;
use holdfast_kernel::process::{PidFd, usage};
use holdfast_proto::check::Rule;
use holdfast_proto::v1::Check;

use super::{Snapshot, cgroup, mib, seconds_ahead};

/// Beside what the processes hold: buffers of the replication stream in both directions, and the kernel's own.
const MEMORY_RESERVE: u64 = 64 * 1024 * 1024;
/// How long the CPU is watched.
const CPU_SAMPLE: Duration = Duration::from_millis(120);
/// A run has half of one CPU to do; with less to spare it takes longer, and the gap with it.
const CPU_IDLE_MIN_PERMILLE: u64 = 500;
/// How far the wall clock may have been moved since a process was started.
const CLOCK_STEP_MAX_MS: u64 = 60_000;
/// Threads of a routing engine that has just been started, with room.
const THREADS_RESERVE: u64 = 16;
/// Where control groups are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// All checks on the machine.
pub fn checks(snapshot: &Snapshot) -> Vec<Check> {
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let held = snapshot.primaries().map(|seen| usage(seen.pid).map_or(0, |usage| usage.rss_kib * 1024)).sum::<u64>();
    let threads = snapshot.primaries().map(|seen| threads(seen.pid)).sum::<u64>();
    vec![
        Rule::refuses(
            "memory",
            "Memory",
            format!("{} free: what the routing engine holds, and buffers", mib(held + MEMORY_RESERVE)),
        )
        .remedy("free memory, or raise the limit named")
        .observe(memory(held + MEMORY_RESERVE, &cgroups)),
        Rule::asks("cpu-idle", "CPU idle", "half of one CPU is free")
            .remedy("run when the machine is less busy")
            .observe(cpu()),
        Rule::refuses("process-limit", "Process limit", format!("room for {} threads", threads + THREADS_RESERVE))
            .remedy("raise the limit named")
            .observe(processes(threads + THREADS_RESERVE, &cgroups)),
        Rule::refuses("kernel-features", "Kernel features", "nexthop objects, pidfd, TCP_INFO with byte counters")
            .remedy("run a kernel of 5.3 or later")
            .disturbing()
            .observe(kernel()),
        Rule::asks("clock", "Clock", "the wall clock is later than what was written, and was not moved")
            .remedy("set the clock (chronyc makestep)")
            .observe(clock(snapshot)),
    ]
}

fn memory(needed: u64, cgroups: &str) -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|error| format!("/proc/meminfo: {error}"))?;
    let available = meminfo(&text, "MemAvailable:").ok_or("/proc/meminfo does not say MemAvailable")?;
    let tightest = cgroup::memory(cgroups, Path::new(CGROUP_ROOT)).into_iter().min_by_key(cgroup::Limit::left);
    let (free, place) = match tightest {
        Some(limit) if limit.left() < available => {
            (limit.left(), format!("below the limit of {}", limit.group.display()))
        }
        _ => (available, "of the machine".into()),
    };
    let seen = format!("{} free {place}", mib(free));
    if free >= needed { Ok(seen) } else { Err(seen) }
}

/// A line of /proc/meminfo in bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let kib: u64 = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Idle and total time of all CPUs in ticks, and how many there are.
fn cpu_times(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest times are in user already (proc(5)).
    (ticks.len() >= 5).then(|| (ticks[3] + ticks[4], ticks.iter().take(8).sum()))
}

fn cpu() -> Result<String, String> {
    let read = || std::fs::read_to_string("/proc/stat").map_err(|error| format!("/proc/stat: {error}"));
    let unknown = || "/proc/stat has an unknown form".to_string();
    let before = cpu_times(&read()?).ok_or_else(unknown)?;
    std::thread::sleep(CPU_SAMPLE);
    let text = read()?;
    let after = cpu_times(&text).ok_or_else(unknown)?;
    let cpus = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count().max(1) as u64;
    idle((after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)), cpus)
}

fn idle((idle, total): (u64, u64), cpus: u64) -> Result<String, String> {
    let permille = (idle * 1000).checked_div(total).unwrap_or(0);
    let seen = format!("{} % of {cpus} CPUs idle over {} ms", permille / 10, CPU_SAMPLE.as_millis());
    if permille * cpus >= CPU_IDLE_MIN_PERMILLE { Ok(seen) } else { Err(seen) }
}

fn threads(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok()).unwrap_or(0)
}

fn processes(needed: u64, cgroups: &str) -> Result<String, String> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let loadavg = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let running: u64 = loadavg
        .split_whitespace()
        .nth(3)
        .and_then(|field| field.split('/').nth(1))
        .and_then(|total| total.parse().ok())
        .ok_or("/proc/loadavg has an unknown form")?;
    let of_kernel = |name: &str| {
        let path = format!("/proc/sys/kernel/{name}");
        let most = number(&path)?;
        Some((most.saturating_sub(running), path))
    };
    let groups = cgroup::pids(cgroups, Path::new(CGROUP_ROOT));
    let limits = groups.into_iter().map(|limit| (limit.left(), limit.group.join("pids.max").display().to_string()));
    let tightest = limits.chain(of_kernel("threads-max")).chain(of_kernel("pid_max")).min();
    let (left, place) = tightest.ok_or("the kernel does not say its limits")?;
    let seen = format!("{left} left of {place}");
    if left >= needed { Ok(seen) } else { Err(seen) }
}

fn kernel() -> Result<String, String> {
    let mut missing = Vec::new();
    if !Path::new("/proc/sys/net/ipv4/nexthop_compat_mode").exists() {
        missing.push("nexthop objects (/proc/sys/net/ipv4/nexthop_compat_mode is not there)".to_string());
    }
    if let Err(error) = PidFd::open(std::process::id()) {
        missing.push(format!("pidfd_open: {error}"));
    }
    if let Err(error) = holdfast_kernel::tcp::probe() {
        missing.push(format!("TCP_INFO: {error}"));
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match missing.is_empty() {
        true => Ok(format!("Linux {}", release.trim())),
        false => Err(format!("Linux {} lacks {}", release.trim(), missing.join(", "))),
    }
}

/// Runs, alarms and reports are dated by it, and `at` waits for it.
fn clock(snapshot: &Snapshot) -> Result<String, String> {
    let program = std::fs::metadata("/proc/self/exe").and_then(|file| file.modified()).ok();
    let program = program.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let dated = [
        ("the program chassisd", program.map_or(0, |time| time.as_millis() as u64)),
        ("the end of the last run", snapshot.last_run_ended_unix_ms),
        ("the start of chassisd", snapshot.started_unix_ms),
    ];
    for (what, unix_ms) in dated {
        if let Some(seconds) = seconds_ahead(unix_ms) {
            return Err(format!("{what} is dated {seconds} s in the future"));
        }
    }
    for seen in snapshot.primaries() {
        let (then, instant) = seen.started;
        let (by_wall, by_machine) = (unix_ms().saturating_sub(then), instant.elapsed().as_millis() as u64);
        let step = by_wall.abs_diff(by_machine);
        if step > CLOCK_STEP_MAX_MS {
            return Err(format!("it was moved by {} s since {} was started", step / 1000, seen.name()));
        }
    }
    Ok("later than everything dated, steady since the start".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_proc_are_read() {
        assert_eq!(meminfo("MemTotal: 9 kB\nMemAvailable:   1024 kB\n", "MemAvailable:"), Some(1024 * 1024));
        assert_eq!(meminfo("MemTotal: 9 kB\n", "MemAvailable:"), None);
        assert_eq!(cpu_times("cpu  10 0 5 80 5 0 0 0 99 0\ncpu0 1 1\n"), Some((85, 100)));
        assert_eq!(cpu_times("cpu  10\n"), None);
        assert!(threads(std::process::id()) >= 1);
    }

    #[test]
    fn half_a_cpu_is_enough_however_many_there_are() {
        assert!(idle((50, 100), 1).is_ok());
        assert!(idle((25, 100), 2).is_ok());
        assert!(idle((24, 100), 2).is_err());
        assert!(idle((0, 0), 2).is_err(), "a clock that stands still proves nothing");
    }

    #[test]
    fn what_this_machine_has_is_found() {
        assert!(kernel().is_ok(), "{:?}", kernel());
        assert!(memory(1, "").is_ok());
        assert!(memory(u64::MAX, "").unwrap_err().contains("of the machine"));
        assert!(processes(1, "").is_ok());
        assert!(processes(u64::MAX, "").is_err());
    }
}
