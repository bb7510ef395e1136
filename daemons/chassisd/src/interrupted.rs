//! Neighbours whose sessions ended with an rpd that died, for the rpd that takes its place (RFC 4724 §4.1).
//!
//! Which sessions a crash has interrupted is known from the vault: their descriptors lay there. An rpd that dies again before all of them are
//! back leaves its successor those of both. Whoever is back, its new descriptor deposited, is nobody that an *earlier* crash has interrupted:
//! should its session end for another reason, the next rpd must not wait for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use holdfast_vault::{BGP_SESSION_PREFIX, Vault};

use crate::limits::INTERRUPTED_KEPT;

/// Whose sessions crashes have interrupted, and when.
#[derive(Debug, Default)]
pub struct Interrupted(BTreeMap<IpAddr, Instant>);

impl Interrupted {
    /// An rpd has died; `sessions` are the vault's names of what it left.
    pub fn note<'a>(&mut self, sessions: impl IntoIterator<Item = &'a String>, now: Instant) {
        self.0.retain(|_, since| now.duration_since(*since) < INTERRUPTED_KEPT);
        self.0.extend(sessions.into_iter().filter_map(|name| Some((neighbor(name)?, now))));
    }

    /// These sessions end with an rpd that an earlier chassisd had left.
    pub fn note_neighbors(&mut self, neighbors: impl IntoIterator<Item = IpAddr>, now: Instant) {
        self.0.extend(neighbors.into_iter().map(|neighbor| (neighbor, now)));
    }

    /// Whose session the vault holds again is back.
    pub fn forget_returned(&mut self, vault: &Vault) {
        if self.0.is_empty() {
            return;
        }
        for (name, _) in vault.list(BGP_SESSION_PREFIX, "") {
            if let Some(neighbor) = neighbor(name) {
                self.0.remove(&neighbor);
            }
        }
    }

    /// Everybody who is to be waited for.
    pub fn neighbors(&self) -> impl Iterator<Item = &IpAddr> {
        self.0.keys()
    }
}

fn neighbor(name: &str) -> Option<IpAddr> {
    name.strip_prefix(BGP_SESSION_PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_vault::Entry;
    use std::time::Duration;

    fn name(address: &str) -> String {
        format!("{BGP_SESSION_PREFIX}{address}")
    }

    fn deposit(vault: &mut Vault, address: &str) {
        let descriptor = std::fs::File::open("/dev/null").unwrap().into();
        let entry = Entry { descriptor, kind: "session".into(), metadata: Vec::new(), epoch: 1, deposited_unix_ms: 0 };
        vault.deposit(name(address), entry).unwrap();
    }

    fn of(interrupted: &Interrupted) -> Vec<String> {
        interrupted.neighbors().map(IpAddr::to_string).collect()
    }

    #[test]
    fn who_is_back_is_not_waited_for_after_another_crash() {
        let (now, mut vault, mut interrupted) = (Instant::now(), Vault::new(1), Interrupted::default());
        interrupted.note(&[name("10.0.0.2"), name("10.0.0.3"), "bgp/listener/inet".into()], now);
        assert_eq!(of(&interrupted), ["10.0.0.2", "10.0.0.3"]);
        deposit(&mut vault, "10.0.0.2");
        interrupted.forget_returned(&vault);
        // Its session ends, for a reason of its own; then rpd dies again.
        vault.remove(&name("10.0.0.2")).unwrap();
        interrupted.note(&[], now + Duration::from_secs(1));
        assert_eq!(of(&interrupted), ["10.0.0.3"]);
        interrupted.note(&[name("10.0.0.2")], now + Duration::from_secs(2));
        assert_eq!(of(&interrupted), ["10.0.0.2", "10.0.0.3"], "both crashes'");
        interrupted.note_neighbors(["10.0.0.4".parse().unwrap()], now);
        assert_eq!(of(&interrupted).len(), 3, "those that an earlier chassisd had");
        interrupted.note(&[], now + INTERRUPTED_KEPT);
        assert_eq!(of(&interrupted), ["10.0.0.2"], "nobody waits for ever");
    }
}
