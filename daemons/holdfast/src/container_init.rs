//! `holdfast container-init`: process 1 of a routing engine's container.
//!
//! chassisd puts the daemons into the container beside it; it is their parent and decides about them. What is left for
//! process 1: to be there (when it ends, the kernel kills whatever else is in the container), to reap whoever is
//! orphaned there, and on SIGTERM to send home whoever else is logged in before it ends.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// For a shell to write its history and end; chassisd waits a little longer.
const LEAVING_GRACE: Duration = Duration::from_secs(1);
/// Between two looks at who is still there: those who came by `exec` are not our children, nothing tells of their end.
const LOOK_EVERY_MS: u16 = 20;
/// Everybody in our PID namespace but ourselves; kill(2).
const EVERYBODY: Pid = Pid::from_raw(-1);

/// Arguments of `holdfast container-init`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The router's run-dir: tells this process from another router's
    #[arg(value_name = "RUN-DIR")]
    _run_dir: PathBuf,
}

/// Runs until SIGTERM or SIGINT.
pub fn run(_: Arguments) -> anyhow::Result<ExitCode> {
    // "Everybody" must not be everybody on the machine.
    anyhow::ensure!(std::process::id() == 1, "container-init is for the first process of a container");
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect();
    signals.thread_block().context("block signals")?;
    let descriptor = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).context("listen for signals")?;
    loop {
        let signal = descriptor.read_signal().context("read a signal")?;
        reap();
        if signal.is_some_and(|signal| signal.ssi_signo != Signal::SIGCHLD as u32) {
            break;
        }
    }
    send_home(&descriptor);
    Ok(ExitCode::SUCCESS)
}

fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// SIGHUP is what a shell expects when its line is gone, SIGTERM what everything else does.
fn send_home(signals: &SignalFd) {
    let deadline = Instant::now() + LEAVING_GRACE;
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        let _ = kill(EVERYBODY, signal);
    }
    while kill(EVERYBODY, None) != Err(Errno::ESRCH) && Instant::now() < deadline {
        let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(LOOK_EVERY_MS)).is_ok_and(|ready| ready > 0) {
            let _ = signals.read_signal();
        }
        reap();
    }
}
