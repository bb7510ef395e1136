//! The `Program` stream: what rpd desires, batch by batch, each acknowledged once it is in force.
//!
//! There is one stream at a time; a new one takes the place of the old. When a stream ends, what it said stays desired,
//! until the next one has sent its whole table.
//!
//! Who does not write (a backup; a primary that waits for rpd's word, or reads the kernel's table for the first time) only notes
//! what is desired, and acknowledges that.
//!
//! Fencing: a stream begins with an epoch not older than ours. rpd learns of a new epoch a moment after us, so batches
//! that it sent before that moment, on the stream that it had then, are still taken; on every stream the epoch only rises.

use std::collections::VecDeque;
use std::time::Instant;

use holdfast_proto::v1::{self, Role};
use tokio::sync::mpsc;
use tonic::Status;

use super::Agent;
use super::write::Reason;
use crate::fib::Plan;
use crate::limits::{ACK_QUEUE, PLANNED_BATCHES_MAX};
use crate::request::ProgramEnds;

/// An acknowledgement that waits until its batch is in force.
#[derive(Debug)]
struct Pending {
    /// The last of its batches for the kernel.
    serial: u64,
    /// The comparison of both tables must end first; or the reading of the kernel's, which comes before it.
    waits_for_reconcile: bool,
    ack: v1::FibAck,
}

/// The stream.
#[derive(Debug)]
pub struct Stream {
    pub(super) batches: mpsc::Receiver<v1::FibBatch>,
    acks: mpsc::Sender<Result<v1::FibAck, Status>>,
    /// Batches of an older epoch are refused; `None` before the first batch.
    pub(super) epoch: Option<u64>,
    /// Batches taken.
    pub(super) taken: u64,
    /// Its table has been received as a whole.
    complete: bool,
    pending: VecDeque<Pending>,
}

impl Agent {
    /// A new stream takes the place of the old one.
    pub(super) fn open_stream(&mut self, ends: ProgramEnds) {
        if let Some(old) = self.stream.take() {
            let _ = old.acks.try_send(Err(Status::aborted("another Program stream has taken the place of this one")));
        }
        let ProgramEnds { batches, words, acks } = ends;
        self.fib.forget_what_was_ahead();
        let pending = VecDeque::new();
        self.words = Some(words);
        self.stream = Some(Stream { batches, acks, epoch: None, taken: 0, complete: false, pending });
    }

    /// Ends the stream: rpd opens another one, which begins with its whole table. What was desired stays until then.
    pub(super) fn ask_for_whole_table(&mut self) {
        if let Some(old) = self.stream.take() {
            let _ = old.acks.try_send(Err(Status::aborted("the whole table is wanted again")));
        }
    }

    /// Whether the next batch may be taken: there is room for its writes and its acknowledgement.
    pub(super) fn can_program(&self) -> bool {
        let only_notes = self.role != Role::Primary || self.hold.is_some();
        let may_note = only_notes || self.is_warm_booting() || (self.is_writing() && self.reconcile.is_none());
        let stream = self.stream.as_ref();
        let has_room = stream.is_some_and(|stream| stream.pending.len() < ACK_QUEUE / 2 && stream.acks.capacity() > 0);
        may_note && has_room && self.outgoing.len() < PLANNED_BATCHES_MAX && self.ending.is_none()
    }

    /// A primary that reads the kernel's table for the first time: what rpd desires is noted meanwhile, so that both tables are complete the
    /// sooner, and compared then.
    fn is_warm_booting(&self) -> bool {
        self.role == Role::Primary && !self.loaded
    }

    pub(super) fn handle_batch(&mut self, batch: Option<v1::FibBatch>) {
        let Some(batch) = batch else {
            // What is pending is written all the same; there is nobody to hear of it.
            tracing::info!("rpd's Program stream has ended; what it desired stays");
            self.stream = None;
            return;
        };
        if let Err(status) = self.check_epoch(&batch) {
            tracing::warn!("{}", status.message());
            if let Some(stream) = self.stream.take() {
                let _ = stream.acks.try_send(Err(status));
            }
            return;
        }
        let mut ack = v1::FibAck { sequence: batch.sequence, ..Default::default() };
        self.hear_of_failures(&batch, &mut ack);
        let plan = self.note(&batch, &mut ack);
        self.push_plan(plan);
        self.hear_of_answers(&batch);
        let hold_is_over = self.hold_hears(&batch);
        if batch.end_of_sync {
            self.end_of_sync();
        } else if hold_is_over {
            self.begin_reconcile(Reason::Committed);
        }
        // Routes are acknowledged as noted while the kernel's table is read; what asks how far we are waits until it is compared.
        let asks = batch.end_of_sync || batch.has_no_routes();
        let waits_for_reconcile = self.reconcile.is_some() || (asks && self.is_warm_booting());
        let serial = self.planned_serial;
        if let Some(stream) = &mut self.stream {
            stream.complete |= batch.end_of_sync;
            ack.synchronized = stream.complete;
            stream.pending.push_back(Pending { serial, waits_for_reconcile, ack });
        }
    }

