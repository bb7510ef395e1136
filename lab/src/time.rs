//! The two clocks of the lab: monotonic for durations, real time for what is compared with a capture.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).map(Duration::from).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// CLOCK_MONOTONIC in nanoseconds.
pub fn mono_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME in nanoseconds since 1970.
pub fn real_ns() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// CLOCK_REALTIME.
    pub real_ns: u64,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { mono_ns: mono_ns(), real_ns: real_ns() }
    }
}

/// A stretch of time, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub from: Moment,
    /// Up to here.
    pub to: Moment,
}

impl Window {
    /// Whether a moment lies in it, by CLOCK_MONOTONIC.
    pub fn contains(&self, mono_ns: u64) -> bool {
        (self.from.mono_ns..=self.to.mono_ns).contains(&mono_ns)
    }

    /// Its length.
    pub fn seconds(&self) -> f64 {
        Duration::from_nanos(self.to.mono_ns.saturating_sub(self.from.mono_ns)).as_secs_f64()
    }
}
