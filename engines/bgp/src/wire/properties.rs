//! What holds for every input.

use super::tests::session;
use super::*;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn as_path() -> impl Strategy<Value = AsPath> {
    let kind = prop_oneof![8 => Just(SegmentKind::Sequence), 1 => Just(SegmentKind::Set)];
    let asn = prop_oneof![1..65536u32, 65536..=u32::MAX];
    let segment = (kind, vec(asn, 1..6)).prop_map(|(kind, asns)| Segment { kind, asns });
    vec(segment, 0..4).prop_map(|segments| AsPath { segments })
}

/// Codes that the codec does not know, ascending and each once.
fn unknown() -> impl Strategy<Value = Vec<RawAttribute>> {
    let code = prop_oneof![Just(11u8), Just(19), 21..26u8, 33..35u8, 36..=255u8];
    proptest::collection::btree_map(code, vec(any::<u8>(), 0..300), 0..3)
        .prop_map(|map| map.into_iter().map(|(code, data)| RawAttribute { flags: 0xe0, code, data }).collect())
}

fn path_attributes() -> impl Strategy<Value = PathAttributes> {
    let origin = prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)];
    let numbers = (any::<Option<u32>>(), any::<Option<u32>>(), any::<bool>(), any::<Option<(u32, Ipv4Addr)>>());
    let lists = (vec(any::<u32>(), 0..80), vec(any::<[u8; 8]>(), 0..4), vec(any::<[u32; 3]>(), 0..4));
    let reflection = (any::<Option<Ipv4Addr>>(), vec(any::<Ipv4Addr>(), 0..3));
    (origin, as_path(), numbers, lists, reflection, unknown()).prop_map(
        |(origin, as_path, numbers, lists, reflection, unknown)| PathAttributes {
            origin,
            as_path,
            med: numbers.0,
            local_pref: numbers.1,
            atomic_aggregate: numbers.2,
            aggregator: numbers.3.filter(|(asn, _)| *asn != 0),
            communities: lists.0,
            extended_communities: lists.1,
            large_communities: lists.2,
            originator_id: reflection.0,
            cluster_list: reflection.1,
            only_to_customer: numbers.1.filter(|asn| asn % 2 == 0),
            partial: PartialBits::default(),
            unknown,
        },
    )
}

fn ipv4_net() -> impl Strategy<Value = IpNet> {
    // Multicast prefixes are passed over by design.
    (0..0xe000_0000u32, 0..=32u8)
        .prop_filter_map("range", |(bits, len)| Ipv4Net::new(bits.into(), len).ok())
        .prop_map(|net| IpNet::V4(net.trunc()))
}

fn ipv6_net() -> impl Strategy<Value = IpNet> {
    (0..1u128 << 126, 0..=128u8)
        .prop_filter_map("range", |(bits, len)| Ipv6Net::new((bits | 1 << 125).into(), len).ok())
        .prop_map(|net| IpNet::V6(net.trunc()))
}

fn announce_all(
    family: Family,
    attributes: &PathAttributes,
    next_hop: NextHop,
    prefixes: &[IpNet],
    four_octet_as: bool,
) -> Vec<u8> {
    let (mut wire, mut sent) = (Vec::new(), 0);
    while sent < prefixes.len() {
        let block = attributes.encode();
        sent += encode_announce(&mut wire, family, &block, next_hop, &prefixes[sent..], Format::plain(four_octet_as))
            .unwrap();
    }
    wire
}

