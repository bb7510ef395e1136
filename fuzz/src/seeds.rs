//! Good messages of every kind, small, for a fuzzer to begin with.

use crate::{check_expression, check_frame, check_notification, check_open, check_update};
use holdfast_bgp::wire::{
    AsPath, Capability, Cease, Family, HEADER_LEN, NextHop, NotificationMessage, OpenMessage, PathAttributes,
    RawAttribute, encode_announce, encode_end_of_rib, encode_keepalive, encode_route_refresh, encode_withdraw,
};
use ipnet::IpNet;
use std::net::Ipv4Addr;

/// A parser under test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Message headers.
    Frame,
    /// OPEN.
    Open,
    /// UPDATE.
    Update,
    /// NOTIFICATION.
    Notification,
    /// Expressions of routing policy.
    Expression,
}

impl Target {
    /// The name of the target and of its corpus.
    pub fn name(self) -> &'static str {
        match self {
            Target::Frame => "frame",
            Target::Open => "open",
            Target::Update => "update",
            Target::Notification => "notification",
            Target::Expression => "expression",
        }
    }

    /// What it does with its input.
    pub fn check(self) -> fn(&[u8]) {
        match self {
            Target::Frame => check_frame,
            Target::Open => check_open,
            Target::Update => check_update,
            Target::Notification => check_notification,
            Target::Expression => check_expression,
        }
    }
}

/// All seeds: for which parser, under which name, which bytes.
pub fn seeds() -> Vec<(Target, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let expressions = ["1 (2|3)+ .*", "[^1 5-9]{2,3} 4?", "()", "65000:1[0-9]*", "large:*:1:(2|3)", "target:65000:*"];
    for text in expressions {
        seeds.push((Target::Expression, text.replace(|letter: char| !letter.is_alphanumeric(), "-"), [&[2, 1, 3], text.as_bytes()].concat()));
    }
    for (name, open) in [("bare", bare_open()), ("full", full_open())] {
        let wire = open.encode();
        seeds.push((Target::Open, name.to_owned(), wire[HEADER_LEN..].to_vec()));
        seeds.push((Target::Frame, format!("open-{name}"), wire));
    }
    let notifications = [
        ("hold-timer", NotificationMessage::hold_timer_expired()),
        ("length", NotificationMessage::bad_message_length(4097)),
        ("shutdown", NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "back at six")),
    ];
    for (name, notification) in notifications {
        let wire = notification.encode();
        seeds.push((Target::Notification, name.to_owned(), wire[HEADER_LEN..].to_vec()));
        seeds.push((Target::Frame, format!("notification-{name}"), wire));
    }
    for (name, kind, wire) in updates() {
        let mut input = vec![kind];
        input.extend_from_slice(&wire[HEADER_LEN..]);
        seeds.push((Target::Update, name.to_owned(), input));
        seeds.push((Target::Frame, format!("update-{name}"), wire));
    }
    let mut stream = Vec::new();
    encode_keepalive(&mut stream);
    encode_route_refresh(&mut stream, Family::Ipv6Unicast);
    encode_end_of_rib(&mut stream, Family::Ipv4Unicast);
    seeds.push((Target::Frame, "stream".to_owned(), stream));
    seeds
}

fn bare_open() -> OpenMessage {
    let router_id = Ipv4Addr::new(192, 0, 2, 1);
    OpenMessage { autonomous_system: 65001, hold_time_s: 90, router_id, capabilities: Vec::new() }
}

fn full_open() -> OpenMessage {
    let capabilities = vec![
        Capability::MultiProtocol(Family::Ipv4Unicast),
        Capability::MultiProtocol(Family::Ipv6Unicast),
        Capability::RouteRefresh,
        Capability::FourOctetAs(4_200_000_001),
        Capability::GracefulRestart {
            restarting: true,
            notification: true,
            time_s: 120,
            families: vec![(Family::Ipv4Unicast, true)],
        },
        Capability::AddPath(vec![(1, 1, 3)]),
        Capability::Unknown { code: 73, data: b"router".to_vec() },
    ];
    OpenMessage { autonomous_system: 4_200_000_001, capabilities, ..bare_open() }
}

/// Name, kind of session (see `check_update`), message.
fn updates() -> Vec<(&'static str, u8, Vec<u8>)> {
    let attributes = PathAttributes {
        as_path: AsPath::sequence(&[65002, 4_200_000_001]),
        med: Some(5),
        local_pref: Some(100),
        aggregator: Some((4_200_000_001, Ipv4Addr::new(1, 2, 3, 4))),
        communities: vec![0x0001_0002],
        large_communities: vec![[1, 2, 3]],
        extended_communities: vec![[0, 2, 0, 1, 0, 0, 0, 1]],
        cluster_list: vec![Ipv4Addr::new(9, 9, 9, 9)],
        unknown: vec![RawAttribute { flags: 0xe0, code: 99, data: vec![1, 2] }],
        ..PathAttributes::default()
    };
    let v4 = ["10.0.0.0/8", "192.0.2.128/25", "0.0.0.0/0"].map(net);
    let v6 = ["2001:db8::/32", "::/0"].map(net);
    let next_hop4 = NextHop::V4(Ipv4Addr::new(192, 0, 2, 2));
    let next_hop6 = NextHop::V6 {
        global: "2001:db8::1".parse().expect("an address"),
        link_local: Some("fe80::1".parse().expect("an address")),
    };
    let announce = |family, next_hop, prefixes: &[IpNet], four_octet_as| {
        let mut wire = Vec::new();
        encode_announce(&mut wire, family, &attributes.encode(), next_hop, prefixes, four_octet_as).expect("fits");
        wire
    };
    let withdraw = |family, prefixes: &[IpNet]| {
        let mut wire = Vec::new();
        encode_withdraw(&mut wire, family, prefixes);
        wire
    };
    let mut end_of_rib = Vec::new();
    encode_end_of_rib(&mut end_of_rib, Family::Ipv6Unicast);
    vec![
        ("ipv4", 0, announce(Family::Ipv4Unicast, next_hop4, &v4, true)),
        ("ipv4-external", 1, announce(Family::Ipv4Unicast, next_hop4, &v4, true)),
        ("ipv4-old-speaker", 3, announce(Family::Ipv4Unicast, next_hop4, &v4, false)),
        ("ipv4-by-ipv6", 1, announce(Family::Ipv4Unicast, next_hop6, &v4, true)),
        ("ipv6", 0, announce(Family::Ipv6Unicast, next_hop6, &v6, true)),
        ("withdraw-ipv4", 0, withdraw(Family::Ipv4Unicast, &v4)),
        ("withdraw-ipv6", 0, withdraw(Family::Ipv6Unicast, &v6)),
        ("end-of-rib", 0, end_of_rib),
    ]
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}
