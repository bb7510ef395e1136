//! Two instances side by side: the backup follows, takes over, hands back; epochs fence.

mod common;

use common::*;
use holdfast_proto::v1::{self, Role};

async fn freeze(pfed: &Pfed, epoch: u64) -> v1::FreezeReply {
    pfed.daemon().freeze(v1::FreezeRequest { epoch }).await.unwrap().into_inner()
}

async fn activate(pfed: &Pfed, epoch: u64, expected_tables: Vec<v1::TableDigest>) -> v1::ActivateReply {
    let request = v1::ActivateRequest { epoch, expected_tables, ..Default::default() };
    pfed.daemon().activate(request).await.unwrap().into_inner()
}

async fn commit(pfed: &Pfed, epoch: u64) -> v1::CommitReply {
    pfed.daemon().commit(v1::CommitRequest { epoch }).await.unwrap().into_inner()
}

async fn role(pfed: &Pfed) -> Role {
    pfed.daemon().status(v1::StatusRequest {}).await.unwrap().into_inner().role()
}

#[test]
fn the_backup_follows_and_takes_over_without_a_write() {
    in_namespace(|| async {
        let world = World::new().await;
        let old = world.start("re0", "primary", 1).await;
        let mut old_rpd = old.program(1).await;
        old_rpd.must(whole(nexthops(), table())).await;
        let new = world.start("re1", "backup", 1).await;
        let mut new_rpd = new.program(1).await;
        assert!(!new.synchronization().await.synchronized, "its rpd has said nothing yet");
        new_rpd.must(whole(nexthops(), table())).await;
        follows(&new).await;
        // Changes reach the primary first; the backup hears of them from the kernel and from its own rpd.
        let more = routes(&[("192.0.2.0/24", 2), ("198.18.0.0/15", 3), ("2001:db8:a::/48", 0)]);
        old_rpd.must(change(more.clone())).await;
        until("the kernel's news have come", || async { new.synchronization().await.pending_writes == 3 }).await;
        assert!(!new.synchronization().await.synchronized);
        new_rpd.must(change(more)).await;
        follows(&new).await;
        for pfed in [&old, &new] {
            let prepared = pfed.daemon().prepare(v1::PrepareRequest { run_id: 1, deadline_ms: 1000 }).await.unwrap();
            assert!(prepared.into_inner().ready);
        }
        assert_eq!(new.summary().await.writes, 0);
        let before = kernel_routes();

        let frozen = freeze(&old, 1).await;
        assert!(frozen.frozen_mono_ns > 0);
        let activated = activate(&new, 2, frozen.tables).await;
        assert!(activated.ok && activated.tables.len() == 2, "{activated:?}");
        assert_eq!(role(&new).await, Role::Activated);
        // A batch that rpd sent before it heard of the new epoch is taken, but not written before the commit.
        new_rpd.must(change(routes(&[("192.0.77.0/24", 1)]))).await;
        assert_eq!(kernel_routes(), before);
        assert!(commit(&new, 2).await.live_mono_ns >= frozen.frozen_mono_ns);
        new_rpd.epoch = 2;
        new_rpd.must(caught_up()).await;
        until("verified", || async { new.verify().await.done }).await;
        let verified = new.verify().await;
        assert_eq!(
            (verified.ok, verified.kernel_writes, verified.kernel_writes_needless),
            (true, 1, 0),
            "{verified:?}"
        );
        assert!(kernel_routes().contains("192.0.77.0/24"));
        new_rpd.must(change(routes(&[("192.0.78.0/24", 1)]))).await;
        new_rpd.epoch = 1;
        new_rpd.post(change(routes(&[("192.0.79.0/24", 1)]))).await;
        assert_eq!(new_rpd.ack().await.unwrap_err().code(), tonic::Code::FailedPrecondition, "no way back");
        let mut stale = new.program(1).await;
        stale.post(whole(nexthops(), Vec::new())).await;
        assert_eq!(stale.ack().await.unwrap_err().code(), tonic::Code::FailedPrecondition);
        assert!(kernel_routes().contains("192.0.78.0/24"), "a refused stream changes nothing");
        let retire = v1::TerminateRequest::default();
        old.daemon().terminate(retire).await.unwrap();
        assert!(old.wait().await.success());
        assert!(kernel_routes().contains("192.0.78.0/24"));
    });
}

