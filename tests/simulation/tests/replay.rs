//! Replays one scenario as it was printed: `SIMULATION='seed=7 kill:re0/rpd.0@57' cargo test -p holdfast-simulation --test replay -- --nocapture`.

use holdfast_simulation::{Scenario, simulate};

#[test]
fn the_scenario_of_the_environment_keeps_every_promise() {
    let text = std::env::var("SIMULATION").unwrap_or_else(|_| "seed=1".into());
    let mut scenario: Scenario = text.parse().expect("a scenario as it was printed");
    scenario.trace = std::env::var_os("SIMULATION").is_some();
    let began = std::time::Instant::now();
    let outcome = simulate(&scenario);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    println!(
        "{:?} {:?} {:?} flaps {} {:?}",
        outcome.violation,
        outcome.end,
        outcome.actions,
        outcome.flaps,
        began.elapsed()
    );
    assert_eq!(outcome.violation, None, "{scenario}");
}
