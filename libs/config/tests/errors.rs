//! Every class of mistake, with its place.

use holdfast_config::{Configuration, Schema};

fn errors(text: &str) -> Vec<String> {
    let schema = Schema::load().unwrap();
    match Configuration::parse("t.conf", text, &schema) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The text has exactly one mistake: it begins with this place and contains these words.
#[track_caller]
fn one(text: &str, place: &str, words: &str) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].starts_with(&format!("t.conf:{place}: ")) && errors[0].contains(words), "{errors:#?}");
}

const BGP: &str = "routing-options { autonomous-system 65001; }\nprotocols { bgp {\n";

fn bgp(body: &str) -> String {
    format!("{BGP}{body}\n}} }}\n")
}

#[test]
fn unknown_statements_name_near_and_allowed_ones() {
    one(
        &bgp("group G { peer-as 2; neighbour 10.0.0.2; neighbor 10.0.0.3; }"),
        "3:22",
        "unknown statement \"neighbour\"; did you mean neighbor?; allowed: type, description",
    );
    one("system { hostname r1; }", "1:10", "[system] unknown statement \"hostname\"; did you mean host-name?");
    one("firewall { }", "1:1", "allowed: system, chassis, virtual-chassis, interfaces");
    one("chassis { redundancy { hot-standby; } }", "1:24", "unknown statement \"hot-standby\"");
    one(
        &bgp("group G { peer-as 2; authentication-password x; neighbor 10.0.0.3; }"),
        "3:22",
        "unknown statement \"authentication-password\"",
    );
}

#[test]
fn form_of_a_statement() {
    one("system { host-name; }", "1:10", "[system host-name] the value is missing");
    one("system { host-name a b; }", "1:22", "one word too many: \"b\"");
    one("system { host-name { a; } }", "1:10", "takes no { }");
    one("chassis { redundancy { graceful-switchover yes; } }", "1:44", "one word too many");
    one("system;", "1:1", "holds nothing; allowed: host-name, internet-options");
    one("virtual-chassis { member; }", "1:19", "the id is missing");
    one("system { host-name a;\n host-name b; }", "2:2", "stated twice, first at 1:10");
    one("policy-options { community C members 1:1 2:2; }", "1:42", "several values stand in [ ]");
    one("policy-options { community C { members [ 1:1 1:1 ]; } }", "1:46", "stated twice, first at 1:42");
    one("virtual-chassis { member 1;\n member 1; }", "2:2", "member 1 is stated twice");
}

#[test]
fn values() {
    one(
        &bgp("group G { peer-as 2; neighbor 10.0.0.2 { hold-time 2; } }"),
        "3:42",
        "[protocols bgp group G neighbor 10.0.0.2 hold-time] \"2\" is refused: a hold time is 0 (no keepalives) or 3 to 65535",
    );
    one(&bgp("group G { peer-as 2; neighbor 10.0.0.2 { hold-time nine; } }"), "3:52", "\"nine\" is not a number");
    for reserved in [0, 23456, 65535, u32::MAX] {
        let text = format!("routing-options {{ autonomous-system {reserved}; }}");
        one(&text, "1:19", "an AS number is 1 to 4294967294, and neither 23456 (AS_TRANS");
    }
    one("routing-options { autonomous-system 4294967296; }", "1:19", "\"4294967296\" is refused");
    one("routing-options { static { route 10.1.2.3/8 discard; } }", "1:34", "the prefix is 10.0.0.0/8");
    one("routing-options { router-id 10.0.0; }", "1:29", "not an IPv4 address");
    one("interfaces { an-interface-name { mtu 1500; } }", "1:14", "1 to 15 characters");
    one("interfaces { eth0 { mtu 20; } }", "1:21", "an MTU is 68 to 65535 bytes");
    one("interfaces { eth0 { unit 1; } }", "1:21", "unit 1 has no vlan-id");
    one("interfaces { eth0 { vlan-tagging; unit 20000 vlan-id 5; } }", "1:35", "0 to 16385");
    one("interfaces { eth0 { vlan-tagging; unit 1 vlan-id 5000; } }", "1:42", "1 to 4094");
    one("interfaces { eth0 { unit 1 vlan-id 5; } }", "1:28", "has no vlan-tagging");
    one(
        "interfaces { eth0 { vlan-tagging; unit 1 vlan-id 5;\n unit 2 vlan-id 5; } }",
        "2:9",
        "has a unit already, at 1:42",
    );
    one(
        "interfaces { a-long-name-01 { vlan-tagging; unit 1 vlan-id 5; } }",
        "1:52",
        "a-long-name-01.5, which is too long",
    );
    one(
        "interfaces { eth0 { vlan-tagging; unit 1 vlan-id 5; }\n eth0.5; }",
        "1:42",
        "configured as an interface at 2:2",
    );
    one("interfaces { eth0 { unit 0 { family inet { address 2001:db8::1/64; } } } }", "1:52", "other family");
    one("system { host-name \"a b\"; }", "1:10", "letters, digits");
    one("system { internet-options { no-tcp-reset drop-all; } }", "1:42", "allowed: drop-all-tcp");
    one("chassis { member-id 10; }", "1:11", "a member id is 0 to 9");
}