#[test]
fn a_frozen_instance_writes_nothing_and_goes_on_where_it_stopped() {
    in_namespace(|| async {
        let world = World::new().await;
        let [(old, mut old_rpd), (new, _new_rpd)] = side_by_side(&world).await;
        let frozen = freeze(&old, 1).await;
        let writes = old.summary().await.writes;
        old_rpd.must(change(routes(&[("192.0.77.0/24", 1)]))).await;
        sh("ip route del 192.0.2.0/24 proto 72");
        until("it is noted", || async { old.synchronization().await.pending_writes == 2 }).await;
        assert!(!kernel_routes().contains("192.0.77.0/24"));
        assert_eq!(freeze(&old, 1).await.frozen_mono_ns, frozen.frozen_mono_ns, "freezing again changes nothing");
        // The kernel is not any more as the frozen one left it: the new one must not go on from there.
        let refused = activate(&new, 2, frozen.tables).await;
        assert!(!refused.ok && refused.reason.contains("kernel/inet"), "{refused:?}");
        assert_eq!(role(&new).await, Role::Backup);
        // Undone: the old one is thawed, writes what came meanwhile, and mends.
        let status = old.daemon().commit(v1::CommitRequest { epoch: 3 }).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition, "Activate comes first");
        assert!(activate(&old, 3, Vec::new()).await.ok);
        commit(&old, 3).await;
        old_rpd.epoch = 3;
        old_rpd.must(caught_up()).await;
        until("verified", || async { old.verify().await.done }).await;
        assert_eq!((old.verify().await.kernel_writes, old.summary().await.writes), (2, writes + 2));
        let status = old.daemon().freeze(v1::FreezeRequest { epoch: 2 }).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::FailedPrecondition, "an older epoch");
        assert_eq!(new.summary().await.writes, 0);
    });
}

/// Old and new side by side; the new one is committed in epoch 2 while its rpd's word is two changes of a route behind.
async fn behind_its_rpd(world: &World) -> (Pfed, Rpd) {
    let [(old, mut old_rpd), (new, mut new_rpd)] = side_by_side(world).await;
    for next_hop in [2, 3] {
        old_rpd.must(change(routes(&[("192.0.2.0/24", next_hop)]))).await;
    }
    until("the kernel's news have come", || async { new.synchronization().await.pending_writes == 1 }).await;
    let frozen = freeze(&old, 1).await;
    assert!(activate(&new, 2, frozen.tables).await.ok);
    commit(&new, 2).await;
    new_rpd.epoch = 2;
    (new, new_rpd)
}

#[test]
fn a_new_primary_puts_nothing_back_while_its_rpd_has_more_to_say() {
    in_namespace(|| async {
        let world = World::new().await;
        let (new, mut rpd) = behind_its_rpd(&world).await;
        let before = kernel_routes();
        // What was under way comes late, and in the epoch of the switch. All of it is acknowledged: rpd's window has an end.
        rpd.must(change(routes(&[("192.0.2.0/24", 2)]))).await;
        let verified = new.verify().await;
        assert_eq!((verified.done, verified.kernel_writes), (false, 0), "{verified:?}");
        assert!(verified.reason.contains("rpd has not told everything"), "{verified:?}");
        rpd.must(change(routes(&[("192.0.2.0/24", 3)]))).await;
        assert_eq!(kernel_routes(), before);
        // What somebody else destroys meanwhile is mended with the rest.
        sh("ip route del 100.64.0.0/10 proto 72");
        until("the kernel's news have come", || async { new.summary().await.pending_writes == 1 }).await;
        assert_eq!(new.summary().await.writes, 0);
        rpd.must(caught_up()).await;
        until("verified", || async { new.verify().await.done }).await;
        assert_eq!(kernel_routes(), before);
        let summary = new.summary().await;
        assert_eq!((summary.writes, summary.writes_needless, summary.pending_writes), (1, 0, 0), "{summary:?}");
    });
}

