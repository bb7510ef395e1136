//! Configurations as operators write them, the answers they get, and the mistakes they make.

use super::*;
use crate::changes::{Changes, NextHopAction};
use crate::route::{Disposition, Origin, Protocol, RouteView};
use ipnet::IpNet;
use proptest::prelude::*;
use std::net::IpAddr;
use v1::community_action::Kind as Action;
use v1::policy_actions::Disposition as Then;
use v1::route_filter::Kind as Filter;

#[derive(Clone, Debug)]
pub(super) struct Route {
    pub prefix: IpNet,
    pub protocol: Protocol,
    pub neighbor: Option<IpAddr>,
    pub communities: Vec<u32>,
    pub extended: Vec<[u8; 8]>,
    pub large: Vec<[u32; 3]>,
    pub target: Option<IpAddr>,
    pub external: Option<bool>,
    pub origin: Origin,
    pub path: Vec<Vec<u32>>,
    pub next_hop: Option<IpAddr>,
    pub local_preference: u32,
    pub metric: Option<u32>,
    pub tag: u32,
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
    fn extended_communities(&self) -> &[[u8; 8]] {
        &self.extended
    }
    fn large_communities(&self) -> &[[u32; 3]] {
        &self.large
    }
    fn target(&self) -> Option<IpAddr> {
        self.target
    }
    fn external(&self) -> Option<bool> {
        self.external
    }
    fn origin(&self) -> Origin {
        self.origin
    }
    fn as_path(&self, hop: &mut dyn FnMut(&[u32])) {
        self.path.iter().for_each(|step| hop(step));
    }
    fn as_path_length(&self) -> u32 {
        self.path.len() as u32
    }
    fn next_hop(&self) -> Option<IpAddr> {
        self.next_hop
    }
    fn local_preference(&self) -> u32 {
        self.local_preference
    }
    fn metric(&self) -> Option<u32> {
        self.metric
    }
    fn preference(&self) -> u32 {
        170
    }
    fn tag(&self) -> u32 {
        self.tag
    }
}

