//! The loop inside the machine: issue steps, match answers, expire deadlines.

use std::time::Duration;

use crate::limits;
use crate::message::{Action, Answer, Daemon, Event, Request, RequestId, Side};
use crate::run::{Outstanding, Run, Step};
use crate::state::{State, Trigger, next};

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
    /// Keep the way back open until the run is confirmed, for this long at most; then the roles go back.
    pub confirm: Option<Duration>,
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
    /// The new engine is primary and lives: it hands the roles back.
    GivingBack,
    /// The old engine is gone or is no follower any more: see [`Issu::way_closed`].
    NoWayBack,
    /// The old engine has been told to end: the run has finished.
    TooLate,
}

/// What a confirmation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// There is no run.
    NoRun,
    /// The old engine is being ended.
    Confirmed,
    /// The run was not asked to wait for a confirmation.
    NotExpected,
    /// It will wait for one, but has not come so far.
    TooEarly,
    /// It is being taken back, or has been confirmed already.
    TooLate,
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
    /// At rest. `last_ended`: when the last run that switched ended, for the minimum spacing.
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

    /// Whether the machine itself watches both engines: the chassis's watchdog leaves them alone.
    pub fn old_may_be_silent(&self) -> bool {
        use State::{RollingBack, ShuttingDownOld, Soaking, Switching, Verifying};
        matches!(self.state, Switching | Verifying | Soaking | ShuttingDownOld | RollingBack)
    }

    /// Whether the answer to this request is still waited for. What nobody waits for any more must not be done late.
    pub fn waits_for(&self, id: RequestId) -> bool {
        self.run.as_ref().is_some_and(|run| run.outstanding.iter().any(|outstanding| outstanding.id == id))
    }

    /// While soaking: until when the confirmation has to come.
    pub fn confirm_until(&self) -> Option<Time> {
        self.run.as_ref().filter(|_| self.state == State::Soaking).map(|run| run.soak.until)
    }

    /// Why the old engine cannot take the roles back any more, if so.
    pub fn way_closed(&self) -> Option<&str> {
        self.run.as_ref()?.way_closed.as_deref()
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
        let state = self.state;
        let Some(run) = self.run.as_mut() else { return AbortOutcome::NoRun };
        let why = format!("aborted by {by} while {state}");
        match state {
            State::Idle => AbortOutcome::NoRun,
            State::Aborting => AbortOutcome::Aborting,
            State::RollingBack => AbortOutcome::RollingBack,
            state if state.before_switch() => {
                self.fail(why, now);
                AbortOutcome::Aborting
            }
            State::Switching if run.serves[Daemon::Rpd.index()] == Side::Old => {
                self.fail(why, now);
                AbortOutcome::RollingBack
            }
            _ if run.retire_asked => AbortOutcome::TooLate,
            _ if run.way_closed.is_some() => AbortOutcome::NoWayBack,
            _ => {
                run.give_back.get_or_insert(why);
                AbortOutcome::GivingBack
            }
        }
    }

    /// The operator is content with the new engine: the old one may go.
    pub fn confirm(&mut self, by: &str) -> ConfirmOutcome {
        let Some(run) = self.run.as_mut() else { return ConfirmOutcome::NoRun };
        match self.state {
            _ if run.start.confirm.is_none() => ConfirmOutcome::NotExpected,
            State::Soaking if run.give_back.is_none() && !run.soak.confirmed => {
                run.soak.confirmed = true;
                run.log(false, format!("confirmed by {by}"));
                ConfirmOutcome::Confirmed
            }
            State::Soaking | State::ShuttingDownOld | State::Aborting | State::RollingBack => ConfirmOutcome::TooLate,
            _ => ConfirmOutcome::TooEarly,
        }
    }

    /// Before the pre-checks are answered: whether it is proven, and by what, that nothing has moved since the last run. Then
    /// runs need not be spaced.
    pub fn note_steadiness(&mut self, steady: Result<String, String>) {
        if let Some(run) = self.run.as_mut() {
            run.steady = steady;
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
                if let Action::End(end) = &action {
                    self.run = None;
                    if end.switched {
                        self.last_ended = Some(now);
                    }
                }
                return Some(action);
            }
            if !self.expire(now) && !self.leave_early(now) && !self.advance(now) {
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
        let limit = limits::state_deadline(self.state)?;
        Some(run.entered_at + limit + run.start.confirm.filter(|_| self.state == State::Soaking).unwrap_or_default())
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

    /// Given back or confirmed: true when the state was left. A process that is just being restarted is waited for, so that
    /// it does not come up as primary behind our back.
    fn leave_early(&mut self, now: Time) -> bool {
        let Some(run) = self.run.as_mut() else { return false };
        let restarting =
            run.outstanding.iter().any(|outstanding| matches!(outstanding.request, Request::Respawn { .. }));
        if restarting || !matches!(self.state, State::Verifying | State::Soaking | State::ShuttingDownOld) {
            return false;
        }
        if let Some(reason) = run.give_back.take().filter(|_| !run.retire_asked) {
            self.begin_give_back(reason, now);
            return true;
        }
        if self.state == State::Soaking && run.soak.confirmed && !run.collects_evidence() {
            self.transition(Trigger::Done, now);
            return true;
        }
        false
    }

    /// True when a step was taken.
    fn advance(&mut self, now: Time) -> bool {
        let Some(run) = self.run.as_mut() else { return false };
        match run.steps.front() {
            None => return false,
            Some(Step::Barrier) if run.waits_at_barrier(self.state) => return false,
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
            && run.is_gone(side, daemon)
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
