//! The table's promises, one scenario each, through the public interface alone.

use holdfast_rib::*;
use ipnet::IpNet;
use std::net::IpAddr;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn gateways(texts: &[&str]) -> NexthopSpec {
    NexthopSpec::Gateways(texts.iter().map(|text| ip(text)).collect())
}

fn static_route(prefix: &str, spec: NexthopSpec) -> StaticRouteSpec {
    StaticRouteSpec { prefix: net(prefix), spec, preference: Protocol::Static.default_preference(), tag: 0 }
}

/// Two links, 10.0.1.1/24 and 10.0.2.1/24.
fn router() -> Rib {
    let mut rib = Rib::new();
    for (index, name, address) in [(1, "eth1", "10.0.1.1/24"), (2, "eth2", "10.0.2.1/24")] {
        rib.interface_update(index, name, true);
        rib.address_added(index, net(address));
    }
    rib
}

/// BGP's route as BGP would set it: it holds the prefix and lets the table hold the next hop.
fn bgp(rib: &mut Rib, prefix: &str, spec: NexthopSpec) -> PrefixId {
    let family = Family::of(&net(prefix));
    let id = rib.prefixes_mut(family).intern(net(prefix));
    let nexthop = rib.intern_nexthop(spec);
    rib.set_bgp(family, id, Some(BgpRoute { nexthop, preference: 170, installed: true }));
    rib.release_nexthop(nexthop);
    id
}

fn weighted(ways: &[(&str, u16)]) -> NexthopSpec {
    NexthopSpec::weighted(ways.iter().map(|(address, weight)| (NexthopSpec::gateway(ip(address)), *weight)))
}

#[test]
fn gateways_share_by_weight_and_equal_ones_need_none() {
    let mut rib = router();
    assert_eq!(weighted(&[("10.0.1.2", 7), ("10.0.2.2", 7)]), gateways(&["10.0.1.2", "10.0.2.2"]));
    assert_eq!(weighted(&[("10.0.1.2", 7), ("10.0.1.2", 3)]), gateways(&["10.0.1.2"]));
    let weights = |rib: &Rib, id| {
        let resolved = rib.resolved(id)?;
        Some(resolved.gateways().iter().map(|gateway| gateway.weight).collect::<Vec<_>>())
    };
    let scoped = NexthopSpec::ScopedGateway { address: ip("fe80::2"), interface_index: 2 };
    let ways = [(NexthopSpec::gateway(ip("10.0.1.2")), 3), (NexthopSpec::gateway(ip("10.0.2.2")), 6), (scoped, 9)];
    let id = rib.intern_nexthop(NexthopSpec::weighted(ways));
    assert_eq!(weights(&rib, id), Some(vec![1, 2, 3]));
    rib.interface_update(2, "eth2", false);
    assert_eq!(weights(&rib, id), Some(vec![1]), "what is left has everything");
    rib.interface_update(1, "eth1", false);
    assert_eq!(weights(&rib, id), None);
    rib.interface_update(1, "eth1", true);
    rib.interface_update(2, "eth2", true);
    // Of what lies behind a static route with two gateways each has half; what two lead to has the sum.
    rib.set_static(vec![static_route("192.0.2.0/24", gateways(&["10.0.1.2", "10.0.2.2"]))]);
    let behind = rib.intern_nexthop(weighted(&[("192.0.2.1", 8), ("10.0.1.2", 2)]));
    assert_eq!(weights(&rib, behind), Some(vec![3, 2]));
    // Also of a weight that cannot be halved.
    let scoped = NexthopSpec::ScopedGateway { address: ip("fe80::2"), interface_index: 2 };
    let small = NexthopSpec::weighted([(NexthopSpec::gateway(ip("192.0.2.1")), 1), (scoped, 4)]);
    let small = rib.intern_nexthop(small);
    assert_eq!(weights(&rib, small), Some(vec![1, 1, 8]));
    // A sum is no greater than what the kernel takes.
    rib.set_static(vec![static_route("192.0.2.0/24", gateways(&["10.0.2.2"]))]);
    let sum = rib.intern_nexthop(weighted(&[("10.0.1.2", 1), ("192.0.2.1", 254), ("192.0.2.2", 255)]));
    assert_eq!(weights(&rib, sum), Some(vec![1, 255]));
}

