//! The chassis: one value that owns the processes, the epoch, the vault and the run, and one loop that changes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdfast_ipc::{RunDir, unix_ms};
use holdfast_issu::{Answer, Daemon, Issu, Request, RequestId, Side};
use holdfast_proto::v1;
use holdfast_vault::Vault;
use tokio::sync::{mpsc, oneshot};

use crate::alarms::{Alarms, Cause};
use crate::calls::Link;
use crate::error::ChassisError;
use crate::evidence::Baseline;
use crate::fault_injection::Aid;
use crate::interrupted::Interrupted;
use crate::journal::{Journal, Record, RunLog};
use crate::periodic::Periodic;
use crate::run::CurrentRun;
use crate::runtime::{ProcessSpec, Running, Runtime};
use crate::steady::SinceRun;
use crate::store::{KnownProcess, Store};

/// A slot's name.
pub type Slot = &'static str;

/// The first slot, where every start begins.
pub const FIRST_SLOT: Slot = "re0";

/// One process of the table.
#[derive(Debug)]
pub struct Process {
    /// How to signal it and hear of its end.
    pub running: Running,
    /// How to call it.
    pub link: Link,
    /// Grows with each process started: tells news of this one from news of its predecessor.
    pub generation: u64,
    /// For the operator.
    pub started_unix_ms: u64,
    /// For the back-off.
    pub started: Instant,
    /// Its end was asked for: no event, no restart.
    pub end_expected: bool,
    /// SIGSTOPped as a fence.
    pub fenced: bool,
    /// It has said "ready" once.
    pub ready: bool,
    /// Status calls in a row without an answer.
    pub misses: u32,
}

/// What is remembered of a place (slot and daemon) while processes come and go.
#[derive(Debug, Default)]
pub struct Place {
    /// How often a process was restarted here.
    pub restarts: u32,
    /// How the last one ended.
    pub last_exit: String,
    /// The pause before the next restart.
    pub delay: Duration,
}

/// Who waits for a process to have been replaced.
#[derive(Debug)]
pub enum Waiter {
    /// The in-service machine.
    Engine(RequestId),
    /// An operator, who is told this when it is ready.
    Operator(oneshot::Sender<Result<String, String>>, String),
}

/// News for the loop.
#[derive(Debug)]
pub enum News {
    /// A process exists by now: its pid is known.
    Begun,
    /// A process has ended.
    Exited { slot: Slot, daemon: Daemon, generation: u64, how: String },
    /// An answer for the machine.
    Answered(RequestId, Result<Answer, String>),
    /// The run, held by the test aid, goes on.
    Released,
    /// Something for the run's report, together with the machine's answer.
    Learned(RequestId, Box<Learned>),
    /// The predecessor is gone: start this one as primary.
    Replace { slot: Slot, daemon: Daemon, epoch: u64, waiter: Waiter },
    /// A restart after the back-off.
    Restart { slot: Slot, daemon: Daemon },
    /// A ppmd has ended.
    PeriodicExited { generation: u64, how: String },
    /// Its restart after the back-off.
    PeriodicRestart,
    /// A successor of ppmd has had its time.
    PeriodicOverdue { generation: u64 },
    /// A status call of the watchdog to ppmd.
    PeriodicWatched { generation: u64, answer: Result<(), String> },
    /// Whether the router is steady since the last run; comes before the pre-checks' answer.
    Steadiness(Result<String, String>),
    /// A status call of the watchdog.
    Watched { slot: Slot, daemon: Daemon, generation: u64, answer: Result<v1::DaemonStatus, String> },
}

/// Replies that the report needs beside the machine.
#[derive(Debug)]
pub enum Learned {
    /// Before the run.
    Baseline(Baseline),
    /// After it, of the side that is primary then.
    Evidence((Side, Baseline)),
    /// A daemon's Synchronization.
    Synchronization(Side, Daemon, v1::SynchronizationReply),
    /// A daemon's readiness.
    Prepared(v1::PrepareReply),
    /// Where a daemon stands.
    Frozen(Side, Daemon, v1::FreezeReply),
    /// What a new daemon found.
    Activated(Daemon, v1::ActivateReply),
    /// Checks after the switch.
    Verified(Daemon, v1::VerifyReply),
    /// mgd's checks.
    Checked(v1::CheckReadinessReply),
}

