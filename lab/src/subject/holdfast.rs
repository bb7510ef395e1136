//! Holdfast itself, through its command alone; what happens inside is looked at through /proc.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{
    EngineRuntime, Fault, LineSink, Phase, RunOutcome, Subject, SubjectPlan, SubjectProcess,
    cli::{self, Cli, Running},
    disturb,
};
use crate::{
    error::{Doing, LabError, Result},
    host::{
        containers,
        interrupt::{self, NotYet},
        process, procfs, programs,
    },
    limits,
    topology::{self, Road, Topology},
};

/// `force` is for routers whose configuration asks for minutes between two runs; the lab's asks for none, and the word does no harm.
pub const REBOOT: &str = "request system reboot in-service no-confirm force";

/// The process that starts the others.
const SUPERVISOR: &str = "chassisd";

/// In a mount namespace of its own, which goes with the router: `size=..., folder, command, argument...`.
const OWN_DISK: &str = "mount -t tmpfs -o \"$0\" none \"$1\" && shift && exec \"$@\"";

/// A running router.
#[derive(Debug)]
pub struct Holdfast {
    pub(super) program: PathBuf,
    run_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    pub(super) cli: Cli,
    /// The file by which runs are held, where the scenario wants that.
    pub(super) hold: Option<PathBuf>,
    version: String,
    /// How it was started, but for the programs and the disk of its own: so it is started again.
    start: StartPlan,
    stopped: bool,
    /// What the names of its containers begin with, if it has any.
    containers: Option<String>,
}

/// How a router is started.
#[derive(Debug)]
struct StartPlan {
    netns: String,
    runtime: EngineRuntime,
    environment: Vec<(String, String)>,
}

impl StartPlan {
    /// Adds to a command, which ends with the program, what the start needs beside the configuration.
    fn complete(&self, command: &mut Command, run_dir: &Path, state_dir: &Path) {
        command.args(["start", "--netns", &self.netns]);
        command.arg("--run-dir").arg(run_dir).arg("--state-dir").arg(state_dir);
        command.args(["--re-runtime", self.runtime.word()]);
        command.envs(self.environment.iter().cloned());
    }
}

/// Runs a command to its end, which must be a good one.
fn succeed(command: Command, within: Duration) -> Result<()> {
    let typed = process::typed(&command);
    let mut said = Vec::new();
    let status = Running::start(command)?.finish(within, |line| said.push(line.to_owned()))?;
    if status.success() { Ok(()) } else { Err(LabError::Command { command: typed, status, output: said.join("\n") }) }
}

impl Holdfast {
    /// Writes its configuration and starts it; returns when it is up.
    pub fn start(plan: SubjectPlan) -> Result<Self> {
        let text = configuration_text(&plan.topology);
        Self::start_with(plan, &text)
    }

    /// The same with a configuration of somebody else's making.
    pub fn start_with(plan: SubjectPlan, text: &str) -> Result<Self> {
        // A router that is disturbed has programs of its own and a disk of its own: both may be spoilt.
        let program = match plan.held {
            true => disturb::own_programs(&plan.folder.join("bin"))?,
            false => programs::own_binary("holdfast")?,
        };
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        let configuration = plan.folder.join("router.conf");
        fs::write(&configuration, text).doing(|| format!("write {}", configuration.display()))?;
        let (run_dir, state_dir) = (plan.folder.join("run"), plan.folder.join("state"));
        let mut version = process::run(Command::new(&program).arg("version"))?.trim().to_owned();
        if plan.runtime == EngineRuntime::Oci {
            version.push_str(" in containers");
        }
        let mut command = Command::new(&program);
        if plan.held {
            fs::create_dir_all(&state_dir).doing(|| format!("create {}", state_dir.display()))?;
            command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", OWN_DISK]);
            let image_mib = if plan.runtime == EngineRuntime::Oci { limits::IMAGE_DISK_MIB } else { 0 };
            command.arg(format!("size={}m", limits::STATE_DISK_MIB + image_mib)).arg(&state_dir).arg(&program);
        }
        let start =
            StartPlan { netns: plan.namespace.name().to_owned(), runtime: plan.runtime, environment: plan.environment };
        start.complete(&mut command, &run_dir, &state_dir);
        command.arg("--config").arg(&configuration);
        let hold = plan.held.then(|| plan.folder.join("hold"));
        if let Some(file) = &hold {
            command.env("HOLDFAST_PAUSE_BEFORE", format!("@{}", file.display()));
            command.env("HOLDFAST_STREAM_ROOM", format!("@{}", disturb::stream_file(file).display()));
        }
        succeed(command, limits::ROUTER_START_WITHIN)?;
        let cli = Cli::new(&program, &run_dir);
        let mut router =
            Self { cli, program, run_dir, state_dir, hold, version, start, stopped: false, containers: None };
        if plan.runtime == EngineRuntime::Oci {
            let name = containers::name_of(router.primary_pid("rpd")?);
            let name = name.ok_or_else(|| LabError::Subject("its rpd runs in no container".into()))?;
            router.containers = name.rsplit_once('-').map(|(prefix, _)| prefix.to_owned());
        }
        Ok(router)
    }

