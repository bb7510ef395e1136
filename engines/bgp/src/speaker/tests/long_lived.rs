//! Long-lived graceful restart (RFC 9494), on the engine that leads and on the one that follows.

use std::time::Duration;

use holdfast_proto::v1::{CommunityAction, CommunityList, PolicyActions, PolicyMatch, PolicyOptions, PrefixList};
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World, accept, policy, term};
use crate::speaker::long_lived::{LLGR_STALE, NO_LLGR};
use crate::wire::{Capability, PathAttributes};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";
const P6: &str = "2001:db8:1::/48";
const BOTH: [(Family, bool); 2] = [(Family::Ipv4Unicast, true), (Family::Ipv6Unicast, true)];
const NO_EXPORT: u32 = 0xffff_ff01;

/// The first neighbour asks for 600 s (IPv4) and 60 s (IPv6) beyond a restart time of 40 s and has told P, P6, and Q with NO_LLGR.
/// The second and fourth know what stale routes are, the third and fifth do not; the last two are internal.
fn world() -> World {
    world_with(&BOTH, [600, 60])
}

fn world_with(families: &[(Family, bool)], times: [u32; 2]) -> World {
    let helper = |peer: Peer| peer.with_graceful_restart(&[], 0).with_long_life([0; 2]);
    let mut world = World::cold(vec![
        Peer::new(1, 65001).with_graceful_restart(families, 40).with_long_life(times),
        helper(Peer::new(2, 65002)),
        Peer::new(3, 65003),
        helper(Peer::new(4, LOCAL_AS)),
        Peer::new(5, LOCAL_AS),
    ]);
    for peer in 0..5 {
        world.configure_neighbor(peer, |neighbor| neighbor.long_lived = true);
    }
    world.establish();
    tell(&mut world, &[P, P6], &[]);
    tell(&mut world, &[Q], &[NO_LLGR]);
    world.join();
    world.run();
    world
}

fn tell(world: &mut World, prefixes: &[&str], communities: &[u32]) {
    let attributes = PathAttributes { communities: communities.to_vec(), ..world.peers[0].attributes(&[65001]) };
    world.peers[0].announce(prefixes, &attributes);
    world.run();
}

fn leave(world: &mut World) {
    world.peers[0].away = true;
    world.cut(0);
    world.run();
}

/// Who has the route, with which communities.
fn told(world: &World, prefix: &str) -> [Option<Vec<u32>>; 4] {
    [1, 2, 3, 4].map(|peer| world.peers[peer].route(prefix).map(|(attributes, _)| attributes.communities))
}

fn left(world: &World, family: Family) -> (bool, u64) {
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
    let families = detail.summary.unwrap().families;
    let counters = families.iter().find(|counters| counters.family == family.name());
    counters.map_or((false, 0), |counters| (counters.long_lived, counters.stale_left_ms / 1000))
}

#[test]
fn stale_routes_live_on_as_the_last_choice_and_go_in_their_time() {
    let mut world = world();
    leave(&mut world);
    assert_eq!(told(&world, P), [const { Some(Vec::new()) }; 4], "graceful restart");
    world.advance(Duration::from_secs(41));
    let stale = Some(vec![LLGR_STALE]);
    assert_eq!(told(&world, P), [stale.clone(), None, stale.clone(), None]);
    assert_eq!(told(&world, P6), told(&world, P));
    assert_eq!(told(&world, Q), [None, None, None, None], "NO_LLGR");
    world.assert_equal("long-lived");
    let (long_lived, seconds) = left(&world, Family::Ipv4Unicast);
    assert!(long_lived && (590..=600).contains(&seconds), "{seconds}");
    world.advance(Duration::from_secs(60));
    assert_eq!((told(&world, P6), told(&world, P)[0].clone()), ([None, None, None, None], stale));
    world.assert_equal("IPv6 is over");
    world.advance(Duration::from_secs(541));
    assert_eq!(told(&world, P), [None, None, None, None]);
    world.assert_equal("over");
}

#[test]
fn any_fresh_route_is_better() {
    let mut world = world();
    let attributes = PathAttributes { local_pref: Some(1), ..world.peers[4].attributes(&[65001, 65002, 65003]) };
    world.peers[4].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65001");
    leave(&mut world);
    assert_eq!(world.peers[1].path(P), "65000 65001");
    world.advance(Duration::from_secs(41));
    assert_eq!(world.peers[1].path(P), "65000 65001 65002 65003");
    world.assert_equal("the fresh one");
    world.peers[4].withdraw(&[P]);
    world.run();
    assert_eq!(told(&world, P)[0], Some(vec![LLGR_STALE]));
    // And so is one that was marked elsewhere worse than everything else.
    let marked = PathAttributes { communities: vec![LLGR_STALE], ..world.peers[1].attributes(&[65002]) };
    world.peers[1].announce(&["192.0.2.0/24"], &marked);
    world.run();
    assert!(world.peers[3].has("192.0.2.0/24") && !world.peers[2].has("192.0.2.0/24"));
}

