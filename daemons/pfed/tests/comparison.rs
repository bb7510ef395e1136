//! RIB, FIB and kernel side by side: what is tampered with while nobody tells pfed is found, and mended without touching what is others'.

mod common;

use common::*;
use holdfast_proto::v1;

/// A pfed that hears nothing of routes while a file exists.
struct Deaf {
    world: World,
    pfed: Pfed,
    rpd: Rpd,
}

impl Deaf {
    async fn new() -> Self {
        let world = World::new().await;
        let deaf = format!("@{}", world.file("deaf").display());
        let pfed = world.start_in("re0", "primary", 1, &[("HOLDFAST_DEAF", &deaf)]).await;
        let mut rpd = pfed.program(1).await;
        rpd.must(whole(nexthops(), table())).await;
        Self { world, pfed, rpd }
    }

    fn deafen(&self) {
        std::fs::write(self.world.file("deaf"), "").unwrap();
    }
}

/// What differs, as lines of destination and kind.
fn kinds(comparison: &v1::ForwardingComparison) -> Vec<String> {
    let noticed = |difference: &v1::ForwardingDifference| if difference.noticed { " noticed" } else { "" };
    let line = |at: &v1::ForwardingDifference| format!("{} {}{}", at.prefix, at.kind, noticed(at));
    comparison.differences.iter().map(line).collect()
}

