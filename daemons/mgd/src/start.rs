//! Start-up and the life of the process.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use holdfast_config::Schema;
use holdfast_ipc::DaemonArgs;
use holdfast_proto::v1::{Role, daemon_server::DaemonServer, management_server::ManagementServer};
use tonic::transport::Server;

use crate::{
    daemon_service::DaemonService,
    error::MgdError,
    limits,
    management_service::ManagementService,
    peer,
    state::{NAME, State},
    store::{self, Committed, Store},
    unconfirmed,
};

/// Runs until chassisd ends it.
pub fn run(args: DaemonArgs, load: Option<PathBuf>) -> ExitCode {
    holdfast_ipc::init_logging(NAME);
    match serve(args, load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: DaemonArgs, load: Option<PathBuf>) -> Result<(), MgdError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MgdError::Runtime)?;
    let schema = Schema::load()?;
    // Channels to the other daemons belong to a runtime from their beginning.
    let state = {
        let _inside = runtime.enter();
        State::new(&args, schema)
    };
    runtime.block_on(async {
        begin(&state, load.as_deref());
        serve_state(state).await
    })
}

/// Gets the configuration: from disk as the primary, from the primary as a backup. A failure is told in `Status.error`,
/// so that whoever starts the router can show it.
pub fn begin(state: &Arc<State>, load: Option<&Path>) {
    tokio::spawn(unconfirmed::watch(state.clone()));
    if state.term().role == Role::Backup {
        tokio::spawn(peer::follow(state.clone()));
        return;
    }
    match load_active(state, load) {
        Ok(committed) => {
            tracing::info!(commit = committed.commit_id, "configuration in force");
            state.publish(committed);
        }
        Err(error) => {
            tracing::error!("{error}");
            state.lock().error = error.to_string();
        }
    }
}

fn load_active(state: &State, load: Option<&Path>) -> Result<Committed, MgdError> {
    let store = Store::new(&state.state_dir);
    let Some(file) = load else { return store.load(&state.schema) };
    let (_, configuration) = store::read(file, &state.schema)?;
    // Somebody has said at this very machine what is to be in force.
    unconfirmed::discard(state)?;
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let user = user.map_or_else(|| "unknown".to_owned(), |user| user.name);
    store.commit(configuration, &user, holdfast_ipc::unix_ms(), "", &state.schema)
}

/// Serves both services on the slot's socket until the state says stop.
pub async fn serve_state(state: Arc<State>) -> Result<(), MgdError> {
    let socket = state.run_dir.daemon_socket(&state.slot, NAME);
    let listener = holdfast_ipc::bind(&socket)?;
    let management = ManagementServer::new(ManagementService::new(state.clone()))
        .max_decoding_message_size(limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(holdfast_ipc::CONFIGURATION_BYTES_MAX);
    let router =
        Server::builder().add_service(management).add_service(DaemonServer::new(DaemonService::new(state.clone())));
    let mut stop = state.stop.subscribe();
    // Streams to subscribers never end by themselves; a retired mgd does not wait for them.
    let mut stopped = state.stop.subscribe();
    tokio::select! {
        served = holdfast_ipc::serve(listener, router, async move { let _ = stop.wait_for(|stop| *stop).await; }) => served?,
        () = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        } => {}
    }
    tracing::info!("mgd ends");
    Ok(())
}
