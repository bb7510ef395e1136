//! What an earlier chassisd of this router left running when it was killed: found by pid and start time, and ended.

use std::time::Duration;

use holdfast_kernel::process::{PidFd, start_time_ticks};

use crate::limits;
use crate::store::KnownProcess;

/// Ends each that still runs: SIGTERM (retire: routes and addresses stay), then SIGKILL. Returns what was done.
pub fn end(known: &[KnownProcess]) -> Vec<String> {
    let found: Vec<(&KnownProcess, PidFd)> =
        known.iter().filter_map(|process| Some((process, find(process)?))).collect();
    for (_, handle) in &found {
        let _ = handle.signal(libc::SIGCONT);
        let _ = handle.signal(libc::SIGTERM);
    }
    found.into_iter().map(|(process, handle)| finish(process, &handle)).collect()
}

/// The process, if the pid is still its own.
fn find(process: &KnownProcess) -> Option<PidFd> {
    let handle = PidFd::open(process.pid).ok()?;
    let same = start_time_ticks(process.pid).ok()? == process.start_time_ticks;
    let alive = !handle.wait(Some(Duration::ZERO)).unwrap_or(true);
    (same && alive).then_some(handle)
}

fn finish(process: &KnownProcess, handle: &PidFd) -> String {
    let name = format!("{}/{} (pid {}), left by an earlier chassisd", process.slot, process.name, process.pid);
    if handle.wait(Some(limits::RETIRE_GRACE)).unwrap_or(false) {
        return format!("{name}, was ended");
    }
    let _ = handle.signal(libc::SIGKILL);
    if handle.wait(Some(limits::EXIT_DEADLINE)).unwrap_or(false) {
        format!("{name}, did not end when asked and was killed")
    } else {
        format!("{name}, cannot be killed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_process_is_ended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let start_time_ticks = start_time_ticks(pid).unwrap();
        let known = |start_time_ticks| KnownProcess { slot: "re0".into(), name: "rpd".into(), pid, start_time_ticks };
        assert!(end(&[known(start_time_ticks + 1)]).is_empty(), "another process with the same pid");
        assert!(child.try_wait().unwrap().is_none());
        let told = end(&[known(start_time_ticks)]);
        assert!(told.len() == 1 && told[0].contains("was ended"), "{told:?}");
        child.wait().unwrap();
    }
}
