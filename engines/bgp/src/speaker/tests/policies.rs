//! Policies that look at more than prefixes, on a speaker with neighbours and a follower.

use holdfast_proto::v1::{
    AsPath, CommunityAction, CommunityList, NumberChange, PolicyActions, PolicyMatch, PolicyOptions, PolicyTarget,
    PolicyTerm, PrefixList, number_change, policy_actions,
};
use holdfast_rib::{Family, NexthopSpec};

use super::peer::Peer;
use super::world::{LOCAL_AS, World, accept, policy, reject, term};
use crate::speaker::TriedFor;
use crate::wire::{NextHop, Origin, PathAttributes};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

/// 0 and 1: external; 2 and 3: internal.
fn world(options: PolicyOptions, import: &[&str], export: &[&str]) -> World {
    let mut world =
        World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS), Peer::new(4, LOCAL_AS)]);
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (import, export) = (names(import), names(export));
    world.configure(|config| {
        config.policy = Some(options);
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            (neighbor.import_policies, neighbor.export_policies) = (import.clone(), export.clone());
        }
    });
    world
}

#[test]
fn import_by_as_path_and_by_pattern_of_communities() {
    let options = PolicyOptions {
        as_paths: vec![AsPath { name: "transit".into(), expression: "65001 .* (65100-65110) .*".into() }],
        communities: vec![
            CommunityList { name: "theirs".into(), members: vec!["65001:*".into()], ..Default::default() },
            CommunityList { name: "mark".into(), members: vec!["target:65000:7".into()], ..Default::default() },
        ],
        statements: vec![policy(
            "i",
            vec![
                term(PolicyMatch { as_paths: vec!["transit".into()], ..Default::default() }, reject()),
                term(
                    PolicyMatch { communities: vec!["theirs".into()], ..Default::default() },
                    PolicyActions {
                        communities: vec![
                            CommunityAction { kind: 1, community: "theirs".into() },
                            CommunityAction { kind: 0, community: "mark".into() },
                        ],
                        ..accept()
                    },
                ),
            ],
        )],
        ..Default::default()
    };
    let mut world = world(options, &["i"], &[]);
    world.join();
    let refused = world.peers[0].attributes(&[65001, 65105, 65009]);
    let taken = PathAttributes {
        communities: vec![65001 << 16 | 5, 65002 << 16 | 6],
        ..world.peers[0].attributes(&[65001, 65111])
    };
    world.peers[0].announce(&[P], &refused);
    world.peers[0].announce(&[Q], &taken);
    world.run();
    assert!(!world.peers[1].has(P));
    let (told, _) = world.peers[1].route(Q).expect("advertised");
    assert_eq!(told.communities, [65002 << 16 | 6]);
    assert_eq!(told.extended_communities, [[0, 2, 0xfd, 0xe8, 0, 0, 0, 7]]);
    world.assert_equal("a follower judges alike");
}

#[test]
fn what_is_repeated_stands_behind_our_own_as_and_what_is_put_in_front_before_it() {
    let longer = PolicyActions { as_path_prepend: vec![64999], as_path_expand: 2, origin: "egp".into(), ..accept() };
    let options = PolicyOptions {
        statements: vec![policy("e", vec![term(PolicyMatch::default(), longer)])],
        ..Default::default()
    };
    let mut world = world(options, &[], &["e"]);
    let attributes = world.peers[0].attributes(&[65001, 65100]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].path(P), "64999 65000 65001 65001 65001 65100");
    assert_eq!(world.peers[2].path(P), "64999 65001 65001 65001 65100");
    assert_eq!(world.peers[1].route(P).unwrap().0.origin, Origin::Egp);
}

#[test]
fn numbers_change_from_what_the_neighbour_told() {
    let change = |kind: number_change::Kind, amount| Some(NumberChange { kind: kind.into(), amount });
    let actions = PolicyActions {
        metric_change: change(number_change::Kind::Add, 5),
        local_preference_change: change(number_change::Kind::Subtract, 1),
        ..accept()
    };
    let options = PolicyOptions {
        statements: vec![policy("both", vec![term(PolicyMatch::default(), actions)])],
        ..Default::default()
    };
    let mut world = world(options, &["both"], &["both"]);
    let attributes = PathAttributes { med: Some(10), ..world.peers[0].attributes(&[65001]) };
    world.peers[0].announce(&[P], &attributes);
    world.run();
    let (internal, _) = world.peers[2].route(P).expect("advertised");
    assert_eq!((internal.med, internal.local_pref), (Some(20), Some(98)), "once on its way in and once on its way out");
    let (external, _) = world.peers[1].route(P).expect("advertised");
    assert_eq!((external.med, external.local_pref), (Some(20), None));
}

