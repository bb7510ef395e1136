//! Checks from observations that are made up here: everything well, and one thing wrong at a time.

use holdfast_config::{Configuration, Schema};
use holdfast_proto::v1::*;

use super::{observed::Observed, *};
use crate::candidate::{CandidateState, Edited, Holder};
use crate::unconfirmed::Unconfirmed;

const READY: &str =
    "chassis redundancy graceful-switchover; routing-options { autonomous-system 65001; nonstop-routing; }
protocols bgp { group EXT { peer-as 65002; neighbor 10.0.0.2; neighbor 10.0.1.2; } }";

fn compiled(text: &str) -> RouterConfig {
    Configuration::parse("t", text, &Schema::load().unwrap()).unwrap().compile(1)
}

fn neighbor(address: &str, state: &str) -> BgpNeighborDetail {
    let families = vec![FamilyCounters { end_of_rib_received: true, ..Default::default() }];
    let summary = BgpNeighborSummary { address: address.into(), state: state.into(), families, ..Default::default() };
    let capabilities_received = vec!["graceful-restart".into()];
    BgpNeighborDetail {
        summary: Some(summary),
        hold_time_s: 90,
        keepalive_s: 30,
        capabilities_received,
        ..Default::default()
    }
}

/// A router with nothing to complain about.
fn well(text: &str) -> Observed {
    let session = |address: &str| SessionReadiness {
        protocol: "bgp".into(),
        neighbor: address.into(),
        mode: SwitchoverMode::Nsr.into(),
        ready: true,
        ..Default::default()
    };
    let table = TableDigest { table: "fib/inet".into(), digest: 7, entries: 3 };
    let status = DaemonStatus { ready: true, role: Role::Primary.into(), ..Default::default() };
    let forecast = Forecast { control_plane_gap_max_ms: 20.0, way_back_max_ms: 5_000, ..Default::default() };
    Observed {
        force: false,
        asked_unix_ms: Some(1_000_000),
        config: Some(compiled(text)),
        bfd_configured: false,
        bfd: Ok(Vec::new()),
        stored: Ok(()),
        unapplied: Ok(()),
        candidate: CandidateState::default(),
        rpd: Ok(status.clone()),
        pfed: Ok(status),
        neighbors: Ok(vec![neighbor("10.0.0.2", "Established"), neighbor("10.0.1.2", "Established")]),
        replication: Ok(Replication { sessions: vec![session("10.0.0.2"), session("10.0.1.2")], ..Default::default() }),
        forwarding: Ok(ForwardingSummary {
            kernel: vec![table.clone()],
            desired: vec![table],
            role: Role::Primary.into(),
            ..Default::default()
        }),
        inspection: Ok(Inspection { forecast: Some(forecast), ..Default::default() }),
    }
}

fn failing(reply: &CheckReadinessReply) -> Vec<&str> {
    reply.checks.iter().filter(|check| !check.passed).map(|check| check.id.as_str()).collect()
}

/// The checks that fail when one thing is wrong.
#[track_caller]
fn fails(expected: &[&str], wrong: impl FnOnce(&mut Observed)) -> CheckReadinessReply {
    let mut observed = well(READY);
    wrong(&mut observed);
    let reply = judge(&observed);
    assert_eq!(failing(&reply), expected, "{:#?}", reply.checks);
    for check in reply.checks.iter().filter(|check| !check.passed) {
        assert!(!check.observed.is_empty() && !check.required.is_empty() && !check.remedy.is_empty(), "{check:?}");
    }
    reply
}