#[test]
fn every_mistake_is_reported() {
    let found = errors(
        "system { hostname a; }\nchassis { member-id 12; in-service { minimum-spacing x; } }\nrouting-options { autonomous-system 0; static { route 10.0.0.0/8; } }",
    );
    let places: Vec<&str> = found.iter().map(|error| error.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["t.conf:1:10", "t.conf:2:11", "t.conf:2:54", "t.conf:3:19", "t.conf:3:49"], "{found:#?}");
}

#[test]
fn a_broken_statement_hides_no_other_mistake_and_is_not_called_missing() {
    let found = errors("protocols { bgp { group G { hold-time 2; } } }");
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found[0].contains("no AS number") && found[1].contains("no neighbor") && found[2].contains("hold time"),
        "{found:#?}"
    );
    assert_eq!(errors("routing-options autonomous-system x; protocols bgp group G neighbor ten;").len(), 2);
}

#[test]
fn neighbors_that_cannot_be_one() {
    let with = |address: &str, neighbor: &str| {
        let interfaces = format!("interfaces {{ eth0 {{ unit 0 {{ family {address}; }} }} }}\n");
        interfaces + &bgp(&format!("group G {{ peer-as 2; neighbor {neighbor}; }}"))
    };
    let v4 = |neighbor: &str| with("inet address 10.0.0.1/24", neighbor);
    one(
        &v4("10.0.0.1"),
        "4:22",
        "neighbor 10.0.0.1 is our own address on eth0 (line 1); allowed: an address of another",
    );
    one(&v4("10.0.0.0"), "4:22", "neighbor 10.0.0.0 is the network address of 10.0.0.0/24 on eth0 (line 1)");
    one(&v4("10.0.0.255"), "4:22", "neighbor 10.0.0.255 is the broadcast address of 10.0.0.0/24");
    one(&with("inet6 address 2001:db8::1/64", "2001:db8::1"), "4:22", "is our own address on eth0");
    one(&with("inet6 address fe80::1/64", "fe80::1 interface eth0"), "4:22", "is our own address on eth0");
    let fine = [
        v4("10.0.0.2"),
        with("inet address 10.0.0.0/31", "10.0.0.1"),
        with("inet6 address fe80::1/64", "fe80::1 interface eth1"),
    ];
    fine.iter().for_each(|text| assert_eq!(errors(text), Vec::<String>::new()));
}

#[test]
fn neighbors_of_our_as_may_name_any_next_hop() {
    let text = bgp("group G { type internal; accept-remote-nexthop; neighbor 10.0.0.2; }");
    one(&text, "3:26", "accept-remote-nexthop for the internal neighbor 10.0.0.2 does nothing");
}

#[test]
fn a_route_servers_clients_get_paths_as_they_are() {
    let client = |body: &str| bgp(&format!("group G {{ peer-as 2; route-server-client; {body} neighbor 10.0.0.2; }}"));
    one(&client("remove-private;"), "3:43", "remove-private, but neighbor 10.0.0.2 is a route-server-client (line 3)");
    one(&client("as-override;"), "3:43", "allowed: one of route-server-client, as-override");
    one(
        &client("local-as 65100;"),
        "3:43",
        "is put before AS paths received, but neighbor 10.0.0.2 is a route-server-client",
    );
    for body in ["local-as 65100 no-prepend;", "local-as 65100 private;", "local-as 65001;"] {
        assert_eq!(errors(&client(body)), Vec::<String>::new(), "{body}");
    }
    assert_eq!(errors(&bgp("remove-private; group G { peer-as 2; route-server-client; neighbor 10.0.0.2; }")).len(), 0);
}

