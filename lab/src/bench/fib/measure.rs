//! One measurement: one subject, one case, once.

use std::time::{Duration, Instant};

use nix::{
    net::if_::if_nametoindex,
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};

use super::{
    case::{self, Case},
    compare::Subject,
    netlink::{Bare, Change},
    sample::Sample,
};
use crate::{
    bench::{
        input::Input,
        limits,
        router::{Make, Plan, Router},
        setting::Setting,
        usage::{self, Used},
        world::{Order, World},
    },
    bgp::message::Prefix,
    error::{Doing, LabError, Result},
    host::{interrupt, process},
    kernel_tables,
    kernel_watch::KernelWatch,
    time::{Moment, Window, mono_ns},
};

/// The routes, and the bytes that tell them.
#[derive(Debug)]
pub struct Material {
    /// In the order in which the bare loop writes them: none in particular.
    pub routes: Vec<Prefix>,
    /// Of the same routes: a feeder, and a receiver who shows when the router has all of them.
    pub input: Input,
}

/// What one subject used.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Its version.
    pub version: String,
    /// From the event to its last effect.
    pub wall_s: f64,
    /// By all of its processes, in that time.
    pub used: Used,
    /// Routes written, as the kernel told of them; only counted in warm cases.
    pub writes: Option<u64>,
}

/// Sets everything up, measures, takes everything down.
pub fn run(case: Case, material: &Material, subject: Subject) -> Result<Measured> {
    let sessions: Vec<_> = material.input.parts.iter().map(|part| part.session).collect();
    let mut setting = Setting::build(&format!("fib-{}", case.name()), &sessions)?;
    let outcome = match subject {
        Subject::BareNetlink => bare(case, material, &setting),
        Subject::Router(make) => Bench::start(material, make, &setting).and_then(|bench| bench.measure(case)),
    };
    let gone = setting.remove();
    let measured = outcome?;
    gone.map(|()| measured)
}

/// The loop, in a thread that lives where the router would.
fn bare(case: Case, material: &Material, setting: &Setting) -> Result<Measured> {
    setting.router.sysctl("net/ipv4/nexthop_compat_mode", "0")?;
    let Some(feeder) = material.input.parts.first() else { return Ok(Measured::default()) };
    let routes = &material.routes;
    let changed = routes.get(..case.writes(routes.len())).unwrap_or_default();
    let (wall_s, cpu_s) = setting.router.inside(|| {
        let interface = if_nametoindex("to-0").map_err(std::io::Error::from).doing(|| "find to-0".into())?;
        let mut bare = Bare::open()?;
        bare.make_nexthop(feeder.session.address, interface)?;
        if case == Case::Fill {
            return timed(|| bare.change(routes, Change::Add));
        }
        bare.change(routes, Change::Add)?;
        bare.change(changed, Change::Remove)?;
        timed(|| {
            kernel_tables::count_here()?;
            bare.change(changed, Change::Add)
        })
    })?;
    let writes = (case != Case::Fill).then_some(changed.len() as u64);
    Ok(Measured { wall_s, used: Used { cpu_s, peak_mib: 0.0 }, writes, ..Measured::default() })
}

/// Seconds that something took, and seconds of processor time of the calling thread.
fn timed(work: impl FnOnce() -> Result<()>) -> Result<(f64, f64)> {
    let processor = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default();
    let (began, used) = (Instant::now(), processor());
    work()?;
    Ok((began.elapsed().as_secs_f64(), processor().saturating_sub(used).as_secs_f64()))
}

struct Bench<'a> {
    material: &'a Material,
    setting: &'a Setting,
    router: Box<dyn Router>,
    world: World,
    /// Routes in the kernel before there were any of BGP's.
    base: usize,
}

