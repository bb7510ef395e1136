//! The gRPC services `Daemon` and `Forwarding`: every call becomes a request to the agent.

use std::sync::Arc;
use std::time::Instant;

use holdfast_proto::v1;
use holdfast_proto::v1::daemon_server::Daemon;
use holdfast_proto::v1::forwarding_server::Forwarding;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};

use crate::comparer;
use crate::fib::Cursor;
use crate::limits::{ACK_QUEUE, COMPARISON_QUEUE, FAILURE_WORDS, PROGRAM_QUEUE};
use crate::neighbors;
use crate::request::{Compared, FailureWord, ProgramEnds, Reply, Request};

/// Both services; cheap to clone.
#[derive(Debug, Clone)]
pub struct Service {
    agent: mpsc::Sender<Request>,
    /// One comparison at a time: each has a table of its own.
    comparing: Arc<Semaphore>,
}

impl Service {
    /// For an agent that listens at the other end.
    pub fn new(agent: mpsc::Sender<Request>) -> Self {
        Self { agent, comparing: Arc::new(Semaphore::new(1)) }
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        let ended = || Status::unavailable("pfed is ending");
        self.agent.send(request(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    async fn call<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<Response<T>, Status> {
        self.ask(request).await.map(Response::new)
    }
}

type Incoming<T> = tonic::Request<T>;

#[tonic::async_trait]
impl Daemon for Service {
    async fn status(&self, _: Incoming<v1::StatusRequest>) -> Result<Response<v1::DaemonStatus>, Status> {
        self.call(Request::Status).await
    }

    async fn synchronization(
        &self,
        _: Incoming<v1::SynchronizationRequest>,
    ) -> Result<Response<v1::SynchronizationReply>, Status> {
        self.call(Request::Synchronization).await
    }

    async fn prepare(&self, _: Incoming<v1::PrepareRequest>) -> Result<Response<v1::PrepareReply>, Status> {
        self.call(Request::Prepare).await
    }

    async fn cancel(&self, _: Incoming<v1::CancelRequest>) -> Result<Response<v1::CancelReply>, Status> {
        // Prepare only looks; there is nothing to take back.
        Ok(Response::new(v1::CancelReply {}))
    }

    async fn freeze(&self, request: Incoming<v1::FreezeRequest>) -> Result<Response<v1::FreezeReply>, Status> {
        self.call(|reply| Request::Freeze(request.into_inner(), reply)).await
    }

    async fn activate(&self, request: Incoming<v1::ActivateRequest>) -> Result<Response<v1::ActivateReply>, Status> {
        self.call(|reply| Request::Activate(request.into_inner(), reply)).await
    }

    async fn commit(&self, request: Incoming<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        self.call(|reply| Request::Commit(request.into_inner(), reply)).await
    }

    async fn follow(&self, request: Incoming<v1::FollowRequest>) -> Result<Response<v1::FollowReply>, Status> {
        self.call(|reply| Request::Follow(request.into_inner(), reply)).await
    }

    async fn verify(&self, _: Incoming<v1::VerifyRequest>) -> Result<Response<v1::VerifyReply>, Status> {
        self.call(Request::Verify).await
    }

    async fn terminate(&self, request: Incoming<v1::TerminateRequest>) -> Result<Response<v1::TerminateReply>, Status> {
        self.call(|reply| Request::Terminate(request.into_inner(), reply)).await
    }
}

#[tonic::async_trait]
impl Forwarding for Service {
    type WatchInterfacesStream = ReceiverStream<Result<v1::InterfaceEvent, Status>>;
    type ProgramStream = ReceiverStream<Result<v1::FibAck, Status>>;
    type ShowForwardingTableStream = ReceiverStream<Result<v1::ForwardingPage, Status>>;

    async fn watch_interfaces(
        &self,
        _: Incoming<v1::WatchInterfacesRequest>,
    ) -> Result<Response<Self::WatchInterfacesStream>, Status> {
        Ok(Response::new(ReceiverStream::new(self.ask(Request::WatchInterfaces).await?)))
    }

    async fn program(
        &self,
        request: Incoming<Streaming<v1::FibBatch>>,
    ) -> Result<Response<Self::ProgramStream>, Status> {
        let mut incoming = request.into_inner();
        let (send_batch, batches) = mpsc::channel(PROGRAM_QUEUE);
        let (send_word, words) = mpsc::channel(FAILURE_WORDS);
        let (acks, acks_out) = mpsc::channel(ACK_QUEUE);
        let ended = |_| Status::unavailable("pfed is ending");
        self.agent.send(Request::Program(ProgramEnds { batches, words, acks })).await.map_err(ended)?;
        tokio::spawn(async move {
            let mut place = 0;
            while let Ok(Some(batch)) = incoming.message().await {
                place += 1;
                if let Some(word) = FailureWord::of(&batch, place) {
                    // Where there is no room it is heard with its batch.
                    let _ = send_word.try_send(word);
                }
                if send_batch.send(batch).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(acks_out)))
    }

    async fn show_interfaces(
        &self,
        request: Incoming<v1::ShowInterfacesRequest>,
    ) -> Result<Response<v1::Interfaces>, Status> {
        self.call(|reply| Request::ShowInterfaces(request.into_inner().name, reply)).await
    }

    async fn show_neighbors(
        &self,
        request: Incoming<v1::ShowNeighborsRequest>,
    ) -> Result<Response<v1::NeighborEntries>, Status> {
        // Not the agent's business: the kernel is asked, and nothing is kept.
        let list = tokio::task::spawn_blocking(move || neighbors::list(&request.into_inner()));
        let listed = list.await.map_err(|error| Status::internal(error.to_string()))?;
        listed.map(Response::new).map_err(|error| Status::internal(error.to_string()))
    }

    async fn show_forwarding_table(
        &self,
        request: Incoming<v1::ShowForwardingTableRequest>,
    ) -> Result<Response<Self::ShowForwardingTableStream>, Status> {
        let text = request.into_inner().prefix;
        let (pages, pages_out) = mpsc::channel(2);
        if !text.is_empty() {
            let prefix = parse_prefix(&text)?;
            let entries = self.ask(|reply| Request::ShowRoute(prefix, reply)).await?.into_iter().collect();
            let _ = pages.send(Ok(v1::ForwardingPage { entries })).await;
            return Ok(Response::new(ReceiverStream::new(pages_out)));
        }
        let service = self.clone();
        tokio::spawn(async move {
            let mut cursor = Cursor::default();
            loop {
                let page = service.ask(|reply| Request::ShowPage(cursor, reply)).await;
                let message = match page {
                    Ok((entries, _)) if entries.is_empty() => return,
                    Ok((entries, next)) => {
                        cursor = next;
                        Ok(v1::ForwardingPage { entries })
                    }
                    Err(status) => Err(status),
                };
                let last = message.is_err();
                if pages.send(message).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(pages_out)))
    }

    async fn show_forwarding_summary(
        &self,
        _: Incoming<v1::ShowForwardingSummaryRequest>,
    ) -> Result<Response<v1::ForwardingSummary>, Status> {
        self.call(Request::ShowSummary).await
    }

    async fn compare_forwarding(
        &self,
        request: Incoming<Streaming<v1::FibBatch>>,
    ) -> Result<Response<v1::ForwardingComparison>, Status> {
        let busy = |_| Status::resource_exhausted("a comparison of the tables is under way; try again after it");
        let _only = self.comparing.try_acquire().map_err(busy)?;
        let began = Instant::now();
        let (send, batches) = mpsc::channel(COMPARISON_QUEUE);
        let internal = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
        let second = comparer::spawn(batches).map_err(|error| internal(&error))?;
        let mut incoming = request.into_inner();
        // A stream that breaks has not said everything: its last batch is missing.
        while let Ok(Some(batch)) = incoming.message().await {
            let last = batch.end_of_sync;
            if send.send(batch).await.is_err() || last {
                break;
            }
        }
        drop(send);
        let second = second.await.map_err(|_| Status::internal("the thread that compares has ended"))?;
        let mut comparison = Box::new(second.map_err(|error| internal(&error))?);
        loop {
            match self.ask(|reply| Request::Compare(comparison, reply)).await? {
                Compared::More(more) => comparison = more,
                Compared::Done(done) => {
                    let took_ms = began.elapsed().as_millis() as u64;
                    return Ok(Response::new(v1::ForwardingComparison { took_ms, ..done }));
                }
            }
        }
    }

    async fn mend_forwarding(
        &self,
        request: Incoming<v1::MendForwardingRequest>,
    ) -> Result<Response<v1::MendForwardingReply>, Status> {
        self.call(|reply| Request::Mend(request.into_inner(), reply)).await
    }
}

/// A prefix, or an address that stands for itself alone.
fn parse_prefix(text: &str) -> Result<ipnet::IpNet, Status> {
    let address = || text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from);
    text.parse()
        .ok()
        .or_else(address)
        .ok_or_else(|| Status::invalid_argument(format!("{text:?} is neither a prefix nor an address")))
}
