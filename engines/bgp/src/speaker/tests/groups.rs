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

/// What one neighbour has is noted with what others have. It leaves them, in the middle of changes, and again before it has left:
/// it is told what is new to it, nobody else anything, and the notes of whoever is gone are gone.
#[test]
fn a_neighbor_leaves_those_who_are_told_the_same() {
    let mut world = World::new((1..=4).map(|index| Peer::new(index, 65000 + u32::from(index))).collect());
    world.slice = 4096;
    world.join();
    let nets: Vec<ipnet::IpNet> =
        (0..6000u32).map(|i| format!("172.{}.{}.0/24", 16 + i / 256, i % 256).parse().unwrap()).collect();
    let attributes = world.peers[0].attributes(&[65001]);
    let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
    world.peers[0].announce_via(&nets, &attributes, next_hop);
    world.run();
    let others: u64 = world.peers[2..].iter().map(|peer| peer.updates).sum();
    for metric in [7, 8, 9] {
        world.put_in_force(|config| {
            let change = PolicyActions { metric: Some(metric), ..accept() };
            let from = PolicyMatch { protocols: vec!["bgp".into()], ..PolicyMatch::default() };
            config.policy.as_mut().unwrap().statements = vec![policy("m", vec![term(from, change)])];
            config.bgp.as_mut().unwrap().neighbors[1].export_policies = vec!["m".into()];
        });
        world.turn(usize::MAX);
        let id = world.id(1);
        assert!(world.primary().speaker.get(id).unwrap().leaving.is_some(), "it has not left yet");
    }
    for net in &nets[..2] {
        world.peers[0].withdraw_net(*net);
    }
    world.run();
    let told = |peer: usize| world.peers[peer].table.values().map(|(block, _)| block.clone()).collect::<Vec<_>>();
    assert!(told(1).iter().all(|block| crate::wire::PathAttributes::decode(block).unwrap().med == Some(9)));
    assert!([1, 2, 3].iter().all(|peer| told(*peer).len() == 5998));
    assert_eq!(world.peers[2..].iter().map(|peer| peer.updates).sum::<u64>(), others + 2, "the withdrawals");
    assert_eq!(world.peers.iter().map(|peer| peer.idle_withdrawals + peer.repeated).sum::<u64>(), 0);
    world.assert_equal("left");
    for engine in &world.engines {
        let mut neighbors = engine.speaker.neighbors.iter().flatten();
        assert!(neighbors.all(|neighbor| neighbor.leaving.is_none()));
        assert_eq!(engine.speaker.groups.iter().flatten().count(), 2);
    }
    world.hand_over("left");
    world.run();
    assert_eq!(world.peers.iter().map(|peer| peer.repeated).sum::<u64>(), 0);
    for peer in 0..4 {
        world.peers[peer].away = true;
        world.cut(peer);
    }
    world.run();
    assert_eq!([0, 1].map(|index| world.held(index)), [(0, 0); 2]);
}

/// A neighbour that does not read keeps what it was told while the others hear news; what is noted for it is noted for it alone.
#[test]
fn one_who_does_not_read_is_behind_the_others() {
    let mut world = World::new((1..=3).map(|index| Peer::new(index, 65000 + u32::from(index))).collect());
    let nets = ["203.0.113.0/24", "198.51.100.0/24"];
    let announce = |world: &mut World, med: u32| {
        let attributes = crate::wire::PathAttributes { communities: vec![med], ..world.peers[0].attributes(&[65001]) };
        world.peers[0].announce(&nets, &attributes);
    };
    announce(&mut world, 1);
    world.run();
    let slow = world.connections.iter().position(|connection| connection.peer == 1).unwrap();
    let connection = world.connections.remove(slow);
    announce(&mut world, 2);
    world.run();
    announce(&mut world, 3);
    world.run();
    let med = |world: &World, peer: usize| world.peers[peer].route(nets[0]).unwrap().0.communities[0];
    assert_eq!((med(&world, 1), med(&world, 2)), (1, 3));
    world.peers[0].withdraw(&nets[1..]);
    world.connections.push(connection);
    world.run();
    assert_eq!((med(&world, 1), world.peers[1].table.len()), (3, 1));
    assert_eq!(world.peers.iter().map(|peer| peer.idle_withdrawals + peer.repeated).sum::<u64>(), 0);
}
