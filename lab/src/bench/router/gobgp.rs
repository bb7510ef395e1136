//! GoBGP: it puts no route into the kernel by itself.

use std::{fmt::Write as _, process::Command};

use nix::sys::signal::Signal;

use super::{COMMUNITIES, Plan, Router};
use crate::{
    bench::{input::ROUTER_AS, limits},
    error::Result,
    host::{
        process::{self, Guarded},
        programs,
    },
};

/// A running GoBGP.
#[derive(Debug)]
pub(super) struct Gobgp {
    plan: Plan,
    child: Guarded,
    version: String,
}

impl Gobgp {
    pub(super) fn start(plan: Plan) -> Result<Self> {
        let file = plan.write("gobgpd.toml", &text(&plan, COMMUNITIES[0]))?;
        let said = process::run(Command::new(programs::GOBGPD.find()?).arg("--version"))?;
        let version = said.split_whitespace().last().unwrap_or("unknown").to_owned();
        let child = plan.spawn(programs::GOBGPD, &mut |command| {
            // The interface for its own command goes to a socket in its folder.
            let socket = format!("unix://{}", plan.folder.join("gobgp.sock").display());
            command.arg("-f").arg(&file).args(["--api-hosts", &socket, "--pprof-disable", "--log-level", "warn"]);
        })?;
        Ok(Self { plan, child, version })
    }
}

impl Router for Gobgp {
    fn version(&self) -> &str {
        &self.version
    }

    fn check_running(&mut self) -> Result<()> {
        self.child.check_running()
    }

    fn change_policy(&mut self) -> Result<()> {
        self.plan.write("gobgpd.toml", &text(&self.plan, COMMUNITIES[1]))?;
        // It reads its file again, and applies what differs to the routes that it holds.
        process::signal(self.child.pid(), Signal::SIGHUP);
        Ok(())
    }
}

fn text(plan: &Plan, community: &str) -> String {
    let mut text = format!("[global.config]\n  as = {ROUTER_AS}\n  router-id = \"{}\"\n", plan.router_id());
    if plan.policy {
        text.push_str("[global.apply-policy.config]\n  import-policy-list = [\"in\"]\n  default-import-policy = \"accept-route\"\n");
    }
    for session in &plan.sessions {
        let _ = write!(
            text,
            "[[neighbors]]\n  [neighbors.config]\n    neighbor-address = \"{}\"\n    peer-as = {}\n  [neighbors.transport.config]\n    passive-mode = true\n  [neighbors.timers.config]\n    hold-time = {hold}.0\n    keepalive-interval = {}.0\n  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = \"ipv4-unicast\"\n",
            session.address,
            session.autonomous_system,
            limits::HOLD_TIME_S / 3,
            hold = limits::HOLD_TIME_S,
        );
    }
    if plan.policy {
        let _ = write!(
            text,
            "[[policy-definitions]]\n  name = \"in\"\n  [[policy-definitions.statements]]\n    name = \"all\"\n    [policy-definitions.statements.actions.bgp-actions.set-community]\n      options = \"add\"\n      [policy-definitions.statements.actions.bgp-actions.set-community.set-community-method]\n        communities-list = [\"{community}\"]\n    [policy-definitions.statements.actions]\n      route-disposition = \"accept-route\"\n",
        );
    }
    text
}
