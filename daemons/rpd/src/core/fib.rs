//! Forwarding entries on their way to pfed: the whole table when a stream opens, then changes.

use std::collections::HashSet;
use std::net::IpAddr;

use holdfast_proto::v1::{FibAck, FibBatch, FibGateway, FibNexthop, Role, fib_nexthop};
use holdfast_rib::{Family, ForwardingNexthop, ForwardingNexthopId, Gateway, Rib};
use ipnet::IpNet;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::Core;
use super::gateways::GatewayWords;
use crate::limits::{FIB_BATCH, FIB_WINDOW, FIB_WINDOW_URGENT};

/// The stream to pfed.
#[derive(Default)]
pub struct FibStream {
    sender: Option<mpsc::Sender<FibBatch>>,
    sequence: u64,
    acknowledged: u64,
    /// Next hops that pfed knows by number in this stream.
    defined: HashSet<u32>,
    /// Where the transfer of the whole table goes on: family and cursor.
    scan: Option<(usize, u32)>,
    /// The whole table was sent.
    complete: bool,
    /// pfed was asked, by a batch after the whole table, what it has beyond it.
    asked: bool,
    /// Its last answer: nothing.
    no_leftovers: bool,
    /// pfed has been told so.
    end_of_sync: bool,
    /// The term in which pfed was told, in this stream, that it has heard everything. Another term is another switch, and another stream
    /// begins anew.
    caught_up_in: Option<u64>,
    /// Gateways that do not answer.
    pub(super) gateways: GatewayWords,
    /// Errors that pfed reported.
    pub failed: u64,
    /// The first of them.
    pub first_error: String,
}

impl FibStream {
    /// A stream is open: everything is to be sent.
    pub fn open(&mut self, sender: mpsc::Sender<FibBatch>) {
        let mut gateways = std::mem::take(&mut self.gateways);
        gateways.begin_stream();
        *self = Self { sender: Some(sender), scan: Some((0, 0)), gateways, ..Self::default() };
    }

    /// The stream is gone; another one will open.
    pub fn close(&mut self) {
        self.sender = None;
    }

    /// Ends the stream so that a new one carries the whole table again.
    pub fn restart(&mut self) {
        self.sender = None;
    }

    /// Whether there is one.
    pub fn is_open(&self) -> bool {
        self.sender.is_some()
    }

    /// pfed's answer.
    pub fn acknowledge(&mut self, ack: &FibAck) {
        self.acknowledged = self.acknowledged.max(ack.sequence);
        self.no_leftovers = ack.no_leftovers;
        if ack.failed > 0 {
            self.failed += u64::from(ack.failed);
            if self.first_error.is_empty() {
                self.first_error.clone_from(&ack.first_error);
            }
            tracing::error!("pfed could not program {} routes: {}", ack.failed, ack.first_error);
        }
    }

    /// Everything that was sent is in force, and nothing waits.
    pub fn is_settled(&self, rib: &Rib) -> bool {
        self.complete && self.acknowledged == self.sequence && rib.fib_changes_waiting() == 0
    }

    /// The kernel has nothing that this router would have to remove: there is nothing to wait for.
    pub fn has_no_leftovers(&self) -> bool {
        self.complete && self.asked && self.acknowledged == self.sequence && self.no_leftovers
    }

    fn has_room(&self) -> bool {
        self.sender.is_some() && self.sequence - self.acknowledged < FIB_WINDOW
    }

    /// pfed is behind, and a gateway fails: that is to be told all the same.
    fn must_overtake(&self) -> bool {
        let under_way = self.sequence - self.acknowledged;
        let has_room = (FIB_WINDOW..FIB_WINDOW + FIB_WINDOW_URGENT).contains(&under_way);
        self.sender.is_some() && has_room && self.gateways.is_urgent()
    }

    /// A turn would send something. `leads_in`: the term of an engine that leads.
    pub fn has_work(&self, rib: &Rib, leads_in: Option<u64>) -> bool {
        let word_is_due = self.complete && leads_in.is_some() && self.caught_up_in != leads_in;
        let of_gateways = self.gateways.is_urgent() || (self.complete && self.gateways.is_due());
        self.must_overtake()
            || self.has_room()
                && (self.scan.is_some() || !self.asked || rib.fib_changes_waiting() > 0 || word_is_due || of_gateways)
    }

    fn route(&mut self, batch: &mut FibBatch, rib: &Rib, prefix: IpNet, next_hop: Option<ForwardingNexthopId>) {
        if let Some(id) = next_hop
            && self.defined.insert(id.0)
        {
            batch.nexthops.push(definition(id, rib.forwarding_nexthop(id)));
        }
        batch.pack((prefix.network(), prefix.prefix_len(), next_hop.map_or(0, |id| id.0)));
    }

    fn send(&mut self, mut batch: FibBatch) {
        self.sequence += 1;
        batch.sequence = self.sequence;
        let Some(sender) = &self.sender else { return };
        match sender.try_send(batch) {
            Ok(()) => {}
            // The window is no larger than the queue, so a full one means that nobody reads: as good as gone.
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.sender = None,
        }
    }
}

