//! A neighbour's list of statements.

use crate::changes::Changes;
use crate::conditions::Reach;
use crate::route::{Disposition, RouteView};
use crate::statement::{Evaluation, Observer, Statement, Term};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A term that matched on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its statement.
    pub statement: String,
    /// Its name; empty: what the statement says outside of its terms.
    pub term: String,
    /// 0 in the chain itself, one more in each subroutine.
    pub depth: usize,
}

/// Which term decided about a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision.
    pub disposition: Disposition,
    /// Statement and term that made it; none: the default did.
    pub decided_by: Option<(String, String)>,
    /// The terms that matched, in order; those of a subroutine before the term that asked it.
    pub steps: Vec<Step>,
    /// What is to be changed; nothing when rejected.
    pub changes: Changes,
}

impl Observer for Vec<Step> {
    fn matched(&mut self, statement: &str, term: &Term, depth: usize) {
        self.push(Step { statement: statement.to_owned(), term: term.name.clone(), depth });
    }
}

/// The import or export list of a neighbour. Cheap to clone; equal when the policies are, lists and all, so that
/// neighbours with equal chains can share what is computed.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    pub(crate) statements: Arc<[Arc<Statement>]>,
    /// What the outcome depends on beside a set of attributes.
    pub(crate) reach: Reach,
}

impl PartialEq for Chain {
    fn eq(&self, other: &Chain) -> bool {
        Arc::ptr_eq(&self.statements, &other.statements) || self.statements == other.statements
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    /// By the statements' names: equal chains have equal names, and the rest is compared.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.statements.iter().for_each(|statement| statement.name.hash(state));
    }
}

impl Chain {
    pub(crate) fn new(statements: Arc<[Arc<Statement>]>) -> Chain {
        let reach = statements.iter().fold(Reach::default(), |reach, statement| reach.with(statement.reach()));
        Chain { statements, reach }
    }

    /// The decision about a route. `changes` is emptied first and says afterwards what is to be changed; it stays
    /// empty when the route is rejected.
    pub fn evaluate<R: RouteView + ?Sized>(
        &self,
        route: &R,
        default: Disposition,
        changes: &mut Changes,
    ) -> Disposition {
        changes.clear();
        let disposition =
            Evaluation { route, observer: &mut () }.run(&self.statements, default, changes, 0).disposition;
        if disposition == Disposition::Reject {
            changes.clear();
        }
        disposition
    }

    /// The same with the reason, for operators.
    pub fn explain<R: RouteView + ?Sized>(&self, route: &R, default: Disposition) -> Explanation {
        let (mut changes, mut steps) = (Changes::default(), Vec::new());
        let verdict = Evaluation { route, observer: &mut steps }.run(&self.statements, default, &mut changes, 0);
        let disposition = verdict.disposition;
        let decided_by = verdict.by.map(|(statement, term)| (statement.to_owned(), term.to_owned()));
        if disposition == Disposition::Reject {
            changes.clear();
        }
        Explanation { disposition, decided_by, steps, changes }
    }

    /// Whether the outcome may differ between two prefixes of the same family, attributes and origin. If not, it may be
    /// remembered per family, set of attributes and protocol.
    pub fn depends_on_prefix(&self) -> bool {
        self.reach.prefix
    }

    /// Whether the outcome may differ between two neighbours that the same route was learned from.
    pub fn depends_on_neighbor(&self) -> bool {
        self.reach.neighbor
    }

    /// Whether the outcome may differ between two neighbours that the same route is told to.
    pub fn depends_on_target(&self) -> bool {
        self.reach.target
    }

    /// True without statements: the default decides.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The statements' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|statement| statement.name.as_str())
    }
}
