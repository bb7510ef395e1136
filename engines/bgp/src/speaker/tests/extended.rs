//! Messages longer than 4,096 octets (RFC 8654): only between those who announced them, and through a handover.

use holdfast_proto::v1::{CommunityAction, CommunityList, PolicyActions, PolicyMatch};
use holdfast_rib::Family;
use ipnet::IpNet;
use prost::Message;

use super::peer::Peer;
use super::world::{Engine, World, accept, policy, term};
use crate::wire::{Capability, PathAttributes};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

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

/// What a policy, or our own AS, makes longer than any message is not told either, and that is known, before and after a handover.
#[test]
fn what_becomes_longer_than_any_message_is_not_told() {
    let mut world = world();
    world.configure(|config| {
        let members = (0..400).map(|value| format!("65000:{value}")).collect();
        let many = CommunityList { name: "many".into(), members, ..CommunityList::default() };
        let add = CommunityAction { kind: 0, community: "many".into() };
        let more = PolicyActions { communities: vec![add], ..accept() };
        let policy_options = config.policy.as_mut().unwrap();
        policy_options.communities = vec![many];
        policy_options.statements = vec![policy("more", vec![term(PolicyMatch::default(), more)])];
    });
    let attributes = long(&world, 16_000, 0);
    world.peers[0].announce(&[P, Q], &attributes);
    world.run();
    assert!(world.peers[1].has(P) && world.peers[1].has(Q));
    world.join();
    world.warnings.clear();
    world.configure_neighbor(1, |config| config.export_policies = vec!["more".into()]);
    assert!(!world.peers[1].has(P) && !world.peers[1].has(Q), "what it was told before is withdrawn");
    assert_eq!(too_long(&world), [0, 2, 2]);
    let [warning] = world.warnings.as_slice() else { panic!("{:?}", world.warnings) };
    assert!(warning.contains("10.0.0.2") && warning.contains("65535"), "{warning}");
    let Engine { speaker, rib } = world.primary();
    let id = rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap()).unwrap();
    let routes = speaker.routes(rib, Family::Ipv4Unicast, id);
    assert_eq!(routes[0].too_long_for, ["10.0.0.2", "10.0.0.3"]);
    world.assert_equal("a policy has made it too long");
    let before = world.updates();
    world.hand_over("with routes that a policy has made too long");
    world.run();
    assert_eq!((world.updates(), too_long(&world)), (before, [0, 2, 2]));
    let attributes = long(&world, 100, 0);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].route(P).unwrap().0.communities.len(), 500);
    assert_eq!(too_long(&world), [0, 1, 1]);
    world.assert_equal("one is short again");
}

/// A route of the greatest length that is taken leaves no room for our own AS; without AGGREGATOR there is some.
#[test]
fn our_own_as_makes_the_longest_routes_too_long() {
    let mut world = world();
    // 65,000 octets with ORIGIN, AS_PATH and the header of COMMUNITIES.
    let plain = long(&world, (65_000 - 17) / 4, 0);
    assert!((64_997..=65_000).contains(&plain.encode().len()), "{}", plain.encode().len());
    world.peers[0].announce(&[P], &plain);
    world.run();
    assert_eq!((world.peers[1].has(P), too_long(&world)), (false, [0, 1, 1]));
    let aggregator = Some((65001, "192.0.2.1".parse().unwrap()));
    let with_aggregator = PathAttributes { aggregator, ..long(&world, (65_000 - 17 - 11) / 4, 0) };
    world.peers[0].announce(&[P], &with_aggregator);
    world.run();
    assert_eq!(too_long(&world), [0, 0, 1]);
    assert_eq!(world.peers[1].route(P).unwrap().0.aggregator, None);
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
