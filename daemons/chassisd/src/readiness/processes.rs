//! Processes: all there, all answering, one primary; nobody left of an earlier run.

use holdfast_issu::Daemon;
use holdfast_kernel::process::is_stopped;
use holdfast_proto::check::Rule;
use holdfast_proto::v1::{Check, DaemonStatus, Role};

use super::{Seen, Snapshot, named};

/// A process and what it said.
type Said = (Seen, Result<DaemonStatus, String>);

/// All checks on processes.
pub fn checks(snapshot: &Snapshot, statuses: &[Said]) -> Vec<Check> {
    vec![
        Rule::refuses("processes-running", "Processes running", "mgd, rpd and pfed run and are not stopped")
            .remedy("a moment later: they are restarted; show system processes")
            .observe(running(snapshot)),
        Rule::refuses("processes-answering", "Processes answering", "every process answers, now and to the watchdog")
            .remedy("show system processes; restart the one that hangs")
            .observe(answering(statuses)),
        Rule::refuses("one-primary", "One primary", "every process is primary in the chassis's epoch")
            .remedy("restart the one that differs")
            .observe(one_primary(snapshot, statuses)),
        Rule::refuses("no-left-over-process", "No process left over", "no process of the other routing engine runs")
            .remedy("kill the processes named")
            .observe(left_over(snapshot)),
    ]
}

fn running(snapshot: &Snapshot) -> Result<String, String> {
    let mut wrong = Vec::new();
    for daemon in Daemon::ALL {
        match snapshot.primary(daemon) {
            Some(seen) if seen.pid != 0 => {
                if is_stopped(seen.pid).unwrap_or(false) {
                    wrong.push(format!("{} is stopped (SIGSTOP)", seen.name()));
                }
            }
            _ => wrong.push(format!("{}/{daemon} does not run", snapshot.master)),
        }
    }
    if wrong.is_empty() { Ok(format!("all of {} run", snapshot.master)) } else { Err(wrong.join(", ")) }
}

fn answering(statuses: &[Said]) -> Result<String, String> {
    let wrong: Vec<String> = statuses
        .iter()
        .filter_map(|(seen, status)| match status {
            Err(error) => Some(format!("{}: {error}", seen.name())),
            Ok(_) if seen.misses > 0 => Some(format!("{} missed {} questions", seen.name(), seen.misses)),
            Ok(_) => None,
        })
        .collect();
    if wrong.is_empty() { Ok(format!("{} processes answer", statuses.len())) } else { Err(wrong.join(", ")) }
}

fn one_primary(snapshot: &Snapshot, statuses: &[Said]) -> Result<String, String> {
    let wrong: Vec<String> = statuses
        .iter()
        .filter_map(|(seen, status)| status.as_ref().ok().map(|status| (seen, status)))
        .filter(|(_, status)| status.role() != Role::Primary || status.epoch > snapshot.epoch)
        .map(|(seen, status)| format!("{} is {} in epoch {}", seen.name(), status.role().as_str_name(), status.epoch))
        .collect();
    match wrong.is_empty() {
        true => Ok(format!("{} is primary, epoch {}", snapshot.master, snapshot.epoch)),
        false => Err(format!("{}; the chassis is in epoch {}", wrong.join(", "), snapshot.epoch)),
    }
}

/// Of the table, and beyond it: processes of this run-dir that are not in the table at all.
fn left_over(snapshot: &Snapshot) -> Result<String, String> {
    let of_other_slot = |seen: &&Seen| seen.slot != snapshot.master && seen.pid != 0;
    let mut left: Vec<String> = snapshot
        .processes
        .iter()
        .filter(of_other_slot)
        .map(|seen| format!("{} (pid {})", seen.name(), seen.pid))
        .collect();
    let known = |pid: u32| snapshot.processes.iter().any(|seen| seen.pid == pid);
    let run_dir = snapshot.run_dir.path().display().to_string();
    for (pid, words) in command_lines() {
        if let Some((slot, name)) = daemon_of(&words, &run_dir)
            && !known(pid)
        {
            left.push(format!("{slot}/{name} (pid {pid}), which chassisd does not know"));
        }
    }
    if left.is_empty() { Ok("none".into()) } else { Err(named(&left)) }
}

fn command_lines() -> Vec<(u32, Vec<String>)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        Some((pid, words))
    })
    .collect()
}

/// Slot and name of a daemon by its command line: `.../rpd --slot re1 --run-dir DIR ...`.
fn daemon_of(words: &[String], run_dir: &str) -> Option<(String, String)> {
    let name = words.first()?.rsplit('/').next()?;
    Daemon::from_name(name)?;
    let value = |option: &str| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1).cloned()
    };
    (value("--run-dir")? == run_dir).then_some(())?;
    Some((value("--slot")?, name.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_daemons_of_this_run_dir_are_ours() {
        let words = |line: &str| line.split(' ').map(String::from).collect::<Vec<_>>();
        let found = daemon_of(&words("/opt/rpd --slot re1 --run-dir /run/a --epoch 3"), "/run/a");
        assert_eq!(found, Some(("re1".into(), "rpd".into())));
        for other in
            ["/opt/rpd --slot re1 --run-dir /run/b", "/bin/vi --run-dir /run/a --slot re1", "rpd --run-dir", ""]
        {
            assert_eq!(daemon_of(&words(other), "/run/a"), None, "{other}");
        }
    }
}
