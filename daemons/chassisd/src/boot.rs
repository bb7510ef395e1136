//! From nothing to a router that is up; or a message, and nothing left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_ipc::{RunDir, mono_ns, unix_ms};
use holdfast_issu::{Daemon, Issu};
use holdfast_kernel::cgroup;
use holdfast_vault::Vault;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::alarms::{Alarms, Cause};
use crate::args::{Args, RuntimeArg};
use crate::chassis::{Chassis, FIRST_SLOT, News};
use crate::control::Command;
use crate::error::ChassisError;
use crate::fault_injection::Aid;
use crate::interrupted::Interrupted;
use crate::journal::Journal;
use crate::left_over::LeftOver;
use crate::limits;
use crate::periodic::Periodic;
use crate::runtime::{self, OciOptions, OciRuntime, ProcessRuntime, Runtime};
use crate::starter::Starter;
use crate::store::Store;

/// The runtime asked for.
pub fn runtime(args: &Args, bin_dir: &Path) -> Result<Arc<dyn Runtime>, ChassisError> {
    match args.re_runtime {
        RuntimeArg::Process => Ok(Arc::new(ProcessRuntime::new(bin_dir.to_path_buf()))),
        RuntimeArg::Oci => {
            let options = OciOptions {
                program: args.oci_runtime.clone(),
                re_memory_mib: args.re_memory_limit,
                re_cpu_percent: args.re_cpu_limit.unwrap_or_default(),
            };
            let run_dir = RunDir::new(absolute(&args.run_dir)?);
            Ok(Arc::new(OciRuntime::new(options, bin_dir.to_path_buf(), run_dir, absolute(&args.state_dir)?)?))
        }
    }
}

/// Where mgd, rpd and pfed are; all three must be there.
pub fn bin_dir(args: &Args) -> Result<PathBuf, ChassisError> {
    let beside =
        || std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf)).unwrap_or_default();
    let folder = args.bin_dir.clone().unwrap_or_else(beside);
    for daemon in Daemon::ALL {
        let path = folder.join(daemon.name());
        if !path.is_file() {
            return Err(ChassisError::NoBinary { path });
        }
    }
    Ok(folder)
}

/// `mgd --check FILE`: what is wrong is told before anything is made or started.
pub async fn check_configuration(bin_dir: &Path, config: &Path) -> Result<(), ChassisError> {
    let spawn_failed = |source| ChassisError::Spawn { name: "mgd --check".into(), source };
    let child = tokio::process::Command::new(bin_dir.join("mgd"))
        .arg("--check")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn_failed)?;
    let output = match tokio::time::timeout(limits::CHECK_DEADLINE, child.wait_with_output()).await {
        Ok(output) => output.map_err(spawn_failed)?,
        Err(_) => {
            let seconds = limits::CHECK_DEADLINE.as_secs();
            return Err(ChassisError::Configuration(format!("mgd --check did not end within {seconds} s")));
        }
    };
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text).trim_end().to_string();
    Err(ChassisError::Configuration(if text.is_empty() { format!("mgd --check: {}", output.status) } else { text }))
}

/// Everything but the processes. Ends what an earlier life has left, ppmd apart, and says so.
pub fn assemble(
    args: &Args,
    runtime: Arc<dyn Runtime>,
    periodic: Periodic,
    mut left: LeftOver,
    mut store: Store,
    news: mpsc::Sender<News>,
) -> Result<Chassis, ChassisError> {
    let run_dir = RunDir::new(absolute(&args.run_dir)?);
    let earlier = store.persistent.container_run_dir.take().filter(|earlier| earlier != run_dir.path());
    let run_dirs: Vec<RunDir> = [run_dir.clone()].into_iter().chain(earlier.map(RunDir::new)).collect();
    run_dirs.iter().for_each(|run_dir| cgroup::thaw(&run_dir.container_prefix()));
    // ppmd goes on, whatever becomes of this start.
    store.persistent.processes.retain(|process| process.name == crate::periodic::NAME);
    let mut alarms = left.end();
    alarms.extend(run_dirs.iter().flat_map(runtime::remove_left_overs));
    store.persistent.container_run_dir = (args.re_runtime == RuntimeArg::Oci).then(|| run_dir.path().to_path_buf());
    let journal = Journal::new(&args.state_dir);
    alarms.extend(journal.close_interrupted());
    let mut active = Alarms::default();
    for alarm in alarms {
        tracing::warn!("{alarm}");
        active.raise(Cause::Operation, alarm, unix_ms());
    }
    let epoch = store.persistent.epoch + 1;
    store.persistent.epoch = epoch;
    store.save()?;
    for slot in ["re0", "re1"] {
        let _ = fs::remove_dir_all(run_dir.slot_dir(slot)); // sockets of an earlier life
    }
    let load = args.config.as_deref().map(absolute).transpose()?;
    let mut interrupted = Interrupted::default();
    interrupted.note_neighbors(left.routing.iter().flatten().copied(), std::time::Instant::now());
    let mut chassis = Chassis {
        run_dir,
        state_dir: absolute(&args.state_dir)?,
        netns: args.netns.clone(),
        runtime,
        machine: Issu::new(last_ended(store.persistent.last_run_ended_unix_ms)),
        store,
        journal,
        unkept: Vec::new(),
        vault: Arc::new(Mutex::new(Vault::new(epoch))),
        interrupted,
        follows_rpd: left.routing.is_some(),
        processes: BTreeMap::new(),
        periodic,
        places: BTreeMap::new(),
        run: None,
        last_run: None,
        since_run: None,
        master: FIRST_SLOT,
        epoch,
        alarms: active,
        news,
        started_unix_ms: unix_ms(),
        aid: Aid::from_environment(),
        standing: None,
        stopping: false,
        load,
        generations: 0,
    };
    chassis.adopt_periodic(left.periodic);
    Ok(chassis)
}

