//! Runs a scenario: builds the lab, starts traffic and beacons, lets a while pass with nothing happening, takes the
//! steps, lets a while pass again, takes everything down, and measures.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::{
    Bars, Scenario, Step, faults, gaps, growth,
    measure::{Stretch, Wires, beacons, measure},
};
use crate::{
    bgp::beacon::Beacon,
    error::{LabError, Result},
    host::{interrupt, procfs},
    kernel_tables::KernelTables,
    lab::{Lab, LabPlan},
    limits,
    progress::Progress,
    reference,
    result::{LabResult, Measured, PeerResult, merge},
    subject::{EngineRuntime, RunOutcome, SubjectKind},
    time::{Moment, Window, mono_ns},
    topology::Topology,
};

/// What the user chose beside the scenario.
#[derive(Debug, Clone)]
pub struct Options {
    /// The router in the middle.
    pub subject: SubjectKind,
    /// How its routing engines run.
    pub runtime: EngineRuntime,
    /// Of everything random that matters.
    pub seed: u64,
    /// Leave the lab up.
    pub keep: bool,
}

/// What is called when a lab is to be kept: with the lab, after the result is known.
pub type KeepHook<'a> = &'a mut dyn FnMut(&Lab, &LabResult) -> Result<()>;

/// Runs a scenario to its result. `print` receives the lines that the router prints during a run.
pub fn run(
    scenario: &Scenario,
    options: &Options,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
    keep: KeepHook<'_>,
) -> Result<LabResult> {
    let labs = if scenario.fresh_lab { scenario.runs.max(1) } else { 1 };
    let sizes = scenario.at_each_size();
    let mut results = Vec::new();
    for (turn, scenario) in sizes.iter().flat_map(|size| (1..=labs).map(move |_| size)).enumerate() {
        let (number, all) = (turn + 1, sizes.len() * labs as usize);
        if all > 1 {
            progress.step(&format!("lab {number} of {all}"));
        }
        let last = number == all;
        let mut hook = |lab: &Lab, result: &LabResult| if last && options.keep { keep(lab, result) } else { Ok(()) };
        let mut plan = plan(scenario);
        while !plan.is_empty() {
            results.push(one_lab(scenario, &mut plan, options, progress, print, &mut hook)?);
            if !plan.is_empty() {
                progress.step("this lab's router is broken; a new lab for what is left");
            }
        }
    }
    let mut result = together(scenario, results);
    if options.subject == SubjectKind::Holdfast && !scenario.peers.is_empty() {
        result.peers = measure_peers(scenario, options, progress, print)?;
        result.compare_with_peers(&scenario.bars);
    }
    Ok(result)
}

/// The same lab, once for each of the other routers.
fn measure_peers(
    scenario: &Scenario,
    options: &Options,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
) -> Result<Vec<PeerResult>> {
    let once = Scenario { runs: 1, bars: Bars::default(), peers: Vec::new(), ..scenario.clone() };
    let mut peers = Vec::new();
    for subject in &scenario.peers {
        progress.step(&format!("the same with {subject:?} as the router in the middle"));
        let options = Options { subject: *subject, keep: false, ..options.clone() };
        peers.push(match one_lab(&once, &mut plan(&once), &options, progress, print, &mut |_, _| Ok(())) {
            Ok(result) => PeerResult::of(&result),
            Err(error) => {
                pass_interrupt(&error)?;
                PeerResult::failed(*subject, error.to_string())
            }
        });
    }
    Ok(peers)
}

fn judge_total(scenario: &Scenario, total: &mut Measured, runs: &[Measured]) {
    total.gap.median_ms = gaps::median(runs);
    if scenario.holds_runs() {
        total.verdict = faults::judge::total(total, runs);
    } else {
        total.judge(&scenario.bars);
    }
}

/// What is done in one lab, in order, with the number of the round where there are several.
fn plan(scenario: &Scenario) -> VecDeque<(Step, Option<u32>)> {
    let rounds = if scenario.fresh_lab { 1 } else { scenario.runs.max(1) };
    let round = |number| scenario.steps.iter().map(move |step| (step.clone(), (rounds > 1).then_some(number)));
    (1..=rounds).flat_map(round).collect()
}