/// Every message of a stream, by what it announces and withdraws.
fn read_back(mut wire: &[u8], family: Family, session: &Negotiated) -> Vec<(Vec<IpNet>, Vec<IpNet>, PathAttributes)> {
    let mut read = Vec::new();
    while let Some((length, kind)) = frame(wire).unwrap() {
        assert_eq!(kind, MessageType::Update);
        let update = Update::parse(&wire[HEADER_LEN..length], session).unwrap();
        assert_eq!((&update.treat_as_withdraw, update.discarded.len()), (&None, 0));
        let attributes = update.attributes.as_ref().map(|block| PathAttributes::decode(block).unwrap());
        read.push((
            update.announced(family).collect(),
            update.withdrawn(family).collect(),
            attributes.unwrap_or_default(),
        ));
        wire = &wire[length..];
    }
    assert!(wire.is_empty());
    read
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_panics_on_any_bytes(bytes in vec(any::<u8>(), 0..200), internal: bool, wide: bool) {
        let _ = frame(&bytes);
        let _ = OpenMessage::decode(&bytes);
        let _ = NotificationMessage::decode(&bytes).to_string();
        let _ = decode_route_refresh(&bytes);
        let _ = PathAttributes::decode(&bytes);
        let _ = Update::parse(&bytes, &session(internal, wide));
        let _ = Update::parse(&bytes, &Negotiated { receives_paths: [true; 2], ..session(internal, wide) });
        // Bytes that are no block are written all the same, within a message's length.
        let mut out = Vec::new();
        let _ = encode_announce(&mut out, Family::Ipv4Unicast, &bytes, NextHop::V4(Ipv4Addr::LOCALHOST),
            &["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()], Format::plain(wide));
    }

    /// Several paths to one destination: what is written is read, by one who expects identifiers.
    #[test]
    fn paths_come_back_under_their_names(
        attributes in path_attributes(),
        routes in vec((any::<u32>(), ipv4_net()), 1..400),
    ) {
        let session = Negotiated { receives_paths: [true; 2], ..session(false, true) };
        let block = attributes.encode();
        let named: Vec<_> = routes.iter().map(|(identifier, net)| (Some(*identifier), *net)).collect();
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        for withdraws in [false, true] {
            let (mut rest, mut read) = (named.as_slice(), Vec::new());
            while !rest.is_empty() {
                let mut wire = Vec::new();
                let taken = if withdraws {
                    encode_withdraw(&mut wire, Family::Ipv4Unicast, rest, Format::plain(true))
                } else {
                    encode_announce(&mut wire, Family::Ipv4Unicast, &block, next_hop, rest, Format::plain(true)).unwrap()
                };
                rest = &rest[taken..];
                let update = Update::parse(&wire[HEADER_LEN..], &session).unwrap();
                let field = if withdraws { update.withdrawn(Family::Ipv4Unicast) } else { update.announced(Family::Ipv4Unicast) };
                read.extend(field.identified());
            }
            prop_assert_eq!(&read, &routes);
        }
    }

    /// A good UPDATE with a few octets changed: closer to what goes wrong in practice than noise.
    #[test]
    fn whatever_a_damaged_update_says_is_consistent(
        attributes in path_attributes(),
        prefixes in vec(ipv4_net(), 1..8),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        internal: bool,
        wide: bool,
    ) {
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let mut wire = announce_all(Family::Ipv4Unicast, &attributes, next_hop, &prefixes, wide);
        wire.drain(..HEADER_LEN);
        for (index, value) in damage {
            *index.get_mut(&mut wire) = value;
        }
        let session = session(internal, wide);
        if let Ok(update) = Update::parse(&wire, &session) {
            prop_assert!(update.attributes.is_none() || update.treat_as_withdraw.is_none());
            for family in Family::ALL {
                let announced = update.announced(family).count();
                prop_assert!(announced == 0 || update.next_hop(family).is_some() || update.attributes.is_none());
                prop_assert!(update.withdrawn(family).all(|net| Family::of(&net) == family));
            }
            if let Some(block) = update.attributes {
                let read = PathAttributes::decode(&block).expect("a canonical block decodes");
                prop_assert_eq!(read.encode(), block);
            }
        }
    }

    #[test]
    fn attributes_round_trip(attributes in path_attributes()) {
        let block = attributes.encode();
        let read = PathAttributes::decode(&block).unwrap();
        prop_assert_eq!(&read, &attributes);
        prop_assert_eq!(read.encode(), block);
    }

    #[test]
    fn announcements_arrive_as_they_were_sent(
        mut attributes in path_attributes(),
        prefixes in vec(ipv4_net(), 1..2000),
        prefixes6 in vec(ipv6_net(), 1..600),
        internal: bool,
    ) {
        attributes.local_pref = internal.then_some(100);
        if !internal {
            attributes.originator_id = None;
            attributes.cluster_list.clear();
        }
        let session = session(internal, true);
        let v6 = NextHop::V6 { global: "2001:db8::1".parse().unwrap(), link_local: Some("fe80::1".parse().unwrap()) };
        for (family, next_hop, prefixes) in [
            (Family::Ipv4Unicast, NextHop::V4(Ipv4Addr::new(192, 0, 2, 1)), &prefixes),
            (Family::Ipv6Unicast, v6, &prefixes6),
        ] {
            let wire = announce_all(family, &attributes, next_hop, prefixes, true);
            let read = read_back(&wire, family, &session);
            prop_assert!(read.iter().all(|(_, withdrawn, _)| withdrawn.is_empty()));
            prop_assert!(read.iter().all(|(_, _, read)| *read == attributes));
            let arrived: Vec<_> = read.into_iter().flat_map(|(announced, _, _)| announced).collect();
            prop_assert_eq!(&arrived, prefixes);
        }
    }

    /// An old speaker's path has as many ASes and the same numbers: sequences may be joined, so compare what is counted.
    #[test]
    fn as_paths_survive_an_old_speaker(path in as_path(), prefixes in vec(ipv4_net(), 1..3)) {
        let attributes = PathAttributes { as_path: path, ..PathAttributes::default() };
        let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let wire = announce_all(Family::Ipv4Unicast, &attributes, next_hop, &prefixes, false);
        let read = read_back(&wire, Family::Ipv4Unicast, &session(false, false));
        let (_, _, got) = &read[0];
        prop_assert_eq!(got.as_path.path_length(), attributes.as_path.path_length());
        prop_assert!(got.as_path.asns().eq(attributes.as_path.asns()));
    }

    #[test]
    fn withdrawals_arrive_as_they_were_sent(v4 in vec(ipv4_net(), 1..2000), v6 in vec(ipv6_net(), 1..600)) {
        let session = session(false, true);
        for (family, prefixes) in [(Family::Ipv4Unicast, v4), (Family::Ipv6Unicast, v6)] {
            let (mut wire, mut sent) = (Vec::new(), 0);
            while sent < prefixes.len() {
                sent += encode_withdraw(&mut wire, family, &prefixes[sent..], Format::plain(true));
            }
            let read = read_back(&wire, family, &session);
            let arrived: Vec<_> = read.into_iter().flat_map(|(_, withdrawn, _)| withdrawn).collect();
            prop_assert_eq!(arrived, prefixes);
        }
    }

    #[test]
    fn opens_that_can_be_read_are_written_the_same(bytes in vec(any::<u8>(), 0..120)) {
        let mut body = vec![4, 0, 1, 0, 90, 1, 1, 1, 1, bytes.len() as u8 + 2, 2, bytes.len() as u8];
        body.extend_from_slice(&bytes);
        if let Ok(open) = OpenMessage::decode(&body) {
            prop_assert_eq!(OpenMessage::decode(&open.encode()[HEADER_LEN..]), Ok(open));
        }
    }
}
