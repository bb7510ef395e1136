//! Requests and their answers: batches and dumps. Blocks (bounded); belongs into a thread that may.

use std::io::{self, IoSlice};
use std::time::Duration;

use super::address::{Address, encode_address_dump};
use super::batch::{Batch, BatchOutcome, Failure};
use super::link::{Link, encode_link_dump};
use super::neighbor::{Neighbor, encode_neighbor_dump};
use super::nexthop::{NexthopObject, encode_nexthop_dump};
use super::route::{Route, encode_route_dump};
use super::socket::Socket;
use super::wire::{Acknowledgement, Message, Messages, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR};
use super::{PROTOCOL_HOLDFAST, TABLE_MAIN};
use crate::KernelError;

/// Room for the answers to as many batches as are executed at once (each error takes about 1 KiB of it) and for a dump's datagrams.
const BUFFER_BYTES: usize = 4 << 20;
/// The kernel fills a dump's datagrams up to what we have received before, at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 << 10;
/// The kernel answers within the system call; only a machine in deep trouble takes this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an interrupted dump of a small table is taken again.
const DUMP_ATTEMPTS_MAX: u32 = 32;

/// A socket for changes and dumps.
#[derive(Debug)]
pub struct Requester {
    socket: Socket,
    sequence: u32,
    received: Vec<u8>,
}

impl Requester {
    /// Opens one in the calling thread's network namespace.
    pub fn open() -> Result<Self, KernelError> {
        let open = || {
            let socket = Socket::open(BUFFER_BYTES, false)?;
            socket.set_receive_timeout(ANSWER_TIMEOUT)?;
            Ok(socket)
        };
        let socket = open().map_err(KernelError::call("open a netlink socket"))?;
        Ok(Self { socket, sequence: 0, received: vec![0; DATAGRAM_BYTES] })
    }

    /// The port that notifications of what this one changes carry.
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Executes a batch; every message in order, whatever became of those before it. The batch is left as it was.
    pub fn execute(&mut self, batch: &mut Batch) -> BatchOutcome {
        self.execute_all(&mut [batch]).pop().unwrap_or_default()
    }

    /// Executes some batches, one behind the other, in one system call; up to [`super::BATCHES_AT_ONCE_MAX`], or the answers may not find
    /// room. One outcome for each.
    pub fn execute_all(&mut self, batches: &mut [&mut Batch]) -> Vec<BatchOutcome> {
        let mut outcomes = vec![BatchOutcome::default(); batches.len()];
        let first = self.sequence.wrapping_add(1);
        batches.iter_mut().for_each(|batch| self.sequence = batch.number(self.sequence));
        let Some(last) = batches.iter_mut().rev().find(|batch| !batch.is_empty()) else { return outcomes };
        last.ask_for_answer();
        let parts: Vec<IoSlice<'_>> = batches.iter().map(|batch| IoSlice::new(&batch.buffer)).collect();
        let sent = self.socket.send(&parts);
        let counts: Vec<usize> = batches.iter().map(|batch| batch.len()).collect();
        if let Err(error) = sent {
            // The kernel takes a datagram as a whole or not at all; out of memory it may be in doubt.
            tracing::warn!("netlink: {} messages were not sent: {error}", counts.iter().sum::<usize>());
            outcomes.iter_mut().for_each(|outcome| outcome.unknown = true);
            return outcomes;
        }
        self.collect(first, &counts, &mut outcomes);
        outcomes
    }

    /// Reads answers until that of the last message.
    fn collect(&mut self, first: u32, counts: &[usize], outcomes: &mut [BatchOutcome]) {
        let count: usize = counts.iter().sum();
        loop {
            let length = match self.socket.receive(&mut self.received, 0) {
                Ok(length) => length,
                Err(error) => {
                    tracing::warn!("netlink: answers were lost: {error}");
                    outcomes.iter_mut().for_each(|outcome| outcome.unknown = true);
                    // ENOBUFS means that some were dropped; what was queued before may still hold the last one's.
                    if error.raw_os_error() == Some(libc::ENOBUFS) {
                        self.drain();
                    }
                    return;
                }
            };
            for message in Messages(&self.received[..length]) {
                let index = message.sequence.wrapping_sub(first) as usize;
                if message.kind != NLMSG_ERROR || index >= count {
                    continue;
                }
                let Some(answer) = message.acknowledgement() else { continue };
                if answer.errno != 0 {
                    let Acknowledgement { errno, detail } = answer;
                    let (batch, index) = place(index, counts);
                    outcomes[batch].failures.push(Failure { index, errno, detail });
                }
                if index == count - 1 {
                    return;
                }
            }
        }
    }