/// The forwarding entry for an address as text.
fn forwarding(rib: &Rib, address: &str) -> String {
    match rib.fib_lookup(ip(address)).map(|(_, id)| rib.forwarding_nexthop(id)) {
        None => "none".to_owned(),
        Some(ForwardingNexthop::Discard) => "discard".to_owned(),
        Some(ForwardingNexthop::Reject) => "reject".to_owned(),
        Some(next_hop) => {
            let text = |gateway: &Gateway| {
                let link = rib.interface_name(gateway.interface_index).unwrap_or("?");
                gateway.address.map_or(format!("on {link}"), |address| format!("{address} on {link}"))
            };
            let used = next_hop.gateways().iter().map(text).collect::<Vec<_>>().join(", ");
            used + &next_hop.backup().map(|backup| format!(", backup {}", text(backup))).unwrap_or_default()
        }
    }
}

#[test]
fn digests_are_what_they_have_always_been() {
    // Other versions compute the same numbers. A failure here means that an upgrade in service cannot compare tables.
    let unicast = |list: &[(Option<&str>, u32, u16)]| {
        let gateway = |(address, interface_index, weight): &(Option<&str>, u32, u16)| Gateway {
            address: address.map(ip),
            interface_index: *interface_index,
            weight: *weight,
        };
        ForwardingNexthop::Unicast(list.iter().map(gateway).collect())
    };
    let two = unicast(&[(Some("10.0.1.2"), 1, 1), (Some("2001:db8::1"), 2, 3)]);
    assert_eq!(entry_hash(&[]), 0x2d06_8005_38d3_94c2);
    assert_eq!(entry_hash(&[b"holdfast", b"", b"rib"]), 0xcb10_a5dc_1af4_39db);
    assert_eq!(fib_entry_hash(&net("203.0.113.0/24"), &unicast(&[(Some("10.0.1.2"), 1, 1)])), 0x740c_cf3f_0bb3_be64);
    assert_eq!(fib_entry_hash(&net("2001:db8::/32"), &two), 0x152a_f364_1aa1_5b68);
    assert_eq!(fib_entry_hash(&net("0.0.0.0/0"), &unicast(&[(None, 7, 1)])), 0x77f6_3fa4_724a_542b);
    assert_eq!(fib_entry_hash(&net("192.0.2.1/32"), &ForwardingNexthop::Discard), 0xa083_c56c_2f5e_7ca7);
    assert_eq!(fib_entry_hash(&net("192.0.2.1/32"), &ForwardingNexthop::Reject), 0x56a9_aa88_5679_07ae);
    let mut rib = router();
    bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.2.2", "10.0.1.2"]));
    rib.set_static(vec![static_route("0.0.0.0/0", NexthopSpec::Discard)]);
    assert_eq!(rib.rib_digest(Family::Ipv4Unicast), Digest { sum: 0x1d48_d704_bb2e_eab7, entries: 4 });
    assert_eq!(rib.fib_digest(Family::Ipv4Unicast), Digest { sum: 0x2674_79f1_ce2a_43a9, entries: 2 });
}

#[test]
fn a_link_takes_its_routes_along_and_brings_them_back() {
    let mut rib = router();
    let id = bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.1.2"]));
    rib.set_static(vec![static_route("198.51.100.0/24", gateways(&["10.0.1.3"]))]);
    let before = (rib.fib_digest(Family::Ipv4Unicast), rib.rib_digest(Family::Ipv4Unicast));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.2 on eth1");
    assert_eq!(rib.take_fib_changes(10).len(), 2);
    rib.take_changed_nexthops();

    rib.interface_update(1, "eth1", false);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "none");
    assert_eq!(rib.active(Family::Ipv4Unicast, id), None);
    let nexthop = rib.bgp_route(Family::Ipv4Unicast, id).unwrap().nexthop;
    assert!(rib.take_changed_nexthops().contains(&nexthop));
    assert_eq!(rib.nexthop_reachable(nexthop), None);
    let removed = rib.take_fib_changes(10);
    assert!(removed.len() == 2 && removed.iter().all(|change| change.next_hop.is_none()));
    assert_eq!(rib.fib_len(Family::Ipv4Unicast), 0);

    rib.interface_update(1, "eth1", true);
    assert_eq!((rib.fib_digest(Family::Ipv4Unicast), rib.rib_digest(Family::Ipv4Unicast)), before);
    assert_eq!(rib.take_fib_changes(10).len(), 2);
    assert_eq!(rib.take_changed_nexthops().iter().filter(|id| **id == nexthop).count(), 1);
}

