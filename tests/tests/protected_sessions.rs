//! Sessions with keys (RFC 2385) and distances (RFC 5082), with neighbours of other makes, through an in-service reboot: both are
//! part of the connection that goes over, and the new engine's own sockets have them too.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place};

const LONG: Duration = Duration::from_secs(60);

const ROUTER: &str = "system { host-name test-router; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; }
";

/// FRR connects to us over IPv4; hello and hold are short, so that a segment that is not heard is missed soon.
fn frr(password: &str, extra: &str) -> String {
    format!(
        "router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 neighbor 10.0.1.1 remote-as 65000
 neighbor 10.0.1.1 timers 3 9
 neighbor 10.0.1.1 timers connect 1
 {password}
 {extra}
"
    )
}

/// We connect to BIRD over IPv6.
fn bird(options: &str) -> String {
    format!(
        "router id 10.0.2.2;
protocol device {{}}
protocol bgp subject {{
  local 2001:db8:2::2 as 65002;
  neighbor 2001:db8:2::1 as 65000;
  passive on;
  hold time 9;
  {options}
  ipv6 {{ import all; export all; }};
}}
"
    )
}

/// Whether the session is up at the neighbour and has never ended since.
fn assert_unbroken(place: &Place, addresses: &[&str], flaps: &[u64]) {
    for (address, flaps) in addresses.iter().zip(flaps) {
        let neighbor = place.neighbor(address);
        assert_eq!(neighbor["summary"]["state"], "Established", "{neighbor:#}");
        assert_eq!(neighbor["summary"]["flaps"].as_u64().unwrap_or(0), *flaps, "{neighbor:#}");
    }
}

#[test]
fn keys_go_over_and_a_new_engine_signs_new_sessions() {
    let place = Place::new();
    let one = Neighbor::frr(&place, 1, &frr("neighbor 10.0.1.1 password first-key", ""));
    let _two = Neighbor::bird(&place, 2, &bird("password \"second\";"));
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ hold-time 9;
    group one {{ peer-as 65001; passive; authentication-key \"first-key\"; neighbor 10.0.1.2; }}
    group two {{ peer-as 65002; family inet6 unicast; neighbor 2001:db8:2::2 authentication-key second; }}
}} }}
"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    let addresses = ["10.0.1.2", "2001:db8:2::2"];
    addresses.iter().for_each(|address| place.wait_established(address, LONG));

    place.reboot_in_service();
    assert_unbroken(&place, &addresses, &[0, 0]);
    assert_eq!(place.neighbor("10.0.1.2")["authentication"], "MD5");
    assert!(!place.neighbor("10.0.1.2").to_string().contains("first-key"));
    // Both have to be made anew by the engine that has taken over: one by its listening socket, one by its own SYN.
    place.cli("clear bgp neighbor all").assert_succeeded();
    addresses.iter().for_each(|address| place.wait_established(address, LONG));

    // Another key: FRR ends the session itself when its own is changed, and comes back with it.
    place.cli("configure; set protocols bgp group one authentication-key other; commit").assert_succeeded();
    one.ask("configure terminal; router bgp 65001; neighbor 10.0.1.1 password other");
    std::thread::sleep(Duration::from_millis(500));
    place.wait_established("10.0.1.2", LONG);

    // Without one the router is not heard any more, and says where to look.
    place.cli("configure; delete protocols bgp group one authentication-key; commit").assert_succeeded();
    place.cli("clear bgp neighbor 10.0.1.2").assert_succeeded();
    place.cli("configure; set protocols bgp group one authentication-key wrong; commit").assert_succeeded();
    std::thread::sleep(Duration::from_secs(3));
    let down = place.neighbor("10.0.1.2");
    assert_ne!(down["summary"]["state"], "Established", "{down:#}");
    let why = down["why_not_established"].as_str().unwrap_or_default();
    assert!(why.contains("authentication-key is set"), "{why}");
    place.cli("configure; set protocols bgp group one authentication-key other; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
}

#[test]
fn distances_go_over_and_bind_new_sessions() {
    let place = Place::new();
    let mut one = Neighbor::frr(&place, 1, &frr("neighbor 10.0.1.1 ttl-security hops 1", ""));
    let _two = Neighbor::bird(&place, 2, &bird("ttl security on;"));
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ hold-time 9;
    group one {{ peer-as 65001; passive; ttl-security; neighbor 10.0.1.2; }}
    group two {{ peer-as 65002; family inet6 unicast; neighbor 2001:db8:2::2 ttl-security hops 1; }}
}} }}
"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    let addresses = ["10.0.1.2", "2001:db8:2::2"];
    addresses.iter().for_each(|address| place.wait_established(address, LONG));
    place.reboot_in_service();
    assert_unbroken(&place, &addresses, &[0, 0]);
    place.cli("clear bgp neighbor all").assert_succeeded();
    addresses.iter().for_each(|address| place.wait_established(address, LONG));

    // FRR without it sends TTL 1 to a neighbour on its link: as if from 254 hops away.
    one.begin(&frr("", ""));
    std::thread::sleep(Duration::from_secs(4));
    let down = place.neighbor("10.0.1.2");
    assert_ne!(down["summary"]["state"], "Established", "{down:#}");
    let why = down["why_not_established"].as_str().unwrap_or_default();
    assert!(why.contains("ttl-security is set"), "{why}");
    // A commit changes the running router to what this neighbour does.
    place.cli("configure; delete protocols bgp group one ttl-security; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
}
