//! The exchange of whole tables: first advertisement, End-of-RIB, refresh; sessions that end; neighbours that are removed.

use std::time::Duration;

use holdfast_rib::Family;

use holdfast_replication::Switchover;

use super::peer::Peer;
use super::world::{Engine, LOCAL, LOCAL_AS, World, neighbor_config, v4};
use crate::session::ConnectionSide;
use crate::speaker::Speaker;
use crate::wire::{HEADER_LEN, MessageType, frame};

const P: &str = "203.0.113.0/24";
const P6: &str = "2001:db8:1::/48";

fn world() -> World {
    World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)])
}

#[test]
fn a_neighbour_has_to_call_the_address_that_is_our_end() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| neighbor.local_address = LOCAL.into());
    let speaker = &world.primary().speaker;
    let refused = |peer: usize, own: &str| speaker.refuses_own_end(world.peers[peer].address, v4(own));
    assert_eq!(refused(0, LOCAL), None);
    let rejection = refused(0, "10.0.0.99").expect("another address of ours");
    assert!(rejection.reason.contains("it calls 10.0.0.99, but local-address is"), "{}", rejection.reason);
    assert_eq!(rejection.notification.map(|notification| (notification.code, notification.subcode)), Some((6, 5)));
    assert_eq!(refused(1, "10.0.0.99"), None, "none is stated");
}

/// Whoever is just coming up is worth waiting for before a switchover; whoever connects again and again and does not come up is not.
#[test]
fn who_does_not_come_up_holds_up_no_switchover() {
    let mut world = World::cold(vec![Peer::new(1, 65001)]);
    world.peers[0].away = true;
    let waits = |world: &World| !world.primary().speaker.readiness(world.now).remove(0).ready;
    let call = |world: &mut World| {
        let (now, address) = (world.now, world.peers[0].address);
        let Engine { speaker, rib } = &mut world.engines[0];
        assert!(speaker.tcp_accepted(address, rib, now).is_ok());
        world.act();
    };
    let hang_up = |world: &mut World| {
        let (now, id) = (world.now, world.id(0));
        let Engine { speaker, rib } = &mut world.engines[0];
        speaker.tcp_closed(id, ConnectionSide::Accepted, "reset", rib, now);
        world.act();
    };
    assert!(!waits(&world), "nothing is on its way");
    // Each time another connection, in the place of the one before.
    call(&mut world);
    assert!(waits(&world));
    for _ in 0..4 {
        world.advance(Duration::from_secs(3));
        call(&mut world);
    }
    assert!(!waits(&world), "it has had its time");
    // It ends each itself.
    world.configure_neighbor(0, |neighbor| neighbor.disable = true);
    world.configure_neighbor(0, |neighbor| neighbor.disable = false);
    let mut waited = Vec::new();
    for _ in 0..4 {
        call(&mut world);
        waited.push(waits(&world));
        hang_up(&mut world);
        world.advance(Duration::from_secs(1));
    }
    assert_eq!(waited, [true, true, false, false]);
}

#[test]
fn end_of_rib_follows_the_first_table_once_per_family() {
    let mut world = world();
    assert_eq!(world.peers[0].ends_of_rib, [1, 1], "of an empty table too");
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, P6], &attributes);
    world.run();
    world.cut(1);
    world.establish();
    world.run();
    assert_eq!((world.peers[1].sessions, world.peers[1].ends_of_rib), (2, [1, 1]));
    assert!(world.peers[1].has(P) && world.peers[1].has(P6));
    assert_eq!(world.peers[1].repeated, 0);
}

#[test]
fn refresh_repeats_one_family() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, "198.51.100.0/24", P6], &attributes);
    world.join();
    world.run();
    world.peers[1].ask_refresh(Family::Ipv4Unicast);
    world.run();
    assert_eq!(world.peers[1].repeated, 2);
    world.peers[1].ask_refresh(Family::Ipv6Unicast);
    world.run();
    assert_eq!(world.peers[1].repeated, 3);
    assert_eq!(world.peers[2].repeated, 0);
    world.assert_equal("refreshed");
    world.hand_over("after a refresh");
    world.run();
    assert_eq!(world.peers[1].repeated, 3, "the successor knows that it is done");
}

