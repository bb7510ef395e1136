//! Terms, statements and chains: who decides, and what an outcome depends on.

use super::*;

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
