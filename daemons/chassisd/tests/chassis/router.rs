//! A chassisd with stand-ins for its daemons, and what a test asks of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdfast_proto::v1::chassis_client::ChassisClient;
use holdfast_proto::v1::*;
use tokio_stream::StreamExt;
use tonic::transport::Channel;

pub struct Router {
    pub directory: tempfile::TempDir,
    pub child: Child,
    pub said: String,
    pub runtime: tokio::runtime::Runtime,
}

pub fn fake_daemon() -> PathBuf {
    let chassisd = Path::new(env!("CARGO_BIN_EXE_chassisd"));
    let fake = chassisd.parent().unwrap().join("examples/fake_daemon");
    assert!(fake.exists(), "{} is not built: run the whole of `cargo test -p chassisd`", fake.display());
    fake
}

pub fn prepare(directory: &Path, configuration: &str) {
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["mgd", "rpd", "pfed"] {
        let _ = std::os::unix::fs::symlink(fake_daemon(), bin.join(name));
    }
    fs::write(directory.join("router.conf"), configuration).unwrap();
}

pub fn command(directory: &Path, faults: &str, held: Option<(&str, u64)>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chassisd"));
    command.arg("--run-dir").arg(directory.join("run")).arg("--state-dir").arg(directory.join("state"));
    command.arg("--config").arg(directory.join("router.conf")).arg("--bin-dir").arg(directory.join("bin"));
    command.env("HOLDFAST_FAKE", faults).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    if let Some((point, ms)) = held {
        command.env("HOLDFAST_PAUSE_BEFORE", format!("{point}:{ms}"));
    }
    command
}

impl Router {
    pub fn start(faults: &str) -> Self {
        Self::start_with(faults, None)
    }

    pub fn start_with(faults: &str, held: Option<(&str, u64)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        prepare(directory.path(), "");
        Self::start_in(directory, faults, held)
    }

    pub fn start_in(directory: tempfile::TempDir, faults: &str, held: Option<(&str, u64)>) -> Self {
        let mut child = command(directory.path(), faults, held).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Router { directory, child, said, runtime }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    pub fn client(&self) -> ChassisClient<Channel> {
        let _enter = self.runtime.enter();
        ChassisClient::new(holdfast_ipc::channel(&self.path("run/chassis.sock")))
    }

    pub fn chassis(&self) -> ChassisState {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_chassis(GetChassisRequest {}).await.unwrap().into_inner() })
    }

    pub fn pid(&self, slot: &str, name: &str) -> u32 {
        let chassis = self.chassis();
        let found = chassis.processes.iter().find(|process| process.slot == slot && process.name == name);
        found.map_or(0, |process| process.pid)
    }

    pub fn start_run(&self, force: bool) -> Result<u64, String> {
        let mut client = self.client();
        let request = StartRunRequest { force, requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.start_run(request).await });
        reply.map(|reply| reply.into_inner().run_id).map_err(|status| status.message().into())
    }

    pub fn start_with_confirm(&self, confirm_s: u32) -> u64 {
        let mut client = self.client();
        let request = StartRunRequest { confirm_s, requested_by: "test".into(), ..Default::default() };
        self.runtime.block_on(async { client.start_run(request).await }).unwrap().into_inner().run_id
    }

    pub fn abort(&self) -> Result<String, String> {
        let mut client = self.client();
        let request = AbortRunRequest { requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.abort_run(request).await });
        reply.map(|reply| reply.into_inner().outcome).map_err(|status| status.message().into())
    }

    pub fn confirm(&self) -> Result<String, String> {
        let mut client = self.client();
        let request = ConfirmRunRequest { requested_by: "test".into(), ..Default::default() };
        let reply = self.runtime.block_on(async { client.confirm_run(request).await });
        reply.map(|reply| reply.into_inner().outcome).map_err(|status| status.message().into())
    }

    pub fn schedule(&self, at_unix_ms: u64, run: StartRunRequest) -> Result<ScheduledRun, String> {
        let mut client = self.client();
        let request = ScheduleRunRequest { at_unix_ms, run: Some(run) };
        let reply = self.runtime.block_on(async { client.schedule_run(request).await });
        reply.map(tonic::Response::into_inner).map_err(|status| status.message().into())
    }

    pub fn scheduled(&self) -> ScheduledRun {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_schedule(GetScheduleRequest {}).await.unwrap().into_inner() })
    }

    pub fn clear_schedule(&self) -> Result<ScheduledRun, String> {
        let mut client = self.client();
        let reply = self.runtime.block_on(async { client.clear_schedule(ClearScheduleRequest::default()).await });
        reply.map(tonic::Response::into_inner).map_err(|status| status.message().into())
    }

    pub fn run(&self, run_id: u64) -> RunState {
        let mut client = self.client();
        self.runtime.block_on(async {
            client.get_run(GetRunRequest { run_id, ..Default::default() }).await.unwrap().into_inner()
        })
    }

    pub fn wait_for_state(&self, state: &str) {
        self.wait_for(state, || self.chassis().state == state);
    }

    pub fn assert_back_on_re0(&self, rpd: u32) {
        let chassis = self.chassis();
        assert_eq!((chassis.master_slot.as_str(), self.pid("re0", "rpd")), ("re0", rpd));
        let at_work = |p: &ProcessState| p.slot != "re1" && p.state == "running" && p.role() == Role::Primary;
        assert!(chassis.processes.iter().all(at_work), "{:#?}", chassis.processes);
        assert_eq!(fs::read_link(self.path("run/mgd.sock")).unwrap(), Path::new("re0/mgd.sock"));
    }

    /// Follows a run to its end.
    pub fn follow(&self, run_id: u64) -> (Vec<String>, RunEvent) {
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

    pub fn report(&self, run_id: u64) -> RunReport {
        let mut client = self.client();
        self.runtime.block_on(async { client.get_report(GetReportRequest { run_id }).await.unwrap().into_inner() })
    }

    pub fn wait_for(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !condition() {
            assert!(Instant::now() < deadline, "not within 30 s: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the run stands in the pause before the activation of the new rpd.
    pub fn wait_for_freeze(&self) {
        let re0 = |state: &ChassisState| {
            let of_slot: Vec<String> =
                state.processes.iter().filter(|p| p.slot == "re0").map(|p| p.state.clone()).collect();
            of_slot.len() == 3 && of_slot.iter().all(|state| state.starts_with("stopped"))
        };
        self.wait_for("the old slot is fenced", || re0(&self.chassis()));
    }

    pub fn stop(mut self) {
        let mut client = self.client();
        self.runtime.block_on(async { client.stop(StopRequest::default()).await.unwrap() });
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

pub fn signal(pid: u32, signal: &str) {
    assert!(pid > 1);
    assert!(Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap().success());
}

pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
