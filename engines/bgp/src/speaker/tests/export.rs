//! What becomes of a route on its way from one neighbour to another.

use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL, LOCAL_AS, LOCAL_V6, World, v4};
use crate::wire::{AsPath, NextHop, Origin, PathAttributes, RawAttribute, Segment, SegmentKind};

/// 0 and 1: external; 2 and 3: internal.
fn world() -> World {
    World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS), Peer::new(4, LOCAL_AS)])
}

const P: &str = "203.0.113.0/24";
const P6: &str = "2001:db8:1::/48";

/// Everything that can be carried.
fn rich(world: &World, peer: usize, path: &[u32]) -> PathAttributes {
    PathAttributes {
        origin: Origin::Incomplete,
        med: Some(7),
        atomic_aggregate: true,
        aggregator: Some((70000, "192.0.2.9".parse().unwrap())),
        communities: vec![65001 << 16 | 1, 65001 << 16 | 2],
        extended_communities: vec![[0, 2, 0, 1, 0, 0, 0, 9]],
        large_communities: vec![[65001, 1, 2]],
        unknown: vec![RawAttribute { flags: 0xc0, code: 99, data: vec![1, 2, 3] }],
        ..world.peers[peer].attributes(path)
    }
}

#[test]
fn external_to_external() {
    let mut world = world();
    let rich = rich(&world, 0, &[65001, 65100]);
    world.peers[0].announce(&[P, P6], &rich);
    world.run();
    for (prefix, own) in [(P, v4(LOCAL)), (P6, LOCAL_V6.parse().unwrap())] {
        let (told, next_hop) = world.peers[1].route(prefix).expect("advertised");
        assert_eq!(told.as_path, AsPath::sequence(&[LOCAL_AS, 65001, 65100]));
        assert_eq!(next_hop, own, "next hop self");
        assert_eq!((told.med, told.local_pref), (None, None));
        assert_eq!((told.origin, told.atomic_aggregate), (Origin::Incomplete, true));
        assert_eq!(told.aggregator, rich.aggregator);
        assert_eq!(told.communities, rich.communities);
        assert_eq!(told.extended_communities, rich.extended_communities);
        assert_eq!(told.large_communities, rich.large_communities);
        let unknown = RawAttribute { flags: 0xe0, code: 99, data: vec![1, 2, 3] };
        assert_eq!(told.unknown, [unknown], "passed on, with Partial");
        assert!(!world.peers[0].has(prefix), "not back to where it came from");
    }
}

/// RFC 4360 §6.
#[test]
fn extended_communities_of_our_as_stay_in_it() {
    let mut world = world();
    let (target, bandwidth) = ([0, 2, 0, 1, 0, 0, 0, 9], [0x40, 4, 0xfd, 0xe8, 0x49, 0x74, 0x24, 0]);
    let extended_communities = vec![bandwidth, target];
    let attributes = PathAttributes { extended_communities, ..world.peers[0].attributes(&[65001]) };
    world.peers[0].announce(&[P, P6], &attributes);
    world.join();
    world.run();
    for prefix in [P, P6] {
        assert_eq!(world.peers[1].route(prefix).unwrap().0.extended_communities, [target], "to another AS");
        assert_eq!(world.peers[2].route(prefix).unwrap().0.extended_communities, [bandwidth, target], "within ours");
    }
    world.assert_equal("communities of an AS");
}

#[test]
fn external_to_internal() {
    let mut world = world();
    let rich = rich(&world, 0, &[65001]);
    world.peers[0].announce(&[P, P6], &rich);
    world.run();
    for prefix in [P, P6] {
        let (told, next_hop) = world.peers[2].route(prefix).expect("advertised");
        assert_eq!(told.as_path, AsPath::sequence(&[65001]), "nothing prepended within the AS");
        assert_eq!((told.local_pref, told.med), (Some(100), Some(7)));
        let family = Family::of(&prefix.parse().unwrap());
        assert_eq!(next_hop, world.peers[0].next_hop(family).address(), "unchanged");
    }
}

#[test]
fn internal_routes_go_to_external_neighbours_only() {
    let mut world = world();
    let attributes = PathAttributes {
        local_pref: Some(300),
        originator_id: Some("192.0.2.77".parse().unwrap()),
        cluster_list: vec!["192.0.2.78".parse().unwrap()],
        ..rich(&world, 2, &[65009])
    };
    world.peers[2].announce(&[P], &attributes);
    world.run();
    assert!(!world.peers[3].has(P), "not from one internal neighbour to another");
    let (told, next_hop) = world.peers[0].route(P).expect("advertised");
    assert_eq!(told.as_path, AsPath::sequence(&[LOCAL_AS, 65009]));
    assert_eq!((told.local_pref, told.med, told.originator_id), (None, None, None));
    assert!(told.cluster_list.is_empty());
    assert_eq!(next_hop, v4(LOCAL));
}

