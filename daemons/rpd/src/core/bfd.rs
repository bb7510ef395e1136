//! BFD as this engine uses it: which sessions are wanted, and what follows from one that is lost. The sessions themselves are ppmd's:
//! they outlive this process, and both engines hear of them.
//!
//! Nothing of it needs to be replicated. Whether a BGP session has to end follows from two times of one clock: since when it is up, which is a
//! fact, and since when BFD knows the way to be broken, which ppmd says to whoever asks. A next hop of a static route is out as long as its
//! way is broken; that, too, both engines hear.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use holdfast_bgp::speaker::{Consequence, Watched};
use holdfast_proto::v1;
use holdfast_proto::v1::bfd_event::Event;
use tokio::sync::watch;

use super::{Core, now};

/// Whose session: neighbour, link of a link-local address (else 0), several hops.
pub(super) type Key = (IpAddr, u32, bool);

/// What is known and wanted of BFD.
pub struct Bfd {
    wanted: watch::Sender<Option<v1::SetBfdRequest>>,
    sessions: BTreeMap<Key, v1::BfdSession>,
    /// Those of a snapshot that is coming in.
    snapshot: Option<BTreeMap<Key, v1::BfdSession>>,
    /// ppmd has said how all its sessions stand, once.
    known: bool,
    /// What is wanted may have changed.
    stale: bool,
    /// A session has changed: consequences are to be drawn.
    changed: bool,
}

impl Bfd {
    /// Nothing is known; what is wanted goes to this channel.
    pub fn new(wanted: watch::Sender<Option<v1::SetBfdRequest>>) -> Self {
        Self { wanted, sessions: BTreeMap::new(), snapshot: None, known: false, stale: true, changed: false }
    }

    /// The stream of states begins anew.
    pub fn restart(&mut self) {
        self.snapshot = Some(BTreeMap::new());
    }

    /// What is wanted has to be looked at again.
    pub fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// From ppmd.
    pub fn heard(&mut self, event: v1::BfdEvent) {
        match event.event {
            Some(Event::Session(session)) => {
                let Some(key) = session.key.as_ref().and_then(key_of) else { return };
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.insert(key, session);
                    return;
                }
                self.sessions.insert(key, session);
                self.changed = true;
            }
            Some(Event::Left(key)) => {
                let Some(key) = key_of(&key) else { return };
                self.changed |= self.sessions.remove(&key).is_some();
            }
            Some(Event::SnapshotDone(_)) => {
                if let Some(snapshot) = self.snapshot.take() {
                    self.sessions = snapshot;
                }
                self.known = true;
                self.changed = true;
                // Another ppmd may not know yet who wants what.
                self.stale = true;
            }
            None => {}
        }
    }

    /// Whether it is known how sessions stand.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Ways of one hop that are known to be broken: since when, and whether the other side's BFD shares no fate of its control plane. Over
    /// several hops it is not the gateway that is watched.
    pub fn lost_ways(&self) -> Vec<(Key, Duration, bool)> {
        let one_hop = self.sessions.iter().filter(|(key, _)| !key.2);
        one_hop
            .filter_map(|(key, session)| Some((*key, self.lost_since(key)?, session.remote_control_plane_independent)))
            .collect()
    }

    /// Since when the way is known to be broken.
    fn lost_since(&self, key: &Key) -> Option<Duration> {
        let since = self.sessions.get(key)?.failed_since_mono_ns;
        (since > 0).then(|| Duration::from_nanos(since))
    }

    /// Since when a way of one hop is known to be there.
    pub fn up_since(&self, key: &Key) -> Option<Duration> {
        let session = self.sessions.get(key).filter(|session| !key.2 && session.state == "Up");
        session.map(|session| Duration::from_nanos(session.state_since_mono_ns))
    }

    /// Whether a next hop may be used.
    pub fn may_use(&self, next_hop: IpAddr, liveness: &v1::BfdLiveness) -> bool {
        self.lost_since(&(next_hop, 0, liveness.multihop)).is_none()
    }

    fn of(&self, watched: &Watched) -> Option<&v1::BfdSession> {
        self.sessions.get(&key_of_watched(watched))
    }
}

fn key_of(key: &v1::BfdSessionKey) -> Option<Key> {
    Some((key.peer.parse().ok()?, key.interface_index, key.multihop))
}

fn key_of_watched(watched: &Watched) -> Key {
    (watched.address, watched.interface, watched.liveness.multihop)
}

/// Sessions by whose they are. Where two want the same one, the more demanding interval holds.
#[derive(Default)]
pub(super) struct Wanted(BTreeMap<Key, v1::BfdWanted>);

