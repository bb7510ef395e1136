//! Runs an interoperation scenario: builds the place, lets everybody announce, follows the script, and after each step looks
//! whether every neighbour sees what it must see, and whether a session was touched.

use std::{collections::BTreeMap, time::Instant};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::Value;

use super::{
    checks, evidence,
    expect::{Absence, World},
    offer::{self, Offer},
    peer::{ESTABLISHED, Maker, Peer, PeerPlan},
    place::Place,
    router,
    scenario::{Interop, Step},
    seen::{self, Table},
    session_steps::{Parties, wait_until_up},
};
use crate::{
    bench::setting::Setting,
    capture::{
        analysis::{Wire, WireReport},
        tcpdump::Capture,
    },
    error::{LabError, Result},
    host::{interrupt, programs},
    kernel_tables::KernelTables,
    limits,
    progress::Progress,
    result::{LabResult, Measured, SessionResult, merge},
    scenario::Bars,
    subject::{EngineRuntime, Holdfast, REBOOT, RunOutcome, Subject, SubjectPlan, cli},
    time::{Moment, Window},
    topology::Topology,
};

/// A route that comes and goes while the router reboots.
const COMES_AND_GOES: Offer = Offer {
    shared: false,
    path_id: None,
    originator: None,
    clusters: Vec::new(),
    number: 20,
    title: "comes and goes",
    path: Vec::new(),
    set: Vec::new(),
    origin: offer::Origin::Igp,
    med: None,
    communities: Vec::new(),
    large: Vec::new(),
    targets: Vec::new(),
};
/// Minutes to confirm in: longer than the script needs.
const CONFIRM_MINUTES: u32 = 5;
/// Differences that one complaint names.
const NAMED_MAX: usize = 4;

/// What the user chose beside the scenario.
#[derive(Debug, Clone, Copy)]
pub struct Choices {
    /// How the router's engines run.
    pub runtime: EngineRuntime,
    /// How often the script is followed.
    pub runs: u32,
    /// Of who changes what he announces while the router reboots, and when.
    pub seed: u64,
}

/// What is called when the result is known and everything is still up, with the router's command line.
pub type Hook<'a> = &'a mut dyn FnMut(&Setting, Option<String>, &LabResult) -> Result<()>;

/// Runs it to its result. `print` receives what the router prints in a run.
pub fn run(
    scenario: &Interop,
    choices: &Choices,
    progress: &Progress,
    print: &mut dyn FnMut(&str),
    hook: Hook<'_>,
) -> Result<LabResult> {
    programs::require_root()?;
    scenario.neighbors.iter().try_for_each(|neighbor| neighbor.maker.check_installed())?;
    interrupt::install()?;
    let place = Place::build(scenario)?;
    progress.step(&format!("{}: {} neighbors", scenario.name, scenario.neighbors.len()));
    let mut run = Run::start(scenario, choices, place, progress)?;
    let mut stretches = vec![run.first_sight()?];
    for round in 1..=choices.runs.max(1) {
        if choices.runs > 1 {
            progress.step(&format!("round {round} of {}", choices.runs));
        }
        for step in &scenario.steps {
            stretches.push(run.take(*step, print)?);
        }
    }
    run.conclude(stretches, hook)
}

/// What the first and the last word of a stretch of time are.
struct Stretch {
    name: String,
    window: Window,
    /// Sessions are set up in it.
    begins: bool,
    /// Everything was asked for again in it.
    asked: bool,
    /// Whose sessions were to end in it, or to begin.
    excused: Vec<bool>,
    flaps: Vec<u64>,
    up: Vec<bool>,
    outcome: RunOutcome,
    complaints: Vec<String>,
}

impl Stretch {
    /// A step that ends sessions has ended each of them so often; what is left of the flaps nobody asked for.
    fn expect_ends(&mut self, step: Step, plans: &[PeerPlan]) {
        for (plan, flaps) in plans.iter().zip(&mut self.flaps) {
            let (least, most) = step.ends(plan.maker);
            let sessions = plan.sessions.len() as u64;
            if *flaps < least * sessions {
                let of = plan.maker.name();
                self.complaints.push(format!("{of} saw {flaps} sessions end, required are {}", least * sessions));
            }
            *flaps = flaps.saturating_sub(most * sessions);
            self.begins |= most > 0;
        }
    }
}

