//! Our address on a link changes, and the second engine sees that sooner than what the first one told under it.

use super::peer::Peer;
use super::world::{LOCAL_V6, World};

const NET: &str = "2001:db8:1::/48";
const OTHER: &str = "2001:db8::ff";

/// IPv6 routes in IPv4 sessions: the next hop is what the link has.
fn world() -> World {
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    world.join();
    world.run();
    world
}

/// Everything happens, but the second engine hears of nothing.
fn unheard(world: &mut World) {
    while world.turn(0) {}
}

fn announce(world: &mut World) {
    let attributes = world.peers[0].attributes(&[65001]);
    world.peers[0].announce(&[NET], &attributes);
}

/// The link has another address, both engines see that at once.
fn readdress(world: &mut World, from: &str, to: &str) {
    world.interface(|rib| {
        rib.address_removed(1, format!("{from}/64").parse().unwrap());
        rib.address_added(1, format!("{to}/64").parse().unwrap());
    });
}

fn next_hop(world: &World) -> String {
    world.peers[1].route(NET).map(|(_, next_hop)| next_hop.to_string()).unwrap_or_default()
}

#[test]
fn the_link_is_down_before_the_session_is_heard_of() {
    let mut world = world();
    world.cut(1);
    for _ in 0..1000 {
        world.now += std::time::Duration::from_millis(100);
        unheard(&mut world);
        if world.peers[1].is_up() {
            break;
        }
    }
    announce(&mut world);
    unheard(&mut world);
    assert_eq!(next_hop(&world), LOCAL_V6);
    world.interface(|rib| rib.interface_update(1, "eth0", false));
    while world.take_facts(1) {}
    world.assert_told_alike("before the first engine sees its link");
    world.run();
    world.assert_equal("the link is down");
    world.interface(|rib| rib.interface_update(1, "eth0", true));
    world.run();
    world.assert_equal("the link is up");
    assert_eq!(next_hop(&world), LOCAL_V6);
}

#[test]
fn what_was_told_under_the_address_before_is_noted_as_the_first_engine_did() {
    let mut world = world();
    announce(&mut world);
    unheard(&mut world);
    readdress(&mut world, LOCAL_V6, OTHER);
    while world.take_facts(1) {}
    world.assert_told_alike("told under the address before");
    world.run();
    assert_eq!(next_hop(&world), OTHER);
    world.assert_equal("told again under the other one");
    let before = world.updates();
    world.hand_over("with another address");
    world.run();
    assert_eq!((world.updates(), next_hop(&world)), (before, OTHER.to_owned()), "nothing was due");
}

/// No route changes by that.
#[test]
fn another_address_in_the_same_subnet() {
    let mut world = world();
    announce(&mut world);
    world.run();
    world.interface(|rib| rib.address_added(1, format!("{OTHER}/64").parse().unwrap()));
    world.run();
    assert_eq!(next_hop(&world), LOCAL_V6, "the one that was there first is still there");
    world.interface(|rib| rib.address_removed(1, format!("{LOCAL_V6}/64").parse().unwrap()));
    world.run();
    assert_eq!(next_hop(&world), OTHER);
    world.assert_equal("renumbered");
}

#[test]
fn who_takes_over_tells_under_the_address_that_it_sees() {
    let mut world = world();
    announce(&mut world);
    world.run();
    readdress(&mut world, LOCAL_V6, OTHER);
    world.hand_over("before the first engine sees the address");
    world.run();
    assert_eq!(next_hop(&world), OTHER);
    world.assert_equal("told by who took over");
}
