//! What is taken in: loops, malformed attributes, import policy.

use holdfast_proto::v1::{self, CommunityAction, CommunityList, PolicyActions, PolicyMatch, PrefixList};
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World, accept, policy, reject, term};
use crate::speaker::limits::MALFORMED_LOG_SPACING;
use crate::wire::{PathAttributes, RawAttribute};

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";

fn world() -> World {
    World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)])
}

fn inactive_reason(world: &World, prefix: &str) -> String {
    let engine = world.primary();
    let id = engine.rib.prefixes(Family::Ipv4Unicast).get(prefix.parse().unwrap()).unwrap();
    engine.speaker.routes(&engine.rib, Family::Ipv4Unicast, id)[0].inactive_reason.clone()
}

#[test]
fn loops_are_refused() {
    let mut world = world();
    let loop_ = world.peers[0].attributes(&[65001, LOCAL_AS, 65100]);
    let mine =
        PathAttributes { originator_id: Some("192.0.2.254".parse().unwrap()), ..world.peers[2].attributes(&[65009]) };
    let cluster =
        PathAttributes { cluster_list: vec!["192.0.2.254".parse().unwrap()], ..world.peers[2].attributes(&[65009]) };
    world.peers[0].announce(&[P], &loop_);
    world.peers[2].announce(&["192.0.2.0/25"], &mine);
    world.peers[2].announce(&["192.0.2.128/25"], &cluster);
    world.run();
    assert!(world.peers.iter().all(|peer| peer.table.is_empty()));
    assert_eq!(inactive_reason(&world, P), "our own AS is in its path");
    assert!(inactive_reason(&world, "192.0.2.0/25").contains("originator"));
    assert!(inactive_reason(&world, "192.0.2.128/25").contains("cluster"));
    assert_eq!(world.primary().speaker.hidden(Family::Ipv4Unicast), 3);
    // A loop in place of a good route takes that away.
    let good = world.peers[0].attributes(&[65001, 65100]);
    world.peers[0].announce(&[P], &good);
    world.run();
    assert!(world.peers[1].has(P));
    world.peers[0].announce(&[P], &loop_);
    world.run();
    assert!(!world.peers[1].has(P));
}

#[test]
fn malformed_attributes_withdraw_the_route_and_leave_the_session() {
    let mut world = world();
    let good = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, Q], &good);
    world.run();
    assert!(world.peers[1].has(P));
    // COMMUNITIES of three octets (RFC 7606 §7.8).
    let bad = PathAttributes {
        unknown: vec![RawAttribute { flags: 0xc0, code: 8, data: vec![1, 2, 3] }],
        ..world.peers[0].attributes(&[65001])
    };
    world.join();
    world.run();
    world.peers[0].announce(&[P], &bad);
    world.run();
    assert!(!world.peers[1].has(P) && world.peers[1].has(Q));
    assert_eq!(world.peers[0].sessions, 1);
    let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
    assert_eq!(detail.treat_as_withdraw, 1);
    world.assert_equal("treat-as-withdraw");
}

