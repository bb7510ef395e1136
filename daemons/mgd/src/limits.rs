//! Bounds and patience of the management process.

use std::time::Duration;

/// Configurations kept in `rollback/`, as in Junos.
pub const ROLLBACKS_MAX: u32 = 49;
/// How long chassisd, rpd or pfed may take to answer a question before the operator is told.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// How long rpd and pfed may take to put a commit in force before it is taken back. The command line waits 30 s for a
/// word; with the way back that has to be enough for both.
pub const APPLY_DEADLINE: Duration = Duration::from_secs(12);
/// How long rpd or pfed may take to say how it is when a pre-check asks.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(2);
/// chassisd asks both in turn for what its forecast needs, and starts each program once to hear its version.
pub const INSPECTION_DEADLINE: Duration = Duration::from_secs(5);
/// How long a commit waits to be confirmed when nothing else is said, as in Junos.
pub const CONFIRM_MINUTES_DEFAULT: u32 = 10;
/// How long it may wait, as in Junos.
pub const CONFIRM_MINUTES_MAX: u32 = 65_535;
/// How often it is looked whether a commit was not confirmed in time.
pub const CONFIRMATION_POLL: Duration = Duration::from_secs(1);
/// Pause before a commit that could not be taken back is tried again.
pub const CONFIRMATION_RETRY: Duration = Duration::from_secs(30);
/// How often a backup asks the primary's mgd for the configuration.
pub const PEER_POLL: Duration = Duration::from_millis(250);
/// How long the primary's mgd may take to hand over the configuration's text.
pub const PEER_DEADLINE: Duration = Duration::from_secs(5);
/// Pieces of output waiting for a slow terminal; a full queue slows the command, not mgd.
pub const OUTPUT_QUEUE: usize = 16;
/// Subscribers see the newest snapshot only, so that few may wait.
pub const SNAPSHOT_QUEUE: usize = 2;
/// Longest command line in bytes.
pub const LINE_BYTES_MAX: usize = 4_096;
/// What `show log` reads from the end of a file.
pub const LOG_TAIL_BYTES: u64 = 64 * 1024;
/// gRPC message limit: a configuration's text with room for its envelope.
pub const MESSAGE_BYTES_MAX: usize = holdfast_config::limits::TEXT_BYTES_MAX + 1024 * 1024;
/// How long pfed may take to compare a million routes of RIB, FIB and kernel, or to read and write all of them: some seconds on an idle machine. For one
/// call: a command makes up to five.
pub const COMPARISON_DEADLINE: Duration = Duration::from_secs(25);
/// How often the command line hears that such a command is at work: it gives up on one that says nothing for 30 s.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Batches of rpd's table on their way to pfed.
pub const COMPARISON_QUEUE: usize = 4;
/// Pause before tables that differed are compared again: what was on its way has arrived then.
pub const SECOND_LOOK: Duration = Duration::from_millis(300);
