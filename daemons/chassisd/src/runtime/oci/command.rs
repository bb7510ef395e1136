//! The container runtime as a program: found, looked at, called. Every call has a deadline.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_ipc::RunDir;
use serde_json::Value;
use tokio::process::Command;

use crate::error::ChassisError;
use crate::limits;

/// Runtimes with runc's command line, in the order in which they are looked for.
const KNOWN: [&str; 3] = ["runc", "crun", "youki"];
/// Where Debian has it although an ordinary user's PATH does not.
const ALSO_IN: [&str; 2] = ["/usr/sbin", "/sbin"];
/// The oldest version of the runtime specification that has `unified` limits, seccomp's `errnoRet` and process files.
const SPECIFICATION_LEAST: [u32; 3] = [1, 0, 2];

/// The runtime.
#[derive(Debug)]
pub struct OciCommand {
    program: PathBuf,
    oci_dir: PathBuf,
    calls: AtomicU64,
}

/// What a runtime says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// "runc 1.1.5".
    pub version: String,
    /// Whether it can restrict system calls.
    pub seccomp: bool,
}

impl OciCommand {
    /// The one that was asked for, or the first that PATH has.
    pub fn find(asked: Option<&Path>, run_dir: &RunDir) -> Result<Self, ChassisError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(ALSO_IN.map(PathBuf::from)).collect();
        let in_path = |name: &OsStr| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        let program = match asked {
            Some(asked) if asked.components().count() == 1 => in_path(asked.as_os_str()),
            Some(asked) => Some(asked.to_path_buf()).filter(|file| file.is_file()),
            None => KNOWN.iter().find_map(|name| in_path(OsStr::new(name))),
        };
        let program = program.ok_or_else(|| match asked {
            Some(asked) => ChassisError::NoOciRuntime { what: format!("{} does not exist", asked.display()) },
            None => ChassisError::NoOciRuntime { what: format!("none of {} is in PATH", KNOWN.join(", ")) },
        })?;
        let program = std::path::absolute(&program).map_err(ChassisError::file(&program))?;
        Ok(OciCommand { program, oci_dir: run_dir.oci_dir(), calls: AtomicU64::new(0) })
    }

    /// Where it is, for people.
    pub fn display(&self) -> impl std::fmt::Display {
        self.program.display()
    }

    /// Asks for version and abilities; one that is too old is refused.
    pub async fn look_at(&self) -> Result<Found, ChassisError> {
        let failed = |reason: String| ChassisError::OciRuntime { program: self.program.clone(), reason };
        let text = self.ask("--version").await.map_err(failed)?;
        let version = check_version(&text).map_err(failed)?;
        // Who does not know the question gets no list of system calls either.
        let features = self.ask("features").await.unwrap_or_default();
        let features: Value = serde_json::from_str(&features).unwrap_or_default();
        let seccomp = features.pointer("/linux/seccomp/enabled").and_then(Value::as_bool).unwrap_or(false);
        Ok(Found { version, seccomp })
    }

    async fn ask(&self, question: &str) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.arg(question).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = tokio::time::timeout(limits::OCI_COMMAND_DEADLINE, command.output()).await;
        let output = output.map_err(|_| no_end(question))?.map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(format!("{question} failed ({}): {}", output.status, words.trim()))
        }
    }

    /// Runs one of its commands to the end; `output` is where the *started* process's words go. The error is the
    /// runtime's own.
    pub async fn call(&self, arguments: &[&OsStr], output: Option<&File>) -> Result<(), String> {
        let what = arguments.first().map_or_else(String::new, |word| word.to_string_lossy().into_owned());
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let log = self.oci_dir.join(format!("{number}.log"));
        let stdio = || match output.map(File::try_clone) {
            Some(Ok(file)) => Stdio::from(file),
            _ => Stdio::null(),
        };
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.oci_dir.join("state"));
        command.arg("--log").arg(&log).args(["--log-format", "json"]);
        command.args(arguments).stdin(Stdio::null()).stdout(stdio()).stderr(stdio());
        command.process_group(0).kill_on_drop(true);
        let ended = tokio::time::timeout(limits::OCI_COMMAND_DEADLINE, command.status()).await;
        let words = fs::read_to_string(&log).unwrap_or_default();
        let _ = fs::remove_file(&log);
        match ended {
            Err(_) => Err(format!("{}: {}", self.program.display(), no_end(&what))),
            Ok(Err(error)) => Err(format!("{}: {error}", self.program.display())),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => {
                let reason = last_error(&words).unwrap_or_else(|| status.to_string());
                Err(format!("{} {what}: {reason}", self.program.display()))
            }
        }
    }
}

fn no_end(what: &str) -> String {
    format!("{what} did not end within {} s", limits::OCI_COMMAND_DEADLINE.as_secs())
}

/// Name and version from what `--version` prints; an error when the specification it follows is too old.
fn check_version(text: &str) -> Result<String, String> {
    let first = text.lines().next().unwrap_or_default().trim();
    if first.is_empty() {
        return Err("--version says nothing: this is no container runtime".into());
    }
    let version = first.replace(" version ", " ");
    let specification = text.lines().find_map(|line| line.trim().strip_prefix("spec:")).map(str::trim);
    // youki does not name it.
    let Some(specification) = specification else { return Ok(version) };
    let numbers: Vec<u32> = specification.split(['.', '-']).map_while(|part| part.parse().ok()).collect();
    if numbers.len() < 3 || numbers[..3] < SPECIFICATION_LEAST[..] {
        let [major, minor, patch] = SPECIFICATION_LEAST;
        return Err(format!(
            "{version} follows version {specification} of the runtime specification; required is {major}.{minor}.{patch}, \
             which runc has from 1.1 on: install a newer one, or name another with --oci-runtime"
        ));
    }
    Ok(version)
}

/// The last error in a log of JSON lines.
fn last_error(log: &str) -> Option<String> {
    log.lines().rev().find_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
        matches!(text("level").as_deref(), Some("error" | "fatal")).then(|| text("msg")).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_and_old_ones_refused() {
        let runc = "runc version 1.1.5+ds1\ncommit: 1.1.5\nspec: 1.0.2-dev\ngo: go1.19.8\n";
        assert_eq!(check_version(runc).unwrap(), "runc 1.1.5+ds1");
        assert_eq!(check_version("youki version 0.3.0\n").unwrap(), "youki 0.3.0");
        for old in ["runc version 1.0.0-rc6\nspec: 1.0.1-dev\n", "x\nspec: 0.9\n", "x\nspec: ?\n"] {
            assert!(check_version(old).unwrap_err().contains("--oci-runtime"), "{old}");
        }
        assert!(check_version("").is_err());
    }

    #[test]
    fn the_last_error_of_a_log_is_what_happened() {
        let log = "{\"level\":\"warning\",\"msg\":\"a\"}\n{\"level\":\"error\",\"msg\":\"b\"}\nnot json\n{\"level\":\"info\"}";
        assert_eq!(last_error(log).as_deref(), Some("b"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn a_runtime_that_is_not_there_is_named_with_its_remedy() {
        let run_dir = RunDir::new("/run/x");
        for asked in ["/no/such/runtime", "holdfast-no-such-runtime"] {
            let error = OciCommand::find(Some(Path::new(asked)), &run_dir).unwrap_err().to_string();
            assert!(error.contains(asked) && error.contains("apt-get install runc"), "{error}");
        }
    }
}
