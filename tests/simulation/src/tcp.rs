//! The kernel's half of the sessions: sockets that live as long as any descriptor of them does.

use std::collections::VecDeque;

use holdfast_replication::ledger::KernelCounters;
use rand::Rng;

use crate::fault::Bug;
use crate::process::Role;
use crate::world::{Event, Pid, World};

/// Who has a descriptor of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Process(Pid),
    Vault,
}

/// One connection between the router and a neighbour.
#[derive(Debug)]
pub(crate) struct Socket {
    pub neighbor: usize,
    /// Received from the neighbour and not consumed.
    receive_queue: VecDeque<u8>,
    bytes_received: u64,
    /// Written and not acknowledged.
    send_queue: VecDeque<u8>,
    bytes_acked: u64,
    send_queue_max: usize,
    holders: Vec<Holder>,
    /// The neighbour has ended it.
    pub reset: bool,
    /// The router has no descriptor of it any more.
    pub closed: bool,
    /// The router has said the end, whoever still has a descriptor.
    pub shut: bool,
}

impl Socket {
    /// Who has a descriptor.
    pub(crate) fn holders(&self) -> &[Holder] {
        &self.holders
    }
}

/// Room for what a neighbour sends before anybody reads it.
const RECEIVE_QUEUE_MAX: usize = 4096;

/// What a look at the receive queue shows.
pub(crate) enum Peek {
    Bytes(Vec<u8>),
    Nothing,
    Ended,
}

/// What became of a write.
pub(crate) enum Sent {
    Taken(usize),
    Full,
    Ended,
}

impl World {
    /// A neighbour connects. The kernel completes the handshake if anybody listens.
    pub(crate) fn connect(&mut self, neighbor: usize, send_queue_max: usize) -> Option<usize> {
        let listener = self.serving(holdfast_issu::Daemon::Rpd)?;
        let socket = self.sockets.len();
        self.sockets.push(Socket {
            neighbor,
            receive_queue: VecDeque::new(),
            // Counts begin somewhere: offsets must not depend on their being zero.
            bytes_received: 0,
            send_queue: VecDeque::new(),
            bytes_acked: self.random.random_range(0..2),
            send_queue_max,
            holders: vec![Holder::Process(listener)],
            reset: false,
            closed: false,
            shut: false,
        });
        self.backlog.push_back(socket);
        self.wake(listener);
        Some(socket)
    }

    pub(crate) fn peek(&self, socket: usize, length_max: usize) -> Peek {
        let socket = &self.sockets[socket];
        match socket.receive_queue.is_empty() {
            false => Peek::Bytes(socket.receive_queue.iter().copied().take(length_max).collect()),
            true if socket.reset || socket.shut => Peek::Ended,
            true => Peek::Nothing,
        }
    }

    pub(crate) fn is_readable(&self, socket: usize) -> bool {
        let socket = &self.sockets[socket];
        socket.reset || socket.shut || !socket.receive_queue.is_empty()
    }

    pub(crate) fn is_writable(&self, socket: usize) -> bool {
        let socket = &self.sockets[socket];
        socket.send_queue.len() < socket.send_queue_max
    }

    /// Takes bytes out of the receive queue.
    pub(crate) fn discard(&mut self, pid: Pid, socket: usize, length: usize) {
        self.check_term(pid, "reads a session");
        let neighbor = self.sockets[socket].neighbor;
        let queue = &mut self.sockets[socket].receive_queue;
        if length > queue.len() && !self.sockets[socket].reset {
            self.violate(format!("process {pid} discards {length} bytes of neighbor {neighbor}, fewer are there"));
            return;
        }
        let length = length.min(queue_len(&self.sockets[socket]));
        self.sockets[socket].receive_queue.drain(..length);
        self.note(|| format!("process {pid} consumes {length} bytes of neighbor {neighbor}"));
    }

    pub(crate) fn send(&mut self, pid: Pid, socket: usize, bytes: &[u8]) -> Sent {
        self.check_term(pid, "writes to a session");
        let target = &mut self.sockets[socket];
        if target.reset || target.closed || target.shut {
            return Sent::Ended;
        }
        let room = target.send_queue_max - target.send_queue.len().min(target.send_queue_max);
        let taken = room.min(bytes.len());
        if taken == 0 {
            return Sent::Full;
        }
        target.send_queue.extend(&bytes[..taken]);
        let neighbor = target.neighbor;
        self.note(|| format!("process {pid} writes {taken} of {} bytes to neighbor {neighbor}", bytes.len()));
        let delay = self.some_us(50, 2000);
        self.after(delay, Event::ToNeighbor(socket));
        Sent::Taken(taken)
    }

