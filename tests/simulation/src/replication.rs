//! The replication stream's socket: a bounded buffer that outlives its writer.

use std::collections::VecDeque;

use holdfast_issu::Daemon;
use holdfast_proto::v1::TableDigest;

use crate::process::Role;
use crate::world::{Pid, World};

/// Digests of an engine's tables.
pub(crate) type Tables = Vec<TableDigest>;

/// Bytes that a stream holds for a follower that reads them: little, so that it is full now and then.
const BUFFER_MAX: usize = 6 * 1024;
/// The same for an engine that stands still until somebody needs it: as in the daemon's 16 MiB there is room for what
/// passes in the longest verification.
const BUFFER_FROZEN_MAX: usize = 2 * 1024 * 1024;

/// One stream socket pair.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    ends: [StreamEnd; 2],
}

#[derive(Debug, Default)]
struct StreamEnd {
    /// `None`: closed, or its process is dead.
    pid: Option<Pid>,
    /// What this end may read.
    inbox: VecDeque<u8>,
}

/// One end of a stream: its number and which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndOf(pub usize, pub usize);

/// What a read brings.
pub(crate) enum Read {
    Bytes(Vec<u8>),
    Nothing,
    Ended,
}

/// What becomes of a write.
pub(crate) enum Written {
    Taken(usize),
    Full,
    Broken,
}

impl World {
    /// A follower goes to the rpd of the other slot.
    pub(crate) fn follow(&mut self, pid: Pid) -> Option<EndOf> {
        let side = self.processes[pid].side.other();
        let primary = self.pid(side, Daemon::Rpd).filter(|primary| self.processes[*primary].is_serving())?;
        let number = self.streams.len();
        let mut stream = Stream::default();
        stream.ends[0].pid = Some(pid);
        stream.ends[1].pid = Some(primary);
        self.streams.push(stream);
        self.knocking[side as usize].push_back(number);
        self.wake(primary);
        Some(EndOf(number, 0))
    }

    /// Bytes that a stream holds for a process that reads them.
    fn room(&self, reader: Pid) -> usize {
        if self.processes[reader].role == Role::Frozen { BUFFER_FROZEN_MAX } else { BUFFER_MAX }
    }

    /// The same for the other end's process.
    pub(crate) fn send_room(&self, end: EndOf) -> usize {
        self.streams[end.0].ends[1 - end.1].pid.map_or(BUFFER_MAX, |reader| self.room(reader))
    }

    pub(crate) fn write_stream(&mut self, end: EndOf, bytes: &[u8]) -> Written {
        let Some(reader) = self.streams[end.0].ends[1 - end.1].pid else { return Written::Broken };
        let room = self.room(reader);
        let other = &mut self.streams[end.0].ends[1 - end.1];
        let taken = room.saturating_sub(other.inbox.len()).min(bytes.len());
        other.inbox.extend(&bytes[..taken]);
        if taken == 0 {
            return Written::Full;
        }
        self.wake_for_facts(reader);
        Written::Taken(taken)
    }

    pub(crate) fn read_stream(&mut self, end: EndOf, length_max: usize) -> Read {
        let ends = &mut self.streams[end.0].ends;
        let length = ends[end.1].inbox.len().min(length_max);
        if length == 0 {
            return if ends[1 - end.1].pid.is_none() { Read::Ended } else { Read::Nothing };
        }
        let bytes = ends[end.1].inbox.drain(..length).collect();
        if let Some(writer) = ends[1 - end.1].pid {
            self.wake(writer);
        }
        Read::Bytes(bytes)
    }

    /// Bytes that the other end has not read.
    pub(crate) fn unread(&self, end: EndOf) -> usize {
        self.streams[end.0].ends[1 - end.1].inbox.len()
    }

    /// Bytes that this end has not read.
    pub(crate) fn waiting(&self, end: EndOf) -> usize {
        self.streams[end.0].ends[end.1].inbox.len()
    }

    pub(crate) fn close_stream(&mut self, end: EndOf) {
        self.streams[end.0].ends[end.1].pid = None;
        if let Some(other) = self.streams[end.0].ends[1 - end.1].pid {
            self.wake(other);
        }
    }

    /// What a dead process held; what it wrote stays readable.
    pub(crate) fn close_stream_ends(&mut self, pid: Pid) {
        for number in 0..self.streams.len() {
            for end in 0..2 {
                if self.streams[number].ends[end].pid == Some(pid) {
                    self.close_stream(EndOf(number, end));
                }
            }
        }
    }
}
