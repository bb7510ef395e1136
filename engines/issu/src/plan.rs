//! The steps of each state, in the order in which they happen. Read from top to bottom, this is the run.

use crate::limits;
use crate::machine::Time;
use crate::message::{Daemon, Request, Side};
use crate::run::{Decision, Run, Step, Way};
use crate::state::{State, Trigger};
use crate::wording;

fn stamped(line: &str) -> Step {
    Step::Log { stamped: true, line: line.into() }
}

fn say(line: impl Into<String>) -> Step {
    Step::Log { stamped: false, line: line.into() }
}

fn activate(side: Side, daemon: Daemon) -> Step {
    // Epoch and peer_lost are filled in when the request is made.
    Step::Ask(Request::Activate { side, daemon, epoch: 0, peer_lost: false })
}

fn commit(side: Side, daemon: Daemon) -> Step {
    Step::Ask(Request::Commit { side, daemon, epoch: 0 })
}

fn synchronization(side: Side, daemon: Daemon) -> Step {
    Step::Ask(Request::Synchronization { side, daemon })
}

fn watch(side: Side) -> [Step; 3] {
    Daemon::ALL.map(|daemon| Step::Ask(Request::Watch { side, daemon }))
}

fn freeze(side: Side, daemon: Daemon) -> Step {
    Step::Ask(Request::Freeze { side, daemon })
}

/// Asks all three of the new slot how far they are, then decides.
pub(crate) fn synchronization_round(decision: Decision) -> Vec<Step> {
    let mut steps: Vec<Step> = Daemon::ALL.into_iter().map(|daemon| synchronization(Side::New, daemon)).collect();
    steps.extend([Step::Barrier, Step::Decide(decision)]);
    steps
}

/// Asks what lives of the old slot how far it follows, then decides whether the roles may go back.
pub(crate) fn following_round(run: &Run) -> Vec<Step> {
    let alive = Daemon::ALL.into_iter().filter(|daemon| !run.is_lost(Side::Old, *daemon));
    let mut steps: Vec<Step> = alive.map(|daemon| synchronization(Side::Old, daemon)).collect();
    steps.extend([Step::Barrier, Step::Decide(Decision::Following)]);
    steps
}

/// Watches the new engine and its follower once.
pub(crate) fn soaking_round(run: &Run) -> Vec<Step> {
    let mut steps: Vec<Step> = watch(Side::New).into();
    let follows = |daemon: &Daemon| run.way_closed.is_none() && !run.is_lost(Side::Old, *daemon);
    steps.extend(Daemon::ALL.into_iter().filter(follows).map(|daemon| synchronization(Side::Old, daemon)));
    steps.extend([Step::Barrier, Step::Decide(Decision::Soaking)]);
    steps
}

/// Asks those of `side` whose checks are not done, then decides.
pub(crate) fn verification_round(side: Side, daemons: &[Daemon]) -> Vec<Step> {
    let mut steps: Vec<Step> = daemons.iter().map(|&daemon| Step::Ask(Request::Verify { side, daemon })).collect();
    steps.extend([Step::Barrier, Step::Decide(Decision::Verification(side))]);
    steps
}

/// Asks those of the old slot that are not ready yet, then decides.
pub(crate) fn preparation_round(daemons: &[Daemon]) -> Vec<Step> {
    let mut steps: Vec<Step> = daemons.iter().map(|&daemon| Step::Ask(Request::Prepare { daemon })).collect();
    steps.extend([Step::Barrier, Step::Decide(Decision::Preparation)]);
    steps
}

