//! ppmd, seen from rpd: BFD sessions are asked for there, and their states come from there. It serves the whole router: whoever
//! leads tells it what is wanted, both engines hear what becomes of it.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::periodic_client::PeriodicClient;
use holdfast_proto::v1::{SetBfdRequest, WatchBfdRequest};
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::input::{CoreHandle, Input};

/// Pause between attempts to reach ppmd.
const RETRY: Duration = Duration::from_millis(20);
/// Pause before what could not be put in force is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Longest wait for an answer: a thousand sessions are made in some 50 ms.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

fn client(arguments: &DaemonArgs) -> PeriodicClient<Channel> {
    PeriodicClient::new(holdfast_ipc::channel(&arguments.run_dir().periodic_socket()))
}

/// Takes states of sessions to the core; after a break the stream begins with a new snapshot. For ever.
pub async fn follow(arguments: DaemonArgs, core: CoreHandle) {
    let mut client = client(&arguments);
    let name = format!("{}/rpd", arguments.slot);
    loop {
        if let Ok(stream) = client.watch_bfd(WatchBfdRequest { client: name.clone() }).await {
            let mut stream = stream.into_inner();
            core.send(Input::BfdRestart).await;
            while let Ok(Some(event)) = stream.message().await {
                core.send(Input::Bfd(event)).await;
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Tells ppmd what is wanted, as often as that changes and until it is so. For ever.
pub async fn ask(arguments: DaemonArgs, mut wanted: watch::Receiver<Option<SetBfdRequest>>) {
    let mut client = client(&arguments);
    let mut said = String::new();
    loop {
        let request = wanted.borrow_and_update().clone();
        let done = match request {
            None => true,
            Some(request) => match tokio::time::timeout(ANSWER_DEADLINE, client.set_bfd(request)).await {
                Ok(Ok(reply)) => {
                    let error = reply.into_inner().error;
                    if !error.is_empty() && error != said {
                        tracing::error!("BFD: {error}");
                    }
                    said = error;
                    said.is_empty()
                }
                Ok(Err(status)) => {
                    tracing::debug!("ppmd does not take BFD sessions yet: {}", status.message());
                    false
                }
                Err(_) => false,
            },
        };
        let changed = if done {
            wanted.changed().await
        } else {
            tokio::time::timeout(ASK_AGAIN, wanted.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return; // the core has ended
        }
    }
}