#[test]
fn a_policy_may_look_at_whom_it_tells_and_at_the_kind_of_neighbour_that_told() {
    let to = |peer: &str, from: PolicyMatch, then: PolicyActions| PolicyTerm {
        to: Some(PolicyTarget { neighbors: vec![peer.into()] }),
        ..term(from, then)
    };
    let third = Peer::new(3, LOCAL_AS).address.to_string();
    let first = Peer::new(1, 65001).address.to_string();
    let internal = PolicyMatch { route_type: "internal".into(), ..Default::default() };
    let options = PolicyOptions {
        statements: vec![policy(
            "e",
            vec![to(&third, PolicyMatch::default(), reject()), to(&first, internal, reject())],
        )],
        ..Default::default()
    };
    let mut world = world(options, &[], &["e"]);
    let (external, internal) = (world.peers[1].attributes(&[65002]), world.peers[3].attributes(&[65009]));
    world.peers[1].announce(&[P], &external);
    world.peers[3].announce(&[Q], &internal);
    world.join();
    world.run();
    let told = |world: &World, prefix| [0, 1, 2, 3].map(|peer: usize| world.peers[peer].has(prefix));
    assert_eq!(told(&world, P), [true, false, false, true]);
    assert_eq!(told(&world, Q), [false, true, false, false]);
    world.assert_equal("by target");
    let id = |peer: usize| world.engines[world.primary].speaker.find_neighbor(world.peers[peer].address);
    let tried = |prefix: &str, to: usize| {
        let engine = &world.engines[world.primary];
        let chain = engine.speaker.policy("e").unwrap();
        let prefix_id = engine.rib.prefixes(Family::Ipv4Unicast).get(prefix.parse().unwrap()).unwrap();
        let tried = TriedFor { from: None, to: id(to) };
        let routes = engine.speaker.test_policy(&engine.rib, &chain, tried, Family::Ipv4Unicast, prefix_id);
        routes.iter().map(|route| route.accepted).collect::<Vec<_>>()
    };
    assert_eq!([0, 1, 2, 3].map(|peer| tried(P, peer)), [vec![true], vec![], vec![false], vec![true]]);
    assert_eq!([0, 1].map(|peer| tried(Q, peer)), [[false], [true]], "as it is told");
}

#[test]
fn a_changed_subroutine_judges_anew_without_touching_sessions() {
    let options = |disposition: PolicyActions| PolicyOptions {
        statements: vec![
            policy("inner", vec![term(PolicyMatch::default(), disposition)]),
            policy(
                "i",
                vec![
                    term(PolicyMatch { policies: vec!["inner".into()], ..Default::default() }, accept()),
                    term(PolicyMatch::default(), reject()),
                ],
            ),
        ],
        ..Default::default()
    };
    let mut world = world(options(accept()), &["i"], &[]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert!(world.peers[1].has(P));
    world.configure(|config| config.policy = Some(options(reject())));
    assert!(!world.peers[1].has(P));
    world.configure(|config| config.policy = Some(options(accept())));
    assert!(world.peers[1].has(P) && world.peers.iter().all(|peer| peer.sessions == 1));
}

#[test]
fn static_routes_are_known_by_their_tag_and_its_change_is_followed() {
    let tagged = PolicyMatch { tags: vec![7], ..Default::default() };
    let options = PolicyOptions { statements: vec![policy("e", vec![term(tagged, accept())])], ..Default::default() };
    let mut world = world(options, &[], &["e"]);
    for (tag, told) in [(7, true), (8, false), (7, true)] {
        world.tag = tag;
        world.set_static(&[(P, NexthopSpec::Discard)]);
        assert_eq!(world.peers[1].has(P), told, "tag {tag}");
    }
}

#[test]
fn what_import_says_stays_with_us_but_other_policies_see_it() {
    let marks = PolicyActions { tag: Some(9), preference: Some(3), ..accept() };
    let drops = PolicyActions { next_hop_kind: policy_actions::NextHopKind::Discard.into(), ..marks.clone() };
    let lists = |name: &str, prefix: &str| PrefixList { name: name.into(), prefixes: vec![prefix.into()] };
    let of = |list: &str| PolicyMatch { prefix_lists: vec![list.into()], ..Default::default() };
    let marked = PolicyMatch { tags: vec![9], preference: Some(3), ..Default::default() };
    let options = PolicyOptions {
        prefix_lists: vec![lists("p", P), lists("q", Q)],
        statements: vec![
            policy("i", vec![term(of("p"), marks), term(of("q"), drops)]),
            policy("e", vec![term(marked, accept()), term(PolicyMatch::default(), reject())]),
        ],
        ..Default::default()
    };
    let mut world = world(options, &["i"], &["e"]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, Q, "192.0.2.0/24"], &attributes);
    world.join();
    world.run();
    assert!(world.peers[1].has(P) && world.peers[1].has(Q) && !world.peers[1].has("192.0.2.0/24"));
    let route = |world: &World, prefix: &str| {
        let engine = world.primary();
        let id = engine.rib.prefixes(Family::Ipv4Unicast).get(prefix.parse().unwrap()).unwrap();
        engine.speaker.routes(&engine.rib, Family::Ipv4Unicast, id).remove(0)
    };
    let (plain, dropped) = (route(&world, P), route(&world, Q));
    assert_eq!((plain.preference, plain.tag, plain.kind.as_str()), (3, 9, "unicast"));
    assert_eq!((dropped.kind.as_str(), dropped.active, dropped.next_hops.len()), ("discard", true, 0));
    world.assert_equal("local parts");
    // It wins over a static route of preference 5.
    world.set_static(&[(P, NexthopSpec::Reject)]);
    assert_eq!(route(&world, P).protocol, "bgp");
}

