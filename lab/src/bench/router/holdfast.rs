//! This project's router, started and changed by its published command.
//!
//! A backup that follows the primary exists while an in-service reboot waits for its confirmation: the engine before follows
//! the new one. So the reboot is asked for, with no routes, before anything is measured, and is never confirmed.

use std::{fmt::Write as _, path::PathBuf, process::Command};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{COMMUNITIES, Plan, Router};
use crate::{
    bench::{input::ROUTER_AS, limits, usage},
    error::{LabError, Result},
    host::{
        interrupt::{self, NotYet},
        netns::Namespace,
        process, programs,
    },
    subject::{Cli, REBOOT, Running, cli},
};

/// A running router.
#[derive(Debug)]
pub(super) struct Holdfast {
    program: PathBuf,
    run_dir: PathBuf,
    cli: Cli,
    version: String,
    backup: Backup,
    namespace: Namespace,
}

/// Who follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backup {
    None,
    Follows,
    /// It follows, but from when it has until everything is measured its rpd is stopped: what it is told has to fit into the stream.
    StandsStill,
}

/// Longer than any case.
const CONFIRM_MINUTES: u32 = 60;
/// The first start is re0; the engine that a reboot moved to is re1.
const BACKUP_SLOT: &str = "--slot re0";
/// Its rpd, by its command line.
const BACKUP_RPD: &str = "/rpd ";

impl Holdfast {
    pub(super) fn start(plan: Plan, backup: Backup) -> Result<Self> {
        let program = programs::own_binary("holdfast")?;
        let configuration = plan.write("router.conf", &text(&plan, backup != Backup::None))?;
        let run_dir = plan.folder.join("run");
        let said = process::run(Command::new(&program).arg("version"))?;
        let version = said.split_whitespace().last().unwrap_or("unknown").to_owned();
        let mut command = Command::new(&program);
        command.args(["start", "--netns", plan.namespace.name(), "--config"]).arg(&configuration);
        command.arg("--run-dir").arg(&run_dir).arg("--state-dir").arg(plan.folder.join("state"));
        let cli = Cli::new(&program, &run_dir);
        let router = Self { cli, program, run_dir, version, backup, namespace: plan.namespace };
        Running::to_end(command, limits::UP_WITHIN)?;
        Ok(router)
    }
}

impl Holdfast {
    /// A backup that is to stand still does so, or goes on.
    fn hold(&self, signal: Signal) -> Result<()> {
        if self.backup != Backup::StandsStill {
            return Ok(());
        }
        for pid in usage::processes(&self.namespace, |line| line.contains(BACKUP_RPD) && line.contains(BACKUP_SLOT))? {
            process::signal(pid, signal);
        }
        Ok(())
    }
}

impl Router for Holdfast {
    fn version(&self) -> &str {
        &self.version
    }

    fn check_running(&mut self) -> Result<()> {
        // Its supervisor does that; a session that is lost by it ends the measurement.
        Ok(())
    }

    fn prepare(&mut self) -> Result<()> {
        if self.backup == Backup::None {
            return Ok(());
        }
        let reboot = format!("{REBOOT} confirm {CONFIRM_MINUTES}");
        let mut watching = self.cli.start(&reboot)?;
        let mut said = Vec::new();
        interrupt::wait_for("the reboot to wait for its confirmation", limits::UP_WITHIN, || {
            watching.drain(|line| said.push(line.to_owned()));
            if watching.has_ended() {
                return Err(LabError::Fatal(format!("the reboot has ended: {}", said.join("\n"))).into());
            }
            let state = self.cli.json("show chassis in-service-upgrade")?;
            match cli::find(&state, "state").and_then(Value::as_str) {
                Some(state) if state.ends_with("soaking") => self.vouch().map_err(Into::into),
                other => Err(format!("its state is {other:?}").into()),
            }
        })?;
        self.hold(Signal::SIGSTOP)
    }

    fn vouch(&self) -> Result<()> {
        if self.backup == Backup::None {
            return Ok(());
        }
        let replication = self.cli.json("show task replication")?;
        match cli::find(&replication, "peer_connected").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            _ => Err(LabError::Subject(format!("no backup follows: {replication}"))),
        }
    }

    fn is_backup(&self, command_line: &str) -> bool {
        self.backup != Backup::None && command_line.contains(BACKUP_SLOT)
    }

    fn change_policy(&mut self) -> Result<()> {
        let change = format!(
            "configure; delete policy-options community TAG; set policy-options community TAG members {}; commit",
            COMMUNITIES[1]
        );
        self.cli.text(&change).map(drop)
    }

    fn install(&mut self) -> Result<()> {
        self.cli.text("configure; delete protocols bgp family inet unicast no-install; commit").map(drop)
    }

    fn writer(&self) -> Result<&'static str> {
        Ok("pfed")
    }

    fn settled(&self, routes: usize) -> std::result::Result<(), NotYet> {
        // It does not answer while it is started again.
        let said = self.cli.json("show forwarding-table summary").map_err(|error| NotYet::from(error.to_string()))?;
        let number = |value: &Value, key| cli::find(value, key).and_then(Value::as_u64);
        let of = |table| said.get(table).and_then(|families| number(families.get(0)?, "entries"));
        let seen = (of("kernel"), of("desired"), number(&said, "pending_writes"));
        match seen == (Some(routes as u64), Some(routes as u64), Some(0)) {
            true => Ok(()),
            false => Err(format!("routes in the kernel, wanted, different: {seen:?}").into()),
        }
    }
}

impl Drop for Holdfast {
    fn drop(&mut self) {
        // One that stands still would be waited for.
        let _ = self.hold(Signal::SIGCONT);
        if !interrupt::requested() && !std::thread::panicking() {
            let mut command = Command::new(&self.program);
            command.arg("stop").arg("--run-dir").arg(&self.run_dir);
            // The setting's removal finds what this leaves.
            let _ = Running::to_end(command, limits::UP_WITHIN);
        }
    }
}

fn text(plan: &Plan, standby: bool) -> String {
    let mut neighbors = String::new();
    for (index, session) in plan.sessions.iter().enumerate() {
        let import = if plan.policy && index == 0 { "            import IN;\n" } else { "" };
        let _ = write!(
            neighbors,
            "        group n{index} {{\n            type external;\n            peer-as {};\n            hold-time {};\n            passive;\n{import}            neighbor {};\n        }}\n",
            session.autonomous_system,
            limits::HOLD_TIME_S,
            session.address,
        );
    }
    let policy = if plan.policy {
        format!(
            "policy-options {{\n    community TAG members {};\n    policy-statement IN {{\n        term all {{\n            then {{\n                community add TAG;\n                accept;\n            }}\n        }}\n    }}\n}}\n",
            COMMUNITIES[0]
        )
    } else {
        String::new()
    };
    let forwarding = if plan.forwarding && !plan.held_back {
        ""
    } else {
        "        family {\n            inet {\n                unicast {\n                    no-install;\n                }\n            }\n        }\n"
    };
    let (chassis, nonstop) = if standby {
        (
            "chassis {\n    redundancy {\n        graceful-switchover;\n    }\n    in-service {\n        minimum-spacing 0;\n    }\n}\n",
            "    nonstop-routing;\n",
        )
    } else {
        ("", "")
    };
    format!(
        "system {{\n    host-name bench;\n}}\n{chassis}routing-options {{\n    router-id {};\n    autonomous-system {ROUTER_AS};\n{nonstop}}}\n{policy}protocols {{\n    bgp {{\n{forwarding}{neighbors}    }}\n}}\n",
        plan.router_id(),
    )
}
