//! pfed against the kernel: difference only, warm boot, repair, links, strangers.

mod common;

use common::*;
use holdfast_proto::v1;
use std::time::{Duration, Instant};

#[test]
fn a_table_is_written_once_and_found_again_after_a_crash() {
    in_namespace(|| async {
        let world = World::new().await;
        sh("ip route add 192.0.2.0/24 via 10.0.0.9 metric 5; ip nexthop add id 7 via 10.0.0.9 dev v0");
        let foreign = || sh("ip -4 route show proto boot; ip nexthop show id 7; ip -6 route show proto kernel");
        let strangers = foreign();
        let mut pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        let ack = rpd.must(whole(nexthops(), table())).await;
        assert!(ack.synchronized);
        let summary = pfed.summary().await;
        assert_eq!((summary.routes_ipv4, summary.routes_ipv6, summary.pending_writes), (6, 5, 0), "{summary:?}");
        assert_eq!((summary.errors, summary.writes_needless), (0, 0), "{summary:?}");
        assert_eq!(summary.kernel, summary.desired);
        // 11 routes; objects: two gateways, two members and their group, the same for IPv6 but for a gateway that has no route, and one on-link object per family.
        assert_eq!((summary.writes, summary.nexthop_objects), (11 + 11, 11), "{summary:?}");
        let before = kernel_routes();
        assert!(before.contains("blackhole 203.0.113.0/24") && before.contains("unreachable 203.0.113.128/25"));
        assert!(group_is_whole());
        pfed.child.kill().unwrap();
        drop((pfed, rpd));

        let pfed = world.start("re0", "primary", 1).await;
        assert_eq!(kernel_routes(), before);
        let mut rpd = pfed.program(1).await;
        // Other ids and another order: what counts is the content.
        let mut again = nexthops();
        again.iter_mut().for_each(|nexthop| nexthop.id += 100);
        let mut routes = table();
        routes.iter_mut().for_each(|route| route.nexthop_id += 100);
        routes.reverse();
        rpd.must(whole(again, routes)).await;
        let summary = pfed.summary().await;
        assert_eq!((summary.writes, summary.pending_writes), (0, 0), "{summary:?}");
        assert_eq!(kernel_routes(), before);
        assert_eq!(foreign(), strangers);
    });
}

#[test]
fn only_the_difference_is_written_and_nothing_removed_before_the_table_is_complete() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        pfed.program(1).await.must(whole(nexthops(), table())).await;
        pfed.child.kill().unwrap();
        drop(pfed);

        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        // One route changed (2 -> 1), one new, one missing; nexthops 2 and 3 stay in use by none and by one.
        let mut routes = table();
        routes.retain(|route| *route != common::route("172.31.0.0/16", 7));
        routes.iter_mut().filter(|route| route.nexthop_id == 2).for_each(|route| route.nexthop_id = 1);
        routes.push(route("192.0.3.0/24", 1));
        let first = v1::FibBatch { nexthops: nexthops(), routes, ..Default::default() };
        rpd.must(first).await;
        let summary = pfed.summary().await;
        assert_eq!((summary.writes, summary.routes_ipv4), (2, 7), "nothing is removed yet: {summary:?}");
        rpd.must(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
        let summary = pfed.summary().await;
        assert_eq!((summary.writes, summary.routes_ipv4, summary.pending_writes), (3, 6, 0), "{summary:?}");
        assert!(!kernel_routes().contains("172.31.0.0/16"));

        // A stream that breaks changes nothing; the next one's table decides.
        drop(rpd);
        let mut rpd = pfed.program(1).await;
        rpd.must(v1::FibBatch { nexthops: nexthops(), routes: routes_of(&["192.0.2.0/24"]), ..Default::default() })
            .await;
        assert_eq!(pfed.summary().await.routes_ipv4, 6);
        rpd.must(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
        let summary = pfed.summary().await;
        assert_eq!((summary.routes_ipv4, summary.routes_ipv6, summary.pending_writes), (1, 0, 0), "{summary:?}");
        // Removing and adding in one batch, and what is not there.
        rpd.must(change(common::routes(&[("192.0.2.0/24", 0), ("198.18.0.0/15", 0), ("192.0.2.0/24", 2)]))).await;
        assert_eq!(kernel_routes().lines().count(), 1);
        let objects = sh("ip nexthop show proto 72 | grep 'via 10.0.1.2'");
        let uses =
            |line: &str| kernel_routes().contains(&format!("192.0.2.0/24 nhid {} ", line.split(' ').nth(1).unwrap()));
        assert_eq!(objects.lines().filter(|line| uses(line)).count(), 1);
        let summary = pfed.summary().await;
        assert_eq!((summary.routes_ipv4, summary.pending_writes, summary.errors), (1, 0, 0), "{summary:?}");
    });
}

