//! What the processes of the router say when they are asked, all at once, each with a deadline.

use std::{future::Future, sync::Arc};

use holdfast_proto::{
    check::Rule,
    v1::{
        BfdSession, BgpNeighborDetail, Check, DaemonStatus, ForwardingSummary, InspectRequest, Inspection, Replication,
        RouterConfig, ShowBfdRequest, ShowBgpNeighborsRequest, ShowForwardingSummaryRequest, ShowReplicationRequest,
        StatusRequest,
    },
};
use tonic::{Response, Status};

use crate::{
    candidate::CandidateState,
    clients::{AskError, PPMD, ask},
    limits::{CHECK_DEADLINE, INSPECTION_DEADLINE},
    state::State,
    store::{Committed, Store},
};

/// An answer, or why there is none, in words for the operator.
pub type Said<T> = Result<T, String>;

/// Everything that mgd's checks are made of.
#[derive(Debug)]
pub struct Observed {
    /// When an operator asked; none when a run asks.
    pub asked_unix_ms: Option<u64>,
    /// The operator overrides what may be overridden.
    pub force: bool,
    /// The configuration in force, compiled.
    pub config: Option<RouterConfig>,
    /// Whether the statement `bfd-liveness-detection` stands in it.
    pub bfd_configured: bool,
    /// ppmd's sessions.
    pub bfd: Said<Vec<BfdSession>>,
    /// Whether the file on disk is what is in force.
    pub stored: Said<()>,
    /// Daemons that have not applied it, or why one cannot.
    pub unapplied: Said<()>,
    /// Who is editing it.
    pub candidate: CandidateState,
    /// rpd as one of chassisd's daemons.
    pub rpd: Said<DaemonStatus>,
    /// pfed as one of chassisd's daemons.
    pub pfed: Said<DaemonStatus>,
    /// rpd's neighbours.
    pub neighbors: Said<Vec<BgpNeighborDetail>>,
    /// rpd's protocols and the road of each session.
    pub replication: Said<Replication>,
    /// pfed's table and the kernel's.
    pub forwarding: Said<ForwardingSummary>,
    /// What chassisd finds.
    pub inspection: Said<Inspection>,
}

impl Observed {
    /// Asks everybody. Nothing is changed by it.
    pub async fn gather(state: &State, run_id: u64) -> Self {
        let clients = &state.clients;
        let (rpd_name, pfed_name) = (clients.rpd_name(), clients.pfed_name());
        let (mut rpd_daemon, mut pfed_daemon) = (clients.rpd_daemon(), clients.pfed_daemon());
        let (mut routing, mut routing_too) = (clients.routing(), clients.routing());
        let (mut forwarding, mut chassis) = (clients.forwarding(), clients.chassis());
        let mut periodic = clients.periodic();
        let (bfd, rpd, pfed, neighbors, replication, forwarding, inspection) = tokio::join!(
            async {
                match clients.has_periodic() {
                    true => said(PPMD, periodic.show_bfd(ShowBfdRequest {})).await.map(|reply| reply.sessions),
                    false => Ok(Vec::new()), // nobody has wanted a session yet
                }
            },
            said(&rpd_name, rpd_daemon.status(StatusRequest {})),
            said(&pfed_name, pfed_daemon.status(StatusRequest {})),
            said(&rpd_name, routing.show_bgp_neighbors(ShowBgpNeighborsRequest::default())),
            said(&rpd_name, routing_too.show_replication(ShowReplicationRequest {})),
            said(&pfed_name, forwarding.show_forwarding_summary(ShowForwardingSummaryRequest {})),
            async {
                let call = chassis.inspect(InspectRequest { run_id });
                ask("chassisd", INSPECTION_DEADLINE, call).await.map_err(|error| error.to_string())
            },
        );
        let committed = state.configuration();
        let text = committed.as_ref().map(|committed| committed.configuration.to_set().to_owned());
        Self {
            force: false,
            asked_unix_ms: (run_id == 0).then(holdfast_ipc::unix_ms),
            config: committed.as_ref().map(|committed| committed.configuration.compile(committed.commit_id)),
            bfd_configured: text.is_some_and(|text| text.contains(" bfd-liveness-detection")),
            bfd,
            stored: stored(state, committed.as_ref()),
            candidate: state.candidate_state(),
            unapplied: unapplied(state, committed.as_ref()),
            rpd,
            pfed,
            neighbors: neighbors.map(|reply| reply.neighbors),
            replication,
            forwarding,
            inspection,
        }
    }

    /// The chassis's own checks; without its answer one that is not passed.
    pub fn chassis_checks(&self) -> Vec<Check> {
        match &self.inspection {
            Ok(inspection) => inspection.checks.clone(),
            Err(reason) => {
                let rule = Rule::refuses("chassis", "Chassis inspected", "chassisd answers for processes and machine");
                vec![rule.remedy("show log chassisd").found(false, reason.clone())]
            }
        }
    }
}

async fn said<T>(who: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Said<T> {
    ask(who, CHECK_DEADLINE, call).await.map_err(|error| match error {
        AskError::Refused(reason) => format!("{who}: {reason}"),
        other => other.to_string(),
    })
}

fn stored(state: &State, committed: Option<&Arc<Committed>>) -> Said<()> {
    let committed = committed.ok_or("there is no configuration")?;
    match Store::new(&state.state_dir).holds(committed) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("config/active.conf is not commit {}, which is in force", committed.commit_id)),
        Err(error) => Err(error.to_string()),
    }
}

fn unapplied(state: &State, committed: Option<&Arc<Committed>>) -> Said<()> {
    let commit_id = committed.ok_or("there is no configuration")?.commit_id;
    let mutable = state.lock();
    if let Some(refusal) = mutable.applied.refusal() {
        return Err(refusal);
    }
    match mutable.applied.missing().as_slice() {
        [] => Ok(()),
        missing => Err(format!("{} not applied commit {commit_id} yet", have(&missing.join(" and "), missing.len()))),
    }
}

fn have(who: &str, count: usize) -> String {
    format!("{who} {}", if count == 1 { "has" } else { "have" })
}
