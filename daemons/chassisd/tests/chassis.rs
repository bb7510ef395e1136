//! chassisd with stand-ins for its daemons: start, run, ways back, faults from outside, stop.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_proto::v1::chassis_client::ChassisClient;
use holdfast_proto::v1::*;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

struct Router {
    directory: tempfile::TempDir,
    child: Child,
    said: String,
    runtime: tokio::runtime::Runtime,
}

fn fake_daemon() -> PathBuf {
    let chassisd = Path::new(env!("CARGO_BIN_EXE_chassisd"));
    let fake = chassisd.parent().unwrap().join("examples/fake_daemon");
    assert!(fake.exists(), "{} is not built: run the whole of `cargo test -p chassisd`", fake.display());
    fake
}

fn prepare(directory: &Path, configuration: &str) {
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["mgd", "rpd", "pfed"] {
        let _ = std::os::unix::fs::symlink(fake_daemon(), bin.join(name));
    }
    fs::write(directory.join("router.conf"), configuration).unwrap();
}

fn command(directory: &Path, faults: &str, pause_ms: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chassisd"));
    command.arg("--run-dir").arg(directory.join("run")).arg("--state-dir").arg(directory.join("state"));
    command.arg("--config").arg(directory.join("router.conf")).arg("--bin-dir").arg(directory.join("bin"));
    command.env("HOLDFAST_FAKE", faults).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    if pause_ms > 0 {
        command.env("HOLDFAST_PAUSE_BEFORE", format!("activate:{pause_ms}"));
    }
    command
}

impl Router {
    fn start(faults: &str) -> Self {
        Self::start_with(faults, 0)
    }

