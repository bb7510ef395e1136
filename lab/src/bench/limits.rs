//! Bounds and rhythms of the benchmarks.

use std::time::Duration;

/// A router may take this long for a case (GoBGP needs minutes for 30 full feeds on two processors).
pub const CASE_WITHIN: Duration = Duration::from_secs(600);
/// Silence on all sessions after which a case has ended. It is not counted as time; routers that work in stages (FRR) pause for
/// less.
pub const QUIET: Duration = Duration::from_secs(2);
/// A router and all of its sessions are up in this time.
pub const UP_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at what the sessions have.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Between two looks at the kernel's table, each of which walks through all of it.
pub const LOOK_AT_KERNEL_EVERY: Duration = Duration::from_millis(250);
/// When it is about to be complete.
pub const LOOK_AT_KERNEL_AT_LEAST_EVERY: Duration = Duration::from_millis(10);
/// Between two looks at a sample of it; each costs two milliseconds at most.
pub const LOOK_AT_SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// The share of the routes that is listened for one by one; it takes some 20 ms to write.
pub const LISTENED_FOR: f64 = 0.01;
/// The wait of the sessions' thread for the next event: bounds how late it hears an order.
pub const POLL_MS: u8 = 10;
/// What is read of a session at once.
pub const READ_BYTES: usize = 256 << 10;
/// Reads of one session in a turn, so that none starves the others.
pub const READS_PER_TURN: usize = 4;
/// Hold time of the sessions: a router that is busy for minutes must not lose one.
pub const HOLD_TIME_S: u16 = 240;
/// A third of it and less.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(60);
/// Prefixes in one UPDATE of a feed: with the sets' sizes that makes some five, as in feeds of the Internet.
pub const PREFIXES_PER_UPDATE: usize = 8;
/// Before a case's clock starts a router is given so long to come to rest ...
pub const AT_REST_WITHIN: Duration = Duration::from_secs(5);
/// ... which it has when it uses for so long ...
pub const AT_REST_FOR: Duration = Duration::from_millis(300);
/// ... less processor time than this: one tick of the kernel's account.
pub const AT_REST_CPU_S: f64 = 0.015;
