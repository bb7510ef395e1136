//! FRRouting: zebra and bgpd. Without FIB bgpd keeps its routes to itself (`--no_kernel`); zebra still says which next hops can
//! be reached.

use std::{fmt::Write as _, process::Command};

use super::{COMMUNITIES, Plan, Router};
use crate::{
    bench::{input::ROUTER_AS, limits},
    error::{LabError, Result},
    host::{
        cleanup,
        interrupt::{self, NotYet},
        process::{self, Guarded},
        programs::{self, Program},
    },
};

/// What zebra is told while BGP's routes are to stay out of the kernel.
const HELD: &str = "HELD";
const HOLD: &str = "ip protocol bgp route-map HELD";

/// A running FRR.
#[derive(Debug)]
pub(super) struct Frr {
    plan: Plan,
    /// bgpd, zebra: in the order in which they end.
    children: Vec<Guarded>,
    version: String,
}

impl Frr {
    pub(super) fn start(plan: Plan) -> Result<Self> {
        let held = if plan.held_back { format!("route-map {HELD} deny 10\n{HOLD}\n") } else { String::new() };
        plan.write("zebra.conf", &format!("hostname router\n{held}"))?;
        plan.write("bgpd.conf", &text(&plan))?;
        plan.write("vtysh.conf", "")?;
        // zebra insists on its own user, who must be able to write its socket there.
        process::run(Command::new("chown").args(["-R", "frr:frr"]).arg(&plan.folder))?;
        let said = process::run(Command::new(programs::BGPD.find()?).arg("--version"))?;
        let version = said.lines().next().and_then(|l| l.split_whitespace().last()).unwrap_or("unknown").to_owned();
        let mut router = Self { plan, children: Vec::new(), version };
        router.daemon(programs::ZEBRA, &[])?;
        let socket = router.plan.folder.join("zserv.api");
        interrupt::wait_for("zebra's socket", limits::UP_WITHIN, || {
            if socket.exists() { Ok(()) } else { Err("it is not there".into()) }
        })?;
        let more: &[&str] = if router.plan.forwarding { &[] } else { &["--no_kernel"] };
        router.daemon(programs::BGPD, &[&["-p", "179"], more].concat())?;
        interrupt::wait_for("bgpd to answer", limits::UP_WITHIN, || {
            router.check_running()?;
            router.vtysh("bgpd", &["show version"]).map_err(NotYet::from)
        })?;
        Ok(router)
    }

    fn daemon(&mut self, program: Program, more: &[&str]) -> Result<()> {
        let (folder, name) = (&self.plan.folder, program.name);
        let child = self.plan.spawn(program, &mut |command| {
            command.arg("-f").arg(folder.join(format!("{name}.conf")));
            command.arg("-i").arg(folder.join(format!("{name}.pid")));
            command.arg("--vty_socket").arg(folder).arg("-z").arg(folder.join("zserv.api"));
            // -P 0: no TCP console.
            command.args(["-P", "0"]).args(more);
        })?;
        self.children.insert(0, child);
        Ok(())
    }

    fn vtysh(&self, daemon: &str, lines: &[&str]) -> Result<()> {
        let mut command = Command::new(programs::VTYSH.find()?);
        command.arg("--vty_socket").arg(&self.plan.folder).arg("--config_dir").arg(&self.plan.folder);
        command.args(["-d", daemon]);
        for line in lines {
            command.args(["-c", line]);
        }
        process::run(&mut command).map(drop)
    }
}

impl Router for Frr {
    fn version(&self) -> &str {
        &self.version
    }

    fn check_running(&mut self) -> Result<()> {
        self.children.iter_mut().try_for_each(Guarded::check_running)
    }

    fn change_policy(&mut self) -> Result<()> {
        let Some(session) = self.plan.sessions.first() else { return Ok(()) };
        let community = format!("set community {} additive", COMMUNITIES[1]);
        let clear = format!("clear bgp ipv4 unicast {} soft in", session.address);
        self.vtysh("bgpd", &["configure terminal", "route-map IN permit 10", &community, "end", &clear])
            .map_err(|error| LabError::Subject(format!("FRR took no other policy: {error}")))
    }

    fn install(&mut self) -> Result<()> {
        self.vtysh("zebra", &["configure terminal", &format!("no {HOLD}"), "end"])
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for mut child in self.children.drain(..) {
            child.end();
            cleanup::remove_crash_log_folder(child.pid());
        }
    }
}

fn text(plan: &Plan) -> String {
    // A delay of 0: policies are applied when told, by the clear below.
    let mut text = format!(
        "hostname router\nbgp route-map delay-timer 0\n!\nrouter bgp {ROUTER_AS}\n bgp router-id {}\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n no bgp network import-check\n bgp graceful-restart-disable\n",
        plan.router_id(),
    );
    let mut activated = String::new();
    for (index, session) in plan.sessions.iter().enumerate() {
        let (address, hold) = (session.address, limits::HOLD_TIME_S);
        let _ = write!(
            text,
            " neighbor {address} remote-as {}\n neighbor {address} passive\n neighbor {address} timers {} {hold}\n neighbor {address} advertisement-interval 0\n",
            session.autonomous_system,
            hold / 3,
        );
        let _ = writeln!(activated, "  neighbor {address} activate");
        if plan.policy && index == 0 {
            let _ = writeln!(activated, "  neighbor {address} route-map IN in");
        }
    }
    let _ = write!(text, " address-family ipv4 unicast\n{activated} exit-address-family\n!\n");
    if plan.policy {
        let _ = write!(text, "route-map IN permit 10\n set community {} additive\n!\n", COMMUNITIES[0]);
    }
    text
}
