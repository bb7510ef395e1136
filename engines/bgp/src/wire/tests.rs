//! The codec as a whole: UPDATEs in and out, and everything that RFC 7606 wants of a malformed one.

use super::*;
use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) fn session(internal: bool, four_octet_as: bool) -> Negotiated {
    let open = |asn: u32, id: u8| OpenMessage {
        autonomous_system: asn,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(192, 0, 2, id),
        capabilities: Family::ALL.map(Capability::MultiProtocol).into_iter().collect(),
    };
    let peer_as = if internal { 65001 } else { 65002 };
    Negotiated { four_octet_as, ..Negotiated::from_opens(&open(65001, 1), &open(peer_as, 2)) }
}

/// An UPDATE's body.
pub(crate) fn body(withdrawn: &[u8], attributes: &[&[u8]], nlri: &[u8]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut out = (withdrawn.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(withdrawn);
    out.extend_from_slice(&(attributes.len() as u16).to_be_bytes());
    out.extend_from_slice(&attributes);
    out.extend_from_slice(nlri);
    out
}

const ORIGIN: &[u8] = &[0x40, 1, 1, 0];
const AS_PATH: &[u8] = &[0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xea];
const NEXT_HOP: &[u8] = &[0x40, 3, 4, 192, 0, 2, 2];
const LOCAL_PREF: &[u8] = &[0x40, 5, 4, 0, 0, 0, 100];
const NLRI: &[u8] = &[8, 10];

/// A good UPDATE's attributes with one more.
fn with(attribute: &[u8]) -> Vec<u8> {
    body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, attribute], NLRI)
}

fn parse(body: &[u8]) -> Result<Update<'_>, NotificationMessage> {
    Update::parse(body, &session(false, true))
}

fn nets(iter: NlriIter<'_>) -> Vec<String> {
    iter.map(|net| net.to_string()).collect()
}

#[test]
fn a_plain_update() {
    let body = body(&[16, 172, 16], &[NEXT_HOP, AS_PATH, ORIGIN], &[8, 10, 24, 192, 0, 2]);
    let update = parse(&body).unwrap();
    assert_eq!(update.treat_as_withdraw, None);
    assert_eq!(nets(update.withdrawn(Family::Ipv4Unicast)), ["172.16.0.0/16"]);
    assert_eq!(nets(update.announced(Family::Ipv4Unicast)), ["10.0.0.0/8", "192.0.2.0/24"]);
    assert!(update.announced(Family::Ipv6Unicast).is_empty());
    assert_eq!(update.next_hop(Family::Ipv4Unicast), Some(NextHop::V4(Ipv4Addr::new(192, 0, 2, 2))));
    assert_eq!(update.end_of_rib(), None);
    // Ascending, without NEXT_HOP.
    assert_eq!(update.attributes.unwrap().as_slice(), [ORIGIN, AS_PATH].concat());
}

#[test]
fn canonical_form_does_not_depend_on_order_flags_or_length_size() {
    let communities: &[u8] = &[0xc0, 8, 4, 0, 1, 0, 2];
    let communities_long: &[u8] = &[0xd0, 8, 0, 4, 0, 1, 0, 2];
    let a = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, communities], NLRI);
    let b = body(&[], &[communities_long, NEXT_HOP, AS_PATH, ORIGIN], NLRI);
    assert_eq!(parse(&a).unwrap().attributes, parse(&b).unwrap().attributes);
}

#[test]
fn end_of_rib_of_both_families() {
    let negotiated = session(false, true);
    for family in Family::ALL {
        let mut wire = Vec::new();
        encode_end_of_rib(&mut wire, family);
        let update = Update::parse(&wire[HEADER_LEN..], &negotiated).unwrap();
        assert_eq!(update.end_of_rib(), Some(family));
        assert!(Family::ALL.iter().all(|f| update.withdrawn(*f).is_empty() && update.announced(*f).is_empty()));
    }
    let only_ipv6 = Negotiated { families: [false, true], ..negotiated };
    assert_eq!(Update::parse(&[0; 4], &only_ipv6).unwrap().end_of_rib(), None);
}

