//! The store itself.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::os::fd::OwnedFd;

use crate::{VaultError, limits};

/// One deposited descriptor.
#[derive(Debug)]
pub struct Entry {
    /// The vault's own duplicate.
    pub descriptor: OwnedFd,
    /// "session", "listener", ...
    pub kind: String,
    /// The depositor's, for its successor.
    pub metadata: Vec<u8>,
    /// The term in which it was deposited.
    pub epoch: u64,
    /// Wall clock, for display.
    pub deposited_unix_ms: u64,
}

/// Name -> descriptor, fenced by the epoch.
#[derive(Debug)]
pub struct Vault {
    entries: BTreeMap<String, Entry>,
    epoch: u64,
    entries_max: usize,
}

impl Vault {
    /// Empty, in this epoch.
    pub fn new(epoch: u64) -> Self {
        Vault::with_limit(epoch, limits::ENTRIES_MAX)
    }

    /// Empty, for at most `entries_max` descriptors: where the process may not open as many as the limit says.
    pub fn with_limit(epoch: u64, entries_max: usize) -> Self {
        Vault { entries: BTreeMap::new(), epoch, entries_max }
    }

    /// The term in force.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins a new term; an epoch never goes back.
    pub fn raise_epoch(&mut self, epoch: u64) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Refuses a requester of another term.
    pub fn check_epoch(&self, requested: u64) -> Result<(), VaultError> {
        match requested.cmp(&self.epoch) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(VaultError::OldEpoch { requested, current: self.epoch }),
            std::cmp::Ordering::Greater => Err(VaultError::FutureEpoch { requested, current: self.epoch }),
        }
    }

    /// Keeps `entry`; one of the same name is replaced (its duplicate here is closed).
    pub fn deposit(&mut self, name: String, entry: Entry) -> Result<(), VaultError> {
        let lengths = [
            ("a name", name.len(), 1, limits::NAME_MAX_LEN),
            ("a kind", entry.kind.len(), 1, limits::KIND_MAX_LEN),
            ("metadata", entry.metadata.len(), 0, limits::METADATA_MAX_LEN),
        ];
        for (what, observed, least, limit) in lengths {
            if observed < least || observed > limit {
                return Err(VaultError::Length { what, observed, limit });
            }
        }
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&name) {
            return Err(VaultError::Full { name, limit: self.entries_max });
        }
        self.entries.insert(name, entry);
        Ok(())
    }

    /// The entry; the caller duplicates or sends its descriptor.
    pub fn get(&self, name: &str) -> Result<&Entry, VaultError> {
        self.entries.get(name).ok_or_else(|| VaultError::NotFound(name.into()))
    }

    /// Closes the vault's duplicate.
    pub fn remove(&mut self, name: &str) -> Result<(), VaultError> {
        self.entries.remove(name).map(drop).ok_or_else(|| VaultError::NotFound(name.into()))
    }

    /// Entries whose names begin with `prefix`, in order, after the name `after` (empty: from the first).
    pub fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> impl Iterator<Item = (&'a String, &'a Entry)> {
        let from = if after.is_empty() { Bound::Included(prefix) } else { Bound::Excluded(after.max(prefix)) };
        self.entries.range::<str, _>((from, Bound::Unbounded)).take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// Closes every entry under `prefix` of that kind; returns their names.
    pub fn remove_kind(&mut self, prefix: &str, kind: &str) -> Vec<String> {
        let names: Vec<String> =
            self.list(prefix, "").filter(|(_, entry)| entry.kind == kind).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.entries.remove(name);
        }
        names
    }

    /// How many descriptors are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn entry(kind: &str) -> Entry {
        let descriptor = File::open("/dev/null").unwrap().into();
        Entry { descriptor, kind: kind.into(), metadata: Vec::new(), epoch: 1, deposited_unix_ms: 0 }
    }

    #[test]
    fn lists_by_prefix_and_page() {
        let mut vault = Vault::new(1);
        for name in ["bgp/10.0.0.1", "bgp/10.0.0.2", "bfd/x", "bgq/1"] {
            vault.deposit(name.into(), entry("session")).unwrap();
        }
        let names = |prefix, after| vault.list(prefix, after).map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names("bgp/", ""), ["bgp/10.0.0.1", "bgp/10.0.0.2"]);
        assert_eq!(names("bgp/", "bgp/10.0.0.1"), ["bgp/10.0.0.2"]);
        assert_eq!(names("bgp/", "a"), ["bgp/10.0.0.1", "bgp/10.0.0.2"].map(|n| n), "a page before the prefix");
        assert_eq!(names("bgp/", "bgp/10.0.0.2"), [""; 0]);
        assert_eq!(names("", "").len(), 4);
    }

    #[test]
    fn sessions_are_closed_and_listeners_stay() {
        let mut vault = Vault::new(1);
        vault.deposit("bgp/10.0.0.1".into(), entry("session")).unwrap();
        vault.deposit("bgp/listen".into(), entry("listener")).unwrap();
        assert_eq!(vault.remove_kind("bgp/", "session"), ["bgp/10.0.0.1"]);
        assert_eq!(vault.len(), 1);
        assert!(matches!(vault.remove("bgp/10.0.0.1"), Err(VaultError::NotFound(_))));
    }

    #[test]
    fn an_epoch_never_goes_back() {
        let mut vault = Vault::new(5);
        vault.raise_epoch(7);
        vault.raise_epoch(6);
        assert_eq!(vault.epoch(), 7);
        assert!(vault.check_epoch(6).unwrap_err().to_string().contains("epoch 6 is over"));
        assert!(vault.check_epoch(8).is_err() && vault.check_epoch(7).is_ok());
    }

    #[test]
    fn lengths_are_bounded() {
        let mut vault = Vault::new(1);
        assert!(vault.deposit(String::new(), entry("session")).is_err());
        assert!(vault.deposit("n".repeat(256), entry("session")).is_err());
        assert!(vault.deposit("n".into(), entry("")).is_err());
        assert!(vault.is_empty());
    }
}
