//! What operators tell each other when a session ends (RFC 9003), and neighbours that nobody has configured; with neighbours of other
//! makes, and an in-service reboot in the middle.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place, holdfast, run, wait_until};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_secs(20);

const ROUTER: &str = "system { host-name test-router; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; }
";

/// It logs the NOTIFICATIONs that it hears.
fn frr(number: u8) -> String {
    format!(
        "log file LOG informational
router bgp 65001
 bgp log-neighbor-changes
 bgp router-id 10.0.{number}.2
 no bgp ebgp-requires-policy
 neighbor 10.0.{number}.1 remote-as 65000
 neighbor 10.0.{number}.1 timers 3 9
 neighbor 10.0.{number}.1 timers connect 1
"
    )
}

#[test]
fn operators_read_each_others_words() {
    let place = Place::new();
    let one = Neighbor::frr(&place, 1, &frr(1));
    let text = format!("{ROUTER}protocols {{ bgp {{ group one {{ peer-as 65001; neighbor 10.0.1.2; }} }} }}\n");
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
    let heard = |words: &str| {
        let so = wait_until(SHORT, || one.log().contains(words));
        assert!(so, "{words:?} is not in: {}", one.log());
    };

    place.cli("clear bgp neighbor 10.0.1.2 message \"new optics\"").assert_succeeded();
    heard("new optics");
    place.wait_established("10.0.1.2", LONG);
    place
        .cli("configure; set protocols bgp group one shutdown notify-message \"back at 6\"; commit")
        .assert_succeeded();
    heard("back at 6");
    let down = place.neighbor("10.0.1.2");
    assert!(down["why_not_established"].as_str().unwrap_or_default().contains("shut down"), "{down:#}");
    place.cli("configure; delete protocols bgp group one shutdown; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);

    // FRR's operator, with something for our terminal; the new engine knows what was said to the old one.
    one.ask("configure terminal; router bgp 65001; neighbor 10.0.1.1 shutdown message gone \u{202e}fishing");
    let noted = wait_until(SHORT, || place.neighbor("10.0.1.2")["last_notification_received"]["code"] == 6);
    assert!(noted, "{:#}", place.neighbor("10.0.1.2"));
    place.reboot_in_service();
    let after = place.neighbor("10.0.1.2");
    assert_eq!(after["last_notification_received"]["message"], "gone  fishing", "{after:#}");
    place
        .cli("show bgp neighbor 10.0.1.2")
        .assert_says(&["Last notification received: Cease", "Administrative Shutdown"]);
    one.ask("configure terminal; router bgp 65001; no neighbor 10.0.1.1 shutdown");
    place.wait_established("10.0.1.2", LONG);

    let mut stop = holdfast();
    stop.arg("stop").arg("--run-dir").arg(place.run_dir()).args(["--message", "good night"]);
    run(stop, LONG).assert_succeeded();
    heard("good night");
}

/// Over one link, without any other address of use: what each tells is forwarded there (RFC 2545).
#[test]
fn link_local_neighbours_go_over() {
    let place = Place::new();
    let bird = "router id 10.0.1.2;
protocol device {}
protocol static { ipv6; route 2001:db8:aaaa::/48 blackhole; }
protocol bgp subject {
  local fe80::2 as 65002;
  neighbor fe80::1%'to-router' as 65000;
  hold time 9;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  ipv6 { import all; export all; };
}
";
    let mut one = Neighbor::bird(&place, 1, bird);
    place.namespace.ip("address add fe80::1/64 dev n1 nodad").expect("an address");
    one.namespace.ip("address add fe80::2/64 dev to-router nodad").expect("an address");
    one.begin(bird);
    let text = format!(
        "{ROUTER}routing-options {{ rib inet6.0 static route 2001:db8:bbbb::/48 discard; }}
policy-options {{ policy-statement OWN {{ term s {{ from protocol static; then accept; }} }} }}
protocols {{ bgp {{ hold-time 9; group link {{ peer-as 65002; family inet6 unicast; export OWN; local-address fe80::1;
    neighbor fe80::2 interface n1; }} }} }}
"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    place.wait_established("fe80::2", LONG);
    let routes = || place.namespace.ip("-6 route show proto 72").expect("ip");
    let next_hops = || place.namespace.ip("nexthop show").expect("ip");
    let forwarded =
        || wait_until(SHORT, || routes().contains("2001:db8:aaaa::/48") && next_hops().contains("via fe80::2 dev n1"));
    assert!(forwarded(), "{} {}", routes(), next_hops());
    let told = || one.ask("show route all for 2001:db8:bbbb::/48");
    assert!(wait_until(SHORT, || told().contains("2001:db8:1::1 fe80::1")), "{}", told());

    place.reboot_in_service();
    let neighbor = place.neighbor("fe80::2");
    assert_eq!(neighbor["summary"]["state"], "Established", "{neighbor:#}");
    assert_eq!(neighbor["summary"]["flaps"].as_u64().unwrap_or(0), 0, "{neighbor:#}");
    assert!(forwarded(), "{} {}", routes(), next_hops());
    place.cli("clear bgp neighbor fe80::2").assert_succeeded();
    place.wait_established("fe80::2", LONG);
    assert!(forwarded(), "{} {}", routes(), next_hops());
}

#[test]
fn whoever_connects_from_an_allowed_prefix_is_a_neighbour_through_a_reboot() {
    let place = Place::new();
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ group any {{ peer-as 65001; hold-time 9; authentication-key shared; allow 10.0.0.0/16 limit 2; }} }} }}\n"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    let signed = |number: u8| format!("{} neighbor 10.0.{number}.1 password shared\n", frr(number));
    let (one, _two) = (Neighbor::frr(&place, 1, &signed(1)), Neighbor::frr(&place, 2, &signed(2)));
    place.wait_established("10.0.1.2", LONG);
    place.wait_established("10.0.2.2", LONG);
    assert_eq!(place.neighbor("10.0.1.2")["summary"]["allowed_by"], "10.0.0.0/16");
    // A third one is refused, and told so.
    let three = Neighbor::frr(&place, 3, &signed(3));
    let refused = wait_until(SHORT, || three.log().contains("Connection Rejected"));
    assert!(refused, "{}", three.log());
    drop(three);

    place.reboot_in_service();
    for address in ["10.0.1.2", "10.0.2.2"] {
        let neighbor = place.neighbor(address);
        assert_eq!(neighbor["summary"]["state"], "Established", "{neighbor:#}");
        assert_eq!(neighbor["summary"]["flaps"].as_u64().unwrap_or(0), 0, "{neighbor:#}");
    }
    place.cli("show bgp group").assert_says(&["10.0.0.0/16: 2 of 2"]);
    drop(one);
    let forgotten = wait_until(SHORT, || place.neighbor("10.0.1.2").is_null());
    assert!(forgotten, "{:#}", place.neighbor("10.0.1.2"));
    place.cli("show bgp group").assert_says(&["10.0.0.0/16: 1 of 2"]);
}

/// One end of a session is one address: a call to another one is not our end, and both operators can read which is.
#[test]
fn a_neighbour_that_calls_another_address_is_told_so() {
    let place = Place::new();
    let one = Neighbor::frr(&place, 1, &frr(1).replace("10.0.1.1 ", "10.0.1.9 "));
    place.namespace.ip("address add 10.0.1.9/24 dev n1").expect("an address");
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ hold-time 9; group one {{ peer-as 65001; passive; local-address 10.0.1.1; neighbor 10.0.1.2; }} }} }}\n"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    assert!(wait_until(SHORT, || one.log().contains("Connection Rejected")), "{}", one.log());
    place.cli("show log re0-rpd").assert_says(&["it calls 10.0.1.9, but local-address is 10.0.1.1"]);
    place.cli("configure; set protocols bgp group one local-address 10.0.1.9; commit").assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
}
