//! A configuration that is being edited.
//!
//! Every statement in it is well-formed; whether they make a router together is asked only when it is to be committed, so
//! that an operator may type them in any order. An edit is carried out whole or not at all.

mod rearrange;

pub use rearrange::Rearrange;

use crate::{
    Configuration, compare,
    configuration::{read, read_marked, reported},
    error::{ConfigError, EditError, Problem, Span},
    json::{self, Scope},
    map, model, place,
    place::Step,
    schema::{Kind, Schema},
    set,
    statement::{self, Statement, Word},
    text,
    tree::{NodeId, TOP, Tree},
};

/// How a text comes into a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// It takes the place of everything.
    Override,
    /// It is added; values it states replace those that are there.
    Merge,
    /// As a merge, but what is marked with `replace:` takes the place of what is there.
    Replace,
    /// Its lines are editing commands.
    Set,
}

/// The editing commands that a line may be.
const LINE_COMMANDS: &str = "set, delete, activate, deactivate, rename, copy, insert";

/// A configuration that is being edited.
#[derive(Debug, Clone)]
pub struct Draft {
    tree: Tree,
}

impl Draft {
    /// Nothing yet.
    pub fn empty() -> Self {
        Self { tree: Tree::new() }
    }

    /// Reads a text, whole or not: each statement is checked, the rules between them are not.
    pub fn parse(name: &str, text: impl AsRef<[u8]>, schema: &Schema) -> Result<Self, Vec<ConfigError>> {
        match read(text.as_ref(), schema) {
            Ok((tree, problems)) if problems.is_empty() => Ok(Self { tree }),
            Ok((_, problems)) | Err(problems) => Err(reported(name, problems)),
        }
    }

    /// Checks everything. `name` is what errors call the text of [`Draft::to_text`].
    pub fn check(&self, name: &str, schema: &Schema) -> Result<Configuration, Vec<ConfigError>> {
        Configuration::parse(name, self.to_text(schema), schema)
    }

    /// The canonical text.
    pub fn to_text(&self, schema: &Schema) -> String {
        text::print(schema, &self.tree)
    }

    /// Adds one statement below `level`, as it stands behind `set`.
    pub fn set(&mut self, level: &str, words: &str, schema: &Schema) -> Result<(), EditError> {
        let line = Line::new(level, words);
        let small = line.statement(schema, |words| {
            let statement = Statement { inactive: false, replace: false, words, block: None };
            let (small, mut problems) = map::map(schema, std::slice::from_ref(&statement));
            if problems.is_empty() {
                problems = model::values(schema, &small);
            }
            problems.into_iter().next().map_or(Ok(small), Err)
        })?;
        self.tree.merge(schema, &small);
        Ok(())
    }

    /// Takes out what a path below `level` names, with all that is in it. Without words: all that is in the level.
    pub fn delete(&mut self, level: &str, words: &str, schema: &Schema) -> Result<(), EditError> {
        let nodes = match words.trim().is_empty() {
            true => self.children(level, schema)?,
            false => self.named(level, words, schema)?,
        };
        for id in nodes.into_iter().rev() {
            self.tree.remove(schema, id);
        }
        Ok(())
    }

    /// Makes statements count or not count, without taking them out.
    pub fn set_active(&mut self, level: &str, words: &str, active: bool, schema: &Schema) -> Result<(), EditError> {
        for id in self.named(level, words, schema)? {
            self.tree.set_inactive(id, !active);
        }
        Ok(())
    }

    /// Takes a text in.
    pub fn load(&mut self, how: Load, name: &str, text: &[u8], schema: &Schema) -> Result<(), EditError> {
        let refused = |errors| EditError::Text { errors };
        match how {
            Load::Override => *self = Self::parse(name, text, schema).map_err(refused)?,
            Load::Merge => self.tree.merge(schema, &Self::parse(name, text, schema).map_err(refused)?.tree),
            Load::Replace => {
                let (tree, problems) = read_marked(text, schema).unwrap_or_else(|problems| (Tree::new(), problems));
                if !problems.is_empty() {
                    return Err(refused(reported(name, problems)));
                }
                self.tree.merge(schema, &tree);
            }
            Load::Set => *self = self.with_lines(name, text, schema).map_err(refused)?,
        }
        Ok(())
    }

