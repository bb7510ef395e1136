//! What comes from the kernel, from our own processes, and from the file of a lab scenario.

use holdfast_kernel::netlink::wire::{Attributes, Messages};
use holdfast_kernel::netlink::{Address, Batch, Link, Neighbor, NexthopContent, NexthopObject, Route, RouteWrite};
use holdfast_lab::scenario::Scenario;
use holdfast_proto::v1::VaultReply;
use holdfast_vault::{Vault, answer, limits};
use prost::Message;

/// A datagram of rtnetlink. What can be read of a route can be written, as one message.
pub fn check_netlink(datagram: &[u8]) {
    for message in Messages(datagram) {
        let _ = message.acknowledgement();
        let _ = (Link::parse(&message), Address::parse(&message));
        let mac = Neighbor::parse(&message).map_or(0, |neighbor| neighbor.mac.len());
        assert!(mac <= datagram.len());
        Attributes(message.payload).for_each(|(_, value)| assert!(value.len() <= datagram.len()));
        if let Some(object) = NexthopObject::parse(&message) {
            check_nexthop(&object);
        }
        let Some(route) = Route::parse(&message) else { continue };
        let mut batch = Batch::new();
        batch.write_route(RouteWrite::Replace, &route.prefix, route.target);
        assert_eq!(batch.len(), 1);
    }
}

/// What can be read of a nexthop object, and can be written, means the same when it is read again.
fn check_nexthop(object: &NexthopObject) {
    if object.content == NexthopContent::Other {
        return;
    }
    let mut batch = Batch::new();
    batch.add_nexthop(object.id, object.ipv6, &object.content);
    let written = Messages(batch.octets()).next().and_then(|message| NexthopObject::parse(&message));
    assert_eq!(written.map(|again| (again.id, again.content)), Some((object.id, object.content.clone())));
}

/// Packets for the vault, each behind its length in one octet: no descriptor comes with them, so nothing is ever kept.
pub fn check_vault(mut input: &[u8]) {
    let mut vault = Vault::new(3);
    while let Some((length, rest)) = input.split_first() {
        let (packet, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        input = rest;
        let reply = answer(&mut vault, packet, Vec::new(), 0);
        assert!(!reply.packet.is_empty() && reply.packet.len() <= limits::PACKET_MAX_LEN);
        VaultReply::decode(reply.packet.as_slice()).expect("what we answer can be read");
        assert!(vault.is_empty() && vault.epoch() == 3 && reply.descriptor.is_none());
    }
}

/// A lab scenario from a file: what can be read means the same when it is written and read again.
pub fn check_scenario(text: &[u8]) {
    let Ok(scenario) = serde_json::from_slice::<Scenario>(text) else { return };
    let written = serde_json::to_string(&scenario).expect("it can be written");
    assert_eq!(serde_json::from_str::<Scenario>(&written).expect("what we write can be read"), scenario);
    let mut shuffled = scenario.clone();
    shuffled.shuffle_cells(1);
    assert_eq!(shuffled.steps.len(), scenario.steps.len());
}
