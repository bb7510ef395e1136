//! What terms change, and what later terms see of it.

use super::*;
use crate::limits::{CHAIN_MAX, PREPENDED_MAX};

#[test]
fn actions_gather_over_terms_and_the_later_wins() {
    let first = v1::PolicyActions {
        local_preference: Some(200),
        metric: Some(5),
        as_path_prepend: vec![65001, 65001],
        next_hop: "192.0.2.1".to_owned(),
        ..then(Then::NextTerm)
    };
    let second = v1::PolicyActions {
        local_preference: Some(300),
        as_path_prepend: vec![65002],
        next_hop_self: true,
        ..then(Then::NextPolicy)
    };
    let chain = chain(vec![
        vec![
            term("a", carrying("one"), first),
            term("b", Default::default(), second),
            term("c", Default::default(), then(Then::Reject)),
        ],
        vec![term("d", Default::default(), v1::PolicyActions { metric: Some(7), ..then(Then::Accept) })],
    ]);
    let explained = chain.explain(&route("10.0.0.0/8"), Disposition::Reject);
    assert_eq!(explained.disposition, Disposition::Accept);
    assert_eq!(explained.decided_by, Some(("P1".to_owned(), "d".to_owned())));
    let changes = explained.changes;
    assert_eq!((changes.local_preference, changes.metric), (Some(300), Some(7)));
    assert_eq!(changes.next_hop, Some(NextHopAction::SelfAddress));
    assert_eq!(changes.prepend.as_slice(), [65002, 65001, 65001]);
}

/// An address is a next hop for routes of its family. For others nothing is asked, whatever was asked before.
#[test]
fn an_address_of_the_other_family_asks_for_nothing() {
    use v1::policy_actions::NextHopKind;
    let named = |address: &str| v1::PolicyActions { next_hop: address.to_owned(), ..then(Then::NextTerm) };
    let peer = v1::PolicyActions { next_hop_kind: NextHopKind::PeerAddress.into(), ..then(Then::NextTerm) };
    let asked = |terms: &[v1::PolicyActions], prefix: &str| {
        let terms = terms.iter().map(|then| term("t", Default::default(), then.clone())).collect();
        chain(vec![terms]).explain(&route(prefix), Disposition::Accept).changes.next_hop
    };
    let address = |text: &str| Some(NextHopAction::Address(text.parse().unwrap()));
    let both = [named("192.0.2.1"), named("2001:db8::1")];
    assert_eq!(asked(&both, "10.0.0.0/8"), address("192.0.2.1"));
    assert_eq!(asked(&both, "2001:db8:1::/48"), address("2001:db8::1"));
    // The neighbour is 10.0.0.2.
    let peer = [named("2001:db8::1"), peer];
    assert_eq!(asked(&peer, "10.0.0.0/8"), Some(NextHopAction::PeerAddress));
    assert_eq!(asked(&peer, "2001:db8:1::/48"), address("2001:db8::1"));
}

#[test]
fn a_rejected_route_is_not_changed() {
    let reject = v1::PolicyActions { metric: Some(7), ..then(Then::Reject) };
    let chain = chain(vec![vec![term("t", Default::default(), reject)]]);
    let mut changes = Changes::default();
    assert_eq!(chain.evaluate(&route("10.0.0.0/8"), Disposition::Accept, &mut changes), Disposition::Reject);
    assert!(changes.is_empty());
}

#[test]
fn later_terms_see_the_communities_of_earlier_ones() {
    let swap = v1::PolicyActions {
        communities: vec![change(Action::Delete, "one"), change(Action::Add, "two")],
        ..then(Then::NextTerm)
    };
    let chain = chain(vec![vec![
        term("swap", Default::default(), swap),
        term("one is gone", carrying("one"), then(Then::Reject)),
        term("two is there", carrying("two"), then(Then::Accept)),
    ]]);
    let mut changes = Changes::default();
    assert_eq!(chain.evaluate(&route("10.0.0.0/8"), Disposition::Reject, &mut changes), Disposition::Accept);
    assert_eq!(changes.standard_communities(&[7, 0xfde8_0001, 9]), [7, 9, 0xfde8_0002]);
    assert_eq!(changes.large_communities(&[[1, 2, 3]]), [[1, 2, 3]]);
}

#[test]
fn set_replaces_and_makes_equal_what_came_by_different_ways() {
    let set = |before: Vec<v1::CommunityAction>| {
        let communities = before.into_iter().chain([change(Action::Set, "hidden")]).collect();
        let actions = v1::PolicyActions { communities, ..then(Then::Accept) };
        let chain = chain(vec![vec![term("t", Default::default(), actions)]]);
        let mut changes = Changes::default();
        chain.evaluate(&route("10.0.0.0/8"), Disposition::Reject, &mut changes);
        changes
    };
    let changes = set(vec![]);
    assert_eq!(changes, set(vec![change(Action::Add, "two"), change(Action::Delete, "one")]));
    assert_eq!(changes.standard_communities(&[1, 2, 3]), [0xffff_ff01]);
    assert!(changes.large_communities(&[[1, 2, 3]]).is_empty());
}

