use std::io;
use std::path::PathBuf;

/// What can go wrong with the vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The requester's term is over.
    #[error(
        "epoch {requested} is over, the vault is in epoch {current}: another process is primary now; \
         this one must be activated again by chassisd before it uses the vault"
    )]
    OldEpoch {
        /// What the request carried.
        requested: u64,
        /// What is in force.
        current: u64,
    },
    /// The requester claims a term that has not begun.
    #[error("epoch {requested} has not begun, the vault is in epoch {current}: only chassisd raises it")]
    FutureEpoch {
        /// What the request carried.
        requested: u64,
        /// What is in force.
        current: u64,
    },
    /// No such entry.
    #[error("the vault holds nothing named '{0}'")]
    NotFound(String),
    /// The vault is full.
    #[error("the vault is full ({limit} entries); '{name}' was not deposited")]
    Full {
        /// What was to be deposited.
        name: String,
        /// How many entries it holds at most.
        limit: usize,
    },
    /// A part of the request is too long or empty.
    #[error("{what} of {observed} bytes; 1 to {limit} are allowed")]
    Length {
        /// Which part.
        what: &'static str,
        /// How long it was.
        observed: usize,
        /// The limit.
        limit: usize,
    },
    /// A Deposit without its descriptor, or another request with one.
    #[error("{0}")]
    Descriptor(&'static str),
    /// Not a request.
    #[error("not a vault request: {0}")]
    Malformed(String),
    /// What the vault answered (client side).
    #[error("vault: {0}")]
    Refused(String),
    /// The socket failed.
    #[error("vault socket {path}: {source}")]
    Socket {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}
