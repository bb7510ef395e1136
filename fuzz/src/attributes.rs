//! Path attributes one by one, each inside an UPDATE that is right otherwise: so that what is judged is this attribute.

use crate::wire::session;
use holdfast_bgp::wire::{Family, Negotiated, NotificationMessage, PathAttributes, Update, as_path_count, code};

const OPTIONAL: u8 = 0x80;
const EXTENDED_LENGTH: u8 = 0x10;

/// Attributes that an announcement cannot do without, and their flags.
const MANDATORY: [(u8, &[u8]); 3] =
    [(code::ORIGIN, &[0]), (code::NEXT_HOP, &[192, 0, 2, 2]), (code::LOCAL_PREF, &[0, 0, 0, 100])];
/// The announced prefix: 10.0.0.0/8.
const NLRI: [u8; 2] = [8, 10];

/// Types whose meaning is known.
const KNOWN: [u8; 17] = [
    code::ORIGIN,
    code::AS_PATH,
    code::NEXT_HOP,
    code::MULTI_EXIT_DISC,
    code::LOCAL_PREF,
    code::ATOMIC_AGGREGATE,
    code::AGGREGATOR,
    code::COMMUNITIES,
    code::ORIGINATOR_ID,
    code::CLUSTER_LIST,
    code::MP_REACH_NLRI,
    code::MP_UNREACH_NLRI,
    code::EXTENDED_COMMUNITIES,
    code::AS4_PATH,
    code::AS4_AGGREGATOR,
    code::LARGE_COMMUNITIES,
    code::ONLY_TO_CUSTOMER,
];

fn put(field: &mut Vec<u8>, flags: u8, code: u8, value: &[u8]) {
    let [high, low] = (value.len() as u16).to_be_bytes();
    field.extend_from_slice(&[flags | EXTENDED_LENGTH, code, high, low]);
    field.extend_from_slice(value);
}

/// An UPDATE's body with these attributes, and those it cannot do without.
fn body(session: &Negotiated, attributes: &[(u8, u8, &[u8])], nlri: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    let path: &[u8] = if session.four_octet_as { &[2, 1, 0, 0, 0xfd, 0xea] } else { &[2, 1, 0xfd, 0xea] };
    for (code, value) in MANDATORY.into_iter().chain([(code::AS_PATH, path)]) {
        let needed = code != code::LOCAL_PREF || session.internal;
        if needed && attributes.iter().all(|(_, other, _)| *other != code) {
            put(&mut field, 0x40, code, value);
        }
    }
    for (flags, code, value) in attributes {
        put(&mut field, *flags, *code, value);
    }
    let mut body = vec![0, 0];
    body.extend_from_slice(&(field.len() as u16).to_be_bytes());
    body.extend_from_slice(&field);
    body.extend_from_slice(nlri);
    body
}

/// Which session, flags, type, value.
pub fn check_attribute(input: &[u8]) {
    let [kind, flags, code, value @ ..] = input else { return };
    if value.len() > 4000 {
        return;
    }
    let session = Negotiated { families: [true; 2], receives_paths: [false; 2], ..session(*kind) };
    let body = body(&session, &[(*flags, *code, value)], &NLRI);
    let update = match Update::parse(&body, &session) {
        Ok(update) => update,
        Err(notification) => return only_what_hides_prefixes_resets(*flags, *code, &notification),
    };
    assert!(update.announced(Family::Ipv4Unicast).any(|net| net.to_string() == "10.0.0.0/8"));
    assert!(update.discarded.len() <= 1 && update.attributes.is_some() == update.treat_as_withdraw.is_none());
    let Some(block) = &update.attributes else { return };
    let read = PathAttributes::decode(block).expect("a canonical block can be read");
    assert_eq!(read.encode(), *block);
    if update.discarded.is_empty() {
        is_there_as_it_came(&read, &session, *code, value);
    }
}

/// RFC 7606: a session is reset only where prefixes cannot be found, and (RFC 4271 §6.3) for a well-known attribute that is not known.
fn only_what_hides_prefixes_resets(flags: u8, code: u8, notification: &NotificationMessage) {
    let hides = matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI);
    let unknown = flags & OPTIONAL == 0 && !KNOWN.contains(&code);
    assert!(hides || unknown, "attribute {code} with flags {flags:#x}: {notification}");
}

