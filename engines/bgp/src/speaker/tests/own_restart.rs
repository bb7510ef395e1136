//! Our own graceful restart (RFC 4724 §4.1), session by session: a successor knows all routes and makes only the session anew.

use std::time::Duration;

use holdfast_proto::v1::{SessionReadiness, SwitchoverMode};
use holdfast_replication::Switchover;
use holdfast_rib::Family;

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::wire::Capability;

const P: &str = "203.0.113.0/24";
const Q: &str = "198.51.100.0/24";
const P6: &str = "2001:db8:1::/48";

/// The first neighbour only helps others restart (it announces the capability without families) and has told P, Q and P6;
/// the second can do nothing of the kind and has told a route too; the third is in our AS.
fn world() -> World {
    let helper = Peer::new(1, 65001).with_graceful_restart(&[], 0);
    let mut world = World::cold(vec![helper, Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    for peer in 0..3 {
        world.configure_neighbor(peer, |neighbor| neighbor.graceful_restart = true);
    }
    world.establish();
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    tell(&mut world, 1, &["192.0.2.0/25"]);
    world.join();
    world.run();
    world
}

fn tell(world: &mut World, peer: usize, prefixes: &[&str]) {
    let attributes = world.peers[peer].attributes(&[65001 + peer as u32]);
    world.peers[peer].announce(prefixes, &attributes);
    world.run();
}

fn ends_of_rib(world: &mut World, peer: usize) {
    Family::ALL.into_iter().for_each(|family| world.peers[peer].end_of_rib(family));
    world.run();
}

/// What the router's last OPEN to a neighbour said of its restart: restarted, and forwarding kept for all families.
pub(super) fn announced(world: &World, peer: usize) -> (bool, bool) {
    let open = world.peers[peer].heard_open.as_ref().expect("an OPEN was heard");
    let found = open.capabilities.iter().find_map(|capability| match capability {
        Capability::GracefulRestart { restarting, families, .. } => {
            Some((*restarting, families.len() == 2 && families.iter().all(|(_, kept)| *kept)))
        }
        _ => None,
    });
    found.expect("graceful restart is announced")
}

fn told(world: &World, peer: usize) -> Vec<String> {
    world.peers[peer].table.keys().map(ToString::to_string).collect()
}

fn readiness(world: &World, peer: usize) -> SessionReadiness {
    let address = world.peers[peer].address.to_string();
    let all = world.primary().speaker.readiness(world.now);
    all.into_iter().find(|session| session.neighbor == address).expect("every neighbor is named")
}

fn restart(world: &World, peer: usize) -> (String, u64, u64) {
    let detail = world.primary().speaker.detail(world.id(peer), world.now).expect("configured");
    let restart = detail.graceful_restart.expect("there was one");
    (restart.state, restart.routes_kept, restart.routes_swept)
}

#[test]
fn nothing_moves_until_the_neighbour_has_told_everything_again() {
    let mut world = world();
    let others =
        |world: &World| (world.peers[1].sessions, world.peers[2].sessions, world.peers[2].updates, world.fib_changes);
    let before = others(&world);
    assert_eq!(
        announced(&world, 0),
        (false, false),
        "the first session was no restart, nothing was forwarded before it"
    );
    world.hand_over_without(&[0], "restart");
    world.establish();
    world.assert_equal("waiting");
    assert_eq!(announced(&world, 0), (true, true), "Restart State and Forwarding State");
    assert_eq!(world.peers[0].ends_of_rib, [1, 1], "our table follows, and its end is said");
    assert_eq!(told(&world, 0), ["192.0.2.0/25"]);
    tell(&mut world, 0, &[P, Q, P6]);
    assert!(world.primary().speaker.restart_waits_for(world.id(0)).is_some_and(|what| what.contains("End-of-RIB")));
    ends_of_rib(&mut world, 0);
    assert_eq!(world.primary().speaker.restart_waits_for(world.id(0)), None);
    assert_eq!(restart(&world, 0), ("complete".into(), 3, 0));
    assert_eq!(others(&world), before, "the others have noticed nothing, and forwarding was not touched");
    world.assert_equal("over");
}

#[test]
fn what_is_not_told_again_is_swept_once_and_by_family() {
    let mut world = world();
    world.hand_over_without(&[0], "restart");
    world.establish();
    tell(&mut world, 0, &[P]);
    let before = world.peers[2].updates;
    world.peers[0].end_of_rib(Family::Ipv4Unicast);
    world.run();
    assert!(!world.peers[2].has(Q) && world.peers[2].has(P6), "IPv6 still waits for its own End-of-RIB");
    assert_eq!(world.peers[2].updates, before + 1);
    world.peers[0].end_of_rib(Family::Ipv6Unicast);
    world.run();
    assert!(world.peers[2].has(P) && !world.peers[2].has(P6));
    assert_eq!(world.peers[2].updates, before + 2, "each withdrawn once");
    assert_eq!(restart(&world, 0), ("complete".into(), 3, 2));
    world.assert_equal("swept");
    world.cut(0);
    world.establish();
    assert_eq!(announced(&world, 0), (false, true), "the restart is over");
    assert_eq!(restart(&world, 0), ("complete".into(), 3, 2), "what happens later does not count");
}

#[test]
fn a_neighbour_that_cannot_help_flaps() {
    let mut world = world();
    assert_eq!(readiness(&world, 1).mode(), SwitchoverMode::Nsr);
    world.configure_neighbor(1, |neighbor| neighbor.nonstop_routing = false);
    let plan = readiness(&world, 1);
    assert_eq!((plan.mode(), plan.ready), (SwitchoverMode::Lost, true));
    assert!(plan.reason.contains("nonstop-routing") && plan.reason.contains("graceful restart"), "{}", plan.reason);
    world.hand_over_without(&[1], "flap");
    world.run();
    assert_eq!(world.downs.last().map(|(_, _, kept)| *kept), Some(false));
    assert!(!world.peers[2].has("192.0.2.0/25"));
    world.establish();
    world.assert_equal("back");
}

#[test]
fn the_plan_names_road_reason_and_patience() {
    let mut world = world();
    let plan = readiness(&world, 0);
    assert_eq!((plan.mode(), plan.ready, plan.tolerated_silence_ms), (SwitchoverMode::Nsr, true, 90_000));
    let id = world.id(0);
    world.engines[world.primary].speaker.set_deposited(id, false);
    let plan = readiness(&world, 0);
    assert_eq!((plan.mode(), plan.ready, plan.tolerated_silence_ms), (SwitchoverMode::Gr, true, 120_000));
    assert!(plan.reason.contains("vault"), "{}", plan.reason);
    world.configure_neighbor(0, |neighbor| neighbor.nonstop_routing = false);
    assert!(readiness(&world, 0).reason.contains("nonstop-routing"));
    world.configure_neighbor(0, |neighbor| neighbor.graceful_restart = false);
    world.establish();
    assert_eq!(readiness(&world, 0).mode(), SwitchoverMode::Lost);
    world.peers[2].away = true;
    world.cut(2);
    world.run();
    let plan = readiness(&world, 2);
    assert_eq!((plan.mode(), plan.ready), (SwitchoverMode::Down, true), "nothing to lose, nothing to wait for");
}

#[test]
fn a_second_run_waits_until_the_first_restart_is_over() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| neighbor.nonstop_routing = false);
    assert!(readiness(&world, 0).ready);
    world.hand_over_without(&[0], "first");
    world.establish();
    let plan = readiness(&world, 0);
    assert!(!plan.ready && plan.reason.contains("End-of-RIB"), "{plan:?}");
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    assert!(readiness(&world, 0).ready);
    let updates = world.peers[2].updates;
    world.hand_over_without(&[0], "second");
    world.establish();
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    assert_eq!(world.peers[2].updates, updates);
    world.assert_equal("twice");
}