impl Wanted {
    /// Nobody wants any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether somebody wants this one.
    pub fn contains(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    fn add(&mut self, key: Key, local: Option<IpAddr>, liveness: &v1::BfdLiveness, client: &str) {
        let authentication = (!liveness.algorithm.is_empty()).then(|| v1::BfdAuthentication {
            meticulous: liveness.algorithm.starts_with("meticulous"),
            key_id: liveness.key_id,
            key: liveness.key.clone().into_bytes(),
        });
        let (peer, interface_index, multihop) = key;
        let wanted = v1::BfdWanted {
            key: Some(v1::BfdSessionKey { peer: peer.to_string(), interface_index, multihop }),
            local_address: local.map(|local| local.to_string()).unwrap_or_default(),
            minimum_transmit_us: liveness.minimum_transmit_us,
            minimum_receive_us: liveness.minimum_receive_us,
            multiplier: liveness.multiplier,
            authentication,
            clients: vec![client.to_owned()],
            minimum_ttl: liveness.minimum_ttl,
        };
        let Some(known) = self.0.get_mut(&key) else {
            self.0.insert(key, wanted);
            return;
        };
        known.minimum_transmit_us = known.minimum_transmit_us.min(wanted.minimum_transmit_us);
        known.minimum_receive_us = known.minimum_receive_us.min(wanted.minimum_receive_us);
        known.minimum_ttl = known.minimum_ttl.max(wanted.minimum_ttl);
        if !known.clients.contains(&wanted.clients[0]) {
            known.clients.extend(wanted.clients);
        }
    }
}

impl Core {
    /// Tells ppmd what is wanted, and draws the consequences of what it has said. Packets turn first, then routes and sessions.
    pub(super) fn bfd_turn(&mut self) {
        let stale = std::mem::take(&mut self.bfd.stale);
        if stale {
            self.want_sessions();
        }
        let changed = std::mem::take(&mut self.bfd.changed);
        self.gateways_turn(stale || changed);
        if changed {
            self.use_live_next_hops();
            self.end_lost_sessions();
        }
    }

    /// Only who leads may say so.
    fn want_sessions(&mut self) {
        let leads = self.role == v1::Role::Primary && self.configuration.applied;
        let request = leads.then(|| v1::SetBfdRequest {
            epoch: self.epoch,
            client: format!("{}/rpd", self.slot),
            sessions: self.sessions_wanted().0.into_values().collect(),
        });
        self.bfd.wanted.send_replace(request);
    }

    pub(super) fn sessions_wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        for watched in self.protocols.bgp.watched_by_bfd(&self.rib) {
            wanted.add(key_of_watched(&watched), watched.local, &watched.liveness, "bgp");
        }
        for route in &self.configuration.routing.static_routes {
            let Some(liveness) = &route.bfd else { continue };
            for next_hop in route.next_hops.iter().filter_map(|text| text.parse().ok()) {
                wanted.add((next_hop, 0, liveness.multihop), None, liveness, "static");
            }
        }
        wanted
    }

    /// Static routes go by the next hops that are there.
    pub(super) fn use_live_next_hops(&mut self) {
        match super::configuration::static_routes(&self.configuration.routing, &self.bfd) {
            Ok(statics) => self.rib.set_static(statics),
            // It was compiled before it was put in force.
            Err(error) => tracing::error!("static routes stay as they are: {error}"),
        }
    }

    /// Ends BGP sessions whose way was lost while they were up; also one that was lost while nobody led.
    pub(super) fn end_lost_sessions(&mut self) {
        if self.role != v1::Role::Primary {
            return;
        }
        for watched in self.protocols.bgp.watched_by_bfd(&self.rib) {
            let Some(since) = self.bfd.lost_since(&key_of_watched(&watched)) else { continue };
            let Some(session) = self.bfd.of(&watched) else { continue };
            let independent = session.remote_control_plane_independent;
            let what = match self.protocols.bgp.bfd_lost(watched.neighbor, since, independent, &mut self.rib, now()) {
                Consequence::Nothing => continue,
                Consequence::SessionEnds => "its session ends",
                Consequence::RestartIsOver => "its routes do not wait for its graceful restart any longer",
            };
            tracing::warn!("BGP neighbor {}: BFD has lost it ({}), {what}", watched.address, session.diagnostic);
        }
        self.act();
    }

