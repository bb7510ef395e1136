//! Good inputs of every kind, small, for a fuzzer to begin with.

use crate::Target;
use crate::policy::policies_of;
use holdfast_bgp::wire::{
    AsPath, Capability, Cease, Family, Format, HEADER_LEN, NextHop, NotificationMessage, OpenMessage, PathAttributes,
    RawAttribute, code, encode_announce, encode_end_of_rib, encode_keepalive, encode_route_refresh, encode_withdraw,
};
use holdfast_kernel::netlink::wire::Encoder;
use holdfast_lab::scenario::Scenario;
use holdfast_proto::v1::vault_request::Operation;
use holdfast_proto::v1::{VaultDeposit, VaultList, VaultRequest, VaultWithdraw};
use holdfast_replication::Outbound;
use ipnet::IpNet;
use prost::Message;
use std::net::Ipv4Addr;

/// One input to begin with.
#[derive(Clone, Debug)]
pub struct Seed {
    /// For which target.
    pub target: Target,
    /// Its file's name.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// All seeds.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.push(Seed { target, name: name.to_owned(), bytes });
    for (name, open) in [("bare", bare_open()), ("full", full_open())] {
        let wire = open.encode();
        add(Target::Open, name, wire[HEADER_LEN..].to_vec());
        add(Target::Frame, &format!("open-{name}"), wire);
    }
    // Behind the fixed part, the parameters' length and the parameter's own type and length.
    add(Target::Capabilities, "full", full_open().encode()[HEADER_LEN + 12..].to_vec());
    // RFC 7911 §4: both directions, one, none that is known, a family twice, and one of another size.
    add(Target::Capabilities, "add-path", vec![69, 16, 0, 1, 1, 3, 0, 2, 1, 1, 0, 1, 1, 2, 0, 1, 4, 4, 69, 3, 0, 1, 1]);
    let notifications = [
        ("hold-timer", NotificationMessage::hold_timer_expired()),
        ("length", NotificationMessage::bad_message_length(4097)),
        ("shutdown", NotificationMessage::cease_with_text(Cease::AdministrativeShutdown, "back at six")),
    ];
    for (name, notification) in notifications {
        let wire = notification.encode();
        add(Target::Notification, name, wire[HEADER_LEN..].to_vec());
        add(Target::Frame, &format!("notification-{name}"), wire);
    }
    for (name, kind, wire) in updates() {
        let mut input = vec![kind];
        input.extend_from_slice(&wire[HEADER_LEN..]);
        add(Target::Update, name, input);
        add(Target::Frame, &format!("update-{name}"), wire.clone());
        // An internal neighbour, or external ones; where paths have identifiers, several are told on.
        let options = if kind & PATHS != 0 { OPTION_PATHS } else { 0 } | u8::from(kind & 1 == 0);
        add(Target::Speaker, name, [&[options], wire.as_slice()].concat());
    }
    let mut stream = Vec::new();
    encode_keepalive(&mut stream);
    encode_route_refresh(&mut stream, Family::Ipv6Unicast);
    encode_end_of_rib(&mut stream, Family::Ipv4Unicast);
    add(Target::RouteRefresh, "ipv6", stream[2 * HEADER_LEN..2 * HEADER_LEN + 4].to_vec());
    add(Target::Frame, "stream", stream);
    for (name, input) in attributes() {
        add(Target::Attribute, name, input);
    }
    for (target, name, input) in parts() {
        add(target, name, input);
    }
    add(Target::Session, "handshake", handshake());
    // Two connections, OPEN on the one that waits; something is sent all the same, and time passes.
    add(Target::Session, "sent-while-waiting", vec![0, 3, 5, 9, 12, 8, 8]);
    for (name, kind, wire) in updates() {
        if !matches!(name, "ipv4-external" | "withdraw-ipv4" | "ipv4-paths") {
            continue;
        }
        let options = if kind & PATHS != 0 { OPTION_PATHS } else { 0 };
        let mut stream = Outbound::default();
        crate::engine::facts_of_a_life(options, &wire).into_iter().for_each(|fact| stream.push_fact(fact));
        add(Target::Facts, name, [&[options], stream.pending()].concat());
    }
    add(Target::Configuration, "small", CONFIGURATION.into());
    add(Target::Configuration, "bgp", BGP.into());
    add(Target::Configuration, "policies", policies_of(&DECISIONS).into());
    add(Target::Policy, "many", DECISIONS.to_vec());
    add(Target::Policy, "plain", [0, 0, 0, 0, 0, 0, 1, 1, 3, 100].repeat(8));
    add(Target::Editing, "lines", EDITING.into());
    for (name, input) in machine() {
        let target = if name.starts_with("vault") { Target::Vault } else { Target::Netlink };
        add(target, name, input);
    }
    for scenario in ["issr-rollback", "crash-gr"] {
        let scenario = Scenario::load(scenario).expect("it is built in");
        add(Target::Scenario, &scenario.name, serde_json::to_vec(&scenario).expect("it can be written"));
    }
    let expressions = ["1 (2|3)+ .*", "[^1 5-9]{2,3} 4?", "()", "65000:1[0-9]*", "large:*:1:(2|3)", "target:65000:*"];
    for text in expressions {
        let name = text.replace(|letter: char| !letter.is_alphanumeric(), "-");
        add(Target::Expression, &name, [&[2, 1, 3], text.as_bytes()].concat());
    }
    for (name, packet) in crate::bfd::packets() {
        add(Target::BfdPacket, name, packet);
    }
    add(Target::BfdSessions, "life", crate::bfd::life());
    seeds
}

