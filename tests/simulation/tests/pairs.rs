//! Pairs of faults by seed. `SIMULATION_SECONDS=3600` makes a soak of it, `SIMULATION_SEED=n` begins elsewhere.

mod common;

use std::time::{Duration, Instant};

/// Seeds in one round.
const ROUND: u64 = 250;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn pairs_of_faults_lose_at_worst_sessions_never_bytes() {
    let time = Duration::from_secs(variable("SIMULATION_SECONDS").unwrap_or(5));
    let first = variable("SIMULATION_SEED").unwrap_or(20_261_126);
    let began = Instant::now();
    let mut seed = first;
    while began.elapsed() < time {
        let scenarios = (seed..seed + ROUND).map(common::by_seed).collect();
        common::run_all(scenarios, |scenario| drop(common::judge(scenario)));
        seed += ROUND;
    }
    println!("seeds {first} to {seed}");
}
