//! What a failure leads to. The rule: before the commit point the old engine goes on. After it the roles go back: when the
//! new engine is gone the old one takes over from what the kernel and the stream say; when it lives but a check failed, it
//! hands over (see `give_back`). Only where there is no engine to go back to the new one is kept in spite of it.

use std::fmt;

use crate::limits;
use crate::machine::{Issu, Time};
use crate::message::{Action, Daemon, Outcome, Request, Side};
use crate::run::{Run, Step, Way};
use crate::state::{State, Trigger};
use crate::wording;

/// Why a request has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The one asked said so.
    Error(String),
    /// It runs, as far as is known, and does not answer.
    TimedOut,
    /// It is gone.
    Died(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Error(error) => f.write_str(error),
            Failure::TimedOut => f.write_str("no answer in time"),
            Failure::Died(how) => write!(f, "the process is gone ({how})"),
        }
    }
}

impl Issu {
    /// Takes the run back from where it stands.
    pub(crate) fn fail(&mut self, reason: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.reason = reason;
        run.outcome = Outcome::Undone;
        run.way = Way::Thaw;
        self.transition(Trigger::Failed, now);
    }

    /// A request got no good answer.
    pub(crate) fn failed(&mut self, request: Request, failure: Failure, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let what = wording::request_failed(run, &request, &failure);
        if let Some((side, daemon)) = request.target() {
            let gone = match failure {
                Failure::Error(_) => false,
                Failure::Died(_) => true,
                // The verification that follows judges that.
                Failure::TimedOut if matches!(request, Request::Cancel { .. }) => false,
                // Where nothing is frozen a silent process may only be slow: restarting it would cost its
                // sessions, and chassisd's watchdog will say whether it hangs.
                Failure::TimedOut => !self.state.before_switch() && self.state != State::Aborting,
            };
            run.lost[side as usize][daemon.index()] |= gone;
            let refused = matches!((&request, &failure), (Request::Freeze { .. }, Failure::Error(_)));
            run.freeze_refused[side as usize][daemon.index()] |= refused;
        }
        match self.state {
            State::Switching => self.failed_switching(request, failure, what, now),
            State::Verifying => self.failed_verifying(request, failure, what, now),
            State::Soaking => self.failed_soaking(request, failure, what, now),
            State::ShuttingDownOld => self.failed_shutting_down(request, failure, what, now),
            State::RollingBack if run.way == Way::GiveBack => self.failed_giving_back(request, failure, what, now),
            State::Aborting | State::RollingBack => self.failed_on_the_way_back(request, failure, what),
            _ => self.fail(what, now),
        }
    }

    fn failed_switching(&mut self, request: Request, failure: Failure, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let past_commit = run.committed;
        match request {
            // Dead or hung instead of frozen: its successor finds in the kernel where it stood. Killed before
            // anything else happens, so that it cannot wake up.
            Request::Freeze { daemon, .. } if !matches!(failure, Failure::Error(_)) => {
                run.log(false, format!("{what}: the new {daemon} takes over from the kernel's counters"));
                if failure == Failure::TimedOut {
                    run.steps.push_front(Step::Ask(Request::Kill { side: Side::Old, daemon: Some(daemon) }));
                }
            }
            // Past the commit point these are restarted in place (see the Mend step of verifying).
            Request::Commit { side: Side::New, daemon, .. } if past_commit => {
                run.log(false, what);
                run.lost[Side::New as usize][daemon.index()] = true;
            }
            Request::Record { .. } if past_commit => run.failed_aside(request, what),
            Request::Flip { .. } if past_commit => run.note_loss(what),
            Request::Kill { .. } => run.note_loss(what),
            _ => self.fail(what, now),
        }
    }

    fn failed_verifying(&mut self, request: Request, failure: Failure, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        match request {
            // An error is asked again: if the process is dying, its death says more.
            Request::Verify { daemon, .. } if matches!(failure, Failure::Error(_)) => {
                run.verdicts[daemon.index()].reason = what;
            }
            Request::Verify { daemon: Daemon::Rpd, .. } => self.engine_lost(what, now),
            Request::Verify { daemon, .. } => self.mend_successor(daemon, what),
            Request::Respawn { .. } => self.beyond_repair(what),
            other => run.failed_aside(other, what),
        }
    }

