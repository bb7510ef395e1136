//! chassisd: the real in-service machine, and what carries out its requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_issu::{Action, Answer, Daemon, End, Event as MachineEvent, Issu, Request, RequestId, Side, Start, State};

use crate::fault::{Bug, Fault, Trouble};
use crate::process::{Call, Role, Start as ProcessStart};
use crate::replication::Tables;
use crate::tcp::Holder;
use crate::world::{Event, Pid, Time, World};

/// After a call broke off the chassis waits so long for the news of the process's death.
const DEATH_NEWS_WAIT: Duration = Duration::from_millis(30);
/// How often the chassis looks whether every process answers, and how many misses mean that one hangs.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
const WATCH_MISSES_MAX: u32 = 3;
/// Between SIGTERM and SIGKILL.
const RETIRE_GRACE: Duration = Duration::from_secs(3);

/// What the chassis does at some later time.
#[derive(Debug)]
pub(crate) enum Work {
    Perform(RequestId, Request),
    /// Answered once all of them are ready.
    AwaitReady(RequestId, Vec<Pid>),
    /// Answered once all of them are gone.
    AwaitExit(RequestId, Vec<Pid>),
    /// A process whose predecessor has been killed.
    Replace(RequestId, ProcessStart),
    /// What was asked to end and did not.
    Doom(Vec<Pid>),
    /// Outside a run.
    Restart(Side, Daemon),
    Watch,
    Confirm,
}

/// What chassisd knows.
#[derive(Debug)]
pub(crate) struct Chassis {
    pub machine: Issu,
    /// The term that the vault knows.
    pub epoch: u64,
    /// Descriptors by neighbour.
    pub vault: BTreeMap<usize, usize>,
    pub master: Side,
    pub link: Side,
    /// Numbers of the streams between rpd and pfed, per slot: odd while one is open.
    pub forwarding_streams: [u64; 2],
    calls: BTreeMap<RequestId, Pid>,
    frozen: BTreeMap<RequestId, (Side, Tables)>,
    /// Which rpd was the last to freeze, and what it said that its tables hold.
    handed_over: Option<(Side, Tables)>,
    fenced: BTreeSet<Pid>,
    misses: BTreeMap<Pid, u32>,
    pub requests: Vec<(State, Request)>,
    pub states: Vec<(State, Time)>,
    pub log: Vec<String>,
    pub end: Option<End>,
    flaps_before: u32,
    pub flaps_at_end: u32,
    pub answers_lost: BTreeSet<RequestId>,
    pub answers_late: BTreeMap<RequestId, Duration>,
    pub respawned: Vec<(Side, Daemon)>,
    /// The operator confirms so long after soaking has begun.
    pub confirm_after: Option<Duration>,
    /// How long it is waited for.
    pub confirm: Option<Duration>,
}

impl Default for Chassis {
    fn default() -> Self {
        Chassis {
            machine: Issu::new(None),
            epoch: 1,
            vault: BTreeMap::new(),
            master: Side::Old,
            link: Side::Old,
            forwarding_streams: [0; 2],
            calls: BTreeMap::new(),
            frozen: BTreeMap::new(),
            handed_over: None,
            fenced: BTreeSet::new(),
            misses: BTreeMap::new(),
            requests: Vec::new(),
            states: Vec::new(),
            log: Vec::new(),
            end: None,
            flaps_before: 0,
            flaps_at_end: 0,
            answers_lost: BTreeSet::new(),
            answers_late: BTreeMap::new(),
            respawned: Vec::new(),
            confirm_after: None,
            confirm: None,
        }
    }
}

impl World {
    pub(crate) fn begin_run(&mut self, start: Start) {
        let now = self.now;
        self.chassis.confirm = start.confirm;
        self.chassis.machine.start(start, now).expect("no run is under way");
        self.after(WATCH_INTERVAL, Event::Chassis(Work::Watch));
    }

    /// Does what the machine asks, as long as it asks.
    pub(crate) fn chassis_turn(&mut self) {
        while let Some(action) = self.chassis.machine.poll(self.now) {
            match action {
                Action::Request(id, request) => self.requested(id, request),
                Action::Enter(state) => {
                    self.note(|| format!("chassis: {state}"));
                    self.chassis.states.push((state, self.now));
                    if let (State::Soaking, Some(after)) = (state, self.chassis.confirm_after) {
                        self.after(after, Event::Chassis(Work::Confirm));
                    }
                }
                Action::Log { line, .. } => {
                    self.note(|| format!("chassis: {line}"));
                    self.chassis.log.push(line);
                }
                Action::End(end) => self.run_ended(end),
                Action::Alarm(_) => {}
            }
        }
    }