#[test]
fn the_end_of_a_new_table_is_a_word_too_and_silence_is_not_waited_out_for_ever() {
    in_namespace(|| async {
        let world = World::new().await;
        let (new, mut rpd) = behind_its_rpd(&world).await;
        // An rpd of a version without the word. It has come as far as the change before the last: wrong, but better than nothing for ever.
        rpd.must(change(routes(&[("192.0.99.0/24", 1)]))).await;
        let since = std::time::Instant::now();
        until("the wait is over", || async { kernel_routes().contains("192.0.99.0/24") }).await;
        assert!(since.elapsed() >= std::time::Duration::from_secs(4), "{:?}", since.elapsed());
        // Back and forth once more, with a new stream that ends its whole table.
        drop(rpd);
        let frozen = freeze(&new, 2).await;
        assert!(activate(&new, 3, frozen.tables).await.ok);
        commit(&new, 3).await;
        let mut rpd = new.program(3).await;
        rpd.must(v1::FibBatch { nexthops: nexthops(), routes: routes(&[("192.0.98.0/24", 1)]), ..Default::default() })
            .await;
        assert!(!kernel_routes().contains("192.0.98.0/24"));
        rpd.must(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
        assert_eq!(kernel_routes().lines().count(), 1, "{}", kernel_routes());
        until("verified", || async { new.verify().await.done }).await;
    });
}

#[test]
fn a_backup_keeps_track_and_never_mends() {
    in_namespace(|| async {
        let world = World::new().await;
        let backup = world.start("re1", "backup", 1).await;
        backup.program(1).await.must(whole(nexthops(), table())).await;
        assert_eq!(backup.synchronization().await.pending_writes, 11);
        let primary = world.start("re0", "primary", 1).await;
        primary.program(1).await.must(whole(nexthops(), table())).await;
        until("followed", || async { backup.synchronization().await.pending_writes == 0 }).await;
        sh("ip link set p1 down");
        until("the link's loss is seen", || async { backup.synchronization().await.pending_writes == 3 }).await;
        sh("ip link set p1 up");
        until("the primary's repair is seen", || async { backup.synchronization().await.pending_writes == 0 }).await;
        let summary = backup.summary().await;
        assert_eq!((summary.writes, summary.repairs, summary.errors), (0, 0, 0), "{summary:?}");
        assert_eq!(summary.kernel, primary.summary().await.kernel);
        // A primary may die at any time; the backup has everything that it needs.
        drop(primary);
        assert!(activate(&backup, 2, Vec::new()).await.ok);
        commit(&backup, 2).await;
        assert_eq!(
            (backup.verify().await.done, backup.verify().await.kernel_writes),
            (false, 0),
            "rpd's stream has gone"
        );
        assert_eq!(backup.summary().await.writes, 0);
    });
}

#[test]
fn termination_leaves_everything_or_takes_everything() {
    in_namespace(|| async {
        let world = World::new().await;
        let interface =
            v1::InterfaceConfig { name: "v0".into(), addresses: vec!["10.9.0.1/24".into()], ..Default::default() };
        world.configuration.send_modify(|configuration| configuration.interfaces = vec![interface]);
        sh("ip route add 198.18.0.0/15 via 10.0.0.9; ip nexthop add id 7 via 10.0.0.9 dev v0");
        let pfed = world.start("re0", "primary", 1).await;
        pfed.program(1).await.must(whole(nexthops(), table())).await;
        let before = kernel_routes();
        assert_eq!(sh(&format!("kill -TERM {}", pfed.child.id())), "");
        assert!(pfed.wait().await.success());
        assert_eq!(kernel_routes(), before);
        assert!(sh("ip addr show dev v0").contains("10.9.0.1/24"));

        let pfed = world.start("re0", "primary", 1).await;
        let mut stop = v1::TerminateRequest { flush: true, ..Default::default() };
        stop.set_mode(v1::terminate_request::Mode::Stop);
        pfed.daemon().terminate(stop).await.unwrap();
        assert!(pfed.wait().await.success());
        assert_eq!(kernel_routes(), "");
        assert_eq!(sh("ip nexthop show proto 72"), "");
        assert!(!sh("ip addr show dev v0").contains("10.9.0.1/24"));
        assert!(sh("ip route; ip nexthop; ip addr show dev v0").contains("198.18.0.0/15"));
        assert!(sh("ip nexthop").contains("id 7") && sh("ip addr show dev v0").contains("10.0.0.1/24"));
    });
}
