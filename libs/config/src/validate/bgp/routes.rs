//! What becomes of routes: statements that belong to one kind of neighbour, or together.

use crate::{compile::Levels, error::Problem, tree::View, validate::at};

pub(super) fn validate(router_as: Option<u32>, levels: Levels<'_>, problems: &mut Vec<Problem>) {
    let internal = levels.is_internal(router_as);
    reflection(internal, levels, problems);
    if internal {
        external_only(levels, problems);
    }
}

/// One AS number at each level.
pub(super) fn local_as(place: View<'_>, problems: &mut Vec<Problem>) {
    let mut stated = place.all("local-as");
    if let (Some(first), Some(second)) = (stated.next(), stated.next()) {
        let message = format!("local-as {} beside local-as {}", second.value(), first.value());
        problems.push(at(second, message).allowed("one local-as: delete the other"));
    }
}

/// Within the AS no AS path is changed.
fn external_only(levels: Levels<'_>, problems: &mut Vec<Problem>) {
    for name in ["remove-private", "as-override", "no-enforce-first-as"] {
        let stated = [levels.neighbor, levels.group].into_iter().find_map(|level| level.get(name));
        if let Some(stated) = stated {
            let message = format!("{name} for the internal neighbor {} does nothing", levels.neighbor.value());
            problems.push(at(stated, message).allowed(format!("{name} in groups of type external")));
        }
    }
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