    /// What `show bgp neighbor` says of it.
    pub(super) fn describe_bfd(&self, details: &mut [v1::BgpNeighborDetail]) {
        let all = self.protocols.bgp.watched_by_bfd(&self.rib);
        for detail in details {
            let address = detail.summary.as_ref().and_then(|summary| summary.address.parse::<IpAddr>().ok());
            let Some(watched) = all.iter().find(|watched| Some(watched.address) == address) else { continue };
            let session = self.bfd.of(watched);
            detail.bfd_state = session.map_or_else(|| "not there yet".into(), |session| session.state.clone());
            detail.bfd_detection_time_us = session.map_or(0, |session| session.detection_time_us);
            let lost = self.bfd.lost_since(&key_of_watched(watched));
            detail.bfd_failed_ms = lost.map_or(0, |since| now().saturating_sub(since).as_millis().max(1) as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(peer: &str, failed_since_mono_ns: u64) -> v1::BfdEvent {
        let key = Some(v1::BfdSessionKey { peer: peer.into(), ..Default::default() });
        let session = v1::BfdSession { key, failed_since_mono_ns, ..Default::default() };
        v1::BfdEvent { event: Some(Event::Session(session)) }
    }

    fn bfd() -> (Bfd, watch::Receiver<Option<v1::SetBfdRequest>>) {
        let (sender, receiver) = watch::channel(None);
        (Bfd::new(sender), receiver)
    }

    #[test]
    fn a_next_hop_is_out_while_its_way_is_known_to_be_broken() {
        let (mut bfd, _receiver) = bfd();
        let (hop, liveness) = ("10.0.0.1".parse().unwrap(), v1::BfdLiveness::default());
        assert!(bfd.may_use(hop, &liveness), "nothing is known");
        bfd.heard(session("10.0.0.1", 0));
        assert!(bfd.may_use(hop, &liveness), "it was never up");
        bfd.heard(session("10.0.0.1", 7));
        assert!(!bfd.may_use(hop, &liveness) && bfd.changed);
        assert!(bfd.may_use(hop, &v1::BfdLiveness { multihop: true, ..liveness.clone() }), "that is another session");
        bfd.heard(session("10.0.0.1", 0));
        assert!(bfd.may_use(hop, &liveness));
    }

    #[test]
    fn a_snapshot_counts_when_it_is_complete_and_replaces_everything() {
        let (mut bfd, _receiver) = bfd();
        bfd.heard(session("10.0.0.1", 7));
        bfd.restart();
        bfd.heard(session("10.0.0.2", 8));
        assert!(bfd.lost_since(&("10.0.0.1".parse().unwrap(), 0, false)).is_some(), "until it is complete");
        bfd.heard(v1::BfdEvent { event: Some(Event::SnapshotDone(true)) });
        assert!(bfd.lost_since(&("10.0.0.1".parse().unwrap(), 0, false)).is_none());
        assert!(bfd.lost_since(&("10.0.0.2".parse().unwrap(), 0, false)).is_some());
    }

    #[test]
    fn ways_of_one_hop_are_lost_as_ppmd_says_and_known_when_it_has_said_everything() {
        let (mut bfd, _receiver) = bfd();
        let lost = |bfd: &Bfd| bfd.lost_ways().iter().map(|(key, ..)| key.0.to_string()).collect::<Vec<_>>();
        bfd.restart();
        bfd.heard(session("10.0.0.1", 0));
        bfd.heard(session("10.0.0.2", 7));
        assert!(!bfd.is_known() && lost(&bfd).is_empty());
        bfd.heard(v1::BfdEvent { event: Some(Event::SnapshotDone(true)) });
        assert!(bfd.is_known());
        assert_eq!(lost(&bfd), ["10.0.0.2"]);
        let mut far = session("10.0.0.3", 8);
        if let Some(Event::Session(session)) = &mut far.event {
            session.key.as_mut().unwrap().multihop = true;
        }
        bfd.heard(far);
        bfd.heard(session("10.0.0.1", 9));
        bfd.heard(session("10.0.0.2", 0));
        assert_eq!(lost(&bfd), ["10.0.0.1"]);
        bfd.restart();
        assert_eq!(lost(&bfd), ["10.0.0.1"], "another ppmd has said nothing yet");
        bfd.heard(v1::BfdEvent { event: Some(Event::SnapshotDone(true)) });
        assert!(lost(&bfd).is_empty() && bfd.is_known());
    }

    #[test]
    fn two_who_want_one_session_share_it_at_the_shorter_interval() {
        let key = ("10.0.0.1".parse().unwrap(), 0, false);
        let liveness = |us| v1::BfdLiveness {
            minimum_transmit_us: us,
            minimum_receive_us: us,
            multiplier: 3,
            ..Default::default()
        };
        let mut wanted = Wanted::default();
        wanted.add(key, None, &liveness(300_000), "bgp");
        wanted.add(key, None, &liveness(100_000), "static");
        let merged = &wanted.0[&key];
        assert_eq!((merged.minimum_transmit_us, merged.minimum_receive_us), (100_000, 100_000));
        assert_eq!(merged.clients, ["bgp", "static"]);
    }
}