/// A scenario that is on its way.
pub(super) struct Run<'a> {
    // The neighbours end first, the place is removed last.
    pub(super) peers: Vec<Box<dyn Peer>>,
    pub(super) router: Holdfast,
    pub(super) place: Place,
    pub(super) scenario: &'a Interop,
    progress: &'a Progress,
    /// What each neighbour announces, in their order.
    pub(super) offers: Vec<Vec<Offer>>,
    pub(super) changed: bool,
    /// Who is not there, in their order.
    pub(super) absent: Vec<Option<Absence>>,
    random: SmallRng,
}

impl<'a> Run<'a> {
    fn start(scenario: &'a Interop, choices: &Choices, place: Place, progress: &'a Progress) -> Result<Self> {
        let plan = SubjectPlan {
            namespace: place.setting.router.clone(),
            folder: place.setting.folder().join("router"),
            topology: Topology { neighbors: Vec::new() },
            environment: Vec::new(),
            runtime: choices.runtime,
            held: false,
        };
        let router = Holdfast::start_with(plan, &router::configuration(&place.plans, scenario.topic.chapter()))?;
        progress.step(&format!("the router is up: {}", router.title()));
        let peers = place.plans.iter().map(|plan| plan.maker.start(plan.clone())).collect::<Result<_>>()?;
        let random = SmallRng::seed_from_u64(choices.seed);
        let absent = vec![None; place.plans.len()];
        Ok(Self { peers, router, place, scenario, progress, offers: Vec::new(), changed: false, absent, random })
    }

    /// Sessions come up, everybody announces, everybody sees.
    fn first_sight(&mut self) -> Result<Stretch> {
        let from = Moment::now();
        for (peer, plan) in self.peers.iter_mut().zip(&self.place.plans) {
            for session in &plan.sessions {
                wait_until_up(peer.as_mut(), plan, session)?;
                self.progress.detail(&format!("{} shows: {}", plan.maker.name(), peer.view(session)?));
            }
        }
        let downs = self.downs()?;
        self.offer()?;
        let complaints = self.look()?;
        self.stretch("everybody sees everything", from, &downs, RunOutcome::default(), complaints)
            .map(|stretch| Stretch { begins: true, ..stretch })
    }

    fn take(&mut self, step: Step, print: &mut dyn FnMut(&str)) -> Result<Stretch> {
        let (from, downs, before) = (Moment::now(), self.downs()?, self.tables()?);
        let name = match step {
            Step::Change => "every neighbor changes what it announces",
            Step::AskAgain => "everything is asked for again",
            Step::Reboot => "in-service reboot while neighbors change what they announce",
            Step::TakenBack => "in-service reboot taken back after the switch",
            Step::Exceed(_) => "half of the neighbors announce too much",
            Step::Die(_) => "half of the neighbors die",
            Step::Return => "who was away comes back",
            Step::Anew => "the router begins every session anew",
            Step::NewKeys => "every session gets another key",
            Step::Crash => "kill -9 of rpd",
            Step::Words => "each side ends every session with words for the other's operator",
        };
        let mut excused: Vec<bool> = self.absent.iter().map(Option::is_some).collect();
        self.progress.step(name);
        let (mut outcome, mut complaints) = (RunOutcome::default(), Vec::new());
        match step {
            Step::Change => self.change()?,
            Step::AskAgain => self.ask_again()?,
            Step::Reboot => {
                outcome = self.reboot(print)?;
                if !outcome.success {
                    let last = outcome.log.last().cloned().unwrap_or_default();
                    complaints.push(format!("the reboot failed; the router\'s last word: {last}"));
                }
            }
            Step::TakenBack => (outcome, complaints) = self.taken_back(print)?,
            Step::Exceed(half) => complaints = self.exceed(half)?,
            Step::Die(half) => self.die(half)?,
            Step::Return => self.bring_back()?,
            Step::Anew => complaints.extend(complaint(self.parties().begin_anew())?),
            Step::NewKeys => complaints.extend(complaint(self.parties().change_keys())?),
            Step::Words => complaints.extend(complaint(self.parties().exchange_words())?),
            Step::Crash => complaints = self.crash()?,
        }
        excused.iter_mut().zip(&self.absent).for_each(|(excused, absence)| *excused |= absence.is_some());
        complaints.iter().for_each(|complaint| self.progress.step(complaint));
        complaints.extend(self.look()?);
        if matches!(step, Step::Reboot | Step::TakenBack) {
            complaints.extend(checks::told_anew(&self.names(), &before, &self.tables()?));
        }
        let mut stretch = self.stretch(name, from, &downs, outcome, complaints)?;
        stretch.expect_ends(step, &self.place.plans);
        stretch.flaps.iter_mut().zip(&excused).filter(|(_, excused)| **excused).for_each(|(flaps, _)| *flaps = 0);
        Ok(Stretch { asked: step == Step::AskAgain, excused, ..stretch })
    }

