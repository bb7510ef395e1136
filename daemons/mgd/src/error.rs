//! What can go wrong in the management process.

use std::path::PathBuf;

use holdfast_config::{ConfigError, SchemaError};

/// Failures of start-up and of the configuration's store.
#[derive(Debug, thiserror::Error)]
pub enum MgdError {
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// "read", "write", ...
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is no configuration to begin with.
    #[error("no configuration: {path} does not exist; start the router with --config FILE")]
    NoConfiguration {
        /// Where it would be.
        path: PathBuf,
    },
    /// There is no such predecessor.
    #[error("there is no configuration to roll back to at {number}; show system commit lists those that are kept")]
    NoRollback {
        /// How many commits ago.
        number: u32,
    },
    /// The configuration has mistakes.
    #[error("{}", lines(errors))]
    Configuration {
        /// All of them.
        errors: Vec<ConfigError>,
    },
    /// The candidate on disk has mistakes: of another version, or edited by hand.
    #[error("{}\nthe candidate cannot be read; rollback 0 discards it", lines(errors))]
    Candidate {
        /// All of them.
        errors: Vec<ConfigError>,
    },
    /// The models of this program are broken.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The sockets could not be served.
    #[error(transparent)]
    Ipc(#[from] holdfast_ipc::IpcError),
    /// The asynchronous runtime could not be made.
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
