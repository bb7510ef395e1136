//! FRRouting's bgpd, alone (no zebra: its kernel routes do not matter, its sessions do); with BFD also bfdd, and zebra between the two.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use super::{Neighbor, NeighborPlan, SessionView, count_lines};
use crate::{
    error::{Doing, LabError, Result},
    host::{
        cleanup,
        interrupt::{self, NotYet},
        netns::Namespace,
        process::{self, Guarded},
        programs::{self, Program},
    },
    limits,
    topology::Road,
};

/// A running bgpd.
#[derive(Debug)]
pub struct Frr {
    plan: NeighborPlan,
    child: Guarded,
    /// zebra and bfdd, where BFD is wanted: bgpd hears of it through them.
    helpers: Vec<Guarded>,
    version: String,
    log: PathBuf,
    /// bfdd's, which says each change of a session's state.
    bfd_log: PathBuf,
}

impl Frr {
    /// Writes its configuration and starts it.
    pub fn start(plan: NeighborPlan) -> Result<Self> {
        let program = programs::BGPD.find()?;
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        let (log, bfd_log) = (plan.folder.join("bgpd.log"), plan.folder.join("bfdd.log"));
        let text = configuration_text(&plan, &log);
        let helpers = if plan.bfd_ms.is_some() { spawn_helpers(&plan)? } else { Vec::new() };
        let child = spawn_with(&plan.namespace, &plan.folder, &text, plan.bfd_ms.is_some())?;
        let version = version(&program)?;
        Ok(Self { plan, child, helpers, version, log, bfd_log })
    }
}

impl Frr {
    /// One command at its console.
    fn console(&self, line: &str) -> Result<String> {
        console(&self.plan.folder, &[line])
    }
}

/// zebra and bfdd, the latter with a real-time priority: it sends at 50 ms, on a machine that it shares with the whole lab.
fn spawn_helpers(plan: &NeighborPlan) -> Result<Vec<Guarded>> {
    let folder = &plan.folder;
    // Both insist on their own user, who must be able to write their sockets there.
    process::run(Command::new("chown").args(["-R", "frr:frr"]).arg(folder))?;
    let zebra = spawn_helper(plan, programs::ZEBRA, false)?;
    let socket = folder.join("zserv.api");
    interrupt::wait_for("zebra's socket", limits::COMMAND_WITHIN, || match socket.exists() {
        true => Ok(()),
        false => Err(NotYet::from("it is not there".to_owned())),
    })?;
    Ok(vec![zebra, spawn_helper(plan, programs::BFDD, true)?])
}