    /// `None`: the connection has ended.
    pub(crate) fn counters(&self, socket: usize) -> Option<KernelCounters> {
        let socket = &self.sockets[socket];
        (!socket.reset && !socket.closed && !socket.shut).then(|| KernelCounters {
            consumed: socket.bytes_received - socket.receive_queue.len() as u64,
            written: socket.bytes_acked + socket.send_queue.len() as u64,
        })
    }

    pub(crate) fn bytes_acked(&self, socket: usize) -> u64 {
        self.sockets[socket].bytes_acked
    }

    /// Bytes of a neighbour arrive, in pieces of any size. Returns what is left of them.
    pub(crate) fn arrive(&mut self, socket: usize, bytes: &mut VecDeque<u8>) {
        let piece = self.random.random_range(1..=300);
        let target = &mut self.sockets[socket];
        if target.shut {
            return bytes.clear();
        }
        let room = RECEIVE_QUEUE_MAX - target.receive_queue.len();
        let length = bytes.len().min(room).min(piece);
        target.receive_queue.extend(bytes.drain(..length));
        target.bytes_received += length as u64;
        if length > 0 {
            self.wake_holders(socket);
        }
    }

    /// A neighbour takes bytes, in pieces of any size, and acknowledges them.
    pub(crate) fn depart(&mut self, socket: usize, length_max: usize) -> Vec<u8> {
        let piece = self.random.random_range(1..=length_max);
        let source = &mut self.sockets[socket];
        let length = source.send_queue.len().min(piece);
        let bytes: Vec<u8> = source.send_queue.drain(..length).collect();
        source.bytes_acked += length as u64;
        if length > 0 {
            self.wake_holders(socket);
        }
        bytes
    }

    pub(crate) fn waits_for_departure(&self, socket: usize) -> bool {
        !self.sockets[socket].send_queue.is_empty()
    }

    /// The neighbour ends the connection.
    pub(crate) fn reset(&mut self, socket: usize) {
        self.sockets[socket].reset = true;
        self.wake_holders(socket);
    }

    fn wake_holders(&mut self, socket: usize) {
        let holders = self.sockets[socket].holders.clone();
        for holder in holders {
            if let Holder::Process(pid) = holder {
                self.wake(pid);
            }
        }
    }

    pub(crate) fn hold(&mut self, socket: usize, holder: Holder) {
        let holders = &mut self.sockets[socket].holders;
        if !holders.contains(&holder) {
            holders.push(holder);
        }
    }

    /// shutdown(2) of what a process took to end it, unread input discarded.
    pub(crate) fn shut_down(&mut self, pid: Pid, socket: usize) {
        self.check_term(pid, "ends a session");
        let target = &mut self.sockets[socket];
        target.receive_queue.clear();
        target.shut = true;
        let neighbor = target.neighbor;
        self.note(|| format!("the connection of neighbor {neighbor} is shut down by process {pid}"));
        self.release(socket, Holder::Process(pid));
        self.wake_holders(socket);
        self.after(std::time::Duration::from_micros(300), Event::ToNeighbor(socket));
    }

    /// close(2). The last one ends the connection.
    pub(crate) fn release(&mut self, socket: usize, holder: Holder) {
        let target = &mut self.sockets[socket];
        target.holders.retain(|held| *held != holder);
        if target.holders.is_empty() && !target.closed {
            target.closed = true;
            let neighbor = target.neighbor;
            self.note(|| format!("the connection of neighbor {neighbor} is closed by the router"));
            self.after(std::time::Duration::from_micros(300), Event::ToNeighbor(socket));
        }
    }

    /// What a dead process held.
    pub(crate) fn close_descriptors(&mut self, pid: Pid) {
        for socket in 0..self.sockets.len() {
            self.release(socket, Holder::Process(pid));
        }
        self.close_stream_ends(pid);
    }