impl Run {
    /// Lays down what happens in `state`.
    pub(crate) fn lay_plan(&mut self, state: State, now: Time) {
        let steps = match state {
            State::Idle => Vec::new(),
            State::Validating => validating(),
            State::PreparingBackup => preparing_backup(self.slot(Side::New)),
            State::Synchronizing => {
                self.progress_at = now;
                recorded(state, synchronizing())
            }
            State::PreparingDaemons => recorded(state, preparing_daemons()),
            State::DaemonsReady => recorded(state, vec![stamped("Daemons Ready for ISSU")]),
            State::FruWarmBooting => recorded(state, fru_warm_booting()),
            State::FruWarmBooted => recorded(state, vec![stamped("FPC Warm Booted")]),
            State::PreparingSwitchover => recorded(state, preparing_switchover()),
            State::ReadyForSwitchover => {
                vec![stamped("Ready for Switchover"), Step::Decide(Decision::Rehearsal)]
            }
            State::Switching => switching(self.slot(Side::Old), self.slot(Side::New)),
            State::Verifying => {
                if self.is_lost(Side::Old, Daemon::Rpd) {
                    self.close_way(format!("{}/rpd is gone", self.slot(Side::Old)));
                }
                verifying(if self.start.confirm.is_some() { Trigger::Soak } else { Trigger::Done })
            }
            State::Soaking => {
                self.begin_soaking(now);
                self.soaking()
            }
            State::ShuttingDownOld => self.shutting_down_old(),
            State::Aborting => self.aborting(),
            State::RollingBack => match self.way {
                Way::Thaw => {
                    // The new slot is killed first: whatever becomes of the old one's commit, nobody else is primary.
                    self.primary = Side::Old;
                    self.rolling_back()
                }
                Way::GiveBack => self.giving_back(),
                Way::KeepNew => self.keeping_new(),
            },
        };
        self.steps.extend(steps);
    }

    /// Forgets earlier answers and sets the time by which the checks must have passed.
    pub(crate) fn begin_verification(&mut self, now: Time) {
        self.verdicts = Default::default();
        self.verify_until = now + limits::VERIFY_DEADLINE;
    }

    fn aborting(&self) -> Vec<Step> {
        let mut steps = vec![stamped(if self.start.dry_run && self.reason.is_empty() {
            "Rehearsal complete: taking everything back"
        } else {
            "Aborting"
        })];
        steps.extend((!self.reason.is_empty()).then(|| say(format!("reason: {}", self.reason))));
        steps.push(Step::Ask(Request::Kill { side: Side::New, daemon: None }));
        steps.extend(self.cancel());
        steps.extend([Step::Barrier, Step::Mend(Side::Old), Step::Barrier]);
        steps.extend(self.closing_steps(State::Aborting, Side::Old));
        steps
    }

    /// The old engine becomes a backup that follows, and both are watched.
    fn soaking(&self) -> Vec<Step> {
        let mut steps = vec![
            Step::Ask(Request::Record { state: State::Soaking, committed: true }),
            say(wording::confirm_within(self, self.start.confirm.unwrap_or_default())),
        ];
        // Who hangs is found first: nothing else that is asked of it may use up the neighbours' patience, and evidence is asked
        // of processes that answer.
        steps.extend(watch(Side::New));
        steps.extend([
            Step::Barrier,
            // What the switch lost is judged now, before neighbours go on living their own lives. Nobody waits for it.
            Step::Ask(Request::CollectEvidence { side: Side::New }),
        ]);
        if self.can_go_back() {
            steps.extend(self.follow());
        }
        steps.extend([Step::Barrier, Step::Decide(Decision::Soaking)]);
        steps
    }

    /// Continues the old slot and has it follow.
    fn follow(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.fenced[Side::Old as usize] {
            steps.extend([Step::Ask(Request::Unfence { side: Side::Old }), Step::Barrier]);
        }
        let waits = |daemon: &Daemon| !self.follows[daemon.index()] && !self.is_lost(Side::Old, *daemon);
        steps.extend(
            Daemon::ALL
                .into_iter()
                .filter(waits)
                .map(|daemon| Step::Ask(Request::Follow { side: Side::Old, daemon, epoch: 0 })),
        );
        steps.push(Step::Barrier);
        steps
    }