#[test]
fn bgp_rules() {
    one(
        &bgp("group G { peer-as 2; family inet unicast add-path send; neighbor 10.0.0.3; }"),
        "3:51",
        "how many paths are told is not stated; allowed: path-count 2..64",
    );
    one(
        &bgp("group G { peer-as 2; family inet unicast add-path send path-count 1; neighbor 10.0.0.3; }"),
        "3:56",
        "path-count is 2 to 64",
    );
    one(
        "protocols { bgp { group G { peer-as 2; neighbor 10.0.0.2; } } }",
        "1:13",
        "set routing-options autonomous-system",
    );
    one(&bgp("group G { type external; neighbor 10.0.0.2; }"), "3:26", "has no peer-as");
    one(&bgp("group G { neighbor 10.0.0.2; }"), "3:11", "has no peer-as");
    one(&bgp("group G { type internal; peer-as 2; neighbor 10.0.0.2; }"), "3:26", "but the local AS is 65001");
    one(&bgp("group G { type external; peer-as 65001; neighbor 10.0.0.2; }"), "3:26", "is the local AS");
    one(
        &bgp("group G { peer-as 2; neighbor 10.0.0.2;\nneighbor 10.0.0.2; }"),
        "4:1",
        "neighbor 10.0.0.2 is stated twice, first at 3:22",
    );
    one(
        &bgp("group G { peer-as 2; neighbor 10.0.0.2; }\ngroup H { peer-as 3; neighbor 10.0.0.2; }"),
        "4:22",
        "configured twice, first at 3:22",
    );
    one(&bgp("group G { peer-as 2; }"), "3:1", "the group has no neighbor");
    one(
        &bgp("group G { peer-as 2; neighbor 10.0.0.2 { import P; } }"),
        "3:49",
        "policy-statement P, which is not configured",
    );
    one(
        &bgp("group G { peer-as 2; neighbor 10.0.0.2 { local-address 2001:db8::1; } }"),
        "3:22",
        "not of the family of 10.0.0.2",
    );
    one(&bgp("group G { peer-as 2; neighbor fe80::1; }"), "3:22", "link-local, which needs an interface");
    one(&bgp("group G { peer-as 2; neighbor 10.0.0.2 interface eth0; }"), "3:40", "10.0.0.2 is not link-local");
    one(&bgp("group G { peer-as 2; multihop; neighbor fe80::1 interface eth0; }"), "3:22", "no router passes");
    one(
        &bgp("group G { peer-as 2; multihop; neighbor 10.0.0.2 { ttl-security hops 2; } }"),
        "3:52",
        "ttl-security and multihop (line 3) rule each other out for neighbor 10.0.0.2",
    );
    one(
        &bgp(&format!("group G {{ peer-as 2; neighbor 10.0.0.2 shutdown notify-message {}; }}", "ä".repeat(128))),
        "3:64",
        "a message of 256 octets; allowed: 1 to 255 octets",
    );
    one(&bgp("group G { allow 10.0.0.0/24; }"), "3:1", "the group G has no peer-as");
    one(&bgp("group G { allow 10.0.0.0/24; neighbor 10.1.0.1 peer-as 2; }"), "3:1", "the group G has no peer-as");
    one(&bgp("group G { peer-as 2; role { provider; customer; } allow 10.0.0.0/24; }"), "3:22", "role names 2 roles");
    one(&bgp("group G { peer-as 2; allow 10.0.0.0/24 limit 0; }"), "3:40", "1 to 4096 neighbours");
    one(&bgp("group G { peer-as 2; allow fe80::/64; }"), "3:22", "link-local");
    one(
        &bgp("group G { peer-as 2; allow 10.0.0.0/24; }\ngroup H { peer-as 3; allow 10.0.0.0/24; }"),
        "4:22",
        "allowed twice, first at 3:22",
    );
    one(
        &bgp(
            "group G { peer-as 2; authentication-key k; allow 10.0.0.0/24; }\ngroup H { peer-as 3; neighbor 10.0.0.2; }",
        ),
        "4:22",
        "neighbor 10.0.0.2 has no authentication-key, but 10.0.0.0/24",
    );
    one(&bgp("group G { peer-as 2; ttl-security hops 255; neighbor 10.0.0.2; }"), "3:35", "1 to 254 hops");
    let bfd =
        |text: &str| bgp(&format!("group G {{ peer-as 2; bfd-liveness-detection {{ {text} }} neighbor 10.0.0.2; }}"));
    one(&bfd("multiplier 3;"), "3:22", "how often packets are sent is not stated");
    one(&bfd("minimum-interval 9;"), "3:47", "10 to 255000 milliseconds");
    one(&bfd("minimum-interval 50; authentication { algorithm keyed-sha-1; key k; }"), "3:68", "without key-id");
    one(&bfd("minimum-interval 50; minimum-ttl 255;"), "3:68", "what has passed no router has 255");
    one(&bfd("minimum-interval 50; session-mode single-hop; minimum-ttl 250;"), "3:93", "no other");
    one(
        &bfd("minimum-interval 50; authentication { algorithm keyed-sha-1; key-id 1; key 123456789012345678901; }"),
        "3:118",
        "a key of 21 octets",
    );
    let watched = |neighbors: u32| {
        let neighbors: String =
            (0..neighbors).map(|n| format!(" neighbor 10.1.{}.{};", n / 250, 1 + n % 250)).collect();
        bgp(&format!("group G {{ peer-as 2; bfd-liveness-detection minimum-interval 300;{neighbors} }}"))
    };
    assert!(errors(&watched(2048)).is_empty());
    one(&watched(2049), "3:22", "2049 BFD sessions are configured");
    one(&bgp("group G { peer-as 2; authentication-key \"\"; neighbor 10.0.0.2; }"), "3:41", "empty name");
    one(&bgp("group G { peer-as 2; neighbor 224.0.0.1; }"), "3:22", "no address of one router");
    one(
        &bgp("group G { peer-as 2; neighbor ::ffff:10.0.0.2; }"),
        "3:22",
        "is the IPv4 address 10.0.0.2; allowed: neighbor 10.0.0.2",
    );
}