/// Who never says End-of-RIB does not hold up runs for ever: beyond the time for stale routes nothing of them is left.
#[test]
fn a_neighbour_without_its_end_of_rib_is_waited_for_no_longer_than_stale_routes() {
    let mut world = world();
    world.configure_neighbor(0, |neighbor| neighbor.nonstop_routing = false);
    world.cut(0);
    world.establish();
    assert!(!readiness(&world, 0).ready);
    world.advance(Duration::from_secs(301));
    assert!(readiness(&world, 0).ready);
}

#[test]
fn a_neighbour_that_does_not_come_back_is_given_up_in_time() {
    let mut world = world();
    world.peers[0].away = true;
    world.hand_over_without(&[0], "away");
    world.run();
    world.advance(Duration::from_secs(119));
    assert!(world.peers[2].has(P));
    world.advance(Duration::from_secs(2));
    assert!(!world.peers[2].has(P), "the time that it was told we may be away");
    assert!(world.primary().speaker.restart_expired(world.id(0)));
    assert_eq!(restart(&world, 0), ("expired".into(), 3, 3));
    world.assert_equal("given up");
}

#[test]
fn a_neighbour_that_does_not_finish_is_given_up_in_time() {
    let mut world = world();
    world.hand_over_without(&[0], "unfinished");
    world.establish();
    tell(&mut world, 0, &[P]);
    world.advance(Duration::from_secs(301));
    assert!(world.peers[2].has(P) && !world.peers[2].has(Q));
    assert!(world.primary().speaker.restart_expired(world.id(0)));
    world.assert_equal("given up");
}

