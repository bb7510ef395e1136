//! Completion and `?` of statements: names with the models' descriptions, entries that are there, values.

use crate::{
    Draft, map, place,
    schema::{Encoding, Kind, ROOT, Schema, SchemaId},
    statement::{self, Word},
    text,
    tree::{NodeId, TOP},
    types,
};

/// What a path is typed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `set`: whatever the models know.
    Set,
    /// `edit`: statements that hold others.
    Edit,
    /// `show`, `delete`: only what is there.
    Existing,
}

/// One word that may stand next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The word, or a placeholder.
    pub word: String,
    /// What it means.
    pub help: String,
    /// To be typed as it is.
    pub literal: bool,
}

/// What may stand next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suggestions {
    /// In the models' order.
    pub words: Vec<Suggestion>,
    /// The words so far are enough.
    pub complete: bool,
}

/// Where the words so far have led.
enum Position {
    /// Names of statements may follow.
    Inside(SchemaId),
    /// A list's key of this index.
    Key(SchemaId, usize),
    /// A value of a leaf or leaf-list.
    Value(SchemaId),
    /// Nothing more.
    End,
}

impl Draft {
    /// What may stand behind `words` (whole ones) below `level`. Nothing when they are no path.
    pub fn complete(&self, level: &str, words: &str, purpose: Purpose, schema: &Schema) -> Suggestions {
        let text = format!("{level} {words}\n;");
        let (mut statements, problems) = statement::parse(&text);
        let mut words = match (problems.is_empty(), statements.len()) {
            (true, 0) => Vec::new(),
            (true, 1) if statements[0].block.is_none() => std::mem::take(&mut statements[0].words),
            _ => return Suggestions::default(),
        };
        place::expand(schema, &mut words);
        let Some((position, node)) = self.position(&words, schema) else { return Suggestions::default() };
        let mut suggestions = match position {
            Position::Inside(id) => self.names(id, node, purpose, schema),
            Position::Key(id, index) => self.keys(id, index, node, purpose, schema),
            Position::Value(id) => self.values(id, node, purpose, schema),
            Position::End => Suggestions { words: Vec::new(), complete: purpose != Purpose::Edit },
        };
        suggestions.complete &= !words.is_empty();
        suggestions
    }

