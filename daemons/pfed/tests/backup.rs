//! Next hops with a backup, against the kernel: links lost, gateways that fail, processes that come and go meanwhile.

mod common;

use common::*;
use holdfast_proto::v1;
use std::net::Ipv4Addr;
use std::time::Instant;

const PER_BATCH: u32 = 2_000;
const BOTH: u32 = 1;
const SECOND: u32 = 2;
const BOTH6: u32 = 3;
const SECOND6: u32 = 4;

/// How many routes there are; HOLDFAST_TEST_ROUTES sets another number.
fn size() -> u32 {
    let asked = std::env::var("HOLDFAST_TEST_ROUTES").ok().and_then(|text| text.parse::<u32>().ok());
    asked.unwrap_or(100_000).next_multiple_of(PER_BATCH)
}

/// By v0 with v1 standing by, and by v1 alone.
fn definitions() -> Vec<v1::FibNexthop> {
    let (v0, v1) = (index("v0"), index("v1"));
    vec![
        protected(BOTH, ("10.0.0.2", v0), ("10.0.1.2", v1)),
        unicast(SECOND, &[("10.0.1.2", v1, 1)]),
        protected(BOTH6, ("2001:db8::2", v0), ("2001:db8:1::2", v1)),
        unicast(SECOND6, &[("2001:db8:1::2", v1, 1)]),
    ]
}

/// The large table, and one IPv6 route, through one next hop each.
async fn desire(rpd: &mut Rpd, id: u32, id6: u32) {
    let (mut sent, mut acked) = (0, 0);
    for first in (0..size()).step_by(PER_BATCH as usize) {
        let mut batch = v1::FibBatch::default();
        for n in first..first + PER_BATCH {
            batch.pack((Ipv4Addr::from(0x1400_0000 + n * 256).into(), 24, id));
        }
        rpd.post(batch).await;
        sent += 1;
        while sent - acked > 8 {
            assert_eq!(rpd.ack().await.unwrap().failed, 0);
            acked += 1;
        }
    }
    rpd.post(change(routes(&[("2001:db8:f::/48", id6)]))).await;
    for _ in acked..=sent {
        assert_eq!(rpd.ack().await.unwrap().failed, 0);
    }
}

/// A fresh stream with the whole table.
async fn synchronize(pfed: &Pfed, epoch: u64, id: u32, id6: u32) -> Rpd {
    let mut rpd = pfed.program(epoch).await;
    rpd.must(v1::FibBatch { nexthops: definitions(), tells_answers: true, ..Default::default() }).await;
    desire(&mut rpd, id, id6).await;
    rpd.must(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
    rpd
}

/// Whether both families' packets leave through a link.
fn leave_by(link: &str) -> bool {
    let [way, way6] = ["20.0.0.1", "2001:db8:f::1"].map(|to| sh(&format!("ip route get {to}")));
    let by = format!("dev {link} ");
    way.contains(&by) && way6.contains(&by)
}

fn kernel_has() -> u32 {
    kernel_routes().lines().count() as u32
}

#[test]
fn a_lost_link_costs_no_write_and_no_route() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        let mut rpd = synchronize(&pfed, 1, BOTH, BOTH6).await;
        let all = size() + 1;
        let before = pfed.summary().await;
        // The routes, and a group with its members for each family.
        assert_eq!((before.writes, before.pending_writes, before.nexthop_objects), (u64::from(all) + 6, 0, 6));
        assert!(leave_by("v0"));

        sh("ip link set p0 down");
        let began = Instant::now();
        until("packets leave by the other link", || async { leave_by("v1") }).await;
        eprintln!("{all} routes lead by the other link {:?} after the command", began.elapsed());
        until("the loss is seen", || async { pfed.summary().await.pending_writes == u64::from(all) }).await;
        assert_eq!(kernel_has(), all);
        desire(&mut rpd, SECOND, SECOND6).await;
        let after = pfed.summary().await;
        assert_eq!((after.writes, after.pending_writes, after.errors, after.repairs), (before.writes, 0, 0, 0));
        assert_eq!(after.kernel, after.desired);

        // A process that starts now finds what it wants.
        pfed.child.kill().unwrap();
        drop((pfed, rpd));
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = synchronize(&pfed, 1, SECOND, SECOND6).await;
        let again = pfed.summary().await;
        assert_eq!((again.writes, again.pending_writes), (0, 0), "{again:?}");

        sh("ip link set p0 up");
        until("the link is seen", || async { leave_by("v1") && sh("ip link show v0").contains("LOWER_UP") }).await;
        until("IPv6 has its address", || async { sh("ip -6 addr show dev v0").contains("2001:db8::1") }).await;
        desire(&mut rpd, BOTH, BOTH6).await;
        let back = pfed.summary().await;
        assert_eq!((back.pending_writes, back.errors, back.repairs), (0, 0, 0), "{back:?}");
        assert!(leave_by("v0") && kernel_has() == all);
    });
}

