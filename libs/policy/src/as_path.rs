//! AS-path expressions (`policy-options as-path`).

use std::hash::{Hash, Hasher};

use crate::automaton::Automaton;
use crate::changes::Changes;
use crate::expression::{Alphabet, ExpressionError, compile};
use crate::route::RouteView;

/// An expression over AS numbers, as Junos writes it: `65000 .*`, `.* (64512-65534)+ .*`, `()`. It is matched from the
/// nearest AS to the origin; an AS set counts as one step that any of its members may take.
#[derive(Clone, Debug)]
pub struct AsPathExpression {
    text: String,
    automaton: Automaton,
}

impl PartialEq for AsPathExpression {
    fn eq(&self, other: &AsPathExpression) -> bool {
        self.text == other.text
    }
}

impl Eq for AsPathExpression {}

impl Hash for AsPathExpression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl AsPathExpression {
    /// Reads an expression, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<AsPathExpression, ExpressionError> {
        if text.trim().is_empty() {
            return Err(ExpressionError::Syntax { at: 1, what: "the expression is empty; the empty path is ()" });
        }
        Ok(AsPathExpression { text: text.to_owned(), automaton: compile(text, Alphabet::AsNumbers)? })
    }

    /// Whether a path of single ASs matches, nearest first.
    pub fn matches(&self, path: &[u32]) -> bool {
        let mut run = self.automaton.run();
        path.iter().for_each(|asn| run.step(&[*asn]));
        run.matches()
    }

    /// Whether the route's path matches, with what was put in front of it so far.
    pub(crate) fn matches_route<R: RouteView + ?Sized>(&self, route: &R, changes: &Changes) -> bool {
        let mut run = self.automaton.run();
        changes.prepend.iter().for_each(|asn| run.step(&[*asn]));
        let mut repeated = changes.expand;
        route.as_path(&mut |hop| {
            // Only an AS by itself is repeated, not a set.
            let times = if hop.len() == 1 { std::mem::take(&mut repeated) } else { 0 };
            (0..=times).for_each(|_| run.step(hop));
            repeated = 0;
        });
        run.matches()
    }
}
