//! What a policy means, as plainly as it can be said: a copy of the route is changed in place, and lists are gone through.

use super::world::{AS_PATHS, COMMUNITIES, Community, MEMBERS, Route};
use holdfast_policy::{NextHopAction, Origin};
use holdfast_proto::v1;
use ipnet::IpNet;
use std::net::IpAddr;
use v1::policy_actions::{Disposition as Then, NextHopKind};
use v1::route_filter::Kind as Filter;

/// Times that the nearest AS may be repeated in all (`as-path-expand`, docs/policy.md).
const EXPAND_MAX: u32 = 32;

/// A route on its way through a policy.
#[derive(Clone, Debug)]
pub(super) struct Model<'o> {
    options: &'o v1::PolicyOptions,
    /// With what was changed so far, but for the path and the next hop.
    pub route: Route,
    pub communities: Vec<Community>,
    /// What stands before the path.
    pub prepended: Vec<u32>,
    /// How often its nearest AS is repeated.
    pub expanded: u32,
    pub next_hop: Option<NextHopAction>,
}

impl<'o> Model<'o> {
    pub fn new(route: &Route, options: &'o v1::PolicyOptions) -> Model<'o> {
        let standard = route.standard.iter().copied().map(Community::Standard);
        let extended = route.extended.iter().copied().map(Community::Extended);
        let large = route.large.iter().copied().map(Community::Large);
        let communities = standard.chain(extended).chain(large).collect();
        Model { options, route: route.clone(), communities, prepended: Vec::new(), expanded: 0, next_hop: None }
    }

    /// The path as it would be told now.
    fn path(&self) -> Vec<Vec<u32>> {
        let mut path: Vec<Vec<u32>> = self.prepended.iter().map(|asn| vec![*asn]).collect();
        if let Some(first) = self.route.path.first().filter(|step| step.len() == 1) {
            path.extend((0..self.expanded).map(|_| first.clone()));
        }
        path.extend(self.route.path.iter().cloned());
        path
    }

    fn current_next_hop(&self) -> Option<IpAddr> {
        match self.next_hop {
            None => self.route.next_hop,
            Some(NextHopAction::Address(address)) => Some(address),
            Some(NextHopAction::PeerAddress) => self.route.neighbor,
            Some(_) => None,
        }
    }

    fn list(&self, name: &str) -> &'o v1::CommunityList {
        self.options.communities.iter().find(|list| list.name == name).expect("a list that is there")
    }

    fn carries(&self, name: &str) -> bool {
        let list = self.list(name);
        list.members.iter().all(|member| self.communities.iter().any(|value| covers(member, *value)))
            != list.invert_match
    }

    fn is_within(&self, filters: &[v1::RouteFilter]) -> bool {
        filters.iter().any(|filter| {
            let (low, high) = (filter.from_length, filter.upto);
            within(self.route.prefix, net(&filter.prefix), filter.kind(), low, high)
        })
    }

    fn members(&self, list: &str) -> impl Iterator<Item = IpNet> {
        let list = self.options.prefix_lists.iter().find(|other| other.name == list).expect("a list that is there");
        list.prefixes.iter().map(|prefix| net(prefix))
    }

    /// All but `from policy`.
    fn fits_plainly(&self, from: &v1::PolicyMatch, to: &v1::PolicyTarget) -> bool {
        let route = &self.route;
        let any_list = |names: &[String]| any(names, |name| self.members(name).any(|member| member == route.prefix));
        let filters = &from.prefix_list_filters;
        let any_filter = || {
            filters.iter().any(|filter| {
                self.members(&filter.name).any(|member| within(route.prefix, member, filter.kind(), 0, 0))
            })
        };
        let path = self.path();
        let family = match from.family() {
            v1::AddressFamily::Unspecified => true,
            v1::AddressFamily::Ipv4Unicast => matches!(route.prefix, IpNet::V4(_)),
            v1::AddressFamily::Ipv6Unicast => matches!(route.prefix, IpNet::V6(_)),
        };
        let kind = match from.route_type.as_str() {
            "" => true,
            "external" => route.external == Some(true),
            _ => route.external == Some(false),
        };
        any(&from.protocols, |name| route.protocol.name() == name)
            && any(&from.neighbors, |address| route.neighbor == address.parse().ok())
            && any(&to.neighbors, |address| route.target == address.parse().ok())
            && any(&from.next_hops, |address| self.current_next_hop() == address.parse().ok())
            && any_list(&from.prefix_lists)
            && (filters.is_empty() || any_filter())
            && (from.route_filters.is_empty() || self.is_within(&from.route_filters))
            && any(&from.communities, |name| self.carries(name))
            && any(&from.as_paths, |name| path_matches(name, &path))
            && any(&from.as_path_groups, |name| name == "some" && (path_matches("near", &path) || path.is_empty()))
            && any(&from.as_path_lengths, |wanted| compares(wanted, path.len()))
            && any(&from.community_counts, |wanted| compares(wanted, self.communities.len()))
            && any(&from.tags, |tag| *tag == route.tag)
            && from.metric.is_none_or(|metric| route.metric == Some(metric))
            && from.local_preference.is_none_or(|wanted| route.local_preference == wanted)
            && from.preference.is_none_or(|wanted| route.preference == wanted)
            && (from.origin.is_empty() || route.origin.name() == from.origin)
            && family
            && kind
    }

