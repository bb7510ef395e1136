//! Batches to the kernel and what comes of them; comparing both tables; repairs and retries.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;

use super::Agent;
use crate::fib::{Memo, Plan, Walk};
use crate::limits::{IDLE_SWEEP_INTERVAL, PLANNED_BATCHES_MAX, REPAIR_QUIET};
use crate::writer::{Done, Job};

/// Why both tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// rpd's table is complete.
    Synchronized,
    /// The kernel's table was read.
    Resynchronized,
    /// This process has become primary.
    Committed,
    /// An interface has come up.
    LinkUp,
    /// Somebody else has destroyed something.
    Repair,
    /// The kernel had refused something.
    Retry,
    /// Gateways fail, or answer again.
    Gateways,
    /// Everything of ours goes.
    Flush,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Reconcile {
    walk: Walk,
    reason: Reason,
    routes: u64,
    blocked: u64,
}

/// A time at which something is due, later and later while it recurs.
#[derive(Debug)]
pub struct Backoff {
    pub(super) due: Option<Instant>,
    first: Duration,
    most: Duration,
    delay: Duration,
    last: Option<Instant>,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { due: None, first, most, delay: first, last: None }
    }

    /// Makes it due, unless it is already.
    pub fn schedule(&mut self, now: Instant) {
        if self.due.is_none() {
            if self.last.is_none_or(|last| now >= last + self.delay + REPAIR_QUIET) {
                self.delay = self.first;
            }
            self.due = Some(now + self.delay);
            self.delay = (self.delay * 2).min(self.most);
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|at| now >= at);
        if due {
            self.due = None;
            self.last = Some(now);
        }
        due
    }
}

impl Agent {
    /// Gives planned batches their place in the order, and the writer at once what it has room for.
    pub(super) fn push_plan(&mut self, plan: Plan) {
        for planned in plan.finish() {
            self.planned_serial += 1;
            self.outgoing.push_back(Job { serial: Some(self.planned_serial), planned });
        }
        while let Some(job) = self.outgoing.pop_front() {
            // When the thread has ended, its results end too, and that is reported.
            if let Err(TrySendError::Full(job) | TrySendError::Closed(job)) = self.writer.jobs.try_send(job) {
                self.outgoing.push_front(job);
                return;
            }
        }
    }

    /// Begins to compare both tables from the start. Never before a complete table was desired: what is missing from
    /// half a table would be removed.
    pub(super) fn begin_reconcile(&mut self, reason: Reason) {
        if !self.is_writing() || !self.fib.is_complete() {
            return;
        }
        self.leave_failed();
        self.put_groups_right();
        if self.fib.has_differences() || self.reconcile.is_some() {
            self.reconcile = Some(Reconcile { walk: Walk::default(), reason, routes: 0, blocked: 0 });
        } else {
            self.sweep_left_overs();
        }
    }

    /// Has what leads through failed gateways do without them.
    pub(super) fn leave_failed(&mut self) {
        let mut plan = Plan::default();
        self.fib.leave_failed(&mut plan);
        let turned = plan.turned;
        self.push_plan(plan);
        if turned > 0 {
            tracing::info!("gateways do not answer: {turned} nexthop objects do without them now");
        }
    }

    /// Gives groups all their ways again where their gateways answer.
    fn put_groups_right(&mut self) {
        let mut plan = Plan::default();
        self.fib.put_right(&mut plan);
        let righted = plan.righted;
        self.push_plan(plan);
        if righted > 0 {
            tracing::info!("gateways answer: {righted} nexthop objects have all their ways again");
        }
    }

    /// Compares one slice.
    pub(super) fn reconcile_slice(&mut self, prefixes: u32) {
        let Some(mut reconcile) = self.reconcile.take() else { return };
        let mut plan = Plan::default();
        let room = PLANNED_BATCHES_MAX.saturating_sub(self.outgoing.len()).max(1);
        let at_end = self.fib.reconcile(&mut reconcile.walk, prefixes, room, &mut plan);
        reconcile.routes += plan.routes;
        reconcile.blocked += plan.blocked;
        self.push_plan(plan);
        if !at_end {
            self.reconcile = Some(reconcile);
            return;
        }
        if reconcile.reason == Reason::Repair {
            self.counters.repairs += reconcile.routes;
        }
        if reconcile.routes + reconcile.blocked > 0 {
            let Reconcile { reason, routes, blocked, .. } = reconcile;
            tracing::info!(
                "tables compared ({reason:?}): {routes} routes written, {blocked} wait for an interface or an object of theirs"
            );
        }
        self.reconciled();
        self.sweep_left_overs();
    }