#[test]
fn the_documents_nine_come_first_in_its_order() {
    let reply = judge(&well(READY));
    assert!(reply.ready && failing(&reply).is_empty(), "{:#?}", reply.checks);
    let printed: Vec<String> =
        reply.checks.iter().take(9).map(|check| format!("{} : {}", check.title, check.value)).collect();
    assert_eq!(
        printed,
        [
            "PFE Status : Online",
            "Member Id zero : Valid",
            "VC not in mixed or fabric mode : Valid",
            "Member is single node vc : Valid",
            "BFD minimum-interval check done : Valid",
            "GRES enabled : Valid",
            "NSR enabled : Valid",
            "drop-all-tcp not configured : Valid",
            "Ready for ISSR : Valid",
        ]
    );
    assert_eq!(reply.minimum_spacing_s, 300);
    let mut ids: Vec<&str> = reply.checks.iter().map(|check| check.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), reply.checks.len(), "an identifier is used twice");
}

#[test]
fn every_failure_of_the_document_names_its_remedy() {
    let everything = "chassis member-id 3; virtual-chassis { mixed-mode; member 0; member 1; } system internet-options no-tcp-reset drop-all-tcp;";
    let mut observed = well(everything);
    observed.pfed = Err("pfed of re0 did not answer".into());
    let reply = judge(&observed);
    let failing: Vec<&Check> = reply.checks.iter().take(9).filter(|check| !check.passed).collect();
    assert_eq!(failing.len(), 8, "{failing:#?}");
    assert_eq!(failing[1].remedy, "set chassis member-id 0");
    assert_eq!((failing[4].title.as_str(), failing[5].title.as_str()), ("GRES enabled", "NSR enabled"));
    assert!(failing[7].remedy.contains("set routing-options nonstop-routing"), "{:?}", failing[7]);
    assert!(!reply.ready);
}

#[test]
fn graceful_restart_alone_is_a_road() {
    let checks = |text: &str| judge(&well(text)).checks.into_iter().filter(|check| check.id == "nsr-enabled").collect();
    let road: Vec<Check> = checks("chassis redundancy graceful-switchover; routing-options { graceful-restart; }");
    assert_eq!((road[0].title.as_str(), road[0].passed), ("GR enabled", true));
    let road: Vec<Check> = checks("chassis redundancy graceful-switchover; routing-options graceful-restart disable;");
    assert_eq!((road[0].title.as_str(), road[0].passed), ("NSR enabled", false));
}

#[test]
fn what_refuses_is_in_the_conjunction_and_what_asks_is_not() {
    let reply = fails(&["ready", "configuration-stored"], |o| o.stored = Err("it differs".into()));
    assert!(!reply.ready && reply.checks[8].observed.contains("configuration-stored"));
    let reply = fails(&["fib-errors"], |o| {
        let summary = o.forwarding.as_mut().unwrap();
        (summary.errors, summary.last_error) = (2, "no such device".into());
    });
    assert!(reply.ready, "a warning only asks");
}

#[test]
fn the_configuration_is_to_be_everywhere() {
    fails(&["ready", "configuration-applied"], |o| o.unapplied = Err("pfed has not applied commit 2 yet".into()));
    let (user, session) = ("ann".to_owned(), "1".to_owned());
    fails(&["configuration-uncommitted"], |o| {
        o.candidate.uncommitted = Some(Edited { user: user.clone(), unix_ms: 1, on_commit: 1 });
    });
    fails(&["configuration-exclusive"], |o| o.candidate.exclusive = Some(Holder { session, user, unix_ms: 1 }));
    let waiting = Unconfirmed { commit_id: 5, user: "ann".into(), back_to: 4, until_unix_ms: 1 };
    fails(&["ready", "configuration-unconfirmed"], |o| o.candidate.unconfirmed = Some(waiting.clone()));
    fails(&["configuration-committing"], |o| o.candidate.committing = Some("ann".into()));
    let bfd = |us: u64| {
        move |o: &mut Observed| {
            o.bfd_configured = true;
            let session = |us| BfdSession { state: "Up".into(), remote_detection_time_us: us, ..Default::default() };
            o.bfd = Ok(vec![session(900_000), session(us)]);
        }
    };
    fails(&[], bfd(30_000));
    fails(&["bfd-minimum-interval", "ready"], bfd(10_000));
    fails(&["bfd-minimum-interval", "ready"], |o| (o.bfd_configured, o.bfd) = (true, Err("ppmd is gone".into())));
    let mut observed = well(READY);
    observed.config = None;
    let reply = judge(&observed);
    assert!(failing(&reply).starts_with(&["configuration", "ready"]), "{:?}", failing(&reply));
}