#[test]
fn a_lost_backup_costs_no_write_either() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        let mut nexthops = definitions();
        nexthops.push(unicast(9, &[("10.0.0.2", index("v0"), 1)]));
        rpd.must(whole(nexthops, routes(&[("20.0.0.0/24", BOTH), ("20.0.1.0/24", BOTH)]))).await;
        let before = pfed.summary().await;
        sh("ip link set p1 down");
        until("the loss is seen", || async { pfed.summary().await.pending_writes == 2 }).await;
        // A new route has what can be had, by an object of its own, and no failure.
        rpd.must(change(routes(&[("20.0.2.0/24", BOTH)]))).await;
        assert!(sh("ip route get 20.0.2.1").contains("dev v0 "));
        let with_it = pfed.summary().await;
        assert_eq!((with_it.routes_ipv4, with_it.errors), (3, 0), "{with_it:?}");
        rpd.must(change(routes(&[("20.0.0.0/24", 9), ("20.0.1.0/24", 9)]))).await;
        let after = pfed.summary().await;
        assert_eq!((after.writes, after.pending_writes), (before.writes + 2, 1), "{after:?}");
        // The one that still desires both has both as soon as that is possible, without a word from rpd.
        sh("ip link set p1 up");
        // What is planned counts as written; what the kernel has not answered yet it would refuse without the link.
        until("the kernel has it as desired", || async { pfed.verify().await.done }).await;
        sh("ip link set p0 down");
        until("it turns", || async { sh("ip route get 20.0.2.1").contains("dev v1 ") }).await;
        assert_eq!(pfed.summary().await.errors, 0);
    });
}

#[test]
fn a_gateway_that_fails_is_left_with_one_write_per_object() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = synchronize(&pfed, 1, BOTH, BOTH6).await;
        let follower = world.start("re1", "backup", 1).await;
        let mut other_rpd = synchronize(&follower, 1, BOTH, BOTH6).await;
        let before = pfed.summary().await;
        let failed_gateways = those_of_v0();
        rpd.must(v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() }).await;
        assert!(leave_by("v1"));
        assert_eq!(pfed.summary().await.writes, before.writes + 2);
        other_rpd.must(v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() }).await;
        // Nobody goes back before rpd says so, whatever makes the tables be compared.
        sh("ip link add v2 type veth peer name p2; ip link set v2 up; ip link set p2 up");
        until("the new link is seen", || async { sh("ip link show v2").contains("LOWER_UP") }).await;
        assert!(leave_by("v1"));
        // What was decided before it failed and is told after it leads nowhere else, and is in order.
        desire(&mut rpd, BOTH, BOTH6).await;
        until("who follows sees the same", || async { follower.synchronization().await.synchronized }).await;
        desire(&mut rpd, SECOND, SECOND6).await;
        desire(&mut other_rpd, SECOND, SECOND6).await;
        let after = pfed.summary().await;
        assert_eq!((after.writes, after.pending_writes, after.errors), (before.writes + 2, 0, 0), "{after:?}");
        until("who follows sees the same", || async { follower.synchronization().await.synchronized }).await;
        let answering_gateways = failed_gateways;
        rpd.must(v1::FibBatch { answering_gateways, ..Default::default() }).await;
        desire(&mut rpd, BOTH, BOTH6).await;
        let back = pfed.summary().await;
        assert_eq!((back.pending_writes, back.errors), (0, 0), "{back:?}");
        assert!(leave_by("v0"));
    });
}

/// The first gateway of each family, and one that no route has.
fn those_of_v0() -> Vec<v1::FibGateway> {
    let v0 = index("v0");
    vec![gateway("10.0.0.2", v0, 1), gateway("2001:db8::2", v0, 1), gateway("10.0.0.77", v0, 1)]
}

