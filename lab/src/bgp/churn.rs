//! Churn: a feeder changes many prefixes of its own again and again, each change an UPDATE by itself: announced, announced
//! with another metric, withdrawn, and so on. What is left at the end is withdrawn, or stands as it is, to be compared.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::message::{self, Attributes, Prefix};

/// Where churn takes place; no table and no beacon is in there.
pub const SPACE: Prefix = Prefix::new(u32::from_be_bytes([198, 19, 0, 0]), 16);
/// Prefixes of one feeder, each a /30: sixteen feeders fill the space.
const PREFIXES: u32 = 1024;
/// Changes made in one turn: a feeder that was kept waiting catches up in small pieces.
const PER_TURN_MAX: u64 = 256;

/// In place of a rate: no further change, and what has been announced stays.
const STAND: u32 = u32::MAX;

/// What all feeders of a lab are asked to do.
#[derive(Debug, Default)]
pub struct Churn {
    per_second: AtomicU32,
    made: AtomicU64,
}

impl Churn {
    /// From now on every feeder makes this many changes a second; 0 ends it, and what was announced is withdrawn.
    pub fn set(&self, per_second: u32) {
        self.per_second.store(per_second, Ordering::Relaxed);
    }

    /// From now on no feeder changes anything; what was announced last stays so.
    pub fn stand(&self) {
        self.set(STAND);
    }

    /// Changes that all feeders have made so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

/// One feeder's part in one session.
#[derive(Debug)]
pub struct Churner {
    number: u32,
    autonomous_system: u32,
    address: Ipv4Addr,
    since: Option<Instant>,
    steps: u64,
}

impl Churner {
    /// For the feeder of this number.
    pub fn new(number: u8, autonomous_system: u32, address: Ipv4Addr) -> Self {
        Self { number: number.into(), autonomous_system, address, since: None, steps: 0 }
    }

    /// Queues the changes that are due.
    pub fn turn(&mut self, churn: &Churn, now: Instant, out: &mut Vec<u8>) {
        let per_second = churn.per_second.load(Ordering::Relaxed);
        if per_second == STAND {
            return;
        }
        let Some(since) = self.since.filter(|_| per_second > 0) else {
            if self.since.take().is_some() {
                self.withdraw_all(out);
            }
            if per_second > 0 {
                (self.since, self.steps) = (Some(now), 0);
            }
            return;
        };
        let due = (now.duration_since(since).as_secs_f64() * f64::from(per_second)) as u64;
        let mut count = due.saturating_sub(self.steps);
        if count > PER_TURN_MAX {
            // The schedule moves: what was missed is not sent in a burst.
            self.since = Some(since + Duration::from_secs_f64((count - PER_TURN_MAX) as f64 / f64::from(per_second)));
            count = PER_TURN_MAX;
        }
        for _ in 0..count {
            self.step(out);
        }
        churn.made.fetch_add(count, Ordering::Relaxed);
    }

    fn prefix(&self, index: u32) -> Prefix {
        Prefix::new(SPACE.address | (self.number % 16 * PREFIXES + index) << 2, 30)
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let (round, index) = (self.steps / u64::from(PREFIXES), (self.steps % u64::from(PREFIXES)) as u32);
        self.steps += 1;
        let prefix = self.prefix(index);
        if round % 3 == 2 {
            message::withdraw(out, &[prefix]);
            return;
        }
        let attributes = Attributes {
            path: vec![self.autonomous_system],
            med: Some((round % 1_000_000) as u32 + 1),
            ..Attributes::default()
        };
        message::announce(out, &message::attribute_block(&attributes, self.address), &[prefix]);
    }

    fn withdraw_all(&self, out: &mut Vec<u8>) {
        let all: Vec<Prefix> = (0..PREFIXES).map(|index| self.prefix(index)).collect();
        // A message holds some 800 of them.
        all.chunks(256).for_each(|some| message::withdraw(out, some));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updates(bytes: &[u8]) -> Vec<message::Received> {
        let mut out = Vec::new();
        let mut start = 0;
        while let Ok(Some(length)) = message::message_length(&bytes[start..]) {
            out.push(message::parse_update(&bytes[start + message::HEADER_BYTES..start + length]).unwrap());
            start += length;
        }
        out
    }

    #[test]
    fn changes_come_at_their_rate_and_nothing_stays() {
        let (churn, start) = (Churn::default(), Instant::now());
        let mut churner = Churner::new(3, 65_104, Ipv4Addr::LOCALHOST);
        let mut out = Vec::new();
        churner.turn(&churn, start, &mut out);
        assert!(out.is_empty(), "not asked for");
        churn.set(2_000);
        for ms in (0..=3_000).step_by(50) {
            churner.turn(&churn, start + Duration::from_millis(ms), &mut out);
        }
        let made = updates(&out);
        assert_eq!((made.len() as u64, churn.made()), (6_000, 6_000));
        let prefixes = |list: &[message::Received]| -> Vec<Prefix> {
            list.iter().flat_map(|u| u.announced.iter().chain(&u.withdrawn).copied()).collect()
        };
        assert!(prefixes(&made).iter().all(|p| SPACE.contains(p.address)));
        assert!(made.iter().any(|u| !u.withdrawn.is_empty()));
        out.clear();
        churn.stand();
        churner.turn(&churn, start + Duration::from_millis(3_500), &mut out);
        assert!(out.is_empty(), "it stands as it is");
        churn.set(0);
        churner.turn(&churn, start + Duration::from_secs(4), &mut out);
        assert_eq!(prefixes(&updates(&out)).len(), PREFIXES as usize, "all are withdrawn at the end");
    }
}
