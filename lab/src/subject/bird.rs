//! BIRD 2 in the middle, with its kernel export: the same lab with what operators have today. Its reboot is a stop and
//! a start, or its graceful restart where the lab is configured for that.

use std::{fmt::Write as _, fs, path::PathBuf, time::Instant};

use super::{LineSink, RunOutcome, Subject, SubjectPlan, SubjectProcess};
use crate::{
    error::{Doing, LabError, Result},
    host::{
        interrupt::{self, NotYet},
        process::Guarded,
        procfs,
    },
    limits,
    neighbor::bird as bird_tools,
    topology::{self, Road, Topology},
};

/// A running BIRD.
#[derive(Debug)]
pub struct BirdSubject {
    plan: SubjectPlan,
    socket: PathBuf,
    child: Option<Guarded>,
    version: String,
}

impl BirdSubject {
    /// Writes its configuration and starts it.
    pub fn start(plan: SubjectPlan) -> Result<Self> {
        fs::create_dir_all(&plan.folder).doing(|| format!("create {}", plan.folder.display()))?;
        let socket = plan.folder.join("bird.ctl");
        let mut subject = Self { plan, socket, child: None, version: bird_tools::version()? };
        subject.spawn(false)?;
        Ok(subject)
    }

    /// `recovers`: it is to go on where a graceful restart was begun.
    fn spawn(&mut self, recovers: bool) -> Result<()> {
        let text = configuration_text(&self.plan.topology);
        let mut child = bird_tools::spawn_with(&self.plan.namespace, &self.plan.folder, &text, &self.socket, recovers)?;
        interrupt::wait_for("BIRD to answer", limits::COMMAND_WITHIN, || {
            child.check_running()?;
            bird_tools::control(&self.socket, "show status").map(drop).map_err(NotYet::from)
        })?;
        self.child = Some(child);
        Ok(())
    }

    fn wait_until_up(&self) -> Result<()> {
        let wanted = self.plan.topology.neighbors.len();
        interrupt::wait_for("BIRD's sessions", limits::SESSIONS_UP_WITHIN, || {
            let text = bird_tools::control(&self.socket, "show protocols")?;
            let up = text.lines().filter(|l| l.contains("Established")).count();
            if up == wanted { Ok(()) } else { Err(format!("{up} of {wanted} established").into()) }
        })
    }
}

fn configuration_text(topology: &Topology) -> String {
    // Without it in the kernel protocol as well BIRD removes its routes when it stops.
    let kept = if topology.has(Road::Graceful) { "graceful restart on; " } else { "" };
    let mut text = format!(
        "router id {};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\nprotocol kernel {{ {kept}ipv4 {{ import none; export where source = RTS_BGP; }}; metric 20; }}\n",
        topology.router_id()
    );
    for node in &topology.neighbors {
        let (own, peer) = (node.router(), node.peer());
        let _ = writeln!(
            text,
            "protocol bgp to_{} {{ local {} as {}; neighbor {} as {}; hold time {}; graceful restart {}; connect delay time 1; connect retry time 1; ipv4 {{ import all; export where source = RTS_BGP; }}; }}",
            node.name,
            own.address,
            own.autonomous_system,
            peer.address,
            peer.autonomous_system,
            topology::HOLD_TIME_S,
            if node.road == Road::Graceful { "on" } else { "off" }
        );
    }
    text
}

impl Subject for BirdSubject {
    fn title(&self) -> String {
        format!("BIRD {}", self.version)
    }

    fn reboot(&mut self, lines: LineSink<'_>) -> Result<RunOutcome> {
        let start = Instant::now();
        let graceful = self.plan.topology.has(Road::Graceful);
        lines(if graceful {
            "BIRD: `graceful restart`, then a start with -R"
        } else {
            "BIRD knows no in-service reboot: it is stopped and started again"
        });
        if let Some(mut child) = self.child.take() {
            if graceful {
                bird_tools::control(&self.socket, "graceful restart")?;
                child.wait_for_end();
            } else {
                child.end();
            }
        }
        let away = start.elapsed();
        self.spawn(graceful)?;
        self.wait_until_up()?;
        let took = start.elapsed();
        lines(&format!("all sessions are up again after {:.1} s", took.as_secs_f64()));
        Ok(RunOutcome::restarted(away, took))
    }

    fn processes(&self) -> Result<Vec<SubjectProcess>> {
        let pid = self.child.as_ref().map(Guarded::pid).unwrap_or(0);
        let usage = procfs::usage(pid).ok_or_else(|| LabError::Subject("BIRD is not running".into()))?;
        Ok(vec![SubjectProcess { name: "bird".into(), pid, usage }])
    }

    fn stop(&mut self) -> Result<()> {
        self.child = None;
        Ok(())
    }
}
