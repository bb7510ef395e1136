//! Configure mode as a client sees it: edits, commits with daemons that take them or not, runs, locks, another mgd.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use holdfast_ipc::RoleArg;
use holdfast_proto::v1::{
    ConfigureMode, ExecuteRequest, FreezeRequest, PrepareRequest, ReportAppliedRequest, SubscribeConfigurationRequest,
    daemon_client::DaemonClient, execute_event::Event, management_client::ManagementClient,
};
use tonic::{Code, Status, transport::Channel};

use super::router::{Answer, Router, execute, show, status_until};
use crate::{grammar, state::State};

/// What a daemon says to a configuration; `None`: nothing.
pub(super) type Judge = Arc<Mutex<Box<dyn Fn(&holdfast_proto::v1::RouterConfig) -> Option<Result<(), String>> + Send>>>;

/// A daemon that follows the configuration.
pub(super) fn follower(channel: &Channel, name: &'static str, judge: Judge) {
    let mut client = ManagementClient::new(channel.clone());
    tokio::spawn(async move {
        let request = SubscribeConfigurationRequest { daemon: name.into() };
        let mut snapshots = client.subscribe_configuration(request).await.unwrap().into_inner();
        while let Ok(Some(snapshot)) = snapshots.message().await {
            let verdict = (judge.lock().unwrap())(&snapshot);
            let Some(verdict) = verdict else { continue };
            let (ok, message) = (verdict.is_ok(), verdict.err().unwrap_or_default());
            let request = ReportAppliedRequest { daemon: name.into(), commit_id: snapshot.commit_id, ok, message };
            client.report_applied(request).await.unwrap();
        }
    });
}

fn judge(verdict: impl Fn(&holdfast_proto::v1::RouterConfig) -> Option<Result<(), String>> + Send + 'static) -> Judge {
    Arc::new(Mutex::new(Box::new(verdict)))
}

pub(super) fn takes_all() -> Judge {
    judge(|_| Some(Ok(())))
}

/// A client in configure mode.
pub(super) struct Client {
    pub channel: Channel,
    mode: Option<ConfigureMode>,
    lock_file: String,
    lock_text: String,
}

impl Client {
    fn new(channel: &Channel) -> Self {
        Self { channel: channel.clone(), mode: None, lock_file: String::new(), lock_text: String::new() }
    }

    pub async fn entered(channel: &Channel) -> Self {
        let mut client = Self::new(channel);
        client.ok("configure").await;
        client
    }

    async fn send(&mut self, request: ExecuteRequest) -> Result<Answer, Status> {
        let request = ExecuteRequest { configure: self.mode.clone(), user: "tester".into(), ..request };
        let mut stream = ManagementClient::new(self.channel.clone()).execute(request).await?.into_inner();
        let mut output = String::new();
        while let Some(event) = stream.message().await? {
            match event.event.unwrap() {
                Event::Output(text) => output.push_str(&text),
                Event::Mode(mode) => {
                    self.mode = mode.configure;
                    (self.lock_file, self.lock_text) = (mode.lock_file, mode.lock_text);
                }
                Event::Write(write) => output.push_str(&format!("into {}:\n", write.file)),
                end => return Ok(Answer { output, end }),
            }
        }
        panic!("the stream ended without an end: {output}");
    }

    async fn answer(&mut self, line: &str) -> Answer {
        self.send(ExecuteRequest { line: line.into(), ..Default::default() }).await.unwrap()
    }

    pub async fn ok(&mut self, line: &str) -> String {
        self.answer(line).await.ok()
    }

    pub async fn refused(&mut self, line: &str) -> String {
        self.answer(line).await.error().to_owned()
    }

    fn level(&self) -> &str {
        &self.mode.as_ref().expect("configure mode").level
    }
}