/// The bits of a kind of session that say that paths have identifiers (see `wire::session`).
const PATHS: u8 = 32 | 64;
/// Several paths both ways (see `engine::neighbor`).
const OPTION_PATHS: u8 = 2;

/// Decisions that lead to policies with something of everything.
const DECISIONS: [u8; 256] = {
    let mut octets = [0; 256];
    let mut at = 0;
    while at < octets.len() {
        octets[at] = (at * 73 % 251) as u8;
        at += 1;
    }
    octets
};

/// Statements of BGP, many of them.
const BGP: &str = "\
routing-options { router-id 10.0.0.1; autonomous-system 65001; maximum-paths 4; graceful-restart { restart-duration 60; } }
protocols {
    bgp {
        path-selection { always-compare-med; }
        group RS { type external; peer-as 65002; multihop { ttl 3; } route-server-client; allow 10.7.0.0/24; out-delay 2; }
        group RR {
            type internal; cluster 1.1.1.1; multipath;
            family inet { unicast { add-path { receive; send { path-count 4; } } prefix-limit { maximum 100; teardown 80; } } }
            family inet6 unicast;
            neighbor 10.0.0.3 { passive; authentication-key k; }
            neighbor 2001:db8::3;
        }
        group UP { type external; peer-as 65003; remove-private; neighbor 10.0.0.4 { ttl-security; as-override; } }
    }
}
";

/// Lines of configure mode.
const EDITING: &str = "\
set system host-name r1
edit protocols bgp group G
set type external
set neighbor 10.0.0.2 peer-as 65002
set import [ A B ]
deactivate neighbor 10.0.0.2
show
delete import A
up
json
set policy-options policy-statement A then accept
activate bgp group G neighbor 10.0.0.2
delete
";

const CONFIGURATION: &str = "\
system { host-name r1; }
routing-options { router-id 10.0.0.1; autonomous-system 65001; static { route 10.9.0.0/16 discard; } }
policy-options {
    community BLUE members [ 65000:100 large:65000:1:2 ];
    policy-statement OUT { term a { from { protocol static; route-filter 10.0.0.0/8 upto /24; } then { community add BLUE; accept; } } }
}
protocols { bgp { group EXT { type external; peer-as 65002; export OUT; neighbor 10.0.0.2 { hold-time 9; family inet unicast; } } } }
interfaces { eth0 { unit 0 { family inet { address 10.0.0.1/24; } } } }
";

