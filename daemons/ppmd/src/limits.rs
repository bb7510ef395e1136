//! What is bounded, and why there.

use std::time::Duration;

/// Requests that may wait for the worker. One more is refused: whoever asks is told to ask again.
pub const REQUEST_QUEUE: usize = 64;
/// Requests that are served before packets have their turn again.
pub const REQUESTS_PER_TURN: usize = 2;
/// Sessions that are made or changed by one request: each may open a socket, and others' packets wait meanwhile (some 15 us each).
pub const SESSIONS_PER_REQUEST: usize = 8;
/// Datagrams taken from one socket before what is due is sent. One of each session at least, so that after a standstill nobody is called silent whose
/// packets have not been looked at.
pub const DATAGRAMS_PER_TURN: usize = 2 * holdfast_bfd::SESSIONS_MAX;
/// A turn that is so late is taken for a standstill of the machine...
pub const STOOD_STILL: Duration = Duration::from_millis(10);
/// ... after which a neighbour that was not heard for its detection time has this long yet: what it has sent comes through the kernel within a few milliseconds.
pub const RESPITE: Duration = Duration::from_millis(20);
/// Packets sent and changes told before sockets are looked at again.
pub const OUTPUTS_PER_TURN: usize = 512;
/// Changes that may wait for their watchers; when there are more, watchers are told to begin anew.
pub const CHANGE_QUEUE: usize = 8192;
/// The deputy waits for the first thread so long: longer than that thread is usually late on a busy machine, and little of a detection time of 3 x 10 ms.
pub const DEPUTY_AFTER: Duration = Duration::from_millis(1);
/// Above every ordinary thread, below what the kernel itself runs first.
pub const PRIORITY: u8 = 50;
/// The worker's stack, which is locked into memory.
pub const STACK_LEN: usize = 512 * 1024;
/// BFD packets are network control (RFC 5881 §4 leaves it open; CS6 is what everybody uses).
pub const TRAFFIC_CLASS: u8 = 0xc0;
/// RFC 5881 §4.
pub const SINGLE_HOP_PORT: u16 = 3784;
/// RFC 5883 §5.
pub const MULTIHOP_PORT: u16 = 4784;
/// RFC 5881 §4: source ports are in the range 49152 through 65535.
pub const SOURCE_PORT_MIN: u16 = 49152;
/// How many source ports there are.
pub const SOURCE_PORTS: u16 = 16384;
/// Source ports that are tried before a session goes without one for now.
pub const SOURCE_PORT_ATTEMPTS: u16 = 32;
/// Longest that either end of a handover waits for the other. A session of 3 x 10 ms does not live through it; it is for a peer that is broken.
pub const HANDOVER_DEADLINE: Duration = Duration::from_secs(2);
/// Descriptors in one message of a handover (the kernel takes 253).
pub const DESCRIPTORS_PER_MESSAGE: usize = 128;
/// How long a request may wait for the worker.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
