//! Plain processes, children of chassisd, each in its own process group: needs nothing installed.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
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
        let mut arguments = spec.arguments.clone();
        if let Some(load) = &spec.load {
            arguments.extend(["--load".into(), load.to_string_lossy().into_owned()]);
        }
        spawn_program(&self.bin_dir.join(spec.daemon.name()), &arguments, &spec.log, &spec.name())
    }

    fn release(&self, _: Slot, _: bool) -> Work<Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn containers(&self) -> Vec<v1::ContainerState> {
        Vec::new()
    }
}

/// Starts one program as a child of ours; its output is appended to the log.
pub fn spawn_program(program: &Path, arguments: &[String], log: &Path, name: &str) -> Result<Running, ChassisError> {
    let failed = |source| ChassisError::Spawn { name: name.to_owned(), source };
    let log = OpenOptions::new().create(true).append(true).open(log).map_err(ChassisError::file(log))?;
    let mut child = Command::new(program)
        .args(arguments)
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

/// A process that an earlier chassisd has started: whoever took it in hears its exit status, we hear that it has ended.
pub fn adopt_program(handle: PidFd) -> Result<Running, ChassisError> {
    let handle = Arc::new(handle);
    let (launch, running) = Launch::new();
    launch.begun(handle.clone(), None);
    // A thread of its own, because the runtime's end would wait for one of the runtime's.
    let wait = move || {
        let _ = handle.wait(None);
        launch.ended("it was no child of this chassisd: how is not known".into());
    };
    let waiting = std::thread::Builder::new().name("waiter".into()).spawn(wait);
    waiting.map_err(|source| ChassisError::System { what: "wait for the end of a process", source })?;
    Ok(running)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn the_end_of_a_process_that_is_no_child_is_heard_of() {
        // The shell is the parent of sleep, and says its pid.
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = shell.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line).unwrap();
        let running = adopt_program(PidFd::open(line.trim().parse().unwrap()).unwrap()).unwrap();
        assert_eq!(running.exited(Duration::from_millis(50)).await, None);
        assert!(running.kill(Duration::from_secs(5)).await);
        assert!(running.exit().unwrap().contains("not known"));
        shell.wait().unwrap();
    }
}