/// Everything chassisd knows.
pub struct Chassis {
    /// Paths of the run-dir.
    pub run_dir: RunDir,
    /// Where lasting files are.
    pub state_dir: PathBuf,
    /// For display.
    pub netns: String,
    /// How processes are run.
    pub runtime: Arc<dyn Runtime>,
    /// Epoch, run counter, processes on disk.
    pub store: Store,
    /// Records of runs.
    pub journal: Journal,
    /// Records whose end the disk did not take, newest first; see `ended`.
    pub unkept: Vec<Record>,
    /// Descriptors.
    pub vault: Arc<Mutex<Vault>>,
    /// Neighbours whose sessions ended with an rpd that died.
    pub interrupted: Interrupted,
    /// An rpd of an earlier chassisd ran until now: the first one of this takes its place.
    pub follows_rpd: bool,
    /// The processes that run.
    pub processes: BTreeMap<(Slot, Daemon), Process>,
    /// ppmd, beside the slots.
    pub periodic: Periodic,
    /// Memory of each place.
    pub places: BTreeMap<(Slot, Daemon), Place>,
    /// The in-service state machine.
    pub machine: Issu,
    /// The run under way.
    pub run: Option<CurrentRun>,
    /// The last run, for those who still follow it.
    pub last_run: Option<Arc<RunLog>>,
    /// What happened since the last run that switched; `None`: there was none in this life of chassisd.
    pub since_run: Option<SinceRun>,
    /// The primary slot.
    pub master: Slot,
    /// The term.
    pub epoch: u64,
    /// What an operator ought to look at.
    pub alarms: Alarms,
    /// News for the loop.
    pub news: mpsc::Sender<News>,
    /// When chassisd started.
    pub started_unix_ms: u64,
    /// See `fault_injection`.
    pub aid: Aid,
    /// The request before which the run stands.
    pub standing: Option<(RequestId, Request)>,
    /// Do not restart anything: the router is being stopped.
    pub stopping: bool,
    /// The configuration that the very first mgd loads.
    pub load: Option<PathBuf>,
    pub(crate) generations: u64,
}

impl Chassis {
    /// The vault.
    pub fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one process and notes it on disk.
    pub fn start_process(&mut self, slot: Slot, daemon: Daemon, role: &str, epoch: u64) -> Result<(), ChassisError> {
        let slot_dir = self.run_dir.slot_dir(slot);
        std::fs::create_dir_all(&slot_dir).map_err(ChassisError::file(&slot_dir))?;
        let socket = self.run_dir.daemon_socket(slot, daemon.name());
        let _ = std::fs::remove_file(&socket); // of a predecessor: nobody may take it for an answer
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let mut arguments: Vec<String> = vec!["--slot".into(), slot.into()];
        arguments.extend(["--run-dir".into(), path(self.run_dir.path()), "--state-dir".into(), path(&self.state_dir)]);
        arguments.extend(["--role".into(), role.into(), "--epoch".into(), epoch.to_string()]);
        if daemon == Daemon::Rpd && role == "primary" {
            arguments.extend(self.what_a_crash_left(slot));
        }
        let load = if daemon == Daemon::Mgd { self.load.take() } else { None };
        let spec = ProcessSpec { slot, daemon, arguments, load, log: self.log(slot, daemon) };
        let running = self.runtime.spawn(&spec)?;
        self.generations += 1;
        let generation = self.generations;
        tracing::info!(role, epoch, "{} is started", spec.name());
        self.report_exit(slot, daemon, generation, running.clone());
        let process = Process {
            link: Link::new(&socket),
            running,
            generation,
            started_unix_ms: unix_ms(),
            started: Instant::now(),
            end_expected: false,
            fenced: false,
            ready: false,
            misses: 0,
        };
        self.processes.insert((slot, daemon), process);
        self.remember_processes();
        Ok(())
    }

    /// What the rpd is to know that takes a dead one's place (RFC 4724 §4.1): that the router went on forwarding, and whose sessions
    /// were up. Nothing for the first one of a router that was just started.
    fn what_a_crash_left(&self, slot: Slot) -> Vec<String> {
        if !self.follows_rpd && self.places.get(&(slot, Daemon::Rpd)).is_none_or(|place| place.restarts == 0) {
            return Vec::new();
        }
        let neighbors =
            self.interrupted.neighbors().flat_map(|neighbor| ["--interrupted".to_owned(), neighbor.to_string()]);
        std::iter::once("--respawned".to_owned()).chain(neighbors).collect()
    }

