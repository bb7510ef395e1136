//! Delays that grow and never fall into step with the neighbour's.

use super::limits::{BACK_OFF_MIN, RESTART_RETRY_MAX, RESTART_RETRY_MIN, RETRY_MAX};
use std::time::Duration;

/// Counts failures and draws delays. Same seed, same delays.
#[derive(Clone, Debug)]
pub(crate) struct BackOff {
    random: u64,
    /// Connections that did not come about since one did.
    dial_failures: u32,
    /// Connections that ended before they were steady.
    session_failures: u32,
}

impl BackOff {
    pub fn new(seed: u64) -> Self {
        BackOff { random: seed, dial_failures: 0, session_failures: 0 }
    }

    pub fn dial_failed(&mut self) {
        self.dial_failures = self.dial_failures.saturating_add(1);
    }

    pub fn dial_succeeded(&mut self) {
        self.dial_failures = 0;
    }

    pub fn session_failed(&mut self) {
        self.session_failures = self.session_failures.saturating_add(1);
    }

    /// Those of sessions alone.
    pub fn session_failures(&self) -> u32 {
        self.session_failures
    }

    /// So many sessions have failed in another process.
    pub fn resume(&mut self, session_failures: u32) {
        self.session_failures = session_failures;
    }

    pub fn forget(&mut self) {
        (self.dial_failures, self.session_failures) = (0, 0);
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.dial_failures.max(self.session_failures)
    }

    /// Until the next attempt to connect; `hurried` while we restart gracefully.
    pub fn retry(&mut self, hurried: bool) -> Duration {
        let failures = self.failures();
        let (min, max) = if hurried { (RESTART_RETRY_MIN, RESTART_RETRY_MAX) } else { (BACK_OFF_MIN, RETRY_MAX) };
        self.delay(failures, min, max)
    }

    /// Rest in Idle, at most `max`.
    pub fn rest(&mut self, max: Duration) -> Duration {
        self.delay(self.session_failures, BACK_OFF_MIN, max)
    }

    fn delay(&mut self, failures: u32, min: Duration, max: Duration) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.jitter((min * (1 << doublings)).min(max))
    }

    /// 75 to 100 percent of an interval (RFC 4271 §10).
    pub fn jitter(&mut self, interval: Duration) -> Duration {
        // SplitMix64: enough to keep two routers out of step.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        interval * (768 + (z % 257) as u32) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_a_limit_and_are_forgotten() {
        let mut back_off = BackOff::new(1);
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            back_off.session_failed();
            let delay = back_off.retry(false);
            assert!(delay > last, "{delay:?} after {last:?}");
            last = delay;
        }
        for _ in 0..100 {
            back_off.session_failed();
        }
        assert!(back_off.retry(false) <= RETRY_MAX && back_off.retry(false) >= RETRY_MAX * 3 / 4);
        back_off.forget();
        assert!(back_off.retry(false) <= BACK_OFF_MIN);
    }

    #[test]
    fn a_restart_is_in_a_hurry_and_not_for_ever() {
        let mut back_off = BackOff::new(1);
        back_off.dial_failed();
        assert!(back_off.retry(true) <= RESTART_RETRY_MIN);
        for _ in 0..100 {
            back_off.dial_failed();
        }
        assert!(back_off.retry(true) <= RESTART_RETRY_MAX && back_off.retry(false) > RESTART_RETRY_MAX);
    }

    #[test]
    fn jitter_stays_in_its_range_and_differs_by_seed() {
        let interval = Duration::from_secs(30);
        let (mut a, mut b) = (BackOff::new(1), BackOff::new(2));
        let differ = (0..100).filter(|_| {
            let (x, y) = (a.jitter(interval), b.jitter(interval));
            assert!(x >= interval * 3 / 4 && x <= interval);
            x != y
        });
        assert!(differ.count() > 50);
    }
}