    /// Objects of an earlier process that nothing uses are removed once, after the first complete table.
    fn sweep_left_overs(&mut self) {
        if !std::mem::replace(&mut self.swept, true) || self.flushing {
            self.sweep(true);
        }
    }

    fn sweep(&mut self, at_once: bool) {
        let mut plan = Plan::default();
        self.fib.sweep_idle(at_once, &mut plan);
        self.push_plan(plan);
    }

    fn reseat_groups(&mut self) {
        let mut plan = Plan::default();
        let groups = self.fib.reseat(&mut plan);
        self.push_plan(plan);
        if groups > 0 {
            tracing::debug!("{groups} nexthop objects with a backup have new first members");
        }
    }

    /// Repairs, retries, sweeps, comparisons of the interfaces.
    pub(super) fn do_what_is_due(&mut self, now: Instant) {
        self.give_up_hold(now);
        if self.leads() && self.configuration.due.is_some_and(|at| now >= at) {
            self.configuration.due = None;
            self.apply_configuration();
        }
        if !self.is_writing() {
            return;
        }
        if self.repair.take(now) {
            self.begin_reconcile(Reason::Repair);
        }
        if self.doubt.take(now) {
            self.want_load("its answers do not fit what we know");
            return;
        }
        if self.fib.has_refused() && self.fib.is_complete() {
            self.retry.schedule(now);
        }
        if self.retry.take(now) {
            let mut plan = Plan::default();
            self.fib.try_refused(&mut plan);
            self.push_plan(plan);
            self.begin_reconcile(Reason::Retry);
        }
        if self.gateways.take(now) {
            self.begin_reconcile(Reason::Gateways);
        }
        if self.fib.has_seats_in_doubt() {
            self.reseat.schedule(now);
        }
        if self.reseat.take(now) {
            self.reseat_groups();
        }
        if now >= self.sweep_at {
            self.sweep_at = now + IDLE_SWEEP_INTERVAL;
            if self.fib.is_complete() && self.stream_is_complete() {
                self.sweep(false);
            }
        }
    }

    /// The kernel has answered a batch.
    pub(super) fn batch_done(&mut self, done: Done) {
        match done.serial {
            Some(serial) => self.done_serial = serial,
            None => self.urgent_under_way = self.urgent_under_way.saturating_sub(1),
        }
        if let Some(Memo::Interface(_)) = done.memos.first() {
            self.interfaces_done(&done);
            return;
        }
        let finished = self.fib.finished(&done.memos, &done.outcome);
        self.counters.writes += finished.writes;
        self.counters.writes_needless += finished.needless;
        if finished.errors > 0 {
            self.counters.errors += finished.errors;
            // What has overtaken others is told with the next that is told.
            self.blame(done.serial.unwrap_or_default(), finished.errors, finished.first_error.as_deref());
            if let Some(error) = finished.first_error {
                tracing::warn!("the kernel refused {} of {} changes; first {error}", finished.errors, finished.writes);
                self.counters.last_error = error;
            }
        }
        if done.outcome.unknown {
            self.want_load("its answers were lost");
        } else if finished.read_again {
            self.doubt.schedule(Instant::now());
        }
        if finished.retry && self.fib.is_complete() {
            self.retry.schedule(Instant::now());
        }
        if finished.compare {
            self.begin_reconcile(Reason::Retry);
        }
        // What a group of ours really is must not wait for the whole table.
        let is_about_groups = |memo: &Memo| matches!(memo, Memo::NexthopChange(_) | Memo::MemberRemoval { .. });
        self.recheck_objects |= finished.read_again && done.memos.iter().any(is_about_groups);
        if self.recheck_objects && !self.has_writes_under_way() {
            self.check_objects();
        }
    }
}
