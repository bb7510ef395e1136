//! The committed configuration on disk: `config/active.conf` and its predecessors `config/rollback/N.conf`.
//!
//! A file is written beside its place, synced, and renamed over it, so that after a crash at any moment either the old
//! or the new configuration is there, whole.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use holdfast_config::{Configuration, Schema};

use crate::{error::MgdError, limits};

/// A configuration in force, and which commit it is.
#[derive(Debug)]
pub struct Committed {
    /// Counts up with every commit.
    pub commit_id: u64,
    /// When it was committed; wall clock.
    pub unix_ms: u64,
    /// Who committed it.
    pub user: String,
    /// The configuration.
    pub configuration: Configuration,
}

/// Where configurations are kept.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// The store of a state-dir; nothing is created yet.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: state_dir.join("config") }
    }

    fn active(&self) -> PathBuf {
        self.directory.join("active.conf")
    }

    fn rollback(&self, number: u32) -> PathBuf {
        self.directory.join("rollback").join(format!("{number}.conf"))
    }

    /// The active configuration.
    pub fn load(&self, schema: &Schema) -> Result<Committed, MgdError> {
        let path = self.active();
        if !path.exists() {
            return Err(MgdError::NoConfiguration { path });
        }
        let (text, configuration) = read(&path, schema)?;
        let (commit_id, unix_ms, user) = header_values(&text);
        Ok(Committed { commit_id, unix_ms, user, configuration })
    }

    /// Makes a configuration the active one. The one that is active already is not committed again.
    pub fn commit(
        &self,
        configuration: Configuration,
        user: &str,
        unix_ms: u64,
        schema: &Schema,
    ) -> Result<Committed, MgdError> {
        let path = self.active();
        let previous = match fs::read(&path) {
            Ok(previous) => Some(previous),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(MgdError::File { action: "read", path, source }),
        };
        let mut commit_id = 1;
        if let Some(previous) = previous {
            let (id, previous_ms, previous_user) = header_values(&String::from_utf8_lossy(&previous));
            let unchanged = Configuration::parse("active.conf", &previous, schema)
                .is_ok_and(|previous| previous.digest() == configuration.digest());
            if unchanged {
                return Ok(Committed { commit_id: id, unix_ms: previous_ms, user: previous_user, configuration });
            }
            commit_id = id + 1;
            self.shift_rollbacks(&previous)?;
        }
        let user = user.replace(char::is_whitespace, "_");
        let text = format!("{HEADER}{commit_id} {unix_ms} {user}\n{}", configuration.to_text());
        write(&path, text.as_bytes())?;
        Ok(Committed { commit_id, unix_ms, user, configuration })
    }

    fn shift_rollbacks(&self, previous: &[u8]) -> Result<(), MgdError> {
        for number in (1..limits::ROLLBACKS_MAX).rev() {
            match fs::rename(self.rollback(number), self.rollback(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(MgdError::File { action: "rename", path: self.rollback(number), source: error });
                }
                _ => {}
            }
        }
        write(&self.rollback(1), previous)
    }
}

/// First line of a stored configuration: commit, time in ms, user. A comment to every reader of the text.
const HEADER: &str = "## Last commit: ";

fn header_values(text: &str) -> (u64, u64, String) {
    let mut words = text.strip_prefix(HEADER).and_then(|rest| rest.lines().next()).unwrap_or_default().split(' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let (commit_id, unix_ms) = (number().unwrap_or(1), number().unwrap_or(0));
    (commit_id, unix_ms, words.next().unwrap_or("unknown").to_owned())
}

/// Reads and validates a file; its text comes along.
pub fn read(path: &Path, schema: &Schema) -> Result<(String, Configuration), MgdError> {
    let failed = |source| MgdError::File { action: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than allowed is enough to be refused; a device that never ends is not read for ever.
    let limit = holdfast_config::limits::TEXT_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    let name = path.display().to_string();
    let configuration =
        Configuration::parse(&name, &bytes, schema).map_err(|errors| MgdError::Configuration { errors })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), configuration))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), MgdError> {
    let attempt = || -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let beside = path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The rename itself lasts only when the directory is synced.
        File::open(parent)?.sync_all()
    };
    attempt().map_err(|source| MgdError::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(schema: &Schema, name: &str) -> Configuration {
        Configuration::parse("t", format!("system {{ host-name {name}; }}"), schema).unwrap()
    }

    #[test]
    fn commits_count_up_and_predecessors_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let schema = Schema::load().unwrap();
        let store = Store::new(directory.path());
        assert!(matches!(store.load(&schema), Err(MgdError::NoConfiguration { .. })));
        for number in 1..=52u64 {
            let committed =
                store.commit(parse(&schema, &format!("r{number}")), "an operator", number, &schema).unwrap();
            assert_eq!(committed.commit_id, number);
        }
        let again = store.commit(parse(&schema, "r52"), "another", 99, &schema).unwrap();
        assert_eq!((again.commit_id, again.unix_ms, again.user.as_str()), (52, 52, "an_operator"));
        let loaded = store.load(&schema).unwrap();
        assert_eq!((loaded.commit_id, loaded.unix_ms, loaded.user.as_str()), (52, 52, "an_operator"));
        assert!(fs::read_to_string(store.rollback(1)).unwrap().contains("r51"));
        assert!(fs::read_to_string(store.rollback(49)).unwrap().contains("r3;"));
        assert!(!store.rollback(50).exists() && !store.active().with_extension("new").exists());
    }

    #[test]
    fn a_file_with_mistakes_and_a_missing_one_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let schema = Schema::load().unwrap();
        let path = directory.path().join("bad.conf");
        fs::write(&path, "system {\n  hostname r1;\n}").unwrap();
        let message = read(&path, &schema).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}:2:3: ", path.display())), "{message}");
        let message = read(&directory.path().join("none"), &schema).unwrap_err().to_string();
        assert!(message.contains("cannot read") && message.contains("none"), "{message}");
    }
}
