//! `protocols bgp`: AS numbers that fit together, neighbours that stand once, policies that exist.

use std::{collections::HashMap, net::IpAddr};

use ipnet::IpNet;

use super::{at, bfd, lacks, reference};
use crate::{
    compile::{Levels, ROLES},
    error::Problem,
    tree::View,
};

mod own;
mod routes;

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    let Some(bgp) = top.at(&["protocols", "bgp"]) else { return };
    own::validate(top, bgp, problems);
    policies(top, bgp, problems);
    allowed_prefixes(bgp, problems);
    path_counts(bgp, problems);
    let local_as = top.get("routing-options").and_then(|options| options.number("autonomous-system"));
    if local_as.is_none() && bgp.has("group") {
        let remedy = "set routing-options autonomous-system AS";
        let problem = at(bgp, "BGP is configured, but this router has no AS number").allowed(remedy);
        problems.push(problem.at("routing-options autonomous-system"));
    }
    let mut seen: HashMap<IpAddr, View<'_>> = HashMap::new();
    routes::local_as(bgp, problems);
    routes::prefix_limits(bgp, problems);
    for group in bgp.all("group") {
        policies(top, group, problems);
        routes::local_as(group, problems);
        routes::prefix_limits(group, problems);
        path_counts(group, problems);
        local_address(group, problems);
        bfd::validate(group, problems);
        if !group.has("neighbor") && !group.has("allow") {
            let allowed = "neighbor ADDRESS, at least one, or allow PREFIX";
            problems.push(lacks(group, "neighbor", "the group has no neighbor").allowed(allowed));
        }
        if group.has("allow") {
            let levels = Levels { bgp, group, neighbor: group };
            as_numbers(local_as, levels, problems);
            routes::validate(local_as, levels, problems);
            role(local_as, levels, problems);
            ttl_security(levels, problems);
        }
        for neighbor in group.all("neighbor") {
            policies(top, neighbor, problems);
            routes::local_as(neighbor, problems);
            routes::prefix_limits(neighbor, problems);
            path_counts(neighbor, problems);
            local_address(neighbor, problems);
            bfd::validate(neighbor, problems);
            check(local_as, Levels { bgp, group, neighbor }, problems);
            let Ok(address) = neighbor.value().parse::<IpAddr>() else { continue };
            if let Some(first) = seen.insert(address, neighbor) {
                let message = format!("neighbor {address} is configured twice, first at {}", first.span());
                problems.push(at(neighbor, message).allowed("each neighbor in one group"));
            }
        }
    }
}

/// Each prefix in one group. And a key of a prefix is for everybody in it: the kernel drops what a neighbour with none sends.
fn allowed_prefixes(bgp: View<'_>, problems: &mut Vec<Problem>) {
    let mut seen: HashMap<IpNet, View<'_>> = HashMap::new();
    for group in bgp.all("group") {
        let has_key = group.has("authentication-key") || bgp.has("authentication-key");
        for allow in group.all("allow") {
            let Ok(prefix) = allow.value().parse::<IpNet>() else { continue };
            if matches!(prefix, IpNet::V6(v6) if v6.network().is_unicast_link_local()) {
                let message = format!("{prefix} is link-local; its neighbors need an interface each");
                problems.push(at(allow, message).allowed("a prefix of global addresses"));
            }
            if let Some(first) = seen.insert(prefix, allow) {
                let message = format!("{prefix} is allowed twice, first at {}", first.span());
                problems.push(at(allow, message).allowed("each prefix in one group"));
            }
            let covered = bgp.all("group").flat_map(|group| group.all("neighbor").map(move |n| (group, n)));
            for (group, neighbor) in covered.filter(|_| has_key) {
                let inside = neighbor.value().parse::<IpAddr>().is_ok_and(|address| prefix.contains(&address));
                let levels = Levels { bgp, group, neighbor };
                if inside && levels.nearest("authentication-key").is_none() {
                    let message = format!(
                        "neighbor {} has no authentication-key, but {prefix}, which it is in, is allowed with one (line {})",
                        neighbor.value(),
                        allow.span().line
                    );
                    problems.push(at(neighbor, message).allowed("authentication-key for it too, or another prefix"));
                }
            }
        }
    }
}

fn policies(top: View<'_>, place: View<'_>, problems: &mut Vec<Problem>) {
    for kind in ["import", "export"] {
        for policy in place.all(kind) {
            reference(top, policy, "policy-statement", policy.value(), problems);
        }
    }
}

/// RFC 7911 leaves to us how many paths are told; there is no number that suits everybody.
fn path_counts(place: View<'_>, problems: &mut Vec<Problem>) {
    for family in ["inet", "inet6"] {
        if let Some(send) = place.at(&["family", family, "unicast", "add-path", "send"])
            && !send.has("path-count")
        {
            problems
                .push(lacks(send, "path-count", "how many paths are told is not stated").allowed("path-count 2..64"));
        }
    }
}