/// A primary with followers that take everything, in force.
pub(super) async fn ready(router: &Router) -> (Arc<State>, Channel) {
    let (state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    follower(&mgd, "rpd", takes_all());
    follower(&mgd, "pfed", takes_all());
    status_until(&mgd, |status| status.ready).await;
    (state, mgd)
}

pub(super) fn stored(router: &Router) -> String {
    fs::read_to_string(router.directory.path().join("state/config/active.conf")).unwrap()
}

fn candidate(router: &Router) -> Option<String> {
    fs::read_to_string(router.directory.path().join("state/config/candidate.conf")).ok()
}

#[tokio::test]
async fn edits_levels_and_views() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("edit protocols bgp group EXT").await;
    assert_eq!(client.level(), "protocols bgp group EXT");
    client.ok("set neighbor 10.0.0.2 hold-time 30").await;
    assert_eq!(client.ok("show neighbor 10.0.0.2").await, "hold-time 30;\n");
    client.ok("edit neighbor 10.0.0.2").await;
    client.ok("exit").await;
    assert_eq!(client.level(), "protocols bgp group EXT");
    client.ok("up").await;
    assert_eq!(client.level(), "protocols bgp");
    client.ok("top set system host-name r9").await;
    assert_eq!(client.level(), "protocols bgp", "top with a command stays where it is");
    assert!(client.ok("run show configuration").await.contains("host-name r1;"));
    let difference = "[edit system]
-    host-name r1;
+    host-name r9;
[edit protocols bgp group EXT neighbor 10.0.0.2]
+    hold-time 30;
";
    assert_eq!(client.ok("compare").await, difference);
    let request = ExecuteRequest { line: "show".into(), format: "compare".into(), ..Default::default() };
    assert_eq!(client.send(request).await.unwrap().ok(), difference);
    let request = ExecuteRequest { line: "show neighbor".into(), format: "set".into(), ..Default::default() };
    assert!(client.send(request).await.unwrap().error().contains("unknown statement \"neighbor\""));
    client.ok("top").await;
    let request = ExecuteRequest { line: "show system".into(), format: "set".into(), ..Default::default() };
    assert_eq!(client.send(request).await.unwrap().ok(), "set system host-name r9\n");
    assert!(client.ok("save /tmp/x").await.starts_with("into /tmp/x:\nsystem {\n    host-name r9;"));

    assert_eq!(
        client.refused("  set  protocols bgp group EXT neighbour 10.0.0.7").await.split(';').next().unwrap(),
        "column 32: [protocols bgp group EXT] unknown statement \"neighbour\""
    );
    assert!(client.refused("top edit system host-name").await.contains("edit goes to"));
    assert!(client.refused("delete chassis member-id").await.contains("[chassis member-id] is not in"));
    assert!(client.refused("nonsense").await.contains("expecting activate, commit"));
    assert!(candidate(&router).unwrap().contains("host-name r9;"), "every edit is on disk");
    client.ok("rollback").await;
    assert_eq!((client.ok("compare").await.as_str(), candidate(&router)), ("", None));
}

#[tokio::test]
async fn what_is_changed_back_is_no_change() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    assert_eq!(state.candidate_state().uncommitted.unwrap().user, "tester");
    client.ok("set system host-name r1").await;
    assert_eq!((candidate(&router), state.candidate_state().uncommitted), (None, None));
    assert_eq!(client.ok("commit").await, "commit complete: nothing was changed\n");
    assert_eq!(state.configuration().unwrap().commit_id, 1);
}

#[tokio::test]
async fn texts_are_loaded_when_the_client_has_read_them() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    let asked = client.answer("load merge terminal").await;
    assert!(matches!(&asked.end, Event::Read(read) if read.file.is_empty() && read.prompt.contains("^D")));
    assert!(matches!(client.answer("load set /tmp/x").await.end, Event::Read(read) if read.file == "/tmp/x"));
    let load = |how: &str, text: &str| ExecuteRequest {
        line: format!("load {how} /tmp/x"),
        text: text.into(),
        text_given: true,
        ..Default::default()
    };
    client.send(load("merge", "system { host-name r5; }")).await.unwrap().ok();
    let error = client.send(load("set", "set system host-name r6\nset systm x")).await.unwrap();
    assert!(error.error().starts_with("/tmp/x:2:5: unknown statement \"systm\""), "{}", error.error());
    assert_eq!(client.ok("show system host-name").await, "host-name r5;\n");
    client.send(load("override", "system host-name r7;")).await.unwrap().ok();
    assert_eq!(client.ok("show").await, "system {\n    host-name r7;\n}\n");
    client.send(load("override", "")).await.unwrap().ok();
    assert!(client.refused("commit").await.contains("holds no statement"));
}

