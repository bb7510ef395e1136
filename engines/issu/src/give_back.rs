//! The roles go back from a new engine that lives: a switchover in the other direction.
//!
//! First the old engine, which stood still, is continued and follows: it takes over what it missed from the stream, its pfed
//! from the kernel. Only when it is equal again the new one is frozen and hands over, as the old one did before; nothing is
//! lost either way. Until the old engine has proven itself the new one stands by: when the old one fails, the new one is
//! thawed in another term and goes on. There is no third turn.

use crate::failure::Failure;
use crate::limits;
use crate::machine::{Issu, Time};
use crate::message::{Daemon, Outcome, Request, Side};
use crate::plan;
use crate::run::{Run, Step, Way};
use crate::state::{State, Trigger};
use crate::wording;

const OLD: usize = Side::Old as usize;
const NEW: usize = Side::New as usize;

impl Issu {
    /// From a state in which the new engine is primary.
    pub(crate) fn begin_give_back(&mut self, reason: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.reason = reason;
        run.outcome = Outcome::Undone;
        run.way = Way::GiveBack;
        self.transition(Trigger::GiveBack, now);
    }

    /// The new primary's rpd is dead or hangs: the old engine goes on from what the stream and the kernel say.
    pub(crate) fn engine_lost(&mut self, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.reason = what;
        run.outcome = Outcome::Undone;
        run.way = Way::Thaw;
        self.transition(Trigger::EngineLost, now);
    }

    /// mgd or pfed of the new primary: restarted in place, no session and no route is touched.
    pub(crate) fn mend_successor(&mut self, daemon: Daemon, what: String) {
        let Some(run) = self.run.as_mut() else { return };
        run.log(false, what);
        run.lost[NEW][daemon.index()] = true;
        run.verdicts[daemon.index()] = Default::default();
        if self.state == State::Verifying || self.state == State::Soaking {
            run.steps.push_front(Step::Mend(Side::New));
        }
    }

    /// Restarting it did not help: better the old engine than half of the new one.
    pub(crate) fn beyond_repair(&mut self, what: String) {
        let Some(run) = self.run.as_mut() else { return };
        if run.can_go_back() {
            run.log(false, format!("error: {what}"));
            run.give_back = Some(what);
        } else {
            run.note_loss(what);
        }
    }

    /// The old engine has had time to follow: go on, ask again, or leave it.
    pub(crate) fn decide_following(&mut self, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let waiting: Vec<String> = Daemon::ALL
            .into_iter()
            .filter(|daemon| !run.is_lost(Side::Old, *daemon) && !run.answers[daemon.index()].synchronized)
            .map(|daemon| format!("{daemon}: {}", run.answers[daemon.index()].detail))
            .collect();
        if waiting.is_empty() {
            return;
        }
        if now < run.entered_at + limits::FOLLOW_DEADLINE {
            let round = plan::following_round(run);
            return run.again(now + limits::SYNCHRONIZATION_INTERVAL, round);
        }
        // What changes all the time may differ whenever one looks. pfed compares again at its activation, mgd too; only
        // the sessions' engine must be known to hold what its primary holds.
        if run.answers[Daemon::Rpd.index()].synchronized {
            return;
        }
        let (slot, seconds) = (run.slot(Side::Old).to_string(), limits::FOLLOW_DEADLINE.as_secs());
        self.keep_new(format!("{slot} does not follow within {seconds} s, it waits for {}", waiting.join("; ")), now);
    }

    /// The old engine cannot take over: it is ended, and the new one goes on.
    pub(crate) fn keep_new(&mut self, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.log(false, format!("error: {what}"));
        run.reason = format!("{}; the roles could not go back: {what}", run.reason);
        run.outcome = Outcome::Kept;
        run.way = Way::KeepNew;
        run.steps.clear();
        run.outstanding.clear();
        run.lay_plan(State::RollingBack, now);
    }

    /// The new engine has died before it could hand over: the old one goes on as after any death.
    fn lost_while_giving_back(&mut self, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.log(false, what);
        run.way = Way::Thaw;
        run.steps.clear();
        run.outstanding.clear();
        run.lay_plan(State::RollingBack, now);
    }

