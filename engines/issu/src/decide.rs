//! What the answers of a round mean: go on, ask again, or stop.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits;
use crate::machine::{Issu, Time};
use crate::message::{Check, Daemon, Outcome, Request, Side};
use crate::plan;
use crate::run::{Decision, Run, Step};
use crate::state::{State, Trigger};
use crate::wording;

impl Issu {
    pub(crate) fn decide(&mut self, decision: Decision, now: Time) {
        match decision {
            Decision::Checks => self.decide_checks(now),
            Decision::Synchronization => self.decide_synchronization(now, false),
            Decision::WarmBoot => self.decide_synchronization(now, true),
            Decision::Preparation => self.decide_preparation(now),
            Decision::Rehearsal => self.decide_rehearsal(now),
            Decision::Verification(side) => self.decide_verification(side, now),
            Decision::Following => self.decide_following(now),
            Decision::Soaking => self.decide_soaking(now),
        }
    }

    fn decide_checks(&mut self, now: Time) {
        let last_ended = self.last_ended;
        let Some(run) = self.run.as_mut() else { return };
        let Some((mut checks, spacing)) = run.checks.take() else {
            return self.fail("mgd gave no pre-checks".into(), now);
        };
        let overridden = run.start.force || run.start.dry_run;
        checks.push(spacing_check(last_ended, spacing, overridden, &run.steady, now));
        for line in wording::pre_checks(&checks) {
            run.log(false, line);
        }
        let refusals: Vec<String> =
            checks.iter().filter(|check| !check.passed && !check.warning).map(wording::refusal).collect();
        if refusals.is_empty() {
            return;
        }
        for refusal in &refusals {
            run.log(false, format!("error: {refusal}"));
        }
        run.reason = refusals.join("; ");
        run.outcome = Outcome::Refused;
        self.transition(Trigger::Refused, now);
    }

    fn decide_synchronization(&mut self, now: Time, warm_boot: bool) {
        let Some(run) = self.run.as_mut() else { return };
        let pfed = &run.answers[Daemon::Pfed.index()];
        let waiting_for = if warm_boot && pfed.pending_writes > 0 {
            Some(format!("pfed would write {} entries", pfed.pending_writes))
        } else {
            Daemon::ALL
                .into_iter()
                .find(|daemon| !run.answers[daemon.index()].synchronized)
                .map(|daemon| format!("{daemon}: {}", run.answers[daemon.index()].detail))
        };
        let Some(waiting_for) = waiting_for else { return };
        let marker = run.answers.iter().fold(0u64, |sum, answer| sum.rotate_left(21) ^ answer.marker);
        if run.marker_moved(marker) {
            run.progress_at = now;
        } else if now >= run.progress_at + limits::SYNCHRONIZATION_STALL {
            let seconds = limits::SYNCHRONIZATION_STALL.as_secs();
            return self
                .fail(format!("the backup has made no progress for {seconds} s, it waits for {waiting_for}"), now);
        }
        run.reason_if_late = waiting_for;
        let decision = if warm_boot { Decision::WarmBoot } else { Decision::Synchronization };
        run.again(now + limits::SYNCHRONIZATION_INTERVAL, plan::synchronization_round(decision));
    }

    fn decide_preparation(&mut self, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let waiting: Vec<Daemon> = Daemon::ALL.into_iter().filter(|daemon| !run.verdicts[daemon.index()].ok).collect();
        if waiting.is_empty() {
            return;
        }
        let refused = waiting.iter().find(|daemon| run.verdicts[daemon.index()].wait.is_zero());
        if let Some(daemon) = refused {
            let reason = format!("{daemon} is not ready for the switchover: {}", run.verdicts[daemon.index()].reason);
            return self.fail(reason, now);
        }
        let wait = waiting.iter().map(|daemon| run.verdicts[daemon.index()].wait).min().unwrap_or_default();
        let daemon = waiting[0];
        run.reason_if_late = format!("{daemon}: {}", run.verdicts[daemon.index()].reason);
        let wait = wait.clamp(limits::PREPARE_WAIT_MIN, limits::PREPARE_WAIT_MAX);
        run.again(now + wait, plan::preparation_round(&waiting));
    }