/// The numbers of the objects with these words.
fn objects(words: &str) -> Vec<String> {
    let listed = sh("ip nexthop show proto 72");
    let lines = listed.lines().filter(|line| line.contains(words));
    lines.map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn equal_tables_have_no_difference() {
    in_namespace(|| async {
        let Deaf { pfed, world: _world, rpd: _rpd } = Deaf::new().await;
        let compared = pfed.compare(Some(whole(nexthops(), table()))).await;
        assert_eq!((compared.compared_ipv4, compared.compared_ipv6, compared.rib_known), (6, 5, true), "{compared:?}");
        assert_eq!((compared.different, compared.hidden, compared.left_out), (0, 0, 0), "{compared:?}");
        assert_eq!((compared.differences.as_slice(), compared.note.as_str()), ([].as_slice(), ""));
        // What the RIB says breaks off: two columns remain.
        let compared = pfed.compare(None).await;
        assert_eq!((compared.different, compared.rib_known), (0, false), "{compared:?}");
    });
}

#[test]
fn what_is_changed_while_notifications_are_lost_is_found_and_mended() {
    in_namespace(|| async {
        let deaf = Deaf::new().await;
        let pfed = &deaf.pfed;
        let before = kernel_routes();
        deaf.deafen();
        // The one that a route uses, and the group's member.
        let both = objects("via 2001:db8::2");
        assert_eq!(both.len(), 2);
        let moved = both.iter().map(|id| format!("ip nexthop replace id {id} via 2001:db8::9 dev v0 proto 72\n"));
        let moves: String = moved.collect();
        sh(&format!(
            "{moves}ip route del 192.0.2.0/24 proto 72
             ip route replace blackhole 203.0.113.128/25 proto 72 metric 20
             ip route add 198.18.0.0/15 via 10.0.0.9 proto 72 metric 20
             ip route replace 100.64.0.0/10 via 10.0.1.9 metric 20
             ip route add 203.0.113.0/24 via 10.0.0.9 metric 5"
        ));
        let strangers = sh("ip -4 route show proto boot");
        assert_eq!(strangers.lines().count(), 2);
        let compared = pfed.compare(Some(whole(nexthops(), table()))).await;
        assert_eq!(
            kinds(&compared),
            [
                "100.64.0.0/10 in-the-way",
                "192.0.2.0/24 missing",
                "198.18.0.0/15 unwanted",
                "203.0.113.0/24 hidden noticed",
                "203.0.113.128/25 elsewhere",
                "2001:db8:a::/48 elsewhere",
                "2001:db8:b::/48 elsewhere",
            ]
        );
        assert_eq!((compared.different, compared.hidden), (6, 1), "{compared:?}");
        let elsewhere = &compared.differences[5];
        let gateway = |column: &Option<v1::ForwardingEntry>| column.as_ref().unwrap().next_hops[0].gateway.clone();
        assert_eq!(gateway(&elsewhere.rib), "2001:db8::2");
        assert_eq!(
            (gateway(&elsewhere.fib), gateway(&elsewhere.kernel)),
            (gateway(&elsewhere.rib), "2001:db8::9".into())
        );
        assert!(compared.differences[0].reason.contains("metric 20, of protocol boot"), "{compared:?}");
        // Nothing of it was known, and comparing has changed nothing.
        let summary = pfed.summary().await;
        assert_eq!((summary.pending_writes, summary.resynchronizations), (0, 0), "{summary:?}");

        let mended = pfed.mend(false).await.unwrap();
        // Three IPv4 routes and two IPv6 ones with the objects they need; the one in the way is refused.
        assert!(mended.writes >= 6 && mended.errors == 1, "{mended:?}");
        assert!(mended.last_error.contains("100.64.0.0/10"), "{mended:?}");
        let compared = pfed.compare(Some(whole(nexthops(), table()))).await;
        assert_eq!(kinds(&compared), ["100.64.0.0/10 in-the-way noticed", "203.0.113.0/24 hidden noticed"]);
        assert_eq!(sh("ip -4 route show proto boot"), strangers);
        sh("ip route del 100.64.0.0/10 metric 20; ip route del 203.0.113.0/24 metric 5");
        pfed.mend(false).await.unwrap();
        let without_objects = |routes: &str| {
            routes.lines().map(|line| line.split(" nhid ").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(without_objects(&kernel_routes()), without_objects(&before));
        assert_eq!(pfed.compare(Some(whole(nexthops(), table()))).await.different, 0);
        // With nothing wrong nothing is written.
        let mended = pfed.mend(false).await.unwrap();
        assert_eq!((mended.writes, mended.errors), (0, 0), "{mended:?}");
    });
}

#[test]
fn an_object_that_somebody_else_has_made_his_own_is_left_to_him() {
    in_namespace(|| async {
        let deaf = Deaf::new().await;
        deaf.deafen();
        let line = sh("ip route show 172.31.0.0/16");
        let taken = line.split(' ').skip_while(|word| *word != "nhid").nth(1).unwrap();
        sh(&format!(
            "ip nexthop del id {taken}; ip nexthop add id {taken} via 10.0.0.7 dev v0; \
                     ip route add 172.31.0.0/16 nhid {taken} proto 72 metric 20"
        ));
        let compared = deaf.pfed.compare(None).await;
        let found: Vec<String> = kinds(&compared).into_iter().filter(|line| line.starts_with("172.31")).collect();
        assert_eq!(found, ["172.31.0.0/16 object-of-others"], "{compared:?}");
        let his = sh(&format!("ip nexthop show id {taken}"));
        deaf.pfed.mend(false).await.unwrap();
        assert_eq!(deaf.pfed.compare(None).await.different, 0);
        assert_eq!(sh(&format!("ip nexthop show id {taken}")), his);
    });
}

#[test]
fn what_rpd_says_now_is_told_again_on_request() {
    in_namespace(|| async {
        let Deaf { pfed, mut rpd, world: _world } = Deaf::new().await;
        let mut says = table();
        says[0].nexthop_id = 2;
        says.push(route("198.18.0.0/15", 1));
        let compared = pfed.compare(Some(whole(nexthops(), says.clone()))).await;
        assert_eq!(kinds(&compared), ["192.0.2.0/24 not-told noticed", "198.18.0.0/15 not-told noticed"]);
        let told = async {
            assert!(rpd.ack().await.is_err(), "the stream ends");
            let mut again = pfed.program(1).await;
            again.must(whole(nexthops(), says.clone())).await;
            again
        };
        let (mended, _again) = tokio::join!(pfed.mend(true), told);
        assert_eq!((mended.as_ref().unwrap().writes, mended.unwrap().errors), (2, 0));
        assert_eq!(pfed.compare(Some(whole(nexthops(), says))).await.different, 0);
    });
}

#[test]
fn a_backup_compares_and_mends_nothing() {
    in_namespace(|| async {
        let world = World::new().await;
        let primary = world.start("re0", "primary", 1).await;
        primary.program(1).await.must(whole(nexthops(), table())).await;
        let backup = world.start("re1", "backup", 1).await;
        let mut rpd = backup.program(1).await;
        rpd.must(whole(nexthops(), table())).await;
        assert_eq!(backup.compare(Some(whole(nexthops(), table()))).await.different, 0);
        drop(primary);
        sh("ip route del 192.0.2.0/24 proto 72");
        until("the backup has heard of it", || async { backup.summary().await.pending_writes == 1 }).await;
        let compared = backup.compare(Some(whole(nexthops(), table()))).await;
        assert_eq!(kinds(&compared), ["192.0.2.0/24 missing noticed"]);
        assert_eq!(backup.mend(false).await.unwrap_err().code(), tonic::Code::FailedPrecondition);
        sh("ip link set v1 down");
        until("the loss is seen", || async { backup.summary().await.pending_writes > 1 }).await;
        let compared = backup.compare(Some(whole(nexthops(), table()))).await;
        let reasons: Vec<_> = compared.differences.iter().filter(|at| at.kind == "link-down").collect();
        assert!(
            reasons.iter().any(|at| at.prefix == "100.64.0.0/10" && at.reason.contains("interface v1 is not up")),
            "{compared:?}"
        );
    });
}

#[test]
fn a_long_list_is_cut_off_with_a_count() {
    in_namespace(|| async {
        let deaf = Deaf::new().await;
        deaf.deafen();
        sh("seq 0 1499 | awk '{printf \"route add 20.%d.%d.0/24 via 10.0.0.9 proto 72 metric 20\\n\", $1/250, $1%250}' > /dev/shm/$$.batch
            ip -batch /dev/shm/$$.batch; rm /dev/shm/$$.batch");
        let compared = deaf.pfed.compare(Some(whole(nexthops(), table()))).await;
        assert_eq!((compared.different, compared.differences.len(), compared.left_out), (1500, 1000, 500));
        assert_eq!(compared.differences[0].prefix, "20.0.0.0/24");
        assert_eq!(compared.compared_ipv4, 1506);
        assert_eq!(deaf.pfed.mend(false).await.unwrap().writes, 1500);
        assert_eq!(deaf.pfed.compare(None).await.different, 0);
    });
}
