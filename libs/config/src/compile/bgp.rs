//! `protocols bgp`: every neighbour with what it inherits. The nearest statement wins; a list of policies or families
//! replaces the list of the level above, as in Junos.

mod as_path;
mod limits;

use std::net::Ipv4Addr;

use holdfast_proto::v1;

use super::bfd::liveness;
use crate::tree::View;
use as_path::AsPathRules;

/// Junos' default; RFC 4271 §10 suggests 90 as well.
const HOLD_TIME_DEFAULT_S: u32 = 90;
/// Junos' default of restart-time.
pub(super) const RESTART_TIME_DEFAULT_S: u32 = 120;
/// Junos' default of stale-routes-time.
const STALE_ROUTES_TIME_DEFAULT_S: u32 = 300;
/// TTL of a session that need not be directly connected: multihop without a TTL, and internal neighbours.
const MULTIHOP_TTL_DEFAULT: u32 = 64;
const BGP_PORT: u32 = 179;
/// Neighbours accepted from one prefix: an exchange's worth of hosts, far from what this version handles.
const ALLOWED_DEFAULT: u32 = 100;

/// The three places a neighbour's settings come from.
#[derive(Clone, Copy)]
pub(crate) struct Levels<'c> {
    pub bgp: View<'c>,
    pub group: View<'c>,
    pub neighbor: View<'c>,
}

impl<'c> Levels<'c> {
    fn nearest_first(self) -> [View<'c>; 3] {
        [self.neighbor, self.group, self.bgp]
    }

    /// The statement that is in force for this neighbour.
    pub(crate) fn nearest(self, name: &str) -> Option<View<'c>> {
        self.nearest_first().into_iter().find_map(|level| level.get(name))
    }

    pub(crate) fn number(self, name: &str) -> Option<u32> {
        self.nearest(name).and_then(|view| view.value().parse().ok())
    }

    fn text(self, name: &str) -> String {
        self.nearest(name).map_or_else(String::new, |view| view.value().to_owned())
    }

    /// Whether the neighbour is of our own AS: as the group says, else as the AS numbers do.
    pub(crate) fn is_internal(self, router_as: Option<u32>) -> bool {
        let local_as = self.number("local-as").or(router_as).unwrap_or(0);
        let peer_as = self.number("peer-as").unwrap_or(local_as);
        self.group.text("type").map_or(peer_as == local_as, |kind| kind == "internal")
    }

    /// `neighbor ADDRESS`; of those who need not be configured `group NAME`.
    pub(crate) fn who(self) -> String {
        format!("{} {}", self.neighbor.name(), self.neighbor.value())
    }

    fn list(self, name: &'c str) -> Vec<String> {
        let level = self.nearest_first().into_iter().find(|level| level.has(name));
        level.map_or_else(Vec::new, |level| level.strings(name))
    }
}

/// Whether a `graceful-restart` statement asks for the capability to be announced.
pub(super) fn announces(graceful_restart: View<'_>) -> bool {
    !graceful_restart.has("disable")
}

pub(super) fn bgp(top: View<'_>) -> v1::BgpConfig {
    let Some(bgp) = top.at(&["protocols", "bgp"]) else {
        return v1::BgpConfig { listen_port: BGP_PORT, ..Default::default() };
    };
    let options = top.get("routing-options");
    let neighbors: Vec<_> = bgp
        .all("group")
        .flat_map(|group| group.all("neighbor").map(move |neighbor| Levels { bgp, group, neighbor }))
        .map(|levels| neighbor(options, levels))
        .collect();
    let path_selection = bgp.get("path-selection").map(|how| v1::PathSelection {
        always_compare_med: how.has("always-compare-med"),
        cisco_non_deterministic: how.has("cisco-non-deterministic"),
        med_plus_igp: how.has("med-plus-igp"),
    });
    let allowed: Vec<_> =
        bgp.all("group").flat_map(|group| group.all("allow").map(move |allow| (group, allow))).collect();
    let allowed: Vec<_> = allowed.into_iter().map(|(group, allow)| allowed_from(options, bgp, group, allow)).collect();
    let enabled = !neighbors.is_empty() || !allowed.is_empty();
    v1::BgpConfig { enabled, neighbors, listen_port: BGP_PORT, path_selection, allowed }
}

/// Neighbours that are not configured have what their group has, and connect to us.
fn allowed_from(options: Option<View<'_>>, bgp: View<'_>, group: View<'_>, allow: View<'_>) -> v1::BgpAllowed {
    let levels = Levels { bgp, group, neighbor: group };
    v1::BgpAllowed {
        prefix: allow.value().to_owned(),
        limit: allow.number("limit").unwrap_or(ALLOWED_DEFAULT),
        template: Some(v1::BgpNeighborConfig { address: String::new(), passive: true, ..neighbor(options, levels) }),
    }
}

