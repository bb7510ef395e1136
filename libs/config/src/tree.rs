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
}

#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    index: HashMap<(NodeId, SchemaId, Vec<String>), NodeId>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let span = Span { line: 1, column: 1 };
        let top = Node { schema: ROOT, parent: TOP, values: Vec::new(), children: Vec::new(), span, inactive: false };
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
        let behind = |sibling: &NodeId| *sibling != id && self.node(*sibling).schema > schema;
        let siblings = &self.node(parent).children;
        if let Some(place) = siblings.iter().position(behind)
            && let Some(parent) = self.nodes.get_mut(parent.0 as usize)
        {
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

    /// Everything of another tree comes into this one: what is new is added, the value of a leaf replaces the one here.
    pub(crate) fn merge(&mut self, schema: &Schema, other: &Tree) {
        let mut open = vec![(TOP, TOP)];
        while let Some((theirs, ours)) = open.pop() {
            for child in &other.node(theirs).children {
                let node = other.node(*child);
                let known = self.counterpart(schema, ours, other, *child);
                let merged = known.unwrap_or_else(|| {
                    let node = Node { parent: ours, children: Vec::new(), ..node.clone() };
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

    /// Takes a node out with all that is in it, and the containers around it that held nothing else.
    pub(crate) fn remove(&mut self, schema: &Schema, id: NodeId) {
        let parent = self.node(id).parent;
        let mut open = vec![id];
        while let Some(gone) = open.pop() {
            let node = self.node(gone);
            let key = (node.parent, node.schema, self.identity(schema, gone));
            open.extend(&node.children);
            self.index.remove(&key);
        }
        let Some(around) = self.nodes.get_mut(parent.0 as usize) else { return };
        around.children.retain(|child| *child != id);
        let holds_nothing = around.children.is_empty() && parent != TOP;
        if holds_nothing && schema.item(around.schema).kind == (Kind::Container { presence: false }) {
            self.remove(schema, parent);
        }
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