/// It forwards as before, whatever it says of restarts of its own: FRR sets the Restart State bit whenever it has not run for long.
#[test]
fn the_neighbours_own_bits_do_not_count() {
    for restarting in [false, true] {
        for families in [vec![], Family::ALL.map(|family| (family, false)).to_vec()] {
            let mut world = world();
            world.peers[0].open.capabilities.pop();
            let bits = Capability::GracefulRestart { restarting, notification: true, time_s: 60, families };
            world.peers[0].open.capabilities.push(bits);
            world.hand_over_without(&[0], "bits");
            world.establish();
            world.run();
            assert!(world.peers[2].has(P));
            world.assert_equal("bits");
        }
    }
}

#[test]
fn routes_go_at_once_when_nobody_would_say_their_end() {
    let mut world = world();
    world.peers[0].open.capabilities.pop();
    world.hand_over_without(&[0], "no capability");
    world.establish();
    world.run();
    assert!(!world.peers[2].has(P));
    assert_eq!(world.primary().speaker.restart_waits_for(world.id(0)), None, "nothing to wait for");
    world.assert_equal("no capability");
}

/// The way back after the commit point: the first engine followed the restart and leads again in its middle.
#[test]
fn the_first_engine_goes_on_with_a_restart_that_the_second_began() {
    let mut world = world();
    world.peers[0].away = true;
    world.hand_over_without(&[0], "there");
    world.run();
    world.hand_over("back, while the neighbour is away");
    assert!(world.peers[2].has(P));
    world.peers[0].away = false;
    world.establish();
    assert_eq!(announced(&world, 0), (true, true));
    world.hand_over_without(&[0], "there again, and its session restarts once more");
    world.establish();
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    assert!(world.peers[2].has(P) && world.peers[2].has(P6));
    world.assert_equal("over");
}

#[test]
fn a_follower_may_join_in_the_middle() {
    let mut world = world();
    world.peers[0].away = true;
    world.hand_over_without(&[0], "restart");
    world.run();
    world.join_anew();
    world.run();
    world.assert_equal("joined while the session is down");
    world.hand_over("on");
    world.peers[0].away = false;
    world.establish();
    assert_eq!(announced(&world, 0), (true, true), "the newcomer knows whose restart it is");
    world.join_anew();
    world.run();
    world.assert_equal("joined while routes wait");
    tell(&mut world, 0, &[P]);
    ends_of_rib(&mut world, 0);
    world.assert_equal("over");
    assert!(world.peers[2].has(P) && !world.peers[2].has(Q));
}

#[test]
fn all_sessions_may_restart_at_once() {
    let mut world = world();
    for peer in [0, 2] {
        world.peers[peer].set_graceful_restart(&[], 0);
        world.cut(peer);
    }
    world.establish();
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    ends_of_rib(&mut world, 2);
    world.configure_neighbor(1, |neighbor| neighbor.disable = true);
    let fib_changes = world.fib_changes;
    world.hand_over_without(&[0, 2], "all");
    for _ in 0..100 {
        world.advance(Duration::from_millis(10));
    }
    assert!(world.peers[0].is_up() && world.peers[2].is_up());
    assert_eq!(told(&world, 2), [Q, P, P6], "told anew from what was kept");
    tell(&mut world, 0, &[P, Q, P6]);
    ends_of_rib(&mut world, 0);
    ends_of_rib(&mut world, 2);
    assert_eq!(world.fib_changes, fib_changes);
    world.assert_equal("all");
}