    /// Its command line.
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// The process ids of one of its programs, in any slot, found by its run-dir on the command line.
    pub(super) fn pids_of(&self, name: &str) -> Vec<u32> {
        let run_dir = self.run_dir.display().to_string();
        let is_it = |pid: &u32| {
            let line = procfs::command_line(*pid);
            let program = Path::new(line.split(' ').next().unwrap_or_default());
            program.file_name().is_some_and(|n| n == name) && line.contains(&run_dir) && procfs::alive(*pid)
        };
        procfs::all_pids().into_iter().filter(is_it).collect()
    }

    /// Whether its engines run in containers, from an image.
    pub(super) fn is_contained(&self) -> bool {
        self.containers.is_some()
    }

    /// Its containers that exist, by their control groups.
    fn container_names(&self) -> Vec<String> {
        let Some(prefix) = &self.containers else { return Vec::new() };
        containers::all().into_iter().filter(|name| name.starts_with(prefix)).collect()
    }

    fn primary_pid(&self, name: &str) -> Result<u32> {
        match self.pids_of(name).as_slice() {
            [pid] => Ok(*pid),
            other => {
                Err(LabError::Subject(format!("{} processes named {name} at rest, required 1: {other:?}", other.len())))
            }
        }
    }

    /// How a run ended, with what its report says.
    pub fn outcome(&self, success: bool, log: Vec<String>, took: Duration) -> RunOutcome {
        let report = self.cli.json_even_if_failed("show chassis in-service-upgrade report").unwrap_or(Value::Null);
        RunOutcome { took, ..Self::outcome_of(&report, success, log) }
    }

    /// What a report says.
    pub(super) fn outcome_of(report: &Value, success: bool, log: Vec<String>) -> RunOutcome {
        RunOutcome {
            success,
            log,
            took: Duration::ZERO,
            control_plane_ms: cli::find(report, "control_plane_gap_ms").and_then(Value::as_f64),
            phases: phases(report),
            verdict: cli::find(report, "verdict").and_then(Value::as_str).map(str::to_owned),
        }
    }