    fn fits(&mut self, term: &v1::PolicyTerm, default: bool) -> bool {
        let (from, to) = (term.r#match.clone().unwrap_or_default(), term.to.clone().unwrap_or_default());
        if !self.fits_plainly(&from, &to) {
            return false;
        }
        if from.policies.is_empty() {
            return true;
        }
        let mut copy = self.clone();
        let accepted = copy.run(&from.policies, default);
        if accepted {
            *self = copy;
        }
        accepted
    }

    fn change(&mut self, then: &v1::PolicyActions) {
        let route = &mut self.route;
        if let Some(value) = number(then.local_preference, then.local_preference_change, route.local_preference) {
            route.local_preference = value;
        }
        route.metric = number(then.metric, then.metric_change, route.metric.unwrap_or(0)).or(route.metric);
        route.origin = Origin::from_name(&then.origin).unwrap_or(route.origin);
        route.preference = then.preference.unwrap_or(route.preference);
        route.tag = then.tag.unwrap_or(route.tag);
        // An address of the other family asks for nothing.
        let (is_v6, neighbor) = (route.prefix.addr().is_ipv6(), route.neighbor);
        let is_of_family = |address: &IpAddr| address.is_ipv6() == is_v6;
        self.next_hop = match then.next_hop_kind() {
            NextHopKind::PeerAddress if neighbor.is_some_and(|address| !is_of_family(&address)) => self.next_hop,
            NextHopKind::PeerAddress => Some(NextHopAction::PeerAddress),
            NextHopKind::Discard => Some(NextHopAction::Discard),
            NextHopKind::Unreachable => Some(NextHopAction::Reject),
            NextHopKind::Named if then.next_hop_self => Some(NextHopAction::SelfAddress),
            NextHopKind::Named => {
                then.next_hop.parse().ok().filter(is_of_family).map(NextHopAction::Address).or(self.next_hop)
            }
        };
        for action in &then.communities {
            let list = self.list(&action.community);
            let covered =
                |value: Community| list.members.iter().any(|member| covers(member, value)) != list.invert_match;
            let listed = COMMUNITIES.into_iter().filter(|value| covered(*value));
            match action.kind() {
                v1::community_action::Kind::Delete => self.communities.retain(|value| !covered(*value)),
                v1::community_action::Kind::Set => self.communities = listed.collect(),
                v1::community_action::Kind::Add => {
                    let missing: Vec<_> = listed.filter(|value| !self.communities.contains(value)).collect();
                    self.communities.extend(missing);
                }
            }
        }
        self.prepended.splice(0..0, then.as_path_prepend.iter().copied());
        self.expanded = (self.expanded + then.as_path_expand).min(EXPAND_MAX);
    }

    /// Whether these statements, one after the other, accept the route.
    pub fn run(&mut self, names: &[String], mut default: bool) -> bool {
        for name in names {
            let statement = self.options.statements.iter().find(|statement| statement.name == *name);
            for term in &statement.expect("a statement that is there").terms {
                if !self.fits(term, default) {
                    continue;
                }
                let then = term.actions.clone().unwrap_or_default();
                self.change(&then);
                match then.default_action() {
                    Then::Accept => default = true,
                    Then::Reject => default = false,
                    _ => {}
                }
                match then.disposition() {
                    Then::NextTerm => {}
                    Then::NextPolicy => break,
                    decided => return decided == Then::Accept,
                }
            }
        }
        default
    }
}

/// No values: not asked. Several: any suffices.
fn any<T>(values: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(matches)
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn within(prefix: IpNet, network: IpNet, kind: Filter, low: u32, high: u32) -> bool {
    let (length, own) = (u32::from(prefix.prefix_len()), u32::from(network.prefix_len()));
    network.contains(&prefix)
        && match kind {
            Filter::Exact => length == own,
            Filter::Orlonger => true,
            Filter::Longer => length > own,
            Filter::Upto => length <= high,
            Filter::LengthRange => low <= length && length <= high,
        }
}

fn covers(member: &str, value: Community) -> bool {
    let (_, covers) = MEMBERS.iter().find(|(text, _)| *text == member).expect("a member that is known");
    covers(value)
}

fn path_matches(name: &str, path: &[Vec<u32>]) -> bool {
    let (.., matches) = AS_PATHS.iter().find(|(known, ..)| *known == name).expect("an expression that is known");
    matches(path)
}

fn compares(wanted: &v1::NumberMatch, observed: usize) -> bool {
    let (observed, wanted_number) = (observed as u32, wanted.number);
    match wanted.kind() {
        v1::number_match::Kind::Equal => observed == wanted_number,
        v1::number_match::Kind::OrHigher => observed >= wanted_number,
        v1::number_match::Kind::OrLower => observed <= wanted_number,
    }
}

/// What is set, or what a change makes of what was there.
fn number(set: Option<u32>, change: Option<v1::NumberChange>, before: u32) -> Option<u32> {
    let changed = change.map(|change| match change.kind() {
        v1::number_change::Kind::Add => before.saturating_add(change.amount),
        v1::number_change::Kind::Subtract => before.saturating_sub(change.amount),
    });
    changed.or(set)
}
