//! Neighbours by link-local address: their link, and next hops on it (RFC 2545).

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use holdfast_proto::v1::policy_actions::NextHopKind;
use holdfast_proto::v1::{PolicyActions, PolicyMatch, PolicyOptions};

use super::peer::Peer;
use super::world::{LOCAL_LINK, LOCAL_V6, World, accept, policy, term};
use crate::wire::{Family, NextHop};

const P: &str = "2001:db8:1::/48";
const Q: &str = "2001:db8:2::/48";

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// 10.0.0.1, and fe80::2 on eth0.
fn world() -> World {
    let mut peer = Peer::new(2, 65002);
    peer.address = IpAddr::V6(v6("fe80::2"));
    let mut world = World::cold(vec![Peer::new(1, 65001), peer]);
    world.interface(|rib| rib.address_added(1, format!("{LOCAL_LINK}/64").parse().unwrap()));
    world.establish();
    world
}

fn announce_on_link(world: &mut World) {
    let attributes = world.peers[1].attributes(&[65002]);
    let next_hop = NextHop::V6 { global: v6("fe80::2"), link_local: Some(v6("fe80::2")) };
    world.peers[1].announce_via(&[P.parse().unwrap()], &attributes, next_hop);
    world.run();
}

fn heard(world: &World, peer: usize, prefix: &str) -> Option<NextHop> {
    world.peers[peer].table.get(&prefix.parse().unwrap()).map(|(_, next_hop)| *next_hop)
}

#[test]
fn what_it_tells_is_forwarded_on_its_link() {
    let mut world = world();
    announce_on_link(&mut world);
    let engine = world.primary();
    let prefix = engine.rib.prefixes(Family::Ipv6Unicast).get(P.parse().unwrap()).expect("the route is there");
    let route = &engine.speaker.routes(&engine.rib, Family::Ipv6Unicast, prefix)[0];
    assert!(route.active, "{route:?}");
    assert_eq!((route.next_hops[0].gateway.as_str(), route.next_hops[0].interface.as_str()), ("fe80::2", "eth0"));
    // On its way to others it means nothing, and who peers by another address is told the global one alone.
    let global = NextHop::V6 { global: v6(LOCAL_V6), link_local: None };
    assert_eq!(heard(&world, 0, P), Some(global));
    world.interface(|rib| rib.interface_update(1, "eth0", false));
    world.run();
    assert!(!world.peers[0].has(P), "its link is down");
}

#[test]
fn it_is_told_our_addresses_on_the_link() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[Q], &attributes);
    world.join();
    world.run();
    let both = NextHop::V6 { global: v6(LOCAL_V6), link_local: Some(v6(LOCAL_LINK)) };
    assert_eq!(heard(&world, 1, Q), Some(both));
    world.assert_equal("two addresses");
    announce_on_link(&mut world);
    world.hand_over("with a link-local neighbour");
    world.run();
    assert!(world.peers[1].is_up());
    assert_eq!(world.peers[1].sessions, 1);
    world.assert_equal("handed over");
}

/// Two routers on a link without global addresses: neither address leads anywhere without the link.
#[test]
fn paths_of_several_are_used_together() {
    let neighbor = |index: u8| {
        let mut peer = Peer::new(index, 65002);
        peer.address = IpAddr::V6(v6(&format!("fe80::{index}")));
        peer
    };
    let mut world = World::cold(vec![neighbor(2), neighbor(3)]);
    world.interface(|rib| rib.address_added(1, format!("{LOCAL_LINK}/64").parse().unwrap()));
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 4;
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.multipath = true);
    });
    world.establish();
    for (peer, address) in [(0, v6("fe80::2")), (1, v6("fe80::3"))] {
        let attributes = world.peers[peer].attributes(&[65002]);
        let next_hop = NextHop::V6 { global: address, link_local: Some(address) };
        world.peers[peer].announce_via(&[P.parse().unwrap()], &attributes, next_hop);
    }
    world.join();
    world.run();
    let gateways = |world: &World| {
        let engine = world.primary();
        let prefix = engine.rib.prefixes(Family::Ipv6Unicast).get(P.parse().unwrap()).expect("the route is there");
        let next_hops = engine.speaker.routes(&engine.rib, Family::Ipv6Unicast, prefix).remove(0).next_hops;
        next_hops.into_iter().map(|hop| format!("{} {}", hop.gateway, hop.interface)).collect::<Vec<_>>()
    };
    assert_eq!(gateways(&world), ["fe80::2 eth0", "fe80::3 eth0"]);
    world.hand_over("two link-local neighbours");
    world.run();
    assert_eq!(gateways(&world), ["fe80::2 eth0", "fe80::3 eth0"]);
    world.assert_equal("handed over");
    world.peers[0].withdraw(&[P]);
    world.run();
    assert_eq!(gateways(&world), ["fe80::3 eth0"]);
}

#[test]
fn a_connection_from_another_link_is_another_router() {
    let world = world();
    let engine = world.primary();
    let from = |scope| SocketAddr::V6(SocketAddrV6::new(v6("fe80::2"), 179, 0, scope));
    assert_eq!(engine.speaker.refuses_link(from(1), &engine.rib), None);
    let reason = engine.speaker.refuses_link(from(2), &engine.rib).expect("eth0 is 1");
    assert!(reason.contains("not on interface eth0"), "{reason}");
    assert_eq!(engine.speaker.refuses_link("10.0.0.1:179".parse().unwrap(), &engine.rib), None);
}

#[test]
fn a_link_that_is_not_there_yet_is_waited_for() {
    let mut world = world();
    world.configure_neighbor(1, |neighbor| neighbor.interface = "eth7".into());
    world.advance(std::time::Duration::from_secs(10));
    assert!(!world.peers[1].is_up());
    let detail = world.primary().speaker.detail(world.id(1), world.now).expect("it is configured");
    assert!(detail.why_not_established.contains("there is no interface eth7"), "{}", detail.why_not_established);
    world.interface(|rib| rib.interface_update(7, "eth7", true));
    world.establish();
    assert!(world.peers[1].is_up());
}

#[test]
fn its_own_address_as_next_hop_is_on_its_link() {
    let mut world = world();
    world.configure(|config| {
        let peer = PolicyActions { next_hop_kind: NextHopKind::PeerAddress.into(), ..accept() };
        let statements = vec![policy("i", vec![term(PolicyMatch::default(), peer)])];
        config.policy = Some(PolicyOptions { statements, ..Default::default() });
    });
    world.configure_neighbor(1, |neighbor| neighbor.import_policies = vec!["i".into()]);
    let attributes = world.peers[1].attributes(&[65002]);
    let elsewhere = NextHop::V6 { global: v6("2001:db8::77"), link_local: None };
    world.peers[1].announce_via(&[P.parse().unwrap()], &attributes, elsewhere);
    world.run();
    let engine = world.primary();
    let prefix = engine.rib.prefixes(Family::Ipv6Unicast).get(P.parse().unwrap()).expect("the route is there");
    let route = &engine.speaker.routes(&engine.rib, Family::Ipv6Unicast, prefix)[0];
    assert!(route.active, "{route:?}");
    assert_eq!((route.next_hops[0].gateway.as_str(), route.next_hops[0].interface.as_str()), ("fe80::2", "eth0"));
    assert_eq!(heard(&world, 0, P), Some(NextHop::V6 { global: v6(LOCAL_V6), link_local: None }));
}
