//! The chassis's own pre-checks: processes, descriptors, image, machine, and what is on disk. Observed anew each time,
//! without effect, by an operator's question or by the first phase of a run.
//!
//! The loop hands out a snapshot of what only it knows; everything slow (files, /proc, questions to daemons) happens beside
//! the loop, on a thread of its own. Each concern has its file, and its checks are functions of what was observed.

mod cgroup;
mod descriptors;
mod disk;
mod image;
mod machine;
mod past;
mod processes;
mod sockets;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use holdfast_ipc::{RunDir, unix_ms};
use holdfast_issu::Daemon;
use holdfast_proto::check::Rule;
use holdfast_proto::v1;

pub use past::{read as past_runs, sizes};

use crate::calls::{Link, answer};
use crate::chassis::{Chassis, Slot};
use crate::evidence;
use crate::forecast;
use crate::journal::Journal;
use crate::limits;

/// A process of the table, as the loop knows it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Slot.
    pub slot: Slot,
    /// Which.
    pub daemon: Daemon,
    /// 0 once it has ended.
    pub pid: u32,
    /// Questions of the watchdog in a row without an answer.
    pub misses: u32,
    /// Wall clock and machine's clock at its start.
    pub started: (u64, Instant),
    /// How to ask it.
    pub link: Link,
}

impl Seen {
    /// "re0/rpd".
    pub fn name(&self) -> String {
        format!("{}/{}", self.slot, self.daemon)
    }
}

/// What only the loop knows, at one moment.
#[derive(Debug)]
pub struct Snapshot {
    asked_by: u64,
    run: Option<(u64, &'static str)>,
    master: Slot,
    epoch: u64,
    processes: Vec<Seen>,
    vault: Vec<(String, String)>,
    alarms: Vec<String>,
    run_dir: RunDir,
    state_dir: PathBuf,
    software: Option<crate::image::Source>,
    journal: Journal,
    started_unix_ms: u64,
    last_run_ended_unix_ms: u64,
}

impl Chassis {
    /// An inspection for a question of run `asked_by` (0: an operator).
    pub fn inspector(&self, asked_by: u64) -> Inspector {
        Inspector { snapshot: Arc::new(self.snapshot(asked_by)), steadiness: Box::pin(self.steadiness()) }
    }

    fn snapshot(&self, asked_by: u64) -> Snapshot {
        let seen = |(&(slot, daemon), process): (&(Slot, Daemon), &crate::chassis::Process)| Seen {
            slot,
            daemon,
            pid: if process.running.exit().is_none() { process.running.pid() } else { 0 },
            misses: process.misses,
            started: (process.started_unix_ms, process.started),
            link: process.link.clone(),
        };
        let vault = self.vault();
        Snapshot {
            asked_by,
            run: self.machine.run_id().map(|run_id| (run_id, self.machine.state().name())),
            master: self.master,
            epoch: self.epoch,
            processes: self.processes.iter().map(seen).collect(),
            vault: vault.list("", "").map(|(name, entry)| (name.clone(), entry.kind.clone())).collect(),
            alarms: self.alarms.texts(),
            run_dir: self.run_dir.clone(),
            state_dir: self.state_dir.clone(),
            software: self.runtime.software(),
            journal: self.journal.clone(),
            started_unix_ms: self.started_unix_ms,
            last_run_ended_unix_ms: self.store.persistent.last_run_ended_unix_ms,
        }
    }
}

/// An inspection that can be made beside the loop.
pub struct Inspector {
    snapshot: Arc<Snapshot>,
    steadiness: Pin<Box<dyn Future<Output = Result<String, String>> + Send>>,
}

impl Inspector {
    /// Looks at everything; some tenths of a second.
    pub async fn inspect(self) -> v1::Inspection {
        let Inspector { snapshot, steadiness } = self;
        let local = {
            let snapshot = snapshot.clone();
            tokio::task::spawn_blocking(move || (snapshot.local_checks(), past::read(&snapshot.journal)))
        };
        let (statuses, tables, versions, local, steadiness) =
            tokio::join!(snapshot.statuses(), snapshot.tables(), image::versions(&snapshot), local, steadiness);
        let (local, past) = local.unwrap_or_default();
        let mut checks = snapshot.run_checks();
        checks.extend(processes::checks(&snapshot, &statuses));
        checks.extend(descriptors::checks(&snapshot, &tables));
        checks.extend(image::version_checks(&statuses, &versions));
        checks.extend(local);
        let forecast = forecast::predict(&past, sizes(&tables));
        v1::Inspection {
            checks,
            forecast: Some(forecast),
            last_run_ended_unix_ms: snapshot.last_run_ended_unix_ms,
            steady: steadiness.is_ok(),
            steadiness: steadiness.unwrap_or_else(|doubt| doubt),
        }
    }
}

impl Snapshot {
    /// Those that need nobody's answer.
    fn local_checks(&self) -> Vec<v1::Check> {
        let mut checks = image::checks(self);
        checks.extend(sockets::checks(self));
        checks.extend(disk::checks(self));
        checks.extend(machine::checks(self));
        checks
    }

