//! The loop inside the machine: issue steps, match answers, expire deadlines.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits;
use crate::message::{Action, Answer, Daemon, End, Event, Outcome, Request, RequestId, Side};
use crate::state::{State, Trigger, next};
use crate::wording;

/// Time since an arbitrary origin (CLOCK_MONOTONIC), one for all calls.
pub type Time = Duration;

/// What a run is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Unique, rising.
    pub run_id: u64,
    /// The primary slot's name.
    pub from_slot: String,
    /// The other slot's name.
    pub to_slot: String,
    /// The current term.
    pub epoch: u64,
    /// Override the minimum spacing.
    pub force: bool,
    /// Rehearse up to the handoff and take it back.
    pub dry_run: bool,
}

/// Why a run was not even started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One at a time.
    #[error(
        "run {run_id} is in progress ({state}); one in-service run at a time; follow it with \
         'show chassis in-service-upgrade' and ask again when it has ended"
    )]
    InProgress {
        /// The run under way.
        run_id: u64,
        /// Where it stands.
        state: State,
    },
}

/// What an abort leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortOutcome {
    /// There is no run.
    NoRun,
    /// The backup is being ended; nothing had been frozen.
    Aborting,
    /// The old engine is being thawed.
    RollingBack,
    /// The commit point has been passed: the run goes through.
    TooLate,
}

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

/// How far the handover has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Handover {
    NotBegun,
    Freezing,
    Fenced,
    Activating,
    Committing,
    Committed,
    Flipped,
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
    pub handover: Handover,
    /// Per side and daemon: dead, hung or in an unknown state; to be killed and restarted before it may serve.
    pub lost: [[bool; 3]; 2],
    pub prepare_asked: [bool; 3],
    pub freeze_asked: [bool; 3],
    pub commit_asked: [bool; 3],
    pub baseline: bool,
    pub answers: [Progress; 3],
    pub verdicts: [Verdict; 3],
    pub checks: Option<(Vec<crate::message::Check>, Duration)>,
    pub progress_at: Time,
    pub last_marker: Option<u64>,
    pub reason_if_late: String,
    pub verify_until: Time,
    pub respawns: u32,
    pub frozen_ns: Option<u64>,
    pub live_ns: Option<u64>,
    pub outcome: Outcome,
    pub primary: Side,
    pub reason: String,
    pub losses: Vec<String>,
    pub missing: Vec<String>,
    pub evidence: bool,
}

/// The in-service state machine of one chassis. See the crate's chapter.
#[derive(Debug)]
pub struct Issu {
    pub(crate) state: State,
    pub(crate) run: Option<Box<Run>>,
    pub(crate) last_ended: Option<Time>,
    next_request: u64,
}

impl Issu {
    /// At rest. `last_ended`: when the last run ended, for the minimum spacing.
    pub fn new(last_ended: Option<Time>) -> Self {
        Issu { state: State::Idle, run: None, last_ended, next_request: 1 }
    }

    /// Where the machine stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The run under way; `None` at rest.
    pub fn run_id(&self) -> Option<u64> {
        self.run.as_ref().map(|run| run.start.run_id)
    }

    /// Whether the answer to a request is still wanted.
    pub fn waits_for(&self, id: RequestId) -> bool {
        self.run.as_ref().is_some_and(|run| run.outstanding.iter().any(|outstanding| outstanding.id == id))
    }

    /// Whether the old slot's daemons are, or are about to be, frozen: they must not be watched for answers.
    pub fn old_may_be_silent(&self) -> bool {
        matches!(self.state, State::Switching | State::Verifying | State::ShuttingDownOld | State::RollingBack)
    }

    /// Begins a run.
    pub fn start(&mut self, start: Start, now: Time) -> Result<(), Refusal> {
        if let Some(run) = &self.run {
            return Err(Refusal::InProgress { run_id: run.start.run_id, state: self.state });
        }
        self.run = Some(Box::new(Run::new(start, now)));
        self.transition(Trigger::Start, now);
        Ok(())
    }

