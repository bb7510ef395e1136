//! Whoever started us reads our standard output until it says "ready" or why not. When it goes away before, nobody
//! will ever know that the router runs: then it must not.

use std::io::Write;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Standard output as a line to the starter.
#[derive(Debug, Default)]
pub struct Starter;

impl Starter {
    /// The reading end of the pipe is closed.
    pub fn is_gone(&self) -> bool {
        let stdout = std::io::stdout();
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO);
        polled.is_ok() && fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR))
    }

    /// Tells the outcome and lets go of the line, so that its reader sees the end. False: nobody heard it.
    pub fn tell(&self, text: &str) -> bool {
        let mut stdout = std::io::stdout();
        let told = writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_ok();
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = nix::unistd::dup2_stdout(null);
        }
        told
    }
}