/// Whether a route uses a group of two members, the second with weight 3.
fn group_is_whole() -> bool {
    let (listed, routes) = (sh("ip nexthop show proto 72"), kernel_routes());
    listed.lines().any(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_group = words[2] == "group" && words[3].contains('/') && words[3].contains(",3");
        is_group && routes.contains(&format!("nhid {}", words[1]))
    })
}

fn routes_of(prefixes: &[&str]) -> Vec<v1::FibRoute> {
    prefixes.iter().map(|prefix| route(prefix, 1)).collect()
}

#[test]
fn unused_objects_of_an_earlier_process_are_removed() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        pfed.program(1).await.must(whole(nexthops(), table())).await;
        pfed.child.kill().unwrap();
        drop(pfed);
        let pfed = world.start("re0", "primary", 1).await;
        pfed.program(1).await.must(whole(nexthops()[..1].to_vec(), routes(&[("192.0.2.0/24", 1)]))).await;
        until("left-overs are gone", || async { sh("ip nexthop show proto 72").lines().count() == 1 }).await;
        let summary = pfed.summary().await;
        assert_eq!((summary.nexthop_objects, summary.errors, summary.writes_needless), (1, 0, 0), "{summary:?}");
        assert_eq!(kernel_routes().lines().count(), 1);
    });
}

#[test]
fn what_others_destroy_is_mended() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(nexthops(), table())).await;
        let mended = |what: &'static str, lines: usize| {
            let pfed = &pfed;
            async move {
                until(what, || async {
                    pfed.summary().await.pending_writes == 0 && kernel_routes().lines().count() == lines
                })
                .await;
            }
        };
        let lines = kernel_routes().lines().count();
        sh("ip route del 192.0.2.0/24 proto 72; ip -6 route del 2001:db8:a::/48 proto 72");
        mended("deleted routes are back", lines).await;
        until("counted", || async { pfed.summary().await.repairs == 2 }).await;
        // The object of nexthop 1, with its route, silently; and the one by which the group shrinks.
        let listed = sh("ip nexthop show proto 72");
        for object in listed.lines().filter(|line| line.contains("via 10.0.0.2")) {
            sh(&format!("ip nexthop del id {}", object.split(' ').nth(1).unwrap()));
        }
        mended("a deleted object is back", lines).await;
        until("the group is whole", || async { group_is_whole() }).await;
        let summary = pfed.summary().await;
        assert!(summary.repairs >= 4 && summary.errors == 0 && summary.pending_writes == 0, "{summary:?}");
        assert_eq!(summary.kernel, summary.desired);
        // Somebody flushes everything.
        sh("ip nexthop flush proto 72");
        mended("everything is back", lines).await;
    });
}