    /// Waits for the moment in which the old rpd is frozen and the new one is not yet confirmed; returns the new one.
    fn wait_for_handoff(&self, old: u32, running: &mut Running, lines: &mut dyn FnMut(&str)) -> Result<u32> {
        let end = Instant::now() + limits::RUN_WITHIN;
        loop {
            interrupt::check()?;
            running.drain(&mut *lines);
            let new = self.pids_of("rpd").into_iter().find(|&pid| pid != old);
            if let Some(new) = new.filter(|_| procfs::is_stopped(old)) {
                return Ok(new);
            }
            if running.has_ended() || Instant::now() >= end {
                return Err(LabError::Subject(format!(
                    "the run ended, or hung, before the old rpd ({old}) was seen frozen beside a new one ({new:?}); \
                     is HOLDFAST_PAUSE_BEFORE=activate:1500 obeyed?"
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Passes each line on and keeps it.
fn kept<'a>(lines: LineSink<'a>, log: &'a mut Vec<String>) -> impl FnMut(&str) + 'a {
    |line| {
        lines(line);
        log.push(line.to_owned());
    }
}

fn phases(report: &Value) -> Vec<Phase> {
    let Some(list) = cli::find(report, "phases").and_then(Value::as_array) else { return Vec::new() };
    list.iter()
        .filter_map(|phase| {
            let ms = cli::find(phase, "duration_ms").or_else(|| cli::find(phase, "ms"))?;
            // 64-bit numbers may travel as strings in protobuf's JSON.
            let ms = ms.as_f64().or_else(|| ms.as_str()?.parse().ok())?;
            Some(Phase { name: cli::find(phase, "name")?.as_str()?.to_owned(), ms })
        })
        .collect()
}

/// What the configuration of every lab's router begins with.
pub const CONFIGURATION_HEAD: &str = "system {
    host-name lab-router;
}
chassis {
    redundancy {
        graceful-switchover;
    }
    in-service {
        minimum-spacing 0;
    }
}
";

fn watched(ms: u32) -> String {
    format!("            bfd-liveness-detection minimum-interval {ms};\n")
}

/// The router's configuration: the same for every scenario.
pub fn configuration_text(topology: &Topology) -> String {
    let mut neighbors = String::new();
    for node in &topology.neighbors {
        let peer = node.peer();
        let alone = node.road == Road::Graceful && (topology.has(Road::Nonstop) || topology.has(Road::Both));
        // One group per neighbour: they differ in their AS.
        let _ = write!(
            neighbors,
            "        group {} {{\n            type external;\n            peer-as {};\n            hold-time {};\n{}{}            neighbor {};\n        }}\n",
            node.name,
            peer.autonomous_system,
            topology::HOLD_TIME_S,
            if alone { "            no-nonstop-routing;\n" } else { "" },
            node.bfd_ms.map(watched).unwrap_or_default(),
            peer.address
        );
    }
    let nonstop = topology.has(Road::Nonstop) || topology.has(Road::Both);
    let roads = [(nonstop, "    nonstop-routing;\n"), (topology.has_helpers(), "    graceful-restart;\n")];
    let roads: String = roads.iter().filter(|(wanted, _)| *wanted).map(|(_, statement)| *statement).collect();
    format!(
        "{CONFIGURATION_HEAD}routing-options {{
    router-id {};
    autonomous-system {};
{roads}}}
protocols {{
    bgp {{
{neighbors}    }}
}}
",
        topology.router_id(),
        topology::ROUTER_AS,
    )
}

impl Subject for Holdfast {
    fn title(&self) -> String {
        self.version.clone()
    }

    fn reboot(&mut self, lines: LineSink<'_>) -> Result<RunOutcome> {
        let (start, mut log) = (Instant::now(), Vec::new());
        let status = self.cli.start(REBOOT)?.finish(limits::RUN_WITHIN, kept(lines, &mut log))?;
        let took = start.elapsed();
        Ok(self.outcome(status.success(), log, took))
    }

    fn processes(&self) -> Result<Vec<SubjectProcess>> {
        let json = self.cli.json("show system processes")?;
        let mut objects = Vec::new();
        cli::objects_with(&json, "pid", &mut objects);
        let process = |object: &&Value| {
            let pid = u32::try_from(object.get("pid")?.as_u64()?).ok()?;
            let name = object.get("name")?.as_str()?.to_owned();
            Some(SubjectProcess { name, pid, usage: procfs::usage(pid)? })
        };
        let mut list: Vec<_> = objects.iter().filter_map(process).collect();
        // The supervisor need not list itself.
        for pid in
            self.pids_of("chassisd").into_iter().filter(|pid| list.iter().all(|p| p.pid != *pid)).collect::<Vec<_>>()
        {
            if let Some(usage) = procfs::usage(pid) {
                list.push(SubjectProcess { name: "chassisd".into(), pid, usage });
            }
        }
        if list.len() < 2 {
            return Err(LabError::Subject(format!("`show system processes` names no running processes: {json}")));
        }
        Ok(list)
    }

    fn stop(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        let mut command = Command::new(&self.program);
        command.arg("stop").arg("--run-dir").arg(&self.run_dir);
        succeed(command, limits::COMMAND_WITHIN)?;
        match self.container_names().as_slice() {
            [] => Ok(()),
            left => Err(LabError::Subject(format!("it was stopped, and its containers are left: {}", left.join(", ")))),
        }
    }

    fn run_files(&self) -> u64 {
        count_files(&self.run_dir) + self.container_names().len() as u64
    }

    fn disturbable(&mut self) -> Result<&mut Holdfast> {
        Ok(self)
    }

    fn login(&self) -> Option<String> {
        Some(self.cli.typed())
    }

    fn reboot_with_fault(&mut self, fault: Fault, lines: LineSink<'_>) -> Result<RunOutcome> {
        let old = self.primary_pid("rpd")?;
        let (start, mut log) = (Instant::now(), Vec::new());
        let mut note = kept(lines, &mut log);
        let mut running = self.cli.start(REBOOT)?;
        let new = self.wait_for_handoff(old, &mut running, &mut note)?;
        process::signal(
            new,
            match fault {
                Fault::Kill => Signal::SIGKILL,
                Fault::Hang => Signal::SIGSTOP,
            },
        );
        note(&format!(
            "-- the lab: {fault:?} of the new rpd (process {new}) while the old one (process {old}) is frozen"
        ));
        let status = running.finish(limits::RUN_WITHIN, note)?;
        let took = start.elapsed();
        if procfs::is_stopped(old) || !procfs::alive(old) {
            return Err(LabError::Subject(format!(
                "after the run was undone the old rpd (process {old}) is not running again"
            )));
        }
        Ok(self.outcome(status.success(), log, took))
    }

    fn crash_in_run(&mut self, lines: LineSink<'_>) -> Result<RunOutcome> {
        let old = self.primary_pid("rpd")?;
        let (start, mut log) = (Instant::now(), Vec::new());
        let mut note = kept(lines, &mut log);
        let mut running = self.cli.start(REBOOT)?;
        interrupt::wait_for("the new rpd of the run", limits::RESTART_WITHIN, || {
            running.drain(&mut note);
            if self.pids_of("rpd").iter().any(|pid| *pid != old) { Ok(()) } else { Err("there is none yet".into()) }
        })?;
        process::signal(old, Signal::SIGKILL);
        note(&format!("-- the lab: Kill of the old rpd (process {old}) while the new one is prepared"));
        let status = running.finish(limits::RUN_WITHIN, note)?;
        let took = start.elapsed();
        self.wait_for_another("rpd", old)?;
        Ok(self.outcome(status.success(), log, took))
    }

    fn restart(&mut self, process: &str) -> Result<()> {
        self.cli.text(&format!("restart {process}")).map(drop)
    }

    fn kill_and_wait(&mut self, name: &str) -> Result<()> {
        if name == SUPERVISOR {
            return self.kill_supervisor();
        }
        let old = self.primary_pid(name)?;
        process::signal(old, Signal::SIGKILL);
        self.wait_for_another(name, old)
    }
}

impl Holdfast {
    /// Kills a process of the primary.
    pub fn kill(&self, name: &str) -> Result<()> {
        process::signal(self.primary_pid(name)?, Signal::SIGKILL);
        Ok(())
    }

    /// The supervisor is killed and the router started anew on the same directories, as a service manager does it.
    fn kill_supervisor(&mut self) -> Result<()> {
        if self.hold.is_some() {
            return Err(self.unable("be started anew: its disk goes with its supervisor"));
        }
        let old = self.primary_pid(SUPERVISOR)?;
        process::signal(old, Signal::SIGKILL);
        interrupt::wait_for("the end of the killed supervisor", limits::RESTART_WITHIN, || {
            if procfs::alive(old) { Err("it is still there".into()) } else { Ok(()) }
        })?;
        let mut command = Command::new(&self.program);
        self.start.complete(&mut command, &self.run_dir, &self.state_dir);
        succeed(command, limits::ROUTER_START_WITHIN)
    }

    fn wait_for_another(&self, name: &str, old: u32) -> Result<()> {
        interrupt::wait_for(&format!("another {name} in place of the killed one"), limits::RESTART_WITHIN, || {
            let pids = self.pids_of(name);
            match pids.as_slice() {
                [new] if *new != old => self.cli.text("show bgp summary").map(drop).map_err(NotYet::from),
                other => Err(format!("processes {other:?}, the killed one was {old}").into()),
            }
        })
    }
}

impl Drop for Holdfast {
    fn drop(&mut self) {
        if !interrupt::requested() && !std::thread::panicking() {
            let _ = self.stop();
        }
    }
}

fn count_files(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|e| if e.file_type().is_ok_and(|t| t.is_dir()) { count_files(&e.path()) } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbor::Kind;

    #[test]
    fn the_configuration_names_every_neighbour() {
        let text = configuration_text(&Topology::new(&[Kind::Frr, Kind::Bird]).unwrap());
        for part in
            ["graceful-switchover;", "nonstop-routing;", "neighbor 10.111.0.2;", "peer-as 65002;", "hold-time 9;"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        assert!(!text.contains("graceful-restart") && !text.contains("bfd"));
        let text = configuration_text(&Topology::new(&[Kind::Frr, Kind::Bird]).unwrap().with_bfd(&[50]));
        assert_eq!(text.matches("bfd-liveness-detection minimum-interval 50;").count(), 2, "{text}");
    }

    #[test]
    fn each_session_gets_its_road() {
        let topology = Topology::new(&[Kind::Frr, Kind::Bird]).unwrap();
        let text = configuration_text(&topology.clone().with_roads(&[Road::Graceful]));
        assert!(text.contains("graceful-restart;") && !text.contains("nonstop-routing"), "{text}");
        let text = configuration_text(&topology.with_roads(&[Road::Graceful, Road::Nonstop]));
        assert_eq!(text.matches("no-nonstop-routing;").count(), 1);
        assert!(text.contains("    nonstop-routing;\n    graceful-restart;\n"), "{text}");
        let text = configuration_text(&Topology::new(&[Kind::Frr, Kind::Bird]).unwrap().with_roads(&[Road::Both]));
        assert!(text.contains("    nonstop-routing;\n    graceful-restart;\n"), "{text}");
        assert!(!text.contains("no-nonstop-routing"), "{text}");
    }

    #[test]
    fn phases_are_read_in_either_form() {
        let report = serde_json::json!({"phases": [{"name": "switching", "duration_ms": 12}, {"name": "verifying", "duration-ms": "7"}]});
        let names: Vec<_> = phases(&report).into_iter().map(|p| (p.name, p.ms)).collect();
        assert_eq!(names, [("switching".to_owned(), 12.0), ("verifying".to_owned(), 7.0)]);
    }
}
