//! One configuration, valid from the moment it exists.

use holdfast_proto::v1;
use sha2::{Digest as _, Sha256};

use crate::{
    compile,
    error::{ConfigError, Problem, Span},
    json::{self, Scope},
    limits, map, model,
    schema::Schema,
    set, statement, text,
    tree::Tree,
    validate,
};

/// A configuration that has passed the grammar, the models and the rules between statements.
#[derive(Debug)]
pub struct Configuration {
    text: String,
    set: String,
    json: serde_json::Value,
    compiled: v1::RouterConfig,
}

impl Configuration {
    /// Reads and checks a text. `name` is what errors call it. All mistakes come at once, in the order of their places.
    pub fn parse(name: &str, text: impl AsRef<[u8]>, schema: &Schema) -> Result<Self, Vec<ConfigError>> {
        Self::check(text.as_ref(), schema).map_err(|problems| reported(name, problems))
    }

    fn check(bytes: &[u8], schema: &Schema) -> Result<Self, Vec<Problem>> {
        let (tree, mut problems) = read(bytes, schema)?;
        let rules = validate::validate(tree.top(schema));
        // A statement with a broken part inside is not blamed for lacking that part.
        let broken: Vec<String> = problems.iter().map(|problem| problem.path.clone()).collect();
        problems.extend(rules.into_iter().filter(|rule| !broken.iter().any(|path| path.starts_with(&rule.path))));
        if problems.is_empty() {
            problems.extend(model::whole(schema, &tree));
        }
        if problems.is_empty() { Ok(Self::of(schema, &tree)) } else { Err(problems) }
    }

    fn of(schema: &Schema, tree: &Tree) -> Self {
        let text = text::print(schema, tree);
        let digest = Sha256::digest(text.as_bytes()).to_vec();
        let compiled = v1::RouterConfig { digest, ..compile::compile(tree.top(schema)) };
        Self { text, set: set::print(schema, tree), json: json::object(schema, tree, Scope::Active), compiled }
    }

    /// The canonical text: the same for every spelling of the same configuration; reading it gives it again.
    pub fn to_text(&self) -> &str {
        &self.text
    }

    /// The configuration as `set` (and `deactivate`) commands.
    pub fn to_set(&self) -> &str {
        &self.set
    }

    /// What is in force as JSON by RFC 7951.
    pub fn to_json(&self) -> &serde_json::Value {
        &self.json
    }

    /// SHA-256 of the canonical text.
    pub fn digest(&self) -> &[u8] {
        &self.compiled.digest
    }

    /// What the daemons take: defaults and inheritance resolved.
    pub fn compile(&self, commit_id: u64) -> v1::RouterConfig {
        v1::RouterConfig { commit_id, ..self.compiled.clone() }
    }
}

/// Reads a text as far as each statement can be judged alone: the tree, and what is wrong with its statements.
pub(crate) fn read(bytes: &[u8], schema: &Schema) -> Result<(Tree, Vec<Problem>), Vec<Problem>> {
    let (tree, mut problems) = read_marked(bytes, schema)?;
    let mark = |span| Problem::new(span, "replace: has a meaning for load replace only");
    problems.extend(tree.marked().map(mark));
    Ok((tree, problems))
}

/// The same of a text that may have marks that say what it replaces.
pub(crate) fn read_marked(bytes: &[u8], schema: &Schema) -> Result<(Tree, Vec<Problem>), Vec<Problem>> {
    let text = std::str::from_utf8(bytes).map_err(|error| vec![not_utf8(bytes, error.valid_up_to())])?;
    let (statements, problems) = statement::parse(text);
    // What the grammar could not read makes every later mistake a guess.
    if !problems.is_empty() {
        return Err(problems);
    }
    let (tree, mut problems) = map::map(schema, &statements);
    problems.extend(model::values(schema, &tree));
    Ok((tree, problems))
}

/// Mistakes as they are told: in the order of their places, and not more than anybody reads.
pub(crate) fn reported(name: &str, mut problems: Vec<Problem>) -> Vec<ConfigError> {
    problems.sort_by_key(|problem| problem.span);
    let more = problems.len().saturating_sub(limits::ERRORS_MAX);
    problems.truncate(limits::ERRORS_MAX);
    if more > 0
        && let Some(last) = problems.last_mut()
    {
        last.message.push_str(&format!(" (and {more} more mistakes)"));
    }
    problems.into_iter().map(|problem| problem.in_file(name)).collect()
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let before = bytes.get(..valid).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u32;
    let tail = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let column = 1 + String::from_utf8_lossy(tail).chars().count() as u32;
    let byte = bytes.get(valid).copied().unwrap_or_default();
    Problem::new(Span { line, column }, format!("the byte 0x{byte:02x} is not UTF-8"))
}
