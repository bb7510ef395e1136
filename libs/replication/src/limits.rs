//! Every bound of the replication stream, with what happens when it is reached.

use std::time::Duration;

/// Longest frame a follower accepts. A sender's facts hold at most one read of a socket (64 KiB) or one slice;
/// a longer one means that the stream is not ours: it is ended.
pub const FRAME_MAX_LEN: usize = 4 * 1024 * 1024;

/// Bytes asked of the kernel for the stream's send buffer: room for the facts that pass while the follower is busy.
pub const STREAM_BUFFER_LEN: usize = 16 * 1024 * 1024;

/// A snapshot is sent only while fewer bytes than this lie unread, so that live facts find room.
pub const SNAPSHOT_WATERMARK_LEN: usize = 1024 * 1024;

/// How long a full stream of which nothing is read may hold up routing. Then the follower is declared lost and the primary goes on alone.
pub const FULL_STREAM_MAX: Duration = Duration::from_millis(200);

/// How long a follower that has read is taken to be at work on that: a machine with fewer processors than work lets it wait as long.
/// The primary goes at the pace of one that works; of one that has stood still for longer it takes no notice until the stream is full.
pub const WORKING_MAX: Duration = Duration::from_secs(1);

/// How soon a primary that holds something back looks whether its follower has read. (The kernel's word that there is room comes
/// only once three quarters are free.)
pub const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How often a primary marks its digests in the stream once the snapshot is through.
pub const DIGEST_MARK_INTERVAL: Duration = Duration::from_millis(100);
