//! The operator's view of the chassis, with what /proc and the daemons themselves say of each process.

use std::path::PathBuf;

use holdfast_issu::{Daemon, State};
use holdfast_kernel::process::usage;
use holdfast_proto::v1;

use crate::calls::{Link, answer};
use crate::chassis::Chassis;
use crate::journal::Record;
use crate::{limits, periodic};

/// A snapshot, and the daemons that complete it.
pub struct View {
    state: v1::ChassisState,
    links: Vec<Option<Link>>,
    /// Where ppmd answers.
    periodic: PathBuf,
}

impl Chassis {
    /// What the chassis knows without asking anybody.
    pub fn view(&self) -> View {
        let mut processes = Vec::new();
        let mut links = Vec::new();
        for (&(slot, daemon), process) in &self.processes {
            let place = self.places.get(&(slot, daemon));
            let alive = process.running.exit().is_none();
            let pid = process.running.pid();
            let figures = if alive && pid != 0 { usage(pid).unwrap_or_default() } else { Default::default() };
            let standstill = process.running.standstill().filter(|_| alive);
            let stopped = standstill.is_some();
            let state = match (alive, pid) {
                (false, _) => "failed",
                (true, 0) => "starting",
                (true, _) => standstill.unwrap_or("running"),
            };
            processes.push(v1::ProcessState {
                name: daemon.name().into(),
                slot: slot.into(),
                pid: if alive { pid } else { 0 },
                state: state.into(),
                restarts: place.map_or(0, |place| place.restarts),
                last_exit: place.map_or(String::new(), |place| place.last_exit.clone()),
                started_unix_ms: process.started_unix_ms,
                rss_kib: figures.rss_kib,
                cpu_ms: figures.cpu_ms,
                descriptors: figures.descriptors,
                container: process.running.container().into(),
                misses: process.misses,
                ..v1::ProcessState::default()
            });
            links.push((alive && !stopped).then(|| process.link.clone()));
        }
        for own in self.periodic.view().into_iter().chain([self.own_figures()]) {
            processes.push(own);
            links.push(None);
        }
        let vault = self.vault();
        let entries = vault.list("", "").map(|(name, entry)| v1::VaultEntryState {
            name: name.clone(),
            epoch: entry.epoch,
            kind: entry.kind.clone(),
            deposited_unix_ms: entry.deposited_unix_ms,
        });
        let state = v1::ChassisState {
            state: self.machine.state().name().into(),
            epoch: self.epoch,
            master_slot: self.master.into(),
            processes,
            vault: entries.collect(),
            run_id: self.machine.run_id().unwrap_or_default(),
            netns: self.netns.clone(),
            run_dir: self.run_dir.path().display().to_string(),
            state_dir: self.state_dir.display().to_string(),
            runtime: self.runtime.name().into(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_unix_ms: self.started_unix_ms,
            alarms: self.alarms.texts(),
            active_alarms: self.alarms.told(),
            runtime_version: self.runtime.version(),
            containers: self.runtime.containers(),
        };
        View { state, links, periodic: self.run_dir.periodic_socket() }
    }

    fn own_figures(&self) -> v1::ProcessState {
        let pid = std::process::id();
        let figures = usage(pid).unwrap_or_default();
        v1::ProcessState {
            name: "chassisd".into(),
            pid,
            state: "running".into(),
            role: v1::Role::Primary.into(),
            started_unix_ms: self.started_unix_ms,
            rss_kib: figures.rss_kib,
            cpu_ms: figures.cpu_ms,
            descriptors: figures.descriptors,
            version: env!("CARGO_PKG_VERSION").into(),
            ..v1::ProcessState::default()
        }
    }
}

impl View {
    /// Asks each daemon for its role and version, all at once; who does not answer is shown without. So is ppmd: it may be older than this
    /// process, or newer.
    pub async fn complete(mut self) -> v1::ChassisState {
        let runs = |process: &v1::ProcessState| process.name == periodic::NAME && process.pid != 0;
        let periodic = self.state.processes.iter().any(runs).then(|| tokio::spawn(version_of_ppmd(self.periodic)));
        let questions: Vec<_> = self
            .links
            .into_iter()
            .map(|link| tokio::spawn(async move { link?.status(limits::VIEW_CALL_DEADLINE).await.ok() }))
            .collect();
        for (process, question) in self.state.processes.iter_mut().zip(questions) {
            let Ok(Some(status)) = question.await else { continue };
            process.role = status.role;
            process.version = status.version;
            if !status.ready && Daemon::from_name(&process.name).is_some() {
                process.state = "starting".into();
            }
        }
        if let Some(question) = periodic
            && let Ok(Some(version)) = question.await
        {
            self.state
                .processes
                .iter_mut()
                .filter(|process| runs(process))
                .for_each(|ppmd| ppmd.version.clone_from(&version));
        }
        self.state
    }
}

async fn version_of_ppmd(socket: PathBuf) -> Option<String> {
    let mut client = v1::periodic_client::PeriodicClient::new(holdfast_ipc::channel(&socket));
    let call = client.show_periodic(v1::ShowPeriodicRequest {});
    Some(answer(limits::VIEW_CALL_DEADLINE, call).await.ok()?.version)
}

/// A run as it stands at this moment: times that still run are told as far as they have run.
pub fn run(record: &Record) -> v1::RunState {
    let mut run = record.run.clone();
    if !run.ended {
        let now = holdfast_ipc::unix_ms();
        run.elapsed_ms = now.saturating_sub(run.started_unix_ms);
        if let Some(phase) = run.phases.last_mut() {
            phase.duration_ms = now.saturating_sub(phase.started_unix_ms);
        }
    }
    run.frus = vec![fpc(&run)];
    run
}

/// One line of the history.
pub fn summary(record: &Record) -> v1::RunSummary {
    let run = &record.run;
    let report = record.report.as_ref();
    v1::RunSummary {
        run_id: run.run_id,
        started_unix_ms: run.started_unix_ms,
        duration_ms: run.elapsed_ms,
        verdict: if run.ended { run.verdict.clone() } else { format!("in progress ({})", run.state) },
        success: run.success,
        reason: report.map_or_else(String::new, |report| report.reason.clone()),
        control_plane_gap_ms: report.map_or(0.0, |report| report.control_plane_gap_ms),
        dry_run: run.dry_run,
        forecast_ms: run.forecast.as_ref().map_or(0, |forecast| forecast.duration_ms),
    }
}

/// The forwarding agent in the founding document's words: its hardware is one card, warm booted by a second pfed.
fn fpc(run: &v1::RunState) -> v1::FruStatus {
    let (status, reason) = match State::from_name(&run.state) {
        _ if run.ended => ("Online", String::new()),
        Some(State::FruWarmBooting) => {
            ("Warm Booting (ISSU)", format!("pfed of {} reads the kernel's table", run.to_slot))
        }
        Some(State::FruWarmBooted | State::PreparingSwitchover | State::ReadyForSwitchover) => {
            ("Warm Booted (ISSU)", format!("pfed of {} has nothing to write", run.to_slot))
        }
        Some(State::Switching) => ("Switching (ISSU)", "routes stay in the kernel".into()),
        Some(State::Verifying | State::Soaking | State::ShuttingDownOld) => {
            ("Online (ISSU)", format!("pfed of {}", run.to_slot))
        }
        Some(State::Aborting | State::RollingBack) => ("Online", format!("pfed of {} goes on", run.from_slot)),
        _ => ("Online", format!("pfed of {}", run.from_slot)),
    };
    v1::FruStatus { item: "FPC 0".into(), status: status.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_progress_is_told_as_far_as_it_has_come() {
        let started_unix_ms = holdfast_ipc::unix_ms() - 5_000;
        let phase =
            v1::PhaseTime { name: "switching".into(), started_unix_ms: started_unix_ms + 2_000, ..Default::default() };
        let (state, to_slot) = ("switching".to_string(), "re1".to_string());
        let run = v1::RunState { started_unix_ms, state, to_slot, phases: vec![phase], ..Default::default() };
        let mut record = Record { run, ..Record::default() };
        let shown = super::run(&record);
        assert!(shown.elapsed_ms >= 5_000 && (3_000..5_000).contains(&shown.phases[0].duration_ms), "{shown:?}");
        assert_eq!(shown.frus[0].status, "Switching (ISSU)");
        assert_eq!(summary(&record).verdict, "in progress (switching)");
        record.run.ended = true;
        assert_eq!(super::run(&record).elapsed_ms, 0, "what has ended runs no further");
        assert_eq!(super::run(&record).frus[0].status, "Online");
    }
}
