//! Every time and size that chassisd bounds outside a run (the run's own are in `holdfast_issu::limits`).

use std::time::Duration;

/// The first start: configuration applied, protocols started, kernel table read.
pub const START_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks at a starting daemon.
pub const START_POLL: Duration = Duration::from_millis(50);
/// `mgd --check` parses one file.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(20);
/// How often every daemon is asked for its status at rest.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// A status answer takes milliseconds; this long without one is a miss.
pub const WATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// Misses in a row that mean "hangs". One or two happen on a machine that is starved.
pub const WATCH_MISSES_MAX: u32 = 3;
/// When our own tick comes this late the machine stood still, and silence of others proves nothing.
pub const WATCH_OWN_DELAY_MAX: Duration = Duration::from_secs(1);
/// The first pause before a process that dies again is restarted, doubling up to [`RESTART_DELAY_MAX`].
pub const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
/// See [`RESTART_DELAY_MIN`].
pub const RESTART_DELAY_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long died for a new reason: restarted at once.
pub const RESTART_FORGIVEN: Duration = Duration::from_secs(30);
/// A daemon asked to end politely.
pub const TERMINATE_DEADLINE: Duration = Duration::from_secs(5);
/// The same for pfed with a flush: a million routes take some four seconds.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(30);
/// Between SIGTERM and SIGKILL for a daemon that is retired.
pub const RETIRE_GRACE: Duration = Duration::from_secs(3);
/// After SIGKILL only the kernel's own clean-up is waited for.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(5);
/// One call for a report's evidence.
pub const EVIDENCE_CALL_DEADLINE: Duration = Duration::from_secs(5);
/// A status asked for an operator's view.
pub const VIEW_CALL_DEADLINE: Duration = Duration::from_millis(500);
/// After a call broke off: the news of the process's death is on its way and says more than the broken call.
pub const DEATH_NEWS_WAIT: Duration = Duration::from_millis(30);
/// Runs kept on disk.
pub const RUNS_KEPT: usize = 20;
/// Events of one run; a run says some sixty lines.
pub const RUN_EVENTS_MAX: usize = 10_000;
/// Alarms kept in memory.
pub const ALARMS_MAX: usize = 64;
/// Messages waiting for the chassis's loop.
pub const QUEUE_MAX: usize = 1024;
/// Lines of a daemon's log shown when its start fails.
pub const LOG_TAIL_LINES: usize = 8;
/// Bytes of a log looked at for those lines.
pub const LOG_TAIL_BYTES: u64 = 16 * 1024;
/// Epochs set aside on disk before a switch: a crash of chassisd in the middle cannot make a used one valid again.
pub const EPOCHS_RESERVED: u64 = 16;
/// A scheduled run that comes this late, because chassisd was just being started, is still the one that was meant.
pub const SCHEDULE_LATE_MAX: Duration = Duration::from_secs(60);
/// Further ahead nobody knows what the router will look like.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(365 * 86_400);
