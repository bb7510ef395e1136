//! What all daemons have in common: the role and the term, and mgd, which has nothing else.

use std::time::Duration;

use holdfast_issu::{Answer, Check, Daemon, RequestId};

use crate::process::{Call, Os, Role, Start};

/// Nothing happens for this long: look around all the same.
pub(crate) const IDLE_WAIT: Duration = Duration::from_millis(500);

/// A daemon's role and term.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub role: Role,
    pub epoch: u64,
}

impl Standing {
    pub(crate) fn frozen(&self) -> Result<Standing, String> {
        match self.role {
            Role::Primary => Ok(Standing { role: Role::Frozen, epoch: self.epoch }),
            role => Err(format!("it is {role:?}, only a primary can be frozen")),
        }
    }

    pub(crate) fn activated(&self, epoch: u64) -> Result<Standing, String> {
        match self.role {
            Role::Backup | Role::Frozen if epoch > self.epoch => Ok(Standing { role: Role::Activated, epoch }),
            role => Err(format!("it is {role:?} in epoch {}, epoch {epoch} was offered", self.epoch)),
        }
    }

    pub(crate) fn committed(&self, epoch: u64) -> Result<Standing, String> {
        match self.role {
            Role::Activated if epoch == self.epoch => Ok(Standing { role: Role::Primary, epoch }),
            role => Err(format!("it is {role:?} in epoch {}, epoch {epoch} is to be committed", self.epoch)),
        }
    }

    pub(crate) fn following(&self, epoch: u64) -> Result<Standing, String> {
        match self.role {
            Role::Frozen | Role::Backup => Ok(Standing { role: Role::Backup, epoch }),
            role => Err(format!("it is {role:?}, only a frozen engine can follow again")),
        }
    }
}

/// An answer to Synchronization.
pub(crate) fn progress(synchronized: bool, pending_writes: u64, progress: u64, detail: &str) -> Answer {
    Answer::Synchronization { synchronized, pending_writes, progress, detail: detail.into() }
}

/// An answer to Prepare.
pub(crate) fn readiness(waits_for: Option<&str>) -> Answer {
    let (ready, wait) = (waits_for.is_none(), Duration::from_millis(30));
    Answer::Readiness { ready, reason: waits_for.unwrap_or_default().into(), wait }
}

/// mgd keeps no session and no route: it only goes through the roles.
pub(crate) async fn mgd(os: Os, start: Start) {
    let startup = os.world.borrow_mut().some_us(5_000, 30_000);
    os.work(startup).await;
    let mut standing = Standing { role: start.role, epoch: start.epoch };
    os.is_now(standing.role, standing.epoch);
    os.call(|world, pid| world.processes[pid].ready = true).await;
    loop {
        let now = os.now();
        os.wait(now + IDLE_WAIT).await;
        while let Some((id, call)) = os.next_call().await {
            if matches!(call, Call::Terminate) {
                return;
            }
            mgd_answers(&os, &mut standing, id, call).await;
        }
    }
}

async fn mgd_answers(os: &Os, standing: &mut Standing, id: RequestId, call: Call) {
    let mono_ns = os.now().as_nanos() as u64;
    let (next, answer) = match call {
        Call::Checks => {
            let check = Check { title: "GRES enabled".into(), value: "Valid".into(), passed: true, ..Check::default() };
            (Ok(*standing), Answer::Checks { checks: vec![check], minimum_spacing: Duration::from_secs(300) })
        }
        Call::Synchronization => (Ok(*standing), progress(true, 0, 0, "")),
        Call::Prepare => (Ok(*standing), readiness(None)),
        Call::Freeze { .. } => (standing.frozen(), Answer::Frozen { mono_ns }),
        Call::Activate { epoch, .. } => (standing.activated(epoch), Answer::Done),
        Call::Commit { epoch } => (standing.committed(epoch), Answer::Live { mono_ns }),
        Call::Follow { epoch } => (standing.following(epoch), Answer::Done),
        Call::Verify => (Ok(*standing), Answer::Verified { done: true, ok: true, reason: String::new() }),
        Call::Status | Call::Cancel | Call::Terminate => (Ok(*standing), Answer::Done),
    };
    take_standing(os, standing, id, next, answer).await;
}

/// Goes into the new role and answers, or says why not.
pub(crate) async fn take_standing(
    os: &Os,
    standing: &mut Standing,
    id: RequestId,
    next: Result<Standing, String>,
    answer: Answer,
) {
    match next {
        Ok(next) => {
            if next.role != standing.role || next.epoch != standing.epoch {
                *standing = next;
                os.is_now(next.role, next.epoch);
            }
            os.answer(id, Ok(answer)).await;
        }
        Err(reason) => os.answer(id, Err(reason)).await,
    }
}

/// The coroutine of a process.
pub(crate) fn main_of(os: Os, start: Start) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
    match start.daemon {
        Daemon::Mgd => Box::pin(mgd(os, start)),
        Daemon::Rpd => Box::pin(crate::rpd::rpd(os, start)),
        Daemon::Pfed => Box::pin(crate::pfed::pfed(os, start)),
    }
}