    /// The operator wants the run taken back.
    pub fn abort(&mut self, by: &str, now: Time) -> AbortOutcome {
        let Some(run) = &self.run else { return AbortOutcome::NoRun };
        let rpd_commit_asked = run.commit_asked[Daemon::Rpd.index()];
        match self.state {
            State::Aborting => AbortOutcome::Aborting,
            State::RollingBack => AbortOutcome::RollingBack,
            state if state.before_switch() => {
                self.fail(format!("aborted by {by} while {state}"), now);
                AbortOutcome::Aborting
            }
            State::Switching if !rpd_commit_asked => {
                self.fail(format!("aborted by {by} while switching"), now);
                AbortOutcome::RollingBack
            }
            _ => AbortOutcome::TooLate,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, event: Event, now: Time) {
        if self.run.is_none() {
            return; // late answers of a run that has ended
        }
        match event {
            Event::Answered { id, result } => self.answered(id, result, now),
            Event::ProcessDied { side, daemon, how } => self.died(side, daemon, how, now),
        }
    }

    /// The next thing to do; call until `None`.
    pub fn poll(&mut self, now: Time) -> Option<Action> {
        loop {
            let run = self.run.as_mut()?;
            if let Some(action) = run.outbox.pop_front() {
                if matches!(action, Action::End(_)) {
                    self.run = None;
                    self.last_ended = Some(now);
                }
                return Some(action);
            }
            if !self.expire(now) && !self.advance(now) {
                return None;
            }
        }
    }

    /// When to call [`Issu::poll`] again at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        let run = self.run.as_ref()?;
        let requests = run.outstanding.iter().map(|outstanding| outstanding.deadline);
        let wait = match run.steps.front() {
            Some(Step::WaitUntil(time)) => Some(*time),
            _ => None,
        };
        requests.chain(wait).chain(self.state_deadline()).min()
    }

    fn state_deadline(&self) -> Option<Time> {
        let run = self.run.as_ref()?;
        limits::state_deadline(self.state).map(|limit| run.entered_at + limit)
    }

    /// True when something was done about a deadline that has passed.
    fn expire(&mut self, now: Time) -> bool {
        let Some(run) = self.run.as_mut() else { return false };
        if let Some(position) = run.outstanding.iter().position(|outstanding| outstanding.deadline <= now) {
            let outstanding = run.outstanding.swap_remove(position);
            self.failed(outstanding.request, crate::failure::Failure::TimedOut, now);
            return true;
        }
        if self.state_deadline().is_some_and(|deadline| deadline <= now) {
            self.state_expired(now);
            return true;
        }
        false
    }

    /// True when a step was taken.
    fn advance(&mut self, now: Time) -> bool {
        let Some(run) = self.run.as_mut() else { return false };
        match run.steps.front() {
            None => return false,
            Some(Step::Barrier) if !run.outstanding.is_empty() => return false,
            Some(Step::WaitUntil(time)) if *time > now => return false,
            Some(_) => {}
        }
        match run.steps.pop_front() {
            Some(Step::Log { stamped, line }) => run.log(stamped, line),
            Some(Step::Ask(request)) => self.issue(request, now),
            Some(Step::Decide(decision)) => self.decide(decision, now),
            Some(Step::Mend(side)) => self.mend(side),
            Some(Step::BeginVerification) => run.begin_verification(now),
            Some(Step::Finish(trigger)) => self.transition(trigger, now),
            Some(Step::Barrier | Step::WaitUntil(_)) | None => {}
        }
        true
    }

    /// Sends a request, with what is known only now (epoch, peer lost) filled in.
    fn issue(&mut self, request: Request, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let request = run.complete(request);
        if let Some((side, daemon)) = request.target()
            && run.lost[side as usize][daemon.index()]
        {
            self.failed(request, crate::failure::Failure::Died("it is not running".into()), now);
            return;
        }
        run.note_asked(&request);
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let deadline = now + limits::request_deadline(&request);
        run.outstanding.push(Outstanding { id, request: request.clone(), deadline });
        run.outbox.push_back(Action::Request(id, request));
    }

    fn answered(&mut self, id: RequestId, result: Result<Answer, String>, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let Some(position) = run.outstanding.iter().position(|outstanding| outstanding.id == id) else {
            return; // given up, or from an earlier state
        };
        let request = run.outstanding.swap_remove(position).request;
        match result {
            Ok(answer) => run.note_answer(request, answer),
            Err(error) => self.failed(request, crate::failure::Failure::Error(error), now),
        }
    }

    /// Leaves the state: what was outstanding is no longer waited for, the next state's steps are laid down.
    pub(crate) fn transition(&mut self, trigger: Trigger, now: Time) {
        let Some(to) = next(self.state, trigger) else {
            debug_assert!(false, "{trigger:?} means nothing in state {}", self.state);
            return;
        };
        let from = self.state;
        self.state = to;
        let Some(run) = self.run.as_mut() else { return };
        run.outstanding.clear();
        run.steps.clear();
        run.entered_at = now;
        run.reason_if_late.clear();
        if to == State::Idle {
            run.end(from);
        } else {
            run.outbox.push_back(Action::Enter(to));
            run.lay_plan(to, now);
        }
    }
}

