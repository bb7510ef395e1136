use std::time::Duration;

use holdfast_policy::{community_text, extended_community_text};
use holdfast_proto::v1::{
    BgpNeighborDetail, BgpNeighborSummary, BgpSummary, FamilyCounters, Route, RouteNextHop, UnknownAttribute,
};
use holdfast_rib::{Family, ForwardingNexthop, Gateway, NexthopSetId, NexthopSpec, PrefixId, Protocol, Rib};

use crate::wire::{OpenMessage, PathAttributes, RawAttribute};

use super::Speaker;
use super::attributes::{AttributeId, AttributeSet};
use super::decision::Rule;
use super::explain::{shares, why_best, why_preferred};
use super::facts::count_messages;
use super::history::notification_view;
use super::limits::{UNKNOWN_SHOWN_LEN, UNKNOWN_SHOWN_MAX};
use super::neighbor::Neighbor;
use super::table::{Best, NeighborId, Path, PathKey, Refusal};
use super::told::Slot;
use super::transport::Transport;

impl Speaker {
    /// How long the neighbour waits for a sign of life of ours; `None`: for ever, or there is no session.
    pub fn hold_time(&self, id: NeighborId) -> Option<Duration> {
        let seconds = self.get(id)?.up.as_ref()?.negotiated.hold_time_s;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Why the neighbour's last session ended, if no engine is to blame for it: the neighbour or an operator ended it, or the
    /// neighbour is gone.
    pub fn ended_blameless(&self, id: NeighborId) -> Option<&str> {
        let neighbor = self.get(id).filter(|neighbor| neighbor.ended_blameless)?;
        Some(&neighbor.session_end)
    }

    /// `show bgp summary`.
    pub fn summary(&self, now: Duration) -> BgpSummary {
        BgpSummary {
            router_id: self.router_id.to_string(),
            local_as: self.local_as,
            neighbors: self.neighbors.iter().flatten().map(|neighbor| self.neighbor_summary(neighbor, now)).collect(),
            paths: self.tables.iter().map(|table| table.len() as u64).sum(),
            prefixes: self.tables.iter().map(|table| table.destinations() as u64).sum(),
            allowed: self.allowed_views(),
        }
    }

    fn neighbor_summary(&self, neighbor: &Neighbor, now: Duration) -> BgpNeighborSummary {
        let state =
            if neighbor.up.is_some() { "Established".into() } else { neighbor.session.state().name().to_owned() };
        let since = neighbor.up.as_ref().map_or(neighbor.down_since, |up| up.established_at);
        BgpNeighborSummary {
            address: neighbor.address.to_string(),
            peer_as: neighbor.config.peer_as,
            state,
            established_ms: now.saturating_sub(since).as_millis() as u64,
            messages_in: neighbor.counters.messages_in,
            messages_out: neighbor.counters.messages_out,
            flaps: neighbor.counters.flaps,
            families: Family::ALL
                .into_iter()
                .filter(|family| neighbor.exchanges(*family) || neighbor.families[family.index()].received.entries > 0)
                .map(|family| self.family_counters(neighbor, family, now))
                .collect(),
            group: neighbor.config.group.clone(),
            last_error: match neighbor.up {
                Some(_) => neighbor.last_error.clone(),
                None => self.why_not_established(neighbor),
            },
            description: neighbor.config.description.clone(),
            allowed_by: self.allowed_by(neighbor),
        }
    }

    fn family_counters(&self, neighbor: &Neighbor, family: Family, now: Duration) -> FamilyCounters {
        let state = &neighbor.families[family.index()];
        let table = &self.tables[family.index()];
        let kept = neighbor.stale.is_some();
        let paths = |prefix| table.of_neighbor(prefix, neighbor.id);
        let capacity = if kept { table.capacity() } else { 0 };
        let kept = (0..capacity).map(PrefixId).flat_map(paths);
        let stale = kept.filter(|(_, path)| path.generation != neighbor.generation).count();
        FamilyCounters {
            family: family.name().into(),
            received: state.received.entries,
            accepted: state.accepted,
            active: state.best,
            advertised: state.sent.entries,
            end_of_rib_received: state.end_of_rib_received,
            end_of_rib_sent: state.end_of_rib_sent,
            stale: stale as u64,
            long_lived: state.long_lived.is_some(),
            stale_left_ms: state
                .long_lived
                .or_else(|| neighbor.stale.map(|stale| stale.until))
                .map_or(0, |until| until.saturating_sub(now).as_millis() as u64),
            dropped: state.limit.dropped,
            too_long: state.too_long.len() as u64,
            unrefreshed: state
                .unrefreshed
                .as_ref()
                .map_or(0, |begun| state.received.entries.saturating_sub(begun.told())),
            receives_paths: neighbor.receives_paths(family),
            sends_paths: if neighbor.sends_paths(family) { u32::from(neighbor.path_count(family)) } else { 0 },
        }
    }

    /// `show bgp neighbor`.
    pub fn detail(&self, id: NeighborId, now: Duration) -> Option<BgpNeighborDetail> {
        let neighbor = self.get(id)?;
        let up = neighbor.up.as_ref();
        let hold = up.map(|up| (up.negotiated.hold_time_s, up.negotiated.keepalive_s));
        let transport = Transport::of(&neighbor.config);
        let ago = |at: Duration| if at.is_zero() { 0 } else { now.saturating_sub(at).as_millis() as u64 };
        Some(BgpNeighborDetail {
            summary: Some(self.neighbor_summary(neighbor, now)),
            session_end: neighbor.session_end.clone(),
            local_address: up.map_or_else(|| neighbor.config.local_address.clone(), |up| up.local.ip().to_string()),
            local_port: up.map_or(0, |up| u32::from(up.local.port())),
            remote_port: up.map_or(0, |up| u32::from(up.remote.port())),
            router_id: up.map(|up| up.negotiated.peer_router_id.to_string()).unwrap_or_default(),
            local_as: neighbor.config.local_as,
            hold_time_s: hold.map_or(neighbor.config.hold_time_s, |(hold, _)| u32::from(hold)),
            keepalive_s: hold.map_or(0, |(_, keepalive)| u32::from(keepalive)),
            capabilities_sent: up.map(|up| capabilities(&up.local_open)).unwrap_or_default(),
            capabilities_received: up.map(|up| capabilities(&up.remote_open)).unwrap_or_default(),
            capabilities_agreed: up.map(|up| up.negotiated.agreed()).unwrap_or_default(),
            import_policies: neighbor.config.import_policies.clone(),
            export_policies: neighbor.config.export_policies.clone(),
            updates_in: neighbor.counters.updates_in,
            updates_out: neighbor.counters.updates_out,
            why_not_established: self.why_not_established(neighbor),
            internal: neighbor.config.internal,
            last_read_ms: ago(neighbor.last_read),
            last_written_ms: ago(neighbor.last_written),
            treat_as_withdraw: neighbor.malformed.withdrawn,
            attributes_discarded: neighbor.malformed.discarded,
            last_malformed: neighbor.malformed.last.clone(),
            last_malformed_ms: ago(neighbor.malformed.at),
            switchover_mode: neighbor.road().name().into(),
            established_unix_ms: up.map_or(0, |up| up.established_unix_ms),
            graceful_restart: self.restart_view(neighbor, now),
            route_rules: neighbor.route_rules(),
            authentication: if transport.key.is_some() { "MD5" } else { "" }.into(),
            ttl_security_hops: neighbor.config.ttl_security_hops,
            ttl: transport.ttl.into(),
            interface: neighbor.config.interface.clone(),
            last_notification_received: notification_view(&neighbor.notifications.received, now),
            last_notification_sent: notification_view(&neighbor.notifications.sent, now),
            failures: neighbor.session.failures(),
            next_attempt_ms: neighbor
                .next_attempt()
                .map(|at| at.saturating_sub(now).as_millis() as u64)
                .filter(|_| up.is_none() && !self.following),
            shutdown: neighbor.config.disable,
            shutdown_message: neighbor.config.shutdown_message.clone(),
            ..BgpNeighborDetail::default()
        })
    }

    /// Every route to one destination, the active one first: what `show route` prints.
    pub fn routes(&self, rib: &Rib, family: Family, prefix_id: PrefixId) -> Vec<Route> {
        let Some(prefix) = rib.prefixes(family).try_prefix(prefix_id) else { return Vec::new() };
        let mut routes = Vec::new();
        let candidates = rib.candidates(family, prefix_id);
        for candidate in &candidates {
            if candidate.route.protocol != Protocol::Bgp {
                let active = candidate.active && candidate.reachable;
                routes.push(Route {
                    table: family.table().into(),
                    prefix: prefix.to_string(),
                    active,
                    best_reason: if active { why_preferred(candidate, &candidates) } else { String::new() },
                    protocol: candidate.route.protocol.name().into(),
                    preference: u32::from(candidate.route.preference),
                    tag: candidate.route.tag,
                    next_hops: next_hops(rib, candidate.route.nexthop),
                    kind: kind(rib.nexthop(candidate.route.nexthop)).into(),
                    inactive_reason: match (candidate.reachable, candidate.active) {
                        (false, _) => "next hop unreachable",
                        (true, false) => "a route of another protocol is preferred",
                        (true, true) => "",
                    }
                    .into(),
                    ..Route::default()
                });
            }
        }
        let active_is_bgp = rib.active(family, prefix_id).is_some_and(|active| active.protocol == Protocol::Bgp);
        let best = self.tables[family.index()].best(prefix_id);
        let lost = self.lost_by(rib, family, prefix_id);
        let is_best = |path: &Path| best == Some(Best { neighbor: path.neighbor, attributes: path.effective });
        // Of paths that differ in nothing but their identifiers the lowest one was chosen.
        let chosen = self.tables[family.index()].identified(prefix_id).filter(|(_, path)| is_best(path));
        let chosen = chosen.map(|(identifier, _)| identifier).min();
        for (identifier, path) in self.tables[family.index()].identified(prefix_id) {
            let chosen = is_best(path) && chosen == Some(identifier);
            let key = PathKey { neighbor: path.neighbor, identifier };
            let rule = lost.iter().find(|(loser, _)| *loser == key).map(|(_, rule)| *rule);
            let standing = Standing { chosen, active: chosen && active_is_bgp, lost_by: rule };
            let route = self.bgp_route(rib, family, prefix_id, (identifier, path), standing);
            let best_reason = if chosen { why_best(&lost) } else { String::new() };
            routes.extend(route.map(|route| Route { best_reason, ..route }));
        }
        routes.sort_by_key(|route| (!route.active, route.preference, route.learned_from.clone(), route.path_id));
        if let Some(route) = routes.first_mut().filter(|route| route.active) {
            route.too_long_for = self.too_long_for(family, prefix_id);
        }
        routes
    }

    fn bgp_route(
        &self,
        rib: &Rib,
        family: Family,
        prefix: PrefixId,
        (identifier, path): (u32, &Path),
        standing: Standing,
    ) -> Option<Route> {
        let Standing { chosen, active, lost_by } = standing;
        let neighbor = self.get(path.neighbor)?;
        let shown = if path.effective.is_none() { path.received } else { path.effective };
        let set = self.attributes.get(shown)?;
        let own = self.attributes.nexthop(shown, neighbor.scope);
        let nexthop = if chosen { rib.bgp_route(family, prefix).map(|route| route.nexthop) } else { own };
        let unusable = neighbor.why_not_by(set, own, rib).unwrap_or_default();
        let beaten = if chosen { String::new() } else { why_not_best(rib, family, prefix, own, lost_by) };
        let inactive_reason = match path.refusal {
            Refusal::Policy => return self.rejected_route(rib, family, prefix, path),
            Refusal::AsLoop => "our own AS is in its path",
            Refusal::FirstAs => "its AS path does not begin with the neighbor's AS",
            Refusal::ReflectionLoop => "we are its originator, or our cluster is in its list",
            Refusal::Leak => "a route leak: ONLY_TO_CUSTOMER says that this neighbor must not tell it to us (RFC 9234)",
            Refusal::NoLongLife => "it carries NO_LLGR and its neighbor is away for long (RFC 9494)",
            Refusal::TooLong => "import policy has made its attributes longer than a message can be",
            Refusal::None if !unusable.is_empty() => &unusable,
            Refusal::None if !chosen => &beaten,
            Refusal::None if !active => "a route of another protocol is preferred",
            Refusal::None => "",
        };
        let mut route = self.one_sided_route(rib, family, prefix, shown, path.neighbor)?;
        route.active = active;
        route.next_hops = nexthop.map(|nexthop| next_hops(rib, nexthop)).unwrap_or_default();
        route.inactive_reason = inactive_reason.into();
        route.stale = path.generation != neighbor.generation;
        route.path_id = identifier;
        Some(route)
    }

    fn rejected_route(&self, rib: &Rib, family: Family, prefix: PrefixId, path: &Path) -> Option<Route> {
        let mut route = self.one_sided_route(rib, family, prefix, path.received, path.neighbor)?;
        route.inactive_reason = self.rejected_by(rib, family, prefix, path)?;
        route.stale = path.generation != self.get(path.neighbor)?.generation;
        Some(route)
    }

    /// One destination as a neighbour told it, before import policy.
    pub fn received_routes(&self, rib: &Rib, id: NeighborId, family: Family, prefix_id: PrefixId) -> Vec<Route> {
        let paths = self.tables[family.index()].of_neighbor(prefix_id, id);
        let view = |(path_id, path): (u32, &Path)| {
            Some(Route { path_id, ..self.one_sided_route(rib, family, prefix_id, path.received, id)? })
        };
        let mut routes: Vec<Route> = paths.filter_map(view).collect();
        routes.sort_by_key(|route| route.path_id);
        routes
    }

    /// One destination as we told it to a neighbour.
    pub fn advertised_routes(&self, rib: &Rib, id: NeighborId, family: Family, prefix_id: PrefixId) -> Vec<Route> {
        let Some(neighbor) = self.get(id) else { return Vec::new() };
        let identified = neighbor.sends_paths(family);
        let view = |(slot, advertised): (Slot, AttributeId)| {
            let path_id = if identified { slot.identifier() } else { 0 };
            Some(Route { path_id, ..self.advertised_route(rib, id, family, prefix_id, advertised)? })
        };
        self.advertised(neighbor, family, prefix_id).filter_map(view).collect()
    }

    fn advertised_route(
        &self,
        rib: &Rib,
        id: NeighborId,
        family: Family,
        prefix_id: PrefixId,
        advertised: AttributeId,
    ) -> Option<Route> {
        let mut route = self.one_sided_route(rib, family, prefix_id, advertised, id)?;
        let told = self.get(id)?.own.told(family, self.attributes.get(advertised)?);
        route.bgp_next_hop = told.map(|next_hop| next_hop.address().to_string()).unwrap_or_default();
        route.learned_from.clear();
        Some(route)
    }

    fn one_sided_route(
        &self,
        rib: &Rib,
        family: Family,
        prefix_id: PrefixId,
        attributes: AttributeId,
        id: NeighborId,
    ) -> Option<Route> {
        let mut route = attributes_view(self.attributes.get(attributes)?);
        route.table = family.table().into();
        route.prefix = rib.prefixes(family).try_prefix(prefix_id)?.to_string();
        route.learned_from = self.get(id)?.address.to_string();
        Some(route)
    }

    /// Destinations with paths that import rejects, of one family.
    pub fn hidden(&self, family: Family) -> u64 {
        let accepted: u64 = self.neighbors.iter().flatten().map(|n| n.families[family.index()].accepted).sum();
        (self.tables[family.index()].len() as u64).saturating_sub(accepted)
    }

    /// BGP paths of one family.
    pub fn paths(&self, family: Family) -> u64 {
        self.tables[family.index()].len() as u64
    }
}

/// How a path came out of the decision.
#[derive(Clone, Copy)]
struct Standing {
    /// It is the best one of BGP.
    chosen: bool,
    /// Packets go by it.
    active: bool,
    /// By what it is not.
    lost_by: Option<Rule>,
}

/// What a usable path has lost by, and that it is used all the same where it shares the packets with the best one.
fn why_not_best(
    rib: &Rib,
    family: Family,
    prefix: PrefixId,
    nexthop: Option<NexthopSetId>,
    lost_by: Option<Rule>,
) -> String {
    let why = lost_by.map_or_else(|| "another BGP path is better".to_owned(), Rule::reason);
    let shares = |nexthop| shares(rib, family, prefix, nexthop);
    match lost_by.is_some_and(Rule::is_tie_break) && nexthop.is_some_and(shares) {
        true => format!("{why} (packets go by both: multipath)"),
        false => why,
    }
}

fn capabilities(open: &[u8]) -> Vec<String> {
    debug_assert_eq!(count_messages(open).0, 1);
    open.get(crate::wire::HEADER_LEN..)
        .and_then(|body| OpenMessage::decode(body).ok())
        .map(|open| open.capabilities.iter().map(ToString::to_string).collect())
        .unwrap_or_default()
}

fn kind(spec: Option<&NexthopSpec>) -> &'static str {
    match spec {
        Some(NexthopSpec::Discard) => "discard",
        Some(NexthopSpec::Reject) => "reject",
        _ => "unicast",
    }
}