#[test]
fn unknown_attributes() {
    // Optional transitive: kept, with Partial. Optional non-transitive: dropped without a word.
    let update_body = with(&[0xc0, 99, 2, 7, 7]);
    let block = parse(&update_body).unwrap().attributes.unwrap();
    let read = PathAttributes::decode(&block).unwrap();
    assert_eq!(read.unknown, [RawAttribute { flags: 0xe0, code: 99, data: vec![7, 7] }]);
    let update_body = with(&[0x80, 26, 2, 7, 7]);
    let update = parse(&update_body).unwrap();
    assert_eq!(update.attributes.unwrap().as_slice(), [ORIGIN, AS_PATH].concat());
    assert!(update.discarded.is_empty());
    // Well-known and unknown cannot be: RFC 4271 §6.3.
    let attribute = [0x40, 99, 1, 7];
    assert_eq!(
        parse(&with(&attribute)).unwrap_err(),
        NotificationMessage::unrecognized_well_known_attribute(&attribute)
    );
}

#[test]
fn partial_bits_stay_where_they_may_be() {
    let update_body = with(&[0xe0, 8, 4, 0, 1, 0, 2]);
    let block = parse(&update_body).unwrap().attributes.unwrap();
    let read = PathAttributes::decode(&block).unwrap();
    assert!(read.partial.contains(code::COMMUNITIES) && !read.partial.contains(code::AGGREGATOR));
    assert_eq!(read.encode(), block);
}

/// RFC 7606 §7: each malformed attribute with what it brings about.
#[test]
fn malformed_attributes_are_treated_as_withdraw() {
    for (attribute, word) in [
        (&[0x40, 4, 3, 0, 0, 1][..], "flags"), // MED must be optional
        (&[0x80, 4, 3, 0, 0, 1], "MULTI_EXIT_DISC"),
        (&[0xc0, 8, 3, 0, 0, 1], "COMMUNITIES"),
        (&[0xc0, 8, 0], "COMMUNITIES"),
        (&[0xc0, 35, 3, 0, 0, 1], "ONLY_TO_CUSTOMER"), // RFC 9234 §5
        (&[0x80, 35, 4, 0, 0, 0, 1], "flags"),
        (&[0xc0, 16, 4, 0, 0, 0, 1], "EXTENDED_COMMUNITIES"),
        (&[0xc0, 32, 4, 0, 0, 0, 1], "LARGE_COMMUNITIES"),
        (&[0x80, 6, 0], "flags"),
        (&[0x40, 200, 9], "longer than"),
        (&[0x40], "longer than"),
    ] {
        let update_body = with(attribute);
        let update = parse(&update_body).unwrap();
        let reason = update.treat_as_withdraw.clone().unwrap_or_else(|| panic!("{attribute:?}"));
        assert!(reason.contains(word), "{reason}");
        assert_eq!(update.attributes, None);
        assert_eq!(nets(update.announced(Family::Ipv4Unicast)), ["10.0.0.0/8"]);
    }
}

#[test]
fn malformed_mandatory_attributes_are_treated_as_withdraw() {
    for (attributes, word) in [
        ([&[0x40, 1, 1, 3][..], AS_PATH, NEXT_HOP], "ORIGIN"),
        ([&[0x40, 1, 2, 0, 0], AS_PATH, NEXT_HOP], "ORIGIN"),
        ([ORIGIN, &[0x40, 2, 6, 9, 1, 0, 0, 0, 1], NEXT_HOP], "AS_PATH"),
        ([ORIGIN, &[0x40, 2, 6, 2, 1, 0, 0, 0, 0], NEXT_HOP], "AS number 0"),
        ([ORIGIN, &[0x40, 2, 6, 3, 1, 0, 0, 0, 1], NEXT_HOP], "confederation"),
        ([ORIGIN, AS_PATH, &[0x40, 3, 3, 1, 2, 3]], "NEXT_HOP"),
        ([ORIGIN, AS_PATH, &[0x40, 3, 4, 127, 0, 0, 1]], "loopback"),
        ([ORIGIN, AS_PATH, &[0x40, 3, 4, 224, 0, 0, 1]], "multicast"),
        ([ORIGIN, AS_PATH, &[]], "NEXT_HOP (type 3): is missing"),
        ([ORIGIN, &[], NEXT_HOP], "AS_PATH (type 2): is missing"),
        ([&[], AS_PATH, NEXT_HOP], "ORIGIN (type 1): is missing"),
    ] {
        let update_body = body(&[], &attributes, NLRI);
        let reason = parse(&update_body).unwrap().treat_as_withdraw.unwrap_or_else(|| panic!("{attributes:?}"));
        assert!(reason.contains(word), "{reason}");
    }
}

