//! The kernel's side of a router: three tables that say the same, and a kernel that is told nothing it knows.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use holdfast_tests::{Place, holdfast, run, wait_until};

const SHORT: Duration = Duration::from_secs(30);

const ROUTES: &str = "system { host-name test-router; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
interfaces eth0 { description uplink; mtu 1400; unit 0 { family inet { address 10.0.0.1/24; } family inet6 { address 2001:db8::1/64; } } }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; static {
  route 198.51.100.0/24 next-hop 10.0.0.2;
  route 203.0.113.0/24 discard;
  route 192.0.2.0/24 next-hop 10.0.0.3;
} rib inet6.0 { static { route 2001:db8:a::/48 next-hop 2001:db8::2; } } }
";

fn ip(place: &Place, arguments: &str) -> String {
    let mut command = Command::new("ip");
    command.args(["-n", place.namespace.name()]).args(arguments.split(' '));
    let output = command.output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A router with one link, something that answers nothing at its other end.
fn start(place: &Place, environment: &[(&str, &str)]) {
    ip(place, "link add eth0 type veth peer name far0");
    ip(place, "link set far0 up");
    let configuration = place.file("router.conf", ROUTES);
    let mut command = holdfast();
    command.arg("start").arg("--config").arg(configuration).args(["--netns", place.namespace.name()]);
    command.arg("--run-dir").arg(place.run_dir()).arg("--state-dir").arg(place.state_dir());
    command.envs(environment.iter().copied());
    run(command, Duration::from_secs(60)).assert_succeeded();
    let there = wait_until(SHORT, || place.routes_of_ours().lines().count() == 3);
    assert!(there, "the routes come: {}", place.routes_of_ours());
}

fn deafen(file: &Path) {
    std::fs::write(file, "").expect("a file of the test");
}

#[test]
fn what_somebody_does_to_our_routes_in_silence_is_found_and_mended() {
    let place = Place::new();
    let deaf = place.folder.join("deaf");
    start(&place, &[("HOLDFAST_DEAF", &format!("@{}", deaf.display()))]);
    let equal = "RIB, FIB and kernel: 3 IPv4 and 1 IPv6 destinations compared in ";
    place.cli("show forwarding-table differences").assert_says(&[equal, "no difference"]);
    place.cli("request forwarding-table mend").assert_says(&[equal, "Nothing to mend"]);

    deafen(&deaf);
    ip(&place, "route del 198.51.100.0/24 proto 72");
    ip(&place, "route replace 192.0.2.0/24 via 10.0.0.9 metric 20");
    ip(&place, "route add 10.9.0.0/16 via 10.0.0.9 proto 72 metric 20");
    let said = place.cli("show forwarding-table differences");
    said.assert_says(&[
        "3 destinations differ",
        "10.9.0.0/16: ",
        "198.51.100.0/24: the kernel does not have it (not noticed)",
    ]);
    said.assert_says(&["    RIB     10.0.0.2 via eth0\n    FIB     10.0.0.2 via eth0\n    Kernel  -\n"]);
    place.cli("show forwarding-table differences | display xml").assert_says(&["<kind>in-the-way</kind>"]);
    let said = place.cli("request forwarding-table mend");
    said.assert_refused(&["3 destinations differed", "192.0.2.0/24", "1 destination still differs"]);
    assert_eq!(ip(&place, "route show 192.0.2.0/24").trim(), "192.0.2.0/24 via 10.0.0.9 dev eth0 metric 20");
    assert!(!ip(&place, "route show").contains("10.9.0.0/16"));
    ip(&place, "route del 192.0.2.0/24 metric 20");
    place.cli("request forwarding-table mend").assert_says(&["1 destination differed", "no difference"]);
    assert_eq!(place.routes_of_ours().lines().count(), 3);
}

/// What the kernel tells anybody who listens, of everything that a router could touch.
struct Events {
    monitor: Child,
    heard: PathBuf,
}

impl Events {
    fn listen(place: &Place) -> Self {
        let heard = place.folder.join("events");
        let mut command = Command::new("ip");
        command.args(["-n", place.namespace.name(), "monitor", "link", "address", "route", "nexthop", "neigh"]);
        command.stdout(File::create(&heard).expect("a file of the test")).stdin(Stdio::null());
        Self { monitor: command.spawn().expect("ip runs"), heard }
    }

    fn heard(&self) -> String {
        std::fs::read_to_string(&self.heard).expect("a file of the test")
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}

#[test]
fn the_kernel_is_told_nothing_it_knows() {
    let place = Place::new();
    start(&place, &[]);
    let settled = wait_until(SHORT, || !ip(&place, "-6 address show").contains("tentative"));
    assert!(settled, "the kernel's own addresses are there");
    for entry in ["10.0.0.2 lladdr 02:00:00:00:00:02", "2001:db8::2 lladdr 02:00:00:00:00:02"] {
        ip(&place, &format!("neigh replace {entry} dev eth0 nud stale"));
    }
    let everything = |place: &Place| {
        [
            "neigh show",
            "-6 neigh show",
            "address show",
            "route show table all",
            "-6 route show table all",
            "nexthop show",
        ]
        .map(|what| ip(place, what).lines().filter(|line| !line.contains("valid_lft")).collect::<Vec<_>>().join("\n"))
    };
    let events = Events::listen(&place);
    // Its first word says that it listens.
    let listens = wait_until(SHORT, || {
        ip(&place, "link set far0 alias listening");
        !events.heard().is_empty()
    });
    assert!(listens, "ip monitor hears a change");
    ip(&place, "link set far0 mtu 1498");
    assert!(wait_until(SHORT, || events.heard().contains("mtu 1498")), "{}", events.heard());
    let (heard, before) = (events.heard().len(), everything(&place));
    let steps = [
        "configure; set interfaces eth0 description uplink; commit comment again and-quit",
        "configure; set system host-name another; commit and-quit",
        "restart forwarding",
        "restart management",
        "request system reboot in-service no-confirm force",
        "restart routing",
        "request system reboot in-service no-confirm force",
        "show forwarding-table differences",
    ];
    for step in steps {
        // mgd may be on its way back from the step before.
        assert!(wait_until(SHORT, || place.cli("show interfaces terse").success), "the router answers before {step}");
        place.cli(step).assert_succeeded();
        assert_eq!(&events.heard()[heard..], "", "after {step}");
    }
    place.cli("show forwarding-table differences").assert_says(&["no difference"]);
    assert_eq!(everything(&place), before);
    ip(&place, "link set far0 mtu 1497");
    assert!(wait_until(SHORT, || events.heard().len() > heard), "ip monitor listened all the time");
}

#[test]
fn what_the_kernel_refuses_of_an_interface_is_an_alarm_until_it_is_well() {
    let place = Place::new();
    start(&place, &[]);
    // There is nothing to refuse before the interface is there.
    // IPv6 needs links of 1280 bytes (RFC 8200 section 5).
    let set = "configure; set interfaces eth1 mtu 1000; set interfaces eth1 unit 0 family inet6 address 2001:db8:1::1/64; commit";
    place.cli(set).assert_succeeded();
    place.cli("show system alarms").assert_says(&["no alarms"]);
    ip(&place, "link add eth1 type veth peer name far1");
    let refused = |said: &str| {
        said.contains("address 2001:db8:1::1/64 on interface eth1") && said.contains("see show interfaces eth1")
    };
    let raised = wait_until(SHORT, || refused(&place.cli("show system alarms").text));
    assert!(raised, "{:?}", place.cli("show system alarms"));
    place.cli("show interfaces eth1").assert_says(&["Problem: address 2001:db8:1::1/64"]);
    place.cli("clear system alarms").assert_says(&["1 alarm"]);
    std::thread::sleep(Duration::from_secs(5));
    place.cli("show system alarms").assert_says(&["no alarms"]);
    place.cli("configure; set interfaces eth1 mtu 1400; commit").assert_succeeded();
    ip(&place, "link del eth1");
    place.cli("configure; set interfaces eth1 mtu 1000; commit").assert_succeeded();
    std::thread::sleep(Duration::from_secs(5));
    ip(&place, "link add eth1 type veth peer name far1");
    let raised = wait_until(SHORT, || refused(&place.cli("show system alarms").text));
    assert!(raised, "gone and there again, it is another alarm");
    place.cli("configure; set interfaces eth1 mtu 1400; commit").assert_succeeded();
    let ended = wait_until(SHORT, || !refused(&place.cli("show system alarms").text));
    assert!(ended, "{:?}", place.cli("show system alarms"));
    assert!(ip(&place, "address show dev eth1").contains("2001:db8:1::1/64"));
}

#[test]
fn a_gateway_that_does_not_answer_is_named_where_one_looks() {
    let place = Place::new();
    start(&place, &[]);
    let group =
        "configure; set protocols bgp group g peer-as 65001; set protocols bgp group g neighbor 10.0.0.2; commit";
    place.cli(group).assert_succeeded();
    let named = wait_until(SHORT, || {
        let why = place.neighbor("10.0.0.2")["why_not_established"].to_string();
        why.contains("does not answer ARP on eth0")
    });
    assert!(named, "{:#}", place.neighbor("10.0.0.2"));
    let said = place.cli("show arp");
    assert!(said.text.contains("10.0.0.2") && said.text.contains("failed"), "{said:?}");
    place.cli("show route 198.51.100.0/24").assert_says(&["to 10.0.0.2 via eth0, does not answer"]);
    place.cli("restart routing").assert_succeeded();
    let known = wait_until(SHORT, || place.cli("show route 198.51.100.0/24").text.contains("does not answer"));
    assert!(known, "the snapshot has it: {:?}", place.cli("show route 198.51.100.0/24"));
    ip(&place, "neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent");
    let gone = wait_until(SHORT, || !place.cli("show route 198.51.100.0/24").text.contains("does not answer"));
    assert!(gone, "{:?}", place.cli("show route 198.51.100.0/24"));
    place.cli("show arp interface eth0").assert_says(&["02:00:00:00:00:02", "permanent", "Total entries: 1"]);
    place.cli("show arp interface far0").assert_says(&["Total entries: 0"]);
}
