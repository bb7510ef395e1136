//! One lab: everything that a scenario needs, owned by one value. When the value goes, by whatever way, the lab goes:
//! the children first, then the namespaces, then the files; then it is looked whether anything is left.

use std::{collections::HashSet, fs, io::Write as _, net::IpAddr, path::PathBuf, sync::Arc, time::Instant};

use crate::{
    bgp::{
        beacon::Beacon,
        churn::Churn,
        feeder::{self, Feeder, FeederPlan},
        table::Table,
    },
    capture::tcpdump::Capture,
    error::{Doing, LabError, Result},
    host::{
        cleanup::{self, Owner},
        guardian::Guardian,
        interrupt,
        lab_id::LabId,
        netns::{self, Namespace},
        procfs, programs,
    },
    keep,
    kernel_tables::KernelTables,
    kernel_watch::KernelWatch,
    limits,
    neighbor::{Neighbor, NeighborPlan},
    progress::Progress,
    subject::{self, EngineRuntime, Subject, SubjectKind, SubjectPlan},
    topology::{self, FEEDER_LINK, NeighborNode, ROUTER_NODE, TO_ROUTER, Topology},
    traffic::{Direction, Traffic, sender::Pace},
};

/// What a lab is made of.
#[derive(Debug, Clone)]
pub struct LabPlan {
    /// For the owner's file and messages.
    pub scenario: String,
    /// Its shape.
    pub topology: Topology,
    /// Routes in all.
    pub routes: usize,
    /// In which proportion the neighbours have them; repeated over the neighbours. Empty: equal parts.
    pub shares: Vec<u32>,
    /// Probes per second in each direction.
    pub rate_pps: u32,
    /// Of everything random that matters.
    pub seed: u64,
    /// The router in the middle.
    pub subject: SubjectKind,
    /// Environment for it.
    pub environment: Vec<(String, String)>,
    /// How the router's engines run.
    pub runtime: EngineRuntime,
    /// The router's runs are to be held at points that the scenario chooses.
    pub held: bool,
}

impl LabPlan {
    /// One weight for each neighbour.
    fn weights(&self) -> Vec<u32> {
        let count = self.topology.neighbors.len();
        if self.shares.is_empty() { vec![1; count] } else { self.shares.iter().copied().cycle().take(count).collect() }
    }
}

/// A neighbour with all that belongs to it.
pub struct Station {
    /// Its place in the topology.
    pub node: NeighborNode,
    /// Its namespace.
    pub namespace: Namespace,
    /// It itself.
    pub neighbor: Box<dyn Neighbor>,
    /// The speaker behind it.
    pub feeder: Feeder,
    /// The capture on its link to the router.
    pub capture: Option<Capture>,
}

/// A running lab.
pub struct Lab {
    /// Its name.
    pub id: LabId,
    /// What it was made from.
    pub plan: LabPlan,
    /// The router's namespace.
    pub router: Namespace,
    /// The table.
    pub table: Table,
    /// Beacons, in the order of the topology's directions.
    pub beacons: Vec<Arc<Beacon>>,
    /// Churn that the feeders make while it is asked for.
    pub churn: Arc<Churn>,
    /// The traffic, once started.
    pub traffic: Option<Traffic>,
    /// The router under test, once started.
    pub subject: Option<Box<dyn Subject>>,
    /// The kernel's own account of its tables.
    pub watch: Option<KernelWatch>,
    /// The neighbours.
    pub stations: Vec<Station>,
    guardian: Option<Guardian>,
    removed: bool,
}

