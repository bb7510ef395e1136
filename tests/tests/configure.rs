//! Changing the configuration of a router that runs: what is committed is in force, what fails changes nothing, sessions
//! that are not concerned notice nothing, and an in-service reboot keeps both the configuration and the edits.

use std::{fs, net::TcpListener, path::PathBuf, time::Duration};

use holdfast_tests::{Neighbor, Place, configuration, holdfast, run, wait_until};

const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(90);

const QUIET: &str = "system { host-name test-router; }
routing-options { router-id 10.0.0.1; autonomous-system 65000; }
";

fn routes_become(place: &Place, what: &str, so: impl Fn(&str) -> bool) {
    let done = wait_until(SHORT, || so(&place.routes_of_ours()));
    assert!(done, "{what}: {}", place.routes_of_ours());
}

fn active(place: &Place) -> String {
    fs::read_to_string(place.state_dir().join("config/active.conf")).expect("the committed configuration")
}

#[test]
fn a_committed_route_is_in_the_kernel_until_it_is_deleted() {
    let place = Place::new();
    place.start(&place.file("router.conf", QUIET)).assert_succeeded();
    let set = "configure; set routing-options static route 203.0.113.0/24 discard; commit comment \"a route\" and-quit";
    let said = place.cli(set);
    said.assert_succeeded();
    said.assert_says(&["commit complete"]);
    routes_become(&place, "the route comes", |routes| routes.contains("203.0.113.0/24"));
    place.cli("show configuration").assert_says(&["route 203.0.113.0/24"]);

    place.cli("configure; delete routing-options static; commit").assert_succeeded();
    routes_become(&place, "the route goes", |routes| !routes.contains("203.0.113.0/24"));
    place.cli("show system commit").assert_says(&["a route"]);
    place.cli("configure; rollback 1; show | compare; commit").assert_says(&["+    static {", "commit complete"]);
    routes_become(&place, "rollback brings it back", |routes| routes.contains("203.0.113.0/24"));

    let said = place.cli("configure; set routing-options static rute 198.51.100.0/24 discard; commit");
    said.assert_refused(&["column 28", "rute", "did you mean route?"]);
    assert!(!active(&place).contains("198.51.100.0"));
    let said = place.cli("configure; set system host-name later");
    said.assert_succeeded();
    said.assert_says(&["warning: the changes are not committed"]);
    place.cli("configure; set system host-name \"\"").assert_refused(&["empty name"]);
    place.cli("configure; show | compare").assert_says(&["+    host-name later;"]);
}

#[test]
fn a_commit_that_rpd_cannot_apply_changes_nothing() {
    let place = Place::new();
    place.start(&place.file("router.conf", QUIET)).assert_succeeded();
    let before = active(&place);
    let holder = place.namespace.inside(|| Ok(TcpListener::bind("0.0.0.0:179").expect("port 179 is free")));
    let edits = "configure; set routing-options static route 203.0.113.0/24 discard; set protocols bgp group g peer-as 65001; set protocols bgp group g neighbor 10.0.0.2; commit";
    place.cli(edits).assert_refused(&["commit failed: rpd cannot apply", "179", "in force again", "candidate is kept"]);
    assert_eq!(active(&place), before);
    assert_eq!(place.routes_of_ours(), "");
    place.cli("show configuration | match neighbor | count").assert_says(&["Count: 0"]);
    drop(holder);
    place.cli("configure; commit").assert_succeeded();
    routes_become(&place, "the kept candidate can be committed", |routes| routes.contains("203.0.113.0/24"));
    place.cli("show bgp summary").assert_says(&["10.0.0.2"]);
}

/// A BIRD on a link of its own that announces 203.0.113.0/24 and one network of its own.
fn bird(place: &Place, number: u8) -> Neighbor {
    let text = format!(
        "log \"LOG\" all;
router id 10.0.{number}.2;
protocol device {{}}
protocol static {{ ipv4; route 203.0.113.0/24 blackhole; route 198.51.{number}.0/24 blackhole; }}
protocol bgp subject {{
  debug {{ states, events }};
  local 10.0.{number}.2 as 6510{number};
  neighbor 10.0.{number}.1 as 65000;
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  ipv4 {{ import all; export all; }};
}}
"
    );
    Neighbor::bird(place, number, &text)
}

#[test]
fn sessions_that_are_not_concerned_notice_nothing() {
    let place = Place::new();
    let (one, two) = (bird(&place, 1), bird(&place, 2));
    let text = format!(
        "{QUIET}protocols {{ bgp {{
    group one {{ peer-as 65101; neighbor 10.0.1.2; }}
    group two {{ peer-as 65102; neighbor 10.0.2.2; }}
}} }}
"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    assert!(wait_until(SHORT, || one.is_up() && two.is_up()), "sessions: {} {}", one.is_up(), two.is_up());
    routes_become(&place, "all routes", |r| {
        ["203.0.113.0/24", "198.51.1.0/24", "198.51.2.0/24"].iter().all(|p| r.contains(p))
    });

    // A policy is applied to what the neighbour has said already.
    let policy = "configure
