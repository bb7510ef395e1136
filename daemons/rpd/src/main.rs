//! `rpd`: the routing process. It ties the BGP engine and the RIB to sockets, to pfed, mgd and chassisd.
//!
//! Two threads. The **core** ([`core`]) is one loop over epoll that owns everything which routes: speaker, RIB, TCP
//! sessions, the replication stream. It works in bounded slices, so that a keepalive never waits for a table. The **ipc** thread
//! ([`ipc`]) is a tokio runtime: gRPC towards mgd, pfed, chassisd and operators. They talk through bounded queues only
//! ([`input`]).
//!
//! Roles come from chassisd: a primary owns sessions; a backup follows its facts and computes everything else; a
//! switchover is Freeze here, Activate and Commit there (`core::handoff`).

mod core;
mod destinations;
mod error;
mod fault_injection;
mod input;
mod ipc;
mod limits;

use std::process::ExitCode;

use clap::Parser;
use holdfast_ipc::DaemonArgs;

#[derive(Parser)]
#[command(name = "rpd", version, about = "Holdfast's routing process; started by chassisd")]
struct Arguments {
    #[command(flatten)]
    daemon: DaemonArgs,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse().daemon;
    holdfast_ipc::init_logging("rpd");
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("rpd ends: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: DaemonArgs) -> Result<(), error::RpdError> {
    let (handle, inputs) = input::channel()?;
    let (bfd_wanted, wanted) = tokio::sync::watch::channel(None);
    let core = core::Core::new(&arguments, inputs, bfd_wanted)?;
    let ipc_handle = handle.clone();
    let ipc_arguments = arguments.clone();
    let ipc = std::thread::Builder::new()
        .name("rpd-ipc".into())
        .spawn(move || ipc::run(ipc_arguments, ipc_handle, wanted))
        .map_err(error::RpdError::Thread)?;
    let result = core.run();
    drop(ipc); // ends with the process
    result
}