fn spawn_helper(plan: &NeighborPlan, program: Program, is_bfdd: bool) -> Result<Guarded> {
    let (folder, name) = (&plan.folder, program.name);
    let said = folder.join(format!("{name}.out"));
    let configuration = folder.join(format!("{name}.conf"));
    let mut text = format!("hostname {}\n", plan.name);
    if is_bfdd {
        let log = folder.join("bfdd.log");
        text.push_str(&format!("log file {} debugging\nlog timestamp precision 6\ndebug bfd peer\n", log.display()));
    }
    fs::write(&configuration, text).doing(|| format!("write {name}.conf"))?;
    let output = fs::File::create(&said).doing(|| format!("create {name}.out"))?;
    let mut command = if is_bfdd {
        let mut command = Command::new(programs::CHRT.find()?);
        command.args(["-r", "10"]).arg(program.find()?);
        command
    } else {
        Command::new(program.find()?)
    };
    command.arg("-f").arg(&configuration).arg("-i").arg(folder.join(format!("{name}.pid")));
    command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api")).args(["-P", "0"]);
    if is_bfdd {
        command.arg("--bfdctl").arg(folder.join("bfdd.sock"));
    }
    command.stdin(Stdio::null()).stdout(output.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(output);
    Ok(Guarded::new(name, plan.namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(said))
}

/// Starts bgpd with a configuration; its console is in the folder.
pub(crate) fn spawn(namespace: &Namespace, folder: &Path, configuration: &str) -> Result<Guarded> {
    spawn_with(namespace, folder, configuration, false)
}

/// The same; with zebra it tells it no routes all the same.
fn spawn_with(namespace: &Namespace, folder: &Path, configuration: &str, zebra: bool) -> Result<Guarded> {
    let file = folder.join("bgpd.conf");
    fs::write(&file, configuration).doing(|| format!("write {}", file.display()))?;
    fs::write(folder.join("vtysh.conf"), "").doing(|| "write vtysh.conf".into())?;
    let said = fs::File::create(folder.join("bgpd.out")).doing(|| "create bgpd.out".into())?;
    let mut command = Command::new(programs::BGPD.find()?);
    command.arg("-f").arg(&file).arg("-i").arg(folder.join("bgpd.pid"));
    command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api"));
    // -S: stay root (the lab's folder is root's); -Z: no zebra; -n: no routes for the kernel; -P 0: no TCP console.
    command.args(["-S", if zebra { "-n" } else { "-Z" }, "-P", "0", "-p", "179"]);
    command.stdin(Stdio::null()).stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
    Ok(Guarded::new("bgpd", namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(folder.join("bgpd.out")))
}

/// Commands at the console of the bgpd that was started in a folder.
pub(crate) fn console(folder: &Path, lines: &[&str]) -> Result<String> {
    let mut command = Command::new(programs::VTYSH.find()?);
    command.arg("--vty_socket").arg(folder).arg("--config_dir").arg(folder).args(["-d", "bgpd"]);
    for line in lines {
        command.args(["-c", line]);
    }
    process::run(&mut command)
}

/// bgpd's version, as it says itself.
pub(crate) fn version(program: &Path) -> Result<String> {
    let text = process::run(Command::new(program).arg("--version"))?;
    // "bgpd version 8.4.4"
    Ok(text.lines().next().and_then(|l| l.split_whitespace().last()).unwrap_or("unknown").to_owned())
}

fn configuration_text(plan: &NeighborPlan, log: &Path) -> String {
    let (router, feeder) = (plan.router, plan.feeder);
    format!(
        "hostname {name}
log file {log} {level}
log timestamp precision 6
!
router bgp {own_as}
 bgp router-id {address}
 bgp log-neighbor-changes
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 {helper}
 neighbor {router} remote-as {router_as}
 neighbor {router} timers {keepalive} {hold}
 neighbor {router} timers connect 1
 neighbor {router} advertisement-interval 0
{bfd} neighbor {feeder} remote-as {feeder_as}
 neighbor {feeder} passive
 neighbor {feeder} advertisement-interval 0
 address-family ipv4 unicast
  neighbor {router} activate
  neighbor {feeder} activate
 exit-address-family
!
",
        name = plan.name,
        // FRR helps unless it is told not to; it keeps routes for as long as it is told here.
        helper = match plan.road {
            Road::Nonstop => "bgp graceful-restart-disable",
            Road::Graceful | Road::Both => "bgp graceful-restart stalepath-time 360",
        },
        bfd = plan
            .bfd_ms
            .map(|ms| format!(" neighbor {router} bfd\n neighbor {router} bfd 3 {ms} {ms}\n", router = router.address))
            .unwrap_or_default(),
        log = log.display(),
        // That it keeps routes is among what it says of neighbours' events.
        level = match plan.road {
            Road::Nonstop => "informational",
            Road::Graceful | Road::Both => "debugging\ndebug bgp neighbor-events",
        },
        own_as = plan.autonomous_system,
        address = plan.address,
        router = router.address,
        router_as = router.autonomous_system,
        keepalive = plan.hold_time_s / 3,
        hold = plan.hold_time_s,
        feeder = feeder.address,
        feeder_as = feeder.autonomous_system,
    )
}

impl Neighbor for Frr {
    fn implementation(&self) -> &'static str {
        "FRR"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn session(&self) -> Result<SessionView> {
        let text = self.console(&format!("show bgp neighbors {} json", self.plan.router.address))?;
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|e| LabError::Protocol(format!("vtysh's answer is no JSON ({e}): {text}")))?;
        let peer = json.get(self.plan.router.address.to_string()).cloned().unwrap_or_default();
        let state = peer.get("bgpState").and_then(|s| s.as_str()).unwrap_or("unknown").to_owned();
        let uptime_s = peer.get("bgpTimerUpMsec").and_then(serde_json::Value::as_f64).map(|ms| ms / 1000.0);
        Ok(SessionView { up: state == "Established", state, uptime_s })
    }

    fn times_down(&self) -> Result<u64> {
        let neighbor = format!("neighbor {}(", self.plan.router.address);
        count_lines(&self.log, |line| line.contains("%ADJCHANGE") && line.contains(&neighbor) && line.contains(" Down"))
    }

    fn times_helped(&self) -> Result<u64> {
        // The router's host name may stand behind its address.
        let address = self.plan.router.address.to_string();
        count_lines(&self.log, |line| line.contains(&address) && line.contains("graceful restart timer started"))
    }

    fn bfd_is_up(&self) -> Result<bool> {
        let text = self.console(&format!("show bgp neighbors {} json", self.plan.router.address))?;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let status = json.pointer(&format!("/{}/peerBfdInfo/status", self.plan.router.address));
        Ok(status.and_then(serde_json::Value::as_str) == Some("Up"))
    }

    fn times_bfd_down(&self) -> Result<u64> {
        if self.plan.bfd_ms.is_none() {
            return Ok(0);
        }
        // "state-change: [peer:10.111.0.1 ...] up -> down reason:control-expired"
        count_lines(&self.bfd_log, |line| line.contains("state-change: ") && line.contains("] up -> "))
    }

    fn reset(&self) -> Result<()> {
        self.console(&format!("clear bgp {}", self.plan.router.address)).map(drop)
    }

    fn check_running(&mut self) -> Result<()> {
        self.helpers.iter_mut().try_for_each(Guarded::check_running)?;
        self.child.check_running()
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        self.child.end();
        self.helpers.iter_mut().rev().for_each(Guarded::end);
        for child in self.helpers.iter().chain([&self.child]) {
            cleanup::remove_crash_log_folder(child.pid());
        }
    }
}
