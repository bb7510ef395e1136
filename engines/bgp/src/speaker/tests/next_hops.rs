//! Which next hops a neighbour may name (RFC 4271 §5.1.3, §6.3), and over which link they lead.

use std::net::{IpAddr, Ipv6Addr};

use holdfast_proto::v1::{BgpNeighborConfig, PolicyActions, PolicyMatch, PolicyOptions, Route};
use holdfast_rib::NexthopSpec;

use super::peer::Peer;
use super::world::{LOCAL_AS, LOCAL_LINK, World, accept, policy, term};
use crate::wire::{Family, NextHop};

const P: &str = "172.16.0.0/16";
const REMOTE: &str = "10.9.9.9";
const REASON: &str =
    "next hop 10.9.9.9 is on no link of ours (RFC 4271 section 6.3); accept-remote-nexthop lets it be used";

/// 10.0.0.1 tells P, and a static route leads to its next hop through 10.0.0.2.
fn world(next_hop: &str, change: impl FnOnce(&mut BgpNeighborConfig)) -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    world.set_static(&[("10.9.0.0/16", NexthopSpec::gateway("10.0.0.2".parse().unwrap()))]);
    world.configure_neighbor(0, change);
    tell(&mut world, 0, next_hop);
    world
}

fn tell(world: &mut World, peer: usize, next_hop: &str) {
    let attributes = match peer {
        2 => world.peers[peer].attributes(&[65001]),
        _ => world.peers[peer].attributes(&[65001 + peer as u32]),
    };
    world.peers[peer].announce_via(&[P.parse().unwrap()], &attributes, NextHop::V4(next_hop.parse().unwrap()));
    world.run();
}

fn routes(world: &World, prefix: &str) -> Vec<Route> {
    let (engine, prefix) = (world.primary(), prefix.parse().unwrap());
    let family = Family::of(&prefix);
    let id = engine.rib.prefixes(family).get(prefix).expect("it was told");
    engine.speaker.routes(&engine.rib, family, id)
}

fn reason(world: &World) -> String {
    routes(world, P)[0].inactive_reason.clone()
}

#[test]
fn beyond_our_links_only_with_the_operators_consent() {
    let mut world = world(REMOTE, |_| {});
    assert_eq!(reason(&world), REASON);
    assert!(!world.peers[1].has(P), "what is not used is not told on");
    world.join();
    world.configure_neighbor(0, |neighbor| neighbor.accept_remote_nexthop = true);
    assert_eq!(reason(&world), "");
    assert_eq!(routes(&world, P)[0].next_hops[0].gateway, "10.0.0.2");
    assert!(world.peers[1].has(P));
    world.hand_over("with a remote next hop");
    world.run();
    assert_eq!(reason(&world), "");
    world.assert_equal("handed over");
    world.configure_neighbor(0, |neighbor| neighbor.accept_remote_nexthop = false);
    assert_eq!(reason(&world), REASON);
    assert!(!world.peers[1].has(P) && world.peers.iter().all(|peer| peer.sessions == 1));
    world.assert_equal("taken back");
}

#[test]
fn one_that_is_used_is_not_made_worse_by_one_that_may_not_be() {
    let mut world = world(REMOTE, |_| {});
    tell(&mut world, 1, "10.0.0.2");
    let told = |world: &World| {
        routes(world, P).into_iter().map(|route| (route.active, route.inactive_reason)).collect::<Vec<_>>()
    };
    assert_eq!(told(&world), [(true, String::new()), (false, REASON.to_owned())]);
    world.peers[1].withdraw(&[P]);
    world.run();
    assert_eq!(told(&world), [(false, REASON.to_owned())]);
}

#[test]
fn whoever_need_not_be_one_hop_away_may_name_any() {
    let mut world = world(REMOTE, |neighbor| neighbor.multihop_ttl = 2);
    assert_eq!(reason(&world), "");
    world.configure_neighbor(0, |neighbor| (neighbor.multihop_ttl, neighbor.ttl_security_hops) = (0, 1));
    assert_eq!(reason(&world), REASON, "one hop");
    world.configure_neighbor(0, |neighbor| neighbor.ttl_security_hops = 2);
    assert_eq!(reason(&world), "");
    world.peers[0].withdraw(&[P]);
    tell(&mut world, 2, REMOTE);
    assert_eq!(reason(&world), "", "told within our AS");
}

