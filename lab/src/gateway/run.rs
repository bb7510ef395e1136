//! Runs a scenario: builds the place, waits until the router has all routes from both gateways, sends packets, takes the gateway away and brings it
//! back in each way, before and after an in-service reboot, and looks after each step what was lost.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Instant,
};

use super::{
    gateways::Gateway,
    judge::Interruption,
    place::{Place, Role},
    router,
    scenario::{GatewayLoss, Paths, Step},
};
use crate::{
    bench::setting::Setting,
    bgp::table::Table,
    error::{LabError, Result},
    family::Family,
    host::{
        interrupt::{self, NotYet},
        netns::Namespace,
        procfs, programs,
    },
    kernel_tables::{self, KernelTables},
    kernel_watch::KernelWatch,
    limits,
    progress::Progress,
    result::{GapResult, LabResult, Measured, merge},
    scenario::Bars,
    subject::{EngineRuntime, Holdfast, RunOutcome, Subject, SubjectPlan},
    time::{Moment, Window},
    topology::Topology,
    traffic::{Direction, Traffic, sender::Pace},
};

/// What the user chose beside the scenario.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// How the router's engines run.
    pub runtime: EngineRuntime,
    /// Of the table.
    pub seed: u64,
}

/// What is called when the result is known and everything is still up, with the router's command line.
pub type Hook<'a> = &'a mut dyn FnMut(&Setting, Option<String>, &LabResult) -> Result<()>;

/// Runs it to its result. `print` receives what the router prints in a reboot.
pub fn run(
    scenario: &GatewayLoss,
    choices: &Choices,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
    hook: Hook<'_>,
) -> Result<LabResult> {
    programs::require_root()?;
    [programs::IP, programs::CHRT].iter().try_for_each(|p| p.find().map(drop))?;
    interrupt::install()?;
    let drops = procfs::backlog_drops();
    let mut run = Run::start(scenario, choices, progress)?;
    let mut runs = Vec::new();
    for step in scenario.steps() {
        let (measured, settled) = run.take(step, print)?;
        runs.push(measured);
        if !settled {
            progress.step("the router has not settled: what is left of the scenario would prove nothing");
            break;
        }
    }
    run.conclude(runs, drops, choices.seed, hook)
}

/// A scenario that is on its way.
struct Run<'a> {
    // The traffic ends first, the place is removed last.
    traffic: Traffic,
    watch: KernelWatch,
    gateways: [Gateway; 2],
    router: Holdfast,
    place: Place,
    scenario: &'a GatewayLoss,
    progress: &'a Progress,
    /// For each of these addresses the longest match is one of the routes.
    destinations: Vec<IpAddr>,
}

impl<'a> Run<'a> {
    fn start(scenario: &'a GatewayLoss, choices: &Choices, progress: &'a Progress) -> Result<Self> {
        let table = Table::generate(scenario.routes, 1, choices.seed);
        let count = limits::DESTINATIONS_PER_FLOW * limits::FLOWS_PER_DIRECTION;
        let destinations = table.destinations(0, count, choices.seed);
        let destinations = destinations.into_iter().map(|address| scenario.family.address(address)).collect();
        let place = Place::build(scenario.name, scenario.family)?;
        progress.step(&format!("{}: {} routes, each by two gateways", scenario.name, scenario.routes));
        let watch = KernelWatch::start(&place.setting.router, Vec::new())?;
        let plan = SubjectPlan {
            namespace: place.setting.router.clone(),
            folder: place.setting.folder().join("router"),
            topology: Topology { neighbors: Vec::new() },
            environment: Vec::new(),
            runtime: choices.runtime,
            held: false,
        };
        let router = Holdfast::start_with(plan, &router::configuration(scenario))?;
        progress.step(&format!("the router is up: {}", router.title()));
        let start = |role| Gateway::start(&place, role, scenario, &table);
        let gateways = [start(Role::Primary)?, start(Role::Backup)?];
        let traffic = Traffic::idle();
        let mut run = Self { traffic, watch, gateways, router, place, scenario, progress, destinations };
        let began = Instant::now();
        run.wait_until_settled(true)?;
        progress.step(&format!("the router has all routes from both after {:.1} s", began.elapsed().as_secs_f64()));
        run.traffic = Traffic::start(&[run.direction()])?;
        progress.step(&format!("traffic runs: {} probes/s", scenario.rate));
        Ok(run)
    }