/// Several labs' results as one.
fn together(scenario: &Scenario, mut results: Vec<LabResult>) -> LabResult {
    if results.len() == 1 {
        return results.remove(0);
    }
    let parts: Vec<Measured> = results.iter().map(|r| r.total.clone()).collect();
    let mut total = merge(&scenario.name, &parts);
    let sizes = gaps::by_size(&results);
    total.complaints.extend(gaps::growth(&sizes, scenario.bars.gap_growth_ms));
    let runs: Vec<Measured> = results.iter_mut().flat_map(|r| std::mem::take(&mut r.runs)).collect();
    judge_total(scenario, &mut total, &runs);
    let machine_backlog_drops = results.iter().map(|r| r.machine_backlog_drops).sum();
    let baseline = results.iter_mut().flat_map(|r| std::mem::take(&mut r.baseline)).collect();
    let first = results.remove(0);
    LabResult { total, runs, sizes, baseline, machine_backlog_drops, ..first }
}

fn one_lab(
    scenario: &Scenario,
    steps: &mut VecDeque<(Step, Option<u32>)>,
    options: &Options,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
    keep: KeepHook<'_>,
) -> Result<LabResult> {
    let plan = LabPlan {
        scenario: scenario.name.clone(),
        topology: Topology::new(&scenario.neighbors)?.with_roads(&scenario.roads).with_bfd(&scenario.bfd_ms),
        routes: scenario.routes,
        shares: scenario.shares.clone(),
        rate_pps: scenario.rate,
        seed: options.seed,
        subject: options.subject,
        environment: scenario.environment.clone(),
        runtime: options.runtime,
        held: scenario.holds_runs(),
    };
    let mut lab = Lab::build(plan, progress)?;
    if scenario.rest_s > 0 {
        progress.step(&format!("the lab rests for {} s", scenario.rest_s));
        interrupt::sleep(Duration::from_secs(scenario.rest_s))?;
    }
    if !scenario.bfd_ms.is_empty() {
        bfd_is_up(&lab)?;
        progress.step("every neighbor's BFD is up");
    }
    let drops = procfs::backlog_drops();
    lab.run_beacons(true);
    lab.start_traffic()?;
    progress.step(&format!(
        "traffic runs: {} probes/s each way; beacons change every {} ms",
        scenario.rate,
        limits::BEACON_EVERY.as_millis()
    ));
    if scenario.churn > 0 {
        progress.step(&format!("the feeders change {} routes/s", scenario.churn));
        lab.set_churn(scenario.churn);
    }
    let start = Notes::take(&lab)?;
    let (churned_from, churned) = (Instant::now(), lab.churn.made());
    let baseline = observe_baseline()?;
    let mut stretches = Vec::new();
    while let Some((step, round)) = steps.pop_front() {
        stretches.push(take_step(&mut lab, &step, round, progress, print)?);
        let disturbed = matches!(step, Step::Disturb(_));
        let mut broken = disturbed && stretches.last().is_some_and(|s| s.broken);
        if disturbed && !broken {
            stretches.push(take_step(&mut lab, &Step::Reboot, None, progress, print)?);
            broken = stretches.last().is_some_and(|s| s.broken || !s.outcome.success);
        }
        if broken {
            break;
        }
    }
    interrupt::sleep(limits::AFTERMATH)?;
    let slow = churn_complaint(scenario.churn, lab.churn.made() - churned, churned_from.elapsed());
    lab.churn.stand();
    quiet(&mut lab)?;
    if scenario.bars.same_tables {
        // A beacon is waited for at one neighbour only: what was said last has to have reached all of them.
        interrupt::sleep(limits::LAST_WORDS_WITHIN)?;
    }
    let mut whole = whole_stretch(&mut lab, &start, &stretches)?;
    whole.complaints.extend(slow);
    let mut result = conclude(&mut lab, scenario, &stretches, &whole, baseline, progress);
    result.machine_backlog_drops = procfs::backlog_drops().saturating_sub(drops);
    result.options = BTreeMap::from([
        ("routes".to_owned(), scenario.routes as u64),
        ("rate".to_owned(), u64::from(scenario.rate)),
        ("seed".to_owned(), options.seed),
    ]);
    keep(&lab, &result)?;
    progress.detail("taking the lab down");
    lab.remove()?;
    progress.step("the lab is gone: no namespace, process or file is left");
    Ok(result)
}

