//! Calls to the daemons: one channel per process, every call with a deadline, every failure in words.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::daemon_client::DaemonClient;
use holdfast_proto::v1::forwarding_client::ForwardingClient;
use holdfast_proto::v1::management_client::ManagementClient;
use holdfast_proto::v1::routing_client::RoutingClient;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::limits;

/// Replies with every neighbour's details outgrow tonic's default of 4 MiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The way to one daemon. Connects by itself; cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    channel: Channel,
}

impl Link {
    /// To whoever listens on `socket`.
    pub fn new(socket: &Path) -> Self {
        Link { channel: holdfast_ipc::channel(socket) }
    }

    /// The service every daemon has.
    pub fn daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// mgd's.
    pub fn management(&self) -> ManagementClient<Channel> {
        ManagementClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// rpd's.
    pub fn routing(&self) -> RoutingClient<Channel> {
        RoutingClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// pfed's.
    pub fn forwarding(&self) -> ForwardingClient<Channel> {
        ForwardingClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Liveness and state.
    pub async fn status(&self, within: Duration) -> Result<v1::DaemonStatus, String> {
        answer(within, self.daemon().status(v1::StatusRequest {})).await
    }
}

/// The answer, or why there is none.
pub async fn answer<T>(within: Duration, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, String> {
    match tokio::time::timeout(within, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => {
            if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal) {
                tokio::time::sleep(limits::DEATH_NEWS_WAIT).await;
            }
            Err(if status.message().is_empty() { status.code().to_string() } else { status.message().into() })
        }
        Err(_) => Err(format!("no answer within {} ms", within.as_millis())),
    }
}
