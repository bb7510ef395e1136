//! Nothing is held by nobody: with the neighbours gone, no attribute set and no prefix is left.

use holdfast_proto::v1::{CommunityAction, CommunityList, PolicyActions, PolicyMatch};
use holdfast_rib::Family;

use super::peer::Peer;
use super::selection::{prefix, random_attributes};
use super::world::{LOCAL_AS, Random, World, accept, policy, reject, term};

fn peers() -> Vec<Peer> {
    vec![Peer::new(1, 65001), Peer::new(2, 65002), Peer::new(3, LOCAL_AS), Peer::new(4, LOCAL_AS)]
}

/// Import and export policies that change everything, and by prefix for some.
fn with_policies(world: &mut World) {
    world.configure(|config| {
        let options = config.policy.as_mut().unwrap();
        options.communities =
            vec![CommunityList { name: "c".into(), members: vec!["65000:9".into()], ..Default::default() }];
        let community = |kind| vec![CommunityAction { kind, community: "c".into() }];
        let add = PolicyActions { communities: community(0), local_preference: Some(150), ..accept() };
        let delete = PolicyActions { communities: community(1), local_preference: Some(150), ..accept() };
        let set = PolicyActions { local_preference: Some(200), ..accept() };
        let any = || PolicyMatch { protocols: vec!["bgp".into()], ..PolicyMatch::default() };
        let six = PolicyMatch { family: 2, ..any() };
        options.statements = vec![
            policy("add", vec![term(any(), add)]),
            policy("delete", vec![term(any(), delete.clone())]),
            policy("set", vec![term(any(), set.clone())]),
            policy("by-family", vec![term(six, reject()), term(any(), delete)]),
        ];
        let neighbors = &mut config.bgp.as_mut().unwrap().neighbors;
        for (index, (import, export)) in
            [("set", "by-family"), ("add", "add"), ("delete", "add"), ("set", "set")].into_iter().enumerate()
        {
            neighbors[index].import_policies = vec![import.into()];
            neighbors[index].export_policies = vec![export.into()];
        }
    });
}

fn fill(world: &mut World, random: &mut Random) {
    for _ in 0..300 {
        let peer = random.below(4) as usize;
        let attributes = random_attributes(random, &world.peers[peer]);
        world.peers[peer].announce(&[&prefix(random.below(60))], &attributes);
        if random.below(5) == 0 {
            world.stagger();
        }
    }
    world.run();
    assert!(world.held(0).0 > 20 && world.held(0).1 > 20, "{:?}", world.held(0));
}

fn everybody_goes(world: &mut World) {
    for peer in 0..world.peers.len() {
        world.peers[peer].away = true;
        if peer % 2 == 0 { world.cut(peer) } else { world.cease(peer) }
    }
    world.run();
}

#[test]
fn sessions_that_end_leave_nothing() {
    for seed in 0..20 {
        let mut world = World::new(peers());
        let mut random = Random(seed);
        world.join();
        if seed % 2 == 1 {
            with_policies(&mut world);
        }
        fill(&mut world, &mut random);
        if seed % 4 > 1 {
            with_policies(&mut world);
            world.configure(|config| config.bgp.as_mut().unwrap().neighbors[0].import_policies.clear());
            world.configure(|config| config.bgp.as_mut().unwrap().neighbors[1].export_policies.clear());
        }
        if seed % 3 == 0 {
            world.peers[1].ask_refresh(Family::Ipv4Unicast);
            world.run();
        }
        world.assert_equal(&format!("seed {seed}"));
        everybody_goes(&mut world);
        assert_eq!(world.held(0), (0, 0), "seed {seed}, primary");
        assert_eq!(world.held(1), (0, 0), "seed {seed}, follower");
    }
}

#[test]
fn withdrawals_leave_nothing() {
    for seed in 0..10 {
        let mut world = World::new(peers());
        world.join();
        with_policies(&mut world);
        fill(&mut world, &mut Random(seed));
        for peer in &mut world.peers {
            for net in peer.told.keys().copied().collect::<Vec<_>>() {
                peer.withdraw_net(net);
            }
        }
        world.run();
        assert_eq!([world.held(0), world.held(1)], [(0, 0); 2], "seed {seed}");
        assert!(world.peers.iter().all(|peer| peer.table.is_empty()), "seed {seed}");
    }
}

#[test]
fn neighbours_that_are_removed_leave_nothing() {
    for seed in 0..10 {
        let mut world = World::new(peers());
        world.join();
        with_policies(&mut world);
        fill(&mut world, &mut Random(seed));
        world.peers.iter_mut().for_each(|peer| peer.away = true);
        for _ in 0..4 {
            world.configure(|config| drop(config.bgp.as_mut().unwrap().neighbors.pop()));
            world.assert_equal(&format!("seed {seed}"));
        }
        assert_eq!([world.held(0), world.held(1)], [(0, 0); 2], "seed {seed}");
    }
}

/// A route that policy leaves as it came is its own result, on the way in and on the way out.
#[test]
fn results_equal_to_their_source_do_not_hold_themselves() {
    let mut world = World::new(peers());
    with_policies(&mut world);
    let attributes = crate::wire::PathAttributes { local_pref: Some(200), ..world.peers[3].attributes(&[65009]) };
    world.peers[3].announce(&["203.0.113.0/24"], &attributes);
    world.run();
    world.peers[3].withdraw(&["203.0.113.0/24"]);
    world.run();
    assert_eq!(world.held(0), (0, 0));
}
