//! Several paths share the packets by what they tell of their links (draft-ietf-idr-link-bandwidth).

use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::wire::PathAttributes;

const P: &str = "203.0.113.0/24";

/// `bandwidth:AS:octets per second`.
fn bandwidth(octets_per_second: f32) -> [u8; 8] {
    let [a, b, c, d] = octets_per_second.to_be_bytes();
    [0x40, 4, 0xfd, 0xe8, a, b, c, d]
}

fn share_traffic(world: &mut World) {
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 4;
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.multipath = true;
        }
    });
}

/// Internal neighbours.
fn world() -> World {
    let internal = (1..=3).map(|number| Peer::new(number, LOCAL_AS));
    let mut world = World::new(internal.collect());
    share_traffic(&mut world);
    world
}

fn tell(world: &mut World, peer: usize, communities: &[[u8; 8]]) {
    let plain = world.peers[peer].attributes(&[65009]);
    let attributes = PathAttributes { extended_communities: communities.to_vec(), ..plain };
    world.peers[peer].announce(&[P], &attributes);
    world.run();
}

/// Gateways with their weights.
fn used(world: &World, prefix: &str) -> Vec<(String, u16)> {
    let rib = &world.primary().rib;
    let prefix = prefix.parse().unwrap();
    let family = Family::of(&prefix);
    let id = rib.prefixes(family).get(prefix).unwrap();
    let resolved = rib.resolved(rib.bgp_route(family, id).unwrap().nexthop).expect("it leads somewhere");
    resolved.gateways().iter().map(|gateway| (gateway.address.unwrap().to_string(), gateway.weight)).collect()
}

fn ways(told: &[(u8, u16)]) -> Vec<(String, u16)> {
    told.iter().map(|(number, weight)| (format!("10.0.0.{number}"), *weight)).collect()
}

#[test]
fn paths_share_in_proportion_where_all_tell_of_their_bandwidth() {
    let mut world = world();
    tell(&mut world, 0, &[bandwidth(1.25e9)]);
    tell(&mut world, 1, &[[0, 2, 0xfd, 0xe8, 0, 0, 0, 1], bandwidth(5e9)]);
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 4)]));
    world.join();
    world.run();
    world.assert_equal("by bandwidth");
    tell(&mut world, 2, &[]);
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 1), (3, 1)]), "one tells of none");
    tell(&mut world, 2, &[bandwidth(f32::NAN)]);
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 1), (3, 1)]), "and this is none");
    tell(&mut world, 2, &[bandwidth(2.5e9)]);
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 4), (3, 2)]));
    let digest = world.primary().rib.fib_digest(Family::Ipv4Unicast);
    tell(&mut world, 1, &[bandwidth(1.25e9)]);
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 1), (3, 2)]));
    assert_ne!(world.primary().rib.fib_digest(Family::Ipv4Unicast), digest, "the kernel has to hear of it");
    world.peers[2].withdraw(&[P]);
    world.run();
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 1)]));
    world.assert_equal("after changes");
    tell(&mut world, 1, &[bandwidth(3.75e9)]);
    world.hand_over("by bandwidth");
    world.run();
    assert_eq!(used(&world, P), ways(&[(1, 1), (2, 3)]));
    world.peers[0].withdraw(&[P]);
    world.peers[1].withdraw(&[P]);
    world.run();
    world.assert_equal("nothing is left");
}
