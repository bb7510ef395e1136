//! The operator's view of the chassis, with what /proc and the daemons themselves say of each process.

use holdfast_issu::Daemon;
use holdfast_kernel::process::usage;
use holdfast_proto::v1;

use crate::calls::Link;
use crate::chassis::Chassis;
use crate::limits;

/// A snapshot, and the daemons that complete it.
pub struct View {
    state: v1::ChassisState,
    links: Vec<Option<Link>>,
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
                ..v1::ProcessState::default()
            });
            links.push((alive && !stopped).then(|| process.link.clone()));
        }
        processes.push(self.own_figures());
        links.push(None);
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
            alarms: self.alarms.clone(),
            runtime_version: self.runtime.version(),
            containers: self.runtime.containers(),
        };
        View { state, links }
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
    /// Asks each daemon for its role and version, all at once; who does not answer is shown without.
    pub async fn complete(mut self) -> v1::ChassisState {
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
        self.state
    }
}