#[test]
fn some_malformed_attributes_are_discarded_alone() {
    for (attribute, word) in [
        (&[0x40, 6, 1, 0][..], "ATOMIC_AGGREGATE"),
        (&[0xc0, 7, 6, 0, 1, 1, 1, 1, 1], "AGGREGATOR"),
        (&[0xc0, 7, 8, 0, 0, 0, 0, 1, 1, 1, 1], "AS number 0"),
        (&[0x40, 5, 4, 0, 0, 0, 1], "LOCAL_PREF"),
        (&[0x80, 9, 4, 1, 1, 1, 1], "ORIGINATOR_ID"),
        (&[0x80, 10, 4, 1, 1, 1, 1], "CLUSTER_LIST"),
        (&[0xc0, 17, 6, 2, 1, 0, 0, 0, 1], "AS4_PATH"),
        (&[0x40, 1, 1, 1], "twice"),
    ] {
        let update_body = with(attribute);
        let update = parse(&update_body).unwrap();
        assert_eq!(update.treat_as_withdraw, None, "{attribute:?}");
        assert!(update.discarded[0].contains(word), "{:?}", update.discarded);
        assert_eq!(update.attributes.unwrap().as_slice(), [ORIGIN, AS_PATH].concat());
    }
}

#[test]
fn internal_sessions_need_local_pref() {
    let internal = session(true, true);
    let without = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], NLRI);
    let reason = Update::parse(&without, &internal).unwrap().treat_as_withdraw.unwrap();
    assert!(reason.contains("LOCAL_PREF"), "{reason}");
    let full = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, &[0x80, 9, 4, 1, 1, 1, 1]], NLRI);
    let update = Update::parse(&full, &internal).unwrap();
    let read = PathAttributes::decode(&update.attributes.unwrap()).unwrap();
    assert_eq!((read.local_pref, read.originator_id), (Some(100), Some(Ipv4Addr::new(1, 1, 1, 1))));
    let bad = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, &[0x40, 5, 3, 0, 0, 1]], NLRI);
    assert!(Update::parse(&bad, &internal).unwrap().treat_as_withdraw.unwrap().contains("length is not 4"));
}

/// RFC 7606 §3 b, g, j, §5.2, §5.3: what cannot be treated as a withdrawal, for nobody knows of what.
#[test]
fn what_resets_the_session() {
    let list = NotificationMessage::malformed_attribute_list();
    assert_eq!(parse(&[0, 9, 0, 0]).unwrap_err(), list);
    assert_eq!(parse(&[0, 0, 0, 9, 1]).unwrap_err(), list);
    assert_eq!(parse(&[0, 0]).unwrap_err(), list);
    let network = NotificationMessage::invalid_network_field();
    assert_eq!(parse(&body(&[33, 1, 1, 1, 1, 1], &[], &[])).unwrap_err(), network);
    assert_eq!(parse(&body(&[], &[ORIGIN, AS_PATH, NEXT_HOP], &[24, 1])).unwrap_err(), network);
    let reach: &[u8] = &[0x80, 14, 5, 0, 25, 1, 0, 0];
    assert_eq!(parse(&body(&[], &[reach, reach], &[])).unwrap_err(), list);
    for bad in [
        &[0x80, 14, 4, 0, 2, 1, 0][..],                    // ends in the next hop
        &[0x80, 14, 9, 0, 2, 1, 4, 1, 2, 3, 4, 0],         // an IPv4 next hop for IPv6
        &[0x80, 14, 8, 0, 1, 1, 3, 1, 2, 3, 0],            // no such length
        &[0x80, 14, 11, 0, 1, 1, 4, 1, 2, 3, 4, 0, 33, 1], // prefix too long
        &[0x80, 15, 2, 0, 1],
        &[0x80, 15, 5, 0, 1, 1, 33, 1],
        &[0x80, 14, 200, 0, 1, 1], // longer than the message
    ] {
        let notification = parse(&body(&[], &[ORIGIN, AS_PATH, bad], &[])).unwrap_err();
        assert_eq!((notification.code, notification.subcode), (3, 9), "{bad:?}");
    }
    // An error where nothing is announced.
    let notification = parse(&body(&[8, 10], &[&[0x40, 1, 1, 9]], &[])).unwrap_err();
    assert_eq!(notification, NotificationMessage::invalid_origin(&[0x40, 1, 1, 9]));
}

#[test]
fn families_that_are_not_negotiated_are_not_there() {
    let negotiated = Negotiated { families: [true, false], ..session(false, true) };
    let global = "2001:db8::1".parse().unwrap();
    let block = [ORIGIN, AS_PATH].concat();
    let mut wire = Vec::new();
    let next_hop = NextHop::V6 { global, link_local: None };
    let prefixes = ["2001:db8:1::/48".parse::<ipnet::IpNet>().unwrap()];
    encode_announce(&mut wire, Family::Ipv6Unicast, &block, next_hop, &prefixes, Format::plain(true)).unwrap();
    let update = Update::parse(&wire[HEADER_LEN..], &negotiated).unwrap();
    assert!(update.announced(Family::Ipv6Unicast).is_empty());
    assert_eq!((update.attributes, update.treat_as_withdraw), (None, None));
}

