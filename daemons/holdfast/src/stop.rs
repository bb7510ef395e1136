//! `holdfast stop`: ends a router and returns when every process of it is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use holdfast_ipc::RunDir;
use holdfast_kernel::process::PidFd;
use holdfast_proto::v1::StopRequest;
use holdfast_proto::v1::chassis_client::ChassisClient;
use nix::fcntl::{Flock, FlockArg};

use crate::orphans;

/// Sessions 5 s, management 5 s, forwarding 30 s for a flush of a million routes, and the kills after each.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// chassisd itself, once everything else is gone.
const EXIT_DEADLINE: Duration = Duration::from_secs(10);

/// After chassisd has not answered: until it is known whether it lives.
const DYING: Duration = Duration::from_secs(1);

/// Arguments of `holdfast stop`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the router's sockets are
    #[arg(long, default_value = "/run/holdfast")]
    run_dir: PathBuf,
    /// Remove the router's routes from the kernel; without it they stay
    #[arg(long)]
    flush: bool,
    /// Text that the operators of BGP neighbors find in their logs (RFC 9003), at most 255 octets
    #[arg(long, default_value = "", value_parser = shutdown_message)]
    message: String,
}

/// What fits into a Cease (RFC 9003 §2), and is a line.
fn shutdown_message(text: &str) -> Result<String, String> {
    const OCTETS_MAX: usize = 255;
    if text.len() > OCTETS_MAX {
        return Err(format!(
            "it has {} octets, neighbors take at most {OCTETS_MAX} (RFC 9003); shorten it",
            text.len()
        ));
    }
    if text.chars().any(char::is_control) {
        return Err("it has control characters; write one line of text".into());
    }
    Ok(text.to_owned())
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let run_dir = RunDir::new(&arguments.run_dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let process = match find(&run_dir) {
        Ok(process) => process,
        Err(nobody) => {
            return if runtime.block_on(end_what_is_left(&run_dir, &arguments))? {
                Ok(ExitCode::SUCCESS)
            } else {
                Err(nobody)
            };
        }
    };
    let asked = runtime.block_on(ask(&run_dir, &arguments));
    let mut patience = EXIT_DEADLINE;
    if let Err(error) = asked {
        // One that dies in this moment has a pid yet, and leaves what it cannot end any more.
        if !process.wait(Some(DYING))? {
            if arguments.flush {
                return Err(error).context("the router was not stopped and its routes stay; try again");
            }
            eprintln!("warning: {error:#}; sending SIGTERM to chassisd (pid {})", process.pid());
            process.signal(libc::SIGTERM).with_context(|| format!("signal to pid {}", process.pid()))?;
            patience += STOP_DEADLINE;
        }
    }
    if !process.wait(Some(patience))? {
        bail!("chassisd (pid {}) does not end; its log in the state-dir says more", process.pid());
    }
    runtime.block_on(end_what_is_left(&run_dir, &arguments))?;
    Ok(ExitCode::SUCCESS)
}

/// Ends what a chassisd that is gone has not ended itself. True if there was something.
async fn end_what_is_left(run_dir: &RunDir, arguments: &Arguments) -> anyhow::Result<bool> {
    let ended = orphans::end(run_dir, arguments.flush).await?;
    if !ended.is_empty() {
        eprintln!("warning: chassisd was gone already; what it had left was ended: {}", ended.join(", "));
    }
    Ok(!ended.is_empty())
}

async fn ask(run_dir: &RunDir, arguments: &Arguments) -> anyhow::Result<()> {
    let request = StopRequest { flush: arguments.flush, message: arguments.message.clone() };
    let mut client = ChassisClient::new(holdfast_ipc::channel(&run_dir.chassis_socket()));
    match tokio::time::timeout(STOP_DEADLINE, client.stop(request)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(status)) => bail!("chassisd: {}", status.message()),
        Err(_) => bail!("chassisd did not answer within {} s", STOP_DEADLINE.as_secs()),
    }
}

/// The chassisd that holds this run-dir's lock.
fn find(run_dir: &RunDir) -> anyhow::Result<PidFd> {
    let path = run_dir.path().display();
    let nobody = || format!("no router runs on run-dir {path}; --run-dir names another one");
    if !is_locked(&run_dir.lock()) {
        bail!(nobody());
    }
    let text = fs::read_to_string(run_dir.pid_file()).with_context(nobody)?;
    let pid = text.trim().parse().with_context(|| format!("{}: not a pid", run_dir.pid_file().display()))?;
    PidFd::open(pid).with_context(nobody)
}

/// Whether the chassisd that served a run-dir has ended: by itself, with its socket removed, or killed, with the lock let go.
pub fn has_ended(run_dir: &RunDir) -> bool {
    !run_dir.chassis_socket().exists() || (run_dir.lock().exists() && !is_locked(&run_dir.lock()))
}

/// A live chassisd holds the lock; the file alone means nothing.
fn is_locked(lock: &Path) -> bool {
    let Ok(file) = File::open(lock) else { return false };
    matches!(Flock::lock(file, FlockArg::LockSharedNonblock), Err((_, nix::errno::Errno::EWOULDBLOCK)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_is_held_means_a_router() {
        let directory = tempfile::tempdir().unwrap();
        let run_dir = RunDir::new(directory.path());
        assert!(find(&run_dir).unwrap_err().to_string().contains("no router runs on run-dir"));
        let file = File::create(run_dir.lock()).unwrap();
        assert!(!is_locked(&run_dir.lock()));
        fs::write(run_dir.pid_file(), format!("{}\n", std::process::id())).unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).unwrap();
        assert_eq!(find(&run_dir).unwrap().pid(), std::process::id());
        assert!(has_ended(&run_dir), "no socket");
        fs::write(run_dir.chassis_socket(), "").unwrap();
        assert!(!has_ended(&run_dir));
        drop(held);
        assert!(has_ended(&run_dir), "killed");
    }
}
