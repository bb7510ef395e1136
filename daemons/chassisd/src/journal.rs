//! `STATE/runs/<id>.json`: where a run stands, what it said, and at the end its report.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_proto::v1;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::error::ChassisError;
use crate::limits;
use crate::store::write_durably;

/// The file's contents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The run as an operator sees it.
    pub run: v1::RunState,
    /// The new engine is primary for good.
    pub committed: bool,
    /// From and to.
    pub from_slot: String,
    /// See `from_slot`.
    pub to_slot: String,
    /// The term before the run.
    pub epoch_before: u64,
    /// Everything said so far.
    pub events: Vec<v1::RunEvent>,
    /// At the end.
    pub report: Option<v1::RunReport>,
}

/// A run in memory, shared with those who follow it.
#[derive(Debug)]
pub struct RunLog {
    record: Mutex<Record>,
    changed: watch::Sender<u64>,
}

impl RunLog {
    /// A run, running or read from its file.
    pub fn new(record: Record) -> Arc<Self> {
        Arc::new(RunLog { record: Mutex::new(record), changed: watch::Sender::new(0) })
    }

    /// The record; do not hold it across an await.
    pub fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an event (its sequence is set here) and wakes the followers.
    pub fn say(&self, mut event: v1::RunEvent) {
        let mut record = self.lock();
        if record.events.len() >= limits::RUN_EVENTS_MAX && !event.ended {
            return;
        }
        event.sequence = record.events.len() as u64 + 1;
        let sequence = event.sequence;
        record.events.push(event);
        drop(record);
        self.changed.send_replace(sequence);
    }

    /// Wakes at every event.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The events from `sequence` on (0 and 1 both mean all).
    pub fn events_from(&self, sequence: u64) -> Vec<v1::RunEvent> {
        let skip = sequence.saturating_sub(1) as usize;
        self.lock().events.iter().skip(skip).cloned().collect()
    }
}

/// The directory of records.
#[derive(Clone, Debug)]
pub struct Journal {
    directory: PathBuf,
}

impl Journal {
    /// STATE/runs.
    pub fn new(state_dir: &Path) -> Self {
        Journal { directory: state_dir.join("runs") }
    }

    fn path(&self, run_id: u64) -> PathBuf {
        self.directory.join(format!("{run_id}.json"))
    }

    /// Durable when it returns.
    pub fn write(&self, record: &Record) -> Result<(), ChassisError> {
        write_durably(&self.path(record.run.run_id), record)
    }

    /// One record.
    pub fn read(&self, run_id: u64) -> Result<Record, ChassisError> {
        let path = self.path(run_id);
        let bytes = std::fs::read(&path).map_err(ChassisError::file(&path))?;
        serde_json::from_slice(&bytes).map_err(|error| ChassisError::Corrupt { path, reason: error.to_string() })
    }

    /// The ids on disk, newest first.
    pub fn ids(&self) -> Vec<u64> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let id = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        let mut ids: Vec<u64> = entries.flatten().filter_map(id).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids
    }

    /// Keeps the last ones.
    pub fn prune(&self) {
        for id in self.ids().into_iter().skip(limits::RUNS_KEPT) {
            let _ = std::fs::remove_file(self.path(id));
        }
    }

    /// Closes the records of runs that an earlier chassisd did not live to end; returns what became of each.
    pub fn close_interrupted(&self) -> Vec<String> {
        let open = self.ids().into_iter().filter_map(|id| self.read(id).ok()).filter(|record| !record.run.ended);
        open.map(|mut record| {
            let state = record.run.state.clone();
            let primary = if record.committed { &record.to_slot } else { &record.from_slot };
            let reason = format!(
                "chassisd ended while the run was {state}; {primary} had been primary; every process of the run was \
                 ended and the router was started anew, so its sessions restarted"
            );
            let verdict = if record.committed { "interrupted after the switch" } else { "interrupted, undone" };
            record.run.ended = true;
            record.run.verdict = verdict.into();
            record.run.success = false;
            record.report = Some(crate::evidence::interrupted(&record, verdict, &reason));
            let sequence = record.events.len() as u64 + 1;
            record.events.push(v1::RunEvent {
                run_id: record.run.run_id,
                sequence,
                unix_ms: holdfast_ipc::unix_ms(),
                state,
                line: reason.clone(),
                ended: true,
                verdict: verdict.into(),
                ..v1::RunEvent::default()
            });
            if let Err(error) = self.write(&record) {
                tracing::warn!(%error, "the record of an interrupted run cannot be closed");
            }
            format!("run {}: {reason}", record.run.run_id)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_pruned_and_closed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("runs")).unwrap();
        let journal = Journal::new(directory.path());
        for run_id in 1..=25 {
            let mut record = Record { from_slot: "re0".into(), ..Record::default() };
            record.run = v1::RunState { run_id, ended: run_id != 25, state: "switching".into(), ..Default::default() };
            journal.write(&record).unwrap();
        }
        journal.prune();
        assert_eq!(journal.ids().len(), limits::RUNS_KEPT);
        let told = journal.close_interrupted();
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("run 25") && told[0].contains("switching"), "{told:?}");
        let closed = journal.read(25).unwrap();
        assert!(closed.run.ended && closed.events[0].ended && closed.report.is_some());
        assert!(journal.close_interrupted().is_empty());
    }
}
