//! Control groups, as far as a container's keeper needs them: freezing, use and limits, and the removal of what was left.
//!
//! Both generations are understood, also side by side (hybrid): each of a container's hierarchies is looked up by what its
//! processes say in `/proc/PID/cgroup`. Nothing here makes a control group; the container runtime does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::process::PidFd;

/// Between two looks at a state that the kernel changes within microseconds to milliseconds.
const POLL_EVERY: Duration = Duration::from_micros(200);
/// What is ours is recognised by the beginning of its name; nothing else is ever touched.
const OURS: &str = "holdfast-";

/// One hierarchy as it is mounted here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    /// `None`: version 2; else version 1 with these controllers.
    controllers: Option<Vec<String>>,
    /// What of the hierarchy is mounted: `/`, or a part of it inside another container.
    root: PathBuf,
    mount: PathBuf,
}

impl Hierarchy {
    fn all() -> io::Result<Vec<Self>> {
        let text = fs::read_to_string("/proc/self/mountinfo")?;
        Ok(text.lines().filter_map(Self::parse).collect())
    }

    /// A line of proc_pid_mountinfo(5): `ID PARENT DEVICE ROOT MOUNT OPTIONS [FIELDS] - TYPE SOURCE SUPER-OPTIONS`.
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let controllers = match *right.first()? {
            "cgroup2" => None,
            "cgroup" => Some(right.get(2)?.split(',').map(str::to_owned).collect()),
            _ => return None,
        };
        Some(Self { controllers, root: left.get(3)?.into(), mount: left.get(4)?.into() })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.as_ref().is_some_and(|all| all.iter().any(|one| one == controller))
    }

    /// Where the group is that one line of `/proc/PID/cgroup` names, if the line speaks of this hierarchy.
    fn directory(&self, line: &str) -> Option<PathBuf> {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let same = match &self.controllers {
            None => controllers.is_empty(),
            Some(_) => !controllers.is_empty() && controllers.split(',').all(|controller| self.has(controller)),
        };
        let inside = Path::new(path).strip_prefix(&self.root).ok()?;
        same.then(|| self.mount.join(inside))
    }
}

/// How a group is made to stand still.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Freezer {
    /// `cgroup.freeze`: a frozen process can be killed.
    Unified(PathBuf),
    /// `freezer.state`: a frozen process dies only when it leaves the group, or the group is thawed.
    Legacy { group: PathBuf, outside: PathBuf },
}

/// What a group may use, and uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupUsage {
    /// Memory charged to it, in bytes, with the kernel's buffers and the file cache.
    pub memory_bytes: u64,
    /// CPU time since it was made.
    pub cpu_ms: u64,
    /// Processes that the kernel killed because the group's memory limit was reached.
    pub oom_kills: u64,
}

/// The control groups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroup {
    freezer: Option<Freezer>,
    directories: Vec<PathBuf>,
}

impl Cgroup {
    /// Those of a running process that carry `name`; a process that is in none of that name has an empty value.
    pub fn of(pid: u32, name: &str) -> io::Result<Self> {
        let lines = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let hierarchies = Hierarchy::all()?;
        let (mut unified, mut legacy, mut directories) = (None, None, Vec::new());
        for hierarchy in &hierarchies {
            let found = lines.lines().find_map(|line| hierarchy.directory(line));
            let Some(directory) = found.filter(|path| path.file_name().is_some_and(|last| last == name)) else {
                continue;
            };
            if hierarchy.controllers.is_none() && directory.join("cgroup.freeze").exists() {
                unified = Some(Freezer::Unified(directory.clone()));
            }
            if hierarchy.has("freezer") {
                legacy = Some(Freezer::Legacy { group: directory.clone(), outside: hierarchy.mount.clone() });
            }
            directories.push(directory);
        }
        // The newer one where both are there: under it a frozen process can be killed.
        Ok(Self { freezer: unified.or(legacy), directories })
    }

    /// Whether the group can be frozen.
    pub fn can_freeze(&self) -> bool {
        self.freezer.is_some()
    }

