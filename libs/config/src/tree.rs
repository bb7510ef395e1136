//! The configuration as a tree: nodes in an arena, each with its statement's schema, its place in the text, and
//! whether it is inactive.

use std::collections::HashMap;

use crate::{
    error::Span,
    schema::{Kind, ROOT, Schema, SchemaId},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub u32);

pub(crate) const TOP: NodeId = NodeId(0);

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub schema: SchemaId,
    pub parent: NodeId,
    /// Keys of a list entry, the value of a leaf or of one leaf-list member, nothing for a container or an empty leaf.
    pub values: Vec<String>,
    pub children: Vec<NodeId>,
    pub span: Span,
    pub inactive: bool,
    /// What it is merged into loses what it held before.
    pub replace: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    index: HashMap<(NodeId, SchemaId, Vec<String>), NodeId>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let span = Span { line: 1, column: 1 };
        let (values, children) = (Vec::new(), Vec::new());
        let top = Node { schema: ROOT, parent: TOP, values, children, span, inactive: false, replace: false };
        Self { nodes: vec![top], index: HashMap::new() }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // Ids are handed out by this type only, so the fallback is never taken.
        self.nodes.get(id.0 as usize).unwrap_or(&self.nodes[0])
    }

    /// A node of the same identity: for a leaf its value does not count, there is one only.
    pub(crate) fn find(&self, parent: NodeId, schema: SchemaId, values: &[String]) -> Option<NodeId> {
        self.index.get(&(parent, schema, values.to_vec())).copied()
    }

    /// Adds a node under `identity`, which [`Tree::find`] has not found.
    pub(crate) fn add(&mut self, node: Node, identity: Vec<String>) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        let parent = node.parent;
        self.index.insert((parent, node.schema, identity), id);
        self.nodes.push(node);
        if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
            parent.children.push(id);
        }
        id
    }

    /// Adds a node like [`Tree::add`], behind its siblings of the same and earlier statements.
    pub(crate) fn insert(&mut self, node: Node, identity: Vec<String>) -> NodeId {
        let (parent, schema) = (node.parent, node.schema);
        let id = self.add(node, identity);
        // From the end: most come in order, and a list may have a hundred thousand entries.
        let before = |sibling: &NodeId| *sibling != id && self.node(*sibling).schema <= schema;
        let place = self.node(parent).children.iter().rposition(before).map_or(0, |last| last + 1);
        if let Some(parent) = self.nodes.get_mut(parent.0 as usize) {
            parent.children.pop();
            parent.children.insert(place, id);
        }
        id
    }

    /// What a node is called by among its siblings of the same statement.
    pub(crate) fn identity(&self, schema: &Schema, id: NodeId) -> Vec<String> {
        let node = self.node(id);
        if schema.item(node.schema).kind == Kind::Leaf { Vec::new() } else { node.values.clone() }
    }

    /// The counterpart of another tree's node under `parent` of this one.
    pub(crate) fn counterpart(&self, schema: &Schema, parent: NodeId, other: &Tree, id: NodeId) -> Option<NodeId> {
        self.find(parent, other.node(id).schema, &other.identity(schema, id))
    }

    /// Everything of another tree comes into this one: what is new is added, the value of a leaf replaces the one here, and
    /// so does what is marked to.
    pub(crate) fn merge(&mut self, schema: &Schema, other: &Tree) {
        let mut open = vec![(TOP, TOP)];
        while let Some((theirs, ours)) = open.pop() {
            self.make_way(schema, ours, other, theirs);
            for child in &other.node(theirs).children {
                let node = other.node(*child);
                let known = self.counterpart(schema, ours, other, *child);
                let merged = known.unwrap_or_else(|| {
                    let node = Node { parent: ours, children: Vec::new(), replace: false, ..node.clone() };
                    self.insert(node, other.identity(schema, *child))
                });
                if let Some(known) = self.nodes.get_mut(merged.0 as usize) {
                    known.values.clone_from(&node.values);
                    known.inactive |= node.inactive;
                }
                open.push((*child, merged));
            }
        }
    }

    /// Takes out what marked statements of another tree's level are to replace.
    fn make_way(&mut self, schema: &Schema, ours: NodeId, other: &Tree, theirs: NodeId) {
        for child in other.node(theirs).children.iter().filter(|child| other.node(**child).replace) {
            let statement = other.node(*child).schema;
            let gone: Vec<NodeId> = match schema.item(statement).kind {
                // A list of values is one statement: those that are not stated anew go.
                Kind::LeafList => {
                    let siblings = self.node(ours).children.iter().copied();
                    siblings.filter(|id| self.node(*id).schema == statement).collect()
                }
                _ => match self.counterpart(schema, ours, other, *child) {
                    Some(known) => {
                        self.set_inactive(known, false);
                        self.node(known).children.clone()
                    }
                    None => Vec::new(),
                },
            };
            gone.into_iter().rev().for_each(|id| self.take_out(schema, id));
        }
    }

    /// Takes a node out with all that is in it, and the containers around it that held nothing else.
    pub(crate) fn remove(&mut self, schema: &Schema, id: NodeId) {
        let parent = self.node(id).parent;
        self.take_out(schema, id);
        let around = self.node(parent);
        let holds_nothing = around.children.is_empty() && parent != TOP;
        if holds_nothing && schema.item(around.schema).kind == (Kind::Container { presence: false }) {
            self.remove(schema, parent);
        }
    }

    fn take_out(&mut self, schema: &Schema, id: NodeId) {
        let parent = self.node(id).parent;
        let mut open = vec![id];
        while let Some(gone) = open.pop() {
            let node = self.node(gone);
            let key = (node.parent, node.schema, self.identity(schema, gone));
            open.extend(&node.children);
            self.index.remove(&key);
        }
        // From the end, where those begin who take out many.
        if let Some(around) = self.nodes.get_mut(parent.0 as usize)
            && let Some(place) = around.children.iter().rposition(|child| *child == id)
        {
            around.children.remove(place);
        }
    }

    /// Gives an entry other keys, which no sibling has.
    pub(crate) fn rename(&mut self, schema: &Schema, id: NodeId, values: Vec<String>) {
        let node = self.node(id);
        let (parent, statement) = (node.parent, node.schema);
        self.index.remove(&(parent, statement, self.identity(schema, id)));
        self.index.insert((parent, statement, values.clone()), id);
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.values = values;
        }
    }

    /// Makes an entry like another one behind its siblings, with other keys, which no sibling has.
    pub(crate) fn copy(&mut self, schema: &Schema, id: NodeId, values: Vec<String>) {
        let entry = Node { values: values.clone(), children: Vec::new(), ..self.node(id).clone() };
        let copied = self.insert(entry, values);
        let mut open = vec![(id, copied)];
        while let Some((from, to)) = open.pop() {
            for child in self.node(from).children.clone() {
                let node = Node { parent: to, children: Vec::new(), ..self.node(child).clone() };
                let identity = self.identity(schema, child);
                open.push((child, self.add(node, identity)));
            }
        }
    }

    /// Puts a node right before or behind a sibling of its.
    pub(crate) fn move_beside(&mut self, id: NodeId, sibling: NodeId, before: bool) {
        let parent = self.node(id).parent;
        let Some(around) = self.nodes.get_mut(parent.0 as usize).filter(|_| id != sibling) else { return };
        around.children.retain(|child| *child != id);
        if let Some(place) = around.children.iter().position(|child| *child == sibling) {
            around.children.insert(if before { place } else { place + 1 }, id);
        }
    }

    pub(crate) fn set_replace(&mut self, id: NodeId, replace: bool) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.replace = replace;
        }
    }

    /// Where marked statements stand.
    pub(crate) fn marked(&self) -> impl Iterator<Item = Span> {
        self.nodes.iter().filter(|node| node.replace).map(|node| node.span)
    }

    /// Marked statements that would put nothing in the place of what is there.
    pub(crate) fn marked_in_vain(&self, schema: &Schema) -> impl Iterator<Item = NodeId> {
        let ids = (0..self.nodes.len()).map(|index| NodeId(index as u32));
        ids.filter(|id| self.node(*id).replace && self.means_nothing(schema, *id))
    }

    fn means_nothing(&self, schema: &Schema, id: NodeId) -> bool {
        let node = self.node(id);
        let nothing = schema.item(node.schema).kind == (Kind::Container { presence: false });
        nothing && node.children.iter().all(|child| self.means_nothing(schema, *child))
    }

    pub(crate) fn set_inactive(&mut self, id: NodeId, inactive: bool) {
        if let Some(node) = self.nodes.get_mut(id.0 as usize) {
            node.inactive = inactive;
        }
    }

    /// Containers that hold nothing and mean nothing go, so that they are no difference between two texts.
    pub(crate) fn prune(&mut self, schema: &Schema) {
        // A child stands behind its parent in the arena, so a chain of empty containers goes at once.
        for index in (1..self.nodes.len()).rev() {
            let node = &self.nodes[index];
            let means_nothing = schema.item(node.schema).kind == (Kind::Container { presence: false });
            if means_nothing && node.children.is_empty() {
                let (parent, id) = (node.parent, NodeId(index as u32));
                self.index.remove(&(parent, node.schema, Vec::new()));
                self.nodes[parent.0 as usize].children.retain(|child| *child != id);
            }
        }
    }

    /// Statements in the models' order, values and entries in the order written: the canonical order.
    pub(crate) fn sort(&mut self) {
        let order: Vec<SchemaId> = self.nodes.iter().map(|node| node.schema).collect();
        for node in &mut self.nodes {
            node.children.sort_by_key(|child| order[child.0 as usize]);
        }
    }

    /// The path as an operator types it after `set`.
    pub(crate) fn path(&self, schema: &Schema, id: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = id;
        while at != TOP {
            let node = self.node(at);
            let item = schema.item(node.schema);
            let entry = matches!(item.kind, Kind::List { .. }) || item.unnamed;
            steps.push(crate::text::step(schema, node.schema, if entry { &node.values } else { &[] }));
            at = node.parent;
        }
        steps.reverse();
        steps.join(" ")
    }

    pub(crate) fn top<'c>(&'c self, schema: &'c Schema) -> View<'c> {
        View { tree: self, schema, id: TOP }
    }
}

