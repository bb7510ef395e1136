//! Compiled statements and how their terms run.

use std::sync::Arc;

use crate::changes::{Changes, CommunityChange, NextHopAction};
use crate::conditions::{Condition, Reach};
use crate::route::{Disposition, Origin, RouteView};

/// Where evaluation goes after a matching term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Term,
    Policy,
    Decided(Disposition),
}

/// What becomes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adjustment {
    Set(u32),
    Add(u32),
    Subtract(u32),
}

impl Adjustment {
    /// Stops at both ends of the range.
    fn of(self, number: u32) -> u32 {
        match self {
            Adjustment::Set(value) => value,
            Adjustment::Add(amount) => number.saturating_add(amount),
            Adjustment::Subtract(amount) => number.saturating_sub(amount),
        }
    }
}

/// What a matching term does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actions {
    pub next: Next,
    /// What is to hold if no term decides.
    pub default: Option<Disposition>,
    pub local_preference: Option<Adjustment>,
    pub metric: Option<Adjustment>,
    pub origin: Option<Origin>,
    pub next_hop: Option<NextHopAction>,
    pub preference: Option<u32>,
    pub tag: Option<u32>,
    pub communities: Vec<CommunityChange>,
    pub prepend: Vec<u32>,
    pub expand: u8,
}

impl Actions {
    fn apply<R: RouteView + ?Sized>(&self, route: &R, changes: &mut Changes) {
        if let Some(adjustment) = self.local_preference {
            let before = changes.local_preference.unwrap_or_else(|| route.local_preference());
            changes.local_preference = Some(adjustment.of(before));
        }
        if let Some(adjustment) = self.metric {
            let before = changes.metric.or_else(|| route.metric()).unwrap_or(0);
            changes.metric = Some(adjustment.of(before));
        }
        changes.origin = self.origin.or(changes.origin);
        changes.next_hop = self.next_hop.filter(|asked| asked.is_for(route)).or(changes.next_hop);
        changes.preference = self.preference.or(changes.preference);
        changes.tag = self.tag.or(changes.tag);
        self.communities.iter().for_each(|change| changes.change_communities(change));
        changes.prepend(&self.prepend);
        changes.expand_by(self.expand);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub name: String,
    /// All have to match; cheap ones first.
    pub conditions: Vec<Condition>,
    pub actions: Actions,
}

impl Term {
    fn reach(&self) -> Reach {
        // From here on the next hop is the address of who told the route, and a later term may ask for it.
        let neighbor = self.actions.next_hop == Some(NextHopAction::PeerAddress);
        let own = Reach { neighbor, ..Reach::default() };
        self.conditions.iter().fold(own, |reach, condition| reach.with(condition.reach()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub name: String,
    pub terms: Vec<Term>,
    /// Terms that one evaluation may run through, those of subroutines included.
    pub cost: usize,
    /// Statements below each other, this one included.
    pub depth: usize,
}

impl Statement {
    /// The statements that its terms ask.
    pub fn asked(&self) -> impl Iterator<Item = &Arc<Statement>> {
        self.terms.iter().flat_map(|term| &term.conditions).flat_map(|condition| match condition {
            Condition::Policy(statements) => statements.as_slice(),
            _ => &[],
        })
    }

    pub fn reach(&self) -> Reach {
        self.terms.iter().fold(Reach::default(), |reach, term| reach.with(term.reach()))
    }
}

/// Sees which terms match.
pub(crate) trait Observer {
    /// A term has matched; `depth` is 0 in the chain itself, and one more in each subroutine.
    fn matched(&mut self, statement: &str, term: &Term, depth: usize);
}

/// Nobody looks.
impl Observer for () {
    fn matched(&mut self, _: &str, _: &Term, _: usize) {}
}

/// One evaluation of a list of statements, or of a subroutine in it.
pub(crate) struct Evaluation<'e, R: ?Sized, O> {
    pub route: &'e R,
    pub observer: &'e mut O,
}

/// What a list of statements says.
pub(crate) struct Verdict<'s> {
    pub disposition: Disposition,
    /// Statement and term that decided; none: the default did.
    pub by: Option<(&'s str, &'s str)>,
}

impl<R: RouteView + ?Sized, O: Observer> Evaluation<'_, R, O> {
    /// Runs the terms until one decides; `default` holds if none does, unless a term sets another one.
    pub fn run<'s>(
        &mut self,
        statements: &'s [Arc<Statement>],
        mut default: Disposition,
        changes: &mut Changes,
        depth: usize,
    ) -> Verdict<'s> {
        for statement in statements {
            for term in &statement.terms {
                if !self.fits(term, default, changes, depth) {
                    continue;
                }
                self.observer.matched(&statement.name, term, depth);
                term.actions.apply(self.route, changes);
                default = term.actions.default.unwrap_or(default);
                match term.actions.next {
                    Next::Term => {}
                    Next::Policy => break,
                    Next::Decided(disposition) => {
                        return Verdict { disposition, by: Some((&statement.name, &term.name)) };
                    }
                }
            }
        }
        Verdict { disposition: default, by: None }
    }

    fn fits(&mut self, term: &Term, default: Disposition, changes: &mut Changes, depth: usize) -> bool {
        term.conditions.iter().all(|condition| match condition {
            Condition::Policy(statements) => {
                let before = changes.clone();
                let accepted = self.run(statements, default, changes, depth + 1).disposition == Disposition::Accept;
                if !accepted {
                    *changes = before;
                }
                accepted
            }
            condition => condition.matches(self.route, changes),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::compile::PolicySet;
    use holdfast_proto::v1;
    use v1::policy_actions::{Disposition, NextHopKind};

    /// A term that makes the next hop the neighbour's address, and one that asks for a next hop: together they look at who told it.
    #[test]
    fn the_address_of_who_told_a_route_is_looked_at() {
        let term = |next_hop_kind: NextHopKind, asked: &[&str]| v1::PolicyTerm {
            name: "t".into(),
            r#match: Some(v1::PolicyMatch {
                next_hops: asked.iter().map(|address| (*address).to_owned()).collect(),
                ..Default::default()
            }),
            actions: Some(v1::PolicyActions {
                next_hop_kind: next_hop_kind.into(),
                disposition: if asked.is_empty() { Disposition::NextTerm } else { Disposition::Reject }.into(),
                ..Default::default()
            }),
            to: None,
        };
        let looks = |kind| {
            let terms = vec![term(kind, &[]), term(NextHopKind::Named, &["10.0.0.2"])];
            let statements = vec![v1::PolicyStatement { name: "P".into(), terms }];
            let set = PolicySet::compile(&v1::PolicyOptions { statements, ..Default::default() }).unwrap();
            set.chain(&["P".to_owned()]).unwrap().depends_on_neighbor()
        };
        assert!(looks(NextHopKind::PeerAddress) && !looks(NextHopKind::Discard));
    }
}
