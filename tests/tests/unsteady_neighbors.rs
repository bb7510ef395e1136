//! Neighbours that are not as steady as a run: one that ends its session right after the switch, and some that connect again and again
//! and never come up. Neither has a run undone or held up, since no engine could do anything about them.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use holdfast_lab::host::process::Guarded;
use holdfast_tests::{Neighbor, Place, wait_until};
use nix::sys::signal::Signal;

const LONG: Duration = Duration::from_secs(60);

const ROUTER: &str = "system { host-name test-router; }
chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; }
";

/// It calls us again a second after its session has ended. Nothing of its own is said for some seconds.
fn frr(number: u8, keepalive_s: u8, hold_s: u8) -> String {
    format!(
        "log file LOG informational
router bgp 65001
 bgp router-id 10.0.{number}.2
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 neighbor 10.0.{number}.1 remote-as 65000
 neighbor 10.0.{number}.1 timers {keepalive_s} {hold_s}
 neighbor 10.0.{number}.1 timers connect 1
"
    )
}

/// The slot whose mgd is the router's.
fn primary(place: &Place) -> String {
    let leads_to = std::fs::read_link(place.run_dir().join("mgd.sock")).unwrap_or_default();
    leads_to.parent().map(|slot| slot.display().to_string()).unwrap_or_default()
}

/// The checks after the switch go on as long as a second neighbour is silent, whose packets get lost meanwhile; for all this time what the
/// first one has acknowledged is looked at, in the counters of a connection that is another one.
#[test]
fn a_neighbor_that_ends_its_session_right_after_the_switch_does_not_have_it_undone() {
    let place = Place::new();
    let one = Neighbor::frr(&place, 1, &frr(1, 3, 9));
    let two = Neighbor::frr(&place, 2, &frr(2, 20, 60));
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ group all {{ peer-as 65001; passive; neighbor 10.0.1.2 {{ hold-time 9; }} neighbor 10.0.2.2 {{ hold-time 60; }} }} }} }}\n"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
    place.wait_established("10.0.2.2", LONG);
    let before = primary(&place);
    two.namespace
        .ip("neigh replace 10.0.2.1 lladdr 02:00:00:00:00:01 dev to-router nud permanent")
        .expect("it is silent");

    let said = std::thread::scope(|scope| {
        let run = scope.spawn(|| place.cli("request system reboot in-service no-confirm force"));
        assert!(wait_until(LONG, || primary(&place) != before), "there is no switch: {:?}", run.join());
        one.ask("clear bgp *");
        let back = || place.neighbor("10.0.1.2")["summary"]["flaps"] == 1 && one.is_up();
        assert!(wait_until(LONG, back), "{:#}", place.neighbor("10.0.1.2"));
        // A quarter of its hold time: so long a sign of life is waited for.
        std::thread::sleep(Duration::from_millis(9_000 / 4 + 500));
        assert!(!run.is_finished(), "the second neighbor was to hold up the checks");
        two.namespace
            .ip("neigh replace 10.0.2.1 lladdr 02:00:00:00:00:01 dev to-router nud stale")
            .expect("it may ask");
        two.namespace.ip("neigh del 10.0.2.1 dev to-router").expect("it speaks again");
        run.join().expect("the run ends")
    });
    // The session was lost in the run, and the report says by whom; attempts to come back are not the reason.
    said.assert_says(&["session with 10.0.1.2 was interrupted", "NOTIFICATION received: Cease"]);
    assert_ne!(primary(&place), before, "the switch was undone: {}", said.text);
    let two = place.neighbor("10.0.2.2");
    assert_eq!(two["summary"]["flaps"].as_u64().unwrap_or(0), 0, "{two:#}");
}

/// Connections without a word, one after the other, so that at any moment some handshake is under way.
fn callers(neighbor: &Neighbor, router: &str) -> Guarded {
    let script = format!("while :; do exec 3<>/dev/tcp/{router}/179 && sleep 0.4; exec 3>&-; done");
    let mut command = Command::new("bash");
    command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Guarded::new("caller", neighbor.namespace.spawn(&mut command).expect("bash starts"), Signal::SIGKILL)
}

#[test]
fn neighbors_that_call_again_and_again_and_never_come_up_hold_up_no_run() {
    let place = Place::new();
    let _steady = Neighbor::frr(&place, 1, &frr(1, 3, 9));
    // No speaker is in these two: one is configured, the other only allowed.
    let silent = [2, 3].map(|number| {
        let mut neighbor = Neighbor::frr(&place, number, &frr(number, 3, 9));
        neighbor.kill();
        neighbor
    });
    let text = format!(
        "{ROUTER}protocols {{ bgp {{ group all {{ peer-as 65001; passive; neighbor 10.0.1.2; neighbor 10.0.2.2; }} group any {{ peer-as 65001; allow 10.0.3.0/24; }} }} }}\n"
    );
    place.start(&place.file("router.conf", &text)).assert_succeeded();
    place.wait_established("10.0.1.2", LONG);
    let _callers = [callers(&silent[0], "10.0.2.1"), callers(&silent[1], "10.0.3.1")];
    let failed = || place.neighbor("10.0.2.2")["failures"].as_u64().unwrap_or(0) >= 2;
    assert!(wait_until(LONG, failed), "{:#}", place.neighbor("10.0.2.2"));
    place.reboot_in_service();
    let steady = place.neighbor("10.0.1.2");
    assert_eq!(steady["summary"]["state"], "Established", "{steady:#}");
    assert_eq!(steady["summary"]["flaps"].as_u64().unwrap_or(0), 0, "{steady:#}");
}