/// A place in the tree as validation and compilation see it: inactive statements are not there.
#[derive(Clone, Copy)]
pub(crate) struct View<'c> {
    pub tree: &'c Tree,
    pub schema: &'c Schema,
    pub id: NodeId,
}

impl<'c> View<'c> {
    pub(crate) fn children(self) -> impl Iterator<Item = View<'c>> {
        let children = self.tree.node(self.id).children.iter();
        children.map(move |id| View { id: *id, ..self }).filter(|child| !child.tree.node(child.id).inactive)
    }

    pub(crate) fn all(self, name: &'c str) -> impl Iterator<Item = View<'c>> {
        self.children().filter(move |child| child.name() == name)
    }

    pub(crate) fn get(self, name: &str) -> Option<View<'c>> {
        self.children().find(|child| child.name() == name)
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Descends by names: `at(&["protocols", "bgp"])`.
    pub(crate) fn at(self, names: &[&str]) -> Option<View<'c>> {
        names.iter().try_fold(self, |view, name| view.get(name))
    }

    pub(crate) fn name(self) -> &'c str {
        &self.schema.item(self.tree.node(self.id).schema).name
    }

    /// The first key, or the value.
    pub(crate) fn value(self) -> &'c str {
        self.nth(0)
    }

    pub(crate) fn nth(self, index: usize) -> &'c str {
        self.tree.node(self.id).values.get(index).map_or("", String::as_str)
    }

    pub(crate) fn text(self, name: &str) -> Option<&'c str> {
        self.get(name).map(View::value)
    }

    pub(crate) fn number(self, name: &str) -> Option<u32> {
        self.text(name).and_then(|value| value.parse().ok())
    }

    pub(crate) fn values(self, name: &'c str) -> impl Iterator<Item = &'c str> {
        self.all(name).map(View::value)
    }

    pub(crate) fn strings(self, name: &'c str) -> Vec<String> {
        self.values(name).map(str::to_owned).collect()
    }

    pub(crate) fn span(self) -> Span {
        self.tree.node(self.id).span
    }

    pub(crate) fn path(self) -> String {
        self.tree.path(self.schema, self.id)
    }
}
