//! FRRouting in the middle: zebra and bgpd. Its reboot is what its own graceful restart is made for: bgpd ends without a word
//! (SIGTERM would withdraw its routes) and another one starts, while zebra keeps the routes in the kernel.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use nix::sys::signal::Signal;

use super::{LineSink, RunOutcome, Subject, SubjectPlan, SubjectProcess};
use crate::{
    error::{Doing, LabError, Result},
    host::{
        cleanup,
        interrupt::{self, NotYet},
        process::{self, Guarded},
        procfs,
        programs::{self, Program},
    },
    limits,
    topology::{self, Road, Topology},
};

/// A running FRR.
#[derive(Debug)]
pub struct FrrSubject {
    plan: SubjectPlan,
    zebra: Option<Guarded>,
    bgpd: Option<Guarded>,
    version: String,
}

impl FrrSubject {
    /// Writes its configuration and starts it.
    pub fn start(plan: SubjectPlan) -> Result<Self> {
        let folder = &plan.folder;
        fs::create_dir_all(folder).doing(|| format!("create {}", folder.display()))?;
        let texts = [
            ("zebra.conf", "hostname router\n".to_owned()),
            ("bgpd.conf", configuration_text(&plan.topology, &folder.join("bgpd.log"))),
            ("vtysh.conf", String::new()),
        ];
        for (name, text) in texts {
            fs::write(folder.join(name), text).doing(|| format!("write {name}"))?;
        }
        // zebra insists on its own user, who must be able to write its socket there.
        process::run(Command::new("chown").args(["-R", "frr:frr"]).arg(folder))?;
        let said = process::run(Command::new(programs::BGPD.find()?).arg("--version"))?;
        let version = said.lines().next().and_then(|l| l.split_whitespace().last()).unwrap_or("unknown").to_owned();
        let mut subject = Self { plan, zebra: None, bgpd: None, version };
        subject.zebra = Some(subject.spawn(programs::ZEBRA, &[])?);
        let socket = subject.plan.folder.join("zserv.api");
        interrupt::wait_for("zebra's socket", limits::COMMAND_WITHIN, || match socket.exists() {
            true => Ok(()),
            false => Err(NotYet::from("it is not there".to_owned())),
        })?;
        subject.start_bgpd()?;
        Ok(subject)
    }

    fn spawn(&self, program: Program, more: &[&str]) -> Result<Guarded> {
        let (folder, name) = (&self.plan.folder, program.name);
        let said = fs::File::create(folder.join(format!("{name}.out"))).doing(|| format!("create {name}.out"))?;
        let mut command = Command::new(program.find()?);
        command.arg("-f").arg(folder.join(format!("{name}.conf"))).arg("-i").arg(folder.join(format!("{name}.pid")));
        command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api"));
        // -P 0: no TCP console.
        command.args(["-P", "0"]).args(more);
        command.stdin(Stdio::null()).stdout(said.try_clone().doing(|| "duplicate a descriptor".into())?).stderr(said);
        let child = self.plan.namespace.spawn(&mut command)?;
        Ok(Guarded::new(name, child, Signal::SIGTERM).with_words(folder.join(format!("{name}.out"))))
    }

    fn start_bgpd(&mut self) -> Result<()> {
        let mut bgpd = self.spawn(programs::BGPD, &["-p", "179"])?;
        interrupt::wait_for("bgpd to answer", limits::COMMAND_WITHIN, || {
            bgpd.check_running()?;
            self.vtysh("show version").map(drop).map_err(NotYet::from)
        })?;
        self.bgpd = Some(bgpd);
        Ok(())
    }

    fn vtysh(&self, line: &str) -> Result<String> {
        let mut command = Command::new(programs::VTYSH.find()?);
        command.arg("--vty_socket").arg(&self.plan.folder).arg("--config_dir").arg(&self.plan.folder);
        command.args(["-d", "bgpd", "-c", line]);
        process::run(&mut command)
    }

