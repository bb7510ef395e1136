use std::io;
use std::path::PathBuf;

/// Why ppmd cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PpmdError {
    /// Something that a start needs.
    #[error("cannot {what}: {source}")]
    Start {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file or socket of the run-dir.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// There is no predecessor that gives its sessions away.
    #[error(
        "cannot take over at {path}: {source}; the ppmd that runs goes on, or is restarted by chassisd if there is none"
    )]
    TakeOver {
        /// Where it was asked.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// gRPC.
    #[error(transparent)]
    Ipc(#[from] holdfast_ipc::IpcError),
}

impl PpmdError {
    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }
}
