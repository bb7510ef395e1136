//! How late packets were: a histogram with four steps to each doubling, of fixed size.

use std::time::Duration;

/// Up to 2^24 microseconds, which is more than anything has ever been late.
const STEPS: usize = 4 * 24;

/// Microseconds between the time that a packet was due and the time it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    steps: [u64; STEPS],
    count: u64,
    max: Duration,
}

impl Default for Lateness {
    fn default() -> Self {
        Lateness { steps: [0; STEPS], count: 0, max: Duration::ZERO }
    }
}

impl Lateness {
    /// One more.
    pub fn note(&mut self, late: Duration) {
        let us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        self.steps[step(us)] += 1;
        self.count += 1;
        self.max = self.max.max(late);
    }

    /// So many per mille were no later than this, in microseconds; rounded up to the end of a step.
    pub fn per_mille_us(&self, per_mille: u64) -> u64 {
        let wanted = (self.count * per_mille).div_ceil(1000);
        let mut seen = 0;
        for (index, count) in self.steps.iter().enumerate() {
            seen += count;
            if seen >= wanted && wanted > 0 {
                return end_of(index).min(self.max_us());
            }
        }
        self.max_us()
    }

    /// The latest, in microseconds.
    pub fn max_us(&self) -> u64 {
        u64::try_from(self.max.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The two bits behind the highest one choose among four.
fn step(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let magnitude = us.ilog2();
    let quarter = (us >> (magnitude - 2)) & 3;
    (4 * (magnitude as usize - 1) + quarter as usize).min(STEPS - 1)
}

/// The largest value that falls into a step.
fn end_of(step: usize) -> u64 {
    if step < 4 {
        return step as u64;
    }
    let (magnitude, quarter) = (step / 4 + 1, (step % 4) as u64);
    ((4 + quarter + 1) << (magnitude - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_step() {
        for us in (0..5_000).chain([9_999, 123_456, 1_000_000]) {
            let index = step(us);
            assert!(us <= end_of(index), "{us}");
            assert!(index == 0 || us > end_of(index - 1), "{us}");
        }
    }

    #[test]
    fn shares_are_found_within_a_quarter() {
        let mut lateness = Lateness::default();
        assert_eq!((lateness.per_mille_us(990), lateness.max_us()), (0, 0));
        (1..=1000).for_each(|us| lateness.note(Duration::from_micros(us)));
        assert!((500..=640).contains(&lateness.per_mille_us(500)), "{}", lateness.per_mille_us(500));
        assert!((990..=1000).contains(&lateness.per_mille_us(990)));
        assert_eq!((lateness.per_mille_us(1000), lateness.max_us()), (1000, 1000));
        lateness.note(Duration::from_secs(3600));
        assert_eq!(lateness.max_us(), 3_600_000_000);
    }
}
