//! What the agent of the other slot has seen of the links: the kernel counts how often a carrier came and went, and does
//! not say when. A backup asks once, when it starts; who does not get an answer shows what it sees itself.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::forwarding_client::ForwardingClient;
use holdfast_proto::v1::{Role, ShowInterfacesRequest};
use tokio::sync::mpsc;

use crate::request::Request;

/// The other agent asks the kernel for its links and their speeds, which is a matter of milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks for it, and gives it to the agent.
pub fn fetch(args: &DaemonArgs, agent: mpsc::Sender<Request>) {
    if args.role() == Role::Primary {
        return;
    }
    let other = if args.slot == "re0" { "re1" } else { "re0" };
    let mut client = ForwardingClient::new(holdfast_ipc::channel(&args.run_dir().daemon_socket(other, "pfed")));
    tokio::spawn(async move {
        let answer =
            tokio::time::timeout(ANSWER_TIMEOUT, client.show_interfaces(ShowInterfacesRequest::default())).await;
        match answer {
            Ok(Ok(seen)) => drop(agent.send(Request::AdoptHistory(seen.into_inner().interfaces)).await),
            Ok(Err(status)) => tracing::debug!("{other} does not say when links have flapped: {}", status.message()),
            Err(_) => tracing::debug!("{other} does not say in time when links have flapped"),
        }
    });
}
