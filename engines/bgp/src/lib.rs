//! # BGP-4 as an engine
//!
//! Everything that a BGP speaker must know and decide, and nothing of how its bytes travel: no socket, no clock, no
//! thread. Bytes, events and the time go in; messages, events and routes come out. The daemon around it, the tests and the
//! simulator are three loops around the same values.
//!
//! ```text
//!   bytes ──> wire::frame ──> session ──(UPDATE, ROUTE-REFRESH)──> speaker ──> RIB
//!                               │  OPEN, KEEPALIVE, NOTIFICATION,     │
//!   bytes <── wire::encode_* <──┘  timers: handled by the session     └── facts: the messages as they were on the wire
//! ```
//!
//! * [`wire`]: the codec. What is on the wire becomes checked values that borrow the message, and back. All judgement on
//!   malformed input (RFC 4271 §6, RFC 7606) is made here, once.
//! * [`session`]: the state machine of one neighbour (RFC 4271 §8): connections, collision, OPEN, timers, NOTIFICATION.
//!
//! * [`speaker`]: all neighbours together: what they said, what is best, what each is told, and the facts of it.
//!
//! What a neighbour said is replicated to the backup routing engine in exactly this wire format, so the codec's canonical
//! forms are part of the project's promise: two versions must read the same bytes the same way. And nothing here may panic,
//! whatever a neighbour sends.

pub mod session;
pub mod speaker;
pub mod wire;
