//! A container's bundle: its configuration as the OCI runtime specification has it, and the empty tree that mounts are put on.
//!
//! The root is a skeleton of our own in the run-dir, read-only; the image's files are mounted below `/usr`, read-only too.
//! So nothing is ever written into an image, and what is in it can be compared with its digests at any time.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use holdfast_issu::Daemon;
use serde_json::{Value, json};

use super::{Common, Kind, profile};
use crate::chassis::Slot;
use crate::limits;

/// Hidden from the processes: what tells of, or reaches into, the machine.
const MASKED: [&str; 6] =
    ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/acpi", "/proc/scsi"];
/// Not to be written to.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger", "/proc/asound"];
/// Environment that is handed on to a contained process.
const HANDED_ON: [&str; 3] = ["HOLDFAST_", "RUST_BACKTRACE", "TZ"];
/// A hundredth of this is one percent of a CPU: the kernel's own default period.
const CPU_PERIOD_US: u64 = 100_000;

/// Where a container's files are.
#[derive(Debug)]
pub struct Bundle {
    directory: PathBuf,
}

impl Bundle {
    /// Of the container with this name.
    pub fn new(oci_dir: &Path, name: &str) -> Self {
        Bundle { directory: oci_dir.join(name) }
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes skeleton and configuration; what an earlier one left is removed first.
    pub fn write(&self, common: &Common, slot: Slot, kind: Kind, id: &str) -> io::Result<()> {
        let _ = fs::remove_dir_all(&self.directory);
        let root = self.directory.join("rootfs");
        for folder in ["dev", "etc", "home", "proc", "run", "tmp", "usr"] {
            fs::create_dir_all(root.join(folder))?;
        }
        for (link, target) in [("bin", "usr/bin"), ("lib", "usr/lib"), ("lib64", "usr/lib")] {
            symlink(target, root.join(link))?;
        }
        // Times are shown as the machine shows them.
        if let Ok(zone) = fs::read("/etc/localtime") {
            fs::write(root.join("etc/localtime"), zone)?;
        }
        let configuration = configuration(common, slot, kind, id).ok_or_else(|| io::Error::other("no image"))?;
        fs::write(self.file("config.json"), serde_json::to_vec_pretty(&configuration)?)
    }

    /// Removes it.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The memory limit of a container, in MiB.
pub fn memory_mib(common: &Common, kind: Kind) -> u64 {
    match kind {
        Kind::Engine => common.options.re_memory_mib,
        Kind::Forwarding => limits::FORWARDING_MEMORY_MIB,
    }
}

/// The CPU limit of a container, 100 being one CPU; 0: none.
pub fn cpu_percent(common: &Common, kind: Kind) -> u32 {
    match kind {
        Kind::Engine => common.options.re_cpu_percent,
        Kind::Forwarding => 0,
    }
}

fn configuration(common: &Common, slot: Slot, kind: Kind, id: &str) -> Option<Value> {
    let init = ["/usr/bin/holdfast".into(), "container-init".into(), common.run_dir.path().display().to_string()];
    let mut linux = json!({
        "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "cgroup"}],
        "cgroupsPath": format!("/{id}"),
        "resources": resources(common, kind),
        "maskedPaths": masked(common),
        "readonlyPaths": read_only(kind),
    });
    if common.seccomp.get() == Some(&true) {
        linux["seccomp"] = profile::seccomp();
    }
    Some(json!({
        "ociVersion": "1.0.2",
        "process": process(&init, &[]),
        "root": { "path": "rootfs", "readonly": true },
        "hostname": kind.name(slot),
        "mounts": mounts(common, kind)?,
        "linux": linux,
    }))
}

/// A process file, for `exec`.
pub fn daemon_process(daemon: Daemon, arguments: &[String]) -> Value {
    let mut words = vec![format!("/usr/bin/{}", daemon.name())];
    words.extend_from_slice(arguments);
    process(&words, profile::capabilities(daemon))
}

fn process(arguments: &[String], capabilities: &[&str]) -> Value {
    let mut environment = vec!["PATH=/usr/bin".to_owned(), "HOME=/home".to_owned(), "TERM=xterm".to_owned()];
    let handed_on = std::env::vars().filter(|(name, _)| HANDED_ON.iter().any(|start| name.starts_with(start)));
    environment.extend(handed_on.map(|(name, value)| format!("{name}={value}")));
    let mut process = json!({
        "terminal": false,
        "user": { "uid": 0, "gid": 0 },
        "args": arguments,
        "env": environment,
        "cwd": "/",
        "capabilities": profile::capability_sets(capabilities),
        "noNewPrivileges": true,
    });
    use nix::sys::resource::{Resource, getrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        process["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": soft, "hard": hard }]);
    }
    process
}

