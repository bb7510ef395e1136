//! The states of a run and the table of transitions.
//!
//! ```text
//!  idle -> validating -> preparing-backup -> synchronizing -> preparing-daemons -> daemons-ready
//!            |  (refused: idle)   |                |                  |                 |
//!            v                    v                v                  v                 v
//!         aborting  <------------------------- failed or aborted ---------------------------+
//!            |                                                                              |
//!            v      fru-warm-booting -> fru-warm-booted -> preparing-switchover -> ready-for-switchover
//!          idle                  (owner lost in daemons-ready or after it: at once)            |
//!                                                          +--------- switching <-----------+
//!              rolling-back <---- failed, engine lost -----+             | committed
//!                |  ^  ^  ^------ engine lost, given back ---- verifying <
//!                |  |  |                                         |  | (confirm N)
//!                |  |  +--------- engine lost, given back ---- soaking
//!                |  |                                            |  | confirmed
//!                v  +------------ given back ------- shutting-down-old
//!              idle                                        v
//!                                                         idle
//! ```

use std::fmt;

/// Where the chassis stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// No run.
    Idle,
    /// Pre-checks.
    Validating,
    /// The backup engine and the second dataplane are being started.
    PreparingBackup,
    /// The backup learns what the primary knows.
    Synchronizing,
    /// Every daemon is asked for its readiness.
    PreparingDaemons,
    /// They all said yes.
    DaemonsReady,
    /// The second pfed compares the kernel's table with the backup's.
    FruWarmBooting,
    /// It has nothing to write.
    FruWarmBooted,
    /// A last look at synchronization.
    PreparingSwitchover,
    /// Nothing stands in the way. A rehearsal ends here.
    ReadyForSwitchover,
    /// Freeze, fence, raise the epoch, activate, commit.
    Switching,
    /// The new engine proves itself; the old one stands frozen.
    Verifying,
    /// Waits for `confirm`; the old engine follows as a backup, the way back is open.
    Soaking,
    /// The old engine is ended.
    ShuttingDownOld,
    /// Taken back before anything was frozen.
    Aborting,
    /// The old engine gets the roles back and goes on.
    RollingBack,
}

impl State {
    /// All of them, in order.
    pub const ALL: [State; 16] = [
        State::Idle,
        State::Validating,
        State::PreparingBackup,
        State::Synchronizing,
        State::PreparingDaemons,
        State::DaemonsReady,
        State::FruWarmBooting,
        State::FruWarmBooted,
        State::PreparingSwitchover,
        State::ReadyForSwitchover,
        State::Switching,
        State::Verifying,
        State::Soaking,
        State::ShuttingDownOld,
        State::Aborting,
        State::RollingBack,
    ];

    /// The name operators and the journal know.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Validating => "validating",
            State::PreparingBackup => "preparing-backup",
            State::Synchronizing => "synchronizing",
            State::PreparingDaemons => "preparing-daemons",
            State::DaemonsReady => "daemons-ready",
            State::FruWarmBooting => "fru-warm-booting",
            State::FruWarmBooted => "fru-warm-booted",
            State::PreparingSwitchover => "preparing-switchover",
            State::ReadyForSwitchover => "ready-for-switchover",
            State::Switching => "switching",
            State::Verifying => "verifying",
            State::Soaking => "soaking",
            State::ShuttingDownOld => "shutting-down-old",
            State::Aborting => "aborting",
            State::RollingBack => "rolling-back",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }

    /// The states of a run that goes as planned, in order. Soaking lasts as long as the operator says and is not among them.
    pub fn planned() -> impl Iterator<Item = State> {
        let aside = [State::Idle, State::Soaking, State::Aborting, State::RollingBack];
        State::ALL.into_iter().filter(move |state| !aside.contains(state))
    }

    /// Nothing has been frozen yet: undoing is ending the backup.
    pub fn before_switch(self) -> bool {
        (State::Validating..=State::ReadyForSwitchover).contains(&self)
    }

    /// The backup has been equal in every table, its pfed has found nothing to write, and every session has said which way it
    /// goes: should the owner of the sessions die now, the new rpd can go on instead.
    pub fn successor_stands_ready(self) -> bool {
        (State::DaemonsReady..=State::ReadyForSwitchover).contains(&self)
    }

    /// Step n of [`State::STEPS`] for the operator; the ways back count as the last.
    pub fn step(self) -> u32 {
        match self {
            State::Idle => 0,
            State::Aborting | State::RollingBack => Self::STEPS,
            State::ShuttingDownOld => Self::STEPS,
            State::Soaking | State::Verifying => Self::STEPS - 1,
            other => Self::ALL.iter().position(|state| *state == other).unwrap_or(0) as u32,
        }
    }

    /// Steps of a run that goes through.
    pub const STEPS: u32 = 12;
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What makes the machine leave a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A run was requested.
    Start,
    /// The state's steps are done.
    Done,
    /// A pre-check did not pass.
    Refused,
    /// A step failed, a deadline passed, a process died, or the operator said abort.
    Failed,
    /// A rehearsal has come to its end.
    Rehearsed,
    /// After the commit point: the new engine is dead or hangs while the old one stands by.
    EngineLost,
    /// After the commit point: the new engine lives and gives the roles back.
    GiveBack,
    /// Verified, and a confirmation is to come.
    Soak,
    /// The engine that owns the sessions lost a process, and a backup that holds every fact stands ready.
    OwnerLost,
}

