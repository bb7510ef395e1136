//! `interfaces`: one address is on one interface, unless it is link-local; tagged units have names and tags of their own.

use std::collections::HashMap;
use std::net::Ipv6Addr;

use super::at;
use crate::{compile::vlan_name, error::Problem, tree::View};

/// `IFNAMSIZ` without the terminator.
const NAME_LENGTH_MAX: usize = 15;

pub(super) fn validate(top: View<'_>, problems: &mut Vec<Problem>) {
    // By address, and by the link where it is of one.
    let mut owners = HashMap::new();
    let interfaces = || top.get("interfaces").into_iter().flat_map(View::children);
    let names: HashMap<&str, View<'_>> = interfaces().map(|interface| (interface.value(), interface)).collect();
    for interface in interfaces() {
        let mut tags: HashMap<u32, View<'_>> = HashMap::new();
        for unit in interface.all("unit") {
            let families = ["inet", "inet6"].into_iter().filter_map(|family| unit.at(&["family", family]));
            for address in families.flat_map(|family| family.all("address")) {
                let host = address.value().split('/').next().unwrap_or_default();
                // Each link has its own fe80::1.
                let is_link_local = host.parse::<Ipv6Addr>().is_ok_and(|host| host.is_unicast_link_local());
                let link = is_link_local.then(|| (interface.value(), unit.value()));
                let first: Option<View<'_>> = owners.insert((link, host), address);
                if let Some(first) = first {
                    let message = format!("the address {host} is configured twice, first at {}", first.span());
                    problems.push(at(address, message).allowed("each address on one interface"));
                }
            }
            problems.extend(tag(interface, unit, &names, &mut tags));
        }
    }
}

/// The first mistake of a unit's tag.
fn tag<'c>(
    interface: View<'c>,
    unit: View<'c>,
    names: &HashMap<&str, View<'c>>,
    tags: &mut HashMap<u32, View<'c>>,
) -> Option<Problem> {
    let Some((vlan, vlan_id)) = unit.get("vlan-id").zip(unit.number("vlan-id")) else {
        let untagged = || at(unit, format!("unit {} has no vlan-id", unit.value()));
        return (unit.value() != "0").then(|| untagged().allowed("unit 0, or any unit with a vlan-id of its own"));
    };
    if !interface.has("vlan-tagging") {
        let message = format!("a vlan-id, but {} has no vlan-tagging", interface.value());
        return Some(at(vlan, message).allowed(format!("vlan-tagging at {}, or unit 0 alone", interface.value())));
    }
    if let Some(first) = tags.insert(vlan_id, vlan) {
        let message = format!("VLAN {vlan_id} has a unit already, at {}", first.span());
        return Some(at(vlan, message).allowed("one unit for each VLAN of an interface"));
    }
    let name = vlan_name(interface.value(), vlan_id);
    if name.len() > NAME_LENGTH_MAX {
        let message = format!("the sub-interface would be called {name}, which is too long for Linux");
        return Some(at(vlan, message).allowed(format!("a name of at most {NAME_LENGTH_MAX} characters")));
    }
    let other = names.get(name.as_str())?;
    let message = format!("this is the sub-interface {name}, which is configured as an interface at {}", other.span());
    Some(at(vlan, message).allowed("one of them"))
}
