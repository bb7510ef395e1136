//! pfed, seen from rpd: interfaces come from there, forwarding entries go there.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::WatchInterfacesRequest;
use holdfast_proto::v1::forwarding_client::ForwardingClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::input::{CoreHandle, Input};
use crate::limits::{FIB_WINDOW, FIB_WINDOW_URGENT};

/// Pause between attempts to reach pfed.
const RETRY: Duration = Duration::from_millis(50);

fn client(arguments: &DaemonArgs) -> ForwardingClient<Channel> {
    ForwardingClient::new(holdfast_ipc::channel(&arguments.run_dir().daemon_socket(&arguments.slot, "pfed")))
}

/// Takes interface events to the core; after a break the stream begins with a new snapshot. For ever.
pub async fn follow_interfaces(arguments: DaemonArgs, core: CoreHandle) {
    let mut client = client(&arguments);
    loop {
        if let Ok(stream) = client.watch_interfaces(WatchInterfacesRequest {}).await {
            let mut stream = stream.into_inner();
            core.send(Input::InterfacesRestart).await;
            while let Ok(Some(event)) = stream.message().await {
                core.send(Input::Interface(event)).await;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Keeps a stream of forwarding entries to pfed open. For ever.
pub async fn program(arguments: DaemonArgs, core: CoreHandle) {
    let mut client = client(&arguments);
    loop {
        let (sender, batches) = mpsc::channel((FIB_WINDOW + FIB_WINDOW_URGENT) as usize);
        // The core may fill the stream before pfed has answered the call: some servers answer on the first message only.
        core.send(Input::FibOpened(sender)).await;
        match client.program(ReceiverStream::new(batches)).await {
            Ok(acks) => {
                let mut acks = acks.into_inner();
                loop {
                    match acks.message().await {
                        Ok(Some(ack)) => {
                            core.send(Input::FibAck(ack)).await;
                        }
                        Ok(None) => break,
                        Err(status) => {
                            tracing::warn!("pfed ended the stream of routes: {}", status.message());
                            break;
                        }
                    }
                }
            }
            Err(status) => tracing::debug!("pfed does not take routes yet: {}", status.message()),
        }
        core.send(Input::FibClosed).await;
        tokio::time::sleep(RETRY).await;
    }
}
