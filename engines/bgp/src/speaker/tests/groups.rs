//! Routes of other protocols on their way out, and neighbours that share what was worked out.

use holdfast_proto::v1::{PolicyActions, PolicyMatch};
use holdfast_rib::{Family, NexthopSpec};

use super::peer::Peer;
use super::world::{LOCAL, LOCAL_AS, LOCAL_V6, World, accept, policy, term};

fn redistributing(protocols: &[&str]) -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    let protocols = protocols.iter().map(ToString::to_string).collect();
    world.configure(|config| {
        let from = PolicyMatch { protocols, ..PolicyMatch::default() };
        config.policy.as_mut().unwrap().statements = vec![policy("r", vec![term(from, accept())])];
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.export_policies = vec!["r".into()];
        }
    });
    world
}

#[test]
fn static_routes_are_told_only_where_a_policy_says_so() {
    let mut world = redistributing(&["static"]);
    world.configure_neighbor(1, |neighbor| neighbor.export_policies.clear());
    let statics = [("203.0.113.0/24", NexthopSpec::Discard), ("2001:db8:9::/48", NexthopSpec::Discard)];
    world.set_static(&statics);
    for (prefix, own) in [("203.0.113.0/24", LOCAL), ("2001:db8:9::/48", LOCAL_V6)] {
        let (told, next_hop) = world.peers[0].route(prefix).expect(prefix);
        assert_eq!((told.as_path.to_string().as_str(), next_hop.to_string().as_str()), ("65000", own));
        let (told, next_hop) = world.peers[2].route(prefix).expect(prefix);
        assert_eq!((told.local_pref, next_hop.to_string().as_str()), (Some(100), own));
        assert!(!world.peers[1].has(prefix));
    }
    world.set_static(&statics[..1]);
    assert!(!world.peers[0].has("2001:db8:9::/48"));
    world.set_static(&[]);
    assert!(world.peers[0].table.is_empty());
}

#[test]
fn direct_routes_come_and_go_with_their_link() {
    let mut world = redistributing(&["direct"]);
    assert_eq!(world.peers[0].path("10.0.0.0/24"), "65000");
    assert_eq!(world.peers[0].path("2001:db8::/64"), "65000");
    world.interface(|rib| {
        rib.interface_update(2, "eth1", true);
        rib.address_added(2, "198.51.100.1/24".parse().unwrap());
    });
    world.run();
    assert!(world.peers[0].has("198.51.100.0/24"));
    world.interface(|rib| rib.interface_update(2, "eth1", false));
    world.run();
    assert!(!world.peers[0].has("198.51.100.0/24"));
}

#[test]
fn a_static_route_takes_the_place_of_a_bgp_route_and_gives_it_back() {
    let mut world = redistributing(&["direct"]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["203.0.113.0/24"], &attributes);
    world.run();
    assert!(world.peers[1].has("203.0.113.0/24"));
    world.set_static(&[("203.0.113.0/24", NexthopSpec::Discard)]);
    assert!(!world.peers[1].has("203.0.113.0/24"), "static routes are not exported here");
    world.set_static(&[]);
    assert_eq!(world.peers[1].path("203.0.113.0/24"), "65000 65001");
}

#[test]
fn one_change_for_both_families() {
    let mut world = redistributing(&["static", "bgp"]);
    world.configure(|config| {
        let change = PolicyActions { metric: Some(9), next_hop_self: true, ..accept() };
        config.policy.as_mut().unwrap().statements = vec![policy("r", vec![term(PolicyMatch::default(), change)])];
    });
    world.set_static(&[("203.0.113.0/24", NexthopSpec::Discard), ("2001:db8:9::/48", NexthopSpec::Discard)]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["198.51.100.0/24", "2001:db8:8::/48"], &attributes);
    world.join();
    world.run();
    for prefix in ["203.0.113.0/24", "198.51.100.0/24"] {
        assert_eq!(world.peers[2].route(prefix).unwrap().1.to_string(), LOCAL);
    }
    for prefix in ["2001:db8:9::/48", "2001:db8:8::/48"] {
        assert_eq!(world.peers[2].route(prefix).unwrap().1.to_string(), LOCAL_V6);
    }
    world.assert_equal("both families");
}

