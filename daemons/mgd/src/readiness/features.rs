//! Each configured feature, and what becomes of it in a run: kept, paused, restarted or lost.

use holdfast_proto::{
    check::Rule,
    v1::{BgpNeighborConfig, BgpRole, Check, FeatureForecast, NeighborForecast, RouterConfig, SwitchoverMode},
};

use super::observed::Observed;

/// Nothing is noticed from outside.
pub const KEPT: &str = "kept";
/// It waits for a while and goes on.
pub const PAUSED: &str = "paused";
/// It ends and comes back by itself, announced.
pub const RESTARTED: &str = "restarted";
/// It ends.
pub const LOST: &str = "lost";

/// The list, in the order of the configuration.
pub fn forecast(observed: &Observed, neighbors: &[NeighborForecast]) -> Vec<FeatureForecast> {
    let Some(config) = &observed.config else { return Vec::new() };
    let forecast = observed.inspection.as_ref().ok().and_then(|inspection| inspection.forecast.clone());
    let forecast = forecast.unwrap_or_default();
    let mut features = local(config);
    features.extend(agreed(config));
    features.extend(groups(observed, config, neighbors, forecast.control_plane_gap_ms));
    features.push(feature(
        "configuration commits",
        PAUSED,
        format!("refused during the run, some {:.1} s", forecast.duration_ms as f64 / 1000.0),
    ));
    features.push(feature("management sessions", KEPT, "the shell connects anew and goes on".to_owned()));
    features
}

fn feature(name: impl Into<String>, fate: &str, detail: String) -> FeatureForecast {
    FeatureForecast { feature: name.into(), fate: fate.to_owned(), detail }
}

/// What lives in the kernel or is derived by both engines alike.
fn local(config: &RouterConfig) -> Vec<FeatureForecast> {
    let mut features = Vec::new();
    let mut kept = |when: bool, name: &str, detail: String| {
        if when {
            features.push(feature(name, KEPT, detail));
        }
    };
    let system = config.system.clone().unwrap_or_default();
    let chassis = config.chassis.unwrap_or_default();
    let routing = config.routing.clone().unwrap_or_default();
    let policy = config.policy.clone().unwrap_or_default();
    kept(!system.host_name.is_empty(), "system host-name", system.host_name.clone());
    kept(chassis.graceful_switchover, "chassis redundancy graceful-switchover", "the new engine has it too".into());
    let interfaces = config.interfaces.len();
    kept(interfaces > 0, "interfaces", format!("{interfaces} configured: links and addresses stay in the kernel"));
    kept(routing.nonstop_routing, "routing-options nonstop-routing", "facts are replicated before they count".into());
    kept(routing.graceful_restart, "routing-options graceful-restart", "announced as before".into());
    kept(routing.maximum_paths > 1, "routing-options maximum-paths", "nexthop objects stay in the kernel".into());
    let statics = routing.static_routes.len();
    kept(statics > 0, "routing-options static", format!("{statics} routes stay in the kernel"));
    let watched = routing.static_routes.iter().filter(|route| route.bfd.is_some()).count();
    let bfd = "ppmd has the sessions, which the run does not touch";
    kept(watched > 0, "routing-options static bfd-liveness-detection", format!("{watched} routes: {bfd}"));
    let statements = policy.statements.len();
    kept(statements > 0, "policy-options", format!("{statements} policies: results are compared by digest"));
    features
}

