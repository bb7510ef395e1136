//! OPEN: what two codecs accept, they understand alike.

use std::cell::Cell;
use std::net::Ipv4Addr;

use bytes::Bytes;
use holdfast_bgp::wire::{Capability, Family, HEADER_LEN, MAX_MESSAGE_LEN, MessageType, OpenMessage, frame};
use netgauze_bgp_pkt::BgpMessage;
use netgauze_bgp_pkt::wire::deserializer::{BgpParsingContext, BgpParsingIgnoredErrors};
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// AS, hold time, BGP Identifier.
type Meaning = (u32, u16, Ipv4Addr);
/// Reads a whole message; `None`: it does not accept it.
type Codec = fn(&[u8]) -> Option<Meaning>;

/// Whoever says two AS numbers is understood by nobody: RFC 6793 has no word on it, and each takes the one it likes.
fn ours(wire: &[u8]) -> Option<Meaning> {
    let (length, MessageType::Open) = frame(wire).ok()?? else { return None };
    let open = OpenMessage::decode(wire.get(HEADER_LEN..length)?).ok()?;
    let numbers = open.capabilities.iter().filter(|c| matches!(c, Capability::FourOctetAs(_))).count();
    (numbers <= 1).then_some((open.autonomous_system, open.hold_time_s, open.router_id))
}

fn rustbgpd(wire: &[u8]) -> Option<Meaning> {
    let mut buffer = Bytes::copy_from_slice(wire);
    let message = rustbgpd_wire::decode_message(&mut buffer, rustbgpd_wire::MAX_MESSAGE_LEN).ok()?;
    let rustbgpd_wire::Message::Open(open) = message else { return None };
    Some((open.four_byte_as(), open.hold_time, open.bgp_identifier))
}

fn netgauze(wire: &[u8]) -> Option<Meaning> {
    let mut context = BgpParsingContext::default();
    let message = BgpMessage::parse(&mut SliceReader::new(wire), &mut context).ok()?;
    let BgpMessage::Open(open) = message else { return None };
    let whole = *context.parsing_errors() == BgpParsingIgnoredErrors::default();
    whole.then_some((open.my_asn4(), open.hold_time(), open.bgp_id()))
}

fn open() -> impl Strategy<Value = OpenMessage> {
    let capability = prop_oneof![
        Just(Capability::MultiProtocol(Family::Ipv4Unicast)),
        Just(Capability::MultiProtocol(Family::Ipv6Unicast)),
        Just(Capability::RouteRefresh),
        Just(Capability::EnhancedRouteRefresh),
        Just(Capability::ExtendedMessage),
        (any::<bool>(), 0..4096u16).prop_map(|(restarting, time_s)| Capability::GracefulRestart {
            restarting,
            notification: false,
            time_s,
            families: vec![(Family::Ipv4Unicast, true)],
        }),
        (240..250u8, vec(any::<u8>(), 0..9)).prop_map(|(code, data)| Capability::Unknown { code, data }),
    ];
    let hold_time = prop_oneof![Just(0u16), 3..=u16::MAX];
    // RFC 6286 §2.1: a BGP Identifier is any number but 0. Some still want a host's address, as RFC 4271 §4.2 had it.
    let identifier = 0x0100_0000..0x7f00_0000u32;
    (1..u32::MAX, hold_time, identifier, vec(capability, 0..6)).prop_map(|(asn, hold_time_s, id, mut capabilities)| {
        capabilities.push(Capability::FourOctetAs(asn));
        OpenMessage { autonomous_system: asn, hold_time_s, router_id: id.into(), capabilities }
    })
}

#[test]
fn what_two_codecs_accept_is_the_same_open() {
    let others: [(&str, Codec); 2] = [("rustbgpd-wire", rustbgpd), ("netgauze-bgp-pkt", netgauze)];
    for (name, codec) in others {
        let (seen, both) = (Cell::new(0u32), Cell::new(0u32));
        let damage = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&(open(), damage), |(open, damage)| {
            let mut wire = open.encode();
            let sound = damage.is_empty();
            for (index, octet) in damage {
                let at = HEADER_LEN + index.index(wire.len() - HEADER_LEN);
                wire[at] = octet;
            }
            assert!(wire.len() <= MAX_MESSAGE_LEN);
            seen.set(seen.get() + 1);
            match (ours(&wire), codec(&wire)) {
                (Some(ours), Some(theirs)) if ours == theirs => both.set(both.get() + 1),
                (Some(ours), Some(theirs)) => {
                    let what = format!("we read {ours:?}, {name} {theirs:?}\n{wire:02x?}");
                    return Err(TestCaseError::fail(what));
                }
                (ours, theirs) if sound => {
                    let what = format!("sound: we read {ours:?}, {name} {theirs:?}\n{wire:02x?}");
                    return Err(TestCaseError::fail(what));
                }
                _ => {}
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{error}"));
        println!("{name}: {} of {} accepted by both", both.get(), seen.get());
        assert!(both.get() > seen.get() / 4);
    }
}