    fn start_with(faults: &str, pause_ms: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path(), "");
        Self::start_in(directory, faults, pause_ms)
    }

    fn start_in(directory: tempfile::TempDir, faults: &str, pause_ms: u64) -> Self {
        let mut child = command(directory.path(), faults, pause_ms).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Router { directory, child, said, runtime }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    fn client(&self) -> ChassisClient<Channel> {
        let _enter = self.runtime.enter();
        ChassisClient::new(holdfast_ipc::channel(&self.path("run/chassis.sock")))
    }

    fn chassis(&self) -> ChassisState {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_chassis(GetChassisRequest {}).await.unwrap().into_inner() })
    }

    fn pid(&self, slot: &str, name: &str) -> u32 {
        let chassis = self.chassis();
        let found = chassis.processes.iter().find(|process| process.slot == slot && process.name == name);
        found.map_or(0, |process| process.pid)
    }

    fn start_run(&self, force: bool) -> Result<u64, String> {
        let mut client = self.client();
        let request = StartRunRequest { force, requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.start_run(request).await });
        reply.map(|reply| reply.into_inner().run_id).map_err(|status| status.message().into())
    }

    fn start_with_confirm(&self, confirm_s: u32) -> u64 {
        let mut client = self.client();
        let request = StartRunRequest { confirm_s, requested_by: "test".into(), ..Default::default() };
        self.runtime.block_on(async { client.start_run(request).await }).unwrap().into_inner().run_id
    }

    fn abort(&self) -> Result<String, String> {
        let mut client = self.client();
        let request = AbortRunRequest { requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.abort_run(request).await });
        reply.map(|reply| reply.into_inner().outcome).map_err(|status| status.message().into())
    }

    fn confirm(&self) -> Result<String, String> {
        let mut client = self.client();
        let request = ConfirmRunRequest { requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.confirm_run(request).await });
        reply.map(|reply| reply.into_inner().outcome).map_err(|status| status.message().into())
    }

    fn schedule(&self, at_unix_ms: u64, run: StartRunRequest) -> Result<ScheduledRun, String> {
        let mut client = self.client();
        let request = ScheduleRunRequest { at_unix_ms, run: Some(run) };
        let reply = self.runtime.block_on(async { client.schedule_run(request).await });
        reply.map(tonic::Response::into_inner).map_err(|status| status.message().into())
    }

    fn scheduled(&self) -> ScheduledRun {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_schedule(GetScheduleRequest {}).await.unwrap().into_inner() })
    }

    fn clear_schedule(&self) -> Result<ScheduledRun, String> {
        let mut client = self.client();
        let reply = self.runtime.block_on(async { client.clear_schedule(ClearScheduleRequest::default()).await });
        reply.map(tonic::Response::into_inner).map_err(|status| status.message().into())
    }

    fn run(&self, run_id: u64) -> RunState {
        let mut client = self.client();
        self.runtime.block_on(async {
            client.get_run(GetRunRequest { run_id, ..Default::default() }).await.unwrap().into_inner()
        })
    }

    fn wait_for_state(&self, state: &str) {
        self.wait_for(state, || self.chassis().state == state);
    }

    fn assert_back_on_re0(&self, rpd: u32) {
        let chassis = self.chassis();
        assert_eq!((chassis.master_slot.as_str(), self.pid("re0", "rpd")), ("re0", rpd));
        let at_work = |p: &ProcessState| p.slot != "re1" && p.state == "running" && p.role() == Role::Primary;
        assert!(chassis.processes.iter().all(at_work), "{:#?}", chassis.processes);
        assert_eq!(fs::read_link(self.path("run/mgd.sock")).unwrap(), Path::new("re0/mgd.sock"));
    }

    /// Follows a run to its end.
    fn follow(&self, run_id: u64) -> (Vec<String>, RunEvent) {
        let mut client = self.client();
        let follow = async {
            let request = FollowRunRequest { run_id, from_sequence: 1 };
            let mut stream = client.follow_run(request).await.unwrap().into_inner();
            let mut lines = Vec::new();
            while let Some(event) = stream.next().await {
                let event = event.unwrap();
                assert_eq!(event.sequence, lines.len() as u64 + 1, "no gaps");
                lines.push(event.line.clone());
                if event.ended {
                    return (lines, event);
                }
            }
            panic!("the run's events ended without an end: {lines:#?}");
        };
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), follow).await.expect("ends") })
    }

    fn report(&self, run_id: u64) -> RunReport {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_report(GetReportRequest { run_id }).await.unwrap().into_inner() })
    }

    fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the run stands in the pause before the activation of the new rpd.
    fn wait_for_freeze(&self) {
        let re0 = |state: &ChassisState| {
            let of_slot: Vec<String> =
                state.processes.iter().filter(|p| p.slot == "re0").map(|p| p.state.clone()).collect();
            of_slot.len() == 3 && of_slot.iter().all(|state| state.starts_with("stopped"))
        };
        self.wait_for("the old slot is fenced", || re0(&self.chassis()));
    }

    fn stop(mut self) {
        let mut client = self.client();
        self.runtime.block_on(async { client.stop(StopRequest { flush: false }).await.unwrap() });
        assert!(self.child.wait().unwrap().success());
        assert!(!self.path("run").exists(), "the run-dir is left behind");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            signal(self.child.id(), "TERM");
            let deadline = Instant::now() + Duration::from_secs(20);
            while self.child.try_wait().unwrap().is_none() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn signal(pid: u32, signal: &str) {
    assert!(pid > 1);
    assert!(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap().success());
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

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
fn the_new_engine_killed_or_hanging_in_the_window_is_rolled_back() {
    for how in ["KILL", "STOP"] {
        let router = Router::start_with("", 1500);
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
    assert_eq!(router.follow(run_id).1.verdict, "nothing lost");
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
    let next = Router::start_in(directory, "re0/mgd:no-gres", 0);
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
    let mut child = command(directory, faults, 0).spawn().unwrap();
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
    let mut oci = command(directory.path(), "", 0);
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
    let mut router = Router::start_with("", 1500);
    let run_id = router.start_run(false).unwrap();
    router.wait_for_freeze();
    let left: Vec<u32> = router.chassis().processes.iter().filter(|p| !p.slot.is_empty()).map(|p| p.pid).collect();
    router.child.kill().unwrap();
    router.child.wait().unwrap();
    let directory = std::mem::replace(&mut router.directory, tempfile::tempdir().unwrap());
    let next = Router::start_in(directory, "", 0);
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
    let router = Router::start_with("", 1500);
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