    fn direction(&self) -> Direction {
        let per_flow = self.destinations.len().div_ceil(limits::FLOWS_PER_DIRECTION).max(1);
        Direction {
            from: self.place.source.clone(),
            to: self.place.setting.world.clone(),
            name: "source>world".into(),
            destinations: self.destinations.chunks(per_flow).map(<[_]>::to_vec).collect(),
            rate_pps: self.scenario.rate,
            pace: Pace::Single,
        }
    }

    /// Does it, waits until the router has settled, and says what was lost meanwhile, and whether it has settled.
    fn take(&mut self, step: Step, print: &mut dyn FnMut(&str)) -> Result<(Measured, bool)> {
        let name = self.scenario.title(step);
        self.progress.step(&name);
        let (marks, writes) = (self.traffic.mark(), self.watch.count());
        let downs = self.gateways.each_ref().map(|gateway| (gateway.times_down(), gateway.times_bfd_down()));
        let _ = self.stood_still_ms();
        let (from, routes) = (Moment::now(), RouteCount::start(&self.place.setting.router, self.scenario.family)?);
        let mut outcome = RunOutcome::default();
        let event = match step {
            Step::Rest => None,
            Step::Lose(loss) => Some(self.place.set(loss, false)?),
            Step::Return(loss) => Some(self.place.set(loss, true)?),
            Step::Reboot => {
                outcome = self.router.reboot(print)?;
                None
            }
        };
        interrupt::sleep(limits::BASELINE)?;
        let settled = complaint(self.wait_until_settled(!matches!(step, Step::Lose(_))))?;
        let seconds = Window { from, to: Moment::now() }.seconds();
        let marks_after = self.traffic.mark();
        // What was sent at the last moment shall arrive within the step.
        interrupt::sleep(limits::ARRIVED_WITHIN)?;
        let (least_routes, end) = (routes.least()?, Moment::now());
        let window = Window { from, to: end };
        let outage = self.traffic.outage(&marks, &marks_after);
        let interruption = Interruption {
            routes: self.scenario.routes as u64,
            least_routes,
            stood_still_ms: self.stood_still_ms(),
            kernel_writes: (!self.watch.was_overrun(window)).then(|| self.watch.count() - writes),
            ..Interruption::of(outage, event, end, self.scenario.limit(step))
        };
        let kernel_writes = interruption.kernel_writes;
        self.progress.step(&summary(&interruption, seconds));
        let mut complaints = interruption.complaints();
        for (role, (gateway, before)) in Role::ALL.into_iter().zip(self.gateways.iter().zip(downs)) {
            let is_meant = role == Role::Primary && matches!(step, Step::Lose(_) | Step::Return(_));
            let ended =
                [("the session", gateway.times_down() - before.0), ("BFD", gateway.times_bfd_down() - before.1)];
            for (what, times) in ended.into_iter().filter(|(_, times)| *times > 0 && !is_meant) {
                complaints.push(format!("{what} of the {} gateway ended {times} times", role.name()));
            }
        }
        match step {
            Step::Reboot => complaints.extend(reboot_complaints(&outcome, kernel_writes)),
            Step::Return(_) => complaints.extend(return_complaint(kernel_writes)),
            Step::Rest | Step::Lose(_) => {}
        }
        let has_settled = settled.is_none();
        complaints.extend(settled);
        let mut measured = Measured {
            complaints: complaints.iter().map(|words| format!("{name}: {words}")).collect(),
            name,
            seconds,
            phases: outcome.phases,
            log: outcome.log,
            gap: GapResult { control_plane_ms: outcome.control_plane_ms, ..GapResult::default() },
            traffic: self.traffic.report(Some((&marks, &marks_after)), Some(window)),
            kernel: KernelTables::count_gently(&self.place.setting.router, self.scenario.family)?,
            interruption: Some(interruption),
            ..Measured::default()
        };
        measured.judge(&Bars::default());
        Ok((measured, has_settled))
    }

    /// For how long, at most, the machine stood still since this was asked last.
    fn stood_still_ms(&self) -> f64 {
        self.gateways.iter().map(Gateway::stood_still).max().unwrap_or_default().as_secs_f64() * 1000.0
    }

