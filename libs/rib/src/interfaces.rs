//! Links and their addresses, as the forwarding agent tells them.

use crate::nexthop::NexthopSpec;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkAddress {
    /// Ours, with its length, host bits kept.
    pub own: IpNet,
    /// On a point-to-point link: the other end. Its subnet is on the link then, and ours is not.
    pub peer: Option<IpNet>,
}

impl From<IpNet> for LinkAddress {
    fn from(own: IpNet) -> Self {
        LinkAddress { own, peer: None }
    }
}

impl LinkAddress {
    /// What is on the link.
    fn subnet(&self) -> IpNet {
        self.peer.unwrap_or(self.own).trunc()
    }
}

#[derive(Clone, Debug, Default)]
struct Interface {
    name: String,
    up: bool,
    /// Sorted.
    addresses: Vec<LinkAddress>,
}

/// Every link, by the kernel's index. Addresses of a link that was not announced yet are kept: it counts as down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interfaces {
    links: BTreeMap<u32, Interface>,
}

impl Interfaces {
    /// True when something changed.
    pub fn update(&mut self, index: u32, name: &str, up: bool) -> bool {
        let link = self.links.entry(index).or_default();
        let same = link.up == up && link.name == name;
        link.up = up;
        link.name = name.to_owned();
        !same
    }

    pub fn remove(&mut self, index: u32) -> bool {
        self.links.remove(&index).is_some()
    }

    pub fn add_address(&mut self, index: u32, address: LinkAddress) -> bool {
        let addresses = &mut self.links.entry(index).or_default().addresses;
        match addresses.binary_search(&address) {
            Ok(_) => false,
            Err(place) => {
                addresses.insert(place, address);
                true
            }
        }
    }

    pub fn remove_address(&mut self, index: u32, address: LinkAddress) -> bool {
        let Some(link) = self.links.get_mut(&index) else { return false };
        let Ok(place) = link.addresses.binary_search(&address) else { return false };
        link.addresses.remove(place);
        true
    }

    pub fn is_up(&self, index: u32) -> bool {
        self.links.get(&index).is_some_and(|link| link.up)
    }

    pub fn name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str()).filter(|name| !name.is_empty())
    }

    pub fn index(&self, name: &str) -> Option<u32> {
        self.links.iter().find(|(_, link)| link.name == name).map(|(index, _)| *index)
    }

    /// Whether an address is configured on any link, up or down.
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.links.values().any(|link| link.addresses.iter().any(|address_of| address_of.own.addr() == address))
    }

    /// Whether a neighbour's address on a link is one of ours. The same link-local address may be ours on one link and somebody else's on
    /// another.
    pub fn is_local_on(&self, index: u32, address: IpAddr) -> bool {
        match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => self.addresses(index).any(|own| own.addr() == address),
            _ => self.is_local(address),
        }
    }

    /// Why no other router can have an address: it is ours, or stands for a whole subnet on a link.
    pub fn why_nobody_elses(&self, address: IpAddr, link: Option<u32>) -> Option<&'static str> {
        let is_ours = match (address, link) {
            (_, Some(index)) => self.is_local_on(index, address),
            (IpAddr::V6(v6), None) if v6.is_unicast_link_local() => false,
            (_, None) => self.is_local(address),
        };
        if is_ours {
            return Some("our own address");
        }
        let all = self.links.values().flat_map(|link| &link.addresses);
        // A subnet of two (RFC 3021), or of one, has hosts only.
        let subnets = all.filter(|address| address.peer.is_none() && address.own.prefix_len() <= 30);
        subnets.map(|address| address.own).find_map(|own| match (own, address) {
            (IpNet::V4(own), IpAddr::V4(address)) if own.network() == address => Some("the network address of a link"),
            (IpNet::V4(own), IpAddr::V4(address)) if own.broadcast() == address => {
                Some("the broadcast address of a link")
            }
            _ => None,
        })
    }

    /// Addresses of a link, each with its length.
    pub fn addresses(&self, index: u32) -> impl Iterator<Item = IpNet> + '_ {
        self.links.get(&index).into_iter().flat_map(|link| &link.addresses).map(|address| address.own)
    }

    /// Subnets on links that are up, each with the lowest index that has it: the direct routes.
    pub fn direct_routes(&self) -> BTreeMap<IpNet, u32> {
        let mut routes = BTreeMap::new();
        for (index, link) in self.links.iter().filter(|(_, link)| link.up) {
            for subnet in link.addresses.iter().map(LinkAddress::subnet).filter(|subnet| is_routed(subnet.addr())) {
                routes.entry(subnet).or_insert(*index);
            }
        }
        routes
    }

    /// The link that is up and has `peer` in one of its subnets (the longest; then the lowest index), and our address there.
    /// Link-local peers are found only by their scope, not here.
    pub fn connected(&self, peer: IpAddr) -> Option<(u32, IpAddr)> {
        let up = self.links.iter().filter(|(_, link)| link.up);
        let subnets = up.flat_map(|(index, link)| link.addresses.iter().map(move |address| (*index, address)));
        let matching = subnets.filter(|(_, address)| {
            let subnet = address.subnet();
            is_routed(subnet.addr()) && subnet.contains(&peer) && address.own.addr() != peer
        });
        let nearest = |(index, address): &(u32, &LinkAddress)| {
            (std::cmp::Reverse(address.own.prefix_len()), *index, address.own.addr())
        };
        matching.min_by_key(nearest).map(|(index, address)| (index, address.own.addr()))
    }

    /// Whether the gateways of a specification are in subnets of links that are up; what names its link, or no gateway, is.
    pub fn shares_subnet(&self, spec: &NexthopSpec) -> bool {
        match spec {
            NexthopSpec::Gateways(gateways) => gateways.iter().all(|address| self.connected(*address).is_some()),
            _ => true,
        }
    }

    /// The highest IPv4 address of a loopback, else of any link (RFC 4271 §4.2: one of the router's own).
    pub fn highest_address(&self) -> Option<Ipv4Addr> {
        let highest = |loopback: bool| {
            let links = self.links.values().filter(|link| link.name.starts_with("lo") == loopback);
            let own = links.flat_map(|link| &link.addresses).map(|address| address.own);
            let addresses = own.filter(|own| is_routed(own.addr()));
            addresses.filter_map(|address| if let IpNet::V4(net) = address { Some(net.addr()) } else { None }).max()
        };
        highest(true).or_else(|| highest(false))
    }
}

