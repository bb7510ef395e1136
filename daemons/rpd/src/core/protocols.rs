//! Every protocol that this daemon runs, registered by the one trait of the switchover.
//!
//! What prepares, freezes, hands over, follows and takes over goes through [`Protocols`] and so through
//! [`Switchover`]; a new protocol is one more field and one more line in [`Protocols::registered`]. Sockets and timers
//! of a protocol's sessions remain its own matter ([`super::sessions`] for BGP).

use std::time::Duration;

use holdfast_bgp::speaker::Speaker;
use holdfast_proto::v1::{Fact, SessionReadiness, SwitchoverMode, TableDigest};
use holdfast_replication::{ReplicationError, Switchover};
use holdfast_rib::{Protocol, Rib};

/// All protocols.
pub struct Protocols {
    /// BGP.
    pub bgp: Speaker,
    statics: LocalRoutes,
    direct: LocalRoutes,
}

impl Protocols {
    /// Nothing configured yet. `following`: another engine owns the sessions.
    pub fn new(following: bool, seed: u64) -> Self {
        Self {
            bgp: Speaker::new(following, seed),
            statics: LocalRoutes { protocol: Protocol::Static },
            direct: LocalRoutes { protocol: Protocol::Direct },
        }
    }

    fn registered(&self) -> [&dyn Switchover<Rib>; 3] {
        [&self.direct, &self.statics, &self.bgp]
    }

    fn registered_mut(&mut self) -> [&mut dyn Switchover<Rib>; 3] {
        [&mut self.direct, &mut self.statics, &mut self.bgp]
    }

    /// Tells every protocol whether a switchover is being prepared.
    pub fn notify(&mut self, preparing: bool) {
        self.registered_mut().into_iter().for_each(|protocol| protocol.notify(preparing));
    }

    /// How each session of each protocol would live through a switchover now.
    pub fn readiness(&self, now: Duration) -> Vec<SessionReadiness> {
        self.registered().into_iter().flat_map(|protocol| protocol.readiness(now)).collect()
    }

    /// Every session of every protocol, as facts.
    pub fn describe_sessions(&mut self, now: Duration) -> Vec<Fact> {
        self.registered_mut().into_iter().flat_map(|protocol| protocol.describe_sessions(now)).collect()
    }

    /// Every protocol's tables.
    pub fn digests(&self, rib: &Rib) -> Vec<TableDigest> {
        self.registered().into_iter().flat_map(|protocol| protocol.digests(rib)).collect()
    }

    /// No protocol says or hears anything any more.
    pub fn stand_still(&mut self) {
        self.registered_mut().into_iter().for_each(|protocol| protocol.stand_still());
    }

    /// Every protocol speaks from now on.
    pub fn activate(&mut self, rib: &mut Rib, now: Duration) {
        self.registered_mut().into_iter().for_each(|protocol| protocol.activate(rib, now));
    }

    /// Takes a fact over, in the protocol that it belongs to. A fact of a protocol that this version does not have cannot be
    /// ignored: its session would be lost.
    pub fn adopt(&mut self, rib: &mut Rib, fact: &Fact, now: Duration) -> Result<(), String> {
        let mut protocols = self.registered_mut().into_iter();
        let protocol = protocols
            .find(|protocol| protocol.name() == fact.protocol)
            .ok_or_else(|| format!("the primary runs protocol {:?}, this version does not have it", fact.protocol))?;
        protocol.adopt(rib, fact, now).map_err(|error| error.to_string())
    }

    /// The next part of a snapshot. The protocol's place in the list is the cursor's highest octet.
    pub fn snapshot(&mut self, rib: &Rib, cursor: u64, budget: usize) -> (Vec<Fact>, Option<u64>) {
        const SHIFT: u32 = 56;
        let index = cursor >> SHIFT;
        let Some(protocol) = self.registered_mut().into_iter().nth(index as usize) else { return (Vec::new(), None) };
        let (facts, next) = protocol.snapshot(rib, cursor & ((1 << SHIFT) - 1), budget);
        let next = next.map_or((index + 1) << SHIFT, |next| (index << SHIFT) | next);
        let more = ((next >> SHIFT) as usize) < self.registered().len();
        (facts, more.then_some(next))
    }
}

/// Direct or static routes: both engines derive them from interfaces and configuration, so there is nothing to tell, and
/// the digest proves that the derivation came out the same.
struct LocalRoutes {
    protocol: Protocol,
}

impl Switchover<Rib> for LocalRoutes {
    fn name(&self) -> &'static str {
        self.protocol.name()
    }

    fn notify(&mut self, _preparing: bool) {}

    fn stand_still(&mut self) {}

    fn readiness(&self, _now: Duration) -> Vec<SessionReadiness> {
        let ready = SessionReadiness {
            protocol: self.protocol.name().to_ascii_lowercase(),
            mode: SwitchoverMode::Nsr.into(),
            ready: true,
            ..SessionReadiness::default()
        };
        vec![ready]
    }

    fn describe_sessions(&mut self, _now: Duration) -> Vec<Fact> {
        Vec::new()
    }

    fn snapshot(&mut self, _rib: &Rib, _cursor: u64, _budget: usize) -> (Vec<Fact>, Option<u64>) {
        (Vec::new(), None)
    }

    fn adopt(&mut self, _rib: &mut Rib, fact: &Fact, _now: Duration) -> Result<(), ReplicationError> {
        Err(ReplicationError::Contradiction {
            protocol: self.protocol.name(),
            neighbor: fact.neighbor.clone(),
            reason: "this protocol has no facts".into(),
        })
    }

    fn digests(&self, rib: &Rib) -> Vec<TableDigest> {
        let digest = rib.local_digest(self.protocol);
        let table = format!("{}/routes", self.protocol.name().to_ascii_lowercase());
        vec![TableDigest { table, digest: digest.sum, entries: digest.entries }]
    }

    fn activate(&mut self, _rib: &mut Rib, _now: Duration) {}
}
