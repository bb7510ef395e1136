use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use holdfast_policy::{Chain, PolicySet};
use holdfast_proto::v1::{BgpAddPath, BgpConfig, BgpNeighborConfig, RouterConfig, RoutingConfig};
use holdfast_rib::{Family, PrefixId, Rib};
use smallvec::SmallVec;

use crate::session::{GracefulRestart, RoleConfig, Session, SessionConfig};
use crate::wire::{Cease, NextHop, NotificationMessage, Origin, PathAttributes};

use super::advertised::Place;
use super::aggregate::Aggregate;
use super::allowed::Allowed;
use super::decision::MedRules;
use super::export_rules::Teller;
use super::import_rules::ImportRules;
use super::limits::{BGP_PORT, NEIGHBORS_MAX};
use super::neighbor::{Counters, Neighbor, Reimport, family_of, role_of};
use super::next_hops::remote_next_hops;
use super::table::{NeighborId, PathKey};
use super::{Speaker, aggregate};

/// Why a configuration cannot be put in force. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A neighbour's address is not one.
    #[error("neighbor {0:?} is not an IP address; correct it in the configuration")]
    Address(String),
    /// A prefix is not one.
    #[error("allow {0:?} is not a prefix; correct it in the configuration")]
    Prefix(String),
    /// A policy does not compile.
    #[error("{0}")]
    Policy(#[from] holdfast_policy::PolicyError),
    /// Too many.
    #[error("{0} neighbors are configured, {NEIGHBORS_MAX} is the most this version handles; delete some")]
    TooManyNeighbors(usize),
    /// No router id can be found.
    #[error(
        "no router-id is configured and no interface has an IPv4 address to take one from; set routing-options router-id"
    )]
    NoRouterId,
}

/// A neighbour as it is to be.
pub(super) struct Wanted {
    pub address: IpAddr,
    pub config: BgpNeighborConfig,
    pub import: Chain,
    pub export: Chain,
    /// It is not configured itself but has come from an allowed prefix.
    pub allowed: bool,
}

/// A configuration that can be put in force.
struct Prepared {
    bgp: BgpConfig,
    routing: RoutingConfig,
    policies: PolicySet,
    wanted: Vec<Wanted>,
    aggregates: Vec<Aggregate>,
    allowed: Vec<Allowed>,
    router_id: Ipv4Addr,
    router_id_configured: bool,
}

impl Speaker {
    /// Whether a configuration can be put in force, before anything is done for it outside.
    pub fn check(&self, config: &RouterConfig, rib: &Rib) -> Result<(), SettingsError> {
        self.prepare(config, rib).map(drop)
    }

    /// All of a configuration that can be refused.
    fn prepare(&self, config: &RouterConfig, rib: &Rib) -> Result<Prepared, SettingsError> {
        let bgp = config.bgp.clone().unwrap_or_default();
        let routing = config.routing.clone().unwrap_or_default();
        let policies = PolicySet::compile(&config.policy.clone().unwrap_or_default())?;
        if bgp.neighbors.len() > NEIGHBORS_MAX {
            return Err(SettingsError::TooManyNeighbors(bgp.neighbors.len()));
        }
        let mut wanted = Vec::with_capacity(bgp.neighbors.len());
        for neighbor in &bgp.neighbors {
            let address: IpAddr =
                neighbor.address.parse().map_err(|_| SettingsError::Address(neighbor.address.clone()))?;
            let import = policies.chain(&neighbor.import_policies)?;
            let export = policies.chain(&neighbor.export_policies)?;
            let (address, config) = (address.to_canonical(), neighbor.clone());
            wanted.push(Wanted { address, config, import, export, allowed: false });
        }
        let aggregates = aggregate::compile(&routing.aggregates, &policies)?;
        let allowed = Allowed::all(&bgp, &policies)?;
        self.want_allowed(&allowed, &mut wanted);
        let configured = routing.router_id.parse::<Ipv4Addr>().ok();
        // A new router id ends every session: while the address it was taken from is there, it stays.
        let known = || Some(self.router_id).filter(|known| rib.is_local((*known).into()));
        let router_id = configured.or_else(known).or_else(|| rib.highest_address());
        if router_id.is_none() && !wanted.is_empty() {
            return Err(SettingsError::NoRouterId);
        }
        let router_id = router_id.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let router_id_configured = configured.is_some();
        Ok(Prepared { bgp, routing, policies, wanted, aggregates, allowed, router_id, router_id_configured })
    }