#[test]
fn next_hops_of_the_same_family_must_not_contradict() {
    let reach: &[u8] = &[0x80, 14, 11, 0, 1, 1, 4, 192, 0, 2, 9, 0, 8, 11];
    let update_body = body(&[], &[ORIGIN, AS_PATH, NEXT_HOP, reach], NLRI);
    let update = parse(&update_body).unwrap();
    assert!(update.treat_as_withdraw.as_ref().unwrap().contains("differs"));
    assert_eq!(nets(update.announced(Family::Ipv4Unicast)), ["10.0.0.0/8", "11.0.0.0/8"]);
}

#[test]
fn ipv4_prefixes_with_an_ipv6_next_hop() {
    let global: Ipv6Addr = "2001:db8::1".parse().unwrap();
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    let next_hop = NextHop::V6 { global, link_local: Some(link_local) };
    let mut wire = Vec::new();
    let (block, net) = ([ORIGIN, AS_PATH].concat(), "10.0.0.0/8".parse::<ipnet::IpNet>().unwrap());
    let count = encode_announce(&mut wire, Family::Ipv4Unicast, &block, next_hop, &[net], Format::plain(true));
    assert_eq!(count, Ok(1));
    let update_body = &wire[HEADER_LEN..];
    let refused = parse(update_body).unwrap_err();
    assert_eq!((refused.code, refused.subcode), (3, 9), "RFC 7606 §7.11: a length that was not agreed upon");
    let agreed = Negotiated { extended_next_hop: true, ..session(false, true) };
    let update = Update::parse(update_body, &agreed).unwrap();
    assert_eq!(update.next_hop(Family::Ipv4Unicast), Some(next_hop));
    assert_eq!(nets(update.announced(Family::Ipv4Unicast)), ["10.0.0.0/8"]);
    assert_eq!(update.attributes.unwrap().as_slice(), block);
}

#[test]
fn an_old_speaker_gets_as_trans_and_gives_it_back() {
    let attributes = PathAttributes {
        as_path: AsPath::sequence(&[65001, 4_200_000_001]),
        aggregator: Some((4_200_000_001, Ipv4Addr::new(1, 2, 3, 4))),
        unknown: vec![RawAttribute { flags: 0xe0, code: 99, data: vec![1] }],
        ..PathAttributes::default()
    };
    let mut wire = Vec::new();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 2));
    let prefixes = ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()];
    encode_announce(&mut wire, Family::Ipv4Unicast, &attributes.encode(), next_hop, &prefixes, Format::plain(false))
        .unwrap();
    let update = Update::parse(&wire[HEADER_LEN..], &session(false, false)).unwrap();
    assert_eq!(update.discarded, Vec::<String>::new());
    assert_eq!(PathAttributes::decode(&update.attributes.unwrap()), Ok(attributes));
}

#[test]
fn as4_attributes_left_over_from_elsewhere_do_not_count() {
    // AGGREGATOR is not AS_TRANS: RFC 6793 §4.2.3.
    let attributes: [&[u8]; 6] = [
        ORIGIN,
        &[0x40, 2, 4, 2, 1, 0xfd, 0xea],
        NEXT_HOP,
        &[0xc0, 7, 6, 0, 9, 1, 1, 1, 1],
        &[0xc0, 17, 6, 2, 1, 0, 1, 0, 1],
        &[0xc0, 18, 8, 0, 1, 0, 1, 2, 2, 2, 2],
    ];
    let update_body = body(&[], &attributes, NLRI);
    let update = Update::parse(&update_body, &session(false, false)).unwrap();
    let read = PathAttributes::decode(&update.attributes.unwrap()).unwrap();
    assert_eq!(read.as_path, AsPath::sequence(&[65002]));
    assert_eq!(read.aggregator, Some((9, Ipv4Addr::new(1, 1, 1, 1))));
}

