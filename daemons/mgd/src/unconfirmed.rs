//! A commit that is taken back unless it is confirmed in time (`commit confirmed`): an operator who has cut himself off from
//! the router gets back to it.
//!
//! The configuration that comes back lies in the state-dir (`config/unconfirmed.conf`) with the commit that waits and its time. So
//! the way back outlives this mgd, however it ends, and the router; whoever is primary takes it. Any commit confirms, or replaces,
//! the one that waits; another `commit confirmed` gives it more time, and what comes back is still what was in
//! force before the first of them (RFC 6241 §8.4.1).
//!
//! The time is the monotonic clock's, which nobody sets. On a machine that was started anew that clock begins again: then the time is over.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use holdfast_config::Configuration;
use holdfast_proto::v1::Role;
use serde::{Deserialize, Serialize};

use crate::{
    commit::{Committing, no_run, put_in_force},
    error::MgdError,
    limits::{CONFIRMATION_POLL, CONFIRMATION_RETRY},
    state::State,
    store::{self, Committed},
};

/// The first line of the file, behind which stands JSON. A comment to every reader of the text.
const HEADER: &str = "## Unconfirmed: ";

/// Who takes a commit back, as `show system commit` names him.
const USER: &str = "holdfast";

/// A commit that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unconfirmed {
    /// The newest one that waits.
    pub commit_id: u64,
    /// Who made it.
    pub user: String,
    /// The one that comes back.
    pub back_to: u64,
    /// When it does; wall clock.
    pub until_unix_ms: u64,
}

/// The same with its time and what comes back.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// What operators are told.
    pub commit: Unconfirmed,
    time: Time,
    text: String,
}

/// By the monotonic clock, in nanoseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Time {
    /// Which start of the machine the clock is of; empty: not known.
    #[serde(default)]
    boot: String,
    from_mono_ns: u64,
    until_mono_ns: u64,
}

/// Another one after every start of the machine.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The line before the text.
#[derive(Serialize, Deserialize)]
struct Header {
    commit: Unconfirmed,
    time: Time,
}

impl Waiting {
    /// A commit that waits from now on. `before` was in force until now; `earlier` is the commit that waits already.
    pub fn new(before: &Committed, commit_id: u64, user: &str, within: Duration, earlier: Option<&Waiting>) -> Self {
        let (back_to, text) = match earlier {
            Some(earlier) => (earlier.commit.back_to, earlier.text.clone()),
            None => (before.commit_id, before.configuration.to_text().to_owned()),
        };
        let from_mono_ns = holdfast_ipc::mono_ns();
        let until_mono_ns = from_mono_ns.saturating_add(within.as_nanos() as u64);
        let until_unix_ms = holdfast_ipc::unix_ms().saturating_add(within.as_millis() as u64);
        let commit = Unconfirmed { commit_id, user: user.to_owned(), back_to, until_unix_ms };
        Self { commit, time: Time { boot: boot(), from_mono_ns, until_mono_ns }, text }
    }

    fn is_over(&self) -> bool {
        let Time { boot: began, from_mono_ns, until_mono_ns } = &self.time;
        let anew = !began.is_empty() && *began != boot();
        anew || !(*from_mono_ns..*until_mono_ns).contains(&holdfast_ipc::mono_ns())
    }
}

fn path(state: &State) -> PathBuf {
    state.state_dir.join("config").join("unconfirmed.conf")
}

/// The commit that waits, if what is in force is one.
pub fn waiting(state: &State) -> Option<Waiting> {
    waiting_as(state, state.configuration()?.commit_id)
}

/// The commit that waits, if this one is.
pub fn waiting_as(state: &State, in_force: u64) -> Option<Waiting> {
    let text = fs::read_to_string(path(state)).ok()?;
    let (first, text) = text.split_once('\n')?;
    let Header { commit, time } = serde_json::from_str(first.strip_prefix(HEADER)?).ok()?;
    // A crash between the file and the commit that it is for leaves one for a commit that never was.
    let waits = commit.back_to < in_force && in_force <= commit.commit_id;
    waits.then(|| Waiting { commit, time, text: text.to_owned() })
}

/// Keeps the way back.
pub fn keep(state: &State, waiting: &Waiting) -> Result<(), MgdError> {
    let header = Header { commit: waiting.commit.clone(), time: waiting.time.clone() };
    let header = serde_json::to_string(&header).unwrap_or_default();
    store::write(&path(state), format!("{HEADER}{header}\n{}", waiting.text).as_bytes())
}

/// Nothing waits any more.
pub fn discard(state: &State) -> Result<(), MgdError> {
    let path = path(state);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(MgdError::File { action: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// Takes back what nobody has confirmed, for as long as this process lives. Only a primary does.
pub async fn watch(state: Arc<State>) {
    let mut stop = state.stop.subscribe();
    let mut pause = CONFIRMATION_POLL;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => pause = CONFIRMATION_POLL,
        }
        if state.term().role != Role::Primary {
            continue;
        }
        let Some(waiting) = waiting(&state).filter(Waiting::is_over) else { continue };
        if let Err(reason) = take_back(&state, &waiting).await {
            let Unconfirmed { commit_id, .. } = waiting.commit;
            tracing::error!("commit {commit_id} was not confirmed and could not be taken back yet: {reason}");
            pause = CONFIRMATION_RETRY;
        }
    }
}

/// Done at once, or later: a run, or a commit that is being applied, comes first.
async fn take_back(state: &Arc<State>, waiting: &Waiting) -> Result<(), String> {
    let Unconfirmed { commit_id, user, back_to, .. } = &waiting.commit;
    let Ok(committing) = Committing::begin(state, USER) else { return Ok(()) };
    if no_run(state).await.is_err() {
        return Ok(());
    }
    // Beside other work, as the check of a commit is.
    let (text, models) = (waiting.text.clone(), state.clone());
    let parsing = move || Configuration::parse("unconfirmed.conf", &text, &models.schema);
    let parsed = tokio::task::spawn_blocking(parsing).await.map_err(|error| error.to_string())?;
    let configuration = parsed.map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        format!("this version does not understand commit {back_to}: {first}")
    })?;
    let in_force = state.configuration().ok_or("there is no configuration in force")?;
    tracing::warn!("commit {commit_id} by {user} was not confirmed: back to commit {back_to}");
    let next = Committed {
        commit_id: in_force.commit_id + 1,
        unix_ms: holdfast_ipc::unix_ms(),
        user: USER.to_owned(),
        comment: format!("commit {commit_id} by {user} was not confirmed: back to commit {back_to}"),
        configuration,
    };
    put_in_force(committing, in_force, next, None).await.map(|_| ())
}
