//! Rules between statements, which the models cannot say: references, families, duplicates, what belongs together.
//!
//! Each file looks at one stanza. A rule names the statement that is wrong, what was found, and what mends it.

mod bfd;
mod bgp;
mod interfaces;
mod policy;
mod routing_options;

use crate::{error::Problem, tree::View};

pub(crate) fn validate(top: View<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    interfaces::validate(top, &mut problems);
    routing_options::validate(top, &mut problems);
    bgp::validate(top, &mut problems);
    policy::validate(top, &mut problems);
    bfd::count(top, &mut problems);
    problems
}

/// A mistake at a statement.
fn at(view: View<'_>, message: impl Into<String>) -> Problem {
    Problem::new(view.span(), message).at(view.path())
}

/// A statement that should be there: its place is what surrounds it, its path its own, so that it is not missed when it
/// is there and only broken.
fn lacks(view: View<'_>, name: &str, message: impl Into<String>) -> Problem {
    at(view, message).at(format!("{} {name}", view.path()))
}

/// A reference by name to an entry of `policy-options`.
fn reference(top: View<'_>, from: View<'_>, kind: &str, name: &str, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = top
        .get("policy-options")
        .into_iter()
        .flat_map(|policy| policy.children())
        .filter(|entry| entry.name() == kind)
        .map(View::value)
        .collect();
    if known.contains(&name) {
        return;
    }
    let suggestion = crate::near::nearest(name, known.iter().copied())
        .map(|name| format!("; did you mean {name}?"))
        .unwrap_or_default();
    let configured = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
    let message = format!("refers to {kind} {name}, which is not configured{suggestion}");
    problems.push(at(from, message).allowed(format!("{} {kind} of policy-options ({configured})", article(kind))));
}

/// The indefinite article of a statement's name.
fn article(name: &str) -> &'static str {
    if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