fn local_address(place: View<'_>, problems: &mut Vec<Problem>) {
    let Some(local) = place.get("local-address") else { return };
    if local.value().parse::<IpAddr>().is_ok_and(|address| address.is_unspecified() || address.is_multicast()) {
        problems.push(at(local, format!("{} is no address of one router", local.value())).allowed("a unicast address"));
    }
}

fn check(local_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let neighbor = levels.neighbor;
    as_numbers(local_as, levels, problems);
    routes::validate(local_as, levels, problems);
    role(local_as, levels, problems);
    ttl_security(levels, problems);
    let Ok(address) = neighbor.value().parse::<IpAddr>() else { return };
    if address.is_unspecified() || address.is_multicast() || address.to_string() == "255.255.255.255" {
        problems.push(at(neighbor, format!("{address} is no address of one router")).allowed("a unicast address"));
    }
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        problems.push(at(neighbor, format!("{address} is the IPv4 address {v4}")).allowed(format!("neighbor {v4}")));
    }
    link(levels, address, problems);
    if let Some(local) = levels.nearest("local-address")
        && let Ok(own) = local.value().parse::<IpAddr>()
    {
        if own.is_ipv4() != address.is_ipv4() {
            let message = format!("local-address {own} (line {}) is not of the family of {address}", local.span().line);
            problems.push(at(neighbor, message).allowed("two addresses of one family"));
        }
        if own == address {
            problems.push(
                at(neighbor, format!("{address} is the neighbor and our own local-address")).allowed("two addresses"),
            );
        }
    }
}

/// RFC 9234 §4: one role, and between different ASes only.
fn role(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let Some(role) = levels.nearest("role") else { return };
    let names = || ROLES.map(|(name, _)| name).join(", ");
    let stated = ROLES.iter().filter(|(name, _)| role.has(name)).count();
    if stated != 1 {
        let message = format!("role names {stated} roles");
        problems.push(at(role, message).allowed(format!("one of {}", names())));
    }
    let internal = levels.is_internal(router_as);
    if internal {
        let message = format!("the internal {} has a role", levels.who());
        problems.push(at(role, message).allowed("a role towards external neighbors only (RFC 9234)"));
    }
}

/// One says how far our packets may go, the other how far theirs may have come (RFC 5082 §3 sends all with 255).
fn ttl_security(levels: Levels<'_>, problems: &mut Vec<Problem>) {
    if let (Some(security), Some(multihop)) = (levels.nearest("ttl-security"), levels.nearest("multihop")) {
        let message = format!(
            "ttl-security and multihop (line {}) rule each other out for {}",
            multihop.span().line,
            levels.who()
        );
        problems
            .push(at(security, message).allowed("ttl-security { hops N; } for a neighbor N hops away, or multihop"));
    }
}

/// A link-local address means nothing without its link, and its link means nothing to any other (RFC 4007 §6).
fn link(levels: Levels<'_>, address: IpAddr, problems: &mut Vec<Problem>) {
    let neighbor = levels.neighbor;
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    match neighbor.get("interface") {
        None if link_local => {
            let message = format!("{address} is link-local, which needs an interface");
            problems.push(at(neighbor, message).allowed("interface NAME"));
        }
        Some(interface) if !link_local => {
            let message = format!("{address} is not link-local, so its interface is found by its address");
            problems.push(at(interface, message).allowed("interface with a link-local address (fe80::/10)"));
        }
        _ => {}
    }
    if let Some(multihop) = levels.nearest("multihop").filter(|_| link_local) {
        let message = format!("multihop, but neighbor {address} is link-local: no router passes its packets on");
        problems.push(at(multihop, message).allowed("multihop with neighbors of global addresses"));
    }
}

fn as_numbers(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let neighbor = levels.neighbor;
    let local_as = levels.number("local-as").or(router_as);
    let peer_as = levels.number("peer-as");
    let kind = levels.group.text("type");
    let place = levels.nearest("peer-as").unwrap_or(neighbor);
    match (kind, peer_as, local_as) {
        (Some("internal"), Some(peer), Some(local)) if peer != local => {
            let message = format!("peer-as {peer} in an internal group, but the local AS is {local}");
            problems.push(at(place, message).allowed(format!("peer-as {local}, or type external")));
        }
        (Some("external"), Some(peer), Some(local)) if peer == local => {
            let message = format!("peer-as {peer} in an external group is the local AS");
            problems.push(at(place, message).allowed("another AS, or type internal"));
        }
        (Some("internal"), ..) | (_, Some(_), _) => {}
        (_, None, _) => {
            let who = if neighbor.name() == "group" { "group" } else { "external neighbor" };
            let message = format!("the {who} {} has no peer-as", neighbor.value());
            let allowed = format!("peer-as AS here or in group {}, or type internal", levels.group.value());
            problems.push(at(neighbor, message).allowed(allowed));
        }
    }
}
