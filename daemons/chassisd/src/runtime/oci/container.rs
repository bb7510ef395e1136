//! The life of one container: made for its first process, kept while processes come and go, removed with its slot.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_kernel::cgroup::{self, Cgroup};
use holdfast_kernel::process::PidFd;
use holdfast_proto::v1;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use tokio::signal::unix::{SignalKind, signal};

use super::bundle::{self, Bundle};
use super::{Common, Kind, ProcessSpec};
use crate::chassis::Slot;
use crate::limits;
use crate::runtime::running::Launch;

/// One container, whether it exists at the moment or not.
#[derive(Debug)]
pub struct Container {
    common: Arc<Common>,
    slot: Slot,
    kind: Kind,
    id: String,
    bundle: Bundle,
    /// Held while the runtime works on it: one thing after the other.
    at_work: tokio::sync::Mutex<()>,
    live: Mutex<Option<Arc<Live>>>,
    /// It is to be removed, and may still be there.
    leaving: AtomicBool,
}

/// A container that exists.
#[derive(Debug)]
struct Live {
    init: Arc<PidFd>,
    cgroup: Arc<Cgroup>,
    oom_kills_seen: AtomicU64,
}

impl Live {
    fn has_ended(&self) -> bool {
        self.init.wait(Some(Duration::ZERO)).unwrap_or(true)
    }
}

impl Container {
    /// Names it; nothing is made.
    pub fn new(common: Arc<Common>, slot: Slot, kind: Kind) -> Self {
        let name = kind.name(slot);
        Container {
            id: format!("{}-{name}", common.run_dir.container_prefix()),
            bundle: Bundle::new(&common.run_dir.oci_dir(), &name),
            common,
            slot,
            kind,
            at_work: tokio::sync::Mutex::new(()),
            live: Mutex::new(None),
            leaving: AtomicBool::new(false),
        }
    }

    fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
    }

    /// Puts a process into it, making it first where it does not exist. The caller waits for the end of the process.
    pub async fn execute(&self, spec: &ProcessSpec, launch: &Launch) -> Result<Arc<PidFd>, String> {
        let _at_work = self.at_work.lock().await;
        let leaving = self.leaving.swap(false, Ordering::SeqCst);
        let live = match self.live() {
            Some(live) if !leaving && !live.has_ended() => live,
            left => {
                if left.is_some() {
                    self.remove_what_is_left().await?; // of an earlier generation, or its init was killed
                }
                self.make().await?
            }
        };
        if launch.is_doomed() {
            return Err("it was killed before it began".into());
        }
        let pid = self.exec(spec).await?;
        let process = Arc::new(PidFd::open(pid).map_err(|error| format!("pid {pid}: {error}"))?);
        launch.begun(process.clone(), Some((self.id.clone(), live.cgroup.clone())));
        Ok(process)
    }

    async fn make(&self) -> Result<Arc<Live>, String> {
        let made = self.try_make().await;
        if made.is_err() {
            let _ = self.remove_what_is_left().await;
        }
        made
    }

    async fn try_make(&self) -> Result<Arc<Live>, String> {
        let place = self.bundle.directory();
        let told = |error: std::io::Error| format!("{}: {error}", place.display());
        self.bundle.write(&self.common, self.slot, self.kind, &self.id).map_err(told)?;
        let pid_file = self.bundle.file("init.pid");
        let words = ["run".as_ref(), "--detach".as_ref(), "--bundle".as_ref(), place.as_os_str()];
        let words = [&words[..], &["--pid-file".as_ref(), pid_file.as_os_str(), self.id.as_ref()]].concat();
        self.common.command.call(&words, None).await.map_err(with_remedy)?;
        let pid = read_pid(&pid_file)?;
        let init = Arc::new(PidFd::open(pid).map_err(|error| format!("its init (pid {pid}) has ended: {error}"))?);
        let cgroup = Arc::new(Cgroup::of(pid, &self.id).map_err(|error| format!("its control groups: {error}"))?);
        if !cgroup.can_freeze() {
            tracing::warn!("{} has no freezer; it is fenced by signals", self.id);
        }
        let oom_kills_seen = AtomicU64::new(cgroup.usage().oom_kills);
        let live = Arc::new(Live { init: init.clone(), cgroup, oom_kills_seen });
        self.set_live(Some(live.clone()));
        let id = self.id.clone();
        tracing::info!(pid, "container {id} was made");
        tokio::spawn(async move {
            let how = reaped(&init).await;
            tracing::info!("container {id} has ended ({how})");
        });
        Ok(live)
    }

    async fn exec(&self, spec: &ProcessSpec) -> Result<u32, String> {
        let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let mut arguments = spec.arguments.clone();
        if let Some(load) = &spec.load {
            // The file lies anywhere on the host: the container sees a copy.
            let copy = self.common.run_dir.slot_dir(spec.slot).join("load.conf");
            fs::copy(load, &copy).map_err(|error| told(load, error))?;
            arguments.extend(["--load".into(), copy.display().to_string()]);
        }
        let process = bundle::daemon_process(spec.daemon, &arguments);
        let process_file = self.bundle.file(&format!("{}.json", spec.daemon));
        fs::write(&process_file, process.to_string()).map_err(|error| told(&process_file, error))?;
        let log: File =
            OpenOptions::new().create(true).append(true).open(&spec.log).map_err(|error| told(&spec.log, error))?;
        let pid_file = self.bundle.file(&format!("{}.pid", spec.daemon));
        let words: [&OsStr; 7] = [
            "exec".as_ref(),
            "--detach".as_ref(),
            "--process".as_ref(),
            process_file.as_os_str(),
            "--pid-file".as_ref(),
            pid_file.as_os_str(),
            self.id.as_ref(),
        ];
        self.common.command.call(&words, Some(&log)).await.map_err(with_remedy)?;
        read_pid(&pid_file)
    }

    /// From now on it is to go: what is started next gets a new one.
    pub fn leave(&self) {
        self.leaving.store(self.live().is_some(), Ordering::SeqCst);
    }

    /// Removes it with all that is in it, after [`Container::leave`]. `politely`: whoever else runs in it gets SIGHUP and SIGTERM, and a moment.
    pub async fn remove(&self, politely: bool) -> Result<(), String> {
        let _at_work = self.at_work.lock().await;
        if !self.leaving.swap(false, Ordering::SeqCst) {
            return Ok(()); // gone already, or another one by now
        }
        let Some(live) = self.live() else { return Ok(()) };
        if politely && !live.cgroup.is_frozen() && live.init.signal(libc::SIGTERM).is_ok() {
            ended(&live.init, limits::SESSION_GRACE).await;
        }
        self.remove_what_is_left().await
    }

    async fn remove_what_is_left(&self) -> Result<(), String> {
        if let Some(live) = self.live() {
            let _ = live.init.signal(libc::SIGKILL); // the kernel kills all that is in its namespace
            let _ = live.cgroup.let_die(live.init.pid());
            if live.cgroup.is_frozen() {
                let _ = live.cgroup.freeze(false, Duration::ZERO);
            }
            ended(&live.init, limits::EXIT_DEADLINE).await;
        }
        let words: [&OsStr; 3] = ["delete".as_ref(), "--force".as_ref(), self.id.as_ref()];
        let deleted = self.common.command.call(&words, None).await;
        // Whatever the runtime could not, or did not.
        let id = self.id.clone();
        let removed = tokio::task::spawn_blocking(move || cgroup::remove(&id, limits::EXIT_DEADLINE)).await;
        self.bundle.remove();
        self.set_live(None);
        match (removed, deleted) {
            (Ok(Err(error)), Err(said)) => Err(format!("container {} is not gone: {error}; {said}", self.id)),
            (Ok(Err(error)), Ok(())) => Err(format!("container {} is not gone: {error}", self.id)),
            _ => Ok(()),
        }
    }

    /// Says more than "killed by signal 9" where the kernel knows more.
    pub fn explain(&self, how: String) -> String {
        let Some(live) = self.live() else { return how };
        let kills = live.cgroup.usage().oom_kills;
        if how != KILLED || kills <= live.oom_kills_seen.swap(kills, Ordering::SeqCst) {
            return how;
        }
        let mib = bundle::memory_mib(&self.common, self.kind);
        let option = match self.kind {
            Kind::Engine => "; --re-memory-limit of 'holdfast start' raises it",
            Kind::Forwarding => "",
        };
        format!("killed by the kernel: container {} has reached its memory limit of {mib} MiB{option}", self.id)
    }

    /// What an operator sees of it, if it exists.
    pub fn view(&self) -> Option<v1::ContainerState> {
        let live = self.live().filter(|live| !live.has_ended())?;
        let usage = live.cgroup.usage();
        Some(v1::ContainerState {
            id: self.id.clone(),
            slot: self.slot.into(),
            init_pid: live.init.pid(),
            frozen: live.cgroup.is_frozen(),
            memory_bytes: usage.memory_bytes,
            memory_limit_bytes: bundle::memory_mib(&self.common, self.kind) << 20,
            cpu_ms: usage.cpu_ms,
            cpu_limit_percent: bundle::cpu_percent(&self.common, self.kind),
            oom_kills: usage.oom_kills as u32,
            image: self.common.image.get().map_or_else(String::new, |image| image.name().to_owned()),
        })
    }
}

