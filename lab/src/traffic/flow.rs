//! One flow's bookkeeping: what was sent, and what came of it.

use std::{
    net::IpAddr,
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;

use crate::{limits, time::Window};

/// What became of a flow's probes; the keys of the lab's result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FlowReport {
    /// `from>to/n`.
    pub name: String,
    /// Handed to the kernel without an error.
    pub sent: u64,
    /// Distinct numbers that arrived.
    pub received: u64,
    /// Sent and never arrived.
    pub lost: u64,
    /// Arrivals of a number that had arrived.
    pub duplicated: u64,
    /// Arrivals after a higher number.
    pub reordered: u64,
    /// The longest time between two arrivals.
    pub longest_gap_ms: f64,
    /// The longest time one probe was under way.
    pub longest_delay_ms: f64,
    /// Probes the sender's own kernel refused: not counted as sent.
    pub send_errors: u64,
}

/// One flow.
#[derive(Debug)]
pub struct Flow {
    /// Its number in the lab.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Where its probes go, in turn.
    pub destinations: Vec<IpAddr>,
    next: AtomicU64,
    counted_from: AtomicU64,
    send_errors: AtomicU64,
    arrivals: Mutex<Arrivals>,
}

#[derive(Debug, Default)]
struct Arrivals {
    seen: BitSet,
    /// Distinct destinations reached while warming up, by number modulo.
    warm: BitSet,
    /// The highest number, and when it was sent.
    highest: Option<(u64, u64)>,
    /// Numbers that were left out when a higher one arrived.
    holes: Vec<Hole>,
    last_ns: Option<u64>,
    duplicates: Vec<u64>,
    reordered: Vec<u64>,
    /// Pauses worth remembering: when they ended, how long they were.
    pauses: Vec<(u64, u64)>,
    /// Long delays: number, nanoseconds.
    delays: Vec<(u64, u64)>,
    shortest_pause_ns: u64,
}

/// Numbers that had not arrived when a higher one did, and when their neighbours on both sides were sent.
#[derive(Debug, Clone)]
struct Hole {
    numbers: Range<u64>,
    sent_ns: (u64, u64),
}

/// Probes lost in a stretch of a flow, and the time in which they were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outage {
    /// How many.
    pub lost: u64,
    /// When the last probe before them was sent that arrived, and the first one after them ([`u64::MAX`] if none has).
    pub sent_ns: Option<(u64, u64)>,
}

impl Outage {
    /// This and another one, as one.
    pub fn and(self, other: Self) -> Self {
        let sent_ns = match (self.sent_ns, other.sent_ns) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
        Self { lost: self.lost + other.lost, sent_ns }
    }
}

#[derive(Debug, Default)]
struct BitSet {
    words: Vec<u64>,
    ones: u64,
}

impl BitSet {
    /// Whether it was new.
    fn insert(&mut self, index: u64) -> bool {
        let word = usize::try_from(index / 64).unwrap_or(usize::MAX);
        if word >= limits::REMEMBERED_MAX {
            return false;
        }
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        let Some(slot) = self.words.get_mut(word) else { return false };
        let new = *slot & bit == 0;
        *slot |= bit;
        self.ones += u64::from(new);
        new
    }

    fn contains(&self, index: u64) -> bool {
        let word = usize::try_from(index / 64).ok().and_then(|w| self.words.get(w));
        word.is_some_and(|w| w & (1 << (index % 64)) != 0)
    }

    fn count(&self, range: Range<u64>) -> u64 {
        range.filter(|&i| self.contains(i)).count() as u64
    }
}

impl Flow {
    /// Makes one.
    pub fn new(id: u32, name: String, destinations: Vec<IpAddr>) -> Self {
        Self {
            id,
            name,
            destinations,
            next: AtomicU64::new(0),
            counted_from: AtomicU64::new(u64::MAX),
            send_errors: AtomicU64::new(0),
            arrivals: Mutex::default(),
        }
    }

