//! A neighbour that knows AS numbers of two octets only (RFC 6793): what it is told and what it tells means the same to everybody,
//! and to a follower.

use std::net::Ipv4Addr;

use super::peer::Peer;
use super::world::World;
use crate::wire::PathAttributes;

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";
const LONG: u32 = 4_200_000_001;

#[test]
fn long_as_numbers_pass_an_old_speaker_in_both_directions_and_a_handover() {
    let mut world = World::new(vec![Peer::new(1, 65001).old(), Peer::new(2, 4_200_000_002), Peer::new(3, 65003).old()]);
    let aggregator = Some((LONG, Ipv4Addr::new(192, 0, 2, 77)));
    let attributes = PathAttributes { aggregator, ..world.peers[0].attributes(&[65001, LONG, 7]) };
    world.peers[0].announce(&[P], &attributes);
    let attributes = PathAttributes { aggregator, ..world.peers[1].attributes(&[4_200_000_002, 9]) };
    world.peers[1].announce(&[Q], &attributes);
    world.join();
    world.run();
    let check = |world: &World| {
        assert_eq!(world.peers[1].path(P), format!("65000 65001 {LONG} 7"));
        assert_eq!(world.peers[2].path(P), world.peers[1].path(P));
        assert_eq!(world.peers[0].path(Q), "65000 4200000002 9");
        for (peer, prefix) in [(0, Q), (1, P), (2, P), (2, Q)] {
            assert_eq!(world.peers[peer].route(prefix).unwrap().0.aggregator, aggregator, "{peer} {prefix}");
        }
    };
    check(&world);
    world.assert_equal("told");
    let before = world.updates();
    world.hand_over("with AS_TRANS");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    check(&world);
    world.assert_equal("handed over");
}
