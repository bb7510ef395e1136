//! Memory that no packet waits for.
//!
//! All of it is locked as soon as there is a session to be on time for. Before that it is not: a router without BFD would hold the whole
//! program in RAM for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process's memory is locked; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    locked: Arc<AtomicBool>,
    warned: Arc<AtomicBool>,
}

impl Memory {
    /// There are sessions. Packets go on where it cannot be locked; the log says so once.
    pub fn lock(&self) {
        if self.is_locked() {
            return;
        }
        match holdfast_kernel::realtime::lock_memory() {
            Ok(()) => self.locked.store(true, Ordering::Release),
            Err(error) if !self.warned.swap(true, Ordering::AcqRel) => {
                tracing::warn!("memory cannot be locked ({error}): packets may wait for pages; grant CAP_IPC_LOCK");
            }
            Err(_) => {}
        }
    }

    /// For operators.
    pub fn is_locked(&self) -> bool {
        self.locked.load(Ordering::Acquire)
    }
}
