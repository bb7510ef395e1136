//! A table of some size. `HOLDFAST_ROUTES=50000 cargo test --release` makes it larger.

use holdfast_proto::v1;
use holdfast_rib::Family;
use ipnet::{IpNet, Ipv4Net};

use super::peer::Peer;
use super::world::{LOCAL_AS, World};
use crate::wire::PathAttributes;

fn routes() -> u32 {
    std::env::var("HOLDFAST_ROUTES").ok().and_then(|count| count.parse().ok()).unwrap_or(8000)
}

fn tell(world: &mut World, peer: usize, range: std::ops::Range<u32>, generation: u32) {
    let asn = world.peers[peer].open.autonomous_system;
    let next_hop = world.peers[peer].next_hop(Family::Ipv4Unicast);
    for chunk in range.collect::<Vec<_>>().chunks(11) {
        let path = if asn == LOCAL_AS { vec![64700 + chunk[0] % 50] } else { vec![asn, 64700 + chunk[0] % 50] };
        let attributes = PathAttributes {
            communities: vec![chunk[0], generation],
            med: Some(chunk[0] % 7),
            ..world.peers[peer].attributes(&path)
        };
        let net = |i: &u32| IpNet::V4(Ipv4Net::new((0x1400_0000 + i * 256).into(), 24).unwrap());
        let nets: Vec<IpNet> = chunk.iter().map(net).collect();
        world.peers[peer].announce_via(&nets, &attributes, next_hop);
        // What one read brings.
        if world.peers[peer].out.len() > 60_000 {
            world.stagger();
        }
    }
}

#[test]
fn a_whole_life() {
    let routes = routes();
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS)]);
    world.slice = 512;
    tell(&mut world, 0, 0..routes, 1);
    world.join();
    tell(&mut world, 1, 0..routes, 2);
    world.run();
    world.assert_equal("both told");
    for peer in 0..3 {
        assert_eq!(
            world.peers[peer].table.len(),
            if peer < 2 { world.peers[peer].table.len() } else { routes as usize }
        );
    }
    assert_eq!(world.peers[0].table.len() + world.peers[1].table.len(), routes as usize);
    let before = world.updates();
    world.hand_over("whole");
    world.run();
    assert_eq!(world.updates(), before, "nothing was due");
    world.assert_equal("handed over");
    tell(&mut world, 0, 0..routes / 2, 3);
    world.hand_over("in full flow");
    world.run();
    world.assert_equal("in full flow");
    world.cut(0);
    world.run();
    assert_eq!(world.peers[2].table.len(), routes as usize);
    world.assert_equal("one is gone");
    world.establish();
    tell(&mut world, 0, 0..routes, 4);
    world.run();
    world.assert_equal("and back");
    for peer in 0..3 {
        world.peers[peer].away = true;
        world.cease(peer);
    }
    world.run();
    assert_eq!([world.held(0), world.held(1)], [(0, 0); 2]);
    assert!(world.peers.iter().all(|peer| peer.repeated == 0 && peer.idle_withdrawals == 0));
}

#[test]
fn a_table_is_let_into_the_kernel_and_taken_out_again() {
    let routes = routes();
    let mut world = World::new(vec![Peer::new(1, 65001), Peer::new(2, 65002)]);
    let ipv4 = i32::from(v1::AddressFamily::Ipv4Unicast);
    world.configure_neighbor(0, |neighbor| neighbor.not_installed = vec![ipv4]);
    tell(&mut world, 0, 0..routes, 1);
    world.join();
    world.run();
    let entries = |world: &World| world.primary().rib.fib_digest(Family::Ipv4Unicast).entries;
    let told = world.updates();
    for (not_installed, expected) in [(vec![], routes), (vec![ipv4], 0), (vec![], routes)] {
        world.configure_neighbor(0, |neighbor| neighbor.not_installed = not_installed);
        world.run();
        assert_eq!(entries(&world), expected.into());
        world.assert_equal("decided anew");
    }
    assert_eq!(world.updates(), told, "neighbors hear nothing of it");
}
