//! One measurement: one router, one case, once.

use std::time::{Duration, Instant};

use super::{
    case::{Case, Event},
    input::{Input, Part},
    limits,
    router::{Make, Plan, Router},
    setting::Setting,
    usage::{self, Usage},
    world::{Order, World},
};
use crate::{
    error::{LabError, Result},
    host::interrupt,
    time::mono_ns,
};

/// What one router used for one case.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The router's version.
    pub version: String,
    /// From the event to the last UPDATE, and with FIB to the last route in the kernel.
    pub wall_s: f64,
    /// By program, from the event on; peaks are those since the start.
    pub usage: Usage,
    /// Processor time of feeders and receiver together.
    pub lab_cpu_s: f64,
    /// UPDATEs, announced and withdrawn prefixes at the receiver.
    pub heard: [u64; 3],
    /// Whole tables that the router asked the feeders for again.
    pub refreshes: u64,
}

/// Sets everything up, measures, takes everything down.
pub fn run(case: &Case, input: &Input, make: Make) -> Result<Measured> {
    let sessions: Vec<_> = input.parts.iter().map(|part| part.session).collect();
    let mut setting = Setting::build(&case.title(), &sessions)?;
    let outcome = Bench::start(case, input, make, &setting).and_then(Bench::measure);
    let gone = setting.remove();
    let measured = outcome?;
    gone.map(|()| measured)
}

struct Bench<'a> {
    case: &'a Case,
    input: &'a Input,
    setting: &'a Setting,
    router: Box<dyn Router>,
    world: World,
    /// Routes in the kernel before there were any of BGP's.
    kernel_base: usize,
}

/// What ends a case.
struct Goal {
    /// By session: the prefixes that must stand announced; at least, or exactly.
    present: Vec<(usize, bool)>,
    /// BGP's routes in the kernel.
    kernel: Option<usize>,
}

impl<'a> Bench<'a> {
    fn start(case: &'a Case, input: &'a Input, make: Make, setting: &'a Setting) -> Result<Self> {
        let plan = Plan {
            namespace: setting.router.clone(),
            folder: setting.folder().join("router"),
            sessions: input.parts.iter().map(|part| part.session).collect(),
            forwarding: case.forwarding,
            held_back: false,
            policy: case.event == Event::PolicyChange,
        };
        // The event's first session is the one under the policy: a feeder.
        let mut router = make.start(plan)?;
        let world = World::start(&setting.world, &input.parts)?;
        interrupt::wait_for("all sessions", limits::UP_WITHIN, || {
            router.check_running()?;
            world.check()?;
            match world.established() {
                count if count == input.parts.len() => Ok(()),
                count => Err(format!("{count} of {} are up", input.parts.len()).into()),
            }
        })?;
        router.prepare()?;
        let kernel_base = setting.kernel_routes()?;
        let bench = Self { case, input, setting, router, world, kernel_base };
        bench.come_to_rest()?;
        Ok(bench)
    }

    /// Waits until the router has done what comes with its start (this one notes digests of its programs): that is no part of a case. One
    /// that never rests is measured as it is.
    fn come_to_rest(&self) -> Result<()> {
        let end = Instant::now() + limits::AT_REST_WITHIN;
        let mut before = usage::sum(&self.usage()?).cpu_s;
        while Instant::now() < end {
            interrupt::sleep(limits::AT_REST_FOR)?;
            let now = usage::sum(&self.usage()?).cpu_s;
            if now - before < limits::AT_REST_CPU_S {
                break;
            }
            before = now;
        }
        Ok(())
    }

    fn measure(mut self) -> Result<Measured> {
        if self.case.event != Event::Tables {
            self.send_tables();
            self.wait(&self.tables_are_there())?;
            if self.case.event != Event::PeerLoss {
                self.world.forget()?;
            }
        }
        let (before, lab_before) = (self.usage()?, self.world.cpu_s());
        let began_ns = self.begin()?;
        let ended_ns = self.wait(&self.goal())?;
        let usage = usage::since(&self.usage()?, &before);
        self.router.check_running()?;
        self.router.vouch()?;
        Ok(Measured {
            version: self.router.version().to_owned(),
            wall_s: Duration::from_nanos(ended_ns.saturating_sub(began_ns.unwrap_or(self.world.began_ns())))
                .as_secs_f64(),
            usage,
            lab_cpu_s: self.world.cpu_s() - lab_before,
            heard: self.world.totals(self.input.receiver()),
            refreshes: self.world.refreshes(),
        })
    }