    fn with_lines(&self, name: &str, text: &[u8], schema: &Schema) -> Result<Self, Vec<ConfigError>> {
        // The same bounds and words on bytes that are no text as everywhere.
        let text = match std::str::from_utf8(text) {
            Ok(text) if text.len() <= crate::limits::TEXT_BYTES_MAX => text,
            _ => return Self::parse(name, text, schema),
        };
        let mut edited = self.clone();
        let mut problems = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if let Err(error) = edited.line(line, schema) {
                problems.push(problem(error, index as u32 + 1));
            }
        }
        if problems.is_empty() { Ok(edited) } else { Err(reported(name, problems)) }
    }

    /// One editing command of a text; blank lines and comments are none.
    fn line(&mut self, line: &str, schema: &Schema) -> Result<(), EditError> {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return Ok(());
        }
        let (command, words) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let before = (line.chars().count() - line.trim_start().chars().count()) + command.chars().count() + 1;
        let done = match command {
            "set" => self.set("", words, schema),
            // A text is not asked whether it means everything.
            "delete" if words.trim().is_empty() => Err(missing_path()),
            "delete" => self.delete("", words, schema),
            "rename" => self.rearrange(Rearrange::Rename, "", words, schema),
            "copy" => self.rearrange(Rearrange::Copy, "", words, schema),
            "insert" => self.rearrange(Rearrange::Insert, "", words, schema),
            "activate" | "deactivate" => self.set_active("", words, command == "activate", schema),
            other => {
                let message = format!("{:?} is no editing command", map::clipped(other));
                let problem = Problem::new(Span { line: 1, column: 1 }, message).allowed(LINE_COMMANDS);
                return Err(EditError::of(problem, 0));
            }
        };
        done.map_err(|error| error.shifted(before as u32))
    }

    /// The canonical path of a level that `edit` may go to: a container or an entry, there already or not.
    pub fn level(&self, level: &str, words: &str, schema: &Schema) -> Result<String, EditError> {
        let line = Line::new(level, words);
        let steps = line.statement(schema, |words| place::walk(schema, &words))?;
        let goes = steps.last().is_none_or(|step| match schema.item(step.schema).kind {
            Kind::Container { .. } => true,
            Kind::List { .. } => !step.values.is_empty(),
            Kind::Leaf | Kind::LeafList => false,
        });
        if goes {
            return Ok(place::path(schema, &steps));
        }
        let problem = Problem::new(Span { line: 1, column: 1 }, "edit goes to a statement that holds others")
            .at(place::path(schema, &steps))
            .allowed("a statement with { }, an entry with its name");
        Err(EditError::of(problem, 0))
    }

    /// The level above one.
    pub fn above(&self, level: &str, schema: &Schema) -> Result<String, EditError> {
        let mut steps = Line::new(level, "").statement(schema, |words| place::walk(schema, &words))?;
        steps.pop();
        Ok(place::path(schema, &steps))
    }

    /// What a path holds, as text: what is inside a statement with braces, the statement itself otherwise. Without words:
    /// what is in the level.
    pub fn show(&self, level: &str, words: &str, schema: &Schema) -> Result<String, EditError> {
        let shown = |id: &NodeId| match schema.item(self.tree.node(*id).schema).kind {
            Kind::Container { .. } => text::inside(schema, &self.tree, *id),
            _ => text::statement(schema, &self.tree, *id),
        };
        let nodes = self.shown(level, words, schema)?;
        Ok(match nodes.as_slice() {
            [one] if !self.tree.node(*one).children.is_empty() => text::inside(schema, &self.tree, *one),
            several => several.iter().map(shown).collect(),
        })
    }

    /// The same as `set` commands with whole paths.
    pub fn show_set(&self, level: &str, words: &str, schema: &Schema) -> Result<String, EditError> {
        let nodes = self.shown(level, words, schema)?;
        if nodes == [TOP] {
            return Ok(set::print(schema, &self.tree));
        }
        Ok(nodes.iter().map(|id| set::statement(schema, &self.tree, *id)).collect())
    }

    /// The same as JSON by RFC 7951, with what is around it; inactive statements are not in it.
    pub fn show_json(&self, level: &str, words: &str, schema: &Schema) -> Result<serde_json::Value, EditError> {
        let nodes = self.shown(level, words, schema)?;
        Ok(json::object(schema, &self.part(&nodes, schema), Scope::Active))
    }

    /// What has to be typed to make `base` this draft, in the notation of a comparison.
    pub fn compare(&self, base: &Self, schema: &Schema) -> String {
        compare::compare(schema, &base.tree, &self.tree)
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Only these nodes and what is around them.
    fn part(&self, nodes: &[NodeId], schema: &Schema) -> Tree {
        if nodes.is_empty() {
            return Tree::new();
        }
        let mut part = self.tree.clone();
        for id in nodes {
            let (mut kept, mut around) = (*id, *id);
            while around != TOP {
                around = self.tree.node(kept).parent;
                let others = self.tree.node(around).children.iter().filter(|child| **child != kept);
                for other in others.filter(|other| !nodes.contains(other)) {
                    // Siblings were taken out on the way to an earlier node already.
                    if part.node(around).children.contains(other) {
                        part.remove(schema, *other);
                    }
                }
                kept = around;
            }
        }
        part
    }

    fn children(&self, level: &str, schema: &Schema) -> Result<Vec<NodeId>, EditError> {
        if level.is_empty() {
            return Ok(self.tree.node(TOP).children.clone());
        }
        let around = self.named("", level, schema)?;
        Ok(around.into_iter().flat_map(|id| self.tree.node(id).children.clone()).collect())
    }

    fn shown(&self, level: &str, words: &str, schema: &Schema) -> Result<Vec<NodeId>, EditError> {
        if words.trim().is_empty() {
            // A level that holds nothing yet is an empty one, not a mistake.
            let around = if level.is_empty() { Ok(vec![TOP]) } else { self.named("", level, schema) };
            return match around {
                Err(EditError::Absent { .. }) => Ok(Vec::new()),
                around => around,
            };
        }
        self.named(level, words, schema)
    }

    /// The nodes that words name; there is at least one.
    fn named(&self, level: &str, words: &str, schema: &Schema) -> Result<Vec<NodeId>, EditError> {
        if words.trim().is_empty() {
            return Err(missing_path());
        }
        let steps: Vec<Step> = Line::new(level, words).statement(schema, |words| place::walk(schema, &words))?;
        let nodes = place::nodes(schema, &self.tree, &steps);
        if nodes.is_empty() { Err(EditError::Absent { path: place::path(schema, &steps) }) } else { Ok(nodes) }
    }
}

