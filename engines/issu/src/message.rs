//! What goes into the machine and what comes out.

use std::fmt;
use std::time::Duration;

use crate::state::State;

/// The slot that was primary when the run began, or the one spawned for the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Primary when the run began.
    Old,
    /// Spawned for the run.
    New,
}

impl Side {
    /// The one opposite.
    pub fn other(self) -> Side {
        match self {
            Side::Old => Side::New,
            Side::New => Side::Old,
        }
    }
}

/// One of the three processes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Daemon {
    /// Management.
    Mgd,
    /// Routing protocols.
    Rpd,
    /// Forwarding agent.
    Pfed,
}

impl Daemon {
    /// In the order in which they are spoken to where order does not matter.
    pub const ALL: [Daemon; 3] = [Daemon::Mgd, Daemon::Rpd, Daemon::Pfed];
    /// The order of activation and commit: the table before the sessions, the operator's view last.
    pub const ACTIVATION: [Daemon; 3] = [Daemon::Pfed, Daemon::Rpd, Daemon::Mgd];

    /// The process's name.
    pub fn name(self) -> &'static str {
        match self {
            Daemon::Mgd => "mgd",
            Daemon::Rpd => "rpd",
            Daemon::Pfed => "pfed",
        }
    }

    /// The daemon of that name.
    pub fn from_name(name: &str) -> Option<Daemon> {
        Daemon::ALL.into_iter().find(|daemon| daemon.name() == name)
    }

    /// 0 to 2, for arrays with one place per daemon.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Matches an answer with its request; answers to requests no longer waited for are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What is asked of the shell. Each is answered once by [`Event::Answered`]; the machine keeps the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Write the journal durably (fsync) before answering.
    Record {
        /// The state that the journal names.
        state: State,
        /// The commit point has been passed.
        committed: bool,
    },
    /// mgd's checks and chassisd's own.
    PreChecks,
    /// Sessions, interface counters and FIB counters before anything happens; once more at the end of soaking: what
    /// neighbours did in that time is no loss of the run's.
    CollectBaseline,
    /// Start these processes of the new slot as backup; answered when each answers Status.
    Spawn {
        /// In this order.
        daemons: &'static [Daemon],
    },
    /// How far is a follower? The new slot's before the switch; the old one's where it follows as the way back.
    Synchronization {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
    },
    /// "Notify your readiness for switchover", to the old slot's daemon.
    Prepare {
        /// Which.
        daemon: Daemon,
    },
    /// Takes a Prepare back.
    Cancel {
        /// Which.
        daemon: Daemon,
    },
    /// Primary to frozen.
    Freeze {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
    },
    /// SIGSTOP to what lives of a slot.
    Fence {
        /// Slot.
        side: Side,
    },
    /// SIGCONT to what lives of a slot.
    Unfence {
        /// Slot.
        side: Side,
    },
    /// Frozen to backup: follows the engine that has taken over, from exactly where it stopped.
    Follow {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// The term of the one it follows.
        epoch: u64,
    },
    /// Does it live and answer? Any answer will do.
    Watch {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
    },
    /// The vault refuses older epochs from now on.
    RaiseEpoch {
        /// The new term.
        epoch: u64,
    },
    /// Take what is needed to go on, verify it, touch nothing.
    Activate {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// The term it will serve in.
        epoch: u64,
        /// The other engine is dead: its replication stream ends where it ends.
        peer_lost: bool,
    },
    /// Activated to primary.
    Commit {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// The term.
        epoch: u64,
    },
    /// Point DIR/mgd.sock to this slot's mgd.
    Flip {
        /// Slot.
        side: Side,
    },
    /// Checks after the switch.
    Verify {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
    },
    /// Kill what is left of the process, start it as primary with the current epoch, wait until it is ready.
    Respawn {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// The term.
        epoch: u64,
    },
    /// End the old slot: SIGCONT, Terminate(RETIRE), SIGKILL for what does not go; its sockets are removed.
    Retire,
    /// SIGKILL; answered when the exit has been seen.
    Kill {
        /// Slot.
        side: Side,
        /// One process, or all of the slot (whose sockets are then removed).
        daemon: Option<Daemon>,
    },
    /// Sessions, counters and digests afterwards, compared with the baseline.
    CollectEvidence {
        /// The slot that is primary now.
        side: Side,
    },
}

