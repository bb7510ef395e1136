//! Messages longer than 4,096 octets (RFC 8654): only between those who announced them, and through a handover.

use holdfast_rib::Family;
use ipnet::IpNet;
use prost::Message;

use super::peer::Peer;
use super::world::World;
use crate::wire::{Capability, PathAttributes};

const P: &str = "203.0.113.0/24";

fn extended(index: u8, asn: u32) -> Peer {
    let mut peer = Peer::new(index, asn);
    peer.open.capabilities.push(Capability::ExtendedMessage);
    peer
}

/// Two that know RFC 8654 and one that does not.
fn world() -> World {
    World::new(vec![extended(1, 65001), extended(2, 65002), Peer::new(3, 65003)])
}

fn long(world: &World, communities: u32, first: u32) -> PathAttributes {
    PathAttributes { communities: (first..first + communities).collect(), ..world.peers[0].attributes(&[65001]) }
}

/// Destinations that neighbours are not told of because of that.
fn too_long(world: &World) -> [u64; 3] {
    [0, 1, 2].map(|peer| {
        let summary = world.primary().speaker.detail(world.id(peer), world.now).unwrap().summary.unwrap();
        summary.families.iter().map(|family| family.too_long).sum()
    })
}

#[test]
fn it_is_always_announced() {
    let world = world();
    for peer in &world.peers {
        assert!(peer.heard_open.as_ref().unwrap().capabilities.contains(&Capability::ExtendedMessage));
    }
    let agreed = |peer| {
        let detail = world.primary().speaker.detail(world.id(peer), world.now).unwrap();
        detail.capabilities_agreed.contains(&"extended message".to_owned())
    };
    assert_eq!([0, 1, 2].map(agreed), [true, true, false]);
}

#[test]
fn a_long_route_goes_to_those_who_can_take_it_and_through_a_handover() {
    let mut world = world();
    let short = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &short);
    world.run();
    assert!(world.peers[1].has(P) && world.peers[2].has(P));
    let attributes = long(&world, 15_000, 0);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].route(P).unwrap().0.communities.len(), 15_000);
    assert!(!world.peers[2].has(P), "what it was told before is withdrawn (RFC 4271 §9.2)");
    assert_eq!(too_long(&world), [0, 0, 1]);
    let [warning] = world.warnings.as_slice() else { panic!("{:?}", world.warnings) };
    assert!(warning.contains("10.0.0.3") && warning.contains(P) && warning.contains("4096"), "{warning}");
    world.join();
    world.run();
    world.assert_equal("joined");
    let before = world.updates();
    world.hand_over("with a long route");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    assert_eq!(too_long(&world), [0, 0, 1], "the successor knows it as well");
    world.assert_equal("handed over");
    let attributes = long(&world, 16_000, 5);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].route(P).unwrap().0.communities.len(), 16_000);
    world.assert_equal("told by the successor");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1), "{:?}", world.downs);
    world.peers[0].withdraw(&[P]);
    world.run();
    assert_eq!(too_long(&world), [0, 0, 0]);
}

/// RFC 8654 §4: what RFC 7606 lets others discard is left out first.
#[test]
fn attributes_that_nothing_depends_on_make_room() {
    let mut world = world();
    let mut outcomes = Vec::new();
    // About as many as there is room for in 4,096 octets.
    for communities in 1000..1016 {
        let plain = long(&world, communities, 0);
        let aggregated = PathAttributes {
            atomic_aggregate: true,
            aggregator: Some((65001, "192.0.2.1".parse().unwrap())),
            ..plain.clone()
        };
        world.peers[0].announce(&[P], &plain);
        world.run();
        let fits = world.peers[2].has(P);
        world.peers[0].announce(&[P], &aggregated);
        world.run();
        assert_eq!(world.peers[1].route(P).unwrap().0.aggregator, aggregated.aggregator);
        assert_eq!(world.peers[2].has(P), fits, "{communities} communities");
        assert_eq!(too_long(&world), [0, 0, u64::from(!fits)]);
        outcomes.push(fits.then(|| world.peers[2].route(P).unwrap().0.aggregator.is_some()));
    }
    outcomes.dedup();
    assert_eq!(outcomes, [Some(true), Some(false), None], "all of it; without AGGREGATOR; nothing");
    world.join();
    world.hand_over("with long routes");
    world.run();
    world.assert_equal("handed over");
}

/// However long attributes are, a fact fits into a frame of the replication stream.
#[test]
fn many_long_routes_are_told_in_pieces() {
    let mut world = world();
    world.slice = 2048;
    let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
    let nets: Vec<IpNet> = (0..150).map(|i| format!("172.16.{i}.0/24").parse().unwrap()).collect();
    for (index, net) in nets.iter().enumerate() {
        let attributes = long(&world, 15_000, index as u32);
        world.peers[0].announce_via(&[*net], &attributes, next_hop);
    }
    world.run();
    assert_eq!((world.peers[1].table.len(), world.peers[1].repeated), (150, 0));
    assert_eq!(world.peers[2].table.len(), 0);
    assert_eq!(world.warnings.len(), 1, "of many one is named");
    world.join();
    while world.snapshot() {
        let longest = world.stream.iter().map(Message::encoded_len).max().unwrap_or(0);
        assert!(longest < 2 * 1024 * 1024, "{longest}");
    }
    world.run();
    world.assert_equal("joined");
    world.peers[1].ask_refresh(Family::Ipv4Unicast);
    let before = world.updates();
    world.turn(0);
    let longest = world.stream.iter().map(Message::encoded_len).max().unwrap_or(0);
    assert!((60_000..2 * 1024 * 1024).contains(&longest), "{longest}");
    world.run();
    assert_eq!((world.updates() - before, world.peers[1].repeated), (150, 150));
    world.assert_equal("refreshed");
}