#[test]
fn rpd_and_pfed_are_taken_at_their_word() {
    fails(&["ready", "routing-primary"], |o| o.rpd.as_mut().unwrap().role = Role::Frozen.into());
    fails(&["routing-converged"], |o| o.replication.as_mut().unwrap().working_on = "tables".into());
    fails(&["ready", "fib-primary"], |o| o.forwarding.as_mut().unwrap().role = Role::Backup.into());
    fails(&["fib-pending"], |o| o.forwarding.as_mut().unwrap().pending_writes = 4);
    fails(&["ready", "fib-agreement"], |o| o.forwarding.as_mut().unwrap().kernel[0].entries = 2);
    // With writes on their way a difference is none yet.
    fails(&["fib-pending"], |o| {
        let summary = o.forwarding.as_mut().unwrap();
        (summary.pending_writes, summary.kernel[0].digest) = (1, 8);
    });
}

#[test]
fn sessions_are_to_be_settled() {
    fails(&["sessions-settled"], |o| o.neighbors.as_mut().unwrap()[1] = neighbor("10.0.1.2", "OpenConfirm"));
    let family = |o: &mut Observed, change: fn(&mut FamilyCounters)| {
        change(&mut o.neighbors.as_mut().unwrap()[0].summary.as_mut().unwrap().families[0]);
    };
    fails(&["end-of-rib"], |o| family(o, |family| family.end_of_rib_received = false));
    fails(&["stale-routes"], |o| family(o, |family| family.stale = 5));
    // Who does not announce graceful restart sends no End-of-RIB, and one that is down has nothing to lose.
    fails(&[], |o| {
        family(o, |family| family.end_of_rib_received = false);
        o.neighbors.as_mut().unwrap()[0].capabilities_received.clear();
        o.neighbors.as_mut().unwrap()[1] = neighbor("10.0.1.2", "Active");
    });
}

#[test]
fn hold_times_are_measured_against_the_forecast() {
    let hold = |hold: u32| {
        move |o: &mut Observed| {
            let detail = &mut o.neighbors.as_mut().unwrap()[0];
            (detail.hold_time_s, detail.keepalive_s) = (hold, hold / 3);
        }
    };
    let reply = fails(&[], hold(9));
    let line = &reply.neighbors[0];
    assert_eq!((line.tolerated_silence_ms, line.predicted_silence_ms, line.margin_ms), (9_000, 3_020, 5_980));
    fails(&["hold-time-margin"], hold(6));
    let slow = |o: &mut Observed| {
        hold(3)(o);
        o.inspection.as_mut().unwrap().forecast.as_mut().unwrap().control_plane_gap_max_ms = 2_500.0;
    };
    fails(&["ready", "hold-time", "hold-time-margin"], slow);
    // A hold time of zero never expires.
    let reply = fails(&[], hold(0));
    assert_eq!((reply.neighbors[0].tolerated_silence_ms, reply.neighbors[0].margin_ms), (0, 0));
}

#[test]
fn runs_are_spaced_unless_it_is_a_run_that_asks() {
    let ended = |unix_ms: u64| move |o: &mut Observed| o.inspection.as_mut().unwrap().last_run_ended_unix_ms = unix_ms;
    fails(&[], ended(700_000));
    let reply = fails(&["ready", "minimum-spacing"], ended(701_000));
    assert!(reply.checks.iter().any(|check| check.observed.starts_with("299 s since the last run, 1 s left")));
    fails(&[], |o| {
        ended(999_000)(o);
        o.inspection.as_mut().unwrap().steady = true;
    });
    let mut observed = well(READY);
    ended(999_000)(&mut observed);
    observed.asked_unix_ms = None;
    assert!(judge(&observed).checks.iter().all(|check| check.id != "minimum-spacing"));
}

