//! Policies against an evaluator that changes a copy of the route as it goes, straight from the configuration's messages.

use super::PolicySet;
use super::tests::{Route, route, strings};
use crate::changes::Changes;
use crate::route::{Disposition, Origin};
use holdfast_proto::v1;
use proptest::prelude::*;
use v1::policy_actions::Disposition as Then;

/// Lists that every case has: names, and what a member of the model's small world is.
const COMMUNITIES: [(&str, &[&str], bool); 4] =
    [("one", &["1:1"], false), ("both", &["1:1", "1:2"], false), ("any", &["1:*"], false), ("none", &["1:[12]"], true)];
const AS_PATHS: [(&str, &str); 3] = [("near", "1 .*"), ("twice", ".* 2 2 .*"), ("short", ".{0,2}")];

fn carries(name: &str, communities: &[u32]) -> bool {
    let has = |value: u32| communities.contains(&(1 << 16 | value));
    match name {
        "one" => has(1),
        "both" => has(1) && has(2),
        "any" => communities.iter().any(|value| value >> 16 == 1),
        _ => !(has(1) || has(2)),
    }
}

fn covers(name: &str, value: u32) -> bool {
    match name {
        "one" => value == 1 << 16 | 1,
        "both" => value == 1 << 16 | 1 || value == 1 << 16 | 2,
        "any" => value >> 16 == 1,
        _ => !(value == 1 << 16 | 1 || value == 1 << 16 | 2),
    }
}

fn path_matches(name: &str, path: &[u32]) -> bool {
    match name {
        "near" => path.first() == Some(&1),
        "twice" => path.windows(2).any(|pair| pair == [2, 2]),
        _ => path.len() <= 2,
    }
}

/// A route that is changed in place.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    communities: Vec<u32>,
    path: Vec<u32>,
    local_preference: u32,
    metric: Option<u32>,
    origin: Origin,
    tag: u32,
}

impl Model {
    fn fits(&mut self, from: &v1::PolicyMatch, options: &v1::PolicyOptions, default: bool) -> bool {
        let length = self.path.len() as u32;
        let plain = from.metric.is_none_or(|metric| self.metric == Some(metric))
            && from.local_preference.is_none_or(|wanted| self.local_preference == wanted)
            && (from.origin.is_empty() || self.origin.name() == from.origin)
            && (from.tags.is_empty() || from.tags.contains(&self.tag))
            && (from.communities.is_empty() || from.communities.iter().any(|name| carries(name, &self.communities)))
            && (from.as_paths.is_empty() || from.as_paths.iter().any(|name| path_matches(name, &self.path)))
            && (from.as_path_lengths.is_empty()
                || from.as_path_lengths.iter().any(|wanted| match wanted.kind {
                    0 => length == wanted.number,
                    1 => length >= wanted.number,
                    _ => length <= wanted.number,
                }));
        if !plain || from.policies.is_empty() {
            return plain;
        }
        let mut copy = self.clone();
        let asked = from.policies.iter().map(|name| options.statements.iter().find(|s| s.name == *name).unwrap());
        let accepted = copy.run(&asked.collect::<Vec<_>>(), options, default);
        if accepted {
            *self = copy;
        }
        accepted
    }

    fn change(&mut self, then: &v1::PolicyActions) {
        let changed = |change: &v1::NumberChange, before: u32| match change.kind {
            0 => before.saturating_add(change.amount),
            _ => before.saturating_sub(change.amount),
        };
        self.local_preference = then.local_preference.unwrap_or(self.local_preference);
        if let Some(change) = &then.local_preference_change {
            self.local_preference = changed(change, self.local_preference);
        }
        self.metric = then.metric.or(self.metric);
        if let Some(change) = &then.metric_change {
            self.metric = Some(changed(change, self.metric.unwrap_or(0)));
        }
        self.origin = Origin::from_name(&then.origin).unwrap_or(self.origin);
        self.tag = then.tag.unwrap_or(self.tag);
        for action in &then.communities {
            match action.kind {
                0 => (0..4).map(|value| 1 << 16 | value).filter(|value| covers(&action.community, *value)).for_each(
                    |value| {
                        if !self.communities.contains(&value) {
                            self.communities.push(value);
                        }
                    },
                ),
                1 => self.communities.retain(|value| !covers(&action.community, *value)),
                _ => self.communities = (0..4).map(|v| 1 << 16 | v).filter(|v| covers(&action.community, *v)).collect(),
            }
        }
        self.path.splice(0..0, then.as_path_prepend.iter().copied());
    }