#[test]
fn a_route_of_somebody_else_in_the_way_is_an_error_and_stays() {
    in_namespace(|| async {
        let world = World::new().await;
        sh("ip route add 192.0.2.0/24 via 10.0.0.9 metric 20");
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        let ack = rpd.put(whole(nexthops(), routes(&[("192.0.2.0/24", 1), ("192.0.3.0/24", 1)]))).await;
        assert_eq!(ack.failed, 1);
        assert!(
            ack.first_error.contains("192.0.2.0/24") && ack.first_error.contains("metric 20"),
            "{}",
            ack.first_error
        );
        assert_eq!(sh("ip route show 192.0.2.0/24").trim(), "192.0.2.0/24 via 10.0.0.9 dev v0 metric 20");
        until("the other one is in force", || async { pfed.summary().await.routes_ipv4 == 1 }).await;
        assert_eq!(pfed.summary().await.pending_writes, 1);
        // Each refusal leads to another reading of the whole table, but more and more seldom.
        tokio::time::sleep(Duration::from_secs(4)).await;
        let readings = pfed.summary().await.resynchronizations;
        assert!((2..=8).contains(&readings), "{readings}");
        // From the eighth on the next reading is five seconds away, and so is the next attempt.
        until("readings are seldom", || async { pfed.summary().await.resynchronizations >= 8 }).await;
        let gone = std::time::Instant::now();
        sh("ip route del 192.0.2.0/24 metric 20");
        until("the freed place is taken", || async { pfed.summary().await.pending_writes == 0 }).await;
        assert!(gone.elapsed() < Duration::from_secs(3), "after {:?}", gone.elapsed());
        // One for some packets only takes nobody's place.
        let before = pfed.summary().await;
        sh("ip route add 192.0.3.0/24 tos 0x10 via 10.0.0.9 metric 20 && ip route del 192.0.3.0/24 tos 0x10");
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after = pfed.summary().await;
        assert_eq!((after.repairs, after.resynchronizations), (before.repairs, before.resynchronizations));
    });
}

#[test]
fn a_link_that_goes_down_is_not_fought_and_comes_back_whole() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(nexthops(), table())).await;
        let summary = pfed.summary().await;
        sh("ip link set p1 down");
        until("the loss is seen", || async { pfed.summary().await.pending_writes > 0 }).await;
        let lost = pfed.summary().await;
        // Only 100.64.0.0/10 leads over v1 alone; the groups have lost a member each.
        assert_eq!((lost.pending_writes, lost.routes_ipv4), (3, 5), "{lost:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let later = pfed.summary().await;
        assert_eq!((later.writes, later.errors, later.repairs), (summary.writes, 0, 0), "{later:?}");
        let ack = rpd.put(change(routes(&[("192.0.9.0/24", 2)]))).await;
        assert!(ack.failed == 1 && ack.first_error.contains("not up"), "{ack:?}");
        sh("ip link set p1 up");
        until("everything is back", || async { pfed.summary().await.pending_writes == 0 }).await;
        let back = pfed.summary().await;
        assert_eq!((back.routes_ipv4, back.errors, back.repairs), (7, 0, 0), "{back:?}");
        // What is planned counts as written; the kernel has it a moment later.
        until("the group is whole", || async { group_is_whole() }).await;
    });
}

#[test]
fn operators_see_the_table_and_the_interfaces() {
    in_namespace(|| async {
        let world = World::new().await;
        let pfed = world.start("re0", "primary", 1).await;
        pfed.program(1).await.must(whole(nexthops(), table())).await;
        let show = |prefix: &'static str| {
            let mut forwarding = pfed.forwarding();
            async move {
                let request = v1::ShowForwardingTableRequest { prefix: prefix.into() };
                let mut pages = forwarding.show_forwarding_table(request).await.unwrap().into_inner();
                let mut entries = Vec::new();
                while let Some(page) = pages.message().await.unwrap() {
                    entries.extend(page.entries);
                }
                entries
            }
        };
        assert_eq!(show("").await.len(), 11);
        let ecmp = show("198.51.100.0/24").await.remove(0);
        assert_eq!((ecmp.kind.as_str(), ecmp.next_hops.len()), ("unicast", 2));
        assert_eq!((ecmp.next_hops[1].interface.as_str(), ecmp.next_hops[1].weight), ("v1", 3));
        assert_eq!(show("203.0.113.200").await[0].kind, "reject");
        assert_eq!(show("8.8.8.8").await, []);
        let request = v1::ShowInterfacesRequest { name: "v0".into() };
        let shown = pfed.forwarding().show_interfaces(request).await.unwrap().into_inner().interfaces.remove(0);
        assert!(shown.admin_up && shown.carrier && shown.addresses.contains(&"10.0.0.1/24".into()), "{shown:?}");
        let missing = v1::ShowInterfacesRequest { name: "nix".into() };
        assert_eq!(pfed.forwarding().show_interfaces(missing).await.unwrap_err().code(), tonic::Code::NotFound);
    });
}

const PER_BATCH: u32 = 2_000;

