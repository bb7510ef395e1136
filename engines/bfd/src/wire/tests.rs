use super::*;
use crate::Discard;
use proptest::prelude::*;

/// A packet as FRR's bfdd sends one: Up, C bit, 3 x 300 ms.
const UP: [u8; 24] = [
    0x20, 0xc8, 3, 24, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0, 4, 0x93, 0xe0, 0, 4, 0x93, 0xe0, 0, 0, 0xc3,
    0x50,
];

fn packet() -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: State::Up,
        poll: false,
        is_final: false,
        control_plane_independent: true,
        demand: false,
        detect_multiplier: 3,
        my_discriminator: 0x1122_3344,
        your_discriminator: 0x5566_7788,
        desired_min_tx_us: 300_000,
        required_min_rx_us: 300_000,
        required_min_echo_rx_us: 50_000,
        authentication: None,
    }
}

fn authentication(meticulous: bool) -> Authentication {
    Authentication { meticulous, key_id: 7, key: Key::new(b"secret").unwrap() }
}

fn changed(at: usize, octet: u8) -> Result<ControlPacket, Discard> {
    let mut octets = UP;
    octets[at] = octet;
    ControlPacket::decode(&octets)
}

#[test]
fn octets_are_those_of_the_rfc() {
    assert_eq!(ControlPacket::decode(&UP), Ok(packet()));
    assert_eq!(packet().encode(None).octets(), UP);
}

#[test]
fn what_may_not_be_believed_is_named() {
    assert_eq!(ControlPacket::decode(&UP[..23]), Err(Discard::TooShort));
    assert_eq!(changed(0, 0x00), Err(Discard::Version));
    assert_eq!(changed(0, 0x40), Err(Discard::Version));
    assert_eq!(changed(3, 23), Err(Discard::Length));
    assert_eq!(changed(3, 25), Err(Discard::Length));
    assert_eq!(changed(1, 0xcc), Err(Discard::Length), "the A bit with nothing behind");
    assert_eq!(changed(2, 0), Err(Discard::ZeroMultiplier));
    assert_eq!(changed(1, 0xc9), Err(Discard::Multipoint));
    let mut octets = UP;
    octets[4..8].fill(0);
    assert_eq!(ControlPacket::decode(&octets), Err(Discard::ZeroMyDiscriminator));
    let mut octets = UP;
    octets[8..12].fill(0);
    assert_eq!(ControlPacket::decode(&octets), Err(Discard::NoYourDiscriminator));
    octets[1] = 0x40; // Down may not know ours yet
    assert!(ControlPacket::decode(&octets).is_ok());
}

#[test]
fn what_lies_behind_the_length_is_not_looked_at() {
    let padded = [&UP[..], &[0xff; 40]].concat();
    assert_eq!(ControlPacket::decode(&padded), Ok(packet()));
}

#[test]
fn a_signature_holds_for_its_key_its_type_and_every_octet() {
    for meticulous in [false, true] {
        let ours = authentication(meticulous);
        let datagram = packet().encode(Some((&ours, 0xfffe_0001)));
        let octets = datagram.octets();
        assert_eq!((octets.len(), octets[3]), (52, 52));
        let Some(AuthSection::Sha1(section)) = ControlPacket::decode(octets).unwrap().authentication else { panic!() };
        assert_eq!((section.sequence, section.key_id, section.meticulous), (0xfffe_0001, 7, meticulous));
        assert_eq!(section.verify(octets, &ours), Ok(()));
        let other = Authentication { key: Key::new(b"secreT").unwrap(), ..ours };
        assert_eq!(section.verify(octets, &other), Err(Discard::AuthenticationDigest));
        assert_eq!(section.verify(octets, &authentication(!meticulous)), Err(Discard::AuthenticationType));
        assert_eq!(section.verify(octets, &Authentication { key_id: 8, ..ours }), Err(Discard::AuthenticationKeyId));
        for at in 0..octets.len() {
            let mut tampered = octets.to_vec();
            tampered[at] ^= 0x10;
            let believed = ControlPacket::decode(&tampered).is_ok_and(|packet| match packet.authentication {
                Some(AuthSection::Sha1(section)) => section.verify(&tampered, &ours).is_ok(),
                _ => false,
            });
            assert!(!believed, "octet {at}");
        }
    }
}

/// Computed with another implementation of SHA1, over the packet with the key, padded with zeroes, in the digest's place.
#[test]
fn the_digest_is_sha1_over_the_packet_with_the_key_in_its_place() {
    let datagram = packet().encode(Some((&authentication(true), 1)));
    let digest: String = datagram.octets()[32..].iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(digest, DIGEST_BY_ANOTHER);
}
const DIGEST_BY_ANOTHER: &str = "d0de01859fc3cb09339d6b515e9f236b28260c4d";

#[test]
fn other_types_are_told_apart_and_short_sections_refused() {
    let section = |tail: &[u8]| {
        let mut octets = [&UP[..], tail].concat();
        octets[1] |= 0x04;
        octets[3] = octets.len() as u8;
        ControlPacket::decode(&octets).map(|packet| packet.authentication)
    };
    assert_eq!(section(&[1, 6, 1, b'a', b'b', b'c']), Ok(Some(AuthSection::Other { type_code: 1 })));
    assert_eq!(section(&[1, 7, 1, b'a', b'b', b'c']), Err(Discard::Length));
    assert_eq!(section(&[4, 4, 1, 0]), Err(Discard::Length));
    assert_eq!(section(&[4, 2]), Err(Discard::Length));
}

#[test]
fn keys_have_one_to_twenty_octets_and_are_not_shown() {
    assert!(Key::new(b"").is_err() && Key::new(&[7; 21]).is_err() && Key::new(&[7; 20]).is_ok());
    assert_eq!(format!("{:?}", authentication(true).key), "Key(..)");
}

proptest! {
    /// Whatever is accepted is written as it came, where it came without authentication and without reserved bits.
    #[test]
    fn any_octets(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(packet) = ControlPacket::decode(&octets) && packet.authentication.is_none() {
            let again = packet.encode(None);
            prop_assert_eq!(&again.octets()[..3], &octets[..3]);
            prop_assert_eq!(&again.octets()[4..24], &octets[4..24]);
        }
    }

    /// Whatever is written is read as it was.
    #[test]
    fn any_packet(words in any::<[u32; 5]>(), flags in any::<[bool; 4]>(), state in 0..4u8, diagnostic in 0..32u8,
                  multiplier in 1..=255u8, signed in any::<bool>(), sequence in any::<u32>()) {
        let packet = ControlPacket {
            diagnostic: Diagnostic::from_bits(diagnostic),
            state: State::from_bits(state),
            poll: flags[0],
            is_final: flags[1],
            control_plane_independent: flags[2],
            demand: flags[3],
            detect_multiplier: multiplier,
            my_discriminator: words[0].max(1),
            your_discriminator: words[1].max(1),
            desired_min_tx_us: words[2],
            required_min_rx_us: words[3],
            required_min_echo_rx_us: words[4],
            authentication: None,
        };
        let key = authentication(true);
        let datagram = packet.encode(signed.then_some((&key, sequence)));
        let mut read = ControlPacket::decode(datagram.octets()).unwrap();
        prop_assert_eq!(read.authentication.take().is_some(), signed);
        prop_assert_eq!(read, packet);
    }
}
