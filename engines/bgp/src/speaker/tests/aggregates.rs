//! Aggregates: there while something contributes, the same on both engines and after any order of events.

use holdfast_proto::v1::{AggregateRoute, PolicyMatch, RouteFilter, aggregate_route::Kind, route_filter};
use holdfast_rib::{Family, ForwardingNexthop, NexthopSpec, StaticRouteSpec};
use ipnet::{IpNet, Ipv4Net};

use super::peer::Peer;
use super::world::{Engine, LOCAL, LOCAL_AS, World, accept, policy, reject, term, v4};
use crate::speaker::limits::BACKGROUND_BATCH;
use crate::wire::PathAttributes;

const P: &str = "198.51.0.0/16";

fn aggregate(prefix: &str, kind: Kind) -> AggregateRoute {
    AggregateRoute { prefix: prefix.into(), kind: kind.into(), preference: 130, ..AggregateRoute::default() }
}

/// 0 and 1: external; 2: internal. Aggregates are told.
fn world(aggregates: Vec<AggregateRoute>) -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    world.configure(|config| {
        let own = PolicyMatch { protocols: vec!["aggregate".into()], ..PolicyMatch::default() };
        let long = RouteFilter { prefix: P.into(), kind: route_filter::Kind::Longer.into(), ..RouteFilter::default() };
        let some = RouteFilter {
            prefix: "198.51.128.0/17".into(),
            kind: route_filter::Kind::Orlonger.into(),
            ..RouteFilter::default()
        };
        let matching = |filter| PolicyMatch { route_filters: vec![filter], ..PolicyMatch::default() };
        config.policy.as_mut().unwrap().statements = vec![
            policy("aggregates-only", vec![term(own, accept()), term(matching(long), reject())]),
            policy("some", vec![term(matching(some), accept()), term(PolicyMatch::default(), reject())]),
        ];
        config.routing.as_mut().unwrap().aggregates = aggregates;
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.export_policies = vec!["aggregates-only".into()];
        }
    });
    world.join();
    world.run();
    world
}

fn forwarding(world: &World) -> Option<ForwardingNexthop> {
    let rib = &world.primary().rib;
    let id = rib.prefixes(Family::Ipv4Unicast).get(P.parse().unwrap())?;
    rib.resolved(rib.active(Family::Ipv4Unicast, id)?.nexthop).cloned()
}

#[test]
fn there_while_something_contributes() {
    let mut world = world(vec![aggregate(P, Kind::Discard)]);
    assert!(!world.peers[1].has(P) && forwarding(&world).is_none());
    let attributes = world.peers[0].attributes(&[65001, 7]);
    world.peers[0].announce(&["198.51.1.0/24", "198.51.2.0/24", "203.0.113.0/24"], &attributes);
    world.run();
    let (told, next_hop) = world.peers[1].route(P).expect("told");
    assert_eq!((told.as_path.to_string().as_str(), next_hop), ("65000", v4(LOCAL)));
    assert_eq!((told.atomic_aggregate, told.aggregator), (true, Some((LOCAL_AS, "192.0.2.254".parse().unwrap()))));
    assert!(world.peers[0].has(P), "it is ours, so it goes to those that contribute as well");
    assert_eq!(world.peers[2].path(P), "");
    assert!(!world.peers[1].has("198.51.1.0/24") && world.peers[1].has("203.0.113.0/24"));
    assert_eq!(forwarding(&world), Some(ForwardingNexthop::Discard));
    world.assert_equal("there");
    world.peers[0].withdraw(&["198.51.1.0/24"]);
    world.run();
    let before = world.updates();
    world.hand_over("aggregate");
    world.run();
    assert_eq!(world.updates(), before);
    assert!(world.peers[1].has(P));
    world.peers[0].withdraw(&["198.51.2.0/24"]);
    world.run();
    assert!(!world.peers[1].has(P) && forwarding(&world).is_none());
    world.assert_equal("gone");
    assert_eq!(world.held(0), world.held(1));
}

