//! What a term asks of a route.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::as_path::AsPathExpression;
use crate::changes::Changes;
use crate::community::CommunityValues;
use crate::prefixes::{PrefixSet, RouteFilters};
use crate::route::{Origin, Protocol, RouteView};
use crate::statement::Statement;

/// A number that a condition compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal(u32),
    OrHigher(u32),
    OrLower(u32),
}

impl Comparison {
    fn holds(self, number: u32) -> bool {
        match self {
            Comparison::Equal(wanted) => number == wanted,
            Comparison::OrHigher(least) => number >= least,
            Comparison::OrLower(most) => number <= most,
        }
    }
}

/// One condition. Of several values any suffices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Protocol(Vec<Protocol>),
    /// True: IPv6 only; false: IPv4 only.
    Ipv6(bool),
    Neighbor(Vec<IpAddr>),
    /// Whom it is told to.
    Target(Vec<IpAddr>),
    External(bool),
    Origin(Origin),
    Metric(u32),
    LocalPreference(u32),
    Preference(u32),
    Tag(Vec<u32>),
    NextHop(Vec<IpAddr>),
    AsPathLength(Vec<Comparison>),
    CommunityCount(Vec<Comparison>),
    PrefixList(Vec<Arc<PrefixSet>>),
    RouteFilter(RouteFilters),
    Community(Vec<Arc<CommunityValues>>),
    AsPath(Vec<Arc<AsPathExpression>>),
    /// Policies that accept it, as a chain. Always the last condition of a term: what they change stays only when all
    /// others match.
    Policy(Vec<Arc<Statement>>),
}

/// What a condition looks at beyond a set of attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The destination.
    pub prefix: bool,
    /// Who told it, and from which AS.
    pub neighbor: bool,
    /// Whom it is told to.
    pub target: bool,
}

impl Reach {
    pub fn with(self, other: Reach) -> Reach {
        Reach {
            prefix: self.prefix || other.prefix,
            neighbor: self.neighbor || other.neighbor,
            target: self.target || other.target,
        }
    }
}

impl Condition {
    /// Whether the route, changed so far, fits. [`Condition::Policy`] is the caller's.
    pub fn matches<R: RouteView + ?Sized>(&self, route: &R, changes: &Changes) -> bool {
        match self {
            Condition::Protocol(any) => any.contains(&route.protocol()),
            Condition::Ipv6(ipv6) => *ipv6 == matches!(route.prefix(), IpNet::V6(_)),
            Condition::Neighbor(any) => route.neighbor().is_some_and(|from| any.contains(&from)),
            Condition::Target(any) => route.target().is_some_and(|to| any.contains(&to)),
            Condition::External(external) => route.external() == Some(*external),
            Condition::Origin(origin) => changes.origin.unwrap_or_else(|| route.origin()) == *origin,
            Condition::Metric(metric) => changes.metric.or_else(|| route.metric()) == Some(*metric),
            Condition::LocalPreference(wanted) => {
                changes.local_preference.unwrap_or_else(|| route.local_preference()) == *wanted
            }
            Condition::Preference(wanted) => changes.preference.unwrap_or_else(|| route.preference()) == *wanted,
            Condition::Tag(any) => any.contains(&changes.tag.unwrap_or_else(|| route.tag())),
            Condition::NextHop(any) => changes.current_next_hop(route).is_some_and(|hop| any.contains(&hop)),
            Condition::AsPathLength(any) => {
                let length = changes.as_path_length(route);
                any.iter().any(|comparison| comparison.holds(length))
            }
            Condition::CommunityCount(any) => {
                let count = changes.community_count(route);
                any.iter().any(|comparison| comparison.holds(count))
            }
            Condition::PrefixList(any) => {
                let prefix = route.prefix().trunc();
                any.iter().any(|list| list.contains(&prefix))
            }
            Condition::RouteFilter(filters) => filters.matches(&route.prefix().trunc()),
            Condition::Community(any) => any.iter().any(|list| changes.carries(route, list)),
            Condition::AsPath(any) => any.iter().any(|expression| expression.matches_route(route, changes)),
            Condition::Policy(_) => true,
        }
    }

    pub fn reach(&self) -> Reach {
        match self {
            Condition::Ipv6(_) | Condition::PrefixList(_) | Condition::RouteFilter(_) => {
                Reach { prefix: true, ..Reach::default() }
            }
            Condition::Neighbor(_) | Condition::External(_) => Reach { neighbor: true, ..Reach::default() },
            Condition::Target(_) => Reach { target: true, ..Reach::default() },
            Condition::Policy(statements) => {
                statements.iter().fold(Reach::default(), |reach, statement| reach.with(statement.reach()))
            }
            Condition::Protocol(_)
            | Condition::Origin(_)
            | Condition::Metric(_)
            | Condition::LocalPreference(_)
            | Condition::Preference(_)
            | Condition::Tag(_)
            | Condition::NextHop(_)
            | Condition::AsPathLength(_)
            | Condition::CommunityCount(_)
            | Condition::Community(_)
            | Condition::AsPath(_) => Reach::default(),
        }
    }
}