#[tokio::test]
async fn commit_publishes_keeps_and_lists() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set routing-options static route 10.9.0.0/16 discard").await;
    assert_eq!(client.ok("commit check").await, "configuration check succeeds\n");
    assert_eq!(state.configuration().unwrap().commit_id, 1, "check changes nothing");
    let output = client.ok("commit comment \"a route\" and-quit").await;
    assert_eq!(output, "commit complete\nExiting configuration mode\n");
    assert!(client.mode.is_none() && candidate(&router).is_none());
    let stored = stored(&router);
    assert!(stored.starts_with("## Last commit: 2 ") && stored.lines().next().unwrap().ends_with("tester a route"));
    assert!(stored.contains("route 10.9.0.0/16"));
    assert_eq!(state.configuration().unwrap().commit_id, 2);
    let commits = show(&mgd, "show system commit").await;
    assert!(commits.lines().nth(1).unwrap().ends_with("tester  a route"), "{commits}");
    assert!(show(&mgd, "show system rollback 1").await.contains("host-name r1;"));
    let refused = execute(&mgd, "show system rollback 7", "text", false).await;
    assert!(refused.error().contains("no configuration to roll back to at 7"));

    let mut client = Client::entered(&mgd).await;
    client.ok("rollback 1").await;
    assert!(
        client.ok("compare").await.contains("-        route 10.9.0.0/16")
            || client.ok("compare").await.contains("-    static")
    );
    client.ok("commit").await;
    assert_eq!(state.configuration().unwrap().commit_id, 3);
    client.ok("set protocols bgp group EXT import NONE").await;
    let error = client.refused("commit").await;
    assert!(error.contains("candidate:") && error.contains("[protocols bgp group EXT import"), "{error}");
    assert!(error.ends_with("commit failed: 1 mistake"), "{error}");
}

#[tokio::test]
async fn a_commit_that_a_daemon_cannot_apply_is_taken_back() {
    let router = Router::new().with_chassis();
    let (state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    follower(&mgd, "rpd", takes_all());
    let is_bad = |config: &holdfast_proto::v1::RouterConfig| config.system.as_ref().unwrap().host_name == "bad";
    let refuses = move |config: &holdfast_proto::v1::RouterConfig| {
        Some(if is_bad(config) { Err("this name is bad".to_owned()) } else { Ok(()) })
    };
    follower(&mgd, "pfed", judge(refuses));
    status_until(&mgd, |status| status.ready).await;
    let (before, digest) = (stored(&router), state.digest());
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name bad").await;
    assert_eq!(
        client.refused("commit").await,
        "commit failed: pfed cannot apply commit 2: this name is bad; commit 1 is in force again, the candidate is kept"
    );
    assert_eq!((stored(&router), state.digest()), (before, digest));
    assert!(candidate(&router).unwrap().contains("bad"));
    status_until(&mgd, |status| status.ready && status.error.is_empty()).await;
    client.ok("set system host-name good").await;
    client.ok("commit").await;
    assert_eq!(state.configuration().unwrap().commit_id, 2);
}

#[tokio::test]
async fn a_commit_that_cannot_be_written_is_taken_back() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    let beside = router.directory.path().join("state/config/active.new");
    fs::create_dir(&beside).unwrap();
    let error = client.refused("commit").await;
    assert!(error.contains("cannot write") && error.contains("commit 1 is in force again"), "{error}");
    assert_eq!(state.configuration().unwrap().commit_id, 1);
    fs::remove_dir(&beside).unwrap();
    client.ok("commit").await;
}

#[tokio::test]
async fn a_commit_in_a_run_is_refused_by_its_name() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    router.log.lock().unwrap().push("run in progress".into());
    client.ok("set system host-name r2").await;
    let error = client.refused("commit").await;
    assert!(error.starts_with("commit refused: in-service reboot 1 is in progress (idle)"), "{error}");
    assert!(error.contains("show chassis in-service-upgrade") && error.contains("abort"), "{error}");
    assert_eq!(client.ok("commit check").await, "configuration check succeeds\n");
    assert_eq!(state.configuration().unwrap().commit_id, 1);
    assert!(candidate(&router).unwrap().contains("r2"));
    router.log.lock().unwrap().clear();
    client.ok("commit").await;
}

#[tokio::test]
async fn without_a_chassis_nothing_is_committed() {
    let router = Router::new();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    assert!(client.refused("commit").await.contains("chassisd does not answer"));
    assert_eq!(state.configuration().unwrap().commit_id, 1);
}

