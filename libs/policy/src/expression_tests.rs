//! AS-path expressions by example, and against an evaluator that tries everything.

use crate::as_path::AsPathExpression;
use crate::automaton::{Automaton, Class, Expression};
use proptest::prelude::*;

fn matches(expression: &str, path: &[u32]) -> bool {
    AsPathExpression::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).matches(path)
}

#[test]
fn expressions_as_junos_writes_them() {
    for (expression, fitting, others) in [
        ("65001", vec![vec![65001]], vec![vec![], vec![65001, 65001], vec![65002]]),
        ("()", vec![vec![]], vec![vec![1]]),
        (".", vec![vec![7]], vec![vec![], vec![7, 7]]),
        (".*", vec![vec![], vec![1], vec![1, 2, 3]], vec![]),
        ("65001 .*", vec![vec![65001], vec![65001, 2, 3]], vec![vec![2, 65001], vec![]]),
        (".* 65001 .*", vec![vec![65001], vec![1, 65001, 2]], vec![vec![], vec![1, 2]]),
        ("^65001 65002$", vec![vec![65001, 65002]], vec![vec![65001], vec![65001, 65002, 3]]),
        ("1 (2|3)+ 4", vec![vec![1, 2, 4], vec![1, 3, 2, 3, 4]], vec![vec![1, 4], vec![1, 2, 3]]),
        ("1{2,3} 2?", vec![vec![1, 1], vec![1, 1, 1, 2]], vec![vec![1], vec![1, 1, 1, 1], vec![1, 2]]),
        ("1{2,}", vec![vec![1, 1], vec![1; 40]], vec![vec![1]]),
        ("(1 2){2}", vec![vec![1, 2, 1, 2]], vec![vec![1, 2], vec![1, 2, 1, 2, 1, 2]]),
        ("64512-65534", vec![vec![64512], vec![65000], vec![65534]], vec![vec![64511], vec![65535]]),
        ("[1 5-7 9] .", vec![vec![6, 6], vec![9, 1]], vec![vec![2, 2], vec![8, 1]]),
        ("[^1 2]", vec![vec![3]], vec![vec![1], vec![2]]),
        ("1|2 3|()", vec![vec![1], vec![2, 3], vec![]], vec![vec![1, 3], vec![2]]),
        ("(1|2)(3|4)", vec![vec![1, 3], vec![2, 4]], vec![vec![1], vec![3, 1]]),
        ("(^1$)|(^2 3$)", vec![vec![1], vec![2, 3]], vec![vec![1, 2]]),
        ("(()|1) 2", vec![vec![2], vec![1, 2]], vec![vec![1]]),
        ("4294967295 0", vec![vec![u32::MAX, 0]], vec![vec![u32::MAX]]),
    ] {
        fitting.iter().for_each(|path| assert!(matches(expression, path), "{expression} and {path:?}"));
        others.iter().for_each(|path| assert!(!matches(expression, path), "{expression} and {path:?}"));
    }
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (expression, at, what) in [
        ("", 1, "empty"),
        ("_65000_", 1, "an AS number"),
        ("65000 ?*", 8, "how often is said once"),
        ("*", 1, "an AS number"),
        ("(1 2", 5, "the ) is missing"),
        ("1 2)", 4, "a ) without a ("),
        ("1 ^2", 3, "^ stands at the beginning"),
        ("1$ 2", 4, "nothing may follow $"),
        ("4294967296", 11, "at most 4294967295"),
        ("9-3", 4, "ends before it begins"),
        ("1{3,2}", 7, "{m,n}"),
        ("1{0}", 5, "{m,n}"),
        ("1{999}", 6, "255"),
        ("1{a}", 3, "a number"),
        ("1{2", 4, "the } is missing"),
        ("[]", 2, "at least one member"),
        ("[1", 3, "at least one member"),
        ("1,2", 2, "an AS number"),
    ] {
        let error = AsPathExpression::parse(expression).unwrap_err().to_string();
        assert!(error.starts_with(&format!("at character {at}:")) && error.contains(what), "{expression}: {error}");
    }
    for large in ["1{255} 2{2}", "((1{16}){16}){16}", "((((1?){255}){255}){255}){255}"] {
        assert!(AsPathExpression::parse(large).unwrap_err().to_string().contains("symbols"), "{large}");
    }
    let deep = format!("{}1{}", "(".repeat(17), ")".repeat(17));
    assert!(AsPathExpression::parse(&deep).unwrap_err().to_string().contains("within each other"));
    assert!(matches("(((()){255}){255}){255}", &[]), "nothing, often, is nothing");
    assert!(AsPathExpression::parse(&"1 ".repeat(256)).is_ok());
}

fn expressions() -> impl Strategy<Value = Expression> {
    let symbol = (0u32..3, 0u32..3, any::<bool>()).prop_map(|(low, more, complemented)| {
        Expression::Symbol(Class { complemented, ..Class::range(low, low + more) })
    });
    symbol.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Expression::Sequence),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Expression::Choice),
            (inner, 0u32..3, 0u32..3, any::<bool>()).prop_map(|(inner, least, more, bounded)| {
                Expression::Repeat(Box::new(inner), least, bounded.then_some((least + more).max(1)))
            }),
        ]
    })
}

/// Where a match that began at `from` may end: by trying everything.
fn ends(expression: &Expression, input: &[u32], from: usize) -> Vec<usize> {
    let mut ends: Vec<usize> = match expression {
        Expression::Symbol(class) => {
            let fits = input.get(from).is_some_and(|symbol| {
                class.ranges.iter().any(|(low, high)| low <= symbol && symbol <= high) != class.complemented
            });
            if fits { vec![from + 1] } else { vec![] }
        }
        Expression::Sequence(parts) => parts
            .iter()
            .fold(vec![from], |starts, part| starts.into_iter().flat_map(|start| ends(part, input, start)).collect()),
        Expression::Choice(parts) => parts.iter().flat_map(|part| ends(part, input, from)).collect(),
        Expression::Repeat(inner, least, most) => {
            let most = most.unwrap_or(*least + input.len() as u32 + 1);
            let (mut all, mut starts) = (if *least == 0 { vec![from] } else { vec![] }, vec![from]);
            for times in 1..=most {
                starts = starts.into_iter().flat_map(|start| ends(inner, input, start)).collect();
                starts.sort_unstable();
                starts.dedup();
                if times >= *least {
                    all.extend(&starts);
                }
            }
            all
        }
    };
    ends.sort_unstable();
    ends.dedup();
    ends
}

proptest! {
    #[test]
    fn automata_match_what_their_expressions_mean(
        expression in expressions(), inputs in prop::collection::vec(prop::collection::vec(0u32..5, 0..6), 1..8),
    ) {
        let Some(automaton) = Automaton::new(&expression) else { return Ok(()) };
        for input in inputs {
            let mut run = automaton.run();
            input.iter().for_each(|symbol| run.step(&[*symbol]));
            prop_assert_eq!(run.matches(), ends(&expression, &input, 0).contains(&input.len()), "{:?}", input);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9 .*+?{},|()^$\\[\\]-]{0,24}", path in prop::collection::vec(any::<u32>(), 0..6)) {
        if let Ok(expression) = AsPathExpression::parse(&text) {
            let _ = expression.matches(&path);
        }
        let _ = crate::check_community_member(&text);
    }
}
