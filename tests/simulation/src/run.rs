//! One simulated run from the first session to a router at rest, and what has to hold at its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use holdfast_issu::{Daemon, End, Request, Side, Start as RunStart, State};

use crate::bgp::{DESTINATIONS, Peer};
use crate::daemon::main_of;
use crate::fault::{Bug, Fault};
use crate::neighbor::Neighbor;
use crate::process::{Os, Role, Start};
use crate::world::{Event, Pid, Time, World};

/// Sessions are up and settled before the run begins.
const WARM_UP: Duration = Duration::from_millis(700);
/// Neighbours talk without a pause from the run's beginning for so long: a run without faults is over by then.
const BUSY: Duration = Duration::from_millis(350);
/// How long neighbours go on talking after the run's end.
const AFTERWARDS: Duration = Duration::from_secs(12);
/// How long everything that is under way may take to arrive once nobody says anything new.
const DRAIN: Duration = Duration::from_secs(8);
/// No run takes longer, whatever goes wrong.
const RUN_MAX: Duration = Duration::from_secs(3600);
/// The last neighbour takes its bytes slowly.
const NEIGHBORS: usize = 3;

/// What is simulated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scenario {
    /// Decides every latency, size and order.
    pub seed: u64,
    /// A rehearsal.
    pub dry_run: bool,
    /// `confirm`, in milliseconds.
    pub confirm_ms: Option<u64>,
    /// The operator confirms so many milliseconds after soaking has begun.
    pub confirmed_ms: Option<u64>,
    /// The new rpd's checks after the switch fail.
    pub checks_fail: bool,
    /// The second level: the real speaker and RIB.
    pub real: bool,
    /// Bits of the neighbours whose sessions restart gracefully instead of going over; in the second level only.
    pub restarting: u32,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// Planted mistakes.
    pub bugs: Vec<Bug>,
    /// Keep a trace.
    pub trace: bool,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed={}", self.seed)?;
        if self.real {
            write!(f, " bgp")?;
        }
        if self.restarting > 0 {
            write!(f, " restarting={}", self.restarting)?;
        }
        if self.dry_run {
            write!(f, " dry-run")?;
        }
        if let Some(ms) = self.confirm_ms {
            write!(f, " confirm={ms}")?;
        }
        if let Some(ms) = self.confirmed_ms {
            write!(f, " confirmed={ms}")?;
        }
        if self.checks_fail {
            write!(f, " checks-fail")?;
        }
        self.faults.iter().try_for_each(|fault| write!(f, " {fault}"))
    }
}

impl std::str::FromStr for Scenario {
    type Err = String;

    /// The inverse of `Display`, for replaying.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut scenario = Scenario::default();
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is no number"));
        for word in text.split_whitespace() {
            match word.split_once('=') {
                Some(("seed", value)) => scenario.seed = number(value)?,
                Some(("restarting", value)) => scenario.restarting = number(value)? as u32,
                Some(("confirm", value)) => scenario.confirm_ms = Some(number(value)?),
                Some(("confirmed", value)) => scenario.confirmed_ms = Some(number(value)?),
                _ if word == "bgp" => scenario.real = true,
                _ if word == "dry-run" => scenario.dry_run = true,
                _ if word == "checks-fail" => scenario.checks_fail = true,
                _ => scenario.faults.push(word.parse()?),
            }
        }
        Ok(scenario)
    }
}

