//! chassisd with stand-ins for its daemons: start, run, faults from outside, stop.

mod router;
mod undo;

use std::fs;
use std::io::Read;
use std::path::Path;

use holdfast_proto::v1::*;

use router::{Router, alive, command, fake_daemon, prepare, signal};

#[test]
fn a_whole_run_replaces_every_process_and_loses_nothing() {
    let router = Router::start("");
    assert!(router.said.starts_with("ready"), "{}", router.said);
    let before = router.chassis();
    assert_eq!((before.master_slot.as_str(), before.vault.len()), ("re0", 1));
    let run_id = router.start_run(false).unwrap();
    let refusal = router.start_run(false).unwrap_err();
    assert!(refusal.contains(&format!("run {run_id} is in progress")), "{refusal}");
    let (lines, end) = router.follow(run_id);
    assert_eq!((end.verdict.as_str(), end.success), ("nothing lost", true), "{lines:#?}");
    let report = router.report(run_id);
    assert!(report.success && report.missing_evidence.is_empty(), "{report:?}");
    assert!(
        report.control_plane_gap_ms > 0.0 && report.control_plane_gap_ms < 500.0,
        "{}",
        report.control_plane_gap_ms
    );
    println!("gap {:.2} ms, run {} ms", report.control_plane_gap_ms, report.duration_ms);
    assert!(report.sessions[0].unbroken && report.sessions[0].facts == report.sessions[0].kernel);
    assert!(report.phases.len() >= 11 && report.interfaces.len() == 1 && report.fib_routes == 7);
    let after = router.chassis();
    assert_eq!((after.master_slot.as_str(), after.epoch, after.run_id), ("re1", before.epoch + 1, 0));
    assert_eq!(after.processes.iter().filter(|process| process.slot == "re0").count(), 0);
    let primary = Role::Primary as i32;
    assert!(after.processes.iter().filter(|process| process.slot == "re1").all(|process| process.role == primary));
    assert_eq!(fs::read_link(router.path("run/mgd.sock")).unwrap(), Path::new("re1/mgd.sock"));
    assert!(before.processes.iter().filter(|process| process.slot == "re0").all(|process| !alive(process.pid)));

    // Nothing has moved since: it need not be waited for. After a death, it must, or forced.
    let (lines, back) = router.follow(router.start_run(false).unwrap());
    assert!(back.success, "{lines:#?}");
    assert_eq!(router.chassis().master_slot, "re0");
    let mgd = router.pid("re0", "mgd");
    signal(mgd, "KILL");
    router.wait_for("mgd is restarted", || ![0, mgd].contains(&router.pid("re0", "mgd")));
    router.wait_for("it is ready", || router.start_run(false).is_ok());
    let spaced = router.follow(0).1;
    assert_eq!(spaced.verdict, "refused, nothing changed");
    let reason = router.report(0).reason;
    assert!(reason.contains("s left") && reason.contains("1 alarms since run 2"), "{reason}");
    let runs = {
        let mut client = router.client();
        router.runtime.block_on(async { client.list_runs(ListRunsRequest::default()).await.unwrap().into_inner().runs })
    };
    assert_eq!(runs.len(), 3);
    router.stop();
}

#[test]
fn a_scheduled_run_begins_by_itself_and_outlives_chassisd() {
    let mut router = Router::start("re0/mgd:no-gres");
    let now = holdfast_ipc::unix_ms();
    assert_eq!(router.scheduled().at_unix_ms, 0);
    let run = StartRunRequest { message: "at night".into(), requested_by: "test".into(), ..Default::default() };
    router.schedule(now + 3_600_000, run.clone()).unwrap();
    let second = router.schedule(now + 1000, run.clone()).unwrap_err();
    assert!(second.contains("requested by test is scheduled already, in 35") && second.contains("clear"), "{second}");
    router.child.kill().unwrap();
    router.child.wait().unwrap();
    let directory = std::mem::replace(&mut router.directory, tempfile::tempdir().unwrap());
    let next = Router::start_in(directory, "re0/mgd:no-gres", None);
    assert_eq!((next.scheduled().at_unix_ms, next.scheduled().run.unwrap()), (now + 3_600_000, run.clone()));
    assert_eq!(next.clear_schedule().unwrap().at_unix_ms, now + 3_600_000);
    assert!(next.clear_schedule().unwrap_err().contains("no reboot is scheduled"));
    // One whose checks refuse has nobody to tell but an alarm.
    next.schedule(holdfast_ipc::unix_ms() + 200, run).unwrap();
    next.wait_for("the scheduled run's alarm", || {
        next.chassis().alarms.iter().any(|alarm| alarm.contains("refused") && alarm.contains("GRES"))
    });
    assert_eq!(next.scheduled().at_unix_ms, 0, "it comes once");
    let (lines, end) = next.follow(0);
    assert_eq!((end.verdict.as_str(), lines[0].as_str()), ("refused, nothing changed", "Message : at night"));
    assert_eq!(next.report(0).message, "at night");
    next.stop();
}

