//! Communities that mean something to BGP itself: graceful shutdown, blackhole.

use holdfast_proto::v1::bgp_neighbor_config::WellKnown;
use holdfast_proto::v1::{NumberChange, PolicyActions, PolicyMatch, PolicyOptions, number_change, policy_actions};
use holdfast_rib::{Family, ForwardingNexthop};

use super::peer::Peer;
use super::world::{LOCAL, LOCAL_AS, World, policy, term, v4};
use crate::speaker::TriedFor;
use crate::speaker::communities::{BLACKHOLE, GRACEFUL_SHUTDOWN, NO_EXPORT};
use crate::wire::PathAttributes;

const P: &str = "203.0.113.0/24";

/// 0 and 1: external; 2: internal. The router does what the communities ask.
fn world() -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    world.configure(|config| {
        let known = WellKnown { shutting_down: false, preference_at_shutdown: Some(0), blackhole: true };
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.well_known = Some(known);
        }
    });
    world
}

fn with(world: &World, peer: usize, path: &[u32], community: u32) -> PathAttributes {
    PathAttributes { communities: vec![community], ..world.peers[peer].attributes(path) }
}

#[test]
fn what_a_neighbour_is_about_to_give_up_is_the_last_choice() {
    let mut world = world();
    let (short, long) = (world.peers[0].attributes(&[65001]), world.peers[1].attributes(&[65002, 65009]));
    world.peers[0].announce(&[P], &short);
    world.peers[1].announce(&[P], &long);
    world.join();
    world.run();
    assert_eq!(world.peers[2].path(P), "65001");
    let leaving = with(&world, 0, &[65001], GRACEFUL_SHUTDOWN);
    world.peers[0].announce(&[P], &leaving);
    world.run();
    assert_eq!(world.peers[2].path(P), "65002 65009");
    world.peers[1].withdraw(&[P]);
    world.run();
    let (told, _) = world.peers[2].route(P).expect("used as long as there is no other");
    assert_eq!((told.local_pref, told.communities), (Some(0), vec![GRACEFUL_SHUTDOWN]));
    world.assert_equal("shutdown");
    world.configure_neighbor(0, |neighbor| neighbor.well_known = None);
    assert_eq!(world.peers[2].route(P).unwrap().0.local_pref, Some(100), "not looked at");
    world.assert_equal("not looked at");
}

#[test]
fn our_own_shutdown_is_announced() {
    let mut world = world();
    let attributes = PathAttributes { communities: vec![7], ..world.peers[0].attributes(&[65001]) };
    world.peers[0].announce(&[P], &attributes);
    world.join();
    world.run();
    world.configure(|config| {
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.well_known.as_mut().unwrap().shutting_down = true;
        }
    });
    for (peer, preference) in [(1, None), (2, Some(0))] {
        let (told, _) = world.peers[peer].route(P).unwrap();
        assert_eq!((told.local_pref, told.communities), (preference, vec![7, GRACEFUL_SHUTDOWN]));
    }
    world.assert_equal("our shutdown");
    let before = world.updates();
    world.hand_over("our shutdown");
    world.run();
    assert_eq!(world.updates(), before);
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
}

fn forwarding(world: &World, prefix: &str) -> Option<ForwardingNexthop> {
    let rib = &world.primary().rib;
    let prefix = prefix.parse().unwrap();
    let family = Family::of(&prefix);
    let id = rib.prefixes(family).get(prefix)?;
    rib.resolved(rib.bgp_route(family, id)?.nexthop).cloned()
}

#[test]
fn a_blackhole_is_discarded_here_and_stays_within_the_as() {
    let mut world = world();
    let attributes = with(&world, 0, &[65001], BLACKHOLE);
    world.peers[0].announce(&["203.0.113.7/32", "2001:db8:9::7/128"], &attributes);
    world.join();
    world.run();
    for prefix in ["203.0.113.7/32", "2001:db8:9::7/128"] {
        assert_eq!(forwarding(&world, prefix), Some(ForwardingNexthop::Discard));
        assert!(!world.peers[1].has(prefix), "not to another AS");
        assert_eq!(world.peers[2].route(prefix).unwrap().0.communities, [BLACKHOLE, NO_EXPORT]);
    }
    assert_eq!(world.peers[2].route("203.0.113.7/32").unwrap().1, v4(LOCAL), "to be discarded by us");
    world.assert_equal("blackhole");
    world.hand_over("blackhole");
    world.run();
    assert_eq!(forwarding(&world, "203.0.113.7/32"), Some(ForwardingNexthop::Discard));
    world.configure_neighbor(0, |neighbor| neighbor.well_known = None);
    assert!(matches!(forwarding(&world, "203.0.113.7/32"), Some(ForwardingNexthop::Unicast(_))), "not asked for");
    assert!(world.peers[1].has("203.0.113.7/32"));
    world.assert_equal("not asked for");
}

#[test]
fn a_blackhole_shares_no_traffic() {
    let mut world = world();
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 4;
        config.bgp.as_mut().unwrap().neighbors.iter_mut().for_each(|neighbor| neighbor.multipath = true);
    });
    let marked = with(&world, 0, &[65001], BLACKHOLE);
    let plain = world.peers[1].attributes(&[65002]);
    world.peers[0].announce(&[P], &marked);
    world.peers[1].announce(&[P], &plain);
    world.run();
    assert_eq!(forwarding(&world, P), Some(ForwardingNexthop::Discard), "the best one discards");
    let longer = with(&world, 0, &[65001, 65001], BLACKHOLE);
    world.peers[0].announce(&[P], &longer);
    world.run();
    assert!(matches!(forwarding(&world, P), Some(ForwardingNexthop::Unicast(gateways)) if gateways.len() == 1));
}

#[test]
fn policy_begins_with_the_preference_of_what_is_given_up() {
    let add = |amount| PolicyActions {
        local_preference_change: Some(NumberChange { kind: number_change::Kind::Add.into(), amount }),
        disposition: policy_actions::Disposition::NextTerm.into(),
        ..Default::default()
    };
    let given_up = PolicyMatch { local_preference: Some(0), ..Default::default() };
    let mut world = world();
    world.configure(|config| {
        let statements = vec![policy("i", vec![term(given_up, add(7)), term(PolicyMatch::default(), add(10))])];
        config.policy = Some(PolicyOptions { statements, ..Default::default() });
        config.bgp.as_mut().unwrap().neighbors[0].import_policies = vec!["i".into()];
    });
    let (leaving, staying) = (with(&world, 0, &[65001], GRACEFUL_SHUTDOWN), world.peers[0].attributes(&[65001]));
    world.peers[0].announce(&[P], &leaving);
    world.join();
    world.run();
    assert_eq!(world.peers[2].route(P).unwrap().0.local_pref, Some(17));
    let engine = &world.engines[world.primary];
    let chain = engine.speaker.policy("i").unwrap();
    let prefix_id = engine.rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap()).unwrap();
    let tried = TriedFor { from: Some(world.id(0)), to: None };
    let tested = engine.speaker.test_policy(&engine.rib, &chain, tried, Family::Ipv4Unicast, prefix_id);
    assert_eq!((tested[0].changes[0].before.as_str(), tested[0].changes[0].after.as_str()), ("0", "17"));
    world.assert_equal("given up");
    world.peers[0].announce(&[P], &staying);
    world.run();
    assert_eq!(world.peers[2].route(P).unwrap().0.local_pref, Some(110));
}
