//! What outlives chassisd: STATE/chassis.json (epoch, run counter, processes) and the locks of both directories.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::ChassisError;
use crate::schedule::Schedule;

/// A process as it is found again after a crash: the pid alone could be another's by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownProcess {
    /// "re0".
    pub slot: String,
    /// "rpd".
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since boot.
    pub start_time_ticks: u64,
}

/// The contents of STATE/chassis.json.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Persistent {
    /// No epoch up to this one may be used again.
    pub epoch: u64,
    /// The next run's id.
    pub next_run_id: u64,
    /// When the last run ended; 0: never.
    pub last_run_ended_unix_ms: u64,
    /// The run-dir, when it was made by us and is to go with the router.
    pub made_run_dir: Option<PathBuf>,
    /// A run that is to begin later.
    pub schedule: Option<Schedule>,
    /// The run-dir from whose path the names of our containers follow, when there are any.
    pub container_run_dir: Option<PathBuf>,
    /// What runs now.
    pub processes: Vec<KnownProcess>,
}

/// Both directories, locked for this process.
#[derive(Debug)]
pub struct Store {
    state_dir: PathBuf,
    _locks: [Flock<File>; 2],
    /// The current contents; call [`Store::save`] after changing them.
    pub persistent: Persistent,
}

impl Store {
    /// Makes the directories, locks them, reads what an earlier chassisd left. On failure nothing stays behind.
    pub fn open(run_dir: &Path, state_dir: &Path) -> Result<Self, ChassisError> {
        let made = make_dir("run-dir", run_dir)?;
        let opened = Self::open_made(run_dir, state_dir, made);
        if opened.is_err() && made {
            discard(run_dir);
        }
        opened
    }

    fn open_made(run_dir: &Path, state_dir: &Path, made: bool) -> Result<Self, ChassisError> {
        let run_lock = lock("run-dir", run_dir, &run_dir.join("lock"), "--run-dir")?;
        for dir in [state_dir.to_path_buf(), state_dir.join("runs"), state_dir.join("log")] {
            make_dir("state-dir", &dir)?;
        }
        let state_lock = lock("state-dir", state_dir, &state_dir.join("lock"), "--state-dir")?;
        let path = state_dir.join("chassis.json");
        let mut persistent: Persistent = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ChassisError::Corrupt { path: path.clone(), reason: error.to_string() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Persistent::default(),
            Err(source) => return Err(ChassisError::File { path, source }),
        };
        // One that an earlier chassisd made and did not live to remove is still ours.
        let ours = made || persistent.made_run_dir.as_deref() == Some(run_dir);
        persistent.made_run_dir = ours.then(|| run_dir.to_path_buf());
        Ok(Store { state_dir: state_dir.into(), _locks: [run_lock, state_lock], persistent })
    }

    /// Writes the contents durably.
    pub fn save(&self) -> Result<(), ChassisError> {
        write_durably(&self.state_dir.join("chassis.json"), &self.persistent)
    }
}

/// Removes a run-dir that was made by us, with the lock in it; anything else in it keeps it.
pub fn discard(run_dir: &Path) {
    let _ = fs::remove_file(run_dir.join("lock"));
    let _ = fs::remove_dir(run_dir);
}

/// True when it was made here.
fn make_dir(what: &'static str, path: &Path) -> Result<bool, ChassisError> {
    let failed = |source| ChassisError::NotWritable { what, path: path.into(), source };
    let existed = path.is_dir();
    if !existed {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    }
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK)
        .map_err(|error| failed(error.into()))?;
    Ok(!existed)
}

fn lock(what: &'static str, dir: &Path, path: &Path, option: &'static str) -> Result<Flock<File>, ChassisError> {
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| ChassisError::NotWritable { what, path: dir.into(), source })?;
    let mut pid = String::new();
    let _ = file.read_to_string(&mut pid);
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut locked) => {
            let named = locked.set_len(0).and_then(|()| {
                io::Seek::rewind(&mut *locked)?;
                write!(*locked, "pid {}", std::process::id())
            });
            named.map_err(ChassisError::file(path))?;
            Ok(locked)
        }
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
            let pid = if pid.is_empty() { "starting".into() } else { pid };
            Err(ChassisError::InUse { what, path: dir.into(), pid, option })
        }
        Err((_, error)) => Err(ChassisError::File { path: path.into(), source: error.into() }),
    }
}

/// Replaces a file as a whole: after a crash it is the old one or the new one.
pub fn write_durably(path: &Path, contents: &impl Serialize) -> Result<(), ChassisError> {
    let text = serde_json::to_vec_pretty(contents)
        .map_err(|error| ChassisError::Corrupt { path: path.into(), reason: error.to_string() })?;
    let temporary = path.with_extension("json.new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        ChassisError::File { path: path.into(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_router_is_told_who_has_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let (run_dir, state_dir) = (directory.path().join("run"), directory.path().join("state"));
        let mut first = Store::open(&run_dir, &state_dir).unwrap();
        first.persistent.epoch = 7;
        first.save().unwrap();
        let error = Store::open(&run_dir, &directory.path().join("other")).unwrap_err().to_string();
        assert!(error.contains(&format!("chassisd pid {}", std::process::id())), "{error}");
        let error = Store::open(&directory.path().join("run2"), &state_dir).unwrap_err().to_string();
        assert!(error.starts_with("state-dir"), "{error}");
        assert!(!directory.path().join("run2").exists(), "left behind");
        drop(first);
        let next = Store::open(&run_dir, &state_dir).unwrap().persistent;
        assert_eq!((next.epoch, next.made_run_dir), (7, Some(run_dir)));
    }

    #[test]
    fn a_state_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Store::open(&directory.path().join("run"), &file.join("state")).unwrap_err();
        assert!(error.to_string().starts_with("state-dir"), "{error}");
        assert!(!directory.path().join("run").exists(), "left behind");
    }
}
