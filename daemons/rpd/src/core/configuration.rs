//! What mgd and pfed say: configuration, interfaces, addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::interface_event::Event;
use holdfast_rib::{Family, LinkAddress, NexthopSpec, StaticRouteSpec};
use ipnet::IpNet;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::bfd::Bfd;
use super::transport::Keys;
use super::{Core, now};
use crate::limits::STALE_FIB_MAX;

/// Links and addresses of the snapshot that is coming in, to find out what is gone since the last one.
#[derive(Default)]
pub struct InterfaceSnapshot {
    /// A snapshot was complete once: connected routes are known.
    pub complete: bool,
    known: BTreeMap<u32, BTreeSet<LinkAddress>>,
    seen: Option<BTreeMap<u32, BTreeSet<LinkAddress>>>,
}

impl InterfaceSnapshot {
    /// The stream begins anew.
    pub fn restart(&mut self) {
        self.seen = Some(BTreeMap::new());
    }
}

/// Where the word goes whether a configuration is in force.
type Applied = oneshot::Sender<Result<(), String>>;

/// A configuration that waits for the interfaces it needs.
#[derive(Default)]
pub struct Pending {
    waiting: Option<(Box<v1::RouterConfig>, Applied)>,
    /// One is in force.
    pub applied: bool,
    /// What the last one said about routing.
    pub routing: v1::RoutingConfig,
}

impl Core {
    pub(super) fn interface_event(&mut self, event: v1::InterfaceEvent) {
        match event.event {
            Some(Event::Link(link)) => self.link(&link),
            Some(Event::LinkRemoved(name)) => {
                if let Some(index) = self.rib.interface_index(&name) {
                    self.remove_link(index);
                }
            }
            Some(Event::Address(address)) => {
                if let Some(of_link) = link_address(&address) {
                    self.interfaces.known.entry(address.index).or_default().insert(of_link);
                    if let Some(seen) = &mut self.interfaces.seen {
                        seen.entry(address.index).or_default().insert(of_link);
                    }
                    self.rib.link_address_added(address.index, of_link);
                }
            }
            Some(Event::AddressRemoved(address)) => {
                if let Some(of_link) = link_address(&address) {
                    self.remove_address(address.index, of_link);
                }
            }
            Some(Event::Silent(neighbor)) => self.silent.heard(&neighbor, true),
            Some(Event::NotSilent(neighbor)) => self.silent.heard(&neighbor, false),
            Some(Event::SnapshotDone(_)) => self.interfaces_known(),
            None => {}
        }
    }

    fn link(&mut self, link: &v1::Interface) {
        self.interfaces.known.entry(link.index).or_default();
        if let Some(seen) = &mut self.interfaces.seen {
            seen.entry(link.index).or_default();
        }
        self.rib.interface_update(link.index, &link.name, link.admin_up && link.carrier);
        self.bfd.mark_stale(); // the link of a link-local neighbour may have come
    }

    fn remove_link(&mut self, index: u32) {
        self.interfaces.known.remove(&index);
        self.rib.interface_removed(index);
    }

    fn remove_address(&mut self, index: u32, address: LinkAddress) {
        if let Some(addresses) = self.interfaces.known.get_mut(&index) {
            addresses.remove(&address);
        }
        self.rib.link_address_removed(index, address);
    }

    /// A snapshot is complete: what it did not name is gone.
    fn interfaces_known(&mut self) {
        if let Some(seen) = self.interfaces.seen.take() {
            let mut gone = Vec::new();
            for (index, addresses) in &self.interfaces.known {
                match seen.get(index) {
                    None => gone.push((*index, None)),
                    Some(left) => gone.extend(addresses.difference(left).map(|address| (*index, Some(*address)))),
                }
            }
            for (index, address) in gone {
                match address {
                    None => self.remove_link(index),
                    Some(address) => self.remove_address(index, address),
                }
            }
        }
        self.interfaces.complete = true;
        self.apply_pending();
    }

    pub(super) fn take_configuration(&mut self, configuration: Box<v1::RouterConfig>, answer: Applied) {
        if let Some((_, superseded)) = self.configuration.waiting.replace((configuration, answer)) {
            let _ = superseded.send(Err("a later configuration took its place".into()));
        }
        self.apply_pending();
    }

    /// Puts the waiting configuration in force, once the interfaces are known that a router id and next hops come from.
    fn apply_pending(&mut self) {
        if !self.interfaces.complete {
            return;
        }
        let Some((configuration, answer)) = self.configuration.waiting.take() else { return };
        let result = self.apply(&configuration);
        if let Err(reason) = &result {
            self.failure.clone_from(reason);
        }
        // mgd may have gone away meanwhile; it asks again.
        let _ = answer.send(result);
    }