fn next_hops(rib: &Rib, nexthop: NexthopSetId) -> Vec<RouteNextHop> {
    let resolved = rib.resolved(nexthop);
    let one = |gateway: &Gateway, backup| RouteNextHop {
        gateway: gateway.address.map(|address| address.to_string()).unwrap_or_default(),
        interface: rib.interface_name(gateway.interface_index).unwrap_or_default().to_owned(),
        weight: u32::from(gateway.weight),
        backup,
        silent: false,
    };
    let used = resolved.iter().flat_map(|resolved| resolved.gateways()).map(|gateway| one(gateway, false));
    let standing_by = resolved.and_then(ForwardingNexthop::backup).map(|gateway| one(gateway, true));
    used.chain(standing_by).collect()
}

/// What is shown of an attribute set.
pub(super) fn attributes_view(set: AttributeSet<'_>) -> Route {
    let local = set.local();
    let preference = local.preference.unwrap_or_else(|| Protocol::Bgp.default_preference());
    Route {
        preference: u32::from(preference),
        tag: local.tag,
        bgp_next_hop: set.next_hop().address().to_string(),
        kind: kind(local.forwarding.spec().as_ref()).into(),
        ..values_view(&set.decode())
    }
}

/// What is shown of attributes as values.
pub(super) fn values_view(attributes: &PathAttributes) -> Route {
    let standard = attributes.communities.iter().map(|value| community_text(*value));
    let extended = attributes.extended_communities.iter().map(extended_community_text);
    let large = attributes.large_communities.iter().map(|[a, b, c]| format!("large:{a}:{b}:{c}"));
    Route {
        protocol: Protocol::Bgp.name().into(),
        as_path: attributes.as_path.to_string(),
        origin: attributes.origin.to_string(),
        local_preference: attributes.local_pref,
        med: attributes.med,
        originator_id: attributes.originator_id.map(|router_id| router_id.to_string()).unwrap_or_default(),
        cluster_list: attributes.cluster_list.iter().map(ToString::to_string).collect(),
        communities: standard.chain(extended).chain(large).collect(),
        only_to_customer: attributes.only_to_customer,
        aggregator: attributes.aggregator.map(|(asn, router_id)| format!("{asn} {router_id}")).unwrap_or_default(),
        atomic_aggregate: attributes.atomic_aggregate,
        unknown_attributes: attributes.unknown.iter().take(UNKNOWN_SHOWN_MAX).map(unknown).collect(),
        ..Route::default()
    }
}

