//! `policy-options`. What a policy says outside of its terms becomes its last term, without a name.

use std::net::IpAddr;

use holdfast_proto::v1::{
    self,
    community_action::Kind as CommunityKind,
    policy_actions::{Disposition, NextHopKind},
    route_filter::Kind as FilterKind,
};

use crate::tree::View;

pub(crate) fn policy(top: View<'_>) -> v1::PolicyOptions {
    let Some(options) = top.get("policy-options") else { return v1::PolicyOptions::default() };
    let prefix_list =
        |list: View<'_>| v1::PrefixList { name: list.value().to_owned(), prefixes: list.strings("prefix") };
    let community = |list: View<'_>| v1::CommunityList {
        name: list.value().to_owned(),
        members: list.strings("members"),
        invert_match: list.has("invert-match"),
    };
    let as_path_group = |group: View<'_>| v1::AsPathGroup {
        name: group.value().to_owned(),
        as_paths: group.all("as-path").map(as_path).collect(),
    };
    v1::PolicyOptions {
        prefix_lists: options.all("prefix-list").map(prefix_list).collect(),
        communities: options.all("community").map(community).collect(),
        statements: options.all("policy-statement").map(statement).collect(),
        as_paths: options.all("as-path").map(as_path).collect(),
        as_path_groups: options.all("as-path-group").map(as_path_group).collect(),
    }
}

fn as_path(path: View<'_>) -> v1::AsPath {
    v1::AsPath { name: path.value().to_owned(), expression: path.text("path").unwrap_or_default().to_owned() }
}

fn statement(policy: View<'_>) -> v1::PolicyStatement {
    let mut terms: Vec<_> = policy.all("term").map(|part| term(part, part.value())).collect();
    if ["from", "to", "then"].into_iter().any(|part| policy.has(part)) {
        terms.push(term(policy, ""));
    }
    v1::PolicyStatement { name: policy.value().to_owned(), terms }
}

fn term(place: View<'_>, name: &str) -> v1::PolicyTerm {
    v1::PolicyTerm {
        name: name.to_owned(),
        r#match: Some(place.get("from").map(conditions).unwrap_or_default()),
        actions: Some(place.get("then").map(actions).unwrap_or_default()),
        to: place.get("to").map(|to| v1::PolicyTarget { neighbors: to.strings("neighbor") }),
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
        as_paths: from.strings("as-path"),
        as_path_groups: from.strings("as-path-group"),
        prefix_list_filters: from.all("prefix-list-filter").map(prefix_list_filter).collect(),
        next_hops: from.strings("next-hop"),
        metric: from.number("metric"),
        local_preference: from.number("local-preference"),
        preference: from.number("preference"),
        tags: from.values("tag").filter_map(|tag| tag.parse().ok()).collect(),
        origin: from.text("origin").unwrap_or_default().to_owned(),
        route_type: from.text("route-type").unwrap_or_default().to_owned(),
        policies: from.strings("policy"),
        as_path_lengths: from.all("as-path-calc-length").map(number_match).collect(),
        community_counts: from.all("community-count").map(number_match).collect(),
    }
}

fn number_match(view: View<'_>) -> v1::NumberMatch {
    let kind = match view.nth(1) {
        "orhigher" => v1::number_match::Kind::OrHigher,
        "orlower" => v1::number_match::Kind::OrLower,
        _ => v1::number_match::Kind::Equal,
    };
    v1::NumberMatch { number: view.value().parse().unwrap_or(0), kind: kind.into() }
}

fn prefix_list_filter(filter: View<'_>) -> v1::PrefixListFilter {
    v1::PrefixListFilter { name: filter.value().to_owned(), kind: filter_kind(filter.nth(1)).into() }
}

fn filter_kind(name: &str) -> FilterKind {
    match name {
        "exact" => FilterKind::Exact,
        "orlonger" => FilterKind::Orlonger,
        "longer" => FilterKind::Longer,
        name if name.starts_with("prefix-length-range") => FilterKind::LengthRange,
        _ => FilterKind::Upto,
    }
}

fn route_filter(filter: View<'_>) -> v1::RouteFilter {
    let (from_length, upto) = lengths(filter.nth(1)).unwrap_or((0, 0));
    v1::RouteFilter { prefix: filter.value().to_owned(), kind: filter_kind(filter.nth(1)).into(), upto, from_length }
}

/// The shortest and the longest length that a route filter names; of `upto` the longest only.
pub(crate) fn lengths(matching: &str) -> Option<(u32, u32)> {
    let length = |text: &str| text.strip_prefix('/')?.parse().ok();
    if let Some(upto) = matching.strip_prefix("upto ") {
        return Some((0, length(upto)?));
    }
    let (shortest, longest) = matching.strip_prefix("prefix-length-range ")?.split_once('-')?;
    Some((length(shortest)?, length(longest)?))
}

fn actions(then: View<'_>) -> v1::PolicyActions {
    let disposition = match () {
        () if then.has("accept") => Disposition::Accept,
        () if then.has("reject") => Disposition::Reject,
        () if then.text("next") == Some("policy") => Disposition::NextPolicy,
        () => Disposition::NextTerm,
    };
    let next_hop = then.text("next-hop");
    let (local_preference, local_preference_change) = adjustment(then.text("local-preference"));
    let (metric, metric_change) = adjustment(then.text("metric"));
    let default_action = match then.text("default-action") {
        Some("accept") => Disposition::Accept,
        Some(_) => Disposition::Reject,
        None => Disposition::NextTerm,
    };
    v1::PolicyActions {
        disposition: disposition.into(),
        local_preference,
        metric,
        local_preference_change,
        metric_change,
        origin: then.text("origin").unwrap_or_default().to_owned(),
        as_path_expand: then.at(&["as-path-expand", "last-as"]).and_then(|last| last.number("count")).unwrap_or(0),
        default_action: default_action.into(),
        next_hop_self: next_hop == Some("self"),
        next_hop: next_hop.filter(|text| text.parse::<IpAddr>().is_ok()).unwrap_or_default().to_owned(),
        next_hop_kind: match next_hop {
            Some("peer-address") => NextHopKind::PeerAddress,
            Some("discard") => NextHopKind::Discard,
            Some("reject") => NextHopKind::Unreachable,
            _ => NextHopKind::Named,
        }
        .into(),
        preference: then.number("preference"),
        tag: then.number("tag"),
        communities: then.all("community").map(community_action).collect(),
        as_path_prepend: then
            .text("as-path-prepend")
            .unwrap_or_default()
            .split(' ')
            .filter_map(|asn| asn.parse().ok())
            .collect(),
    }
}

/// A number to set, or a change of the one that is there.
fn adjustment(text: Option<&str>) -> (Option<u32>, Option<v1::NumberChange>) {
    use v1::number_change::Kind;
    let change = |kind: Kind, amount: &str| Some(v1::NumberChange { kind: kind.into(), amount: amount.parse().ok()? });
    match text.map(|text| text.split_once(' ').unwrap_or(("", text))) {
        Some(("add", amount)) => (None, change(Kind::Add, amount)),
        Some(("subtract", amount)) => (None, change(Kind::Subtract, amount)),
        Some((_, number)) => (number.parse().ok(), None),
        None => (None, None),
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