/// How pfed is told what a number stands for.
pub(super) fn definition(id: ForwardingNexthopId, next_hop: &ForwardingNexthop) -> FibNexthop {
    let kind = match next_hop {
        ForwardingNexthop::Discard => fib_nexthop::Kind::Discard,
        ForwardingNexthop::Reject => fib_nexthop::Kind::Reject,
        ForwardingNexthop::Unicast(_) | ForwardingNexthop::Protected { .. } => fib_nexthop::Kind::Unicast,
    };
    let gateways = next_hop.gateways().iter().map(gateway).collect();
    FibNexthop { id: id.0, kind: kind.into(), gateways, backup: next_hop.backup().map(gateway) }
}

/// How pfed is told of a gateway.
pub(super) fn gateway(gateway: &Gateway) -> FibGateway {
    let address = match gateway.address {
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
        None => Vec::new(),
    };
    FibGateway { address, interface_index: gateway.interface_index, weight: u32::from(gateway.weight) }
}

impl Core {
    /// The term that this engine leads in, if it does.
    pub(super) fn leads_in(&self) -> Option<u64> {
        (self.role == Role::Primary).then_some(self.epoch)
    }

    /// Sends what pfed has room for.
    pub(super) fn fib_turn(&mut self) {
        if self.fib.must_overtake() {
            let mut batch = FibBatch { epoch: self.epoch, ..FibBatch::default() };
            self.fib.gateways.tell_failures(&mut batch);
            self.fib.send(batch);
        }
        while self.fib.has_room() {
            let tells_answers = self.fib.sequence == 0;
            let mut batch = FibBatch { epoch: self.epoch, tells_answers, ..FibBatch::default() };
            self.fib.gateways.tell_failures(&mut batch);
            let is_urgent = !batch.failed_gateways.is_empty();
            if let Some((index, cursor)) = self.fib.scan {
                let Some(family) = Family::ALL.get(index).copied() else {
                    self.fib.scan = None;
                    self.fib.complete = true;
                    if is_urgent {
                        self.fib.send(batch);
                    }
                    continue;
                };
                let (entries, next) = self.rib.fib_scan(family, cursor, FIB_BATCH);
                self.fib.scan = Some(next.map_or((index + 1, 0), |next| (index, next)));
                for (prefix, next_hop) in entries {
                    self.fib.route(&mut batch, &self.rib, prefix, Some(next_hop));
                }
            } else {
                for change in self.rib.take_fib_changes(FIB_BATCH) {
                    self.fib.route(&mut batch, &self.rib, change.prefix, change.next_hop);
                }
                // Numbers that nobody uses any more may be given to other next hops: pfed has to forget them first.
                for id in self.rib.take_released_nexthops() {
                    if self.fib.defined.remove(&id.0) {
                        batch.nexthops_released.push(id.0);
                    }
                }
                if self.fib.complete && !self.fib.end_of_sync && self.converged {
                    batch.end_of_sync = true;
                    self.fib.end_of_sync = true;
                }
                let leads_in = self.leads_in();
                if self.fib.complete && self.rib.fib_changes_waiting() == 0 && leads_in != self.fib.caught_up_in {
                    batch.caught_up = leads_in.is_some();
                    self.fib.caught_up_in = leads_in;
                }
                // What leads through a gateway that answers again must be what has been decided, not what is still to be taken back.
                let decided = self.rib.fib_changes_waiting() == 0 && !self.protocols.bgp.has_background();
                if self.fib.complete && decided {
                    self.fib.gateways.tell_answers(&mut batch);
                }
            }
            let ask = self.fib.complete && !self.fib.asked;
            let of_gateways = is_urgent || batch.names_all_failed || !batch.answering_gateways.is_empty();
            let has_a_word = batch.end_of_sync || batch.caught_up || ask || of_gateways;
            if batch.has_no_routes() && batch.nexthops_released.is_empty() && !has_a_word {
                if self.fib.scan.is_some() {
                    continue;
                }
                return;
            }
            self.fib.asked |= self.fib.complete;
            self.fib.send(batch);
            if self.fib.scan.is_none() && self.rib.fib_changes_are_held() {
                return; // each round would put some more in order, and keep everybody waiting
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn failing(numbers: std::ops::Range<u8>) -> BTreeSet<Gateway> {
        let way = |n| Gateway { address: Some(IpAddr::from([10, 0, 0, n])), interface_index: 7, weight: 1 };
        numbers.map(way).collect()
    }

    #[test]
    fn a_gateway_that_fails_is_told_to_a_pfed_that_is_behind_so_many_times_and_no_more() {
        let (sender, _receiver) = mpsc::channel((FIB_WINDOW + FIB_WINDOW_URGENT) as usize);
        let mut stream = FibStream::default();
        stream.open(sender);
        for _ in 0..FIB_WINDOW {
            assert!(stream.has_room() && !stream.must_overtake());
            stream.send(FibBatch::default());
        }
        assert!(!stream.has_room() && !stream.must_overtake(), "nothing is urgent");
        for n in 1..=FIB_WINDOW_URGENT {
            stream.gateways.know(failing(0..n as u8));
            assert!(stream.must_overtake());
            let mut batch = FibBatch::default();
            stream.gateways.tell_failures(&mut batch);
            assert_eq!(batch.failed_gateways.len(), 1);
            stream.send(batch);
            assert!(!stream.must_overtake(), "it has been told");
        }
        stream.gateways.know(failing(0..100));
        assert!(!stream.must_overtake() && stream.is_open());
        stream.acknowledge(&FibAck { sequence: FIB_WINDOW_URGENT + 1, ..Default::default() });
        assert!(stream.has_room(), "there it is told with what comes next");
    }
}
