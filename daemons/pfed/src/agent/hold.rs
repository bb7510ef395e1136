//! Between this process's activation and rpd's word that it has said everything, nothing is written to the tables.
//!
//! The other instance wrote what *its* rpd wanted. Our rpd knows as much, but what it said of it may still be on the way to us when the roles
//! change. Comparing the tables then would put routes back to an older next hop, until the rest comes. So batches are only noted, and
//! acknowledged (whoever waits for acknowledgements could not send the rest), until one of them says `caught_up`, or ends a whole
//! table, in our epoch. The epoch alone is no mark: an activated rpd sends its backlog in it.
//!
//! The wait is bounded: an rpd that is silent, or of a version that does not know the word, does not keep routes from the kernel.

use std::time::Instant;

use holdfast_proto::v1::{self, Role};

use super::Agent;
use super::write::Reason;
use crate::limits::{HOLD_MAX, HOLD_SILENCE_MAX};

/// The wait for rpd's word.
#[derive(Debug)]
pub struct Hold {
    /// When it began to count: at the Commit.
    since: Instant,
    /// When rpd last said something.
    heard: Instant,
}

impl Hold {
    fn deadline(&self) -> Instant {
        (self.heard + HOLD_SILENCE_MAX).min(self.since + HOLD_MAX)
    }
}

impl Agent {
    /// From the activation on, and counted anew from the Commit on.
    pub(super) fn begin_hold(&mut self) {
        let now = Instant::now();
        self.hold = Some(Hold { since: now, heard: now });
    }

    /// The Commit: the wait counts from now on, unless it is over already.
    pub(super) fn count_hold(&mut self) {
        if self.hold.is_some() {
            self.begin_hold();
        }
    }

    /// When the tables are compared at the latest.
    pub(super) fn hold_deadline(&self) -> Option<Instant> {
        self.hold.as_ref().filter(|_| self.role == Role::Primary).map(Hold::deadline)
    }

    /// Hears a batch. True: the wait is over with it.
    pub(super) fn hold_hears(&mut self, batch: &v1::FibBatch) -> bool {
        let Some(hold) = &mut self.hold else { return false };
        hold.heard = Instant::now();
        let is_over = (batch.caught_up || batch.end_of_sync) && batch.epoch >= self.epoch;
        if is_over {
            self.hold = None;
        }
        is_over
    }

    /// Nobody is waited for without end.
    pub(super) fn give_up_hold(&mut self, now: Instant) {
        if self.hold_deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let Some(hold) = self.hold.take() else { return };
        let [waited, silent] = [hold.since, hold.heard].map(|since| now.duration_since(since).as_millis());
        tracing::warn!(
            "rpd of {} has not said within {waited} ms of the switch that its table is up to date (last word {silent} ms ago); \
             the kernel's table is made what it said so far",
            self.slot
        );
        self.begin_reconcile(Reason::Committed);
    }
}
