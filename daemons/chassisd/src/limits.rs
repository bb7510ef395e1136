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
/// For answers that were waiting while we stood still: they only have to be read.
pub const CATCH_UP: Duration = Duration::from_millis(100);
/// The first pause before a process that dies again is restarted, doubling up to [`RESTART_DELAY_MAX`].
pub const RESTART_DELAY_MIN: Duration = Duration::from_millis(100);
/// See [`RESTART_DELAY_MIN`].
pub const RESTART_DELAY_MAX: Duration = Duration::from_secs(10);
/// A process that lived this long died for a new reason: restarted at once.
pub const RESTART_FORGIVEN: Duration = Duration::from_secs(30);
/// The same for ppmd, whose sessions do not wait: it is restarted at once unless it dies again within this time.
pub const PERIODIC_FORGIVEN: Duration = Duration::from_secs(5);
/// A successor of ppmd takes over within some 50 ms of its start; on a starved machine a second.
pub const PERIODIC_REPLACEMENT: Duration = Duration::from_secs(10);
/// How long after its end a session is one that a crash has interrupted: the longest that a neighbour is told to wait, unless
/// configured otherwise.
pub const INTERRUPTED_KEPT: Duration = Duration::from_secs(120);
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
/// How long evidence waits for graceful restarts to end: with one more call this fits into the machine's `EVIDENCE_DEADLINE`.
pub const RESTARTS_AWAITED_MAX: Duration = Duration::from_secs(8);
/// Between two looks at them.
pub const RESTARTS_ASKED_INTERVAL: Duration = Duration::from_millis(250);
/// A deadline that passed this much too late passed while chassisd itself stood still.
pub const EVIDENCE_LATE_MIN: Duration = Duration::from_millis(100);
/// How often evidence is asked for at most, where chassisd stood still meanwhile.
pub const EVIDENCE_TRIES_MAX: u32 = 3;
/// A status asked for an operator's view.
pub const VIEW_CALL_DEADLINE: Duration = Duration::from_millis(500);
/// One question of an inspection to a daemon.
pub const INSPECTION_CALL_DEADLINE: Duration = Duration::from_secs(2);
/// A program that is started to say its version and ends.
pub const VERSION_DEADLINE: Duration = Duration::from_secs(2);
/// Between two looks at the kernel's time stamps of the sessions while roles change: the precision of a silence.
pub const SILENCE_SAMPLE: Duration = Duration::from_millis(5);
/// Time stamps nearer to each other than this are one: the kernel's clock ticks every 1 to 10 ms.
pub const SILENCE_RESOLUTION: Duration = Duration::from_millis(10);
/// After a call broke off: the news of the process's death is on its way and says more than the broken call.
pub const DEATH_NEWS_WAIT: Duration = Duration::from_millis(30);
/// Runs kept on disk.
pub const RUNS_KEPT: usize = 20;
/// Events of one run; a run says some sixty lines.
pub const RUN_EVENTS_MAX: usize = 10_000;
/// Alarms kept in memory.
pub const ALARMS_MAX: usize = 64;
/// Alarms that one process may say at a time; others of it have to wait until there is room.
pub const ALARMS_TOLD_MAX: usize = 16;
/// Messages waiting for the chassis's loop.
pub const QUEUE_MAX: usize = 1024;
/// Lines of a daemon's log shown when its start fails.
pub const LOG_TAIL_LINES: usize = 8;
/// Bytes of a log looked at for those lines.
pub const LOG_TAIL_BYTES: u64 = 16 * 1024;
/// Freezing a container takes the kernel well below a millisecond; this is spent inside the control-plane gap, so it is short.
pub const FREEZE_WAIT: Duration = Duration::from_millis(10);
/// One command of a container runtime takes some 50 ms; on a starved machine a second.
pub const OCI_COMMAND_DEADLINE: Duration = Duration::from_secs(15);
/// The end of a process is heard of within milliseconds. A follower that says its stream has ended is believed to have lost a
/// primary that lives only after this.
pub const LOST_STREAM_WAIT: Duration = Duration::from_secs(1);
/// The end of a child is told by a signal; this is for one that was told while nobody listened.
pub const CHILD_POLL: Duration = Duration::from_millis(200);
/// What else runs in a container (a login) gets this long to end after SIGHUP and SIGTERM. Its init waits for a second.
pub const SESSION_GRACE: Duration = Duration::from_millis(1500);
/// rpd with a million routes from several neighbours uses some 1.5 GiB. When the limit is reached the kernel kills the
/// container's largest process, which is then replaced as after any crash, and the alarm says why.
pub const ENGINE_MEMORY_MIB_DEFAULT: u64 = 4096;
/// pfed with a million routes uses some 300 MiB; its netlink buffers come on top.
pub const FORWARDING_MEMORY_MIB: u64 = 2048;
/// Below that mgd and rpd do not even start.
pub const MEMORY_MIB_LEAST: u64 = 32;
/// Less than a tenth of a CPU cannot answer in time.
pub const CPU_PERCENT_LEAST: i64 = 10;
/// Weights when CPUs are scarce, 1,024 being any other group's: routing before the rest of the machine,
pub const ENGINE_CPU_SHARES: u64 = 2048;
/// and forwarding, which has little to do and that at once, before routing.
pub const FORWARDING_CPU_SHARES: u64 = 4096;
/// Threads and processes of a container: ours have some 20 together, the rest is for logins.
pub const CONTAINER_PIDS_MAX: u32 = 256;
/// A container's /tmp, which counts as its memory.
pub const CONTAINER_TMP_MIB: u32 = 16;
/// Epochs set aside on disk before a switch: a crash of chassisd in the middle cannot make a used one valid again.
pub const EPOCHS_RESERVED: u64 = 16;
/// A scheduled run that comes this late, because chassisd was just being started, is still the one that was meant.
pub const SCHEDULE_LATE_MAX: Duration = Duration::from_secs(60);
/// Further ahead nobody knows what the router will look like.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(365 * 86_400);
