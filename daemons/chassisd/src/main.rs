//! chassisd: mastership, processes, the descriptor vault and the in-service run of one router.
//!
//! **What it is for.** It outlives every routing engine. It starts one slot (re0 or re1: mgd, rpd, pfed), watches it,
//! restarts what dies, keeps the sessions' descriptors, and on request replaces the whole slot by the other one while
//! packets flow.
//!
//! **The idea.** One value, [`chassis::Chassis`], is changed by one loop (`control`) on one thread. Calls to daemons and
//! waits for processes run beside it as tasks, and come back as news in the next turn. What happens in a run is not
//! decided here but in `holdfast_issu`, which the loop feeds with events and whose requests `perform` carries out.
//!
//! ```text
//!  chassis.sock -- service -- commands --+                       +-- Request --> perform -- calls --> mgd rpd pfed
//!  signals ------------------------------+--> control <--> Issu -+-- Log, Enter --> run, journal --> followers
//!  exits, answers, watchdog ---- news ---+                       +-- End --> evidence --> report
//!  vault.sock -- its own thread -- Arc<Mutex<Vault>>
//! ```
//!
//! **The parts.** `boot`, `left_over`, `starter`: from nothing to ready. `control`, `perform`, `watchdog`: the loop. `run`,
//! `journal`, `evidence`, `ended`: what was said, kept and proven. `runtime`: how processes are run. `store`: what is on
//! disk. `image`: what routing engines are started from. `schedule`: a run that is to begin later. `steady`: whether anything
//! moved since the last one. `periodic`: ppmd, which serves the router beside the slots. `readiness`, `forecast`: what can be known before a run. `service`, `views`: the operator's side.
//! `shutdown`: the end. `fault_injection`: a test aid.
//!
//! **What it must never do.** Parse anything that comes from a network; wait without a deadline; let two routing engines
//! be primary; call a run a success without evidence; do anything slow between freezing the old rpd and committing the
//! new one.

mod alarms;
mod args;
mod boot;
mod calls;
mod chassis;
mod control;
mod ended;
mod error;
mod evidence;
mod fault_injection;
mod forecast;
mod image;
mod interrupted;
mod journal;
mod left_over;
mod limits;
mod perform;
mod periodic;
mod readiness;
mod restarts;
mod run;
mod runtime;
mod schedule;
mod service;
mod shutdown;
mod starter;
mod steady;
mod store;
mod views;
mod watchdog;

use std::process::ExitCode;

use clap::Parser;
use holdfast_ipc::RunDir;
use holdfast_proto::v1::chassis_server::ChassisServer;
use holdfast_vault::VaultServer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use args::Args;
use chassis::{Chassis, News};
use control::StopRequest;
use error::ChassisError;
use periodic::Periodic;
use service::ChassisService;
use starter::Starter;
use store::Store;