/// What BGP's neighbours agree on beyond sessions and routes: those that are configured, and those of allowed prefixes.
fn agreed(config: &RouterConfig) -> Vec<FeatureForecast> {
    let bgp = config.bgp.clone().unwrap_or_default();
    let count = |has: fn(&BgpNeighborConfig) -> bool| {
        let templates = bgp.allowed.iter().filter_map(|allowed| allowed.template.as_ref());
        (bgp.neighbors.iter().filter(|neighbor| has(neighbor)).count(), templates.filter(|one| has(one)).count())
    };
    let kept = |(neighbors, prefixes): (usize, usize), name: &str, why: &str| {
        let who = match (neighbors, prefixes) {
            (0, 0) => return None,
            (_, 0) => format!("{neighbors} neighbors"),
            (0, _) => format!("{prefixes} allowed prefixes"),
            _ => format!("{neighbors} neighbors, {prefixes} allowed prefixes"),
        };
        Some(feature(name, KEPT, format!("{who}: {why}")))
    };
    let by_ipv6 = count(|neighbor| neighbor.extended_nexthop);
    let roles = count(|neighbor| neighbor.role() != BgpRole::Unspecified);
    let long_lived = count(|neighbor| neighbor.long_lived);
    let watched = count(|neighbor| neighbor.bfd.is_some());
    let features = [
        kept(watched, "protocols bgp bfd-liveness-detection", "ppmd has the sessions, which the run does not touch"),
        kept(by_ipv6, "protocols bgp family inet unicast extended-nexthop", "nexthop objects stay in the kernel"),
        kept(roles, "protocols bgp role", "OPENs are facts, and so are routes with their marks"),
        kept(long_lived, "protocols bgp graceful-restart long-lived", "until when stale routes wait is a fact"),
    ];
    features.into_iter().flatten().collect()
}

/// BGP by group: as good as the worst of its sessions.
fn groups(
    observed: &Observed,
    config: &RouterConfig,
    neighbors: &[NeighborForecast],
    gap_ms: f64,
) -> Vec<FeatureForecast> {
    let bgp = config.bgp.clone().unwrap_or_default();
    let configured = bgp.neighbors.iter().map(|neighbor| (neighbor.group.as_str(), neighbor.address.as_str()));
    let allowed = bgp.allowed.iter().filter_map(|allowed| Some(allowed.template.as_ref()?.group.as_str()));
    let mut names: Vec<&str> = configured.clone().map(|(group, _)| group).chain(allowed).collect();
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    // Who is not configured itself is known from its session.
    let come: Vec<_> = observed.neighbors.iter().flatten().filter_map(|detail| detail.summary.as_ref()).collect();
    let come = come.iter().filter(|summary| !summary.allowed_by.is_empty());
    let all: Vec<_> =
        configured.chain(come.map(|summary| (summary.group.as_str(), summary.address.as_str()))).collect();
    let one = |name: &str| {
        let members = || {
            let of_group = all.iter().filter(|(group, _)| *group == name);
            of_group.filter_map(|(_, address)| neighbors.iter().find(|n| n.neighbor == *address))
        };
        let count = |mode: SwitchoverMode| members().filter(|member| member.mode() == mode).count();
        let (nsr, gr, lost) = (count(SwitchoverMode::Nsr), count(SwitchoverMode::Gr), count(SwitchoverMode::Lost));
        let down = count(SwitchoverMode::Down);
        let fate = match (lost, gr) {
            (1.., _) => LOST,
            (0, 1..) => RESTARTED,
            (0, 0) => KEPT,
        };
        let mut parts = vec![format!("sessions: {nsr} by NSR")];
        parts.extend((gr > 0).then(|| format!("{gr} by GR")));
        parts.extend((lost > 0).then(|| format!("{lost} lost")));
        parts.extend((down > 0).then(|| format!("{down} not established")));
        parts.push(format!("updates wait some {gap_ms:.0} ms"));
        feature(format!("protocols bgp group {name}"), fate, parts.join(", "))
    };
    names.into_iter().map(one).collect()
}

/// A feature that a run would end or restart is asked about.
pub fn checks(features: &[FeatureForecast]) -> Vec<Check> {
    let harmed = features.iter().filter(|feature| [RESTARTED, LOST].contains(&feature.fate.as_str()));
    let harmed: Vec<String> = harmed.map(|feature| format!("{} {}", feature.feature, feature.fate)).collect();
    let count = |fate: &str| features.iter().filter(|feature| feature.fate == fate).count();
    let observed = match harmed.as_slice() {
        [] => Ok(format!("{} kept, {} paused", count(KEPT), count(PAUSED))),
        _ => Err(harmed.join("; ")),
    };
    let rule = Rule::asks("features", "Features kept", "no configured feature is restarted or lost");
    vec![rule.remedy("show chassis in-service-upgrade readiness says why of each neighbor").observe(observed)]
}
