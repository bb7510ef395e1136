//! Policies for operators: which are in force, and what one would do with the routes that are there.

use holdfast_policy::{Chain, Changes, Disposition, Explanation, NextHopAction, Protocol};
use holdfast_proto::v1;
use holdfast_rib::{Family, PrefixId, Protocol as RibProtocol, Rib};
use ipnet::IpNet;

use crate::wire::{NextHop, PathAttributes};

use super::Speaker;
use super::attributes::AttributeId;
use super::group::ourselves;
use super::import_rules::ImportRules;
use super::local::LocalPart;
use super::neighbor::Neighbor;
use super::policy_view::{PolicyRoute, apply_changes, expand_path};
use super::table::{NeighborId, Path};
use super::views::attributes_view;

/// For which neighbour a policy is tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct TriedFor {
    /// With the routes of this one as it sent them.
    pub from: Option<NeighborId>,
    /// With routes as they are told to this one; what it has told itself is left out.
    pub to: Option<NeighborId>,
}

impl Speaker {
    /// The policies in force; `name` empty: all of them.
    pub fn policies(&self, name: &str) -> v1::Policies {
        let asked_by = |name: &str| {
            let asking = self.policies.summaries().filter(|other| other.asks.contains(&name));
            asking.map(|other| other.name.to_owned()).collect()
        };
        let used_by = |name: &str, of: fn(&v1::BgpNeighborConfig) -> &Vec<String>| {
            let using = |neighbor: &&Neighbor| of(&neighbor.config).iter().any(|used| used == name);
            self.neighbors.iter().flatten().filter(using).map(|neighbor| neighbor.address.to_string()).collect()
        };
        let view = |policy: holdfast_policy::Summary<'_>| {
            let mut asks: Vec<String> = policy.asks.iter().map(ToString::to_string).collect();
            asks.sort();
            asks.dedup();
            v1::Policy {
                name: policy.name.to_owned(),
                terms: policy.terms as u32,
                import_of: used_by(policy.name, |config| &config.import_policies),
                export_of: used_by(policy.name, |config| &config.export_policies),
                asks,
                asked_by: asked_by(policy.name),
                depends_on: policy.depends_on().into_iter().map(str::to_owned).collect(),
                definition: String::new(),
            }
        };
        let wanted = |policy: &holdfast_policy::Summary<'_>| name.is_empty() || policy.name == name;
        v1::Policies { policies: self.policies.summaries().filter(wanted).map(view).collect() }
    }

    /// Which term of its neighbour's import policy rejects a path.
    pub(super) fn rejected_by(&self, rib: &Rib, family: Family, prefix_id: PrefixId, path: &Path) -> Option<String> {
        let subject = self.subject_of_import(path.neighbor, path.received)?;
        let route = subject.route(rib.prefixes(family).try_prefix(prefix_id)?);
        let explained = subject.neighbor.import.explain(&route, Disposition::Accept);
        Some(match explained.decided_by {
            Some((policy, term)) if term.is_empty() => format!("rejected by import policy {policy}"),
            Some((policy, term)) => format!("rejected by import policy {policy} term {term}"),
            None => "rejected by import policy, by its default action".to_owned(),
        })
    }

    /// A policy by itself, as a chain; the error says which there are.
    pub fn policy(&self, name: &str) -> Result<Chain, String> {
        self.policies.chain(&[name.to_owned()]).map_err(|_| {
            let names: Vec<&str> = self.policies.summaries().map(|policy| policy.name).collect();
            let known = if names.is_empty() { "none is configured".to_owned() } else { names.join(", ") };
            format!("policy-statement {name} is not in force; these are: {known}")
        })
    }

    /// What a policy would do with the routes to one destination: with those of one neighbour as it sent them, or with all
    /// that import has let in, as told to one neighbour or to nobody in particular. Routes of BGP are accepted by default, others are not.
    pub fn test_policy(
        &self,
        rib: &Rib,
        chain: &Chain,
        tried: TriedFor,
        family: Family,
        prefix_id: PrefixId,
    ) -> Vec<v1::TestedRoute> {
        let TriedFor { from, to } = tried;
        let told_to = to.and_then(|to| self.get(to)).map(|neighbor| neighbor.address);
        let Some(prefix) = rib.prefixes(family).try_prefix(prefix_id) else { return Vec::new() };
        let mut tested = Vec::new();
        // In one order, whatever the order of arrival: an engine that takes over shows the same.
        let mut paths: Vec<_> = self.tables[family.index()].identified(prefix_id).collect();
        paths.sort_by_key(|(identifier, path)| (self.get(path.neighbor).map(|n| n.address), *identifier));
        for (_, path) in paths {
            let wanted = from.is_none_or(|from| from == path.neighbor) && to != Some(path.neighbor);
            let subject = match from {
                Some(_) => self.subject_of_import(path.neighbor, path.received),
                None => self.subject(path.neighbor, path.effective),
            };
            let Some(subject) = subject.filter(|_| wanted) else { continue };
            let mut view = subject.view.clone();
            (view.table, view.prefix) = (family.table().into(), prefix.to_string());
            view.learned_from = subject.neighbor.address.to_string();
            let route = subject.route(prefix);
            let route = PolicyRoute { target: told_to.or(route.target), ..route };
            tested.push(test(chain, &route, view, Disposition::Accept));
        }
        let locals = rib.candidates(family, prefix_id).into_iter().map(|candidate| candidate.route);
        for local in locals.filter(|route| from.is_none() && route.protocol != RibProtocol::Bgp) {
            let Some(protocol) = Protocol::from_name(local.protocol.name()) else { continue };
            let route = PolicyRoute {
                prefix,
                protocol,
                neighbor: None,
                target: told_to,
                external: None,
                next_hop: ourselves(family),
                local: LocalPart { preference: Some(local.preference), tag: local.tag, ..LocalPart::default() },
                attributes: &PathAttributes::default(),
            };
            let view = v1::Route {
                table: family.table().into(),
                prefix: prefix.to_string(),
                protocol: protocol.name().into(),
                preference: local.preference.into(),
                tag: local.tag,
                ..v1::Route::default()
            };
            tested.push(test(chain, &route, view, Disposition::Reject));
        }
        tested
    }

    /// As it stands before an import policy.
    fn subject_of_import(&self, neighbor: NeighborId, received: AttributeId) -> Option<Subject<'_>> {
        let mut subject = self.subject(neighbor, received)?;
        let rules = ImportRules::of(&subject.neighbor.config, self.local_as);
        if let Some(preference) = rules.preference_before_policy(&subject.attributes) {
            subject.attributes.local_pref = Some(preference);
            subject.view.local_preference = Some(preference);
        }
        Some(subject)
    }

    fn subject(&self, neighbor: NeighborId, id: AttributeId) -> Option<Subject<'_>> {
        let (neighbor, set) = (self.get(neighbor)?, self.attributes.get(id)?);
        Some(Subject {
            neighbor,
            view: attributes_view(set),
            next_hop: set.next_hop(),
            local: set.local(),
            attributes: set.decode(),
        })
    }
}

