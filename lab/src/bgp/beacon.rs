//! The beacon: a prefix that one feeder announces and withdraws all the time, each change numbered, so that the
//! feeder behind another neighbour can tell how long every change took through both neighbours and the router.
//!
//! Odd changes announce (the number travels in a large community), even ones withdraw. A change counts as heard when
//! it, or a later one, has arrived.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::message::{LargeCommunity, Prefix};
use crate::{limits, time::mono_ns};

/// First word of the beacon's large community.
const MARK: u32 = 0x484f_4c44;

/// One beacon, shared by the feeder that sends it and the one that hears it.
#[derive(Debug)]
pub struct Beacon {
    /// Its prefix.
    pub prefix: Prefix,
    /// Seen from whom to whom.
    pub name: String,
    running: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    changes: Vec<Change>,
    /// Changes heard so far: a prefix of `changes`.
    heard: usize,
    /// The number of the last announcement heard.
    last_announced: u64,
}

#[derive(Debug, Clone, Copy)]
struct Change {
    sent_ns: u64,
    heard_ns: Option<u64>,
}

/// Delays over a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Delays {
    /// Changes made.
    pub changes: usize,
    /// Changes never heard, though the window's end is long past.
    pub unheard: usize,
    /// Half of them arrived within.
    pub median_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Beacon {
    /// Makes one, not yet running.
    pub fn new(prefix: Prefix, name: String) -> Self {
        Self { prefix, name, running: AtomicBool::new(false), log: Mutex::default() }
    }

    /// Starts or stops the changes.
    pub fn run(&self, running: bool) {
        self.running.store(running, Ordering::Relaxed);
    }

    /// Whether changes are to be made.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the next change as being sent now; returns its number.
    pub fn next_change(&self) -> u64 {
        let mut log = self.log();
        if log.changes.len() < limits::REMEMBERED_MAX {
            log.changes.push(Change { sent_ns: mono_ns(), heard_ns: None });
        }
        log.changes.len() as u64
    }

    /// The community that carries a number.
    pub fn community(number: u64) -> LargeCommunity {
        [MARK, (number >> 32) as u32, number as u32]
    }

    /// The listener has received an announcement of the prefix.
    pub fn heard_announcement(&self, communities: &[LargeCommunity]) {
        let number = communities.iter().find(|c| c[0] == MARK).map(|c| u64::from(c[1]) << 32 | u64::from(c[2]));
        if let Some(number) = number {
            let mut log = self.log();
            log.last_announced = number;
            log.hear_up_to(number);
        }
    }

    /// The listener has received a withdrawal of the prefix.
    pub fn heard_withdrawal(&self) {
        let mut log = self.log();
        let number = log.last_announced + 1;
        log.hear_up_to(number);
    }

    /// Changes made so far.
    pub fn changes(&self) -> usize {
        self.log().changes.len()
    }

    /// Changes heard so far: a withdrawal that a session's end caused may count as one that was made.
    pub fn changes_heard(&self) -> usize {
        self.log().heard
    }

    /// Whether every change made so far has been heard.
    pub fn all_heard(&self) -> bool {
        let log = self.log();
        log.heard == log.changes.len()
    }

    /// Whether a change made after a time has been heard.
    pub fn heard_since(&self, since_ns: u64) -> bool {
        let log = self.log();
        log.changes[..log.heard].last().is_some_and(|change| change.sent_ns >= since_ns)
    }

    /// Delays of the changes sent between two times.
    pub fn delays(&self, from_ns: u64, to_ns: u64) -> Delays {
        let log = self.log();
        let sent: Vec<_> = log.changes.iter().filter(|c| (from_ns..to_ns).contains(&c.sent_ns)).collect();
        let mut ms: Vec<f64> = sent
            .iter()
            .filter_map(|c| c.heard_ns.map(|h| Duration::from_nanos(h - c.sent_ns).as_secs_f64() * 1000.0))
            .collect();
        ms.sort_by(f64::total_cmp);
        Delays {
            changes: sent.len(),
            unheard: sent.len() - ms.len(),
            median_ms: ms.get(ms.len() / 2).copied().unwrap_or(0.0),
            max_ms: ms.last().copied().unwrap_or(0.0),
        }
    }
}

impl Log {
    fn hear_up_to(&mut self, number: u64) {
        let now = mono_ns();
        let end = usize::try_from(number).unwrap_or(usize::MAX).min(self.changes.len());
        for change in self.changes.get_mut(self.heard..end).unwrap_or_default() {
            change.heard_ns = Some(now);
        }
        self.heard = self.heard.max(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_change_counts_for_those_it_overtook() {
        let beacon = Beacon::new(Prefix::new(0xc612_0000, 24), "a to b".into());
        let start = mono_ns();
        for expected in 1..=4 {
            assert_eq!(beacon.next_change(), expected);
        }
        beacon.heard_announcement(&[[9, 9, 9], Beacon::community(3)]);
        assert!(!beacon.all_heard());
        let delays = beacon.delays(start, u64::MAX);
        assert_eq!((delays.changes, delays.unheard), (4, 1));
        beacon.heard_withdrawal();
        assert!(beacon.all_heard());
        assert_eq!(beacon.delays(start, u64::MAX).unheard, 0);
        assert_eq!(beacon.delays(0, start).changes, 0);
    }
}
