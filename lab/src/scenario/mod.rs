//! Scenarios as data: what is in the lab, what is done to the router, what it is held to. The built-in ones are a table;
//! a file with the same fields (`holdfast lab show NAME` prints one) is a scenario too.

pub mod faults;
pub mod gaps;
pub mod growth;
pub mod measure;
pub mod runner;

use std::path::Path;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use self::faults::Disturbance;
use crate::{
    error::{Doing, LabError, Result},
    gateway::GatewayLoss,
    limits,
    neighbor::Kind,
    subject::{Fault, SubjectKind},
    topology::Road,
};

/// One thing done to the router, under traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Nothing: the lab proves that it loses nothing by itself.
    Observe {
        /// For how long.
        seconds: u64,
    },
    /// An in-service reboot that must succeed.
    Reboot,
    /// An in-service reboot in whose middle the new engine is disturbed: it must be undone.
    FailingReboot {
        /// By what.
        fault: Fault,
    },
    /// A process of the primary is killed at rest: it must be restarted.
    Kill {
        /// Its name.
        process: String,
    },
    /// A process is replaced by the operator's command of that name, in service: no session of any kind may notice.
    Restart {
        /// As the operator calls it.
        process: String,
    },
    /// The routing process of the primary is killed while a run is being prepared: the run is undone, and the process restarted.
    CrashInRun,
    /// A cell of the fault matrix; then, once the router is whole again, an in-service reboot that must succeed.
    Disturb(Disturbance),
}

/// What the router is held to, beyond losing nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bars {
    /// Longest control-plane gap.
    pub control_plane_ms: Option<f64>,
    /// The median of the control-plane gaps of all runs.
    pub control_plane_median_ms: Option<f64>,
    /// By how much the median gap at the largest of a scenario's sizes may exceed that at the smallest.
    pub gap_growth_ms: Option<f64>,
    /// Longest delay of a route change from one neighbour to the other.
    pub propagation_ms: Option<f64>,
    /// The same, of a fault matrix, while somebody does not read what routing tells him.
    pub held_up_ms: Option<f64>,
    /// Longest run.
    pub run_s: Option<f64>,
    /// Shorter without a control plane than every one of [`Scenario::peers`].
    pub shorter_than_peers: bool,
    /// No growth of memory, descriptors or kernel objects from the second run to the last.
    pub no_growth: bool,
    /// What the neighbours were told at the end is what a router that never rebooted tells them, fed the same.
    pub same_tables: bool,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence.
    pub shows: String,
    /// What it needs, beside root.
    pub needs: String,
    /// Routes in all.
    pub routes: usize,
    /// In which proportion the neighbours have them, in order; repeated. Empty: equal parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<u32>,
    /// Changes of routes per second that the feeders make, all together, as long as there is traffic.
    #[serde(default)]
    pub churn: u32,
    /// Probes per second in each direction.
    pub rate: u32,
    /// How often its steps are done.
    pub runs: u32,
    /// A new lab for every repetition, instead of all in one.
    pub fresh_lab: bool,
    /// Done once for each of these numbers of routes, in a lab of its own, instead of `routes`; empty: once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<usize>,
    /// The neighbours.
    pub neighbors: Vec<Kind>,
    /// What is configured for their sessions, in order; the list is repeated. Empty: nonstop routing for all.
    #[serde(default)]
    pub roads: Vec<Road>,
    /// BFD watches the way of every session: milliseconds between packets, three of which may be missing; in the order of the neighbours,
    /// repeated. Empty: no BFD.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bfd_ms: Vec<u32>,
    /// Seconds that the lab rests before traffic begins.
    #[serde(default)]
    pub rest_s: u64,
    /// Other routers that are put in the middle after ours, one after the other, in a lab made alike, for comparison.
    #[serde(default)]
    pub peers: Vec<SubjectKind>,
    /// Environment of the router.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What the router is held to.
    #[serde(default)]
    pub bars: Bars,
}

const NEEDS: &str = "Debian packages frr, bird2, tcpdump, iproute2";

impl Scenario {
    fn base(name: &str, shows: &str, steps: Vec<Step>) -> Self {
        Self {
            name: name.into(),
            shows: shows.into(),
            needs: NEEDS.into(),
            routes: 100_000,
            shares: Vec::new(),
            churn: 0,
            rate: 5_000,
            runs: 1,
            fresh_lab: false,
            sizes: Vec::new(),
            neighbors: vec![Kind::Frr, Kind::Bird],
            roads: Vec::new(),
            bfd_ms: Vec::new(),
            rest_s: 0,
            peers: Vec::new(),
            environment: Vec::new(),
            steps,
            bars: Bars::default(),
        }
    }

