//! Paths as an operator types them (`protocols bgp group EXT`), read by the models whether or not the tree has them.

use std::borrow::Cow;

use crate::{
    error::{Problem, Span},
    map::{self, KeyRefusal},
    schema::{Encoding, Kind, ROOT, Schema, SchemaId},
    statement::Word,
    text,
    tree::{NodeId, TOP, Tree},
    types,
};

/// One statement of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub schema: SchemaId,
    /// Keys of an entry or the value. Empty at the end of a path: all entries, whatever the value.
    pub values: Vec<String>,
}

/// A path's canonical spelling.
pub(crate) fn path(schema: &Schema, steps: &[Step]) -> String {
    steps.iter().map(|step| text::step(schema, step.schema, &step.values)).collect::<Vec<_>>().join(" ")
}

/// Writes abbreviated names in full, where only one statement fits. What it does not understand it leaves to others to
/// complain about.
pub(crate) fn expand<'t>(schema: &Schema, words: &mut [Word<'t>]) {
    let mut at = ROOT;
    let mut index = 0;
    while index < words.len() {
        let typed = words[index].text.to_string();
        let Some(id) = schema.child(at, &typed).or_else(|| abbreviated(schema, at, &typed)) else { return };
        let item = schema.item(id);
        if !item.unnamed {
            words[index].text = Cow::Owned(item.name.clone());
            index += 1;
        }
        match &item.kind {
            Kind::Container { .. } => {}
            Kind::List { keys } => {
                let rest = words.get(index..).unwrap_or_default();
                index += rest.len() - map::take_keys(schema, keys, rest).rest.len();
            }
            Kind::Leaf | Kind::LeafList => return,
        }
        at = id;
    }
}

fn abbreviated(schema: &Schema, parent: SchemaId, word: &str) -> Option<SchemaId> {
    let mut fitting = schema.statements(parent).filter(|child| schema.item(*child).name.starts_with(word));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Reads a path to its end. The last statement of it may be a list without keys, or a leaf without its value.
pub(crate) fn walk(schema: &Schema, words: &[Word<'_>]) -> Result<Vec<Step>, Problem> {
    let mut steps: Vec<Step> = Vec::new();
    let mut at = ROOT;
    let mut rest = words;
    while let Some((word, behind)) = rest.split_first() {
        let refused = |span: Span, message: String, allowed: String| {
            Err(Problem::new(span, message).at(path(schema, &steps)).allowed(allowed))
        };
        if matches!(schema.item(at).kind, Kind::Leaf | Kind::LeafList) {
            let message = format!("one word too many: {:?}", map::clipped(&word.text));
            return refused(word.span, message, "nothing behind it".to_owned());
        }
        let Some(id) = schema.child(at, &word.text) else {
            let (message, allowed) = map::unknown(schema, at, &word.text);
            return refused(word.span, message, allowed);
        };
        let item = schema.item(id);
        rest = if item.unnamed { rest } else { behind };
        let values = match &item.kind {
            Kind::Container { .. } => Vec::new(),
            Kind::List { .. } if rest.is_empty() => Vec::new(),
            Kind::List { keys } => {
                let taken = map::take_keys(schema, keys, rest);
                if let Some(KeyRefusal { at, message, allowed }) = taken.refusals.into_iter().next() {
                    return refused(at.unwrap_or(word.span), message, allowed);
                }
                rest = taken.rest;
                taken.values
            }
            Kind::Leaf | Kind::LeafList => match rest.split_first() {
                Some((value, behind)) if item.encoding != Encoding::Empty => {
                    rest = behind;
                    let mut text = value.text.to_string();
                    if types::has_second_word(&item.type_name, &text)
                        && let Some((second, behind)) = rest.split_first()
                    {
                        rest = behind;
                        text = format!("{text} {}", second.text);
                    }
                    match map::value(schema, id, &text) {
                        Ok(canonical) => vec![canonical],
                        Err((message, allowed)) => return refused(value.span, message, allowed),
                    }
                }
                _ => Vec::new(),
            },
        };
        steps.push(Step { schema: id, values });
        at = id;
    }
    Ok(steps)
}

/// The nodes that a path names; none when the tree has nothing there.
pub(crate) fn nodes(schema: &Schema, tree: &Tree, steps: &[Step]) -> Vec<NodeId> {
    let mut at = vec![TOP];
    for step in steps {
        let parent = at.first().copied().unwrap_or(TOP);
        let fits = |id: &NodeId| {
            let node = tree.node(*id);
            let all = step.values.is_empty() && !matches!(schema.item(step.schema).kind, Kind::Container { .. });
            node.schema == step.schema && (all || node.values == step.values)
        };
        // By name where there is one, so that a long list is not searched for each step.
        let leaf = matches!(schema.item(step.schema).kind, Kind::Leaf);
        let named = (!leaf && !step.values.is_empty()).then(|| tree.find(parent, step.schema, &step.values));
        at = match named {
            Some(found) => found.into_iter().collect(),
            None => tree.node(parent).children.iter().copied().filter(fits).collect(),
        };
        if at.is_empty() {
            return at;
        }
    }
    at
}
