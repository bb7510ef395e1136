//! Processes: coroutines in which every `await` is one system call.
//!
//! Between two system calls a process only changes its own memory, which nobody else can see. So these are all the places at which
//! it makes a difference whether it is killed, stopped or overtaken by another process; the scheduler may do each of
//! these before each of them. A process is an ordinary `async fn` that reads like the daemon's loop; there is no runtime: [`crate::run`]
//! polls the coroutines in the order of virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use holdfast_issu::{Answer, Daemon, RequestId, Side};

use crate::fault::{Fault, Strike};
use crate::fib::Batch;
use crate::replication::Tables;
use crate::world::{Event, Pid, Time, World};

/// What a process is, as the contract between processes has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Backup,
    Primary,
    Frozen,
    Activated,
}

/// What chassisd asks of a daemon.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Status,
    Checks,
    Synchronization,
    Prepare,
    Cancel,
    Freeze { epoch: u64 },
    Activate { epoch: u64, peer_lost: bool, expected: Option<Tables> },
    Commit { epoch: u64 },
    Follow { epoch: u64 },
    Verify,
    Terminate,
}

/// With what a process begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub side: Side,
    pub daemon: Daemon,
    pub role: Role,
    pub epoch: u64,
}

/// What the kernel and chassisd know of a process.
#[derive(Debug)]
pub(crate) struct Process {
    pub side: Side,
    pub daemon: Daemon,
    pub incarnation: u32,
    pub alive: bool,
    /// SIGSTOP.
    pub stopped: bool,
    /// It was to run while it was stopped.
    owed: bool,
    /// Waits in poll(2).
    waiting: bool,
    woken: bool,
    turn: u64,
    /// System calls so far.
    pub actions: u64,
    pub calls: VecDeque<(RequestId, Call)>,
    /// Its own word, for the invariants only.
    pub role: Role,
    pub epoch: u64,
    /// Answers Status with "ready".
    pub ready: bool,
    /// Was told to end: its exit is no news.
    pub end_expected: bool,
    /// pfed's end of the stream of forwarding entries, and rpd's.
    pub batches: VecDeque<Batch>,
    pub acks: VecDeque<u64>,
}

impl Process {
    pub(crate) fn is_serving(&self) -> bool {
        self.alive && self.role == Role::Primary
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}.{}", if self.side == Side::Old { "re0" } else { "re1" }, self.daemon, self.incarnation)
    }
}

/// A process's way to the kernel.
#[derive(Clone)]
pub(crate) struct Os {
    pub world: Rc<RefCell<World>>,
    pub pid: Pid,
}

/// Gives the processor away once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Os {
    /// One system call: some time passes, then `act` happens, undivided.
    pub(crate) async fn call<R>(&self, act: impl FnOnce(&mut World, Pid) -> R) -> R {
        {
            let world = &mut *self.world.borrow_mut();
            let delay = world.some_us(1, 30);
            world.schedule(self.pid, delay);
        }
        Yield(false).await;
        act(&mut self.world.borrow_mut(), self.pid)
    }

    /// poll(2): until something happens to one of the process's descriptors, at the latest at `until`. Tells the time.
    pub(crate) async fn wait(&self, until: Time) -> Time {
        self.world.borrow_mut().sleep(self.pid, until);
        Yield(false).await;
        self.now()
    }

    /// Time passes in work.
    pub(crate) async fn work(&self, time: Duration) {
        self.world.borrow_mut().schedule(self.pid, time);
        Yield(false).await;
    }

    /// CLOCK_MONOTONIC; costs nothing (vDSO).
    pub(crate) fn now(&self) -> Time {
        self.world.borrow().now
    }

    pub(crate) async fn next_call(&self) -> Option<(RequestId, Call)> {
        if self.world.borrow().processes[self.pid].calls.is_empty() {
            return None; // poll(2) has said so
        }
        self.call(|world, pid| world.processes[pid].calls.pop_front()).await
    }

    pub(crate) async fn answer(&self, id: RequestId, result: Result<Answer, String>) {
        self.call(|world, pid| world.answer(pid, id, result)).await;
    }

    /// Tells the invariants what this process takes itself for. No system call: it is in its own memory.
    pub(crate) fn is_now(&self, role: Role, epoch: u64) {
        let world = &mut *self.world.borrow_mut();
        let process = &mut world.processes[self.pid];
        (process.role, process.epoch) = (role, epoch);
        let name = process.name();
        world.note(|| format!("{name} is {role:?} in epoch {epoch}"));
    }
}

