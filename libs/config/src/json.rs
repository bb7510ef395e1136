//! The tree as JSON by RFC 7951: what libyang validates, and the third view of the configuration.

use serde_json::{Map, Value, json};

use crate::{
    schema::{Encoding, Kind, Schema, SchemaId},
    tree::{NodeId, TOP, Tree},
};

/// Which statements are rendered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// What is in force; inactive statements are left out.
    Active,
    /// Everything, for checking types: an inactive statement may not be ill-formed either.
    All,
}

pub(crate) fn object(schema: &Schema, tree: &Tree, scope: Scope) -> Value {
    Value::Object(members(schema, tree, TOP, scope))
}

fn members(schema: &Schema, tree: &Tree, parent: NodeId, scope: Scope) -> Map<String, Value> {
    let mut members = Map::new();
    for id in &tree.node(parent).children {
        let node = tree.node(*id);
        if node.inactive && scope == Scope::Active {
            continue;
        }
        insert(schema, &mut members, node.schema, value_of(schema, tree, *id, scope));
    }
    members
}

fn insert(schema: &Schema, members: &mut Map<String, Value>, id: SchemaId, value: Value) {
    let name = schema.json_name(id);
    match schema.item(id).kind {
        Kind::Container { .. } | Kind::Leaf => {
            members.insert(name, value);
        }
        Kind::List { .. } | Kind::LeafList => {
            if let Value::Array(values) = members.entry(name).or_insert_with(|| json!([])) {
                values.push(value);
            }
        }
    }
}

fn value_of(schema: &Schema, tree: &Tree, id: NodeId, scope: Scope) -> Value {
    let node = tree.node(id);
    match &schema.item(node.schema).kind {
        Kind::Container { .. } => Value::Object(members(schema, tree, id, scope)),
        Kind::List { keys } => {
            let mut entry = keyed(schema, keys, &node.values);
            entry.extend(members(schema, tree, id, scope));
            Value::Object(entry)
        }
        Kind::Leaf | Kind::LeafList => scalar(schema, node.schema, node.values.first().map_or("", String::as_str)),
    }
}

fn keyed(schema: &Schema, keys: &[SchemaId], values: &[String]) -> Map<String, Value> {
    keys.iter().zip(values).map(|(key, value)| (schema.json_name(*key), scalar(schema, *key, value))).collect()
}

fn scalar(schema: &Schema, id: SchemaId, value: &str) -> Value {
    match schema.item(id).encoding {
        Encoding::Empty => json!([null]),
        Encoding::Number => value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)),
        Encoding::Text => json!(value),
    }
}

/// One node alone with the containers and entries around it.
pub(crate) fn alone(schema: &Schema, tree: &Tree, id: NodeId) -> Value {
    let node = tree.node(id);
    let mut value = match &schema.item(node.schema).kind {
        Kind::Container { .. } => json!({}),
        Kind::List { keys } => Value::Object(keyed(schema, keys, &node.values)),
        _ => value_of(schema, tree, id, Scope::All),
    };
    let mut at = id;
    while at != TOP {
        let node = tree.node(at);
        let parent = tree.node(node.parent);
        let mut members = match &schema.item(parent.schema).kind {
            Kind::List { keys } => keyed(schema, keys, &parent.values),
            _ => Map::new(),
        };
        insert(schema, &mut members, node.schema, value);
        value = Value::Object(members);
        at = node.parent;
    }
    value
}
