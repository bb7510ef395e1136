//! What becomes of routes: statements that belong to one kind of neighbour, or together.

use crate::{compile::Levels, error::Problem, tree::View, validate::at};

pub(super) fn validate(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    reflection(levels.is_internal(router_as), levels, problems);
}

/// RFC 4456: clusters are within an AS.
fn reflection(internal: bool, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let Some(cluster) = levels.nearest("cluster") else { return };
    if cluster.value() == "0.0.0.0" {
        problems.push(at(cluster, "0.0.0.0 is no cluster identifier").allowed("any other four octets, as an address"));
    }
    // What the whole protocol states reaches external neighbours without meaning them.
    let stated = [levels.neighbor, levels.group].into_iter().find_map(|level| level.get("cluster"));
    if let Some(stated) = stated.filter(|_| !internal) {
        let message = format!("{} is an external neighbor, only internal ones are clients", levels.neighbor.value());
        problems.push(at(stated, message).allowed("cluster in groups of type internal"));
    }
}