fn unknown(attribute: &RawAttribute) -> UnknownAttribute {
    let shown = attribute.data.iter().take(UNKNOWN_SHOWN_LEN);
    UnknownAttribute {
        r#type: attribute.code.into(),
        flags: attribute.flags.into(),
        length: attribute.data.len() as u32,
        octets: shown.map(|octet| format!("{octet:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_is_shown() {
        let raw = |code, length| RawAttribute { flags: 0xe0, code, data: vec![code; length] };
        let attributes = PathAttributes {
            atomic_aggregate: true,
            aggregator: Some((4_200_000_000, "192.0.2.1".parse().unwrap())),
            unknown: (100..140).map(|code| raw(code, usize::from(code) - 98)).collect(),
            ..PathAttributes::default()
        };
        let view = values_view(&attributes);
        assert_eq!((view.aggregator.as_str(), view.atomic_aggregate), ("4200000000 192.0.2.1", true));
        let first = UnknownAttribute { r#type: 100, flags: 0xe0, length: 2, octets: "6464".into() };
        assert_eq!((view.unknown_attributes.len(), &view.unknown_attributes[0]), (UNKNOWN_SHOWN_MAX, &first));
        let attributes = PathAttributes { unknown: vec![raw(100, 5000)], ..attributes };
        let long = &values_view(&attributes).unknown_attributes[0];
        assert_eq!((long.length, long.octets.len()), (5000, 2 * UNKNOWN_SHOWN_LEN));
    }
}
