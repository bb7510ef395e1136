use std::io;
use std::path::PathBuf;

/// Why chassisd cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChassisError {
    /// Another router has the directory.
    #[error(
        "{what} {path} is in use by another router (chassisd {pid}); give this one its own with {option}, or stop that \
         one with 'holdfast stop --run-dir {path}'"
    )]
    InUse {
        /// "run-dir" or "state-dir".
        what: &'static str,
        /// The directory.
        path: PathBuf,
        /// "pid 123", as far as known.
        pid: String,
        /// The option that names it.
        option: &'static str,
    },
    /// A directory or file cannot be written.
    #[error("{what} {path}: {source}; it must be a directory that this user may write to")]
    NotWritable {
        /// "run-dir", "state-dir".
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file operation failed.
    #[error("{path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// What is in a file of ours cannot be understood.
    #[error("{path}: {reason}; move the file away to go on without it")]
    Corrupt {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A binary is missing.
    #[error("{path} does not exist; mgd, rpd and pfed lie beside chassisd in one folder")]
    NoBinary {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A process cannot be started.
    #[error("cannot start {name}: {source}")]
    Spawn {
        /// "re0/rpd".
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The configuration is wrong.
    #[error("the configuration is not valid, nothing was started:\n{0}")]
    Configuration(String),
    /// A daemon did not come up.
    #[error("{name} {reason}{log}")]
    Start {
        /// "re0/rpd".
        name: String,
        /// What happened.
        reason: String,
        /// The last lines of its log.
        log: String,
    },
    /// The start was interrupted.
    #[error("the start was interrupted ({0}); everything was taken back")]
    Interrupted(&'static str),
    /// No container runtime.
    #[error(
        "--re-runtime oci: {what}; install one (apt-get install runc), name it with --oci-runtime, or use \
         --re-runtime process, which needs none"
    )]
    NoOciRuntime {
        /// What was looked for.
        what: String,
    },
    /// The container runtime cannot be used.
    #[error("container runtime {program}: {reason}")]
    OciRuntime {
        /// Where it is.
        program: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An image is not what its manifest says.
    #[error("image {directory}: {reason}; remove that directory and start the router: the image is made anew")]
    Image {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A program of the installation.
    #[error("{path} {reason}")]
    Program {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Programs cannot be run from there.
    #[error(
        "state-dir {state_dir} is on a file system with the option noexec, and the image that routing engines run from lies \
         there; use another --state-dir, or --re-runtime process"
    )]
    NotExecutable {
        /// The directory.
        state_dir: PathBuf,
    },
    /// The sockets.
    #[error(transparent)]
    Ipc(#[from] holdfast_ipc::IpcError),
    /// The vault's socket.
    #[error(transparent)]
    Vault(#[from] holdfast_vault::VaultError),
    /// Something of the machine.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ChassisError {
    /// For `map_err` on file operations.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| ChassisError::File { path, source }
    }
}