    /// Another run, and what an operator ought to have looked at first.
    fn run_checks(&self) -> Vec<v1::Check> {
        let other = self.run.filter(|(run_id, _)| *run_id != self.asked_by);
        let observed = match other {
            Some((run_id, state)) => Err(format!("run {run_id} is in progress ({state})")),
            None => Ok("no other run".into()),
        };
        let alarms = match self.alarms.as_slice() {
            [] => Ok("no alarms".into()),
            [.., last] => Err(format!("{} alarms, the last: {last}", self.alarms.len())),
        };
        vec![
            Rule::refuses("run-in-progress", "No other run", "one in-service run at a time")
                .remedy("show chassis in-service-upgrade; ask again when it has ended")
                .observe(observed),
            Rule::asks("alarms", "No alarms", "no alarm is active")
                .remedy("show system alarms; clear system alarms when they have been looked at")
                .observe(alarms),
        ]
    }

    /// The process of the primary slot.
    fn primary(&self, daemon: Daemon) -> Option<&Seen> {
        self.processes.iter().find(|seen| seen.slot == self.master && seen.daemon == daemon)
    }

    /// Those of the primary slot that run.
    fn primaries(&self) -> impl Iterator<Item = &Seen> {
        self.processes.iter().filter(|seen| seen.slot == self.master && seen.pid != 0)
    }

    /// What each daemon of the primary slot says of itself, all asked at once.
    async fn statuses(&self) -> Vec<(Seen, Result<v1::DaemonStatus, String>)> {
        let ask = |seen: &Seen| {
            let seen = seen.clone();
            tokio::spawn(async move {
                let status = seen.link.status(limits::INSPECTION_CALL_DEADLINE).await;
                (seen, status)
            })
        };
        let questions: Vec<_> = self.primaries().map(ask).collect();
        let mut statuses = Vec::new();
        for question in questions {
            statuses.extend(question.await.ok());
        }
        statuses
    }

    /// Sessions and forwarding figures: what a forecast is reckoned for, and what the vault is compared with.
    async fn tables(&self) -> evidence::Tables {
        let link = |daemon| self.primary(daemon).filter(|seen| seen.pid != 0).map(|seen| seen.link.clone());
        let gone = || "the process does not run".to_string();
        let (rpd, pfed) = (link(Daemon::Rpd), link(Daemon::Pfed));
        let sessions = async {
            let mut client = rpd.as_ref().ok_or_else(gone)?.routing();
            let call = client.show_bgp_neighbors(v1::ShowBgpNeighborsRequest::default());
            answer(limits::INSPECTION_CALL_DEADLINE, call).await.map(|reply| reply.neighbors)
        };
        let forwarding = async {
            let mut client = pfed.as_ref().ok_or_else(gone)?.forwarding();
            let call = client.show_forwarding_summary(v1::ShowForwardingSummaryRequest {});
            answer(limits::INSPECTION_CALL_DEADLINE, call).await
        };
        let (sessions, forwarding) = tokio::join!(sessions, forwarding);
        evidence::Tables { sessions, forwarding }
    }
}

/// "a, b and 3 more".
fn named(names: &[String]) -> String {
    const NAMED_MAX: usize = 8;
    match names.len() {
        count if count <= NAMED_MAX => names.join(", "),
        count => format!("{} and {} more", names[..NAMED_MAX].join(", "), count - NAMED_MAX),
    }
}

/// Bytes for people.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

/// How long ago, or that it lies ahead.
fn seconds_ahead(then_unix_ms: u64) -> Option<u64> {
    let ahead = then_unix_ms.saturating_sub(unix_ms()) / 1000;
    (ahead > 0).then_some(ahead)
}
