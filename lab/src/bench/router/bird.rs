//! BIRD 2.

use std::{fmt::Write as _, path::PathBuf};

use super::{COMMUNITIES, Plan, Router};
use crate::{
    bench::{input::ROUTER_AS, limits},
    error::Result,
    host::{
        interrupt::{self, NotYet},
        process::Guarded,
    },
    neighbor::bird as tools,
};

/// The protocol that writes to the kernel.
const FIB: &str = "fib";

/// A running BIRD.
#[derive(Debug)]
pub(super) struct Bird {
    plan: Plan,
    socket: PathBuf,
    child: Guarded,
    version: String,
}

impl Bird {
    pub(super) fn start(plan: Plan) -> Result<Self> {
        let socket = plan.folder.join("bird.ctl");
        let mut child = tools::spawn(&plan.namespace, &plan.folder, &text(&plan, COMMUNITIES[0]), &socket)?;
        interrupt::wait_for("BIRD to answer", limits::UP_WITHIN, || {
            child.check_running()?;
            tools::control(&socket, "show status").map(drop).map_err(NotYet::from)
        })?;
        Ok(Self { plan, socket, child, version: tools::version()? })
    }
}

impl Router for Bird {
    fn version(&self) -> &str {
        &self.version
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn change_policy(&mut self) -> Result<()> {
        let file = self.plan.write("bird.conf", &text(&self.plan, COMMUNITIES[1]))?;
        tools::control(&self.socket, &format!("configure \"{}\"", file.display())).map(drop)
    }

    fn install(&mut self) -> Result<()> {
        tools::control(&self.socket, &format!("enable {FIB}")).map(drop)
    }
}

fn text(plan: &Plan, community: &str) -> String {
    let mut text = format!("router id {};\nprotocol device {{}}\nprotocol direct {{ ipv4; }}\n", plan.router_id());
    if plan.forwarding {
        let held = if plan.held_back { "disabled; " } else { "" };
        let _ = writeln!(
            text,
            "protocol kernel {FIB} {{ {held}ipv4 {{ import none; export where source = RTS_BGP; }}; metric 20; }}"
        );
    }
    let pair = community.replace(':', ",");
    for (index, session) in plan.sessions.iter().enumerate() {
        let import = if plan.policy && index == 0 {
            format!("filter {{ bgp_community.add(({pair})); accept; }}")
        } else {
            "all".to_owned()
        };
        let _ = writeln!(
            text,
            "protocol bgp n{index} {{ local {} as {ROUTER_AS}; neighbor {} as {}; hold time {}; passive; graceful restart off; ipv4 {{ import {import}; export where source = RTS_BGP; }}; }}",
            session.router,
            session.address,
            session.autonomous_system,
            limits::HOLD_TIME_S,
        );
    }
    text
}
