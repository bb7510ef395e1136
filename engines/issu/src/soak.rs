//! Soaking: the new engine serves, the old one follows it as a backup, and a confirmation is waited for.
//!
//! In rounds, both are watched: the new engine because nobody else would notice in time that it hangs, the old one because
//! a way back that is not there must not be promised. A lost follower is not replaced: the run says that the way back is
//! closed, raises an alarm, and goes on until the operator confirms or the time is over.

use std::time::Duration;

use crate::failure::Failure;
use crate::limits;
use crate::machine::{Issu, Time};
use crate::message::{Action, Daemon, Outcome, Request, Side};
use crate::plan;
use crate::run::Run;
use crate::state::{State, Trigger};
use crate::wording;

/// What soaking remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Soak {
    /// Until when the confirmation has to come.
    pub until: Time,
    /// It has come.
    pub confirmed: bool,
    /// The next reminder is due when this much is left.
    pub remind_at: Option<Duration>,
    /// The follower was equal at least once.
    pub equal_once: bool,
    /// Since when the follower is not equal.
    pub unequal_since: Option<Time>,
    /// In this round the follower's rpd answered with an error, and whether it did in the one before. Once may be a call that
    /// broke off.
    pub error: Option<String>,
    pub error_before: bool,
}

impl Run {
    /// Sets the clock of the confirmation.
    pub(crate) fn begin_soaking(&mut self, now: Time) {
        let wait = self.start.confirm.unwrap_or_default();
        self.soak = Soak { until: now + wait, remind_at: limits::reminder_below(wait), ..Soak::default() };
        self.answers = Default::default();
    }

    /// The old engine cannot take over any more.
    pub(crate) fn close_way(&mut self, what: String) {
        if self.way_closed.is_some() {
            return;
        }
        self.log(false, format!("error: {what}"));
        let line = wording::way_closed(self, &what);
        self.log(false, line.clone());
        self.outbox.push_back(Action::Alarm(line));
        self.way_closed = Some(what);
        self.give_back = None;
    }

    fn remind(&mut self, now: Time) {
        let left = self.soak.until.saturating_sub(now);
        let Some(due) = self.soak.remind_at.filter(|due| left <= *due) else { return };
        self.soak.remind_at = limits::reminder_below(due);
        let line = wording::confirm_within(self, due);
        self.log(false, line);
    }

    /// A follower that stays unequal will not become equal: its tables are not what its primary's are.
    fn judge_follower(&mut self, now: Time) {
        if self.way_closed.is_some() {
            return;
        }
        let error = self.soak.error.take();
        let error_before = std::mem::replace(&mut self.soak.error_before, error.is_some());
        if let Some(what) = error {
            if error_before {
                self.close_way(what);
            }
            return;
        }
        let answer = &self.answers[Daemon::Rpd.index()];
        if answer.synchronized {
            self.soak.unequal_since = None;
            if !std::mem::replace(&mut self.soak.equal_once, true) {
                let line = wording::way_open(self);
                self.log(false, line);
            }
            return;
        }
        let detail = answer.detail.clone();
        let since = *self.soak.unequal_since.get_or_insert(now);
        if now >= since + limits::SOAK_UNEQUAL_MAX {
            let slot = self.slot(Side::Old).to_string();
            let seconds = limits::SOAK_UNEQUAL_MAX.as_secs();
            self.close_way(format!("{slot}/rpd has not been equal to its primary for {seconds} s: {detail}"));
        }
    }
}

impl Issu {
    /// The new rpd has given up its follower: the old engine, which stands by, misses facts from here on and cannot go on in its
    /// place. The new one serves as it did; only the way back is closed.
    pub fn note_follower_lost(&mut self, why: &str) {
        if !matches!(self.state, State::Verifying | State::Soaking) {
            return;
        }
        let Some(run) = self.run.as_mut() else { return };
        let slot = run.slot(Side::Old).to_string();
        run.close_way(format!("{slot}/rpd misses facts: {why}"));
    }

    /// After each round: is it time, and what is next?
    pub(crate) fn decide_soaking(&mut self, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        run.judge_follower(now);
        if now < run.soak.until {
            run.remind(now);
            let next = (now + limits::SOAK_INTERVAL).min(run.soak.until);
            let round = plan::soaking_round(run);
            return run.again(next, round);
        }
        let minutes = wording::span(run.start.confirm.unwrap_or_default());
        let reason = format!("not confirmed within {minutes}");
        match run.way_closed.clone() {
            None => run.give_back = Some(reason),
            Some(closed) => {
                run.outcome = Outcome::Kept;
                run.reason = format!("{reason}, and the way back is closed: {closed}");
                run.log(false, format!("error: {}", run.reason));
                self.transition(Trigger::Done, now);
            }
        }
    }

    pub(crate) fn failed_soaking(&mut self, request: Request, failure: Failure, what: String, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let error = matches!(failure, Failure::Error(_));
        match request {
            // What the new engine answers does not matter here, only that it does; a dying one is heard of by its death.
            Request::Watch { .. } if error => {}
            Request::Watch { daemon: Daemon::Rpd, .. } => self.engine_lost(what, now),
            Request::Watch { daemon, .. } => self.mend_successor(daemon, what),
            Request::Unfence { .. } | Request::Follow { daemon: Daemon::Rpd, .. } => run.close_way(what),
            Request::Synchronization { daemon: Daemon::Rpd, .. } if error => run.soak.error = Some(what),
            Request::Synchronization { daemon: Daemon::Rpd, .. } => run.close_way(what),
            // Of the old mgd and pfed another one does as well; it is started when the roles go back.
            Request::Synchronization { .. } if error => {}
            Request::Follow { daemon, .. } | Request::Synchronization { daemon, .. } => {
                run.lost[Side::Old as usize][daemon.index()] = true;
                run.log(false, wording::mended_on_the_way_back(&what));
            }
            Request::Respawn { .. } => self.beyond_repair(what),
            other => run.failed_aside(other, what),
        }
    }
}
