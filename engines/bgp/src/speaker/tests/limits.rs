//! Prefix limits: warned of, dropped, or the end of a session that rests; on whichever engine leads.

use std::time::Duration;

use holdfast_proto::v1::{AddressFamily, NumberMatch, bgp_neighbor_config::PrefixLimit, number_match};
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{World, policy, reject, term};

fn limit() -> PrefixLimit {
    PrefixLimit { family: AddressFamily::Ipv4Unicast.into(), maximum: 4, warn_percent: 75, ..PrefixLimit::default() }
}

fn world(limit: PrefixLimit) -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    world.configure_neighbor(0, |neighbor| neighbor.prefix_limits = vec![limit]);
    world
}

/// The first neighbour tells these.
fn tell(world: &mut World, numbers: std::ops::Range<u8>) {
    let attributes = world.peers[0].attributes(&[65001]);
    for number in numbers {
        world.peers[0].announce(&[&format!("198.51.{number}.0/24")], &attributes);
    }
    world.run();
}

fn counters(world: &World, index: usize) -> (u64, u64) {
    let speaker = &world.engines[index].speaker;
    let id = speaker.find_neighbor(world.peers[0].address).unwrap();
    let summary = speaker.detail(id, world.now).unwrap().summary.unwrap();
    let family = summary.families.iter().find(|counters| counters.family == Family::Ipv4Unicast.name()).unwrap();
    (family.received, family.dropped)
}

#[test]
fn the_operator_is_warned_once() {
    let mut world = world(limit());
    tell(&mut world, 0..2);
    assert!(world.warnings.is_empty());
    tell(&mut world, 2..9);
    assert_eq!(world.warnings, ["neighbor 10.0.0.1: 3 prefixes of ipv4-unicast, prefix-limit is 4"]);
    assert_eq!(counters(&world, world.primary), (9, 0), "no more than warned");
    let gone: Vec<String> = (1..9).map(|number| format!("198.51.{number}.0/24")).collect();
    world.peers[0].withdraw(&gone.iter().map(String::as_str).collect::<Vec<_>>());
    world.run();
    tell(&mut world, 1..4);
    assert_eq!(world.warnings.len(), 2, "it was far below in between: {:?}", world.warnings);
}

