//! Statements to the tree, guided by the models.
//!
//! One rule serves all: a statement is a name, the keys or the value that its kind asks for, and then either a block or
//! the words of a statement inside it (`route 10.0.0.0/8 next-hop 10.0.0.1;`).

use crate::{
    error::{Problem, Span},
    limits, near,
    schema::{Encoding, Kind, Schema, SchemaId},
    statement::{Statement, Word},
    tree::{Node, NodeId, TOP, Tree},
    types,
};

/// Maps a whole text.
pub(crate) fn map(schema: &Schema, statements: &[Statement<'_>]) -> (Tree, Vec<Problem>) {
    let mut mapper = Mapper { schema, tree: Tree::new(), problems: Vec::new() };
    mapper.block(TOP, statements);
    for id in mapper.tree.marked_in_vain(schema).collect::<Vec<_>>() {
        let (span, path) = (mapper.tree.node(id).span, mapper.tree.path(schema, id));
        let problem = Problem::new(span, "replace: puts nothing in the place of what is there").at(path);
        mapper.report(problem.allowed("statements inside; delete takes out what is there"));
    }
    mapper.tree.prune(schema);
    mapper.tree.sort();
    (mapper.tree, mapper.problems)
}

struct Mapper<'s> {
    schema: &'s Schema,
    tree: Tree,
    problems: Vec<Problem>,
}

/// What is left of a statement: words, then a block or a semicolon.
struct Rest<'r, 't> {
    words: &'r [Word<'t>],
    block: Option<&'r [Statement<'t>]>,
    inactive: bool,
    /// For the innermost statement of a line.
    replace: bool,
    /// Inside another statement of the same line: what was named before may be named again.
    one_line: bool,
}

