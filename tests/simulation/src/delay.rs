//! Messages between processes that are late, a chassisd that stands still, and how long a session is without an owner.
//!
//! A message is late alone: whoever sent it goes on, and so does whoever waits for it. What is in the buffer of a Unix socket is
//! there; late is the news of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::fault::Fault;
use crate::fib::Batch;
use crate::process::Role;
use crate::tcp::Holder;
use crate::world::{Event, Pid, Time, World};

/// What came while chassisd stood still is taken before deadlines are judged; it only has to be read.
const CATCH_UP: Duration = Duration::from_millis(200);
/// As in the vault's `limits`.
const VAULT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two looks of a process that waits for the vault.
const VAULT_WAIT: Duration = Duration::from_millis(1);

/// What goes from process to process besides the chassis's calls and their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The news that the replication stream holds more, in either direction.
    Facts,
    /// A part of the wanted table, from rpd to its pfed.
    Batches,
    /// Its acknowledgement.
    Acks,
    /// The news of a process's death, to chassisd.
    Deaths,
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 4] = [Channel::Facts, Channel::Batches, Channel::Acks, Channel::Deaths];

    fn name(self) -> &'static str {
        match self {
            Channel::Facts => "facts",
            Channel::Batches => "batch",
            Channel::Acks => "ack",
            Channel::Deaths => "death",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Channel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Channel::ALL.into_iter().find(|channel| channel.name() == text).ok_or(())
    }
}

/// What this part of the world knows.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    /// Messages of the run so far, by channel.
    pub sent: [u64; 4],
    /// What came later than a late message waits behind it: batches and acknowledgements, by slot.
    behind: [[Time; 2]; 2],
    /// What chassisd has done in the run so far.
    pub chassis_steps: u64,
    /// It stands still until then.
    chassis_until: Time,
    /// Since when each neighbour's session has had no owner.
    unowned_since: Vec<Option<Time>>,
    pub unowned_max: Duration,
}

impl World {
    fn is_in_run(&self) -> bool {
        self.chassis.machine.run_id().is_some()
    }

    /// How late the next message of this channel is.
    pub(crate) fn lateness(&mut self, channel: Channel) -> Duration {
        if !self.is_in_run() {
            return Duration::ZERO;
        }
        let number = self.delays.sent[channel as usize];
        self.delays.sent[channel as usize] += 1;
        let late = self.faults.iter().find_map(|fault| match *fault {
            Fault::Message { channel: c, number: n, late_ms } if (c, n) == (channel, number) => Some(late_ms),
            _ => None,
        });
        let Some(late_ms) = late else { return Duration::ZERO };
        self.note(|| format!("FAULT {channel} {number} is {late_ms} ms late"));
        self.struck_in.get_or_insert(self.chassis.machine.state());
        Duration::from_millis(late_ms)
    }

    /// When a message of an ordered stream arrives; `None`: at once.
    fn arrival(&mut self, channel: Channel, side: usize) -> Option<Time> {
        let due = self.now + self.lateness(channel);
        let behind = &mut self.delays.behind[usize::from(channel == Channel::Acks)][side];
        *behind = due.max(*behind);
        (*behind > self.now).then_some(*behind)
    }

    /// A batch on its way to the pfed of a slot.
    pub(crate) fn batch_leaves(&mut self, side: usize, pfed: Pid, batch: Batch) {
        let stream = self.chassis.forwarding_streams[side];
        match self.arrival(Channel::Batches, side) {
            None => self.batch_arrives(pfed, stream, batch),
            Some(at) => self.at(at, Event::Batch { pfed, stream, batch }),
        }
    }

    /// What a stream that was closed meanwhile still carried is gone with it.
    pub(crate) fn batch_arrives(&mut self, pfed: Pid, stream: u64, batch: Batch) {
        let side = self.processes[pfed].side as usize;
        if self.processes[pfed].alive && self.chassis.forwarding_streams[side] == stream {
            self.processes[pfed].batches.push_back(batch);
            self.wake(pfed);
        }
    }

