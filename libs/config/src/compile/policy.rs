//! `policy-options`. What a policy says outside of its terms becomes its last term, without a name.

use holdfast_proto::v1::{
    self, community_action::Kind as CommunityKind, policy_actions::Disposition, route_filter::Kind as FilterKind,
};

use crate::tree::View;

pub(super) fn policy(top: View<'_>) -> v1::PolicyOptions {
    let Some(options) = top.get("policy-options") else { return v1::PolicyOptions::default() };
    let prefix_list =
        |list: View<'_>| v1::PrefixList { name: list.value().to_owned(), prefixes: list.strings("prefix") };
    let community =
        |list: View<'_>| v1::CommunityList { name: list.value().to_owned(), members: list.strings("members") };
    v1::PolicyOptions {
        prefix_lists: options.all("prefix-list").map(prefix_list).collect(),
        communities: options.all("community").map(community).collect(),
        statements: options.all("policy-statement").map(statement).collect(),
    }
}

fn statement(policy: View<'_>) -> v1::PolicyStatement {
    let mut terms: Vec<_> = policy.all("term").map(|part| term(part, part.value())).collect();
    if policy.has("from") || policy.has("then") {
        terms.push(term(policy, ""));
    }
    v1::PolicyStatement { name: policy.value().to_owned(), terms }
}

fn term(place: View<'_>, name: &str) -> v1::PolicyTerm {
    v1::PolicyTerm {
        name: name.to_owned(),
        r#match: Some(place.get("from").map(conditions).unwrap_or_default()),
        actions: Some(place.get("then").map(actions).unwrap_or_default()),
    }
}

fn conditions(from: View<'_>) -> v1::PolicyMatch {
    let family = match from.text("family") {
        Some("inet") => v1::AddressFamily::Ipv4Unicast,
        Some("inet6") => v1::AddressFamily::Ipv6Unicast,
        _ => v1::AddressFamily::Unspecified,
    };
    v1::PolicyMatch {
        protocols: from.strings("protocol"),
        prefix_lists: from.strings("prefix-list"),
        route_filters: from.all("route-filter").map(route_filter).collect(),
        communities: from.strings("community"),
        neighbors: from.strings("neighbor"),
        family: family.into(),
    }
}

fn route_filter(filter: View<'_>) -> v1::RouteFilter {
    let upto = filter.nth(1).strip_prefix("upto /").and_then(|length| length.parse().ok());
    let kind = match filter.nth(1) {
        "exact" => FilterKind::Exact,
        "orlonger" => FilterKind::Orlonger,
        "longer" => FilterKind::Longer,
        _ => FilterKind::Upto,
    };
    v1::RouteFilter { prefix: filter.value().to_owned(), kind: kind.into(), upto: upto.unwrap_or(0) }
}

fn actions(then: View<'_>) -> v1::PolicyActions {
    let disposition = match () {
        () if then.has("accept") => Disposition::Accept,
        () if then.has("reject") => Disposition::Reject,
        () if then.text("next") == Some("policy") => Disposition::NextPolicy,
        () => Disposition::NextTerm,
    };
    let next_hop = then.text("next-hop");
    v1::PolicyActions {
        disposition: disposition.into(),
        local_preference: then.number("local-preference"),
        metric: then.number("metric"),
        next_hop_self: next_hop == Some("self"),
        next_hop: next_hop.filter(|address| *address != "self").unwrap_or_default().to_owned(),
        communities: then.all("community").map(community_action).collect(),
        as_path_prepend: then
            .text("as-path-prepend")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|asn| asn.parse().ok())
            .collect(),
    }
}

fn community_action(action: View<'_>) -> v1::CommunityAction {
    let kind = match action.value() {
        "delete" => CommunityKind::Delete,
        "set" => CommunityKind::Set,
        _ => CommunityKind::Add,
    };
    v1::CommunityAction { kind: kind.into(), community: action.nth(1).to_owned() }
}