/// A refresh is asked for, and the engine changes before it was answered: the new one answers.
#[test]
fn a_refresh_that_is_not_answered_yet_is_answered_by_the_successor() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.join();
    world.run();
    world.peers[1].ask_refresh(Family::Ipv4Unicast);
    world.read_only();
    world.hand_over("refresh pending");
    world.run();
    assert_eq!(world.peers[1].repeated, 1);
    world.assert_equal("refresh pending");
}

#[test]
fn families_that_are_not_shared_are_not_exchanged() {
    let mut two = Peer::new(2, 65002);
    two.open.capabilities.remove(1);
    let mut world = World::new(vec![Peer::new(1, 65001), two]);
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P, P6], &attributes);
    world.run();
    assert!(world.peers[1].has(P));
    assert!(!world.peers[1].has(P6));
    assert_eq!(world.peers[1].ends_of_rib, [1, 0]);
}

#[test]
fn a_neighbour_that_falls_silent_is_given_up() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.run();
    // Half of a message, and then nothing: no KEEPALIVE either.
    world.now += std::time::Duration::from_secs(91);
    world.run();
    assert!(world.downs.iter().any(|(address, reason, kept)| {
        *address == world.peers[0].address && reason.contains("hold time") && !kept
    }));
    assert!(!world.peers[1].has(P));
}

/// The daemon is told to close the connection and to tell the follower, by a name that it can still look up.
#[test]
fn a_removed_neighbour_is_told_and_its_routes_go() {
    let mut world = world();
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[P], &attributes);
    world.join();
    world.run();
    let mut newcomer = Peer::new(9, 65009);
    newcomer.away = true;
    world.peers.push(newcomer);
    let config = neighbor_config(&world.peers[3]);
    // One goes, another one comes, in the same commit.
    world.peers[0].away = true;
    world.configure(|all| all.bgp.as_mut().unwrap().neighbors[0] = config);
    assert_eq!(world.downs.last().map(|(address, _, kept)| (*address, *kept)), Some((world.peers[0].address, false)));
    assert_eq!(world.peers[0].notifications.len(), 1);
    assert!(!world.peers[0].is_up(), "its connection is closed");
    assert!(!world.peers[1].has(P));
    assert_eq!(world.primary().speaker.find_neighbor(world.peers[0].address), None);
    world.assert_equal("removed");
    world.peers[3].away = false;
    world.establish();
    let attributes = world.peers[3].attributes(&[65009]);
    world.peers[3].announce(&[P], &attributes);
    world.run();
    assert_eq!(world.peers[1].path(P), "65000 65009");
    world.assert_equal("added");
}

#[test]
fn a_deactivated_neighbour_stays_down_until_it_is_activated() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| neighbor.disable = true);
    world.advance(std::time::Duration::from_secs(300));
    assert!(!world.peers[0].is_up());
    assert_eq!(world.peers[0].sessions, 1);
    world.configure_neighbor(0, |neighbor| neighbor.disable = false);
    world.establish();
    assert_eq!(world.peers[0].sessions, 2);
}

/// Sessions of all neighbours so far, to see which of them began anew.
fn sessions(world: &super::world::World) -> Vec<u32> {
    world.peers.iter().map(|peer| peer.sessions).collect()
}

#[test]
fn a_commit_restarts_no_session_but_those_it_concerns() {
    let mut world = world();
    world.configure(|_| {});
    world.configure(|config| {
        config.routing.as_mut().unwrap().maximum_paths = 4;
        for neighbor in &mut config.bgp.as_mut().unwrap().neighbors {
            neighbor.description = "another".into();
            neighbor.stale_routes_time_s = 60;
        }
    });
    world.configure_neighbor(0, |neighbor| neighbor.multipath = true);
    assert_eq!(sessions(&world), [1, 1, 1]);
    world.configure_neighbor(1, |neighbor| neighbor.hold_time_s = 30);
    world.establish();
    assert_eq!(sessions(&world), [1, 2, 1]);
    assert!(world.peers.iter().all(Peer::is_up));
}

#[test]
fn another_router_id_restarts_every_session() {
    let mut world = world();
    world.configure(|config| config.routing.as_mut().unwrap().router_id = "192.0.2.253".into());
    world.establish();
    assert_eq!(sessions(&world), [2, 2, 2]);
}

