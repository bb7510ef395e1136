//! The programs beside chassisd as they were when the router was started.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{PLAIN, digest};
use crate::error::ChassisError;

/// Their folder and digests.
#[derive(Debug)]
pub struct Installation {
    folder: PathBuf,
    noted: OnceLock<Vec<Result<String, String>>>,
}

impl Installation {
    /// Of this folder; [`Installation::note`] reads it.
    pub fn new(folder: PathBuf) -> Self {
        Installation { folder, noted: OnceLock::new() }
    }

    /// Where the programs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Notes the digests. Reads every file: not for the chassis's loop.
    pub fn note(&self) {
        let _ = self.noted.set(self.digests());
    }

    fn digests(&self) -> Vec<Result<String, String>> {
        digest::side_by_side(&PLAIN, |name| digest_of(&self.folder.join(name)).map_err(|error| error.to_string()))
    }

    /// Compares what is on disk now with what was noted (and waits until it was); returns what was found well.
    pub fn verify(&self) -> Result<String, ChassisError> {
        let noted = self.noted.wait();
        for ((name, now), then) in PLAIN.iter().zip(self.digests()).zip(noted) {
            let path = self.folder.join(name);
            match (now, then) {
                (Err(error), _) => return Err(ChassisError::Program { path, reason: error }),
                (Ok(now), Ok(then)) if now != *then => {
                    let reason = "is not the program that this router was started from".into();
                    return Err(ChassisError::Program { path, reason });
                }
                (Ok(_), Err(error)) => {
                    let reason = format!("could not be read when the router was started ({error})");
                    return Err(ChassisError::Program { path, reason });
                }
                (Ok(_), Ok(_)) => {}
            }
        }
        Ok(format!("{} programs in {}", PLAIN.len(), self.folder.display()))
    }
}

fn digest_of(path: &Path) -> io::Result<String> {
    digest::of_file(File::open(path)?).map(|(sha256, _)| sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_changed_or_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        for name in PLAIN {
            std::fs::write(directory.path().join(name), name).unwrap();
        }
        let installation = Installation::new(directory.path().to_path_buf());
        installation.note();
        assert!(installation.verify().unwrap().starts_with("3 programs"));
        let rpd = directory.path().join("rpd");
        std::fs::write(&rpd, "another one").unwrap();
        let error = installation.verify().unwrap_err().to_string();
        assert!(error.contains("/rpd is not the program"), "{error}");
        std::fs::remove_file(&rpd).unwrap();
        let error = installation.verify().unwrap_err().to_string();
        assert!(error.contains("/rpd") && error.contains("No such file"), "{error}");
        std::fs::write(&rpd, "rpd").unwrap();
        assert!(installation.verify().is_ok(), "put back");
    }
}
