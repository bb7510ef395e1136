//! BIRD 2 as a neighbour.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;

use super::{Neighbor, NeighborPlan, SessionView, count_lines};
use crate::{
    error::{Doing, Result},
    host::{
        process::{self, Guarded},
        programs,
    },
    topology::Road,
};

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    child: Guarded,
    version: String,
    log: PathBuf,
    socket: PathBuf,
}

impl Bird {
    /// Writes its configuration and starts it.
    pub fn start(plan: NeighborPlan) -> Result<Self> {
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        let (log, socket) = (plan.folder.join("bird.log"), plan.folder.join("bird.ctl"));
        let text = configuration_text(&plan, &log);
        let child = spawn(&plan.namespace, &plan.folder, &text, &socket)?;
        Ok(Self { child, version: version()?, log, socket })
    }
}

/// Starts BIRD with a configuration, in the foreground, with its own control socket.
pub(crate) fn spawn(
    namespace: &crate::host::netns::Namespace,
    folder: &Path,
    configuration: &str,
    socket: &Path,
) -> Result<Guarded> {
    spawn_with(namespace, folder, configuration, socket, false)
}

/// The same; `recovers`: with -R, which goes on with a graceful restart.
pub(crate) fn spawn_with(
    namespace: &crate::host::netns::Namespace,
    folder: &Path,
    configuration: &str,
    socket: &Path,
    recovers: bool,
) -> Result<Guarded> {
    let file = folder.join("bird.conf");
    fs::write(&file, configuration).doing(|| format!("write {}", file.display()))?;
    let said = fs::File::create(folder.join("bird.out")).doing(|| "create bird.out".into())?;
    // A neighbour with BFD sends at 50 ms, on a machine that it shares with the whole lab.
    let mut command = if configuration.contains("protocol bfd") {
        let mut command = Command::new(programs::CHRT.find()?);
        command.args(["-r", "10"]).arg(programs::BIRD.find()?);
        command
    } else {
        Command::new(programs::BIRD.find()?)
    };
    command.arg("-f").arg("-c").arg(&file).arg("-s").arg(socket).arg("-P").arg(folder.join("bird.pid"));
    if recovers {
        command.arg("-R");
    }
    command.stdin(Stdio::null()).stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
    Ok(Guarded::new("bird", namespace.spawn(&mut command)?, Signal::SIGTERM).with_words(folder.join("bird.out")))
}

/// BIRD's version, as it says itself.
pub(crate) fn version() -> Result<String> {
    let text =
        process::run(Command::new("sh").arg("-c").arg(format!("{} --version 2>&1", programs::BIRD.find()?.display())))?;
    // "BIRD version 2.0.12"
    Ok(text.split_whitespace().last().unwrap_or("unknown").to_owned())
}

/// One command over a control socket.
pub(crate) fn control(socket: &Path, command: &str) -> Result<String> {
    process::run(Command::new(programs::BIRDC.find()?).arg("-s").arg(socket).arg(command))
}

fn bfd_protocol(ms: u32) -> String {
    format!(
        "protocol bfd {{\n  debug {{ states, events }};\n  interface \"*\" {{ interval {ms} ms; multiplier 3; }};\n}}\n"
    )
}

fn configuration_text(plan: &NeighborPlan, log: &Path) -> String {
    let (router, feeder) = (plan.router, plan.feeder);
    format!(
        "log \"{log}\" all;
router id {address};
protocol device {{}}
{bfd_protocol}protocol bgp to_router {{
  debug {{ states, events }};
  local {address} as {own_as};
  neighbor {router} as {router_as};
  hold time {hold};
  keepalive time {keepalive};
  connect delay time 1;
  connect retry time 1;
  error wait time 1, 2;
  graceful restart {helper};
{bfd}  long lived graceful restart off;
  ipv4 {{ import all; export all; }};
}}
protocol bgp to_feeder {{
  local as {own_as};
  neighbor {feeder} as {feeder_as};
  passive;
  graceful restart off;
  ipv4 {{ import all; export all; }};
}}
",
        log = log.display(),
        bfd_protocol = plan.bfd_ms.map(bfd_protocol).unwrap_or_default(),
        bfd = if plan.bfd_ms.is_some() { "  bfd on;\n" } else { "" },
        // "aware": it helps others, and says so.
        helper = if plan.road == Road::Nonstop { "off" } else { "aware" },
        address = plan.address,
        own_as = plan.autonomous_system,
        router = router.address,
        router_as = router.autonomous_system,
        hold = plan.hold_time_s,
        keepalive = plan.hold_time_s / 3,
        feeder = feeder.address,
        feeder_as = feeder.autonomous_system,
    )
}

impl Neighbor for Bird {
    fn implementation(&self) -> &'static str {
        "BIRD"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn session(&self) -> Result<SessionView> {
        let text = control(&self.socket, "show protocols to_router")?;
        // "to_router  BGP        ---        up     12:00:00.123  Established"
        let line = text.lines().find(|l| l.starts_with("to_router ")).unwrap_or_default();
        let state = line.split_whitespace().skip(5).collect::<Vec<_>>().join(" ");
        Ok(SessionView { up: state == "Established", state, uptime_s: None })
    }

    fn times_down(&self) -> Result<u64> {
        count_lines(&self.log, |line| line.contains("to_router: ") && line.contains("BGP session closed"))
    }

    fn times_helped(&self) -> Result<u64> {
        count_lines(&self.log, |line| line.contains("to_router: ") && line.contains("graceful restart detected"))
    }

    fn bfd_is_up(&self) -> Result<bool> {
        let text = control(&self.socket, "show bfd sessions")?;
        // "10.111.1.1   router   Up   12:00:00.123   0.050   0.150"
        Ok(text.lines().any(|line| line.split_whitespace().nth(2) == Some("Up")))
    }

    fn times_bfd_down(&self) -> Result<u64> {
        // "bfd1: Session to 10.111.1.1 changed state from Up to Down"
        count_lines(&self.log, |line| line.contains("Session to ") && line.contains("changed state from Up to "))
    }

    fn reset(&self) -> Result<()> {
        control(&self.socket, "restart to_router").map(drop)
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }
}
