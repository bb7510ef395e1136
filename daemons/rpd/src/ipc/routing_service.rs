//! Service `Routing`: what operators ask, by way of mgd.

use holdfast_proto::v1;
use holdfast_proto::v1::routing_server::Routing;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::daemon_service::gone;
use crate::input::{Command, CoreHandle};

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
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Routing for RoutingService {
    type ShowRoutesStream = ReceiverStream<Result<v1::RoutePage, Status>>;

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
        let core = self.core.clone();
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        tokio::spawn(async move {
            let mut cursor = Some(0);
            while let Some(from) = cursor {
                let wanted = Box::new(request.clone());
                let page = match core.ask(|answer| Command::RoutePage(wanted, from, answer)).await {
                    Some(Ok((page, next))) => {
                        cursor = next;
                        if page.routes.is_empty() {
                            continue;
                        }
                        Ok(page)
                    }
                    Some(Err(reason)) => {
                        cursor = None;
                        Err(Status::invalid_argument(reason))
                    }
                    None => {
                        cursor = None;
                        Err(gone())
                    }
                };
                if sender.send(page).await.is_err() {
                    return; // nobody reads any more
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(pages)))
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
