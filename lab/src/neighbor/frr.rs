//! FRRouting's bgpd, alone (no zebra: its kernel routes do not matter, its sessions do).

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
        netns::Namespace,
        process::{self, Guarded},
        programs,
    },
    topology::Road,
};

/// A running bgpd.
#[derive(Debug)]
pub struct Frr {
    plan: NeighborPlan,
    child: Guarded,
    version: String,
    log: PathBuf,
}

impl Frr {
    /// Writes its configuration and starts it.
    pub fn start(plan: NeighborPlan) -> Result<Self> {
        let program = programs::BGPD.find()?;
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        let log = plan.folder.join("bgpd.log");
        let child = spawn(&plan.namespace, &plan.folder, &configuration_text(&plan, &log))?;
        let version = version(&program)?;
        Ok(Self { plan, child, version, log })
    }
}

impl Frr {
    /// One command at its console.
    fn console(&self, line: &str) -> Result<String> {
        console(&self.plan.folder, &[line])
    }
}

/// Starts bgpd with a configuration; its console is in the folder.
pub(crate) fn spawn(namespace: &Namespace, folder: &Path, configuration: &str) -> Result<Guarded> {
    let file = folder.join("bgpd.conf");
    fs::write(&file, configuration).doing(|| format!("write {}", file.display()))?;
    fs::write(folder.join("vtysh.conf"), "").doing(|| "write vtysh.conf".into())?;
    let said = fs::File::create(folder.join("bgpd.out")).doing(|| "create bgpd.out".into())?;
    let mut command = Command::new(programs::BGPD.find()?);
    command.arg("-f").arg(&file).arg("-i").arg(folder.join("bgpd.pid"));
    command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api"));
    // -S: stay root (the lab's folder is root's); -Z: no zebra; -P 0: no TCP console.
    command.args(["-S", "-Z", "-P", "0", "-p", "179"]);
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
 neighbor {feeder} remote-as {feeder_as}
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
            Road::Graceful => "bgp graceful-restart stalepath-time 360",
        },
        log = log.display(),
        // That it keeps routes is among what it says of neighbours' events.
        level = match plan.road {
            Road::Nonstop => "informational",
            Road::Graceful => "debugging\ndebug bgp neighbor-events",
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

    fn reset(&self) -> Result<()> {
        self.console(&format!("clear bgp {}", self.plan.router.address)).map(drop)
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        self.child.end();
        cleanup::remove_crash_log_folder(self.child.pid());
    }
}