/// Whether the subnet of an address belongs into the routing table: not the host's own 127.0.0.0/8 and ::1, and not
/// link-local subnets, which exist on every link at once.
fn is_routed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_unspecified() && !address.is_multicast(),
        IpAddr::V6(address) => {
            !address.is_loopback()
                && !address.is_unspecified()
                && !address.is_multicast()
                && !address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn at(text: &str) -> LinkAddress {
        net(text).into()
    }

    #[test]
    fn loopback_and_link_local_are_no_direct_routes() {
        let mut links = Interfaces::default();
        links.update(1, "lo", true);
        links.update(2, "eth0", true);
        for (index, address) in [(1, "127.0.0.1/8"), (1, "::1/128"), (1, "192.0.2.1/32"), (2, "fe80::1/64")] {
            links.add_address(index, at(address));
        }
        links.add_address(2, at("10.0.0.1/24"));
        links.add_address(3, at("10.0.3.1/24"));
        let routes: Vec<(IpNet, u32)> = links.direct_routes().into_iter().collect();
        assert_eq!(routes, [(net("10.0.0.0/24"), 2), (net("192.0.2.1/32"), 1)]);
        assert_eq!(links.highest_address(), Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(links.is_local("fe80::1".parse().unwrap()));
        assert_eq!(links.name(3), None);
    }

    #[test]
    fn a_link_local_address_is_ours_on_its_link_alone() {
        let mut links = Interfaces::default();
        links.add_address(1, at("fe80::1/64"));
        links.add_address(2, at("2001:db8::1/64"));
        let [link_local, global]: [IpAddr; 2] = ["fe80::1", "2001:db8::1"].map(|text| text.parse().unwrap());
        assert!(links.is_local_on(1, link_local) && !links.is_local_on(2, link_local));
        assert!(links.is_local_on(1, global) && links.is_local_on(2, global));
    }

    #[test]
    fn addresses_that_nobody_else_has() {
        let mut links = Interfaces::default();
        for address in ["10.0.0.1/24", "10.0.1.0/31", "fe80::1/64"] {
            links.add_address(1, at(address));
        }
        links.add_address(2, LinkAddress { own: net("10.7.0.1/24"), peer: Some(net("10.7.0.0/32")) });
        let why = |text: &str, link| links.why_nobody_elses(text.parse().unwrap(), link);
        assert_eq!(why("10.0.0.1", None), Some("our own address"));
        assert_eq!(why("10.0.0.0", None), Some("the network address of a link"));
        assert_eq!(why("10.0.0.255", None), Some("the broadcast address of a link"));
        assert_eq!((why("fe80::1", Some(1)), why("fe80::1", Some(2))), (Some("our own address"), None));
        for other in ["10.0.0.2", "10.0.1.1", "10.7.0.0", "10.7.0.255", "192.0.2.1", "2001:db8::"] {
            assert_eq!(why(other, None), None, "{other}");
        }
    }

    #[test]
    fn on_a_point_to_point_link_is_the_other_end_and_not_our_own() {
        let mut links = Interfaces::default();
        links.update(1, "tun0", true);
        links.update(2, "eth0", true);
        links.add_address(2, at("10.0.0.1/8"));
        let tunnel = |peer: &str| LinkAddress { own: net("10.7.0.1/32"), peer: Some(net(peer)) };
        links.add_address(1, tunnel("10.7.0.2/32"));
        links.add_address(1, tunnel("10.7.0.3/32"));
        let routes: Vec<(IpNet, u32)> = links.direct_routes().into_iter().collect();
        assert_eq!(routes, [(net("10.0.0.0/8"), 2), (net("10.7.0.2/32"), 1), (net("10.7.0.3/32"), 1)]);
        let own: IpAddr = "10.7.0.1".parse().unwrap();
        assert_eq!(links.connected("10.7.0.2".parse().unwrap()), Some((1, own)));
        assert!(links.is_local(own) && !links.is_local("10.7.0.2".parse().unwrap()));
        assert!(links.remove_address(1, tunnel("10.7.0.2/32")));
        assert_eq!(links.connected("10.7.0.2".parse().unwrap()).map(|(index, _)| index), Some(2));
        assert!(links.is_local(own), "the other end of it is left");
    }

    #[test]
    fn connected_takes_the_longest_subnet_of_a_link_that_is_up() {
        let mut links = Interfaces::default();
        links.update(1, "eth0", true);
        links.update(2, "eth1", true);
        links.add_address(1, at("10.0.0.1/8"));
        links.add_address(2, at("10.0.0.1/24"));
        let peer = "10.0.0.2".parse().unwrap();
        assert_eq!(links.connected(peer).map(|(index, _)| index), Some(2));
        links.update(2, "eth1", false);
        assert_eq!(links.connected(peer).map(|(index, _)| index), Some(1));
        assert_eq!(links.connected("10.0.0.1".parse().unwrap()), None);
    }
}