#[test]
fn what_dies_at_rest_is_restarted() {
    let router = Router::start("");
    for name in ["mgd", "pfed", "rpd"] {
        let old = router.pid("re0", name);
        let established = router.chassis().vault[0].deposited_unix_ms;
        signal(old, "KILL");
        router.wait_for("restarted", || {
            let chassis = router.chassis();
            let process = chassis.processes.iter().find(|process| process.name == name).unwrap();
            process.pid != 0 && process.pid != old && process.role == Role::Primary as i32 && process.restarts == 1
        });
        router.wait_for("the vault's session", || router.chassis().vault.len() == 1);
        let kept = router.chassis().vault[0].deposited_unix_ms == established;
        assert_eq!(kept, name != "rpd", "only the death of rpd ends its sessions");
    }
    let mut client = router.client();
    let outcome = router.runtime.block_on(async {
        client.restart_process(RestartProcessRequest { name: "forwarding".into() }).await.unwrap().into_inner().outcome
    });
    assert!(outcome.contains("re0/pfed has been restarted; no session was touched"), "{outcome}");
    router.stop();
}

#[test]
fn a_hanging_process_is_killed_and_restarted() {
    let router = Router::start("");
    let old = router.pid("re0", "mgd");
    signal(old, "STOP");
    router.wait_for("restarted", || ![0, old].contains(&router.pid("re0", "mgd")));
    assert!(router.chassis().alarms.iter().any(|alarm| alarm.contains("re0/mgd hangs")));
    router.stop();
}

fn fails(directory: &Path, faults: &str) -> String {
    let mut child = command(directory, faults, None).spawn().unwrap();
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    said
}

#[test]
fn a_start_that_fails_says_why_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    prepare(directory.path(), "");
    let said = fails(directory.path(), "re0/rpd:error");
    assert!(said.contains("re0/rpd cannot start: the port is in use"), "{said}");
    assert!(!directory.path().join("run").exists());
    let said = fails(directory.path(), "re0/pfed:no-start");
    assert!(said.contains("re0/pfed") && said.contains("told not to start"), "{said}");
    assert!(!directory.path().join("run").exists());
    prepare(directory.path(), "wrong");
    let said = fails(directory.path(), "");
    assert!(said.contains("router.conf:1:1: unknown statement 'wrong'"), "{said}");
    let mut oci = command(directory.path(), "", None);
    let output = oci.args(["--re-runtime", "oci", "--oci-runtime", "/no/such/runc"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("/no/such/runc does not exist; install one (apt-get install runc)"), "{said}");
    fs::remove_file(directory.path().join("bin/rpd")).unwrap();
    assert!(fails(directory.path(), "").contains("bin/rpd does not exist"));
}

#[test]
fn a_second_router_on_the_same_directory_is_refused() {
    let router = Router::start("");
    let said = fails(router.directory.path(), "");
    assert!(said.contains(&format!("in use by another router (chassisd pid {})", router.child.id())), "{said}");
    assert_eq!(router.chassis().master_slot, "re0", "the first one is untouched");
    router.stop();
}

#[test]
fn after_kill_9_the_next_start_cleans_up_and_tells_of_the_run() {
    let mut router = Router::start_with("", Some(("activate", 1500)));
    let run_id = router.start_run(false).unwrap();
    router.wait_for_freeze();
    let left: Vec<u32> = router.chassis().processes.iter().filter(|p| !p.slot.is_empty()).map(|p| p.pid).collect();
    router.child.kill().unwrap();
    router.child.wait().unwrap();
    let directory = std::mem::replace(&mut router.directory, tempfile::tempdir().unwrap());
    let next = Router::start_in(directory, "", None);
    assert!(next.said.starts_with("ready"), "{}", next.said);
    assert!(left.iter().all(|pid| !alive(*pid)), "left-over processes live");
    let alarms = next.chassis().alarms.join("\n");
    assert!(
        alarms.contains("left by an earlier chassisd") && alarms.contains("while the run was switching"),
        "{alarms}"
    );
    assert_eq!(next.report(run_id).verdict, "interrupted, undone");
    assert!(next.follow(run_id).1.ended);
    next.stop();
}

#[test]
fn sigterm_stops_the_router() {
    let mut router = Router::start("");
    let pids: Vec<u32> = router.chassis().processes.iter().map(|process| process.pid).collect();
    signal(router.child.id(), "TERM");
    assert!(router.child.wait().unwrap().success());
    assert!(pids.iter().all(|pid| !alive(*pid)));
    assert!(!router.path("run").exists());
}

fn inspect(router: &Router, run_id: u64) -> Inspection {
    let mut client = router.client();
    router.runtime.block_on(async { client.inspect(InspectRequest { run_id }).await.unwrap().into_inner() })
}

fn check(inspection: &Inspection, id: &str) -> Check {
    inspection.checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no check {id}")).clone()
}

