//! Service `Daemon`: what chassisd asks. Every answer comes from the core.

use holdfast_proto::v1;
use holdfast_proto::v1::daemon_server::Daemon;
use tonic::{Request, Response, Status};

use crate::input::{Command, CoreHandle};

/// The service.
pub struct DaemonService {
    core: CoreHandle,
}

impl DaemonService {
    /// Answers out of this core.
    pub fn new(core: CoreHandle) -> Self {
        Self { core }
    }
}

/// The core has ended: so will the process.
pub fn gone() -> Status {
    Status::unavailable("rpd is ending")
}

fn refused(reason: String) -> Status {
    Status::failed_precondition(reason)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Daemon for DaemonService {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Answer<v1::DaemonStatus> {
        self.core.ask(Command::Status).await.map(Response::new).ok_or_else(gone)
    }

    async fn synchronization(&self, _: Request<v1::SynchronizationRequest>) -> Answer<v1::SynchronizationReply> {
        self.core.ask(Command::Synchronization).await.map(Response::new).ok_or_else(gone)
    }

    async fn prepare(&self, _: Request<v1::PrepareRequest>) -> Answer<v1::PrepareReply> {
        self.core.ask(Command::Prepare).await.map(Response::new).ok_or_else(gone)
    }

    async fn cancel(&self, _: Request<v1::CancelRequest>) -> Answer<v1::CancelReply> {
        self.core.ask(Command::Cancel).await.map(Response::new).ok_or_else(gone)
    }

    async fn freeze(&self, request: Request<v1::FreezeRequest>) -> Answer<v1::FreezeReply> {
        let request = request.into_inner();
        let answer = self.core.ask(|sender| Command::Freeze(request, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(refused)
    }

    async fn activate(&self, request: Request<v1::ActivateRequest>) -> Answer<v1::ActivateReply> {
        let request = request.into_inner();
        self.core.ask(|sender| Command::Activate(request, sender)).await.map(Response::new).ok_or_else(gone)
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Answer<v1::CommitReply> {
        let request = request.into_inner();
        let answer = self.core.ask(|sender| Command::Commit(request, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(refused)
    }

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Answer<v1::FollowReply> {
        let request = request.into_inner();
        let answer = self.core.ask(|sender| Command::Follow(request, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(refused)
    }

    async fn verify(&self, _: Request<v1::VerifyRequest>) -> Answer<v1::VerifyReply> {
        self.core.ask(Command::Verify).await.map(Response::new).ok_or_else(gone)
    }

    async fn terminate(&self, request: Request<v1::TerminateRequest>) -> Answer<v1::TerminateReply> {
        let request = request.into_inner();
        self.core.ask(|sender| Command::Terminate(request, sender)).await.map(Response::new).ok_or_else(gone)
    }
}