    /// Puts a configuration in force by difference: sessions whose parameters stay are not touched.
    pub fn configure(&mut self, config: &RouterConfig, rib: &mut Rib, now: Duration) -> Result<(), SettingsError> {
        let Prepared { bgp, routing, policies, wanted, aggregates, allowed, router_id, router_id_configured } =
            self.prepare(config, rib)?;
        self.policies = policies;
        self.allowed = allowed;
        self.router_id_configured = router_id_configured;
        let med_rules = MedRules::of(bgp.path_selection.as_ref());
        let clusters = clusters(&bgp);
        let judges_by = (router_id, routing.autonomous_system);
        let judges_anew = judges_by != (self.router_id, self.local_as) || clusters != self.clusters;
        let decides_by = (routing.maximum_paths.max(1), med_rules);
        let decides_anew = decides_by != (self.maximum_paths, self.med_rules);
        (self.router_id, self.local_as) = judges_by;
        (self.maximum_paths, self.med_rules) = decides_by;
        self.clusters = clusters;
        let allowed = bgp.allowed.iter().filter_map(|allowed| allowed.template.as_ref());
        self.serves_clients = bgp.neighbors.iter().chain(allowed).any(|neighbor| neighbor.route_server_client);
        self.listen_port = u16::try_from(bgp.listen_port).ok().filter(|port| *port != 0).unwrap_or(BGP_PORT);
        self.prepare_local_origin();
        let gone: Vec<NeighborId> = self
            .neighbors
            .iter()
            .flatten()
            .filter(|neighbor| !wanted.iter().any(|wanted| wanted.address == neighbor.address))
            .map(|neighbor| neighbor.id)
            .collect();
        for id in gone {
            self.remove_neighbor(id, rib, now);
        }
        self.retire_groups();
        let tellers = self.tellers();
        for wanted in wanted {
            match self.find_neighbor(wanted.address) {
                Some(id) => {
                    self.change_neighbor(id, wanted, rib, now);
                    if judges_anew {
                        self.import_anew(id);
                    } else if decides_anew {
                        self.decide_anew(id);
                    }
                }
                None => self.add_neighbor(wanted, rib, now),
            }
        }
        if tellers.iter().any(|(id, teller)| self.get(*id).is_some_and(|neighbor| neighbor.as_teller() != *teller)) {
            self.advertise_all_anew();
        }
        self.set_aggregates(aggregates, rib);
        self.forget_freed();
        self.recovery_configured();
        Ok(())
    }

    fn tellers(&self) -> Vec<(NeighborId, Teller)> {
        self.neighbors.iter().flatten().map(|neighbor| (neighbor.id, neighbor.as_teller())).collect()
    }

    /// What holds for routes of some neighbour on their way to all others has changed.
    pub(super) fn advertise_all_anew(&mut self) {
        for id in self.neighbor_ids() {
            self.advertise_anew(id);
        }
    }

    /// Neighbours that are not configured stay as long as their addresses are allowed. After a crash those whose sessions it has
    /// interrupted are waited for as the configured ones are.
    fn want_allowed(&self, allowed: &[Allowed], wanted: &mut Vec<Wanted>) {
        let known = self.neighbors.iter().flatten().map(|neighbor| neighbor.address);
        let mut addresses: Vec<IpAddr> = known.chain(self.interrupted_addresses()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|address| !wanted.iter().any(|wanted| wanted.address == *address));
        wanted
            .extend(addresses.into_iter().filter_map(|address| Some(Allowed::of(allowed, address)?.settings(address))));
    }