#[test]
fn routes_of_others_by_a_gateway_that_fails_turn_and_come_back_with_it_and_none_is_written() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        let mut rpd = synchronize(&pfed, 1, BOTH, BOTH6).await;
        let before = pfed.summary().await;
        let failed_gateways = those_of_v0();
        rpd.must(v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() }).await;
        assert!(leave_by("v1"));
        let turned = pfed.summary().await;
        assert_eq!((turned.writes, turned.pending_writes), (before.writes + 2, 0), "{turned:?}");
        assert_eq!(turned.kernel, turned.desired);
        let shown = turned.failed_gateways.iter().map(|way| format!("{} {}", way.gateway, way.interface));
        assert_eq!(shown.collect::<Vec<_>>(), ["10.0.0.2 v0", "10.0.0.77 v0", "2001:db8::2 v0"]);

        // It answers. For each family a first member, and the group.
        rpd.must(v1::FibBatch { answering_gateways: failed_gateways.clone(), ..Default::default() }).await;
        until("they are back", || async { leave_by("v0") && pfed.verify().await.done }).await;
        let back = pfed.summary().await;
        assert_eq!((back.writes, back.pending_writes, back.errors), (turned.writes + 4, 0, 0), "{back:?}");
        assert!(back.kernel == back.desired && back.failed_gateways.is_empty() && kernel_has() == size() + 1);

        // The same with another process in between; and it is another rpd that says which of them are left: one of a family.
        rpd.must(v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() }).await;
        assert!(leave_by("v1"));
        pfed.child.kill().unwrap();
        drop((pfed, rpd));
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        let nexthops = definitions();
        rpd.must(v1::FibBatch { nexthops, failed_gateways, tells_answers: true, ..Default::default() }).await;
        desire(&mut rpd, BOTH, BOTH6).await;
        rpd.must(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
        let again = pfed.summary().await;
        assert_eq!((again.pending_writes, again.errors, leave_by("v1")), (0, 0, true), "{again:?}");
        let failed_gateways = vec![those_of_v0().swap_remove(1)];
        rpd.must(v1::FibBatch { failed_gateways, names_all_failed: true, ..Default::default() }).await;
        let is_back = || async { sh("ip route get 20.0.0.1").contains("dev v0 ") && pfed.verify().await.done };
        until("IPv4 is back", is_back).await;
        assert!(sh("ip route get 2001:db8:f::1").contains("dev v1 "));
        let last = pfed.summary().await;
        assert_eq!((last.writes, last.pending_writes), (again.writes + 2, 0), "{last:?}");
        assert_eq!(last.failed_gateways.len(), 1);
    });
}

#[test]
fn a_gateway_that_fails_leaves_groups_that_share_packets_by_the_removal_of_its_member() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(common::nexthops(), common::table())).await;
        let leads_by =
            |to: &str, interface: &str| sh(&format!("ip route get {to}")).contains(&format!("dev {interface} "));
        let before = pfed.summary().await;
        let failed_gateways = those_of_v0();
        rpd.must(v1::FibBatch { failed_gateways: failed_gateways.clone(), ..Default::default() }).await;
        let after = pfed.summary().await;
        assert_eq!((after.writes, after.pending_writes, after.errors), (before.writes + 2, 0, 0), "{after:?}");
        assert_eq!((after.nexthop_objects, after.kernel.clone()), (before.nexthop_objects - 2, after.desired.clone()));
        // All packets of the groups go the other way; what leads nowhere else stays.
        for (to, interface) in
            [("198.51.100.1", "v1"), ("2001:db8:b::1", "v1"), ("192.0.2.1", "v0"), ("2001:db8:a::1", "v0")]
        {
            assert!(leads_by(to, interface), "{to}");
        }
        // A member anew for each family, and the group.
        rpd.must(v1::FibBatch { answering_gateways: failed_gateways, ..Default::default() }).await;
        let is_back = || async { pfed.summary().await.nexthop_objects == before.nexthop_objects };
        until("the groups are whole", is_back).await;
        let is_written = || async { sh("ip nexthop show proto 72").matches('/').count() == 2 };
        until("it is written", || async { is_written().await && pfed.verify().await.done }).await;
        let back = pfed.summary().await;
        assert_eq!((back.writes, back.pending_writes, back.errors), (after.writes + 4, 0, 0), "{back:?}");
    });
}

