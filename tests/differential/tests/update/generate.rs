//! Messages: well-formed ones of every kind, and the same with something wrong in them.

use std::net::Ipv4Addr;

use holdfast_bgp::wire::{
    AsPath, Capability, Family, Format, HEADER_LEN, MAX_MESSAGE_LEN, Negotiated, NextHop, OpenMessage, Origin,
    PathAttributes, RawAttribute, Segment, SegmentKind, encode_announce, encode_withdraw,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;

/// Both families and 4-octet AS numbers: what RFC 6793 makes of AS4_PATH is no common ground, one codec leaves it to its caller.
fn session(internal: bool) -> Negotiated {
    let open = |asn| OpenMessage {
        autonomous_system: asn,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        capabilities: [Capability::FourOctetAs(asn)]
            .into_iter()
            .chain(Family::ALL.map(Capability::MultiProtocol))
            .collect(),
    };
    Negotiated::from_opens(&open(65001), &open(if internal { 65001 } else { 65002 }))
}

/// Sequences only: RFC 9774 gives AS_SET up, and one codec treats it as malformed already. Damage makes sets of some.
fn as_path() -> impl Strategy<Value = AsPath> {
    let asn = prop_oneof![1..23456u32, 65536..u32::MAX];
    let segment = vec(asn, 1..6).prop_map(|asns| Segment { kind: SegmentKind::Sequence, asns });
    vec(segment, 1..4).prop_map(|segments| AsPath { segments })
}

fn address() -> impl Strategy<Value = Ipv4Addr> {
    (0x0100_0000..0x7f00_0000u32).prop_map(Ipv4Addr::from)
}

/// Route targets: types that all of them know.
fn extended_community() -> impl Strategy<Value = [u8; 8]> {
    any::<[u8; 6]>().prop_map(|rest| [0, 2, rest[0], rest[1], rest[2], rest[3], rest[4], rest[5]])
}

fn attributes(internal: bool) -> impl Strategy<Value = PathAttributes> {
    let origin = prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)];
    let aggregator = proptest::option::of((1..u32::MAX, address()));
    let numbers = (any::<Option<u32>>(), any::<u32>(), any::<bool>(), aggregator);
    let lists = (vec(any::<u32>(), 0..20), vec(extended_community(), 0..4), vec(any::<[u32; 3]>(), 0..4));
    let reflection = (proptest::option::of(address()), vec(address(), 0..3));
    let unknown = vec((200..255u8, vec(any::<u8>(), 0..40)), 0..2);
    (origin, as_path(), numbers, lists, reflection, unknown).prop_map(
        move |(origin, as_path, numbers, lists, reflection, unknown)| PathAttributes {
            origin,
            as_path,
            med: numbers.0,
            local_pref: internal.then_some(numbers.1),
            atomic_aggregate: numbers.2,
            aggregator: numbers.3,
            communities: lists.0,
            extended_communities: lists.1,
            large_communities: distinct(lists.2),
            originator_id: reflection.0.filter(|_| internal),
            cluster_list: if internal { reflection.1 } else { Vec::new() },
            unknown: unknown.into_iter().take(1).map(|(code, data)| RawAttribute { flags: 0xe0, code, data }).collect(),
            ..PathAttributes::default()
        },
    )
}

/// RFC 8092 §5: a receiver removes duplicates; not everybody does it while reading.
fn distinct(mut list: Vec<[u32; 3]>) -> Vec<[u32; 3]> {
    list.sort_unstable();
    list.dedup();
    list
}

fn prefixes() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (0x0100_0000..0xdf00_0000u32, 8..=32u8)
        .prop_filter_map("a prefix", |(bits, length)| Ipv4Net::new(bits.into(), length).ok())
        .prop_map(|net| IpNet::V4(net.trunc()));
    let v6 = (0..1u128 << 100, 16..=128u8)
        .prop_filter_map("a prefix", |(bits, length)| Ipv6Net::new((bits | 0x2001_0db8 << 96).into(), length).ok())
        .prop_map(|net| IpNet::V6(net.trunc()));
    prop_oneof![vec(v4, 1..8), vec(v6, 1..8)]
}

/// A message of a session.
pub fn message() -> impl Strategy<Value = (Vec<u8>, Negotiated)> {
    let one = |internal| (attributes(internal), prefixes(), address(), any::<u64>(), 0..5u8, Just(internal));
    prop_oneof![one(false), one(true)].prop_map(|(attributes, prefixes, hop, hop6, kind, internal)| {
        let (mut wire, family) = (Vec::new(), Family::of(&prefixes[0]));
        let next_hop = match family {
            Family::Ipv4Unicast => NextHop::V4(hop),
            Family::Ipv6Unicast => {
                NextHop::V6 { global: (0x2001_0db8u128 << 96 | u128::from(hop6)).into(), link_local: None }
            }
        };
        if kind == 0 {
            encode_withdraw(&mut wire, family, &prefixes, Format::plain(true));
        } else {
            encode_announce(&mut wire, family, &attributes.encode(), next_hop, &prefixes, Format::plain(true))
                .expect("it fits");
        }
        (wire, session(internal))
    })
}

/// One to three things wrong behind the header, which counts the octets all the same.
pub fn damaged() -> impl Strategy<Value = (Vec<u8>, Negotiated)> {
    let octet = prop_oneof![Just(0u8), Just(1), Just(0x40), Just(0x80), Just(0xff), any::<u8>()];
    let damage = vec((any::<prop::sample::Index>(), octet, 0..8u8), 1..4);
    (message(), damage).prop_map(|((mut wire, session), damage)| {
        for (index, octet, kind) in damage {
            let at = HEADER_LEN + index.index((wire.len() - HEADER_LEN).max(1));
            match kind {
                0 => wire.truncate(at),
                1 if at < wire.len() => wire.insert(at, octet),
                2 => wire.extend_from_slice(&[octet, octet]),
                _ if at < wire.len() => wire[at] = octet,
                _ => {}
            }
            wire.resize(wire.len().clamp(HEADER_LEN + 4, MAX_MESSAGE_LEN), 0);
        }
        let length = (wire.len() as u16).to_be_bytes();
        wire[16..18].copy_from_slice(&length);
        (wire, session)
    })
}