    /// Waits until routes, next hops and what the gateways were told are as they must be, and nothing of it changes any more.
    fn wait_until_settled(&mut self, primary: bool) -> Result<()> {
        let hundreds = self.scenario.routes as f64 / 100_000.0;
        let within = limits::CONVERGED_WITHIN + limits::CONVERGED_PER_100K.mul_f64(hundreds);
        let title = if primary { "the router to use the gateway" } else { "the router to do without the gateway" };
        interrupt::wait_for(title, within, || self.is_settled(primary))
    }

    /// What is cheap to ask is asked first: the machine is the router's as well.
    fn is_settled(&mut self, primary: bool) -> std::result::Result<(), NotYet> {
        if !self.watch.is_quiet(limits::SETTLED_AFTER) {
            return Err("the kernel's tables still change".into());
        }
        let routes = self.scenario.routes;
        let [first, second] = &self.gateways;
        let heard = first.heard() + second.heard();
        if primary {
            if let Some(why) = first.not_ready().or_else(|| second.not_ready()) {
                return Err(why.into());
            }
            // Of every route one path is the best, and told to the other gateway.
            if heard != routes {
                return Err(format!("the gateways were told {heard} of {routes} routes").into());
            }
            if !(first.bfd_is_up() && second.bfd_is_up()) {
                return Err("BFD is not up with both gateways".into());
            }
        } else if second.heard() > 0 {
            return Err(format!("the other gateway still has {} routes by the lost one", second.heard()).into());
        }
        let there = self.place.setting.router.inside(kernel_tables::gentle_counter(self.scenario.family))?;
        if there < routes as u64 {
            return Err(format!("{there} of {routes} routes are in the kernel").into());
        }
        self.uses_the_right_gateways(primary)
    }

    fn uses_the_right_gateways(&self, primary: bool) -> std::result::Result<(), NotYet> {
        let lines: String = self.destinations.iter().map(|address| format!("route get {address}\n")).collect();
        let text = self.place.setting.router.ip_batch(&lines)?;
        let [first, second] = Role::ALL.map(|role| count_by(&text, role, self.scenario.family));
        let all = self.destinations.len();
        let right = match (primary, self.scenario.paths) {
            (false, _) => second == all,
            (true, Paths::Best) => first == all,
            // Addresses are hashed onto the two: neither has next to nothing.
            (true, Paths::Together) => first + second == all && first.min(second) * 4 > all,
        };
        let words = || format!("of {all} destinations {first} are by the primary gateway, {second} by the backup");
        if right { Ok(()) } else { Err(words().into()) }
    }

    fn conclude(mut self, runs: Vec<Measured>, drops: u64, seed: u64, hook: Hook<'_>) -> Result<LabResult> {
        self.traffic.stop();
        let mut total = merge(self.scenario.name, &runs);
        total.interruption = Interruption::worst(runs.iter().filter_map(|run| run.interruption.as_ref()));
        total.judge(&Bars::default());
        let result = LabResult {
            scenario: self.scenario.name.into(),
            subject: self.router.title(),
            total,
            baseline: Vec::new(),
            machine_backlog_drops: procfs::backlog_drops().saturating_sub(drops),
            options: BTreeMap::from([
                ("routes".to_owned(), self.scenario.routes as u64),
                ("rate".to_owned(), u64::from(self.scenario.rate)),
                ("seed".to_owned(), seed),
            ]),
            sizes: Vec::new(),
            runs,
            peers: Vec::new(),
        };
        hook(&self.place.setting, self.router.login(), &result)?;
        let stopped = self.router.stop();
        let Self { gateways, mut place, progress, .. } = self;
        drop(gateways);
        let gone = place.setting.remove();
        stopped.and(gone)?;
        progress.step("the lab is gone: no namespace, process or file is left");
        Ok(result)
    }
}

/// What an in-service reboot must not do: fail, or write to the kernel.
fn reboot_complaints(outcome: &RunOutcome, kernel_writes: Option<u64>) -> Vec<String> {
    let mut words = Vec::new();
    if !outcome.success {
        let last = outcome.log.iter().rev().find(|line| !line.trim().is_empty()).map_or("nothing", String::as_str);
        words.push(format!("the reboot failed; the router's last word: {last}"));
    }
    match kernel_writes {
        Some(0) => {}
        Some(writes) => words.push(format!("{writes} needless writes to the kernel's tables")),
        None => words.push("more needless writes to the kernel's tables than the kernel could tell".into()),
    }
    words
}

