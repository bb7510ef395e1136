//! What can go wrong in a lab, and how it is said.

use std::{io, process::ExitStatus};

/// An error of the lab. A router that loses something is *not* an error: that is a verdict.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// SIGINT, SIGTERM or SIGHUP arrived; everything is being taken down.
    #[error("interrupted: the lab is being taken down")]
    Interrupted,
    /// Namespaces need root.
    #[error(
        "the lab makes network namespaces and needs root (effective user id is {uid}, required 0); run it with sudo"
    )]
    NotRoot {
        /// The effective user id.
        uid: u32,
    },
    /// A program that the scenario uses is not installed.
    #[error(
        "{program} is not installed (looked in {looked_in}); install it with: apt-get install --no-install-recommends {package}"
    )]
    MissingProgram {
        /// The program.
        program: String,
        /// Debian's package.
        package: String,
        /// Where it was looked for.
        looked_in: String,
    },
    /// One of our own binaries is missing.
    #[error(
        "the binary {name} was not found in {looked_in}; build it with: cargo build --release (or set HOLDFAST_BIN to the folder that holds it)"
    )]
    MissingBinary {
        /// The binary.
        name: String,
        /// The folders.
        looked_in: String,
    },
    /// A command ended with an error.
    #[error("command failed ({status}): {command}\n{output}")]
    Command {
        /// As it would be typed.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        source: io::Error,
    },
    /// A program that the lab needs has ended: no use in waiting.
    #[error("{0}")]
    Fatal(String),
    /// Something did not come true in time.
    #[error("waited {after_s} s for {what}; observed: {observed}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        after_s: u64,
        /// What was seen instead.
        observed: String,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The router under test did something other than the scenario requires.
    #[error("{0}")]
    Subject(String),
    /// Something a neighbour or a peer sent could not be read.
    #[error("{0}")]
    Protocol(String),
    /// Leftovers that could not be removed.
    #[error("not everything could be removed: {0}; run: holdfast lab destroy")]
    Leftovers(String),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, LabError>;

/// Says what was being done when a system call failed.
pub trait Doing<T> {
    /// Wraps the error.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| LabError::Io { doing: what(), source })
    }
}

impl<T> Doing<T> for nix::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| LabError::Io { doing: what(), source: errno.into() })
    }
}