fn neighbor(options: Option<View<'_>>, levels: Levels<'_>) -> v1::BgpNeighborConfig {
    let router_as = options.and_then(|options| options.number("autonomous-system"));
    let local_as = levels.number("local-as").or(router_as).unwrap_or(0);
    let peer_as = levels.number("peer-as").unwrap_or(local_as);
    let internal = levels.is_internal(router_as);
    let restart = restart(options, levels);
    let as_path = AsPathRules::of(router_as, levels, internal);
    v1::BgpNeighborConfig {
        address: levels.neighbor.value().to_owned(),
        group: levels.group.value().to_owned(),
        description: levels.text("description"),
        internal,
        peer_as,
        local_as,
        local_address: levels.text("local-address"),
        hold_time_s: levels.number("hold-time").unwrap_or(HOLD_TIME_DEFAULT_S),
        passive: levels.nearest("passive").is_some(),
        multihop_ttl: multihop_ttl(levels, internal),
        families: families(levels),
        not_installed: not_installed(levels),
        extended_nexthop: extended_nexthop(levels),
        role: role(levels).into(),
        long_lived: restart.long_lived.is_some(),
        long_lived_inet_s: restart.long_lived_s("inet-stale-time"),
        long_lived_inet6_s: restart.long_lived_s("inet6-stale-time"),
        long_lived_partial: restart.long_lived.is_some_and(|stated| stated.has("partial")),
        role_strict: levels.nearest("role").is_some_and(|role| role.has("strict")),
        add_path: add_path(levels),
        import_policies: levels.list("import"),
        export_policies: levels.list("export"),
        graceful_restart: restart.announced,
        graceful_restart_helper: restart.helper,
        restart_time_s: restart.restart_time_s,
        stale_routes_time_s: restart.stale_routes_time_s,
        multipath: levels.nearest("multipath").is_some(),
        multipath_rules: levels.nearest("multipath").map(|multipath| v1::bgp_neighbor_config::Multipath {
            multiple_as: multipath.has("multiple-as"),
            maximum_paths: multipath.number("maximum-paths").unwrap_or(0),
        }),
        port: BGP_PORT,
        interface: levels.neighbor.text("interface").unwrap_or_default().to_owned(),
        authentication_key: levels.text("authentication-key"),
        disable: levels.nearest("shutdown").is_some(),
        shutdown_message: levels
            .nearest("shutdown")
            .and_then(|s| s.text("notify-message"))
            .unwrap_or_default()
            .to_owned(),
        ttl_security_hops: ttl_security_hops(levels),
        nonstop_routing: options.is_some_and(|options| options.has("nonstop-routing"))
            && levels.nearest("no-nonstop-routing").is_none(),
        cluster: cluster(levels).filter(|_| internal).map_or(0, Into::into),
        no_client_reflect: levels.nearest("no-client-reflect").is_some(),
        shown_as: as_path.shown_behind,
        received_behind_as: as_path.received_behind,
        own_as_loops: levels.number("loops").unwrap_or(0),
        no_enforce_first_as: levels.nearest("no-enforce-first-as").is_some(),
        accept_remote_nexthop: levels.nearest("accept-remote-nexthop").is_some(),
        remove_private: as_path.remove_private.into(),
        replace_private: as_path.replace_private,
        as_override: levels.nearest("as-override").is_some(),
        well_known: Some(well_known(levels)),
        route_server_client: !internal && levels.nearest("route-server-client").is_some(),
        prefix_limits: limits::prefix_limits(levels),
        advertise_inactive: levels.nearest("advertise-inactive").is_some(),
        out_delay_s: levels.number("out-delay").unwrap_or(0),
        bfd: levels.nearest("bfd-liveness-detection").map(|stated| liveness(stated, is_far(levels, internal))),
    }
}

/// Of external neighbours it means nothing: a statement of the whole protocol reaches them, too.
fn cluster(levels: Levels<'_>) -> Option<Ipv4Addr> {
    levels.nearest("cluster").and_then(|cluster| cluster.value().parse().ok())
}

/// Receiving is on as in Junos: the community is only set on purpose.
fn well_known(levels: Levels<'_>) -> v1::bgp_neighbor_config::WellKnown {
    let shutdown = |name: &str| {
        let levels = levels.nearest_first().into_iter();
        levels.filter_map(|level| level.at(&["graceful-shutdown", name])).next()
    };
    let receiver = shutdown("receiver");
    let preference = receiver.and_then(|receiver| receiver.number("local-preference")).unwrap_or(0);
    v1::bgp_neighbor_config::WellKnown {
        shutting_down: shutdown("sender").is_some(),
        preference_at_shutdown: receiver.is_none_or(|receiver| !receiver.has("disable")).then_some(preference),
        blackhole: levels.nearest("blackhole").is_some(),
    }
}

fn multihop_ttl(levels: Levels<'_>, internal: bool) -> u32 {
    match levels.nearest("multihop") {
        Some(multihop) => multihop.number("ttl").unwrap_or(MULTIHOP_TTL_DEFAULT),
        None if internal => MULTIHOP_TTL_DEFAULT,
        None => 0,
    }
}

