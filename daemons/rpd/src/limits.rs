//! rpd's bounds, with their reasons and what happens when they are reached.

use std::time::Duration;

/// Inputs from the ipc thread that may wait; a full queue makes the sender wait.
pub const INPUTS_MAX: usize = 1024;
/// Inputs handled in one turn of the loop.
pub const INPUTS_PER_TURN: usize = 256;
/// Bytes looked at in one read of a session: some milliseconds of work at most.
pub const READ_LEN: usize = 64 * 1024;
/// Writes per session and turn, each up to 64 KiB.
pub const WRITES_PER_TURN: usize = 4;
/// A session whose input is held back, because a follower is behind, has one message read this often: its hold timer hears of the neighbour.
pub const HELD_BACK_MAX: Duration = Duration::from_millis(500);
/// TCP connections waiting to be accepted; more are refused by the kernel.
pub const LISTEN_BACKLOG: i32 = 128;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN: usize = 64;
/// Routes in one message to pfed.
pub const FIB_BATCH: usize = 512;
/// Gateways that pfed is told of as long as they do not answer, as many as it keeps; what is left out changes with its routes.
pub const FAILED_GATEWAYS_MAX: usize = 1024;
/// While nothing is heard it is looked again this often who does not answer: that a restart is over is told by no event.
pub const GATEWAYS_INTERVAL: Duration = Duration::from_millis(500);
/// A gateway that answers again waits no longer than this for the routes of neighbours there: longer than a session rests that fails again and again
/// (120 s), and then tells a full table. Packets that have no other way do not wait.
pub const TOLD_AGAIN_WITHIN: Duration = Duration::from_secs(180);
/// Messages to pfed that may be unanswered; then changes wait in the RIB as marks.
pub const FIB_WINDOW: u64 = 16;
/// Messages beyond these that say nothing but which gateways fail: pfed hears them ahead of those that it has not come to.
pub const FIB_WINDOW_URGENT: u64 = 8;
/// Prefixes in one slice of a snapshot for a follower.
pub const SNAPSHOT_BATCH: usize = 2048;
/// Frames that a follower takes over in one turn.
pub const FRAMES_PER_TURN: usize = 64;
/// How long a follower lets the stream gather after it has read [`BURST_LEN`] of it and come to its end: much less than the stream has room for.
pub const FOLLOWER_REST: Duration = Duration::from_millis(2);
/// What is much to a follower: half of a full read of a session. Keepalives, and what changes all the time, are taken as they come.
pub const BURST_LEN: usize = READ_LEN / 2;
/// A follower that never comes to the end of what it is told compares, after this time, in each turn a batch of what neighbours should have
/// with what they were told: the fewer differences are left at a switchover, the sooner neighbours hear what is new.
pub const UNSETTLED_MAX: Duration = Duration::from_secs(1);
/// How long a primary's last facts may take to reach a follower at the freeze.
pub const FREEZE_FLUSH_MAX: Duration = Duration::from_millis(500);
/// How long work on whole tables may go on at a handoff, on each side.
pub const BACKGROUND_FINISH_MAX: Duration = Duration::from_millis(200);
/// How long a follower waits for the primary's last fact once that is frozen.
pub const HANDOFF_MARK_MAX: Duration = Duration::from_millis(1000);
/// Routes of an earlier life of this router that nobody has announced again after this time are removed from the kernel.
/// Neighbours that are up have sent theirs long before; End-of-RIB of all of them ends the wait.
pub const STALE_FIB_MAX: Duration = Duration::from_secs(120);
/// Destinations looked at for one page of `show route`.
pub const PAGE_PREFIXES: usize = 4096;
/// Numbers of prefixes looked at in one turn to find what comes next: about a millisecond.
pub const SEARCH_PREFIXES: u32 = 65_536;
/// Destinations that one command has found ahead of what it has shown, in order: 1.5 MB. A full table is searched as often as this
/// goes into it.
pub const WALK_AHEAD: usize = 65_536;
/// Routes in one page.
pub const PAGE_ROUTES: usize = 512;
/// Bytes discarded of a connection that we close, so that our NOTIFICATION is not overtaken by a reset.
pub const CLOSE_DISCARD_LEN: usize = 4 * 1024 * 1024;
/// How long a connection that we end is kept at least, for the neighbour to read why.
pub const LINGER: Duration = Duration::from_secs(1);
/// Connections kept so; of more the oldest are closed at once.
pub const LINGERING_MAX: usize = 256;
/// A neighbour that had not taken everything at the switch, and takes nothing for this long after it, is one that does not read.
pub const SILENCE_MIN: Duration = Duration::from_secs(5);
/// How long the checks after a switch wait for sessions that restart gracefully: a full table comes in within seconds. Below the
/// run's own deadline for its checks (45 s), so that the report names who is missing.
pub const RESTART_VERIFY_MAX: Duration = Duration::from_secs(40);
/// A neighbour that was up and acknowledges nothing for its hold time divided by this is not reached by this engine. With a
/// hold time of 9 s that is 2.25 s: with 3 s since the last keepalive before the switch enough is left to give the roles back.
pub const UNHEARD_MAX_DIVISOR: u32 = 4;
/// Digests are marked only while a follower has less than this unread: one that stands still, or lags, needs no more of them,
/// and the stream's room is for facts.
pub const MARK_BACKLOG_MAX: u64 = 256 * 1024;
/// Neighbours on links that do not answer; those beyond are not said to.
pub const SILENT_MAX: usize = 4096;
