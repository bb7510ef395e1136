//! BFD between two routers: it lives through reboots and replacements, and its loss is acted upon at once.

use std::process::Command;
use std::time::Duration;

use holdfast_lab::host::netns;
use holdfast_tests::{Place, holdfast, run, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SHORT: Duration = Duration::from_secs(30);
const ROUTE: &str = "203.0.113.0/24";

fn configuration(own: u8, other: u8, more: &str) -> String {
    format!(
        "system {{ host-name r{own}; }}
chassis {{ redundancy graceful-switchover; in-service minimum-spacing 0; }}
routing-options {{ router-id 10.9.0.{own}; autonomous-system {}; nonstop-routing; {more} }}
protocols bgp group PEER {{
    type external; peer-as {}; hold-time 30; bfd-liveness-detection {{ minimum-interval 50; multiplier 3; }}
    neighbor 10.9.0.{other};
}}
",
        65000 + u32::from(own),
        65000 + u32::from(other),
    )
}

/// Two routers, their BGP session and its BFD up. The first has a static route by way of the second, watched as well.
fn pair() -> [Place; 2] {
    let places = [Place::new(), Place::new()];
    let [a, b] = &places;
    netns::link((&a.namespace, "peer", "10.9.0.1/24"), (&b.namespace, "peer", "10.9.0.2/24")).expect("a link");
    let watched = format!("static route {ROUTE} {{ next-hop 10.9.0.2; bfd-liveness-detection minimum-interval 50; }}");
    a.start(&a.file("router.conf", &configuration(1, 2, &watched))).assert_succeeded();
    b.start(&b.file("router.conf", &configuration(2, 1, ""))).assert_succeeded();
    a.wait_established("10.9.0.2", SHORT);
    for place in &places {
        assert!(wait_until(SHORT, || bfd(place)["state"] == "Up"), "BFD does not come up: {:#}", bfd(place));
    }
    places
}

fn bfd(place: &Place) -> serde_json::Value {
    let mut command = holdfast();
    command.arg("cli").arg("--run-dir").arg(place.run_dir()).args(["--format", "json", "-c", "show bfd session"]);
    let answer: serde_json::Value = serde_json::from_str(&run(command, SHORT).text).unwrap_or_default();
    answer["sessions"][0].clone()
}

fn ppmd(place: &Place) -> Pid {
    let pids: Vec<u32> =
        place.processes().into_iter().filter(|(_, line)| line.contains("ppmd ")).map(|(pid, _)| pid).collect();
    assert_eq!(pids.len(), 1, "{:?}", place.processes());
    Pid::from_raw(i32::try_from(pids[0]).expect("a pid"))
}

fn has_route(place: &Place) -> bool {
    place.routes_of_ours().contains(ROUTE)
}

/// Neither end has seen its session leave Up since it came up.
fn assert_unbroken(places: &[Place; 2], what: &str) {
    for place in places {
        let session = bfd(place);
        assert_eq!((&session["state"], &session["downs"]), (&"Up".into(), &0.into()), "{what}: {session:#}");
        let flaps = &place.neighbor(&format!("10.9.0.{}", if session["key"]["peer"] == "10.9.0.1" { 1 } else { 2 }));
        assert_eq!(flaps["summary"]["flaps"], 0, "{what}: {flaps:#}");
    }
}

#[test]
fn a_session_lives_through_a_reboot_and_the_replacement_and_death_of_every_process_around_it() {
    let places = pair();
    let [a, _] = &places;
    let session = bfd(a);
    assert_eq!(session["clients"], serde_json::json!(["bgp", "static"]), "{session:#}");
    assert_eq!(session["remote_control_plane_independent"], true);
    assert!(a.cli("show bgp neighbor 10.9.0.2").text.contains("BFD: Up    detection time 150 ms"));
    a.cli("show chassis in-service-upgrade readiness").assert_says(&["BFD minimum-interval check done : Valid"]);

    let before = ppmd(a);
    a.reboot_in_service();
    assert_unbroken(&places, "after a reboot in service");
    assert!(wait_until(SHORT, || a.processes().iter().filter(|(_, line)| line.contains("ppmd ")).count() == 1));
    assert!(wait_until(SHORT, || ppmd(a) != before), "ppmd was not replaced at the end of the run");
    a.cli("restart periodic-packets").assert_says(&["its sessions went on"]);
    assert_unbroken(&places, "after restart periodic-packets");
    a.cli("restart forwarding").assert_succeeded();
    a.cli("restart management").assert_succeeded();
    kill(ppmd(a), Signal::SIGKILL).expect("ppmd runs");
    std::thread::sleep(Duration::from_secs(1));
    assert_unbroken(&places, "after kill -9 of ppmd");
    assert_eq!(bfd(a)["local_discriminator"], session["local_discriminator"], "it is another session");
    assert!(has_route(a));

    a.cli("configure; set protocols bgp group PEER bfd-liveness-detection minimum-interval 100; commit")
        .assert_succeeded();
    let slower = || bfd(a)["transmit_interval_us"] == 50_000 && bfd(a)["minimum_transmit_us"] == 50_000;
    assert!(slower(), "the static route still wants 50 ms: {:#}", bfd(a));
    assert_unbroken(&places, "after a change of intervals");
}

#[test]
fn a_router_that_is_started_again_after_a_kill_of_chassisd_has_its_bfd_sessions_still() {
    let places = pair();
    let [a, b] = &places;
    let (before, serving) = (bfd(a), ppmd(a));
    let pid = std::fs::read_to_string(a.run_dir().join("chassisd.pid")).expect("its pid");
    kill(Pid::from_raw(pid.trim().parse().expect("a number")), Signal::SIGKILL).expect("chassisd runs");
    a.start(&a.folder.join("router.conf")).assert_succeeded();
    a.wait_established("10.9.0.2", SHORT);
    assert_eq!(ppmd(a), serving, "it was replaced");
    for place in [a, b] {
        assert_eq!((&bfd(place)["state"], &bfd(place)["downs"]), (&"Up".into(), &0.into()), "{:#}", bfd(place));
    }
    assert_eq!(bfd(a)["local_discriminator"], before["local_discriminator"]);
    // And the new chassisd looks after it: one that dies has a successor.
    kill(serving, Signal::SIGKILL).expect("ppmd runs");
    let goes_on = || a.processes().iter().any(|(_, line)| line.contains("ppmd ")) && ppmd(a) != serving;
    assert!(wait_until(SHORT, goes_on), "{:?}", a.processes());
    assert!(wait_until(SHORT, || bfd(a)["state"] == "Up"), "{:#}", bfd(a));
    assert_eq!((&bfd(a)["downs"], &bfd(b)["downs"]), (&0.into(), &0.into()), "within a detection time");
}

#[test]
fn its_loss_ends_the_bgp_session_and_takes_the_static_next_hop_out_until_it_is_back() {
    let [a, b] = pair();
    assert!(wait_until(SHORT, || has_route(&a)), "{}", a.routes_of_ours());
    let silent = ppmd(&b);
    kill(silent, Signal::SIGSTOP).expect("ppmd runs");
    assert!(wait_until(SHORT, || !has_route(&a)), "the route stays: {}", a.routes_of_ours());
    let said = || b.neighbor("10.9.0.1")["last_notification_received"]["name"].clone();
    assert!(wait_until(SHORT, || said().as_str().is_some_and(|name| name.contains("BFD Down"))), "{}", said());
    assert_eq!(bfd(&a)["diagnostic"], "Control Detection Time Expired");
    kill(silent, Signal::SIGCONT).expect("ppmd is there, or was replaced");
    assert!(wait_until(SHORT, || has_route(&a) && bfd(&a)["state"] == "Up"), "it does not come back: {:#}", bfd(&a));
    a.wait_established("10.9.0.2", SHORT);
}

/// A router that hears of a route from two neighbours, of which the first is the better one. It watches the first for a static route of its own;
/// their BGP session is not watched.
fn by_two_gateways() -> [Place; 3] {
    let places = [Place::new(), Place::new(), Place::new()];
    let [a, b, c] = &places;
    netns::link((&a.namespace, "first", "10.9.0.1/24"), (&b.namespace, "peer", "10.9.0.2/24")).expect("a link");
    netns::link((&a.namespace, "second", "10.9.1.1/24"), (&c.namespace, "peer", "10.9.1.2/24")).expect("a link");
    let router = |number: u32, id: &str, statics: &str, groups: &str| {
        format!(
            "system {{ host-name r{number}; }}
chassis {{ redundancy graceful-switchover; in-service minimum-spacing 0; }}
routing-options {{ router-id {id}; autonomous-system {}; nonstop-routing; static {{ {statics} }} }}
policy-options policy-statement ALL {{ term all then accept; }}
protocols bgp {{ {groups} }}
",
            65000 + number
        )
    };
    let group = |name: &str, peer: u32, address: &str| {
        format!("group {name} {{ type external; peer-as {peer}; hold-time 90; export ALL; neighbor {address}; }}")
    };
    let watched = |next_hop: &str, prefix: &str| {
        format!("route {prefix} {{ next-hop {next_hop}; bfd-liveness-detection minimum-interval 50; }}")
    };
    let both = group("B", 65002, "10.9.0.2") + &group("C", 65003, "10.9.1.2");
    let announced = format!("route {ROUTE} discard;");
    a.start(&a.file("router.conf", &router(1, "10.9.0.1", &watched("10.9.0.2", "198.51.100.0/24"), &both)))
        .assert_succeeded();
    let of_b = watched("10.9.0.1", "192.0.2.0/24") + &announced;
    b.start(&b.file("router.conf", &router(2, "10.9.0.2", &of_b, &group("A", 65001, "10.9.0.1")))).assert_succeeded();
    c.start(&c.file("router.conf", &router(3, "10.9.1.2", &announced, &group("A", 65001, "10.9.1.1"))))
        .assert_succeeded();
    a.wait_established("10.9.0.2", SHORT);
    a.wait_established("10.9.1.2", SHORT);
    assert!(wait_until(SHORT, || bfd(a)["state"] == "Up"), "BFD does not come up: {:#}", bfd(a));
    places
}

fn ip(place: &Place, arguments: &str) -> String {
    let mut command = Command::new("ip");
    command.args(["-n", place.namespace.name()]).args(arguments.split(' '));
    String::from_utf8_lossy(&command.output().expect("ip runs").stdout).into_owned()
}

/// Where a router's packets to the route go.
fn way(place: &Place) -> String {
    ip(place, "route get 203.0.113.1")
}

/// BFD's packets, and only these, do not leave a router; or they do again.
fn silence(place: &Place, silent: bool) {
    let what = if silent { "add" } else { "del" };
    ip(place, &format!("rule {what} pref 10 ipproto udp dport 3784 blackhole"));
}

#[test]
fn routes_of_a_neighbor_that_is_not_watched_turn_with_its_gateway_and_come_back_with_it() {
    let [a, b, _c] = by_two_gateways();
    let summary = || a.cli("show forwarding-table summary").text;
    assert!(wait_until(SHORT, || way(&a).contains("dev first ")), "{}", way(&a));
    let pair = || a.cli("show forwarding-table 203.0.113.0/24").text;
    assert!(wait_until(SHORT, || pair().contains("10.9.1.2 via second (backup)")), "{}", pair());
    silence(&b, true);
    assert!(wait_until(SHORT, || way(&a).contains("dev second ")), "it stays: {}", summary());
    let what = "Gateways that do not answer: 10.9.0.2 via first\n";
    assert!(summary().contains(what) && summary().contains("Pending: 0"), "{}", summary());
    assert_eq!(a.neighbor("10.9.0.2")["summary"]["flaps"], 0, "its session is not BFD's");
    a.cli("show forwarding-table differences").assert_says(&["no difference"]);
    // Neither of these makes anybody forget it: another pfed, another rpd and pfed, and what BGP hears anew.
    a.cli("restart forwarding").assert_succeeded();
    assert!(wait_until(SHORT, || summary().contains(what)) && way(&a).contains("dev second "), "{}", summary());
    a.reboot_in_service();
    assert!(wait_until(SHORT, || summary().contains(what)) && way(&a).contains("dev second "), "{}", summary());
    b.cli("configure; set routing-options static route 203.0.113.128/25 discard; commit").assert_succeeded();
    assert!(wait_until(SHORT, || a.routes_of_ours().contains("203.0.113.128/25")), "{}", a.routes_of_ours());
    assert!(way(&a).contains("dev second "), "{}", way(&a));

    silence(&b, false);
    assert!(wait_until(SHORT, || way(&a).contains("dev first ")), "it does not come back: {:#}", bfd(&a));
    assert!(!summary().contains("do not answer") && summary().contains("Pending: 0"), "{}", summary());
    assert_eq!(a.neighbor("10.9.0.2")["summary"]["flaps"], 0);

    // Nobody asks any longer whether it answers.
    silence(&b, true);
    assert!(wait_until(SHORT, || way(&a).contains("dev second ")), "it stays: {}", summary());
    a.cli("configure; delete routing-options static; commit").assert_succeeded();
    assert!(wait_until(SHORT, || way(&a).contains("dev first ")), "it does not come back: {}", summary());
    assert!(!summary().contains("do not answer"), "{}", summary());
}