impl<'a> Bench<'a> {
    /// Starts a router and has it learn everything.
    fn start(material: &'a Material, make: Make, setting: &'a Setting) -> Result<Self> {
        let parts = &material.input.parts;
        let plan = Plan {
            namespace: setting.router.clone(),
            folder: setting.folder().join("router"),
            sessions: parts.iter().map(|part| part.session).collect(),
            forwarding: true,
            held_back: true,
            policy: false,
        };
        let mut router = make.start(plan)?;
        let world = World::start(&setting.world, parts)?;
        interrupt::wait_for("all sessions", limits::UP_WITHIN, || {
            router.check_running()?;
            world.check()?;
            match world.established() {
                count if count == parts.len() => Ok(()),
                count => Err(format!("{count} of {} are up", parts.len()).into()),
            }
        })?;
        let base = setting.kernel_routes()?;
        for (index, part) in parts.iter().enumerate() {
            world.order(Order::Send(index, part.table.clone()));
        }
        let (receiver, wanted) = (material.input.receiver(), material.routes.len());
        interrupt::wait_for("the router to have all routes", limits::CASE_WITHIN, || {
            router.check_running()?;
            world.check()?;
            let quiet = mono_ns().saturating_sub(world.last_update_ns()) >= limits::QUIET.as_nanos() as u64;
            match world.present(receiver) {
                present if present == wanted && quiet => Ok(()),
                present => Err(format!("it told {present} of {wanted}").into()),
            }
        })?;
        match setting.kernel_routes()? {
            now if now == base => Ok(Self { material, setting, router, world, base }),
            now => Err(LabError::Subject(format!("the kernel has {now} routes before any was to go there"))),
        }
    }

    fn measure(mut self, case: Case) -> Result<Measured> {
        let measured = match case {
            Case::Fill => self.fill(),
            Case::WarmUnchanged | Case::WarmChanged => self.warm(case),
        }?;
        self.world.check()?;
        Ok(Measured { version: self.router.version().to_owned(), ..measured })
    }

    fn fill(&mut self) -> Result<Measured> {
        let mut sample = self.setting.router.inside(|| Sample::open(&self.material.routes))?;
        let (before, began) = (self.usage()?, mono_ns());
        self.router.install()?;
        let watch = self.wait_for_most(&mut sample)?;
        let listened = mono_ns();
        let seen = self.wait_for_kernel()?;
        let used = self.used_since(before)?;
        // Who had everything before we listened has it since then at the latest.
        let ended = watch.last_ns().map_or(listened, |last| last.min(seen));
        Ok(Measured { used, wall_s: seconds(began, ended), ..Measured::default() })
    }

    /// Until nearly all of the routes are in the kernel; then its word of each is listened for.
    fn wait_for_most(&mut self, sample: &mut Sample) -> Result<KernelWatch> {
        let end = Instant::now() + limits::CASE_WITHIN;
        let (mut before, mut before_ns) = (1.0, mono_ns());
        loop {
            let (missing, now) = (sample.missing()?, mono_ns());
            if missing <= limits::LISTENED_FOR {
                return KernelWatch::start(&self.setting.router, Vec::new());
            }
            self.router.check_running()?;
            if Instant::now() >= end {
                let observed = format!("the kernel is without {:.0} % of the routes", missing * 100.0);
                let (what, after_s) = ("the kernel's table".to_owned(), limits::CASE_WITHIN.as_secs());
                return Err(LabError::Timeout { what, after_s, observed });
            }
            let speed = (before - missing).max(0.0) / seconds(before_ns, now).max(1e-3);
            let left_s = (missing - limits::LISTENED_FOR / 2.0) / speed.max(1e-3);
            (before, before_ns) = (missing, now);
            let pause = Duration::from_secs_f64((left_s * 0.8).clamp(0.001, 1.0));
            std::thread::sleep(pause.min(limits::LOOK_AT_SAMPLE_EVERY));
            interrupt::check()?;
        }
    }

