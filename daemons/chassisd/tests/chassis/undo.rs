//! What fails and what is taken back, before the switch and after it; soaking.

use std::fs;
use std::path::Path;
use std::time::Duration;

use holdfast_proto::v1::*;

use crate::router::{Router, signal};

#[test]
fn the_new_engine_killed_or_hanging_in_the_window_is_rolled_back() {
    for how in ["KILL", "STOP"] {
        let router = Router::start_with("", Some(("activate", 1500)));
        let rpd = router.pid("re0", "rpd");
        let run_id = router.start_run(false).unwrap();
        router.wait_for_freeze();
        signal(router.pid("re1", "rpd"), how);
        let (lines, end) = router.follow(run_id);
        assert_eq!(end.verdict, "undone, nothing lost", "{how}: {lines:#?}");
        let report = router.report(run_id);
        assert!(report.reason.contains("re1/rpd"), "{}", report.reason);
        assert!(report.sessions[0].unbroken);
        let chassis = router.chassis();
        assert_eq!((chassis.master_slot.as_str(), router.pid("re0", "rpd")), ("re0", rpd));
        assert!(chassis.processes.iter().all(|process| process.slot != "re1" && process.state == "running"));
        let mut again = router.start_run(true).map(|run_id| router.follow(run_id).1.success);
        assert_eq!(again.as_mut().ok(), Some(&mut true), "the next run goes through");
        router.stop();
    }
}

#[test]
fn a_hang_or_refusal_before_the_switch_is_undone() {
    for (fault, reason) in [
        ("re0/mgd:no-gres", "set chassis redundancy graceful-switchover"),
        ("re0/rpd:refuse-prepare", "End-of-RIB"),
        ("re1/rpd:error", "the port is in use"),
        ("re1/pfed:no-start", "re1/pfed"),
    ] {
        let router = Router::start(fault);
        let rpd = router.pid("re0", "rpd");
        let (lines, end) = router.follow(router.start_run(false).unwrap());
        assert!(!end.success, "{fault}");
        let report = router.report(0);
        assert!(report.reason.contains(reason), "{fault}: {} {lines:#?}", report.reason);
        assert_eq!(router.pid("re0", "rpd"), rpd);
        assert_eq!(router.pid("re1", "rpd"), 0);
        router.stop();
    }
}

#[test]
fn a_failed_check_after_the_switch_gives_the_roles_back_and_a_hang_too() {
    for (fault, reason) in [
        ("re1/rpd:fail-verify", "10.0.0.2 has not been heard"),
        ("re1/pfed:fail-verify", "re1/pfed failed its checks"),
        ("re1/rpd:hang-verify", "re1/rpd: verification was not confirmed within 4 s"),
    ] {
        let router = Router::start(fault);
        let rpd = router.pid("re0", "rpd");
        let (lines, end) = router.follow(router.start_run(false).unwrap());
        assert_eq!(end.verdict, "undone, nothing lost", "{fault}: {lines:#?}");
        router.assert_back_on_re0(rpd);
        let report = router.report(0);
        assert!(report.reason.contains(reason), "{}", report.reason);
        let gave_back = report.control_plane_gap_back_ms > 0.0;
        assert_eq!(gave_back, !fault.contains("hang"), "a hung engine cannot say when it stopped");
        let again = router.start_with_confirm(0);
        assert_ne!(router.follow(again).1.verdict, "", "the next run begins");
        router.stop();
    }
}

#[test]
fn when_the_old_engine_cannot_take_the_roles_back_the_new_one_goes_on() {
    let router = Router::start("re1/mgd:fail-verify re0/rpd:refuse-return");
    let (lines, end) = router.follow(router.start_run(false).unwrap());
    assert_eq!(end.verdict, "undo failed, with losses", "the check that failed counts: {lines:#?}");
    assert!(router.report(0).reason.contains("the fake does not return"), "{}", router.report(0).reason);
    let chassis = router.chassis();
    assert_eq!((chassis.master_slot.as_str(), router.pid("re0", "rpd")), ("re1", 0));
    assert!(chassis.processes.iter().all(|process| process.role() == Role::Primary));
    assert_eq!(fs::read_link(router.path("run/mgd.sock")).unwrap(), Path::new("re1/mgd.sock"));
    router.stop();
}

