//! Neighbours that cannot be one, as far as the configuration itself knows our addresses.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{error::Problem, tree::View, validate::at};

/// No neighbour has an address that is configured here, or one that means all of a subnet, or the subnet itself.
pub(super) fn validate(top: View<'_>, bgp: View<'_>, problems: &mut Vec<Problem>) {
    let own = own_addresses(top);
    for neighbor in bgp.all("group").flat_map(|group| group.all("neighbor")) {
        let Ok(address) = neighbor.value().parse::<IpAddr>() else { continue };
        let link = neighbor.get("interface").map(View::value);
        problems.extend(own.iter().find_map(|own| own.conflict(neighbor, link, address)));
    }
}

/// An address that an interface is configured with.
struct Own<'c> {
    /// The link, as a neighbour's `interface` names it.
    link: String,
    address: IpNet,
    stated: View<'c>,
}

impl Own<'_> {
    fn conflict(&self, neighbor: View<'_>, link: Option<&str>, address: IpAddr) -> Option<Problem> {
        // Each link has its own fe80::1.
        let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if is_link_local && link != Some(self.link.as_str()) {
            return None;
        }
        let line = self.stated.span().line;
        if self.address.addr() == address {
            let message = format!("neighbor {address} is our own address on {} (line {line})", self.link);
            return Some(at(neighbor, message).allowed("an address of another router"));
        }
        let what = self.means(address)?;
        let message =
            format!("neighbor {address} is the {what} of {} on {} (line {line})", self.address.trunc(), self.link);
        Some(at(neighbor, message).allowed("an address of one router"))
    }

    /// What an address in the subnet stands for, if not for a host. A subnet of two (RFC 3021) or of one has hosts only.
    fn means(&self, address: IpAddr) -> Option<&'static str> {
        match (self.address, address) {
            (IpNet::V4(own), _) if own.prefix_len() > 30 => None,
            (IpNet::V4(own), IpAddr::V4(address)) if own.network() == address => Some("network address"),
            (IpNet::V4(own), IpAddr::V4(address)) if own.broadcast() == address => Some("broadcast address"),
            _ => None,
        }
    }
}

fn own_addresses(top: View<'_>) -> Vec<Own<'_>> {
    let mut own = Vec::new();
    for interface in top.get("interfaces").into_iter().flat_map(View::children) {
        for unit in interface.all("unit") {
            let vlan = unit.number("vlan-id").map(|vlan| crate::compile::vlan_name(interface.value(), vlan));
            let link = vlan.unwrap_or_else(|| interface.value().to_owned());
            let families = ["inet", "inet6"].into_iter().filter_map(|family| unit.at(&["family", family]));
            for stated in families.flat_map(|family| family.all("address")) {
                let address = stated.value().parse().ok();
                own.extend(address.map(|address| Own { link: link.clone(), address, stated }));
            }
        }
    }
    own
}