/// RFC 7606 §8: the log names the routes and has the whole message, and an operator finds the last one, whichever engine leads.
#[test]
fn what_is_malformed_can_be_found_out() {
    let mut world = world();
    let with = |world: &World, code: u8, data: Vec<u8>| PathAttributes {
        unknown: vec![RawAttribute { flags: 0xc0, code, data }],
        ..world.peers[0].attributes(&[65001])
    };
    let (communities, aggregator) = (with(&world, 8, vec![1, 2, 3]), with(&world, 7, vec![4, 5]));
    world.advance(MALFORMED_LOG_SPACING * 2);
    world.peers[0].announce(&[P], &communities);
    let sent = world.peers[0].out.clone();
    world.run();
    let text: String = sent.iter().map(|octet| format!("{octet:02x}")).collect();
    let [warning] = world.warnings.as_slice() else { panic!("{:?}", world.warnings) };
    for part in ["COMMUNITIES", P, text.as_str()] {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    world.peers[0].announce(&[P], &aggregator);
    world.run();
    assert_eq!(world.warnings.len(), 1, "one in a while");
    world.advance(MALFORMED_LOG_SPACING);
    world.peers[0].announce(&[Q], &aggregator);
    world.run();
    assert_eq!(world.warnings.len(), 2);
    assert!(world.warnings[1].contains("1 more since"), "{:?}", world.warnings);
    let found = |world: &World| {
        let detail = world.primary().speaker.detail(world.id(0), world.now).unwrap();
        (detail.treat_as_withdraw, detail.attributes_discarded, detail.last_malformed)
    };
    let before = found(&world);
    assert_eq!((before.0, before.1), (1, 2));
    assert!(before.2.contains("AGGREGATOR") && before.2.contains(Q), "{}", before.2);
    world.join();
    world.run();
    world.hand_over("malformed");
    assert_eq!(found(&world), before);
}

#[test]
fn bytes_that_are_no_bgp_end_the_session() {
    let mut world = world();
    world.join();
    world.run();
    let good = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &good);
    world.run();
    world.peers[0].announce(&[Q], &good);
    world.peers[0].out.extend([0xff; 16]);
    world.peers[0].out.extend([0, 5, 2]);
    world.run();
    assert!(!world.peers[1].has(P) && !world.peers[1].has(Q));
    assert_eq!(world.peers[0].notifications.len(), 1);
    world.assert_equal("garbage");
    world.establish();
    world.assert_equal("up again");
}

fn policies(world: &mut World, import: bool, statements: Vec<v1::PolicyStatement>) {
    let names: Vec<String> = statements.iter().map(|statement| statement.name.clone()).collect();
    let address = world.peers[0].address.to_string();
    world.configure(|config| {
        let options = config.policy.as_mut().unwrap();
        options.prefix_lists = vec![PrefixList { name: "p".into(), prefixes: vec![P.into()] }];
        options.communities =
            vec![CommunityList { name: "c".into(), members: vec!["65000:9".into()], ..Default::default() }];
        options.statements = statements;
        let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
        let neighbor = neighbors.iter_mut().find(|neighbor| neighbor.address == address).unwrap();
        if import {
            neighbor.import_policies = names;
        } else {
            neighbor.export_policies = names;
        }
    });
}

fn p_only() -> PolicyMatch {
    PolicyMatch { prefix_lists: vec!["p".into()], ..PolicyMatch::default() }
}

#[test]
fn import_policy_with_and_without_prefix_lists() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, Q], &attributes);
    world.run();
    let prefer = PolicyActions { local_preference: Some(250), ..accept() };
    policies(&mut world, true, vec![policy("i", vec![term(PolicyMatch::default(), prefer.clone())])]);
    for prefix in [P, Q] {
        assert_eq!(world.peers[2].route(prefix).unwrap().0.local_pref, Some(250));
    }
    policies(&mut world, true, vec![policy("i", vec![term(p_only(), prefer), term(PolicyMatch::default(), reject())])]);
    assert_eq!(world.peers[2].route(P).unwrap().0.local_pref, Some(250));
    assert!(!world.peers[2].has(Q));
    assert_eq!(inactive_reason(&world, Q), "rejected by import policy i term t");
    policies(&mut world, true, Vec::new());
    assert_eq!(world.peers[2].route(Q).unwrap().0.local_pref, Some(100));
    assert!(
        world.peers.iter().all(|peer| peer.sessions == 1 && peer.notifications.is_empty()),
        "no session was touched"
    );
    // What is rejected is still known and counted.
    policies(&mut world, true, vec![policy("i", vec![term(PolicyMatch::default(), reject())])]);
    assert!(world.peers[1].table.is_empty());
    let summary = world.primary().speaker.summary(world.now);
    let counters = &summary.neighbors[0].families[0];
    assert_eq!((counters.received, counters.accepted, counters.active), (2, 0, 0));
}