    fn run(&mut self, statements: &[&v1::PolicyStatement], options: &v1::PolicyOptions, mut default: bool) -> bool {
        for statement in statements {
            for term in &statement.terms {
                if !self.fits(&term.r#match.clone().unwrap_or_default(), options, default) {
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

fn names(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        4 => Just(Vec::new()),
        2 => prop::sample::subsequence(names, 1..=names.len()).prop_map(|names| strings(&names)),
    ]
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(value: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<T>> {
    prop_oneof![4 => Just(None), 1 => value.prop_map(Some)].boxed()
}

/// `number`: of the statement, which asks only later ones.
fn conditions(number: usize) -> impl Strategy<Value = v1::PolicyMatch> {
    let asked: &'static [&'static str] = [&["S1", "S2"][..], &["S2"], &[]][number];
    let policies = if asked.is_empty() { Just(Vec::new()).boxed() } else { names(asked).boxed() };
    let length = maybe((0u32..5, 0i32..3).prop_map(|(number, kind)| v1::NumberMatch { number, kind }));
    let origin = prop_oneof![4 => Just(""), 1 => Just("igp"), 1 => Just("egp")];
    let lists = (names(&["one", "both", "any", "none"]), names(&["near", "twice", "short"]), policies);
    (lists, maybe(0u32..4), maybe(98u32..103), maybe(0u32..3), origin, length).prop_map(
        |((communities, as_paths, policies), metric, local_preference, tag, origin, length)| v1::PolicyMatch {
            communities,
            as_paths,
            policies,
            metric,
            local_preference,
            tags: tag.into_iter().collect(),
            origin: origin.to_owned(),
            as_path_lengths: length.into_iter().collect(),
            ..Default::default()
        },
    )
}

fn actions() -> impl Strategy<Value = v1::PolicyActions> {
    let number = || maybe((0i32..2, 0u32..3).prop_map(|(kind, amount)| v1::NumberChange { kind, amount }));
    let plain = prop::sample::select(vec!["one", "both"]);
    let change = prop_oneof![
        (prop::sample::select(vec![0, 2]), plain).prop_map(|(kind, name)| (kind, name)),
        prop::sample::select(vec!["one", "both", "any", "none"]).prop_map(|name| (1, name)),
    ];
    let change = change.prop_map(|(kind, name)| v1::CommunityAction { kind, community: name.to_owned() });
    let numbers = (maybe(100u32..102), number(), maybe(0u32..3), number(), maybe(0u32..3));
    let (prepend, communities) = (prop::collection::vec(1u32..3, 0..2), prop::collection::vec(change, 0..2));
    (0i32..4, prop_oneof![3 => Just(0i32), 1 => 1i32..3], numbers, communities, prepend).prop_map(
        |(disposition, default_action, (local_preference, by, metric, metric_by, tag), communities, prepend)| {
            v1::PolicyActions {
                disposition,
                default_action,
                local_preference_change: by.filter(|_| local_preference.is_none()),
                local_preference,
                metric_change: metric_by.filter(|_| metric.is_none()),
                metric,
                tag,
                communities,
                as_path_prepend: prepend,
                ..Default::default()
            }
        },
    )
}

fn statements() -> impl Strategy<Value = Vec<v1::PolicyStatement>> {
    let terms = |number: usize| {
        let term = (conditions(number), actions()).prop_map(|(from, then)| v1::PolicyTerm {
            name: "t".to_owned(),
            r#match: Some(from),
            actions: Some(then),
            to: None,
        });
        prop::collection::vec(term, 0..4)
            .prop_map(move |terms| v1::PolicyStatement { name: format!("S{number}"), terms })
    };
    (terms(0), terms(1), terms(2)).prop_map(|(a, b, c)| vec![a, b, c])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn chains_decide_and_change_as_their_definition_says(
        statements in statements(), communities in prop::sample::subsequence(vec![65536, 65537, 65538, 131_073], 0..=4),
        path in prop::collection::vec(1u32..3, 0..4), metric in maybe(0u32..3), default in any::<bool>(),
    ) {
        let list = |(name, members, invert_match): (&str, &[&str], bool)| v1::CommunityList {
            name: name.to_owned(), members: strings(members), invert_match,
        };
        let as_path = |(name, expression): (&str, &str)| v1::AsPath { name: name.to_owned(), expression: expression.to_owned() };
        let options = v1::PolicyOptions {
            communities: COMMUNITIES.map(list).to_vec(),
            as_paths: AS_PATHS.map(as_path).to_vec(),
            statements,
            ..Default::default()
        };
        let chain = PolicySet::compile(&options).unwrap().chain(&strings(&["S0", "S1"])).unwrap();
        let before = Route {
            communities: communities.clone(),
            extended: Vec::new(),
            large: Vec::new(),
            path: path.iter().map(|asn| vec![*asn]).collect(),
            metric,
            tag: 0,
            ..route("10.0.0.0/8")
        };
        let mut model = Model {
            communities, path, local_preference: 100, metric, origin: Origin::Igp, tag: 0,
        };
        let order: Vec<&v1::PolicyStatement> = options.statements[..2].iter().collect();
        let accepted = model.run(&order, &options, default);

        let mut changes = Changes::default();
        let disposition = if default { Disposition::Accept } else { Disposition::Reject };
        let found = chain.evaluate(&before, disposition, &mut changes) == Disposition::Accept;
        prop_assert_eq!(found, accepted);
        prop_assert_eq!(chain.explain(&before, disposition).disposition == Disposition::Accept, accepted);
        if accepted {
            let after = Model {
                communities: changes.standard_communities(&before.communities),
                path: changes.prepend.iter().copied().chain(before.path.iter().map(|hop| hop[0])).collect(),
                local_preference: changes.local_preference.unwrap_or(100),
                metric: changes.metric.or(metric),
                origin: changes.origin.unwrap_or(Origin::Igp),
                tag: changes.tag.unwrap_or(0),
            };
            prop_assert_eq!(after, model);
        }
    }
}
