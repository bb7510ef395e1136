//! Whatever bytes come, nothing panics; what we encode, we read back.

use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{Attributes, Encoder, HEADER_LENGTH, Messages, u32_at};
use super::*;

fn parse_everything(bytes: &[u8]) {
    for message in Messages(bytes) {
        let _ = message.acknowledgement();
        let _ = monitor::event(&message);
        let _ = Route::parse(&message);
        let _ = Link::parse(&message);
        let _ = Address::parse(&message);
        let _ = NexthopObject::parse(&message);
        let _ = Neighbor::parse(&message);
        Attributes(message.payload).for_each(drop);
    }
}

fn prefix() -> impl Strategy<Value = ipnet::IpNet> {
    prop_oneof![
        (any::<u32>(), 0..=32u8).prop_map(|(a, l)| ipnet::IpNet::new(Ipv4Addr::from(a).into(), l).unwrap().trunc()),
        (any::<u128>(), 0..=128u8).prop_map(|(a, l)| ipnet::IpNet::new(Ipv6Addr::from(a).into(), l).unwrap().trunc()),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse_everything(&bytes);
    }

    /// A true header, one of the types we read, and anything behind it: gets further than pure noise.
    #[test]
    fn arbitrary_payloads_are_survived(
        kind in prop_oneof![Just(2u16), Just(3), 16..31u16, 104..107u16],
        flags in any::<u16>(),
        family in prop_oneof![Just(2u8), Just(10), any::<u8>()],
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        attributes in proptest::collection::vec((0..40u16, proptest::collection::vec(any::<u8>(), 0..24)), 0..8),
        fixed in 0..20usize,
    ) {
        let mut bytes = Vec::new();
        let mut message = Encoder::begin(&mut bytes, kind, flags);
        let mut header = payload.clone();
        header.resize(fixed * 4, 0);
        if let Some(first) = header.first_mut() { *first = family; }
        message.fixed(&header);
        for (kind, value) in &attributes { message.attribute(*kind, value); }
        message.end();
        parse_everything(&bytes);
        for end in 0..bytes.len() { parse_everything(&bytes[..end]); }
        bytes.extend_from_slice(&payload);
        parse_everything(&bytes);
    }

    #[test]
    fn routes_are_read_back(prefix in prefix(), id in 1..u32::MAX, which in 0..3usize, replace in any::<bool>()) {
        let target = [RouteTarget::Nexthop(id), RouteTarget::Blackhole, RouteTarget::Unreachable][which];
        let mut batch = Batch::new();
        batch.write_route(if replace { RouteWrite::Replace } else { RouteWrite::Add }, &prefix, target);
        batch.remove_route(&prefix);
        let messages: Vec<_> = Messages(&batch.buffer).collect();
        prop_assert_eq!(messages.len(), batch.len());
        let route = Route::parse(&messages[0]).unwrap();
        prop_assert_eq!((route.prefix, route.target), (prefix, target));
        prop_assert!(route.is_ours());
        prop_assert_eq!(Route::parse(&messages[1]).unwrap().prefix, prefix);
    }

    #[test]
    fn nexthops_are_read_back(
        id in 1..u32::MAX,
        gateway in prop_oneof![Just(None), any::<u32>().prop_map(|a| Some(IpAddr::V4(a.into()))), any::<u128>().prop_map(|a| Some(IpAddr::V6(a.into())))],
        interface_index in 1..1000u32,
        ipv6 in any::<bool>(),
        members in proptest::collection::vec((any::<u32>(), 1..=u16::MAX), 1..9),
        buckets in 1..=u16::MAX,
    ) {
        let members: Vec<_> = members.into_iter().map(|(id, weight)| NexthopMember { id, weight }).collect();
        let single = NexthopContent::Single { gateway, interface_index };
        let resilient = NexthopContent::Resilient { members: members.clone(), buckets };
        for content in [single, NexthopContent::Blackhole, NexthopContent::Group(members), resilient] {
            let mut batch = Batch::new();
            batch.add_nexthop(id, ipv6, &content);
            batch.replace_nexthop(id, ipv6, &content);
            prop_assert_eq!(Messages(&batch.buffer).count(), 2);
            for message in Messages(&batch.buffer) {
                let object = NexthopObject::parse(&message).unwrap();
                prop_assert!(object.is_ours());
                prop_assert_eq!((object.id, &object.content), (id, &content));
            }
        }
    }

    #[test]
    fn addresses_are_read_back(prefix in prefix(), interface_index in any::<u32>()) {
        let mut batch = Batch::new();
        batch.add_address(interface_index, &prefix);
        let address = Address::parse(&Messages(&batch.buffer).next().unwrap()).unwrap();
        prop_assert_eq!(address, Address { interface_index, address: prefix, peer: None, protocol: PROTOCOL_HOLDFAST });
    }
}

#[test]
fn a_batch_knows_where_its_messages_begin() {
    let mut batch = Batch::new();
    let prefix = "10.0.0.0/8".parse().unwrap();
    while !batch.is_full() {
        batch.write_route(RouteWrite::Add, &prefix, RouteTarget::Nexthop(1));
    }
    assert_eq!((batch.len(), Messages(&batch.buffer).count()), (BATCH_MESSAGES_MAX, BATCH_MESSAGES_MAX));
    for start in &batch.starts {
        assert_eq!(u32_at(&batch.buffer, *start as usize).unwrap() as usize % 4, HEADER_LENGTH % 4);
    }
    batch.clear();
    assert!(batch.is_empty());
}

#[test]
fn a_vlan_is_read_as_it_was_written() {
    let mut batch = Batch::new();
    batch.add_vlan(7, "eth0.100", 100);
    let link = Link::parse(&Messages(&batch.buffer).next().unwrap()).unwrap();
    assert_eq!((link.name.as_str(), link.parent, link.vlan_id, link.kind.as_str()), ("eth0.100", 7, Some(100), "vlan"));
    assert!(link.is_our_vlan() && !link.admin_up);
}
