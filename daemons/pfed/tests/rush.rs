//! A backup and more changes than it goes along with: it stays away, and misses nothing in the end.

mod common;

use common::*;
use holdfast_proto::v1;
use std::net::Ipv4Addr;

/// More than the queue of notifications holds.
const ROUTES: u32 = 150_000;
const PER_BATCH: u32 = 2_000;

/// Tells a large table, all of it through one next hop.
async fn tell(rpd: &mut Rpd, nexthop: u32) {
    for first in (0..ROUTES).step_by(PER_BATCH as usize) {
        let mut batch = v1::FibBatch::default();
        for n in first..first + PER_BATCH {
            batch.pack((Ipv4Addr::from(0x1400_0000 + n * 256).into(), 24, nexthop));
        }
        rpd.must(batch).await;
    }
}

/// A primary and a backup with a small table, whose rpd wants a large one. The backup is stopped, and then hears at once that the primary has written it.
async fn beside_a_rush(world: &World) -> (Pfed, Pfed, [Rpd; 2]) {
    let [(old, mut old_rpd), (new, mut new_rpd)] = side_by_side(world).await;
    tell(&mut new_rpd, 1).await;
    signal(&new, "STOP");
    tell(&mut old_rpd, 1).await;
    (old, new, [old_rpd, new_rpd])
}

fn signal(pfed: &Pfed, name: &str) {
    sh(&format!("kill -{name} {}", pfed.child.id()));
}

#[test]
fn a_backup_stays_away_from_a_rush_and_reads_the_table_after_it() {
    in_namespace(|| async {
        let world = World::new().await;
        let (old, new, [mut old_rpd, mut new_rpd]) = beside_a_rush(&world).await;
        signal(&new, "CONT");
        until("the backup has the table", || async { new.synchronization().await.synchronized }).await;
        let [was, is] = [old.summary().await, new.summary().await];
        assert_eq!((is.kernel, is.writes, is.resynchronizations), (was.kernel, 0, 1));
        // It hears of each change again.
        old_rpd.must(change(routes(&[("192.0.2.0/24", 2)]))).await;
        until("a change is heard of", || async { new.synchronization().await.pending_writes == 1 }).await;
        new_rpd.must(change(routes(&[("192.0.2.0/24", 2)]))).await;
        until("both are equal", || async { new.synchronization().await.synchronized }).await;
        assert_eq!(new.summary().await.resynchronizations, 1);
    });
}

#[test]
fn a_backup_that_is_away_can_be_made_primary_and_writes_only_what_differs() {
    in_namespace(|| async {
        let world = World::new().await;
        let (old, new, [_, mut new_rpd]) = beside_a_rush(&world).await;
        drop(old);
        // Heard of by nobody.
        sh("ip route del 192.0.2.0/24 proto 72; ip link set p1 down; ip link set p1 up");
        let request = v1::ActivateRequest { epoch: 2, peer_lost: true, ..Default::default() };
        let mut chassisd = new.daemon();
        let activated = tokio::spawn(async move { chassisd.activate(request).await });
        signal(&new, "CONT");
        let activated = activated.await.unwrap().unwrap().into_inner();
        assert!(activated.ok, "{activated:?}");
        new.daemon().commit(v1::CommitRequest { epoch: 2 }).await.unwrap();
        new_rpd.epoch = 2;
        new_rpd.must(caught_up()).await;
        until("verified", || async { new.verify().await.done }).await;
        let (verified, summary) = (new.verify().await, new.summary().await);
        assert!(verified.ok && verified.kernel_writes_needless == 0, "{verified:?}");
        assert_eq!(summary.resynchronizations, 1);
        // The route that somebody removed, and what went with the link: two gateways' objects, a group, and the routes that led there alone.
        assert!((1..10).contains(&summary.writes), "{summary:?}");
        assert_eq!((summary.kernel.clone(), summary.pending_writes), (summary.desired.clone(), 0), "{summary:?}");
        assert_eq!(kernel_routes().lines().count() as u32, ROUTES + 11);
        // What changes now is heard of: a primary mends.
        sh("ip route del 20.0.0.0/24 proto 72");
        until("it is mended", || async { kernel_routes().contains("20.0.0.0/24") }).await;
    });
}