    fn failed_shutting_down(&mut self, request: Request, failure: Failure, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        match request {
            // What it answers does not matter here, only that it does.
            Request::Watch { .. } if matches!(failure, Failure::Error(_)) => {}
            Request::Watch { daemon: Daemon::Rpd, .. } if run.can_go_back() => self.engine_lost(what, now),
            Request::Watch { daemon, .. } if daemon != Daemon::Rpd => run.log(false, what), // Mend restarts it
            Request::Retire => {
                run.log(false, what);
                run.steps.push_front(Step::Ask(Request::Kill { side: Side::Old, daemon: None }));
            }
            Request::CollectEvidence { .. } | Request::CollectBaseline => run.missing.push(what),
            other => run.failed_aside(other, what),
        }
    }

    /// The last way has no way back: every failure is noted, mended if it can be, and passed.
    fn failed_on_the_way_back(&mut self, request: Request, failure: Failure, what: String) {
        let Some(run) = self.run.as_mut() else { return };
        let side = run.goes_on();
        match request {
            Request::Activate { daemon, .. } | Request::Commit { daemon, .. } => {
                run.log(false, what);
                run.give_up_on(side, daemon); // Mend restarts it
            }
            // It stands still already, or its activation will tell.
            Request::Freeze { .. } => run.log(false, what),
            Request::Unfence { .. } => {
                run.log(false, what);
                run.lost[side as usize] = [true; 3];
            }
            Request::Verify { daemon, .. } if matches!(failure, Failure::Error(_)) => {
                run.verdicts[daemon.index()].reason = what;
            }
            Request::Verify { daemon, .. } => {
                run.log(false, what);
                run.verdicts[daemon.index()] = Default::default();
                run.steps.push_front(Step::Mend(side));
            }
            other => run.failed_aside(other, what),
        }
    }

    /// A process is gone that was not told to go.
    pub(crate) fn died(&mut self, side: Side, daemon: Daemon, how: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.lost[side as usize][daemon.index()] = true;
        let asked = run.outstanding.iter().position(|o| o.request.target() == Some((side, daemon)));
        if let Some(position) = asked {
            let request = run.outstanding.swap_remove(position).request;
            return self.failed(request, Failure::Died(how), now);
        }
        let what = format!("{}/{daemon}: the process is gone ({how})", run.slot(side));
        match (self.state, side) {
            (state, Side::Old) if state.successor_stands_ready() && !run.start.dry_run => {
                self.owner_lost(daemon, what, now);
            }
            (state, _) if state.before_switch() => self.fail(what, now),
            // Frozen and fenced, or found dead by Freeze: only the way back has become harder.
            (State::Switching, Side::Old) => run.log(false, what),
            (State::Verifying | State::Soaking, Side::Old) if daemon == Daemon::Rpd => run.close_way(what),
            (State::Verifying, Side::Old) => run.log(false, what),
            (State::Soaking, Side::Old) => run.log(false, wording::mended_on_the_way_back(&what)),
            (State::Switching | State::Verifying | State::Soaking, Side::New) => self.successor_died(daemon, what, now),
            (State::ShuttingDownOld, Side::New) if daemon == Daemon::Rpd && run.can_go_back() => {
                self.engine_lost(what, now);
            }
            (State::RollingBack, side) if run.way == Way::GiveBack => self.died_giving_back(side, daemon, what, now),
            (State::ShuttingDownOld, Side::New) | (State::Aborting, Side::Old) => run.mend_now(side, what),
            (State::RollingBack, side) if side == run.goes_on() => run.mend_now(side, what),
            _ => {}
        }
    }

    /// The owner of the sessions is dead before it was to be frozen, and a successor stands ready. Going back would restart every
    /// session; the switch goes on instead, with the dead engine as one that is frozen and fenced. Whether the successor
    /// really holds what the kernel says was consumed and written is proven by its activation, which touches nothing: when
    /// it does not, the run is undone as ever. A rehearsal changes no roles, whatever happens.
    ///
    /// The same for its mgd and pfed: where a whole engine dies, nobody knows whose death is heard of first.
    fn owner_lost(&mut self, daemon: Daemon, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.log(false, format!("error: {what}"));
        if daemon == Daemon::Rpd {
            run.reason = what;
        }
        let line = wording::owner_lost(run, daemon);
        run.log(false, line.clone());
        run.outbox.push_back(Action::Alarm(line));
        self.transition(Trigger::OwnerLost, now);
    }