#[test]
fn ecmp_keeps_the_members_that_resolve() {
    let mut rib = router();
    bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.2.2", "10.0.1.2", "10.0.2.2", "10.9.9.9"]));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.2 on eth1, 10.0.2.2 on eth2");
    rib.interface_update(2, "eth2", false);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.2 on eth1");
}

#[test]
fn static_routes_carry_gateways_recursively_and_without_loops() {
    let mut rib = router();
    let through = bgp(&mut rib, "203.0.113.0/24", gateways(&["172.16.0.1"]));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "none");
    rib.set_static(vec![
        static_route("172.16.0.0/16", gateways(&["172.17.0.1"])),
        static_route("172.17.0.0/16", gateways(&["10.0.1.9"])),
    ]);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.9 on eth1");
    let nexthop = rib.bgp_route(Family::Ipv4Unicast, through).unwrap().nexthop;
    assert_eq!(rib.nexthop_reachable(nexthop), Some(1));

    rib.set_static(vec![
        static_route("172.16.0.0/16", gateways(&["172.17.0.1"])),
        static_route("172.17.0.0/16", gateways(&["172.16.0.1"])),
    ]);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "none");
    assert_eq!(forwarding(&rib, "172.16.5.5"), "none");

    // Two routes that point at each other are passed over in favour of a shorter one that leads somewhere.
    rib.set_static(vec![
        static_route("172.16.0.0/16", gateways(&["172.17.0.1"])),
        static_route("172.17.0.0/16", gateways(&["172.16.0.1"])),
        static_route("0.0.0.0/0", gateways(&["10.0.1.9"])),
    ]);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.9 on eth1");

    // A chain that is longer than the limit leads nowhere; one that is as long does.
    let chain = |length: u8| {
        let link = |n: u8| static_route(&format!("172.{}.0.0/16", 16 + n), gateways(&[&format!("172.{}.0.1", 17 + n)]));
        let last = static_route(&format!("172.{}.0.0/16", 15 + length), gateways(&["10.0.2.9"]));
        (0..length - 1).map(link).chain([last]).collect::<Vec<_>>()
    };
    rib.set_static(chain(limits::RESOLUTION_DEPTH_MAX as u8));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.2.9 on eth2");
    rib.set_static(chain(limits::RESOLUTION_DEPTH_MAX as u8 + 1));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "none");
}

#[test]
fn a_static_discard_blackholes_what_points_into_it() {
    let mut rib = router();
    rib.set_static(vec![static_route("192.0.2.1/32", NexthopSpec::Discard)]);
    bgp(&mut rib, "203.0.113.66/32", gateways(&["192.0.2.1"]));
    bgp(&mut rib, "203.0.113.67/32", gateways(&["192.0.2.1", "10.0.1.2"]));
    assert_eq!(forwarding(&rib, "203.0.113.66"), "discard");
    assert_eq!(forwarding(&rib, "203.0.113.67"), "10.0.1.2 on eth1");
}

#[test]
fn bgp_does_not_resolve_bgp_and_nobody_routes_to_ourselves() {
    let mut rib = router();
    bgp(&mut rib, "172.16.0.0/16", gateways(&["10.0.1.2"]));
    bgp(&mut rib, "203.0.113.0/24", gateways(&["172.16.0.1"]));
    bgp(&mut rib, "198.51.100.0/24", gateways(&["10.0.1.1"]));
    assert_eq!(forwarding(&rib, "203.0.113.1"), "none");
    assert_eq!(forwarding(&rib, "198.51.100.1"), "none");
    rib.address_removed(1, net("10.0.1.1/24"));
    rib.address_added(1, net("10.0.1.7/24"));
    assert_eq!(forwarding(&rib, "198.51.100.1"), "10.0.1.1 on eth1");
}