    fn requested(&mut self, id: RequestId, request: Request) {
        let number = self.chassis.requests.len();
        self.chassis.requests.push((self.chassis.machine.state(), request.clone()));
        self.note(|| format!("chassis: request {number} {request:?}"));
        let troubles = self.faults.iter().filter_map(|fault| match fault {
            Fault::Request { request, trouble } if *request == number => Some(*trouble),
            _ => None,
        });
        // SIGKILL cannot be refused, and the vault's epoch is a number in the chassis's own memory.
        let is_certain = matches!(request, Request::Kill { .. } | Request::RaiseEpoch { .. });
        for trouble in troubles.collect::<Vec<_>>() {
            self.note(|| format!("FAULT request {number}: {trouble:?}"));
            match trouble {
                Trouble::Abort => {
                    let now = self.now;
                    self.chassis.machine.abort("operator", now);
                }
                Trouble::AnswerLost => drop(self.chassis.answers_lost.insert(id)),
                Trouble::AnswerLate(ms) => drop(self.chassis.answers_late.insert(id, Duration::from_millis(ms))),
                // What the chassis does itself may be slow to be answered, but it is not done late.
                Trouble::Late(ms) if request.target().is_some() => {
                    return self.after(Duration::from_millis(ms), Event::Chassis(Work::Perform(id, request)));
                }
                Trouble::Late(ms) => drop(self.chassis.answers_late.insert(id, Duration::from_millis(ms))),
                Trouble::Lost if !is_certain => return,
                Trouble::Error if !is_certain => {
                    return self.answer_in(id, Err("injected".into()), Duration::from_millis(1));
                }
                Trouble::Lost | Trouble::Error => {}
            }
        }
        self.perform(id, request);
    }

    fn answer_in(&mut self, id: RequestId, result: Result<Answer, String>, delay: Duration) {
        if !self.chassis.answers_lost.contains(&id) {
            let late = self.chassis.answers_late.get(&id).copied().unwrap_or_default();
            self.after(delay + late, Event::Answer(id, result));
        }
    }

    fn done(&mut self, id: RequestId) {
        let delay = self.some_us(20, 300);
        self.answer_in(id, Ok(Answer::Done), delay);
    }

    fn perform(&mut self, id: RequestId, request: Request) {
        match request {
            Request::Record { .. } => {
                let delay = self.some_us(1000, 5000);
                self.answer_in(id, Ok(Answer::Done), delay);
            }
            Request::CollectBaseline => {
                self.chassis.flaps_before = self.flaps();
                self.done(id);
            }
            Request::CollectEvidence { .. } => {
                let flaps = self.flaps() - self.chassis.flaps_before;
                let losses = (flaps > 0).then(|| format!("{flaps} sessions went down")).into_iter().collect();
                self.answer_in(
                    id,
                    Ok(Answer::Evidence { losses, missing: Vec::new(), remark: String::new() }),
                    Duration::from_millis(2),
                );
            }
            Request::RaiseEpoch { epoch } => {
                self.chassis.epoch = epoch;
                self.done(id);
            }
            Request::Fence { side } => self.fence(id, side, true),
            Request::Unfence { side } => self.fence(id, side, false),
            Request::Flip { side } => {
                (self.chassis.link, self.chassis.master) = (side, side);
                self.done(id);
            }
            Request::Spawn { daemons } => {
                let epoch = self.chassis.epoch;
                let start = |daemon| ProcessStart { side: Side::New, daemon, role: Role::Backup, epoch };
                let pids = daemons.iter().map(|&daemon| self.start_process(start(daemon))).collect();
                self.after(Duration::from_millis(1), Event::Chassis(Work::AwaitReady(id, pids)));
            }
            Request::Respawn { side, daemon, epoch } => {
                self.chassis.respawned.push((side, daemon));
                self.end_processes(side, Some(daemon));
                let start = ProcessStart { side, daemon, role: Role::Primary, epoch };
                self.after(Duration::from_millis(3), Event::Chassis(Work::Replace(id, start)));
            }
            Request::Kill { side: Side::Old, daemon: Some(_) } if self.has_bug(Bug::NoFence) => self.done(id),
            Request::Kill { side, daemon } => {
                let pids = self.end_processes(side, daemon);
                self.after(Duration::from_millis(1), Event::Chassis(Work::AwaitExit(id, pids)));
            }
            Request::Retire => self.retire(id),
            Request::PreChecks => self.call(id, Side::Old, Daemon::Mgd, Call::Checks),
            Request::Synchronization { side, daemon } => self.call(id, side, daemon, Call::Synchronization),
            Request::Prepare { daemon } => self.call(id, Side::Old, daemon, Call::Prepare),
            Request::Cancel { daemon } => self.call(id, Side::Old, daemon, Call::Cancel),
            Request::Freeze { side, daemon } => {
                let epoch = self.chassis.epoch;
                self.call(id, side, daemon, Call::Freeze { epoch });
            }
            Request::Follow { side, daemon, epoch } => self.call(id, side, daemon, Call::Follow { epoch }),
            Request::Watch { side, daemon } => self.call(id, side, daemon, Call::Status),
            Request::Activate { side, daemon, epoch, peer_lost } => {
                // Only a successor compares, with what the other side said when it froze.
                let handed_over = self.chassis.handed_over.clone().filter(|_| !peer_lost && daemon == Daemon::Rpd);
                let expected = handed_over.filter(|(by, _)| *by == side.other()).map(|(_, tables)| tables);
                self.call(id, side, daemon, Call::Activate { epoch, peer_lost, expected });
            }
            Request::Commit { side, daemon, epoch } => self.call(id, side, daemon, Call::Commit { epoch }),
            Request::Verify { side, daemon } => self.call(id, side, daemon, Call::Verify),
        }
    }

