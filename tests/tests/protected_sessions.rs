//! Sessions with keys (RFC 2385) and distances (RFC 5082), with neighbours of other makes, through an in-service reboot: both are
//! part of the connection that goes over, and the new engine's own sockets have them too.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place, wait_until};

const LONG: Duration = Duration::from_secs(60);
/// Several attempts of either side fit in.
const WATCHED: Duration = Duration::from_secs(4);

const ROUTER: &str = "system { host-name test-router; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; }
";

/// FRR connects to us over IPv4; hello and hold are short, so that a segment that is not heard is missed soon.
fn frr(statement: &str) -> String {
    format!(
        "router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 neighbor 10.0.1.1 remote-as 65000
 neighbor 10.0.1.1 timers 3 9
 neighbor 10.0.1.1 timers connect 1
 {statement}
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

fn flaps(place: &Place, address: &str) -> u64 {
    place.neighbor(address)["summary"]["flaps"].as_u64().unwrap_or(0)
}

fn is_established(place: &Place, address: &str) -> bool {
    place.neighbor(address)["summary"]["state"] == "Established"
}

/// Sessions are up and have never ended.
fn assert_unbroken(place: &Place, addresses: &[&str]) {
    for address in addresses {
        assert!(is_established(place, address) && flaps(place, address) == 0, "{:#}", place.neighbor(address));
    }
}

/// A session is down and stays so, and the router says where to look.
fn assert_down(place: &Place, address: &str, why: &str) {
    let says = || {
        let neighbor = place.neighbor(address);
        let words = neighbor["why_not_established"].as_str().unwrap_or_default();
        neighbor["summary"]["state"] != "Established" && words.contains(why)
    };
    assert!(wait_until(LONG, says), "{why:?} is not said: {:#}", place.neighbor(address));
    let back = wait_until(WATCHED, || is_established(place, address));
    assert!(!back, "it came up: {:#}", place.neighbor(address));
}

#[test]
fn keys_go_over_and_a_new_engine_signs_new_sessions() {
    let place = Place::new();
    let one = Neighbor::frr(&place, 1, &frr("neighbor 10.0.1.1 password first-key"));
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
    assert_unbroken(&place, &addresses);
    assert_eq!(place.neighbor("10.0.1.2")["authentication"], "MD5");
    assert!(!place.neighbor("10.0.1.2").to_string().contains("first-key"));
    // Both have to be made anew by the engine that has taken over: one by its listening socket, one by its own SYN.
    place.cli("clear bgp neighbor all").assert_succeeded();
    addresses.iter().for_each(|address| place.wait_established(address, LONG));

    // Another key: FRR ends the session itself when its own is changed, and comes back with it.
    place.cli("configure; set protocols bgp group one authentication-key other; commit").assert_succeeded();
    let before = flaps(&place, "10.0.1.2");
    one.ask("configure terminal; router bgp 65001; neighbor 10.0.1.1 password other");
    let ended = wait_until(LONG, || flaps(&place, "10.0.1.2") > before);
    assert!(ended, "{:#}", place.neighbor("10.0.1.2"));
    place.wait_established("10.0.1.2", LONG);

    // Without one the router is not heard any more, and says where to look.
    place.cli("configure; delete protocols bgp group one authentication-key; commit").assert_succeeded();
    place.cli("clear bgp neighbor 10.0.1.2").assert_succeeded();
    place.cli("configure; set protocols bgp group one authentication-key wrong; commit").assert_succeeded();
    assert_down(&place, "10.0.1.2", "authentication-key is set");
    assert_down(&place, "10.0.1.2", "meanwhile the kernel has dropped segments in this network namespace: ");
    place.cli("show bgp neighbor 10.0.1.2").assert_says(&["signed with another key"]);
    place.cli("configure; set protocols bgp group one authentication-key other; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
}

#[test]
fn distances_go_over_and_bind_new_sessions() {
    let place = Place::new();
    let mut one = Neighbor::frr(&place, 1, &frr("neighbor 10.0.1.1 ttl-security hops 1"));
    let mut two = Neighbor::bird(&place, 2, &bird("ttl security on;"));
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
    assert_unbroken(&place, &addresses);
    place.cli("clear bgp neighbor all").assert_succeeded();
    addresses.iter().for_each(|address| place.wait_established(address, LONG));

    // FRR without it sends TTL 1 to a neighbour on its link: as if from 254 hops away.
    one.begin(&frr(""));
    assert_down(&place, "10.0.1.2", "ttl-security is set");
    // A commit changes the running router to what this neighbour does.
    place.cli("configure; delete protocols bgp group one ttl-security; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);

    // Where we connect, the kernel drops the answers of a neighbour that does not say how near it is, and counts them.
    two.begin(&bird(""));
    assert_down(&place, "2001:db8:2::2", "with too low a TTL");
}
