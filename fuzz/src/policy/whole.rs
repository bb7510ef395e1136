//! Policies from an operator's text to the decision about a route.

use super::Choices;
use super::model::Model;
use super::text::policies;
use super::world::{Community, Route};
use crate::configuration::with_schema;
use holdfast_config::Configuration;
use holdfast_policy::{Chain, Changes, Disposition, PolicySet};

/// Routes that one policy is asked about.
const ROUTES_MAX: usize = 8;

/// Decisions that make a policy, then routes.
pub fn check_policy(input: &[u8]) {
    let mut choices = Choices::new(input);
    let text = policies(&mut choices);
    let compiled = with_schema(|schema| Configuration::parse("fuzz", &text, schema).map(|read| read.compile(1)));
    let options = match compiled {
        Ok(config) => config.policy.unwrap_or_default(),
        Err(errors) => panic!("{text}{}", errors[0]),
    };
    let names = ["S0".to_owned(), "S1".to_owned()];
    let set = PolicySet::compile(&options).expect("what has passed the commit compiles");
    let chain = set.chain(&names).expect("statements that are there");
    for _ in 0..ROUTES_MAX {
        let (route, default) = (Route::choose(&mut choices), choices.maybe());
        let mut model = Model::new(&route, &options);
        let accepted = model.run(&names, default);
        let (disposition, changes) = decide(&chain, &route, default);
        assert_eq!(disposition == Disposition::Accept, accepted, "{route:?}\n{text}");
        if accepted {
            assert_changes(&route, &changes, &model, &text);
        }
        assert!(accepted || changes.is_empty());
        looks_only_where_it_says(&chain, &route, default, &(disposition, changes), &mut choices);
        if choices.is_empty() {
            return;
        }
    }
}

fn decide(chain: &Chain, route: &Route, default: bool) -> (Disposition, Changes) {
    let default = if default { Disposition::Accept } else { Disposition::Reject };
    let mut changes = Changes::default();
    let disposition = chain.evaluate(route, default, &mut changes);
    let explained = chain.explain(route, default);
    assert_eq!((explained.disposition, &explained.changes), (disposition, &changes));
    (disposition, changes)
}

/// The route with the changes is the model's route.
fn assert_changes(before: &Route, changes: &Changes, model: &Model<'_>, text: &str) {
    let standard = changes.standard_communities(&before.standard);
    let extended = changes.extended_communities(&before.extended);
    let large = changes.large_communities(&before.large);
    let mut communities: Vec<Community> = standard.into_iter().map(Community::Standard).collect();
    communities.extend(extended.into_iter().map(Community::Extended));
    communities.extend(large.into_iter().map(Community::Large));
    let sorted = |values: &[Community]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values
    };
    assert_eq!(sorted(&communities), sorted(&model.communities), "{before:?}\n{text}");
    let after = Route {
        origin: changes.origin.unwrap_or(before.origin),
        local_preference: changes.local_preference.unwrap_or(before.local_preference),
        metric: changes.metric.or(before.metric),
        preference: changes.preference.unwrap_or(before.preference),
        tag: changes.tag.unwrap_or(before.tag),
        ..before.clone()
    };
    assert_eq!(after, model.route, "{text}");
    let path = (changes.prepend.to_vec(), u32::from(changes.expand), changes.next_hop);
    assert_eq!(path, (model.prepended.clone(), model.expanded, model.next_hop), "{before:?}\n{text}");
}

/// Outcomes are remembered per family and set of attributes, unless the chain says what else they depend on. So they must not.
fn looks_only_where_it_says(
    chain: &Chain,
    route: &Route,
    default: bool,
    outcome: &(Disposition, Changes),
    choices: &mut Choices<'_>,
) {
    let mut other = Route::choose(choices);
    if chain.depends_on_prefix() || other.prefix.addr().is_ipv4() != route.prefix.addr().is_ipv4() {
        other.prefix = route.prefix;
    }
    if chain.depends_on_neighbor() {
        (other.neighbor, other.external) = (route.neighbor, route.external);
    }
    if chain.depends_on_target() {
        other.target = route.target;
    }
    let same = Route {
        prefix: other.prefix,
        neighbor: other.neighbor,
        external: other.external,
        target: other.target,
        ..route.clone()
    };
    assert_eq!(decide(chain, &same, default), *outcome, "{route:?} {same:?}");
}