pub(super) fn route(prefix: &str) -> Route {
    Route {
        prefix: prefix.parse().unwrap(),
        protocol: Protocol::Bgp,
        neighbor: Some("10.0.0.2".parse().unwrap()),
        communities: vec![0xfde8_0001],
        extended: vec![[0, 2, 0xfd, 0xe8, 0, 0, 0, 1]],
        large: vec![[65000, 1, 1]],
        target: Some("10.0.0.3".parse().unwrap()),
        external: Some(true),
        origin: Origin::Igp,
        path: vec![vec![65002], vec![65003], vec![1, 2]],
        next_hop: Some("10.0.0.9".parse().unwrap()),
        local_preference: 100,
        metric: Some(50),
        tag: 7,
    }
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn term(name: &str, from: v1::PolicyMatch, then: v1::PolicyActions) -> v1::PolicyTerm {
    v1::PolicyTerm { name: name.to_owned(), r#match: Some(from), actions: Some(then), to: None }
}

fn then(disposition: Then) -> v1::PolicyActions {
    v1::PolicyActions { disposition: disposition.into(), ..Default::default() }
}

fn change(kind: Action, community: &str) -> v1::CommunityAction {
    v1::CommunityAction { kind: kind.into(), community: community.to_owned() }
}

fn filter(prefix: &str, kind: Filter, upto: u32) -> v1::PolicyMatch {
    let filter = v1::RouteFilter { prefix: prefix.to_owned(), kind: kind.into(), upto, from_length: 0 };
    v1::PolicyMatch { route_filters: vec![filter], ..Default::default() }
}

fn carrying(community: &str) -> v1::PolicyMatch {
    v1::PolicyMatch { communities: strings(&[community]), ..Default::default() }
}

/// Two prefix lists, four communities, and the statements given, named P0, P1 and so on.
fn options(statements: Vec<Vec<v1::PolicyTerm>>) -> v1::PolicyOptions {
    let list = |name: &str, prefixes: &[&str]| v1::PrefixList { name: name.to_owned(), prefixes: strings(prefixes) };
    let community = |name: &str, members: &[&str]| v1::CommunityList {
        name: name.to_owned(),
        members: strings(members),
        invert_match: name == "foreign",
    };
    let as_path =
        |name: &str, expression: &str| v1::AsPath { name: name.to_owned(), expression: expression.to_owned() };
    let statement = |(number, terms)| v1::PolicyStatement { name: format!("P{number}"), terms };
    v1::PolicyOptions {
        prefix_lists: vec![list("customers", &["203.0.113.0/24", "2001:db8::/32"]), list("nobody", &[])],
        communities: vec![
            community("one", &["65000:1"]),
            community("two", &["65000:2"]),
            community("both", &["65000:1", "large:65000:1:1"]),
            community("hidden", &["no-export"]),
            community("many", &["65000:*", "target:*:*"]),
            community("foreign", &["65000:[0-9]+"]),
            community("colour", &["target:65000:1", "origin:65000:1"]),
        ],
        as_paths: vec![as_path("near", "65002 .*"), as_path("far", ".* 65003"), as_path("set", "65002 65003 2")],
        as_path_groups: vec![
            v1::AsPathGroup { name: "either".to_owned(), as_paths: vec![as_path("a", "1"), as_path("b", ".{3}")] },
            v1::AsPathGroup { name: "empty".to_owned(), as_paths: vec![] },
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
        (
            from(&|f| f.route_filters.push(v1::RouteFilter { kind: 9, prefix: "::/0".into(), ..Default::default() })),
            "kind \"9\"",
        ),
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

#[test]
fn as_paths_and_their_groups() {
    let path = |names: &[&str]| v1::PolicyMatch { as_paths: strings(names), ..Default::default() };
    let group = |names: &[&str]| v1::PolicyMatch { as_path_groups: strings(names), ..Default::default() };
    let route = route("10.0.0.0/8");
    assert!(accepts(path(&["near"]), &route) && accepts(path(&["far", "set"]), &route));
    assert!(
        !accepts(path(&["far"]), &route) && !accepts(group(&["empty"]), &route) && accepts(group(&["either"]), &route)
    );
    // What was put in front is there for later terms.
    let longer = v1::PolicyActions { as_path_prepend: vec![9], as_path_expand: 2, ..then(Then::NextTerm) };
    let four = |number, kind: v1::number_match::Kind| v1::PolicyMatch {
        as_path_lengths: vec![v1::NumberMatch { number, kind: kind.into() }],
        ..Default::default()
    };
    use v1::number_match::Kind;
    for (from, matches) in [
        (path(&["near"]), false),
        (four(6, Kind::Equal), true),
        (four(6, Kind::OrHigher), true),
        (four(5, Kind::OrLower), false),
    ] {
        let chain = chain(vec![vec![
            term("longer", Default::default(), longer.clone()),
            term("look", from, then(Then::Accept)),
        ]]);
        let explained = chain.explain(&route, Disposition::Reject);
        assert_eq!(explained.disposition == Disposition::Accept, matches);
        if matches {
            assert_eq!((explained.changes.prepend.as_slice(), explained.changes.expand), (&[9][..], 2));
        }
    }
}

#[test]
fn each_condition_looks_at_its_part_of_the_route() {
    let route = route("203.0.113.128/25");
    let filters = |kind: Filter| v1::PolicyMatch {
        prefix_list_filters: vec![v1::PrefixListFilter { name: "customers".into(), kind: kind.into() }],
        ..Default::default()
    };
    let range = |from_length, upto| v1::PolicyMatch {
        route_filters: vec![v1::RouteFilter {
            prefix: "203.0.0.0/16".into(),
            kind: Filter::LengthRange.into(),
            from_length,
            upto,
        }],
        ..Default::default()
    };
    let from = |change: &dyn Fn(&mut v1::PolicyMatch)| {
        let mut from = v1::PolicyMatch::default();
        change(&mut from);
        from
    };
    let count = |number, kind: v1::number_match::Kind| v1::NumberMatch { number, kind: kind.into() };
    use v1::number_match::Kind;
    for (from, expected) in [
        (filters(Filter::Orlonger), true),
        (filters(Filter::Longer), true),
        (filters(Filter::Exact), false),
        (range(25, 28), true),
        (range(26, 28), false),
        (from(&|f| f.next_hops = strings(&["10.0.0.1", "10.0.0.9"])), true),
        (from(&|f| f.next_hops = strings(&["10.0.0.1"])), false),
        (from(&|f| f.metric = Some(50)), true),
        (from(&|f| f.metric = Some(0)), false),
        (from(&|f| f.local_preference = Some(100)), true),
        (from(&|f| f.local_preference = Some(99)), false),
        (from(&|f| f.preference = Some(170)), true),
        (from(&|f| f.tags = vec![1, 7]), true),
        (from(&|f| f.tags = vec![0]), false),
        (from(&|f| f.origin = "igp".into()), true),
        (from(&|f| f.origin = "incomplete".into()), false),
        (from(&|f| f.route_type = "external".into()), true),
        (from(&|f| f.route_type = "internal".into()), false),
        (from(&|f| f.community_counts = vec![count(3, Kind::Equal)]), true),
        (from(&|f| f.community_counts = vec![count(4, Kind::OrHigher), count(2, Kind::OrLower)]), false),
        (carrying("many"), true),
        (carrying("foreign"), false),
        (carrying("colour"), false),
    ] {
        assert_eq!(accepts(from.clone(), &route), expected, "{from:?}");
    }
    assert!(accepts(carrying("foreign"), &Route { communities: vec![1], ..route }));
}

#[test]
fn whom_it_is_told_to_is_a_condition_of_its_own() {
    let to = |address: &str| v1::PolicyTerm {
        to: Some(v1::PolicyTarget { neighbors: strings(&[address]) }),
        ..term("t", Default::default(), then(Then::Accept))
    };
    let decides = |address| {
        let chain = chain(vec![vec![to(address)]]);
        assert!(chain.depends_on_target() && !chain.depends_on_prefix());
        chain.evaluate(&route("10.0.0.0/8"), Disposition::Reject, &mut Changes::default())
    };
    assert_eq!((decides("10.0.0.3"), decides("10.0.0.2")), (Disposition::Accept, Disposition::Reject));
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
fn a_default_action_holds_when_no_term_decides() {
    let rejects = v1::PolicyActions { default_action: Then::Reject.into(), ..v1::PolicyActions::default() };
    let first = chain(vec![vec![term("a", carrying("one"), rejects.clone())]]);
    let evaluate = |chain: &Chain, route: &Route| chain.evaluate(route, Disposition::Accept, &mut Changes::default());
    let (with, without) = (route("10.0.0.0/8"), Route { communities: vec![], ..route("10.0.0.0/8") });
    assert_eq!((evaluate(&first, &with), evaluate(&first, &without)), (Disposition::Reject, Disposition::Accept));
    let decided =
        chain(vec![vec![term("a", Default::default(), rejects), term("b", carrying("one"), then(Then::Accept))]]);
    assert_eq!((evaluate(&decided, &with), evaluate(&decided, &without)), (Disposition::Accept, Disposition::Reject));
}

#[test]
fn a_subroutine_changes_the_route_only_when_the_term_matches() {
    let asks = |policies: &[&str], from: v1::PolicyMatch| v1::PolicyMatch { policies: strings(policies), ..from };
    let marks = |disposition| v1::PolicyActions { metric: Some(9), ..then(disposition) };
    let run = |from: v1::PolicyMatch, inner: Vec<v1::PolicyTerm>| {
        let options = options(vec![
            vec![term("t", from, then(Then::Accept)), term("no", Default::default(), then(Then::Reject))],
            inner,
        ]);
        let chain = PolicySet::compile(&options).unwrap().chain(&strings(&["P0"])).unwrap();
        let explained = chain.explain(&route("10.0.0.0/8"), Disposition::Accept);
        (explained.disposition == Disposition::Accept, explained.changes.metric, explained.steps.len())
    };
    let inner = |disposition| vec![term("i", Default::default(), marks(disposition))];
    assert_eq!(run(asks(&["P1"], Default::default()), inner(Then::Accept)), (true, Some(9), 2));
    assert_eq!(run(asks(&["P1"], Default::default()), inner(Then::Reject)), (false, None, 2));
    assert_eq!(run(asks(&["P1"], carrying("two")), inner(Then::Accept)), (false, None, 1));
    assert_eq!(run(asks(&["P1"], Default::default()), inner(Then::NextTerm)), (true, Some(9), 2), "by the default");
    // What a subroutine looks at, its caller looks at.
    let neighbor = v1::PolicyMatch { neighbors: strings(&["10.0.0.2"]), ..Default::default() };
    let both = options(vec![
        vec![term("t", asks(&["P1"], Default::default()), then(Then::Accept))],
        vec![term("i", neighbor, then(Then::Accept))],
    ]);
    assert!(PolicySet::compile(&both).unwrap().chain(&strings(&["P0"])).unwrap().depends_on_neighbor());
}

#[test]
fn subroutines_neither_recur_nor_cost_without_bound() {
    let asks = |policies: Vec<String>| {
        let from = v1::PolicyMatch { policies, ..Default::default() };
        vec![term("t", from, then(Then::Accept))]
    };
    let failure = |asked: Vec<Vec<String>>| {
        PolicySet::compile(&options(asked.into_iter().map(asks).collect())).unwrap_err().to_string()
    };
    let name = |number: usize| vec![format!("P{number}")];
    assert!(failure(vec![name(1), name(2), name(1)]).contains("P1 -> P2 -> P1"));
    assert!(failure(vec![name(0)]).contains("P0 -> P0"));
    assert!(
        failure(vec![name(7)]).contains("policy-statement P7 is not defined") || failure(vec![name(7)]).contains("P7")
    );
    let mut row: Vec<Vec<String>> = (1..9).map(name).collect();
    row.push(vec![]);
    assert!(failure(row.clone()).contains("more than 8"));
    row.reverse(); // each is compiled before it is asked
    let turned = (0..9).map(|number| if number == 0 { vec![] } else { name(number - 1) }).collect();
    assert!(failure(turned).contains("more than 8"));
    let wide = (0..6).map(|number| if number == 5 { vec![] } else { vec![format!("P{}", number + 1); 20] }).collect();
    assert!(failure(wide).contains("terms, subroutines included"));
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
