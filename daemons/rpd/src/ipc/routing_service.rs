//! Service `Routing`: what operators ask, by way of mgd.

use holdfast_proto::v1;
use holdfast_proto::v1::routing_server::Routing;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::daemon_service::gone;
use crate::input::{Command, CoreHandle, Paged};

/// Pages of routes made ahead of a slow reader.
const PAGES_AHEAD: usize = 2;

/// The service.
pub struct RoutingService {
    core: CoreHandle,
}

impl RoutingService {
    /// Answers out of this core.
    pub fn new(core: CoreHandle) -> Self {
        Self { core }
    }

    /// Asks for one page after the other as fast as they are read; empty ones are passed over.
    fn pages<T: Send + 'static, P: Default + Send + 'static>(
        &self,
        page: impl Fn(P, Paged<T, P>) -> Command + Send + Sync + 'static,
        is_empty: fn(&T) -> bool,
    ) -> Response<Pages<T>> {
        let core = self.core.clone();
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        tokio::spawn(async move {
            let mut place = Some(P::default());
            while let Some(from) = place.take() {
                let answer = match core.ask(|answer| page(from, answer)).await {
                    Some(Ok((page, next))) => {
                        place = next;
                        if is_empty(&page) {
                            continue;
                        }
                        Ok(page)
                    }
                    Some(Err(reason)) => Err(Status::invalid_argument(reason)),
                    None => Err(gone()),
                };
                if sender.send(answer).await.is_err() {
                    return; // nobody reads any more
                }
            }
        });
        Response::new(ReceiverStream::new(pages))
    }
}

type Pages<T> = ReceiverStream<Result<T, Status>>;
type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Routing for RoutingService {
    type ShowRoutesStream = Pages<v1::RoutePage>;
    type ShowForwardingStream = Pages<v1::FibBatch>;
    type TestPolicyStream = Pages<v1::TestPolicyPage>;

    async fn show_bgp_summary(&self, _: Request<v1::ShowBgpSummaryRequest>) -> Answer<v1::BgpSummary> {
        self.core.ask(Command::BgpSummary).await.map(Response::new).ok_or_else(gone)
    }

    async fn show_bgp_neighbors(&self, request: Request<v1::ShowBgpNeighborsRequest>) -> Answer<v1::BgpNeighbors> {
        let address = request.into_inner().address;
        let answer = self.core.ask(|sender| Command::BgpNeighbors(address, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(Status::not_found)
    }

    async fn show_routes(&self, request: Request<v1::ShowRoutesRequest>) -> Answer<Self::ShowRoutesStream> {
        let request = request.into_inner();
        let page = move |from, answer| Command::RoutePage(Box::new(request.clone()), from, answer);
        Ok(self.pages(page, |page| page.routes.is_empty()))
    }

    async fn show_forwarding(&self, _: Request<v1::ShowForwardingRequest>) -> Answer<Self::ShowForwardingStream> {
        Ok(self.pages(Command::ForwardingPage, v1::FibBatch::has_no_routes))
    }

    async fn test_policy(&self, request: Request<v1::TestPolicyRequest>) -> Answer<Self::TestPolicyStream> {
        let request = request.into_inner();
        let page = move |from, answer| Command::TestPolicyPage(Box::new(request.clone()), from, answer);
        Ok(self.pages(page, |page| page.routes.is_empty()))
    }

    async fn show_policies(&self, request: Request<v1::ShowPoliciesRequest>) -> Answer<v1::Policies> {
        let name = request.into_inner().policy;
        let answer = self.core.ask(|sender| Command::Policies(name, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(Status::not_found)
    }

    async fn show_route_summary(&self, _: Request<v1::ShowRouteSummaryRequest>) -> Answer<v1::RouteSummary> {
        self.core.ask(Command::RouteSummary).await.map(Response::new).ok_or_else(gone)
    }

    async fn show_replication(&self, _: Request<v1::ShowReplicationRequest>) -> Answer<v1::Replication> {
        self.core.ask(Command::Replication).await.map(Response::new).ok_or_else(gone)
    }

    async fn clear_bgp_neighbor(
        &self,
        request: Request<v1::ClearBgpNeighborRequest>,
    ) -> Answer<v1::ClearBgpNeighborReply> {
        let request = request.into_inner();
        let answer = self.core.ask(|sender| Command::Clear(request, sender)).await.ok_or_else(gone)?;
        answer.map(Response::new).map_err(Status::not_found)
    }
}
