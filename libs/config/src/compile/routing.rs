//! `routing-options`.

use holdfast_proto::v1::{self, aggregate_route, static_route::Kind};

use super::bfd::liveness;
use super::bgp::{RESTART_TIME_DEFAULT_S, announces};
use crate::tree::View;

/// Junos' preference of static routes: they win over every protocol but direct.
const STATIC_PREFERENCE_DEFAULT: u32 = 5;
/// Junos' preference of aggregates.
const AGGREGATE_PREFERENCE_DEFAULT: u32 = 130;

pub(super) fn routing(top: View<'_>) -> v1::RoutingConfig {
    let Some(options) = top.get("routing-options") else {
        return v1::RoutingConfig {
            restart_duration_s: RESTART_TIME_DEFAULT_S,
            maximum_paths: 1,
            ..Default::default()
        };
    };
    let restart = options.get("graceful-restart");
    let tables = || std::iter::once(options).chain(options.all("rib"));
    v1::RoutingConfig {
        router_id: options.text("router-id").unwrap_or_default().to_owned(),
        autonomous_system: options.number("autonomous-system").unwrap_or(0),
        nonstop_routing: options.has("nonstop-routing"),
        graceful_restart: restart.is_some_and(announces),
        restart_duration_s: restart
            .and_then(|restart| restart.number("restart-duration"))
            .unwrap_or(RESTART_TIME_DEFAULT_S),
        maximum_paths: options.number("maximum-paths").unwrap_or(1),
        aggregates: tables().flat_map(aggregates).collect(),
        static_routes: tables()
            .filter_map(|table| table.get("static"))
            .flat_map(|routes| routes.all("route"))
            .map(static_route)
            .collect(),
    }
}

fn aggregates(table: View<'_>) -> Vec<v1::AggregateRoute> {
    let of = |kind: &'static str| table.get(kind).into_iter().flat_map(|routes| routes.all("route"));
    let aggregate = |route: View<'_>, kind: aggregate_route::Kind| v1::AggregateRoute {
        prefix: route.value().to_owned(),
        kind: kind.into(),
        policies: route.strings("policy"),
        as_set: route.has("as-set"),
        preference: route.number("preference").unwrap_or(AGGREGATE_PREFERENCE_DEFAULT),
    };
    let dropping = |route: &View<'_>| {
        if route.has("discard") { aggregate_route::Kind::Discard } else { aggregate_route::Kind::Reject }
    };
    let aggregates = of("aggregate").map(|route| aggregate(route, dropping(&route)));
    aggregates.chain(of("generate").map(|route| aggregate(route, aggregate_route::Kind::Generate))).collect()
}

fn static_route(route: View<'_>) -> v1::StaticRoute {
    let kind = match () {
        () if route.has("discard") => Kind::Discard,
        () if route.has("reject") => Kind::Reject,
        () => Kind::NextHop,
    };
    v1::StaticRoute {
        prefix: route.value().to_owned(),
        kind: kind.into(),
        next_hops: route.strings("next-hop"),
        preference: route.number("preference").unwrap_or(STATIC_PREFERENCE_DEFAULT),
        tag: route.number("tag").unwrap_or(0),
        bfd: route.get("bfd-liveness-detection").map(|stated| liveness(stated, false)),
    }
}
