//! BFD: two of our routers with many sessions between them, while every processor has other work to do.
//!
//! What counts is that no session fails, and how late packets are sent; the first is seen by both ends, the second only the router itself can say.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::{limits, setting::Setting};
use crate::{
    error::{Doing, LabError, Result},
    host::{interrupt, netns::Namespace, process, programs},
    progress::Progress,
    subject::{Cli, Running, cli},
};

/// Packets that may be missing in a row.
const MULTIPLIER: u32 = 3;
/// Addresses in one octet of each router.
const PER_OCTET: usize = 250;
/// The most sessions; there are addresses for more.
const SESSIONS_MAX: usize = 2_000;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Sessions between the two.
    pub sessions: usize,
    /// Milliseconds between two packets of one session in one direction.
    pub interval_ms: u32,
    /// How long, under load.
    pub seconds: u64,
}

/// One router's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    case: String,
    subject: &'static str,
    version: String,
    seconds: u64,
    sessions: usize,
    /// Sessions that failed, as this end counts them.
    flaps: u64,
    sent: u64,
    received: u64,
    lateness_p50_us: u64,
    lateness_p99_us: u64,
    lateness_p999_us: u64,
    lateness_max_us: u64,
    /// Of the process that sends.
    cpu_s: f64,
    wall_s: f64,
    rss_mib: f64,
}

impl Row {
    /// Nothing failed.
    pub fn is_good(&self) -> bool {
        self.flaps == 0
    }
}

/// One of the two routers.
struct Router {
    program: PathBuf,
    run_dir: PathBuf,
    cli: Cli,
}

fn address(side: usize, session: usize) -> String {
    format!("10.200.{}.{}", 100 * side + session / PER_OCTET, 1 + session % PER_OCTET)
}

fn configuration(side: usize, case: &Case) -> String {
    let mut neighbors = String::new();
    for session in 0..case.sessions {
        let (own, other) = (address(side, session), address(1 - side, session));
        let _ = writeln!(neighbors, "            neighbor {other} local-address {own};");
    }
    // Both wait for the other to connect: there is BFD and nothing else.
    format!(
        "system {{ host-name bench; }}
routing-options {{ router-id 10.200.255.{}; autonomous-system {}; }}
protocols {{
    bgp {{
        group WATCHED {{
            type external; peer-as {}; passive;
            bfd-liveness-detection {{ minimum-interval {}; multiplier {MULTIPLIER}; }}
{neighbors}        }}
    }}
}}
",
        side + 1,
        65001 + side,
        65002 - side,
        case.interval_ms,
    )
}

impl Router {
    fn start(setting: &Setting, namespace: &Namespace, side: usize, case: &Case) -> Result<Self> {
        let folder = setting.folder().join(format!("router-{side}"));
        std::fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let file = folder.join("router.conf");
        std::fs::write(&file, configuration(side, case)).doing(|| format!("write {}", file.display()))?;
        let (program, run_dir) = (programs::own_binary("holdfast")?, folder.join("run"));
        let mut command = Command::new(&program);
        command.args(["start", "--netns", namespace.name(), "--config"]).arg(&file);
        command.arg("--run-dir").arg(&run_dir).arg("--state-dir").arg(folder.join("state"));
        Running::to_end(command, limits::UP_WITHIN)?;
        Ok(Self { cli: Cli::new(&program, &run_dir), program, run_dir })
    }

    fn shown(&self) -> Result<Value> {
        self.cli.json("show bfd session")
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if !interrupt::requested() && !thread::panicking() {
            let mut command = Command::new(&self.program);
            command.arg("stop").arg("--run-dir").arg(&self.run_dir);
            let _ = Running::to_end(command, limits::UP_WITHIN); // the setting's removal finds what this leaves
        }
    }
}

fn number(value: &Value, key: &str) -> u64 {
    cli::find(value, key).and_then(Value::as_u64).unwrap_or_default()
}

/// Times that a session left Up, over all of them.
fn downs(shown: &Value) -> u64 {
    let mut sessions = Vec::new();
    cli::objects_with(shown, "downs", &mut sessions);
    sessions.iter().filter_map(|session| session.get("downs")?.as_u64()).sum()
}