    fn warm(&mut self, case: Case) -> Result<Measured> {
        self.router.install()?;
        self.wait_for_kernel()?;
        let wanted = self.material.routes.len();
        self.wait_until_settled(wanted)?;
        let writer = usage::process(&self.setting.router, self.router.writer()?)?;
        process::signal(writer, Signal::SIGSTOP);
        let changed = self.material.routes.get(..case.writes(wanted)).unwrap_or_default();
        let (altered, removed) = changed.split_at(changed.len() / 2);
        self.setting.router.inside(|| {
            let mut bare = Bare::open()?;
            bare.change(altered, Change::Alter)?;
            bare.change(removed, Change::Remove)
        })?;
        let watch = KernelWatch::start(&self.setting.router, Vec::new())?;
        let (before, from) = (self.usage()?, Moment::now());
        process::signal(writer, Signal::SIGKILL);
        self.wait_until_settled(wanted)?;
        let (ended, used) = (mono_ns(), self.used_since(before)?);
        self.wait_for_kernel()?;
        // Whatever is written late was needless, and counts.
        interrupt::sleep(limits::QUIET)?;
        let writes = watch.writes(Window { from, to: Moment::now() })?;
        Ok(Measured {
            used,
            wall_s: seconds(from.mono_ns, ended),
            writes: Some(writes.routes + writes.nexthops),
            ..Measured::default()
        })
    }

    /// By the router's word.
    fn wait_until_settled(&mut self, wanted: usize) -> Result<()> {
        interrupt::wait_for("the kernel's table to be as the router wants it", limits::CASE_WITHIN, || {
            self.router.check_running()?;
            self.router.settled(wanted)
        })
    }

    /// By the kernel's count, looked at more often towards the end: a look walks through all of the table.
    fn wait_for_kernel(&mut self) -> Result<u64> {
        let wanted = self.base + self.material.routes.len();
        let end = Instant::now() + limits::CASE_WITHIN;
        let (mut seen, mut seen_ns) = (self.base, mono_ns());
        loop {
            let (routes, now) = (self.setting.kernel_routes()?, mono_ns());
            if routes == wanted {
                return Ok(now);
            }
            self.router.check_running()?;
            if Instant::now() >= end {
                let observed = format!("the kernel has {routes} routes, {wanted} are to be there");
                let (what, after_s) = ("the kernel's table".to_owned(), limits::CASE_WITHIN.as_secs());
                return Err(LabError::Timeout { what, after_s, observed });
            }
            let speed = routes.saturating_sub(seen) as f64 / seconds(seen_ns, now).max(1e-3);
            let left_s = wanted.saturating_sub(routes) as f64 / speed.max(1.0);
            (seen, seen_ns) = (routes, now);
            let pause = Duration::from_secs_f64((left_s * 0.8).clamp(0.0, 1.0));
            interrupt::sleep(pause.clamp(limits::LOOK_AT_KERNEL_AT_LEAST_EVERY, limits::LOOK_AT_KERNEL_EVERY))?;
        }
    }

    fn usage(&self) -> Result<Used> {
        Ok(usage::sum(&usage::of(&self.setting.router, |_| false)?))
    }

    /// Processor time since then (of a killed process in its parent's account); the peak is that of those who live.
    fn used_since(&self, before: Used) -> Result<Used> {
        let now = self.usage()?;
        Ok(Used { cpu_s: (now.cpu_s - before.cpu_s).max(0.0), ..now })
    }
}

fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    Duration::from_nanos(to_ns.saturating_sub(from_ns)).as_secs_f64()
}

impl Case {
    /// Whether a subject can be measured in it.
    pub fn suits(self, subject: Subject) -> bool {
        self == Self::Fill || matches!(subject, Subject::BareNetlink | Subject::Router(Make::Holdfast))
    }
}

impl Material {
    /// Builds it.
    pub fn build(routes: Option<usize>, seed: u64) -> Self {
        let routes = routes.unwrap_or(case::ROUTES);
        let told = crate::bench::case::Case {
            name: "fib",
            feeders: 1,
            routes,
            same: false,
            event: crate::bench::case::Event::Tables,
            forwarding: true,
        };
        let table = crate::bgp::table::Table::generate(routes, 1, seed);
        Self { routes: table.routes.iter().map(|route| route.0).collect(), input: Input::build(&told, seed) }
    }
}
