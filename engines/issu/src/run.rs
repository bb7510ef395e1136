//! Everything that belongs to the run under way, and how answers change it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::machine::{Start, Time};
use crate::message::{Action, Answer, Daemon, End, Outcome, Request, RequestId, Side};
use crate::soak::Soak;
use crate::state::{State, Trigger};
use crate::wording;

/// What is done next in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Show a line.
    Log { stamped: bool, line: String },
    /// Make a request; does not wait for the answer.
    Ask(Request),
    /// Wait until nothing is outstanding.
    Barrier,
    /// Wait until this time.
    WaitUntil(Time),
    /// Look at the answers of a round.
    Decide(Decision),
    /// Restart what is lost of this slot.
    Mend(Side),
    /// From here the checks have their time.
    BeginVerification,
    /// Leave the state.
    Finish(Trigger),
}

/// The questions that `decide` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Checks,
    Synchronization,
    Preparation,
    WarmBoot,
    Rehearsal,
    Verification(Side),
    /// The old engine, which stood still, follows: may the roles go back?
    Following,
    /// The old engine follows while a confirmation is waited for.
    Soaking,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub id: RequestId,
    pub request: Request,
    pub deadline: Time,
}

/// The answer to one "how far are you?" of the new slot's daemon.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub synchronized: bool,
    pub pending_writes: u64,
    pub marker: u64,
    pub detail: String,
}

/// The last answer of one daemon to Prepare or Verify.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    pub done: bool,
    pub ok: bool,
    pub reason: String,
    pub wait: Duration,
}

/// What rolling-back is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The new engine is ended first, then the old one goes on: not committed yet, or dead, or hung.
    Thaw,
    /// The new engine lives and hands over, as the old one did before.
    GiveBack,
    /// That failed: the old engine is ended and the new one goes on.
    KeepNew,
}

/// Everything that belongs to the run under way.
#[derive(Debug)]
pub(crate) struct Run {
    pub start: Start,
    pub epoch: u64,
    pub entered_at: Time,
    pub outbox: VecDeque<Action>,
    pub steps: VecDeque<Step>,
    pub outstanding: Vec<Outstanding>,
    /// Per side and daemon: dead, hung or in an unknown state; to be killed and restarted before it may serve.
    pub lost: [[bool; 3]; 2],
    /// Per side: its processes were killed.
    pub killed: [bool; 2],
    /// Per side: its processes were stopped.
    pub fenced: [bool; 2],
    pub prepare_asked: [bool; 3],
    /// Per side and daemon.
    pub freeze_asked: [[bool; 3]; 2],
    /// Per side and daemon: it answered Freeze by an error, so it may serve as before.
    pub freeze_refused: [[bool; 3]; 2],
    /// Per daemon: who was asked last to serve.
    pub serves: [Side; 3],
    /// Where the management link was pointed last.
    pub link: Side,
    /// The commit point was passed: the new rpd has confirmed that it is primary.
    pub committed: bool,
    /// Which of the old slot's have confirmed that they follow.
    pub follows: [bool; 3],
    /// The old slot was told to end.
    pub retire_asked: bool,
    /// Which way rolling-back takes.
    pub way: Way,
    /// The roles are to be given back as soon as nothing stands in between, and why.
    pub give_back: Option<String>,
    /// The old engine cannot take over any more, and why.
    pub way_closed: Option<String>,
    pub soak: Soak,
    pub baseline: bool,
    pub answers: [Progress; 3],
    pub verdicts: [Verdict; 3],
    pub checks: Option<(Vec<crate::message::Check>, Duration)>,
    /// Proven, and by what, that nothing has moved since the last run; or what stands against it.
    pub steady: Result<String, String>,
    pub progress_at: Time,
    pub last_marker: Option<u64>,
    pub reason_if_late: String,
    pub verify_until: Time,
    pub respawns: u32,
    /// Per side: when its rpd froze last.
    pub frozen_ns: [Option<u64>; 2],
    /// Per side: when its rpd became primary in this run.
    pub live_ns: [Option<u64>; 2],
    pub outcome: Outcome,
    pub primary: Side,
    pub reason: String,
    pub losses: Vec<String>,
    pub missing: Vec<String>,
    /// What the verdict of a success is followed by.
    pub remark: String,
    pub evidence: bool,
}

