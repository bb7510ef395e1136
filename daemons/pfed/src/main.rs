//! pfed: what rpd has computed, in the kernel; and what the kernel knows of interfaces, for rpd.
//!
//! # The idea
//!
//! pfed keeps two tables, the one that rpd desires and the one that the kernel has, and writes the difference; nothing
//! else is ever written. A restarted pfed reads the kernel, finds its routes and nexthop objects by their content, and has
//! nothing to write: that is the warm boot. A second pfed does the same while the first is primary, follows what the
//! first writes by the kernel's notifications, and takes over with nothing to write either.
//!
//! # The parts
//!
//! - [`fib`]: the two tables, without I/O: digests, differences, batches planned and taken back.
//! - [`links`], [`interface_plan`]: interfaces as they are, and as they are configured. [`history`]: what the other slot has seen of them.
//! - [`neighbors`]: who is on the links, and does not answer.
//! - [`agent`]: the loop that owns all of it. [`writer`], [`loader`], [`comparer`]: the threads that block in the kernel.
//! - [`service`], [`request`]: gRPC in front of it. [`configuration`]: mgd beside it.
//!
//! # What it must never do
//!
//! Touch what does not carry Holdfast's mark. Remove anything before the whole desired table is known. Write while it
//! is not primary. Wait for anybody while it holds up the loop.

mod agent;
mod comparer;
mod configuration;
mod error;
mod fault_injection;
mod fib;
mod history;
mod interface_plan;
mod limits;
mod links;
mod loader;
mod neighbors;
mod request;
mod service;
mod writer;

use std::process::ExitCode;

use clap::Parser;
use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::daemon_server::DaemonServer;
use holdfast_proto::v1::forwarding_server::ForwardingServer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use agent::{Agent, Inputs};
use error::PfedError;

/// Holdfast's forwarding agent: programs routes and interfaces into the kernel.
#[derive(Debug, Parser)]
#[command(name = "pfed", version)]
struct Args {
    #[command(flatten)]
    daemon: DaemonArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    holdfast_ipc::init_logging("pfed");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(&args.daemon));
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &DaemonArgs) -> Result<(), PfedError> {
    use_nexthop_objects_alone();
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|source| PfedError::Start { what: "listen for SIGTERM", source })?;
    let writer = writer::spawn()?;
    let (newest_configuration, configuration) = watch::channel(None);
    let (report, reports) = watch::channel(None);
    let mgd = args.run_dir().daemon_socket(&args.slot, "mgd");
    let agent = Agent::new(args, writer, report)?;
    tokio::spawn(configuration::follow(mgd.clone(), newest_configuration));
    tokio::spawn(configuration::report(mgd, reports));

    let (ask, requests) = mpsc::channel(limits::REQUEST_QUEUE);
    let (shut_down, shutdown) = watch::channel(false);
    history::fetch(args, ask.clone());
    let service = service::Service::new(ask);
    let listener = holdfast_ipc::bind(&args.run_dir().daemon_socket(&args.slot, "pfed"))?;
    let forwarding = ForwardingServer::new(service.clone()).max_decoding_message_size(limits::FIB_BATCH_BYTES_MAX);
    let router = tonic::transport::Server::builder()
        .initial_stream_window_size(limits::PROGRAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::PROGRAM_WINDOW_BYTES)
        .add_service(DaemonServer::new(service))
        .add_service(forwarding);
    let (close, closed) = oneshot::channel::<()>();
    let server = holdfast_ipc::serve(listener, router, async move { drop(closed.await) });
    tokio::spawn(async move {
        terminated.recv().await;
        shut_down.send_replace(true);
        // Keeps the channel open: its end would mean the same again and again.
        std::future::pending::<()>().await;
    });
    tokio::pin!(server);
    let ended = tokio::select! {
        ended = agent.run(Inputs { requests, configuration, shutdown }) => ended,
        ended = &mut server => return ended.map_err(PfedError::from),
    };
    // The last answers (to Terminate, say) are still on their way.
    let _ = close.send(());
    let _ = tokio::time::timeout(limits::LAST_ANSWERS, server).await;
    ended
}

/// With `nexthop_compat_mode` a change to a nexthop object costs a notification for every route that uses it.
fn use_nexthop_objects_alone() {
    const PATH: &str = "/proc/sys/net/ipv4/nexthop_compat_mode";
    if std::fs::read_to_string(PATH).is_ok_and(|mode| mode.trim() == "0") {
        return;
    }
    if let Err(error) = std::fs::write(PATH, "0") {
        tracing::warn!(
            "{PATH} cannot be set to 0 ({error}); everything works, changes of nexthops under many routes take longer"
        );
    }
}