impl World {
    pub(crate) fn start_process(&mut self, start: Start) -> Pid {
        let pid = self.processes.len();
        let incarnation = &mut self.incarnations[start.side as usize][start.daemon.index()];
        let process = Process {
            side: start.side,
            daemon: start.daemon,
            incarnation: *incarnation,
            alive: true,
            stopped: false,
            owed: false,
            waiting: false,
            woken: false,
            turn: 0,
            actions: 0,
            calls: VecDeque::new(),
            role: Role::Backup, // until it says otherwise
            epoch: start.epoch,
            ready: false,
            end_expected: false,
            batches: VecDeque::new(),
            acks: VecDeque::new(),
        };
        *incarnation += 1;
        self.note(|| format!("{} starts as {:?} in epoch {}", process.name(), start.role, start.epoch));
        self.processes.push(process);
        self.slots[start.side as usize][start.daemon.index()] = Some(pid);
        self.to_start.push((pid, start));
        let delay = self.some_us(100, 400);
        self.schedule(pid, delay);
        pid
    }

    fn schedule(&mut self, pid: Pid, delay: Duration) {
        let process = &mut self.processes[pid];
        process.turn += 1;
        process.waiting = false;
        let turn = process.turn;
        self.after(delay, Event::Run { pid, turn });
    }

    fn sleep(&mut self, pid: Pid, until: Time) {
        if std::mem::take(&mut self.processes[pid].woken) {
            let delay = self.some_us(1, 30);
            return self.schedule(pid, delay);
        }
        let delay = until.saturating_sub(self.now).max(Duration::from_micros(1));
        self.schedule(pid, delay);
        self.processes[pid].waiting = true;
    }

    /// Something happened to one of its descriptors.
    pub(crate) fn wake(&mut self, pid: Pid) {
        if !self.processes[pid].waiting {
            self.processes[pid].woken = true;
            return;
        }
        let delay = self.some_us(5, 150);
        self.schedule(pid, delay);
    }

    /// Whether the process may run now. Here faults strike.
    pub(crate) fn may_run(&mut self, pid: Pid, turn: u64) -> bool {
        let process = &mut self.processes[pid];
        if !process.alive || process.turn != turn {
            return false;
        }
        if process.stopped {
            process.owed = true;
            return false;
        }
        process.actions += 1;
        process.waiting = false;
        let (side, daemon, incarnation, action) = (process.side, process.daemon, process.incarnation, process.actions);
        let struck = self.faults.iter().find_map(|fault| match *fault {
            Fault::Process { side: s, daemon: d, incarnation: i, action: a, strike }
                if (s, d, i, a) == (side, daemon, incarnation, action) =>
            {
                Some(strike)
            }
            _ => None,
        });
        // What happens after the run is not the run's.
        let Some(strike) = struck.filter(|_| self.chassis.end.is_none()) else { return true };
        let name = self.processes[pid].name();
        self.note(|| format!("FAULT {strike:?} {name} before its system call {action}"));
        self.struck_in.get_or_insert(self.chassis.machine.state());
        match strike {
            Strike::Kill => self.kill(pid),
            Strike::Stop | Strike::Pause(_) => {
                self.stop(pid);
                self.processes[pid].owed = true;
                if let Some(pause) = strike.pause() {
                    self.after(pause, Event::Continue(pid));
                }
            }
        }
        false
    }

    /// SIGSTOP.
    pub(crate) fn stop(&mut self, pid: Pid) {
        self.processes[pid].stopped = true;
        self.note(|| format!("process {pid} stopped"));
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if !process.alive || !std::mem::take(&mut process.stopped) {
            return;
        }
        if std::mem::take(&mut process.owed) {
            let waiting = process.waiting;
            self.schedule(pid, Duration::from_micros(50));
            self.processes[pid].waiting = waiting;
        }
        self.note(|| format!("process {pid} continues"));
    }

    /// SIGKILL, or the end of its own accord: the kernel closes what it had open.
    pub(crate) fn kill(&mut self, pid: Pid) {
        let process = &mut self.processes[pid];
        if !std::mem::take(&mut process.alive) {
            return;
        }
        let (side, daemon) = (process.side, process.daemon);
        process.calls.clear();
        process.batches.clear();
        let name = process.name();
        self.note(|| format!("{name} is dead"));
        self.close_descriptors(pid);
        if daemon != Daemon::Mgd {
            self.close_forwarding_stream(side);
        }
        let delay = self.some_us(200, 2500);
        let late = self.lateness(crate::delay::Channel::Deaths);
        self.after(delay + late, Event::Exited(pid));
        self.break_calls(pid);
    }
}