/// Words of one statement behind those of the level.
struct Line {
    text: String,
    columns_before: u32,
}

impl Line {
    fn new(level: &str, words: &str) -> Self {
        let before = if level.is_empty() { String::new() } else { format!("{level} ") };
        Self { columns_before: before.chars().count() as u32, text: format!("{before}{words}\n;") }
    }

    /// Reads the one statement of the line, with its names in full, and goes on with its words.
    fn statement<T>(
        &self,
        schema: &Schema,
        take: impl FnOnce(Vec<Word<'_>>) -> Result<T, Problem>,
    ) -> Result<T, EditError> {
        let (statements, problems) = statement::parse(&self.text);
        let refused = |problem| Err(EditError::of(problem, self.columns_before));
        if let Some(problem) = problems.into_iter().next() {
            return refused(problem);
        }
        let start = Span { line: 1, column: self.columns_before + 1 };
        let mut statements = statements.into_iter();
        let mut words = match (statements.next(), statements.next()) {
            (None, _) => Vec::new(),
            (Some(Statement { inactive: false, replace: false, words, block: None }), None) => words,
            _ => {
                let message = "one statement without { } and ; is taken here";
                return refused(Problem::new(start, message).allowed("load, for more; deactivate, for inactive:"));
            }
        };
        place::expand(schema, &mut words);
        take(words).or_else(refused)
    }
}

fn missing_path() -> EditError {
    let problem = Problem::new(Span { line: 1, column: 1 }, "a statement is missing");
    EditError::of(problem.allowed("a statement as show displays it, without { } and ;"), 0)
}

/// An edit's mistake as one of a text's line.
fn problem(error: EditError, line: u32) -> Problem {
    match error {
        EditError::Statement { column, path, message, allowed } => {
            Problem::new(Span { line, column }, message).at(path).allowed(allowed)
        }
        EditError::Absent { path } => Problem::new(Span { line, column: 1 }, "is not in the configuration").at(path),
        EditError::Text { .. } => Problem::new(Span { line, column: 1 }, error.to_string()),
    }
}
