//! The codec: framing and whole messages.

use holdfast_bgp::wire::{
    Capability, Family, HEADER_LEN, MAX_MESSAGE_LEN, Negotiated, NextHop, NlriIter, NotificationMessage, OpenMessage,
    PathAttributes, RouteRefresh, Update, decode_route_refresh, encode_announce, encode_route_refresh, encode_withdraw,
    frame,
};
use ipnet::IpNet;
use std::net::Ipv4Addr;

/// A stream of messages.
pub fn check_frame(mut stream: &[u8]) {
    while let Ok(Some((length, kind))) = frame(stream) {
        assert!(length >= HEADER_LEN && length <= stream.len());
        assert_eq!(stream[18], kind as u8);
        stream = &stream[length..];
    }
}

/// The body of an OPEN.
pub fn check_open(body: &[u8]) {
    let Ok(open) = OpenMessage::decode(body) else { return };
    let wire = open.encode();
    assert_eq!(OpenMessage::decode(&wire[HEADER_LEN..]).as_ref(), Ok(&open));
    let negotiated = Negotiated::from_opens(&open, &open);
    assert!(negotiated.internal && negotiated.hold_time_s == open.hold_time_s);
    open.capabilities.iter().for_each(|capability| drop(capability.to_string()));
}

/// The capabilities of an OPEN, in one optional parameter.
pub fn check_capabilities(capabilities: &[u8]) {
    let Ok(length) = u8::try_from(capabilities.len()) else { return };
    let Some(parameters) = length.checked_add(2).filter(|length| *length != 255) else { return };
    let mut body = vec![4, 0xfd, 0xe9, 0, 90, 192, 0, 2, 1, parameters, 2, length];
    body.extend_from_slice(capabilities);
    check_open(&body);
}

/// The body of a ROUTE-REFRESH.
pub fn check_route_refresh(body: &[u8]) {
    let Ok(RouteRefresh::Request(family)) = decode_route_refresh(body) else { return };
    let mut wire = Vec::new();
    encode_route_refresh(&mut wire, family);
    // What may stand behind it (RFC 5291) is passed over.
    assert_eq!(wire[HEADER_LEN..], body[..4]);
}

/// The body of a NOTIFICATION.
pub fn check_notification(body: &[u8]) {
    let notification = NotificationMessage::decode(body);
    let _ = notification.to_string();
    if body.len() >= 2 && body.len() + HEADER_LEN <= MAX_MESSAGE_LEN {
        assert_eq!(&notification.encode()[HEADER_LEN..], body);
    }
}

/// One octet that chooses the session, then the body of an UPDATE.
pub fn check_update(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else { return };
    let session = session(*kind);
    let Ok(update) = Update::parse(body, &session) else { return };
    assert!(update.attributes.is_none() || update.treat_as_withdraw.is_none());
    for family in Family::ALL {
        let identified = session.receives_paths[family.index()];
        let named = |(identifier, net)| (identified.then_some(identifier), net);
        let announced: Vec<Route> = update.announced(family).identified().map(named).collect();
        let withdrawn: Vec<Route> = update.withdrawn(family).identified().map(named).collect();
        assert!(session.carries(family) || announced.is_empty() && withdrawn.is_empty());
        assert!(announced.iter().chain(&withdrawn).all(|(_, net)| Family::of(net) == family && *net == net.trunc()));
        write_and_read_withdrawn(family, &withdrawn, &session);
        if let (Some(block), Some(next_hop)) = (&update.attributes, update.next_hop(family)) {
            write_and_read_announced(family, block, next_hop, &announced, &session);
        }
    }
    if let Some(block) = &update.attributes {
        let read = PathAttributes::decode(block).expect("a canonical block can be read");
        assert_eq!(read.encode(), *block);
    }
}

/// A path's identifier, where the session has them, and its prefix.
type Route = (Option<u32>, IpNet);

/// Whether what is read is what was written.
fn reads_as(read: NlriIter<'_>, written: &[Route]) -> bool {
    read.identified().eq(written.iter().map(|(identifier, net)| (identifier.unwrap_or(0), *net)))
}

fn write_and_read_withdrawn(family: Family, prefixes: &[Route], session: &Negotiated) {
    let mut wire = Vec::new();
    let count = encode_withdraw(&mut wire, family, prefixes, session.format());
    if count > 0 {
        let again = Update::parse(&wire[HEADER_LEN..], session).expect("what we write can be read");
        assert!(reads_as(again.withdrawn(family), &prefixes[..count]));
    }
}

fn write_and_read_announced(family: Family, block: &[u8], next_hop: NextHop, prefixes: &[Route], session: &Negotiated) {
    let mut wire = Vec::new();
    let Ok(count) = encode_announce(&mut wire, family, block, next_hop, prefixes, session.format()) else {
        return;
    };
    if count > 0 {
        assert!(wire.len() <= session.format().message_max_len);
        let again = Update::parse(&wire[HEADER_LEN..], session).expect("what we write can be read");
        assert_eq!(again.treat_as_withdraw, None);
        assert!(reads_as(again.announced(family), &prefixes[..count]));
        assert_eq!(again.next_hop(family), Some(next_hop));
        if session.four_octet_as {
            assert_eq!(again.attributes.as_deref(), Some(block));
        }
    }
}

/// The session that an input's first octet chooses, bit by bit from the lowest: external; with AS numbers of two octets; without
/// IPv4; without IPv6; without IPv6 next hops of IPv4 routes; with path identifiers in IPv4; and in IPv6.
pub(crate) fn session(kind: u8) -> Negotiated {
    let open = |asn| OpenMessage {
        autonomous_system: asn,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        capabilities: Family::ALL.map(Capability::MultiProtocol).to_vec(),
    };
    let peer_as = if kind & 1 == 0 { 65001 } else { 65002 };
    let negotiated = Negotiated::from_opens(&open(65001), &open(peer_as));
    Negotiated {
        four_octet_as: kind & 2 == 0,
        families: [kind & 4 == 0, kind & 8 == 0],
        extended_next_hop: kind & 16 == 0,
        receives_paths: [kind & 32 != 0, kind & 64 != 0],
        ..negotiated
    }
}
