//! What the parts of mgd share: the role, the committed configuration, who has applied it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use holdfast_config::Schema;
use holdfast_ipc::{DaemonArgs, RunDir};
use holdfast_proto::v1::{self, Role};
use tokio::sync::watch;

use crate::{applied::Applied, clients::Clients, peer::PeerView, readiness, store::Committed};

/// Name of this daemon on sockets and in messages.
pub const NAME: &str = "mgd";

/// Role and epoch as chassisd gave them last.
#[derive(Debug, Clone, Copy)]
pub struct Term {
    /// The part this process plays.
    pub role: Role,
    /// The primary term it knows of.
    pub epoch: u64,
}

/// Everything that is not constant, under one lock that is never held across an await.
#[derive(Debug)]
pub struct Mutable {
    /// Role and epoch.
    pub term: Term,
    /// Reports of the slot's daemons.
    pub applied: Applied,
    /// Why start-up cannot succeed.
    pub error: String,
    /// What the primary's mgd said last; of a backup.
    pub peer: PeerView,
    /// Who is committing right now.
    pub committing: Option<String>,
}

/// The process.
#[derive(Debug)]
pub struct State {
    /// This slot: "re0" or "re1".
    pub slot: String,
    /// The other one.
    pub peer_slot: &'static str,
    /// Paths of the sockets.
    pub run_dir: RunDir,
    /// Paths of lasting files.
    pub state_dir: PathBuf,
    /// The models.
    pub schema: Schema,
    /// Connections to the other processes.
    pub clients: Clients,
    /// CLOCK_MONOTONIC at the start.
    pub started_mono_ns: u64,
    /// The newest configuration; subscribers follow it.
    pub committed: watch::Sender<Option<Arc<Committed>>>,
    /// Changes with every report of a daemon.
    pub reports: watch::Sender<u64>,
    /// Set once this process is to end.
    pub stop: watch::Sender<bool>,
    mutable: Mutex<Mutable>,
}

impl State {
    /// The state at the start: no configuration yet.
    pub fn new(args: &DaemonArgs, schema: Schema) -> Arc<Self> {
        let run_dir = args.run_dir();
        let term = Term { role: args.role(), epoch: args.epoch };
        Arc::new(Self {
            clients: Clients::new(&run_dir, &args.slot),
            slot: args.slot.clone(),
            peer_slot: args.peer_slot(),
            run_dir,
            state_dir: args.state_dir.clone(),
            schema,
            started_mono_ns: holdfast_ipc::mono_ns(),
            committed: watch::Sender::new(None),
            reports: watch::Sender::new(0),
            stop: watch::Sender::new(false),
            mutable: Mutex::new(Mutable {
                term,
                applied: Applied::default(),
                error: String::new(),
                peer: PeerView::default(),
                committing: None,
            }),
        })
    }

    /// The changing part. A panic elsewhere leaves plain values, so a poisoned lock is as good as any.
    pub fn lock(&self) -> MutexGuard<'_, Mutable> {
        self.mutable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Role and epoch now.
    pub fn term(&self) -> Term {
        self.lock().term
    }

    /// The configuration in force.
    pub fn configuration(&self) -> Option<Arc<Committed>> {
        self.committed.borrow().clone()
    }

    /// Puts a configuration into force: subscribers get it next. What it does to readiness is in the log, too.
    pub fn publish(&self, committed: impl Into<Arc<Committed>>) {
        let committed = committed.into();
        if let Some(before) = self.configuration() {
            let compile = |committed: &Committed| committed.configuration.compile(committed.commit_id);
            for check in readiness::newly_failing(&compile(&before), &compile(&committed)) {
                tracing::warn!(
                    commit = committed.commit_id,
                    "{}: {}; to mend: {}",
                    check.title,
                    check.observed,
                    check.remedy
                );
            }
        }
        self.lock().applied.expect(committed.commit_id);
        self.committed.send_replace(Some(committed));
    }

    /// Takes a daemon's word on a configuration.
    pub fn report(&self, daemon: &str, commit_id: u64, ok: bool, message: &str) {
        self.lock().applied.report(daemon, commit_id, ok, message);
        self.reports.send_modify(|count| *count += 1);
    }

    /// The digest of the table "configuration" as it is compared between the slots.
    pub fn digest(&self) -> Option<v1::TableDigest> {
        self.configuration().map(|committed| table_digest(committed.configuration.digest()))
    }
}

/// A digest of 256 bits as the first 64 of it, which is what tables are compared by.
pub fn table_digest(sha256: &[u8]) -> v1::TableDigest {
    let digest = sha256.iter().take(8).fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte));
    v1::TableDigest { table: "configuration".to_owned(), digest, entries: 1 }
}