    /// An acknowledgement on its way to the rpd of a slot.
    pub(crate) fn ack_leaves(&mut self, side: usize, rpd: Pid, sequence: u64) {
        let stream = self.chassis.forwarding_streams[side];
        match self.arrival(Channel::Acks, side) {
            None => self.ack_arrives(rpd, stream, sequence),
            Some(at) => self.at(at, Event::Ack { rpd, stream, sequence }),
        }
    }

    pub(crate) fn ack_arrives(&mut self, rpd: Pid, stream: u64, sequence: u64) {
        let side = self.processes[rpd].side as usize;
        if self.processes[rpd].alive && self.chassis.forwarding_streams[side] == stream {
            self.processes[rpd].acks.push_back(sequence);
            self.wake(rpd);
        }
    }

    /// The replication stream holds more.
    pub(crate) fn wake_for_facts(&mut self, reader: Pid) {
        match self.lateness(Channel::Facts) {
            Duration::ZERO => self.wake(reader),
            late => self.after(late, Event::Wake(reader)),
        }
    }

    /// Whether chassisd does something now; else it stands still until the time told. Here it may be made to.
    pub(crate) fn chassis_stands_until(&mut self) -> Option<Time> {
        if self.is_in_run() && self.now >= self.delays.chassis_until {
            let step = self.delays.chassis_steps;
            self.delays.chassis_steps += 1;
            let pause = self.faults.iter().find_map(|fault| match *fault {
                Fault::Chassis { step: s, pause_ms } if s == step => Some(pause_ms),
                _ => None,
            });
            if let Some(pause_ms) = pause {
                self.note(|| format!("FAULT chassisd stands still before its step {step}"));
                self.struck_in.get_or_insert(self.chassis.machine.state());
                self.delays.chassis_until = self.now + Duration::from_millis(pause_ms);
            }
        }
        self.chassis_still_until()
    }

    /// Until when chassisd stands still, if it does.
    pub(crate) fn chassis_still_until(&self) -> Option<Time> {
        Some(self.delays.chassis_until).filter(|until| *until > self.now)
    }

    /// Until when chassisd does nothing of its own accord: it stands still, or has just done so.
    pub(crate) fn chassis_turn_due(&self) -> Time {
        match self.delays.chassis_until {
            Time::ZERO => Time::ZERO,
            until => until + CATCH_UP,
        }
    }

    /// A session is owned while a primary that runs has its connection.
    pub(crate) fn look_for_owners(&mut self) {
        self.delays.unowned_since.resize(self.neighbors.len(), None);
        for id in 0..self.neighbors.len() {
            let socket = self.neighbors[id].socket.map(|socket| &self.sockets[socket]);
            let owned = socket.is_none_or(|socket| {
                socket.closed
                    || socket.holders().iter().any(|holder| match holder {
                        Holder::Process(pid) => {
                            let process = &self.processes[*pid];
                            process.alive && !process.stopped && process.role == Role::Primary
                        }
                        Holder::Vault => false,
                    })
            });
            let since = &mut self.delays.unowned_since[id];
            if let Some(began) = *since {
                self.delays.unowned_max = self.delays.unowned_max.max(self.now - began);
            }
            *since = if owned { None } else { Some(since.unwrap_or(self.now)) };
        }
    }
}

impl crate::process::Os {
    /// A request to the vault, which is answered when chassisd runs.
    pub(crate) async fn vault<R>(&self, act: impl FnOnce(&mut World, Pid) -> Result<R, String>) -> Result<R, String> {
        let until = self.now() + VAULT_TIMEOUT;
        while self.world.borrow().chassis_still_until().is_some() {
            if self.now() >= until {
                return Err("the vault does not answer".into());
            }
            self.work(VAULT_WAIT).await;
        }
        self.call(act).await
    }
}
