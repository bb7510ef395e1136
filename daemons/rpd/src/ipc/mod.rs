//! The ipc thread: a tokio runtime with the gRPC servers of this process and its clients towards mgd, pfed and ppmd.

mod configuration;
mod daemon_service;
mod forwarding;
mod periodic;
mod routing_service;

use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::SetBfdRequest;
use holdfast_proto::v1::daemon_server::DaemonServer;
use holdfast_proto::v1::routing_server::RoutingServer;
use tokio::sync::watch;
use tonic::transport::Server;

use crate::input::CoreHandle;

/// Runs until the process ends.
pub fn run(arguments: DaemonArgs, core: CoreHandle, bfd_wanted: watch::Receiver<Option<SetBfdRequest>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the ipc runtime: {error}");
            std::process::exit(1);
        }
    };
    runtime.block_on(async move {
        if let Err(error) = serve(arguments, core, bfd_wanted).await {
            tracing::error!("{error}");
            std::process::exit(1);
        }
    });
}

async fn serve(
    arguments: DaemonArgs,
    core: CoreHandle,
    bfd_wanted: watch::Receiver<Option<SetBfdRequest>>,
) -> Result<(), holdfast_ipc::IpcError> {
    let listener = holdfast_ipc::bind(&arguments.run_dir().daemon_socket(&arguments.slot, "rpd"))?;
    let (bfd_heard, has_heard_bfd) = watch::channel(false);
    tokio::spawn(configuration::follow(arguments.clone(), core.clone(), has_heard_bfd));
    tokio::spawn(forwarding::follow_interfaces(arguments.clone(), core.clone()));
    tokio::spawn(periodic::follow(arguments.clone(), core.clone(), bfd_wanted.clone(), bfd_heard));
    tokio::spawn(periodic::ask(arguments.clone(), bfd_wanted));
    tokio::spawn(forwarding::program(arguments, core.clone()));
    let router = Server::builder()
        .add_service(DaemonServer::new(daemon_service::DaemonService::new(core.clone())))
        .add_service(RoutingServer::new(routing_service::RoutingService::new(core)));
    holdfast_ipc::serve(listener, router, terminated()).await?;
    // SIGTERM means: it is over for this process, not for the sessions. They stay with the vault.
    std::process::exit(0);
}

async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}
