//! A term's `from` and `to`.

use super::{Scope, lists};
use crate::conditions::{Comparison, Condition};
use crate::error::PolicyError;
use crate::prefixes::RouteFilters;
use crate::route::{Origin, Protocol};
use crate::statement::Statement;
use holdfast_proto::v1;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use v1::route_filter::Kind;

impl Scope<'_> {
    /// The conditions of a term, cheap ones first, those that may change something last.
    pub(super) fn conditions(
        &self,
        from: &v1::PolicyMatch,
        to: &v1::PolicyTarget,
        subroutines: Vec<Arc<Statement>>,
    ) -> Result<Vec<Condition>, PolicyError> {
        let mut all = Vec::new();
        some(&mut all, self.protocols(from)?, Condition::Protocol);
        all.extend(self.family(from.family)?.map(Condition::Ipv6));
        some(&mut all, self.addresses("neighbor", &from.neighbors)?, Condition::Neighbor);
        some(&mut all, self.addresses("neighbor", &to.neighbors)?, Condition::Target);
        all.extend(self.route_type(&from.route_type)?.map(Condition::External));
        all.extend(self.origin(&from.origin)?.map(Condition::Origin));
        all.extend(from.metric.map(Condition::Metric));
        all.extend(from.local_preference.map(Condition::LocalPreference));
        all.extend(from.preference.map(Condition::Preference));
        some(&mut all, from.tags.clone(), Condition::Tag);
        some(&mut all, self.addresses("next-hop", &from.next_hops)?, Condition::NextHop);
        some(&mut all, self.comparisons(&from.as_path_lengths)?, Condition::AsPathLength);
        some(&mut all, self.comparisons(&from.community_counts)?, Condition::CommunityCount);
        let lists = from.prefix_lists.iter().map(|name| self.find(&self.lists.prefix_lists, "prefix-list", name));
        some(&mut all, lists.collect::<Result<_, _>>()?, Condition::PrefixList);
        if !from.route_filters.is_empty() {
            all.push(Condition::RouteFilter(self.route_filters(&from.route_filters)?));
        }
        if !from.prefix_list_filters.is_empty() {
            all.push(Condition::RouteFilter(self.prefix_list_filters(&from.prefix_list_filters)?));
        }
        let communities = from.communities.iter().map(|name| self.find(&self.lists.communities, "community", name));
        some(&mut all, communities.collect::<Result<_, _>>()?, Condition::Community);
        all.extend(self.as_paths(from)?);
        some(&mut all, subroutines, Condition::Policy);
        Ok(all)
    }

    fn protocols(&self, from: &v1::PolicyMatch) -> Result<Vec<Protocol>, PolicyError> {
        let protocol = |name: &String| {
            Protocol::from_name(name).ok_or_else(|| self.invalid("protocol", name, "bgp, static, direct or aggregate"))
        };
        from.protocols.iter().map(protocol).collect()
    }

    fn addresses(&self, what: &'static str, texts: &[String]) -> Result<Vec<IpAddr>, PolicyError> {
        texts.iter().map(|text| self.address(what, text)).collect()
    }

    fn family(&self, family: i32) -> Result<Option<bool>, PolicyError> {
        match v1::AddressFamily::try_from(family) {
            Ok(v1::AddressFamily::Unspecified) => Ok(None),
            Ok(v1::AddressFamily::Ipv4Unicast) => Ok(Some(false)),
            Ok(v1::AddressFamily::Ipv6Unicast) => Ok(Some(true)),
            Err(_) => Err(self.invalid("family", &family.to_string(), "inet or inet6")),
        }
    }

    fn route_type(&self, name: &str) -> Result<Option<bool>, PolicyError> {
        match name {
            "" => Ok(None),
            "external" => Ok(Some(true)),
            "internal" => Ok(Some(false)),
            other => Err(self.invalid("route-type", other, "external or internal")),
        }
    }

    pub(super) fn origin(&self, name: &str) -> Result<Option<Origin>, PolicyError> {
        if name.is_empty() {
            return Ok(None);
        }
        let origin = Origin::from_name(name);
        origin.map(Some).ok_or_else(|| self.invalid("origin", name, "igp, egp or incomplete"))
    }

    fn comparisons(&self, matches: &[v1::NumberMatch]) -> Result<Vec<Comparison>, PolicyError> {
        use v1::number_match::Kind;
        let comparison = |wanted: &v1::NumberMatch| match Kind::try_from(wanted.kind) {
            Ok(Kind::Equal) => Ok(Comparison::Equal(wanted.number)),
            Ok(Kind::OrHigher) => Ok(Comparison::OrHigher(wanted.number)),
            Ok(Kind::OrLower) => Ok(Comparison::OrLower(wanted.number)),
            Err(_) => Err(self.invalid("comparison", &wanted.kind.to_string(), "equal, orhigher or orlower")),
        };
        matches.iter().map(comparison).collect()
    }

    fn as_paths(&self, from: &v1::PolicyMatch) -> Result<Vec<Condition>, PolicyError> {
        let mut conditions = Vec::new();
        let paths = from.as_paths.iter().map(|name| self.find(&self.lists.as_paths, "as-path", name));
        some(&mut conditions, paths.collect::<Result<_, _>>()?, Condition::AsPath);
        let groups =
            from.as_path_groups.iter().map(|name| self.find(&self.lists.as_path_groups, "as-path-group", name));
        let groups = groups.collect::<Result<Vec<_>, _>>()?;
        if !groups.is_empty() {
            // A group without members matches nothing.
            conditions.push(Condition::AsPath(groups.iter().flat_map(|group| group.iter().cloned()).collect()));
        }
        Ok(conditions)
    }

    fn kind(&self, kind: i32) -> Result<Kind, PolicyError> {
        let required = "exact, orlonger, longer, upto or prefix-length-range";
        Kind::try_from(kind).map_err(|_| self.invalid("route-filter kind", &kind.to_string(), required))
    }

    fn route_filters(&self, filters: &[v1::RouteFilter]) -> Result<RouteFilters, PolicyError> {
        let mut compiled = RouteFilters::default();
        for filter in filters {
            let network = lists::prefix(&filter.prefix, || self.place())?;
            match self.kind(filter.kind)? {
                Kind::Upto => self.range(&mut compiled, network, network.prefix_len().into(), filter.upto, "upto")?,
                Kind::LengthRange => {
                    self.range(&mut compiled, network, filter.from_length, filter.upto, "prefix-length-range")?;
                }
                kind => simple(&mut compiled, network, kind),
            }
        }
        Ok(compiled)
    }

    fn range(
        &self,
        compiled: &mut RouteFilters,
        network: IpNet,
        shortest: u32,
        longest: u32,
        name: &str,
    ) -> Result<(), PolicyError> {
        let (own, most) = (network.prefix_len(), network.max_prefix_len());
        let within = |length: u32| u8::try_from(length).ok().filter(|length| (own..=most).contains(length));
        match (within(shortest), within(longest)) {
            (Some(shortest), Some(longest)) if shortest <= longest => {
                compiled.push(network, shortest, longest);
                Ok(())
            }
            _ => {
                let lengths = if name == "upto" { format!("/{longest}") } else { format!("/{shortest}-/{longest}") };
                let required = "lengths from the prefix's own to 32 (IPv4) or 128 (IPv6), the shorter one first";
                Err(self.invalid("route-filter", &format!("{network} {name} {lengths}"), required))
            }
        }
    }

    fn prefix_list_filters(&self, filters: &[v1::PrefixListFilter]) -> Result<RouteFilters, PolicyError> {
        let mut compiled = RouteFilters::default();
        for filter in filters {
            let list = self.find(&self.lists.prefix_lists, "prefix-list", &filter.name)?;
            let kind = self.kind(filter.kind)?;
            if !matches!(kind, Kind::Exact | Kind::Longer | Kind::Orlonger) {
                return Err(self.invalid("prefix-list-filter", kind.as_str_name(), "exact, longer or orlonger"));
            }
            list.iter().for_each(|network| simple(&mut compiled, *network, kind));
        }
        Ok(compiled)
    }
}

fn simple(compiled: &mut RouteFilters, network: IpNet, kind: Kind) {
    let (length, longest) = (network.prefix_len(), network.max_prefix_len());
    match kind {
        Kind::Orlonger => compiled.push(network, length, longest),
        // Of a host prefix nothing is longer: the range is empty and never matches.
        Kind::Longer => compiled.push(network, length + 1, longest),
        _ => compiled.push(network, length, length),
    }
}

/// A condition without values asks nothing.
fn some<T>(all: &mut Vec<Condition>, values: Vec<T>, condition: impl FnOnce(Vec<T>) -> Condition) {
    if !values.is_empty() {
        all.push(condition(values));
    }
}
