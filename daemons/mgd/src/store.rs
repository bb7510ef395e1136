//! The committed configuration on disk: `config/active.conf` and its predecessors `config/rollback/N.conf`.
//!
//! A file is written beside its place, synced, and renamed over it, so that after a crash at any moment either the old
//! or the new configuration is there, whole. A predecessor keeps its file and only gets another name, so a full disk is met
//! before anything has changed.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use holdfast_config::{Configuration, Schema};
use serde::Serialize;

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
    /// What for; may be empty.
    pub comment: String,
    /// The configuration.
    pub configuration: Configuration,
}

/// Which commit a stored configuration is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Label {
    /// Counts up with every commit.
    pub commit_id: u64,
    /// When; wall clock.
    pub unix_ms: u64,
    /// By whom.
    pub user: String,
    /// What for; may be empty.
    pub comment: String,
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
        Ok(committed(label(&text), configuration))
    }

    /// A stored configuration's text: 0 is the active one, N its Nth predecessor.
    pub fn text(&self, number: u32) -> Result<String, MgdError> {
        let path = if number == 0 { self.active() } else { self.rollback(number) };
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MgdError::NoRollback { number }),
            Err(source) => Err(MgdError::File { action: "read", path, source }),
        }
    }

    /// The commits that are kept, each with the number that `rollback` takes; 0 is the active one.
    pub fn labels(&self) -> Vec<(u32, Label)> {
        let kept = (0..=limits::ROLLBACKS_MAX).map(|number| (number, self.text(number)));
        kept.filter_map(|(number, text)| Some((number, label(&text.ok()?)))).collect()
    }

    /// Whether what is on disk is this very configuration.
    pub fn holds(&self, committed: &Committed) -> Result<bool, MgdError> {
        let path = self.active();
        let text = fs::read_to_string(&path).map_err(|source| MgdError::File { action: "read", path, source })?;
        Ok(text == written(committed))
    }

    /// Makes a configuration the active one. The one that is active already is not committed again.
    pub fn commit(
        &self,
        configuration: Configuration,
        user: &str,
        unix_ms: u64,
        comment: &str,
        schema: &Schema,
    ) -> Result<Committed, MgdError> {
        let path = self.active();
        let previous = match fs::read(&path) {
            Ok(previous) => Some(previous),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(MgdError::File { action: "read", path, source }),
        };
        let mut known = Label::default();
        if let Some(previous) = &previous {
            known = label(&String::from_utf8_lossy(previous));
            let unchanged = Configuration::parse("active.conf", previous, schema)
                .is_ok_and(|previous| previous.digest() == configuration.digest());
            if unchanged {
                return Ok(committed(known, configuration));
            }
        }
        let (user, comment) = (user.to_owned(), comment.to_owned());
        let label = Label { commit_id: known.commit_id + 1, unix_ms, user, comment };
        let next = committed(label, configuration);
        self.put(&next)?;
        Ok(next)
    }

    /// Makes a configuration the active one; the one before becomes its first predecessor.
    pub fn put(&self, committed: &Committed) -> Result<(), MgdError> {
        let path = self.active();
        let beside = write_beside(&path, written(committed).as_bytes())?;
        if path.exists() {
            self.shift_rollbacks()?;
        }
        rename(&beside, &path)
    }

    /// The active configuration becomes the first predecessor as well; the last one goes.
    fn shift_rollbacks(&self) -> Result<(), MgdError> {
        let failed = |action, path: &Path, source| MgdError::File { action, path: path.to_owned(), source };
        for number in (1..limits::ROLLBACKS_MAX).rev() {
            match fs::rename(self.rollback(number), self.rollback(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("rename", &self.rollback(number), error));
                }
                _ => {}
            }
        }
        let first = self.rollback(1);
        let parent = first.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|source| failed("create", parent, source))?;
        fs::hard_link(self.active(), &first).map_err(|source| failed("write", &first, source))?;
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(|source| failed("sync", parent, source))
    }
}