#[test]
fn the_peers_address_as_next_hop() {
    let peer = PolicyActions { next_hop_kind: policy_actions::NextHopKind::PeerAddress.into(), ..accept() };
    let options =
        PolicyOptions { statements: vec![policy("i", vec![term(PolicyMatch::default(), peer)])], ..Default::default() };
    let mut world = world(options, &["i"], &[]);
    let attributes = world.peers[0].attributes(&[65001]);
    let elsewhere = NextHop::V4("10.0.0.77".parse().unwrap());
    world.peers[0].announce_via(&[P.parse().unwrap()], &attributes, elsewhere);
    world.run();
    assert_eq!(world.peers[2].route(P).unwrap().1, world.peers[0].address);
}

#[test]
fn a_new_policy_does_not_make_all_attribute_sets_twice() {
    const SETS: usize = 800;
    let local_preference = |value| PolicyOptions {
        statements: vec![policy(
            "i",
            vec![term(PolicyMatch::default(), PolicyActions { local_preference: Some(value), ..accept() })],
        )],
        ..Default::default()
    };
    let mut world = World::new(vec![Peer::new(1, 65001)]);
    world.configure(|config| {
        config.policy = Some(local_preference(10));
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["i".into()];
    });
    world.join();
    // The routes of a set are all over the table.
    for round in 0..10u32 {
        for set in 0..SETS as u32 {
            let attributes = world.peers[0].attributes(&[65001, 70_000 + set]);
            let number = round << 10 | set;
            world.peers[0].announce(&[&format!("10.{}.{}.0/24", number >> 8, number & 255)], &attributes);
        }
        world.run();
    }
    let (primary, before) = (world.primary, world.held(world.primary).0);
    assert!(before >= 2 * SETS, "{before}");
    world.put_in_force(|config| config.policy = Some(local_preference(20)));
    let mut most = 0;
    for _ in 0..200 {
        let engine = &mut world.engines[primary];
        engine.speaker.background(&mut engine.rib);
        most = most.max(world.held(primary).0);
    }
    assert!(!world.engines[primary].speaker.has_background());
    assert!(most <= before + SETS / 4, "{most} sets at a time, {before} before");
    world.run();
    world.assert_equal("a follower judges alike");
}

/// The policy and the attributes are the same; what has told them is not.
#[test]
fn what_was_judged_is_forgotten_when_a_neighbour_becomes_another_kind() {
    let external = PolicyMatch { route_type: "external".into(), ..Default::default() };
    let options = PolicyOptions { statements: vec![policy("i", vec![term(external, reject())])], ..Default::default() };
    let mut world = world(options, &[], &[]);
    world.configure(|config| {
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.no_enforce_first_as = true);
    });
    world.configure_neighbor(0, |neighbor| neighbor.import_policies = vec!["i".into()]);
    // The second neighbour keeps the very attributes in use.
    let attributes = world.peers[0].attributes(&[65001]);
    for (peer, prefix) in [(0, P), (1, Q)] {
        world.peers[peer].announce_via(
            &[prefix.parse().unwrap()],
            &attributes,
            NextHop::V4("10.0.0.77".parse().unwrap()),
        );
    }
    world.run();
    let remembered = |world: &World| world.primary().speaker.get(world.id(0)).unwrap().import_memo.len();
    assert_eq!((remembered(&world), world.peers[2].has(P)), (1, false));
    world.configure_neighbor(0, |neighbor| (neighbor.peer_as, neighbor.internal) = (LOCAL_AS, true));
    assert_eq!((remembered(&world), world.peers[2].has(Q)), (0, true));
}