#[test]
fn readiness_is_observed_at_any_time_and_without_effect() {
    let router = Router::start("");
    let before = router.chassis();
    let first = inspect(&router, 0);
    // Others use this machine as well, and the fake keeps no listener and no replication socket: everything else is well.
    let excused = ["cpu-idle", "vault-listeners", "replication-socket", "memory"];
    let failed = |inspection: &Inspection| -> Vec<String> {
        let failed = inspection.checks.iter().filter(|check| !check.passed && !excused.contains(&check.id.as_str()));
        failed.map(|check| format!("{}: {}", check.id, check.observed)).collect()
    };
    assert_eq!(failed(&first), [""; 0]);
    assert!(first.checks.len() >= 20, "{}", first.checks.len());
    let forecast = first.forecast.unwrap();
    assert!(forecast.run_ids.is_empty() && forecast.duration_ms > 0);
    assert_eq!(forecast.sizes.unwrap().sessions, 1);
    let after = router.chassis();
    assert_eq!((before.epoch, before.run_id, before.vault), (after.epoch, after.run_id, after.vault));

    // A file that an earlier run left, a record that nobody can read, a program that cannot be started.
    fs::create_dir(router.path("run/re1")).unwrap();
    fs::write(router.path("state/runs/77.json"), "{").unwrap();
    fs::remove_file(router.path("bin/pfed")).unwrap();
    let second = inspect(&router, 0);
    for (id, word) in [("no-left-over-files", "re1"), ("journal-readable", "77.json"), ("image-present", "pfed")] {
        let check = check(&second, id);
        assert!(!check.passed && check.observed.contains(word) && !check.remedy.is_empty(), "{check:?}");
    }
    fs::remove_dir(router.path("run/re1")).unwrap();
    fs::remove_file(router.path("state/runs/77.json")).unwrap();
    std::os::unix::fs::symlink(fake_daemon(), router.path("bin/pfed")).unwrap();

    // A process that is stopped, and a lock that is not ours.
    signal(router.pid("re0", "rpd"), "STOP");
    fs::write(router.path("state/lock"), "pid 1").unwrap();
    let third = inspect(&router, 0);
    for (id, word) in [("processes-running", "re0/rpd is stopped"), ("state-dir-lock", "pid 1")] {
        assert!(check(&third, id).observed.contains(word), "{:?}", check(&third, id));
    }
    assert!(!check(&third, "vault-sessions").passed, "rpd, which is stopped, says nothing of its sessions");
}

#[test]
fn what_a_run_took_teaches_the_next_forecast_and_a_run_knows_itself() {
    let router = Router::start_with("", Some(("activate", 1500)));
    let run_id = router.start_run(false).unwrap();
    router.wait_for("switching", || router.chassis().state == "switching");
    assert!(!check(&inspect(&router, 0), "run-in-progress").passed);
    assert!(check(&inspect(&router, run_id), "run-in-progress").passed);
    let (_, end) = router.follow(run_id);
    assert!(end.success, "{end:?}");
    let report = router.report(run_id);
    let silence = report.sessions[0].silence_out_ms.expect("measured from the kernel's time stamps");
    assert!(silence >= 1_400, "the switch was held up for 1500 ms, the session was silent for {silence} ms");
    assert_eq!((report.silences[0].longest_ms, report.sessions_before, report.sessions_after), (silence, 1, 1));
    assert!(report.forecast.is_some_and(|forecast| forecast.run_ids.is_empty()));
    assert!(report.phases.iter().all(|phase| phase.forecast_ms > 0), "{:?}", report.phases);
    assert!(report.differences.is_empty(), "{:?}", report.differences);
    let inspection = inspect(&router, 0);
    let forecast = inspection.forecast.unwrap();
    assert_eq!(forecast.run_ids, [run_id]);
    assert!(forecast.control_plane_gap_ms >= 1_400.0, "{forecast:?}");
    assert!(inspection.last_run_ended_unix_ms > 0);
}

#[test]
fn a_run_is_found_by_the_request_that_started_it_and_alarms_end_with_a_good_run() {
    let router = Router::start("");
    signal(router.pid("re0", "mgd"), "KILL");
    router.wait_for("an alarm", || {
        router.chassis().active_alarms.iter().any(|alarm| alarm.text.contains("re0/mgd ended"))
    });
    router.wait_for("mgd is restarted", || router.pid("re0", "mgd") != 0);
    let request = StartRunRequest { force: true, request_id: "of this test".into(), ..Default::default() };
    let find = |request_id: &str| {
        let request = GetRunRequest { request_id: request_id.into(), ..Default::default() };
        let mut client = router.client();
        router.runtime.block_on(async { client.get_run(request).await.map(|reply| reply.into_inner().run_id) })
    };
    let mut run_id = 0;
    router.wait_for("the run begins", || {
        let mut client = router.client();
        let reply = router.runtime.block_on(async { client.start_run(request.clone()).await });
        reply.map(|reply| run_id = reply.into_inner().run_id).is_ok()
    });
    assert_eq!(find("of this test").unwrap(), run_id);
    assert_eq!(find("of another").unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(router.follow(run_id).1.verdict, "nothing lost");
    assert_eq!(find("of this test").unwrap(), run_id, "when it has ended, too");
    assert!(router.chassis().active_alarms.is_empty(), "{:?}", router.chassis().active_alarms);
    router.stop();
}
