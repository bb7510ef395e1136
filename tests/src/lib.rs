//! What the whole-system tests share: a place for a router (a namespace and a folder that go with the value), and the
//! router's command.
//!
//! The tests drive a router only through its published command and judge it only from outside. They need root and the
//! project's binaries (`cargo build`, or HOLDFAST_BIN naming a folder); a test that lacks either fails and says so.

mod neighbor;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use holdfast_lab::host::{cleanup, lab_id::LabId, netns::Namespace, process::OwnGroup, programs};

pub use neighbor::Neighbor;

/// A namespace and a folder of one test; both, and every process in them, go with the value.
pub struct Place {
    /// Names everything.
    pub id: LabId,
    /// The namespace.
    pub namespace: Namespace,
    /// The folder.
    pub folder: PathBuf,
}

impl Place {
    /// Makes one.
    pub fn new() -> Self {
        require_root();
        let id = LabId::new();
        let folder = id.work_dir();
        fs::create_dir(&folder).expect("the test's folder");
        let namespace = Namespace::create(&id.namespace("router")).expect("the test's namespace");
        Self { id, namespace, folder }
    }

    /// A file in the folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file of the test");
        path
    }

    /// The router's folder of sockets.
    pub fn run_dir(&self) -> PathBuf {
        self.folder.join("run")
    }

    /// The router's folder of state.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// `holdfast start` with a configuration file.
    pub fn start(&self, configuration: &Path) -> Said {
        let mut command = holdfast();
        command.arg("start").arg("--config").arg(configuration).args(["--netns", self.namespace.name()]);
        command.arg("--run-dir").arg(self.run_dir()).arg("--state-dir").arg(self.state_dir());
        run(command, Duration::from_secs(60))
    }

    /// `holdfast cli -c LINE`.
    pub fn cli(&self, line: &str) -> Said {
        let mut command = holdfast();
        command.arg("cli").arg("--run-dir").arg(self.run_dir()).args(["-c", line]);
        run(command, Duration::from_secs(60))
    }

    /// What `show bgp neighbor ADDRESS` says, as JSON; null: nothing.
    pub fn neighbor(&self, address: &str) -> serde_json::Value {
        let mut command = holdfast();
        command.arg("cli").arg("--run-dir").arg(self.run_dir()).args(["--format", "json"]);
        command.args(["-c", &format!("show bgp neighbor {address}")]);
        let said = run(command, Duration::from_secs(60));
        let answer: serde_json::Value = serde_json::from_str(&said.text).unwrap_or_default();
        answer["neighbors"][0].clone()
    }

    /// Waits until the router's session with a neighbour is up; fails with what the router says of it.
    pub fn wait_established(&self, address: &str, within: Duration) {
        let up = wait_until(within, || self.neighbor(address)["summary"]["state"] == "Established");
        assert!(up, "the session with {address} does not come up: {:#}", self.neighbor(address));
    }

    /// One in-service reboot, which must lose nothing.
    pub fn reboot_in_service(&self) {
        self.cli("request system reboot in-service no-confirm force").assert_succeeded();
    }

    /// Processes that belong to the place.
    pub fn processes(&self) -> Vec<(u32, String)> {
        cleanup::remains(&self.id).processes
    }

    /// Sockets, lock and id files in the router's folder of sockets.
    pub fn run_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.run_dir()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
        found
    }

    /// The kernel's routes that carry the router's mark, as `ip route` shows them.
    pub fn routes_of_ours(&self) -> String {
        let mut command = Command::new("ip");
        command.args(["-n", self.namespace.name(), "route", "show", "proto", "72"]);
        text_of(&command.output().expect("ip runs"))
    }

    /// Fails unless nothing of a router runs here, and its run-dir is empty or gone.
    pub fn assert_no_process_and_no_file(&self) {
        let gone = wait_until(Duration::from_secs(5), || self.processes().is_empty());
        assert!(gone, "processes are left: {:?}", self.processes());
        assert_eq!(self.run_files(), Vec::<PathBuf>::new(), "files are left in the run-dir");
    }

    /// Fails unless a refused start has left nothing: no process, no file, no configuration taken over.
    pub fn assert_nothing_left(&self) {
        self.assert_no_process_and_no_file();
        assert!(!self.state_dir().join("config/active.conf").exists(), "a configuration was taken over");
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = cleanup::remove(&self.id) {
            eprintln!("{error}");
        }
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit code 0.
    pub success: bool,
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub text: String,
}

impl Said {
    /// Fails unless the command failed and its words hold all of these (whatever the case).
    pub fn assert_refused(&self, words: &[&str]) {
        assert!(!self.success, "it should have failed, and said: {}", self.text);
        assert!(self.code.is_some(), "it was ended by a signal, and said: {}", self.text);
        assert!(!self.text.contains("panicked"), "{}", self.text);
        self.assert_says(words);
    }

    /// Fails unless the command succeeded.
    pub fn assert_succeeded(&self) {
        assert!(self.success, "it failed ({:?}) and said: {}", self.code, self.text);
    }

    /// Fails unless its words hold all of these (whatever the case).
    pub fn assert_says(&self, words: &[&str]) {
        let text = self.text.to_lowercase();
        for word in words {
            assert!(text.contains(&word.to_lowercase()), "{word:?} is not in: {}", self.text);
        }
    }
}

/// Fails, with the remedy, unless this process may make namespaces.
pub fn require_root() {
    if let Err(error) = programs::require_root() {
        panic!("whole-system tests: {error}");
    }
}

/// The router's command.
pub fn holdfast() -> Command {
    match programs::own_binary("holdfast") {
        Ok(program) => Command::new(program),
        Err(error) => panic!("whole-system tests: {error}"),
    }
}

/// Runs a command to its end; one that takes too long is killed and fails the test.
pub fn run(mut command: Command, within: Duration) -> Said {
    let folder = tempfile::tempdir().expect("a folder for output");
    let file = |name: &str| fs::File::create(folder.path().join(name)).expect("a file for output");
    // Files, not pipes: daemons that a command leaves behind would hold a pipe open.
    command.own_group().stdin(Stdio::null()).stdout(file("out")).stderr(file("err"));
    let mut child = command.spawn().expect("the command starts");
    let ended = wait_until(within, || matches!(child.try_wait(), Ok(Some(_))));
    if !ended {
        child.kill().ok();
    }
    let status = child.wait().expect("the command ends");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let text = format!("{}{}", read("out"), read("err"));
    assert!(ended, "{command:?} still ran after {within:?}; it said: {text}");
    Said { success: status.success(), code: status.code(), text }
}

/// Asks until it is so, or the time is over.
pub fn wait_until(within: Duration, mut so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a finished child printed.
pub fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A configuration that needs no neighbour; `gres` and `nsr` as asked.
pub fn configuration(gres: bool, nsr: bool) -> String {
    let gres =
        if gres { "chassis { redundancy { graceful-switchover; } in-service { minimum-spacing 0; } }\n" } else { "" };
    let nsr = if nsr { "nonstop-routing; " } else { "" };
    format!(
        "system {{ host-name test-router; }}
{gres}routing-options {{ router-id 10.0.0.1; autonomous-system 65000; {nsr}}}
protocols {{ bgp {{ group test {{ type external; peer-as 65001; neighbor 10.0.0.2; }} }} }}
"
    )
}
