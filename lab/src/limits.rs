//! Bounds and rhythms of the lab, with reasons.

use std::time::Duration;

/// How long FRR, BIRD and the feeders may take until every session is up.
pub const SESSIONS_UP_WITHIN: Duration = Duration::from_secs(60);
/// Base of the time allowed for the table to cross the lab ...
pub const CONVERGED_WITHIN: Duration = Duration::from_secs(60);
/// ... and per 100,000 routes on top (FRR is the slowest, and the machine is shared).
pub const CONVERGED_PER_100K: Duration = Duration::from_secs(30);
/// `holdfast start` returns when the router is up.
pub const ROUTER_START_WITHIN: Duration = Duration::from_secs(60);
/// One operational command (other than a run).
pub const COMMAND_WITHIN: Duration = Duration::from_secs(30);
/// What a command that has ended printed last has come by then, on a busy machine too; only one that leaves a daemon behind which holds
/// its output open takes that long.
pub const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);
/// A run in service, from the request to its end. The bar is 30 s; past this it hangs.
pub const RUN_WITHIN: Duration = Duration::from_secs(180);
/// A killed process must be back in this time.
pub const RESTART_WITHIN: Duration = Duration::from_secs(20);
/// After a disturbance: until the router is whole again and a route change crosses it. A session that restarts needs some
/// 2 s, a process that hangs at rest is found within 8.
pub const WHOLE_WITHIN: Duration = Duration::from_secs(40);
/// A run held at a point goes on by itself after this: longer than the lab needs to act, shorter than any deadline of a
/// state. (A single request may have less: docs/test-aids.md.)
pub const HOLD_AT_MOST: Duration = Duration::from_secs(8);
/// A killed process is gone, and its parent has waited for it. Shorter than a request's deadline while a run is held.
pub const KILLED_WITHIN: Duration = Duration::from_millis(500);
/// From there to the supervisor's loop.
pub const NEWS_TRAVELS: Duration = Duration::from_millis(20);
/// Churn runs in before a run, and its last withdrawals cross the lab after it.
pub const CHURN_SETTLES: Duration = Duration::from_secs(1);
/// The share of the churn asked for that the feeders must really make: they share the machine with all else.
pub const CHURN_RATE_LEAST: f64 = 0.9;
/// Room in the stream of facts where a cell wants it used up: what the churn says in a second or two (FRR and BIRD put many changes
/// into one UPDATE).
pub const SHORT_STREAM_BYTES: usize = 64 << 10;
/// It is used up after this, and its follower given up. Shorter than a held run stands ([`HOLD_AT_MOST`]).
pub const STREAM_FULL_AFTER: Duration = Duration::from_secs(5);
/// A backup that has been started follows its primary.
pub const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);
/// A neighbour's change of a route may take this long to the other one while a follower does not read: some 50 ms without that,
/// and the time after which a follower is given up; the machine is shared.
pub const HELD_UP_MS_MAX: f64 = 1_500.0;
/// A link that goes down and up: longer than a carrier takes to be noticed, shorter than a hold time.
pub const LINK_DOWN_FOR: Duration = Duration::from_millis(500);
/// What is requested while a run is held has to be refused in this time.
pub const REFUSED_WITHIN: Duration = Duration::from_secs(5);
/// An abort has reached the router in this time, or it cannot be reached while the run is held.
pub const ABORT_WITHIN: Duration = Duration::from_secs(1);
/// A process that hangs while a run soaks is found and dealt with in this time.
pub const HANG_FOUND_WITHIN: Duration = Duration::from_secs(15);
/// A run that soaks is confirmed after this.
pub const CONFIRM_AFTER: Duration = Duration::from_millis(500);
/// The disk of a router's state-dir where the scenario fills it: what the router requires to be free, and logs and records of
/// hundreds of runs.
pub const STATE_DISK_MIB: u32 = 256;
/// And this for the image that containers run from: 170 MiB of release binaries, debug ones are larger.
pub const IMAGE_DISK_MIB: u32 = 512;
/// A polite end (SIGTERM) before SIGKILL.
pub const TERMINATE_WITHIN: Duration = Duration::from_secs(5);
/// After a change every neighbour of another make sees it: they are slow to say, and the machine is shared.
pub const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// What was asked for again has come.
pub const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// The last change has reached every neighbour, before what they were told is compared.
pub const LAST_WORDS_WITHIN: Duration = Duration::from_secs(2);
/// A router that has said everything says nothing for so long ...
pub const QUIET: Duration = Duration::from_secs(1);
/// ... and for so long where less has come than was expected: then that is all.
pub const QUIET_WITH_LESS: Duration = Duration::from_secs(5);
/// Polling of anything.
pub const POLL_EVERY: Duration = Duration::from_millis(50);
/// After the last probe was sent: how long stragglers are waited for.
pub const STRAGGLERS_WITHIN: Duration = Duration::from_secs(3);
/// Traffic and beacon before the first event: the lab proves that it loses nothing by itself.
pub const BASELINE: Duration = Duration::from_secs(4);
/// Traffic and beacon after the last event.
pub const AFTERMATH: Duration = Duration::from_secs(2);