/// Waits until every neighbour with BFD says that it is up: what is not there cannot be lost.
fn bfd_is_up(lab: &Lab) -> Result<()> {
    interrupt::wait_for("the neighbors' BFD", limits::SESSIONS_UP_WITHIN, || {
        for station in lab.stations.iter().filter(|station| station.node.bfd_ms.is_some()) {
            if !station.neighbor.bfd_is_up()? {
                return Err(format!("{}'s is not up", station.node.name).into());
            }
        }
        Ok(())
    })
}

/// What is noted at the ends of a stretch.
struct Notes {
    at: Moment,
    marks: Vec<u64>,
    downs: Vec<u64>,
    helped: Vec<u64>,
    bfd_downs: Vec<u64>,
}

impl Notes {
    fn take(lab: &Lab) -> Result<Self> {
        Ok(Self {
            marks: lab.traffic.as_ref().map(|t| t.mark()).unwrap_or_default(),
            downs: lab.stations.iter().map(|s| s.neighbor.times_down()).collect::<Result<_>>()?,
            helped: lab.stations.iter().map(|s| s.neighbor.times_helped()).collect::<Result<_>>()?,
            bfd_downs: lab.stations.iter().map(|s| s.neighbor.times_bfd_down()).collect::<Result<_>>()?,
            at: Moment::now(),
        })
    }
}

fn observe_baseline() -> Result<Window> {
    let from = Moment::now();
    interrupt::sleep(limits::BASELINE)?;
    Ok(Window { from, to: Moment::now() })
}

/// One step, from a note before to a note after.
fn take_step(
    lab: &mut Lab,
    step: &Step,
    round: Option<u32>,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
) -> Result<Stretch> {
    let name = round.map_or_else(|| title(step), |round| format!("{} {round}", title(step)));
    progress.step(&name);
    let before = Notes::take(lab)?;
    let (outcome, mut complaints) = perform(lab, step, print)?;
    let after = if lab.plan.held {
        faults::perform::wait_until_whole(lab)
    } else {
        lab.wait_until_converged().and_then(|()| beacons_flow(lab))
    };
    let broken = after.is_err();
    if let Err(error) = after {
        pass_interrupt(&error)?;
        complaints.push(format!("afterwards: {error}"));
    }
    if !lab.plan.held {
        // What was sent at the last moment shall arrive within the stretch.
        interrupt::sleep(Duration::from_secs(1))?;
    }
    let cell = match step {
        Step::Disturb(cell) => {
            complaints.extend(faults::judge::ending(cell, &outcome));
            Some(faults::judge::Cell::new(cell, &outcome))
        }
        _ => None,
    };
    let (up, processes) = (sessions_up(lab), lab.subject()?.processes());
    let processes = processes.unwrap_or_else(|error| {
        complaints.push(error.to_string());
        Vec::new()
    });
    let after = Notes::take(lab)?;
    if let Some(traffic) = &lab.traffic {
        let (sent, received) = traffic.totals();
        progress.step(&format!(
            "{name}: took {:.1} s; {sent} probes sent so far, {} received",
            outcome.took.as_secs_f64(),
            received.min(sent)
        ));
    }
    Ok(Stretch {
        name,
        window: Window { from: before.at, to: after.at },
        marks: (before.marks, after.marks),
        downs: (before.downs, after.downs),
        helped: (before.helped, after.helped),
        bfd_downs: (before.bfd_downs, after.bfd_downs),
        up,
        outcome,
        processes,
        kernel: KernelTables::count(&lab.router)?,
        run_files: lab.subject()?.run_files(),
        restarts: u64::from(restarts_sessions(step)),
        crashes: u64::from(ends_routing(step)),
        complaints,
        cell,
        broken,
    })
}

/// Whether sessions without nonstop routing restart once in it.
fn restarts_sessions(step: &Step) -> bool {
    matches!(step, Step::Reboot) || ends_routing(step)
}

