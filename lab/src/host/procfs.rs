//! What /proc says about processes: memory, processor time, descriptors, namespace.

use super::containers;
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// What one process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Resident memory.
    pub rss_mib: f64,
    /// User and system time since its start.
    pub cpu_s: f64,
    /// Open descriptors.
    pub descriptors: u32,
}

/// Clock ticks per second: fixed at 100 in every Linux ABI that Rust supports.
const TICKS_PER_S: f64 = 100.0;

fn file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The fields of /proc/PID/stat after the command's name (which may hold blanks and brackets).
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(file(pid, "stat")).ok()?;
    let rest = text.get(text.rfind(')')? + 2..)?;
    Some(rest.split(' ').map(str::to_owned).collect())
}

/// Usage now, or nothing if the process is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(file(pid, "status")).ok()?;
    let rss_kib: f64 =
        status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").trim().parse().ok()?;
    let stat = stat_fields(pid)?;
    let ticks: f64 = stat.get(11)?.parse::<f64>().ok()? + stat.get(12)?.parse::<f64>().ok()?;
    let descriptors = fs::read_dir(file(pid, "fd")).ok()?.count();
    Some(Usage {
        rss_mib: rss_kib / 1024.0,
        cpu_s: ticks / TICKS_PER_S,
        descriptors: u32::try_from(descriptors).unwrap_or(u32::MAX),
    })
}

/// What one process used in all its life: with its children that have ended, and the most memory that was ever resident.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LifeUsage {
    /// User and system time, its own and that of children it has waited for.
    pub cpu_s: f64,
    /// VmHWM.
    pub peak_mib: f64,
}

/// That, with the program's name; nothing if the process is gone.
pub fn life_usage(pid: u32) -> Option<(String, LifeUsage)> {
    let status = fs::read_to_string(file(pid, "status")).ok()?;
    let value = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
    let peak_kib: f64 = value("VmHWM:")?.trim_end_matches(" kB").trim().parse().ok()?;
    let stat = stat_fields(pid)?;
    // utime, stime, cutime, cstime
    let ticks: f64 = stat.get(11..15)?.iter().map(|ticks| ticks.parse().unwrap_or(0.0)).sum();
    Some((value("Name:")?.to_owned(), LifeUsage { cpu_s: ticks / TICKS_PER_S, peak_mib: peak_kib / 1024.0 }))
}

/// What a process has of writable memory of its own: what RLIMIT_DATA limits.
pub fn data_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(file(pid, "status")).ok()?;
    let kib: u64 =
        status.lines().find_map(|l| l.strip_prefix("VmData:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// When a process started, in clock ticks since boot: with the id it names a process for ever.
pub fn start_ticks(pid: u32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// Whether it runs (a zombie does not).
pub fn alive(pid: u32) -> bool {
    stat_fields(pid).and_then(|f| f.first().cloned()).is_some_and(|state| state != "Z" && state != "X")
}

/// Whether there is such a process, or what of one has not been waited for yet.
pub fn exists(pid: u32) -> bool {
    file(pid, "stat").exists()
}

/// Whether it stands still: stopped by a signal, or frozen with its container.
pub fn is_stopped(pid: u32) -> bool {
    stat_fields(pid).and_then(|f| f.first().cloned()).is_some_and(|state| state == "T") || containers::is_frozen(pid)
}

/// Whether somebody is connected to the stream of facts that the process serves: seen from its network namespace, where there is
/// one such stream at a time.
pub fn is_followed(pid: u32) -> bool {
    const CONNECTED: &str = "03";
    let Ok(table) = fs::read_to_string(file(pid, "net/unix")) else { return false };
    // Num RefCount Protocol Flags Type St Inode Path
    let connected = |line: &str| line.split_whitespace().nth(5) == Some(CONNECTED);
    table.lines().any(|line| line.ends_with("/replication.sock") && connected(line))
}

/// Every process id of this machine.
pub fn all_pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// The inode of the process's network namespace.
pub fn network_namespace(pid: u32) -> Option<u64> {
    fs::metadata(file(pid, "ns/net")).ok().map(|m| m.ino())
}

/// The command line, arguments separated by blanks.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(file(pid, "cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim().to_owned()
}

/// Packets that this machine's processors dropped because their backlog was full: then a loss is the machine's.
pub fn backlog_drops() -> u64 {
    let Ok(text) = fs::read_to_string("/proc/net/softnet_stat") else { return 0 };
    text.lines().filter_map(|l| u64::from_str_radix(l.split_whitespace().nth(1)?, 16).ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_itself() {
        let me = std::process::id();
        let usage = usage(me).unwrap();
        assert!(usage.rss_mib > 0.5 && usage.descriptors >= 3, "{usage:?}");
        let (_, life) = life_usage(me).unwrap();
        assert!(life.peak_mib + 0.1 >= usage.rss_mib && life.cpu_s >= usage.cpu_s, "{life:?} {usage:?}");
        assert!(alive(me) && start_ticks(me).unwrap() > 0);
        assert_eq!(network_namespace(me), Some(fs::metadata("/proc/self/ns/net").unwrap().ino()));
        assert!(all_pids().contains(&me));
        assert!(!alive(u32::MAX / 2));
    }
}
