//! ppmd, seen from rpd: BFD sessions are asked for there, and their states come from there. It serves the whole router: whoever
//! leads tells it what is wanted, both engines hear what becomes of it. chassisd starts it when the first session is wanted.

use std::time::Duration;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::bfd_event::Event;
use holdfast_proto::v1::chassis_client::ChassisClient;
use holdfast_proto::v1::periodic_client::PeriodicClient;
use holdfast_proto::v1::{EnsurePeriodicRequest, SetBfdRequest, WatchBfdRequest};
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::input::{CoreHandle, Input};

/// Pause between attempts to reach ppmd.
const RETRY: Duration = Duration::from_millis(20);
/// Pause between looks for it as long as it was never started and this engine wants sessions.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The same where this engine wants none: the other one may have had it started.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// Pause before what could not be put in force is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Longest wait for an answer: a thousand sessions are made in some 50 ms.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

fn client(arguments: &DaemonArgs) -> PeriodicClient<Channel> {
    PeriodicClient::new(holdfast_ipc::channel(&arguments.run_dir().periodic_socket()))
}

/// Takes states of sessions to the core; after a break the stream begins with a new snapshot. For ever. `heard`: the core has been told how all
/// stand, or there are none.
pub async fn follow(
    arguments: DaemonArgs,
    core: CoreHandle,
    mut wanted: watch::Receiver<Option<SetBfdRequest>>,
    heard: watch::Sender<bool>,
) {
    let mut client = client(&arguments);
    let name = format!("{}/rpd", arguments.slot);
    let socket = arguments.run_dir().periodic_socket();
    loop {
        if !socket.exists() {
            heard.send_replace(true);
            let wants = wanted.borrow_and_update().as_ref().is_some_and(|request| !request.sessions.is_empty());
            let pause = if wants { LOOK_AGAIN } else { LOOK_SELDOM };
            if matches!(tokio::time::timeout(pause, wanted.changed()).await, Ok(Err(_))) {
                return; // the core has ended
            }
            continue;
        }
        if let Ok(stream) = client.watch_bfd(WatchBfdRequest { client: name.clone() }).await {
            let mut stream = stream.into_inner();
            core.send(Input::BfdRestart).await;
            while let Ok(Some(event)) = stream.message().await {
                let is_all = matches!(event.event, Some(Event::SnapshotDone(_)));
                core.send(Input::Bfd(event)).await;
                if is_all {
                    heard.send_replace(true);
                }
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Has ppmd started by chassisd, if it never was.
async fn start(arguments: &DaemonArgs) -> Result<(), String> {
    let mut chassis = ChassisClient::new(holdfast_ipc::channel(&arguments.run_dir().chassis_socket()));
    let call = chassis.ensure_periodic(EnsurePeriodicRequest {});
    match tokio::time::timeout(ANSWER_DEADLINE, call).await {
        Ok(answer) => answer.map(|_| ()).map_err(|status| status.message().to_owned()),
        Err(_) => Err("chassisd does not answer".to_owned()),
    }
}

/// Tells ppmd what is wanted, as often as that changes and until it is so. For ever.
pub async fn ask(arguments: DaemonArgs, mut wanted: watch::Receiver<Option<SetBfdRequest>>) {
    let mut client = client(&arguments);
    let socket = arguments.run_dir().periodic_socket();
    let mut said = String::new();
    loop {
        let request = wanted.borrow_and_update().clone();
        let missing = !socket.exists();
        let mut pause = ASK_AGAIN;
        let done = match request {
            None => true,
            Some(request) if missing && request.sessions.is_empty() => true,
            Some(_) if missing => {
                match start(&arguments).await {
                    Ok(()) => pause = LOOK_AGAIN,
                    Err(error) if error != said => {
                        tracing::error!("BFD sessions cannot be had and are asked for again: {error}");
                        said = error;
                    }
                    Err(_) => {}
                }
                false
            }
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
                    if status.code() == tonic::Code::InvalidArgument && status.message() != said {
                        tracing::error!("BFD: {}", status.message());
                        status.message().clone_into(&mut said);
                    }
                    tracing::debug!("ppmd does not take BFD sessions yet: {}", status.message());
                    false
                }
                Err(_) => false,
            },
        };
        let changed = if done {
            wanted.changed().await
        } else {
            tokio::time::timeout(pause, wanted.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return; // the core has ended
        }
    }
}
