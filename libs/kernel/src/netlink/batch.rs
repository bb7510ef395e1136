//! Many changes in one system call.

use ipnet::IpNet;

use super::address::{encode_address, encode_address_removal};
use super::link::{LinkChange, encode_link_change, encode_link_removal, encode_vlan};
use super::nexthop::{NexthopContent, NexthopWrite, encode_nexthop, encode_nexthop_removal};
use super::route::{RouteTarget, RouteWrite, encode_route, encode_route_removal};
use super::wire::{NLM_F_ACK, u16_at};

/// Messages in one batch: a millisecond of the kernel's work.
pub const BATCH_MESSAGES_MAX: usize = 512;
/// Batches in one system call. Two of them cost the kernel 7 % less than one at a time (four 11 %), and what is urgent waits for two. Every message
/// may cost an error message in the receive queue, which must hold them all.
pub const BATCHES_AT_ONCE_MAX: usize = 2;

/// Changes to the kernel's tables, encoded, in the order in which they take effect.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) buffer: Vec<u8>,
    /// Where each message begins.
    pub(super) starts: Vec<u32>,
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages it holds.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Whether it should be executed before more is added.
    pub fn is_full(&self) -> bool {
        self.starts.len() >= BATCH_MESSAGES_MAX
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.starts.clear();
    }

    /// The messages, as they are sent but for their sequence numbers.
    pub fn octets(&self) -> &[u8] {
        &self.buffer
    }

    /// Gives its messages the sequence numbers after `sequence`; returns the last.
    pub(super) fn number(&mut self, mut sequence: u32) -> u32 {
        for start in &self.starts {
            sequence = sequence.wrapping_add(1);
            let at = *start as usize + 8;
            self.buffer[at..at + 4].copy_from_slice(&sequence.to_ne_bytes());
        }
        sequence
    }

    /// Has the kernel answer its last message also when it is not refused.
    pub(super) fn ask_for_answer(&mut self) {
        let Some(last) = self.starts.last() else { return };
        let flags = *last as usize + 6;
        let with_answer = u16_at(&self.buffer, flags).unwrap_or(0) | NLM_F_ACK;
        self.buffer[flags..flags + 2].copy_from_slice(&with_answer.to_ne_bytes());
    }

    fn begin(&mut self) -> &mut Vec<u8> {
        self.starts.push(self.buffer.len() as u32);
        &mut self.buffer
    }

    /// Adds or replaces our route to `prefix`.
    pub fn write_route(&mut self, write: RouteWrite, prefix: &IpNet, target: RouteTarget) {
        encode_route(self.begin(), write, prefix, target);
    }

    /// Removes our route to `prefix`.
    pub fn remove_route(&mut self, prefix: &IpNet) {
        encode_route_removal(self.begin(), prefix);
    }

    /// Makes a nexthop object of ours. `ipv6` is the family where the content does not say it (no gateway).
    pub fn add_nexthop(&mut self, id: u32, ipv6: bool, content: &NexthopContent) {
        encode_nexthop(self.begin(), NexthopWrite::Add, id, ipv6, content);
    }

    /// Makes a nexthop object stand for something else, in one moment for all its routes. A group stays of its type, and a resilient
    /// one keeps the number of its buckets.
    pub fn replace_nexthop(&mut self, id: u32, ipv6: bool, content: &NexthopContent) {
        encode_nexthop(self.begin(), NexthopWrite::Replace, id, ipv6, content);
    }

    /// Removes a nexthop object, and with it (silently) every route that uses it.
    pub fn remove_nexthop(&mut self, id: u32) {
        encode_nexthop_removal(self.begin(), id);
    }

    /// Gives a link an address, with our mark.
    pub fn add_address(&mut self, interface_index: u32, address: &IpNet) {
        encode_address(self.begin(), interface_index, address);
    }

    /// Takes an address from a link.
    pub fn remove_address(&mut self, interface_index: u32, address: &IpNet) {
        encode_address_removal(self.begin(), interface_index, address);
    }

    /// Changes a link.
    pub fn change_link(&mut self, index: u32, change: &LinkChange) {
        encode_link_change(self.begin(), index, change);
    }

    /// Makes a VLAN sub-interface, down, with our mark.
    pub fn add_vlan(&mut self, parent: u32, name: &str, vlan_id: u16) {
        encode_vlan(self.begin(), parent, name, vlan_id);
    }

    /// Takes a link away, and with it all that uses it.
    pub fn remove_link(&mut self, index: u32) {
        encode_link_removal(self.begin(), index);
    }
}

/// One message of a batch that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch.
    pub index: usize,
    /// The error number.
    pub errno: i32,
    /// The kernel's own words, where it gives any.
    pub detail: Option<String>,
}

impl Failure {
    /// The error in words.
    pub fn reason(&self) -> String {
        let error = std::io::Error::from_raw_os_error(self.errno);
        match &self.detail {
            Some(detail) => format!("{error}: {detail}"),
            None => error.to_string(),
        }
    }
}

/// What became of a batch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct BatchOutcome {
    /// The messages that were refused, by place; the others are in force.
    pub failures: Vec<Failure>,
    /// Answers were lost: what is not among the failures may or may not be in force. Read the tables again.
    pub unknown: bool,
}