impl Mapper<'_> {
    fn report(&mut self, problem: Problem) {
        if self.problems.len() < limits::ERRORS_MAX {
            self.problems.push(problem);
        }
    }

    fn block(&mut self, parent: NodeId, statements: &[Statement<'_>]) {
        for statement in statements {
            let block = statement.block.as_deref();
            let Statement { inactive, replace, .. } = *statement;
            self.statement(parent, Rest { words: &statement.words, block, inactive, replace, one_line: false });
        }
    }

    fn statement(&mut self, parent: NodeId, rest: Rest<'_, '_>) {
        let Some((name, words)) = rest.words.split_first() else { return };
        let parent_schema = self.tree.node(parent).schema;
        let Some(id) = self.schema.child(parent_schema, &name.text) else { return self.unknown(parent, name) };
        // The name of an unnamed node is not written: its first word is its key or value already.
        let words = if self.schema.item(id).unnamed { rest.words } else { words };
        let rest = Rest { words, ..rest };
        match &self.schema.item(id).kind {
            Kind::Container { presence } => self.container(parent, id, name.span, *presence, rest),
            Kind::List { keys } => self.list(parent, id, name.span, keys, rest),
            Kind::Leaf => self.leaf(parent, id, name.span, rest),
            Kind::LeafList => self.leaf_list(parent, id, name.span, rest),
        }
    }

    fn unknown(&mut self, parent: NodeId, word: &Word<'_>) {
        let (message, allowed) = unknown(self.schema, self.tree.node(parent).schema, &word.text);
        let path = self.tree.path(self.schema, parent);
        self.report(Problem::new(word.span, message).at(path).allowed(allowed));
    }

    fn path_of(&self, parent: NodeId, id: SchemaId) -> String {
        let parent = self.tree.path(self.schema, parent);
        let item = self.schema.item(id);
        let name = if item.unnamed { "" } else { item.name.as_str() };
        [parent.as_str(), name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn problem(
        &mut self,
        parent: NodeId,
        id: SchemaId,
        span: Span,
        message: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let path = self.path_of(parent, id);
        self.report(Problem::new(span, message).at(path).allowed(allowed));
    }

    fn container(&mut self, parent: NodeId, id: SchemaId, span: Span, presence: bool, rest: Rest<'_, '_>) {
        if rest.words.is_empty() && rest.block.is_none() && !presence {
            return self.problem(parent, id, span, "holds nothing", self.schema.allowed(id));
        }
        let node = self
            .tree
            .find(parent, id, &[])
            .unwrap_or_else(|| self.add(parent, id, span, Vec::new(), Vec::new(), rest.inactive));
        self.mark(node, &rest);
        self.inside(node, rest);
    }

    /// The mark of a line is for the statement at its end.
    fn mark(&mut self, node: NodeId, rest: &Rest<'_, '_>) {
        if rest.replace && rest.words.is_empty() {
            self.tree.set_replace(node, true);
        }
    }

    /// The words or the block behind a container or a list entry.
    fn inside(&mut self, node: NodeId, rest: Rest<'_, '_>) {
        if rest.words.is_empty() {
            return self.block(node, rest.block.unwrap_or_default());
        }
        self.statement(node, Rest { inactive: false, one_line: true, ..rest });
    }

    fn list(&mut self, parent: NodeId, id: SchemaId, span: Span, keys: &[SchemaId], rest: Rest<'_, '_>) {
        let Some((values, words)) = self.keys(parent, id, span, keys, rest.words) else {
            // What stands inside a refused entry would get a path that does not exist.
            return;
        };
        let rest = Rest { words, ..rest };
        let whole = rest.words.is_empty();
        let node = match self.tree.find(parent, id, &values) {
            Some(known) if whole && !rest.one_line => {
                let first = self.tree.node(known).span;
                let message = format!("{} is stated twice, first at {first}", self.entry(id, &values));
                self.problem(parent, id, span, message, "one statement for each");
                known
            }
            Some(known) => known,
            None => self.add(parent, id, span, values.clone(), values, rest.inactive),
        };
        self.mark(node, &rest);
        self.inside(node, rest);
    }

    fn entry(&self, id: SchemaId, values: &[String]) -> String {
        format!("{} {}", self.schema.item(id).name, values.join(" "))
    }

    fn keys<'r, 't>(
        &mut self,
        parent: NodeId,
        id: SchemaId,
        span: Span,
        keys: &[SchemaId],
        words: &'r [Word<'t>],
    ) -> Option<(Vec<String>, &'r [Word<'t>])> {
        let taken = take_keys(self.schema, keys, words);
        let valid = taken.refusals.is_empty();
        for KeyRefusal { at, message, allowed } in taken.refusals {
            self.problem(parent, id, at.unwrap_or(span), message, allowed);
        }
        valid.then_some((taken.values, taken.rest))
    }

    fn leaf(&mut self, parent: NodeId, id: SchemaId, span: Span, rest: Rest<'_, '_>) {
        let Some(values) = self.leaf_value(parent, id, span, &rest) else { return };
        if let Some(known) = self.tree.find(parent, id, &[]) {
            let message = format!("stated twice, first at {}", self.tree.node(known).span);
            return self.problem(parent, id, span, message, "one value");
        }
        let node = self.add(parent, id, span, values, Vec::new(), rest.inactive);
        self.tree.set_replace(node, rest.replace);
    }

    fn leaf_value(&mut self, parent: NodeId, id: SchemaId, span: Span, rest: &Rest<'_, '_>) -> Option<Vec<String>> {
        let empty = self.schema.item(id).encoding == Encoding::Empty;
        let hint = if empty { "nothing but ;".to_owned() } else { value_hint(self.schema, id) };
        let type_name = &self.schema.item(id).type_name;
        let two = rest.words.first().is_some_and(|first| types::has_second_word(type_name, &first.text));
        let expected = usize::from(!empty) + usize::from(two);
        if rest.block.is_some() {
            self.problem(parent, id, span, "takes no { }", hint);
        } else if let Some(word) = rest.words.get(expected) {
            let message = format!("one word too many: {:?}", clipped(&word.text));
            self.problem(parent, id, word.span, message, hint);
        } else if rest.words.len() < expected {
            self.problem(parent, id, span, "the value is missing", hint);
        } else {
            let Some(word) = rest.words.first() else { return Some(Vec::new()) };
            let text = rest.words.iter().map(|word| &*word.text).collect::<Vec<_>>().join(" ");
            match value(self.schema, id, &text) {
                Ok(value) => return Some(vec![value]),
                Err((message, allowed)) => self.problem(parent, id, word.span, message, allowed),
            }
        }
        None
    }

    fn leaf_list(&mut self, parent: NodeId, id: SchemaId, span: Span, rest: Rest<'_, '_>) {
        let hint = value_hint(self.schema, id);
        if rest.block.is_some() {
            return self.problem(parent, id, span, "takes no { }", format!("{hint}, or several in [ ]"));
        }
        if rest.words.is_empty() {
            return self.problem(parent, id, span, "the value is missing", format!("{hint}, or several in [ ]"));
        }
        if let Some(word) = rest.words.iter().skip(1).find(|word| !word.bracketed) {
            let message = format!("one word too many: {:?}; several values stand in [ ]", clipped(&word.text));
            return self.problem(parent, id, word.span, message, hint);
        }
        for word in rest.words {
            let value = match value(self.schema, id, &word.text) {
                Ok(value) => vec![value],
                Err((message, allowed)) => {
                    self.problem(parent, id, word.span, message, allowed);
                    continue;
                }
            };
            match self.tree.find(parent, id, &value) {
                Some(known) => {
                    let message =
                        format!("{} is stated twice, first at {}", value.join(" "), self.tree.node(known).span);
                    self.problem(parent, id, word.span, message, "each value once");
                }
                None => {
                    let node = self.add(parent, id, word.span, value.clone(), value, rest.inactive);
                    self.tree.set_replace(node, rest.replace);
                }
            }
        }
    }

    fn add(
        &mut self,
        parent: NodeId,
        schema: SchemaId,
        span: Span,
        values: Vec<String>,
        identity: Vec<String>,
        inactive: bool,
    ) -> NodeId {
        let node = Node { schema, parent, values, children: Vec::new(), span, inactive, replace: false };
        self.tree.add(node, identity)
    }
}

