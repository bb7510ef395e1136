//! The statements that exist, read from the YANG modules under `yang/`.
//!
//! libyang parses and compiles the modules; this is a flat copy of what mapping, printing and completion need. The few
//! places where Junos' text does not follow the plain rule "name, keys, value" are listed in [`UNNAMED`].

use yang5::{
    context::{Context, ContextFlags},
    schema::{DataValueType, SchemaInputFormat, SchemaModule, SchemaNode, SchemaNodeKind},
};

use crate::error::SchemaError;

/// The modules, each after those it imports.
const MODULES: [(&str, &str); 8] = [
    ("holdfast-types", include_str!("../../../yang/holdfast-types.yang")),
    ("holdfast-system", include_str!("../../../yang/holdfast-system.yang")),
    ("holdfast-chassis", include_str!("../../../yang/holdfast-chassis.yang")),
    ("holdfast-interfaces", include_str!("../../../yang/holdfast-interfaces.yang")),
    ("holdfast-routing-options", include_str!("../../../yang/holdfast-routing-options.yang")),
    ("holdfast-protocols", include_str!("../../../yang/holdfast-protocols.yang")),
    ("holdfast-bgp", include_str!("../../../yang/holdfast-bgp.yang")),
    ("holdfast-policy", include_str!("../../../yang/holdfast-policy.yang")),
];

/// Nodes whose name is not written: `interfaces { eth0 {...} }`, `prefix-list X { 10.0.0.0/8; }`. Such a node has no
/// siblings but keys.
const UNNAMED: [(&str, &str); 3] = [("interfaces", "interface"), ("prefix-list", "prefix"), ("as-path", "path")];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SchemaId(pub u32);

/// The container of the top-level statements.
pub(crate) const ROOT: SchemaId = SchemaId(0);

/// How a leaf's value is encoded in JSON (RFC 7951 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Empty,
    Number,
    Text,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Container { presence: bool },
    List { keys: Vec<SchemaId> },
    Leaf,
    LeafList,
}

#[derive(Debug)]
pub(crate) struct SchemaItem {
    pub name: String,
    pub module: String,
    pub parent: SchemaId,
    pub kind: Kind,
    pub encoding: Encoding,
    /// Name of the typedef; empty for built-in types.
    pub type_name: String,
    pub children: Vec<SchemaId>,
    pub unnamed: bool,
    /// The module's description, for `?`.
    pub help: String,
}

/// The models of this version.
pub struct Schema {
    context: Context,
    items: Vec<SchemaItem>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schema({} statements)", self.items.len())
    }
}

