//! Links and addresses as the kernel tells them, and the events that rpd hears of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use holdfast_kernel::netlink::{Address, Counters, Link};
use holdfast_proto::v1::{self, interface_event::Event};
use ipnet::IpNet;

/// The mirror.
#[derive(Debug, Default)]
pub struct Links {
    links: BTreeMap<u32, Link>,
    /// By link, address and the other end of a point-to-point link, with its `IFA_PROTO`.
    addresses: BTreeMap<(u32, IpNet, Option<IpAddr>), u8>,
    /// When the carrier of a link was last seen to come or go.
    flapped_unix_ms: BTreeMap<u32, u64>,
}

impl Links {
    /// The links, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// A link by its name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// A link by its number.
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// A link as operators see it, but for what is configured.
    pub fn shown(&self, link: &Link) -> v1::Interface {
        v1::Interface {
            addresses: self.addresses().filter(|address| address.interface_index == link.index).map(told).collect(),
            last_flapped_unix_ms: self.flapped_unix_ms.get(&link.index).copied().unwrap_or(0),
            parent: link.vlan_id.map(|_| self.name(link.parent)).unwrap_or_default(),
            speed_mbps: holdfast_kernel::ethtool::speed_mbps(&link.name).unwrap_or(0),
            ..interface(link)
        }
    }

    /// What another forwarding agent has seen of the very same links before this one was started.
    pub fn adopt_history(&mut self, seen: &[v1::Interface]) {
        for interface in seen.iter().filter(|interface| interface.last_flapped_unix_ms > 0) {
            if self.links.get(&interface.index).is_some_and(|link| link.name == interface.name) {
                let known = self.flapped_unix_ms.entry(interface.index).or_default();
                *known = (*known).max(interface.last_flapped_unix_ms);
            }
        }
    }

    /// The name of a link, its number where it has none any more.
    pub fn name(&self, index: u32) -> String {
        self.links.get(&index).map_or_else(|| format!("#{index}"), |link| link.name.clone())
    }

    /// Every address.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        self.addresses.iter().map(|((interface_index, address, peer), protocol)| Address {
            interface_index: *interface_index,
            address: *address,
            peer: *peer,
            protocol: *protocol,
        })
    }

    /// Addresses of one link.
    pub fn addresses_of(&self, index: u32) -> impl Iterator<Item = IpNet> + '_ {
        self.addresses().filter(move |address| address.interface_index == index).map(|address| address.address)
    }

    /// Takes a link in; the event where something has changed.
    pub fn link(&mut self, mut link: Link) -> Option<Event> {
        link.counters = Counters::default();
        let known = self.links.get(&link.index);
        if known == Some(&link) {
            return None;
        }
        if known.is_some_and(|known| known.carrier_changes != link.carrier_changes) {
            self.flapped_unix_ms.insert(link.index, holdfast_ipc::unix_ms());
        }
        let event = Event::Link(interface(&link));
        self.links.insert(link.index, link);
        Some(event)
    }

    /// Forgets a link and its addresses.
    pub fn link_removed(&mut self, index: u32) -> Vec<Event> {
        let addresses: Vec<Address> = self.addresses().filter(|a| a.interface_index == index).collect();
        let mut events: Vec<Event> = addresses.iter().filter_map(|address| self.address_removed(address)).collect();
        self.flapped_unix_ms.remove(&index);
        if let Some(link) = self.links.remove(&index) {
            events.push(Event::LinkRemoved(link.name));
        }
        events
    }

    /// Takes an address in.
    pub fn address(&mut self, address: &Address) -> Option<Event> {
        let known = self.addresses.insert(key(address), address.protocol).is_some();
        (!known).then(|| Event::Address(self.message(address)))
    }

    /// Forgets an address.
    pub fn address_removed(&mut self, address: &Address) -> Option<Event> {
        self.addresses.remove(&key(address))?;
        Some(Event::AddressRemoved(self.message(address)))
    }

    fn message(&self, address: &Address) -> v1::InterfaceAddress {
        v1::InterfaceAddress {
            index: address.interface_index,
            interface: self.name(address.interface_index),
            address: address.address.to_string(),
            peer: address.peer_net().map(|peer| peer.to_string()).unwrap_or_default(),
        }
    }

    /// Everything, as events.
    pub fn snapshot(&self) -> Vec<Event> {
        let links = self.links.values().map(|link| Event::Link(interface(link)));
        links.chain(self.addresses().map(|address| Event::Address(self.message(&address)))).collect()
    }

    /// Takes complete lists in; the events that lead from before to now.
    pub fn replace(&mut self, links: Vec<Link>, addresses: Vec<Address>) -> Vec<Event> {
        let mut events = Vec::new();
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let gone: Vec<u32> = self.links.keys().filter(|index| !present.contains(index)).copied().collect();
        gone.into_iter().for_each(|index| events.extend(self.link_removed(index)));
        events.extend(links.into_iter().filter_map(|link| self.link(link)));
        let present: BTreeSet<_> = addresses.iter().map(key).collect();
        let gone: Vec<Address> = self.addresses().filter(|address| !present.contains(&key(address))).collect();
        events.extend(gone.iter().filter_map(|address| self.address_removed(address)));
        events.extend(addresses.iter().filter_map(|address| self.address(address)));
        events
    }
}

/// What makes an address one of its own: a link may have the same one for several other ends.
fn key(address: &Address) -> (u32, IpNet, Option<IpAddr>) {
    (address.interface_index, address.address, address.peer)
}

/// An address for an operator; of a point-to-point link both ends, as Junos shows them.
fn told(address: Address) -> String {
    match address.peer_net() {
        Some(peer) => format!("{} --> {peer}", address.address.addr()),
        None => address.address.to_string(),
    }
}

/// A link as the other processes know it.
pub fn interface(link: &Link) -> v1::Interface {
    let mac: Vec<String> = link.mac.iter().map(|octet| format!("{octet:02x}")).collect();
    v1::Interface {
        index: link.index,
        name: link.name.clone(),
        admin_up: link.admin_up,
        carrier: link.carrier,
        mtu: link.mtu,
        mac: mac.join(":"),
        loopback: link.loopback,
        description: link.description.clone(),
        rx_packets: link.counters.rx_packets,
        tx_packets: link.counters.tx_packets,
        rx_bytes: link.counters.rx_bytes,
        tx_bytes: link.counters.tx_bytes,
        rx_dropped: link.counters.rx_dropped,
        tx_dropped: link.counters.tx_dropped,
        rx_errors: link.counters.rx_errors,
        tx_errors: link.counters.tx_errors,
        oper_state: link.oper_state.name().into(),
        carrier_changes: link.carrier_changes,
        kind: link.kind.clone(),
        vlan_id: link.vlan_id.map_or(0, u32::from),
        made_by_us: link.is_our_vlan(),
        ..Default::default()
    }
}