    fn report_exit(&self, slot: Slot, daemon: Daemon, generation: u64, running: Running) {
        let news = self.news.clone();
        tokio::spawn(async move {
            running.begun().await;
            let _ = news.send(News::Begun).await;
            let how = running.ended().await;
            let _ = news.send(News::Exited { slot, daemon, generation, how }).await;
        });
    }

    /// `STATE/log/<slot>-<name>.log`
    pub fn log(&self, slot: Slot, daemon: Daemon) -> PathBuf {
        self.state_dir.join("log").join(format!("{slot}-{daemon}.log"))
    }

    /// Keeps pids and start times on disk, so that a successor of chassisd finds what it left.
    pub fn remember_processes(&mut self) {
        let known = self.processes.iter().filter(|(_, process)| process.running.exit().is_none());
        self.store.persistent.processes = known
            .filter_map(|(&(slot, daemon), process)| {
                let pid = process.running.pid();
                let start_time_ticks = holdfast_kernel::process::start_time_ticks(pid).ok()?;
                Some(KnownProcess { slot: slot.into(), name: daemon.name().into(), pid, start_time_ticks })
            })
            .chain(self.periodic.known())
            .collect();
        self.save();
    }

    /// Writes what has to outlive chassisd; an alarm stands for as long as that fails.
    pub fn save(&mut self) {
        match self.store.save() {
            Ok(()) if self.unkept.is_empty() => self.alarms.end(Cause::Disk),
            Ok(()) => {}
            Err(error) => self.alarm_of(Cause::Disk, format!("the chassis's state cannot be saved: {error}")),
        }
    }

    /// The process of a place, if one runs.
    pub fn process(&self, slot: Slot, daemon: Daemon) -> Option<&Process> {
        self.processes.get(&(slot, daemon)).filter(|process| process.running.exit().is_none())
    }

    /// Those of a slot that run.
    pub fn running(&self, slot: Slot) -> Vec<Running> {
        let of_slot = Daemon::ALL.into_iter().filter_map(|daemon| self.process(slot, daemon));
        of_slot.map(|process| process.running.clone()).collect()
    }

    /// Their end is wanted: it makes no event and no restart.
    pub fn expect_end(&mut self, slot: Slot, only: Option<Daemon>) {
        for ((of, daemon), process) in &mut self.processes {
            if *of == slot && only.is_none_or(|only| only == *daemon) {
                process.end_expected = true;
            }
        }
    }

    /// Raises the term everywhere in chassisd.
    pub fn raise_epoch(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
        self.vault().raise_epoch(epoch);
    }

    /// Points DIR/mgd.sock to a slot's mgd; whoever connects sees the old one or the new one.
    pub fn flip(&mut self, slot: Slot) -> Result<(), ChassisError> {
        let link = self.run_dir.master_management_socket();
        let temporary = self.run_dir.path().join(".mgd.sock.new");
        let _ = std::fs::remove_file(&temporary);
        std::os::unix::fs::symlink(format!("{slot}/mgd.sock"), &temporary).map_err(ChassisError::file(&temporary))?;
        std::fs::rename(&temporary, &link).map_err(ChassisError::file(&link))?;
        Ok(())
    }

    /// Something an operator ought to know when nobody is watching.
    pub fn alarm(&mut self, text: String) {
        self.alarm_of(Cause::Operation, text);
    }

    /// The same, with what ends it.
    pub fn alarm_of(&mut self, cause: Cause, text: String) {
        tracing::warn!("alarm: {text}");
        if let Some(since) = &mut self.since_run {
            since.alarms += 1;
        }
        self.alarms.raise(cause, text, unix_ms());
    }

    /// What a process of the primary has to say of what does not work, all of it.
    pub fn complaints(&mut self, daemon: Daemon, texts: &[String]) {
        let new = self.alarms.told_by(daemon, texts, unix_ms());
        new.iter().for_each(|text| tracing::warn!("alarm: {text}"));
        if let Some(since) = &mut self.since_run {
            since.alarms += new.len() as u32;
        }
    }
}
