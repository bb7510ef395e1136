//! `policy-options`: names that exist, lengths that can match, one way to go on.

use ipnet::IpNet;

use super::{at, lacks, reference};
use crate::{error::Problem, tree::View};

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    let Some(options) = top.get("policy-options") else { return };
    for community in options.all("community").filter(|community| !community.has("members")) {
        problems.push(
            lacks(community, "members", "the community has no members").allowed("members COMMUNITY or members [ ... ]"),
        );
    }
    for policy in options.all("policy-statement") {
        term(top, policy, problems);
        for part in policy.all("term") {
            term(top, part, problems);
        }
    }
}

fn term(top: View<'_>, term: View<'_>, problems: &mut Vec<Problem>) {
    if let Some(from) = term.get("from") {
        for (statement, kind) in [("prefix-list", "prefix-list"), ("community", "community")] {
            for view in from.all(statement) {
                reference(top, view, kind, view.value(), problems);
            }
        }
        for filter in from.all("route-filter") {
            route_filter(filter, problems);
        }
    }
    let Some(then) = term.get("then") else { return };
    for action in then.all("community") {
        reference(top, action, "community", action.nth(1), problems);
    }
    let ways: Vec<View<'_>> =
        then.children().filter(|action| ["accept", "reject", "next"].contains(&action.name())).collect();
    if let [_, second, ..] = ways.as_slice() {
        let names: Vec<&str> = ways.iter().map(|way| way.name()).collect();
        problems.push(
            at(*second, format!("{} rule each other out", names.join(" and ")))
                .allowed("one of accept, reject, next term, next policy"),
        );
    }
}

fn route_filter(filter: View<'_>, problems: &mut Vec<Problem>) {
    let Ok(prefix) = filter.value().parse::<IpNet>() else { return };
    let Some(upto) = filter.nth(1).strip_prefix("upto /").and_then(|length| length.parse::<u8>().ok()) else { return };
    if !(prefix.prefix_len()..=prefix.max_prefix_len()).contains(&upto) {
        let message = format!("upto /{upto} matches no prefix of {prefix}");
        problems.push(at(filter, message).allowed(format!(
            "upto /{} to /{}",
            prefix.prefix_len(),
            prefix.max_prefix_len()
        )));
    }
}