/// Keeps every processor busy for as long as the value lives.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let spin = |stop: Arc<AtomicBool>| {
            move || {
                while !stop.load(Relaxed) {
                    std::hint::spin_loop();
                }
            }
        };
        let threads = (0..processors).map(|_| thread::spawn(spin(Arc::clone(&stop)))).collect();
        Self { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Measures a case; one row for each of the two routers.
pub fn measure(case: &Case, progress: &Progress) -> Result<Vec<Row>> {
    if !(1..=SESSIONS_MAX).contains(&case.sessions) {
        return Err(LabError::Usage(format!(
            "{} sessions: required is a number from 1 to {SESSIONS_MAX}",
            case.sessions
        )));
    }
    let mut setting = Setting::build("bench bfd", &[])?;
    crate::host::netns::link(
        (&setting.router, "to-0", "10.200.255.1/16"),
        (&setting.world, "from-0", "10.200.255.2/16"),
    )?;
    for (side, (namespace, interface)) in
        [(&setting.router, "to-0"), (&setting.world, "from-0")].into_iter().enumerate()
    {
        let lines =
            (0..case.sessions).map(|session| format!("address add {}/16 dev {interface}\n", address(side, session)));
        namespace.ip_batch(&lines.collect::<String>())?;
    }
    let namespaces = [setting.router.clone(), setting.world.clone()];
    let routers = namespaces.iter().enumerate().map(|(side, namespace)| Router::start(&setting, namespace, side, case));
    let routers = routers.collect::<Result<Vec<Router>>>()?;
    for router in &routers {
        interrupt::wait_for("all BFD sessions", limits::UP_WITHIN, || {
            let up = number(&router.shown()?, "sessions_up");
            if up == case.sessions as u64 { Ok(()) } else { Err(format!("{up} of {} are up", case.sessions).into()) }
        })?;
    }
    progress.step(&format!("{} sessions are up; every processor is kept busy for {} s", case.sessions, case.seconds));
    let before =
        routers.iter().map(|router| router.shown().map(|shown| downs(&shown))).collect::<Result<Vec<u64>>>()?;
    let load = Load::begin();
    interrupt::sleep(Duration::from_secs(case.seconds))?;
    drop(load);
    let rows = routers.iter().zip(before).map(|(router, before)| row(case, router, before)).collect::<Result<_>>()?;
    drop(routers);
    setting.remove()?;
    Ok(rows)
}

fn row(case: &Case, router: &Router, downs_before: u64) -> Result<Row> {
    let shown = router.shown()?;
    let version = process::run(Command::new(&router.program).arg("version"))?;
    let periodic = shown.get("periodic").cloned().unwrap_or_default();
    let pid = u32::try_from(number(&periodic, "pid")).unwrap_or_default();
    let usage = crate::host::procfs::usage(pid);
    Ok(Row {
        case: format!("{}x{}ms", case.sessions, case.interval_ms),
        subject: "holdfast",
        version: version.split_whitespace().last().unwrap_or("unknown").to_owned(),
        seconds: case.seconds,
        sessions: case.sessions,
        flaps: downs(&shown).saturating_sub(downs_before)
            + (case.sessions as u64).saturating_sub(number(&periodic, "sessions_up")),
        sent: number(&periodic, "sent"),
        received: number(&periodic, "received"),
        lateness_p50_us: number(&periodic, "lateness_p50_us"),
        lateness_p99_us: number(&periodic, "lateness_p99_us"),
        lateness_p999_us: number(&periodic, "lateness_p999_us"),
        lateness_max_us: number(&periodic, "lateness_max_us"),
        cpu_s: usage.as_ref().map_or(0.0, |usage| usage.cpu_s),
        wall_s: case.seconds as f64,
        rss_mib: usage.as_ref().map_or(0.0, |usage| usage.rss_mib),
    })
}

/// The rows as text.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<14} {:>9} {:>6} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>7}\n",
        "case", "seconds", "flaps", "sent", "received", "p50 us", "p99 us", "p99.9 us", "max us", "cpu s"
    );
    for row in rows {
        let _ = writeln!(
            text,
            "{:<14} {:>9} {:>6} {:>10} {:>10} {:>8} {:>8} {:>8} {:>8} {:>7.1}",
            row.case,
            row.seconds,
            row.flaps,
            row.sent,
            row.received,
            row.lateness_p50_us,
            row.lateness_p99_us,
            row.lateness_p999_us,
            row.lateness_max_us,
            row.cpu_s
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sessions_have_the_same_ends() {
        let all = (0..2).flat_map(|side| (0..SESSIONS_MAX).map(move |session| address(side, session)));
        let distinct: std::collections::HashSet<String> = all.clone().collect();
        assert_eq!(distinct.len(), 2 * SESSIONS_MAX);
        assert!(all.into_iter().all(|address| address.parse::<std::net::Ipv4Addr>().is_ok()));
        let text = configuration(1, &Case { sessions: 3, interval_ms: 50, seconds: 1 });
        assert!(text.contains("neighbor 10.200.0.3 local-address 10.200.100.3;"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