    /// Kill first: nothing of the old engine moves while its successor could.
    fn rolling_back(&self) -> Vec<Step> {
        let mut steps = vec![
            stamped("Rolling back"),
            say(format!("reason: {}", self.reason)),
            Step::Ask(Request::Kill { side: Side::New, daemon: None }),
            Step::Barrier,
        ];
        if self.freeze_asked[Side::Old as usize].contains(&true) {
            steps.extend(self.thaw(Side::Old));
        }
        steps.extend(self.link_back(Side::Old));
        steps.extend([Step::Barrier, Step::Mend(Side::Old), Step::Barrier]);
        steps.push(say(format!("{} goes on where it stood", self.slot(Side::Old))));
        steps.extend(self.cancel());
        steps.push(Step::BeginVerification);
        steps.extend(verification_round(Side::Old, &Daemon::ALL));
        steps.extend(self.closing_steps(State::RollingBack, Side::Old));
        steps
    }

    /// The switchover in the other direction. The new slot stands by until the old one has proven itself.
    fn giving_back(&self) -> Vec<Step> {
        let (old, new) = (self.slot(Side::Old), self.slot(Side::New));
        let mut steps = vec![
            stamped("Rolling back"),
            say(format!("reason: {}", self.reason)),
            Step::Ask(Request::Record { state: State::RollingBack, committed: true }),
        ];
        if let Some(baseline) = self.soaked() {
            // A new engine that hangs is found while it is asked for its state.
            steps.extend([baseline, Step::Ask(Request::Watch { side: Side::New, daemon: Daemon::Rpd })]);
        }
        steps.extend(self.follow());
        steps.extend(following_round(self));
        steps.push(say(format!("Giving the primary role back from {new} to {old}")));
        steps.extend(hand_over(Side::New));
        steps.extend(take_over(Side::Old));
        steps.extend([
            commit(Side::Old, Daemon::Mgd),
            Step::Ask(Request::Flip { side: Side::Old }),
            Step::Barrier,
            Step::Mend(Side::Old),
            Step::Barrier,
            say(format!("{old} goes on where {new} stood")),
        ]);
        steps.extend(self.cancel());
        steps.push(Step::BeginVerification);
        steps.extend(verification_round(Side::Old, &Daemon::ALL));
        steps.extend([Step::Ask(Request::Kill { side: Side::New, daemon: None }), Step::Barrier]);
        steps.extend(self.closing_steps(State::RollingBack, Side::Old));
        steps
    }

    /// The roles could not go back: the old slot is ended before anything of the new one moves.
    fn keeping_new(&self) -> Vec<Step> {
        let (old, new) = (self.slot(Side::Old), self.slot(Side::New));
        let mut steps = vec![
            say(format!("{old} cannot take the roles back: {new} is kept")),
            Step::Ask(Request::Kill { side: Side::Old, daemon: None }),
            Step::Barrier,
        ];
        if self.freeze_asked[Side::New as usize].contains(&true) {
            steps.extend(self.thaw(Side::New));
        }
        steps.extend(self.link_back(Side::New));
        steps.extend([Step::Barrier, Step::Mend(Side::New), Step::Barrier, say(format!("{new} goes on"))]);
        steps.push(Step::BeginVerification);
        steps.extend(verification_round(Side::New, &Daemon::ALL));
        steps.extend(self.closing_steps(State::RollingBack, Side::New));
        steps
    }

    fn shutting_down_old(&self) -> Vec<Step> {
        let mut steps = vec![Step::Ask(Request::Record { state: State::ShuttingDownOld, committed: true })];
        steps.extend(self.soaked());
        // Once the old engine is gone nobody can take over from a new one that hangs.
        steps.extend(watch(Side::New));
        steps.extend([
            Step::Barrier, // up to here the run can be taken back
            say("Stopping primary dataplane and the old RE"),
            Step::Ask(Request::Retire),
            Step::Barrier,
            Step::Mend(Side::New),
            Step::Ask(Request::CollectEvidence { side: Side::New }),
            Step::Barrier,
            say("Clearing ISSU states"),
            Step::Finish(Trigger::Done),
        ]);
        steps
    }