set policy-options policy-statement no-203 term t from route-filter 203.0.113.0/24 exact
set policy-options policy-statement no-203 term t then reject
set protocols bgp import no-203
commit";
    place.cli(policy).assert_succeeded();
    routes_become(&place, "the policy is applied", |routes| {
        !routes.contains("203.0.113.0/24") && routes.contains("198.51.1.0/24")
    });
    place
        .cli("configure; delete protocols bgp import; set protocols bgp group two import no-203; commit")
        .assert_succeeded();
    routes_become(&place, "and taken away", |routes| routes.contains("203.0.113.0/24"));
    place
        .cli("configure; set protocols bgp group one neighbor 10.0.1.2 description \"first\"; commit")
        .assert_succeeded();
    assert_eq!((one.times_down(), two.times_down()), (0, 0), "no session has ended");

    // An export policy, too.
    assert!(!one.ask("show route for 192.0.2.0/24").contains("192.0.2.0/24"));
    let export = "configure
set routing-options static route 192.0.2.0/24 discard
set policy-options policy-statement statics term s from protocol static
set policy-options policy-statement statics term s then accept
set protocols bgp group one export statics
commit";
    place.cli(export).assert_succeeded();
    let told = wait_until(SHORT, || one.ask("show route for 192.0.2.0/24").contains("192.0.2.0/24"));
    assert!(told, "the neighbour is told: {}", one.ask("show route"));
    assert!(!two.ask("show route for 192.0.2.0/24").contains("192.0.2.0/24"));
    assert_eq!((one.times_down(), two.times_down()), (0, 0), "no session has ended");

    // What a session is made of restarts that session and no other.
    place.cli("configure; set protocols bgp group one hold-time 30; commit").assert_succeeded();
    assert!(wait_until(SHORT, || one.times_down() == 1 && one.is_up()), "{} {}", one.times_down(), one.is_up());
    assert_eq!(two.times_down(), 0);
    routes_become(&place, "its routes are back", |routes| routes.contains("198.51.1.0/24"));

    // A neighbour goes and comes.
    place.cli("configure; deactivate protocols bgp group one; commit").assert_succeeded();
    routes_become(&place, "its routes go", |routes| {
        !routes.contains("198.51.1.0/24") && routes.contains("198.51.2.0/24")
    });
    assert!(wait_until(SHORT, || !one.is_up()));
    place.cli("configure; activate protocols bgp group one; commit").assert_succeeded();
    assert!(wait_until(LONG, || one.is_up()), "{}", one.ask("show protocols all subject"));
    routes_become(&place, "its routes come", |routes| routes.contains("198.51.1.0/24"));
    assert_eq!(two.times_down(), 0);
}

#[test]
fn addresses_follow_the_configuration() {
    let place = Place::new();
    place.namespace.ip("link add d0 type veth peer name d1").expect("an interface");
    place.start(&place.file("router.conf", QUIET)).assert_succeeded();
    let shown = || place.namespace.ip("address show dev d0").expect("ip");
    place
        .cli("configure; set interfaces d0 unit 0 family inet address 192.0.2.1/24; set interfaces d0 mtu 1400; commit")
        .assert_succeeded();
    assert!(shown().contains("192.0.2.1/24") && shown().contains("mtu 1400"), "{}", shown());
    place.cli("configure; edit interfaces d0 unit 0 family inet; delete address 192.0.2.1/24; set address 192.0.2.9/24; commit").assert_succeeded();
    assert!(!shown().contains("192.0.2.1/24") && shown().contains("192.0.2.9/24"), "{}", shown());
    place.cli("configure; set interfaces d9 mtu 1400; commit").assert_says(&["note: pfed", "d9", "commit complete"]);
}

#[test]
fn a_run_keeps_the_edits_and_refuses_the_commit() {
    let place = Place::new();
    let hold = place.folder.join("hold");
    let mut command = holdfast();
    command.env("HOLDFAST_PAUSE_BEFORE", format!("@{}", hold.display()));
    command.arg("start").arg("--config").arg(place.file("router.conf", &configuration(true, true)));
    command.args(["--netns", place.namespace.name(), "--run-dir"]).arg(place.run_dir());
    command.arg("--state-dir").arg(place.state_dir());
    run(command, SHORT).assert_succeeded();
    place.cli("configure; set system host-name before").assert_succeeded();
    fs::write(&hold, "preparing-daemons:60000").expect("the hold is written");
    std::thread::scope(|scope| {
        let reboot = scope.spawn(|| place.cli("request system reboot in-service no-confirm"));
        let reached = PathBuf::from(format!("{}.reached", hold.display()));
        assert!(wait_until(LONG, || reached.exists()), "the run is held");
        let said = place.cli("configure; set routing-options static route 203.0.113.0/24 discard; commit");
        said.assert_refused(&["commit refused: in-service reboot 1 is in progress", "show chassis in-service-upgrade"]);
        place.cli("show version").assert_succeeded();
        fs::remove_file(&reached).expect("the run goes on");
        reboot.join().expect("the run's follower").assert_succeeded();
    });
    assert_eq!(place.routes_of_ours(), "");
    let said = place.cli("configure; show | compare; commit");
    said.assert_says(&["+    host-name before;", "203.0.113.0/24", "commit complete"]);
    routes_become(&place, "the new engine applies it", |routes| routes.contains("203.0.113.0/24"));
    place.cli("show version").assert_says(&["before"]);
}