    /// The built-in scenarios.
    pub fn built_in() -> Vec<Self> {
        let bars =
            Bars { control_plane_ms: Some(100.0), propagation_ms: Some(250.0), run_s: Some(30.0), ..Bars::default() };
        let gaps = Bars { control_plane_ms: Some(60.0), control_plane_median_ms: Some(20.0), ..bars };
        let process = |name: &str| Step::Kill { process: name.into() };
        let restart = |name: &str| Step::Restart { process: name.into() };
        vec![
            Self {
                fresh_lab: true,
                bars,
                ..Self::base(
                    "issr-basic",
                    "one in-service reboot between FRR and BIRD, hold time 9 s, graceful restart off: no packet, session or byte is lost",
                    vec![Step::Reboot],
                )
            },
            Self {
                runs: 20,
                bars: Bars { no_growth: true, ..gaps },
                ..Self::base(
                    "issr-repeat",
                    "many in-service reboots in a row under the same traffic: nothing lost, and nothing grows",
                    vec![Step::Reboot],
                )
            },
            Self {
                runs: 16,
                sizes: vec![1_000, 100_000, 500_000],
                bars: Bars { gap_growth_ms: Some(5.0), run_s: None, propagation_ms: None, ..gaps },
                ..Self::base(
                    "issr-gap",
                    "in-service reboots at 1,000, 100,000 and 500,000 routes: the control-plane gap does not grow with the table",
                    vec![Step::Reboot],
                )
            },
            Self {
                routes: 1_000_000,
                // Few by way of FRR and BIRD, which get all the more to hear.
                neighbors: vec![Kind::Lab, Kind::Frr, Kind::Lab, Kind::Bird],
                shares: vec![90, 3, 4, 3],
                churn: 2_000,
                fresh_lab: true,
                bars: Bars { control_plane_ms: Some(50.0), run_s: Some(20.0), same_tables: true, ..Bars::default() },
                ..Self::base(
                    "issr-scale",
                    "one in-service reboot with 1,000,000 routes of which 2,000 change every second: nothing lost, and every neighbour was told, route by route, what a router that never rebooted tells it",
                    vec![Step::Reboot],
                )
            },
            Self {
                environment: vec![("HOLDFAST_PAUSE_BEFORE".into(), "activate:1500".into())],
                ..Self::base(
                    "issr-rollback",
                    "the new engine is killed, then hung, right after the handoff: the old one is back and nothing was lost; then a run succeeds",
                    vec![
                        Step::FailingReboot { fault: Fault::Kill },
                        Step::FailingReboot { fault: Fault::Hang },
                        Step::Reboot,
                    ],
                )
            },
            Self {
                roads: vec![Road::Graceful],
                // FRR's first 120 s: it claims in every OPEN that it has restarted itself, which makes other routers give up its
                // routes at once. A neighbour in its ordinary state is what they are to be measured with.
                rest_s: 125,
                peers: vec![SubjectKind::Frr, SubjectKind::Bird],
                bars: Bars { shorter_than_peers: true, ..Bars::default() },
                ..Self::base(
                    "issr-gr",
                    "one in-service reboot by graceful restart, without nonstop routing: no packet is lost, and the control plane is away for less time than in FRR's and in BIRD's own graceful restart, measured alike",
                    vec![Step::Reboot],
                )
            },
            Self {
                roads: vec![Road::Nonstop, Road::Graceful],
                runs: 2,
                ..Self::base(
                    "issr-gr-mixed",
                    "in-service reboots by nonstop routing with one session that is to restart gracefully: it does so alone, the other neighbour notices nothing",
                    vec![Step::Reboot],
                )
            },
            Self {
                routes: 20_000,
                rate: 2_000,
                bars: Bars { no_growth: true, held_up_ms: Some(limits::HELD_UP_MS_MAX), ..Bars::default() },
                ..Self::base(
                    "issr-faults",
                    "every phase of a run x kill -9 and SIGSTOP x mgd, rpd and pfed of both engines: each ends as declared and loses nothing; after each the router is whole and reboots in service",
                    faults::matrix::cells().into_iter().map(Step::Disturb).collect(),
                )
            },
            Self {
                routes: 20_000,
                roads: vec![Road::Graceful],
                ..Self::base(
                    "crash-gr",
                    "kill -9 of rpd at rest, then while a run is prepared, between helpers: it restarts gracefully as RFC 4724 says, no packet is lost and no unchanged route is written",
                    vec![process("rpd"), Step::CrashInRun],
                )
            },
            Self::base(
                "crash-matrix",
                "kill -9 of mgd and of pfed at rest: restarted, nothing lost, no needless write to the kernel",
                vec![process("mgd"), process("pfed")],
            ),
            Self {
                routes: 20_000,
                rate: 2_000,
                neighbors: vec![Kind::Frr, Kind::Bird, Kind::Holdfast],
                roads: vec![Road::Both],
                bfd_ms: vec![50, 50, 10],
                ..Self::base(
                    "issr-bfd",
                    "BFD at 3 x 50 ms with FRR and BIRD and at 3 x 10 ms with another Holdfast: in-service reboots, restart of every process, kill -9 of every process but ppmd, and no BFD session fails, no packet is lost",
                    vec![
                        Step::Reboot,
                        restart("periodic-packets"),
                        restart("management"),
                        restart("forwarding"),
                        restart("routing"),
                        process("mgd"),
                        process("pfed"),
                        process("rpd"),
                        process("chassisd"),
                        Step::Reboot,
                    ],
                )
            },
            Self {
                routes: 20_000,
                rate: 2_000,
                runs: 3,
                bfd_ms: vec![50],
                ..Self::base(
                    "crash-bfd",
                    "kill -9 of ppmd with BFD at 3 x 50 ms: another one sends within the detection time, and no neighbor notices anything",
                    // One that dies again at once is restarted after a pause.
                    vec![Step::Observe { seconds: 6 }, process("ppmd")],
                )
            },
            Self {
                fresh_lab: true,
                ..Self::base(
                    "baseline",
                    "nothing at all is done to the router: whatever is lost here, the lab or the machine lost",
                    vec![Step::Observe { seconds: 10 }],
                )
            },
        ]
    }