#[test]
fn routing_options_rules() {
    one(
        "routing-options { static { route 10.0.0.0/8 next-hop 2001:db8::1; } }",
        "1:54",
        "not of the family of 10.0.0.0/8",
    );
    one(
        "routing-options { static { route 10.0.0.0/8 { discard; reject; } } }",
        "1:28",
        "discard and reject rule each other out",
    );
    one("routing-options { static { route 10.0.0.0/8 preference 7; } }", "1:28", "leads nowhere");
    one("routing-options { rib inet6.0 static route 10.0.0.0/8 discard; }", "1:38", "does not belong into inet6.0");
    one(
        "routing-options { static route 10.0.0.0/8 discard;\nrib inet.0 static route 10.0.0.0/8 discard; }",
        "2:19",
        "stated twice, first at 1:26",
    );
    one("routing-options { router-id 0.0.0.0; }", "1:19", "no identifier");
}

#[test]
fn interface_rules() {
    let text = "interfaces { a { unit 0 { family inet { address 10.0.0.1/24; } } }\nb { unit 0 { family inet { address 10.0.0.1/32; } } } }";
    one(text, "2:36", "10.0.0.1 is configured twice, first at 1:49");
    // Each link may have the same link-local address, and often has.
    let text = "interfaces { a { unit 0 { family inet6 { address fe80::1/64; } } } b { unit 0 { family inet6 { address fe80::1/64; } } } }";
    assert_eq!(errors(text), Vec::<String>::new());
}

