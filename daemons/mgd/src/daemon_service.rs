//! What chassisd asks of every daemon, answered by mgd.
//!
//! mgd owns nothing that has to be handed over but the configuration, which both slots have. So its part in the switch is
//! to be in step with its peer before, and to accept changes in one slot only.

use std::sync::Arc;

use holdfast_ipc::mono_ns;
use holdfast_proto::v1::{
    ActivateReply, ActivateRequest, CancelReply, CancelRequest, CommitReply, CommitRequest, DaemonStatus, FollowReply,
    FollowRequest, FreezeReply, FreezeRequest, PrepareReply, PrepareRequest, Role, StatusRequest, SynchronizationReply,
    SynchronizationRequest, TableComparison, TerminateReply, TerminateRequest, VerifyReply, VerifyRequest,
    daemon_server::Daemon,
};
use tonic::{Request, Response, Status};

use crate::{
    peer::{self, PeerView},
    state::{NAME, State},
    unconfirmed,
};

/// The service `Daemon`.
pub struct DaemonService {
    state: Arc<State>,
}

type Answer<T> = Result<Response<T>, Status>;

impl DaemonService {
    /// Serves this process.
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// Moves to another role when this is allowed from here; the same request twice is no mistake.
    fn change(&self, epoch: u64, from: &[Role], to: Role) -> Result<(), Status> {
        let mut mutable = self.state.lock();
        let term = mutable.term;
        if epoch < term.epoch {
            let message = format!("epoch {epoch} is over, mgd of {} knows {}", self.state.slot, term.epoch);
            return Err(Status::failed_precondition(message));
        }
        if term.role != to && !from.contains(&term.role) {
            let message = format!(
                "mgd of {} is {}, not to be made {}",
                self.state.slot,
                term.role.as_str_name(),
                to.as_str_name()
            );
            return Err(Status::failed_precondition(message));
        }
        mutable.term.epoch = epoch;
        mutable.term.role = to;
        tracing::info!(epoch, "role {} -> {}", term.role.as_str_name(), to.as_str_name());
        Ok(())
    }

    fn status(&self) -> DaemonStatus {
        let committed = self.state.configuration();
        let mutable = self.state.lock();
        let mut error = mutable.error.clone();
        let mut waiting = String::new();
        match &committed {
            None if mutable.term.role == Role::Backup => {
                waiting = format!("fetching the configuration from {}", self.state.peer_slot)
            }
            None => waiting = "no configuration".to_owned(),
            Some(committed) => {
                let missing = mutable.applied.missing();
                error = mutable.applied.refusal().unwrap_or(error);
                if !missing.is_empty() && mutable.term.role != Role::Backup {
                    waiting = format!("waiting for {} to apply commit {}", missing.join(" and "), committed.commit_id);
                }
            }
        }
        let ready = error.is_empty() && waiting.is_empty();
        if mutable.term.role == Role::Backup && !mutable.peer.trouble.is_empty() {
            waiting = mutable.peer.trouble.clone();
        }
        DaemonStatus {
            name: NAME.to_owned(),
            slot: self.state.slot.clone(),
            pid: std::process::id(),
            role: mutable.term.role.into(),
            epoch: mutable.term.epoch,
            ready,
            detail: waiting,
            error,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_mono_ns: self.state.started_mono_ns,
            alarms: Vec::new(),
        }
    }

    fn synchronization(&self) -> SynchronizationReply {
        let own = self.state.digest();
        let mutable = self.state.lock();
        if mutable.term.role != Role::Backup {
            return SynchronizationReply {
                synchronized: true,
                detail: "not a backup".to_owned(),
                ..Default::default()
            };
        }
        let equal = own.is_some() && own == mutable.peer.digest && mutable.peer.trouble.is_empty();
        let detail = match (&mutable.peer.trouble, equal) {
            (_, true) => String::new(),
            (trouble, false) if !trouble.is_empty() => trouble.clone(),
            _ => "the configuration has not been fetched yet".to_owned(),
        };
        let table = "configuration".to_owned();
        let comparison = TableComparison { table, primary: mutable.peer.digest.clone(), backup: own, equal };
        SynchronizationReply {
            synchronized: equal,
            detail,
            tables: vec![comparison],
            entries_done: u64::from(equal),
            ..Default::default()
        }
    }
}

#[tonic::async_trait]
impl Daemon for DaemonService {
    async fn status(&self, _: Request<StatusRequest>) -> Answer<DaemonStatus> {
        Ok(Response::new(self.status()))
    }