    /// A follower whose configuration names no router id goes by the one in the primary's OPENs: addresses that have come
    /// or gone since the primary chose would give it another one, and with it every neighbour another router.
    pub(super) fn adopt_router_id(&mut self, primary: Ipv4Addr) {
        if self.router_id_configured || self.router_id == primary {
            return;
        }
        self.router_id = primary;
        self.aggregates.iter_mut().for_each(Aggregate::mark); // it is in their AGGREGATOR
        for id in self.neighbor_ids() {
            self.renew_session_config(id);
            self.import_anew(id); // what bears our own name is a loop (RFC 4456 §8)
        }
    }

    fn prepare_local_origin(&mut self) {
        if self.local_origin.is_none() {
            let attributes = PathAttributes { origin: Origin::Igp, ..PathAttributes::default() };
            let next_hop = NextHop::V4(Ipv4Addr::UNSPECIFIED);
            self.local_origin = self.attributes.intern_values(&attributes, next_hop);
        }
    }

    pub(super) fn add_neighbor(&mut self, wanted: Wanted, rib: &mut Rib, now: Duration) {
        let Wanted { address, config, import, export, allowed } = wanted;
        let departed = |index: &usize| self.departed.contains_key(&NeighborId(*index as u16));
        let mut unused = (0..self.neighbors.len()).filter(|index| self.neighbors[*index].is_none() && !departed(index));
        let free = unused.next().unwrap_or(self.neighbors.len());
        if free == self.neighbors.len() {
            self.neighbors.push(None);
        }
        self.unfollowed.remove(&address);
        let id = NeighborId(free as u16);
        // Retries of different neighbours must not march in step.
        let seed = self.seed ^ ((free as u64 + 1) << 32);
        let session = Session::new(self.session_parameters(&config, false, false), seed);
        self.neighbors[free] = Some(Neighbor {
            id,
            address,
            allowed,
            scope: rib.interface_index(&config.interface),
            session,
            up: None,
            router_id: Ipv4Addr::BROADCAST,
            generation: 0,
            stale: None,
            restart: None,
            forwarded: false,
            claims_restart_until: None,
            deposited: false,
            interrupted: None,
            import,
            export,
            place: Place::NONE,
            leaving: None,
            own: Default::default(),
            told_under: Default::default(),
            import_memo: Default::default(),
            families: Default::default(),
            delayed: Default::default(),
            idle_until: None,
            counters: Counters::default(),
            last_error: String::new(),
            session_end: String::new(),
            down_since: now,
            notifications: Default::default(),
            rest: Default::default(),
            reported: String::new(),
            ended_blameless: false,
            malformed: Default::default(),
            grown_to: 0,
            growing_until: Duration::ZERO,
            last_read: Duration::ZERO,
            last_written: Duration::ZERO,
            config,
        });
        self.by_address.insert(address, id);
        self.claim_recovery(id);
        self.renew_session_config(id);
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.appear(now);
        }
        self.start(id, rib, now);
    }

    fn start(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        if self.following {
            return;
        }
        let may_run = |neighbor: &&mut Neighbor| !neighbor.config.disable && neighbor.idle_until.is_none();
        if let Some(neighbor) = self.get_mut(id).filter(may_run) {
            neighbor.session.start(now);
        }
        self.forget_rest(id);
        self.collect(id, rib, now);
    }

    fn change_neighbor(&mut self, id: NeighborId, wanted: Wanted, rib: &mut Rib, now: Duration) {
        let Wanted { config, import, export, allowed, .. } = wanted;
        let Some(neighbor) = self.get(id) else { return };
        let session_config = self.session_parameters(&config, neighbor.forwarded, neighbor.is_restarting());
        let (rules, router_as) = (neighbor.export_rules(), self.local_as);
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.allowed = allowed;
        let before = std::mem::replace(&mut neighbor.config, config);
        let scope = rib.interface_index(&neighbor.config.interface);
        let scope_changed = std::mem::replace(&mut neighbor.scope, scope) != scope;
        let config = &neighbor.config;
        let reset = neighbor.session.configure(session_config)
            || before.local_address != config.local_address
            || before.port != config.port
            || before.interface != config.interface;
        let (shut_down, started) = (config.disable && !before.disable, before.disable && !config.disable);
        // Routes may be kept over a change that the neighbour is told of (RFC 8538), but not those of what was another neighbour.
        let named = |c: &BgpNeighborConfig| (c.peer_as, c.local_as, c.internal, c.role);
        let limits_changed = before.prefix_limits != config.prefix_limits;
        let same = named(&before) == named(config);
        let cause = if same { Cease::ConfigurationChange } else { Cease::PeerDeconfigured };
        let export_changed =
            neighbor.export != export || neighbor.export_rules() != rules || before.add_path != config.add_path;
        let rules = |config: &BgpNeighborConfig| ImportRules::of(config, router_as);
        let rules_changed = rules(&before) != rules(config);
        // What becomes of its paths, not whether and how they are taken.
        let decided_anew = scope_changed
            || remote_next_hops(&before) != remote_next_hops(config)
            || before.multipath != config.multipath
            || before.multipath_rules != config.multipath_rules
            || before.not_installed != config.not_installed;
        neighbor.export = export;
        // Policies may ask who told it.
        // A walk under way goes through paths in an order that depends on limits.
        let walk_changed = limits_changed && neighbor.families.iter().any(|family| family.reimport.is_some());
        if neighbor.import != import || rules_changed || !same || walk_changed {
            neighbor.import = import;
            neighbor.import_memo.clear();
            self.import_anew(id);
        } else if decided_anew {
            self.decide_anew(id);
        }
        if limits_changed {
            self.wake(id, now);
        }
        if shut_down || !same {
            self.give_up(id);
        }
        if shut_down && !self.following {
            if let Some(neighbor) = self.get_mut(id) {
                let notification = neighbor.shutdown_notification();
                neighbor.session.stop_with(notification, now);
            }
            self.collect(id, rib, now);
        } else if started && !self.following {
            self.start(id, rib, now);
        } else if reset && !self.following {
            self.stop(id, cause, rib, now);
            self.start(id, rib, now);
        } else if export_changed {
            self.assign_group(id, rib);
            self.advertise_anew(id);
        }
    }

    /// Everything is compared again with what the neighbour has; only differences are sent.
    pub(super) fn advertise_anew(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.get_mut(id) {
            for family in Family::ALL {
                if neighbor.exchanges(family) {
                    neighbor.families[family.index()].initial = Some(0);
                }
            }
        }
    }

    /// Import policy is applied again to everything that the neighbour has told us.
    pub(super) fn import_anew(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.get_mut(id) {
            for family in &mut neighbor.families {
                family.reimport = Some(Reimport::default());
            }
        }
    }

    /// Destinations that the neighbour has told a path to are decided again; its paths stay as they are.
    pub(super) fn decide_anew(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families.iter_mut().for_each(|family| family.redecide = Some(0));
        }
    }

    /// Sends everything to the neighbour again.
    pub fn send_anew(&mut self, id: NeighborId) {
        for family in Family::ALL {
            self.refresh_requested(id, family);
        }
    }

    /// Ends a session as an operator asks, with a word to the neighbour's operator (RFC 9003); it comes up again by itself, also
    /// where it rests.
    pub fn reset(&mut self, id: NeighborId, message: &str, rib: &mut Rib, now: Duration) {
        self.wake(id, now);
        self.give_up(id);
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.reset(NotificationMessage::cease_with_text(Cease::AdministrativeReset, message), now);
        }
        self.collect(id, rib, now);
        self.forget_rest(id);
    }

    /// Ends a session because the whole router ends.
    pub fn shut_down(&mut self, id: NeighborId, message: &str, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            let notification = NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, message);
            neighbor.session.stop_with(notification, now);
        }
        self.collect(id, rib, now);
    }

    /// Ends a session for good.
    fn stop(&mut self, id: NeighborId, cause: Cease, rib: &mut Rib, now: Duration) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.stop(cause, now);
        }
        self.collect(id, rib, now);
    }

    pub(super) fn remove_neighbor(&mut self, id: NeighborId, rib: &mut Rib, now: Duration) {
        if self.following {
            self.unfollowed.extend(self.get(id).map(|neighbor| neighbor.address));
        } else {
            self.stop(id, Cease::PeerDeconfigured, rib, now);
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.up = None; // nothing is marked for it any more
        }
        self.forget_advertised(id, rib);
        let told = |id, family: Family| self.get(id).is_some_and(|n| n.families[family.index()].received.entries > 0);
        for family in Family::ALL.map(|family| told(id, family).then_some(family)).into_iter().flatten() {
            for prefix in 0..self.tables[family.index()].capacity() {
                let prefix = PrefixId(prefix);
                let paths = self.tables[family.index()].of_neighbor(prefix, id);
                let identifiers: SmallVec<[u32; 4]> = paths.map(|(identifier, _)| identifier).collect();
                for identifier in identifiers {
                    self.remove_path(PathKey { neighbor: id, identifier }, family, prefix, rib);
                }
            }
        }
        if let Some(neighbor) = self.neighbors.get_mut(id.0 as usize).and_then(Option::take) {
            self.by_address.remove(&neighbor.address);
            if !self.actions.is_empty() {
                self.departed.insert(id, neighbor.address);
            }
        }
    }

    /// What the neighbour's next session is to be like.
    pub(super) fn session_config(&self, neighbor: &Neighbor) -> SessionConfig {
        self.session_parameters(&neighbor.config, neighbor.forwarded, neighbor.is_restarting())
    }

    /// Brings what the next OPEN will say up to date. The present session is not touched.
    pub(super) fn renew_session_config(&mut self, id: NeighborId) {
        let Some(config) = self.get(id).map(|neighbor| self.session_config(neighbor)) else { return };
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session.configure(config);
        }
    }

    fn session_parameters(&self, config: &BgpNeighborConfig, forwarding_kept: bool, restarting: bool) -> SessionConfig {
        let mut families = [false; 2];
        config.families().filter_map(family_of).for_each(|family| families[family.index()] = true);
        let add_path = |does: fn(&BgpAddPath) -> bool| {
            let says =
                |family: Family| move |entry: &BgpAddPath| family_of(entry.family()) == Some(family) && does(entry);
            Family::ALL.map(|family| config.add_path.iter().any(says(family)))
        };
        let restart_time_s = config.restart_time_s.min(0x0fff) as u16; // RFC 4724 §3: twelve bits
        SessionConfig {
            local_as: config.local_as,
            peer_as: config.peer_as,
            internal: config.internal,
            router_id: self.router_id,
            hold_time_s: config.hold_time_s.min(u32::from(u16::MAX)) as u16,
            passive: config.passive,
            families,
            extended_next_hop: config.extended_nexthop,
            role: role_of(config).map(|role| RoleConfig { role, strict: config.role_strict }),
            receives_paths: add_path(|entry| entry.receive),
            sends_paths: add_path(|entry| entry.send_path_count > 0),
            graceful_restart: config.graceful_restart.then_some(GracefulRestart { restart_time_s, forwarding_kept }),
            helper: config.graceful_restart_helper,
            long_lived: config.long_lived.then(|| {
                let time_s = |seconds: u32| seconds.min(0x00ff_ffff); // RFC 9494 §3.1: 24 bits
                [time_s(config.long_lived_inet_s), time_s(config.long_lived_inet6_s)]
            }),
            restarting,
        }
    }
}

/// Clusters whose clients are among the neighbours, each once.
fn clusters(bgp: &BgpConfig) -> Vec<Ipv4Addr> {
    let allowed = bgp.allowed.iter().filter_map(|allowed| allowed.template.as_ref());
    let neighbors = bgp.neighbors.iter().chain(allowed);
    let named = neighbors.filter(|neighbor| neighbor.internal && neighbor.cluster != 0);
    let mut clusters: Vec<Ipv4Addr> = named.map(|neighbor| neighbor.cluster.into()).collect();
    clusters.sort_unstable();
    clusters.dedup();
    clusters
}
