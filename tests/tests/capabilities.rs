//! What two speakers agree on beyond RFC 4271, with FRR and BIRD, through in-service reboots: messages longer than 4,096 octets,
//! IPv4 routes by IPv6 next hops, roles, Hard Reset, long-lived graceful restart. Each neighbour's own view counts.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// FRR's, our provider's.
const FROM_FRR: &str = "203.0.113.0/24";
/// BIRD's, our customer's; with more large communities than fit into 4,096 octets.
const FROM_BIRD: &str = "198.51.100.0/24";
const LARGE_COMMUNITIES: usize = 600;

const CONFIGURATION: &str = "
system { host-name capabilities; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
routing-options { router-id 10.0.1.1; autonomous-system 65000; nonstop-routing; graceful-restart; }
protocols { bgp {
    hold-time 30;
    family inet { unicast { extended-nexthop; } }
    graceful-restart { long-lived { stale-time 600; } }
    group frr { type external; peer-as 65001; role { customer; strict; } neighbor 2001:db8:1::2; }
    group bird { type external; peer-as 65002; role { provider; strict; } neighbor 2001:db8:2::2; }
} }
";

const FRR: &str = "hostname frr
router bgp 65001
 bgp router-id 10.0.1.2
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 bgp graceful-restart
 bgp graceful-restart preserve-fw-state
 bgp long-lived-graceful-restart stale-time 600
 neighbor 2001:db8:1::1 remote-as 65000
 neighbor 2001:db8:1::1 timers 10 30
 neighbor 2001:db8:1::1 timers connect 1
 neighbor 2001:db8:1::1 advertisement-interval 0
 neighbor 2001:db8:1::1 capability extended-nexthop
 neighbor 2001:db8:1::1 local-role provider
 address-family ipv4 unicast
  network 203.0.113.0/24
  neighbor 2001:db8:1::1 activate
 exit-address-family
!
";

fn bird_configuration() -> String {
    let add = |number| format!("    bgp_large_community.add((65002, 1, {number}));\n");
    let communities: String = (0..LARGE_COMMUNITIES).map(add).collect();
    format!(
        "log \"LOG\" all;
router id 10.0.2.2;
protocol device {{}}
protocol static {{ ipv4; route {FROM_BIRD} blackhole; }}
filter marked {{
{communities}    accept;
}}
protocol bgp subject {{
  debug {{ states, events }};
  local 2001:db8:2::2 as 65002;
  neighbor 2001:db8:2::1 as 65000;
  local role customer;
  require roles;
  enable extended messages on;
  hold time 30;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  graceful restart on;
  graceful restart time 3;
  long lived graceful restart on;
  long lived stale time 600;
  ipv4 {{ import all; export filter marked; extended next hop on; }};
}}
"
    )
}

fn frr_route(frr: &Neighbor) -> String {
    frr.ask(&format!("show bgp ipv4 unicast {FROM_BIRD} json"))
}

fn agreed(place: &Place, neighbor: &str) -> String {
    let said = place.cli(&format!("show bgp neighbor {neighbor} | display json"));
    let Ok(shown) = serde_json::from_str::<serde_json::Value>(&said.text) else { return said.text };
    shown["neighbors"][0]["capabilities_agreed"].to_string()
}

fn reboot(place: &Place) {
    let said = place.cli("request system reboot in-service no-confirm");
    said.assert_succeeded();
    said.assert_says(&["nothing lost"]);
}

#[test]
fn capabilities_agreed_with_frr_and_bird_outlive_reboots_in_service() {
    let place = Place::new();
    let frr = Neighbor::frr(&place, 1, FRR);
    let mut bird = Neighbor::bird(&place, 2, &bird_configuration());
    place.start(&place.file("router.conf", CONFIGURATION)).assert_succeeded();

    let long = || frr_route(&frr).matches("65002:1:").count() >= LARGE_COMMUNITIES;
    assert!(wait_until(SOON, long), "{}\n{}", frr_route(&frr), place.cli("show bgp neighbor").text);
    for (neighbor, roles) in
        [("2001:db8:1::2", "customer here, provider"), ("2001:db8:2::2", "provider here, customer")]
    {
        let shown = agreed(&place, neighbor);
        let common =
            ["extended message", "extended next hop ipv4-unicast by ipv6", "long-lived graceful-restart", "4-octet AS"];
        common
            .into_iter()
            .chain([roles])
            .for_each(|what| assert!(shown.contains(what), "{neighbor}: {what} in {shown}"));
    }
    let learned = || bird.ask(&format!("show route {FROM_FRR} all"));
    // Both know their roles, so the mark was set by FRR already or by us.
    let marked = |text: &str| text.contains("65001") && text.to_lowercase().contains("otc");
    assert!(wait_until(SOON, || marked(&learned())), "{}", learned());
    assert!(learned().contains("2001:db8:2::1"), "our IPv6 address is the next hop: {}", learned());
    let kernel = || place.namespace.ip("route get 203.0.113.1").unwrap_or_default();
    assert!(wait_until(SOON, || kernel().contains("via inet6 2001:db8:1::2")), "{}", kernel());

    let (frr_before, bird_before) = (frr_route(&frr), learned());
    reboot(&place);
    assert_eq!(bird.times_down(), 0);
    let dropped = frr.ask("show bgp neighbors 2001:db8:1::1 json");
    assert!(dropped.contains("\"connectionsDropped\":0"), "{dropped}");
    assert_eq!(frr_route(&frr).matches("65002:1:").count(), frr_before.matches("65002:1:").count());
    assert_eq!(marked(&learned()), marked(&bird_before));
    assert!(kernel().contains("via inet6 2001:db8:1::2"), "{}", kernel());

    // What an operator resets begins from nothing, and FRR is told so (RFC 8538).
    place.cli("clear bgp neighbor 2001:db8:1::2").assert_succeeded();
    let told = || frr.ask("show bgp neighbors 2001:db8:1::1 json");
    assert!(wait_until(SOON, || told().contains("\"lastNotificationHardReset\":true")), "{}", told());
    assert!(wait_until(SOON, long), "{}", frr_route(&frr));

    // BIRD dies without a word and does not come back: beyond graceful restart FRR has its route, marked.
    bird.kill();
    let stale = || frr_route(&frr).contains("llgr-stale");
    assert!(wait_until(SOON, stale), "{}\n{}", frr_route(&frr), place.cli("show bgp neighbor 2001:db8:2::2").text);
    reboot(&place);
    assert!(stale(), "{}", frr_route(&frr));
    place.cli("show bgp neighbor 2001:db8:2::2").assert_says(&["long-lived stale routes go in"]);
}
