//! Neighbours on our links that the kernel has asked for and that did not answer: said where an operator looks for what is wrong. Nothing
//! is decided by it: a neighbour that is silent now may answer the next packet, and BFD is there for who wants to know at once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use holdfast_bgp::speaker::NeighborId;
use holdfast_proto::v1;

use super::Core;
use crate::limits::SILENT_MAX;

/// Those that are silent, by link.
#[derive(Default)]
pub struct Silent(BTreeSet<(u32, IpAddr)>);

impl Silent {
    /// The stream of interface events begins anew.
    pub fn restart(&mut self) {
        self.0.clear();
    }

    /// pfed has heard of one.
    pub fn heard(&mut self, neighbor: &v1::LinkNeighbor, silent: bool) {
        let Ok(address) = neighbor.address.parse() else { return };
        let key = (neighbor.index, address);
        if !silent {
            self.0.remove(&key);
        } else if self.0.len() < SILENT_MAX {
            self.0.insert(key);
        }
    }
}

impl Core {
    /// Notes which gateways of a page of routes are silent.
    pub(super) fn mark_silent(&self, routes: &mut [v1::Route]) {
        if self.silent.0.is_empty() {
            return;
        }
        for next_hop in routes.iter_mut().flat_map(|route| &mut route.next_hops) {
            let index = self.rib.interface_index(&next_hop.interface);
            if let (Some(index), Ok(gateway)) = (index, next_hop.gateway.parse()) {
                next_hop.silent = self.silent.0.contains(&(index, gateway));
            }
        }
    }

    /// One more sentence on why a session is not established.
    pub(super) fn silence_in_words(&self, neighbor: NeighborId) -> String {
        let Some(address) = self.protocols.bgp.neighbor_address(neighbor) else { return String::new() };
        // A link-local address is on the link that it is configured on, any other one on the link of its network.
        let link = self.protocols.bgp.scope(neighbor).or_else(|| self.rib.interface_for(address));
        let is_it = |(index, silent): &&(u32, IpAddr)| *silent == address && link.is_none_or(|link| link == *index);
        let silent = self.silent.0.iter().find(is_it);
        let Some((index, _)) = silent else { return String::new() };
        let how = if address.is_ipv4() { "ARP" } else { "neighbor discovery" };
        let interface = self.rib.interface_name(*index).unwrap_or("its link");
        format!("; it does not answer {how} on {interface}")
    }
}
