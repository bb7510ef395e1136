//! The word of a gateway that fails overtakes everything: packets are being lost.
//!
//! Batches of routes wait: for those before them, while both tables are compared and the difference is written, while the kernel's table is read. That may take
//! seconds with a million routes. A gateway that fails is one change of one object, and right whatever comes before it, because in the end it is
//! left out of all that is desired. So a batch that names one is looked into as it arrives, and the objects concerned are changed
//! ahead of all that is planned or queued for the writer; only what the kernel has at work is waited for, a batch of a millisecond or two.
//!
//! What does not overtake: an object that the kernel does not have yet, or that has another change under way. It comes in its turn, with the batch itself.

use std::time::Instant;

use holdfast_proto::v1::Role;

use super::Agent;
use super::load::Load;
use crate::fib::{Plan, Planned};
use crate::request::FailureWord;
use crate::writer::Job;

impl Agent {
    /// A batch that names failing gateways has arrived and waits for its turn.
    pub(super) fn hear_word(&mut self, word: &FailureWord) {
        let Some(stream) = &self.stream else { return };
        let is_ours = word.epoch >= stream.epoch.unwrap_or(self.epoch);
        // One of an older epoch is refused with its batch; one whose batch had its turn is known.
        let Some(ahead) = word.place.checked_sub(stream.taken).filter(|ahead| is_ours && *ahead > 0) else { return };
        // What is not understood of it is answered with the batch.
        let _ = self.fib.fail_gateways_ahead(&word.gateways, ahead);
        if !self.may_overtake() {
            return;
        }
        self.leave_failed_at_once();
        self.gateways.schedule(Instant::now());
    }

    /// Who writes may do this also while the kernel's table is read: what its objects are is read before.
    fn may_overtake(&self) -> bool {
        let knows_objects = self.loaded || matches!(self.load, Load::Reading { .. });
        self.role == Role::Primary && self.hold.is_none() && self.ending.is_none() && knows_objects
    }

    fn leave_failed_at_once(&mut self) {
        let mut plan = Plan::default();
        self.fib.leave_failed_at_once(&mut plan);
        let turned = plan.turned;
        for planned in plan.finish() {
            self.push_urgent(planned);
        }
        if turned > 0 {
            tracing::info!("gateways do not answer: {turned} nexthop objects do without them at once");
            // Notifications that are older may still be replayed.
            self.recheck_objects |= matches!(self.load, Load::Reading { .. });
        }
    }

    fn push_urgent(&mut self, planned: Planned) {
        match self.writer.urgent.try_reserve() {
            Ok(room) => {
                self.urgent_under_way += 1;
                room.send(Job { serial: None, planned });
            }
            Err(_) => {
                self.planned_serial += 1;
                self.outgoing.push_back(Job { serial: Some(self.planned_serial), planned });
            }
        }
    }
}