/// What was accepted has the value that came.
fn is_there_as_it_came(read: &PathAttributes, session: &Negotiated, code: u8, value: &[u8]) {
    let word = |at: usize| u32::from_be_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]);
    match code {
        code::ORIGIN => assert_eq!(value, [read.origin as u8]),
        code::MULTI_EXIT_DISC => assert_eq!(read.med, Some(word(0))),
        code::LOCAL_PREF => assert_eq!(read.local_pref, Some(word(0))),
        code::ATOMIC_AGGREGATE => assert!(read.atomic_aggregate && value.is_empty()),
        code::AGGREGATOR if session.four_octet_as => assert_eq!(read.aggregator.map(|(asn, _)| asn), Some(word(0))),
        code::ORIGINATOR_ID => assert_eq!(read.originator_id.map(u32::from), Some(word(0))),
        code::ONLY_TO_CUSTOMER => assert_eq!(read.only_to_customer, Some(word(0))),
        code::CLUSTER_LIST => assert_eq!(read.cluster_list.len() * 4, value.len()),
        _ => {}
    }
}

/// Which session, how many octets are AS_PATH, then that and AS4_PATH.
pub fn check_as_path(input: &[u8]) {
    let [kind, length, values @ ..] = input else { return };
    let (path, as4_path) = values.split_at(usize::from(*length).min(values.len()));
    let session = session(*kind & 3);
    let mut attributes: Vec<(u8, u8, &[u8])> = vec![(0x40, code::AS_PATH, path)];
    if !as4_path.is_empty() {
        attributes.push((0xc0, code::AS4_PATH, as4_path));
    }
    let body = body(&session, &attributes, &NLRI);
    let update = Update::parse(&body, &session).expect("neither hides prefixes");
    let Some(block) = &update.attributes else { return };
    let read = PathAttributes::decode(block).expect("a canonical block can be read");
    assert_eq!(read.encode(), *block);
    let path = &read.as_path;
    assert!(path.path_length() <= path.asns().count());
    let occurs = |asn| path.asns().filter(|other| *other == asn).count();
    assert!(path.asns().all(|asn| path.contains(asn) && as_path_count(block, &[asn]) == occurs(asn)));
    assert_eq!(path.to_string().is_empty(), path.segments.is_empty());
}

/// Which kind, then the list.
pub fn check_communities(input: &[u8]) {
    let Some((kind, value)) = input.split_first() else { return };
    let (code, octets) = match kind % 3 {
        0 => (code::COMMUNITIES, 4),
        1 => (code::EXTENDED_COMMUNITIES, 8),
        _ => (code::LARGE_COMMUNITIES, 12),
    };
    if value.len() > 4000 {
        return;
    }
    let session = session(kind >> 4 & 3);
    let body = body(&session, &[(0xc0, code, value)], &NLRI);
    let update = Update::parse(&body, &session).expect("no list hides prefixes");
    let fits = !value.is_empty() && value.len().is_multiple_of(octets);
    assert_eq!(update.attributes.is_some(), fits, "{:?}", update.treat_as_withdraw);
    let Some(block) = &update.attributes else { return };
    let read = PathAttributes::decode(block).expect("a canonical block can be read");
    let large = read.large_communities.as_flattened().iter();
    let octets: Vec<u8> = match kind % 3 {
        0 => read.communities.iter().flat_map(|word| word.to_be_bytes()).collect(),
        1 => read.extended_communities.as_flattened().to_vec(),
        _ => large.flat_map(|word| word.to_be_bytes()).collect(),
    };
    assert_eq!(octets, value);
}

/// Which session, how many octets are MP_REACH_NLRI, then that and MP_UNREACH_NLRI.
pub fn check_multiprotocol(input: &[u8]) {
    let [kind, length, values @ ..] = input else { return };
    let (reach, unreach) = values.split_at(usize::from(*length).min(values.len()));
    let session = session(*kind);
    let mut attributes: Vec<(u8, u8, &[u8])> = Vec::new();
    if !reach.is_empty() {
        attributes.push((0x80, code::MP_REACH_NLRI, reach));
    }
    if !unreach.is_empty() {
        attributes.push((0x80, code::MP_UNREACH_NLRI, unreach));
    }
    let body = body(&session, &attributes, &[]);
    let Ok(update) = Update::parse(&body, &session) else { return };
    for family in Family::ALL {
        let announced = update.announced(family).count();
        assert!(announced == 0 || update.next_hop(family).is_some());
        assert!(announced == 0 || reach.starts_with(&family.afi().to_be_bytes()));
        let mut both = update.announced(family).chain(update.withdrawn(family));
        assert!(both.all(|net| session.carries(family) && Family::of(&net) == family && net == net.trunc()));
    }
    let mut input = vec![*kind];
    input.extend_from_slice(&body);
    crate::wire::check_update(&input);
}