impl Run {
    fn new(start: Start, now: Time) -> Self {
        Run {
            epoch: start.epoch,
            start,
            entered_at: now,
            outbox: VecDeque::new(),
            steps: VecDeque::new(),
            outstanding: Vec::new(),
            handover: Handover::NotBegun,
            lost: [[false; 3]; 2],
            prepare_asked: [false; 3],
            freeze_asked: [false; 3],
            commit_asked: [false; 3],
            baseline: false,
            answers: Default::default(),
            verdicts: Default::default(),
            checks: None,
            progress_at: now,
            last_marker: None,
            reason_if_late: String::new(),
            verify_until: now,
            respawns: 0,
            frozen_ns: None,
            live_ns: None,
            outcome: Outcome::Finished,
            primary: Side::Old,
            reason: String::new(),
            losses: Vec::new(),
            missing: Vec::new(),
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
        if self.primary != Side::New {
            return None;
        }
        Some(self.live_ns?.saturating_sub(self.frozen_ns?))
    }

    fn complete(&mut self, request: Request) -> Request {
        match request {
            Request::RaiseEpoch { .. } => {
                self.epoch += 1;
                Request::RaiseEpoch { epoch: self.epoch }
            }
            Request::Activate { side: Side::New, daemon, .. } => Request::Activate {
                side: Side::New,
                daemon,
                epoch: self.epoch,
                peer_lost: self.lost[Side::Old as usize][daemon.index()],
            },
            // The successor may have gone on for a while: what it left in the reverse stream is the end.
            Request::Activate { side: Side::Old, daemon, .. } => Request::Activate {
                side: Side::Old,
                daemon,
                epoch: self.epoch,
                peer_lost: self.commit_asked[daemon.index()],
            },
            Request::Commit { side, daemon, .. } => Request::Commit { side, daemon, epoch: self.epoch },
            Request::Respawn { side, daemon, .. } => Request::Respawn { side, daemon, epoch: self.epoch },
            Request::Record { state, .. } => Request::Record { state, committed: self.handover >= Handover::Committed },
            other => other,
        }
    }

    fn note_asked(&mut self, request: &Request) {
        match request {
            Request::Prepare { daemon } => self.prepare_asked[daemon.index()] = true,
            Request::Freeze { daemon } => {
                self.freeze_asked[daemon.index()] = true;
                self.handover = self.handover.max(Handover::Freezing);
            }
            Request::Fence => self.handover = self.handover.max(Handover::Fenced),
            Request::Activate { side: Side::New, .. } => self.handover = self.handover.max(Handover::Activating),
            Request::Commit { side: Side::New, daemon, .. } => {
                self.commit_asked[daemon.index()] = true;
                self.handover = self.handover.max(Handover::Committing);
            }
            Request::Flip { side: Side::New } => self.handover = self.handover.max(Handover::Flipped),
            _ => {}
        }
    }

    fn note_answer(&mut self, request: Request, answer: Answer) {
        match (request, answer) {
            (Request::PreChecks, Answer::Checks { checks, minimum_spacing }) => {
                self.checks = Some((checks, minimum_spacing));
            }
            (Request::CollectBaseline, _) => self.baseline = true,
            (
                Request::Synchronization { daemon },
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
            (Request::Freeze { daemon: Daemon::Rpd }, Answer::Frozen { mono_ns }) => self.frozen_ns = Some(mono_ns),
            (Request::Commit { side, daemon: Daemon::Rpd, .. }, answer) => self.note_commit(side, answer),
            (Request::Respawn { side, daemon, .. }, _) => self.note_respawn(side, daemon),
            (Request::CollectEvidence { .. }, Answer::Evidence { losses, missing }) => {
                self.evidence = true;
                self.losses.extend(losses);
                self.missing.extend(missing);
            }
            _ => {}
        }
    }

    fn note_commit(&mut self, side: Side, answer: Answer) {
        self.primary = side;
        if side == Side::New {
            self.handover = self.handover.max(Handover::Committed);
            if let Answer::Live { mono_ns } = answer {
                self.live_ns = Some(mono_ns);
            }
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
    fn end(&mut self, from: State) {
        debug_assert!(from != State::Validating || self.outcome == Outcome::Refused);
        let gap_ns = self.gap_ns();
        if self.outcome == Outcome::Finished && gap_ns.is_none() {
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
        for line in wording::closing(self, &verdict, gap_ns) {
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
            gap_ns,
        }));
    }
}
