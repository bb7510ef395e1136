//! Plain processes, children of chassisd, each in its own process group: needs nothing installed.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use holdfast_kernel::process::PidFd;
use holdfast_proto::v1;
use tokio::process::Command;

use super::running::Launch;
use super::{ProcessSpec, Running, Runtime, Work};
use crate::chassis::Slot;
use crate::error::ChassisError;
use crate::image::{Installation, Source};

/// See the module.
#[derive(Debug)]
pub struct ProcessRuntime {
    bin_dir: PathBuf,
    software: Arc<Installation>,
}

impl ProcessRuntime {
    /// Runs the programs in this folder.
    pub fn new(bin_dir: PathBuf) -> Self {
        let software = Arc::new(Installation::new(bin_dir.clone()));
        ProcessRuntime { bin_dir, software }
    }
}

impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    fn version(&self) -> String {
        String::new()
    }

    fn prepare(&self) -> Work<Result<(), ChassisError>> {
        // Beside the start, which does not wait for it.
        let software = self.software.clone();
        tokio::task::spawn_blocking(move || software.note());
        Box::pin(async { Ok(()) })
    }

    fn software(&self) -> Option<Source> {
        Some(Source::Installation(self.software.clone()))
    }

    fn spawn(&self, spec: &ProcessSpec) -> Result<Running, ChassisError> {
        let failed = |source| ChassisError::Spawn { name: spec.name(), source };
        let log =
            OpenOptions::new().create(true).append(true).open(&spec.log).map_err(ChassisError::file(&spec.log))?;
        let mut command = Command::new(self.bin_dir.join(spec.daemon.name()));
        command.args(&spec.arguments);
        if let Some(load) = &spec.load {
            command.arg("--load").arg(load);
        }
        let mut child = command
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
        let (launch, running) = Launch::new();
        launch.begun(handle, None);
        tokio::spawn(async move {
            launch.ended(child.wait().await.map_or_else(|error| error.to_string(), describe));
        });
        Ok(running)
    }

    fn release(&self, _: Slot, _: bool) -> Work<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn containers(&self) -> Vec<v1::ContainerState> {
        Vec::new()
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