    fn drain(&mut self) {
        while self.socket.receive(&mut self.received, libc::MSG_DONTWAIT).is_ok() {}
    }

    /// Gives every route of one family with our mark to `sink`. Returns whether the table changed in a way that
    /// interrupted the dump: then it is taken again, unless a [`super::Monitor`] was open since before it began and its
    /// events are applied afterwards.
    pub fn dump_routes(&mut self, ipv6: bool, sink: &mut dyn FnMut(Route)) -> Result<bool, KernelError> {
        let mut request = Vec::new();
        encode_route_dump(&mut request, ipv6, PROTOCOL_HOLDFAST, NLM_F_DUMP);
        self.dump("routes", &request, &mut |message| {
            if let Some(route) = Route::parse(message).filter(Route::is_ours) {
                sink(route);
            }
        })
    }

    /// The same with the main table's routes of everybody.
    pub fn dump_routes_of_all(&mut self, ipv6: bool, sink: &mut dyn FnMut(Route)) -> Result<bool, KernelError> {
        let mut request = Vec::new();
        encode_route_dump(&mut request, ipv6, 0, NLM_F_DUMP);
        self.dump("routes", &request, &mut |message| {
            if let Some(route) = Route::parse(message).filter(|route| route.table == TABLE_MAIN) {
                sink(route);
            }
        })
    }

    /// Every nexthop object, also those of others.
    pub fn nexthops(&mut self) -> Result<Vec<NexthopObject>, KernelError> {
        let mut request = Vec::new();
        encode_nexthop_dump(&mut request, NLM_F_DUMP);
        self.dump_all("nexthops", &request, NexthopObject::parse)
    }

    /// The neighbours of one family, on every link.
    pub fn neighbors(&mut self, ipv6: bool) -> Result<Vec<Neighbor>, KernelError> {
        let mut request = Vec::new();
        encode_neighbor_dump(&mut request, ipv6, NLM_F_DUMP);
        self.dump_all("neighbors", &request, Neighbor::parse)
    }

    /// Every link.
    pub fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        let mut request = Vec::new();
        encode_link_dump(&mut request, NLM_F_DUMP);
        self.dump_all("links", &request, Link::parse)
    }

    /// Every address of both families.
    pub fn addresses(&mut self) -> Result<Vec<Address>, KernelError> {
        let mut request = Vec::new();
        encode_address_dump(&mut request, NLM_F_DUMP);
        self.dump_all("addresses", &request, Address::parse)
    }

    /// Dumps a small table until it was not interrupted.
    fn dump_all<T>(
        &mut self,
        what: &'static str,
        request: &[u8],
        parse: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, KernelError> {
        for _ in 0..DUMP_ATTEMPTS_MAX {
            let mut found = Vec::new();
            if !self.dump(what, request, &mut |message| found.extend(parse(message)))? {
                return Ok(found);
            }
        }
        Err(KernelError::DumpInterrupted { what, attempts: DUMP_ATTEMPTS_MAX })
    }

    fn dump(
        &mut self,
        what: &'static str,
        request: &[u8],
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<bool, KernelError> {
        self.drain();
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = request.to_vec();
        request[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        self.socket.send(&[IoSlice::new(&request)]).map_err(KernelError::call("ask the kernel for a table"))?;
        let mut interrupted = false;
        loop {
            let length = self.socket.receive(&mut self.received, 0).map_err(|source| match source.kind() {
                io::ErrorKind::WouldBlock => {
                    KernelError::TimedOut { what, waited_ms: ANSWER_TIMEOUT.as_millis() as u64 }
                }
                _ => KernelError::Call { what: "read a table from the kernel", source },
            })?;
            for message in Messages(&self.received[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                if message.kind != NLMSG_DONE && message.kind != NLMSG_ERROR {
                    each(&message);
                    continue;
                }
                let answer =
                    message.acknowledgement().ok_or(KernelError::Malformed("the end of a dump is too short"))?;
                // A table that does not exist yet is an empty one.
                if answer.errno == 0 || answer.errno == libc::ENOENT {
                    return Ok(interrupted);
                }
                let source = io::Error::from_raw_os_error(answer.errno);
                return Err(KernelError::Refused { what, source, detail: answer.detail });
            }
        }
    }
}

/// The batch that a message is in, by its place among those of all of them, and its place there.
fn place(mut index: usize, counts: &[usize]) -> (usize, usize) {
    for (batch, count) in counts.iter().enumerate() {
        if index < *count {
            return (batch, index);
        }
        index -= count;
    }
    (counts.len().saturating_sub(1), index)
}