#[test]
fn link_local_gateways_need_their_link() {
    let mut rib = router();
    rib.address_added(1, net("fe80::1/64"));
    let scoped = NexthopSpec::ScopedGateway { address: ip("fe80::2"), interface_index: 1 };
    bgp(&mut rib, "2001:db8:1::/48", gateways(&["fe80::2"]));
    bgp(&mut rib, "2001:db8:2::/48", scoped);
    assert_eq!(forwarding(&rib, "2001:db8:1::1"), "none");
    assert_eq!(forwarding(&rib, "2001:db8:2::1"), "fe80::2 on eth1");
    assert!(
        rib.active(Family::Ipv6Unicast, rib.prefixes(Family::Ipv6Unicast).get(net("fe80::/64")).unwrap_or(PrefixId(9)))
            .is_none()
    );
}

#[test]
fn preference_decides_and_the_loser_waits() {
    let mut rib = router();
    let family = Family::Ipv4Unicast;
    let id = bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.1.2"]));
    assert_eq!(rib.take_changed(10).len(), 2, "the two direct routes");
    rib.set_static(vec![static_route("203.0.113.0/24", gateways(&["10.0.2.9"]))]);
    assert_eq!(rib.active(family, id).map(|route| route.protocol), Some(Protocol::Static));
    assert_eq!(rib.take_changed(10), [(family, id)]);
    let candidates = rib.candidates(family, id);
    assert_eq!(
        candidates.iter().map(|c| (c.route.protocol, c.active)).collect::<Vec<_>>(),
        [(Protocol::Static, true), (Protocol::Bgp, false)]
    );
    // The static route's link fails: BGP's route takes over, and redistribution hears of it.
    rib.interface_update(2, "eth2", false);
    assert_eq!(forwarding(&rib, "203.0.113.1"), "10.0.1.2 on eth1");
    assert!(rib.take_changed(10).contains(&(family, id)));
    assert!(rib.candidates(family, id).iter().any(|candidate| !candidate.reachable));
}

#[test]
fn released_ids_come_after_the_last_change_that_left_them() {
    let mut rib = router();
    let family = Family::Ipv4Unicast;
    let id = bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.1.2"]));
    let old = rib.take_fib_changes(1)[0].next_hop.unwrap();
    assert_eq!(rib.take_released_nexthops(), []);
    let nexthop = rib.intern_nexthop(gateways(&["10.0.2.2"]));
    rib.set_bgp(family, id, Some(BgpRoute { nexthop, preference: 170, installed: true }));
    assert_eq!(rib.take_released_nexthops(), [], "a reader still has routes through it");
    assert_ne!(rib.take_fib_changes(1)[0].next_hop, Some(old));
    assert_eq!(rib.take_released_nexthops(), [old]);
    // The id is free: the next new next hop gets it.
    bgp(&mut rib, "198.51.100.0/24", gateways(&["10.0.1.3"]));
    assert_eq!(rib.take_fib_changes(1)[0].next_hop, Some(old));
}

#[test]
fn changes_are_told_by_address_and_as_they_are_when_their_turn_comes() {
    let mut rib = router();
    let family = Family::Ipv4Unicast;
    let told = ["203.0.113.0/24", "1.0.0.0/24", "198.51.100.0/24", "1.0.0.0/16", "192.0.2.0/24"];
    let ids = told.map(|prefix| bgp(&mut rib, prefix, gateways(&["10.0.1.2"])));
    let prefixes = |changes: &[FibChange]| changes.iter().map(|change| change.prefix.to_string()).collect::<Vec<_>>();
    assert_eq!(prefixes(&rib.take_fib_changes(2)), ["1.0.0.0/16", "1.0.0.0/24"]);
    // What has changed since the order was made: one again, one that goes, and a new one.
    rib.set_bgp(family, ids[1], None);
    rib.set_bgp(family, ids[2], None);
    bgp(&mut rib, "2.0.0.0/24", gateways(&["10.0.1.2"]));
    let rest = rib.take_fib_changes(10);
    let expected = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "1.0.0.0/24", "2.0.0.0/24"];
    assert_eq!(prefixes(&rest), expected);
    assert_eq!(rest.iter().filter(|change| change.next_hop.is_none()).count(), 2);
    assert_eq!(rib.fib_changes_waiting(), 0);
}

