//! Statements under another name, a second time, or in another place: `rename`, `copy`, `insert`.
//!
//! Terms of a policy and names of a chain count in their order, and `set` adds behind what is there. `insert` is how a term comes before
//! the one that rejects the rest.

use super::{Draft, Line, missing_path};
use crate::{
    complete::{Purpose, Suggestion, Suggestions},
    error::{EditError, Problem, Span},
    place::{self, Step},
    schema::{Kind, Schema},
    tree::NodeId,
};

/// An editing command that names two statements, with a word between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rearrange {
    /// An entry gets another name; who refers to it is not changed.
    Rename,
    /// A second entry like this one, under another name.
    Copy,
    /// An entry, or a value of a list, goes before or behind another one.
    Insert,
}

impl Rearrange {
    /// The words that may stand between the two statements.
    pub const fn between(self) -> &'static [&'static str] {
        match self {
            Rearrange::Rename | Rearrange::Copy => &["to"],
            Rearrange::Insert => &["before", "after"],
        }
    }
}

/// A line taken apart at the word between its statements.
struct Parted<'w> {
    path: &'w str,
    between: &'w str,
    other: &'w str,
    /// Characters before `other`.
    columns: u32,
}

/// Takes a line apart at the last such word that is not quoted, so that a statement may have the same name.
fn parted<'w>(words: &'w str, between: &[&str]) -> Option<Parted<'w>> {
    let (mut found, mut begin, mut quoted, mut escaped) = (None, None, false, false);
    for (at, character) in words.char_indices() {
        if character.is_whitespace() && !quoted {
            if let Some(begin) = begin.take()
                && words.get(begin..at).is_some_and(|word| between.contains(&word))
            {
                found = Some((begin, at));
            }
            continue;
        }
        begin.get_or_insert(at);
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
    }
    let (begin, end) = found?;
    let (path, between, behind) = (words.get(..begin)?, words.get(begin..end)?, words.get(end..)?);
    let other = behind.trim_start();
    let before = words.len() - other.len();
    Some(Parted { path, between, other, columns: words.get(..before)?.chars().count() as u32 })
}

/// The statement that is named first.
struct Subject {
    node: NodeId,
    steps: Vec<Step>,
    /// The path around it.
    around: String,
}

impl Draft {
    /// Carries out such a command; `words` is what stands behind its name.
    pub fn rearrange(&mut self, how: Rearrange, level: &str, words: &str, schema: &Schema) -> Result<(), EditError> {
        let Some(parted) = parted(words, how.between()).filter(|parted| !parted.other.is_empty()) else {
            return Err(incomplete(words, how));
        };
        let subject = self.subject(level, parted.path, schema)?;
        let values = subject.sibling(parted.other, how, schema).map_err(|error| error.shifted(parted.columns))?;
        match how {
            Rearrange::Rename | Rearrange::Copy => {
                let step = subject.with(values);
                if !place::nodes(schema, &self.tree, &step).is_empty() {
                    let problem = Problem::new(START, "is there already").at(place::path(schema, &step));
                    let problem = problem.allowed("a name that nothing has; delete that statement first");
                    return Err(EditError::of(problem, 0).shifted(parted.columns));
                }
                let values = step.into_iter().next_back().map(|step| step.values).unwrap_or_default();
                match how {
                    Rearrange::Rename => self.tree.rename(schema, subject.node, values),
                    _ => self.tree.copy(schema, subject.node, values),
                }
            }
            Rearrange::Insert => {
                let step = subject.with(values);
                let Some(beside) = place::nodes(schema, &self.tree, &step).first().copied() else {
                    return Err(EditError::Absent { path: place::path(schema, &step) });
                };
                self.tree.move_beside(subject.node, beside, parted.between == "before");
            }
        }
        Ok(())
    }

