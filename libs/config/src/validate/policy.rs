//! `policy-options`: names that exist, lengths that can match, one way to go on, policies that end.

use holdfast_policy::PolicySet;
use ipnet::IpNet;

use super::{at, lacks, reference};
use crate::{compile, error::Problem, tree::View};

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    let Some(options) = top.get("policy-options") else { return };
    let before = problems.len();
    let groups = options.all("as-path-group").flat_map(|group| group.all("as-path"));
    for path in options.all("as-path").chain(groups).filter(|path| !path.has("path")) {
        problems.push(at(path, "the as-path has no expression").allowed("an expression in quotes behind the name"));
    }
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
    // What only shows when it is put together: policies that ask each other in a circle, above all.
    if problems.len() == before
        && let Err(error) = PolicySet::compile(&compile::policy(top))
    {
        problems.push(at(options, error.to_string()));
    }
}

/// What a term's `from` refers to: the statement, and what it names.
const REFERENCES: [(&str, &str); 6] = [
    ("prefix-list", "prefix-list"),
    ("prefix-list-filter", "prefix-list"),
    ("community", "community"),
    ("as-path", "as-path"),
    ("as-path-group", "as-path-group"),
    ("policy", "policy-statement"),
];

fn term(top: View<'_>, term: View<'_>, problems: &mut Vec<Problem>) {
    if let Some(from) = term.get("from") {
        for (statement, kind) in REFERENCES {
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
    let Some((shortest, longest)) = compile::lengths(filter.nth(1)) else { return };
    let own = u32::from(prefix.prefix_len());
    let shortest = if filter.nth(1).starts_with("upto") { own } else { shortest };
    if shortest < own || longest < shortest || longest > u32::from(prefix.max_prefix_len()) {
        let what = match () {
            () if longest < own => format!("matches no prefix of {prefix}"),
            () if longest < shortest => "has the longer length first".to_owned(),
            () => format!("has lengths that no prefix within {prefix} has"),
        };
        let message = format!("{} {what}", filter.nth(1));
        let allowed = format!("lengths from /{own} to /{}, the shorter one first", prefix.max_prefix_len());
        problems.push(at(filter, message).allowed(allowed));
    }
}