    /// What neighbours did while a confirmation was waited for is not the run's doing: it is judged from here on.
    fn soaked(&self) -> Option<Step> {
        (self.soak.until > Time::ZERO).then_some(Step::Ask(Request::CollectBaseline))
    }

    fn link_back(&self, side: Side) -> Option<Step> {
        (self.link != side).then_some(Step::Ask(Request::Flip { side }))
    }

    /// Takes back every readiness that was asked for.
    fn cancel(&self) -> Vec<Step> {
        let asked = Daemon::ALL.into_iter().filter(|daemon| self.prepare_asked[daemon.index()]);
        asked.map(|daemon| Step::Ask(Request::Cancel { daemon })).collect()
    }

    /// A frozen engine goes on in a new term. A term is one for all three and for the vault: whoever had not been frozen yet
    /// is frozen now and goes through it with the others, else it would be refused as one of the past from here on.
    fn thaw(&self, side: Side) -> Vec<Step> {
        let asked = |daemon: &Daemon| self.freeze_asked[side as usize][daemon.index()];
        let refused = |daemon: &Daemon| self.freeze_refused[side as usize][daemon.index()];
        let late = |daemon: &Daemon| (!asked(daemon) || refused(daemon)) && !self.is_lost(side, *daemon);
        let mut steps: Vec<Step> = Daemon::ALL.into_iter().filter(late).map(|daemon| freeze(side, daemon)).collect();
        steps.extend([Step::Barrier, Step::Ask(Request::RaiseEpoch { epoch: 0 }), Step::Barrier]);
        if self.fenced[side as usize] {
            steps.extend([Step::Ask(Request::Unfence { side }), Step::Barrier]);
        }
        let frozen = || Daemon::ACTIVATION.into_iter().filter(|daemon| asked(daemon) || late(daemon));
        steps.extend(frozen().map(|daemon| activate(side, daemon)));
        steps.push(Step::Barrier);
        steps.extend(frozen().flat_map(|daemon| [commit(side, daemon), Step::Barrier]));
        steps
    }

    fn closing_steps(&self, state: State, side: Side) -> Vec<Step> {
        let mut steps = vec![Step::Ask(Request::Record { state, committed: false })];
        if self.baseline {
            steps.push(Step::Ask(Request::CollectEvidence { side }));
        }
        steps.extend([Step::Barrier, Step::Finish(Trigger::Done)]);
        steps
    }
}

/// The journal first, the end of the state last.
fn recorded(state: State, work: Vec<Step>) -> Vec<Step> {
    let mut steps = vec![Step::Ask(Request::Record { state, committed: false })];
    steps.extend(work);
    steps.extend([Step::Barrier, Step::Finish(Trigger::Done)]);
    steps
}

fn validating() -> Vec<Step> {
    vec![
        stamped("Validating Image"),
        Step::Ask(Request::Record { state: State::Validating, committed: false }),
        Step::Ask(Request::PreChecks),
        Step::Barrier,
        Step::Decide(Decision::Checks), // may refuse
        Step::Ask(Request::CollectBaseline),
        Step::Barrier,
        Step::Finish(Trigger::Done),
    ]
}