/// As it is written: one line, the user one word.
fn label_of(committed: &Committed) -> Label {
    Label {
        commit_id: committed.commit_id,
        unix_ms: committed.unix_ms,
        user: committed.user.replace(char::is_whitespace, "_"),
        comment: committed.comment.replace(char::is_control, " ").trim().to_owned(),
    }
}

/// A configuration as it stands on disk.
fn written(committed: &Committed) -> String {
    format!("{}{}", header(&label_of(committed)), committed.configuration.to_text())
}

fn committed(label: Label, configuration: Configuration) -> Committed {
    let Label { commit_id, unix_ms, user, comment } = label;
    Committed { commit_id, unix_ms, user, comment, configuration }
}

/// First line of a stored configuration: commit, time in ms, user, comment. A comment to every reader of the text.
const HEADER: &str = "## Last commit: ";

fn header(label: &Label) -> String {
    let line = format!("{HEADER}{} {} {} {}", label.commit_id, label.unix_ms, label.user, label.comment);
    format!("{}\n", line.trim_end())
}

fn label(text: &str) -> Label {
    let line = text.strip_prefix(HEADER).and_then(|rest| rest.lines().next()).unwrap_or_default();
    let mut words = line.splitn(4, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok());
    let (commit_id, unix_ms) = (number().unwrap_or(1), number().unwrap_or(0));
    let user = words.next().unwrap_or("unknown").to_owned();
    Label { commit_id, unix_ms, user, comment: words.next().unwrap_or_default().to_owned() }
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

/// Puts a file in its place, whole and lasting.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), MgdError> {
    let beside = write_beside(path, bytes)?;
    rename(&beside, path)
}

fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf, MgdError> {
    let beside = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    match attempt() {
        Ok(()) => Ok(beside),
        Err(source) => {
            // What was not written whole is of no use, and on a full disk in the way.
            let _ = fs::remove_file(&beside);
            Err(MgdError::File { action: "write", path: path.to_owned(), source })
        }
    }
}

fn rename(beside: &Path, path: &Path) -> Result<(), MgdError> {
    let attempt = || -> io::Result<()> {
        fs::rename(beside, path)?;
        // The rename itself lasts only when the directory is synced.
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
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
                store.commit(parse(&schema, &format!("r{number}")), "an operator", number, "why not", &schema).unwrap();
            assert_eq!(committed.commit_id, number);
        }
        let again = store.commit(parse(&schema, "r52"), "another", 99, "", &schema).unwrap();
        assert_eq!((again.commit_id, again.unix_ms, again.user.as_str()), (52, 52, "an_operator"));
        let loaded = store.load(&schema).unwrap();
        assert_eq!((loaded.commit_id, loaded.unix_ms, loaded.user.as_str()), (52, 52, "an_operator"));
        assert!(fs::read_to_string(store.rollback(1)).unwrap().contains("r51"));
        assert!(fs::read_to_string(store.rollback(49)).unwrap().contains("r3;"));
        assert!(!store.rollback(50).exists() && !store.active().with_extension("new").exists());
        let labels = store.labels();
        assert_eq!(labels.len(), 50);
        assert_eq!((labels[1].1.commit_id, labels[1].1.unix_ms, labels[1].1.comment.as_str()), (51, 51, "why not"));
        assert!(matches!(store.text(50), Err(MgdError::NoRollback { number: 50 })));
    }

    #[test]
    fn a_commit_that_cannot_be_written_leaves_everything_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let schema = Schema::load().unwrap();
        let store = Store::new(directory.path());
        for number in 1..=3 {
            store.commit(parse(&schema, &format!("r{number}")), "o", number, "", &schema).unwrap();
        }
        let before = store.labels();
        // Nothing can be written where a directory stands.
        fs::create_dir(store.active().with_extension("new")).unwrap();
        let error = store.commit(parse(&schema, "r4"), "o", 4, "", &schema).unwrap_err().to_string();
        assert!(error.starts_with("cannot write ") && error.contains("active.conf"), "{error}");
        assert_eq!(store.labels(), before);
        assert_eq!(store.load(&schema).unwrap().commit_id, 3);
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
