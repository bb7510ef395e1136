//! The expressions of routing policy.

use holdfast_policy::{AsPathExpression, check_community_member};

/// The length of a path, the path in numbers of one octet, then an expression over AS paths or a member of a community list.
pub fn check_expression(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else { return };
    let (path, text) = rest.split_at(usize::from(*length % 32).min(rest.len()));
    let Ok(text) = std::str::from_utf8(text) else { return };
    let _ = check_community_member(text);
    let Ok(expression) = AsPathExpression::parse(text) else { return };
    let path: Vec<u32> = path.iter().map(|asn| u32::from(*asn)).collect();
    let whole = AsPathExpression::parse(&format!("^({text})$"));
    let Ok(whole) = whole else { return }; // one more pair of parentheses may be too many
    assert_eq!(expression.matches(&path), whole.matches(&path));
}