impl Lab {
    /// Builds the lab up to running sessions and a settled table; no traffic yet.
    pub fn build(plan: LabPlan, progress: &Progress) -> Result<Self> {
        programs::require_root()?;
        programs::IP.find()?;
        programs::TCPDUMP.find()?;
        plan.topology.neighbors.iter().try_for_each(|n| n.kind.check_installed())?;
        interrupt::install()?;
        let table = Table::generate_divided(plan.routes, plan.weights(), plan.seed);
        let mut lab = Self::found(plan, table)?;
        progress.step(&format!(
            "lab {}: {} neighbors, {} routes",
            lab.id,
            lab.plan.topology.neighbors.len(),
            lab.plan.routes
        ));
        lab.wire_router()?;
        for (index, node) in lab.plan.topology.neighbors.clone().into_iter().enumerate() {
            interrupt::check()?;
            lab.add_station(index, node)?;
        }
        let beacons = lab.beacons.iter().map(|b| b.prefix).collect();
        lab.watch = Some(KernelWatch::start(&lab.router, beacons)?);
        lab.start_subject(progress)?;
        lab.wait_until_settled(progress)?;
        Ok(lab)
    }

    /// The empty lab: from here on its guard removes whatever has come to be.
    fn found(plan: LabPlan, table: Table) -> Result<Self> {
        interrupt::check()?;
        let id = LabId::new();
        let folder = id.work_dir();
        // The guardian first: a lab killed at the next instruction must not stay.
        let guardian = Guardian::start(&id).ok();
        let names: Vec<_> =
            plan.topology.directions().iter().map(|(a, b)| (a.beacon(), format!("{} > {}", a.name, b.name))).collect();
        let mut lab = Self {
            router: Namespace::unmade(&id.namespace(ROUTER_NODE)),
            id,
            plan,
            table,
            beacons: names.into_iter().map(|(prefix, name)| Arc::new(Beacon::new(prefix, name))).collect(),
            churn: Arc::default(),
            traffic: None,
            subject: None,
            watch: None,
            stations: Vec::new(),
            guardian,
            removed: false,
        };
        fs::create_dir(&folder).doing(|| format!("create {}", folder.display()))?;
        lab.write_owner(false)?;
        lab.router = Namespace::create(lab.router.name())?;
        Ok(lab)
    }

    fn write_owner(&self, kept: bool) -> Result<()> {
        let pid = std::process::id();
        let owner = Owner {
            scenario: self.plan.scenario.clone(),
            pid,
            start_ticks: procfs::start_ticks(pid).unwrap_or(0),
            kept,
        };
        owner.write(&self.id).doing(|| "write the owner's file".into())
    }

    fn wire_router(&self) -> Result<()> {
        self.router.sysctl("net/ipv4/ip_forward", "1")?;
        self.router.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
        self.router.sysctl("net/ipv4/conf/default/rp_filter", "0")
    }

    fn folder(&self, node: &str) -> PathBuf {
        self.id.work_dir().join(node)
    }