    fn parties(&mut self) -> Parties<'_> {
        Parties { router: self.router.cli(), peers: &mut self.peers, plans: &self.place.plans }
    }

    fn stretch(
        &mut self,
        name: &str,
        from: Moment,
        downs: &[u64],
        outcome: RunOutcome,
        complaints: Vec<String>,
    ) -> Result<Stretch> {
        let flaps = self.downs()?.iter().zip(downs).map(|(after, before)| after.saturating_sub(*before)).collect();
        let up = (self.peers.iter().zip(&self.place.plans).zip(&self.absent))
            .map(|((peer, plan), absence)| {
                let is_up = |session| peer.state(session).is_ok_and(|state| state == ESTABLISHED);
                absence.is_some() || plan.sessions.iter().all(is_up)
            })
            .collect();
        let window = Window { from, to: Moment::now() };
        let (begins, asked, excused) = (false, false, vec![false; self.absent.len()]);
        Ok(Stretch { name: name.into(), window, begins, asked, excused, flaps, up, outcome, complaints })
    }

    pub(super) fn downs(&self) -> Result<Vec<u64>> {
        self.peers.iter().map(|peer| peer.times_down()).collect()
    }

    /// What everybody announces from now on, as far as they can.
    fn offer(&mut self) -> Result<()> {
        let chapter = self.scenario.topic.chapter();
        self.offers.resize(self.place.plans.len(), Vec::new());
        let all = self.peers.iter_mut().zip(&self.place.plans).zip(&mut self.offers).zip(&self.absent);
        // Of who is not there what it announced at last counts.
        for (((peer, plan), offers), _) in all.filter(|(_, absence)| absence.is_none()) {
            *offers = possible(plan.maker, chapter.offers(plan, self.changed));
            peer.offer(offers)?;
        }
        Ok(())
    }

    fn change(&mut self) -> Result<()> {
        self.changed = !self.changed;
        self.offer()
    }

    fn ask_again(&mut self) -> Result<()> {
        for (peer, plan) in self.peers.iter().zip(&self.place.plans) {
            if plan.maker.cannot_ask().is_none() {
                peer.ask_again()?;
            }
            if plan.maker.cannot_answer().is_some() {
                continue;
            }
            for session in &plan.sessions {
                self.router.cli().text(&format!("clear bgp neighbor {} soft-inbound", session.local))?;
            }
        }
        // Nothing changes by it: what comes again has to have come before it is looked at.
        interrupt::sleep(limits::ASKED_AGAIN_WITHIN)
    }

    /// Some announce one route more, the others do not, or no longer.
    fn come_and_go(&mut self) -> Result<()> {
        let all = self.peers.iter_mut().zip(&self.offers).zip(&self.absent);
        for ((peer, steady), _) in all.filter(|(_, absence)| absence.is_none()) {
            let more = self.random.random_bool(0.5).then_some(COMES_AND_GOES);
            peer.offer(&steady.iter().cloned().chain(more).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// An in-service reboot, with changes from its first moment to its last.
    fn reboot(&mut self, print: &mut dyn FnMut(&str)) -> Result<RunOutcome> {
        let (start, mut log) = (Instant::now(), Vec::new());
        let mut running = self.router.cli().start(REBOOT)?;
        self.change()?;
        while !running.has_ended() && start.elapsed() < limits::RUN_WITHIN {
            running.drain(|line| {
                print(line);
                log.push(line.to_owned());
            });
            self.come_and_go()?;
            interrupt::sleep(limits::POLL_EVERY.mul_f64(self.random.random_range(0.0..2.0)))?;
        }
        let status = running.finish(limits::RUN_WITHIN, |line| {
            print(line);
            log.push(line.to_owned());
        })?;
        let took = start.elapsed();
        self.offer()?;
        Ok(self.router.outcome(status.success(), log, took))
    }

    /// A reboot that is aborted once the new engine is primary and its neighbours have seen a change.
    fn taken_back(&mut self, print: &mut dyn FnMut(&str)) -> Result<(RunOutcome, Vec<String>)> {
        let (start, mut log) = (Instant::now(), Vec::new());
        let mut running = self.router.cli().start(&format!("{REBOOT} confirm {CONFIRM_MINUTES}"))?;
        self.change()?;
        interrupt::wait_for("the run to wait for its confirmation", limits::RUN_WITHIN, || {
            running.drain(|line| {
                print(line);
                log.push(line.to_owned());
            });
            if running.has_ended() {
                return Err(LabError::Fatal(format!("the run has ended: {}", log.join("\n"))).into());
            }
            let answer = self.router.cli().json("show chassis in-service-upgrade")?;
            match cli::find(&answer, "state").and_then(Value::as_str) {
                Some(state) if state.ends_with("soaking") => Ok(()),
                other => Err(format!("its state is {other:?}").into()),
            }
        })?;
        self.change()?;
        let mut complaints = self.look()?;
        self.router.cli().text("request system reboot in-service abort")?;
        self.change()?;
        let status = running.finish(limits::RUN_WITHIN, |line| {
            print(line);
            log.push(line.to_owned());
        })?;
        let outcome = self.router.outcome(status.success(), log, start.elapsed());
        let verdict = outcome.verdict.clone().unwrap_or_default();
        if !verdict.contains("undone, nothing lost") {
            complaints.push(format!("the run was to be taken back with nothing lost, its verdict is {verdict:?}"));
        }
        Ok((outcome, complaints))
    }

    /// Waits until every neighbour sees what it must see, and says what is wrong if that does not come.
    fn look(&mut self) -> Result<Vec<String>> {
        let plans = &self.place.plans;
        let chapter = self.scenario.topic.chapter();
        let world = World { plans, offers: &self.offers, absent: &self.absent, changed: self.changed, chapter };
        let mut complaints = Vec::new();
        for ((peer, plan), absence) in self.peers.iter_mut().zip(plans).zip(&self.absent) {
            if *absence == Some(Absence::Resting) {
                complaints.extend(checks::is_let_in(peer.as_ref(), plan)?);
            }
            for session in plan.sessions.iter().filter(|_| absence.is_none()) {
                let expected = world.table(plan, session);
                let title = format!("{} to see {} routes from {}", plan.maker.name(), expected.len(), session.router);
                let seen = interrupt::wait_for(&title, limits::SEEN_WITHIN, || {
                    peer.check_running()?;
                    let wrong = seen::wrong(&peer.table(session)?, &expected, NAMED_MAX);
                    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ").into()) }
                });
                let mut wrong: Vec<String> = complaint(seen)?.into_iter().collect();
                wrong.extend(evidence::not_shown(peer.as_ref(), plan, session)?);
                wrong.iter().for_each(|wrong| self.progress.step(wrong));
                complaints.extend(wrong);
            }
        }
        complaints.extend(checks::kernel(&self.place.setting.router, &chapter.kernel(plans, self.changed))?);
        Ok(complaints)
    }

    /// Of every session's neighbour, in the order of [`Self::tables`].
    fn names(&self) -> Vec<String> {
        let of = |plan: &PeerPlan| plan.sessions.iter().map(|_| plan.maker.name().to_owned()).collect::<Vec<_>>();
        self.place.plans.iter().flat_map(of).collect()
    }

    /// Of every session, in the order of neighbours.
    pub(super) fn tables(&self) -> Result<Vec<Table>> {
        let mut tables = Vec::new();
        for (peer, plan) in self.peers.iter().zip(&self.place.plans) {
            for session in &plan.sessions {
                // Who is dead says nothing.
                tables.push(peer.table(session).unwrap_or_default());
            }
        }
        Ok(tables)
    }

    fn conclude(mut self, stretches: Vec<Stretch>, hook: Hook<'_>) -> Result<LabResult> {
        let captures = std::mem::take(&mut self.place.captures);
        let read = |(capture, plan): (Capture, &PeerPlan)| {
            let routers: Vec<_> = plan.sessions.iter().map(|session| session.router).collect();
            Wire::stop_and_read(capture, &routers, false)
        };
        let wires: Vec<_> = captures.into_iter().zip(&self.place.plans).map(read).collect();
        let mut runs: Vec<Measured> = stretches.iter().map(|stretch| self.measure(stretch, &wires)).collect();
        runs.push(self.evidence(&wires));
        let mut total = merge(self.scenario.name, &runs);
        total.judge(&Bars::default());
        total.skipped = self.skipped();
        total.kernel = KernelTables::count(&self.place.setting.router)?;
        let result = LabResult {
            scenario: self.scenario.name.into(),
            subject: self.router.title(),
            total,
            baseline: Vec::new(),
            machine_backlog_drops: 0,
            options: BTreeMap::new(),
            sizes: Vec::new(),
            runs,
            peers: Vec::new(),
        };
        hook(&self.place.setting, self.router.login(), &result)?;
        self.peers.clear();
        let stopped = self.router.stop();
        let gone = self.place.setting.remove();
        stopped.and(gone)?;
        self.progress.step("the lab is gone: no namespace, process or file is left");
        Ok(result)
    }

    /// What the captures show of the sessions from the first to the last moment.
    fn evidence(&self, wires: &[std::result::Result<Wire, String>]) -> Measured {
        let pairs = wires.iter().zip(&self.place.plans);
        let complaints = pairs.filter_map(|(wire, plan)| Some(evidence::wrong(wire.as_ref().ok()?, plan))).flatten();
        let name = "sessions on the wire".to_owned();
        let mut measured = Measured { name, complaints: complaints.collect(), ..Measured::default() };
        measured.judge(&Bars::default());
        measured
    }

    fn measure(&self, stretch: &Stretch, wires: &[std::result::Result<Wire, String>]) -> Measured {
        let mut measured = Measured {
            name: stretch.name.clone(),
            seconds: stretch.outcome.took.as_secs_f64(),
            phases: stretch.outcome.phases.clone(),
            log: stretch.outcome.log.clone(),
            complaints: stretch.complaints.clone(),
            ..Measured::default()
        };
        measured.gap.control_plane_ms = stretch.outcome.control_plane_ms;
        for (index, plan) in self.place.plans.iter().enumerate() {
            let mut session = SessionResult {
                name: plan.maker.name().into(),
                neighbor: plan.sessions.first().map(|session| session.local.to_string()).unwrap_or_default(),
                protocol: "bgp",
                implementation: plan.maker.title().into(),
                version: self.peers.get(index).map(|peer| peer.version().to_owned()).unwrap_or_default(),
                flaps: stretch.flaps.get(index).copied().unwrap_or(0),
                up_at_end: stretch.up.get(index).copied().unwrap_or(false),
                ..SessionResult::default()
            };
            match wires.get(index) {
                Some(Ok(wire)) => {
                    let report = wire.report(stretch.window);
                    if stretch.asked {
                        measured.complaints.extend(not_asked(plan.maker, &report));
                        measured.complaints.extend(evidence::not_marked(plan, &report));
                    }
                    if !stretch.begins && !stretch.excused.get(index).copied().unwrap_or_default() {
                        session.take(report);
                        // Whoever asks again hears again, and what comes and goes comes back as it was.
                        session.repeated_updates = 0;
                    }
                }
                Some(Err(why)) => {
                    measured.missing_evidence.push(format!("the capture of {}: {why}", plan.maker.name()))
                }
                None => {}
            }
            measured.sessions.push(session);
        }
        measured.judge(&Bars::default());
        measured
    }

    /// What neighbours cannot do, by name.
    fn skipped(&self) -> Vec<String> {
        let mut list = Vec::new();
        for plan in &self.place.plans {
            let name = plan.maker.name();
            list.extend(self.scenario.sessions.skipped(plan.maker));
            for offer in self.scenario.topic.chapter().offers(plan, true) {
                list.extend(plan.maker.cannot_offer(&offer).map(|why| format!("{name}: {}: {why}", offer.title)));
            }
            list.extend(plan.maker.cannot_ask().map(|why| format!("{name}: asking for everything again: {why}")));
            list.extend(
                plan.maker.cannot_answer().map(|why| format!("{name}: being asked for everything again: {why}")),
            );
        }
        list
    }
}

/// What of this a neighbour can announce.
pub(super) fn possible(maker: Maker, mut offers: Vec<Offer>) -> Vec<Offer> {
    offers.retain(|offer| maker.cannot_offer(offer).is_none());
    offers
}

/// Whether each side asked for everything again where it was to, and was answered.
fn not_asked(maker: Maker, report: &WireReport) -> Vec<String> {
    let (name, neighbor, router) = (maker.name(), report.neighbor, report.router);
    let mut out = Vec::new();
    if maker.cannot_ask().is_none() && neighbor.requests == 0 {
        out.push(format!("{name} did not ask the router for its routes again"));
    } else if maker.cannot_ask().is_none() && router.updates == 0 {
        out.push(format!("the router did not answer {name} that asked for its routes again"));
    }
    if maker.cannot_answer().is_none() && router.requests == 0 {
        out.push(format!("the router did not ask {name} for its routes again"));
    } else if maker.cannot_answer().is_none() && neighbor.updates == 0 {
        out.push(format!("{name} did not answer the router that asked for its routes again"));
    }
    out
}

/// What did not come about, unless there is no use in going on.
pub(super) fn complaint(result: Result<()>) -> Result<Option<String>> {
    match result {
        Ok(()) => Ok(None),
        Err(error @ (LabError::Interrupted | LabError::Fatal(_))) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}