impl Request {
    /// The process that has to answer; `None` where the shell itself does.
    pub fn target(&self) -> Option<(Side, Daemon)> {
        match *self {
            Request::Prepare { daemon } | Request::Cancel { daemon } => Some((Side::Old, daemon)),
            Request::Synchronization { side, daemon }
            | Request::Freeze { side, daemon }
            | Request::Follow { side, daemon, .. }
            | Request::Watch { side, daemon }
            | Request::Activate { side, daemon, .. }
            | Request::Commit { side, daemon, .. }
            | Request::Verify { side, daemon } => Some((side, daemon)),
            _ => None,
        }
    }
}

/// One pre-check, as in the contract between processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Stable identifier.
    pub id: String,
    /// As printed.
    pub title: String,
    /// As printed behind the title.
    pub value: String,
    /// Whether it passed.
    pub passed: bool,
    /// When not passed: does not refuse.
    pub warning: bool,
    /// What is.
    pub observed: String,
    /// What ought to be.
    pub required: String,
    /// The command that mends it.
    pub remedy: String,
}

/// What was answered when all went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// To `PreChecks`.
    Checks {
        /// In the order to print.
        checks: Vec<Check>,
        /// From the configuration.
        minimum_spacing: Duration,
    },
    /// To `Synchronization`.
    Synchronization {
        /// Equal to the primary.
        synchronized: bool,
        /// pfed: what it would write.
        pending_writes: u64,
        /// Anything that changes when the backup advances.
        progress: u64,
        /// What is missing.
        detail: String,
    },
    /// To `Prepare`.
    Readiness {
        /// Ready for the switchover.
        ready: bool,
        /// Why not.
        reason: String,
        /// Ask again in this time; zero: no is no.
        wait: Duration,
    },
    /// To `Freeze`: where the clock stood.
    Frozen {
        /// CLOCK_MONOTONIC.
        mono_ns: u64,
    },
    /// To `Commit`.
    Live {
        /// CLOCK_MONOTONIC.
        mono_ns: u64,
    },
    /// To `Verify`.
    Verified {
        /// No: ask again.
        done: bool,
        /// Meaningful when done.
        ok: bool,
        /// Why not.
        reason: String,
    },
    /// To `CollectEvidence`.
    Evidence {
        /// What was lost, one sentence each.
        losses: Vec<String>,
        /// What could not be found out.
        missing: Vec<String>,
        /// What a success is told with: planned interruptions that lost nothing. Begins with its separator; mostly empty.
        remark: String,
    },
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An answer, or why there is none.
    Answered {
        /// To which request.
        id: RequestId,
        /// The answer, or what went wrong.
        result: Result<Answer, String>,
    },
    /// A process of either slot is gone without having been asked to go.
    ProcessDied {
        /// Slot.
        side: Side,
        /// Which.
        daemon: Daemon,
        /// "killed by signal 9", "exit status 1".
        how: String,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A pre-check said no; nothing was touched.
    Refused,
    /// The new engine is primary.
    Finished,
    /// The old engine is primary again, or still.
    Undone,
    /// It was to be undone and could not be: the new engine is primary.
    Kept,
    /// A dry-run went through and was taken back.
    Rehearsed,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Which run.
    pub run_id: u64,
    /// How.
    pub outcome: Outcome,
    /// As in the report: "nothing lost" and its siblings.
    pub verdict: String,
    /// Exit code zero.
    pub success: bool,
    /// When not a success: what failed, and where.
    pub reason: String,
    /// The slot that is primary now.
    pub primary: Side,
    /// The term it serves in.
    pub epoch: u64,
    /// It froze something: the next run is spaced from it.
    pub switched: bool,
    /// Old rpd frozen until new rpd live, if both are known.
    pub gap_ns: Option<u64>,
    /// New rpd frozen until old rpd live again, where the roles were given back.
    pub gap_back_ns: Option<u64>,
}

/// What comes out of the machine, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Do this, answer with the id.
    Request(RequestId, Request),
    /// Show this line.
    Log {
        /// With "[Feb 22 02:37:04]:ISSU: " before it.
        stamped: bool,
        /// The line.
        line: String,
    },
    /// Something an operator ought to know who is not watching.
    Alarm(String),
    /// The machine is in this state now: phase times.
    Enter(State),
    /// The run is over; the machine is idle.
    End(End),
}