/// What a run left behind.
#[derive(Debug)]
pub struct Outcome {
    /// The first promise that was broken.
    pub violation: Option<String>,
    /// How the run ended.
    pub end: Option<End>,
    /// Sessions that went down.
    pub flaps: u32,
    /// Processes that were restarted.
    pub respawned: Vec<(Side, Daemon)>,
    /// The run's requests, each with the state it was made in.
    pub requests: Vec<(State, Request)>,
    /// How many system calls the first process of each place made during the run, from which to which.
    pub actions: BTreeMap<(Side, Daemon), (u64, u64)>,
    /// The longest silence that a neighbour heard.
    pub silence_max: Duration,
    /// The longest time that a session stood without anybody who led it.
    pub unowned_max: Duration,
    /// Messages of the run by channel.
    pub messages: [u64; 4],
    /// What chassisd did in the run.
    pub chassis_steps: u64,
    /// Writes to the forwarding table.
    pub writes: u64,
    /// The machine's state when the first fault struck.
    pub struck_in: Option<State>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
    /// The run's log.
    pub log: Vec<String>,
}

struct Simulation {
    world: Rc<RefCell<World>>,
    coroutines: BTreeMap<Pid, Pin<Box<dyn Future<Output = ()>>>>,
}

/// Runs a scenario to its end.
pub fn simulate(scenario: &Scenario) -> Outcome {
    let mut world = World::new(scenario.seed, &scenario.faults, &scenario.bugs, scenario.trace);
    (world.real, world.restarting) = (scenario.real, scenario.restarting);
    if world.real {
        world.fib.entries = (0..DESTINATIONS).map(|destination| ((0, destination), 0)).collect();
    }
    world.checks_fail = scenario.checks_fail;
    world.chassis.confirm_after = scenario.confirmed_ms.map(Duration::from_millis);
    for daemon in Daemon::ALL {
        world.start_process(Start { side: Side::Old, daemon, role: Role::Primary, epoch: 1 });
    }
    for id in 0..NEIGHBORS {
        let peer = scenario.real.then(|| Peer::new(id, scenario.restarting >> id & 1 == 1));
        world.neighbors.push(Neighbor::new(id + 1 == NEIGHBORS, peer));
        world.after(Duration::from_millis(70), Event::Neighbor(id));
    }
    world.busy_until = WARM_UP + BUSY;
    let mut simulation = Simulation { world: Rc::new(RefCell::new(world)), coroutines: BTreeMap::new() };
    simulation.run(scenario)
}

impl Simulation {
    fn run(&mut self, scenario: &Scenario) -> Outcome {
        self.advance(WARM_UP, |_| false);
        let before = self.actions();
        {
            let world = &mut *self.world.borrow_mut();
            let (from_slot, to_slot) = ("re0".to_string(), "re1".to_string());
            let confirm = scenario.confirm_ms.map(Duration::from_millis);
            let dry_run = scenario.dry_run;
            world.begin_run(RunStart { run_id: 7, from_slot, to_slot, epoch: 1, force: false, dry_run, confirm });
            for fault in world.faults.clone() {
                if let Fault::Link { neighbor, at_ms, for_ms } = fault {
                    let at = WARM_UP + Duration::from_millis(at_ms);
                    world.at(at, Event::Link(neighbor, at + Duration::from_millis(for_ms)));
                }
            }
        }
        self.advance(WARM_UP + RUN_MAX, |world| world.chassis.end.is_some());
        let after = self.actions();
        let now = self.world.borrow().now;
        if self.world.borrow().chassis.end.is_none() {
            self.world.borrow_mut().violate("the run did not end");
        }
        self.advance(now + AFTERWARDS, |_| false);
        self.world.borrow_mut().draining = true;
        self.advance(now + AFTERWARDS + DRAIN, |_| false);
        self.world.borrow_mut().check_end();
        self.outcome(before, after)
    }