/// The keys of a list entry at the beginning of some words.
pub(crate) struct TakenKeys<'r, 't> {
    pub values: Vec<String>,
    pub rest: &'r [Word<'t>],
    /// Not empty: `values` is not what the entry is called by.
    pub refusals: Vec<KeyRefusal>,
}

/// What is wrong with a key.
pub(crate) struct KeyRefusal {
    /// `None`: it is not there.
    pub at: Option<Span>,
    pub message: String,
    pub allowed: String,
}

/// Takes the keys from the words; a last key that may be two words (`upto /24`) takes both.
pub(crate) fn take_keys<'r, 't>(schema: &Schema, keys: &[SchemaId], mut words: &'r [Word<'t>]) -> TakenKeys<'r, 't> {
    let mut values = Vec::with_capacity(keys.len());
    let mut refusals = Vec::new();
    for key in keys {
        let item = schema.item(*key);
        let Some((word, rest)) = words.split_first().filter(|(word, _)| !word.bracketed) else {
            let message = format!("the {} is missing", item.name);
            refusals.push(KeyRefusal { at: None, message, allowed: value_hint(schema, *key) });
            break;
        };
        words = rest;
        let mut text = word.text.to_string();
        if types::has_second_word(&item.type_name, &text)
            && let Some((second, rest)) = words.split_first()
        {
            words = rest;
            text = format!("{text} {}", second.text);
        }
        match value(schema, *key, &text) {
            Ok(value) => values.push(value),
            Err((message, allowed)) => refusals.push(KeyRefusal { at: Some(word.span), message, allowed }),
        }
    }
    TakenKeys { values, rest: words, refusals }
}

/// What may stand as a value, for messages.
pub(crate) fn value_hint(schema: &Schema, id: SchemaId) -> String {
    let item = schema.item(id);
    match types::enumeration(&item.type_name) {
        Some(values) => types::joined(values),
        None if item.type_name.is_empty() => format!("<{}>", item.name),
        None => format!("<{}>", item.type_name),
    }
}

/// A value in its canonical spelling.
pub(crate) fn value(schema: &Schema, id: SchemaId, text: &str) -> Result<String, types::Refusal> {
    let item = schema.item(id);
    match item.encoding {
        Encoding::Number => types::number(text),
        _ => types::canonical(&item.type_name, text),
    }
    .map_err(|(message, allowed)| (clipped(&message).to_owned(), allowed))
}

/// A word that is no statement in this place: the message and what could stand there.
pub(crate) fn unknown(schema: &Schema, parent: SchemaId, word: &str) -> types::Refusal {
    let names = schema.statements(parent).map(|child| schema.item(child).name.as_str());
    let suggestion = near::nearest(word, names).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    (format!("unknown statement {:?}{suggestion}", clipped(word)), schema.allowed(parent))
}

/// A word as a message shows it: not longer than a line.
pub(crate) fn clipped(text: &str) -> &str {
    match text.char_indices().nth(200) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}