    fn call(&mut self, id: RequestId, side: Side, daemon: Daemon, call: Call) {
        let Some(pid) = self.pid(side, daemon) else {
            return self.answer_in(id, Err("the process does not run".into()), Duration::from_micros(10));
        };
        self.chassis.calls.insert(id, pid);
        if !self.processes[pid].alive {
            return self.answer_in(id, Err("connection refused".into()), DEATH_NEWS_WAIT);
        }
        let delay = self.some_us(50, 1500);
        self.after(delay, Event::Call(pid, id, call));
    }

    /// A call has reached its process.
    pub(crate) fn call_arrives(&mut self, pid: Pid, id: RequestId, call: Call) {
        if !self.processes[pid].alive {
            return self.answer_in(id, Err("connection refused".into()), DEATH_NEWS_WAIT);
        }
        self.processes[pid].calls.push_back((id, call));
        self.wake(pid);
    }

    /// A process answers.
    pub(crate) fn answer(&mut self, pid: Pid, id: RequestId, result: Result<Answer, String>) {
        let name = self.processes[pid].name();
        self.note(|| format!("{name} answers {result:?}"));
        let delay = self.some_us(50, 1500);
        if self.chassis.calls.remove(&id).is_some() {
            self.answer_in(id, result, delay);
        }
    }

    /// The tables that go with the answer to Freeze.
    pub(crate) fn answer_frozen(&mut self, pid: Pid, id: RequestId, tables: Tables) {
        let side = self.processes[pid].side;
        self.chassis.frozen.insert(id, (side, tables));
        let mono_ns = self.now.as_nanos() as u64;
        self.answer(pid, id, Ok(Answer::Frozen { mono_ns }));
    }

    /// Calls that wait for a process that is dead break off.
    pub(crate) fn break_calls(&mut self, pid: Pid) {
        let broken: Vec<RequestId> =
            self.chassis.calls.iter().filter(|(_, target)| **target == pid).map(|(id, _)| *id).collect();
        for id in broken {
            self.chassis.calls.remove(&id);
            self.answer_in(id, Err("the connection broke off".into()), DEATH_NEWS_WAIT);
        }
    }

    /// An answer has reached the chassis.
    pub(crate) fn answered(&mut self, id: RequestId, result: Result<Answer, String>) {
        if let Some(tables) = self.chassis.frozen.remove(&id) {
            self.chassis.handed_over = Some(tables);
        }
        let now = self.now;
        self.chassis.machine.handle(MachineEvent::Answered { id, result }, now);
    }

    fn fence(&mut self, id: RequestId, side: Side, stop: bool) {
        for pid in self.alive(side) {
            if stop && !self.has_bug(Bug::NoFence) {
                self.stop(pid);
                self.chassis.fenced.insert(pid);
            } else if !stop {
                self.resume(pid);
                self.chassis.fenced.remove(&pid);
            }
        }
        self.done(id);
    }

    fn alive(&self, side: Side) -> Vec<Pid> {
        let of_slot = self.slots[side as usize].into_iter().flatten();
        of_slot.filter(|pid| self.processes[*pid].alive).collect()
    }

    /// SIGKILL.
    fn end_processes(&mut self, side: Side, daemon: Option<Daemon>) -> Vec<Pid> {
        let doomed: Vec<Pid> = match daemon {
            Some(daemon) => self.pid(side, daemon).into_iter().collect(),
            None => self.slots[side as usize].into_iter().flatten().collect(),
        };
        for &pid in &doomed {
            self.processes[pid].end_expected = true;
            self.kill(pid);
        }
        doomed
    }

    fn retire(&mut self, id: RequestId) {
        let pids: Vec<Pid> = self.slots[Side::Old as usize].into_iter().flatten().collect();
        for &pid in &pids {
            self.processes[pid].end_expected = true;
            self.resume(pid);
            if self.processes[pid].alive {
                self.processes[pid].calls.push_back((RequestId(u64::MAX), Call::Terminate));
                self.wake(pid);
            }
        }
        self.after(RETIRE_GRACE, Event::Chassis(Work::Doom(pids.clone())));
        self.after(Duration::from_millis(1), Event::Chassis(Work::AwaitExit(id, pids)));
    }