impl Subject<'_> {
    /// As an import policy sees it.
    fn route(&self, prefix: IpNet) -> PolicyRoute<'_> {
        PolicyRoute {
            prefix,
            protocol: Protocol::Bgp,
            neighbor: Some(self.neighbor.address),
            target: Some(self.neighbor.address),
            external: Some(!self.neighbor.config.internal),
            next_hop: self.next_hop,
            local: self.local,
            attributes: &self.attributes,
        }
    }
}

/// A route of BGP to be tested.
struct Subject<'s> {
    neighbor: &'s Neighbor,
    view: v1::Route,
    next_hop: NextHop,
    local: LocalPart,
    attributes: PathAttributes,
}

fn test(chain: &Chain, route: &PolicyRoute<'_>, view: v1::Route, default: Disposition) -> v1::TestedRoute {
    let Explanation { disposition, decided_by, steps, changes } = chain.explain(route, default);
    let (policy, term) = decided_by.unwrap_or_default();
    let step = |step: holdfast_policy::Step| v1::PolicyStep {
        policy: step.statement,
        term: step.term,
        depth: step.depth as u32,
    };
    v1::TestedRoute {
        changes: changed(route, &view, &changes),
        route: Some(view),
        accepted: disposition == Disposition::Accept,
        policy,
        term,
        steps: steps.into_iter().map(step).collect(),
    }
}

/// What changes, each before and after.
fn changed(route: &PolicyRoute<'_>, before: &v1::Route, changes: &Changes) -> Vec<v1::PolicyChange> {
    let mut attributes = route.attributes.clone();
    expand_path(&mut attributes.as_path, changes);
    apply_changes(&mut attributes, changes);
    let after = super::views::values_view(&attributes);
    let number = |number: Option<u32>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let asked = |asked: Option<u32>, before: u32| asked.unwrap_or(before).to_string();
    let next_hop = match changes.next_hop {
        None => before.bgp_next_hop.clone(),
        Some(NextHopAction::Address(address)) => address.to_string(),
        Some(NextHopAction::SelfAddress) => "self".into(),
        Some(NextHopAction::PeerAddress) => "peer-address".into(),
        Some(NextHopAction::Discard) => "discard".into(),
        Some(NextHopAction::Reject) => "reject".into(),
    };
    let all = [
        ("next-hop", before.bgp_next_hop.clone(), next_hop),
        ("as-path", before.as_path.clone(), after.as_path),
        ("origin", route.attributes.origin.to_string(), after.origin),
        ("local-preference", number(before.local_preference), number(after.local_preference)),
        ("metric", number(before.med), number(after.med)),
        ("communities", before.communities.join(" "), after.communities.join(" ")),
        ("preference", before.preference.to_string(), asked(changes.preference, before.preference)),
        ("tag", before.tag.to_string(), asked(changes.tag, before.tag)),
    ];
    let differs = |(_, before, after): &(&str, String, String)| before != after;
    all.into_iter()
        .filter(differs)
        .map(|(what, before, after)| v1::PolicyChange { what: what.into(), before, after })
        .collect()
}
