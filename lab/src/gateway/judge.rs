//! What the loss of a gateway, or its return, did to the packets, and whether that was too much.

use serde::Serialize;

use crate::{
    time::{Moment, Window},
    traffic::flow::Outage,
};

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// For how long after the event; nothing: not judged.
    pub ms: Option<f64>,
    /// How many packets.
    pub lost: u64,
}

/// What became of the packets in one step; part of the lab's result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Interruption {
    /// Packets that never arrived.
    pub lost: u64,
    /// From the event until the first packet was sent after which none was lost; 0 if none was.
    pub ms: f64,
    /// They did arrive again.
    pub over: bool,
    /// Packets that may be lost.
    pub allowed_lost: u64,
    /// Milliseconds that it may take, where that is judged.
    pub allowed_ms: Option<f64>,
    /// Routes that the kernel has to have at any time.
    pub routes: u64,
    /// The fewest that it was seen to have.
    pub least_routes: u64,
    /// Changes of routes and of next-hop objects, as the kernel told them; nothing where it could not tell all.
    pub kernel_writes: Option<u64>,
    /// For how long, at most, none of the gateways' BFD threads could run, of which there is one with a real-time priority on each processor.
    pub stood_still_ms: f64,
}

impl Interruption {
    /// From what was lost of the probes. `event`: between which moments the lab did what it did; `end`: when it looked.
    pub fn of(outage: Outage, event: Option<Window>, end: Moment, limit: Limit) -> Self {
        let last = |(from, to): (u64, u64)| {
            let begin = event.map_or(from, |event| event.from.mono_ns);
            to.min(end.mono_ns).saturating_sub(begin)
        };
        Self {
            lost: outage.lost,
            ms: outage.sent_ns.map_or(0.0, |sent_ns| last(sent_ns) as f64 / 1e6),
            over: outage.sent_ns.is_none_or(|(_, to)| to <= end.mono_ns),
            allowed_lost: limit.lost,
            allowed_ms: limit.ms,
            ..Self::default()
        }
    }

    /// What was too much.
    pub fn complaints(&self) -> Vec<String> {
        let mut words = Vec::new();
        let late = self.allowed_ms.is_some_and(|allowed_ms| self.ms > allowed_ms);
        if late || self.lost > self.allowed_lost {
            let allowed_ms = self.allowed_ms.map(|ms| format!(" and {ms} ms")).unwrap_or_default();
            words.push(format!(
                "{} packets lost, the last of them {:.1} ms after it, allowed {}{allowed_ms}",
                self.lost, self.ms, self.allowed_lost
            ));
        }
        if !self.over {
            words.push("packets have not arrived again".into());
        }
        if self.least_routes < self.routes {
            words.push(format!("the kernel's table shrank to {} routes, required {}", self.least_routes, self.routes));
        }
        words
    }

    /// The worst of several, figure by figure.
    pub fn worst<'a>(all: impl Iterator<Item = &'a Self>) -> Option<Self> {
        all.cloned().reduce(|a, b| Self {
            lost: a.lost.max(b.lost),
            ms: a.ms.max(b.ms),
            over: a.over && b.over,
            allowed_lost: a.allowed_lost.max(b.allowed_lost),
            allowed_ms: a.allowed_ms.into_iter().chain(b.allowed_ms).reduce(f64::max),
            routes: a.routes.max(b.routes),
            least_routes: a.least_routes.min(b.least_routes),
            kernel_writes: a.kernel_writes.zip(b.kernel_writes).map(|(a, b)| a.max(b)),
            stood_still_ms: a.stood_still_ms.max(b.stood_still_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { ms: Some(5.0), lost: 50 };

    fn at(ms: u64) -> Moment {
        Moment { mono_ns: ms * 1_000_000, real_ns: 0 }
    }

    /// The link is taken away at 1,000 ms; probes are lost that were sent between two moments.
    fn lost(lost: u64, sent_ms: (f64, f64), limit: Limit) -> Interruption {
        let event = Window { from: at(1_000), to: at(1_001) };
        let ns = |ms: f64| (ms * 1e6) as u64;
        let outage = Outage { lost, sent_ns: (lost > 0).then_some((ns(sent_ms.0), ns(sent_ms.1))) };
        let interruption = Interruption::of(outage, Some(event), at(9_000), limit);
        Interruption { routes: 1_000, least_routes: 1_003, ..interruption }
    }

    #[test]
    fn what_lasts_as_long_as_it_may_is_good_and_anything_beyond_is_not() {
        let good = lost(49, (999.9, 1_004.9), LIMIT);
        assert!((good.ms - 4.9).abs() < 0.01 && good.complaints().is_empty(), "{good:?}");
        assert!(lost(0, (0.0, 0.0), LIMIT).complaints().is_empty());
        let long = lost(20, (999.9, 1_005.2), LIMIT).complaints();
        assert!(
            matches!(&long[..], [words] if words.contains("5.2 ms") && words.contains("allowed 50 and 5 ms")),
            "{long:?}"
        );
        let many = lost(51, (999.9, 1_004.0), LIMIT).complaints();
        assert!(matches!(&many[..], [words] if words.contains("51 packets lost")), "{many:?}");
        // A few in a moment, and one more long after: the time counts until that one.
        assert_eq!(lost(2, (999.9, 4_000.0), LIMIT).ms, 3_000.0);
    }

    #[test]
    fn without_times_only_the_number_counts() {
        let untimed = Limit { ms: None, lost: 100 };
        assert!(lost(100, (999.9, 2_000.0), untimed).complaints().is_empty());
        assert_eq!(lost(101, (999.9, 1_000.5), untimed).complaints().len(), 1);
    }

    #[test]
    fn one_packet_is_too_many_where_nothing_may_be_lost() {
        let nothing = Limit { ms: Some(0.0), lost: 0 };
        assert!(lost(0, (0.0, 0.0), nothing).complaints().is_empty());
        assert_eq!(lost(1, (1_500.0, 1_500.2), nothing).complaints().len(), 1);
    }

    #[test]
    fn packets_that_never_arrive_again_and_routes_that_go_are_told() {
        let dead = Outage { lost: 9, sent_ns: Some((1, u64::MAX)) };
        let event = Window { from: at(1_000), to: at(1_000) };
        let dead = Interruption::of(dead, Some(event), at(3_000), Limit { ms: None, lost: 100 });
        assert_eq!(dead.ms, 2_000.0);
        assert!(dead.complaints().iter().any(|words| words.contains("not arrived again")), "{:?}", dead.complaints());
        let shrunk = Interruption { least_routes: 17, ..lost(0, (0.0, 0.0), LIMIT) };
        assert!(shrunk.complaints()[0].contains("shrank to 17 routes"), "{:?}", shrunk.complaints());
    }

    #[test]
    fn the_worst_hides_nothing() {
        let steps = [
            Interruption { kernel_writes: Some(3), ..lost(3, (999.0, 1_004.0), LIMIT) },
            Interruption { kernel_writes: None, least_routes: 7, ..lost(0, (0.0, 0.0), Limit { ms: None, lost: 0 }) },
        ];
        let worst = Interruption::worst(steps.iter()).unwrap();
        assert_eq!((worst.lost, worst.ms, worst.least_routes, worst.kernel_writes), (3, 4.0, 7, None));
        assert_eq!((worst.over, worst.allowed_ms), (true, Some(5.0)));
    }
}