    /// The exit of a process has been seen.
    pub(crate) fn exited(&mut self, pid: Pid) {
        let process = &self.processes[pid];
        let (side, daemon, expected) = (process.side, process.daemon, process.end_expected);
        if self.pid(side, daemon) == Some(pid) {
            self.slots[side as usize][daemon.index()] = None;
        }
        if expected {
            return;
        }
        if self.chassis.machine.run_id().is_some() {
            let now = self.now;
            let how = "killed by signal 9".into();
            self.chassis.machine.handle(MachineEvent::ProcessDied { side, daemon, how }, now);
        } else if side == self.chassis.master {
            self.after(Duration::from_millis(100), Event::Chassis(Work::Restart(side, daemon)));
        }
    }

    /// After the death of the rpd that owned them the sessions' other halves must learn of it.
    fn close_sessions(&mut self) {
        for (_, socket) in std::mem::take(&mut self.chassis.vault) {
            self.release(socket, Holder::Vault);
        }
    }

    pub(crate) fn chassis_work(&mut self, work: Work) {
        match work {
            Work::Perform(id, request) => self.perform_late(id, request),
            Work::AwaitReady(id, pids) => {
                if pids.iter().any(|pid| !self.processes[*pid].alive) {
                    self.answer_in(id, Err("it ended at once".into()), DEATH_NEWS_WAIT);
                } else if pids.iter().all(|pid| self.processes[*pid].ready) {
                    self.done(id);
                } else {
                    self.after(Duration::from_millis(5), Event::Chassis(Work::AwaitReady(id, pids)));
                }
            }
            Work::AwaitExit(id, pids) => {
                if pids.iter().all(|pid| !self.processes[*pid].alive) {
                    self.answer_in(id, Ok(Answer::Done), Duration::from_millis(3));
                } else {
                    self.after(Duration::from_millis(2), Event::Chassis(Work::AwaitExit(id, pids)));
                }
            }
            Work::Replace(id, start) => {
                let pid = self.replace(start);
                self.after(Duration::from_millis(1), Event::Chassis(Work::AwaitReady(id, vec![pid])));
            }
            Work::Doom(pids) => pids.into_iter().for_each(|pid| self.kill(pid)),
            Work::Restart(side, daemon) => self.restart(side, daemon),
            Work::Watch => self.watch(),
            Work::Confirm => drop(self.chassis.machine.confirm("operator")),
        }
    }

    fn perform_late(&mut self, id: RequestId, request: Request) {
        // chassisd gives a call up with its deadline.
        if self.chassis.machine.waits_for(id) {
            self.perform(id, request);
        }
    }

    fn replace(&mut self, start: ProcessStart) -> Pid {
        if start.daemon == Daemon::Rpd {
            self.close_sessions();
        }
        self.start_process(start)
    }

    fn restart(&mut self, side: Side, daemon: Daemon) {
        let at_rest = self.chassis.machine.run_id().is_none();
        if at_rest && side == self.chassis.master && self.pid(side, daemon).is_none() {
            let epoch = self.chassis.epoch;
            self.chassis.respawned.push((side, daemon));
            self.replace(ProcessStart { side, daemon, role: Role::Primary, epoch });
        }
    }

    fn watch(&mut self) {
        self.after(WATCH_INTERVAL, Event::Chassis(Work::Watch));
        if self.has_bug(Bug::NobodyWatches) {
            return;
        }
        let in_run = self.chassis.machine.run_id().is_some();
        for side in [Side::Old, Side::New] {
            for pid in self.alive(side) {
                let watched = !in_run || (side == self.chassis.master && !self.chassis.machine.old_may_be_silent());
                let silent = self.processes[pid].stopped;
                let misses = self.chassis.misses.entry(pid).or_default();
                *misses = if watched && silent { *misses + 1 } else { 0 };
                if *misses >= WATCH_MISSES_MAX && !self.chassis.fenced.contains(&pid) {
                    self.note(|| format!("chassis: process {pid} hangs and is killed"));
                    self.kill(pid);
                }
            }
        }
    }

    fn run_ended(&mut self, end: End) {
        self.note(|| format!("chassis: the run ends: {end:?}"));
        self.chassis.states.push((State::Idle, self.now));
        self.chassis.master = end.primary;
        self.chassis.end = Some(end);
        self.chassis.flaps_at_end = self.flaps();
        for daemon in Daemon::ALL {
            self.restart(self.chassis.master, daemon);
        }
    }

    pub(crate) fn flaps(&self) -> u32 {
        self.neighbors.iter().map(|neighbor| neighbor.flaps).sum()
    }
}
