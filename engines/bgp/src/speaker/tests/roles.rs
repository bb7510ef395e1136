//! Roles and ONLY_TO_CUSTOMER (RFC 9234), through a handover.

use holdfast_proto::v1::BgpRole;
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::wire::{Capability, PathAttributes, Role};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

fn with(index: u8, asn: u32, theirs: Role) -> Peer {
    let mut peer = Peer::new(index, asn);
    peer.open.capabilities.push(Capability::Role(theirs.code()));
    peer
}

/// A provider, a peer, two customers and an internal neighbour of ours.
fn world() -> World {
    let mut world = World::cold(vec![
        with(1, 65001, Role::Provider),
        with(2, 65002, Role::Peer),
        with(3, 65003, Role::Customer),
        Peer::new(4, 65004),
        Peer::new(5, LOCAL_AS),
    ]);
    for (peer, ours) in [(0, BgpRole::Customer), (1, BgpRole::Peer), (2, BgpRole::Provider), (3, BgpRole::Provider)] {
        world.configure_neighbor(peer, |neighbor| neighbor.role = ours.into());
    }
    world.establish();
    world
}

fn tell(world: &mut World, peer: usize, prefix: &str, otc: Option<u32>) {
    let asn = world.peers[peer].open.autonomous_system;
    let attributes = PathAttributes { only_to_customer: otc, ..world.peers[peer].attributes(&[asn, 65100]) };
    world.peers[peer].announce(&[prefix], &attributes);
    world.run();
}

/// Who has the route, with which mark.
fn told(world: &World, prefix: &str) -> [Option<Option<u32>>; 5] {
    [0, 1, 2, 3, 4].map(|peer| world.peers[peer].route(prefix).map(|(attributes, _)| attributes.only_to_customer))
}

/// NOPEER (RFC 3765) means neighbours of the role peer, and no others.
#[test]
fn what_is_not_for_peers() {
    let mut world = world();
    let attributes = PathAttributes { communities: vec![0xffff_ff04], ..world.peers[2].attributes(&[65003]) };
    world.peers[2].announce(&[P], &attributes);
    world.join();
    world.run();
    assert_eq!([0, 1, 3, 4].map(|peer| world.peers[peer].has(P)), [true, false, true, true]);
    world.hand_over("no-peer");
    world.run();
    assert!(!world.peers[1].has(P));
}

#[test]
fn what_comes_from_above_goes_down_only() {
    let mut world = world();
    world.join();
    tell(&mut world, 0, P, None);
    assert_eq!(told(&world, P), [None, None, Some(Some(65001)), Some(Some(65001)), Some(Some(65001))]);
    tell(&mut world, 1, P, Some(65002));
    tell(&mut world, 0, P, Some(65001));
    world.peers[0].withdraw(&[P]);
    world.run();
    assert_eq!(told(&world, P), [None, None, Some(Some(65002)), Some(Some(65002)), Some(Some(65002))]);
    world.assert_equal("told");
    let before = world.updates();
    world.hand_over("with marks");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    world.assert_equal("handed over");
}

#[test]
fn what_comes_from_a_customer_goes_everywhere_and_is_marked_from_there_on() {
    let mut world = world();
    tell(&mut world, 2, Q, None);
    let ours = Some(Some(LOCAL_AS));
    assert_eq!(told(&world, Q), [Some(None), ours, None, ours, Some(None)]);
}

#[test]
fn leaks_are_refused_with_a_reason() {
    let mut world = world();
    world.join();
    tell(&mut world, 2, P, Some(65003)); // a customer tells what came to it from above
    tell(&mut world, 1, Q, Some(65009)); // a peer tells what is not its own
    for prefix in [P, Q] {
        assert_eq!(told(&world, prefix), [None; 5]);
        let id = world.primary().rib.prefixes(Family::Ipv4Unicast).get(prefix.parse().unwrap()).unwrap();
        let routes = world.primary().speaker.routes(&world.primary().rib, Family::Ipv4Unicast, id);
        assert!(routes[0].inactive_reason.contains("route leak"), "{routes:?}");
    }
    world.assert_equal("refused");
    world.hand_over("with leaks");
    world.run();
    assert_eq!((told(&world, P), told(&world, Q)), ([None; 5], [None; 5]));
}

#[test]
fn roles_that_do_not_fit_are_a_mismatch() {
    for (theirs, strict, refused) in [
        (vec![Role::Provider.code()], false, true),
        (vec![9], false, true),
        (vec![Role::Customer.code(), Role::Peer.code()], false, true),
        (vec![Role::Customer.code(), Role::Customer.code()], true, false),
        (vec![], true, true),
        (vec![], false, false),
    ] {
        let mut peer = Peer::new(1, 65001);
        peer.open.capabilities.extend(theirs.iter().map(|role| Capability::Role(*role)));
        let mut world = World::cold(vec![peer]);
        world.configure_neighbor(0, |neighbor| {
            neighbor.role = BgpRole::Provider.into();
            neighbor.role_strict = strict;
        });
        world.advance(std::time::Duration::from_secs(3));
        let notified = world.peers[0].notifications.iter().map(|n| (n.code, n.subcode)).collect::<Vec<_>>();
        assert_eq!(notified.contains(&(2, 11)), refused, "{theirs:?} {strict}: {notified:?}");
        assert_eq!(world.peers[0].is_up(), !refused, "{theirs:?} {strict}");
    }
}

#[test]
fn a_role_that_is_taken_away_lifts_the_refusal() {
    let mut world = world();
    tell(&mut world, 2, P, Some(65003));
    assert_eq!(told(&world, P)[4], None);
    world.configure_neighbor(2, |neighbor| neighbor.role = BgpRole::Unspecified.into());
    world.establish();
    tell(&mut world, 2, P, Some(65003));
    assert_eq!(told(&world, P)[4], Some(Some(65003)));
}