/// Which session, flags, type, value: one of each type (see `check_attribute`).
fn attributes() -> Vec<(&'static str, Vec<u8>)> {
    let input = |name, kind: u8, flags: u8, code: u8, value: &[u8]| (name, [&[kind, flags, code][..], value].concat());
    vec![
        input("origin", 1, 0x40, code::ORIGIN, &[2]),
        input("as-path", 1, 0x40, code::AS_PATH, &[2, 1, 0, 0, 0xfd, 0xea]),
        input("next-hop", 1, 0x40, code::NEXT_HOP, &[192, 0, 2, 9]),
        input("med", 1, 0x80, code::MULTI_EXIT_DISC, &[0, 0, 0, 5]),
        input("local-pref", 0, 0x40, code::LOCAL_PREF, &[0, 0, 0, 200]),
        input("atomic-aggregate", 1, 0x40, code::ATOMIC_AGGREGATE, &[]),
        input("aggregator", 1, 0xc0, code::AGGREGATOR, &[0, 0, 0xfd, 0xea, 192, 0, 2, 1]),
        input("communities", 1, 0xe0, code::COMMUNITIES, &[0xff, 0xff, 0xff, 1, 0, 1, 0, 2]),
        input("originator-id", 0, 0x80, code::ORIGINATOR_ID, &[192, 0, 2, 7]),
        input("cluster-list", 0, 0x80, code::CLUSTER_LIST, &[192, 0, 2, 7, 192, 0, 2, 8]),
        input("extended", 1, 0xc0, code::EXTENDED_COMMUNITIES, &[0, 2, 0, 1, 0, 0, 0, 1]),
        input("as4-path", 3, 0xc0, code::AS4_PATH, &[2, 1, 0, 1, 0, 0]),
        input("as4-aggregator", 3, 0xc0, code::AS4_AGGREGATOR, &[0, 1, 0, 0, 192, 0, 2, 1]),
        input("large", 1, 0xc0, code::LARGE_COMMUNITIES, &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        input("mp-unreach", 1, 0x80, code::MP_UNREACH_NLRI, &[0, 2, 1, 32, 0x20, 1, 0xd, 0xb8]),
        input("only-to-customer", 1, 0xc0, code::ONLY_TO_CUSTOMER, &[0, 0, 0xfd, 0xea]),
        input("unknown", 1, 0xe0, 99, &[1, 2, 3]),
    ]
}

/// Datagrams and packets as they are.
fn machine() -> Vec<(&'static str, Vec<u8>)> {
    let datagram = |kind: u16, fixed: &[u8], attributes: &[(u16, &[u8])]| {
        let mut octets = Vec::new();
        let mut message = Encoder::begin(&mut octets, kind, 0);
        message.fixed(fixed);
        for (kind, value) in attributes {
            message.attribute(*kind, value);
        }
        message.end();
        octets
    };
    let packet = |operation: Operation| {
        let packet = VaultRequest { epoch: 3, client: "re0/rpd".into(), operation: Some(operation) }.encode_to_vec();
        [&[packet.len() as u8], packet.as_slice()].concat()
    };
    let name = "bgp/session/10.0.0.1".to_owned();
    let list = VaultList { prefix: "bgp/".into(), after: String::new() };
    let deposit = VaultDeposit { name: name.clone(), kind: "session".into(), metadata: vec![1, 2, 3] };
    let requests = [
        packet(Operation::List(list)),
        packet(Operation::Deposit(deposit)),
        packet(Operation::Withdraw(VaultWithdraw { name })),
    ];
    // RTM_NEWROUTE, RTM_NEWNEXTHOP, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNEIGH and an error with the kernel's words.
    let route = datagram(
        24,
        &[2, 8, 0, 0, 254, 72, 0, 1, 0, 0, 0, 0],
        &[(1, &[10, 0, 0, 0]), (6, &[20, 0, 0, 0]), (30, &[1, 0, 0, 72])],
    );
    let object =
        datagram(104, &[2, 0, 72, 0, 0, 0, 0, 0], &[(1, &[1, 0, 0, 72]), (5, &[2, 0, 0, 0]), (6, &[10, 0, 0, 2])]);
    let members = [1, 0, 0, 72, 254, 0, 0, 0, 2, 0, 0, 72, 0, 0, 0, 0];
    let buckets = [6, 0, 1, 0, 8, 0, 0, 0];
    let group = datagram(
        104,
        &[0, 0, 72, 0, 0, 0, 0, 0],
        &[(1, &[3, 0, 0, 72]), (2, &members), (3, &[1, 0]), (12 | 0x8000, &buckets)],
    );
    let address = datagram(20, &[2, 24, 0, 0, 2, 0, 0, 0], &[(1, &[10, 0, 0, 1]), (2, &[10, 0, 0, 1]), (11, &[72])]);
    let link =
        datagram(16, &[0, 0, 1, 0, 2, 0, 0, 0, 0x43, 0, 1, 0, 0, 0, 0, 0], &[(3, b"eth0\0"), (4, &[220, 5, 0, 0])]);
    let since = [[0; 4], [0; 4], 700u32.to_ne_bytes(), [0; 4]].concat();
    let neighbor = datagram(
        28,
        &[2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 1],
        &[(1, &[10, 0, 0, 2]), (2, &[2, 0, 0, 0, 0, 2]), (3, &since)],
    );
    let refused = datagram(2, &[[0xef, 0xff, 0xff, 0xff], [20, 0, 0, 0]].concat(), &[(1, b"no\0")]);
    vec![
        ("vault-requests", requests.concat()),
        ("route", route.clone()),
        ("nexthop", object),
        ("group", group),
        ("address", address),
        ("link", link),
        ("neighbor", neighbor),
        ("refused", [refused, route].concat()),
    ]
}

/// For the targets of single fields.
fn parts() -> Vec<(Target, &'static str, Vec<u8>)> {
    let reach: Vec<u8> = [&[0, 2, 1, 16, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 0, 32, 0x20, 1, 0xd, 0xb8]].concat();
    let unreach = [0, 1, 1, 8, 10];
    let paths: Vec<u8> =
        [&reach[..21], &[0, 0, 0, 1, 32, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, 32, 0x20, 1, 0xd, 0xb8]].concat();
    // A link-local address where a global one belongs, and no link-local one behind it.
    let odd: Vec<u8> = [&[0, 2, 1, 32, 0xfe, 0x80][..], &[0x4c; 30], &[0, 32, 0x20, 1, 0xd, 0xb8]].concat();
    vec![
        (Target::AsPath, "wide", vec![1, 14, 2, 2, 0, 0, 0xfd, 0xea, 0, 1, 0, 0, 1, 1, 0, 0, 0, 7]),
        (Target::AsPath, "old", vec![3, 6, 2, 2, 0xfd, 0xea, 0x5b, 0xa0, 2, 1, 0, 1, 0, 0]),
        (Target::Communities, "standard", vec![0, 0xff, 0xff, 0xff, 1, 0, 1, 0, 2]),
        (Target::Communities, "extended", vec![1, 0, 2, 0, 1, 0, 0, 0, 1]),
        (Target::Communities, "large", vec![2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]),
        (Target::Multiprotocol, "both", [&[1, reach.len() as u8][..], &reach, &unreach].concat()),
        (Target::Multiprotocol, "reach", [&[1, reach.len() as u8][..], &reach].concat()),
        (Target::Multiprotocol, "odd-next-hop", [&[1, odd.len() as u8][..], &odd].concat()),
        // With path identifiers both ways.
        (Target::Multiprotocol, "paths", [&[97, paths.len() as u8][..], &paths, &[0, 2, 1, 0, 0, 0, 9, 0]].concat()),
        (Target::Multiprotocol, "unreach", [&[1, 0][..], &unreach].concat()),
    ]
}

/// The neighbour connects, says OPEN and KEEPALIVE; time passes; an UPDATE; a NOTIFICATION (see `session::Machine::step`).
fn handshake() -> Vec<u8> {
    let accepted = [0x85, 0x89, 0x8a, 0x87, 40, 0x88, 0x8a];
    let update = [0x8e, 1, 4, 0, 0, 0, 0];
    let notification = [0x8e, 2, 2, 6, 2];
    [&[8][..], &accepted, &update, &notification, &[0x88, 0x85, 0x89]].concat()
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
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedMessage,
        Capability::Role(3),
        Capability::AddPath(vec![(1, 1, 3), (2, 1, 1)]),
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
        encode_announce(&mut wire, family, &attributes.encode(), next_hop, prefixes, Format::plain(four_octet_as))
            .expect("fits");
        wire
    };
    let paths = |family, next_hop, paths: &[(Option<u32>, IpNet)]| {
        let mut wire = Vec::new();
        encode_announce(&mut wire, family, &attributes.encode(), next_hop, paths, Format::plain(true)).expect("fits");
        wire
    };
    let identified = |net: &IpNet, identifier: u32| (Some(identifier), *net);
    let withdraw = |family, prefixes: &[IpNet]| {
        let mut wire = Vec::new();
        encode_withdraw(&mut wire, family, prefixes, Format::plain(true));
        wire
    };
    let mut withdrawn_paths = Vec::new();
    encode_withdraw(
        &mut withdrawn_paths,
        Family::Ipv4Unicast,
        &[1, 7].map(|id| identified(&v4[0], id)),
        Format::plain(true),
    );
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
        ("ipv4-paths", 1 | PATHS, paths(Family::Ipv4Unicast, next_hop4, &[1, 2, 0].map(|id| identified(&v4[0], id)))),
        (
            "ipv6-paths",
            1 | PATHS,
            paths(Family::Ipv6Unicast, next_hop6, &[1, u32::MAX].map(|id| identified(&v6[0], id))),
        ),
        ("withdraw-paths", 1 | PATHS, withdrawn_paths),
        ("end-of-rib", 0, end_of_rib),
    ]
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}