impl Schema {
    /// Loads the modules built into this program.
    pub fn load() -> Result<Self, SchemaError> {
        let refused = |module: &str, error: yang5::Error| SchemaError::Module {
            module: module.to_owned(),
            reason: format!("{error} {}", error.path.clone().unwrap_or_default()),
        };
        let flags = ContextFlags::NO_YANGLIBRARY | ContextFlags::DISABLE_SEARCHDIRS;
        let context = Context::new(flags).map_err(|error| refused("(context)", error))?;
        for (name, text) in MODULES {
            SchemaModule::parse_string(&context, text, SchemaInputFormat::YANG)
                .map_err(|error| refused(name, error))?;
        }
        let root = SchemaItem {
            name: String::new(),
            module: String::new(),
            parent: ROOT,
            kind: Kind::Container { presence: false },
            encoding: Encoding::Empty,
            type_name: String::new(),
            children: Vec::new(),
            unnamed: false,
            help: String::new(),
        };
        let mut items = vec![root];
        for (name, _) in MODULES {
            let Some(module) = context.get_module_latest(name) else { continue };
            for node in module.data() {
                copy(&node, ROOT, &mut items)?;
            }
        }
        Ok(Self { context, items })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn item(&self, id: SchemaId) -> &SchemaItem {
        // Ids are handed out by this type only, so the fallback is never taken.
        self.items.get(id.0 as usize).unwrap_or(&self.items[0])
    }

    pub(crate) fn is_key(&self, id: SchemaId) -> bool {
        matches!(&self.item(self.item(id).parent).kind, Kind::List { keys } if keys.contains(&id))
    }

    /// The child that a word names: by its name, or the one whose name is not written.
    pub(crate) fn child(&self, parent: SchemaId, word: &str) -> Option<SchemaId> {
        self.unnamed_child(parent).or_else(|| {
            let mut children = self.statements(parent);
            children.find(|child| self.item(*child).name == word)
        })
    }

    pub(crate) fn unnamed_child(&self, parent: SchemaId) -> Option<SchemaId> {
        self.item(parent).children.iter().copied().find(|child| self.item(*child).unnamed)
    }

    /// Children that are statements, that is, no keys.
    pub(crate) fn statements(&self, parent: SchemaId) -> impl Iterator<Item = SchemaId> {
        self.item(parent).children.iter().copied().filter(|child| !self.is_key(*child))
    }

    /// The words allowed inside a statement, for messages.
    pub(crate) fn allowed(&self, parent: SchemaId) -> String {
        if let Some(unnamed) = self.unnamed_child(parent) {
            return format!("<{}>", self.item(unnamed).name);
        }
        let names: Vec<&str> = self.statements(parent).map(|child| self.item(child).name.as_str()).collect();
        names.join(", ")
    }

    /// Member name in JSON: qualified where the module changes (RFC 7951 §4).
    pub(crate) fn json_name(&self, id: SchemaId) -> String {
        let item = self.item(id);
        if self.item(item.parent).module == item.module {
            item.name.clone()
        } else {
            format!("{}:{}", item.module, item.name)
        }
    }

    #[cfg(test)]
    pub(crate) fn ids(&self) -> impl Iterator<Item = SchemaId> + use<> {
        (0..self.items.len() as u32).map(SchemaId)
    }
}

fn copy(node: &SchemaNode<'_>, parent: SchemaId, items: &mut Vec<SchemaItem>) -> Result<(), SchemaError> {
    let unsupported = |reason| SchemaError::Unsupported {
        module: node.module().name().to_owned(),
        path: node.path(yang5::schema::SchemaPathFormat::DATA),
        reason,
    };
    let id = SchemaId(items.len() as u32);
    let kind = match node.kind() {
        SchemaNodeKind::Container => Kind::Container { presence: !node.is_np_container() },
        SchemaNodeKind::List => Kind::List { keys: Vec::new() },
        SchemaNodeKind::Leaf => Kind::Leaf,
        SchemaNodeKind::LeafList => Kind::LeafList,
        _ => return Err(unsupported("only containers, lists, leafs and leaf-lists have a text form")),
    };
    let (encoding, type_name) = match node.leaf_type() {
        None => (Encoding::Empty, String::new()),
        Some(leaf) => {
            (encoding(leaf.base_type()).ok_or_else(|| unsupported("type"))?, leaf.typedef_name().unwrap_or_default())
        }
    };
    let name = node.name().to_owned();
    let unnamed = UNNAMED.contains(&(items[parent.0 as usize].name.as_str(), name.as_str()));
    items[parent.0 as usize].children.push(id);
    let module = node.module().name().to_owned();
    let help = node.description().unwrap_or_default().to_owned();
    items.push(SchemaItem { name, module, parent, kind, encoding, type_name, children: Vec::new(), unnamed, help });
    for child in node.children() {
        let child_id = SchemaId(items.len() as u32);
        copy(&child, id, items)?;
        if child.is_list_key()
            && let Kind::List { keys } = &mut items[id.0 as usize].kind
        {
            keys.push(child_id);
        }
    }
    Ok(())
}

fn encoding(base: DataValueType) -> Option<Encoding> {
    match base {
        DataValueType::Empty => Some(Encoding::Empty),
        DataValueType::Uint8 | DataValueType::Uint16 | DataValueType::Uint32 => Some(Encoding::Number),
        DataValueType::String | DataValueType::Enum => Some(Encoding::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_load_and_every_type_is_known() {
        let schema = Schema::load().unwrap();
        assert_eq!(
            schema.allowed(ROOT),
            "system, chassis, virtual-chassis, interfaces, routing-options, protocols, policy-options"
        );
        let protocols = schema.child(ROOT, "protocols").unwrap();
        let bgp = schema.child(protocols, "bgp").unwrap();
        assert_eq!(schema.json_name(bgp), "holdfast-bgp:bgp");
        assert!(schema.child(bgp, "group").is_some_and(|group| !schema.allowed(group).contains("name")));
        for id in schema.ids() {
            let item = schema.item(id);
            if matches!(item.kind, Kind::Leaf | Kind::LeafList) && item.encoding == Encoding::Text {
                assert!(!item.help.is_empty(), "{} has no description for ?", item.name);
                assert!(crate::types::is_known(&item.type_name), "{} has type {:?}", item.name, item.type_name);
            }
        }
    }
}
