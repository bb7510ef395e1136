//! Bounds of everything that could grow or last.

use std::time::Duration;

/// Largest message on the `Program` stream: some 100,000 IPv6 routes.
pub const FIB_BATCH_BYTES_MAX: usize = 16 << 20;
/// Octets that a sender may be ahead of us on a connection: a window of batches at once, so that it is not woken for each piece of one.
pub const PROGRAM_WINDOW_BYTES: u32 = 1 << 20;
/// Batches of a `Program` stream waiting for the agent; beyond that its sender waits. More than rpd sends without an answer: the word of a gateway
/// that fails is seen in whichever of them it stands.
pub const PROGRAM_QUEUE: usize = 32;
/// Words of gateways that fail, ahead of their batches; one more is heard with its batch.
pub const FAILURE_WORDS: usize = 8;
/// Acknowledgements waiting for their reader; beyond that its batches wait.
pub const ACK_QUEUE: usize = 256;
/// Requests of operators and of chassisd waiting for the agent.
pub const REQUEST_QUEUE: usize = 64;
/// Batches (of up to 512 messages) on their way to the writer thread, and results on their way back.
pub const WRITER_QUEUE: usize = 4;
/// Batches for the writer that do not wait for those before them; those beyond wait like any other.
pub const URGENT_QUEUE: usize = 4;
/// Batches planned and not yet handed to the writer; beyond that nothing more is planned.
pub const PLANNED_BATCHES_MAX: usize = 16;
/// Interface events waiting for one reader; one that is further behind is cut off and begins anew with a snapshot.
pub const INTERFACE_EVENTS_MAX: usize = 4096;
/// Kernel notifications kept while the kernel's table is being read; beyond that it is read again.
pub const REPLAY_EVENTS_MAX: usize = 500_000;
/// Routes per message from the thread that reads the kernel's table.
pub const LOAD_CHUNK_ROUTES: usize = 4096;
/// Such messages under way.
pub const LOAD_QUEUE: usize = 4;
/// Prefixes looked at in one turn of the loop while the tables are compared.
pub const RECONCILE_PREFIXES_PER_TURN: u32 = 16_384;
/// So many IPv4 routes that differ are put in order before they are written: the kernel saves more than it costs to wait until all are found.
pub const ORDERED_FROM: u64 = 65_536;
/// Notifications taken in one turn of the loop, in reads of up to 64.
pub const MONITOR_READS_PER_TURN: usize = 32;
/// Reads until the queue of notifications counts as never becoming empty.
pub const MONITOR_READS_MAX: usize = 100_000;
/// Gateways of which rpd has said that they do not answer, and no more since; those beyond are refused, and rpd names no more.
pub const FAILED_GATEWAYS_MAX: usize = 1024;
/// Destinations listed of those that differ in a comparison; of the others there is the number.
pub const DIFFERENCES_MAX: usize = 1000;
/// Routes of others kept for a comparison in which the RIB is not known; those beyond are not said to be in the way.
pub const STRANGERS_MAX: usize = 65_536;
/// Dumps of a family's routes for a comparison while changes keep interrupting them.
pub const COMPARISON_DUMPS_MAX: u32 = 4;
/// Rows compared in one turn of the loop: about a millisecond.
pub const COMPARE_ROWS_PER_TURN: u32 = 4096;
/// Batches of the RIB's table on their way to the thread that compares.
pub const COMPARISON_QUEUE: usize = 4;
/// How long somebody waits for everything to be read again and mended: below the patience of mgd and of the command line.
pub const MEND_MAX: Duration = Duration::from_secs(20);
/// Neighbours that do not answer, kept and told to rpd; those beyond are not.
pub const SILENT_MAX: usize = 4096;
/// Neighbours listed for an operator; of the others there is the number.
pub const NEIGHBORS_MAX: usize = 16_384;
/// Until the neighbours are read again after a loss of their notifications: whoever scans a link loses more.
pub const NEIGHBORS_SPACING: Duration = Duration::from_secs(10);
/// Alarms told to chassisd, which takes no more of one process.
pub const ALARMS_MAX: usize = 16;
/// Entries in one page of the forwarding table.
pub const PAGE_ENTRIES: usize = 1000;

/// What somebody else destroyed is mended after this time, so that a burst is mended at once and not piece by piece.
pub const REPAIR_DELAY: Duration = Duration::from_millis(20);
/// Who destroys it again and again is met with growing patience, up to this: packets are lost meanwhile, so it is no longer than what a
/// comparison of a million routes costs needs to stay a small part of the time.
pub const REPAIR_DELAY_MAX: Duration = Duration::from_secs(1);
/// Quiet for this long, and the next repair is prompt again.
pub const REPAIR_QUIET: Duration = Duration::from_secs(10);
/// What the kernel refused is tried again after this time, which doubles up to the maximum.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// See [`RETRY_DELAY`].
pub const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// Both tables are compared this long after gateways have failed or answer again, so that those that do together cost one comparison.
pub const GATEWAYS_DELAY: Duration = Duration::from_millis(50);
/// Where they come and go again and again, the delay grows up to this.
pub const GATEWAYS_DELAY_MAX: Duration = Duration::from_secs(5);
/// New first members for groups with a backup come this long after the object that made them necessary, for all groups together.
pub const RESEAT_DELAY: Duration = Duration::from_millis(50);
/// Where objects are made again and again, the delay grows up to this.
pub const RESEAT_DELAY_MAX: Duration = Duration::from_secs(5);
/// Least time between two complete readings of the kernel's table.
pub const RESYNC_SPACING: Duration = Duration::from_secs(1);
/// So many notifications of routes within [`RUSH_WINDOW`], and a backup does not go along with them: the primary, who pays for each, would spend a
/// tenth of its time on those of a full table, and reading a million routes costs half a second, of ours.
pub const RUSH_ROUTES: usize = 32_768;
/// See [`RUSH_ROUTES`]: some 130,000 a second.
pub const RUSH_WINDOW: Duration = Duration::from_millis(250);
/// For so long a backup then does not hear of routes.
pub const AWAY: Duration = Duration::from_secs(1);
/// While it finds the rush going on, that grows up to this: the way back to the old engine stays open while its tables are not equal for 30 s.
pub const AWAY_MAX: Duration = Duration::from_secs(8);
/// It listens for so long before it reads the table: if the rush goes on, it would have to read it again.
pub const LULL: Duration = Duration::from_millis(100);
/// A pfed that has just become primary waits for its rpd's word no longer than this after the last thing it heard from it...
pub const HOLD_SILENCE_MAX: Duration = Duration::from_secs(5);
/// ... and no longer than this in all, for an rpd that talks without ever saying the word: less than a run's checks may take (45 s).
pub const HOLD_MAX: Duration = Duration::from_secs(20);
/// A nexthop object without use is kept for one to two of these: the next route may want it.
pub const IDLE_SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// How long the end of the process waits for what is under way.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for its last answers to be read.
pub const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// Passes until configured and present interfaces must agree.
pub const INTERFACE_PASSES_MAX: u32 = 4;
/// Waits between attempts to reach mgd.
pub const CONFIGURATION_RETRY: Duration = Duration::from_millis(100);
/// See [`CONFIGURATION_RETRY`].
pub const CONFIGURATION_RETRY_MAX: Duration = Duration::from_secs(2);
