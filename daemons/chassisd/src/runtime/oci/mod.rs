//! Routing engines as OCI containers, through runc or any runtime with its command line.
//!
//! ```text
//!  chassisd ── runc run ──> re0   (mgd, rpd)    pid 1: holdfast container-init
//!           ── runc run ──> pfe0  (pfed)        pid 1: the same
//!           ── runc exec ─> mgd, rpd, pfed      each with its own capabilities
//! ```
//!
//! A container is made when the first process of it is started, and removed when its slot is released. Processes are put
//! into it by `exec`, so one can be replaced in place; `container-init` only reaps and ends. The runtime's commands end at once
//! and leave the processes behind: chassisd is their subreaper, so it is their parent and hears how they end, exactly as
//! of plain children. What has to be quick or certain (freezing, thawing, killing) goes to the kernel directly.
//! (ADR 11)
//!
//! - [`command`]: the runtime: found, looked at, called with a deadline.
//! - [`bundle`]: what a container is given: mounts, namespaces, limits; [`profile`]: capabilities and system calls.
//! - [`container`]: the life of one container.

mod bundle;
mod command;
mod container;
mod profile;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use holdfast_ipc::RunDir;
use holdfast_issu::Daemon;
use holdfast_kernel::cgroup;
use holdfast_proto::v1;
use nix::sys::wait::{WaitPidFlag, waitpid};

use self::command::OciCommand;
use self::container::Container;
use super::running::Launch;
use super::{ProcessSpec, Running, Runtime, Work};
use crate::chassis::Slot;
use crate::error::ChassisError;
use crate::image::{Image, Source};
use crate::limits;

/// What was asked for on the command line.
#[derive(Clone, Debug)]
pub struct OciOptions {
    /// The runtime's program; else it is looked for in PATH.
    pub program: Option<PathBuf>,
    /// Memory of a routing engine.
    pub re_memory_mib: u64,
    /// CPU time of a routing engine, 100 being one CPU.
    pub re_cpu_percent: u32,
}

/// The two kinds of containers of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// mgd and rpd.
    Engine,
    /// pfed.
    Forwarding,
}

impl Kind {
    fn of(daemon: Daemon) -> Self {
        match daemon {
            Daemon::Mgd | Daemon::Rpd => Kind::Engine,
            Daemon::Pfed => Kind::Forwarding,
        }
    }

    /// "re0" or "pfe0": the container's host name and the end of its id.
    fn name(self, slot: Slot) -> String {
        match self {
            Kind::Engine => slot.to_owned(),
            Kind::Forwarding => slot.replace("re", "pfe"),
        }
    }
}

/// What every container of a router shares.
#[derive(Debug)]
pub struct Common {
    command: OciCommand,
    run_dir: RunDir,
    state_dir: PathBuf,
    options: OciOptions,
    /// Known once it was prepared.
    image: OnceLock<Image>,
    seccomp: OnceLock<bool>,
    version: OnceLock<String>,
}

/// See the module.
pub struct OciRuntime {
    common: Arc<Common>,
    bin_dir: PathBuf,
    containers: Mutex<BTreeMap<(Slot, Kind), Arc<Container>>>,
}

impl OciRuntime {
    /// Finds the runtime; nothing is made yet.
    pub fn new(
        options: OciOptions,
        bin_dir: PathBuf,
        run_dir: RunDir,
        state_dir: PathBuf,
    ) -> Result<Self, ChassisError> {
        let command = OciCommand::find(options.program.as_deref(), &run_dir)?;
        // The runtime's command ends at once: what it started becomes our child.
        nix::sys::prctl::set_child_subreaper(true)
            .map_err(|error| ChassisError::System { what: "become a subreaper", source: error.into() })?;
        let common = Common {
            command,
            run_dir,
            state_dir,
            options,
            image: OnceLock::new(),
            seccomp: OnceLock::new(),
            version: OnceLock::new(),
        };
        Ok(OciRuntime { common: Arc::new(common), bin_dir, containers: Mutex::default() })
    }

