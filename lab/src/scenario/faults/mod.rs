//! Faults as data: what is disturbed, when, how, and what must come of it. One cell of the fault matrix is one
//! [`Disturbance`]; [`matrix`] is the table of all of them with the outcome that each is declared to have, [`perform`] does
//! one to a lab, [`judge`] compares what happened with what was declared.

pub mod act;
pub mod judge;
pub mod matrix;
pub mod perform;

use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};

/// No run is under way when the fault comes; see [`Disturbance::phase`].
pub const AT_REST: &str = "rest";
/// A run in this phase waits for its confirmation: it is asked for with `confirm`.
pub const SOAKING: &str = "soaking";

/// One fault in one moment of a run, and its declared outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Disturbance {
    /// The point of the run at which it comes (docs/test-aids.md), or `rest`: then no run is under way.
    pub phase: String,
    /// What is done.
    pub how: How,
    /// What must come of it.
    pub expect: Expect,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// SIGKILL of a process.
    Kill(Target),
    /// SIGKILL of all processes of a routing engine.
    KillEngine(Engine),
    /// SIGSTOP of a process: it hangs.
    Stop(Target),
    /// A process gets no more memory than it has (RLIMIT_AS).
    Starve(Target),
    /// The disk that holds the state-dir is full until the run has ended.
    FillDisk,
    /// A program's file is damaged until the run has ended.
    Damage(String),
    /// A program's file is missing until the run has ended.
    Remove(String),
    /// A neighbour resets its session, at its own console.
    Reset(String),
    /// A neighbour's link goes down and comes up again.
    LinkFlap(String),
    /// The neighbours' tables change that often in a second, from before the run until after it.
    Churn(u32),
    /// The same, with little room in the stream of facts, and a backup that reads nothing of it for a while.
    StallBackup(u32),
    /// The same, with an old engine that stands frozen until the stream's room is used up.
    FillWayBack(u32),
    /// The terminal that the run was started from is closed: SIGHUP to the command.
    CloseTerminal,
    /// The command that started the run is killed.
    KillCommand,
    /// The operator aborts the run.
    Abort,
    /// The confirmation that the run was asked for does not come.
    NoConfirmation,
    /// The operator confirms the run.
    Confirmation,
    /// Another run is requested: refused.
    SecondRun,
    /// A process is to be restarted: refused.
    RestartProcess(String),
    /// A change of the configuration is to be committed: refused.
    Commit,
}

/// A process of one of the two routing engines: `old-rpd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    /// Whose.
    pub engine: Engine,
    /// `mgd`, `rpd`, `pfed`.
    pub daemon: String,
}

/// Which routing engine, as seen from the run's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// The one that was primary when the run began.
    Old,
    /// The one that the run started.
    New,
}

/// What must come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expect {
    /// How the run must end.
    pub ending: Ending,
    /// How often each session may restart, by the neighbours' logs; more than none only where the report has to name it.
    #[serde(default)]
    pub flaps: u64,
    /// The neighbour whose own doing it is: its session may restart, and packets from and to it may get lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excused: Option<String>,
}

/// How a run ends, by exit code and report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It went through and nothing was lost.
    Finished,
    /// It was taken back and nothing was lost.
    Undone,
    /// It was not begun.
    Refused,
    /// It went through and nothing was lost, but the router could not keep or gather its evidence, and says so.
    FinishedUnproven,
    /// It was taken back and nothing was lost, but the router could not keep or gather its evidence, and says so.
    UndoneUnproven,
    /// It was taken back; the sessions restarted, and the report names them.
    UndoneWithRestart,
    /// It went through or was taken back, and nothing was lost.
    Either,
    /// It went through or was taken back: a neighbour's own fault, after which only what is not that neighbour's counts.
    Any,
    /// No run was asked for: the router mends itself.
    Mended,
}

impl Disturbance {
    /// `synchronizing, kill old-rpd`: its name in tables and for `--cells`.
    pub fn title(&self) -> String {
        format!("{}, {}", self.phase, self.how.title())
    }

    /// Whether no run is under way when it comes.
    pub fn is_at_rest(&self) -> bool {
        self.phase == AT_REST
    }
}

impl How {
    /// Changes per second of the neighbours' tables that go with it.
    pub fn churn(&self) -> Option<u32> {
        match self {
            Self::Churn(per_second) | Self::StallBackup(per_second) | Self::FillWayBack(per_second) => {
                Some(*per_second)
            }
            _ => None,
        }
    }

    /// Whether it needs a stream of facts with little room, which only plain processes can be given.
    pub fn needs_short_stream(&self) -> bool {
        matches!(self, Self::StallBackup(_) | Self::FillWayBack(_))
    }

    /// In a few words.
    pub fn title(&self) -> String {
        match self {
            Self::Kill(target) => format!("kill -9 {target}"),
            Self::KillEngine(engine) => format!("kill -9 of the {engine} engine"),
            Self::Stop(target) => format!("SIGSTOP {target}"),
            Self::Starve(target) => format!("no more memory for {target}"),
            Self::FillDisk => "disk full".into(),
            Self::Damage(program) => format!("program {program} damaged"),
            Self::Remove(program) => format!("program {program} missing"),
            Self::Reset(neighbor) => format!("{neighbor} resets its session"),
            Self::LinkFlap(neighbor) => format!("link to {neighbor} down and up"),
            Self::Churn(per_second) => format!("{per_second} updates/s"),
            Self::StallBackup(per_second) => format!("backup reads nothing, {per_second} updates/s"),
            Self::FillWayBack(per_second) => format!("way back full, {per_second} updates/s"),
            Self::CloseTerminal => "terminal closed".into(),
            Self::KillCommand => "kill -9 of the command".into(),
            Self::Abort => "abort".into(),
            Self::NoConfirmation => "confirmation missing".into(),
            Self::Confirmation => "confirmation".into(),
            Self::SecondRun => "second run requested".into(),
            Self::RestartProcess(name) => format!("restart {name} requested"),
            Self::Commit => "commit requested".into(),
        }
    }
}

impl Ending {
    /// As the tables say it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Finished => "finished, nothing lost",
            Self::Undone => "undone, nothing lost",
            Self::Refused => "refused",
            Self::FinishedUnproven => "finished, evidence missing",
            Self::UndoneUnproven => "undone, evidence missing",
            Self::UndoneWithRestart => "undone, sessions restart",
            Self::Either => "finished or undone, nothing lost",
            Self::Any => "finished or undone",
            Self::Mended => "mended at rest",
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.engine, self.daemon)
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Engine::Old => "old",
            Engine::New => "new",
        })
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = LabError;

    fn try_from(text: String) -> Result<Self> {
        let engines = [("old-", Engine::Old), ("new-", Engine::New)];
        let found = engines.into_iter().find_map(|(prefix, engine)| Some((engine, text.strip_prefix(prefix)?)));
        match found {
            Some((engine, daemon)) if matrix::DAEMONS.contains(&daemon) => {
                Ok(Self { engine, daemon: daemon.to_owned() })
            }
            _ => Err(LabError::Usage(format!(
                "{text:?} is no process of a run; it is old- or new- and one of {}",
                matrix::DAEMONS.join(", ")
            ))),
        }
    }
}