/// Directly connected unless stated (RFC 5082 §3).
fn ttl_security_hops(levels: Levels<'_>) -> u32 {
    levels.nearest("ttl-security").map_or(0, |security| security.number("hops").unwrap_or(1))
}

/// Whether routers may lie between us and the neighbour, as far as the statements say.
fn is_far(levels: Levels<'_>, internal: bool) -> bool {
    multihop_ttl(levels, internal) > 0 || ttl_security_hops(levels) > 1
}

/// Families by the names of their statements.
const UNICAST: [(&str, v1::AddressFamily); 2] =
    [("inet", v1::AddressFamily::Ipv4Unicast), ("inet6", v1::AddressFamily::Ipv6Unicast)];

/// Families of one level under whose `unicast` something is so.
fn unicast_families(level: View<'_>, is_so: impl Fn(View<'_>) -> bool) -> Vec<i32> {
    let those = UNICAST.into_iter().filter(|(name, _)| level.at(&["family", name, "unicast"]).is_some_and(&is_so));
    those.map(|(_, family)| family.into()).collect()
}

fn families(levels: Levels<'_>) -> Vec<i32> {
    let nearest = levels.nearest_first().into_iter().map(|level| unicast_families(level, |_| true));
    let stated = nearest.into_iter().find(|families| !families.is_empty());
    stated.unwrap_or_else(|| vec![v1::AddressFamily::Ipv4Unicast.into()])
}

/// The level that states the families: these replace those of the level above, with all that is said of them.
fn states_families(levels: Levels<'_>) -> Option<View<'_>> {
    levels.nearest_first().into_iter().find(|level| !unicast_families(*level, |_| true).is_empty())
}

fn not_installed(levels: Levels<'_>) -> Vec<i32> {
    let nearest = states_families(levels);
    nearest.map_or_else(Vec::new, |level| unicast_families(level, |unicast| unicast.has("no-install")))
}

fn add_path(levels: Levels<'_>) -> Vec<v1::BgpAddPath> {
    let entry = |(name, family): (&str, v1::AddressFamily)| {
        let add_path = states_families(levels)?.at(&["family", name, "unicast", "add-path"])?;
        let send_path_count = add_path.get("send").and_then(|send| send.number("path-count")).unwrap_or(0);
        Some(v1::BgpAddPath { family: family.into(), receive: add_path.has("receive"), send_path_count })
    };
    UNICAST.into_iter().filter_map(entry).collect()
}

fn extended_nexthop(levels: Levels<'_>) -> bool {
    let unicast = states_families(levels).and_then(|level| level.at(&["family", "inet", "unicast"]));
    unicast.is_some_and(|unicast| unicast.has("extended-nexthop"))
}

/// Roles by their statements.
pub(crate) const ROLES: [(&str, v1::BgpRole); 5] = [
    ("provider", v1::BgpRole::Provider),
    ("customer", v1::BgpRole::Customer),
    ("peer", v1::BgpRole::Peer),
    ("rs", v1::BgpRole::RouteServer),
    ("rs-client", v1::BgpRole::RouteServerClient),
];

fn role(levels: Levels<'_>) -> v1::BgpRole {
    let stated = levels.nearest("role").and_then(|role| ROLES.into_iter().find(|(name, _)| role.has(name)));
    stated.map_or(v1::BgpRole::Unspecified, |(_, role)| role)
}

struct Restart<'c> {
    announced: bool,
    helper: bool,
    restart_time_s: u32,
    stale_routes_time_s: u32,
    /// The nearest `long-lived`, where graceful restart is not disabled.
    long_lived: Option<View<'c>>,
}

impl Restart<'_> {
    /// Long-lived stale time of a family.
    fn long_lived_s(&self, name: &str) -> u32 {
        let stated = self.long_lived.and_then(|stated| stated.number(name).or_else(|| stated.number("stale-time")));
        stated.unwrap_or(0)
    }
}

fn restart<'c>(options: Option<View<'c>>, levels: Levels<'c>) -> Restart<'c> {
    let router = options.and_then(|options| options.get("graceful-restart"));
    let nearest = levels.nearest("graceful-restart").or(router);
    let stated = || levels.nearest_first().into_iter().filter_map(|level| level.get("graceful-restart"));
    let number = |name: &str| stated().find_map(|restart| restart.number(name));
    let long_lived = stated().find_map(|restart| restart.get("long-lived"));
    let router_time = router.and_then(|restart| restart.number("restart-duration"));
    Restart {
        announced: nearest.is_some_and(announces),
        // Helping costs nothing, so it needs no statement; only `disable` ends it.
        helper: nearest.is_none_or(announces),
        long_lived: long_lived.filter(|_| nearest.is_none_or(announces)),
        restart_time_s: number("restart-time").or(router_time).unwrap_or(RESTART_TIME_DEFAULT_S),
        stale_routes_time_s: number("stale-routes-time").unwrap_or(STALE_ROUTES_TIME_DEFAULT_S),
    }
}