/// How SIGKILL is told of.
const KILLED: &str = "killed by signal 9";

/// Waits for the end of a child of ours, and reaps it.
pub async fn reaped(process: &PidFd) -> String {
    let mut children = signal(SignalKind::child()).ok();
    loop {
        match waitid(Id::PIDFd(process.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::Exited(_, code)) => return format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, Signal::SIGKILL, _)) => return KILLED.into(),
            Ok(WaitStatus::Signaled(_, signal, _)) => return format!("killed by signal {}", signal as i32),
            // Somebody else's child, for whatever reason: its end is seen all the same.
            Err(_) if process.wait(Some(Duration::ZERO)).unwrap_or(true) => return "ended".into(),
            Ok(_) | Err(_) => next_look(&mut children).await,
        }
    }
}

/// Waits until a process has ended, whoever reaps it.
async fn ended(process: &PidFd, within: Duration) {
    let mut children = signal(SignalKind::child()).ok();
    let look = async {
        while !process.wait(Some(Duration::ZERO)).unwrap_or(true) {
            next_look(&mut children).await;
        }
    };
    let _ = tokio::time::timeout(within, look).await;
}

/// Until a child has ended; once in a while in any case.
async fn next_look(children: &mut Option<tokio::signal::unix::Signal>) {
    let signalled = async {
        match children {
            Some(children) => drop(children.recv().await),
            None => std::future::pending().await,
        }
    };
    let _ = tokio::time::timeout(limits::CHILD_POLL, signalled).await;
}

fn read_pid(file: &Path) -> Result<u32, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    text.trim().parse().map_err(|_| format!("{}: not a pid: {text}", file.display()))
}

/// What the runtime's words mean for the operator, where that is known.
fn with_remedy(reason: String) -> String {
    let low = reason.to_ascii_lowercase();
    let remedy = if low.contains("cgroup") {
        "the control groups below /sys/fs/cgroup must be writable for chassisd, and the runtime must know their kind \
         (crun does not know the hybrid one; runc does)"
    } else if low.contains("exec format error") {
        "the image was made for another kind of machine"
    } else if low.contains("permission denied") && low.contains("usr/bin") {
        "the state-dir must be on a file system without the option noexec"
    } else if low.contains("operation not permitted") {
        "a container can only be made by root with all capabilities; --re-runtime process needs none of this"
    } else {
        return reason;
    };
    format!("{reason}; {remedy}")
}