#[test]
fn what_is_too_much_is_dropped_on_both_engines() {
    let mut world = world(PrefixLimit { drop_excess: true, ..limit() });
    world.join();
    tell(&mut world, 0..7);
    assert_eq!((counters(&world, 0), counters(&world, 1)), ((4, 3), (4, 3)));
    assert_eq!(world.peers[1].table.len(), 4);
    world.assert_equal("dropped");
    // What it has it may change; a place that becomes free is taken by who comes next.
    let changed = crate::wire::PathAttributes { communities: vec![1], ..world.peers[0].attributes(&[65001]) };
    world.peers[0].announce(&["198.51.0.0/24"], &changed);
    world.peers[0].withdraw(&["198.51.1.0/24"]);
    tell(&mut world, 8..10);
    assert!(world.peers[1].has("198.51.8.0/24") && !world.peers[1].has("198.51.9.0/24"));
    assert_eq!(world.peers[1].route("198.51.0.0/24").unwrap().0.communities, [1]);
    world.hand_over("dropped");
    world.run();
    tell(&mut world, 10..12);
    assert_eq!((counters(&world, 0), counters(&world, 1)), ((4, 6), (4, 6)));
    world.assert_equal("handed over");
    world.join_anew();
    world.run();
    assert_eq!(counters(&world, 1 - world.primary), (4, 6), "a newcomer is told");
    world.assert_equal("joined anew");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

#[test]
fn accepted_routes_are_counted_on_their_own() {
    let mut world = world(PrefixLimit { accepted: true, drop_excess: true, ..limit() });
    world.configure(|config| {
        let from = holdfast_proto::v1::PolicyMatch { prefix_lists: vec!["no".into()], ..Default::default() };
        let policies = config.policy.as_mut().unwrap();
        let prefixes = (0..3).map(|number| format!("198.51.{number}.0/24")).collect();
        policies.prefix_lists = vec![holdfast_proto::v1::PrefixList { name: "no".into(), prefixes }];
        policies.statements = vec![policy("some", vec![term(from, reject())])];
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["some".into()];
    });
    world.join();
    tell(&mut world, 0..9);
    assert_eq!(counters(&world, world.primary), (7, 2));
    assert_eq!(world.peers[1].table.len(), 4);
    world.assert_equal("accepted");
}

#[test]
fn a_session_that_ends_rests_and_comes_back_by_itself() {
    let mut world = world(PrefixLimit { teardown: true, idle_minutes: Some(2), ..limit() });
    world.join();
    tell(&mut world, 0..4);
    assert!(world.peers[0].is_up());
    tell(&mut world, 4..5);
    let cease = world.peers[0].notifications.last().expect("told why").clone();
    assert_eq!((cease.code, cease.subcode, cease.data), (6, 1, vec![0, 1, 1, 0, 0, 0, 4]));
    assert!(world.peers[1].table.is_empty());
    world.advance(Duration::from_secs(60));
    world.hand_over("at rest");
    world.run();
    world.assert_equal("at rest");
    world.advance(Duration::from_secs(50));
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
    let why = detail.why_not_established;
    assert!(why.contains("more prefixes than its limit") && why.contains("clear bgp neighbor"), "{why}");
    assert!(detail.next_attempt_ms.is_some_and(|ms| (1..=10_000).contains(&ms)), "{:?}", detail.next_attempt_ms);
    assert_eq!(world.peers[0].sessions, 1);
    world.advance(Duration::from_secs(20));
    world.establish();
    assert_eq!(world.peers[0].sessions, 2);
    assert_eq!(world.peers[1].sessions, 1);
}

#[test]
fn for_ever_is_until_it_is_cleared() {
    let mut world = world(PrefixLimit { teardown: true, idle_minutes: Some(0), ..limit() });
    tell(&mut world, 0..5);
    world.join();
    world.run();
    world.advance(Duration::from_secs(9000));
    world.hand_over("for ever");
    world.advance(Duration::from_secs(9000));
    assert_eq!(world.peers[0].sessions, 1);
    let (id, now) = (world.id(0), world.now);
    let super::world::Engine { speaker, rib } = &mut world.engines[world.primary];
    speaker.reset(id, "", rib, now);
    world.establish();
    assert_eq!(world.peers[0].sessions, 2);
}

/// Not only what a neighbour tells may be too much: a commit may make it so.
#[test]
fn a_lower_limit_and_a_wider_policy_end_the_session_too() {
    let mut world = world(PrefixLimit { teardown: true, accepted: true, maximum: 9, ..limit() });
    world.configure(|config| {
        config.policy.as_mut().unwrap().statements =
            vec![policy("none", vec![term(Default::default(), reject())]), policy("all", vec![])];
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["none".into()];
    });
    tell(&mut world, 0..6);
    world.configure_neighbor(0, |neighbor| neighbor.prefix_limits[0].maximum = 5);
    assert_eq!((world.peers[0].sessions, world.peers[0].notifications.len()), (1, 0), "none of them is accepted");
    world.join();
    world.configure_neighbor(0, |neighbor| neighbor.import_policies = vec!["all".into()]);
    assert_eq!(world.peers[0].notifications.len(), 1, "six are");
    world.assert_equal("by policy");
    world.configure_neighbor(0, |neighbor| neighbor.prefix_limits[0].maximum = 9);
    world.establish();
    tell(&mut world, 0..6);
    world.configure_neighbor(0, |neighbor| neighbor.prefix_limits[0].maximum = 5);
    let cease = world.peers[0].notifications.last().expect("told why");
    assert_eq!((world.peers[0].notifications.len(), cease.data.as_slice()), (2, [0, 1, 1, 0, 0, 0, 5].as_slice()));
    assert!(world.peers[1].table.is_empty());
}

/// A policy that lets more in does not let more in than the limit says, and what it lets in no longer makes room before.
#[test]
fn what_was_refused_is_one_more_once_it_is_told_so_that_it_is_accepted() {
    let mut world = world(PrefixLimit { accepted: true, drop_excess: true, ..limit() });
    world.configure(|config| {
        let long = NumberMatch { number: 2, kind: number_match::Kind::OrHigher.into() };
        let from = holdfast_proto::v1::PolicyMatch { as_path_lengths: vec![long], ..Default::default() };
        config.policy.as_mut().unwrap().statements = vec![policy("not-long", vec![term(from, reject())])];
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["not-long".into()];
    });
    world.join();
    let refused = world.peers[0].attributes(&[65001, 64600]);
    for number in 0..7u8 {
        world.peers[0].announce(&[&format!("198.51.{number}.0/24")], &refused);
    }
    world.run();
    assert_eq!((counters(&world, world.primary), world.peers[1].table.len()), ((7, 0), 0));
    tell(&mut world, 0..7);
    assert_eq!((counters(&world, 0), counters(&world, 1)), ((4, 3), (4, 3)));
    assert_eq!(world.peers[1].table.len(), 4);
    world.assert_equal("dropped");
}

#[test]
fn a_wider_policy_lets_in_no_more_than_the_limit() {
    let mut world = world(PrefixLimit { accepted: true, drop_excess: true, ..limit() });
    let list = |name: &str, numbers: std::ops::Range<u8>| {
        let prefixes = numbers.map(|number| format!("198.51.{number}.0/24")).collect();
        holdfast_proto::v1::PrefixList { name: name.into(), prefixes }
    };
    world.configure(|config| {
        let policies = config.policy.as_mut().unwrap();
        policies.prefix_lists = vec![list("low", 0..6), list("high", 6..9)];
        let from =
            |name: &str| holdfast_proto::v1::PolicyMatch { prefix_lists: vec![name.into()], ..Default::default() };
        policies.statements = vec![
            policy("not-low", vec![term(from("low"), reject())]),
            policy("not-high", vec![term(from("high"), reject())]),
        ];
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["not-low".into()];
    });
    world.join();
    // Attributes of their own: they are judged in several rounds.
    for number in 0..9u8 {
        let attributes = world.peers[0].attributes(&[65001, 64600 + u32::from(number)]);
        world.peers[0].announce(&[&format!("198.51.{number}.0/24")], &attributes);
    }
    world.run();
    assert_eq!(counters(&world, world.primary), (9, 0));
    // Three are accepted, and six are instead of them.
    world.configure_neighbor(0, |neighbor| neighbor.import_policies = vec!["not-high".into()]);
    assert_eq!(counters(&world, world.primary), (7, 2), "four of the six have room");
    let told = || world.peers[1].table.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((told().len(), told().iter().any(|prefix| prefix.starts_with("198.51.6"))), (4, false));
    world.assert_equal("instead of others");
    world.configure_neighbor(0, |neighbor| neighbor.import_policies = Vec::new());
    assert_eq!(counters(&world, world.primary), (4, 5), "no more have room");
    assert_eq!(world.peers[1].table.len(), 4);
    world.assert_equal("all");
    world.hand_over("after a wider policy");
    world.run();
    assert_eq!((counters(&world, 0), counters(&world, 1)), ((4, 5), (4, 5)));
    world.assert_equal("handed over");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}