#[test]
fn import_next_hop_is_changed_within_its_family_only() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, "2001:db8:1::/48"], &attributes);
    let via = PolicyActions { next_hop: "10.0.0.2".into(), ..accept() };
    policies(&mut world, true, vec![policy("i", vec![term(PolicyMatch::default(), via)])]);
    assert_eq!(world.peers[2].route(P).unwrap().1.to_string(), "10.0.0.2");
    assert_eq!(world.peers[2].route("2001:db8:1::/48").unwrap().1, world.peers[0].v6);
}

#[test]
fn export_policy_with_and_without_prefix_lists() {
    let mut world = world();
    let attributes = world.peers[1].attributes(&[65002]);
    world.peers[1].announce(&[P, Q], &attributes);
    world.run();
    let before = world.peers[2].updates;
    let change = PolicyActions {
        metric: Some(50),
        as_path_prepend: vec![64999, 64998],
        communities: vec![CommunityAction { kind: 0, community: "c".into() }],
        ..accept()
    };
    policies(&mut world, false, vec![policy("e", vec![term(PolicyMatch::default(), change.clone())])]);
    for prefix in [P, Q] {
        let (told, _) = world.peers[0].route(prefix).unwrap();
        assert_eq!((told.med, told.communities.as_slice()), (Some(50), [65000 << 16 | 9].as_slice()));
        assert_eq!(told.as_path.to_string(), "64999 64998 65000 65002");
    }
    policies(
        &mut world,
        false,
        vec![policy("e", vec![term(p_only(), change), term(PolicyMatch::default(), reject())])],
    );
    assert!(world.peers[0].has(P) && !world.peers[0].has(Q));
    policies(&mut world, false, Vec::new());
    assert_eq!(world.peers[0].path(Q), "65000 65002");
    assert_eq!(world.peers[2].updates, before, "others hear nothing of it");
    assert!(world.peers.iter().all(|peer| peer.sessions == 1));
    assert_eq!(world.peers[0].ends_of_rib, [1, 1], "End-of-RIB is said once");
}

#[test]
fn next_hop_self_towards_internal_neighbours() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, "2001:db8:1::/48"], &attributes);
    world.configure(|config| {
        let myself = PolicyActions { next_hop_self: true, ..PolicyActions::default() };
        config.policy.as_mut().unwrap().statements = vec![policy("nhs", vec![term(PolicyMatch::default(), myself)])];
        config.bgp.as_mut().unwrap().neighbors[2].export_policies = vec!["nhs".into()];
    });
    assert_eq!(world.peers[2].route(P).unwrap().1.to_string(), super::world::LOCAL);
    assert_eq!(world.peers[2].route("2001:db8:1::/48").unwrap().1.to_string(), super::world::LOCAL_V6);
}

#[test]
fn a_neighbor_whose_routes_are_not_installed_is_told_on_all_the_same() {
    let mut world = world();
    let (far, near) = (world.peers[0].attributes(&[65001, 65009]), world.peers[1].attributes(&[65002]));
    world.configure_neighbor(0, |neighbor| neighbor.not_installed = vec![v1::AddressFamily::Ipv4Unicast.into()]);
    world.peers[0].announce(&[P, Q], &far);
    world.run();
    let entries = |world: &World| world.primary().rib.fib_digest(Family::Ipv4Unicast).entries;
    assert!(world.peers[1].has(P) && world.peers[2].has(Q));
    assert_eq!((entries(&world), world.fib_changes), (0, 0));
    // The best route decides, whoever else has one.
    world.peers[1].announce(&[P], &near);
    world.run();
    assert_eq!(entries(&world), 1);
    world.configure_neighbor(0, |neighbor| neighbor.not_installed.clear());
    world.run();
    assert_eq!(entries(&world), 2);
    world.configure_neighbor(1, |neighbor| neighbor.not_installed = vec![v1::AddressFamily::Ipv4Unicast.into()]);
    world.run();
    assert_eq!(entries(&world), 1, "what was there is taken out");
}