/// After the loss of a gateway, where times are not judged: a router that does anything about it has done it by then, on a busy machine too.
pub const LOST_FOR_AT_MOST: Duration = Duration::from_secs(1);
/// A probe that has not arrived by then will not.
pub const ARRIVED_WITHIN: Duration = Duration::from_millis(500);
/// A router that has written nothing to the kernel for so long has nothing to write: with a million routes on a busy machine one second is too little.
pub const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Changes of the kernel's tables when a gateway is back: the objects of its next hop, and what the kernel does of itself with the link. Not its routes.
pub const RETURN_WRITES_MAX: u64 = 64;
/// How often the kernel's routes are counted while a gateway is lost, where that takes next to nothing ...
pub const ROUTES_COUNTED_EVERY: Duration = Duration::from_millis(250);
/// ... and how much longer the pause is than a count of many, which the machine has to share with the router.
pub const ROUTES_COUNTED_SHARE: u32 = 4;

/// Probes that one wake-up may send to catch up with its schedule (then the schedule moves instead, so that the
/// lab never makes a burst that the kernel's queues would have to absorb).
pub const CATCH_UP_PROBES: u64 = 64;
/// Most probes per second and direction.
pub const RATE_MAX_PPS: u32 = 200_000;
/// Destinations of each flow.
pub const DESTINATIONS_PER_FLOW: usize = 256;
/// Flows in each direction.
pub const FLOWS_PER_DIRECTION: usize = 4;
/// Receive buffer of a probe receiver: some 8 s of 10,000 packets/s, should the machine stall.
pub const PROBE_RECEIVE_BUFFER_BYTES: usize = 128 << 20;
/// Receive buffer of the kernel watch.
pub const NETLINK_RECEIVE_BUFFER_BYTES: usize = 128 << 20;
/// Capture buffer of tcpdump, KiB: a whole table fits.
pub const CAPTURE_BUFFER_KIB: u32 = 65_536;
/// Pauses between arrivals shorter than this are not remembered one by one.
pub const GAP_REMEMBERED_FROM: Duration = Duration::from_millis(2);
/// Remembered pauses, duplicates, kernel events and beacon changes: bounds of the lists.
pub const REMEMBERED_MAX: usize = 4_000_000;
/// Neighbours in one lab (each has a /24 and a feeder).
pub const NEIGHBORS_MAX: usize = 16;
/// Routes in one lab: beyond this the address space cannot have the Internet's shape.
pub const ROUTES_MAX: usize = 2_000_000;
/// Mean time between two changes of a beacon; each is jittered by a quarter.
pub const BEACON_EVERY: Duration = Duration::from_millis(200);
/// Unread bytes that a feeder holds while a message is incomplete (RFC 8654's largest message, twice).
pub const FEEDER_BUFFER_BYTES: usize = 128 << 10;