#[test]
fn as_numbers_are_kept_in_any_order_of_arrival() {
    let set = AggregateRoute { as_set: true, ..aggregate(P, Kind::Reject) };
    let mut outcomes = Vec::new();
    for order in [[0, 1], [1, 0]] {
        let mut world = world(vec![set.clone()]);
        for peer in order {
            let asn = world.peers[peer].open.autonomous_system;
            let attributes = PathAttributes { communities: vec![9, asn], ..world.peers[peer].attributes(&[asn, 7]) };
            world.peers[peer].announce(&[&format!("198.51.{peer}.0/24")], &attributes);
            world.run();
        }
        let (told, _) = world.peers[2].route(P).unwrap();
        assert_eq!((told.as_path.to_string().as_str(), told.atomic_aggregate), ("{7 65001 65002}", false));
        assert_eq!(told.communities, [9, 65001, 65002]);
        world.assert_equal("as-set");
        outcomes.push(world.peers.iter().map(|peer| peer.table.clone()).collect::<Vec<_>>());
    }
    assert_eq!(outcomes[0], outcomes[1]);
}

#[test]
fn policy_says_what_contributes() {
    let mut world = world(vec![AggregateRoute { policies: vec!["some".into()], ..aggregate(P, Kind::Discard) }]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["198.51.1.0/24"], &attributes);
    world.run();
    assert!(!world.peers[1].has(P));
    world.peers[0].announce(&["198.51.129.0/24"], &attributes);
    world.run();
    assert!(world.peers[1].has(P));
    world.configure(|config| config.routing.as_mut().unwrap().aggregates.clear());
    assert!(!world.peers[1].has(P) && forwarding(&world).is_none());
    world.assert_equal("deleted");
}

#[test]
fn a_generated_route_goes_where_the_first_contributor_goes() {
    let mut world = world(vec![aggregate(P, Kind::Generate)]);
    for peer in [1, 0] {
        let attributes = world.peers[peer].attributes(&[world.peers[peer].open.autonomous_system]);
        world.peers[peer].announce(&[&format!("198.51.{peer}.0/24")], &attributes);
    }
    world.run();
    let gateway = |world: &World| match forwarding(world) {
        Some(ForwardingNexthop::Unicast(gateways)) => gateways[0].address,
        other => panic!("{other:?}"),
    };
    assert_eq!(gateway(&world), Some(world.peers[0].address), "of the lowest prefix");
    world.set_static(&[("198.51.200.0/24", NexthopSpec::gateway(v4("10.0.0.77")))]);
    assert_eq!(gateway(&world), Some(v4("10.0.0.77")), "of the lowest preference");
    world.assert_equal("generated");
}

#[test]
fn aggregates_of_aggregates() {
    let long = aggregate("198.51.0.0/20", Kind::Discard);
    let mut world = world(vec![AggregateRoute { policies: Vec::new(), ..aggregate(P, Kind::Discard) }, long]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&["198.51.1.0/24"], &attributes);
    world.run();
    assert!(world.peers[1].has(P) && world.peers[1].has("198.51.0.0/20"));
    world.peers[0].withdraw(&["198.51.1.0/24"]);
    world.run();
    assert!(!world.peers[1].has(P) && !world.peers[1].has("198.51.0.0/20"), "they do not hold each other up");
    world.assert_equal("nested");
}

fn static_routes(count: u32) -> Vec<StaticRouteSpec> {
    let route = |index: u32| StaticRouteSpec {
        prefix: IpNet::V4(Ipv4Net::new((0x1400_0000 + index * 256).into(), 24).unwrap()),
        spec: NexthopSpec::Discard,
        preference: 5,
        tag: 0,
    };
    (0..count).map(route).collect()
}

/// What the RIB's changes lead to, and how many destinations each slice of the work on aggregates looked at.
fn settle(engine: &mut Engine, slices: &mut Vec<usize>) {
    loop {
        let changed = engine.rib.take_changed(100_000);
        engine.speaker.redistribute(&changed, &mut engine.rib);
        if !engine.speaker.aggregates_have_work() {
            return;
        }
        slices.push(engine.speaker.aggregates_slice(&mut engine.rib));
    }
}