/// What a path means that was given on a command line.
pub fn absolute(path: &Path) -> Result<PathBuf, ChassisError> {
    std::path::absolute(path).map_err(ChassisError::file(path))
}

/// The end of the last run on the machine's clock, from the wall clock that outlives a restart.
fn last_ended(unix_ms_then: u64) -> Option<Duration> {
    let ago = Duration::from_millis(unix_ms().saturating_sub(unix_ms_then));
    (unix_ms_then > 0).then(|| Duration::from_nanos(mono_ns()).saturating_sub(ago))
}

impl Chassis {
    /// Starts the first slot and waits until all three say that they are ready.
    pub async fn start_router(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        commands: &mut mpsc::Receiver<Command>,
        signals: &mut mpsc::Receiver<&'static str>,
        starter: &Starter,
    ) -> Result<(), ChassisError> {
        self.flip(FIRST_SLOT)?;
        if !self.periodic.is_wanted() {
            // Of an earlier life: whoever finds it would take ppmd for started.
            let _ = std::fs::remove_file(self.run_dir.periodic_socket());
        }
        for daemon in Daemon::ALL {
            self.start_process(FIRST_SLOT, daemon, "primary", self.epoch)?;
        }
        let deadline = Instant::now() + limits::START_DEADLINE;
        let mut waiting = Vec::from(Daemon::ALL);
        let mut said = String::new();
        while let Some(&daemon) = waiting.first() {
            let detail = match self.look_at(daemon).await? {
                None => {
                    waiting.remove(0);
                    continue;
                }
                Some(detail) => format!("waiting for {FIRST_SLOT}/{daemon}: {detail}"),
            };
            if detail != said {
                tracing::info!("{detail}");
                said = detail.clone();
            }
            if Instant::now() >= deadline {
                let reason = format!("is not ready after {} s: {detail}", limits::START_DEADLINE.as_secs());
                return Err(self.start_error(daemon, reason));
            }
            if starter.is_gone() {
                return Err(ChassisError::Interrupted("whoever started the router is gone"));
            }
            tokio::select! {
                () = tokio::time::sleep(limits::START_POLL) => {}
                Some(signal) = signals.recv() => return Err(ChassisError::Interrupted(signal)),
                Some(command) = commands.recv() => match command {
                    Command::View(reply) => drop(reply.send(self.view())),
                    Command::EnsurePeriodic(reply) => drop(reply.send(self.ensure_periodic())),
                    Command::Stop(..) => return Err(ChassisError::Interrupted("stop was requested")),
                    other => drop(other), // answered as "unavailable"
                },
                Some(item) = news.recv() => match item {
                    News::Exited { daemon, how, .. } => {
                        return Err(self.start_error(daemon, format!("ended while starting ({how})")));
                    }
                    News::PeriodicExited { generation, how } => self.periodic_exited(generation, how),
                    News::PeriodicRestart => self.restart_periodic(),
                    News::PeriodicOverdue { generation } => self.periodic_overdue(generation),
                    _ => {}
                },
            }
        }
        Ok(())
    }

    /// `None`: ready; else what it waits for.
    async fn look_at(&mut self, daemon: Daemon) -> Result<Option<String>, ChassisError> {
        let Some(link) = self.process(FIRST_SLOT, daemon).map(|process| process.link.clone()) else {
            return Ok(Some("it has ended".into()));
        };
        match link.status(limits::WATCH_TIMEOUT).await {
            Ok(status) if !status.error.is_empty() => {
                Err(self.start_error(daemon, format!("cannot start: {}", status.error)))
            }
            Ok(status) if status.ready => {
                if let Some(process) = self.processes.get_mut(&(FIRST_SLOT, daemon)) {
                    process.ready = true;
                }
                Ok(None)
            }
            Ok(status) => Ok(Some(status.detail)),
            Err(_) => Ok(Some("it does not answer yet".into())),
        }
    }

    fn start_error(&self, daemon: Daemon, reason: String) -> ChassisError {
        let log = tail(&self.log(FIRST_SLOT, daemon));
        let log = if log.is_empty() { log } else { format!("; its log ends with:\n{log}") };
        ChassisError::Start { name: format!("{FIRST_SLOT}/{daemon}"), reason, log }
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(limits::LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(limits::LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(limits::LOG_TAIL_LINES)..].join("\n")
}