    fn arrivals(&self) -> std::sync::MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number that the next probe will carry.
    pub fn next_number(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Where a number goes.
    pub fn destination(&self, number: u64) -> Option<IpAddr> {
        let count = u64::try_from(self.destinations.len()).ok().filter(|&c| c > 0)?;
        self.destinations.get(usize::try_from(number % count).ok()?).copied()
    }

    /// A probe was handed to the kernel.
    pub fn sent(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }

    /// A probe was refused by the sender's kernel; its number will be used again.
    pub fn refused(&self) {
        self.send_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A probe has arrived.
    pub fn arrived(&self, number: u64, sent_ns: u64, now_ns: u64) {
        let mut arrivals = self.arrivals();
        let count = self.destinations.len().max(1) as u64;
        arrivals.warm.insert(number % count);
        if !arrivals.seen.insert(number) {
            remember(&mut arrivals.duplicates, number);
        } else if arrivals.highest.is_some_and(|(highest, _)| number < highest) {
            remember(&mut arrivals.reordered, number);
        }
        if let Some((highest, before_ns)) = arrivals.highest.filter(|(highest, _)| number > highest + 1) {
            remember(&mut arrivals.holes, Hole { numbers: highest + 1..number, sent_ns: (before_ns, sent_ns) });
        }
        arrivals.highest = arrivals.highest.max(Some((number, sent_ns)));
        if let Some(last) = arrivals.last_ns.replace(now_ns) {
            let pause = now_ns.saturating_sub(last);
            if u128::from(pause) >= limits::GAP_REMEMBERED_FROM.as_nanos() {
                remember(&mut arrivals.pauses, (now_ns, pause));
            } else {
                arrivals.shortest_pause_ns = arrivals.shortest_pause_ns.max(pause);
            }
        }
        let delay = now_ns.saturating_sub(sent_ns);
        if u128::from(delay) >= limits::GAP_REMEMBERED_FROM.as_nanos() {
            remember(&mut arrivals.delays, (number, delay));
        }
    }

    /// Whether every destination has been reached: then next hops are resolved and counting may begin.
    pub fn is_warm(&self) -> bool {
        self.arrivals().warm.ones >= self.destinations.len() as u64
    }

    /// For messages.
    pub fn describe(&self) -> String {
        let arrivals = self.arrivals();
        format!("{} ({} of {} destinations)", self.name, arrivals.warm.ones, self.destinations.len())
    }

    /// From the next number on, what is sent is counted.
    pub fn count_from_now(&self) {
        self.counted_from.store(self.next_number(), Ordering::Relaxed);
    }

    /// Sent and distinctly received, of what counts.
    pub fn totals(&self) -> (u64, u64) {
        let (from, next) = (self.counted_from.load(Ordering::Relaxed), self.next_number());
        if from >= next {
            return (0, 0);
        }
        // Warm-up losses lie below `from`; what is above has all been seen or is under way.
        let arrivals = self.arrivals();
        let before = arrivals.seen.count(0..from);
        (next - from, arrivals.seen.ones.saturating_sub(before))
    }

    /// What was lost of a range of numbers, and when it was sent. Whoever asks has waited for what is under way.
    pub fn outage(&self, range: Range<u64>) -> Outage {
        let range = range.start.max(self.counted_from.load(Ordering::Relaxed))..range.end.min(self.next_number());
        let arrivals = self.arrivals();
        let missing = |numbers: Range<u64>| {
            let numbers = numbers.start.max(range.start)..numbers.end.min(range.end);
            numbers.end.saturating_sub(numbers.start).saturating_sub(arrivals.seen.count(numbers))
        };
        let in_hole = |hole: &Hole| {
            let lost = missing(hole.numbers.clone());
            Outage { lost, sent_ns: (lost > 0).then_some(hole.sent_ns) }
        };
        let (after, last_ns) = arrivals.highest.map_or((0, 0), |(highest, sent_ns)| (highest + 1, sent_ns));
        let lost = missing(after..u64::MAX);
        let at_the_end = Outage { lost, sent_ns: (lost > 0).then_some((last_ns, u64::MAX)) };
        arrivals.holes.iter().map(in_hole).fold(at_the_end, Outage::and)
    }

    /// What became of the probes in a range of numbers; pauses are those that ended in the window.
    pub fn report(&self, range: Option<Range<u64>>, window: Option<Window>) -> FlowReport {
        let from = self.counted_from.load(Ordering::Relaxed);
        let range = range.unwrap_or(from..u64::MAX);
        let range = range.start.max(from)..range.end.min(self.next_number());
        let arrivals = self.arrivals();
        let sent = range.end.saturating_sub(range.start);
        let received = arrivals.seen.count(range.clone());
        let within = |list: &[u64]| list.iter().filter(|n| range.contains(n)).count() as u64;
        let in_window = |at: u64| window.is_none_or(|w| (w.from.mono_ns..=w.to.mono_ns).contains(&at));
        let longest = arrivals.pauses.iter().filter(|p| in_window(p.0)).map(|p| p.1).max();
        let delay = arrivals.delays.iter().filter(|d| range.contains(&d.0)).map(|d| d.1).max();
        FlowReport {
            name: self.name.clone(),
            sent,
            received,
            lost: sent.saturating_sub(received),
            duplicated: within(&arrivals.duplicates),
            reordered: within(&arrivals.reordered),
            longest_gap_ms: milliseconds(longest.unwrap_or(arrivals.shortest_pause_ns)),
            longest_delay_ms: milliseconds(delay.unwrap_or(0)),
            send_errors: self.send_errors.load(Ordering::Relaxed),
        }
    }
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() < limits::REMEMBERED_MAX {
        list.push(item);
    }
}

fn milliseconds(ns: u64) -> f64 {
    (ns as f64 / 10_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow_with(numbers: &[u64], sent: u64) -> Flow {
        let flow = Flow::new(0, "a>b/1".into(), vec![IpAddr::from([127, 0, 0, 1])]);
        flow.count_from_now();
        (0..sent).for_each(|_| flow.sent());
        for (at, number) in numbers.iter().enumerate() {
            flow.arrived(*number, 0, at as u64 * 1_000_000);
        }
        flow
    }

    #[test]
    fn losses_duplicates_and_order_are_told_apart() {
        let report = flow_with(&[0, 1, 3, 2, 3, 6], 8).report(None, None);
        assert_eq!((report.sent, report.received, report.lost), (8, 5, 3));
        assert_eq!((report.duplicated, report.reordered), (1, 1));
    }

    #[test]
    fn a_duplicate_does_not_hide_a_loss() {
        let flow = flow_with(&[0, 0, 0], 3);
        let report = flow.report(None, None);
        assert_eq!((report.lost, report.duplicated), (2, 2));
        assert_eq!(flow.totals(), (3, 1));
    }

    #[test]
    fn ranges_are_counted_on_their_own() {
        let flow = flow_with(&[0, 1, 2, 5, 6, 7, 8, 9], 10);
        assert_eq!(flow.report(Some(0..4), None).lost, 1);
        assert_eq!(flow.report(Some(4..10), None).lost, 1);
        assert_eq!(flow.report(Some(5..10), None).lost, 0);
    }

    /// Numbers with the time at which each was sent, in milliseconds.
    fn flow_sent_at(arrived: &[(u64, u64)], sent: u64) -> Flow {
        let flow = Flow::new(0, "a>b/1".into(), vec![IpAddr::from([127, 0, 0, 1])]);
        flow.count_from_now();
        (0..sent).for_each(|_| flow.sent());
        arrived.iter().for_each(|(number, at_ms)| flow.arrived(*number, at_ms * 1_000_000, 0));
        flow
    }

    fn outage_ms(flow: &Flow, range: Range<u64>) -> (u64, Option<(u64, u64)>) {
        let outage = flow.outage(range);
        (outage.lost, outage.sent_ns.map(|(from, to)| (from / 1_000_000, to / 1_000_000)))
    }

    #[test]
    fn an_outage_lasts_from_before_the_first_lost_probe_until_after_the_last() {
        let flow = flow_sent_at(&[(0, 10), (1, 20), (3, 40), (6, 70), (7, 80)], 8);
        assert_eq!(outage_ms(&flow, 0..8), (3, Some((20, 70))), "probes that arrive in the middle of it do not end it");
        assert_eq!(outage_ms(&flow, 0..4), (1, Some((20, 40))));
        assert_eq!(outage_ms(&flow, 6..8), (0, None));
        assert_eq!(flow.outage(0..u64::MAX).lost, 3);
    }

    #[test]
    fn what_comes_late_is_no_outage_and_what_never_comes_has_no_end() {
        let flow = flow_sent_at(&[(0, 10), (2, 30), (1, 20), (3, 40)], 4);
        assert_eq!(flow.outage(0..4), Outage::default());
        let flow = flow_sent_at(&[(0, 10), (1, 20)], 4);
        assert_eq!(flow.outage(0..4), Outage { lost: 2, sent_ns: Some((20_000_000, u64::MAX)) });
        assert_eq!(flow_sent_at(&[], 3).outage(0..3), Outage { lost: 3, sent_ns: Some((0, u64::MAX)) });
        let both = flow.outage(0..4).and(Outage { lost: 1, sent_ns: Some((5, 9)) });
        assert_eq!(both, Outage { lost: 3, sent_ns: Some((5, u64::MAX)) });
    }

    #[test]
    fn the_longest_pause_is_kept() {
        let flow = Flow::new(0, "x".into(), vec![IpAddr::from([127, 0, 0, 1])]);
        flow.count_from_now();
        (0..3).for_each(|_| flow.sent());
        flow.arrived(0, 0, 1_000_000_000);
        flow.arrived(1, 0, 1_250_000_000);
        flow.arrived(2, 0, 1_251_000_000);
        assert_eq!(flow.report(None, None).longest_gap_ms, 250.0);
    }
}
