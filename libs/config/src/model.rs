//! Validation by the YANG models: libyang is the judge of ranges, lengths and patterns.
//!
//! libyang stops at the first mistake and knows no place in our text. So the whole tree is given to it once; only when
//! it refuses, each statement is tried alone, which finds all the mistakes and their places.

use yang5::data::{DataFormat, DataParserFlags, DataTree, DataValidationFlags};

use crate::{
    error::Problem,
    json::{self, Scope},
    limits,
    schema::{Kind, Schema},
    tree::{NodeId, TOP, Tree},
};

/// What each statement alone is refused for.
pub(crate) fn values(schema: &Schema, tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    if parse(schema, &json::object(schema, tree, Scope::All), true).is_err() {
        each(schema, tree, TOP, &mut problems);
    }
    problems
}

/// The last judge: what all other rules have let pass. Its place is only a path, so the rules of
/// [`validate`](mod@crate::validate) come first and name the line.
pub(crate) fn whole(schema: &Schema, tree: &Tree) -> Option<Problem> {
    let refusal = parse(schema, &json::object(schema, tree, Scope::Active), false).err()?;
    let span = tree.node(TOP).span;
    Some(Problem::new(span, refusal.to_string()).at(refusal.path.unwrap_or_default()))
}

fn each(schema: &Schema, tree: &Tree, parent: NodeId, problems: &mut Vec<Problem>) {
    for id in &tree.node(parent).children {
        if problems.len() >= limits::ERRORS_MAX {
            return;
        }
        let node = tree.node(*id);
        let container = matches!(schema.item(node.schema).kind, Kind::Container { .. });
        if !container && let Err(refusal) = parse(schema, &json::alone(schema, tree, *id), true) {
            let observed = node.values.join(" ");
            let message = format!("{observed:?} is refused: {refusal}");
            problems.push(Problem::new(node.span, message).at(tree.path(schema, *id)));
            continue; // everything inside would be refused for the same reason
        }
        each(schema, tree, *id, problems);
    }
}

fn parse(schema: &Schema, value: &serde_json::Value, values_only: bool) -> Result<(), yang5::Error> {
    let mut flags = DataParserFlags::STRICT | DataParserFlags::NO_STATE;
    if values_only {
        flags |= DataParserFlags::NO_VALIDATION;
    }
    DataTree::parse_string(schema.context(), value.to_string(), DataFormat::JSON, flags, DataValidationFlags::NO_STATE)
        .map(drop)
}
