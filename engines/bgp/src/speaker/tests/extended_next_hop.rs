//! IPv4 routes by IPv6 next hops (RFC 8950), both ways and through a handover.

use std::net::IpAddr;

use holdfast_proto::v1::{PolicyActions, PolicyMatch, PolicyOptions};
use holdfast_rib::{Family, ForwardingNexthop};

use super::peer::Peer;
use super::world::{LOCAL, LOCAL_AS, LOCAL_V6, World, accept, policy, term};
use crate::wire::{Capability, ExtendedNextHopEntry};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

fn by_ipv6(index: u8, asn: u32) -> Peer {
    let mut peer = Peer::new(index, asn);
    peer.address = IpAddr::V6(peer.v6);
    peer.open.capabilities.push(Capability::ExtendedNextHop(vec![ExtendedNextHopEntry::IPV4_BY_IPV6]));
    peer
}

/// Two external and one internal neighbour over IPv6 that can, and one of each kind over IPv4 that cannot.
fn world() -> World {
    let mut world = World::cold(vec![
        by_ipv6(1, 65001),
        by_ipv6(2, 65002),
        Peer::new(3, 65003),
        Peer::new(4, LOCAL_AS),
        by_ipv6(5, LOCAL_AS),
    ]);
    for peer in [0, 1, 4] {
        world.configure_neighbor(peer, |neighbor| neighbor.extended_nexthop = true);
    }
    world.establish();
    world.downs.clear();
    world
}

fn next_hop(world: &World, peer: usize, prefix: &str) -> String {
    world.peers[peer].route(prefix).map(|(_, next_hop)| next_hop.to_string()).unwrap_or_default()
}

fn told(world: &World, prefix: &str) -> [String; 5] {
    [0, 1, 2, 3, 4].map(|peer| next_hop(world, peer, prefix))
}

#[test]
fn each_is_told_a_next_hop_that_it_understands() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    let attributes = world.peers[2].attributes(&[65003]);
    world.peers[2].announce(&[Q], &attributes);
    world.join();
    world.run();
    let theirs = world.peers[0].address.to_string();
    assert_eq!(told(&world, P), ["", LOCAL_V6, LOCAL, LOCAL, &theirs]);
    assert_eq!(told(&world, Q), [LOCAL_V6, LOCAL_V6, "", "10.0.0.3", "10.0.0.3"]);
    world.assert_equal("told");
    let before = world.updates();
    world.hand_over("with IPv6 next hops");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    world.assert_equal("handed over");
    world.peers[0].withdraw(&[P]);
    world.run();
    assert_eq!(told(&world, P), [""; 5]);
    world.assert_equal("withdrawn");
    assert!(world.downs.is_empty(), "{:?}", world.downs);
}

#[test]
fn packets_go_to_the_ipv6_gateway() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    let rib = &world.primary().rib;
    let prefix = rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap()).unwrap();
    let route = rib.bgp_route(Family::Ipv4Unicast, prefix).unwrap();
    let Some(ForwardingNexthop::Unicast(gateways)) = rib.resolved(route.nexthop) else { panic!("no gateway") };
    assert_eq!((gateways.len(), gateways[0].address), (1, Some(world.peers[0].address)));
}

#[test]
fn without_the_statement_it_is_an_error() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| neighbor.extended_nexthop = false);
    world.establish();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    let last = world.peers[0].notifications.last().unwrap();
    assert_eq!((last.code, last.subcode), (3, 9), "{last}");
}

/// One set of attributes, next hop and all, may be told for routes of both families. What a policy makes of it differs.
#[test]
fn an_address_as_next_hop_is_for_its_family_alone() {
    const P6: &str = "2001:db8:1::/48";
    let named = |address: &str| PolicyActions { next_hop: address.into(), ..accept() };
    for (address, order) in [("10.0.0.9", [P6, P]), ("10.0.0.9", [P, P6]), ("2001:db8::9", [P, P6])] {
        let mut world = world();
        world.configure(|config| {
            let statements = vec![policy("e", vec![term(PolicyMatch::default(), named(address))])];
            config.policy = Some(PolicyOptions { statements, ..Default::default() });
        });
        world.configure_neighbor(4, |neighbor| neighbor.export_policies = vec!["e".into()]);
        let attributes = world.peers[0].attributes(&[65001]);
        order.into_iter().for_each(|prefix| world.peers[0].announce(&[prefix], &attributes));
        world.run();
        let received = world.peers[0].address.to_string();
        let of = |prefix: &str| if prefix.contains(':') == address.contains(':') { address } else { &received };
        for prefix in order {
            assert_eq!(next_hop(&world, 4, prefix), of(prefix), "{prefix} with next-hop {address}");
        }
    }
}
