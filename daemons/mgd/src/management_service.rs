//! The service `Management`: commands, completion, and the configuration for the slot's daemons.

use std::{pin::Pin, sync::Arc};

use holdfast_proto::v1::{
    CheckReadinessReply, CheckReadinessRequest, CompleteReply, CompleteRequest, ExecuteEvent, ExecuteRequest,
    GetConfigurationReply, GetConfigurationRequest, ReportAppliedReply, ReportAppliedRequest, RouterConfig,
    SubscribeConfigurationRequest, management_server::Management,
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::{commands, grammar, limits, readiness, state::State};

/// The service.
pub struct ManagementService {
    state: Arc<State>,
}

impl ManagementService {
    /// Serves this process.
    pub fn new(state: Arc<State>) -> Self {
        Self { state }
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Management for ManagementService {
    type ExecuteStream = Items<ExecuteEvent>;
    type SubscribeConfigurationStream = Items<RouterConfig>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Answer<Self::ExecuteStream> {
        let (sender, receiver) = mpsc::channel(limits::OUTPUT_QUEUE);
        tokio::spawn(commands::execute(self.state.clone(), request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn complete(&self, request: Request<CompleteRequest>) -> Answer<CompleteReply> {
        let request = request.into_inner();
        let (line, cursor) = (request.line.as_str(), request.cursor as usize);
        Ok(Response::new(match &request.configure {
            Some(mode) => grammar::configure::complete(line, cursor, mode, &self.state),
            None => grammar::complete(line, cursor, &self.state),
        }))
    }

    async fn subscribe_configuration(
        &self,
        request: Request<SubscribeConfigurationRequest>,
    ) -> Answer<Self::SubscribeConfigurationStream> {
        let daemon = request.into_inner().daemon;
        let mut committed = self.state.committed.subscribe();
        committed.mark_changed();
        let (sender, receiver) = mpsc::channel(limits::SNAPSHOT_QUEUE);
        tracing::info!("{daemon} subscribes to the configuration");
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = committed.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
                let newest = committed.borrow_and_update().clone();
                let Some(newest) = newest else { continue };
                if sender.send(Ok(newest.configuration.compile(newest.commit_id))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn report_applied(&self, request: Request<ReportAppliedRequest>) -> Answer<ReportAppliedReply> {
        let ReportAppliedRequest { daemon, commit_id, ok, message } = request.into_inner();
        if ok {
            tracing::info!("{daemon} has applied commit {commit_id}");
        } else {
            tracing::error!("{daemon} cannot apply commit {commit_id}: {message}");
        }
        self.state.report(&daemon, commit_id, ok, &message);
        Ok(Response::new(ReportAppliedReply {}))
    }

    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Answer<GetConfigurationReply> {
        let Some(committed) = self.state.configuration() else {
            return Err(Status::failed_precondition(format!("mgd of {} has no configuration yet", self.state.slot)));
        };
        Ok(Response::new(GetConfigurationReply {
            commit_id: committed.commit_id,
            text: committed.configuration.to_text().to_owned(),
            digest: committed.configuration.digest().to_vec(),
            committed_unix_ms: committed.unix_ms,
            committed_by: committed.user.clone(),
        }))
    }

    async fn check_readiness(&self, request: Request<CheckReadinessRequest>) -> Answer<CheckReadinessReply> {
        let CheckReadinessRequest { run_id, force } = request.into_inner();
        Ok(Response::new(readiness::check(&self.state, run_id, force).await))
    }
}
