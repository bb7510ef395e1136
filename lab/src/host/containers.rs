//! Control groups of a router's containers, seen from outside: by what the processes in them say in /proc.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use crate::limits;

/// Where control groups are mounted.
const MOUNTED_AT: &str = "/sys/fs/cgroup";
/// What a router's containers are called.
const PREFIX: &str = "holdfast-";

/// The container that a process runs in.
pub fn name_of(pid: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    text.lines().filter_map(|line| line.rsplit('/').next()).find(|name| name.starts_with(PREFIX)).map(str::to_owned)
}

/// Its directories, in every hierarchy.
fn directories(name: &str) -> Vec<PathBuf> {
    let top = Path::new(MOUNTED_AT);
    let hierarchies = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    [top.to_path_buf()].into_iter().chain(hierarchies).map(|folder| folder.join(name)).filter(|d| d.is_dir()).collect()
}

/// Whether the container of a process is frozen.
pub fn is_frozen(pid: u32) -> bool {
    let Some(name) = name_of(pid) else { return false };
    directories(&name).iter().any(|directory| {
        let holds = |file: &str, text: &str| fs::read_to_string(directory.join(file)).is_ok_and(|t| t.contains(text));
        holds("cgroup.events", "frozen 1") || holds("freezer.state", "FROZEN")
    })
}

/// Lets its processes go on.
pub fn thaw(name: &str) {
    for directory in directories(name) {
        for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
            if directory.join(file).exists() {
                let _ = fs::write(directory.join(file), word);
            }
        }
    }
}

/// Removes its directories once its processes have ended; the error names one that stays.
pub fn remove(name: &str) -> Result<(), String> {
    let end = Instant::now() + limits::TERMINATE_WITHIN;
    loop {
        let left = directories(name);
        left.iter().for_each(|directory| drop(fs::remove_dir(directory)));
        match directories(name).first() {
            None => return Ok(()),
            Some(directory) if Instant::now() >= end => return Err(format!("{} stays", directory.display())),
            Some(_) => thread::sleep(limits::POLL_EVERY),
        }
    }
}

/// The containers that exist on this machine.
pub fn all() -> Vec<String> {
    let top = Path::new(MOUNTED_AT);
    let hierarchies = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    let entries = [top.to_path_buf()].into_iter().chain(hierarchies).filter_map(|folder| fs::read_dir(folder).ok());
    let names = entries.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_outside_of_containers_is_in_none() {
        let me = std::process::id();
        assert_eq!(name_of(me), None);
        assert!(!is_frozen(me));
        assert!(directories("holdfast-no-such").is_empty() && remove("holdfast-no-such").is_ok());
    }
}