    fn wait_until_up(&self) -> Result<()> {
        let wanted = self.plan.topology.neighbors.len();
        interrupt::wait_for("FRR's sessions", limits::SESSIONS_UP_WITHIN, || {
            let text = self.vtysh("show bgp neighbors json")?;
            let up = text.matches("\"bgpState\":\"Established\"").count();
            if up == wanted { Ok(()) } else { Err(format!("{up} of {wanted} established").into()) }
        })
    }
}

fn configuration_text(topology: &Topology, log: &Path) -> String {
    let restart = if topology.has(Road::Graceful) {
        " bgp graceful-restart\n bgp graceful-restart preserve-fw-state\n bgp graceful-restart restart-time 120\n bgp graceful-restart stalepath-time 360\n"
    } else {
        " bgp graceful-restart-disable\n"
    };
    let mut text = format!(
        "hostname router\nlog file {} informational\n!\nrouter bgp {}\n bgp router-id {}\n bgp log-neighbor-changes\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n{restart}",
        log.display(),
        topology::ROUTER_AS,
        topology.router_id(),
    );
    let (mut neighbors, mut activated) = (String::new(), String::new());
    for node in &topology.neighbors {
        let peer = node.peer();
        let (address, hold) = (peer.address, topology::HOLD_TIME_S);
        let _ = write!(
            neighbors,
            " neighbor {address} remote-as {}\n neighbor {address} timers {} {hold}\n neighbor {address} timers connect 1\n neighbor {address} advertisement-interval 0\n",
            peer.autonomous_system,
            hold / 3,
        );
        let _ = writeln!(activated, "  neighbor {address} activate");
    }
    let _ = write!(text, "{neighbors} address-family ipv4 unicast\n{activated} exit-address-family\n!\n");
    text
}

impl Subject for FrrSubject {
    fn title(&self) -> String {
        format!("FRR {}", self.version)
    }

    fn reboot(&mut self, lines: LineSink<'_>) -> Result<RunOutcome> {
        let start = Instant::now();
        lines("FRR: bgpd is killed and started again; zebra keeps the routes in the kernel");
        if let Some(mut bgpd) = self.bgpd.take() {
            process::signal(bgpd.pid(), Signal::SIGKILL);
            bgpd.wait_for_end();
            cleanup::remove_crash_log_folder(bgpd.pid());
        }
        let away = start.elapsed();
        self.start_bgpd()?;
        self.wait_until_up()?;
        let took = start.elapsed();
        lines(&format!("all sessions are up again after {:.1} s", took.as_secs_f64()));
        Ok(RunOutcome::restarted(away, took))
    }

    fn processes(&self) -> Result<Vec<SubjectProcess>> {
        let both = [("zebra", &self.zebra), ("bgpd", &self.bgpd)];
        let of = |(name, child): (&str, &Option<Guarded>)| {
            let pid = child.as_ref().map_or(0, Guarded::pid);
            let usage = procfs::usage(pid).ok_or_else(|| LabError::Subject(format!("{name} is not running")))?;
            Ok(SubjectProcess { name: name.into(), pid, usage })
        };
        both.into_iter().map(of).collect()
    }

    fn stop(&mut self) -> Result<()> {
        for mut child in [self.bgpd.take(), self.zebra.take()].into_iter().flatten() {
            child.end();
            cleanup::remove_crash_log_folder(child.pid());
        }
        Ok(())
    }
}

impl Drop for FrrSubject {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbor::Kind;

    #[test]
    fn the_configuration_follows_the_roads() {
        let topology = Topology::new(&[Kind::Frr, Kind::Bird]).unwrap();
        let text = configuration_text(&topology, Path::new("/tmp/x.log"));
        assert!(text.contains("graceful-restart-disable") && text.contains("neighbor 10.111.1.2 activate"), "{text}");
        let text = configuration_text(&topology.with_roads(&[Road::Graceful]), Path::new("/tmp/x.log"));
        assert!(text.contains("preserve-fw-state") && !text.contains("disable"), "{text}");
    }
}
