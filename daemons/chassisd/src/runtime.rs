//! How the processes of a routing engine are run. Plain processes today; OCI containers get their place here.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use holdfast_kernel::process::PidFd;
use tokio::process::Command;
use tokio::sync::watch;

use crate::error::ChassisError;

/// What to start.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// "re0/rpd", for messages.
    pub name: String,
    /// The binary.
    pub binary: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output is appended.
    pub log: PathBuf,
}

/// A process that was started; cheap to clone.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its number.
    pub pid: u32,
    handle: Arc<PidFd>,
    exit: watch::Receiver<Option<String>>,
}

impl Running {
    /// Sends a signal; one that has ended takes none, which is no error here.
    pub fn signal(&self, signal: i32) {
        if let Err(error) = self.handle.signal(signal)
            && error.raw_os_error() != Some(libc::ESRCH)
        {
            tracing::warn!(pid = self.pid, signal, %error, "a signal could not be sent");
        }
    }

    /// How it ended, once it has.
    pub fn exit(&self) -> Option<String> {
        self.exit.borrow().clone()
    }

    /// Waits for the end; `None` when it has not come in time.
    pub async fn exited(&self, within: Duration) -> Option<String> {
        let mut exit = self.exit.clone();
        let ended = tokio::time::timeout(within, exit.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(how)) => how.clone(),
            Ok(Err(_)) => Some("ended".into()),
            Err(_) => None,
        }
    }

    /// Waits for the end for as long as it takes.
    pub async fn ended(&self) -> String {
        let mut exit = self.exit.clone();
        exit.wait_for(Option::is_some).await.ok().and_then(|how| how.clone()).unwrap_or_else(|| "ended".into())
    }

    /// SIGKILL, and the end seen.
    pub async fn kill(&self, within: Duration) -> bool {
        self.signal(libc::SIGKILL);
        self.exited(within).await.is_some()
    }
}

/// A way to run processes.
pub trait Runtime: Send + Sync {
    /// "process", "oci".
    fn name(&self) -> &'static str;
    /// Starts one; does not wait until it is ready.
    fn spawn(&self, spec: &ProcessSpec) -> Result<Running, ChassisError>;
}

/// Plain processes, children of chassisd, each in its own process group.
#[derive(Debug, Default)]
pub struct ProcessRuntime;

impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    fn spawn(&self, spec: &ProcessSpec) -> Result<Running, ChassisError> {
        let failed = |source| ChassisError::Spawn { name: spec.name.clone(), source };
        let log =
            OpenOptions::new().create(true).append(true).open(&spec.log).map_err(ChassisError::file(&spec.log))?;
        let mut child = Command::new(&spec.binary)
            .args(&spec.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0) // Ctrl-C at a terminal is for chassisd, which ends its children in order
            .spawn()
            .map_err(failed)?;
        // Present until the child has been waited for, which only happens below.
        let pid = child.id().unwrap_or_default();
        let handle = match PidFd::open(pid).map(Arc::new) {
            Ok(handle) => handle,
            Err(source) => {
                let _ = child.start_kill();
                return Err(failed(source));
            }
        };
        let (exit_seen, exit) = watch::channel(None);
        tokio::spawn(async move {
            let how = child.wait().await.map_or_else(|error| error.to_string(), describe);
            exit_seen.send_replace(Some(how));
        });
        Ok(Running { pid, handle, exit })
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