    /// The invariant above all others: who touches what only one may touch is that one.
    pub(crate) fn check_term(&mut self, pid: Pid, act: &str) {
        let process = &self.processes[pid];
        let (name, epoch, role) = (process.name(), process.epoch, process.role);
        let other = self.pid(process.side.other(), process.daemon).map(|other| &self.processes[other]);
        let rival = other.filter(|other| other.is_serving() && other.epoch >= epoch).map(|other| other.name());
        if role != Role::Primary {
            self.violate(format!("{name} {act}, it is {role:?}"));
        } else if let Some(rival) = rival {
            self.violate(format!("{name} {act} in epoch {epoch}, {rival} is primary"));
        } else if epoch < self.chassis.epoch {
            self.violate(format!("{name} {act} in epoch {epoch}, outside its term: epoch {} runs", self.chassis.epoch));
        }
    }

    /// The vault: a request of a term that is over, or has not begun, is refused.
    fn vault_refuses(&mut self, pid: Pid, epoch: u64) -> Option<String> {
        let current = self.chassis.epoch;
        if epoch == current {
            return None;
        }
        if self.has_bug(Bug::AnyEpoch) {
            let name = self.processes[pid].name();
            self.violate(format!("the vault takes a request of {name} in epoch {epoch}, epoch {current} runs"));
            return None;
        }
        Some(format!("vault: epoch {epoch}, {current} is in force"))
    }

    pub(crate) fn deposit(&mut self, pid: Pid, epoch: u64, socket: usize) -> Result<(), String> {
        if let Some(refusal) = self.vault_refuses(pid, epoch) {
            return Err(refusal);
        }
        let neighbor = self.sockets[socket].neighbor;
        if let Some(before) = self.chassis.vault.insert(neighbor, socket)
            && before != socket
        {
            self.release(before, Holder::Vault);
        }
        self.hold(socket, Holder::Vault);
        Ok(())
    }

    pub(crate) fn withdraw(&mut self, pid: Pid, epoch: u64, neighbor: usize) -> Result<usize, String> {
        if let Some(refusal) = self.vault_refuses(pid, epoch) {
            return Err(refusal);
        }
        let socket = *self.chassis.vault.get(&neighbor).ok_or("the vault holds no such session")?;
        self.hold(socket, Holder::Process(pid));
        Ok(socket)
    }

    pub(crate) fn remove(&mut self, pid: Pid, epoch: u64, neighbor: usize) -> Result<(), String> {
        if let Some(refusal) = self.vault_refuses(pid, epoch) {
            return Err(refusal);
        }
        if let Some(socket) = self.chassis.vault.remove(&neighbor) {
            self.release(socket, Holder::Vault);
        }
        Ok(())
    }
}

fn queue_len(socket: &Socket) -> usize {
    socket.receive_queue.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbor::Neighbor;
    use crate::process::Start;
    use holdfast_issu::{Daemon, Side};

    /// A router in epoch 2 whose rpd still lives in epoch 1, with one session.
    fn late_rpd(bugs: &[Bug]) -> (World, Pid, usize) {
        let mut world = World::new(1, &[], bugs, false);
        world.neighbors.push(Neighbor::new(false, None));
        let start = Start { side: Side::Old, daemon: Daemon::Rpd, role: Role::Primary, epoch: 1 };
        let pid = world.start_process(start);
        world.processes[pid].role = Role::Primary;
        let socket = world.connect(0, 1000).expect("somebody listens");
        world.deposit(pid, 1, socket).expect("its own term");
        world.chassis.epoch = 2;
        (world, pid, socket)
    }

    #[test]
    fn the_vault_refuses_a_term_that_is_over_and_a_vault_that_does_not_is_found() {
        let (mut world, pid, socket) = late_rpd(&[]);
        assert!(world.deposit(pid, 1, socket).is_err() && world.withdraw(pid, 1, 0).is_err());
        assert_eq!(world.violation, None);
        let (mut world, pid, _) = late_rpd(&[Bug::AnyEpoch]);
        let _ = world.remove(pid, 1, 0);
        assert!(world.violation.is_some_and(|violation| violation.contains("the vault takes a request")));
    }

    #[test]
    fn who_touches_a_session_outside_its_term_is_seen() {
        let (mut world, pid, socket) = late_rpd(&[]);
        let _ = world.send(pid, socket, b"late");
        assert!(world.violation.is_some_and(|violation| violation.contains("outside its term")));
    }

    #[test]
    fn a_session_lives_as_long_as_anybody_holds_it() {
        let (mut world, pid, socket) = late_rpd(&[]);
        world.kill(pid);
        assert!(!world.sockets[socket].closed, "the vault has it");
        world.release(socket, Holder::Vault);
        assert!(world.sockets[socket].closed);
    }
}
