//! Sends probes at an even rate, without busy waiting, and never in a burst that a queue would have to absorb.
//!
//! How fine a loss can be timed is how evenly they are sent. In a lab the sender is a process of the machine whose kernel is at work on the routes, and a thread that is
//! woken on a processor waits for the end of the system call that goes on there, whatever its priority: for 36 to 90 ms where a link is lost under 250,000 IPv6 routes.
//! Another machine would not wait. So one that is to time a loss has a deputy on another processor, which sends what is overdue.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    flow::Flow,
    packet::{PROBE_PORT, Probe},
};
use crate::{
    error::{Doing, Result},
    host::{interrupt, netns::Namespace, process, processors},
    limits,
    time::mono_ns,
};

/// How probes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// What is due once a millisecond.
    Bundled,
    /// One by one, by a thread with a real-time priority and its deputy: an interruption is timed to the distance of two probes, or to a millisecond where the kernel
    /// holds a processor.
    Single,
}

impl Pace {
    /// How long the sender sleeps at least and at most, where probes are this far apart.
    fn sleep(self, interval: Duration) -> (Duration, Duration) {
        match self {
            Self::Bundled => (Duration::from_micros(200), interval.max(Duration::from_millis(1))),
            Self::Single => (interval / 4, interval),
        }
    }
}

/// What is overdue by so much is the deputy's.
const OVERDUE: Duration = Duration::from_micros(500);

/// A running sender; it ends with the guard.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Sender {
    /// Starts it in a namespace; `rate_pps` is for all its flows together.
    pub fn start(namespace: &Namespace, nonce: u64, flows: Vec<Arc<Flow>>, rate_pps: u32, pace: Pace) -> Result<Self> {
        let any = unspecified(&flows);
        let open = move || UdpSocket::bind((any, 0)).doing(|| "open a probe socket".into());
        let socket = namespace.inside(open)?;
        let interval = Duration::from_secs(1) / rate_pps.max(1);
        let schedule = Mutex::new(Schedule::new(interval, Instant::now()));
        let line = Arc::new(Line { socket, nonce, flows, schedule });
        let mut sender = Self { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        for place in places(pace, &processors::all()?) {
            let (line, stop) = (Arc::clone(&line), Arc::clone(&sender.stop));
            let work = move || {
                if !place.processors.is_empty() {
                    processors::run_on(&place.processors)?;
                }
                if pace == Pace::Single {
                    // Without it an interruption is taken for longer than it was, never for shorter.
                    let _ = process::real_time(nix::unistd::gettid());
                }
                line.send(pace.sleep(interval), place.after, &stop);
                Ok(())
            };
            sender.threads.push(namespace.spawn_thread("probe sender", work)?);
        }
        Ok(sender)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Where a thread of a sender runs, and what it sends.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// None: wherever it likes.
    processors: Vec<usize>,
    /// What is overdue by this much.
    after: Duration,
}

/// The threads of a sender: a deputy has the last processor for itself.
fn places(pace: Pace, all: &[usize]) -> Vec<Place> {
    match (pace, all) {
        (Pace::Single, [others @ .., last]) if !others.is_empty() => vec![
            Place { processors: others.to_vec(), after: Duration::ZERO },
            Place { processors: vec![*last], after: OVERDUE },
        ],
        _ => vec![Place { processors: Vec::new(), after: Duration::ZERO }],
    }
}

/// When which probe is due.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    next: Instant,
    turn: usize,
}

impl Schedule {
    fn new(interval: Duration, next: Instant) -> Self {
        Self { interval, next, turn: 0 }
    }

    /// The turns that are due, where the first of them is overdue by some time.
    fn take(&mut self, now: Instant, after: Duration) -> std::ops::Range<usize> {
        let first = self.turn;
        if self.next + after > now {
            return first..first;
        }
        let mut burst = 0;
        while self.next <= now && burst < limits::CATCH_UP_PROBES {
            self.turn += 1;
            burst += 1;
            self.next += self.interval;
        }
        if self.next <= now {
            self.next = now + self.interval;
        }
        first..self.turn
    }
}

/// What the threads of a sender share.
#[derive(Debug)]
struct Line {
    socket: UdpSocket,
    nonce: u64,
    flows: Vec<Arc<Flow>>,
    schedule: Mutex<Schedule>,
}

impl Line {
    /// Sleeps, and sends what is due, over and over.
    fn send(&self, (least, most): (Duration, Duration), after: Duration, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) && !interrupt::requested() {
            // Held while it is sent: numbers are given one after the other.
            let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
            for turn in schedule.take(Instant::now(), after) {
                if let Some(flow) = self.flows.get(turn % self.flows.len().max(1)) {
                    send_one(&self.socket, self.nonce, flow);
                }
            }
            let due = schedule.next + after;
            drop(schedule);
            thread::sleep((most + after).min(due.saturating_duration_since(Instant::now())).max(least));
        }
    }
}

/// Any address of the flows' family: all have one.
pub(super) fn unspecified(flows: &[Arc<Flow>]) -> IpAddr {
    let is_ipv6 = flows.iter().flat_map(|flow| &flow.destinations).any(IpAddr::is_ipv6);
    if is_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

fn send_one(socket: &UdpSocket, nonce: u64, flow: &Flow) {
    let number = flow.next_number();
    let Some(destination) = flow.destination(number) else { return };
    let probe = Probe { nonce, flow: flow.id, number, sent_ns: mono_ns() };
    match socket.send_to(&probe.encode(), SocketAddr::new(destination, PROBE_PORT)) {
        Ok(_) => flow.sent(),
        Err(_) => flow.refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deputy_takes_what_is_overdue_and_what_is_due_beside_it() {
        let begin = Instant::now();
        let at = |us| begin + Duration::from_micros(us);
        let mut schedule = Schedule::new(Duration::from_micros(100), begin);
        assert_eq!(schedule.take(at(0), OVERDUE), 0..0);
        assert_eq!(schedule.take(at(0), Duration::ZERO), 0..1);
        assert_eq!(schedule.take(at(250), Duration::ZERO), 1..3);
        assert_eq!(schedule.take(at(790), OVERDUE), 3..3);
        assert_eq!(schedule.take(at(800), OVERDUE), 3..9);
        assert_eq!(schedule.take(at(850), Duration::ZERO), 9..9);
        // After a standstill of all: no burst, and from there on as before.
        assert_eq!(schedule.take(at(90_000), Duration::ZERO).len() as u64, limits::CATCH_UP_PROBES);
        assert_eq!(schedule.take(at(90_050), OVERDUE).len(), 0);
        assert_eq!(schedule.take(at(90_100), Duration::ZERO).len(), 1);
    }

    #[test]
    fn only_who_times_a_loss_has_a_deputy_and_only_beside_another_processor() {
        let whole =
            |places: Vec<Place>| places.into_iter().map(|place| (place.processors, place.after)).collect::<Vec<_>>();
        assert_eq!(whole(places(Pace::Single, &[0, 2, 3])), [(vec![0, 2], Duration::ZERO), (vec![3], OVERDUE)]);
        for (pace, all) in [(Pace::Bundled, &[0, 1][..]), (Pace::Single, &[4]), (Pace::Single, &[])] {
            assert_eq!(whole(places(pace, all)), [(vec![], Duration::ZERO)]);
        }
    }
}
