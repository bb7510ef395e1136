//! What an earlier chassisd of this router left running when it was killed: found by pid and start time.
//!
//! Routing, management and forwarding are ended and started anew. Before that routing is asked which sessions are up: whoever takes its place
//! owes those neighbours a graceful restart (RFC 4724 §4.1). ppmd goes on, because nothing of BFD depends on chassisd: it is taken over
//! as it is, where it serves this very router.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_ipc::RunDir;
use holdfast_issu::Daemon;
use holdfast_kernel::process::{PidFd, start_time_ticks};
use holdfast_proto::v1;

use crate::calls::{Link, answer};
use crate::store::KnownProcess;
use crate::{limits, periodic, restarts};

/// What was found, and is not touched yet.
#[derive(Debug, Default)]
pub struct LeftOver {
    doomed: Vec<(KnownProcess, PidFd)>,
    /// ppmds that go on: the one that serves, then one that was to take over from it.
    pub periodic: Vec<PidFd>,
    /// An rpd ran until now, so the router has not ceased to forward; and whose sessions with it were up.
    pub routing: Option<Vec<IpAddr>>,
}

/// Looks for them. `keeps_periodic`: there is a ppmd to replace the one that runs with, should it die.
pub async fn find(known: &[KnownProcess], run_dir: &RunDir, keeps_periodic: bool) -> LeftOver {
    let mut found = LeftOver::default();
    let mut rpds = Vec::new();
    for process in known {
        let Some(handle) = handle(process) else { continue };
        if process.name == periodic::NAME && keeps_periodic && serves(process.pid, run_dir.path()) {
            tracing::info!(
                pid = process.pid,
                "{} of an earlier chassisd goes on, and its sessions with it",
                process.name
            );
            found.periodic.push(handle);
            continue;
        }
        if process.name == Daemon::Rpd.name() {
            rpds.push(Link::new(&run_dir.daemon_socket(&process.slot, &process.name)));
        }
        found.doomed.push((process.clone(), handle));
    }
    if !rpds.is_empty() {
        found.routing = Some(sessions_of(rpds).await);
    }
    found
}

impl LeftOver {
    /// Ends what is not to go on: SIGTERM (retire: routes and addresses stay), then SIGKILL. Returns what was done.
    pub fn end(&mut self) -> Vec<String> {
        for (_, handle) in &self.doomed {
            let _ = handle.signal(libc::SIGCONT);
            let _ = handle.signal(libc::SIGTERM);
        }
        self.doomed.drain(..).map(|(process, handle)| finish(&process, &handle)).collect()
    }
}

/// The process, if the pid is still its own.
fn handle(process: &KnownProcess) -> Option<PidFd> {
    let handle = PidFd::open(process.pid).ok()?;
    let same = start_time_ticks(process.pid).ok()? == process.start_time_ticks;
    let alive = !handle.wait(Some(Duration::ZERO)).unwrap_or(true);
    (same && alive).then_some(handle)
}

/// Whether a ppmd has its sockets where this router looks for them, and its sessions where this router's links are. One that was started with other
/// directories, or for another network namespace, is of no use.
fn serves(pid: u32, run_dir: &Path) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut arguments = arguments.split(|octet| *octet == 0).skip_while(|argument| *argument != b"--run-dir");
    let its = arguments.nth(1).map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned()));
    let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    its.as_deref() == Some(run_dir) && network(&pid.to_string()).is_some_and(|its| Some(its) == network("self"))
}

/// Neighbours with which any of these has a session. One that does not answer has nothing to say; in a run there are two, and the one that
/// stands still does not.
async fn sessions_of(rpds: Vec<Link>) -> Vec<IpAddr> {
    let ask = |link: Link| async move {
        let mut client = link.routing();
        answer(limits::VIEW_CALL_DEADLINE, client.show_bgp_summary(v1::ShowBgpSummaryRequest {})).await
    };
    let asked: Vec<_> = rpds.into_iter().map(|link| tokio::spawn(ask(link))).collect();
    let mut neighbors = Vec::new();
    for summary in asked {
        match summary.await {
            Ok(Ok(summary)) => {
                let up = summary.neighbors.iter().filter(|neighbor| neighbor.state == restarts::ESTABLISHED);
                neighbors.extend(up.filter_map(|neighbor| neighbor.address.parse::<IpAddr>().ok()));
            }
            Ok(Err(error)) => tracing::warn!("an rpd that was left does not say whose sessions are up: {error}"),
            Err(error) => tracing::warn!("an rpd that was left cannot be asked: {error}"),
        }
    }
    neighbors.sort_unstable();
    neighbors.dedup();
    neighbors
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
    use std::process::{Child, Command};

    fn known(child: &Child, name: &str) -> KnownProcess {
        let start_time_ticks = start_time_ticks(child.id()).unwrap();
        KnownProcess { slot: "re0".into(), name: name.into(), pid: child.id(), start_time_ticks }
    }

    #[tokio::test]
    async fn only_the_very_process_is_ended() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let (run_dir, process) = (RunDir::new("/nowhere"), known(&child, "mgd"));
        let another = KnownProcess { start_time_ticks: process.start_time_ticks + 1, ..process.clone() };
        let mut found = find(&[another], &run_dir, true).await;
        assert!(found.end().is_empty(), "another process with the same pid");
        assert!(child.try_wait().unwrap().is_none());
        let mut found = find(&[process], &run_dir, true).await;
        assert_eq!(found.routing, None, "no rpd was there");
        let told = found.end();
        assert!(told.len() == 1 && told[0].contains("was ended"), "{told:?}");
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn a_ppmd_of_this_router_goes_on_and_one_of_another_does_not() {
        let script = |run_dir: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 60; :", "ppmd", "--run-dir", run_dir]).spawn().unwrap()
        };
        let mut children = [script("/run/this"), script("/run/other")];
        let processes = [known(&children[0], periodic::NAME), known(&children[1], periodic::NAME)];
        let run_dir = RunDir::new("/run/this");
        let found = find(&processes, &run_dir, true).await;
        assert_eq!(found.periodic.iter().map(PidFd::pid).collect::<Vec<_>>(), [children[0].id()]);
        assert_eq!(found.doomed.len(), 1);
        let without = find(&processes, &run_dir, false).await;
        assert!(without.periodic.is_empty() && without.doomed.len() == 2, "nothing could take its place");
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn an_rpd_that_does_not_answer_was_there_all_the_same() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let found = find(&[known(&child, "rpd")], &RunDir::new("/nowhere"), true).await;
        assert_eq!(found.routing, Some(Vec::new()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