#[test]
fn confederation_segments_stay_inside() {
    let mut world = world();
    let mut attributes = world.peers[2].attributes(&[65009]);
    attributes.as_path.segments.insert(0, Segment { kind: SegmentKind::ConfedSequence, asns: vec![64512, 64513] });
    world.peers[2].announce(&[P], &attributes);
    world.join();
    world.run();
    assert_eq!(world.peers[0].route(P).unwrap().0.as_path, AsPath::sequence(&[LOCAL_AS, 65009]), "RFC 5065 §4");
    world.assert_equal("confederation");
}

#[test]
fn no_export_and_no_advertise() {
    let mut world = world();
    let with = |world: &World, community: u32| PathAttributes {
        communities: vec![community],
        ..world.peers[0].attributes(&[65001])
    };
    let (no_export, no_advertise) = (with(&world, 0xffff_ff01), with(&world, 0xffff_ff02));
    let subconfed = with(&world, 0xffff_ff03);
    world.peers[0].announce(&["198.51.100.0/25"], &no_export);
    world.peers[0].announce(&["198.51.100.128/25"], &no_advertise);
    world.peers[0].announce(&[P], &subconfed);
    world.run();
    let told = |peer: usize| world.peers[peer].table.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert!(told(1).is_empty());
    assert_eq!(told(2), ["198.51.100.0/25", P]);
}

#[test]
fn withdrawals_follow_explicit_and_implicit() {
    let mut world = world();
    let one = world.peers[0].attributes(&[65001, 65100]);
    let other = PathAttributes { communities: vec![5], ..one.clone() };
    world.peers[0].announce(&[P, P6], &one);
    world.run();
    let before = world.peers[1].updates;
    world.peers[0].announce(&[P], &other);
    world.run();
    assert_eq!(world.peers[1].route(P).unwrap().0.communities, [5], "the new one in place of the old one");
    assert_eq!(world.peers[1].updates, before + 1);
    world.peers[0].announce(&[P], &other);
    world.run();
    assert_eq!(world.peers[1].updates, before + 1, "nothing new, nothing sent");
    world.peers[0].withdraw(&[P, P6]);
    world.run();
    assert!(world.peers[1].table.is_empty() && world.peers[2].table.is_empty());
    assert_eq!(world.peers.iter().map(|peer| peer.idle_withdrawals).sum::<u64>(), 0);
}

#[test]
fn the_best_path_is_told_and_its_owner_hears_the_next_best() {
    let mut world = world();
    let long = world.peers[0].attributes(&[65001, 65100, 65101]);
    let short = world.peers[1].attributes(&[65002, 65100]);
    world.peers[0].announce(&[P], &long);
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65001 65100 65101");
    world.peers[1].announce(&[P], &short);
    world.run();
    assert_eq!(world.peers[0].path(P), "65000 65002 65100");
    assert_eq!(world.peers[2].path(P), "65002 65100");
    assert!(!world.peers[1].has(P), "the best one is its own");
    world.peers[1].withdraw(&[P]);
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65001 65100 65101");
    assert!(!world.peers[0].has(P));
}

#[test]
fn a_neighbour_with_two_octet_as_numbers() {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002).old()]);
    let rich = rich(&world, 0, &[65001, 400_000, 70_000]);
    world.peers[0].announce(&[P], &rich);
    world.join();
    world.run();
    let (told, _) = world.peers[1].route(P).unwrap();
    assert_eq!(told.as_path, AsPath::sequence(&[LOCAL_AS, 65001, 400_000, 70_000]), "AS4_PATH");
    assert_eq!(told.aggregator, rich.aggregator, "AS4_AGGREGATOR");
    world.assert_equal("two octets");
    let back = PathAttributes { communities: vec![3], ..world.peers[1].attributes(&[65002, 400_001]) };
    world.peers[1].announce(&[P6, P], &back);
    world.run();
    assert_eq!(world.peers[0].path(P), "65000 65002 400001");
    world.assert_equal("two octets, the other way");
}

#[test]
fn link_local_next_hops_do_not_leave_their_link() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    let (global, link_local) = (world.peers[0].v6, "fe80::1".parse().unwrap());
    let prefix = P6.parse().unwrap();
    world.peers[0].announce_via(&[prefix], &attributes, NextHop::V6 { global, link_local: Some(link_local) });
    world.run();
    let (_, next_hop) = &world.peers[2].table[&prefix];
    assert_eq!(*next_hop, NextHop::V6 { global, link_local: None });
}