    /// Freezes or thaws every process of the group. Blocks for at most `within` until the kernel says that it is done;
    /// returns whether it has. What is asked for comes about also when it has not said so yet.
    pub fn freeze(&self, frozen: bool, within: Duration) -> io::Result<bool> {
        match &self.freezer {
            None => return Err(io::Error::from(io::ErrorKind::Unsupported)),
            Some(Freezer::Unified(group)) => {
                fs::write(group.join("cgroup.freeze"), if frozen { "1" } else { "0" })?;
            }
            Some(Freezer::Legacy { group, .. }) => {
                fs::write(group.join("freezer.state"), if frozen { "FROZEN" } else { "THAWED" })?;
            }
        }
        let deadline = Instant::now() + within;
        while self.is_frozen() != frozen {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(POLL_EVERY);
        }
        Ok(true)
    }

    /// Whether all of it stands still.
    pub fn is_frozen(&self) -> bool {
        match &self.freezer {
            None => false,
            Some(Freezer::Unified(group)) => keyed(&group.join("cgroup.events"), "frozen") == Some(1),
            Some(Freezer::Legacy { group, .. }) => {
                fs::read_to_string(group.join("freezer.state")).is_ok_and(|state| state.trim() == "FROZEN")
            }
        }
    }

    /// Lets a process that was sent SIGKILL die although the group is frozen; the others stay frozen. It dies before it
    /// runs another instruction of its program.
    pub fn let_die(&self, pid: u32) -> io::Result<()> {
        match &self.freezer {
            Some(Freezer::Legacy { outside, .. }) if self.is_frozen() => {
                fs::write(outside.join("cgroup.procs"), pid.to_string())
            }
            _ => Ok(()),
        }
    }

    /// What it uses; what a kernel does not count is 0.
    pub fn usage(&self) -> GroupUsage {
        let first = |names: &[&str]| self.read(names).and_then(|text| text.trim().parse::<u64>().ok());
        let cpu_us = self.directories.iter().find_map(|group| keyed(&group.join("cpu.stat"), "usage_usec"));
        let cpu_ms = cpu_us.map(|us| us / 1_000).or_else(|| first(&["cpuacct.usage"]).map(|ns| ns / 1_000_000));
        let oom_kills = self.directories.iter().find_map(|group| {
            keyed(&group.join("memory.events"), "oom_kill")
                .or_else(|| keyed(&group.join("memory.oom_control"), "oom_kill"))
        });
        GroupUsage {
            memory_bytes: first(&["memory.current", "memory.usage_in_bytes"]).unwrap_or_default(),
            cpu_ms: cpu_ms.unwrap_or_default(),
            oom_kills: oom_kills.unwrap_or_default(),
        }
    }

    fn read(&self, names: &[&str]) -> Option<String> {
        self.directories
            .iter()
            .flat_map(|group| names.iter().map(|name| group.join(name)))
            .find_map(|file| fs::read_to_string(file).ok())
    }
}