impl Trigger {
    const ALL: [Trigger; 9] = [
        Trigger::Start,
        Trigger::Done,
        Trigger::Refused,
        Trigger::Failed,
        Trigger::Rehearsed,
        Trigger::EngineLost,
        Trigger::GiveBack,
        Trigger::Soak,
        Trigger::OwnerLost,
    ];
}

/// The table of transitions. `None`: the trigger means nothing in that state.
pub fn next(state: State, trigger: Trigger) -> Option<State> {
    use State::*;
    use Trigger::*;
    Some(match (state, trigger) {
        (Idle, Start) => Validating,
        (Validating, Done) => PreparingBackup,
        (Validating, Refused) => Idle,
        (PreparingBackup, Done) => Synchronizing,
        (Synchronizing, Done) => PreparingDaemons,
        (PreparingDaemons, Done) => DaemonsReady,
        (DaemonsReady, Done) => FruWarmBooting,
        (FruWarmBooting, Done) => FruWarmBooted,
        (FruWarmBooted, Done) => PreparingSwitchover,
        (PreparingSwitchover, Done) => ReadyForSwitchover,
        (ReadyForSwitchover, Done) => Switching,
        (ReadyForSwitchover, Rehearsed) => Aborting,
        (s, Failed) if s.before_switch() => Aborting,
        (s, OwnerLost) if s.successor_stands_ready() => Switching,
        (Switching, Done) => Verifying,
        (Switching, Failed | EngineLost) => RollingBack,
        // Failed checks with no engine left to go back to: the new one is kept, the report says "failed".
        (Verifying, Done | Failed) | (Soaking, Done) => ShuttingDownOld,
        (Verifying, Soak) => Soaking,
        // Also from shutting-down-old, as long as the old engine has not been told to end.
        (Verifying | Soaking | ShuttingDownOld, EngineLost | GiveBack) => RollingBack,
        (ShuttingDownOld | Aborting | RollingBack, Done | Failed) => Idle,
        _ => return None,
    })
}

/// The table as text, one transition per line: documentation, and the golden test.
pub fn table() -> String {
    let mut text = String::new();
    for state in State::ALL {
        for trigger in Trigger::ALL {
            if let Some(to) = next(state, trigger) {
                text.push_str(&format!("{:<21} {:<11} {}\n", state.name(), format!("{trigger:?}"), to.name()));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_one_reviewed() {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write("tests/transitions.golden", table()).unwrap();
        }
        assert_eq!(
            table(),
            std::fs::read_to_string("tests/transitions.golden").unwrap(),
            "the table of transitions changed; if that is meant, update tests/transitions.golden"
        );
    }

    #[test]
    fn the_planned_states_are_the_steps_in_order() {
        let steps: Vec<u32> = State::planned().map(State::step).collect();
        assert_eq!(steps, (1..=State::STEPS).collect::<Vec<_>>());
    }

    #[test]
    fn every_state_but_idle_can_be_left_and_names_are_unique() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
            assert!(Trigger::ALL.into_iter().any(|trigger| next(state, trigger).is_some()), "{state} is a trap");
        }
    }
}