    async fn synchronization(&self, _: Request<SynchronizationRequest>) -> Answer<SynchronizationReply> {
        Ok(Response::new(self.synchronization()))
    }

    async fn prepare(&self, _: Request<PrepareRequest>) -> Answer<PrepareReply> {
        let status = self.status();
        let synchronization = self.synchronization();
        // A run takes over what is in force: nothing may be half in force then. No commit begins while there is a run.
        let committing = self.state.lock().committing.clone();
        let committing = committing.map(|user| format!("a commit by {user} is being applied")).unwrap_or_default();
        // One that was being applied when the checks looked.
        let unconfirmed = unconfirmed::waiting(&self.state).map(|waiting| {
            let commit_id = waiting.commit.commit_id;
            format!("commit {commit_id} waits to be confirmed: request system reboot in-service abort, then configure; commit")
        });
        let unconfirmed = unconfirmed.unwrap_or_default();
        let ready = status.ready && synchronization.synchronized && committing.is_empty() && unconfirmed.is_empty();
        let reasons = [committing, unconfirmed, status.error, status.detail, synchronization.detail];
        let reason = if ready {
            String::new()
        } else {
            reasons.into_iter().find(|reason| !reason.is_empty()).unwrap_or_default()
        };
        let wait_ms = if ready { 0 } else { 100 };
        Ok(Response::new(PrepareReply { ready, reason, wait_ms, sessions: Vec::new() }))
    }

    async fn cancel(&self, _: Request<CancelRequest>) -> Answer<CancelReply> {
        Ok(Response::new(CancelReply {}))
    }

    async fn freeze(&self, request: Request<FreezeRequest>) -> Answer<FreezeReply> {
        if let Some(user) = &self.state.lock().committing {
            let message = format!("mgd of {} is not frozen: a commit by {user} is being applied", self.state.slot);
            return Err(Status::failed_precondition(message));
        }
        self.change(request.into_inner().epoch, &[Role::Primary], Role::Frozen)?;
        let tables = self.state.digest().into_iter().collect();
        Ok(Response::new(FreezeReply { frozen_mono_ns: mono_ns(), tables, sessions: Vec::new() }))
    }

    async fn activate(&self, request: Request<ActivateRequest>) -> Answer<ActivateReply> {
        let request = request.into_inner();
        let own = self.state.digest();
        let expected = request.expected_tables.into_iter().find(|table| table.table == "configuration");
        let equal = own.is_some() && (expected.is_none() || expected == own);
        let comparison =
            TableComparison { table: "configuration".to_owned(), primary: expected, backup: own.clone(), equal };
        let reason = match (own.is_some(), equal) {
            (false, _) => "there is no configuration".to_owned(),
            (_, false) => "the configuration is not the one the old routing engine had".to_owned(),
            _ => String::new(),
        };
        if equal {
            self.change(request.epoch, &[Role::Backup, Role::Frozen], Role::Activated)?;
        }
        let tables = vec![comparison];
        Ok(Response::new(ActivateReply { ok: equal, reason, tables, ..Default::default() }))
    }

    async fn commit(&self, request: Request<CommitRequest>) -> Answer<CommitReply> {
        self.change(request.into_inner().epoch, &[Role::Activated], Role::Primary)?;
        Ok(Response::new(CommitReply { live_mono_ns: mono_ns() }))
    }

    async fn follow(&self, request: Request<FollowRequest>) -> Answer<FollowReply> {
        let began = self.state.term().role == Role::Frozen;
        self.change(request.into_inner().epoch, &[Role::Frozen], Role::Backup)?;
        if began {
            // What the primary had said before is of another term.
            self.state.lock().peer = PeerView::default();
            tokio::spawn(peer::follow(self.state.clone()));
        }
        Ok(Response::new(FollowReply {}))
    }

    async fn verify(&self, _: Request<VerifyRequest>) -> Answer<VerifyReply> {
        let status = self.status();
        let failed = !status.error.is_empty();
        let done = status.ready || failed;
        let reason = if failed { status.error } else { status.detail };
        Ok(Response::new(VerifyReply { done, ok: status.ready, reason, ..Default::default() }))
    }

    async fn terminate(&self, request: Request<TerminateRequest>) -> Answer<TerminateReply> {
        let mode = request.into_inner().mode();
        tracing::info!("asked to end: {}", mode.as_str_name());
        self.state.stop.send_replace(true);
        Ok(Response::new(TerminateReply {}))
    }
}