    /// Where words lead, and the node there when the tree has one.
    fn position(&self, words: &[Word<'_>], schema: &Schema) -> Option<(Position, Option<NodeId>)> {
        let (mut at, mut node) = (ROOT, Some(TOP));
        let mut rest = words;
        while let Some((word, behind)) = rest.split_first() {
            let id = schema.child(at, &word.text)?;
            let item = schema.item(id);
            rest = if item.unnamed { rest } else { behind };
            match &item.kind {
                Kind::Container { .. } => node = node.and_then(|node| self.tree().find(node, id, &[])),
                Kind::List { keys } => {
                    let taken = map::take_keys(schema, keys, rest);
                    if taken.refusals.iter().any(|refusal| refusal.at.is_some()) {
                        return None;
                    }
                    if taken.values.len() < keys.len() {
                        return Some((Position::Key(id, taken.values.len()), node));
                    }
                    rest = taken.rest;
                    node = node.and_then(|node| self.tree().find(node, id, &taken.values));
                }
                Kind::Leaf if item.encoding == Encoding::Empty || !rest.is_empty() => {
                    let two = rest.first().is_some_and(|first| types::has_second_word(&item.type_name, &first.text));
                    let expected = if two { 2 } else { 1 };
                    return match rest.len() {
                        1 if two => Some((Position::Value(id), None)),
                        words => (words <= expected).then_some((Position::End, None)),
                    };
                }
                Kind::LeafList if !rest.is_empty() => {
                    return rest
                        .iter()
                        .all(|word| word.bracketed)
                        .then_some((Position::End, None))
                        .or_else(|| (rest.len() == 1).then_some((Position::End, None)));
                }
                Kind::Leaf | Kind::LeafList => return Some((Position::Value(id), node)),
            }
            at = id;
        }
        // The one statement whose name is not written is typed by its key right away.
        match schema.unnamed_child(at) {
            Some(id) if matches!(schema.item(id).kind, Kind::List { .. }) => Some((Position::Key(id, 0), node)),
            Some(id) => Some((Position::Value(id), node)),
            None => Some((Position::Inside(at), node)),
        }
    }

    fn names(&self, id: SchemaId, node: Option<NodeId>, purpose: Purpose, schema: &Schema) -> Suggestions {
        let is_there = |child: &SchemaId| {
            node.is_some_and(|node| {
                self.tree().node(node).children.iter().any(|node| self.tree().node(*node).schema == *child)
            })
        };
        let fits = |child: &SchemaId| match purpose {
            Purpose::Set => true,
            Purpose::Edit => matches!(schema.item(*child).kind, Kind::Container { .. } | Kind::List { .. }),
            Purpose::Existing => is_there(child),
        };
        let word = |child: SchemaId| {
            let item = schema.item(child);
            Suggestion { word: item.name.clone(), help: item.help.clone(), literal: true }
        };
        let words = schema.statements(id).filter(fits).map(word).collect();
        let holds_others = schema.item(id).kind != (Kind::Container { presence: false });
        Suggestions { words, complete: purpose != Purpose::Set || holds_others }
    }

    fn keys(&self, id: SchemaId, index: usize, node: Option<NodeId>, purpose: Purpose, schema: &Schema) -> Suggestions {
        let item = schema.item(id);
        let Kind::List { keys } = &item.kind else { return Suggestions::default() };
        let Some(key) = keys.get(index) else { return Suggestions::default() };
        let mut words = Vec::new();
        // Of entries with several keys only the first is offered: the others follow from it.
        let entries = node.into_iter().flat_map(|node| &self.tree().node(node).children);
        for entry in entries.map(|entry| self.tree().node(*entry)).filter(|entry| entry.schema == id && index == 0) {
            let word = entry.values.first().map(|value| text::key(schema, *key, value)).unwrap_or_default();
            if words.iter().all(|known: &Suggestion| known.word != word) {
                words.push(Suggestion { word, help: item.help.clone(), literal: true });
            }
        }
        if purpose != Purpose::Existing || index > 0 {
            let kind = match (item.name.as_str(), index) {
                ("prefix-list-filter", 0) => "prefix-list",
                ("community", 1) => "community",
                _ => "",
            };
            words.extend(self.named_in_policy(kind, *key, schema));
            words.extend(possible(*key, schema));
        }
        Suggestions { words, complete: purpose == Purpose::Existing && index == 0 && !item.unnamed }
    }

    fn values(&self, id: SchemaId, node: Option<NodeId>, purpose: Purpose, schema: &Schema) -> Suggestions {
        let item = schema.item(id);
        let mut words = Vec::new();
        if purpose != Purpose::Set {
            let there = node.into_iter().flat_map(|node| &self.tree().node(node).children);
            for value in there.map(|node| self.tree().node(*node)).filter(|node| node.schema == id) {
                let word = value.values.first().map(|value| text::quote(value).into_owned()).unwrap_or_default();
                words.push(Suggestion { word, help: item.help.clone(), literal: true });
            }
        } else {
            let kind = match item.name.as_str() {
                "import" | "export" | "policy" => "policy-statement",
                name => name,
            };
            if item.kind == Kind::LeafList {
                words.extend(self.named_in_policy(kind, id, schema));
            }
            words.extend(possible(id, schema));
        }
        Suggestions { words, complete: purpose == Purpose::Existing }
    }

    /// What may be referred to: the entries of this kind below `policy-options`.
    fn named_in_policy(&self, kind: &str, leaf: SchemaId, schema: &Schema) -> Vec<Suggestion> {
        let named = |parent: NodeId, name: &str| {
            let children = self.tree().node(parent).children.iter().copied();
            let fits = |id: &NodeId| schema.item(self.tree().node(*id).schema).name == name;
            children.filter(fits).collect::<Vec<_>>()
        };
        let options = named(TOP, "policy-options");
        let entries = options.into_iter().flat_map(|options| named(options, kind));
        let names = entries.filter_map(|id| self.tree().node(id).values.first());
        let help = &schema.item(leaf).help;
        names
            .map(|name| Suggestion { word: text::quote(name).into_owned(), help: help.clone(), literal: true })
            .collect()
    }
}

/// The values of an enumeration, or what stands for a value.
fn possible(id: SchemaId, schema: &Schema) -> Vec<Suggestion> {
    let item = schema.item(id);
    match types::enumeration(&item.type_name) {
        Some(values) => values
            .iter()
            .map(|(value, help)| Suggestion { word: (*value).to_owned(), help: (*help).to_owned(), literal: true })
            .collect(),
        None => vec![Suggestion { word: map::value_hint(schema, id), help: item.help.clone(), literal: false }],
    }
}
