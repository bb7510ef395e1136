use std::path::PathBuf;

/// What can go wrong between the router's processes.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// A socket could not be made.
    #[error("cannot listen on {path}: {source}; check that the directory exists and is writable by this user")]
    Bind {
        /// The socket's path.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Nobody listens on a socket.
    #[error("nothing answers on {path} within {waited_ms} ms: {reason}; is the router running with this run-dir?")]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// How long it was tried.
        waited_ms: u128,
        /// The last failure.
        reason: String,
    },
    /// A server ended because of its transport.
    #[error("the server on this socket ended: {0}")]
    Serve(#[from] tonic::transport::Error),
}
