//! How long one UPDATE takes to parse, encode and decode: `cargo run --release -p holdfast-bgp --example parse_rate`.

use holdfast_bgp::wire::{
    AsPath, Capability, Family, Format, HEADER_LEN, Negotiated, NextHop, OpenMessage, PathAttributes, Update,
    encode_announce,
};
use ipnet::IpNet;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

const ROUNDS: u32 = 2_000_000;

fn main() {
    let open = |asn| OpenMessage {
        autonomous_system: asn,
        hold_time_s: 90,
        router_id: Ipv4Addr::new(192, 0, 2, 1),
        capabilities: vec![Capability::MultiProtocol(Family::Ipv4Unicast), Capability::FourOctetAs(asn)],
    };
    let session = Negotiated::from_opens(&open(65001), &open(65002));
    let attributes = PathAttributes {
        as_path: AsPath::sequence(&[65002, 3356, 1299, 64512]),
        med: Some(10),
        communities: vec![1, 2, 3, 4, 5, 6],
        ..PathAttributes::default()
    };
    let prefixes: Vec<IpNet> = (0..5).map(|i| format!("10.{i}.0.0/24").parse().expect("a prefix")).collect();
    let (block, next_hop) = (attributes.encode(), NextHop::V4(Ipv4Addr::new(192, 0, 2, 2)));
    let mut wire = Vec::new();
    let encode = |wire: &mut Vec<u8>| {
        wire.clear();
        encode_announce(wire, Family::Ipv4Unicast, &block, next_hop, &prefixes, Format::plain(true))
    };
    encode(&mut wire).expect("it fits");
    println!("UPDATE of {} octets, {} prefixes", wire.len(), prefixes.len());
    let body = wire[HEADER_LEN..].to_vec();
    measure("parse, all prefixes read", || {
        let update = Update::parse(black_box(&body), &session).expect("well-formed");
        let bits: u32 = update.announced(Family::Ipv4Unicast).map(|net| u32::from(net.prefix_len())).sum();
        black_box((update.attributes, bits));
    });
    measure("decode path attributes", || {
        black_box(PathAttributes::decode(black_box(&block)).expect("canonical"));
    });
    measure("encode", || {
        black_box(encode(&mut wire).is_ok());
    });
}

fn measure(what: &str, mut run: impl FnMut()) {
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| run());
    println!("{what}: {} ns", (start.elapsed() / ROUNDS).as_nanos());
}