#[test]
fn what_a_reader_has_to_hear_keeps_its_prefix() {
    let mut rib = router();
    let family = Family::Ipv4Unicast;
    let id = bgp(&mut rib, "203.0.113.0/24", gateways(&["10.0.1.2"]));
    rib.take_fib_changes(10);
    rib.set_bgp(family, id, None);
    assert!(!rib.prefixes_mut(family).release(id), "the removal was not taken yet");
    assert_eq!(rib.take_fib_changes(10), [FibChange { prefix: net("203.0.113.0/24"), next_hop: None }]);
    assert_eq!(rib.prefixes(family).get(net("203.0.113.0/24")), None);
}

#[test]
fn the_router_knows_its_own_addresses() {
    let mut rib = router();
    assert_eq!(rib.local_address_for(ip("10.0.2.77")), Some(ip("10.0.2.1")));
    assert_eq!(rib.interface_for(ip("10.0.2.77")), Some(2));
    assert_eq!(rib.local_address_for(ip("10.0.3.1")), None);
    assert!(rib.is_local(ip("10.0.1.1")) && !rib.is_local(ip("10.0.1.2")));
    assert_eq!(rib.highest_address(), Some("10.0.2.1".parse().unwrap()));
    rib.interface_update(3, "lo", true);
    rib.address_added(3, net("127.0.0.1/8"));
    assert_eq!(rib.highest_address(), Some("10.0.2.1".parse().unwrap()));
    rib.address_added(3, net("10.0.0.1/32"));
    assert_eq!(rib.highest_address(), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(rib.interface_index("eth2"), Some(2));
}

#[test]
fn a_prefix_stays_small_with_many_of_them() {
    let mut rib = router();
    let family = Family::Ipv4Unicast;
    let nexthop = rib.intern_nexthop(gateways(&["10.0.1.2"]));
    const ROUTES: u32 = 200_000;
    for number in 0..ROUTES {
        let address = std::net::Ipv4Addr::from_bits(0x2000_0000 + (number << 8));
        let id = rib.prefixes_mut(family).intern(IpNet::new(address.into(), 24).unwrap());
        rib.set_bgp(family, id, Some(BgpRoute { nexthop, preference: 170, installed: true }));
        rib.prefixes_mut(family).release(id);
    }
    // 8 for the prefix, 8 for its routes, up to 12 for the index, and what growing vectors keep in reserve.
    let per_prefix = rib.memory_bytes(family) / ROUTES as usize;
    assert!(per_prefix <= 36, "{per_prefix} bytes per prefix");
    assert_eq!(rib.fib_len(family), ROUTES as usize);
    rib.interface_update(1, "eth1", false);
    assert_eq!(rib.fib_len(family), 0);
    assert_eq!(rib.fib_changes_waiting(), ROUTES as usize);
}

/// An aggregate is a route like a static one, but nothing is resolved through it.
#[test]
fn aggregates() {
    let mut rib = Rib::new();
    let family = Family::Ipv4Unicast;
    rib.set_aggregate(net("198.51.0.0/16"), Some((NexthopSpec::Discard, 130)));
    let id = rib.prefixes(family).get(net("198.51.0.0/16")).expect("it is there");
    assert_eq!(rib.active(family, id).map(|route| route.protocol), Some(Protocol::Aggregate));
    assert_eq!((rib.fib_len(family), rib.counts(family).protocols[Protocol::Aggregate.index()].active), (1, 1));
    let through = rib.intern_nexthop(NexthopSpec::gateway("198.51.0.1".parse().unwrap()));
    assert_eq!(rib.nexthop_reachable(through), None, "it only stands for longer routes");
    assert_eq!(rib.take_changed(8), [(family, id)]);
    rib.set_static(vec![static_route("198.51.0.0/16", NexthopSpec::Reject)]);
    assert_eq!(rib.active(family, id).map(|route| route.protocol), Some(Protocol::Static));
    rib.set_static(Vec::new());
    let before = rib.fib_digest(family);
    rib.set_aggregate(net("198.51.0.0/16"), Some((NexthopSpec::Reject, 130)));
    assert_ne!(rib.fib_digest(family), before);
    rib.set_aggregate(net("198.51.0.0/16"), None);
    assert_eq!((rib.fib_len(family), rib.counts(family).destinations), (0, 0));
}
