use std::time::{SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds: one and the same for every process of the machine, so that deadlines and
/// gaps can be compared between them.
pub fn mono_ns() -> u64 {
    // The clock exists on every Linux; a zero would only blur a measurement.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
        .unwrap_or_default()
}

/// Wall-clock time in milliseconds since 1970, for display only.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|time| time.as_millis() as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn monotonic_clock_never_goes_back() {
        let first = super::mono_ns();
        let second = super::mono_ns();
        assert!(first > 0 && second >= first);
    }
}
