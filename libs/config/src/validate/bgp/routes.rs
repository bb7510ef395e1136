//! What becomes of routes: statements that belong to one kind of neighbour, or together.

use crate::{
    compile::Levels,
    error::Problem,
    tree::View,
    validate::{at, lacks},
};

pub(super) fn validate(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let internal = levels.is_internal(router_as);
    reflection(internal, levels, problems);
    if internal {
        external_only(levels, problems);
    } else {
        unchanged_paths(router_as, levels, problems);
    }
}

/// RFC 7947 §2.2.2: a route server changes no AS path on its way to a client, whatever else is stated.
fn unchanged_paths(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let Some(client) = levels.nearest("route-server-client") else { return };
    let line = client.span().line;
    let unchanged =
        format!("{} is a route-server-client (line {line}), whose AS paths nobody changes (RFC 7947)", levels.who());
    for name in ["remove-private", "as-override"] {
        // What the whole protocol states reaches it without meaning it.
        let stated = [levels.neighbor, levels.group].into_iter().find_map(|level| level.get(name));
        if let Some(stated) = stated {
            problems.push(
                at(stated, format!("{name}, but {unchanged}")).allowed(format!("one of route-server-client, {name}")),
            );
        }
    }
    let is_other = |local: &View<'_>| local.value().parse().ok() != router_as;
    if let Some(local) = levels.nearest("local-as").filter(is_other)
        && !local.has("no-prepend")
        && !local.has("private")
    {
        let message = format!("local-as {} is put before AS paths received, but {unchanged}", local.value());
        problems.push(at(local, message).allowed(format!("local-as {} no-prepend", local.value())));
    }
}

/// One AS number at each level.
pub(super) fn local_as(place: View<'_>, problems: &mut Vec<Problem>) {
    let mut stated = place.all("local-as");
    if let (Some(first), Some(second)) = (stated.next(), stated.next()) {
        let message = format!("local-as {} beside local-as {}", second.value(), first.value());
        problems.push(at(second, message).allowed("one local-as: delete the other"));
    }
}

/// Within the AS no AS path is changed, any next hop may be named, and route servers serve others.
fn external_only(levels: Levels<'_>, problems: &mut Vec<Problem>) {
    for name in ["remove-private", "as-override", "no-enforce-first-as", "accept-remote-nexthop", "route-server-client"]
    {
        let stated = [levels.neighbor, levels.group].into_iter().find_map(|level| level.get(name));
        if let Some(stated) = stated {
            let message = format!("{name} for the internal {} does nothing", levels.who());
            problems.push(at(stated, message).allowed(format!("{name} in groups of type external")));
        }
    }
}

/// RFC 4456: clusters are within an AS.
fn reflection(internal: bool, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let Some(cluster) = levels.nearest("cluster") else { return };
    if cluster.value() == "0.0.0.0" {
        problems.push(at(cluster, "0.0.0.0 is no cluster identifier").allowed("any other four octets, as an address"));
    }
    // What the whole protocol states reaches external neighbours without meaning them.
    let stated = [levels.neighbor, levels.group].into_iter().find_map(|level| level.get("cluster"));
    if let Some(stated) = stated.filter(|_| !internal) {
        let message = format!("{} is an external neighbor, only internal ones are clients", levels.neighbor.value());
        problems.push(at(stated, message).allowed("cluster in groups of type internal"));
    }
}

/// A limit has a number, and does one thing with what exceeds it.
pub(super) fn prefix_limits(place: View<'_>, problems: &mut Vec<Problem>) {
    let unicast = |family| place.at(&["family", family, "unicast"]);
    for unicast in ["inet", "inet6"].into_iter().filter_map(unicast) {
        let limits = ["prefix-limit", "accepted-prefix-limit"].into_iter().filter_map(|name| unicast.get(name));
        for limit in limits {
            if !limit.has("maximum") {
                problems.push(lacks(limit, "maximum", "the limit has no maximum").allowed("maximum N"));
            }
            if let Some(drop) = limit.get("drop-excess").filter(|_| limit.has("teardown")) {
                let message = "teardown and drop-excess rule each other out";
                problems.push(at(drop, message).allowed("one of teardown, drop-excess"));
            }
        }
    }
}