    fn apply(&mut self, configuration: &v1::RouterConfig) -> Result<(), String> {
        let routing = configuration.routing.clone().unwrap_or_default();
        let statics = static_routes(&routing, &self.bfd)?;
        // Before anything that is outside: what is refused leaves port and keys of the configuration that stays in force.
        self.protocols.bgp.check(configuration, &self.rib).map_err(|error| error.to_string())?;
        let bgp = configuration.bgp.as_ref().filter(|bgp| !bgp.neighbors.is_empty() || !bgp.allowed.is_empty());
        if self.role == v1::Role::Primary
            && let Some(bgp) = bgp
        {
            // Before anything else: when the port is taken no neighbour hears of us and no route goes to the kernel.
            let port = u16::try_from(bgp.listen_port).map_err(|_| format!("{} is not a TCP port", bgp.listen_port))?;
            self.listen_on(port)?;
        }
        self.install_keys(bgp.map(Keys::of).unwrap_or_default())?;
        self.protocols.bgp.configure(configuration, &mut self.rib, now()).map_err(|error| error.to_string())?;
        self.watch_drops();
        self.rib.set_static(statics);
        self.configuration.routing = routing;
        if self.role == v1::Role::Primary {
            self.renew_transports();
            self.act();
        } else if self.role == v1::Role::Backup && self.follower.is_none() {
            self.follow()?;
        }
        self.failure.clear();
        self.configuration.applied = true;
        self.bfd.mark_stale();
        Ok(())
    }

    /// From when on pfed may remove what nobody announces: every neighbour has said everything, or the wait is over.
    pub(super) fn note_convergence(&mut self, now: Duration) {
        if self.converged || !self.configuration.applied || self.protocols.bgp.is_recovering() {
            return;
        }
        let waited = now.saturating_sub(self.started) >= STALE_FIB_MAX;
        self.converged = waited || self.fib.has_no_leftovers() || self.protocols.bgp.has_heard_everybody(now);
        if self.converged {
            tracing::info!("tables are complete: routes left in the kernel by an earlier life may go");
        }
    }

    /// Sessions' time passes. When the router has recovered from a crash of its routing process, what was chosen is told to
    /// everybody at once. Whether what is left in the kernel may go is another question ([`Self::note_convergence`]): where nobody
    /// restarts gracefully, choosing begins at once, and next to nothing is known then.
    pub(super) fn let_time_pass(&mut self, now: Duration) {
        let recovering = self.protocols.bgp.is_recovering();
        self.protocols.bgp.tick(&mut self.rib, now);
        if recovering && !self.protocols.bgp.is_recovering() {
            let milliseconds = now.saturating_sub(self.started).as_millis();
            tracing::info!("routes are chosen again {milliseconds} ms after the start: kernel and neighbors are told");
            self.connections.mark_output_all();
        }
    }

    /// Whether pfed is to hear of routes: not while this engine stands still, nor before it knows again what a crash made it forget.
    pub(super) fn may_program(&self) -> bool {
        self.role != v1::Role::Frozen && !self.protocols.bgp.is_recovering()
    }

    /// Start-up is finished.
    pub(super) fn is_ready(&self) -> bool {
        let bgp = &self.protocols.bgp;
        let listening = self.listeners.are_open() || (bgp.neighbor_ids().is_empty() && !bgp.allows_any());
        match self.role {
            v1::Role::Primary => self.configuration.applied && listening && self.fib.is_open(),
            _ => self.configuration.applied,
        }
    }

    /// What start-up waits for.
    pub(super) fn waits_for(&self) -> &'static str {
        if !self.interfaces.complete {
            "interfaces from pfed"
        } else if !self.configuration.applied {
            "the configuration from mgd"
        } else if !self.fib.is_open() {
            "pfed to take routes"
        } else {
            ""
        }
    }
}

/// An address as pfed tells it.
fn link_address(address: &v1::InterfaceAddress) -> Option<LinkAddress> {
    Some(LinkAddress { own: address.address.parse().ok()?, peer: address.peer.parse().ok() })
}

/// Every static route that leads anywhere: next hops that BFD has lost are left out, and a route with no other is none.
pub(super) fn static_routes(routing: &v1::RoutingConfig, bfd: &Bfd) -> Result<Vec<StaticRouteSpec>, String> {
    let has_a_way =
        |spec: &StaticRouteSpec| !matches!(&spec.spec, NexthopSpec::Gateways(gateways) if gateways.is_empty());
    let routes = routing
        .static_routes
        .iter()
        .map(|route| {
            let prefix: IpNet =
                route.prefix.parse().map_err(|_| format!("static route {:?}: not a prefix", route.prefix))?;
            let spec = match route.kind() {
                v1::static_route::Kind::Discard => NexthopSpec::Discard,
                v1::static_route::Kind::Reject => NexthopSpec::Reject,
                v1::static_route::Kind::NextHop => {
                    let mut gateways = gateways(prefix, &route.next_hops)?;
                    if let Some(liveness) = &route.bfd {
                        gateways.retain(|gateway| bfd.may_use(*gateway, liveness));
                    }
                    NexthopSpec::Gateways(gateways)
                }
            };
            let preference = route.preference.min(u32::from(u8::MAX)) as u8;
            Ok(StaticRouteSpec { prefix, spec, preference, tag: route.tag })
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(routes.into_iter().filter(has_a_way).collect())
}

fn gateways(prefix: IpNet, next_hops: &[String]) -> Result<SmallVec<[IpAddr; 1]>, String> {
    let mut gateways = SmallVec::new();
    for text in next_hops {
        let address: IpAddr =
            text.parse().map_err(|_| format!("static route {prefix}: next hop {text:?} is not an address"))?;
        if Family::of_address(&address) != Family::of(&prefix) {
            return Err(format!("static route {prefix}: next hop {address} is of the other family"));
        }
        gateways.push(address);
    }
    gateways.sort_unstable();
    gateways.dedup();
    Ok(gateways)
}
