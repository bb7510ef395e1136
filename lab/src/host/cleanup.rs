//! Nothing is left behind: the removal of one lab by its name alone.
//!
//! What belongs to a lab is recognised from outside, so that anybody can remove it (the lab itself, its guardian,
//! `holdfast lab destroy`): its namespaces and its folder carry its name; its processes are those that live in its
//! namespaces or have its folder on their command line; its containers are those that they run in. Order: processes, containers,
//! namespaces, files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{containers, lab_id::LabId, netns::Namespace, process, procfs};
use crate::{
    error::{LabError, Result},
    limits,
};

/// What of a lab exists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// Process ids with their command lines.
    pub processes: Vec<(u32, String)>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Whether its folder exists.
    pub files: bool,
}

impl Remains {
    /// Whether nothing exists.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.namespaces.is_empty() && !self.files
    }
}

/// The names of all named namespaces.
fn namespaces() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()
}

/// Looks for what is left of a lab.
pub fn remains(id: &LabId) -> Remains {
    let namespaces: Vec<String> =
        namespaces().into_iter().filter(|n| LabId::of_namespace(n).as_ref() == Some(id)).collect();
    let inodes: BTreeSet<u64> =
        namespaces.iter().filter_map(|n| fs::metadata(Namespace::path(n)).ok()).map(|m| m.ino()).collect();
    let folder = id.work_dir();
    Remains { processes: processes(id, &inodes), namespaces, files: folder.exists() }
}

fn processes(id: &LabId, namespace_inodes: &BTreeSet<u64>) -> Vec<(u32, String)> {
    let folder = format!("{}/", id.work_dir().display());
    let me = std::process::id();
    procfs::all_pids()
        .into_iter()
        .filter(|&pid| pid != me && pid != id.owner_pid && procfs::alive(pid))
        .filter_map(|pid| {
            let line = procfs::command_line(pid);
            let inside = procfs::network_namespace(pid).is_some_and(|inode| namespace_inodes.contains(&inode));
            // An editor or pager that merely names the folder is not the lab's: a command line counts only for our binaries.
            let names_it = line.contains(&folder) && is_own_binary(&line);
            (inside || names_it).then_some((pid, line))
        })
        .collect()
}

fn is_own_binary(line: &str) -> bool {
    let program = line.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    matches!(name, "holdfast" | "chassisd" | "mgd" | "rpd" | "pfed" | "ppmd" | "tcpdump" | "bgpd" | "bird")
}

/// Removes a lab. Says what it removed; fails if something stays.
pub fn remove(id: &LabId) -> Result<Remains> {
    let found = remains(id);
    let containers: BTreeSet<String> =
        found.processes.iter().filter_map(|(pid, _)| containers::name_of(*pid)).collect();
    // Who is frozen does not hear that it is to end.
    containers.iter().for_each(|name| containers::thaw(name));
    end_processes(id);
    for name in &containers {
        containers::remove(name).map_err(|left| LabError::Leftovers(format!("{id}: {left}")))?;
    }
    for name in &found.namespaces {
        // Gone already is as good as deleted; `remains` below is the judge.
        let _ = process::run(Command::new("ip").args(["netns", "delete", name]));
    }
    remove_folder(&id.work_dir());
    for (pid, line) in &found.processes {
        if line.contains("bgpd") {
            remove_crash_log_folder(*pid);
        }
    }
    let left = remains(id);
    if left.is_empty() { Ok(found) } else { Err(LabError::Leftovers(format!("{id}: {left:?}"))) }
}

/// SIGTERM to all of them, then SIGKILL to who stays; again until nobody is left (a supervisor may have started
/// another one meanwhile).
fn end_processes(id: &LabId) {
    let end = Instant::now() + limits::TERMINATE_WITHIN * 2;
    let polite_until = Instant::now() + limits::TERMINATE_WITHIN / 2;
    let mut asked = BTreeSet::new();
    loop {
        let left = remains(id).processes;
        if left.is_empty() || Instant::now() >= end {
            return;
        }
        let polite = Instant::now() < polite_until;
        for (pid, _) in left {
            if !polite {
                process::signal(pid, Signal::SIGKILL);
            } else if asked.insert(pid) {
                process::signal(pid, Signal::SIGTERM);
                process::signal(pid, Signal::SIGCONT);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn remove_folder(folder: &Path) {
    // A process that is dying may still create a file: try again for a moment.
    for _ in 0..20 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// FRR's daemons keep /var/tmp/frr/NAME.PID for crash logs and leave it behind when they are killed.
pub fn remove_crash_log_folder(pid: u32) {
    let Ok(entries) = fs::read_dir("/var/tmp/frr") else { return };
    let ending = format!(".{pid}");
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().ends_with(&ending)) {
        let _ = fs::remove_dir_all(entry.path());
    }
}

/// The file in a lab's folder that says who owns it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Owner {
    /// The scenario's name.
    pub scenario: String,
    /// The owner's process id.
    pub pid: u32,
    /// With the id it names a process for ever.
    pub start_ticks: u64,
    /// The lab's work is over and it stays up on request (`--keep`).
    pub kept: bool,
}

impl Owner {
    const FILE: &str = "owner.json";

    /// Reads it from a lab's folder.
    pub fn read(id: &LabId) -> Option<Self> {
        serde_json::from_slice(&fs::read(id.work_dir().join(Self::FILE)).ok()?).ok()
    }

    /// Writes it into a lab's folder.
    pub fn write(&self, id: &LabId) -> std::io::Result<()> {
        fs::write(id.work_dir().join(Self::FILE), serde_json::to_vec(self)?)
    }

    /// Whether the owner still runs.
    pub fn alive(&self) -> bool {
        procfs::alive(self.pid) && procfs::start_ticks(self.pid) == Some(self.start_ticks)
    }
}

/// One lab found on this machine.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub id: LabId,
    /// Its owner's file, if there is one.
    pub owner: Option<Owner>,
    /// Whether its owner still runs.
    pub running: bool,
}

/// Every lab on this machine, running or left over.
pub fn find_all() -> Vec<Found> {
    let mut ids: BTreeMap<LabId, ()> = BTreeMap::new();
    ids.extend(namespaces().iter().filter_map(|n| LabId::of_namespace(n)).map(|id| (id, ())));
    if let Ok(entries) = fs::read_dir(std::env::temp_dir()) {
        ids.extend(entries.flatten().filter_map(|e| LabId::of_work_dir(&e.path())).map(|id| (id, ())));
    }
    ids.into_keys()
        .map(|id| {
            let owner = Owner::read(&id);
            let running = owner.as_ref().map_or_else(|| procfs::alive(id.owner_pid), Owner::alive);
            Found { id, owner, running }
        })
        .collect()
}

/// Ends a lab that its owner keeps up, by asking the owner, who cleans up after itself.
pub fn end_kept(found: &Found) -> Result<()> {
    process::signal(found.id.owner_pid, Signal::SIGTERM);
    let end = Instant::now() + limits::TERMINATE_WITHIN * 4;
    while procfs::alive(found.id.owner_pid) && Instant::now() < end {
        thread::sleep(limits::POLL_EVERY);
    }
    remove(&found.id).map(drop)
}