/// How many routes the large table has; HOLDFAST_TEST_ROUTES sets another number.
fn table_size() -> u32 {
    let asked = std::env::var("HOLDFAST_TEST_ROUTES").ok().and_then(|text| text.parse::<u32>().ok());
    asked.unwrap_or(100_000).next_multiple_of(PER_BATCH)
}

/// Sends the large table as fast as it is taken, with a few batches on their way.
async fn send_all(pfed: &Pfed) -> (Rpd, Duration) {
    let mut rpd = pfed.program_early(1).await;
    let began = Instant::now();
    rpd.post(v1::FibBatch { nexthops: nexthops(), ..Default::default() }).await;
    let (mut sent, mut acked) = (1, 0);
    for first in (0..table_size()).step_by(PER_BATCH as usize) {
        let mut batch = v1::FibBatch::default();
        for n in first..first + PER_BATCH {
            batch.pack((std::net::Ipv4Addr::from(0x1400_0000 + n * 256).into(), 24, 1 + n % 3));
        }
        rpd.post(batch).await;
        sent += 1;
        while sent - acked > 8 {
            assert_eq!(rpd.ack().await.unwrap().failed, 0);
            acked += 1;
        }
    }
    rpd.post(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
    while acked < sent + 1 {
        assert_eq!(rpd.ack().await.unwrap().failed, 0);
        acked += 1;
    }
    (rpd, began.elapsed())
}

#[test]
fn a_hundred_thousand_routes_are_programmed_and_warm_booted() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        let size = table_size();
        let (rpd, took) = send_all(&pfed).await;
        let rss_kib = holdfast_kernel::process::usage(pfed.child.id()).unwrap().rss_kib;
        eprintln!(
            "{size} routes programmed in {took:?}, {:.0} per second, {rss_kib} KiB",
            f64::from(size) / took.as_secs_f64()
        );
        let summary = pfed.summary().await;
        assert_eq!(
            (summary.routes_ipv4, summary.writes, summary.pending_writes),
            (u64::from(size), u64::from(size) + 5, 0),
            "{summary:?}"
        );
        pfed.child.kill().unwrap();
        drop((pfed, rpd));
        // rpd does not wait until the kernel's table is read; its last word is answered when both are compared.
        let began = Instant::now();
        let pfed = world.spawn("re0", "primary", 1);
        let (_rpd, took) = send_all(&pfed).await;
        let summary = pfed.summary().await;
        eprintln!("warm boot in {:?}, {took:?} since the stream is open, {} writes", began.elapsed(), summary.writes);
        assert_eq!(
            (summary.writes, summary.pending_writes, summary.routes_ipv4),
            (0, 0, u64::from(size)),
            "{summary:?}"
        );
        assert_eq!(summary.kernel, summary.desired);
    });
}

#[test]
fn what_is_desired_while_the_kernel_is_read_is_written_when_it_is() {
    in_namespace(|| async {
        let world = World::new().await;
        let mut pfed = world.start("re0", "primary", 1).await;
        drop(send_all(&pfed).await);
        pfed.child.kill().unwrap();
        drop(pfed);
        // One route of the large table is all that is desired now, another way, and one that was not there.
        let pfed = world.spawn("re0", "primary", 1);
        let mut rpd = pfed.program_early(1).await;
        rpd.post(v1::FibBatch { nexthops: nexthops(), ..Default::default() }).await;
        rpd.post(change(routes(&[("20.0.0.0/24", 2), ("192.0.2.0/24", 1)]))).await;
        rpd.post(v1::FibBatch { end_of_sync: true, ..Default::default() }).await;
        for _ in 0..3 {
            let ack = rpd.ack().await.unwrap();
            assert_eq!((ack.failed, ack.no_leftovers), (0, false), "{ack:?}");
        }
        let summary = pfed.summary().await;
        assert_eq!((summary.routes_ipv4, summary.pending_writes, summary.errors), (2, 0, 0), "{summary:?}");
        assert_eq!(summary.kernel, summary.desired);
        assert_eq!(kernel_routes().lines().count(), 2);
        let object = sh("ip nexthop show proto 72 | grep 'via 10.0.1.2'");
        assert!(kernel_routes().contains(&format!("20.0.0.0/24 nhid {}", object.split(' ').nth(1).unwrap())));
    });
}
