//! What BGP does with routes, as BIRD and FRR see it: one router with many features at once, an in-service reboot in the
//! middle, and the neighbours' own views before and after it.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place, wait_until};

const SHORT: Duration = Duration::from_secs(30);

fn bird(number: u8, asn: u32, routes: &str, more: &str, export: &str) -> String {
    format!(
        "log \"LOG\" all;
router id 10.0.{number}.2;
protocol device {{}}
protocol static {{ ipv4; {routes} }}
protocol bgp subject {{
  debug {{ states, events }};
  local 10.0.{number}.2 as {asn};
  neighbor 10.0.{number}.1 as 65000;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  {more}
  ipv4 {{ import all; export filter {{ {export} accept; }}; }};
}}
"
    )
}

const ROUTER: &str = "system { host-name router; }
chassis { redundancy graceful-switchover; in-service minimum-spacing 0; }
routing-options {
    router-id 10.0.0.1; autonomous-system 65000; nonstop-routing;
    aggregate route 198.51.0.0/16 discard;
}
policy-options { policy-statement own { term a { from protocol aggregate; then accept; } } }
protocols { bgp {
    group clients { type internal; cluster 10.0.0.9; neighbor 10.0.1.2; neighbor 10.0.2.2; }
    group customer { peer-as 64500; blackhole; neighbor 10.0.3.2; }
    group transit {
        peer-as 64501; remove-private all; export own;
        family inet unicast prefix-limit { maximum 2; drop-excess; }
        neighbor 10.0.4.2;
    }
} }
";

const FRR: &str = "hostname n2
log file LOG informational
router bgp 65000
 bgp router-id 10.0.2.2
 bgp log-neighbor-changes
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 10.0.2.1 remote-as 65000
 neighbor 10.0.2.1 timers connect 1
 address-family ipv4 unicast
  network 198.51.2.0/24
  neighbor 10.0.2.1 activate
 exit-address-family
";

fn neighbors(place: &Place) -> Vec<Neighbor> {
    let private = "if net = 198.51.3.0/24 then bgp_path.prepend(64512);
        if net = 203.0.113.7/32 then bgp_community.add((65535, 666));
        if net = 198.51.33.0/24 then bgp_community.add((65535, 0));";
    let customer = "route 198.51.3.0/24 blackhole; route 203.0.113.7/32 blackhole; route 198.51.33.0/24 blackhole;";
    let transit = "route 192.0.2.0/26 blackhole; route 192.0.2.64/26 blackhole; route 192.0.2.128/26 blackhole;";
    vec![
        Neighbor::bird(place, 1, &bird(1, 65000, "route 198.51.1.0/24 blackhole;", "", "")),
        Neighbor::frr(place, 2, FRR),
        Neighbor::bird(place, 3, &bird(3, 64500, customer, "", private)),
        Neighbor::bird(place, 4, &bird(4, 64501, transit, "", "")),
    ]
}

#[track_caller]
fn holds(neighbor: &Neighbor, prefix: &str, words: &[&str]) {
    let so = || {
        let route = neighbor.route(prefix);
        !route.is_empty() && words.iter().all(|word| route.contains(word))
    };
    assert!(wait_until(SHORT, so), "{prefix}: {words:?} not in: {}", neighbor.route(prefix));
}

const SEEN: [&str; 6] =
    ["198.51.1.0/24", "198.51.2.0/24", "198.51.3.0/24", "198.51.33.0/24", "203.0.113.7/32", "198.51.0.0/16"];

#[test]
fn what_neighbours_see_of_our_routes_stays_the_same_through_a_reboot() {
    let place = Place::new();
    let neighbors = neighbors(&place);
    place.start(&place.file("router.conf", ROUTER)).assert_succeeded();
    assert!(wait_until(SHORT, || neighbors.iter().all(Neighbor::is_up)), "{}", place.cli("show bgp summary").text);
    let [client, frr, customer, transit] = &neighbors[..] else { unreachable!() };

    // Reflection, both ways between two makes.
    holds(frr, "198.51.1.0/24", &["Originator: 10.0.1.2", "Cluster list: 10.0.0.9"]);
    holds(client, "198.51.2.0/24", &["BGP.originator_id: 10.0.2.2", "BGP.cluster_list: 10.0.0.9"]);
    // Private numbers (RFC 6996) are gone from what the transit hears, and only from that.
    holds(client, "198.51.3.0/24", &["BGP.as_path: 64500 64512"]);
    holds(transit, "198.51.3.0/24", &["BGP.as_path: 65000 64500\n"]);
    // A blackhole: discarded here, not told to other ASes.
    holds(client, "203.0.113.7/32", &["(65535,666)", "(65535,65281)"]);
    let dropped = wait_until(SHORT, || place.routes_of_ours().contains("blackhole 203.0.113.7"));
    assert!(dropped, "{}", place.routes_of_ours());
    assert_eq!(transit.route("203.0.113.7/32"), "");
    // A graceful shutdown.
    holds(client, "198.51.33.0/24", &["BGP.local_pref: 0", "(65535,0)"]);
    // An aggregate.
    holds(transit, "198.51.0.0/16", &["BGP.as_path: 65000\n", "BGP.aggregator: 10.0.0.1 AS65000"]);
    // A limit.
    place.cli("show bgp neighbor 10.0.4.2").assert_says(&["Received: 2", "Dropped by a limit: 1"]);

    let views = || neighbors.iter().map(|n| SEEN.map(|prefix| n.route(prefix))).collect::<Vec<_>>();
    let (before, kernel) = (views(), place.routes_of_ours());
    let said = place.cli("request system reboot in-service no-confirm");
    said.assert_succeeded();
    assert_eq!(views(), before, "what neighbours see");
    assert_eq!(place.routes_of_ours(), kernel);
    place.cli("show bgp neighbor 10.0.4.2").assert_says(&["Received: 2", "Dropped by a limit: 1"]);

    // The new engine goes on: it repeats when asked, and what changes is told.
    transit.ask("reload in subject");
    customer.ask("disable static1");
    // BIRD answers with the aggregate, then.
    let gone = wait_until(SHORT, || !transit.route("198.51.3.0/24").contains("198.51.3.0/24"));
    assert!(gone, "{}", transit.route("198.51.3.0/24"));
    holds(transit, "198.51.0.0/16", &["BGP.as_path: 65000\n"]);
    assert_eq!(neighbors.iter().map(Neighbor::times_down).collect::<Vec<_>>(), [0; 4], "no session has ended");
}
