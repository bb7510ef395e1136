//! What the tests share: judging one scenario, and running many of them side by side.

#![allow(dead_code)] // each test file uses its part

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_issu::{Daemon, Side, State};
use holdfast_simulation::{Channel, Fault, Outcome, Scenario, Strike, Trouble, simulate};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What neighbours negotiate in the simulation.
const HOLD_TIME: Duration = Duration::from_secs(9);

/// Shown at the end; the rest is counted.
const FAILURES_SHOWN: usize = 12;

/// Every kind of run: finished, rehearsed, failed and gone back, not confirmed, confirmed.
pub fn kinds() -> Vec<Scenario> {
    let plain = Scenario { seed: 1, ..Scenario::default() };
    vec![
        plain.clone(),
        Scenario { dry_run: true, ..plain.clone() },
        Scenario { checks_fail: true, ..plain.clone() },
        Scenario { confirm_ms: Some(1500), ..plain.clone() },
        Scenario { confirm_ms: Some(1500), confirmed_ms: Some(700), ..plain },
    ]
}

/// The same with one fault.
pub fn with(scenario: &Scenario, fault: Fault) -> Scenario {
    Scenario { faults: vec![fault], ..scenario.clone() }
}

/// Runs a scenario; panics when a promise was broken, or when sessions went down that had no reason to.
pub fn judge(scenario: &Scenario) -> Outcome {
    let outcome = simulate(scenario);
    if let Some(problem) = problem(scenario, &outcome) {
        panic!("{problem}");
    }
    outcome
}

/// What is wrong with an outcome.
pub fn problem(scenario: &Scenario, outcome: &Outcome) -> Option<String> {
    let unexcused = outcome.flaps > 0 && !may_flap(scenario, outcome);
    let flaps =
        || format!("{} sessions went down, struck in {:?}: {:?}", outcome.flaps, outcome.struck_in, outcome.log);
    let unowned = scenario.faults.len() <= 1 && outcome.unowned_max >= HOLD_TIME;
    let abandoned = || format!("a session had no owner for {:?}, its hold time is {HOLD_TIME:?}", outcome.unowned_max);
    unowned.then(abandoned).or_else(|| outcome.violation.clone()).or_else(|| unexcused.then(flaps))
}

/// The one fault that costs sessions (a graceful restart, where it is configured): the rpd that owns them is struck while
/// nobody stands by, because the run has not come so far, or has closed the way back.
fn may_flap(scenario: &Scenario, outcome: &Outcome) -> bool {
    let strikes_rpd = |fault: &Fault| matches!(fault, Fault::Process { daemon: Daemon::Rpd, .. });
    if scenario.faults.len() > 1 {
        return true; // two faults may cost sessions, never more
    }
    let stands_alone = match outcome.struck_in {
        Some(state) if state.successor_stands_ready() => scenario.dry_run,
        Some(state) => {
            state.before_switch()
                || matches!(state, State::Idle | State::ShuttingDownOld | State::Aborting | State::RollingBack)
        }
        None => true,
    };
    scenario.faults.iter().any(strikes_rpd) && stands_alone
}

/// Runs all scenarios on all processors; panics with the first failures, each as it is to be replayed.
pub fn run_all(scenarios: Vec<Scenario>, test: impl Fn(&Scenario) + Sync) {
    let began = std::time::Instant::now();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(scenario)));
                    if let Err(panic) = result {
                        let what = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "a panic".into());
                        failures.lock().expect("no panic while it is held").push(format!("{scenario}\n      {what}"));
                    }
                }
            });
        }
    });
    drop(std::panic::take_hook());
    let failures = failures.into_inner().expect("no panic while it was held");
    println!("{} runs in {:?}, {} failed", scenarios.len(), began.elapsed(), failures.len());
    let shown = failures.iter().take(FAILURES_SHOWN).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(
        failures.is_empty(),
        "{} of {} scenarios failed; replay one with SIMULATION='...' cargo test -p holdfast-simulation --test replay -- --nocapture\n  {shown}",
        failures.len(),
        scenarios.len(),
    );
}

/// A scenario with up to two faults, all of it decided by the seed.
pub fn by_seed(seed: u64) -> Scenario {
    let mut random = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let soaks = random.random_bool(0.35);
    let mut scenario = Scenario {
        seed,
        dry_run: random.random_bool(0.08),
        checks_fail: random.random_bool(0.15),
        confirm_ms: soaks.then_some(1500),
        confirmed_ms: (soaks && random.random_bool(0.5)).then(|| random.random_range(0..1400)),
        ..Scenario::default()
    };
    for _ in 0..2 {
        scenario.faults.push(random_fault(&mut random));
    }
    scenario
}

fn random_fault(random: &mut SmallRng) -> Fault {
    let side = if random.random_bool(0.5) { Side::Old } else { Side::New };
    match random.random_range(0..12) {
        10 => Fault::Message {
            channel: Channel::ALL[random.random_range(0..4)],
            number: random.random_range(0..150),
            late_ms: random.random_range(1..5000),
        },
        11 => Fault::Chassis { step: random.random_range(0..120), pause_ms: random.random_range(1..5000) },
        0 => Fault::Link {
            neighbor: random.random_range(0..3),
            at_ms: random.random_range(0..2000),
            for_ms: random.random_range(50..5000),
        },
        1..=3 => {
            let troubles = [
                Trouble::Late(random.random_range(1..5000)),
                Trouble::AnswerLate(random.random_range(1..5000)),
                Trouble::Lost,
                Trouble::AnswerLost,
                Trouble::Error,
                Trouble::Abort,
            ];
            let trouble = troubles[random.random_range(0..troubles.len())];
            Fault::Request { request: random.random_range(0..90), trouble }
        }
        _ => {
            let daemon = [Daemon::Mgd, Daemon::Rpd, Daemon::Rpd, Daemon::Rpd, Daemon::Pfed][random.random_range(0..5)];
            let action = match (side, daemon) {
                (_, Daemon::Mgd) => random.random_range(1..40),
                (Side::Old, Daemon::Rpd) => random.random_range(700..3000),
                (Side::New, Daemon::Rpd) => random.random_range(1..1500),
                (Side::Old, _) => random.random_range(400..1200),
                (Side::New, _) => random.random_range(1..400),
            };
            let incarnation = u32::from(random.random_bool(0.05));
            let strikes = [Strike::Kill, Strike::Stop, Strike::Pause(random.random_range(1..6000))];
            Fault::Process { side, daemon, incarnation, action, strike: strikes[random.random_range(0..3)] }
        }
    }
}
