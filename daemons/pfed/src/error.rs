/// What keeps the daemon from starting, or from going on.
#[derive(Debug, thiserror::Error)]
pub enum PfedError {
    /// The kernel did not do its part.
    #[error(transparent)]
    Kernel(#[from] holdfast_kernel::KernelError),
    /// The socket of the daemon cannot be served.
    #[error(transparent)]
    Ipc(#[from] holdfast_ipc::IpcError),
    /// A thread or the runtime cannot be started, or a signal handler not installed.
    #[error("{what}: {source}")]
    Start {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A part of the daemon ended that must not.
    #[error("{0} has ended unexpectedly")]
    Ended(&'static str),
}