#[test]
fn attributes_that_leave_no_room_are_an_error() {
    let attributes = PathAttributes { communities: vec![7; 1020], ..PathAttributes::default() };
    let mut wire = Vec::new();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 2));
    let announce = |wire: &mut Vec<u8>, prefixes: &[_], format| {
        encode_announce(wire, Family::Ipv4Unicast, &attributes.encode(), next_hop, prefixes, format)
    };
    let prefixes = ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()];
    let error = announce(&mut wire, &prefixes, Format::plain(true)).unwrap_err();
    assert!(error.to_string().contains("no room for a prefix in a message of 4096"), "{error}");
    assert_eq!(announce(&mut wire, &[], Format::plain(true)), Ok(0));
    assert!(wire.is_empty());
    assert_eq!(announce(&mut wire, &prefixes, Format::extended(true)), Ok(1));
    assert_eq!(frame(&wire), Ok(Some((wire.len(), MessageType::Update))));
}

#[test]
fn messages_of_rfc_8654_are_filled_to_their_length() {
    let prefixes: Vec<_> =
        (0..20_000u32).map(|i| format!("10.{}.{}.0/24", i >> 8, i & 255).parse::<ipnet::IpNet>().unwrap()).collect();
    let next_hop = NextHop::V4(Ipv4Addr::new(192, 0, 2, 2));
    let block = [ORIGIN, AS_PATH].concat();
    for (format, most) in [(Format::plain(true), 4096), (Format::extended(true), 65_535)] {
        let (mut announced, mut withdrawn) = (Vec::new(), Vec::new());
        encode_announce(&mut announced, Family::Ipv4Unicast, &block, next_hop, &prefixes, format).unwrap();
        encode_withdraw(&mut withdrawn, Family::Ipv4Unicast, &prefixes, format);
        for wire in [announced, withdrawn] {
            assert!((most - 3..=most).contains(&wire.len()), "{}", wire.len());
            let update = Update::parse(&wire[HEADER_LEN..], &session(false, true)).unwrap();
            let count = update.announced(Family::Ipv4Unicast).count() + update.withdrawn(Family::Ipv4Unicast).count();
            assert!(count > most / 5, "{count}");
        }
    }
}

/// With two octets per AS number it fits into a message of RFC 8654, with four it does not.
#[test]
fn attributes_too_long_to_be_told_on_are_treated_as_withdraw() {
    let path: Vec<u8> = [[2, 250].as_slice(), &[1; 500]].concat().repeat(70);
    let attribute = [[0x50, 2].as_slice(), &(path.len() as u16).to_be_bytes(), &path].concat();
    let update_body = body(&[], &[ORIGIN, &attribute, NEXT_HOP], NLRI);
    let update = Update::parse(&update_body, &session(false, false)).unwrap();
    assert!(update.treat_as_withdraw.unwrap().contains("65000 is the most"));
    assert_eq!(update.attributes, None);
}

/// RFC 6793 §3, §4.2.3, §6: what AS4_PATH says of a path that came through an old speaker.
#[test]
fn as4_path_is_worked_in_where_it_can_be_trusted() {
    let path = |asns: &[u16]| {
        let mut value = vec![0x40, 2, 2 + 2 * asns.len() as u8, 2, asns.len() as u8];
        value.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
        value
    };
    let as4 = |segments: &[(u8, &[u32])]| {
        let mut value = Vec::new();
        for (kind, asns) in segments {
            value.extend([*kind, asns.len() as u8]);
            value.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
        }
        [&[0xc0, 17, value.len() as u8], value.as_slice()].concat()
    };
    for (short, long, read, discarded) in [
        (path(&[65002, AS_TRANS, AS_TRANS]), as4(&[(2, &[70_000, 80_000])]), "65002 70000 80000", false),
        (path(&[AS_TRANS]), as4(&[(2, &[1, 70_000])]), "23456", false), // longer than AS_PATH
        (path(&[65002, AS_TRANS]), as4(&[(3, &[9]), (2, &[70_000])]), "65002 70000", false), // confederation left out
        (path(&[65002, AS_TRANS]), as4(&[(2, &[0])]), "65002 23456", true),
        (path(&[65002, AS_TRANS]), vec![0xc0, 17, 0], "65002 23456", true),
        (path(&[65002, AS_TRANS]), vec![0xc0, 17, 5, 2, 1, 0, 0, 1], "65002 23456", true),
    ] {
        let update_body = body(&[], &[ORIGIN, &short, NEXT_HOP, &long], NLRI);
        let update = Update::parse(&update_body, &session(false, false)).unwrap();
        assert_eq!((update.treat_as_withdraw, !update.discarded.is_empty()), (None, discarded), "{long:?}");
        let attributes = PathAttributes::decode(&update.attributes.unwrap()).unwrap();
        assert_eq!(attributes.as_path.to_string(), read, "{long:?}");
    }
}