    /// What may stand behind `words` (whole ones) of such a command.
    pub fn complete_rearrange(&self, how: Rearrange, level: &str, words: &str, schema: &Schema) -> Suggestions {
        if let Some(parted) = parted(words, how.between())
            && let Ok(subject) = self.subject(level, parted.path, schema)
        {
            let purpose = if how == Rearrange::Insert { Purpose::Existing } else { Purpose::Set };
            let mut suggestions = self.complete(&subject.around, parted.other, purpose, schema);
            let own = subject.steps.last().map(|step| schema.item(step.schema));
            if let Some(own) = own.filter(|own| parted.other.is_empty() && !own.unnamed) {
                suggestions.words.retain(|word| word.word == own.name); // only its like may be named
            }
            return suggestions;
        }
        let mut suggestions = self.complete(level, words, Purpose::Existing, schema);
        if self.subject(level, words, schema).is_ok() {
            suggestions.words = Vec::new();
            let between = how.between().iter().map(|word| Suggestion {
                word: (*word).to_owned(),
                help: "Then the other statement, by its name below the same level".to_owned(),
                literal: true,
            });
            suggestions.words.extend(between);
        }
        suggestions.complete = false;
        suggestions
    }

    /// The one entry, or value of a list, that a path names.
    fn subject(&self, level: &str, words: &str, schema: &Schema) -> Result<Subject, EditError> {
        if words.trim().is_empty() {
            return Err(missing_path());
        }
        let steps = Line::new(level, words).statement(schema, |words| place::walk(schema, &words))?;
        let path = place::path(schema, &steps);
        let nodes = place::nodes(schema, &self.tree, &steps);
        let named = steps.last().is_some_and(|step| {
            !step.values.is_empty() && matches!(schema.item(step.schema).kind, Kind::List { .. } | Kind::LeafList)
        });
        match nodes.as_slice() {
            [] => Err(EditError::Absent { path }),
            [node] if named => {
                let around = place::path(schema, steps.split_last().map_or(&[], |(_, around)| around));
                Ok(Subject { node: *node, steps, around })
            }
            _ => {
                let problem = Problem::new(START, "is not one of several that have names").at(path);
                Err(EditError::of(problem.allowed("an entry with its name, such as group EXT"), 0))
            }
        }
    }
}

const START: Span = Span { line: 1, column: 1 };

impl Subject {
    /// The keys of another entry beside this one, or another value of the same list.
    fn sibling(&self, words: &str, how: Rearrange, schema: &Schema) -> Result<Vec<String>, EditError> {
        let steps = Line::new(&self.around, words).statement(schema, |words| place::walk(schema, &words))?;
        let same = match (self.steps.as_slice(), steps.as_slice()) {
            ([.., own], [around @ .., other]) => {
                around.len() + 1 == self.steps.len() && own.schema == other.schema && !other.values.is_empty()
            }
            _ => false,
        };
        let entry = self.steps.last().is_some_and(|step| matches!(schema.item(step.schema).kind, Kind::List { .. }));
        match steps.into_iter().next_back() {
            Some(other) if same && (entry || how == Rearrange::Insert) => Ok(other.values),
            _ => {
                let own = place::path(schema, self.steps.last().map_or(&[], std::slice::from_ref));
                let message = if entry { "is of another kind, or elsewhere" } else { "a value has no name of its own" };
                let allowed = format!("a statement as {own}, below the same level");
                Err(EditError::of(Problem::new(START, message).allowed(allowed), 0))
            }
        }
    }

    /// The path with another entry at its end.
    fn with(&self, values: Vec<String>) -> Vec<Step> {
        let mut steps = self.steps.clone();
        if let Some(last) = steps.last_mut() {
            last.values = values;
        }
        steps
    }
}

fn incomplete(words: &str, how: Rearrange) -> EditError {
    let between = how.between().join(" or ");
    let problem = Problem::new(
        Span { line: 1, column: words.trim_end().chars().count() as u32 + 1 },
        format!("{between} and another statement are missing"),
    );
    EditError::of(problem.allowed(format!("STATEMENT {between} STATEMENT, both below the same level")), 0)
}
