//! What reaches the core from the ipc thread, and how.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use holdfast_proto::v1;
use mio::{Poll, Token, Waker};
use tokio::sync::{mpsc, oneshot};

use crate::destinations::{Numbers, Walk};
use crate::error::RpdError;
use crate::limits::INPUTS_MAX;

/// The wake-up's token in the core's poll.
pub const WAKE: Token = Token(0);

/// How long a sender waits before it tries a full queue again.
const FULL_QUEUE_RETRY: Duration = Duration::from_millis(1);

/// One event for the core.
pub enum Input {
    /// From pfed.
    Interface(v1::InterfaceEvent),
    /// The stream of interface events begins anew with a snapshot.
    InterfacesRestart,
    /// From mgd; the answer says whether it is in force.
    Configuration(Box<v1::RouterConfig>, oneshot::Sender<Result<(), String>>),
    /// A stream of forwarding entries to pfed is open: the whole table is to be sent.
    FibOpened(mpsc::Sender<v1::FibBatch>),
    /// pfed's answer.
    FibAck(v1::FibAck),
    /// The stream is gone.
    FibClosed,
    /// From ppmd.
    Bfd(v1::BfdEvent),
    /// The stream of BFD sessions begins anew with a snapshot.
    BfdRestart,
    /// An operator's or chassisd's request.
    Command(Command),
}

/// The place for a page, and for where the next one begins.
pub type Paged<T, P = Walk> = oneshot::Sender<Result<(T, Option<P>), String>>;

/// Requests, each with the place for its answer.
pub enum Command {
    /// Daemon.Status.
    Status(oneshot::Sender<v1::DaemonStatus>),
    /// Daemon.Synchronization.
    Synchronization(oneshot::Sender<v1::SynchronizationReply>),
    /// Daemon.Prepare.
    Prepare(oneshot::Sender<v1::PrepareReply>),
    /// Daemon.Cancel.
    Cancel(oneshot::Sender<v1::CancelReply>),
    /// Daemon.Freeze.
    Freeze(v1::FreezeRequest, oneshot::Sender<Result<v1::FreezeReply, String>>),
    /// Daemon.Activate.
    Activate(v1::ActivateRequest, oneshot::Sender<v1::ActivateReply>),
    /// Daemon.Commit.
    Commit(v1::CommitRequest, oneshot::Sender<Result<v1::CommitReply, String>>),
    /// Daemon.Follow.
    Follow(v1::FollowRequest, oneshot::Sender<Result<v1::FollowReply, String>>),
    /// Daemon.Verify.
    Verify(oneshot::Sender<v1::VerifyReply>),
    /// Daemon.Terminate.
    Terminate(v1::TerminateRequest, oneshot::Sender<v1::TerminateReply>),
    /// Routing.ShowBgpSummary.
    BgpSummary(oneshot::Sender<v1::BgpSummary>),
    /// Routing.ShowBgpNeighbors.
    BgpNeighbors(String, oneshot::Sender<Result<v1::BgpNeighbors, String>>),
    /// One page of Routing.ShowRoutes and where the next one begins.
    RoutePage(Box<v1::ShowRoutesRequest>, Walk, Paged<v1::RoutePage>),
    /// One page of Routing.ShowForwarding and where the next one begins.
    ForwardingPage(Numbers, Paged<v1::FibBatch, Numbers>),
    /// Routing.ShowRouteSummary.
    RouteSummary(oneshot::Sender<v1::RouteSummary>),
    /// One page of Routing.TestPolicy and where the next one begins.
    TestPolicyPage(Box<v1::TestPolicyRequest>, Walk, Paged<v1::TestPolicyPage>),
    /// Routing.ShowPolicies.
    Policies(String, oneshot::Sender<Result<v1::Policies, String>>),
    /// Routing.ShowReplication.
    Replication(oneshot::Sender<v1::Replication>),
    /// Routing.ClearBgpNeighbor.
    Clear(v1::ClearBgpNeighborRequest, oneshot::Sender<Result<v1::ClearBgpNeighborReply, String>>),
}

/// The sending end, for the ipc thread.
#[derive(Clone)]
pub struct CoreHandle {
    sender: SyncSender<Input>,
    waker: Arc<Waker>,
}

/// The core's end.
pub struct Inputs {
    /// What has arrived.
    pub receiver: Receiver<Input>,
    /// The poll that the sender's waker belongs to.
    pub poll: Poll,
}

/// A bounded queue into the core.
pub fn channel() -> Result<(CoreHandle, Inputs), RpdError> {
    let poll = Poll::new().map_err(RpdError::Poll)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(RpdError::Poll)?);
    let (sender, receiver) = sync_channel(INPUTS_MAX);
    Ok((CoreHandle { sender, waker }, Inputs { receiver, poll }))
}

impl CoreHandle {
    /// Gives the core an input; waits while its queue is full. False: the core has ended.
    pub async fn send(&self, mut input: Input) -> bool {
        loop {
            match self.sender.try_send(input) {
                Ok(()) => return self.waker.wake().is_ok(),
                Err(TrySendError::Full(back)) => {
                    input = back;
                    tokio::time::sleep(FULL_QUEUE_RETRY).await;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
    }

    /// Sends a request and waits for its answer; `None`: the core has ended.
    pub async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        if !self.send(Input::Command(command(sender))).await {
            return None;
        }
        answer.await.ok()
    }
}
