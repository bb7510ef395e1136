//! The kernel's forwarding table, and the stream of forwarding entries from a slot's rpd to its pfed.

use std::collections::BTreeMap;

use holdfast_issu::{Daemon, Side};

use crate::world::{Pid, World};

/// Neighbour and destination.
pub(crate) type Key = (usize, u32);

/// The kernel's table. A value is the number of the update that it comes from, so it only ever rises.
#[derive(Debug, Default)]
pub(crate) struct ForwardingTable {
    pub entries: BTreeMap<Key, u32>,
    pub writes: u64,
}

/// One message of the stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub sequence: u64,
    pub epoch: u64,
    pub routes: Vec<(Key, u32)>,
    /// The whole table has been said.
    pub is_last: bool,
    /// Its sender leads, and has said all that it knew when it took over.
    pub caught_up: bool,
}

impl World {
    /// pfed writes one entry.
    pub(crate) fn write_entry(&mut self, pid: Pid, key: Key, value: u32) {
        self.check_term(pid, "writes to the forwarding table");
        let name = self.processes[pid].name();
        let before = self.fib.entries.insert(key, value);
        self.fib.writes += 1;
        self.note(|| format!("{name} writes {key:?} -> {value}"));
        self.check_removal(key, value);
        match before {
            Some(before) if before == value => self.violate(format!("{name} writes {key:?} -> {value} needlessly")),
            // Sessions that began anew count anew.
            Some(before) if before > value && self.neighbors[key.0].flaps == 0 && !self.real => {
                self.violate(format!("{name} puts {key:?} back from {before} to {value}"));
            }
            _ => {}
        }
    }

    /// pfed opens the stream; whatever was under way of an earlier one is gone.
    pub(crate) fn open_forwarding_stream(&mut self, pfed: Pid) -> bool {
        let side = self.processes[pfed].side;
        let Some(rpd) = self.pid(side, Daemon::Rpd).filter(|rpd| self.processes[*rpd].alive) else { return false };
        self.processes[pfed].batches.clear();
        self.processes[rpd].acks.clear();
        let number = &mut self.chassis.forwarding_streams[side as usize];
        *number += if number.is_multiple_of(2) { 1 } else { 2 };
        self.wake(rpd);
        true
    }

    /// One of the two is dead, or rpd wants a new one.
    pub(crate) fn close_forwarding_stream(&mut self, side: Side) {
        let number = &mut self.chassis.forwarding_streams[side as usize];
        *number += *number % 2;
        for daemon in [Daemon::Rpd, Daemon::Pfed] {
            if let Some(pid) = self.pid(side, daemon) {
                self.processes[pid].batches.clear();
                self.processes[pid].acks.clear();
                self.wake(pid);
            }
        }
    }

    /// Which stream of a slot is open now.
    pub(crate) fn forwarding_stream(&self, side: Side) -> Option<u64> {
        let number = self.chassis.forwarding_streams[side as usize];
        (number % 2 == 1).then_some(number)
    }

    pub(crate) fn send_batch(&mut self, rpd: Pid, batch: Batch) {
        let side = self.processes[rpd].side;
        if let Some(pfed) = self.pid(side, Daemon::Pfed).filter(|pfed| self.processes[*pfed].alive) {
            self.batch_leaves(side as usize, pfed, batch);
        }
    }

    pub(crate) fn acknowledge_batch(&mut self, pfed: Pid, sequence: u64) {
        let side = self.processes[pfed].side;
        if let Some(rpd) = self.pid(side, Daemon::Rpd).filter(|rpd| self.processes[*rpd].alive) {
            self.ack_leaves(side as usize, rpd, sequence);
        }
    }
}