fn preparing_backup(new_slot: &str) -> Vec<Step> {
    let index = new_slot.trim_start_matches("re");
    vec![
        stamped("Preparing Backup RE"),
        say("Prepare for ISSR"),
        Step::Ask(Request::Record { state: State::PreparingBackup, committed: false }),
        Step::Barrier,
        stamped("Backup RE Prepare Done"),
        say("Spawning the backup RE"),
        Step::Ask(Request::Spawn { daemons: &[Daemon::Mgd, Daemon::Rpd] }),
        Step::Barrier,
        say(format!("Spawn backup RE, index {index} successful")),
        say("Starting secondary dataplane"),
        Step::Ask(Request::Spawn { daemons: &[Daemon::Pfed] }),
        Step::Barrier,
        say("Second dataplane started"),
        Step::Finish(Trigger::Done),
    ]
}

fn synchronizing() -> Vec<Step> {
    let mut steps = vec![say("GRES in progress"), say("Waiting for backup RE switchover ready")];
    steps.extend(synchronization_round(Decision::Synchronization));
    steps.extend([
        say("GRES operational"),
        say("Initiating Chassis In-Service-Upgrade for ISSR"),
        say("Chassis ISSU Started"),
    ]);
    steps
}

fn preparing_daemons() -> Vec<Step> {
    let mut steps = vec![stamped("Preparing Daemons")];
    steps.extend(preparation_round(&Daemon::ALL));
    steps
}

fn fru_warm_booting() -> Vec<Step> {
    let mut steps = vec![stamped("Starting Upgrade for FRUs"), stamped("FPC Warm Booting")];
    steps.extend(synchronization_round(Decision::WarmBoot));
    steps
}

fn preparing_switchover() -> Vec<Step> {
    let mut steps = vec![stamped("Preparing for Switchover")];
    steps.extend(synchronization_round(Decision::Synchronization));
    steps
}

/// `side` stands still, in a term that ends. Between Freeze(rpd) and Commit(rpd) there is nothing slow, and what can go
/// side by side does.
fn hand_over(side: Side) -> [Step; 9] {
    [
        freeze(side, Daemon::Mgd),
        Step::Barrier,
        freeze(side, Daemon::Rpd),
        freeze(side, Daemon::Pfed),
        Step::Barrier,
        Step::Ask(Request::Fence { side }),
        Step::Barrier,
        Step::Ask(Request::RaiseEpoch { epoch: 0 }),
        Step::Barrier,
    ]
}

/// `side` goes on in a new term, up to the commit point.
fn take_over(side: Side) -> Vec<Step> {
    let mut steps: Vec<Step> = Daemon::ACTIVATION.map(|daemon| activate(side, daemon)).into();
    steps.extend([Step::Barrier, commit(side, Daemon::Pfed), Step::Barrier]);
    steps.extend([commit(side, Daemon::Rpd), Step::Barrier]); // the commit point
    steps
}

/// The switchover. The record is on disk before anything is frozen.
fn switching(old_slot: &str, new_slot: &str) -> Vec<Step> {
    let mut steps = vec![
        say(format!("Switching the primary role from {old_slot} to {new_slot}")),
        Step::Ask(Request::Record { state: State::Switching, committed: false }),
        Step::Barrier,
    ];
    steps.extend(hand_over(Side::Old));
    steps.extend(take_over(Side::New));
    steps.extend([
        commit(Side::New, Daemon::Mgd),
        Step::Ask(Request::Record { state: State::Switching, committed: false }), // says committed when made
        Step::Barrier,
        Step::Ask(Request::Flip { side: Side::New }),
        Step::Barrier,
        Step::Finish(Trigger::Done),
    ]);
    steps
}

fn verifying(then: Trigger) -> Vec<Step> {
    let mut steps = vec![
        Step::Ask(Request::Record { state: State::Verifying, committed: true }),
        Step::Mend(Side::New), // mgd or pfed lost after the commit point
        Step::Barrier,
        say("Checking In-Service-Upgrade status"),
        Step::BeginVerification,
    ];
    steps.extend(verification_round(Side::New, &Daemon::ALL));
    steps.extend(wording::fru_status_table().map(say));
    steps.extend([Step::Barrier, say("Chassis ISSU Completed"), Step::Finish(then)]);
    steps
}
