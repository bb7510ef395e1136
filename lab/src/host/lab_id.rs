//! The name of one lab, from which every other name derives: `hfl-PID-RANDOM`.
//!
//! The owner's process id in the name lets `holdfast lab destroy` tell a leftover from a lab that is running.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use rand::Rng;

const PREFIX: &str = "hfl";

/// Identifies one lab on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabId {
    /// The process that made it.
    pub owner_pid: u32,
    /// Distinguishes labs of one process, and of a process id used again.
    pub random: u32,
}

impl LabId {
    /// A new one, owned by this process.
    pub fn new() -> Self {
        Self { owner_pid: std::process::id(), random: rand::rng().random_range(0..0xff_ffff) }
    }

    /// The namespace of a node.
    pub fn namespace(&self, node: &str) -> String {
        format!("{self}-{node}")
    }

    /// The lab that a namespace belongs to, if it is one of ours.
    pub fn of_namespace(name: &str) -> Option<Self> {
        let mut parts = name.splitn(4, '-');
        let id = [parts.next()?, parts.next()?, parts.next()?].join("-");
        parts.next()?;
        id.parse().ok()
    }

    /// The folder that holds the lab's files.
    pub fn work_dir(&self) -> PathBuf {
        std::env::temp_dir().join(self.to_string())
    }

    /// The lab that a folder belongs to, if it is one of ours.
    pub fn of_work_dir(path: &Path) -> Option<Self> {
        path.file_name()?.to_str()?.parse().ok()
    }
}

impl Default for LabId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for LabId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}-{}-{:06x}", self.owner_pid, self.random)
    }
}

impl FromStr for LabId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(PREFIX).and_then(|r| r.strip_prefix('-')).ok_or(())?;
        let (pid, random) = rest.split_once('-').ok_or(())?;
        if random.len() != 6 {
            return Err(());
        }
        Ok(Self { owner_pid: pid.parse().map_err(drop)?, random: u32::from_str_radix(random, 16).map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_lab() {
        let id = LabId { owner_pid: 4711, random: 0xabc };
        assert_eq!(id.namespace("frr"), "hfl-4711-000abc-frr");
        assert_eq!(LabId::of_namespace("hfl-4711-000abc-frr-feeder"), Some(id.clone()));
        assert_eq!(LabId::of_work_dir(&id.work_dir()), Some(id));
        for other in ["hfl-4711", "hfl-x-000abc-frr", "hfl-4711-000abc", "other", "hfl-1-abc-frr"] {
            assert_eq!(LabId::of_namespace(other), None, "{other}");
        }
    }
}