#[test]
fn a_run_soaks_until_it_is_confirmed() {
    let router = Router::start("");
    let run_id = router.start_with_confirm(600);
    assert!(router.confirm().unwrap_err().contains("once it is soaking"));
    router.wait_for_state("soaking");
    router.wait_for("the old engine follows", || {
        let chassis = router.chassis();
        let backups = chassis.processes.iter().filter(|p| p.slot == "re0" && p.role() == Role::Backup);
        backups.count() == 3
    });
    let run = router.run(run_id);
    let left_ms = run.confirm_until_unix_ms.saturating_sub(holdfast_ipc::unix_ms());
    assert!(left_ms > 300_000 && left_ms <= 600_000, "{left_ms}");
    assert!(router.start_run(true).unwrap_err().contains("soaking"), "a second run");
    // mgd and pfed of the new engine are restarted in place; nothing is given back for that.
    let pfed = router.pid("re1", "pfed");
    signal(pfed, "KILL");
    router.wait_for("pfed is restarted", || ![0, pfed].contains(&router.pid("re1", "pfed")));
    assert!(router.confirm().unwrap().contains("confirmed"));
    let (lines, end) = router.follow(run_id);
    assert_eq!((end.verdict.as_str(), end.success), ("nothing lost", true), "{lines:#?}");
    assert!(lines.iter().any(|line| line == "confirmed by test"), "{lines:#?}");
    assert_eq!((router.chassis().master_slot.as_str(), router.pid("re0", "rpd")), ("re1", 0));
    router.stop();
}

#[test]
fn without_a_confirmation_or_on_abort_or_death_the_roles_go_back() {
    for how in ["late", "abort", "KILL", "STOP"] {
        let router = Router::start("");
        let rpd = router.pid("re0", "rpd");
        let run_id = router.start_with_confirm(if how == "late" { 2 } else { 600 });
        router.wait_for_state("soaking");
        match how {
            "late" => {}
            "abort" => assert!(router.abort().unwrap().contains("gives the roles back")),
            how => signal(router.pid("re1", "rpd"), how),
        }
        let (lines, end) = router.follow(run_id);
        assert_eq!(end.verdict, "undone, nothing lost", "{how}: {lines:#?}");
        router.assert_back_on_re0(rpd);
        router.stop();
    }
}

#[test]
fn a_chassisd_that_stood_still_calls_nobody_silent() {
    let router = Router::start("");
    let run_id = router.start_with_confirm(600);
    router.wait_for_state("soaking");
    signal(router.child.id(), "STOP");
    std::thread::sleep(Duration::from_secs(6)); // longer than any answer may take
    signal(router.child.id(), "CONT");
    let later = holdfast_ipc::unix_ms() + 1500;
    router.wait_for("it goes on", || router.chassis().state == "soaking" && holdfast_ipc::unix_ms() > later);
    router.confirm().unwrap();
    let (lines, end) = router.follow(run_id);
    assert_eq!(end.verdict, "nothing lost", "{lines:#?}");
    router.stop();
}

#[test]
fn a_follower_lost_while_the_checks_run_closes_the_way_back_and_the_run_goes_on() {
    let router = Router::start("re1/rpd:lose-follower");
    let (lines, end) = router.follow(router.start_run(false).unwrap());
    assert_eq!((end.verdict.as_str(), end.success), ("nothing lost", true), "{lines:#?}");
    let closed = "the way back to re0 is closed: re0/rpd misses facts: its stream was full for 200 ms";
    assert!(lines.iter().any(|line| line.contains(closed)), "{lines:#?}");
    assert!(router.chassis().alarms.iter().any(|alarm| alarm.contains(closed)));
    assert!(router.report(0).differences.iter().any(|d| !d.loss && d.after.contains(closed)));
    router.stop();
}

/// Its owner dies, and the run, which stood right before the switch, becomes the switchover.
#[test]
fn an_owner_that_dies_once_its_successor_stands_ready_is_replaced_by_it() {
    let router = Router::start_with("", Some(("ready-for-switchover", 1000)));
    let (new_rpd, run_id) = (|| router.pid("re1", "rpd"), router.start_run(false).unwrap());
    router.wait_for_state("ready-for-switchover");
    let successor = new_rpd();
    signal(router.pid("re0", "rpd"), "KILL");
    let (lines, end) = router.follow(run_id);
    assert_eq!(end.verdict, "failed, evidence missing", "nobody froze, so no gap is known: {lines:#?}");
    assert!(lines.iter().any(|line| line.contains("re1 stands ready with every fact")), "{lines:#?}");
    assert_eq!((router.chassis().master_slot.as_str(), new_rpd()), ("re1", successor));
    assert!(!lines.iter().any(|line| line.contains("restarted")), "{lines:#?}");
    router.stop();
}

#[test]
fn a_lost_follower_closes_the_way_back() {
    let router = Router::start("");
    let run_id = router.start_with_confirm(600);
    router.wait_for_state("soaking");
    signal(router.pid("re0", "rpd"), "KILL");
    router.wait_for("an alarm", || router.chassis().alarms.iter().any(|alarm| alarm.contains("way back to re0")));
    assert!(router.abort().unwrap_err().contains("the way back is closed"));
    router.confirm().unwrap();
    assert_eq!(router.follow(run_id).1.verdict, "nothing lost");
    router.stop();
}