/// A commit that says nothing of the router id does not change it because an interface has got a higher address.
#[test]
fn a_router_id_that_nobody_configured_stays_while_its_address_does() {
    let mut world = world();
    world.configure(|config| config.routing.as_mut().unwrap().router_id.clear());
    world.establish();
    let (before, known) = (sessions(&world), world.primary().speaker.router_id());
    let own = format!("{known}/24").parse().unwrap();
    world.interface(|rib| rib.address_added(1, "223.255.255.1/24".parse().unwrap()));
    world.configure(|config| config.routing.as_mut().unwrap().maximum_paths = 2);
    assert_eq!((sessions(&world), world.primary().speaker.router_id()), (before.clone(), known));
    // Its address goes: from the next commit on it is another one.
    world.interface(|rib| rib.address_added(1, "223.255.255.2/24".parse().unwrap()));
    world.interface(|rib| rib.address_removed(1, own));
    world.configure(|config| config.routing.as_mut().unwrap().maximum_paths = 1);
    assert_eq!(world.primary().speaker.router_id().to_string(), "223.255.255.2");
}

/// Nor does a second engine that begins later, when the highest address is another one, bring another router id.
#[test]
fn a_follower_takes_the_router_id_of_its_primary() {
    let mut world = world();
    world.configure(|config| config.routing.as_mut().unwrap().router_id.clear());
    world.establish();
    let (before, known) = (sessions(&world), world.primary().speaker.router_id());
    world.interface(|rib| rib.address_added(1, "223.255.255.1/24".parse().unwrap()));
    world.join();
    world.run();
    world.hand_over("with an address more");
    world.configure(|config| config.routing.as_mut().unwrap().maximum_paths = 2);
    assert_eq!((sessions(&world), world.primary().speaker.router_id()), (before, known));
    world.cut(0);
    world.establish();
    assert_eq!(
        world.peers[0].heard_open.as_ref().map(|open| open.router_id),
        Some(known),
        "a new session bears it too"
    );
}

/// What proves after a switchover that a session works is a message as any other.
#[test]
fn a_keepalive_beside_the_timers_is_counted() {
    let mut world = World::new(vec![Peer::new(1, 65001)]);
    world.join();
    world.run();
    world.hand_over("with a session");
    let (id, now) = (world.id(0), world.now);
    let speaker = &mut world.engines[world.primary].speaker;
    let sent = |speaker: &Speaker| speaker.detail(id, now).unwrap().summary.unwrap().messages_out;
    let before = sent(speaker);
    assert_eq!(frame(&speaker.keepalive(id, now)), Ok(Some((HEADER_LEN, MessageType::Keepalive))));
    assert_eq!(sent(speaker), before + 1);
}

#[test]
fn a_neighbour_that_never_was_up_is_down_since_it_is_there_whoever_leads() {
    let mut world = World::cold(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    world.peers[1].away = true;
    world.configure_neighbor(1, |neighbor| neighbor.disable = true);
    world.establish();
    world.advance(Duration::from_secs(7));
    let down_s = |world: &World| world.primary().speaker.summary(world.now).neighbors[1].established_ms / 1000;
    assert_eq!(down_s(&world), 7);
    world.join();
    world.run();
    world.hand_over("with a neighbour that is shut down");
    world.advance(Duration::from_secs(5));
    assert_eq!(down_s(&world), 12);
}

#[test]
fn an_address_that_is_no_neighbors_is_called_that() {
    let mut peer = Peer::new(1, 65001);
    peer.away = true;
    let mut world = World::cold(vec![peer]);
    let why = |world: &World| world.primary().speaker.detail(world.id(0), world.now).unwrap().why_not_established;
    world.interface(|rib| rib.address_added(1, "10.0.0.1/24".parse().unwrap()));
    world.advance(Duration::from_secs(120));
    assert!(
        why(&world).contains("10.0.0.1 is our own address: configure the neighbor by its address"),
        "{}",
        why(&world)
    );
    world.interface(|rib| rib.address_removed(1, "10.0.0.1/24".parse().unwrap()));
    world.peers[0].away = false;
    world.establish();
    assert_eq!(why(&world), "");
}