/// Somebody else on a shared link (RFC 4271 §5.1.3: "third party"), be it another one than the neighbour's.
#[test]
fn any_subnet_that_we_share_will_do() {
    let mut world = world("10.0.0.77", |_| {});
    assert_eq!(reason(&world), "");
    tell(&mut world, 0, REMOTE);
    assert_eq!(reason(&world), REASON);
    let linked = |up: bool| {
        move |rib: &mut holdfast_rib::Rib| {
            rib.interface_update(2, "eth1", up);
            rib.address_added(2, "10.9.9.1/24".parse().unwrap());
        }
    };
    world.interface(linked(true));
    world.run();
    assert_eq!((reason(&world), routes(&world, P)[0].next_hops[0].interface.clone()), (String::new(), "eth1".into()));
    world.interface(linked(false));
    world.run();
    assert_eq!(reason(&world), REASON);
    // Packets go by a static route, and the next hop is on a link all the same: the way stays, and what may be used changes.
    world.set_static(&[("10.9.9.9/32", NexthopSpec::gateway("10.0.0.2".parse().unwrap()))]);
    assert_eq!(reason(&world), REASON);
    world.interface(linked(true));
    world.run();
    assert_eq!((reason(&world), routes(&world, P)[0].next_hops[0].gateway.clone()), (String::new(), "10.0.0.2".into()));
    world.interface(linked(false));
    world.run();
    assert_eq!(reason(&world), REASON);
}

/// A neighbour that is not in a subnet of ours, on a link without addresses of its own.
#[test]
fn the_neighbor_itself_is_always_one() {
    let mut peer = Peer::new(1, 65001);
    peer.address = "10.9.9.9".parse().unwrap();
    let mut world = World::new(vec![peer, Peer::new(2, 65002)]);
    world.set_static(&[("10.9.9.9/32", NexthopSpec::Interface(1))]);
    tell(&mut world, 0, "10.9.9.9");
    assert_eq!((reason(&world), routes(&world, P)[0].next_hops[0].gateway.clone()), (String::new(), REMOTE.into()));
    // The same attributes from somebody else.
    let attributes = world.peers[0].attributes(&[65002]);
    let next_hop = NextHop::V4(REMOTE.parse().unwrap());
    world.peers[1].announce_via(&["172.17.0.0/16".parse().unwrap()], &attributes, next_hop);
    world.run();
    assert_eq!(routes(&world, "172.17.0.0/16")[0].inactive_reason, REASON);
}

#[test]
fn what_policy_names_is_the_operators() {
    let named = |next_hop: &str| {
        let mut world = World::new(vec![Peer::new(1, 65001)]);
        world.set_static(&[("10.9.0.0/16", NexthopSpec::gateway("10.0.0.2".parse().unwrap()))]);
        world.configure(|config| {
            let actions = PolicyActions { next_hop: REMOTE.into(), ..accept() };
            let statements = vec![policy("i", vec![term(PolicyMatch::default(), actions)])];
            config.policy = Some(PolicyOptions { statements, ..Default::default() });
        });
        world.configure_neighbor(0, |neighbor| neighbor.import_policies = vec!["i".into()]);
        tell(&mut world, 0, next_hop);
        reason(&world)
    };
    assert_eq!(named("10.0.0.1"), "");
    assert_eq!(named(REMOTE), "", "also where it is what the neighbour says");
}

/// One link-local address as next hop, on two links: attributes are the same, routers are not.
#[test]
fn a_link_local_next_hop_is_on_the_link_of_who_tells_it() {
    let v6 = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    let neighbor = |index: u8| {
        let mut peer = Peer::new(index, 65002);
        peer.address = IpAddr::V6(v6(&format!("fe80::{index}")));
        peer
    };
    let mut world = World::cold(vec![neighbor(2), neighbor(3)]);
    world.interface(|rib| {
        rib.interface_update(2, "eth1", true);
        (1..=2).for_each(|link| rib.address_added(link, format!("{LOCAL_LINK}/64").parse().unwrap()));
    });
    world.configure_neighbor(1, |neighbor| neighbor.interface = "eth1".into());
    world.establish();
    let prefixes = ["2001:db8:2::/48", "2001:db8:3::/48"];
    let next_hop = NextHop::V6 { global: v6("fe80::9"), link_local: Some(v6("fe80::9")) };
    for (peer, prefix) in prefixes.iter().enumerate() {
        let attributes = world.peers[peer].attributes(&[65002]);
        world.peers[peer].announce_via(&[prefix.parse().unwrap()], &attributes, next_hop);
        world.run();
    }
    let ways = |world: &World| {
        let way = |prefix: &&str| {
            let hops = routes(world, prefix).remove(0).next_hops;
            hops.into_iter().map(|hop| format!("{} {}", hop.gateway, hop.interface)).collect::<Vec<_>>().join(", ")
        };
        prefixes.iter().map(way).collect::<Vec<_>>()
    };
    assert_eq!(ways(&world), ["fe80::9 eth0", "fe80::9 eth1"]);
    world.join();
    world.run();
    world.hand_over("two links");
    world.run();
    assert_eq!(ways(&world), ["fe80::9 eth0", "fe80::9 eth1"]);
    world.assert_equal("handed over");
    world.interface(|rib| rib.interface_update(2, "eth1", false));
    world.run();
    assert_eq!(ways(&world), ["fe80::9 eth0", ""]);
    // The same link by another index.
    world.interface(|rib| {
        rib.interface_removed(2);
        rib.interface_update(9, "eth1", true);
    });
    world.run();
    assert_eq!(ways(&world), ["fe80::9 eth0", "fe80::9 eth1"]);
    world.assert_equal("another index");
}