    fn usage(&self) -> Result<Usage> {
        usage::of(&self.setting.router, |command_line| self.router.is_backup(command_line))
    }

    fn send_tables(&self) {
        for (index, part) in self.input.parts.iter().enumerate() {
            self.world.order(Order::Send(index, part.table.clone()));
        }
    }

    /// Lets it happen; when, unless the sessions' thread knows that better.
    fn begin(&mut self) -> Result<Option<u64>> {
        match self.case.event {
            Event::Tables => self.send_tables(),
            Event::Storm => self.world.order(Order::Send(0, self.input.storm.clone())),
            // What began before this were the tables.
            Event::PeerLoss => {
                let now = mono_ns();
                self.world.order(Order::Close(0));
                return Ok(Some(now));
            }
            Event::PolicyChange => {
                let now = mono_ns();
                self.router.change_policy()?;
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    fn tables_are_there(&self) -> Goal {
        let exactly = |index| index == self.input.receiver();
        let least = |(index, part): (usize, &Part)| (part.hears_least, exactly(index));
        Goal { present: self.input.parts.iter().enumerate().map(least).collect(), kernel: Some(self.case.prefixes()) }
    }

    fn goal(&self) -> Goal {
        // One feeder hears nothing in these cases.
        let receiver = |present, kernel| Goal { present: vec![(0, false), (present, true)], kernel };
        match self.case.event {
            Event::Tables => self.tables_are_there(),
            Event::PeerLoss => receiver(0, Some(0)),
            Event::PolicyChange => receiver(self.case.prefixes(), Some(self.case.prefixes())),
            Event::Storm => receiver(self.case.storm(), Some(self.case.prefixes())),
        }
    }

    /// Waits until a goal is reached and nothing more comes; when that was.
    fn wait(&mut self, goal: &Goal) -> Result<u64> {
        let end = Instant::now() + limits::CASE_WITHIN;
        let mut in_kernel_ns = None;
        loop {
            interrupt::sleep(limits::LOOK_EVERY)?;
            self.world.check()?;
            self.router.check_running()?;
            let missing = match self.missing(goal) {
                Some(missing) => missing,
                None => match self.missing_in_kernel(goal, &mut in_kernel_ns)? {
                    Some(missing) => missing,
                    None => {
                        let last = self.world.last_update_ns();
                        if Duration::from_nanos(mono_ns().saturating_sub(last)) >= limits::QUIET {
                            return Ok(last.max(in_kernel_ns.unwrap_or(0)));
                        }
                        continue;
                    }
                },
            };
            if Instant::now() >= end {
                let (what, after_s) = (format!("the end of {}", self.case.title()), limits::CASE_WITHIN.as_secs());
                return Err(LabError::Timeout { what, after_s, observed: missing });
            }
        }
    }

    fn missing(&self, goal: &Goal) -> Option<String> {
        goal.present.iter().enumerate().find_map(|(session, (wanted, exactly))| {
            let present = self.world.present(session);
            let reached = if *exactly { present == *wanted } else { present >= *wanted };
            (!reached).then(|| format!("session {session} has {present} prefixes, {wanted} are to come"))
        })
    }

    fn missing_in_kernel(&self, goal: &Goal, since_ns: &mut Option<u64>) -> Result<Option<String>> {
        let Some(wanted) = goal.kernel.filter(|_| self.case.forwarding && since_ns.is_none()) else { return Ok(None) };
        let routes = self.setting.kernel_routes()?.saturating_sub(self.kernel_base);
        if routes == wanted {
            *since_ns = Some(mono_ns());
            return Ok(None);
        }
        interrupt::sleep(limits::LOOK_AT_KERNEL_EVERY)?;
        Ok(Some(format!("the kernel has {routes} of BGP's routes, {wanted} are to come")))
    }
}