impl Run {
    pub(crate) fn new(start: Start, now: Time) -> Self {
        Run {
            epoch: start.epoch,
            start,
            entered_at: now,
            outbox: VecDeque::new(),
            steps: VecDeque::new(),
            outstanding: Vec::new(),
            lost: [[false; 3]; 2],
            killed: [false; 2],
            fenced: [false; 2],
            prepare_asked: [false; 3],
            freeze_asked: [[false; 3]; 2],
            freeze_refused: [[false; 3]; 2],
            serves: [Side::Old; 3],
            link: Side::Old,
            committed: false,
            follows: [false; 3],
            retire_asked: false,
            way: Way::Thaw,
            give_back: None,
            way_closed: None,
            soak: Soak::default(),
            baseline: false,
            answers: Default::default(),
            verdicts: Default::default(),
            checks: None,
            steady: Err("not looked at".into()),
            progress_at: now,
            last_marker: None,
            reason_if_late: String::new(),
            verify_until: now,
            respawns: 0,
            frozen_ns: [None; 2],
            live_ns: [None; 2],
            outcome: Outcome::Finished,
            primary: Side::Old,
            reason: String::new(),
            losses: Vec::new(),
            missing: Vec::new(),
            remark: String::new(),
            evidence: false,
        }
    }

    pub(crate) fn slot(&self, side: Side) -> &str {
        match side {
            Side::Old => &self.start.from_slot,
            Side::New => &self.start.to_slot,
        }
    }

    pub(crate) fn log(&mut self, stamped: bool, line: String) {
        self.outbox.push_back(Action::Log { stamped, line });
    }

    /// Old rpd frozen until new rpd live.
    pub(crate) fn gap_ns(&self) -> Option<u64> {
        Some(self.live_ns[Side::New as usize]?.saturating_sub(self.frozen_ns[Side::Old as usize]?))
    }

    /// New rpd frozen until old rpd live again.
    pub(crate) fn gap_back_ns(&self) -> Option<u64> {
        Some(self.live_ns[Side::Old as usize]?.saturating_sub(self.frozen_ns[Side::New as usize]?))
    }

    pub(crate) fn is_lost(&self, side: Side, daemon: Daemon) -> bool {
        self.lost[side as usize][daemon.index()]
    }

    /// Dead, or told to be.
    pub(crate) fn is_gone(&self, side: Side, daemon: Daemon) -> bool {
        self.killed[side as usize] || self.is_lost(side, daemon)
    }

    pub(crate) fn collects_evidence(&self) -> bool {
        self.outstanding.iter().any(|outstanding| matches!(outstanding.request, Request::CollectEvidence { .. }))
    }

    /// Something is outstanding that has to be known first. While soaking the engines are watched whatever evidence takes:
    /// a process that hangs in the middle of it would not be found in time.
    pub(crate) fn waits_at_barrier(&self, state: State) -> bool {
        let aside = |request: &Request| state == State::Soaking && matches!(request, Request::CollectEvidence { .. });
        self.outstanding.iter().any(|outstanding| !aside(&outstanding.request))
    }

    /// Fills in what is known only now.
    pub(crate) fn complete(&mut self, request: Request) -> Request {
        match request {
            Request::RaiseEpoch { .. } => {
                self.epoch += 1;
                Request::RaiseEpoch { epoch: self.epoch }
            }
            // What the one before left in its stream is the end, if it can say nothing more.
            Request::Activate { side, daemon, .. } => Request::Activate {
                side,
                daemon,
                epoch: self.epoch,
                peer_lost: self.serves[daemon.index()] != side && self.is_gone(side.other(), daemon),
            },
            Request::Commit { side, daemon, .. } => Request::Commit { side, daemon, epoch: self.epoch },
            Request::Follow { side, daemon, .. } => Request::Follow { side, daemon, epoch: self.epoch },
            Request::Respawn { side, daemon, .. } => Request::Respawn { side, daemon, epoch: self.epoch },
            Request::Record { state, .. } => Request::Record { state, committed: self.primary == Side::New },
            other => other,
        }
    }