/// The number after a key, in a file of lines `KEY NUMBER`.
fn keyed(file: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The groups at the top of every hierarchy whose name is `prefix`, or begins with it and a dash.
pub fn find(prefix: &str) -> Vec<PathBuf> {
    if !prefix.starts_with(OURS) || prefix.len() == OURS.len() {
        return Vec::new();
    }
    let ours = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let hierarchies = Hierarchy::all().unwrap_or_default();
    let entries = hierarchies.iter().filter_map(|hierarchy| fs::read_dir(&hierarchy.mount).ok()).flatten().flatten();
    let is_group = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter(|e| e.file_name().to_str().is_some_and(ours) && is_group(e)).map(|e| e.path()).collect()
}

/// Thaws the groups that [`find`] names: whoever is to end politely must be able to.
pub fn thaw(prefix: &str) {
    for group in find(prefix) {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
        // The file is there in the newer hierarchy only.
        if group.join("cgroup.freeze").exists() {
            let _ = fs::write(group.join("cgroup.freeze"), "0");
        }
    }
}

/// Kills every process in the groups that [`find`] names and removes them. Returns the pids killed; an error names a
/// group that is still there after `within`.
pub fn remove(prefix: &str, within: Duration) -> io::Result<Vec<u32>> {
    let deadline = Instant::now() + within;
    let mut killed = Vec::new();
    loop {
        let groups = find(prefix);
        for group in &groups {
            killed.extend(kill_members(group).into_iter().filter(|pid| !killed.contains(pid)).collect::<Vec<_>>());
            // After the signal: the processes die before they run on.
            let _ = fs::write(group.join("freezer.state"), "THAWED");
            let _ = fs::remove_dir(group);
        }
        let Some(left) = groups.into_iter().find(|group| group.exists()) else { return Ok(killed) };
        if Instant::now() >= deadline {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{} cannot be removed", left.display())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn kill_members(group: &Path) -> Vec<u32> {
    let members = || -> Vec<u32> {
        let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let mut killed = Vec::new();
    for pid in members() {
        // Taken hold of, then looked at again: the pid could be another's by now.
        let Ok(process) = PidFd::open(pid) else { continue };
        if members().contains(&pid) && process.signal(libc::SIGKILL).is_ok() {
            killed.push(pid);
        }
    }
    killed
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn hierarchies_are_read_from_mountinfo() {
        let line = "33 32 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct";
        let legacy = Hierarchy::parse(line).unwrap();
        assert!(legacy.has("cpuacct") && !legacy.has("memory"));
        assert_eq!(legacy.directory("4:cpu,cpuacct:/a/b").unwrap(), Path::new("/sys/fs/cgroup/cpu,cpuacct/a/b"));
        assert_eq!(legacy.directory("0::/a/b"), None);
        assert_eq!(legacy.directory("5:memory:/a"), None);
        let unified = Hierarchy::parse("25 1 0:22 /docker/x /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw").unwrap();
        assert_eq!(unified.directory("0::/docker/x/a").unwrap(), Path::new("/sys/fs/cgroup/a"));
        assert_eq!(unified.directory("0::/other"), None);
        for wrong in ["", " - ", "1 2 3", "1 2 3 / /m o - cgroup x", "1 2 - cgroup2 x y", "1 2 3 / /m o - ext4 a b"] {
            assert_eq!(Hierarchy::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_names_of_ours_are_looked_for() {
        for prefix in ["", "holdfast-", "system", "user.slice", "holdfas"] {
            assert!(find(prefix).is_empty(), "{prefix}");
        }
    }

    /// A group made by hand in one hierarchy, with a sleeper in it.
    struct Group {
        name: String,
        directory: PathBuf,
        child: Child,
    }

    impl Group {
        /// `None` where this machine does not have that kind of freezer.
        fn new(test: &str, unified: bool) -> Option<Self> {
            let name = format!("holdfast-test{}{test}-{unified}", std::process::id());
            let hierarchies = Hierarchy::all().unwrap();
            let of_kind = |h: &&Hierarchy| if unified { h.controllers.is_none() } else { h.has("freezer") };
            let directory = hierarchies.iter().find(of_kind)?.mount.join(&name);
            fs::create_dir(&directory).ok()?;
            let child = Command::new("sleep").arg("60").spawn().unwrap();
            fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
            Some(Self { name, directory, child })
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = remove(&self.name, Duration::from_secs(5));
            let _ = self.child.wait();
        }
    }

    #[test]
    fn frozen_processes_die_when_killed_and_nothing_stays() {
        let mut tried = 0;
        for unified in [true, false] {
            let Some(mut group) = Group::new("a", unified) else { continue };
            tried += 1;
            let pid = group.child.id();
            let cgroup = Cgroup::of(pid, &group.name).unwrap();
            assert!(cgroup.can_freeze() && !cgroup.is_frozen());
            let within = Duration::from_secs(10);
            assert!(cgroup.freeze(true, within).unwrap() && cgroup.is_frozen());
            assert!(cgroup.freeze(false, within).unwrap() && !cgroup.is_frozen());
            assert!(cgroup.freeze(true, within).unwrap());
            let process = PidFd::open(pid).unwrap();
            process.signal(libc::SIGKILL).unwrap();
            cgroup.let_die(pid).unwrap();
            assert!(process.wait(Some(within)).unwrap(), "unified: {unified}");
            group.child.wait().unwrap();
            assert_eq!(find(&group.name), [group.directory.clone()]);
            remove(&group.name, within).unwrap();
            assert!(!group.directory.exists());
        }
        assert!(tried > 0, "this machine has no control groups, or they may not be made here");
    }

    #[test]
    fn what_is_left_is_killed_frozen_or_not() {
        for unified in [true, false] {
            let Some(mut group) = Group::new("b", unified) else { continue };
            let cgroup = Cgroup::of(group.child.id(), &group.name).unwrap();
            cgroup.freeze(true, Duration::from_secs(10)).unwrap();
            let name = group.name.clone();
            let removal = std::thread::spawn(move || remove(&name, Duration::from_secs(10)));
            // Nobody else reaps it, and a group with a zombie in it can be removed.
            assert_eq!(removal.join().unwrap().unwrap(), [group.child.id()]);
            group.child.wait().unwrap();
            assert!(find(&group.name).is_empty());
        }
    }
}
