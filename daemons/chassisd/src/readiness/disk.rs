//! What a run writes, and what earlier ones left: space, permission, locks, the journal.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use holdfast_ipc::other_slot;
use holdfast_proto::check::Rule;
use holdfast_proto::v1::Check;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::statvfs;

use super::{Snapshot, mib, named};

/// Journal, report, and what three new processes log.
const STATE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// Sockets and links only.
const RUN_BYTES_MIN: u64 = 1024 * 1024;
/// Enough to need a block of the disk.
const PROBE_BYTES: usize = 4096;
/// Files that a run makes, with room for others.
const INODES_MIN: u64 = 64;

/// All checks on directories and files.
pub fn checks(snapshot: &Snapshot) -> Vec<Check> {
    let (state, run) = (snapshot.state_dir.as_path(), snapshot.run_dir.path());
    let space = |id: &str, title: &str, path: &Path, bytes: u64| {
        Rule::refuses(id, title, format!("{} and {INODES_MIN} files free in {}", mib(bytes), path.display()))
            .remedy(format!("delete files on the file system of {}", path.display()))
            .observe(free(path, bytes))
    };
    let writable = |id: &str, title: &str, path: &Path| {
        Rule::refuses(id, title, format!("files can be made in {}", path.display()))
            .remedy(format!("mount -o remount,rw, or give back the permissions of {}", path.display()))
            .observe(writes(path))
    };
    vec![
        space("state-dir-space", "State-dir space", state, STATE_BYTES_MIN),
        space("run-dir-space", "Run-dir space", run, RUN_BYTES_MIN),
        writable("state-dir-writable", "State-dir writable", state),
        writable("run-dir-writable", "Run-dir writable", run),
        Rule::refuses("state-dir-lock", "State-dir locked", "the state-dir is this chassisd's alone")
            .remedy("stop the other router, or this one")
            .disturbing()
            .observe(locked(&state.join("lock"))),
        Rule::refuses("no-left-over-files", "No files left over", "the other routing engine's directory is not there")
            .remedy(format!("rm -r {}", snapshot.run_dir.slot_dir(other_slot(snapshot.master)).display()))
            .observe(left_over(snapshot)),
        Rule::refuses("journal-ended", "Journal ended", "no earlier run is without its end")
            .remedy("holdfast stop and start close it")
            .disturbing()
            .observe(unended(snapshot)),
        Rule::asks("journal-readable", "Journal readable", "the records of past runs can be read")
            .remedy("move the files named away")
            .observe(readable(snapshot)),
    ]
}

fn free(path: &Path, bytes_min: u64) -> Result<String, String> {
    let found = statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let bytes = found.blocks_available() as u64 * found.fragment_size() as u64;
    // File systems that make inodes as they need them say that they have none.
    let inodes = (found.files() > 0).then_some(found.files_available() as u64);
    let seen = match inodes {
        Some(inodes) => format!("{} and {inodes} files free", mib(bytes)),
        None => format!("{} free", mib(bytes)),
    };
    if bytes >= bytes_min && inodes.is_none_or(|inodes| inodes >= INODES_MIN) { Ok(seen) } else { Err(seen) }
}

/// Writes into a file without a name, which leaves nothing behind; where the file system has none, into one that is removed.
fn writes(path: &Path) -> Result<String, String> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let written = match options.clone().custom_flags(libc::O_TMPFILE).open(path) {
        Ok(mut file) => file.write_all(&[0; PROBE_BYTES]),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::ENOENT)) => {
            let named = path.join(format!(".probe-{}", std::process::id()));
            let written = options.create_new(true).open(&named).and_then(|mut file| file.write_all(&[0; PROBE_BYTES]));
            let _ = std::fs::remove_file(&named);
            written
        }
        Err(error) => Err(error),
    };
    written.map(|()| "a file was written".into()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The lock is ours when nobody can take it: a second descriptor of our own cannot either.
fn locked(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let holder = std::fs::read_to_string(path).unwrap_or_default();
    if holder != format!("pid {}", std::process::id()) {
        return Err(format!("{} names '{holder}', this chassisd is pid {}", path.display(), std::process::id()));
    }
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok("held".into()),
        Err((_, error)) => Err(format!("{}: {error}", path.display())),
        Ok(_taken) => Err(format!("nobody holds {}", path.display())),
    }
}

fn left_over(snapshot: &Snapshot) -> Result<String, String> {
    let directory = snapshot.run_dir.slot_dir(other_slot(snapshot.master));
    let runs = snapshot.processes.iter().any(|seen| seen.slot != snapshot.master && seen.pid != 0);
    match std::fs::symlink_metadata(&directory) {
        Ok(_) if runs => Err(format!("{} belongs to a routing engine that runs", directory.display())),
        Ok(_) => Err(format!("{} is there, but nobody runs in it", directory.display())),
        Err(_) => Ok("none".into()),
    }
}

/// Runs other than the one in progress.
fn past_runs(snapshot: &Snapshot) -> impl Iterator<Item = u64> {
    let current = snapshot.run.map(|(run_id, _)| run_id);
    snapshot.journal.ids().into_iter().filter(move |id| Some(*id) != current)
}

fn unended(snapshot: &Snapshot) -> Result<String, String> {
    let open = past_runs(snapshot).filter(|id| snapshot.journal.read(*id).is_ok_and(|record| !record.run.ended));
    let open: Vec<String> = open.map(|id| format!("run {id}")).collect();
    if open.is_empty() { Ok("every run has its end".into()) } else { Err(format!("without an end: {}", named(&open))) }
}

fn readable(snapshot: &Snapshot) -> Result<String, String> {
    let mut read = 0;
    let mut broken = Vec::new();
    for id in past_runs(snapshot) {
        match snapshot.journal.read(id) {
            Ok(_) => read += 1,
            Err(error) => broken.push(error.to_string()),
        }
    }
    if broken.is_empty() { Ok(format!("{read} records")) } else { Err(named(&broken)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_compared_and_writing_tried() {
        let directory = tempfile::tempdir().unwrap();
        assert!(free(directory.path(), 1).is_ok());
        assert!(free(directory.path(), u64::MAX).is_err());
        assert!(free(Path::new("/does/not/exist"), 1).unwrap_err().contains("/does/not/exist"));
        assert_eq!(writes(directory.path()).unwrap(), "a file was written");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "left behind");
        assert!(writes(&directory.path().join("none")).is_err());
        assert!(writes(Path::new("/proc")).is_err(), "a file system that takes no files");
    }

    #[test]
    fn a_lock_is_ours_only_while_it_is_held_and_names_us() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert!(locked(&path).is_err());
        std::fs::write(&path, format!("pid {}", std::process::id())).unwrap();
        assert!(locked(&path).unwrap_err().contains("nobody holds"));
        let held = Flock::lock(std::fs::File::open(&path).unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(locked(&path).unwrap(), "held");
        std::fs::write(&path, "pid 1").unwrap();
        assert!(locked(&path).unwrap_err().contains("'pid 1'"));
        drop(held);
    }
}
