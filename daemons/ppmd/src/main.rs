//! ppmd: packets that must not pause, whoever else is busy, replaced or dead. BFD now.
//!
//! # The idea
//!
//! One ppmd serves a router, beside the slots of routing engines: none of them is needed for a session to go on, so replacing them
//! touches none. Its own replacement takes over what it holds. All that a session is lies in a record of fixed size in
//! `DIR/ppm/sessions`, a file mapped into memory that is brought up to date with every packet. A successor that is started beside it
//! gets the sockets first, while packets still flow; then the old one stops, says so, and the new one goes on from the records: that
//! takes less than a millisecond, nothing is sent twice and nothing received is lost. When ppmd was killed, its successor finds the
//! same records, and opens sockets with the same ports.
//!
//! ```text
//!   rpd ── SetBfd ────> service (tokio) ── requests ──> worker: SCHED_FIFO, epoll, locked memory ── UDP ── neighbours
//!       <─ WatchBfd ── <                <── changes ──      │
//!                                                           └── records ── DIR/ppm/sessions <── a successor
//! ```
//!
//! # The parts
//!
//! - [`worker`]: the thread with the sessions of `holdfast_bfd`. In the steady state it makes system calls for packets and timers, and
//!   nothing else: no allocation, no log, and no lock but the one that it shares with its deputy.
//! - [`deputy`]: a second thread, for the time in which the kernel holds the first one's processor. Only then does either wait for the other.
//! - [`sockets`]: where packets come in and go out. [`lateness`]: how late they were.
//! - [`handover`]: both ends of a replacement. [`service`], [`request`], [`views`]: gRPC in front of the worker.
//!
//! # What it must never do
//!
//! Let a session depend on who asked for it being alive. Wait for anybody in the worker. Send while another one does.

mod deputy;
mod error;
mod handover;
mod lateness;
mod limits;
mod request;
mod service;
mod sockets;
mod views;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use holdfast_ipc::RunDir;
use holdfast_proto::v1::periodic_server::PeriodicServer;
use tokio::signal::unix::{SignalKind, signal};

use error::PpmdError;
use handover::{Baton, Place};
use service::Service;

/// What the worker asks of it while it serves packets is counted: nothing, in the steady state.
#[global_allocator]
static ALLOCATOR: holdfast_kernel::allocations::Counting = holdfast_kernel::allocations::Counting;

/// Holdfast's periodic packets: BFD sessions that outlive everything else.
#[derive(Debug, Parser)]
#[command(name = "ppmd", version)]
struct Args {
    /// Where the router's sockets are
    #[arg(long)]
    run_dir: PathBuf,
    /// Forgets what an earlier ppmd of this run-dir has left: this is the first one since the router was started
    #[arg(long)]
    fresh: bool,
    /// Takes over from the ppmd that runs
    #[arg(long, conflicts_with = "fresh")]
    take_over: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    holdfast_ipc::init_logging("ppmd");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(&args));
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), PpmdError> {
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|source| PpmdError::Start { what: "listen for SIGTERM", source })?;
    let run_dir = RunDir::new(&args.run_dir);
    let place = Place::new(&run_dir)?;
    if args.fresh {
        place.forget()?;
    }
    let baton = if args.take_over { Some(Baton::ask(&place)?) } else { None };
    let memory_locked = lock_memory();
    let (worker, changes) = worker::start(&place, baton)?;
    let service = Service::new(worker.clone(), changes, memory_locked);
    let successor = handover::serve(&place, worker)?;
    let listener = holdfast_ipc::bind(&run_dir.periodic_socket())?;
    let router = tonic::transport::Server::builder().add_service(PeriodicServer::new(service));
    tracing::info!("ready");
    // Clients may hold their streams for ever: the end does not wait for them.
    tokio::select! {
        ended = holdfast_ipc::serve(listener, router, std::future::pending()) => ended.map_err(PpmdError::from),
        _ = terminated.recv() => Ok(()),
        () = successor => Ok(()),
    }
}

/// No packet waits for a page. Packets go on where memory cannot be locked.
fn lock_memory() -> bool {
    let locked = holdfast_kernel::realtime::lock_memory();
    if let Err(error) = &locked {
        tracing::warn!("memory cannot be locked ({error}): packets may wait for pages; grant CAP_IPC_LOCK");
    }
    locked.is_ok()
}
