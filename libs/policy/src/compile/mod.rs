//! From the configuration's texts to terms that run.

mod actions;
mod conditions;
mod lists;

#[cfg(test)]
mod naive_tests;
#[cfg(test)]
mod tests;

use crate::chain::Chain;
use crate::conditions::Reach;
use crate::error::PolicyError;
use crate::limits::{CHAIN_MAX, COST_MAX, DEPTH_MAX};
use crate::statement::{Statement, Term};
use hashbrown::HashMap;
use holdfast_proto::v1;
use lists::Lists;
use std::net::IpAddr;
use std::sync::Arc;

/// Everything under `policy-options`, compiled.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    statements: HashMap<String, Arc<Statement>>,
    /// The statements' names in the order of the configuration.
    names: Vec<String>,
}

impl PolicySet {
    /// Compiles a configuration, or says what is wrong with it.
    pub fn compile(options: &v1::PolicyOptions) -> Result<PolicySet, PolicyError> {
        let mut written: HashMap<&str, &v1::PolicyStatement> = HashMap::new();
        for statement in &options.statements {
            if written.insert(&statement.name, statement).is_some() {
                return Err(PolicyError::Duplicate { kind: "policy-statement", name: statement.name.clone() });
            }
        }
        let mut compiler =
            Compiler { lists: Lists::compile(options)?, written, compiled: HashMap::new(), open: Vec::new() };
        for statement in &options.statements {
            compiler.statement(statement)?;
        }
        let names = options.statements.iter().map(|statement| statement.name.clone()).collect();
        Ok(PolicySet { statements: compiler.compiled, names })
    }

    /// The chain of the named statements, in order. No names: an empty chain, where the default decides.
    pub fn chain(&self, names: &[String]) -> Result<Chain, PolicyError> {
        if names.len() > CHAIN_MAX {
            return Err(PolicyError::ChainTooLong { observed: names.len(), limit: CHAIN_MAX });
        }
        let find = |name: &String| {
            let statement = self.statements.get(name).cloned();
            statement.ok_or_else(|| PolicyError::UndefinedStatement { name: name.clone() })
        };
        Ok(Chain::new(names.iter().map(find).collect::<Result<_, _>>()?))
    }

    /// The statements in the order of the configuration.
    pub fn summaries(&self) -> impl Iterator<Item = Summary<'_>> {
        let statements = self.names.iter().filter_map(|name| self.statements.get(name));
        statements.map(|statement| Summary {
            name: &statement.name,
            terms: statement.terms.len(),
            reach: statement.reach(),
            asks: statement.asked().map(|asked| asked.name.as_str()).collect(),
        })
    }
}

/// One statement, for operators.
#[derive(Clone, Debug)]
pub struct Summary<'s> {
    /// Its name.
    pub name: &'s str,
    /// Its terms, with what it says outside of them.
    pub terms: usize,
    reach: Reach,
    /// The statements that its terms ask, each as often as it is asked.
    pub asks: Vec<&'s str>,
}

impl Summary<'_> {
    /// What its outcome depends on beside a set of attributes.
    pub fn depends_on(&self) -> Vec<&'static str> {
        let Reach { prefix, neighbor, target } = self.reach;
        let all = [(prefix, "prefix"), (neighbor, "neighbor"), (target, "target")];
        all.into_iter().filter(|(depends, _)| *depends).map(|(_, name)| name).collect()
    }
}

/// Statements may ask each other (`from policy`), so each is compiled when it is first asked for.
struct Compiler<'c> {
    lists: Lists,
    written: HashMap<&'c str, &'c v1::PolicyStatement>,
    compiled: HashMap<String, Arc<Statement>>,
    /// Those that are being compiled: each is asked by the one before it.
    open: Vec<&'c str>,
}