fn main() -> ExitCode {
    let args = Args::parse();
    holdfast_ipc::init_logging("chassisd");
    if args.detach {
        let _ = nix::unistd::setsid();
    }
    let starter = Starter;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(&args, &starter)),
        Err(source) => Err(ChassisError::System { what: "start the event loop", source }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            starter.tell(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args, starter: &Starter) -> Result<(), ChassisError> {
    let bin_dir = boot::bin_dir(args)?;
    let runtime = boot::runtime(args, &bin_dir)?;
    if let Some(config) = &args.config {
        boot::check_configuration(&bin_dir, config).await?;
    }
    raise_descriptor_limit();
    let mut signals = stop_signals()?;
    let store = Store::open(&args.run_dir, &args.state_dir)?;
    let made_run_dir = store.persistent.made_run_dir.is_some();
    let (news_sender, news) = mpsc::channel(limits::QUEUE_MAX);
    let (run_dir, periodic) = (RunDir::new(boot::absolute(&args.run_dir)?), Periodic::new(&bin_dir));
    let left = left_over::find(&store.persistent.processes, &run_dir, periodic.is_installed()).await;
    let mut chassis = boot::assemble(args, runtime, periodic, left, store, news_sender).inspect_err(|_| {
        if made_run_dir {
            store::discard(&args.run_dir);
        }
    })?;
    let mut sockets = None;
    let prepared = chassis.runtime.prepare().await;
    if let Err(error) = prepared {
        chassis.stop_periodic().await; // taken over; without its files nobody could reach it
        chassis.remove_files(made_run_dir);
        return Err(error);
    }
    let outcome = live(&mut chassis, &mut sockets, news, &mut signals, starter).await;
    let answer_stop = sockets.as_mut().and_then(|sockets| sockets.answer_stop.take());
    let server = sockets.map(|sockets| (sockets.end_server, sockets.server)); // the vault ends here
    chassis.stop_periodic().await; // where the start failed before anything ran
    chassis.remove_files(made_run_dir);
    if let Some(done) = answer_stop {
        let _ = done.send(());
    }
    if let Some((end_server, server)) = server {
        let _ = end_server.send(());
        // Followers of a run may hold their connections; nobody waits for them.
        let _ = tokio::time::timeout(limits::DEATH_NEWS_WAIT * 10, server).await;
    }
    outcome
}

/// What is served while the router lives.
struct Sockets {
    _vault: VaultServer,
    server: tokio::task::JoinHandle<Result<(), holdfast_ipc::IpcError>>,
    end_server: oneshot::Sender<()>,
    answer_stop: Option<oneshot::Sender<()>>,
}

fn open_sockets(chassis: &Chassis, commands: mpsc::Sender<control::Command>) -> Result<Sockets, ChassisError> {
    let pid_file = chassis.run_dir.pid_file();
    std::fs::write(&pid_file, format!("{}\n", std::process::id())).map_err(ChassisError::file(&pid_file))?;
    let vault = VaultServer::start(&chassis.run_dir.vault_socket(), chassis.vault.clone())?;
    let listener = holdfast_ipc::bind(&chassis.run_dir.chassis_socket())?;
    let (end_server, server_ends) = oneshot::channel::<()>();
    let router = tonic::transport::Server::builder().add_service(ChassisServer::new(ChassisService::new(commands)));
    let server = tokio::spawn(holdfast_ipc::serve(listener, router, async {
        let _ = server_ends.await;
    }));
    Ok(Sockets { _vault: vault, server, end_server, answer_stop: None })
}

/// From the first process to the last.
async fn live(
    chassis: &mut Chassis,
    sockets: &mut Option<Sockets>,
    mut news: mpsc::Receiver<News>,
    signals: &mut mpsc::Receiver<&'static str>,
    starter: &Starter,
) -> Result<(), ChassisError> {
    let (command_sender, mut commands) = mpsc::channel(limits::QUEUE_MAX);
    let sockets = sockets.insert(open_sockets(chassis, command_sender)?);
    let started = chassis.start_router(&mut news, &mut commands, signals, starter).await;
    let text = format!("ready: {} is primary, run-dir {}", chassis.master, chassis.run_dir.path().display());
    match started {
        Ok(()) if starter.is_gone() || !starter.tell(&text) => {
            chassis.kill_processes().await;
            return Err(ChassisError::Interrupted("whoever started the router is gone"));
        }
        Ok(()) => tracing::info!("{text}"),
        Err(error) => {
            chassis.kill_processes().await;
            return Err(error);
        }
    }
    match chassis.control(&mut news, &mut commands, signals).await {
        StopRequest::Command { flush, message, done } => {
            chassis.stop_processes(flush, &message).await;
            sockets.answer_stop = Some(done);
        }
        StopRequest::Signal => chassis.stop_processes(false, "").await,
    }
    Ok(())
}

/// Descriptors in the vault count against our limit.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn stop_signals() -> Result<mpsc::Receiver<&'static str>, ChassisError> {
    let (sender, receiver) = mpsc::channel(4);
    for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
        let mut stream = signal(kind).map_err(|source| ChassisError::System { what: "listen for signals", source })?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                let _ = sender.send(name).await;
            }
        });
    }
    Ok(receiver)
}