#[test]
fn a_turn_looks_at_little_however_much_is_covered() {
    const COVERED: u32 = 200_000;
    const ALL: &str = "20.0.0.0/6";
    let mut world = World::cold(Vec::new());
    world.configure(|config| config.routing.as_mut().unwrap().aggregates = vec![aggregate(ALL, Kind::Discard)]);
    let engine = &mut world.engines[0];
    let mut slices = Vec::new();
    let is_there = |engine: &Engine| {
        let id = engine.rib.prefixes(Family::Ipv4Unicast).get(ALL.parse().unwrap());
        id.is_some_and(|id| engine.rib.active(Family::Ipv4Unicast, id).is_some())
    };
    let bounded = |slices: &[usize]| slices.iter().all(|looked_at| *looked_at <= BACKGROUND_BATCH as usize);
    engine.rib.set_static(static_routes(COVERED));
    settle(engine, &mut slices);
    assert!(is_there(engine) && bounded(&slices) && slices.iter().sum::<usize>() >= COVERED as usize);
    // A few of many change: only these are looked at.
    slices.clear();
    engine.rib.set_static(static_routes(COVERED - 3));
    settle(engine, &mut slices);
    assert!(slices.iter().sum::<usize>() <= 8, "{slices:?}");
    // A new configuration has all of them looked at, and what holds is told meanwhile.
    let with_set = AggregateRoute { as_set: true, ..aggregate(ALL, Kind::Reject) };
    world.config.routing.as_mut().unwrap().aggregates = vec![with_set];
    let engine = &mut world.engines[0];
    slices.clear();
    engine.speaker.configure(&world.config, &mut engine.rib, world.now).unwrap();
    assert!(engine.speaker.aggregates_slice(&mut engine.rib) <= BACKGROUND_BATCH as usize && is_there(engine));
    settle(engine, &mut slices);
    assert!(bounded(&slices) && is_there(engine));
    engine.rib.set_static(Vec::new());
    settle(engine, &mut slices);
    assert!(bounded(&slices) && !is_there(engine));
    while engine.rib.fib_changes_waiting() > 0 {
        engine.rib.take_fib_changes(100_000);
    }
    let covered = engine.rib.prefixes(Family::Ipv4Unicast).covered_by(ALL.parse().unwrap());
    assert_eq!(covered.filter(|(_, net)| net.prefix_len() == 24).count(), 0, "nothing is held");
}

/// The work is half done when the other engine takes over.
#[test]
fn a_switchover_while_the_table_is_looked_through() {
    for kind in [Kind::Discard, Kind::Generate] {
        let mut world = world(Vec::new());
        let attributes = world.peers[0].attributes(&[65001, 7]);
        let net = |index: u32| IpNet::V4(Ipv4Net::new((0xc633_0000 + index * 4).into(), 30).unwrap());
        let nets: Vec<IpNet> = (0..3 * BACKGROUND_BATCH).map(net).collect();
        let next_hop = world.peers[0].next_hop(Family::Ipv4Unicast);
        nets.chunks(500).for_each(|nets| world.peers[0].announce_via(nets, &attributes, next_hop));
        world.run();
        let set = AggregateRoute { as_set: true, ..aggregate(P, kind) };
        world.put_in_force(|config| config.routing.as_mut().unwrap().aggregates = vec![set]);
        world.turn(usize::MAX);
        assert!(!world.peers[1].has(P), "not looked through");
        world.hand_over("half done");
        world.run();
        assert_eq!(world.peers[1].path(P), "65000 65001 7");
        world.assert_equal("handed over");
        for nets in nets.chunks(500) {
            let nets: Vec<String> = nets.iter().map(IpNet::to_string).collect();
            world.peers[0].withdraw(&nets.iter().map(String::as_str).collect::<Vec<_>>());
        }
        world.turn(usize::MAX);
        world.hand_over("while they go");
        world.run();
        assert!(!world.peers[1].has(P));
        world.assert_equal("gone");
        assert_eq!([0, 1].map(|index| world.held(index)), [(0, 0); 2]);
    }
}