    /// Lets time pass until `limit`, or until `stop` says so, or a promise is broken.
    fn advance(&mut self, limit: Time, stop: impl Fn(&World) -> bool) {
        loop {
            let event = {
                let world = &mut *self.world.borrow_mut();
                let turn_due = world.chassis_turn_due();
                if world.now >= turn_due {
                    world.chassis_turn();
                }
                world.look_for_owners();
                if world.violation.is_some() || stop(world) {
                    return;
                }
                let deadline = world.chassis.machine.next_deadline().unwrap_or(limit);
                let deadline = deadline.max(turn_due).min(limit);
                let event = world.next_event(deadline);
                if event.is_none() && world.now >= limit {
                    return;
                }
                event
            };
            self.bury_and_bear();
            if let Some(event) = event {
                self.happen(event);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        let world = &self.world;
        if matches!(event, Event::Answer(..) | Event::Exited(_) | Event::Chassis(_)) {
            let stands_until = world.borrow_mut().chassis_stands_until();
            if let Some(until) = stands_until {
                return world.borrow_mut().at(until, event);
            }
        }
        match event {
            Event::Run { pid, turn } => {
                let may_run = world.borrow_mut().may_run(pid, turn);
                if may_run {
                    self.poll(pid);
                }
            }
            Event::Continue(pid) => world.borrow_mut().resume(pid),
            Event::Call(pid, id, call) => world.borrow_mut().call_arrives(pid, id, call),
            Event::Answer(id, result) => world.borrow_mut().answered(id, result),
            Event::Exited(pid) => world.borrow_mut().exited(pid),
            Event::Chassis(work) => world.borrow_mut().chassis_work(work),
            Event::FromNeighbor(id) => world.borrow_mut().neighbor_bytes_arrive(id),
            Event::ToNeighbor(socket) => world.borrow_mut().router_bytes_arrive(socket),
            Event::Neighbor(id) => world.borrow_mut().neighbor_tick(id),
            Event::Batch { pfed, stream, batch } => world.borrow_mut().batch_arrives(pfed, stream, batch),
            Event::Ack { rpd, stream, sequence } => world.borrow_mut().ack_arrives(rpd, stream, sequence),
            Event::Wake(pid) => world.borrow_mut().wake(pid),
            Event::Link(id, until) => world.borrow_mut().block_link(id, until),
        }
    }

    /// One system call of a process, and what it does until the next one.
    fn poll(&mut self, pid: Pid) {
        let Some(coroutine) = self.coroutines.get_mut(&pid) else { return };
        let mut context = Context::from_waker(Waker::noop());
        if coroutine.as_mut().poll(&mut context).is_ready() {
            self.world.borrow_mut().kill(pid); // it ended of its own accord
        }
    }

    fn bury_and_bear(&mut self) {
        let started = std::mem::take(&mut self.world.borrow_mut().to_start);
        for (pid, start) in started {
            let os = Os { world: self.world.clone(), pid };
            self.coroutines.insert(pid, main_of(os, start));
        }
        let world = self.world.borrow();
        self.coroutines.retain(|pid, _| world.processes[*pid].alive);
    }

    fn actions(&self) -> BTreeMap<(Side, Daemon), u64> {
        let world = self.world.borrow();
        let first = world.processes.iter().filter(|process| process.incarnation == 0);
        first.map(|process| ((process.side, process.daemon), process.actions)).collect()
    }

    fn outcome(&self, before: BTreeMap<(Side, Daemon), u64>, after: BTreeMap<(Side, Daemon), u64>) -> Outcome {
        let world = &mut *self.world.borrow_mut();
        let actions = after.into_iter().map(|(place, to)| (place, (before.get(&place).copied().unwrap_or(0), to)));
        Outcome {
            violation: world.violation.clone(),
            end: world.chassis.end.clone(),
            flaps: world.flaps(),
            respawned: world.chassis.respawned.clone(),
            requests: std::mem::take(&mut world.chassis.requests),
            actions: actions.collect(),
            silence_max: world.neighbors.iter().map(|neighbor| neighbor.silence_max).max().unwrap_or_default(),
            unowned_max: world.delays.unowned_max,
            messages: world.delays.sent,
            chassis_steps: world.delays.chassis_steps,
            writes: world.fib.writes,
            struck_in: world.struck_in,
            trace: std::mem::take(&mut world.trace.lines),
            log: std::mem::take(&mut world.chassis.log),
        }
    }
}
