//! Intervals and deadlines (RFC 5880 §6.8.2 to §6.8.4, §6.8.7).

use super::output::Remote;
use crate::limits::SLOW_INTERVAL_US;
use std::time::Duration;

/// What is in force, and what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    /// Our part of the interval between our packets, in microseconds.
    pub transmit_us: u32,
    /// Our part of the interval between the neighbour's packets, in microseconds.
    pub receive_us: u32,
    /// The next periodic packet. None: the neighbour wants none.
    pub next_transmit: Option<Duration>,
    /// When the neighbour is lost unless it is heard. None: nothing was heard yet.
    pub detection: Option<Duration>,
    /// When the neighbour was last heard.
    pub last_received: Option<Duration>,
    /// Since then the detection time was made longer once, because we ourselves stood still.
    pub had_respite: bool,
}

/// What is announced of a configured interval while the session is not Up.
pub(super) fn slow(interval_us: u32) -> u32 {
    interval_us.max(SLOW_INTERVAL_US)
}

impl Timing {
    /// Between two of our packets, before jitter.
    pub fn transmit_interval(&self, remote: &Remote) -> Duration {
        micros(self.transmit_us.max(remote.required_min_rx_us))
    }

    /// How long the neighbour may be silent (§6.8.4).
    pub fn detection_time(&self, remote: &Remote) -> Duration {
        micros(self.receive_us.max(remote.desired_min_tx_us)) * u32::from(remote.multiplier)
    }
}

fn micros(us: u32) -> Duration {
    Duration::from_micros(u64::from(us))
}

/// 75 to 100 percent of an interval; 75 to 90 where one missing packet is a failure (§6.8.7).
pub(super) fn jitter(interval: Duration, multiplier: u8, random: u32) -> Duration {
    let span_per_mille = if multiplier == 1 { 150 } else { 250 };
    let nanos = interval.as_nanos() as u64;
    let span = nanos / 1000 * span_per_mille;
    // The product of a span of at most 18 minutes and 32 bits does not fit into 64.
    let part = (u128::from(span) * u128::from(random)) >> 32;
    Duration::from_nanos(nanos / 4 * 3 + part as u64)
}

/// Draws for the jitter, for discriminators and for seeds. Same seed, same draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Random(pub u64);

impl Random {
    /// SplitMix64: enough to keep two routers out of step.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The better half of it.
    pub fn next(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn jitter_stays_in_its_range(us in 1_000..u32::MAX, multiplier in 1..10u8, random in any::<u32>()) {
            let interval = micros(us);
            let most = if multiplier == 1 { interval * 9 / 10 } else { interval };
            let drawn = jitter(interval, multiplier, random);
            prop_assert!(drawn >= interval * 3 / 4 - Duration::from_nanos(3) && drawn <= most, "{drawn:?} of {interval:?}");
        }
    }

    #[test]
    fn jitter_uses_its_whole_range() {
        let interval = Duration::from_millis(100);
        assert_eq!(jitter(interval, 3, 0), Duration::from_millis(75));
        assert!(jitter(interval, 3, u32::MAX) > Duration::from_micros(99_999));
        assert!(jitter(interval, 1, u32::MAX) > Duration::from_micros(89_999));
        let mut random = Random(7);
        let mean = (0..1000).map(|_| jitter(interval, 3, random.next()).as_micros()).sum::<u128>() / 1000;
        assert!((86_500..88_500).contains(&mean), "{mean}");
    }
}
