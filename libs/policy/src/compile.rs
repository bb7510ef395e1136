//! From the configuration's texts to terms that run.

use crate::chain::{Actions, Chain, Conditions, Next, Statement, Term};
use crate::changes::{CommunityChange, NextHopAction};
use crate::community::{COMMUNITY_REQUIRED, CommunityValues, parse};
use crate::error::PolicyError;
use crate::limits::{CHAIN_MAX, PREPEND_MAX};
use crate::prefixes::{PrefixSet, RouteFilters};
use crate::route::{Disposition, Protocol};
use hashbrown::HashMap;
use holdfast_proto::v1;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use v1::policy_actions::Disposition as Then;

/// Everything under `policy-options`, compiled.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    statements: HashMap<String, Arc<Statement>>,
}

impl PolicySet {
    /// Compiles a configuration, or says what is wrong with it.
    pub fn compile(options: &v1::PolicyOptions) -> Result<PolicySet, PolicyError> {
        let mut names = Names::default();
        for list in &options.prefix_lists {
            let members = prefix_list(list)?;
            insert(&mut names.prefix_lists, "prefix-list", &list.name, members)?;
        }
        for list in &options.communities {
            let members = community_list(list)?;
            insert(&mut names.communities, "community", &list.name, members)?;
        }
        let mut statements = HashMap::new();
        for statement in &options.statements {
            let terms = statement.terms.iter().map(|term| Scope { names: &names, statement, term }.compile());
            let compiled = Statement { name: statement.name.clone(), terms: terms.collect::<Result<_, _>>()? };
            insert(&mut statements, "policy-statement", &statement.name, compiled)?;
        }
        Ok(PolicySet { statements })
    }

    /// The chain of the named statements, in order. No names: an empty chain, where the default decides.
    pub fn chain(&self, names: &[String]) -> Result<Chain, PolicyError> {
        if names.len() > CHAIN_MAX {
            return Err(PolicyError::ChainTooLong { observed: names.len(), limit: CHAIN_MAX });
        }
        let find = |name: &String| {
            let statement = self.statements.get(name).cloned();
            statement.ok_or_else(|| PolicyError::UndefinedStatement { name: name.clone() })
        };
        Ok(Chain { statements: names.iter().map(find).collect::<Result<_, _>>()? })
    }
}

#[derive(Default)]
struct Names {
    prefix_lists: HashMap<String, Arc<PrefixSet>>,
    communities: HashMap<String, Arc<CommunityValues>>,
}

fn insert<T>(map: &mut HashMap<String, Arc<T>>, kind: &'static str, name: &str, value: T) -> Result<(), PolicyError> {
    match map.insert(name.to_owned(), Arc::new(value)) {
        None => Ok(()),
        Some(_) => Err(PolicyError::Duplicate { kind, name: name.to_owned() }),
    }
}

fn prefix_list(list: &v1::PrefixList) -> Result<PrefixSet, PolicyError> {
    let place = || format!("prefix-list {}", list.name);
    list.prefixes.iter().map(|text| prefix(text, place)).collect()
}

fn prefix(text: &str, place: impl Fn() -> String) -> Result<IpNet, PolicyError> {
    let required = "ADDRESS/LENGTH, such as 10.0.0.0/8 or 2001:db8::/32";
    let invalid = || PolicyError::Invalid { place: place(), what: "prefix", observed: text.to_owned(), required };
    text.parse::<IpNet>().map(|prefix| prefix.trunc()).map_err(|_| invalid())
}

/// A list without members would match everything; nobody means that.
fn community_list(list: &v1::CommunityList) -> Result<CommunityValues, PolicyError> {
    let mut values = CommunityValues::default();
    let invalid = |what, observed: &str, required| PolicyError::Invalid {
        place: format!("community {}", list.name),
        what,
        observed: observed.to_owned(),
        required,
    };
    for member in &list.members {
        values.push(parse(member).ok_or_else(|| invalid("member", member, COMMUNITY_REQUIRED))?);
    }
    if list.members.is_empty() {
        return Err(invalid("list of members", "", "at least one member"));
    }
    Ok(values)
}

/// One term with what its names may refer to, and its place for messages.
struct Scope<'a> {
    names: &'a Names,
    statement: &'a v1::PolicyStatement,
    term: &'a v1::PolicyTerm,
}

