//! `routing-options`: static routes have one kind of next hop, of their own family, and stand once.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::{at, bfd, reference};
use crate::{error::Problem, tree::View, types};

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    let Some(options) = top.get("routing-options") else { return };
    if options.text("router-id") == Some("0.0.0.0")
        && let Some(router_id) = options.get("router-id")
    {
        problems
            .push(at(router_id, "0.0.0.0 is no identifier (RFC 6286 section 2.1)").allowed("any other IPv4 address"));
    }
    let mut seen: HashMap<&str, View<'_>> = HashMap::new();
    let mut aggregates: HashMap<&str, View<'_>> = HashMap::new();
    let tables = std::iter::once((None, options)).chain(options.all("rib").map(|rib| (Some(rib.value()), rib)));
    for (table, place) in tables {
        for kind in ["aggregate", "generate"] {
            for route in place.get(kind).into_iter().flat_map(|routes| routes.all("route")) {
                aggregate(top, table, route, problems);
                if let Some(first) = aggregates.insert(route.value(), route) {
                    let message = format!("aggregate {} is stated twice, first at {}", route.value(), first.span());
                    problems.push(at(route, message).allowed("one of aggregate and generate for each prefix"));
                }
            }
        }
        for route in place.get("static").into_iter().flat_map(|routes| routes.all("route")) {
            check(table, route, problems);
            if let Some(first) = seen.insert(route.value(), route) {
                let message = format!("route {} is stated twice, first at {}", route.value(), first.span());
                problems.push(at(route, message).allowed("one statement for each prefix"));
            }
        }
    }
}

/// All static routes, of whatever table.
pub(super) fn static_routes(top: View<'_>) -> impl Iterator<Item = View<'_>> {
    let tables =
        top.get("routing-options").into_iter().flat_map(|options| std::iter::once(options).chain(options.all("rib")));
    tables.filter_map(|table| table.get("static")).flat_map(|routes| routes.all("route"))
}

fn aggregate(top: View<'_>, table: Option<&str>, route: View<'_>, problems: &mut Vec<Problem>) {
    belongs(table, route, problems);
    for policy in route.all("policy") {
        reference(top, policy, "policy-statement", policy.value(), problems);
    }
}

/// Whether the destination is of the table's family.
fn belongs(table: Option<&str>, route: View<'_>, problems: &mut Vec<Problem>) {
    let Ok(prefix) = route.value().parse::<IpNet>() else { return };
    let wanted = if prefix.addr().is_ipv4() { "inet.0" } else { "inet6.0" };
    if table.is_some_and(|table| table != wanted) {
        let message = format!("{prefix} does not belong into {}", table.unwrap_or_default());
        problems.push(at(route, message).allowed(format!("rib {wanted}")));
    }
}

fn check(table: Option<&str>, route: View<'_>, problems: &mut Vec<Problem>) {
    bfd::validate(route, problems);
    if let Some(stated) = route.get("bfd-liveness-detection").filter(|_| !route.has("next-hop")) {
        let message = format!("the route {} has no next hop whose loss could be noticed", route.value());
        problems.push(at(stated, message).allowed("bfd-liveness-detection of a route with next-hop"));
    }
    let Ok(prefix) = route.value().parse::<IpNet>() else { return };
    let ipv4 = prefix.addr().is_ipv4();
    belongs(table, route, problems);
    for next_hop in route.all("next-hop") {
        if next_hop.value().parse().is_ok_and(|address: IpAddr| !types::leads_somewhere(address)) {
            let message = format!("{} is no address of one router", next_hop.value());
            problems.push(at(next_hop, message).allowed("a unicast address; discard and reject drop packets"));
        }
        if next_hop.value().parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() != ipv4) {
            let message = format!("the next hop {} is not of the family of {prefix}", next_hop.value());
            problems.push(at(next_hop, message).allowed(if ipv4 { "an IPv4 address" } else { "an IPv6 address" }));
        }
    }
    let kinds: Vec<&str> = ["next-hop", "discard", "reject"].into_iter().filter(|kind| route.has(kind)).collect();
    let message = match kinds.len() {
        0 => "the route leads nowhere".to_owned(),
        1 => return,
        _ => format!("{} rule each other out", kinds.join(" and ")),
    };
    problems.push(at(route, message).allowed("one of next-hop, discard, reject"));
}
