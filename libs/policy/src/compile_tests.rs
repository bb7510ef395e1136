//! Configurations as operators write them, the answers they get, and the mistakes they make.

use super::*;
use crate::changes::Changes;
use crate::route::RouteView;
use proptest::prelude::*;
use v1::community_action::Kind as Action;
use v1::route_filter::Kind as Filter;

#[derive(Clone, Debug)]
struct Route {
    prefix: IpNet,
    protocol: Protocol,
    neighbor: Option<IpAddr>,
    communities: Vec<u32>,
    large: Vec<[u32; 3]>,
}

impl RouteView for Route {
    fn prefix(&self) -> IpNet {
        self.prefix
    }
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn neighbor(&self) -> Option<IpAddr> {
        self.neighbor
    }
    fn communities(&self) -> &[u32] {
        &self.communities
    }
    fn large_communities(&self) -> &[[u32; 3]] {
        &self.large
    }
}

fn route(prefix: &str) -> Route {
    let neighbor = Some("10.0.0.2".parse().unwrap());
    let (communities, large) = (vec![0xfde8_0001], vec![[65000, 1, 1]]);
    Route { prefix: prefix.parse().unwrap(), protocol: Protocol::Bgp, neighbor, communities, large }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn term(name: &str, from: v1::PolicyMatch, then: v1::PolicyActions) -> v1::PolicyTerm {
    v1::PolicyTerm { name: name.to_owned(), r#match: Some(from), actions: Some(then) }
}

fn then(disposition: Then) -> v1::PolicyActions {
    v1::PolicyActions { disposition: disposition.into(), ..Default::default() }
}

fn change(kind: Action, community: &str) -> v1::CommunityAction {
    v1::CommunityAction { kind: kind.into(), community: community.to_owned() }
}

fn filter(prefix: &str, kind: Filter, upto: u32) -> v1::PolicyMatch {
    let filter = v1::RouteFilter { prefix: prefix.to_owned(), kind: kind.into(), upto };
    v1::PolicyMatch { route_filters: vec![filter], ..Default::default() }
}

fn carrying(community: &str) -> v1::PolicyMatch {
    v1::PolicyMatch { communities: strings(&[community]), ..Default::default() }
}

/// Two prefix lists, four communities, and the statements given, named P0, P1 and so on.
fn options(statements: Vec<Vec<v1::PolicyTerm>>) -> v1::PolicyOptions {
    let list = |name: &str, prefixes: &[&str]| v1::PrefixList { name: name.to_owned(), prefixes: strings(prefixes) };
    let community =
        |name: &str, members: &[&str]| v1::CommunityList { name: name.to_owned(), members: strings(members) };
    let statement = |(number, terms)| v1::PolicyStatement { name: format!("P{number}"), terms };
    v1::PolicyOptions {
        prefix_lists: vec![list("customers", &["203.0.113.0/24", "2001:db8::/32"]), list("nobody", &[])],
        communities: vec![
            community("one", &["65000:1"]),
            community("two", &["65000:2"]),
            community("both", &["65000:1", "large:65000:1:1"]),
            community("hidden", &["no-export"]),
        ],
        statements: statements.into_iter().enumerate().map(statement).collect(),
    }
}

fn chain(statements: Vec<Vec<v1::PolicyTerm>>) -> Chain {
    let names: Vec<String> = (0..statements.len()).map(|number| format!("P{number}")).collect();
    PolicySet::compile(&options(statements)).unwrap().chain(&names).unwrap()
}

fn accepts(from: v1::PolicyMatch, route: &Route) -> bool {
    let chain = chain(vec![vec![term("t", from, then(Then::Accept))]]);
    chain.evaluate(route, Disposition::Reject, &mut Changes::default()) == Disposition::Accept
}

#[test]
fn the_default_decides_when_no_term_does() {
    let mut changes = Changes { metric: Some(1), ..Changes::default() };
    for chain in
        [Chain::default(), chain(vec![vec![]]), chain(vec![vec![term("t", carrying("two"), then(Then::Reject))]])]
    {
        for default in [Disposition::Accept, Disposition::Reject] {
            assert_eq!(chain.evaluate(&route("10.0.0.0/8"), default, &mut changes), default);
            assert!(changes.is_empty(), "what an earlier route left is gone");
        }
    }
}

#[test]
fn every_condition_has_to_match_and_any_of_its_values_suffices() {
    let customer = route("203.0.113.0/24");
    let from = v1::PolicyMatch {
        protocols: strings(&["static", "bgp"]),
        prefix_lists: strings(&["nobody", "customers"]),
        communities: strings(&["two", "both"]),
        neighbors: strings(&["10.0.0.9", "10.0.0.2"]),
        family: v1::AddressFamily::Ipv4Unicast.into(),
        ..filter("203.0.0.0/8", Filter::Orlonger, 0)
    };
    assert!(accepts(v1::PolicyMatch::default(), &customer));
    assert!(accepts(from.clone(), &customer));
    let others = [
        Route { protocol: Protocol::Direct, ..customer.clone() },
        Route { neighbor: None, ..customer.clone() },
        Route { large: vec![], ..customer.clone() },
        route("203.0.113.0/25"),
        route("2001:db8::/32"),
    ];
    others.iter().for_each(|other| assert!(!accepts(from.clone(), other), "{other:?}"));
    let six = v1::PolicyMatch { family: v1::AddressFamily::Ipv6Unicast.into(), ..Default::default() };
    assert!(accepts(six.clone(), &route("2001:db8::/32")) && !accepts(six, &customer));
}

#[test]
fn an_empty_prefix_list_matches_nothing() {
    let from = v1::PolicyMatch { prefix_lists: strings(&["nobody"]), ..Default::default() };
    assert!(!accepts(from, &route("203.0.113.0/24")));
}

#[test]
fn route_filters_by_kind() {
    let lengths = |kind, upto| {
        let prefixes = ["10.0.0.0/7", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "11.0.0.0/8"];
        let from = filter("10.0.0.0/8", kind, upto);
        prefixes.map(|prefix| accepts(from.clone(), &route(prefix)))
    };
    assert_eq!(lengths(Filter::Exact, 0), [false, true, false, false, false, false]);
    assert_eq!(lengths(Filter::Orlonger, 0), [false, true, true, true, true, false]);
    assert_eq!(lengths(Filter::Longer, 0), [false, false, true, true, true, false]);
    assert_eq!(lengths(Filter::Upto, 16), [false, true, true, false, false, false]);
    assert!(!accepts(filter("10.0.0.1/32", Filter::Longer, 0), &route("10.0.0.1/32")));
    assert!(!accepts(filter("::/0", Filter::Orlonger, 0), &route("10.0.0.0/8")));
    assert!(accepts(filter("::/0", Filter::Orlonger, 0), &route("2001:db8::/32")));
}

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
fn chains_say_what_they_look_at() {
    let one = |from| chain(vec![vec![term("t", from, then(Then::Accept))]]);
    let neighbor = v1::PolicyMatch { neighbors: strings(&["10.0.0.2"]), ..Default::default() };
    let plain = one(carrying("one"));
    assert!(!plain.depends_on_prefix() && !plain.depends_on_neighbor() && !plain.is_empty());
    assert!(one(filter("10.0.0.0/8", Filter::Exact, 0)).depends_on_prefix());
    assert!(one(v1::PolicyMatch { prefix_lists: strings(&["nobody"]), ..Default::default() }).depends_on_prefix());
    assert!(one(neighbor.clone()).depends_on_neighbor() && !one(neighbor).depends_on_prefix());
    assert!(Chain::default().is_empty());
}

#[test]
fn chains_are_equal_by_content() {
    let of = |options: &v1::PolicyOptions| PolicySet::compile(options).unwrap().chain(&strings(&["P0"])).unwrap();
    let from = v1::PolicyMatch { prefix_lists: strings(&["customers"]), ..Default::default() };
    let before = options(vec![vec![term("t", from, then(Then::Accept))]]);
    assert_eq!(of(&before), of(&before));
    let mut reordered = before.clone();
    reordered.prefix_lists[0].prefixes.reverse();
    assert_eq!(of(&before), of(&reordered));
    let mut after = before.clone();
    after.prefix_lists[0].prefixes.push("192.0.2.0/24".to_owned());
    assert_ne!(of(&before), of(&after), "the same statement over another list is another policy");
}

#[test]
fn mistakes_are_named_with_their_place() {
    let bad = |change: &dyn Fn(&mut v1::PolicyOptions)| {
        let mut options = options(vec![vec![term("t", Default::default(), Default::default())]]);
        change(&mut options);
        PolicySet::compile(&options).unwrap_err().to_string()
    };
    let from = |change: &dyn Fn(&mut v1::PolicyMatch)| {
        bad(&|options| change(options.statements[0].terms[0].r#match.get_or_insert_default()))
    };
    let does = |change: &dyn Fn(&mut v1::PolicyActions)| {
        bad(&|options| change(options.statements[0].terms[0].actions.get_or_insert_default()))
    };
    let messages = [
        (
            bad(&|o| o.prefix_lists[0].prefixes.push("10.0.0.0/33".into())),
            "prefix-list customers: prefix \"10.0.0.0/33\"",
        ),
        (bad(&|o| o.communities[0].members.push("1:2:3".into())), "community one: member \"1:2:3\""),
        (bad(&|o| o.communities[0].members.clear()), "at least one member"),
        (bad(&|o| o.statements.push(o.statements[0].clone())), "policy-statement P0 is defined twice"),
        (bad(&|o| o.prefix_lists[1].name = "customers".into()), "prefix-list customers is defined twice"),
        (from(&|f| f.prefix_lists = strings(&["x"])), "policy-statement P0 term t: prefix-list x is not defined"),
        (from(&|f| f.communities = strings(&["x"])), "policy-statement P0 term t: community x is not defined"),
        (from(&|f| f.protocols = strings(&["ospf"])), "protocol \"ospf\""),
        (from(&|f| f.neighbors = strings(&["10.0.0"])), "neighbor \"10.0.0\""),
        (from(&|f| f.family = 99), "family \"99\""),
        (from(&|f| *f = filter("10.0.0.0/8", Filter::Upto, 7)), "10.0.0.0/8 upto /7"),
        (from(&|f| *f = filter("10.0.0.0/8", Filter::Upto, 33)), "10.0.0.0/8 upto /33"),
        (from(&|f| *f = filter("10.0.0.0", Filter::Exact, 0)), "prefix \"10.0.0.0\""),
        (from(&|f| f.route_filters.push(v1::RouteFilter { kind: 9, prefix: "::/0".into(), upto: 0 })), "kind \"9\""),
        (does(&|a| a.disposition = 9), "disposition \"9\""),
        (does(&|a| a.next_hop = "self".into()), "next-hop \"self\""),
        (does(&|a| (a.next_hop, a.next_hop_self) = ("10.0.0.1".into(), true)), "either self or one address"),
        (does(&|a| a.as_path_prepend = vec![0]), "as-path-prepend \"0\""),
        (does(&|a| a.as_path_prepend = vec![1; 33]), "at most 32"),
        (does(&|a| a.communities.push(change(Action::Add, "x"))), "term t: community x is not defined"),
    ];
    for (message, expected) in messages {
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    }
    let set = PolicySet::compile(&options(vec![])).unwrap();
    assert_eq!(set.chain(&strings(&["x"])), Err(PolicyError::UndefinedStatement { name: "x".to_owned() }));
    assert!(matches!(set.chain(&vec![String::new(); 65]), Err(PolicyError::ChainTooLong { observed: 65, limit: 64 })));
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
        let list = |name: String, values: &[u16]| v1::CommunityList { name, members: values.iter().flat_map(member).collect() };
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
