//! The whole routing process restarts because it died and nobody took over: the restarting speaker of RFC 4724 §4.1.
//!
//! The kernel still forwards by what the dead process had chosen, helpers still keep our routes, and this speaker knows
//! nothing. So it defers: routes are learned and decided, but nobody is told of a choice, neither neighbours nor (the daemon's
//! part, [`Speaker::is_recovering`]) the kernel, before every session that the crash has interrupted and that restarts gracefully is
//! back and has said everything. Then all is told at once: what is as before costs the kernel nothing, and our End-of-RIB follows
//! a whole table. Who does not restart gracefully has given our routes up already and is not waited for.
//!
//! Time bounds it: who is not back within `restart-time` is not waited for, nor whoever does not finish within
//! `stale-routes-time` after that.

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashSet;

use super::Speaker;
use super::neighbor::Neighbor;
use super::restart::{Restart, RestartEnd};
use super::table::NeighborId;

/// A restart that is under way.
pub(super) struct Recovery {
    /// The new process's begin.
    since: Duration,
    /// Neighbours whose sessions were up when the old one died.
    interrupted: HashSet<IpAddr>,
    /// The configuration is in force: it is known who is there to be waited for.
    configured: bool,
    /// When somebody who is waited for now is waited for no longer, if nothing is heard until then.
    due: Option<Duration>,
}

const REASON: &str = "the routing process died and was started again";

impl Neighbor {
    /// How long it was told that we may be away.
    fn restart_time(&self) -> Duration {
        Duration::from_secs(u64::from(self.config.restart_time_s))
    }

    /// What the router waits for on its account before it chooses routes; `None`: nothing, or no longer.
    fn why_awaited(&self, recovery: &Recovery, now: Duration) -> Option<&'static str> {
        self.awaited_until(recovery).filter(|until| now < *until)?;
        match self.up {
            None => Some("its session"),
            Some(_) => (!self.has_told_everything(now)).then_some("its routes"),
        }
    }

    /// How long the router waits for it at most; `None`: not at all. What it does before shortens the wait.
    fn awaited_until(&self, recovery: &Recovery) -> Option<Duration> {
        // Who was not told that we can restart has given our routes up already; nothing is gained by waiting for it.
        let restarts = self.config.graceful_restart && !self.config.disable;
        if !restarts || !recovery.interrupted.contains(&self.address) {
            return None;
        }
        let back_by = recovery.since + self.restart_time();
        let told_by = back_by + Duration::from_secs(u64::from(self.config.stale_routes_time_s));
        Some(if self.up.is_none() { back_by } else { told_by })
    }

    /// When the router stops waiting for it, if nothing more comes of it.
    fn awaited_no_longer_at(&self, recovery: &Recovery, now: Duration) -> Option<Duration> {
        self.why_awaited(recovery, now)?;
        [self.awaited_until(recovery), self.has_told_everything_at()].into_iter().flatten().min()
    }

    /// Its first session since the crash is up: from now on an OPEN would be of another restart.
    pub(super) fn is_back(&mut self) {
        self.claims_restart_until = None;
        // Without the capability it has given up our routes: its session flapped, and nothing restarted gracefully.
        let helps = self.up.as_ref().is_some_and(|up| up.negotiated.peer_sends_end_of_rib);
        if !helps && self.restart.as_ref().is_some_and(|restart| restart.whole_router) {
            self.restart = None;
        }
    }
}

impl Speaker {
    /// This speaker takes the place of one that died, in a router that went on forwarding. `interrupted`: neighbours whose
    /// sessions were up until then. To be called before the first configuration.
    pub fn recover(&mut self, interrupted: impl IntoIterator<Item = IpAddr>, now: Duration) {
        let interrupted = interrupted.into_iter().map(|address| address.to_canonical()).collect();
        self.recovery = Some(Recovery { since: now, interrupted, configured: false, due: None });
    }

    /// Those sessions, until a configuration says who of them there is.
    pub(super) fn interrupted_addresses(&self) -> Vec<IpAddr> {
        let recovery = self.recovery.as_ref().filter(|recovery| !recovery.configured);
        recovery.map(|recovery| recovery.interrupted.iter().copied().collect()).unwrap_or_default()
    }

    /// Choices are deferred (RFC 4724 §4.1): the kernel is to be left as the dead process left it.
    pub fn is_recovering(&self) -> bool {
        self.recovery.is_some()
    }

    /// Which neighbours the choice of routes waits for, and for what.
    pub fn recovery_waits_for(&self, now: Duration) -> Vec<String> {
        let Some(recovery) = &self.recovery else { return Vec::new() };
        let waits = |n: &Neighbor| n.why_awaited(recovery, now).map(|what| format!("{}: {what}", n.address));
        self.neighbors.iter().flatten().filter_map(waits).collect()
    }

    /// A neighbour of the new configuration: what its OPEN will say of the crash.
    pub(super) fn claim_recovery(&mut self, id: NeighborId) {
        let Some((since, known)) = self.get(id).and_then(|neighbor| {
            let recovery = self.recovery.as_ref()?;
            Some((recovery.since, recovery.interrupted.contains(&neighbor.address)))
        }) else {
            return;
        };
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.forwarded = true;
        if !neighbor.config.graceful_restart {
            return;
        }
        neighbor.claims_restart_until = Some(since + neighbor.restart_time());
        neighbor.restart = known.then(|| Restart {
            reason: REASON.into(),
            since,
            generation: neighbor.generation.wrapping_sub(1),
            kept: 0,
            swept: 0,
            end: None,
            whole_router: true,
        });
    }

    /// A configuration is in force.
    pub(super) fn recovery_configured(&mut self) {
        if let Some(recovery) = &mut self.recovery {
            recovery.configured = true;
        }
    }

    /// Restart State bits and waiting end in time; deferring ends when everybody has said everything.
    pub(super) fn recovery_tick(&mut self, now: Duration) {
        let expired = |neighbor: &&Neighbor| neighbor.claims_restart_until.is_some_and(|until| until <= now);
        let expired: Vec<NeighborId> =
            self.neighbors.iter().flatten().filter(expired).map(|neighbor| neighbor.id).collect();
        for id in expired {
            self.expire_claim(id);
        }
        let over = |recovery: &Recovery| {
            recovery.configured
                && !self.has_background()
                && self.neighbors.iter().flatten().all(|neighbor| neighbor.why_awaited(recovery, now).is_none())
        };
        if self.recovery.as_ref().is_some_and(over) {
            self.recovery = None;
        }
        let Some(recovery) = &self.recovery else { return };
        let neighbors = self.neighbors.iter().flatten();
        let due = neighbors.filter_map(|neighbor| neighbor.awaited_no_longer_at(recovery, now)).min();
        self.recovery.iter_mut().for_each(|recovery| recovery.due = due);
    }

    /// When [`Speaker::recovery_tick`] has something to do at the latest, beside the claims of each neighbour.
    pub(super) fn recovery_deadline(&self) -> Option<Duration> {
        self.recovery.as_ref()?.due
    }

    /// It was told that we may be away for so long: whoever comes now has given up our routes.
    fn expire_claim(&mut self, id: NeighborId) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.claims_restart_until = None;
        if let Some(restart) = neighbor.restart.as_mut().filter(|restart| restart.end.is_none()) {
            restart.end = Some(RestartEnd::Expired);
        }
        self.renew_session_config(id);
    }
}