#[tokio::test]
async fn a_run_waits_for_the_commit_that_began_before_it() {
    let router = Router::new().with_chassis();
    let (state, mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    follower(&mgd, "pfed", takes_all());
    let slow: Judge = judge(|config| (config.commit_id == 1).then_some(Ok(())));
    follower(&mgd, "rpd", slow);
    status_until(&mgd, |status| status.ready).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    let committing = tokio::spawn(async move { client.answer("commit").await });
    let mut daemon = DaemonClient::new(mgd.clone());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while state.candidate_state().committing.is_none() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let prepare = daemon.prepare(PrepareRequest::default()).await.unwrap().into_inner();
    assert!(!prepare.ready && prepare.wait_ms > 0 && prepare.reason.contains("a commit by tester"), "{prepare:?}");
    let refused = daemon.freeze(FreezeRequest { epoch: 1 }).await.unwrap_err();
    assert!(refused.message().contains("a commit by tester is being applied"));
    let mut other = Client::entered(&mgd).await;
    assert!(other.refused("commit").await.contains("a commit by tester is being applied"));
    // rpd is done at last.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while state.configuration().unwrap().commit_id != 2 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let request = ReportAppliedRequest { daemon: "rpd".into(), commit_id: 2, ok: true, message: String::new() };
    ManagementClient::new(mgd.clone()).report_applied(request).await.unwrap();
    assert_eq!(committing.await.unwrap().ok(), "commit complete\n");
    assert!(daemon.prepare(PrepareRequest::default()).await.unwrap().into_inner().ready);
}

#[tokio::test]
async fn a_commit_warns_when_the_router_is_no_longer_ready() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("delete routing-options nonstop-routing").await;
    let checked = client.ok("commit check").await;
    let warning = "warning: no longer ready for an in-service reboot: NSR enabled: ";
    assert!(checked.starts_with(warning) && checked.contains("mend it with: set routing-options nonstop-routing\n"));
    assert_eq!(checked.lines().count(), 2, "only what is new: {checked}");
    let committed = client.ok("commit").await;
    assert!(committed.starts_with(warning) && committed.ends_with("commit complete\n"), "{committed}");
    client.ok("set system host-name r2").await;
    assert_eq!(client.ok("commit").await, "commit complete\n", "not said again");
}

#[tokio::test]
async fn the_candidate_is_there_for_the_next_mgd() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("edit protocols bgp group EXT").await;
    client.ok("set neighbor 10.0.0.2 hold-time 30").await;
    state.stop.send_replace(true);
    let (_state, next) = router.mgd("re0", RoleArg::Primary, false).await;
    client.channel = next;
    assert_eq!(client.ok("show neighbor 10.0.0.2").await, "hold-time 30;\n");
}

#[tokio::test]
async fn an_mgd_that_is_not_primary_does_nothing_and_says_so() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    DaemonClient::new(mgd.clone()).freeze(FreezeRequest { epoch: 1 }).await.unwrap();
    for line in ["set system host-name r2", "show", "commit", "exit"] {
        let request = ExecuteRequest { line: line.into(), ..Default::default() };
        let status = client.send(request).await.map(|answer| answer.output).unwrap_err();
        assert_eq!(status.code(), Code::Aborted, "{line}: {status}");
    }
    assert_eq!(candidate(&router), None);
}

/// rpd of an engine that was replaced ends before its mgd: who looks is sent on, and sees what he asked for.
#[tokio::test]
async fn what_only_looks_is_asked_elsewhere_when_the_engine_is_no_longer_primary() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::new(&mgd);
    for line in ["show bgp summary", "show route", "test policy P 10.0.0.0/8"] {
        assert!(client.refused(line).await.contains("rpd of re0 does not answer"), "it is the primary's own");
    }
    DaemonClient::new(mgd.clone()).freeze(FreezeRequest { epoch: 1 }).await.unwrap();
    for line in ["show bgp summary", "show route", "test policy P 10.0.0.0/8"] {
        let request = ExecuteRequest { line: line.into(), ..Default::default() };
        let status = client.send(request).await.map(|answer| answer.output).unwrap_err();
        assert_eq!(status.code(), Code::Aborted, "{line}: {status}");
    }
}

#[tokio::test]
async fn an_exclusive_candidate_is_the_holders() {
    let router = Router::new().with_chassis();
    let (state, mgd) = ready(&router).await;
    let mut other = Client::entered(&mgd).await;
    let mut holder = Client::new(&mgd);
    holder.ok("configure exclusive").await;
    let lock = fs::File::create(&holder.lock_file).unwrap();
    lock.lock().unwrap();
    fs::write(&holder.lock_file, &holder.lock_text).unwrap();
    holder.ok("set system host-name r2").await;
    assert_eq!(state.candidate_state().exclusive.unwrap().user, "tester");
    for line in ["set system host-name r3", "commit", "rollback", "load merge terminal"] {
        assert!(other.refused(line).await.contains("locked by tester (configure exclusive)"), "{line}");
    }
    assert!(Client::new(&mgd).refused("configure").await.contains("locked by tester"));
    assert!(other.ok("show system").await.contains("r2"), "looking is allowed");
    let asked = holder.answer("exit").await;
    assert!(matches!(&asked.end, Event::Confirm(confirm) if confirm.question.contains("discarded")));
    let request = ExecuteRequest { line: "exit".into(), confirmed: true, ..Default::default() };
    holder.send(request).await.unwrap().ok();
    assert!(holder.mode.is_none() && candidate(&router).is_none());
    drop(lock);
    other.ok("set system host-name r3").await;
    assert!(Client::new(&mgd).refused("configure exclusive").await.contains("tester has changes"));
    assert!(Client::new(&mgd).refused("configure private").await.contains("not built"));
}

