//! BFD with BIRD, as both sides say it: signed packets, one hop and several, intervals that fit nothing and change while the sessions are up.

use std::time::Duration;

use holdfast_tests::{Neighbor, Place, holdfast, run, wait_until};
use serde_json::Value;

const SHORT: Duration = Duration::from_secs(30);

/// `bfd`: where the intervals are stated, with the authentication.
fn bird(number: u8, bfd: &str, way: &str) -> String {
    format!(
        "log \"LOG\" all;
router id 10.0.{number}.2;
protocol device {{}}
protocol bfd {{ debug {{ states, events }}; {bfd} }}
protocol bgp subject {{
  debug {{ states, events }};
  local 10.0.{number}.2 as 6450{number};
  neighbor 10.0.{number}.1 as 65000;
  {way}; bfd on;
  connect delay time 1; connect retry time 1; error wait time 1, 2;
  ipv4 {{ import all; export all; }};
}}
"
    )
}

/// The first is one hop away, the second several as far as anybody says.
fn bird_with(number: u8, receive_ms: u32, transmit_ms: u32) -> String {
    let times = format!("min rx interval {receive_ms} ms; min tx interval {transmit_ms} ms; multiplier 5;");
    match number {
        1 => {
            let key = "authentication meticulous keyed sha1; password \"to the north\" { id 7; };";
            bird(1, &format!("interface \"*\" {{ {times} {key} }};"), "direct")
        }
        _ => {
            let key = "authentication keyed sha1; password \"to the south\" { id 200; };";
            bird(2, &format!("multihop {{ {times} {key} }};"), "multihop")
        }
    }
}

const ROUTER: &str = "system { host-name router; }
chassis { redundancy graceful-switchover; in-service minimum-spacing 0; }
routing-options { router-id 10.0.0.1; autonomous-system 65000; nonstop-routing; }
protocols { bgp {
    group north {
        type external; peer-as 64501; neighbor 10.0.1.2;
        bfd-liveness-detection {
            minimum-interval 97; minimum-receive-interval 71; multiplier 5;
            authentication { algorithm meticulous-keyed-sha-1; key-id 7; key \"to the north\"; }
        }
    }
    group south {
        type external; peer-as 64502; multihop; neighbor 10.0.2.2;
        bfd-liveness-detection {
            minimum-interval 97; minimum-receive-interval 71; multiplier 5; minimum-ttl 64;
            authentication { algorithm keyed-sha-1; key-id 200; key \"to the south\"; }
        }
    }
} }
";

/// Both sessions, in the order of their neighbours.
fn sessions(place: &Place) -> Vec<Value> {
    let mut command = holdfast();
    command.arg("cli").arg("--run-dir").arg(place.run_dir()).args(["--format", "json", "-c", "show bfd session"]);
    let answer: Value = serde_json::from_str(&run(command, SHORT).text).unwrap_or_default();
    answer["sessions"].as_array().cloned().unwrap_or_default()
}

/// Both are up, at these intervals, and were never anything else.
#[track_caller]
fn assert_unbroken(place: &Place, neighbors: &[Neighbor], transmit_ms: u64, detection_ms: u64, what: &str) {
    let is_so = |session: &Value| {
        session["state"] == "Up"
            && session["transmit_interval_us"] == transmit_ms * 1000
            && session["detection_time_us"] == detection_ms * 1000
    };
    let so = || {
        let sessions = sessions(place);
        sessions.len() == 2 && sessions.iter().all(is_so)
    };
    assert!(wait_until(SHORT, so), "{what}: {:#?}", sessions(place));
    assert!(sessions(place).iter().all(|session| session["downs"] == 0), "{what}: {:#?}", sessions(place));
    for neighbor in neighbors {
        let log = neighbor.log();
        assert!(!log.contains("changed state from Up to "), "{what}: {log}");
        assert_eq!(neighbor.times_down(), 0, "{what}: {log}");
    }
}

#[test]
fn signed_sessions_with_bird_live_through_other_intervals_and_a_reboot_and_not_through_another_key() {
    let place = Place::new();
    let neighbors = [1, 2].map(|number| Neighbor::bird(&place, number, &bird_with(number, 83, 61)));
    place.start(&place.file("router.conf", ROUTER)).assert_succeeded();
    assert!(wait_until(SHORT, || neighbors.iter().all(Neighbor::is_up)), "{}", place.cli("show bgp summary").text);
    // The slower of both sides counts, in each direction; five packets may be missing.
    assert_unbroken(&place, &neighbors, 97, 5 * 71, "up");
    let kinds: Vec<Value> = sessions(&place).iter().map(|session| session["key"]["multihop"].clone()).collect();
    assert_eq!(kinds, [false, true]);

    for (transmit, receive) in [(131, 113), (59, 67)] {
        let group = |name: &str| {
            let to = format!("set protocols bgp group {name} bfd-liveness-detection");
            format!("{to} minimum-interval {transmit}; {to} minimum-receive-interval {receive}")
        };
        place.cli(&format!("configure; {}; {}; commit", group("north"), group("south"))).assert_succeeded();
        assert_unbroken(&place, &neighbors, transmit.max(83), 5 * receive.max(61), "after a change of ours");
    }
    for (number, neighbor) in (1..).zip(&neighbors) {
        neighbor.configure(&bird_with(number, 211, 173));
    }
    assert_unbroken(&place, &neighbors, 211, 5 * 173, "after a change of theirs");
    place.reboot_in_service();
    assert_unbroken(&place, &neighbors, 211, 5 * 173, "after a reboot");

    let key = "set protocols bgp group north bfd-liveness-detection authentication key";
    place.cli(&format!("configure; {key} \"to nowhere\"; commit")).assert_succeeded();
    let lost = || sessions(&place).first().is_some_and(|session| session["state"] != "Up");
    assert!(wait_until(SHORT, lost), "{:#?}", sessions(&place));
    let [north, south] = &sessions(&place)[..] else { panic!("{:#?}", sessions(&place)) };
    assert!(north["last_discard"].as_str().is_some_and(|why| why.contains("digest")), "{north:#}");
    assert_eq!((&south["state"], &south["downs"]), (&"Up".into(), &0.into()), "{south:#}");
    place.cli(&format!("configure; {key} \"to the north\"; commit")).assert_succeeded();
    let back = || sessions(&place).iter().all(|session| session["state"] == "Up") && neighbors[0].is_up();
    assert!(wait_until(SHORT, back), "{:#?}", sessions(&place));
}