#[test]
fn it_stays_true_over_switchovers_in_either_direction() {
    let mut world = world();
    leave(&mut world);
    world.hand_over("in graceful restart");
    world.run();
    world.advance(Duration::from_secs(41));
    assert_eq!(told(&world, P)[0], Some(vec![LLGR_STALE]), "the successor knows what was promised");
    world.assert_equal("long-lived");
    let before = world.updates();
    world.hand_over("long-lived");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    assert!(left(&world, Family::Ipv4Unicast).1 <= 600);
    // Somebody who joins now is told as well.
    world.join_anew();
    world.run();
    world.assert_equal("joined");
    world.hand_over("joined late");
    world.run();
    assert_eq!(world.updates(), before);
    world.advance(Duration::from_secs(601));
    assert_eq!(told(&world, P), [None, None, None, None]);
    world.assert_equal("over");
}

#[test]
fn back_again_it_tells_what_is_still_so() {
    let mut world = world();
    leave(&mut world);
    world.advance(Duration::from_secs(45));
    world.peers[0].away = false;
    world.establish();
    assert_eq!(told(&world, P)[0], Some(vec![LLGR_STALE]), "until it is told again");
    tell(&mut world, &[P], &[]);
    assert_eq!(told(&world, P), [const { Some(Vec::new()) }; 4]);
    world.assert_equal("told again");
    Family::ALL.into_iter().for_each(|family| world.peers[0].end_of_rib(family));
    world.run();
    assert_eq!(told(&world, P6), [None, None, None, None]);
    world.assert_equal("complete");
}

#[test]
fn forwarding_state_that_was_lost_ends_it() {
    let mut world = world();
    leave(&mut world);
    world.advance(Duration::from_secs(45));
    for capability in &mut world.peers[0].open.capabilities {
        if let Capability::LongLivedGracefulRestart(entries) = capability {
            entries.iter_mut().for_each(|entry| entry.forwarding_kept = false);
        }
    }
    world.peers[0].away = false;
    world.establish();
    world.run();
    assert_eq!(told(&world, P), [None, None, None, None]);
    world.assert_equal("lost");
}

#[test]
fn without_families_of_graceful_restart_it_begins_at_once() {
    let mut world = world_with(&[], [600, 60]);
    leave(&mut world);
    assert_eq!(told(&world, P)[0], Some(vec![LLGR_STALE]));
    world.assert_equal("at once");
    world.hand_over("at once");
    world.advance(Duration::from_secs(61));
    assert!(world.peers[1].has(P) && !world.peers[1].has(P6));
    world.assert_equal("IPv6 is over");
}

/// IPv6 is kept beyond graceful restart only, and for less time than that takes for IPv4.
#[test]
fn one_family_may_be_over_while_the_other_still_restarts() {
    let mut world = world_with(&BOTH[..1], [600, 10]);
    leave(&mut world);
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (Some(Vec::new()), Some(vec![LLGR_STALE])));
    world.advance(Duration::from_secs(11));
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (Some(Vec::new()), None));
    world.assert_equal("IPv6 is over");
    world.advance(Duration::from_secs(30));
    assert_eq!(told(&world, P)[0], Some(vec![LLGR_STALE]));
    world.assert_equal("long-lived");
}

/// A follower that joins meanwhile ends the restart of one family when it has to, not with the long life of the other.
#[test]
fn who_joins_while_one_family_restarts_ends_that_in_time() {
    let mut world = world_with(&BOTH[..1], [60, 600]);
    leave(&mut world);
    world.join_anew();
    world.run();
    world.hand_over("one restarts, one lives on");
    world.advance(Duration::from_secs(41));
    assert_eq!(
        (told(&world, P)[0].clone(), told(&world, P6)[0].clone()),
        (Some(vec![LLGR_STALE]), Some(vec![LLGR_STALE]))
    );
    world.advance(Duration::from_secs(60));
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (None, Some(vec![LLGR_STALE])));
    world.assert_equal("IPv4 is over");
}

#[test]
fn internal_neighbours_that_do_not_know_it_may_be_told_all_the_same() {
    let mut world = world();
    world.configure_neighbor(4, |neighbor| neighbor.long_lived_partial = true);
    leave(&mut world);
    world.advance(Duration::from_secs(41));
    let (attributes, _) = world.peers[4].route(P).unwrap();
    assert_eq!((attributes.local_pref, attributes.communities), (Some(0), vec![LLGR_STALE, NO_EXPORT]));
    world.assert_equal("partial");
}