    fn decide_rehearsal(&mut self, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        if run.start.dry_run {
            run.outcome = Outcome::Rehearsed;
            self.transition(Trigger::Rehearsed, now);
        } else {
            let state = self.state;
            run.steps.extend([
                Step::Ask(Request::Record { state, committed: false }),
                Step::Barrier,
                Step::Finish(Trigger::Done),
            ]);
        }
    }

    fn decide_verification(&mut self, side: Side, now: Time) {
        let Some(run) = self.run.as_mut() else { return };
        let slot = run.slot(side).to_string();
        let lost = |daemon: &Daemon| run.lost[side as usize][daemon.index()];
        let failed: Vec<String> = Daemon::ALL
            .into_iter()
            .filter(|daemon| run.verdicts[daemon.index()].done && !run.verdicts[daemon.index()].ok)
            .map(|daemon| format!("{slot}/{daemon} failed its checks: {}", run.verdicts[daemon.index()].reason))
            .collect();
        let waiting: Vec<Daemon> =
            Daemon::ALL.into_iter().filter(|d| !run.verdicts[d.index()].done && !lost(d)).collect();
        let late = now >= run.verify_until;
        if failed.is_empty() && !waiting.is_empty() && !late {
            run.again(now + limits::VERIFY_INTERVAL, plan::verification_round(side, &waiting));
            return;
        }
        let mut problems = failed;
        if problems.is_empty() && late {
            problems.extend(waiting.iter().map(|daemon| {
                let reason = &run.verdicts[daemon.index()].reason;
                let seconds = limits::VERIFY_DEADLINE.as_secs();
                format!("{slot}/{daemon} did not finish its checks within {seconds} s: {reason}")
            }));
        }
        // What a daemon could not prove, and why that is no fault of the run, is said in its log.
        let remarks: Vec<String> = Daemon::ALL
            .into_iter()
            .map(|daemon| (daemon, &run.verdicts[daemon.index()]))
            .filter(|(_, verdict)| verdict.done && verdict.ok && !verdict.reason.is_empty())
            .map(|(daemon, verdict)| format!("note: {slot}/{daemon}: {}", verdict.reason))
            .collect();
        for remark in remarks {
            run.log(false, remark);
        }
        if problems.is_empty() {
            return;
        }
        for problem in &problems {
            run.log(false, format!("error: {problem}"));
        }
        if self.state == State::Verifying && run.can_go_back() {
            return self.begin_give_back(problems.join("; "), now);
        }
        run.losses.extend(problems);
        if self.state == State::Verifying {
            // There is no engine to go back to: this one is kept, and the report says so.
            self.transition(Trigger::Failed, now);
        }
    }
}

impl Run {
    pub(crate) fn again(&mut self, at: Time, round: Vec<Step>) {
        let rest = std::mem::take(&mut self.steps);
        self.steps = VecDeque::with_capacity(rest.len() + round.len() + 1);
        self.steps.push_back(Step::WaitUntil(at));
        self.steps.extend(round);
        self.steps.extend(rest);
    }

    fn marker_moved(&mut self, marker: u64) -> bool {
        self.last_marker.replace(marker) != Some(marker)
    }
}

/// Our own check: runs are spaced, so that what went wrong in one is seen before the next. Where nothing can have gone wrong,
/// because everything has been proven steady since, there is nothing to wait for.
fn spacing_check(
    last_ended: Option<Time>,
    spacing: Duration,
    overridden: bool,
    steady: &Result<String, String>,
    now: Time,
) -> Check {
    let since = last_ended.map(|ended| now.saturating_sub(ended));
    let left = since.map_or(Duration::ZERO, |since| spacing.saturating_sub(since));
    let waived = left.is_zero() || overridden || steady.is_ok();
    let seen = since.map_or("no run before".into(), |since| format!("{} s since the last run", since.as_secs()));
    let observed = match steady {
        _ if left.is_zero() => seen,
        Ok(proof) => format!("{seen}; proven steady: {proof}"),
        Err(doubt) => format!("{seen}; not proven steady: {doubt}"),
    };
    Check {
        id: "minimum-spacing".into(),
        title: "Minimum spacing".into(),
        value: if waived { "Valid" } else { "Invalid" }.into(),
        passed: waived,
        warning: false,
        observed,
        required: format!(
            "{} s ({} s left), or proof that nothing has moved",
            spacing.as_secs(),
            left.as_secs_f64().ceil()
        ),
        remedy: "wait, or request system reboot in-service force, or set chassis in-service minimum-spacing".into(),
    }
}