#[test]
fn routes_follow_their_next_hops_way() {
    let mut world = redistributing(&["bgp"]);
    world.interface(|rib| {
        rib.interface_update(2, "eth1", true);
        rib.address_added(2, "10.0.9.1/24".parse().unwrap());
    });
    let attributes = world.peers[2].attributes(&[65009]);
    let far = crate::wire::NextHop::V4("10.0.9.7".parse().unwrap());
    let nets: Vec<_> = ["203.0.113.0/24", "198.51.100.0/24"].map(|text| text.parse().unwrap()).to_vec();
    world.peers[2].announce_via(&nets, &attributes, far);
    world.run();
    assert!(world.peers[0].has("203.0.113.0/24"));
    world.interface(|rib| rib.interface_update(2, "eth1", false));
    world.run();
    assert!(!world.peers[0].has("203.0.113.0/24"));
    world.interface(|rib| rib.interface_update(2, "eth1", true));
    world.run();
    assert!(world.peers[0].has("203.0.113.0/24"));
}

/// While a scan is under way the next hop moves again: nobody may be left with what was true in between.
#[test]
fn a_next_hop_that_flaps_faster_than_the_scan() {
    let mut world = redistributing(&["bgp"]);
    world.interface(|rib| {
        rib.interface_update(2, "eth1", true);
        rib.address_added(2, "10.0.9.1/24".parse().unwrap());
    });
    let attributes = world.peers[2].attributes(&[65009]);
    let far = crate::wire::NextHop::V4("10.0.9.7".parse().unwrap());
    let nets: Vec<ipnet::IpNet> =
        (0..6000u32).map(|i| format!("172.{}.{}.0/24", 16 + i / 256, i % 256).parse().unwrap()).collect();
    world.peers[2].announce_via(&nets, &attributes, far);
    world.run();
    assert_eq!(world.peers[0].table.len(), 6000);
    for slices in 1..4 {
        // Down; some slices; up again; some slices; down; ... and each time output in between.
        for up in [false, true, false, true] {
            world.interface(|rib| rib.interface_update(2, "eth1", up));
            let engine = &mut world.engines[0];
            engine.speaker.nexthops_moved(engine.rib.take_changed_nexthops());
            for _ in 0..slices {
                engine.speaker.background(&mut engine.rib);
            }
            let id = engine.speaker.find_neighbor(world.peers[0].address).unwrap();
            if up {
                engine.speaker.advertise_anew(id);
            }
            let mut out = Vec::new();
            engine.speaker.fill_output(id, &mut engine.rib, &mut out, world.now);
            world.peers[0].hear(&out);
        }
        world.run();
        assert_eq!(world.peers[0].table.len(), 6000, "{slices} slices between");
        let engine = world.primary();
        assert_eq!(engine.rib.fib_digest(Family::Ipv4Unicast).entries, 6000);
    }
}

/// Neighbours share what a route becomes, but not the address that "ourselves" is on their link.
#[test]
fn our_address_on_the_link_moves() {
    let mut world = redistributing(&["static", "bgp"]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["198.51.100.0/24", "2001:db8:8::/48"], &attributes);
    world.set_static(&[("2001:db8:9::/48", NexthopSpec::Discard)]);
    world.join();
    world.run();
    let told = |world: &World, prefix: &str| world.peers[1].route(prefix).map(|(_, next_hop)| next_hop.to_string());
    assert_eq!(told(&world, "2001:db8:9::/48").as_deref(), Some(LOCAL_V6));
    // The session is over IPv4, so it stays; IPv6 routes are told under the address that is there now.
    let renumber = |rib: &mut holdfast_rib::Rib, from: &str, to: &str| {
        rib.address_added(1, to.parse().unwrap());
        rib.address_removed(1, from.parse().unwrap());
    };
    world.interface(|rib| renumber(rib, &format!("{LOCAL_V6}/64"), "2001:db8:0:5::9/64"));
    world.run();
    assert_eq!(told(&world, "2001:db8:9::/48").as_deref(), Some("2001:db8:0:5::9"));
    assert_eq!(told(&world, "198.51.100.0/24").as_deref(), Some(LOCAL));
    world.assert_equal("renumbered");
    world.interface(|rib| rib.address_removed(1, "2001:db8:0:5::9/64".parse().unwrap()));
    world.run();
    assert_eq!(
        (told(&world, "2001:db8:9::/48"), told(&world, "2001:db8:8::/48")),
        (None, None),
        "there is none to tell"
    );
    world.assert_equal("without an address");
    world.interface(|rib| rib.address_added(1, format!("{LOCAL_V6}/64").parse().unwrap()));
    world.run();
    assert_eq!(told(&world, "2001:db8:9::/48").as_deref(), Some(LOCAL_V6));
    world.assert_equal("with it again");
    world.hand_over("renumbered");
    world.run();
    assert_eq!(told(&world, "2001:db8:9::/48").as_deref(), Some(LOCAL_V6));
}