/// Whether the routing process ends in it with nobody who could go on with its sessions: all of them restart once.
fn ends_routing(step: &Step) -> bool {
    match step {
        Step::CrashInRun => true,
        Step::Kill { process } => ["rpd", "chassisd"].contains(&process.as_str()),
        Step::Restart { process } => process == "routing",
        Step::Reboot | Step::Observe { .. } | Step::FailingReboot { .. } | Step::Disturb(_) => false,
    }
}

/// Waits until every beacon's changes reach the other side again: routes are exchanged.
fn beacons_flow(lab: &Lab) -> Result<()> {
    if !lab.plan.topology.has_helpers() {
        return Ok(());
    }
    let since = mono_ns();
    interrupt::wait_for("changes of routes to reach the other side", limits::CONVERGED_WITHIN, || {
        match lab.beacons.iter().find(|beacon| !beacon.heard_since(since)) {
            Some(beacon) => Err(format!("none of {} since the reboot", beacon.name).into()),
            None => Ok(()),
        }
    })
}

fn pass_interrupt(error: &LabError) -> Result<()> {
    if matches!(error, LabError::Interrupted) { Err(LabError::Interrupted) } else { Ok(()) }
}

fn sessions_up(lab: &Lab) -> Vec<bool> {
    lab.stations.iter().map(|s| s.neighbor.session().is_ok_and(|view| view.up)).collect()
}

fn title(step: &Step) -> String {
    match step {
        Step::Observe { seconds } => format!("observe for {seconds} s"),
        Step::Reboot => "in-service reboot".into(),
        Step::FailingReboot { fault } => format!("in-service reboot, {fault:?} of the new engine").to_lowercase(),
        Step::Kill { process } => format!("kill -9 of {process}"),
        Step::Restart { process } => format!("restart {process}"),
        Step::CrashInRun => "kill -9 of rpd while a run is prepared".into(),
        Step::Disturb(cell) => cell.title(),
    }
}

/// Does it. What the router did wrong is a complaint, not an error: the evidence is wanted all the more.
fn perform(lab: &mut Lab, step: &Step, print: &mut dyn FnMut(&str)) -> Result<(RunOutcome, Vec<String>)> {
    if let Step::Disturb(cell) = step {
        return faults::perform::perform(lab, cell, print);
    }
    let subject = lab.subject()?;
    let start = std::time::Instant::now();
    let outcome = match step {
        Step::Observe { seconds } => interrupt::sleep(Duration::from_secs(*seconds)).map(|()| RunOutcome::default()),
        Step::Reboot => subject.reboot(print),
        Step::FailingReboot { fault } => subject.reboot_with_fault(*fault, print),
        Step::Disturb(_) => Ok(RunOutcome::default()),
        Step::CrashInRun => subject.crash_in_run(print),
        Step::Kill { process } => subject.kill_and_wait(process).map(|()| RunOutcome::default()),
        Step::Restart { process } => subject.restart(process).map(|()| RunOutcome::default()),
    };
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error @ (LabError::Interrupted | LabError::Usage(_))) => return Err(error),
        Err(error) => {
            let outcome = RunOutcome { took: start.elapsed(), ..RunOutcome::default() };
            return Ok((outcome, vec![format!("{}: {error}", title(step))]));
        }
    };
    if outcome.took.is_zero() {
        outcome.took = start.elapsed();
    }
    let complaints = required(step, &outcome).into_iter().collect();
    Ok((outcome, complaints))
}

/// What a step requires of the run's end.
fn required(step: &Step, outcome: &RunOutcome) -> Option<String> {
    let last = outcome.log.iter().rev().find(|l| !l.trim().is_empty()).map_or("nothing", String::as_str);
    match step {
        Step::Reboot if !outcome.success => Some(format!("the reboot failed; the router's last word: {last}")),
        Step::Reboot if outcome.control_plane_ms.is_none() => {
            Some("the router's report has no control-plane gap".into())
        }
        Step::FailingReboot { .. } | Step::CrashInRun if outcome.success => {
            Some("the run succeeded although one of its engines was disturbed".into())
        }
        Step::FailingReboot { .. } | Step::CrashInRun if !says_undone(outcome) => {
            Some(format!("the run's log does not say that it was undone; the router's last word: {last}"))
        }
        _ => None,
    }
}

