use std::path::PathBuf;

/// Why rpd cannot go on, or cannot do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RpdError {
    /// epoll or a wake-up descriptor failed.
    #[error("cannot wait for events: {0}")]
    Poll(#[source] std::io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// A socket of our own could not be made.
    #[error("cannot listen for followers on {path}: {source}")]
    ReplicationSocket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// gRPC failed.
    #[error(transparent)]
    Ipc(#[from] holdfast_ipc::IpcError),
    /// The follower's stream does not fit.
    #[error(transparent)]
    Replication(#[from] holdfast_replication::ReplicationError),
}
