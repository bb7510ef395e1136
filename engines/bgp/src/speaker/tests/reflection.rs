//! Route reflection (RFC 4456): who hears what, what is written into it, loops, and that a takeover leaves no trace.

use std::net::Ipv4Addr;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::wire::{AsPath, PathAttributes};

const P: &str = "203.0.113.0/24";
const P6: &str = "2001:db8:1::/48";

const ONE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 101);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 102);

/// 0 and 1: clients of one cluster; 2: of another; 3: no client; 4: external.
fn world() -> World {
    let internal = |index| Peer::new(index, LOCAL_AS);
    let mut world = World::cold(vec![internal(1), internal(2), internal(3), internal(4), Peer::new(5, 65001)]);
    for (peer, cluster) in [(0, ONE), (1, ONE), (2, OTHER)] {
        world.config.bgp.as_mut().unwrap().neighbors[peer].cluster = cluster.into();
    }
    world.configure(|_| {});
    world.establish();
    world
}

fn written(world: &World, peer: usize) -> Option<(Option<Ipv4Addr>, Vec<Ipv4Addr>)> {
    world.peers[peer].route(P).map(|(told, _)| (told.originator_id, told.cluster_list))
}

#[test]
fn a_clients_route_goes_to_everybody() {
    let mut world = world();
    let attributes = PathAttributes { local_pref: Some(300), med: Some(7), ..world.peers[0].attributes(&[65009]) };
    world.peers[0].announce(&[P, P6], &attributes);
    world.run();
    let originator = Some(world.peers[0].open.router_id);
    assert!(written(&world, 0).is_none(), "not back");
    assert_eq!(written(&world, 1), Some((originator, vec![ONE])));
    assert_eq!(written(&world, 2), Some((originator, vec![OTHER, ONE])), "it has passed both clusters");
    assert_eq!(written(&world, 3), Some((originator, vec![ONE])));
    assert_eq!(written(&world, 4), Some((None, vec![])), "reflection stays within the AS");
    let (told, next_hop) = world.peers[3].route(P).unwrap();
    assert_eq!((told.as_path, told.local_pref, told.med), (AsPath::sequence(&[65009]), Some(300), Some(7)));
    assert_eq!(next_hop, world.peers[0].address, "RFC 4456 §10: unchanged");
    assert_eq!(world.peers[3].route(P6).unwrap().1, world.peers[0].v6);
}

#[test]
fn another_internal_neighbours_route_goes_to_clients_only() {
    let mut world = world();
    let before = PathAttributes {
        originator_id: Some("192.0.2.77".parse().unwrap()),
        cluster_list: vec!["192.0.2.78".parse().unwrap()],
        ..world.peers[3].attributes(&[65009])
    };
    world.peers[3].announce(&[P], &before);
    world.run();
    let cluster = before.cluster_list[0];
    assert_eq!(written(&world, 0), Some((before.originator_id, vec![ONE, cluster])), "the first originator stays");
    assert_eq!(written(&world, 2), Some((before.originator_id, vec![OTHER, cluster])));
    assert!(written(&world, 3).is_none());
    let external = world.peers[4].attributes(&[65001]);
    world.peers[4].announce(&[P], &external);
    world.peers[3].withdraw(&[P]);
    world.run();
    assert_eq!(written(&world, 3), Some((None, vec![])), "an external route is not reflected");
}

/// Two neighbours with the very same attributes are told apart by their names.
#[test]
fn equal_attributes_of_different_originators() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65009]);
    let next_hop = world.peers[0].next_hop(crate::wire::Family::Ipv4Unicast);
    for round in 0..3 {
        for peer in [0, 1] {
            let net = format!("198.51.{}.0/24", round * 2 + peer).parse().unwrap();
            world.peers[peer].announce_via(&[net], &attributes, next_hop);
            world.run();
            let (told, _) = world.peers[3].route(&net.to_string()).unwrap();
            assert_eq!(told.originator_id, Some(world.peers[peer].open.router_id));
        }
    }
}

