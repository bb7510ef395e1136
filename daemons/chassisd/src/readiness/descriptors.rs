//! Descriptors: the vault holds what the sessions need, and limits leave room for a second engine's.

use holdfast_issu::Daemon;
use holdfast_kernel::process::usage;
use holdfast_proto::check::Rule;
use holdfast_proto::v1::Check;

use super::{Snapshot, named};
use crate::evidence::{Tables, is_established, is_session_of};

/// Descriptors of a run beside those of sessions: processes, sockets, channels, the journal.
const RUN_DESCRIPTORS: u64 = 64;
/// Where rpd keeps its listeners, one per address family.
const LISTENERS: &str = "bgp/listener/";

/// All checks on descriptors.
pub fn checks(snapshot: &Snapshot, tables: &Tables) -> Vec<Check> {
    vec![
        Rule::refuses("vault-sessions", "Vault holds sessions", "the descriptor of every established session is kept")
            .remedy("clear bgp neighbor ADDRESS of the one named")
            .disturbing()
            .observe(sessions(snapshot, tables)),
        Rule::refuses("vault-listeners", "Vault holds listeners", "the listening descriptors are kept")
            .remedy("restart routing")
            .disturbing()
            .observe(listeners(snapshot, tables)),
        Rule::refuses("descriptor-limit", "Descriptor limit", "room for the descriptors of a second routing engine")
            .remedy("raise LimitNOFILE (ulimit -n) of whoever starts the router, and start it anew")
            .disturbing()
            .observe(limit(snapshot)),
    ]
}

fn sessions(snapshot: &Snapshot, tables: &Tables) -> Result<String, String> {
    let details = tables.sessions.as_ref().map_err(|error| format!("rpd: {error}"))?;
    let held =
        |address: &str| snapshot.vault.iter().any(|(name, kind)| kind == "session" && is_session_of(name, address));
    let established: Vec<String> = details
        .iter()
        .filter(|detail| is_established(detail))
        .filter_map(|detail| detail.summary.as_ref().map(|summary| summary.address.clone()))
        .collect();
    let missing: Vec<String> = established.iter().filter(|address| !held(address)).cloned().collect();
    match missing.len() {
        0 => Ok(format!("{} of {} sessions", established.len(), established.len())),
        count => Err(format!("{count} of {} are not there: {}", established.len(), named(&missing))),
    }
}

fn listeners(snapshot: &Snapshot, tables: &Tables) -> Result<String, String> {
    let details = tables.sessions.as_ref().map_err(|error| format!("rpd: {error}"))?;
    let held = snapshot.vault.iter().filter(|(name, _)| name.starts_with(LISTENERS)).count();
    match (held, details.is_empty()) {
        (0, false) => Err("none is there, though neighbors are configured".into()),
        (0, true) => Ok("none is needed, no neighbor is configured".into()),
        (held, _) => Ok(format!("{held} listeners")),
    }
}

/// The new rpd holds as many as the old one, under the limit that chassisd passes on; chassisd itself holds the vault's.
fn limit(snapshot: &Snapshot) -> Result<String, String> {
    use nix::sys::resource::{Resource, getrlimit};
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    let used = |pid: u32| usage(pid).map_or(0, |usage| u64::from(usage.descriptors));
    let rpd = snapshot.primary(Daemon::Rpd).map_or(0, |seen| used(seen.pid));
    room(soft, used(std::process::id()), rpd)
}

fn room(limit: u64, chassisd: u64, rpd: u64) -> Result<String, String> {
    let needed = chassisd.max(rpd) + RUN_DESCRIPTORS;
    let seen = format!("{needed} of {limit} needed (chassisd holds {chassisd}, rpd {rpd})");
    if needed <= limit { Ok(seen) } else { Err(seen) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_compared_with_the_larger_holder() {
        assert!(room(1024, 100, 900).is_ok());
        assert!(room(1024, 100, 1000).unwrap_err().contains("1064 of 1024"));
        assert!(room(256, 250, 10).is_err());
    }
}
