//! The candidate: the configuration that operators are editing, one for all of them.
//!
//! It lies in the state-dir and nowhere else (`config/candidate.conf`), written whole with every edit. So it outlives this
//! mgd, whether it is killed or replaced in service, and whoever is primary goes on with it. No file means that nothing
//! was changed since the last commit.
//!
//! A client that wants the candidate for itself holds a lock (flock) on `config/exclusive.lock`, with its name in it. The
//! kernel lets go of it when the client ends, however it ends; mgd only looks.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use holdfast_config::{Draft, Schema};
use serde::{Deserialize, Serialize};

use crate::{
    error::MgdError,
    state::State,
    store::{self, Store},
    unconfirmed::{self, Unconfirmed},
};

/// The first line of the file, behind which stands JSON. A comment to every reader of the text.
const HEADER: &str = "## Candidate: ";

/// Who has edited last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The operator.
    pub user: String,
    /// When; wall clock.
    pub unix_ms: u64,
    /// The commit that was in force when the editing began.
    pub on_commit: u64,
}

/// Who has the candidate for himself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The client's name for itself.
    pub session: String,
    /// The operator.
    pub user: String,
    /// Since when; wall clock.
    pub unix_ms: u64,
}

/// What matters about the candidate to those who do not edit it: pre-checks, `show system commit`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CandidateState {
    /// Changes that are not committed, and whose.
    pub uncommitted: Option<Edited>,
    /// Who has locked it.
    pub exclusive: Option<Holder>,
    /// Who is committing right now.
    pub committing: Option<String>,
    /// A commit in force that is taken back unless it is confirmed.
    pub unconfirmed: Option<Unconfirmed>,
}

impl State {
    /// What is to be known of the candidate before a run.
    pub fn candidate_state(&self) -> CandidateState {
        let candidate = Candidate::new(&self.state_dir);
        CandidateState {
            uncommitted: candidate.edited(),
            exclusive: candidate.holder(),
            committing: self.lock().committing.clone(),
            unconfirmed: unconfirmed::waiting(self).map(|waiting| waiting.commit),
        }
    }
}

/// Where the candidate is kept.
#[derive(Debug, Clone)]
pub struct Candidate {
    directory: PathBuf,
}

impl Candidate {
    /// The candidate of a state-dir; nothing is created yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join("config") }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("candidate.conf")
    }

    /// The file a client locks that wants the candidate for itself.
    pub fn lock_file(&self) -> PathBuf {
        self.directory.join("exclusive.lock")
    }

    /// Who edited last; nobody when it is what was committed.
    pub fn edited(&self) -> Option<Edited> {
        let text = fs::read_to_string(self.path()).ok()?;
        let unknown = Edited { user: "unknown".to_owned(), unix_ms: 0, on_commit: 0 };
        Some(header(&text).unwrap_or(unknown))
    }

    /// The candidate: as edited, else as committed.
    pub fn load(&self, state: &State) -> Result<Draft, MgdError> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return active(state),
            Err(source) => return Err(MgdError::File { action: "read", path, source }),
        };
        let name = path.display().to_string();
        Draft::parse(&name, &text, &state.schema).map_err(|errors| MgdError::Candidate { errors })
    }

    /// Keeps what was edited. What is as committed again needs no file.
    pub fn keep(&self, draft: &Draft, user: &str, state: &State) -> Result<(), MgdError> {
        let text = draft.to_text(&state.schema);
        if state.configuration().is_some_and(|committed| committed.configuration.to_text() == text) {
            return self.discard();
        }
        let on_commit = state.configuration().map_or(0, |committed| committed.commit_id);
        let on_commit = self.edited().map_or(on_commit, |edited| edited.on_commit);
        let edited = Edited { user: user.to_owned(), unix_ms: holdfast_ipc::unix_ms(), on_commit };
        let header = serde_json::to_string(&edited).unwrap_or_default();
        store::write(&self.path(), format!("{HEADER}{header}\n{text}").as_bytes())
    }

    /// Whether this very text was kept last.
    pub fn holds(&self, text: &str) -> bool {
        let kept = fs::read_to_string(self.path()).unwrap_or_default();
        kept.split_once('\n').is_some_and(|(first, kept)| first.starts_with(HEADER) && kept == text)
    }

    /// The candidate is what was committed.
    pub fn discard(&self) -> Result<(), MgdError> {
        let path = self.path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(MgdError::File { action: "remove", path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Who holds the lock.
    pub fn holder(&self) -> Option<Holder> {
        let path = self.lock_file();
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(fs::TryLockError::WouldBlock) => {}
            // Nobody; what the file says is of somebody who has gone.
            _ => return None,
        }
        let unknown = || Holder { session: String::new(), user: "unknown".to_owned(), unix_ms: 0 };
        let text = fs::read_to_string(&path).unwrap_or_default();
        Some(serde_json::from_str(&text).unwrap_or_else(|_| unknown()))
    }
}

/// What is in force, as a draft.
pub fn active(state: &State) -> Result<Draft, MgdError> {
    let committed = state.configuration().ok_or_else(|| MgdError::NoConfiguration { path: state.state_dir.clone() })?;
    let text = committed.configuration.to_text();
    Draft::parse("active.conf", text, &state.schema).map_err(|errors| MgdError::Configuration { errors })
}

/// A predecessor, as a draft; 0 is what is in force.
pub fn predecessor(number: u32, state: &State) -> Result<Draft, MgdError> {
    if number == 0 {
        return active(state);
    }
    let text = Store::new(&state.state_dir).text(number)?;
    parse(&format!("rollback {number}"), &text, &state.schema)
}

fn parse(name: &str, text: &str, schema: &Schema) -> Result<Draft, MgdError> {
    Draft::parse(name, text, schema).map_err(|errors| MgdError::Configuration { errors })
}

fn header(text: &str) -> Option<Edited> {
    serde_json::from_str(text.lines().next()?.strip_prefix(HEADER)?).ok()
}
