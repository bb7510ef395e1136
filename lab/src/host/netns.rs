//! Named network namespaces, and doing things inside them.
//!
//! A namespace belongs to a thread in Linux: work inside one is done by a thread that enters it and ends there.
//! What such a thread spawns, and the sockets it opens, stay in the namespace.

use std::{fs::File, path::PathBuf, process::Command, thread};

use nix::sched::{CloneFlags, setns};

use super::process::{self, OwnGroup};
use crate::error::{Doing, LabError, Result};

/// A named network namespace that exists.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes it, with `lo` up.
    pub fn create(name: &str) -> Result<Self> {
        process::run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self { name: name.to_owned() };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name of one that is still to be made.
    pub fn unmade(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name, as `ip netns` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is pinned.
    pub fn path(name: &str) -> PathBuf {
        PathBuf::from("/run/netns").join(name)
    }

    /// Moves the calling thread into the namespace, for good.
    pub fn enter(&self) -> Result<()> {
        let path = Self::path(&self.name);
        let file = File::open(&path).doing(|| format!("open {}", path.display()))?;
        setns(file, CloneFlags::CLONE_NEWNET).doing(|| format!("enter namespace {}", self.name))
    }

    /// Does something inside, on a thread of its own, and returns what it returned.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                work()
            });
            thread
                .join()
                .unwrap_or_else(|_| Err(LabError::Protocol(format!("work in namespace {} panicked", self.name))))
        })
    }

    /// Starts a thread that lives inside.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        title: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let namespace = self.clone();
        thread::Builder::new()
            .name(title.to_owned())
            .spawn(move || {
                namespace.enter()?;
                work()
            })
            .doing(|| format!("start thread {title}"))
    }

    /// One `ip` command inside: `namespace.ip("link set lo up")`.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name]).args(arguments.split_whitespace());
        process::run(&mut command)
    }

    /// Many `ip` commands at once; what they printed.
    pub fn ip_batch(&self, lines: &str) -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.name, "-batch", "-"]);
        process::run_with_input(&mut command, lines.as_bytes())
    }

    /// Sets a network sysctl (`net/ipv4/ip_forward`) of this namespace.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.inside(|| {
            let path = PathBuf::from("/proc/sys").join(key);
            std::fs::write(&path, value).doing(|| format!("write {value} to {}", path.display()))
        })
    }

    /// Runs a command to its end inside and returns what it printed.
    pub fn run(&self, command: &mut Command) -> Result<String> {
        self.inside(|| process::run(command))
    }

    /// Starts a command inside.
    pub fn spawn(&self, command: &mut Command) -> Result<std::process::Child> {
        self.inside(|| command.own_group().spawn().doing(|| format!("start {}", process::typed(command))))
    }
}

/// Joins two namespaces by a veth pair and gives each end a name, an address and a state of up.
pub fn link(a: (&Namespace, &str, &str), b: (&Namespace, &str, &str)) -> Result<()> {
    join((a.0, a.1), (b.0, b.1))?;
    for (namespace, interface, address) in [a, b] {
        namespace.ip(&format!("address add {address} dev {interface}"))?;
    }
    Ok(())
}

/// Joins two namespaces by a veth pair and gives each end a name and a state of up.
pub fn join(a: (&Namespace, &str), b: (&Namespace, &str)) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(["link", "add", a.1, "netns", a.0.name(), "type", "veth", "peer", "name", b.1, "netns", b.0.name()]);
    process::run(&mut command)?;
    for (namespace, interface) in [a, b] {
        // A transmit queue of its own is only needed where the machine stalls; a veth has none by default.
        namespace.ip(&format!("link set {interface} up txqueuelen 10000"))?;
    }
    Ok(())
}
