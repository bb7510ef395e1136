//! Daemons whose chassisd was killed: they go on routing, but nobody restarts, replaces or stops them. `holdfast stop` ends
//! them as chassisd would have.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use holdfast_ipc::RunDir;
use holdfast_kernel::cgroup;
use holdfast_kernel::process::PidFd;
use holdfast_proto::v1::TerminateRequest;
use holdfast_proto::v1::daemon_client::DaemonClient;
use holdfast_proto::v1::terminate_request::Mode;
use nix::fcntl::{Flock, FlockArg};

/// For a daemon to end when asked; with a flush a million routes take some four seconds.
const END_DEADLINE: Duration = Duration::from_secs(30);
/// After SIGKILL only the kernel's own clean-up is waited for.
const KILL_DEADLINE: Duration = Duration::from_secs(5);
/// Sessions are ended first, forwarding last; what watches the neighbours after their sessions.
const ORDER: [&str; 4] = ["rpd", "mgd", "pfed", PPMD];
/// It serves the router whichever slot is primary, and ends when it is told to by a signal.
const PPMD: &str = "ppmd";

/// A daemon without chassisd.
struct Orphan {
    slot: &'static str,
    name: &'static str,
    process: PidFd,
}

/// Ends the daemons of a run-dir whose chassisd is gone; returns what was ended.
pub async fn end(run_dir: &RunDir, flush: bool) -> anyhow::Result<Vec<String>> {
    let absolute = RunDir::new(std::path::absolute(run_dir.path())?);
    let prefix = absolute.container_prefix();
    if find(run_dir.path()).is_empty() && cgroup::find(&prefix).is_empty() {
        return Ok(Vec::new());
    }
    // Held until the end: a start at this moment would end them itself.
    let file = File::create(run_dir.lock()).with_context(|| run_dir.lock().display().to_string())?;
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        bail!("a router is being started on run-dir {}; try again", run_dir.path().display());
    };
    cgroup::thaw(&prefix);
    let mut ended = Vec::new();
    for orphan in find(run_dir.path()) {
        let name = format!("{}/{} (pid {})", orphan.slot, orphan.name, orphan.process.pid());
        end_one(run_dir, &orphan, flush).await.with_context(|| format!("{name} does not end"))?;
        ended.push(name);
    }
    // After the daemons, whose ends were polite: what is left in their containers.
    let killed = cgroup::remove(&prefix, KILL_DEADLINE).context("the router's containers")?;
    if !killed.is_empty() {
        ended.push(format!("containers {prefix}-*"));
    }
    let _ = fs::remove_dir_all(run_dir.oci_dir());
    for slot in ["re0", "re1"] {
        let _ = fs::remove_dir_all(run_dir.slot_dir(slot));
    }
    let _ = fs::remove_dir_all(run_dir.periodic_dir());
    let files = [
        run_dir.master_management_socket(),
        run_dir.chassis_socket(),
        run_dir.vault_socket(),
        run_dir.periodic_socket(),
        run_dir.pid_file(),
    ];
    for file in files.iter().chain([&run_dir.lock()]) {
        let _ = fs::remove_file(file);
    }
    Ok(ended)
}

async fn end_one(run_dir: &RunDir, orphan: &Orphan, flush: bool) -> anyhow::Result<()> {
    let process = &orphan.process;
    let _ = process.signal(libc::SIGCONT); // it may have been fenced
    if orphan.name == PPMD {
        let _ = process.signal(libc::SIGTERM);
        return wait_or_kill(process, KILL_DEADLINE);
    }
    let mut client = DaemonClient::new(holdfast_ipc::channel(&run_dir.daemon_socket(orphan.slot, orphan.name)));
    let flush = flush && orphan.name == "pfed";
    let request = TerminateRequest { mode: Mode::Stop.into(), flush, ..TerminateRequest::default() };
    let asked = tokio::time::timeout(END_DEADLINE, client.terminate(request)).await;
    if matches!(asked, Ok(Ok(_))) && process.wait(Some(END_DEADLINE))? {
        return Ok(());
    }
    wait_or_kill(process, Duration::ZERO)
}

fn wait_or_kill(process: &PidFd, patience: Duration) -> anyhow::Result<()> {
    if process.wait(Some(patience))? {
        return Ok(());
    }
    let _ = process.signal(libc::SIGKILL);
    if !process.wait(Some(KILL_DEADLINE))? {
        bail!("it is still there {} s after SIGKILL", KILL_DEADLINE.as_secs());
    }
    Ok(())
}

/// Those that run now, in the order in which they are to end.
fn find(run_dir: &Path) -> Vec<Orphan> {
    let Ok(run_dir) = std::path::absolute(run_dir) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut found: Vec<Orphan> = pids
        .filter_map(|pid| {
            // Taken hold of before it is looked at: the pid may be another's a moment later.
            let process = PidFd::open(pid).ok()?;
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let (slot, name) = identify(&command, &run_dir)?;
            Some(Orphan { slot, name, process })
        })
        .collect();
    found.sort_by_key(|orphan| ORDER.iter().position(|name| *name == orphan.name));
    found
}

/// Slot and name of a daemon of this run-dir, from its command line.
fn identify(command: &[u8], run_dir: &Path) -> Option<(&'static str, &'static str)> {
    let words: Vec<&str> = command.split(|byte| *byte == 0).map(std::str::from_utf8).collect::<Result<_, _>>().ok()?;
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    let after = |option| words.iter().position(|word| *word == option).and_then(|at| words.get(at + 1)).copied();
    let name = ORDER.into_iter().find(|name| *name == program)?;
    let slot = match name {
        PPMD => "chassis",
        _ => ["re0", "re1"].into_iter().find(|slot| after("--slot") == Some(slot))?,
    };
    (Path::new(after("--run-dir")?) == run_dir).then_some((slot, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_daemon_of_this_run_dir_is_one() {
        let of = |command: &str| identify(command.replace(' ', "\0").as_bytes(), Path::new("/run/a"));
        assert_eq!(of("/usr/bin/rpd --slot re1 --run-dir /run/a --role primary"), Some(("re1", "rpd")));
        assert_eq!(of("/usr/bin/rpd --slot re1 --run-dir /run/ab"), None);
        assert_eq!(of("/usr/bin/ppmd --run-dir /run/a --take-over"), Some(("chassis", "ppmd")));
        assert_eq!(of("/usr/bin/chassisd --slot re1 --run-dir /run/a"), None);
        assert_eq!(of("/usr/bin/rpd --run-dir /run/a"), None);
        assert_eq!(of("vi /run/a"), None);
        assert_eq!(of(""), None);
    }
}