#[test]
fn numbers_are_added_and_subtracted_within_their_range() {
    use v1::number_change::Kind;
    let change = |kind: Kind, amount| Some(v1::NumberChange { kind: kind.into(), amount });
    let actions = v1::PolicyActions {
        local_preference_change: change(Kind::Subtract, 30),
        metric_change: change(Kind::Add, 1),
        origin: "egp".into(),
        ..then(Then::NextTerm)
    };
    let again = v1::PolicyActions {
        local_preference_change: change(Kind::Subtract, 80),
        metric_change: change(Kind::Add, u32::MAX),
        ..then(Then::Accept)
    };
    let fits =
        v1::PolicyMatch { metric: Some(51), local_preference: Some(70), origin: "egp".into(), ..Default::default() };
    let chain = chain(vec![vec![term("a", Default::default(), actions), term("b", fits, again)]]);
    let explained = chain.explain(&route("10.0.0.0/8"), Disposition::Reject);
    assert_eq!(explained.disposition, Disposition::Accept);
    assert_eq!((explained.changes.local_preference, explained.changes.metric), (Some(0), Some(u32::MAX)));
    assert_eq!(explained.changes.origin, Some(Origin::Egp));
}

#[test]
fn only_values_are_added_and_set_but_patterns_are_deleted() {
    let with = |kind, name| {
        let actions = v1::PolicyActions { communities: vec![change(kind, name)], ..then(Then::Accept) };
        PolicySet::compile(&options(vec![vec![term("t", Default::default(), actions)]]))
    };
    for name in ["many", "foreign"] {
        let refused = with(Action::Add, name).unwrap_err().to_string();
        assert!(refused.contains("without wildcards"), "{refused}");
        assert!(with(Action::Set, name).is_err());
    }
    let after = |name| {
        let chain = with(Action::Delete, name).unwrap().chain(&strings(&["P0"])).unwrap();
        let mut changes = Changes::default();
        chain.evaluate(&route("10.0.0.0/8"), Disposition::Reject, &mut changes);
        let extended = changes.extended_communities(&[[0, 2, 0, 1, 0, 0, 0, 1], [0x40, 4, 0, 1, 0, 0, 0, 1]]);
        (changes.standard_communities(&[0xfde8_0001, 7]), extended.len(), changes.large_communities(&[[1, 2, 3]]).len())
    };
    assert_eq!(after("many"), (vec![7], 1, 1));
    assert_eq!(after("foreign"), (vec![0xfde8_0001], 0, 0), "all but those it names");
    assert_eq!(after("one"), (vec![7], 2, 1));
}

#[test]
fn a_chain_prepends_no_more_than_a_message_bears() {
    let prepends = |asn: u32| v1::PolicyActions { as_path_prepend: vec![asn; 30], ..then(Then::NextPolicy) };
    let statements = (0..CHAIN_MAX as u32).map(|number| vec![term("t", Default::default(), prepends(65001 + number))]);
    let chain = chain(statements.collect());
    let mut changes = Changes::default();
    chain.evaluate(&route("10.0.0.0/8"), Disposition::Accept, &mut changes);
    assert_eq!(changes.prepend.len(), PREPENDED_MAX);
    assert_eq!((changes.prepend[0], changes.prepend[15]), (65009, 65008), "the last that found room is in front");
    assert_eq!(changes.prepend.last(), Some(&65001));
}

/// Community actions over four values, and what is asked at the end.
fn steps() -> impl Strategy<Value = Vec<(u8, Vec<u16>)>> {
    prop::collection::vec((0u8..3, prop::collection::vec(0u16..4, 1..4)), 0..8)
}

proptest! {
    /// Asking a changed route for a community gives the same answer as changing it first and then looking.
    #[test]
    fn matching_sees_what_applying_does(
        steps in steps(), before in prop::collection::btree_set(0u16..4, 0..4), wanted in prop::collection::vec(0u16..4, 1..3),
    ) {
        let member = |value: &u16| [format!("1:{value}"), format!("large:1:1:{value}")];
        let list = |name: String, values: &[u16]| v1::CommunityList { name, members: values.iter().flat_map(member).collect(), ..Default::default() };
        let lists = steps.iter().enumerate().map(|(number, (_, values))| list(number.to_string(), values));
        let terms = steps.iter().enumerate().map(|(number, (kind, _))| {
            let communities = vec![v1::CommunityAction { kind: (*kind).into(), community: number.to_string() }];
            term("change", Default::default(), v1::PolicyActions { communities, ..Default::default() })
        });
        let options = v1::PolicyOptions {
            communities: lists.chain([list("wanted".to_owned(), &wanted)]).collect(),
            statements: vec![v1::PolicyStatement {
                name: "P".to_owned(),
                terms: terms.chain([term("look", carrying("wanted"), then(Then::Accept)), term("keep", Default::default(), then(Then::Reject))]).collect(),
            }],
            ..Default::default()
        };
        let chain = PolicySet::compile(&options).unwrap().chain(&strings(&["P"])).unwrap();
        let mut route = route("10.0.0.0/8");
        route.communities = before.iter().map(|value| 1 << 16 | u32::from(*value)).collect();
        route.large = before.iter().map(|value| [1, 1, u32::from(*value)]).collect();
        let mut changes = Changes::default();
        let accepted = chain.evaluate(&route, Disposition::Reject, &mut changes) == Disposition::Accept;

        let mut model = before.clone();
        for (kind, values) in &steps {
            match kind {
                0 => model.extend(values),
                1 => model.retain(|value| !values.contains(value)),
                _ => model = values.iter().copied().collect(),
            }
        }
        prop_assert_eq!(accepted, wanted.iter().all(|value| model.contains(value)));
        if accepted {
            let mut found = changes.standard_communities(&route.communities);
            found.sort();
            prop_assert_eq!(found, model.iter().map(|value| 1 << 16 | u32::from(*value)).collect::<Vec<_>>());
            let mut found = changes.large_communities(&route.large);
            found.sort();
            prop_assert_eq!(found, model.iter().map(|value| [1, 1, u32::from(*value)]).collect::<Vec<_>>());
        }
    }
}