    fn successor_died(&mut self, daemon: Daemon, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        if !run.committed {
            self.fail(what, now);
        } else if daemon == Daemon::Rpd {
            self.engine_lost(what, now);
        } else {
            self.mend_successor(daemon, what);
        }
    }

    /// A state's own deadline has passed.
    pub(crate) fn state_expired(&mut self, now: Time) {
        let state = self.state;
        let Some(run) = self.run.as_mut() else { return };
        let seconds = limits::state_deadline(state).unwrap_or_default().as_secs();
        let mut what = format!("{state} took longer than {seconds} s");
        if !run.reason_if_late.is_empty() {
            what.push_str(&format!(", waiting for {}", run.reason_if_late));
        }
        match state {
            State::Aborting | State::RollingBack | State::ShuttingDownOld => {
                run.note_loss(what);
                self.transition(Trigger::Done, now);
            }
            State::Verifying | State::Soaking if run.can_go_back() => {
                run.log(false, format!("error: {what}"));
                self.begin_give_back(what, now);
            }
            State::Verifying | State::Soaking => {
                run.note_loss(what);
                self.transition(if state == State::Verifying { Trigger::Failed } else { Trigger::Done }, now);
            }
            _ => self.fail(what, now),
        }
    }

    /// Restarts what is lost of `side`, one after the other, the table before the sessions. With mgd all at once, as at a start:
    /// mgd is ready when its configuration is in force in rpd and pfed, and they are when they have it.
    pub(crate) fn mend(&mut self, side: Side) {
        let Some(run) = self.run.as_mut() else { return };
        let lost = [Daemon::Mgd, Daemon::Pfed, Daemon::Rpd]
            .into_iter()
            .filter(|daemon| run.lost[side as usize][daemon.index()]);
        let lost: Vec<Daemon> = lost.collect();
        let together = lost.contains(&Daemon::Mgd);
        let last = lost.last().copied();
        for daemon in lost.into_iter().rev() {
            if run.respawns >= limits::RESPAWNS_MAX {
                let slot = run.slot(side).to_string();
                run.lost[side as usize][daemon.index()] = false;
                let what = format!("{slot}/{daemon} is gone and was restarted too often in this run");
                if side == Side::New && matches!(self.state, State::Verifying | State::Soaking) && run.can_go_back() {
                    run.lost[side as usize][daemon.index()] = true;
                    run.log(false, format!("error: {what}"));
                    run.give_back = Some(what);
                    return;
                }
                run.note_loss(what);
                continue;
            }
            run.respawns += 1;
            if !together || Some(daemon) == last {
                run.steps.push_front(Step::Barrier);
            }
            run.steps.push_front(Step::Ask(Request::Respawn { side, daemon, epoch: 0 }));
        }
    }
}

impl Run {
    /// The side that has to go on at the end of the way that rolling-back takes.
    pub(crate) fn goes_on(&self) -> Side {
        if self.way == Way::KeepNew { Side::New } else { Side::Old }
    }

    /// Something that makes the verdict worse.
    pub(crate) fn note_loss(&mut self, what: String) {
        self.log(false, format!("error: {what}"));
        self.losses.push(what);
    }

    fn mend_now(&mut self, side: Side, what: String) {
        self.log(false, what);
        if !self.steps.contains(&Step::Mend(side)) {
            self.steps.push_front(Step::Mend(side));
        }
    }

    /// What fails beside the handover itself, on any way back and past the commit point.
    pub(crate) fn failed_aside(&mut self, request: Request, what: String) {
        match request {
            Request::Cancel { daemon } if self.is_lost(Side::Old, daemon) => self.mend_now(Side::Old, what),
            Request::Cancel { .. } => self.log(false, what),
            Request::CollectEvidence { .. } | Request::CollectBaseline => self.missing.push(what),
            // A full disk: what was not written is no loss of the router's.
            Request::Record { .. } => {
                self.log(false, format!("error: {what}"));
                self.missing.push(what);
            }
            _ => self.note_loss(what),
        }
    }
}
