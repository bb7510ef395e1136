//! Everything outside the processes: time, the queue of what is due, who lives, and what each system call acts on.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use holdfast_issu::{Answer, Daemon, RequestId, Side, State};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::chassis::Chassis;
use crate::fault::{Bug, Fault};
use crate::fib::ForwardingTable;
use crate::neighbor::Neighbor;
use crate::process::{Call, Process, Start};
use crate::replication::Stream;
use crate::tcp::Socket;

/// Time since the simulation began.
pub(crate) type Time = Duration;

/// A process, for ever: numbers are never used twice.
pub(crate) type Pid = usize;

/// What is due at some time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A process gets the processor, unless something else woke it up meanwhile (`turn` differs then).
    Run {
        pid: Pid,
        turn: u64,
    },
    /// SIGCONT after a pause.
    Continue(Pid),
    /// A call reaches its process.
    Call(Pid, RequestId, Call),
    /// An answer reaches the chassis.
    Answer(RequestId, Result<Answer, String>),
    /// The chassis has seen a process exit.
    Exited(Pid),
    /// The chassis's own work is due.
    Chassis(crate::chassis::Work),
    /// Bytes of a neighbour reach the router.
    FromNeighbor(usize),
    /// Bytes of the router reach a neighbour.
    ToNeighbor(usize),
    /// A neighbour looks at its timers.
    Neighbor(usize),
    /// A part of the wanted table reaches pfed, its acknowledgement rpd, of a stream with this number.
    Batch {
        pfed: Pid,
        stream: u64,
        batch: crate::fib::Batch,
    },
    Ack {
        rpd: Pid,
        stream: u64,
        sequence: u64,
    },
    /// A process hears that one of its descriptors has something.
    Wake(Pid),
    /// A neighbour's link carries nothing until then.
    Link(usize, Time),
}

/// A violated promise, or a fact worth keeping for the trace.
pub(crate) struct Trace {
    pub enabled: bool,
    pub lines: Vec<String>,
}

/// The kernel, the network, the neighbours and the chassis.
pub(crate) struct World {
    pub now: Time,
    queue: BTreeMap<(Time, u64), Event>,
    sequence: u64,
    pub random: SmallRng,
    pub trace: Trace,
    /// The first promise that was broken. Nothing goes on after it.
    pub violation: Option<String>,
    pub faults: Vec<Fault>,
    pub bugs: Vec<Bug>,

    pub processes: Vec<Process>,
    pub slots: [[Option<Pid>; 3]; 2],
    /// How many processes a place has had.
    pub incarnations: [[u32; 3]; 2],
    /// Processes whose coroutine is still to be made.
    pub to_start: Vec<(Pid, Start)>,

    pub sockets: Vec<Socket>,
    /// Connections that neighbours opened and nobody has accepted.
    pub backlog: VecDeque<usize>,
    pub streams: Vec<Stream>,
    /// Followers that knocked at a slot's rpd: the stream's number.
    pub knocking: [VecDeque<usize>; 2],
    pub fib: ForwardingTable,
    pub neighbors: Vec<Neighbor>,
    pub chassis: Chassis,
    /// Neighbours generate traffic densely until then.
    pub busy_until: Time,
    /// Neighbours say nothing new any more: what is under way is to arrive.
    pub draining: bool,
    /// The new rpd's checks are made to fail.
    pub checks_fail: bool,
    /// The machine's state when the first fault struck.
    pub struck_in: Option<State>,
    /// The real speaker and RIB are behind the rpds.
    pub real: bool,
    /// Bits of the neighbours whose sessions restart gracefully instead of going over.
    pub restarting: u32,
    /// What the engine that froze last had in its tables.
    pub frozen_dump: Option<Vec<String>>,
    pub delays: crate::delay::Delays,
}

impl World {
    pub(crate) fn new(seed: u64, faults: &[Fault], bugs: &[Bug], trace: bool) -> Self {
        World {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            random: SmallRng::seed_from_u64(seed),
            trace: Trace { enabled: trace, lines: Vec::new() },
            violation: None,
            faults: faults.to_vec(),
            bugs: bugs.to_vec(),
            processes: Vec::new(),
            slots: [[None; 3]; 2],
            incarnations: [[0; 3]; 2],
            to_start: Vec::new(),
            sockets: Vec::new(),
            backlog: VecDeque::new(),
            streams: Vec::new(),
            knocking: Default::default(),
            fib: ForwardingTable::default(),
            neighbors: Vec::new(),
            chassis: Chassis::default(),
            busy_until: Duration::ZERO,
            draining: false,
            checks_fail: false,
            struck_in: None,
            real: false,
            restarting: 0,
            frozen_dump: None,
            delays: Default::default(),
        }
    }

    pub(crate) fn at(&mut self, time: Time, event: Event) {
        self.sequence += 1;
        self.queue.insert((time.max(self.now), self.sequence), event);
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// The next event, with the clock set to its time; `None`: none is due until `limit`.
    pub(crate) fn next_event(&mut self, limit: Time) -> Option<Event> {
        let due = self.queue.first_entry().filter(|entry| entry.key().0 <= limit);
        let Some(entry) = due else {
            self.now = self.now.max(limit);
            return None;
        };
        self.now = entry.key().0;
        Some(entry.remove())
    }

    /// Between `low` and `high` microseconds.
    pub(crate) fn some_us(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.random.random_range(low..=high))
    }

    pub(crate) fn has_bug(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.enabled {
            let line = format!("{:>12.6} {}", self.now.as_secs_f64(), what());
            self.trace.lines.push(line);
        }
    }

    /// A promise was broken.
    pub(crate) fn violate(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {what}"));
        self.violation.get_or_insert(what);
    }

    pub(crate) fn pid(&self, side: Side, daemon: Daemon) -> Option<Pid> {
        self.slots[side as usize][daemon.index()]
    }

    /// The process that serves now, by its own word.
    pub(crate) fn serving(&self, daemon: Daemon) -> Option<Pid> {
        let of_both = [Side::Old, Side::New].into_iter().filter_map(|side| self.pid(side, daemon));
        of_both.into_iter().find(|pid| self.processes[*pid].is_serving())
    }
}