#[test]
fn policy_rules() {
    let policy =
        |body: &str| format!("policy-options {{ prefix-list LEFT 10.0.0.0/8;\npolicy-statement P {{ {body} }} }}");
    one(
        &policy("from prefix-list LEFTT;"),
        "2:39",
        "refers to prefix-list LEFTT, which is not configured; did you mean LEFT?",
    );
    one(&policy("term t from community C;"), "2:44", "refers to community C");
    one(&policy("then { community add C; accept; }"), "2:29", "refers to community C");
    one(&policy("then { accept; reject; }"), "2:37", "accept and reject rule each other out");
    one(&policy("from { route-filter 10.0.0.0/8 upto /4; }"), "2:29", "matches no prefix");
    one(&policy("from { route-filter 10.0.0.0/8; }"), "2:29", "the match is missing");
    one(&policy("then as-path-prepend \"1 x\";"), "2:43", "not a list of AS numbers");
    one("policy-options { community C; }", "1:18", "has no members");
    one("policy-options { community C members \"65000:1[\"; }", "1:38", "at character 9");
    one("policy-options { as-path A; }", "1:18", "the as-path has no expression");
    one("policy-options { as-path A \"1 ^2\"; }", "1:28", "at character 3: ^ stands at the beginning only");
    one(
        &policy("from { as-path A; }"),
        "2:37",
        "refers to as-path A, which is not configured; allowed: an as-path of policy-options (none",
    );
    one(&policy("from { prefix-list-filter LEFTT longer; }"), "2:29", "did you mean LEFT?");
    one(&policy("from { route-filter 10.0.0.0/8 prefix-length-range /4-/9; }"), "2:29", "has lengths that no prefix");
    one(
        &policy("from { route-filter 10.0.0.0/8 prefix-length-range /24-/16; }"),
        "2:29",
        "has the longer length first",
    );
    one(
        &policy("from { route-filter 10.0.0.0/8 prefix-length-range /24-/33; }"),
        "2:29",
        "no prefix within 10.0.0.0/8 has",
    );
    one(&policy("then { next-hop 224.0.0.5; }"), "2:38", "224.0.0.5 is no address of one router; allowed: self");
    one(
        "routing-options static route 10.0.0.0/8 next-hop 255.255.255.255;",
        "1:50",
        "255.255.255.255 is no address of one router; allowed: a unicast address; discard",
    );
    one(&policy("then { metric double 3; }"), "2:43", "one word too many");
    one(&policy("from policy Q; } policy-statement Q { from policy P;"), "1:1", "P -> Q -> P: a policy asks itself");
    one(
        "policy-options { community C members 65000:*; policy-statement P then community add C; }",
        "1:1",
        "only what to delete may be said by them",
    );
}

#[test]
fn broken_text() {
    one("system {", "1:8", "never closed");
    let schema = Schema::load().unwrap();
    let found = Configuration::parse("t.conf", b"system {\n host-name \xff; }", &schema).unwrap_err();
    assert_eq!(found[0].to_string(), "t.conf:2:12: the byte 0xff is not UTF-8");
}

#[test]
fn the_number_of_mistakes_is_bounded() {
    let text = "nonsense; ".repeat(5_000);
    assert_eq!(errors(&text).len(), holdfast_config::limits::ERRORS_MAX);
}

#[test]
fn what_becomes_of_routes() {
    one(
        &bgp("group G { peer-as 2; cluster 1.1.1.1; neighbor 10.0.0.2; }"),
        "3:22",
        "10.0.0.2 is an external neighbor, only internal ones are clients; allowed: cluster in groups of type internal",
    );
    one(&bgp("group G { type internal; cluster 0.0.0.0; neighbor 10.0.0.2; }"), "3:26", "no cluster identifier");
    one(
        "routing-options { aggregate route 10.0.0.0/8 policy NO; }",
        "1:53",
        "policy-statement NO, which is not configured",
    );
    one(
        "routing-options { rib inet6.0 aggregate route 10.0.0.0/8; }",
        "1:41",
        "10.0.0.0/8 does not belong into inet6.0",
    );
    one(
        "routing-options { aggregate route 10.0.0.0/8;\n generate route 10.0.0.0/8; }",
        "2:11",
        "aggregate 10.0.0.0/8 is stated twice, first at 1:29",
    );
    let limited = |limit: &str| {
        bgp(&format!("group G {{ peer-as 2; neighbor 10.0.0.2 family inet unicast prefix-limit {limit} }}"))
    };
    one(&limited("drop-excess;"), "3:60", "the limit has no maximum; allowed: maximum N");
    one(&limited("{ maximum 5; teardown; drop-excess; }"), "3:96", "teardown and drop-excess rule each other out");
    one(&limited("{ maximum 5; teardown idle-timeout 0; }"), "3:108", "allowed: 1 to 2400 minutes, or forever");
    one(&bgp("group G { peer-as 2; out-delay 0; neighbor 10.0.0.2; }"), "3:22", "out-delay is 1 to 3600 seconds");
    one(&bgp("group G { peer-as 2; loops 11; neighbor 10.0.0.2; }"), "3:22", "loops is 1 to 10");
    one(
        &bgp("group G { peer-as 2; local-as 7; local-as 8 private; neighbor 10.0.0.2; }"),
        "3:34",
        "local-as 8 beside local-as 7; allowed: one local-as: delete the other",
    );
    one(
        &bgp("group G { type internal; as-override; neighbor 10.0.0.2; }"),
        "3:26",
        "as-override for the internal neighbor 10.0.0.2 does nothing; allowed: as-override in groups of type external",
    );
    assert_eq!(errors(&bgp("cluster 1.1.1.1; group G { peer-as 2; neighbor 10.0.0.2; }")), [""; 0]);
}