impl<'c> Compiler<'c> {
    fn statement(&mut self, statement: &'c v1::PolicyStatement) -> Result<Arc<Statement>, PolicyError> {
        if let Some(known) = self.compiled.get(&statement.name) {
            return Ok(Arc::clone(known));
        }
        if let Some(first) = self.open.iter().position(|name| *name == statement.name) {
            return Err(PolicyError::Recursion { path: self.path(first, &statement.name) });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(PolicyError::TooDeep { path: self.path(0, &statement.name), limit: DEPTH_MAX });
        }
        self.open.push(&statement.name);
        let (mut terms, mut cost, mut depth) = (Vec::new(), 0usize, 1);
        for term in &statement.terms {
            let asked = self.subroutines(statement, term)?;
            cost = asked.iter().fold(cost.saturating_add(1), |cost, asked| cost.saturating_add(asked.cost));
            depth = asked.iter().map(|asked| asked.depth + 1).max().unwrap_or(1).max(depth);
            terms.push(Scope { lists: &self.lists, statement, term }.compile(asked)?);
        }
        let name = &statement.name;
        if cost > COST_MAX {
            return Err(PolicyError::TooCostly { statement: name.clone(), observed: cost, limit: COST_MAX });
        }
        if depth > DEPTH_MAX {
            return Err(PolicyError::TooDeep { path: name.clone(), limit: DEPTH_MAX });
        }
        self.open.pop();
        let compiled = Arc::new(Statement { name: name.clone(), terms, cost, depth });
        self.compiled.insert(name.clone(), Arc::clone(&compiled));
        Ok(compiled)
    }

    /// What a term's `from policy` names.
    fn subroutines(
        &mut self,
        statement: &v1::PolicyStatement,
        term: &v1::PolicyTerm,
    ) -> Result<Vec<Arc<Statement>>, PolicyError> {
        let names = term.r#match.iter().flat_map(|from| &from.policies);
        names
            .map(|name| match self.written.get(name.as_str()).copied() {
                Some(asked) => self.statement(asked),
                None => Err(PolicyError::Undefined {
                    statement: statement.name.clone(),
                    term: term.name.clone(),
                    kind: "policy-statement",
                    name: name.clone(),
                }),
            })
            .collect()
    }

    fn path(&self, first: usize, last: &str) -> String {
        let open = self.open.iter().skip(first).copied();
        open.chain([last]).collect::<Vec<_>>().join(" -> ")
    }
}

/// One term with what its names may refer to, and its place for messages.
struct Scope<'a> {
    lists: &'a Lists,
    statement: &'a v1::PolicyStatement,
    term: &'a v1::PolicyTerm,
}

impl Scope<'_> {
    fn compile(&self, subroutines: Vec<Arc<Statement>>) -> Result<Term, PolicyError> {
        let (from, to) = (self.term.r#match.clone().unwrap_or_default(), self.term.to.clone().unwrap_or_default());
        let conditions = self.conditions(&from, &to, subroutines)?;
        let actions = self.actions(self.term.actions.as_ref().unwrap_or(&v1::PolicyActions::default()))?;
        Ok(Term { name: self.term.name.clone(), conditions, actions })
    }

    fn address(&self, what: &'static str, text: &str) -> Result<IpAddr, PolicyError> {
        text.parse().map_err(|_| self.invalid(what, text, "an IPv4 or IPv6 address"))
    }

    fn find<T>(&self, map: &HashMap<String, Arc<T>>, kind: &'static str, name: &str) -> Result<Arc<T>, PolicyError> {
        map.get(name).cloned().ok_or_else(|| PolicyError::Undefined {
            statement: self.statement.name.clone(),
            term: self.term.name.clone(),
            kind,
            name: name.to_owned(),
        })
    }

    fn invalid(&self, what: &'static str, observed: &str, required: &'static str) -> PolicyError {
        PolicyError::Invalid { place: self.place(), what, observed: observed.to_owned(), required: required.into() }
    }

    fn place(&self) -> String {
        match self.term.name.as_str() {
            // What a policy says outside its terms.
            "" => format!("policy-statement {}", self.statement.name),
            term => format!("policy-statement {} term {term}", self.statement.name),
        }
    }
}
