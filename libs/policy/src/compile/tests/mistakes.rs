//! Mistakes, and how they are named.

use super::*;

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
