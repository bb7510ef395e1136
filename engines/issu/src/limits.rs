//! Every deadline of a run, named and reasoned. A run that waits for ever is the one fault that has no undo.
//!
//! The chain that matters for neighbours is Freeze to Commit. With a hold time of 9 s a keepalive is due every
//! 3 s, so at most 6 s may pass between our last sign of life and the next, whatever fails in between:
//! freeze (1 s) + activation that never answers (2 s) + kill, thaw and commit of the old engine (milliseconds,
//! bounded by 1 s + 1 s) stays below that.
//!
//! A give-back is the same chain in the other direction: the old engine follows before anything is frozen, so its activation
//! has no backlog. When it fails there, kill and thaw of the new engine take the place of kill and thaw of the old one.
//! What fails before the freeze costs no silence, because the new engine serves until then. The longest silence of all is a
//! new engine that hangs: 3 s since its last keepalive, 4 s until it counts as hung, then kill and activation.

use std::time::Duration;

use crate::message::Request;
use crate::state::State;

/// Journal records are one small fsync; a disk that takes longer is no disk to bet a switchover on.
pub const RECORD_DEADLINE: Duration = Duration::from_secs(10);
/// mgd and chassisd look at their own state only.
pub const PRE_CHECKS_DEADLINE: Duration = Duration::from_secs(10);
/// Process start, configuration parsed, kernel table of a million routes dumped (0.2 to 0.5 s), on a busy machine.
pub const SPAWN_DEADLINE: Duration = Duration::from_secs(20);
/// A daemon answers within a second even under load; ten are a hang.
pub const SYNCHRONIZATION_ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// A backup that has made no progress for this long never will.
pub const SYNCHRONIZATION_STALL: Duration = Duration::from_secs(120);
/// However much progress: a run does not take longer than this to synchronize.
pub const SYNCHRONIZATION_DEADLINE: Duration = Duration::from_secs(1800);
/// Between two questions "are you synchronized?": far below what an operator notices, far above their cost.
pub const SYNCHRONIZATION_INTERVAL: Duration = Duration::from_millis(50);
/// The second look right before the switch: live changes flow, so a round may miss; it is soon equal again.
pub const FINAL_SYNCHRONIZATION_DEADLINE: Duration = Duration::from_secs(30);
/// One answer to "are you ready for the switchover?".
pub const PREPARE_ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// A daemon may ask for more time ("wait"), but not for ever.
pub const PREPARE_DEADLINE: Duration = Duration::from_secs(60);
/// The shortest and longest pause honoured when a daemon says "wait".
pub const PREPARE_WAIT_MIN: Duration = Duration::from_millis(20);
/// See [`PREPARE_WAIT_MIN`].
pub const PREPARE_WAIT_MAX: Duration = Duration::from_secs(10);
/// pfed reads the kernel's table and compares.
pub const WARM_BOOT_DEADLINE: Duration = Duration::from_secs(60);
/// Freezing finishes one message and sends the last facts: milliseconds. See the chain above.
pub const FREEZE_DEADLINE: Duration = Duration::from_secs(1);
/// SIGSTOP, SIGCONT, the vault's epoch, the link: local and immediate.
pub const LOCAL_DEADLINE: Duration = Duration::from_secs(1);
/// The new engine takes its descriptors and compares counters: 2 s, so that hold times of 9 s are safe.
pub const ACTIVATION_DEADLINE: Duration = Duration::from_secs(2);
/// Commit is a flag in a running process.
pub const COMMIT_DEADLINE: Duration = Duration::from_secs(1);
/// After the switch: an engine that does not answer for this long hangs; the old one still stands by to go on.
pub const VERIFY_ANSWER_DEADLINE: Duration = Duration::from_secs(4);
/// Neighbours must have been heard again: one keepalive interval of the slowest usual hold time (90 s / 3) and a half.
pub const VERIFY_DEADLINE: Duration = Duration::from_secs(45);
/// Between two questions "verified?".
pub const VERIFY_INTERVAL: Duration = Duration::from_millis(50);
/// Asking politely, then SIGKILL inside the same request.
pub const RETIRE_DEADLINE: Duration = Duration::from_secs(10);
/// SIGKILL and the exit seen.
pub const KILL_DEADLINE: Duration = Duration::from_secs(1);
/// Reading counters of six processes.
pub const EVIDENCE_DEADLINE: Duration = Duration::from_secs(15);
/// "Become a backup again" is a flag in a running process; one that has stood still for a while has a backlog to look at first.
pub const FOLLOW_ANSWER_DEADLINE: Duration = Duration::from_secs(3);
/// How long an engine that stood still may take to become equal before the roles go back. What came meanwhile is at most the
/// stream's 16 MiB: a second or two. The new engine serves all the while.
pub const FOLLOW_DEADLINE: Duration = Duration::from_secs(5);
/// While soaking: between two looks at both engines.
pub const SOAK_INTERVAL: Duration = Duration::from_millis(500);
/// While soaking: an engine that does not answer this long hangs. With the interval, 3 s since the last keepalive and the kill
/// this stays below a hold time of 9 s; the old engine follows already, so it needs no time to catch up.
pub const WATCH_DEADLINE: Duration = Duration::from_secs(4);
/// While soaking: digests are compared several times a second; a follower that differs this long has other tables.
pub const SOAK_UNEQUAL_MAX: Duration = Duration::from_secs(30);
/// The shortest `confirm` a run may be asked for (a minute is the command's unit).
pub const CONFIRM_MIN: Duration = Duration::from_secs(1);
/// The longest: the follower's memory does not grow with time, but an operator who has not decided in a day will not.
pub const CONFIRM_MAX: Duration = Duration::from_secs(24 * 3600);
/// How much is left when the operator is reminded to confirm; the first is what was asked for.
pub const REMINDERS: [Duration; 9] = [
    Duration::from_secs(12 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(3600),
    Duration::from_secs(1800),
    Duration::from_secs(600),
    Duration::from_secs(300),
    Duration::from_secs(120),
    Duration::from_secs(60),
    Duration::from_secs(20),
];

/// The next reminder after one at `left`.
pub fn reminder_below(left: Duration) -> Option<Duration> {
    REMINDERS.into_iter().find(|reminder| *reminder < left)
}
/// Between two runs, unless configured otherwise (the founding document recommends five minutes).
pub const MINIMUM_SPACING_DEFAULT: Duration = Duration::from_secs(300);
/// A process is restarted in place at most this often in one run; more is a fault that restarting does not mend.
pub const RESPAWNS_MAX: u32 = 6;

/// How long the answer to `request` may take.
pub fn request_deadline(request: &Request) -> Duration {
    match request {
        Request::Record { .. } => RECORD_DEADLINE,
        Request::PreChecks => PRE_CHECKS_DEADLINE,
        Request::CollectBaseline | Request::CollectEvidence { .. } => EVIDENCE_DEADLINE,
        Request::Spawn { .. } | Request::Respawn { .. } => SPAWN_DEADLINE,
        Request::Synchronization { .. } => SYNCHRONIZATION_ANSWER_DEADLINE,
        Request::Prepare { .. } | Request::Cancel { .. } => PREPARE_ANSWER_DEADLINE,
        Request::Freeze { .. } => FREEZE_DEADLINE,
        Request::Follow { .. } => FOLLOW_ANSWER_DEADLINE,
        Request::Watch { .. } => WATCH_DEADLINE,
        Request::Fence { .. } | Request::Unfence { .. } | Request::RaiseEpoch { .. } | Request::Flip { .. } => {
            LOCAL_DEADLINE
        }
        Request::Activate { .. } => ACTIVATION_DEADLINE,
        Request::Commit { .. } => COMMIT_DEADLINE,
        Request::Verify { .. } => VERIFY_ANSWER_DEADLINE,
        Request::Retire => RETIRE_DEADLINE,
        Request::Kill { .. } => KILL_DEADLINE,
    }
}

/// How long the machine may stay in `state`; `None`: for ever (only at rest).
pub fn state_deadline(state: State) -> Option<Duration> {
    let seconds = |s| Some(Duration::from_secs(s));
    match state {
        State::Idle => None,
        State::Validating => seconds(40),
        State::PreparingBackup => seconds(55), // two spawns and a record
        State::Synchronizing => Some(SYNCHRONIZATION_DEADLINE),
        State::PreparingDaemons => Some(PREPARE_DEADLINE),
        State::DaemonsReady | State::FruWarmBooted | State::ReadyForSwitchover => seconds(11),
        State::FruWarmBooting => Some(WARM_BOOT_DEADLINE),
        State::PreparingSwitchover => Some(FINAL_SYNCHRONIZATION_DEADLINE),
        // A record (10 s) before anything is frozen, then the chain above, then at most one process restarted.
        State::Switching => seconds(45),
        State::Verifying => seconds(120), // VERIFY_DEADLINE ends the checks; the rest is for processes restarted
        State::Soaking => seconds(120),   // beyond the time that `confirm` gives
        State::ShuttingDownOld => seconds(120),
        State::Aborting => seconds(120),
        State::RollingBack => seconds(300), // every request of the way back failing, each process restarted
    }
}
