//! Holdfast as a neighbour of the router under test: started and asked by its own command, as the router itself is. It puts no route into the
//! kernel: the packets of its place go where the lab sends them.

use super::{Neighbor, NeighborPlan, SessionView, count_lines};
use crate::{
    error::{LabError, Result},
    subject::{self, Cli, EngineRuntime, Subject, SubjectPlan, cli},
    topology::{Road, Topology},
};

/// A running Holdfast.
#[derive(Debug)]
pub struct Holdfast {
    router: subject::Holdfast,
    plan: NeighborPlan,
    version: String,
    log: std::path::PathBuf,
}

impl Holdfast {
    /// Writes its configuration and starts it.
    pub fn start(plan: NeighborPlan) -> Result<Self> {
        let text = configuration_text(&plan);
        let subject_plan = SubjectPlan {
            namespace: plan.namespace.clone(),
            folder: plan.folder.clone(),
            topology: Topology { neighbors: Vec::new() },
            environment: Vec::new(),
            runtime: EngineRuntime::Process,
            held: false,
        };
        let router = subject::Holdfast::start_with(subject_plan, &text)?;
        let title = router.title();
        let version = title.split_whitespace().last().unwrap_or("unknown").to_owned();
        let log = plan.folder.join("state/log/re0-rpd.log");
        Ok(Self { router, plan, version, log })
    }

    fn cli(&self) -> &Cli {
        self.router.cli()
    }

    /// What it says of its session with the router.
    fn neighbor(&self, key: &str) -> Result<serde_json::Value> {
        let json = self.cli().json(&format!("show bgp neighbor {}", self.plan.router.address))?;
        cli::find(&json, key).cloned().ok_or_else(|| {
            LabError::Protocol(format!("{}: `show bgp neighbor` does not say {key}: {json}", self.plan.name))
        })
    }

    /// Its BFD session with the router.
    fn bfd(&self, key: &str) -> Result<Option<serde_json::Value>> {
        let json = self.cli().json("show bfd session")?;
        let sessions = json.get("sessions").and_then(serde_json::Value::as_array);
        Ok(sessions.and_then(|sessions| sessions.first()?.get(key).cloned()))
    }
}

fn configuration_text(plan: &NeighborPlan) -> String {
    let (router, feeder) = (plan.router, plan.feeder);
    format!(
        "system {{
    host-name {name};
}}
routing-options {{
    router-id {address};
    autonomous-system {own_as};
{helper}}}
protocols {{
    bgp {{
        group ROUTER {{
            type external;
            peer-as {router_as};
            hold-time {hold};
            family inet unicast no-install;
{bfd}            neighbor {router};
        }}
        group FEEDER {{
            type external;
            peer-as {feeder_as};
            passive;
            family inet unicast no-install;
            neighbor {feeder};
        }}
    }}
}}
",
        name = plan.name,
        address = plan.address,
        own_as = plan.autonomous_system,
        // It helps others, then.
        helper = if plan.road == Road::Nonstop { "" } else { "    graceful-restart;\n" },
        router = router.address,
        router_as = router.autonomous_system,
        hold = plan.hold_time_s,
        bfd = plan
            .bfd_ms
            .map(|ms| format!("            bfd-liveness-detection minimum-interval {ms};\n"))
            .unwrap_or_default(),
        feeder = feeder.address,
        feeder_as = feeder.autonomous_system,
    )
}

impl Neighbor for Holdfast {
    fn implementation(&self) -> &'static str {
        "Holdfast"
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn session(&self) -> Result<SessionView> {
        let state = self.neighbor("state")?.as_str().unwrap_or("unknown").to_owned();
        Ok(SessionView { up: state == "Established", state, uptime_s: None })
    }

    fn times_down(&self) -> Result<u64> {
        Ok(self.neighbor("flaps")?.as_u64().unwrap_or_default())
    }

    fn times_helped(&self) -> Result<u64> {
        let address = self.plan.router.address.to_string();
        count_lines(&self.log, |line| line.contains(&address) && line.contains("routes are kept"))
    }

    fn bfd_is_up(&self) -> Result<bool> {
        Ok(self.bfd("state")?.as_ref().and_then(serde_json::Value::as_str) == Some("Up"))
    }

    fn times_bfd_down(&self) -> Result<u64> {
        if self.plan.bfd_ms.is_none() {
            return Ok(0);
        }
        self.bfd("downs")?.as_ref().and_then(serde_json::Value::as_u64).ok_or_else(|| {
            LabError::Protocol(format!(
                "{}: `show bfd session` does not say `downs` of a session with the router",
                self.plan.name
            ))
        })
    }

    fn reset(&self) -> Result<()> {
        self.cli().text(&format!("clear bgp neighbor {}", self.plan.router.address)).map(drop)
    }

    fn check_running(&mut self) -> Result<()> {
        self.router.whole()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{host::netns::Namespace, neighbor::Peer};

    #[test]
    fn its_configuration_watches_and_helps_as_it_is_told() {
        let peer = |last, autonomous_system| Peer { address: [10, 0, 0, last].into(), autonomous_system };
        let mut plan = NeighborPlan {
            name: "holdfast".into(),
            namespace: Namespace::unmade("none"),
            folder: "/nowhere".into(),
            autonomous_system: 65_003,
            address: [10, 0, 0, 2].into(),
            router: peer(1, 65_000),
            feeder: peer(9, 65_103),
            hold_time_s: 9,
            road: Road::Both,
            bfd_ms: Some(10),
        };
        let text = configuration_text(&plan);
        assert_eq!(text.matches('{').count(), text.matches('}').count());
        for part in ["graceful-restart;", "minimum-interval 10;", "neighbor 10.0.0.1;", "peer-as 65103;"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        (plan.road, plan.bfd_ms) = (Road::Nonstop, None);
        assert!(!configuration_text(&plan).contains("graceful") && !configuration_text(&plan).contains("bfd"));
    }
}
