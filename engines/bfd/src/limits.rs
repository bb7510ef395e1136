//! What is bounded, and why there.

use std::time::Duration;

/// Sessions of one router: what one thread sends at 50 ms each with a tenth of a CPU.
pub const SESSIONS_MAX: usize = 2048;

/// The shortest interval that may be configured, in microseconds. Linux keeps 10 ms well under load; below it a busy machine
/// would report failures that are its own.
pub const MINIMUM_INTERVAL_US: u32 = 10_000;

/// While a session is not Up its interval is at least one second (RFC 5880 §6.8.3).
pub(crate) const SLOW_INTERVAL_US: u32 = 1_000_000;

/// How long a session that nobody wants any more says so (AdminDown), so that the neighbour hears it although a packet gets lost.
pub(crate) const FAREWELL: Duration = Duration::from_millis(2500);