    pub(crate) fn note_asked(&mut self, request: &Request) {
        match *request {
            Request::Prepare { daemon } => self.prepare_asked[daemon.index()] = true,
            Request::Freeze { side, daemon } => self.freeze_asked[side as usize][daemon.index()] = true,
            Request::Fence { side } => self.fenced[side as usize] = true,
            Request::Unfence { side } => self.fenced[side as usize] = false,
            Request::Commit { side, daemon, .. } => self.serves[daemon.index()] = side,
            Request::Flip { side } => self.link = side,
            Request::Retire => self.retire_asked = true,
            Request::Kill { side, daemon: None } => {
                self.killed[side as usize] = true;
                // Whatever becomes of the other one: nobody may start this slot again as primary.
                self.primary = side.other();
            }
            _ => {}
        }
    }

    pub(crate) fn note_answer(&mut self, request: Request, answer: Answer) {
        match (request, answer) {
            (Request::PreChecks, Answer::Checks { checks, minimum_spacing }) => {
                self.checks = Some((checks, minimum_spacing));
            }
            (Request::CollectBaseline, _) => self.baseline = true,
            (Request::Follow { daemon, .. }, _) => self.follows[daemon.index()] = true,
            (
                Request::Synchronization { daemon, .. },
                Answer::Synchronization { synchronized, pending_writes, progress, detail },
            ) => {
                self.answers[daemon.index()] = Progress { synchronized, pending_writes, marker: progress, detail };
            }
            (Request::Prepare { daemon }, Answer::Readiness { ready, reason, wait }) => {
                self.verdicts[daemon.index()] = Verdict { done: ready, ok: ready, reason, wait };
            }
            (Request::Verify { daemon, .. }, Answer::Verified { done, ok, reason }) => {
                self.verdicts[daemon.index()] = Verdict { done, ok, reason, wait: Duration::ZERO };
            }
            (Request::Freeze { side, daemon: Daemon::Rpd }, Answer::Frozen { mono_ns }) => {
                self.frozen_ns[side as usize] = Some(mono_ns);
            }
            (Request::Commit { side, daemon: Daemon::Rpd, .. }, answer) => self.note_commit(side, answer),
            (Request::Respawn { side, daemon, .. }, _) => self.note_respawn(side, daemon),
            (Request::CollectEvidence { .. }, Answer::Evidence { losses, missing, remark }) => {
                self.evidence = true;
                self.remark = remark;
                // It is collected twice where a confirmation was waited for.
                let fresh = |told: &Vec<String>, what: Vec<String>| -> Vec<String> {
                    what.into_iter().filter(|what| !told.contains(what)).collect()
                };
                self.losses.extend(fresh(&self.losses, losses));
                self.missing.extend(fresh(&self.missing, missing));
            }
            _ => {}
        }
    }

    fn note_commit(&mut self, side: Side, answer: Answer) {
        self.primary = side;
        self.committed |= side == Side::New;
        if let Answer::Live { mono_ns } = answer {
            self.live_ns[side as usize].get_or_insert(mono_ns);
        }
    }

    fn note_respawn(&mut self, side: Side, daemon: Daemon) {
        self.lost[side as usize][daemon.index()] = false;
        let slot = self.slot(side).to_string();
        self.log(false, wording::restarted(&slot, daemon));
        if daemon == Daemon::Rpd {
            self.losses.push(format!("{slot}/rpd had to be restarted: its sessions restarted with it"));
        }
    }

    /// The last words, and the end.
    pub(crate) fn end(&mut self, from: State) {
        debug_assert!(from != State::Validating || self.outcome == Outcome::Refused);
        let (gap_ns, gap_back_ns) = (self.gap_ns(), self.gap_back_ns());
        if matches!(self.outcome, Outcome::Finished | Outcome::Kept) && gap_ns.is_none() {
            self.missing.push("control-plane gap (the old rpd did not say when it froze)".into());
        }
        if self.baseline && !self.evidence {
            self.missing.push("sessions and counters after the run".into());
        }
        let (verdict, success) = wording::verdict(self);
        if !success && self.reason.is_empty() {
            self.reason = self.losses.iter().chain(&self.missing).cloned().collect::<Vec<_>>().join("; ");
        }
        self.log(true, "IDLE".into());
        for line in wording::closing(self, &verdict) {
            self.log(false, line);
        }
        self.outbox.push_back(Action::End(End {
            run_id: self.start.run_id,
            outcome: self.outcome,
            verdict,
            success,
            reason: std::mem::take(&mut self.reason),
            primary: self.primary,
            epoch: self.epoch,
            switched: self.freeze_asked[Side::Old as usize].contains(&true),
            gap_ns,
            gap_back_ns,
        }));
    }
}