/// What a return must not do: write every route anew.
fn return_complaint(kernel_writes: Option<u64>) -> Option<String> {
    match kernel_writes {
        Some(writes) if writes <= limits::RETURN_WRITES_MAX => None,
        Some(writes) => Some(format!("{writes} writes to the kernel's tables, allowed {}", limits::RETURN_WRITES_MAX)),
        None => Some("more writes to the kernel's tables than the kernel could tell".into()),
    }
}

/// Lines of `ip route get` that lead to a gateway.
fn count_by(text: &str, role: Role, family: Family) -> usize {
    let via = format!(" via {} ", role.addresses(family).gateway);
    text.lines().filter(|line| line.contains(&via)).count()
}

fn summary(interruption: &Interruption, seconds: f64) -> String {
    let Interruption { lost, ms, least_routes, kernel_writes, stood_still_ms, .. } = interruption;
    let writes = kernel_writes.map_or_else(|| "more than the kernel could tell".into(), |writes| writes.to_string());
    format!(
        "  {lost} lost, within {ms:.1} ms; settled after {seconds:.1} s; never fewer than {least_routes} routes; {writes} changes of the kernel's tables; the machine stood still for {stood_still_ms:.0} ms at most"
    )
}

/// What did not come about, unless there is no use in going on.
fn complaint(result: Result<()>) -> Result<Option<String>> {
    match result {
        Ok(()) => Ok(None),
        Err(error @ (LabError::Interrupted | LabError::Fatal(_))) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Looks every now and then how many routes the kernel has: that they went, nobody is told. In a way that is made piece by piece: the kernel's own
/// statistics of a million routes, and a dump of them, hold a processor for longer than some BFD packets may be late.
struct RouteCount {
    stop: Arc<AtomicBool>,
    least: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl RouteCount {
    fn start(namespace: &Namespace, family: Family) -> Result<Self> {
        let count = kernel_tables::gentle_counter(family);
        let (stop, least) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(u64::MAX)));
        let (stopped, fewest) = (Arc::clone(&stop), Arc::clone(&least));
        let thread = namespace.spawn_thread("kernel routes", move || {
            let mut pause = limits::ROUTES_COUNTED_EVERY;
            while !stopped.load(Ordering::Relaxed) && !interrupt::requested() {
                std::thread::sleep(pause);
                let began = Instant::now();
                fewest.fetch_min(count()?, Ordering::Relaxed);
                pause = limits::ROUTES_COUNTED_EVERY.max(began.elapsed() * limits::ROUTES_COUNTED_SHARE);
            }
            Ok(())
        })?;
        Ok(Self { stop, least, thread: Some(thread) })
    }

    /// The fewest there were.
    fn least(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        ended.unwrap_or_else(|_| Err(LabError::Protocol("counting the kernel's routes panicked".into())))?;
        Ok(self.least.load(Ordering::Relaxed))
    }
}

impl Drop for RouteCount {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reboot_that_fails_or_writes_is_told() {
        let good = RunOutcome { success: true, ..RunOutcome::default() };
        assert!(reboot_complaints(&good, Some(0)).is_empty());
        assert!(reboot_complaints(&good, Some(2))[0].contains("2 needless writes"));
        let failed = RunOutcome { log: vec!["why".into(), String::new()], ..RunOutcome::default() };
        assert!(reboot_complaints(&failed, None)[0].contains("last word: why"));
    }

    #[test]
    fn a_return_that_writes_routes_is_told() {
        assert_eq!(return_complaint(Some(4)), None);
        assert!(return_complaint(Some(10_004)).is_some_and(|words| words.contains("10004 writes")));
        assert!(return_complaint(None).is_some());
    }

    #[test]
    fn ways_are_counted_by_gateway() {
        let text = "1.2.3.4 via 10.111.1.2 dev to-primary src 10.111.1.1 uid 0 \n    cache \n5.6.7.8 via 10.111.2.2 dev to-backup src 10.111.2.1 uid 0\n9.9.9.9 via 10.111.1.20 dev x\n";
        assert_eq!(Role::ALL.map(|role| count_by(text, role, Family::Inet)), [1, 1]);
        let text =
            "2a00:102::1 from :: via 2001:db8:2::2 dev to-backup proto 72 src 2001:db8:2::1 metric 20 pref medium\n";
        assert_eq!(Role::ALL.map(|role| count_by(text, role, Family::Inet6)), [0, 1]);
    }
}
