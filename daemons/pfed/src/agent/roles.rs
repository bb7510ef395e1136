//! The part this process plays, and its changes. chassisd decides; every step but the commit can be taken back.

use std::time::{Duration, Instant};

use holdfast_ipc::mono_ns;
use holdfast_kernel::netlink::Event;
use holdfast_proto::v1::{self, Role};
use tonic::Status;

use super::Agent;
use super::load::Load;
use super::write::Reason;
use crate::fib::FAMILIES;
use crate::limits::{DRAIN_TIMEOUT, IDLE_SWEEP_INTERVAL, MONITOR_READS_PER_TURN};
use crate::request::Reply;

/// The digests' table names, in the order of the families' indexes.
pub(super) const TABLE_NAMES: [&str; 2] = ["kernel/inet", "kernel/inet6"];

fn comparison(table: &str, primary: v1::TableDigest, backup: v1::TableDigest) -> v1::TableComparison {
    let equal = (primary.digest, primary.entries) == (backup.digest, backup.entries);
    v1::TableComparison { table: table.into(), primary: Some(primary), backup: Some(backup), equal }
}

fn table_digest(index: usize, digest: holdfast_rib::Digest) -> v1::TableDigest {
    v1::TableDigest { table: TABLE_NAMES[index].into(), digest: digest.sum, entries: digest.entries }
}

impl Agent {
    /// What the kernel has.
    pub(super) fn kernel_tables(&mut self) -> Vec<v1::TableDigest> {
        FAMILIES.map(|family| table_digest(family.index(), self.fib.kernel_digest(family))).into()
    }

    /// What rpd desires.
    pub(super) fn desired_tables(&self) -> Vec<v1::TableDigest> {
        FAMILIES.map(|family| table_digest(family.index(), self.fib.desired_digest(family))).into()
    }

    /// The kernel's table (the primary wrote it) against the desired one.
    pub(super) fn compared_tables(&mut self) -> Vec<v1::TableComparison> {
        let (kernel, desired) = (self.kernel_tables(), self.desired_tables());
        kernel.into_iter().zip(desired).map(|(k, d)| comparison(&k.table.clone(), k, d)).collect()
    }

    fn refuse_old(&self, what: &str, epoch: u64) -> Result<(), Status> {
        if epoch >= self.epoch {
            return Ok(());
        }
        let own = self.epoch;
        Err(Status::failed_precondition(format!("{what} of epoch {epoch} refused: epoch {own} is in force")))
    }

    /// Stops writing; answered once what is under way has been answered by the kernel.
    pub(super) fn freeze(&mut self, request: &v1::FreezeRequest, reply: Reply<v1::FreezeReply>) {
        if let Err(status) = self.refuse_old("Freeze", request.epoch) {
            let _ = reply.send(Err(status));
            return;
        }
        match self.role {
            Role::Primary => {
                self.role = Role::Frozen;
                self.frozen_mono_ns = 0;
                // Whoever is primary next compares the tables; here nothing more is planned.
                self.reconcile = None;
                self.reconciled();
                self.hold = None;
                (self.repair.due, self.retry.due) = (None, None);
                self.freezing.push(reply);
            }
            Role::Frozen => self.freezing.push(reply),
            role => {
                let why = format!("Freeze refused: {} is {}, not primary", self.slot, role.as_str_name());
                let _ = reply.send(Err(Status::failed_precondition(why)));
            }
        }
    }

    /// Answers those who wait for the standstill.
    pub(super) fn answer_frozen(&mut self) {
        if self.role != Role::Frozen || self.freezing.is_empty() || self.has_writes_under_way() {
            return;
        }
        if self.frozen_mono_ns == 0 {
            self.frozen_mono_ns = mono_ns();
            tracing::info!("frozen; {} routes differ", self.fib.pending_writes());
        }
        let (frozen_mono_ns, tables) = (self.frozen_mono_ns, self.kernel_tables());
        for reply in std::mem::take(&mut self.freezing) {
            let _ = reply.send(Ok(v1::FreezeReply { frozen_mono_ns, tables: tables.clone(), sessions: Vec::new() }));
        }
    }

    /// Takes everything the kernel has told so far, so that our picture is that of this moment.
    fn catch_up(&mut self) {
        let mut events: Vec<Event> = Vec::new();
        // As long as there is something; but whoever writes without pause does not keep us here.
        for _ in 0..MONITOR_READS_PER_TURN * 64 {
            if self.monitor.read(&mut events).is_err() {
                break;
            }
        }
        self.handle_events(events);
    }

    /// Makes ready to be primary: verifies and touches nothing.
    pub(super) fn activate(&mut self, request: &v1::ActivateRequest) -> Result<v1::ActivateReply, Status> {
        self.refuse_old("Activate", request.epoch)?;
        if self.role == Role::Primary {
            let why = format!("Activate refused: {} is primary already; freeze it first", self.slot);
            return Err(Status::failed_precondition(why));
        }
        self.catch_up();
        self.come_back().map_err(|error| Status::internal(format!("not activated: {error}")))?;
        let tables = self.against(&request.expected_tables);
        if let Some(reason) = self.why_not_active(&tables) {
            tracing::warn!("not activated for epoch {}: {reason}", request.epoch);
            return Ok(v1::ActivateReply { ok: false, reason, tables, ..Default::default() });
        }
        self.role = Role::Activated;
        self.epoch = request.epoch;
        self.begin_hold();
        match self.load {
            Load::Idle => {
                tracing::info!("activated for epoch {}; {} routes to write", self.epoch, self.fib.pending_writes());
            }
            _ => tracing::info!(
                "activated for epoch {}; the kernel's table is read before anything is written",
                self.epoch
            ),
        }
        Ok(v1::ActivateReply { ok: true, tables, ..Default::default() })
    }