    fn container(&self, slot: Slot, kind: Kind) -> Arc<Container> {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Container::new(self.common.clone(), slot, kind));
        containers.entry((slot, kind)).or_insert_with(new).clone()
    }
}

impl Runtime for OciRuntime {
    fn name(&self) -> &'static str {
        "oci"
    }

    fn version(&self) -> String {
        self.common.version.get().cloned().unwrap_or_default()
    }

    fn prepare(&self) -> Work<Result<(), ChassisError>> {
        let (common, bin_dir) = (self.common.clone(), self.bin_dir.clone());
        Box::pin(async move {
            let found = common.command.look_at().await?;
            tracing::info!("routing engines run in containers, by {} ({})", found.version, common.command.display());
            let _ = common.version.set(found.version);
            let _ = common.seccomp.set(found.seccomp);
            let state_dir = common.state_dir.clone();
            let image = blocking(move || Image::of_installation(&bin_dir, &state_dir)).await?;
            tracing::info!("image {}", image.name());
            let _ = common.image.set(image);
            for folder in ["volumes/home", "config"].map(|name| common.state_dir.join(name)) {
                fs::create_dir_all(&folder).map_err(ChassisError::file(&folder))?;
            }
            Ok(())
        })
    }

    fn spawn(&self, spec: &ProcessSpec) -> Result<Running, ChassisError> {
        let container = self.container(spec.slot, Kind::of(spec.daemon));
        let (launch, running) = Launch::new();
        let spec = spec.clone();
        tokio::spawn(async move { run(&container, &spec, launch).await });
        Ok(running)
    }

    fn release(&self, slot: Slot, politely: bool) -> Work<Result<(), String>> {
        let both = [Kind::Engine, Kind::Forwarding].map(|kind| self.container(slot, kind));
        both.iter().for_each(|container| container.leave());
        Box::pin(async move {
            let [engine, forwarding] =
                both.map(|container| tokio::spawn(async move { container.remove(politely).await }));
            let join = |result: Result<Result<(), String>, tokio::task::JoinError>| result.unwrap_or(Ok(()));
            join(engine.await).and(join(forwarding.await))
        })
    }

    fn software(&self) -> Option<Source> {
        self.common.image.get().cloned().map(Source::Image)
    }

    fn containers(&self) -> Vec<v1::ContainerState> {
        let containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        containers.values().filter_map(|container| container.view()).collect()
    }
}

/// From the request to the end of one process.
async fn run(container: &Container, spec: &ProcessSpec, launch: Launch) {
    match container.execute(spec, &launch).await {
        Ok(process) => {
            let how = container::reaped(&process).await;
            launch.ended(container.explain(how));
        }
        Err(reason) => launch.ended(format!("could not be started: {reason}")),
    }
}

/// For work that reads or hashes files.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChassisError> + Send + 'static,
) -> Result<T, ChassisError> {
    let failed = |error| ChassisError::System { what: "wait for a thread", source: std::io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// Ends the containers of a run-dir whose chassisd is gone, with or without the runtime's help. Returns what was done.
pub fn remove_left_overs(run_dir: &RunDir) -> Vec<String> {
    let prefix = run_dir.container_prefix();
    let mut told = Vec::new();
    match cgroup::remove(&prefix, limits::EXIT_DEADLINE) {
        Ok(killed) if !killed.is_empty() => {
            told.push(format!("containers {prefix}-*, left by an earlier chassisd, were removed"));
            // Some may have become our own children.
            let pids = killed.into_iter().filter_map(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
            pids.for_each(|pid| {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            });
        }
        Ok(_) => {}
        Err(error) => told.push(format!("containers left by an earlier chassisd: {error}")),
    }
    let _ = fs::remove_dir_all(run_dir.oci_dir());
    told
}
