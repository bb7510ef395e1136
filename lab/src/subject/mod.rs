//! The router under test, seen from outside: started, asked, disturbed and ended as a user would.

mod bird;
pub mod cli;
mod disturb;
mod frr;
mod holdfast;

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

pub use self::{
    bird::BirdSubject,
    cli::{Cli, Running},
    frr::FrrSubject,
    holdfast::{CONFIGURATION_HEAD, Holdfast, REBOOT},
};
use crate::{
    error::{LabError, Result},
    host::{netns::Namespace, procfs},
    topology::Topology,
};

/// Which router stands in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// The router of this project.
    Holdfast,
    /// BIRD 2, stopped and started again, for comparison.
    Bird,
    /// FRRouting, its bgpd killed and started again while zebra keeps the routes, for comparison.
    Frr,
}

/// How a router runs its routing engines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineRuntime {
    /// As plain processes.
    #[default]
    Process,
    /// In OCI containers; needs runc.
    Oci,
}

impl EngineRuntime {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            EngineRuntime::Process => "process",
            EngineRuntime::Oci => "oci",
        }
    }
}

/// What the router is given.
#[derive(Debug, Clone)]
pub struct SubjectPlan {
    /// Where it lives.
    pub namespace: Namespace,
    /// Its files.
    pub folder: PathBuf,
    /// Its neighbours.
    pub topology: Topology,
    /// Environment for it, as scenarios ask.
    pub environment: Vec<(String, String)>,
    /// How its routing engines run.
    pub runtime: EngineRuntime,
    /// Its runs are to be held at points that the scenario chooses.
    pub held: bool,
}

/// How a requested reboot ended.
#[derive(Debug, Clone, Default)]
pub struct RunOutcome {
    /// Whether the router calls it a success (exit code 0).
    pub success: bool,
    /// What it printed, line by line.
    pub log: Vec<String>,
    /// From the request to the end.
    pub took: Duration,
    /// The control-plane gap, as the router's report says.
    pub control_plane_ms: Option<f64>,
    /// Phases, as the router's report says.
    pub phases: Vec<Phase>,
    /// The verdict of the router's report.
    pub verdict: Option<String>,
}

impl RunOutcome {
    /// Of a router that was ended and started again: `away` is when it was gone, `took` when all its sessions were up again.
    fn restarted(away: Duration, took: Duration) -> Self {
        let ms = |d: Duration| (d.as_secs_f64() * 1000.0).round();
        let phases =
            vec![Phase { name: "stop".into(), ms: ms(away) }, Phase { name: "start".into(), ms: ms(took - away) }];
        Self { success: true, took, control_plane_ms: Some(ms(took)), phases, ..Self::default() }
    }
}

/// A phase of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// Its duration.
    pub ms: f64,
}

/// One process of the router.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectProcess {
    /// `rpd`, `re0/rpd`, ...
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// What it uses.
    pub usage: procfs::Usage,
}

/// What is done to a router in the middle of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL.
    Kill,
    /// SIGSTOP: it hangs.
    Hang,
}

/// Receives the lines of a run's log as they come.
pub type LineSink<'a> = &'a mut dyn FnMut(&str);

/// A router under test. It ends with the value.
pub trait Subject: Send {
    /// Name and version.
    fn title(&self) -> String;
    /// Reboots it in whatever way it has, and waits for the end.
    fn reboot(&mut self, lines: LineSink<'_>) -> Result<RunOutcome>;
    /// Its processes.
    fn processes(&self) -> Result<Vec<SubjectProcess>>;
    /// Ends it, in the ordinary way.
    fn stop(&mut self) -> Result<()>;
    /// Files in the folder of its sockets.
    fn run_files(&self) -> u64 {
        0
    }
    /// Itself, for the fault matrix.
    fn disturbable(&mut self) -> Result<&mut Holdfast> {
        Err(self.unable("be disturbed at a point of a run"))
    }
    /// How to log in to it.
    fn login(&self) -> Option<String> {
        None
    }
    /// Requests a reboot and disturbs the new routing process right after the old one was frozen.
    fn reboot_with_fault(&mut self, fault: Fault, _lines: LineSink<'_>) -> Result<RunOutcome> {
        Err(self.unable(&format!("{fault:?} a new engine in the middle of a run")))
    }
    /// Kills a process of the running primary and waits until another one serves in its place.
    fn kill_and_wait(&mut self, process: &str) -> Result<()> {
        Err(self.unable(&format!("have {process} killed and restarted")))
    }
    /// Has a process replaced by the operator's command.
    fn restart(&mut self, process: &str) -> Result<()> {
        Err(self.unable(&format!("replace {process} in service")))
    }
    /// Requests a reboot, kills the old routing process while the new one is prepared, and waits until another one serves.
    fn crash_in_run(&mut self, _lines: LineSink<'_>) -> Result<RunOutcome> {
        Err(self.unable("have its routing process killed in the middle of a run"))
    }
    /// The error for what a subject cannot do.
    fn unable(&self, what: &str) -> LabError {
        LabError::Usage(format!("{} cannot {what}: this scenario is for --subject holdfast", self.title()))
    }
}

/// Starts a router.
pub fn start(kind: SubjectKind, plan: SubjectPlan) -> Result<Box<dyn Subject>> {
    Ok(match kind {
        SubjectKind::Holdfast => Box::new(Holdfast::start(plan)?),
        SubjectKind::Bird => Box::new(BirdSubject::start(plan)?),
        SubjectKind::Frr => Box::new(FrrSubject::start(plan)?),
    })
}