#[test]
fn each_neighbor_has_a_road_and_each_feature_a_fate() {
    let reply = judge(&well(READY));
    assert!(reply.neighbors.iter().all(|line| line.road == "NSR"));
    let group = |reply: &CheckReadinessReply| {
        reply.features.iter().find(|feature| feature.feature == "protocols bgp group EXT").unwrap().clone()
    };
    assert_eq!(group(&reply).fate, "kept");
    let reply = fails(&["session-roads", "features"], |o| {
        let session = &mut o.replication.as_mut().unwrap().sessions[1];
        session.mode = SwitchoverMode::Gr.into();
        session.reason = "no facts of it".into();
    });
    assert_eq!((reply.neighbors[1].road.as_str(), group(&reply).fate.as_str()), ("GR", "restarted"));
    let forget = |o: &mut Observed| drop(o.replication.as_mut().unwrap().sessions.remove(1));
    let reply = fails(&["ready", "session-roads", "sessions-lost", "features"], forget);
    fails(&["session-roads", "sessions-lost", "features"], |o| {
        forget(o);
        o.force = true;
    });
    assert_eq!((reply.neighbors[1].road.as_str(), group(&reply).fate.as_str()), ("lost", "lost"));
    let reply = fails(&[], |o| o.neighbors.as_mut().unwrap()[1] = neighbor("10.0.1.2", "Idle"));
    assert_eq!(reply.neighbors[1].road, "-");
    assert!(group(&reply).detail.contains("1 not established"), "{:?}", group(&reply));
}

#[test]
fn features_of_allowed_prefixes_count() {
    let roles = |observed: &Observed| {
        let feature = judge(observed).features.into_iter().find(|feature| feature.feature == "protocols bgp role");
        feature.map(|feature| feature.detail)
    };
    let mut observed = well(READY);
    assert_eq!(roles(&observed), None);
    let role = BgpNeighborConfig { role: BgpRole::Peer.into(), ..Default::default() };
    let bgp = observed.config.as_mut().unwrap().bgp.as_mut().unwrap();
    bgp.allowed.push(BgpAllowed { template: Some(role), ..Default::default() });
    assert!(roles(&observed).unwrap().starts_with("1 allowed prefixes: "));
    observed.config.as_mut().unwrap().bgp.as_mut().unwrap().neighbors[0].role = BgpRole::Peer.into();
    assert!(roles(&observed).unwrap().starts_with("1 neighbors, 1 allowed prefixes: "));
}

#[test]
fn who_does_not_answer_is_named() {
    let reply = fails(&["ready", "hold-time-margin", "chassis"], |o| o.inspection = Err("chassisd is away".into()))
        .checks
        .into_iter()
        .find(|check| check.id == "chassis");
    assert_eq!(reply.unwrap().observed, "chassisd is away");
}

#[test]
fn a_commit_is_warned_of_what_it_would_break() {
    let in_force = compiled(READY);
    let ids = |text: &str| {
        let newly = newly_failing(&in_force, &compiled(text));
        newly.into_iter().map(|check| check.id).collect::<Vec<_>>()
    };
    assert!(ids(READY).is_empty());
    assert_eq!(ids("routing-options { nonstop-routing; }"), ["gres-enabled"]);
    assert_eq!(ids(&READY.replace("peer-as 65002;", "peer-as 65002; hold-time 6;")), ["hold-time-margin"]);
    let broken = compiled("routing-options { nonstop-routing; }");
    assert!(newly_failing(&broken, &broken).is_empty(), "what failed before is not new");
}
