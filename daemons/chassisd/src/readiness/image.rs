//! The image: the programs that the new engine is started from are there, are those that run, and speak the same version.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use holdfast_issu::Daemon;
use holdfast_proto::check::Rule;
use holdfast_proto::v1::{Check, DaemonStatus};
use tokio::process::Command;

use super::{Seen, Snapshot};
use crate::image::Source;
use crate::limits;

/// Checks on files. Reads every one of them.
pub fn checks(snapshot: &Snapshot) -> Vec<Check> {
    let Some(software) = &snapshot.software else { return Vec::new() };
    let folder = software.programs();
    let programs = || Daemon::ALL.into_iter().map(|daemon| (daemon, folder.join(daemon.name())));
    let unusable: Vec<String> = programs().filter_map(|(_, path)| unusable(&path)).collect();
    let replaced: Vec<String> = programs()
        .filter_map(|(daemon, path)| {
            let running = snapshot.primary(daemon).filter(|seen| seen.pid != 0)?;
            is_replaced(running.pid, &path)
                .then(|| format!("{} runs another file than {}", running.name(), path.display()))
        })
        .collect();
    let folder = folder.display();
    let mut checks = vec![
        Rule::refuses("image-present", "Image present", "mgd, rpd and pfed can be started from the image")
            .remedy(format!("install the programs in {folder} again"))
            .observe(if unusable.is_empty() { Ok(format!("programs in {folder}")) } else { Err(unusable.join("; ")) }),
        Rule::asks("image-unchanged", "Image unchanged", "the image is the one that runs")
            .remedy("install the programs that run, or go on to run those that are there")
            .observe(if replaced.is_empty() {
                Ok("the files are those that run".into())
            } else {
                Err(replaced.join("; "))
            }),
    ];
    checks.extend(software.checks());
    checks
}

fn unusable(path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Err(error) => Some(format!("{}: {error}", path.display())),
        Ok(found) if !found.is_file() => Some(format!("{} is no file", path.display())),
        Ok(found) if found.permissions().mode() & 0o111 == 0 => Some(format!("{} is not executable", path.display())),
        Ok(found) if found.len() == 0 => Some(format!("{} is empty", path.display())),
        Ok(_) => None,
    }
}

/// A program cannot be overwritten while it runs, only replaced: then the file is another one.
fn is_replaced(pid: u32, path: &Path) -> bool {
    match (std::fs::metadata(format!("/proc/{pid}/exe")), std::fs::metadata(path)) {
        (Ok(running), Ok(there)) => (running.dev(), running.ino()) != (there.dev(), there.ino()),
        _ => false,
    }
}

/// A version, or why the program cannot even say that.
type Said = Result<Option<String>, String>;

/// What the programs in the image say when they are asked for their version.
pub async fn versions(snapshot: &Snapshot) -> Vec<(Daemon, Said)> {
    let Some(folder) = snapshot.software.as_ref().map(Source::programs) else { return Vec::new() };
    let ask = |daemon: Daemon| {
        let path = folder.join(daemon.name());
        tokio::spawn(async move { (daemon, version(&path).await) })
    };
    let questions: Vec<_> = Daemon::ALL.into_iter().map(ask).collect();
    let mut versions = Vec::new();
    for question in questions {
        versions.extend(question.await.ok());
    }
    versions
}

/// "rpd 0.1.0" -> "0.1.0". Nothing: it did not say in time, which on a starved machine proves nothing.
async fn version(path: &Path) -> Said {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(limits::VERSION_DEADLINE, command.output()).await else { return Ok(None) };
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.split_whitespace().last().map(String::from);
    last.filter(|_| output.status.success()).map(Some).ok_or_else(|| format!("it says no version ({})", output.status))
}

/// Facts are in wire formats that do not change between releases, but only the same version is proven.
pub fn version_checks(statuses: &[(Seen, Result<DaemonStatus, String>)], versions: &[(Daemon, Said)]) -> Vec<Check> {
    let (mut broken, mut other, mut same) = (Vec::new(), Vec::new(), String::new());
    for (daemon, version) in versions {
        let running =
            statuses.iter().find(|(seen, _)| seen.daemon == *daemon).and_then(|(_, status)| status.as_ref().ok());
        match (version, running) {
            (Err(error), _) => broken.push(format!("{daemon}: {error}")),
            (Ok(None), _) => other.push(format!("{daemon} did not say its version in time")),
            (Ok(_), None) => other.push(format!("{daemon} does not say which version runs")),
            (Ok(Some(there)), Some(running)) if *there != running.version => {
                other.push(format!("{daemon}: {} runs, {there} is in the image", running.version));
            }
            (Ok(Some(there)), Some(_)) => same.clone_from(there),
        }
    }
    let told = |wrong: Vec<String>, well: String| if wrong.is_empty() { Ok(well) } else { Err(wrong.join("; ")) };
    vec![
        Rule::refuses("image-runs", "Image runs", "every program of the image can be started")
            .remedy("install the programs again")
            .observe(told(broken, format!("{} programs were started and said their version", versions.len()))),
        Rule::asks("image-version", "Versions exchange facts", "the image's version is the one that runs")
            .remedy("install the programs that run")
            .observe(told(other, format!("version {same} on both sides"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_a_file_that_can_be_executed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rpd");
        assert!(unusable(&path).is_some_and(|reason| reason.contains("No such file")));
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(unusable(&path).is_some_and(|reason| reason.contains("empty")));
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(unusable(&path), None);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(unusable(&path).is_some_and(|reason| reason.contains("executable")));
        assert!(unusable(directory.path()).is_some_and(|reason| reason.contains("no file")));
    }

    #[test]
    fn another_file_in_its_place_is_noticed() {
        let own = std::env::current_exe().unwrap();
        assert!(!is_replaced(std::process::id(), &own));
        assert!(is_replaced(std::process::id(), Path::new("/bin/sh")));
    }

    #[tokio::test]
    async fn a_program_says_its_version_or_why_it_cannot() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rpd");
        let make = |text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        make("#!/bin/sh\necho rpd 9.9\n");
        assert_eq!(version(&path).await, Ok(Some("9.9".into())));
        make("#!/bin/sh\nexit 3\n");
        assert!(version(&path).await.unwrap_err().contains("exit status: 3"));
        make("\u{7f}ELF");
        assert!(version(&path).await.is_err());
        let checks = version_checks(&[], &[(Daemon::Rpd, Err("it is broken".into())), (Daemon::Mgd, Ok(None))]);
        let told: Vec<(bool, bool)> = checks.iter().map(|check| (check.passed, check.warning)).collect();
        assert_eq!(told, [(false, false), (false, true)], "what cannot be started refuses, what is unknown asks");
    }
}
