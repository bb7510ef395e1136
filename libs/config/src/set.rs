//! The tree as `set` commands, one for each leaf value and each entry that holds nothing, and `deactivate` for what is
//! inactive.

use crate::{
    schema::{Kind, Schema},
    text,
    tree::{NodeId, TOP, Tree},
};

pub(crate) fn print(schema: &Schema, tree: &Tree) -> String {
    let mut printer = Printer { schema, tree, out: String::new(), deactivations: String::new() };
    printer.children(TOP, &mut String::new());
    printer.out + &printer.deactivations
}

/// One statement with all that is in it, by whole paths.
pub(crate) fn statement(schema: &Schema, tree: &Tree, id: NodeId) -> String {
    let mut printer = Printer { schema, tree, out: String::new(), deactivations: String::new() };
    let around = tree.path(schema, tree.node(id).parent);
    let mut path = if around.is_empty() { String::new() } else { format!(" {around}") };
    printer.push(id, &mut path);
    printer.statement(id, &mut path);
    printer.out + &printer.deactivations
}

struct Printer<'c> {
    schema: &'c Schema,
    tree: &'c Tree,
    out: String,
    deactivations: String,
}

impl Printer<'_> {
    fn children(&mut self, parent: NodeId, path: &mut String) {
        for id in &self.tree.node(parent).children {
            let before = path.len();
            self.push(*id, path);
            self.statement(*id, path);
            path.truncate(before);
        }
    }

    fn push(&self, id: NodeId, path: &mut String) {
        let node = self.tree.node(id);
        path.push(' ');
        path.push_str(&text::step(self.schema, node.schema, &node.values));
    }

    fn statement(&mut self, id: NodeId, path: &mut String) {
        let node = self.tree.node(id);
        if node.inactive {
            self.deactivations.push_str(&format!("deactivate{path}\n"));
        }
        if !node.children.is_empty() {
            return self.children(id, path);
        }
        if self.schema.item(node.schema).kind != (Kind::Container { presence: false }) {
            self.out.push_str(&format!("set{path}\n"));
        }
    }
}