/// The number of the group with a backup that IPv4 routes use.
fn group() -> String {
    let listed = sh("ip nexthop show proto 72");
    let member = |via: &str| listed.lines().find(|line| line.contains(via)).map(|line| line.split(' ').nth(1).unwrap());
    let backup = member("via 10.0.1.2 ").unwrap();
    let is_group = |line: &&str| line.contains("resilient") && line.contains(backup);
    listed.lines().find(is_group).map(|line| line.split(' ').nth(1).unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn a_gateway_that_fails_while_a_large_difference_is_written_is_left_before_the_end_of_that() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = synchronize(&pfed, 1, BOTH, BOTH6).await;
        // On a busy machine whoever looks is too late now and then; if the word waits for the end, he always is.
        let mut seen = false;
        for _ in 0..5 {
            let lost = group();
            sh(&format!("ip nexthop del id {lost}"));
            until("the routes are being written anew", || async {
                let group = group();
                !group.is_empty() && group != lost && pfed.summary().await.pending_writes < u64::from(size()) * 9 / 10
            })
            .await;
            let (group, began) = (group(), Instant::now());
            rpd.post(v1::FibBatch { failed_gateways: those_of_v0(), ..Default::default() }).await;
            // A group with one member: only what stood by.
            until("the group is turned", || async {
                let shown = sh(&format!("ip nexthop get id {group}"));
                !shown.contains('/')
            })
            .await;
            let turned = began.elapsed();
            let meanwhile = pfed.summary().await;
            eprintln!("turned after {turned:?}; {} routes were not written yet", meanwhile.pending_writes);
            seen = meanwhile.pending_writes > 0;
            let ack = rpd.ack().await.unwrap();
            assert_eq!((ack.failed, ack.first_error.as_str()), (0, ""));
            // What is planned counts as written; what the kernel has not answered yet it may not have.
            until("all is written", || async { pfed.verify().await.done }).await;
            let after = pfed.summary().await;
            assert!(leave_by("v1") && kernel_has() == size() + 1 && after.kernel == after.desired && after.errors == 0);
            rpd.must(v1::FibBatch { answering_gateways: those_of_v0(), ..Default::default() }).await;
            until("they are back", || async { leave_by("v0") }).await;
            if seen {
                break;
            }
        }
        assert!(seen, "the group was turned only after the end, five times");
    });
}

#[test]
fn what_others_do_to_a_group_with_a_backup_is_mended() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(definitions(), routes(&[("20.0.0.0/24", BOTH), ("2001:db8:f::/48", BOTH6)]))).await;
        let id_of = |what: &str| {
            let listed = sh("ip nexthop show proto 72");
            let line = listed.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {listed}"));
            line.split(' ').nth(1).unwrap().to_owned()
        };
        let is_whole = || {
            let summary = pfed.summary();
            async move {
                let summary = summary.await;
                let groups = sh("ip nexthop show proto 72");
                let pairs = groups.lines().filter(|line| line.contains("resilient") && line.contains('/')).count();
                summary.pending_writes == 0 && summary.kernel == summary.desired && pairs == 2
            }
        };
        assert!(is_whole().await);
        for what in ["via 10.0.0.2 ", "via 10.0.1.2 ", "type resilient"] {
            sh(&format!("ip nexthop del id {}", id_of(what)));
            until("it is mended", is_whole).await;
            until("the routes use it", || async { leave_by("v0") }).await;
        }
        assert_eq!(pfed.summary().await.errors, 0);
    });
}

/// The numbers of the objects that lead to a gateway, and of the first member of the group.
fn seats(gateway: &str) -> (Vec<u32>, u32) {
    let listed = sh("ip nexthop show proto 72");
    let line_of = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let all: Vec<Vec<String>> = listed.lines().map(line_of).collect();
    let to_it = all.iter().filter(|words| words[2] == "via" && words[3] == gateway);
    let group = all.iter().find(|words| words[2] == "group").expect("a group");
    let first = group[3].split([',', '/']).next().unwrap().parse().unwrap();
    (to_it.map(|words| words[1].parse().unwrap()).collect(), first)
}

#[test]
fn the_first_member_of_a_group_is_the_newest_of_its_link_and_no_route_uses_it() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        let mut nexthops = definitions();
        nexthops.push(unicast(9, &[("10.0.0.2", index("v0"), 1)]));
        rpd.must(whole(nexthops.clone(), routes(&[("20.0.0.0/24", BOTH)]))).await;
        let (alone, first) = seats("10.0.0.2");
        assert_eq!(alone, [first]);
        // A route of its own through the same gateway.
        rpd.must(change(routes(&[("20.0.1.0/24", 9)]))).await;
        until("the group has a newer first member", || async { seats("10.0.0.2").1 > first }).await;
        let (all, newer) = seats("10.0.0.2");
        assert_eq!(all.iter().max(), Some(&newer));
        assert!(!kernel_routes().contains(&format!("nhid {newer} ")));
        // That is not done again by a process that starts now, and what it has no use for goes.
        pfed.child.kill().unwrap();
        drop((pfed, rpd));
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(nexthops, routes(&[("20.0.0.0/24", BOTH), ("20.0.1.0/24", 9)]))).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        assert_eq!(seats("10.0.0.2").1, newer);
        assert_eq!((pfed.summary().await.pending_writes, pfed.summary().await.errors), (0, 0));
        sh("ip link set p0 down");
        until("it turns", || async { sh("ip route get 20.0.0.1").contains("dev v1 ") }).await;
    });
}