fn resources(common: &Common, kind: Kind) -> Value {
    let weight = match kind {
        Kind::Engine => limits::ENGINE_CPU_SHARES,
        Kind::Forwarding => limits::FORWARDING_CPU_SHARES,
    };
    let mut cpu = json!({ "shares": weight });
    let percent = cpu_percent(common, kind);
    if percent > 0 {
        cpu["period"] = CPU_PERIOD_US.into();
        cpu["quota"] = (CPU_PERIOD_US * u64::from(percent) / 100).into();
    }
    json!({
        "memory": { "limit": memory_mib(common, kind) << 20 },
        "cpu": cpu,
        "pids": { "limit": limits::CONTAINER_PIDS_MAX },
        "devices": [{ "allow": false, "access": "rwm" }],
    })
}

fn mounts(common: &Common, kind: Kind) -> Option<Value> {
    let bind = |from: &Path, to: &Path, more: &[&str]| {
        let options: Vec<&str> = ["rbind", "nosuid", "nodev"].iter().chain(more).copied().collect();
        json!({ "destination": to, "type": "bind", "source": from, "options": options })
    };
    let special = |to: &str, kind: &str, options: &[&str]| json!({ "destination": to, "type": kind, "source": kind, "options": options });
    let tmp_size = format!("size={}m", limits::CONTAINER_TMP_MIB);
    let mut mounts = vec![
        special("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        special("/dev", "tmpfs", &["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        special("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        special("/tmp", "tmpfs", &["nosuid", "nodev", "noexec", "mode=1777", &tmp_size]),
        bind(&common.image.get()?.files(), Path::new("/usr"), &["ro"]),
    ];
    if kind == Kind::Engine {
        mounts.push(bind(&common.state_dir.join("volumes/home"), Path::new("/home"), &["rw"]));
    }
    mounts.push(bind(common.run_dir.path(), common.run_dir.path(), &["rw", "noexec"]));
    if kind == Kind::Engine {
        for (folder, access) in [("config", "rw"), ("log", "ro")] {
            let folder = common.state_dir.join(folder);
            mounts.push(bind(&folder, &folder, &[access, "noexec"]));
        }
    }
    Some(mounts.into())
}

/// The runtime's own files lie in the run-dir; they are nobody's business inside.
fn masked(common: &Common) -> Vec<String> {
    let own = common.run_dir.oci_dir().display().to_string();
    MASKED.iter().map(|path| (*path).to_owned()).chain([own]).collect()
}

/// pfed sets one switch below /proc/sys/net, which is the network namespace's own; the rest of the kernel's switches are
/// nobody's.
fn read_only(kind: Kind) -> Vec<String> {
    let mut paths: Vec<String> = READ_ONLY.iter().map(|path| (*path).to_owned()).collect();
    match kind {
        Kind::Engine => paths.push("/proc/sys".into()),
        Kind::Forwarding => {
            let folders = fs::read_dir("/proc/sys").into_iter().flatten().flatten();
            let others = folders.filter(|folder| folder.file_name() != "net");
            paths.extend(others.map(|folder| folder.path().display().to_string()));
        }
    }
    paths
}