#[test]
fn what_we_ask_for_is_announced() {
    let mut world = world();
    world.configure_neighbor(1, |neighbor| {
        (neighbor.long_lived_inet_s, neighbor.long_lived_inet6_s) = (3600, 7200);
        neighbor.graceful_restart = true;
    });
    world.establish();
    let open = world.peers[1].heard_open.as_ref().unwrap();
    let entries = open.capabilities.iter().find_map(|capability| match capability {
        Capability::LongLivedGracefulRestart(entries) => Some(entries.iter().map(|e| e.time_s).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(entries, Some(vec![3600, 7200]));
}

/// RFC 9494 §4.2: its time is neither stopped nor begun anew by a session, only ended by End-of-RIB.
#[test]
fn coming_back_neither_prolongs_it_nor_cuts_it_short() {
    let mut world = world();
    leave(&mut world);
    world.advance(Duration::from_secs(45));
    world.peers[0].away = false;
    world.establish();
    let stale = Some(vec![LLGR_STALE]);
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (stale.clone(), stale.clone()));
    world.advance(Duration::from_secs(60));
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (stale.clone(), None), "IPv6 had 60 s");
    world.assert_equal("IPv6 is over");
    world.hand_over("back, and End-of-RIB is to come");
    world.advance(Duration::from_secs(400));
    assert_eq!(told(&world, P)[0], stale, "IPv4 has 600 s, whatever stale-routes-time is");
    world.assert_equal("IPv4 is not over");
    world.advance(Duration::from_secs(140));
    assert_eq!(told(&world, P)[0], None);
    world.assert_equal("over");
}

/// RFC 9494 §4.2: "in the case of consecutive restarts, the previously marked stale routes MUST NOT be deleted before the timer for the Long-Lived
/// Stale Time expires".
#[test]
fn it_goes_on_over_several_sessions() {
    const FRESH: &str = "192.0.2.0/24";
    let mut world = world();
    leave(&mut world);
    world.advance(Duration::from_secs(45));
    for round in 0..3 {
        world.peers[0].away = false;
        world.establish();
        tell(&mut world, &[FRESH], &[]);
        assert_eq!(told(&world, FRESH)[0], Some(Vec::new()));
        leave(&mut world);
        let stale = Some(vec![LLGR_STALE]);
        let all = [told(&world, P)[0].clone(), told(&world, P6)[0].clone(), told(&world, FRESH)[0].clone()];
        assert_eq!(all, [stale.clone(), stale.clone(), stale], "round {round}");
        world.assert_equal("gone again");
        match round {
            0 => world.hand_over("gone again"),
            1 => world.join_anew(),
            _ => {}
        }
        world.run();
        world.advance(Duration::from_secs(5));
    }
    world.advance(Duration::from_secs(45));
    assert!(world.peers[1].has(P) && !world.peers[1].has(P6), "the time of IPv6 went on");
    let (long_lived, seconds) = left(&world, Family::Ipv4Unicast);
    assert!(long_lived && seconds < 550, "{seconds}");
    world.peers[0].away = false;
    world.establish();
    tell(&mut world, &[P], &[]);
    Family::ALL.into_iter().for_each(|family| world.peers[0].end_of_rib(family));
    world.run();
    assert_eq!((told(&world, P)[0].clone(), told(&world, FRESH)[0].clone()), (Some(Vec::new()), None));
    world.assert_equal("complete");
    assert_eq!(world.held(0), world.held(1));
}

/// RFC 9494 §4.2: NO_LLGR "as sent by the peer or as the result of a configured policy".
#[test]
fn our_own_policy_may_say_that_a_route_is_not_kept() {
    let mut world = world();
    let address = world.peers[0].address.to_string();
    world.configure(|config| {
        let only = PolicyMatch { prefix_lists: vec!["short".into()], ..Default::default() };
        let mark = CommunityAction { kind: 0, community: "not".into() };
        config.policy = Some(PolicyOptions {
            prefix_lists: vec![PrefixList { name: "short".into(), prefixes: vec![P.into()] }],
            communities: vec![CommunityList {
                name: "not".into(),
                members: vec!["no-llgr".into()],
                ..Default::default()
            }],
            statements: vec![policy("i", vec![term(only, PolicyActions { communities: vec![mark], ..accept() })])],
            ..Default::default()
        });
        let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
        let neighbor = neighbors.iter_mut().find(|neighbor| neighbor.address == address).unwrap();
        neighbor.import_policies = vec!["i".into()];
    });
    assert_eq!(told(&world, P)[0], Some(vec![NO_LLGR]));
    leave(&mut world);
    assert!(world.peers[1].has(P), "graceful restart");
    world.advance(Duration::from_secs(41));
    assert_eq!((told(&world, P)[0].clone(), told(&world, P6)[0].clone()), (None, Some(vec![LLGR_STALE])));
    world.assert_equal("not kept");
}

/// RFC 9494 §4.4: whoever has announced the capability, for whatever families, whatever we have.
#[test]
fn who_knows_the_mark_without_families_of_its_own_is_told() {
    let mut world = world();
    world.configure_neighbor(1, |neighbor| neighbor.long_lived = false);
    for capability in &mut world.peers[1].open.capabilities {
        if let Capability::LongLivedGracefulRestart(entries) = capability {
            entries.clear();
        }
    }
    world.establish();
    world.cut(1);
    world.establish();
    leave(&mut world);
    world.advance(Duration::from_secs(41));
    assert_eq!(told(&world, P)[..2], [Some(vec![LLGR_STALE]), None]);
    world.assert_equal("told");
}