    fn check_epoch(&mut self, batch: &v1::FibBatch) -> Result<(), Status> {
        let own = self.epoch;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        stream.taken += 1;
        let least = stream.epoch.unwrap_or(own);
        if batch.epoch < least {
            return Err(Status::failed_precondition(format!(
                "batch {} of epoch {} refused: epoch {least} is in force; its sender is not the primary any more",
                batch.sequence, batch.epoch
            )));
        }
        let is_first = stream.epoch.replace(batch.epoch).is_none();
        if is_first {
            self.fib.begin_stream();
        }
        self.fib.begin_batch(batch, is_first);
        Ok(())
    }

    /// What leads through a gateway that does not answer and has another way does without it, before anything else of a batch is looked
    /// at: packets are being lost. Who does not write notes it for the time when he does.
    fn hear_of_failures(&mut self, batch: &v1::FibBatch, ack: &mut v1::FibAck) {
        if let Err(why) = self.fib.fail_gateways(&batch.failed_gateways) {
            (ack.failed, ack.first_error) = (1, why);
        }
        if batch.failed_gateways.is_empty() {
            return;
        }
        if self.is_writing() {
            self.leave_failed();
        }
        // What has no group of its own to be turned is left to a comparison.
        self.gateways.schedule(Instant::now());
    }

    /// What has other ways than its best one since a gateway failed has them all again, once everything is noted that was decided before that
    /// gateway answered. A moment later, so that gateways that come back together are one change.
    fn hear_of_answers(&mut self, batch: &v1::FibBatch) {
        if self.fib.hear_answers(batch) {
            let left = self.fib.failed_gateways().len();
            tracing::info!("gateways answer again; {left} do not");
            self.gateways.schedule(Instant::now());
        }
    }

    /// Notes what a batch says, and plans it where we write.
    fn note(&mut self, batch: &v1::FibBatch, ack: &mut v1::FibAck) -> Plan {
        let mut plan = Plan::default();
        let writing = self.is_writing();
        let mut failed = |result: Result<(), String>| {
            if let Err(why) = result {
                ack.failed += 1;
                if ack.first_error.is_empty() {
                    ack.first_error = why;
                }
            }
        };
        for definition in &batch.nexthops {
            failed(self.fib.define_nexthop(definition));
        }
        for route in &batch.routes {
            failed(self.fib.want_route(route, writing.then_some(&mut plan)));
        }
        if !batch.is_packed_well() {
            failed(Err("packed routes that are cut short".into()));
        }
        for route in batch.packed() {
            failed(self.fib.want_packed(route, writing.then_some(&mut plan)));
        }
        for id in &batch.nexthops_released {
            self.fib.release_nexthop(*id);
        }
        plan
    }

    fn end_of_sync(&mut self) {
        self.fib.end_of_sync();
        let differ = match self.is_warm_booting() {
            true => "the kernel's is still being read".to_owned(),
            false => format!("{} still differ", self.fib.pending_writes()),
        };
        let kib = self.fib.memory_bytes() / 1024;
        let [routes, routes6] = crate::fib::FAMILIES.map(|family| self.fib.desired_digest(family).entries);
        tracing::info!(
            "rpd's table is complete: {routes} IPv4 and {routes6} IPv6 routes desired, {differ}; {kib} KiB of tables"
        );
        self.begin_reconcile(Reason::Synchronized);
    }

    /// A batch for the kernel had failures: the acknowledgement that it belongs to tells.
    pub(super) fn blame(&mut self, serial: u64, failed: u64, first_error: Option<&str>) {
        let Some(stream) = &mut self.stream else { return };
        if let Some(pending) = stream.pending.iter_mut().find(|pending| pending.serial >= serial) {
            pending.ack.failed += failed as u32;
            if let Some(error) = first_error.filter(|_| pending.ack.first_error.is_empty()) {
                pending.ack.first_error = error.into();
            }
        }
    }

    /// The comparison has planned everything: who waited for it waits for its last batch now.
    pub(super) fn reconciled(&mut self) {
        let serial = self.planned_serial;
        for pending in self.stream.iter_mut().flat_map(|stream| &mut stream.pending) {
            if std::mem::take(&mut pending.waits_for_reconcile) {
                pending.serial = serial;
            }
        }
    }

    /// Sends the acknowledgements whose batches are in force (or noted, where nothing is written).
    pub(super) fn answer_acks(&mut self) {
        // What has overtaken others belongs to a batch that has been heard, and has no place in the order to be waited for by.
        if self.urgent_under_way > 0 {
            return;
        }
        let (done, waiting) = (self.done_serial, self.reconcile.is_some() || self.is_warm_booting());
        let Some(stream) = &mut self.stream else { return };
        while let Some(pending) = stream.pending.front() {
            if pending.serial > done || (pending.waits_for_reconcile && waiting) || stream.acks.capacity() == 0 {
                return;
            }
            if let Some(mut pending) = stream.pending.pop_front() {
                pending.ack.no_leftovers = self.loaded && self.fib.has_no_leftovers();
                let _ = stream.acks.try_send(Ok(pending.ack));
            }
        }
    }

    /// Whether the present stream's table has been received as a whole.
    pub(super) fn stream_is_complete(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.complete)
    }
}