    /// A neighbour with its links, its capture, its feeder, and itself.
    fn add_station(&mut self, index: usize, node: NeighborNode) -> Result<()> {
        let namespace = Namespace::create(&self.id.namespace(&node.name))?;
        for key in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
        }
        netns::link(
            (&self.router, &node.router_interface(), &with_length(node.router().address)),
            (&namespace, TO_ROUTER, &with_length(node.peer().address)),
        )?;
        namespace.ip(&format!("route add default via {}", node.router().address))?;
        let capture = Capture::start(&namespace, TO_ROUTER, &self.id.work_dir(), &node.name)?;
        let feeder_namespace = if node.feeds_itself() { namespace.clone() } else { self.behind(&node, &namespace)? };
        let feeder = Feeder::start(&feeder_namespace, self.feeder_plan(index, &node))?;
        let neighbor = node.kind.start(self.neighbor_plan(&node, &namespace), &feeder)?;
        self.stations.push(Station { node, namespace, neighbor, feeder, capture: Some(capture) });
        Ok(())
    }

    /// The place of a feeder behind a neighbour.
    fn behind(&self, node: &NeighborNode, namespace: &Namespace) -> Result<Namespace> {
        let behind = Namespace::create(&self.id.namespace(&format!("{}-feeder", node.name)))?;
        netns::link(
            (namespace, FEEDER_LINK, &with_length(node.feeder_side())),
            (&behind, FEEDER_LINK, &with_length(node.feeder().address)),
        )?;
        Ok(behind)
    }

    fn neighbor_plan(&self, node: &NeighborNode, namespace: &Namespace) -> NeighborPlan {
        NeighborPlan {
            name: node.name.clone(),
            namespace: namespace.clone(),
            folder: self.folder(&node.name),
            autonomous_system: node.peer().autonomous_system,
            address: node.peer().address,
            router: node.router(),
            feeder: node.feeder(),
            hold_time_s: topology::HOLD_TIME_S,
            road: node.road,
            bfd_ms: node.bfd_ms,
        }
    }

    fn feeder_plan(&self, index: usize, node: &NeighborNode) -> FeederPlan {
        let (feeder, peer, hold_time_s) = if node.feeds_itself() {
            (node.peer(), node.router().address, topology::HOLD_TIME_S)
        } else {
            (node.feeder(), node.feeder_side(), feeder::HOLD_TIME_S)
        };
        let count = self.beacons.len();
        FeederPlan {
            name: format!("feeder of {}", node.name),
            address: feeder.address,
            autonomous_system: feeder.autonomous_system,
            peer,
            over: None,
            hold_time_s,
            table: Arc::new(self.table.share_bytes(index, feeder.autonomous_system, feeder.address)),
            number: node.index,
            churn: self.plan.topology.churns(node).then(|| Arc::clone(&self.churn)),
            own: Arc::new(self.table.share(index).map(|r| r.0).collect::<HashSet<_>>()),
            sends: self.beacons.get(index).cloned(),
            // Direction i goes from neighbour i to the next one.
            hears: self.beacons.get((index + count - 1) % count.max(1)).cloned().into_iter().collect(),
        }
    }

    fn start_subject(&mut self, progress: &Progress) -> Result<()> {
        let plan = SubjectPlan {
            namespace: self.router.clone(),
            folder: self.folder(ROUTER_NODE),
            topology: self.plan.topology.clone(),
            environment: self.plan.environment.clone(),
            runtime: self.plan.runtime,
            held: self.plan.held,
        };
        let subject = subject::start(self.plan.subject, plan)?;
        progress.step(&format!("the router is up: {}", subject.title()));
        self.subject = Some(subject);
        Ok(())
    }

    /// Waits for the sessions and for the whole table to have crossed the lab.
    pub fn wait_until_settled(&mut self, progress: &Progress) -> Result<()> {
        let start = Instant::now();
        self.wait_for_sessions()?;
        progress.detail(&format!("sessions are up after {:.1} s", start.elapsed().as_secs_f64()));
        self.wait_until_converged()?;
        let tables = KernelTables::count(&self.router)?;
        progress.step(&format!(
            "the table has crossed the lab in {:.1} s; {} routes in the router's kernel",
            start.elapsed().as_secs_f64(),
            tables.routes
        ));
        Ok(())
    }

    /// Waits until every session is up, by the neighbours' own tools.
    pub fn wait_for_sessions(&mut self) -> Result<()> {
        for station in &mut self.stations {
            let title = format!("the session of {} with the router", station.node.name);
            interrupt::wait_for(&title, limits::SESSIONS_UP_WITHIN, || {
                station.neighbor.check_running()?;
                match station.neighbor.session() {
                    Ok(view) if view.up => Ok(()),
                    Ok(view) => Err(format!("state {}", view.state).into()),
                    Err(error) => Err(error.into()),
                }
            })?;
        }
        Ok(())
    }

    /// Waits until every feeder has heard every route of the others, and the kernel has them.
    pub fn wait_until_converged(&self) -> Result<()> {
        let total = self.plan.routes;
        let within = limits::CONVERGED_WITHIN + limits::CONVERGED_PER_100K.mul_f64(total as f64 / 100_000.0);
        interrupt::wait_for("the table to cross the lab", within, || {
            for (index, station) in self.stations.iter().enumerate() {
                let (heard, wanted) = (station.feeder.prefixes_heard(), total - self.table.share_len(index));
                if !station.feeder.has_sent_all() || heard < wanted {
                    let why = station.feeder.last_error().unwrap_or_default();
                    return Err(
                        format!("behind {} {heard} of {wanted} routes were heard {why}", station.node.name).into()
                    );
                }
            }
            let routes = KernelTables::count(&self.router)?.routes;
            if routes >= total as u64 {
                Ok(())
            } else {
                Err(format!("{routes} of {total} routes in the router's kernel").into())
            }
        })
    }

    /// Starts the traffic in every direction; counting begins when every destination has been reached.
    pub fn start_traffic(&mut self) -> Result<()> {
        let directions = self.plan.topology.directions();
        let mut plans = Vec::with_capacity(directions.len());
        for (from, to) in directions {
            let (Some(sender), Some(receiver)) =
                (self.stations.get(usize::from(from.index)), self.stations.get(usize::from(to.index)))
            else {
                continue;
            };
            let count = limits::DESTINATIONS_PER_FLOW * limits::FLOWS_PER_DIRECTION;
            let all = self.table.destinations(usize::from(to.index), count, self.plan.seed);
            if all.is_empty() {
                return Err(LabError::Usage(format!(
                    "{} routes are too few for traffic; give --routes 1000 or more",
                    self.plan.routes
                )));
            }
            let per_flow = all.len().div_ceil(limits::FLOWS_PER_DIRECTION);
            plans.push(Direction {
                from: sender.namespace.clone(),
                to: receiver.namespace.clone(),
                name: format!("{}>{}", from.name, to.name),
                destinations: all
                    .chunks(per_flow)
                    .map(|some| some.iter().copied().map(IpAddr::from).collect())
                    .collect(),
                rate_pps: self.plan.rate_pps,
                pace: Pace::Bundled,
            });
        }
        self.traffic = Some(Traffic::start(&plans)?);
        Ok(())
    }

    /// Starts or stops the beacons.
    pub fn run_beacons(&self, running: bool) {
        self.beacons.iter().for_each(|b| b.run(running));
    }

    /// From now on all feeders together make this many changes a second; 0 ends it.
    pub fn set_churn(&self, per_second: u32) {
        let topology = &self.plan.topology;
        let feeders = topology.neighbors.iter().filter(|node| topology.churns(node)).count();
        self.churn.set(per_second / u32::try_from(feeders).unwrap_or(1).max(1));
    }

    /// The router under test.
    pub fn subject(&mut self) -> Result<&mut Box<dyn Subject>> {
        self.subject.as_mut().ok_or_else(|| LabError::Subject("the router is not running".into()))
    }

    /// Leaves the lab up until a signal asks for its end.
    pub fn keep_until_signal(&self) -> Result<()> {
        self.write_owner(true)?;
        keep::until_signal();
        Ok(())
    }

    /// Takes the lab down and verifies that nothing is left.
    pub fn remove(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.removed, true) {
            return Ok(());
        }
        self.traffic = None;
        self.watch = None;
        let stopped = match self.subject.as_mut() {
            Some(subject) if !interrupt::requested() && !std::thread::panicking() => subject.stop(),
            _ => Ok(()),
        };
        self.subject = None;
        self.stations.clear();
        let gone = cleanup::remove(&self.id).map(drop);
        if let (Some(mut guardian), true) = (self.guardian.take(), gone.is_ok()) {
            guardian.dismiss();
        }
        stopped.and(gone)
    }
}

fn with_length(address: std::net::Ipv4Addr) -> String {
    format!("{address}/24")
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            // Not eprintln: a kept lab has outlived its terminal.
            let _ = writeln!(std::io::stderr(), "error: {error}");
        }
    }
}