    pub(crate) fn failed_giving_back(&mut self, request: Request, failure: Failure, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let (error, died) = (matches!(failure, Failure::Error(_)), matches!(failure, Failure::Died(_)));
        match request {
            // Dead, hung or half restarted instead of frozen: the old one finds in the kernel where it stood. Killed before
            // anything else happens, so that it cannot wake up.
            Request::Freeze { side: Side::New, daemon } if !error => {
                run.log(false, format!("{what}: the old {daemon} takes over from the kernel's counters"));
                run.steps.push_front(Step::Ask(Request::Kill { side: Side::New, daemon: Some(daemon) }));
            }
            Request::Verify { daemon, .. } if error => run.verdicts[daemon.index()].reason = what,
            // What it answers does not matter here, only that it does.
            Request::Watch { .. } if error => {}
            Request::Watch { .. } => self.lost_while_giving_back(what, now),
            Request::Activate { daemon: Daemon::Rpd, .. }
            | Request::Commit { daemon: Daemon::Rpd, .. }
            | Request::Follow { daemon: Daemon::Rpd, .. }
            | Request::Synchronization { daemon: Daemon::Rpd, .. }
            | Request::Verify { daemon: Daemon::Rpd, .. } => self.no_third_turn(Daemon::Rpd, what, now),
            // Of mgd and pfed another one does as well, as soon as the old rpd is primary.
            Request::Activate { daemon, .. } | Request::Commit { daemon, .. } if died || run.primary == Side::Old => {
                run.put_off(daemon, what);
            }
            Request::Follow { daemon, .. } => run.put_off(daemon, what),
            Request::Synchronization { .. } if error => {}
            Request::Synchronization { daemon, .. } => run.put_off(daemon, what),
            Request::Verify { daemon, .. } => {
                run.log(false, what);
                run.lost[OLD][daemon.index()] = true;
                run.verdicts[daemon.index()] = Default::default();
                run.steps.push_front(Step::Mend(Side::Old));
            }
            Request::Activate { .. }
            | Request::Commit { .. }
            | Request::Freeze { .. }
            | Request::Fence { .. }
            | Request::Unfence { .. }
            | Request::RaiseEpoch { .. } => self.keep_new(what, now),
            other => run.failed_aside(other, what),
        }
    }

    /// The old rpd fails: back to the new one, if it is still there.
    fn no_third_turn(&mut self, daemon: Daemon, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        if !run.is_gone(Side::New, Daemon::Rpd) {
            return self.keep_new(what, now);
        }
        run.log(false, what);
        run.give_up_on(Side::Old, daemon);
    }

    pub(crate) fn died_giving_back(&mut self, side: Side, daemon: Daemon, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        match (side, daemon) {
            (Side::New, Daemon::Rpd) if !run.freeze_asked[NEW][daemon.index()] => {
                self.lost_while_giving_back(what, now)
            }
            (Side::New, _) => run.log(false, what),
            (Side::Old, Daemon::Rpd) => self.no_third_turn(daemon, what, now),
            (Side::Old, _) => {
                run.log(false, what);
                if run.primary == Side::Old && !run.steps.contains(&Step::Mend(Side::Old)) {
                    run.steps.push_front(Step::Mend(Side::Old));
                }
            }
        }
    }
}

impl Run {
    /// The old engine stands by, and nobody has told it to end.
    pub(crate) fn can_go_back(&self) -> bool {
        self.way_closed.is_none() && !self.retire_asked && !self.is_gone(Side::Old, Daemon::Rpd)
    }

    /// mgd or pfed of the old slot: lost for now, restarted once its rpd is primary.
    fn put_off(&mut self, daemon: Daemon, what: String) {
        self.log(false, wording::mended_on_the_way_back(&what));
        self.lost[OLD][daemon.index()] = true;
    }

    /// No further step is for this process; it is restarted where the plan says so, or at once.
    pub(crate) fn give_up_on(&mut self, side: Side, daemon: Daemon) {
        self.lost[side as usize][daemon.index()] = true;
        self.steps.retain(|step| {
            let Step::Ask(request) = step else { return true };
            request.target() != Some((side, daemon)) || matches!(request, Request::Verify { .. })
        });
        if !self.steps.contains(&Step::Mend(side)) {
            self.steps.push_front(Step::Mend(side));
        }
    }
}