    /// The scenario at each of its sizes.
    pub fn at_each_size(&self) -> Vec<Self> {
        let at = |routes: &usize| Self { routes: *routes, ..self.clone() };
        if self.sizes.is_empty() { vec![self.clone()] } else { self.sizes.iter().map(at).collect() }
    }

    /// Whether it holds runs at points of its choice.
    pub fn holds_runs(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Disturb(_)))
    }

    /// Keeps, of the cells of a fault matrix, the spread of every day, and those whose title has all words of a filter.
    pub fn select_cells(&mut self, spread: bool, filters: &[String]) -> Result<()> {
        if spread {
            let cells: Vec<Disturbance> = self
                .steps
                .iter()
                .filter_map(|s| if let Step::Disturb(cell) = s { Some(cell.clone()) } else { None })
                .collect();
            self.steps = faults::matrix::spread(&cells).into_iter().map(Step::Disturb).collect();
        }
        if !filters.is_empty() {
            let wanted = |title: &str| filters.iter().any(|f| f.split_whitespace().all(|word| title.contains(word)));
            self.steps.retain(|step| matches!(step, Step::Disturb(cell) if wanted(&cell.title())));
        }
        if self.steps.is_empty() {
            return Err(LabError::Usage(format!("no cell of {} is left by --cells or --spread", self.name)));
        }
        Ok(())
    }

    /// Puts the cells of a fault matrix into another order: what one leaves behind meets another one.
    pub fn shuffle_cells(&mut self, seed: u64) {
        if self.holds_runs() {
            self.steps.shuffle(&mut SmallRng::seed_from_u64(seed));
        }
    }

    /// Drops cells that need an aid which containers do not get.
    pub fn drop_cells_of_processes(&mut self) {
        self.steps.retain(|step| !matches!(step, Step::Disturb(cell) if cell.how.needs_short_stream()));
    }

    /// A built-in scenario by name, or one from a file.
    pub fn load(name: &str) -> Result<Self> {
        let built_in = Self::built_in();
        let interop = || crate::interop::Interop::built_in().into_iter().map(|scenario| scenario.name);
        let gateways = || GatewayLoss::built_in().into_iter().map(|scenario| scenario.name);
        if let Some(found) = built_in.iter().find(|s| s.name == name) {
            return Ok(found.clone());
        }
        if Path::new(name).extension().is_none_or(|e| e != "json") {
            let known = built_in.iter().map(|s| s.name.as_str()).chain(gateways()).chain(interop());
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(LabError::Usage(format!(
                "scenario {name:?} is not known; known are: {known}, or the path of a .json file"
            )));
        }
        let text = std::fs::read_to_string(name).doing(|| format!("read {name}"))?;
        serde_json::from_str(&text).map_err(|e| LabError::Usage(format!("{name}:{}:{}: {e}", e.line(), e.column())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_survives_a_file() {
        for scenario in Scenario::built_in() {
            let text = serde_json::to_string_pretty(&scenario).unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
            assert_eq!(Scenario::load(&scenario.name).unwrap(), scenario);
        }
    }

    #[test]
    fn a_seed_is_an_order_of_all_cells() {
        let matrix = Scenario::load("issr-faults").unwrap();
        let shuffled = |seed| {
            let mut scenario = matrix.clone();
            scenario.shuffle_cells(seed);
            scenario.steps
        };
        assert_eq!(shuffled(7), shuffled(7), "a seed replays");
        assert!(shuffled(7) != shuffled(8) && shuffled(7) != matrix.steps);
        let same = |steps: Vec<Step>| matrix.steps.iter().all(|step| steps.contains(step));
        assert!(shuffled(7).len() == matrix.steps.len() && same(shuffled(7)), "every cell is there");
    }

    #[test]
    fn an_unknown_one_is_refused_with_the_known() {
        let error = Scenario::load("issr-nonsense").unwrap_err().to_string();
        assert!(error.contains("issr-nonsense") && error.contains("issr-basic"), "{error}");
    }
}