#[tokio::test]
async fn leaving_with_changes_asks_first() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    client.ok("set system host-name r2").await;
    assert!(matches!(client.answer("exit").await.end, Event::Confirm(_)));
    assert!(client.mode.is_some());
    let request = ExecuteRequest { line: "quit".into(), confirmed: true, ..Default::default() };
    assert!(client.send(request).await.unwrap().ok().contains("are kept"));
    assert!(client.mode.is_none());
    let mut again = Client::new(&mgd);
    assert!(again.ok("configure").await.contains("changed but not committed (last by tester at "));
    assert!(
        matches!(again.answer("delete").await.end, Event::Confirm(confirm) if confirm.question.contains("everything"))
    );
}

#[tokio::test]
async fn a_candidate_that_cannot_be_read_can_be_discarded() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    let path = router.directory.path().join("state/config/candidate.conf");
    fs::write(&path, "sys\u{1}tem {").unwrap();
    let error = client.refused("show").await;
    assert!(error.contains("candidate.conf:1:") && error.contains("rollback 0 discards it"), "{error}");
    assert!(client.refused("commit").await.contains("rollback 0"));
    client.ok("rollback 0").await;
    assert!(client.ok("show").await.contains("host-name r1;"));
}

#[tokio::test]
async fn completion_of_configure_mode() {
    let router = Router::new();
    let (state, _mgd) = router.mgd("re0", RoleArg::Primary, true).await;
    let offered = |level: &str, line: &str| {
        let mode = ConfigureMode { level: level.into(), ..Default::default() };
        let reply = grammar::configure::complete(line, line.len(), &mode, &state);
        let words: Vec<String> = reply.completions.into_iter().map(|completion| completion.word).collect();
        (words.join(" "), reply.start, reply.executable)
    };
    assert!(offered("", "").0.starts_with("activate commit compare"));
    assert_eq!(offered("", "set sys"), ("system".into(), 4, false));
    assert_eq!(
        offered("", "set protocols bgp group EXT neighbor "),
        ("10.0.0.2 10.0.1.2 <ip-address>".into(), 37, false)
    );
    assert_eq!(offered("protocols bgp", "set group EXT ty"), ("type".into(), 14, false));
    assert_eq!(offered("protocols bgp group EXT", "set type "), ("internal external".into(), 9, false));
    assert!(offered("", "set system host-name r1").2);
    assert_eq!(offered("", "delete "), ("system chassis routing-options protocols".into(), 7, false));
    assert_eq!(offered("", "run show b"), ("bfd bgp".into(), 9, false));
    assert_eq!(offered("protocols bgp", "top set system "), ("host-name internet-options".into(), 15, false));
    assert_eq!(offered("", "commit "), ("and-quit check comment confirmed".into(), 7, true));
    assert_eq!(offered("", "load "), ("merge override replace set".into(), 5, false));
    assert_eq!(offered("", "rollback "), ("0".into(), 9, true));
    assert!(offered("", "sh").2);
    assert_eq!(offered("", "zzz "), (String::new(), 4, false));
}

/// As long as a configuration may be, and not only as long as gRPC takes a message when nothing is said.
#[tokio::test]
async fn a_long_text_is_loaded() {
    let router = Router::new().with_chassis();
    let (_state, mgd) = ready(&router).await;
    let mut client = Client::entered(&mgd).await;
    let text = format!("{}system host-name long;\n", "# why all of this is so\n".repeat(400_000));
    assert!(text.len() > 8 * 1024 * 1024);
    let request = ExecuteRequest {
        line: "load merge /tmp/x".into(),
        text: text.into_bytes(),
        text_given: true,
        ..Default::default()
    };
    client.send(request).await.unwrap().ok();
    assert_eq!(client.ok("show system host-name").await, "host-name long;\n");
    assert_eq!(client.ok("commit").await, "commit complete\n");
    assert!(candidate(&router).is_none(), "what was committed is no edit any more");
}