    /// What the other one left in the kernel, as it said, against what we know to be there. Nothing, while we do not: then the table is read before
    /// anything is written.
    fn against(&mut self, expected: &[v1::TableDigest]) -> Vec<v1::TableComparison> {
        if !matches!(self.load, Load::Idle) {
            return Vec::new();
        }
        let own = self.kernel_tables();
        let pairs = own.into_iter().filter_map(|own| {
            let theirs = expected.iter().find(|table| table.table == own.table)?.clone();
            Some(comparison(&own.table.clone(), theirs, own))
        });
        pairs.collect()
    }

    fn why_not_active(&self, tables: &[v1::TableComparison]) -> Option<String> {
        if !self.loaded {
            return Some("the kernel's table has not been read yet".into());
        }
        if !self.fib.is_complete() {
            return Some("rpd of this slot has not sent its whole table yet".into());
        }
        let different = tables.iter().find(|table| !table.equal)?;
        let entries = |side: &Option<v1::TableDigest>| side.as_ref().map_or(0, |digest| digest.entries);
        Some(format!(
            "table {} is not as the frozen instance left it: {} routes there, {} here, digests differ",
            different.table,
            entries(&different.primary),
            entries(&different.backup)
        ))
    }

    /// From here on this process writes, once its rpd has told it everything ([`super::hold`]).
    pub(super) fn commit(&mut self, request: &v1::CommitRequest) -> Result<v1::CommitReply, Status> {
        self.refuse_old("Commit", request.epoch)?;
        match self.role {
            Role::Primary if request.epoch == self.epoch => {}
            Role::Activated if request.epoch == self.epoch => {
                self.catch_up();
                self.role = Role::Primary;
                self.count_hold();
                self.writes_at_commit = (self.counters.writes, self.counters.writes_needless);
                // What is idle may be what the next route wants; left-overs can wait for their ordinary turn.
                self.swept = true;
                self.sweep_at = Instant::now() + IDLE_SWEEP_INTERVAL;
                let pending = self.fib.pending_writes();
                tracing::info!("primary in epoch {}; {pending} routes to write", self.epoch);
                self.begin_reconcile(Reason::Committed);
                self.configuration.passes = 0;
                self.apply_configuration();
            }
            role => {
                return Err(Status::failed_precondition(format!(
                    "Commit of epoch {} refused: {} is {} in epoch {}; Activate comes first",
                    request.epoch,
                    self.slot,
                    role.as_str_name(),
                    self.epoch
                )));
            }
        }
        Ok(v1::CommitReply { live_mono_ns: mono_ns() })
    }

    /// Frozen -> backup: another instance writes now, this one keeps track.
    pub(super) fn follow(&mut self, request: &v1::FollowRequest) -> Result<v1::FollowReply, Status> {
        self.refuse_old("Follow", request.epoch)?;
        if !matches!(self.role, Role::Frozen | Role::Backup) || self.has_writes_under_way() {
            let why = format!("Follow refused: {} is {}, not at a standstill", self.slot, self.role.as_str_name());
            return Err(Status::failed_precondition(why));
        }
        self.role = Role::Backup;
        self.epoch = request.epoch;
        tracing::info!("following the primary of epoch {}", self.epoch);
        if self.doubt.due.take().is_some() {
            self.want_load("its answers do not fit what we know");
        }
        Ok(v1::FollowReply {})
    }

    /// Ends the process, once what is under way has been answered.
    pub(super) fn terminate(&mut self, request: v1::TerminateRequest) -> Result<v1::TerminateReply, Status> {
        let stop = request.mode() == v1::terminate_request::Mode::Stop;
        if stop && request.flush && self.role == Role::Primary {
            self.flush();
        } else {
            self.retire(if stop { "stopped" } else { "retired" });
        }
        Ok(v1::TerminateReply {})
    }

    /// Leaves everything in the kernel as it is.
    pub(super) fn retire(&mut self, why: &str) {
        if self.ending.is_none() {
            tracing::info!("ending ({why}); routes, nexthop objects and addresses stay");
            self.ending = Some(Instant::now() + DRAIN_TIMEOUT);
            self.reconcile = None;
            self.reconciled();
        }
    }

    /// Removes everything of ours.
    fn flush(&mut self) {
        tracing::info!("ending; our routes, nexthop objects and addresses are removed");
        self.stream = None;
        self.hold = None;
        self.flushing = true;
        self.fib.want_nothing();
        self.begin_reconcile(Reason::Flush);
        self.configuration.interfaces = Some(Vec::new());
        self.configuration.passes = 0;
        self.apply_configuration();
        // A million routes take their time.
        self.ending = Some(Instant::now() + DRAIN_TIMEOUT + Duration::from_micros(10 * self.fib.pending_writes()));
    }

    /// Whether the process may end now.
    pub(super) fn is_finished(&self) -> bool {
        let Some(deadline) = self.ending else { return false };
        let can_end = !self.flushing || matches!(self.load, Load::Idle);
        let done = can_end
            && !self.has_writes_under_way()
            && self.reconcile.is_none()
            && self.configuration.under_way.is_none();
        if !done && Instant::now() >= deadline {
            tracing::warn!("ending with writes under way: no answer from the kernel in time");
        }
        done || Instant::now() >= deadline
    }
}
