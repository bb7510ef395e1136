//! One mgd (or two) with its surroundings in a temporary directory.

use std::{path::PathBuf, sync::Arc, time::Duration};

use holdfast_config::Schema;
use holdfast_ipc::{DaemonArgs, RoleArg};
use holdfast_proto::v1::{
    DaemonStatus, ExecuteRequest, StatusRequest, daemon_client::DaemonClient, execute_event::Event,
    management_client::ManagementClient,
};
use tonic::transport::Channel;

use super::fakes::{self, Log};
use crate::{start, state::State};

pub const CONFIG: &str = "system host-name r1;
chassis redundancy graceful-switchover;
routing-options { autonomous-system 65001; nonstop-routing; }
protocols bgp group EXT { peer-as 65002; neighbor 10.0.0.2; neighbor 10.0.1.2; }
";

pub struct Router {
    pub directory: tempfile::TempDir,
    pub log: Log,
}

pub struct Answer {
    pub output: String,
    pub end: Event,
}

impl Answer {
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(matches!(self.end, Event::Done(_)), "{:?}\n{}", self.end, self.output);
        self.output
    }

    #[track_caller]
    pub fn error(&self) -> &str {
        match &self.end {
            Event::Error(error) => &error.message,
            other => panic!("{other:?}\n{}", self.output),
        }
    }
}

impl Router {
    pub fn new() -> Self {
        let router = Self { directory: tempfile::tempdir().unwrap(), log: Log::default() };
        std::fs::write(router.config(), CONFIG).unwrap();
        router
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("r.conf")
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join("run").join(name)
    }

    pub fn with_chassis(self) -> Self {
        fakes::serve_chassis(&self.socket("chassis.sock"), self.log.clone());
        self
    }

    pub fn with_daemons(self) -> Self {
        fakes::serve_rpd(&self.socket("re0/rpd.sock"));
        fakes::serve_pfed(&self.socket("re0/pfed.sock"));
        self
    }

    /// Starts an mgd and waits until it listens.
    pub async fn mgd(&self, slot: &str, role: RoleArg, load: bool) -> (Arc<State>, Channel) {
        let args = DaemonArgs {
            respawned: false,
            interrupted: Vec::new(),
            slot: slot.into(),
            run_dir: self.directory.path().join("run"),
            state_dir: self.directory.path().join("state"),
            role,
            epoch: 1,
        };
        let state = State::new(&args, Schema::load().unwrap());
        start::begin(&state, load.then(|| self.config()).as_deref());
        tokio::spawn(start::serve_state(state.clone()));
        let socket = state.run_dir.daemon_socket(slot, "mgd");
        let channel = holdfast_ipc::connect(&socket, Duration::from_secs(5)).await.unwrap();
        (state, channel)
    }
}

pub async fn execute(channel: &Channel, line: &str, format: &str, confirmed: bool) -> Answer {
    let request = ExecuteRequest {
        line: line.into(),
        format: format.into(),
        confirmed,
        user: "tester".into(),
        ..Default::default()
    };
    send(channel, request).await
}

pub async fn send(channel: &Channel, request: ExecuteRequest) -> Answer {
    let mut stream = ManagementClient::new(channel.clone()).execute(request).await.unwrap().into_inner();
    let mut output = String::new();
    while let Some(event) = stream.message().await.unwrap() {
        match event.event.unwrap() {
            Event::Output(text) => output.push_str(&text),
            end => return Answer { output, end },
        }
    }
    panic!("the stream ended without an end: {output}");
}

pub async fn show(channel: &Channel, line: &str) -> String {
    execute(channel, line, "text", false).await.ok()
}

pub async fn json(channel: &Channel, line: &str) -> serde_json::Value {
    serde_json::from_str(&execute(channel, line, "json", false).await.ok()).unwrap()
}

/// Asks for the status until it is as wanted.
pub async fn status_until(channel: &Channel, wanted: impl Fn(&DaemonStatus) -> bool) -> DaemonStatus {
    let mut client = DaemonClient::new(channel.clone());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let status = client.status(StatusRequest {}).await.unwrap().into_inner();
        if wanted(&status) {
            return status;
        }
        assert!(tokio::time::Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
