//! The guardian: a tiny process that outlives a lab killed by `kill -9` and removes what it left.
//!
//! It holds the reading end of a pipe whose writing end the lab holds. End of file without a word means that the
//! owner died; the word "done" means that there is nothing to do. It lives in a process group of its own and ignores
//! the terminal's signals.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{cleanup, lab_id::LabId, process::OwnGroup, programs};
use crate::error::{Doing, LabError, Result};

const DONE: &[u8] = b"done";
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// The lab's side.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guardian {
    /// Starts one for a lab.
    pub fn start(id: &LabId) -> Result<Self> {
        let program = programs::own_binary("holdfast")?;
        let mut child = Command::new(&program)
            .args(["lab", "guardian", &id.to_string()])
            .own_group()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .doing(|| format!("start {}", program.display()))?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// The lab has removed itself: the guardian may go.
    pub fn dismiss(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(DONE);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// The guardian's side: `holdfast lab guardian ID`.
pub fn run(id: &str) -> Result<()> {
    let id: LabId = id.parse().map_err(|()| LabError::Usage(format!("{id}: not the name of a lab")))?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).doing(|| "ignore signals".into())?;
    }
    let mut word = Vec::new();
    std::io::stdin().read_to_end(&mut word).doing(|| "read from the lab".into())?;
    if word == DONE {
        return Ok(());
    }
    let first = cleanup::remove(&id);
    // A command that the lab had under way when it was killed (`ip netns add`) may have ended after that.
    thread::sleep(SECOND_LOOK_AFTER);
    if cleanup::remains(&id).is_empty() { first.map(drop) } else { cleanup::remove(&id).map(drop) }
}
