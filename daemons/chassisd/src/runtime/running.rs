//! The handle of a process that was started, or is just being started.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdfast_kernel::cgroup::Cgroup;
use holdfast_kernel::process::{PidFd, is_stopped};
use tokio::sync::watch;

use crate::limits;

/// A process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Running {
    inner: Arc<Inner>,
    exit: watch::Receiver<Option<String>>,
}

#[derive(Debug)]
struct Inner {
    held: OnceLock<Held>,
    begun: watch::Sender<bool>,
    /// It was to be killed before it existed.
    doomed: AtomicBool,
}

/// What a process is held by, once it exists.
#[derive(Debug)]
struct Held {
    handle: Arc<PidFd>,
    /// The control groups of its container.
    cgroup: Option<Arc<Cgroup>>,
    /// The container's name.
    container: String,
}

/// The side of whoever starts it.
#[derive(Debug)]
pub(super) struct Launch {
    inner: Arc<Inner>,
    exit: watch::Sender<Option<String>>,
}

impl Launch {
    /// A process to be, and its handle.
    pub fn new() -> (Launch, Running) {
        let inner =
            Arc::new(Inner { held: OnceLock::new(), begun: watch::Sender::new(false), doomed: AtomicBool::new(false) });
        let (sender, exit) = watch::channel(None);
        (Launch { inner: inner.clone(), exit: sender }, Running { inner, exit })
    }

    /// Whether it was killed before it existed: then it need not be started.
    pub fn is_doomed(&self) -> bool {
        self.inner.doomed.load(Ordering::SeqCst)
    }

    /// It exists. `container`: name and control groups of the one that it is in.
    pub fn begun(&self, handle: Arc<PidFd>, container: Option<(String, Arc<Cgroup>)>) {
        let (container, cgroup) = container.unzip();
        let _ = self.inner.held.set(Held { handle, cgroup, container: container.unwrap_or_default() });
        if self.is_doomed() {
            self.inner.kill();
        }
        self.inner.begun.send_replace(true);
    }

    /// It has ended, or could not be started.
    pub fn ended(self, how: String) {
        self.exit.send_replace(Some(how));
        self.inner.begun.send_replace(true);
    }
}

impl Inner {
    fn send(&self, signal: i32) {
        let Some(held) = self.held.get() else { return };
        if let Err(error) = held.handle.signal(signal)
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            tracing::warn!(pid = held.handle.pid(), signal, %error, "a signal could not be sent");
        }
    }

    fn kill(&self) {
        self.send(libc::SIGKILL);
        if let Some(Held { handle, cgroup: Some(cgroup), .. }) = self.held.get()
            && let Err(error) = cgroup.let_die(handle.pid())
        {
            tracing::warn!(pid = handle.pid(), %error, "a frozen process cannot leave its freezer");
        }
    }
}

impl Running {
    /// Its number on the host; 0 as long as it is being started.
    pub fn pid(&self) -> u32 {
        self.inner.held.get().map_or(0, |held| held.handle.pid())
    }

    /// The container that it is in; empty: none.
    pub fn container(&self) -> &str {
        self.inner.held.get().map_or("", |held| &held.container)
    }

    /// SIGKILL; does not wait. One that has ended takes none, one that is being started will not live.
    pub fn kill_now(&self) {
        self.inner.doomed.store(true, Ordering::SeqCst);
        self.inner.kill();
    }

    /// SIGTERM; does not wait.
    pub fn terminate(&self) {
        self.inner.send(libc::SIGTERM);
    }

    /// Makes it stand still: its container is frozen, or it gets SIGSTOP where there is none.
    pub fn fence(&self) {
        let Some(held) = self.inner.held.get() else { return };
        match held.cgroup.as_deref().filter(|cgroup| cgroup.can_freeze()) {
            None => self.inner.send(libc::SIGSTOP),
            Some(cgroup) => match cgroup.freeze(true, limits::FREEZE_WAIT) {
                Ok(true) => {}
                Ok(false) => tracing::warn!(container = held.container, "is not frozen yet; the kernel is at it"),
                Err(error) => {
                    tracing::warn!(container = held.container, %error, "cannot be frozen; SIGSTOP is sent instead");
                    self.inner.send(libc::SIGSTOP);
                }
            },
        }
    }

    /// Lets it go on, whoever made it stand still.
    pub fn unfence(&self) {
        if let Some(Held { cgroup: Some(cgroup), container, .. }) = self.inner.held.get()
            && cgroup.can_freeze()
            && let Err(error) = cgroup.freeze(false, limits::FREEZE_WAIT)
        {
            tracing::warn!(container, %error, "cannot be thawed");
        }
        self.inner.send(libc::SIGCONT);
    }

    /// How it stands still, if it does.
    pub fn standstill(&self) -> Option<&'static str> {
        let held = self.inner.held.get()?;
        if held.cgroup.as_deref().is_some_and(Cgroup::is_frozen) {
            return Some("stopped (frozen)");
        }
        is_stopped(held.handle.pid()).unwrap_or(false).then_some("stopped (SIGSTOP)")
    }

    /// How it ended, once it has.
    pub fn exit(&self) -> Option<String> {
        self.exit.borrow().clone()
    }

    /// Waits until it exists, or never will.
    pub async fn begun(&self) {
        let _ = self.inner.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// Waits for the end; `None` when it has not come in time.
    pub async fn exited(&self, within: Duration) -> Option<String> {
        tokio::time::timeout(within, self.ended()).await.ok()
    }

    /// Waits for the end for as long as it takes.
    pub async fn ended(&self) -> String {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|how| how.clone()).unwrap_or_else(|| "ended".into())
    }

    /// SIGKILL, and the end seen.
    pub async fn kill(&self, within: Duration) -> bool {
        self.kill_now();
        self.exited(within).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_killed_before_it_exists_does_not_live() {
        let (launch, running) = Launch::new();
        assert_eq!((running.pid(), running.exit(), running.standstill()), (0, None, None));
        running.fence(); // nothing to fence yet, and no harm
        running.kill_now();
        assert!(launch.is_doomed());
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        launch.begun(Arc::new(PidFd::open(child.id()).unwrap()), None);
        running.begun().await;
        assert!(!child.wait().unwrap().success(), "it was killed as soon as it existed");
        launch.ended("killed".into());
        assert_eq!(running.ended().await, "killed");
    }

    #[tokio::test]
    async fn one_that_could_not_be_started_has_ended() {
        let (launch, running) = Launch::new();
        assert_eq!(running.exited(Duration::from_millis(1)).await, None);
        launch.ended("no such program".into());
        running.begun().await;
        assert_eq!(running.exited(Duration::from_millis(1)).await.as_deref(), Some("no such program"));
    }
}
