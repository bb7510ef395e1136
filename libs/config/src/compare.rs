//! Two trees side by side, in the notation operators know: the level, then `-` for what goes, `+` for what comes, `!` for
//! what becomes active or inactive or stands in another order.

use crate::{
    schema::{Kind, Schema, SchemaId},
    text,
    tree::{NodeId, TOP, Tree},
};

/// What makes `old` into `new`; empty when nothing does.
pub(crate) fn compare(schema: &Schema, old: &Tree, new: &Tree) -> String {
    let mut comparison = Comparison { schema, old, new, out: String::new() };
    comparison.level(TOP, TOP);
    comparison.out
}

struct Comparison<'c> {
    schema: &'c Schema,
    old: &'c Tree,
    new: &'c Tree,
    out: String,
}

impl Comparison<'_> {
    fn level(&mut self, old: NodeId, new: NodeId) {
        let mut lines: Vec<(SchemaId, String)> = Vec::new();
        let mut common = Vec::new();
        for id in &self.old.node(old).children {
            let statement = self.old.node(*id).schema;
            match self.new.counterpart(self.schema, new, self.old, *id) {
                None => lines.push((statement, marked('-', &text::statement(self.schema, self.old, *id)))),
                Some(now) => {
                    common.push((*id, now));
                    lines.extend(self.changed(*id, now).map(|line| (statement, line)));
                }
            }
        }
        for id in &self.new.node(new).children {
            if self.old.counterpart(self.schema, old, self.new, *id).is_none() {
                let line = marked('+', &text::statement(self.schema, self.new, *id));
                lines.push((self.new.node(*id).schema, line));
            }
        }
        lines.extend(self.reordered(new, &common));
        if !lines.is_empty() {
            lines.sort_by_key(|(statement, _)| *statement);
            let path = self.new.path(self.schema, new);
            let separator = if path.is_empty() { "" } else { " " };
            self.out.push_str(&format!("[edit{separator}{path}]\n"));
            self.out.extend(lines.into_iter().map(|(_, line)| line));
        }
        for (was, now) in common {
            self.level(was, now);
        }
    }

    /// A statement that both have, when it differs itself.
    fn changed(&self, was: NodeId, now: NodeId) -> Option<String> {
        let (old, new) = (self.old.node(was), self.new.node(now));
        if old.values != new.values {
            let before = marked('-', &text::statement(self.schema, self.old, was));
            return Some(before + &marked('+', &text::statement(self.schema, self.new, now)));
        }
        let word = match (old.inactive, new.inactive) {
            (false, true) => "inactive",
            (true, false) => "active",
            _ => return None,
        };
        Some(marked('!', &format!("{word}: {};\n", text::step(self.schema, new.schema, &new.values))))
    }

    /// Entries and values that both have and that stand in another order.
    fn reordered(&self, level: NodeId, common: &[(NodeId, NodeId)]) -> Vec<(SchemaId, String)> {
        let mut lines = Vec::new();
        let mut rest = common;
        while let Some((_, first)) = rest.first() {
            let statement = self.new.node(*first).schema;
            let same = rest.iter().take_while(|(_, now)| self.new.node(*now).schema == statement).count();
            let (run, after) = rest.split_at(same);
            rest = after;
            let place = |id: &NodeId| self.new.node(level).children.iter().position(|child| child == id);
            if matches!(self.schema.item(statement).kind, Kind::List { .. } | Kind::LeafList)
                && run.len() > 1
                && !run.iter().map(|(_, now)| place(now)).is_sorted()
            {
                let children = self.new.node(level).children.iter().map(|id| self.new.node(*id));
                let names: Vec<String> = children
                    .filter(|node| node.schema == statement)
                    .map(|node| text::step(self.schema, statement, &node.values))
                    .collect();
                lines.push((statement, marked('!', &format!("order: {};\n", names.join(", ")))));
            }
        }
        lines
    }
}

fn marked(mark: char, text: &str) -> String {
    text.lines().map(|line| format!("{mark}    {line}\n")).collect()
}
