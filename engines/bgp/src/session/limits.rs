//! The times that are not negotiated.

use std::time::Duration;

/// How long an OPEN may take to come: RFC 4271 §8.2.2 suggests four minutes.
pub(crate) const OPEN_HOLD: Duration = Duration::from_secs(240);
/// How long a neighbour may read nothing: at least this, and twice the hold time where that is longer (RFC 9687 §3.2).
pub(crate) const SEND_HOLD_MIN: Duration = Duration::from_secs(480);
/// How long a TCP connection may take to come about before another is tried.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// The first delay before another attempt; doubled with each that fails.
pub(crate) const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest delay between attempts to connect: soon enough after a link is mended.
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(30);
/// The longest rest in Idle after errors that we found: an oscillating neighbour is damped (RFC 4271 §8.1.1).
pub(crate) const REST_MAX: Duration = Duration::from_secs(120);
/// A session that was up for so long has proven itself: what failed before is forgotten.
pub const STEADY: Duration = Duration::from_secs(60);
/// How long a connection that would lose a collision waits for the other one to prove itself: round trips, not minutes.
pub(crate) const COLLISION_WAIT: Duration = Duration::from_secs(5);
/// The first and the longest delay between attempts while we restart gracefully: the neighbour keeps our routes meanwhile, and
/// every moment that it cannot be told a change counts. It may refuse us until it has noticed the end of the old connection.
pub(crate) const RESTART_RETRY_MIN: Duration = Duration::from_millis(50);
/// See [`RESTART_RETRY_MIN`].
pub(crate) const RESTART_RETRY_MAX: Duration = Duration::from_secs(1);
