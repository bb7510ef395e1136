//! Route refresh with and without marks (RFC 2918, RFC 7313), and a switchover in the middle of it.

use std::time::Duration;

use holdfast_rib::Family::{self, Ipv4Unicast, Ipv6Unicast};

use super::peer::Peer;
use super::world::{Engine, World};
use crate::wire::{PathAttributes, RefreshMark, RouteRefresh};

const NETS: [&str; 4] = ["198.51.0.0/24", "198.51.1.0/24", "198.51.2.0/24", "2001:db8:1::/48"];

/// Both neighbours mark.
fn world() -> World {
    let peers = vec![Peer::new(1, 65001).with_enhanced_refresh(), Peer::new(2, 65002).with_enhanced_refresh()];
    let mut world = World::new(peers);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&NETS, &attributes);
    world.join();
    world.run();
    world
}

fn waiting(world: &World, family: Family) -> u64 {
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
    let families = detail.summary.unwrap().families;
    families.iter().find(|counters| counters.family == family.name()).unwrap().unrefreshed
}

#[test]
fn what_is_repeated_stands_between_marks() {
    let mut world = world();
    world.peers[1].ask_refresh(Ipv4Unicast);
    world.run();
    assert_eq!(world.peers[1].refreshes, [RouteRefresh::Begin(Ipv4Unicast), RouteRefresh::End(Ipv4Unicast)]);
    assert_eq!(world.peers[1].repeated, 3);
    assert_eq!(world.peers[1].ends_of_rib, [1, 1], "End-of-RIB is said once");
    world.assert_equal("repeated");
    let counters = |index: usize| {
        let speaker = &world.engines[index].speaker;
        let detail = speaker.detail(speaker.find_neighbor(world.peers[1].address).unwrap(), world.now).unwrap();
        (detail.updates_out, detail.summary.unwrap().messages_out)
    };
    assert_eq!(counters(0), counters(1));
}

#[test]
fn who_does_not_know_marks_hears_none() {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&NETS, &attributes);
    world.run();
    world.peers[1].ask_refresh(Ipv4Unicast);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert_eq!((world.peers[1].refreshes.len(), world.peers[1].repeated), (0, 3));
    assert_eq!(world.peers[1].table.len(), 4, "marks that were not announced mean nothing");
}

#[test]
fn what_is_not_told_again_goes() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.run();
    assert_eq!((waiting(&world, Ipv4Unicast), waiting(&world, Ipv6Unicast)), (3, 0));
    world.peers[0].announce(&NETS[..1], &attributes);
    let other = PathAttributes { communities: vec![7], ..attributes };
    world.peers[0].announce(&NETS[1..2], &other);
    world.run();
    assert_eq!(world.peers[1].table.len(), 4, "nothing goes before the end");
    assert_eq!(waiting(&world, Ipv4Unicast), 1);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert!(world.peers[1].has(NETS[0]) && world.peers[1].has(NETS[1]) && !world.peers[1].has(NETS[2]));
    assert!(world.peers[1].has(NETS[3]), "the other family was not meant");
    world.assert_equal("swept");
    assert_eq!(world.held(0), world.held(1));
}

/// A second begin means everything once more.
#[test]
fn begun_anew() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.peers[0].announce(&NETS[..1], &attributes);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.run();
    assert_eq!(waiting(&world, Ipv4Unicast), 3);
    world.peers[0].announce(&NETS[1..2], &attributes);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert!(!world.peers[1].has(NETS[0]) && world.peers[1].has(NETS[1]));
    world.assert_equal("begun anew");
}

/// Marks cost next to nothing, whatever the table holds, and what was told after the last begin stays.
#[test]
fn begins_and_ends_in_a_loop() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    for _ in 0..5000 {
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    }
    world.run();
    assert_eq!(waiting(&world, Ipv4Unicast), 3);
    for _ in 0..50 {
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
        world.peers[0].announce(&NETS[..2], &attributes);
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    }
    world.hand_over("in full flow");
    world.run();
    assert!(world.peers[1].has(NETS[0]) && world.peers[1].has(NETS[1]) && !world.peers[1].has(NETS[2]));
    assert_eq!((waiting(&world, Ipv4Unicast), world.peers[0].sessions), (0, 1));
    world.assert_equal("in a loop");
}

/// A prefix that goes and comes under the number of another one is told as soon as it comes.
#[test]
fn what_comes_meanwhile_does_not_wait() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.peers[0].announce(&NETS[..1], &attributes);
    world.peers[0].withdraw(&NETS[..1]);
    world.run();
    assert_eq!(waiting(&world, Ipv4Unicast), 2, "what is withdrawn is not waited for");
    world.peers[0].announce(&["203.0.113.0/24"], &attributes);
    world.run();
    assert_eq!(waiting(&world, Ipv4Unicast), 2);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert!(world.peers[1].has("203.0.113.0/24") && !world.peers[1].has(NETS[0]) && !world.peers[1].has(NETS[1]));
    world.assert_equal("swept");
}

#[test]
fn one_that_does_not_end_is_ended() {
    let mut world = world();
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.run();
    for _ in 0..13 {
        world.advance(Duration::from_secs(23));
    }
    assert_eq!(world.peers[1].table.len(), 4);
    world.advance(Duration::from_secs(2));
    assert_eq!(world.peers[1].table.len(), 1);
    world.assert_equal("expired");
}

#[test]
fn a_switchover_in_the_middle_of_the_neighbours_refresh() {
    for joins_anew in [false, true] {
        let mut world = world();
        let attributes = world.peers[0].attributes(&[65001]);
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
        world.peers[0].announce(&NETS[..1], &attributes);
        world.run();
        if joins_anew {
            world.join_anew();
            world.run();
        }
        world.hand_over("in the middle");
        world.run();
        assert_eq!(waiting(&world, Ipv4Unicast), 2);
        world.peers[0].announce(&NETS[1..2], &attributes);
        world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
        world.run();
        assert!(world.peers[1].has(NETS[0]) && world.peers[1].has(NETS[1]) && !world.peers[1].has(NETS[2]));
        world.assert_equal("in the middle");
    }
}

#[test]
fn the_neighbour_is_asked() {
    let mut world = world();
    let (id, now) = (world.id(0), world.now);
    let Engine { speaker, rib } = &mut world.engines[world.primary];
    speaker.ask_anew(id);
    speaker.tick(rib, now);
    world.run();
    let both = [RouteRefresh::Request(Ipv4Unicast), RouteRefresh::Request(Ipv6Unicast)];
    assert_eq!(world.peers[0].refreshes, both);
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

/// RFC 7313 §4: who says End-of-RIB has to have told its table once before it tells it again.
#[test]
fn a_begin_before_end_of_rib_means_nothing() {
    let first = Peer::new(1, 65001).with_enhanced_refresh().with_graceful_restart(&[], 0);
    let mut world = World::new(vec![first, Peer::new(2, 65002)]);
    world.join();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&NETS, &attributes);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.peers[0].announce(&NETS[..1], &attributes);
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert_eq!(world.peers[1].table.len(), 4);
    world.assert_equal("before End-of-RIB");
    world.peers[0].end_of_rib(Ipv4Unicast);
    world.run();
    world.join_anew();
    world.run();
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::Begin);
    world.peers[0].announce(&NETS[..1], &attributes);
    world.hand_over("after End-of-RIB");
    world.peers[0].mark_refresh(Ipv4Unicast, RefreshMark::End);
    world.run();
    assert_eq!(world.peers[1].table.len(), 2, "the one told again, and the other family's");
    world.assert_equal("after End-of-RIB");
}
