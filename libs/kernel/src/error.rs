use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What can go wrong between a daemon and the kernel, worded for the operator.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// Somebody else listens there.
    #[error(
        "cannot listen on {address}: the address is in use; stop the other program that listens there (ss -ltnp shows it) or configure another port"
    )]
    AddressInUse {
        /// Where we wanted to listen.
        address: SocketAddr,
    },
    /// The same, of datagrams.
    #[error(
        "cannot receive datagrams at {address}: the port is in use; stop the other program that does (ss -lunp shows it)"
    )]
    DatagramPortInUse {
        /// Where we wanted to receive.
        address: SocketAddr,
    },
    /// Listening failed for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// A network namespace cannot be entered.
    #[error(
        "cannot enter network namespace {path}: {source}; `ip netns list` shows those that exist, entering one needs CAP_SYS_ADMIN"
    )]
    Namespace {
        /// The file that stands for the namespace.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Call {
        /// What was tried, e.g. "open a netlink socket".
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a request.
    #[error("the kernel refused {what}: {source}{}", detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Refused {
        /// Which request.
        what: &'static str,
        /// The error number it answered.
        source: io::Error,
        /// Its extended acknowledgement, when it gave one.
        detail: Option<String>,
    },
    /// A netlink message did not have the form it must have.
    #[error("malformed netlink message: {0}")]
    Malformed(&'static str),
    /// No answer came in time.
    #[error("no answer from the kernel to {what} within {waited_ms} ms")]
    TimedOut {
        /// Which request.
        what: &'static str,
        /// How long we waited.
        waited_ms: u64,
    },
    /// A dump was interrupted by changes more often than is reasonable.
    #[error("the dump of {what} was interrupted by changes {attempts} times in a row")]
    DumpInterrupted {
        /// Which table.
        what: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
}

impl KernelError {
    pub(crate) fn call(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Call { what, source }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Listen { source, .. }
            | Self::Namespace { source, .. }
            | Self::Call { source, .. }
            | Self::Refused { source, .. } => source.raw_os_error(),
            Self::AddressInUse { .. } | Self::DatagramPortInUse { .. } => Some(libc::EADDRINUSE),
            _ => None,
        }
    }
}
