//! Speaker and RIB of one process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::{ConnectionEnds, NeighborId, Speaker};
use holdfast_bgp::wire;
use holdfast_proto::v1::{
    AddressFamily, BgpConfig, BgpNeighborConfig, PolicyOptions, RouterConfig, RoutingConfig, TableDigest,
};
use holdfast_replication::Switchover;
use holdfast_rib::{Family, PrefixId, Rib};

use super::{LOCAL, LOCAL_AS, destination};
use crate::replication::Tables;

/// Routes looked at in one turn: few, so that work is left for later.
const BATCH: usize = 3;

/// One process's speaker, with the RIB that it feeds.
pub(crate) struct Engine {
    pub speaker: Speaker,
    pub rib: Rib,
}

/// A neighbour's address.
pub(crate) fn address(neighbor: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, neighbor as u8 + 1))
}

/// Bytes of whole messages at the front: all of them, or one only while the session is not established.
pub(crate) fn whole(bytes: &[u8], all: bool) -> Result<usize, String> {
    let mut length = 0;
    loop {
        match wire::frame(&bytes[length..]) {
            Ok(Some((message, _))) if all => length += message,
            Ok(Some((message, _))) => return Ok(message),
            Ok(None) => return Ok(length),
            Err(error) => return Err(format!("no BGP: {error}")),
        }
    }
}

fn neighbor_config(neighbor: usize, restarts: bool) -> BgpNeighborConfig {
    BgpNeighborConfig {
        address: address(neighbor).to_string(),
        peer_as: super::peer::autonomous_system(neighbor),
        local_as: LOCAL_AS,
        hold_time_s: crate::neighbor::HOLD_TIME.as_secs() as u32,
        passive: true,
        families: vec![AddressFamily::Ipv4Unicast.into()],
        graceful_restart: restarts,
        graceful_restart_helper: true,
        nonstop_routing: !restarts,
        restart_time_s: 120,
        stale_routes_time_s: 300,
        ..BgpNeighborConfig::default()
    }
}

impl Engine {
    /// `restarting`: bits of the neighbours whose sessions restart gracefully instead of going over.
    pub(crate) fn new(following: bool, neighbors: usize, restarting: u32, now: Duration) -> Result<Engine, String> {
        let mut rib = Rib::new();
        rib.interface_update(1, "eth0", true);
        rib.address_added(1, format!("{LOCAL}/24").parse().map_err(|_| "an address")?);
        let mut speaker = Speaker::new(following, 7);
        let neighbors = (0..neighbors).map(|id| neighbor_config(id, restarting >> id & 1 == 1)).collect();
        let config = RouterConfig {
            bgp: Some(BgpConfig { neighbors, ..BgpConfig::default() }),
            routing: Some(RoutingConfig {
                router_id: "192.0.2.254".into(),
                autonomous_system: LOCAL_AS,
                maximum_paths: 1,
                ..RoutingConfig::default()
            }),
            policy: Some(PolicyOptions::default()),
            ..RouterConfig::default()
        };
        speaker.configure(&config, &mut rib, now).map_err(|error| error.to_string())?;
        Ok(Engine { speaker, rib })
    }

    pub(crate) fn id(&self, neighbor: usize) -> NeighborId {
        self.speaker.find_neighbor(address(neighbor)).expect("every neighbor is configured")
    }

    /// The neighbour's number in the simulation.
    pub(crate) fn number(&self, id: NeighborId) -> Option<usize> {
        match self.speaker.neighbor_address(id)? {
            IpAddr::V4(address) => Some(usize::from(address.octets()[3]) - 1),
            IpAddr::V6(_) => None,
        }
    }

    pub(crate) fn ends(neighbor: usize) -> ConnectionEnds {
        let local = SocketAddr::new(LOCAL.parse().unwrap_or(address(neighbor)), 179);
        ConnectionEnds { local, remote: SocketAddr::new(address(neighbor), 40_000) }
    }

    pub(crate) fn receive(&mut self, neighbor: usize, side: ConnectionSide, bytes: &[u8], now: Duration) {
        let id = self.id(neighbor);
        self.speaker.receive(id, side, bytes, &mut self.rib, now);
    }

    pub(crate) fn has_output(&self, neighbor: usize) -> bool {
        self.speaker.has_output(self.id(neighbor))
    }

    /// What follows from routes that moved; forwarding entries that changed by it.
    pub(crate) fn rib_turn(&mut self) -> Vec<(u32, u32)> {
        let moved = self.rib.take_changed_nexthops();
        if !moved.is_empty() {
            self.speaker.nexthops_moved(moved);
        }
        self.speaker.follow_links(&mut self.rib);
        let changed = self.rib.take_changed(BATCH);
        if !changed.is_empty() {
            self.speaker.redistribute(&changed, &mut self.rib);
        }
        if self.speaker.has_background() {
            self.speaker.background(&mut self.rib);
        }
        let changes = self.rib.take_fib_changes(usize::from(u8::MAX));
        let _ = self.rib.take_released_nexthops();
        changes.into_iter().map(|change| (destination(&change.prefix), self.gateway(change.next_hop))).collect()
    }

    /// The last octet of where a destination is forwarded to; 0: nowhere.
    fn gateway(&self, next_hop: Option<holdfast_rib::ForwardingNexthopId>) -> u32 {
        let Some(id) = next_hop else { return 0 };
        match self.rib.forwarding_nexthop(id).gateways().first().and_then(|gateway| gateway.address) {
            Some(IpAddr::V4(address)) => u32::from(address.octets()[3]),
            _ => 0,
        }
    }

    /// All forwarding entries.
    pub(crate) fn forwarding(&self) -> Vec<(u32, u32)> {
        let (entries, _) = self.rib.fib_scan(Family::Ipv4Unicast, 0, usize::MAX);
        entries.into_iter().map(|(prefix, id)| (destination(&prefix), self.gateway(Some(id)))).collect()
    }

    pub(crate) fn tables(&self) -> Tables {
        let mut tables = self.speaker.digests(&self.rib);
        let family = Family::Ipv4Unicast;
        for (name, digest) in [("rib", self.rib.rib_digest(family)), ("fib", self.rib.fib_digest(family))] {
            tables.push(TableDigest { table: name.into(), digest: digest.sum, entries: digest.entries });
        }
        tables
    }

    /// Every route, received, chosen and told, in words: what digests stand for.
    pub(crate) fn dump(&self, neighbors: usize) -> Vec<String> {
        let family = Family::Ipv4Unicast;
        let mut lines = Vec::new();
        for prefix in (0..self.rib.prefixes(family).capacity()).map(PrefixId) {
            let chosen = self.speaker.routes(&self.rib, family, prefix);
            lines.extend(chosen.iter().map(|route| format!("{route:?}")));
            for neighbor in 0..neighbors {
                let id = self.id(neighbor);
                let received = self.speaker.received_routes(&self.rib, id, family, prefix);
                let told = self.speaker.advertised_routes(&self.rib, id, family, prefix);
                lines.extend(received.iter().map(|route| format!("from {neighbor}: {route:?}")));
                lines.extend(told.iter().map(|route| format!("to {neighbor}: {route:?}")));
            }
        }
        lines.extend(self.forwarding().iter().map(|entry| format!("{entry:?}")));
        lines.sort();
        lines
    }
}