fn says_undone(outcome: &RunOutcome) -> bool {
    let words = ["undone", "rolled back", "rollback", "rolling back", "thaw"];
    let text = outcome.log.iter().chain(&outcome.verdict).map(|l| l.to_lowercase()).collect::<Vec<_>>().join("\n");
    words.iter().any(|word| text.contains(word))
}

/// Whether the feeders kept up with the churn that was asked for, from the changes they made in a time.
pub(super) fn churn_complaint(per_second: u32, made: u64, took: Duration) -> Option<String> {
    let rate = made as f64 / took.as_secs_f64().max(0.001);
    (rate < f64::from(per_second) * limits::CHURN_RATE_LEAST)
        .then(|| format!("the feeders made {rate:.0} changes/s, required {per_second}"))
}

/// Ends the beacons, then the traffic, and waits for what is under way.
fn quiet(lab: &mut Lab) -> Result<()> {
    lab.run_beacons(false);
    let end = std::time::Instant::now() + limits::STRAGGLERS_WITHIN;
    while !lab.beacons.iter().all(|b: &std::sync::Arc<Beacon>| b.all_heard()) && std::time::Instant::now() < end {
        interrupt::sleep(limits::POLL_EVERY)?;
    }
    if let Some(traffic) = &mut lab.traffic {
        traffic.stop();
    }
    interrupt::check()
}

/// From the start of the traffic to now.
fn whole_stretch(lab: &mut Lab, start: &Notes, stretches: &[Stretch]) -> Result<Stretch> {
    let end = Notes::take(lab)?;
    let slowest = stretches.iter().max_by_key(|s| s.outcome.took).map(|s| s.outcome.clone()).unwrap_or_default();
    let gap = stretches.iter().filter_map(|s| s.outcome.control_plane_ms).reduce(f64::max);
    let processes = stretches.last().map(|s| s.processes.clone()).unwrap_or_default();
    Ok(Stretch {
        name: lab.plan.scenario.clone(),
        window: Window { from: start.at, to: end.at },
        marks: (start.marks.clone(), end.marks),
        downs: (start.downs.clone(), end.downs),
        helped: (start.helped.clone(), end.helped),
        bfd_downs: (start.bfd_downs.clone(), end.bfd_downs),
        up: sessions_up(lab),
        outcome: RunOutcome { control_plane_ms: gap, log: Vec::new(), ..slowest },
        processes,
        kernel: KernelTables::count(&lab.router)?,
        run_files: lab.subject()?.run_files(),
        restarts: stretches.iter().map(|s| s.restarts).sum(),
        crashes: stretches.iter().map(|s| s.crashes).sum(),
        // Those of a fault matrix's cells are told cell by cell.
        complaints: stretches.iter().filter(|_| !lab.plan.held).flat_map(|s| s.complaints.clone()).collect(),
        cell: None,
        broken: false,
    })
}

fn conclude(
    lab: &mut Lab,
    scenario: &Scenario,
    stretches: &[Stretch],
    whole: &Stretch,
    baseline: Window,
    progress: &Progress,
) -> LabResult {
    let wires = Wires::stop_and_read(lab, scenario.bars.same_tables);
    let runs: Vec<_> = stretches.iter().map(|s| measure(lab, &wires, s, &scenario.bars, false)).collect();
    let mut total = measure(lab, &wires, whole, &scenario.bars, true);
    if scenario.bars.no_growth {
        let reboots: Vec<_> = runs.iter().filter(|run| run.cell.is_none()).collect();
        total.complaints.extend(growth::complaints(&reboots, lab.beacons.len()));
    }
    if scenario.bars.same_tables {
        progress.step("a router that never rebooted is fed the same");
        match wires.conversations().and_then(|said| reference::compare(&lab.plan.topology, &said)) {
            Ok(tables) => total.tables = tables,
            Err(error) => total.missing_evidence.push(format!("what a router that never rebooted tells: {error}")),
        }
    }
    judge_total(scenario, &mut total, &runs);
    LabResult {
        scenario: scenario.name.clone(),
        subject: lab.subject.as_ref().map(|s| s.title()).unwrap_or_default(),
        total,
        baseline: beacons(lab, baseline),
        machine_backlog_drops: 0,
        options: BTreeMap::new(),
        sizes: Vec::new(),
        runs,
        peers: Vec::new(),
    }
}
