//! A second thread, on a processor of its own, that does what the first one is kept from.
//!
//! # Why
//!
//! A real-time thread comes before every ordinary one, but not before the kernel. Where that does not preempt itself (`PREEMPT_NONE` and
//! `PREEMPT_VOLUNTARY`, the usual kernels of servers), who is woken on a processor waits until the system call that goes on there is over, be all others
//! idle: a real-time thread is not moved away from an ordinary one, because it is about to take its place. And there are long calls: when a link is
//! taken down, or somebody reads the routing table, the kernel goes through all routes, of which a million take longer than three packets of 50 ms.
//!
//! # The idea
//!
//! Each turn sets two timers: that of the first thread to the nearest deadline, that of the deputy to a moment later. So the deputy is woken only
//! when a turn is overdue. Then it takes that turn: it receives what has arrived, and sends what is due. One lock is around all that the two share; it is free
//! while both wait. Who stands still for a successor holds it, so that the deputy stands still as well.
//!
//! # What it must never do
//!
//! Run on the first thread's processors. Answer requests: they can wait.

use std::os::fd::AsFd;
use std::sync::Arc;

use holdfast_kernel::realtime::{self, Timer};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::limits::{PRIORITY, STACK_LEN};
use crate::worker::{Shared, lock};

/// Shares out the processors among the calling thread, which is the first, and a deputy, and starts that. Returns its timer; none where there is one processor only.
pub fn appoint(shared: &Shared) -> std::io::Result<Option<Arc<Timer>>> {
    let mut processors = realtime::processors()?;
    let Some(last) = processors.pop().filter(|_| !processors.is_empty()) else { return Ok(None) };
    let timer = Arc::new(Timer::new()?);
    realtime::run_on(&processors)?;
    let (shared, its_timer) = (shared.clone(), timer.clone());
    std::thread::Builder::new().name("ppmd-deputy".into()).stack_size(STACK_LEN).spawn(move || {
        let ready = realtime::run_on(&[last]).and_then(|()| realtime::run_first(PRIORITY));
        if let Err(error) = ready {
            tracing::warn!(
                "the deputy thread has no processor or priority of its own ({error}) and ends: packets are late when the kernel holds a processor for long; grant CAP_SYS_NICE"
            );
            return;
        }
        stand_by(&shared, &its_timer);
    })?;
    Ok(Some(timer))
}

fn stand_by(shared: &Shared, timer: &Timer) {
    loop {
        let mut watched = [PollFd::new(timer.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!("the deputy thread cannot wait ({error}) and ends: packets may be late");
                return;
            }
        }
        match &mut *lock(shared) {
            Some(thread) => thread.stand_in(),
            None => return,
        }
    }
}
