//! What a term looks at.

use super::*;

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
