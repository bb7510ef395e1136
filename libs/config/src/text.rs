//! The tree as Junos-style text: the canonical form, from which the digest is made.

use std::borrow::Cow;

use crate::{
    lexer::is_plain,
    schema::{Kind, Schema, SchemaId},
    tree::{NodeId, TOP, Tree},
    types,
};

const INDENT: &str = "    ";

/// A word as it is written: in quotes when it would not be read as one word otherwise.
pub(crate) fn quote(word: &str) -> Cow<'_, str> {
    let plain = !word.is_empty()
        && word.chars().all(is_plain)
        && !word.starts_with("/*")
        && !["inactive:", "replace:"].contains(&word);
    if plain {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")))
    }
}

/// A key or a value as it is written: `upto /24` and `add 10` are values of two words.
pub(crate) fn key(schema: &Schema, id: SchemaId, value: &str) -> String {
    if types::is_of_words(&schema.item(id).type_name) { value.to_owned() } else { quote(value).into_owned() }
}

/// One statement of a path: its name, and its keys or its value.
pub(crate) fn step(schema: &Schema, id: SchemaId, values: &[String]) -> String {
    let item = schema.item(id);
    let name = if item.unnamed { None } else { Some(Cow::Borrowed(item.name.as_str())) };
    let written = values.iter().enumerate().map(|(index, value)| match &item.kind {
        Kind::List { keys } => Cow::Owned(keys.get(index).map_or_else(String::new, |id| key(schema, *id, value))),
        _ => Cow::Owned(key(schema, id, value)),
    });
    name.into_iter().chain(written).collect::<Vec<_>>().join(" ")
}

/// One statement with all that is in it.
pub(crate) fn statement(schema: &Schema, tree: &Tree, id: NodeId) -> String {
    let mut printer = Printer { schema, tree, out: String::new() };
    printer.statement(id, 0);
    printer.out
}

/// What is inside one statement.
pub(crate) fn inside(schema: &Schema, tree: &Tree, id: NodeId) -> String {
    let mut printer = Printer { schema, tree, out: String::new() };
    printer.children(id, 0);
    printer.out
}

pub(crate) fn print(schema: &Schema, tree: &Tree) -> String {
    inside(schema, tree, TOP)
}

struct Printer<'c> {
    schema: &'c Schema,
    tree: &'c Tree,
    out: String,
}

impl Printer<'_> {
    fn children(&mut self, parent: NodeId, depth: usize) {
        let children = &self.tree.node(parent).children;
        let mut rest = children.as_slice();
        while let Some((first, others)) = rest.split_first() {
            let group = self.run(*first, others);
            let (run, after) = rest.split_at(group);
            match run {
                [one] => self.statement(*one, depth),
                several => self.bracketed(several, depth),
            }
            rest = after;
        }
    }

    /// How many of the following values of one leaf-list are written together in brackets.
    fn run(&self, first: NodeId, others: &[NodeId]) -> usize {
        let node = self.tree.node(first);
        let item = self.schema.item(node.schema);
        // Long lists (prefixes, addresses, gateways) read better one to a line; names of policies read better in a row.
        if item.kind != Kind::LeafList || item.unnamed || item.name == "address" {
            return 1;
        }
        let same = |id: &&NodeId| {
            let other = self.tree.node(**id);
            other.schema == node.schema && other.inactive == node.inactive
        };
        (1 + others.iter().take_while(same).count()).min(crate::limits::WORDS_MAX / 2)
    }

    fn begin(&mut self, id: NodeId, depth: usize) {
        let node = self.tree.node(id);
        let item = self.schema.item(node.schema);
        self.out.push_str(&INDENT.repeat(depth));
        if node.inactive {
            self.out.push_str("inactive: ");
        }
        if !item.unnamed {
            self.out.push_str(&item.name);
        }
    }

    /// The value of an entry that holds nothing but a leaf without a name: it stands on the entry's line.
    fn own_value(&self, id: NodeId) -> Option<String> {
        let [only] = self.tree.node(id).children.as_slice() else { return None };
        let (leaf, list) =
            (self.tree.node(*only), matches!(self.schema.item(self.tree.node(id).schema).kind, Kind::List { .. }));
        let item = self.schema.item(leaf.schema);
        let written = list && item.unnamed && item.kind == Kind::Leaf && !leaf.inactive;
        written.then(|| leaf.values.first().map(|value| key(self.schema, leaf.schema, value)))?
    }

    fn word(&mut self, word: &str) {
        if !self.out.ends_with(' ') && !self.out.ends_with('\n') && !self.out.is_empty() {
            self.out.push(' ');
        }
        self.out.push_str(word);
    }

    fn bracketed(&mut self, run: &[NodeId], depth: usize) {
        let Some(first) = run.first() else { return };
        self.begin(*first, depth);
        self.out.push_str(" [");
        for id in run {
            for value in &self.tree.node(*id).values {
                self.word(&quote(value));
            }
        }
        self.out.push_str(" ];\n");
    }

    fn statement(&mut self, id: NodeId, depth: usize) {
        self.begin(id, depth);
        let node = self.tree.node(id);
        let item = self.schema.item(node.schema);
        for (index, value) in node.values.iter().enumerate() {
            let written = match &item.kind {
                Kind::List { keys } => keys.get(index).map_or_else(String::new, |id| key(self.schema, *id, value)),
                _ => key(self.schema, node.schema, value),
            };
            self.word(&written);
        }
        if let Some(value) = self.own_value(id) {
            self.word(&value);
            self.out.push_str(";\n");
            return;
        }
        let holds = matches!(item.kind, Kind::Container { .. } | Kind::List { .. });
        let empty = matches!(item.kind, Kind::Container { presence: false });
        if holds && (empty || !node.children.is_empty()) {
            self.out.push_str(" {\n");
            self.children(id, depth + 1);
            self.out.push_str(&INDENT.repeat(depth));
            self.out.push_str("}\n");
        } else {
            self.out.push_str(";\n");
        }
    }
}
