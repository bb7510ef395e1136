//! The place of one measurement: a namespace for the router, one for all of its neighbours, a link for each session. It goes
//! with the value, and with a guardian should the lab be killed.

use std::{fs, io::Write as _, path::PathBuf};

use super::input::Session;
use crate::{
    error::{Doing, Result},
    host::{
        cleanup::{self, Owner},
        guardian::Guardian,
        interrupt,
        lab_id::LabId,
        netns::{self, Namespace},
        procfs,
    },
    keep,
    topology::ROUTER_NODE,
};

/// The neighbours' namespace.
const WORLD_NODE: &str = "world";

/// Two namespaces and a folder.
#[derive(Debug)]
pub struct Setting {
    /// Names everything.
    pub id: LabId,
    name: String,
    /// Where the router lives.
    pub router: Namespace,
    /// Where its neighbours live.
    pub world: Namespace,
    guardian: Option<Guardian>,
    removed: bool,
}

impl Setting {
    /// Makes it, with a link for every session.
    pub fn build(name: &str, sessions: &[Session]) -> Result<Self> {
        interrupt::check()?;
        let id = LabId::new();
        // The guardian first: what is killed at the next instruction must not stay.
        let guardian = Guardian::start(&id).ok();
        let (router, world) = (id.namespace(ROUTER_NODE), id.namespace(WORLD_NODE));
        let mut setting = Self {
            id,
            name: name.to_owned(),
            router: Namespace::unmade(&router),
            world: Namespace::unmade(&world),
            guardian,
            removed: false,
        };
        let folder = setting.folder();
        fs::create_dir(&folder).doing(|| format!("create {}", folder.display()))?;
        setting.write_owner(false)?;
        setting.router = Namespace::create(&router)?;
        setting.world = Namespace::create(&world)?;
        for (index, session) in sessions.iter().enumerate() {
            let (inside, outside) = (format!("to-{index}"), format!("from-{index}"));
            netns::link(
                (&setting.router, &inside, &format!("{}/24", session.router)),
                (&setting.world, &outside, &format!("{}/24", session.address)),
            )?;
        }
        Ok(setting)
    }

    fn write_owner(&self, kept: bool) -> Result<()> {
        let pid = std::process::id();
        let start_ticks = procfs::start_ticks(pid).unwrap_or(0);
        let owner = Owner { scenario: self.name.clone(), pid, start_ticks, kept };
        owner.write(&self.id).doing(|| "write the owner's file".into())
    }

    /// Leaves everything up until a signal asks for its end.
    pub fn keep_until_signal(&self) -> Result<()> {
        self.write_owner(true)?;
        keep::until_signal();
        Ok(())
    }

    /// Another namespace.
    pub fn namespace(&self, node: &str) -> Result<Namespace> {
        Namespace::create(&self.id.namespace(node))
    }

    /// For the router's files.
    pub fn folder(&self) -> PathBuf {
        self.id.work_dir()
    }

    /// IPv4 routes in the router's kernel, without a look at each of them.
    pub fn kernel_routes(&self) -> Result<usize> {
        let file = "/proc/thread-self/net/fib_triestat";
        let text = self.router.inside(|| fs::read_to_string(file).doing(|| format!("read {file}")))?;
        Ok(main_prefixes(&text))
    }

    /// Takes it down; fails if anything stays.
    pub fn remove(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.removed, true) {
            return Ok(());
        }
        let gone = cleanup::remove(&self.id).map(drop);
        if let (Some(mut guardian), true) = (self.guardian.take(), gone.is_ok()) {
            guardian.dismiss();
        }
        gone
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            let _ = writeln!(std::io::stderr(), "error: {error}");
        }
    }
}

/// The figure of the main table. (While there are no rules the kernel keeps the local table in the same trie.)
fn main_prefixes(text: &str) -> usize {
    let main = text.split_once("Main:").map_or(text, |(_, rest)| rest);
    main.lines().find_map(|line| line.trim().strip_prefix("Prefixes:")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_statistics_are_read() {
        let text = "Basic info: size of leaf: 48 bytes\nLocal:\n\tLeaves:  7\n\tPrefixes: 8\nMain:\n\tAver depth:     3.00\n\tLeaves:         9\n\tPrefixes:       1000012\n";
        assert_eq!(main_prefixes(text), 1_000_012);
        assert_eq!(main_prefixes(""), 0);
    }
}