impl Scope<'_> {
    fn compile(&self) -> Result<Term, PolicyError> {
        let conditions = self.term.r#match.as_ref().map(|from| self.conditions(from)).transpose()?;
        let actions = self.actions(self.term.actions.as_ref().unwrap_or(&v1::PolicyActions::default()))?;
        Ok(Term { name: self.term.name.clone(), conditions: conditions.unwrap_or_default(), actions })
    }

    fn conditions(&self, from: &v1::PolicyMatch) -> Result<Conditions, PolicyError> {
        let protocols = from.protocols.iter().map(|name| {
            let protocol = Protocol::from_name(name);
            protocol.ok_or_else(|| self.invalid("protocol", name, "bgp, static or direct"))
        });
        let prefix_lists =
            from.prefix_lists.iter().map(|name| self.find(&self.names.prefix_lists, "prefix-list", name));
        let communities = from.communities.iter().map(|name| self.find(&self.names.communities, "community", name));
        let neighbors = from.neighbors.iter().map(|text| self.address("neighbor", text));
        Ok(Conditions {
            protocols: protocols.collect::<Result<_, _>>()?,
            prefix_lists: prefix_lists.collect::<Result<_, _>>()?,
            route_filters: self.route_filters(&from.route_filters)?,
            communities: communities.collect::<Result<_, _>>()?,
            neighbors: neighbors.collect::<Result<_, _>>()?,
            ipv6: self.family(from.family)?,
        })
    }

    fn family(&self, family: i32) -> Result<Option<bool>, PolicyError> {
        match v1::AddressFamily::try_from(family) {
            Ok(v1::AddressFamily::Unspecified) => Ok(None),
            Ok(v1::AddressFamily::Ipv4Unicast) => Ok(Some(false)),
            Ok(v1::AddressFamily::Ipv6Unicast) => Ok(Some(true)),
            Err(_) => Err(self.invalid("family", &family.to_string(), "inet or inet6")),
        }
    }

    fn route_filters(&self, filters: &[v1::RouteFilter]) -> Result<RouteFilters, PolicyError> {
        use v1::route_filter::Kind;
        let mut compiled = RouteFilters::default();
        for filter in filters {
            let network = prefix(&filter.prefix, || self.place())?;
            let (length, longest) = (network.prefix_len(), network.max_prefix_len());
            let kind = Kind::try_from(filter.kind).map_err(|_| {
                self.invalid("route-filter kind", &filter.kind.to_string(), "exact, orlonger, longer or upto")
            })?;
            match kind {
                Kind::Exact => compiled.push(network, length, length),
                Kind::Orlonger => compiled.push(network, length, longest),
                // Of a host prefix nothing is longer: the range is empty and never matches.
                Kind::Longer => compiled.push(network, length + 1, longest),
                Kind::Upto => compiled.push(network, length, self.upto(filter, length, longest)?),
            }
        }
        Ok(compiled)
    }

    fn upto(&self, filter: &v1::RouteFilter, shortest: u8, longest: u8) -> Result<u8, PolicyError> {
        let required = "a length from the prefix's own to 32 (IPv4) or 128 (IPv6)";
        let observed = || format!("{} upto /{}", filter.prefix, filter.upto);
        let upto = u8::try_from(filter.upto).ok().filter(|upto| (shortest..=longest).contains(upto));
        upto.ok_or_else(|| self.invalid("route-filter", &observed(), required))
    }

    fn actions(&self, then: &v1::PolicyActions) -> Result<Actions, PolicyError> {
        let next = match Then::try_from(then.disposition) {
            Ok(Then::NextTerm) => Next::Term,
            Ok(Then::NextPolicy) => Next::Policy,
            Ok(Then::Accept) => Next::Decided(Disposition::Accept),
            Ok(Then::Reject) => Next::Decided(Disposition::Reject),
            Err(_) => {
                let observed = then.disposition.to_string();
                return Err(self.invalid("disposition", &observed, "accept, reject, next term or next policy"));
            }
        };
        let communities = then.communities.iter().map(|action| self.community_change(action));
        Ok(Actions {
            next,
            local_preference: then.local_preference,
            metric: then.metric,
            next_hop: self.next_hop(then)?,
            communities: communities.collect::<Result<_, _>>()?,
            prepend: self.prepend(&then.as_path_prepend)?,
        })
    }

    fn next_hop(&self, then: &v1::PolicyActions) -> Result<Option<NextHopAction>, PolicyError> {
        match (then.next_hop_self, then.next_hop.as_str()) {
            (false, "") => Ok(None),
            (true, "") => Ok(Some(NextHopAction::SelfAddress)),
            (false, text) => Ok(Some(NextHopAction::Address(self.address("next-hop", text)?))),
            (true, text) => Err(self.invalid("next-hop", text, "either self or one address")),
        }
    }

    fn community_change(&self, action: &v1::CommunityAction) -> Result<CommunityChange, PolicyError> {
        use v1::community_action::Kind;
        let values = self.find(&self.names.communities, "community", &action.community)?;
        match Kind::try_from(action.kind) {
            Ok(Kind::Add) => Ok(CommunityChange::Add(values)),
            Ok(Kind::Delete) => Ok(CommunityChange::Delete(values)),
            Ok(Kind::Set) => Ok(CommunityChange::Set(values)),
            Err(_) => Err(self.invalid("community action", &action.kind.to_string(), "add, delete or set")),
        }
    }

    fn prepend(&self, numbers: &[u32]) -> Result<Vec<u32>, PolicyError> {
        if numbers.len() > PREPEND_MAX {
            let observed = format!("{} AS numbers", numbers.len());
            return Err(self.invalid("as-path-prepend", &observed, "at most 32 AS numbers"));
        }
        if numbers.contains(&0) {
            return Err(self.invalid("as-path-prepend", "0", "AS numbers from 1 to 4294967295 (RFC 7607 forbids 0)"));
        }
        Ok(numbers.to_vec())
    }

    fn address(&self, what: &'static str, text: &str) -> Result<IpAddr, PolicyError> {
        text.parse().map_err(|_| self.invalid(what, text, "an IPv4 or IPv6 address"))
    }

    fn find<T>(&self, map: &HashMap<String, Arc<T>>, kind: &'static str, name: &str) -> Result<Arc<T>, PolicyError> {
        map.get(name).cloned().ok_or_else(|| PolicyError::Undefined {
            statement: self.statement.name.clone(),
            term: self.term.name.clone(),
            kind,
            name: name.to_owned(),
        })
    }

    fn invalid(&self, what: &'static str, observed: &str, required: &'static str) -> PolicyError {
        PolicyError::Invalid { place: self.place(), what, observed: observed.to_owned(), required }
    }

    fn place(&self) -> String {
        format!("policy-statement {} term {}", self.statement.name, self.term.name)
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