#[test]
fn what_passed_us_before_is_a_loop() {
    let mut world = world();
    let clean = world.peers[3].attributes(&[65009]);
    let ours: Ipv4Addr = "192.0.2.254".parse().unwrap();
    let loops = [
        PathAttributes { originator_id: Some(ours), ..clean.clone() },
        PathAttributes { cluster_list: vec![ours], ..clean.clone() },
        PathAttributes { cluster_list: vec!["192.0.2.9".parse().unwrap(), OTHER], ..clean.clone() },
    ];
    for attributes in loops {
        world.peers[3].announce(&[P], &clean);
        world.run();
        assert!(written(&world, 0).is_some());
        world.peers[3].announce(&[P], &attributes);
        world.run();
        assert!(written(&world, 0).is_none(), "{attributes:?}");
    }
    world.configure_neighbor(2, |neighbor| neighbor.cluster = 0);
    assert!(written(&world, 0).is_some(), "that cluster is ours no more");
}

#[test]
fn clients_that_tell_each_other() {
    let mut world = world();
    world.configure(|config| {
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.no_client_reflect = true);
    });
    let attributes = world.peers[0].attributes(&[65009]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert!(written(&world, 1).is_none(), "of the same cluster");
    assert!(written(&world, 2).is_some() && written(&world, 3).is_some());
    world.configure_neighbor(1, |neighbor| neighbor.no_client_reflect = false);
    assert!(written(&world, 1).is_some());
}

/// Whether one is a client changes what the others hear of it, without touching a session.
#[test]
fn becoming_a_client() {
    let mut world = world();
    let attributes = world.peers[3].attributes(&[65009]);
    world.peers[3].announce(&[P], &attributes);
    world.join();
    world.run();
    world.configure_neighbor(3, |neighbor| neighbor.cluster = OTHER.into());
    assert_eq!(written(&world, 0), Some((Some(world.peers[3].open.router_id), vec![ONE, OTHER])));
    world.assert_equal("a client");
    world.configure(|config| {
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.cluster = 0);
    });
    assert!((0..3).all(|peer| written(&world, peer).is_none()), "no reflector any more");
    world.assert_equal("no clients");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

/// The shorter cluster list wins, then the lower address (RFC 4456 §9).
#[test]
fn the_way_through_fewer_clusters_is_better() {
    let mut world = world();
    let through = |world: &World, peer: usize, clusters: &[u8]| PathAttributes {
        originator_id: Some("192.0.2.77".parse().unwrap()),
        cluster_list: clusters.iter().map(|last| Ipv4Addr::new(192, 0, 2, *last)).collect(),
        ..world.peers[peer].attributes(&[65009])
    };
    let (long, short) = (through(&world, 0, &[1, 2]), through(&world, 1, &[3]));
    world.peers[0].announce(&[P], &long);
    world.peers[1].announce(&[P], &short);
    world.run();
    assert_eq!(world.peers[3].route(P).unwrap().1, world.peers[1].address);
    let equal = through(&world, 0, &[2]);
    world.peers[0].announce(&[P], &equal);
    world.run();
    assert_eq!(world.peers[3].route(P).unwrap().1, world.peers[0].address);
}

#[test]
fn a_takeover_reflects_nothing_anew() {
    let mut world = world();
    for (peer, net) in [(0, P), (1, "198.51.100.0/24"), (3, P6)] {
        let attributes = world.peers[peer].attributes(&[65009]);
        world.peers[peer].announce(&[net], &attributes);
    }
    world.join();
    world.run();
    for round in 0..2 {
        let before = world.updates();
        world.hand_over("reflection");
        world.run();
        assert_eq!(world.updates(), before, "nothing was due");
        let attributes = PathAttributes { med: Some(round), ..world.peers[1].attributes(&[65009]) };
        world.peers[1].announce(&["198.51.100.0/24"], &attributes);
        world.run();
        assert_eq!(world.peers[3].route("198.51.100.0/24").unwrap().0.med, Some(round));
        world.assert_equal("reflection");
    }
}
