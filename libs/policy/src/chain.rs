//! Compiled statements and how they run.

use crate::changes::{Changes, CommunityChange, NextHopAction};
use crate::community::CommunityValues;
use crate::prefixes::{PrefixSet, RouteFilters};
use crate::route::{Disposition, Protocol, RouteView};
use ipnet::IpNet;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// What a term asks of a route. Empty conditions ask nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub protocols: Vec<Protocol>,
    pub prefix_lists: Vec<Arc<PrefixSet>>,
    pub route_filters: RouteFilters,
    pub communities: Vec<Arc<CommunityValues>>,
    pub neighbors: Vec<IpAddr>,
    /// True: IPv6 only; false: IPv4 only.
    pub ipv6: Option<bool>,
}

impl Conditions {
    fn match_all<R: RouteView + ?Sized>(&self, route: &R, changes: &Changes) -> bool {
        (self.protocols.is_empty() || self.protocols.contains(&route.protocol()))
            && self.ipv6.is_none_or(|ipv6| ipv6 == matches!(route.prefix(), IpNet::V6(_)))
            && (self.neighbors.is_empty() || route.neighbor().is_some_and(|from| self.neighbors.contains(&from)))
            && (self.prefix_lists.is_empty() || self.in_prefix_lists(&route.prefix().trunc()))
            && (self.route_filters.is_empty() || self.route_filters.matches(&route.prefix().trunc()))
            && (self.communities.is_empty() || self.communities.iter().any(|list| changes.carries(route, list)))
    }

    fn in_prefix_lists(&self, prefix: &IpNet) -> bool {
        self.prefix_lists.iter().any(|list| list.contains(prefix))
    }
}

/// Where evaluation goes after a matching term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Term,
    Policy,
    Decided(Disposition),
}

/// What a matching term does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actions {
    pub next: Next,
    pub local_preference: Option<u32>,
    pub metric: Option<u32>,
    pub next_hop: Option<NextHopAction>,
    pub communities: Vec<CommunityChange>,
    pub prepend: Vec<u32>,
}

impl Actions {
    fn apply(&self, changes: &mut Changes) {
        changes.local_preference = self.local_preference.or(changes.local_preference);
        changes.metric = self.metric.or(changes.metric);
        changes.next_hop = self.next_hop.or(changes.next_hop);
        for change in &self.communities {
            // What was added or deleted before a set has no trace after it: equal outcomes compare equal more often.
            if matches!(change, CommunityChange::Set(_)) {
                changes.communities.clear();
            }
            changes.communities.push(change.clone());
        }
        // A later term prepends before what an earlier one did.
        changes.prepend.insert_from_slice(0, &self.prepend);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub name: String,
    pub conditions: Conditions,
    pub actions: Actions,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub name: String,
    pub terms: Vec<Term>,
}

/// Which term decided about a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub disposition: Disposition,
    /// Statement and term that made it; none: the default did.
    pub decided_by: Option<(String, String)>,
    /// What is to be changed; nothing when rejected.
    pub changes: Changes,
}

/// The import or export list of a neighbour. Cheap to clone; equal when the policies are, lists and all, so that
/// neighbours with equal chains can share what is computed.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub(crate) statements: Arc<[Arc<Statement>]>,
}

impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        Arc::ptr_eq(&self.statements, &other.statements) || self.statements == other.statements
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    /// By the statements' names: equal chains have equal names, and the rest is compared.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.statements.iter().for_each(|statement| statement.name.hash(state));
    }
}

impl Chain {
    /// The decision about a route. `changes` is emptied first and says afterwards what is to be changed; it stays
    /// empty when the route is rejected.
    pub fn evaluate<R: RouteView + ?Sized>(
        &self,
        route: &R,
        default: Disposition,
        changes: &mut Changes,
    ) -> Disposition {
        changes.clear();
        let disposition = self.decide(route, changes).map_or(default, |(disposition, ..)| disposition);
        if disposition == Disposition::Reject {
            changes.clear();
        }
        disposition
    }

    /// The same with the reason, for operators.
    pub fn explain<R: RouteView + ?Sized>(&self, route: &R, default: Disposition) -> Explanation {
        let mut changes = Changes::default();
        let decided_by =
            self.decide(route, &mut changes).map(|(_, statement, term)| (statement.to_owned(), term.to_owned()));
        let disposition = self.evaluate(route, default, &mut changes);
        Explanation { disposition, decided_by, changes }
    }

    /// Runs the terms until one decides.
    fn decide<'a, R: RouteView + ?Sized>(
        &'a self,
        route: &R,
        changes: &mut Changes,
    ) -> Option<(Disposition, &'a str, &'a str)> {
        for statement in self.statements.iter() {
            for term in &statement.terms {
                if !term.conditions.match_all(route, changes) {
                    continue;
                }
                term.actions.apply(changes);
                match term.actions.next {
                    Next::Term => {}
                    Next::Policy => break,
                    Next::Decided(disposition) => return Some((disposition, &statement.name, &term.name)),
                }
            }
        }
        None
    }

    /// Whether the outcome may differ between two prefixes of the same attributes and origin. If not, it may be
    /// remembered per set of attributes and protocol.
    pub fn depends_on_prefix(&self) -> bool {
        self.conditions().any(|conditions| {
            !conditions.prefix_lists.is_empty() || !conditions.route_filters.is_empty() || conditions.ipv6.is_some()
        })
    }

    /// Whether the outcome may differ between two neighbours that the same route was learned from.
    pub fn depends_on_neighbor(&self) -> bool {
        self.conditions().any(|conditions| !conditions.neighbors.is_empty())
    }

    /// True without statements: the default decides.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The statements' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|statement| statement.name.as_str())
    }

    fn conditions(&self) -> impl Iterator<Item = &Conditions> {
        self.statements.iter().flat_map(|statement| &statement.terms).map(|term| &term.conditions)
    }
}
