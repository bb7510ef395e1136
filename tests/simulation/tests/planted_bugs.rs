//! The simulation judged: each mistake planted into its models has to be found.

mod common;

use holdfast_issu::{Daemon, Side};
use holdfast_simulation::{Bug, Fault, Scenario, Strike, simulate};

/// Seeds that a mistake may take to show.
const SEEDS: u64 = 5;

/// A run without faults, and one of the rpds struck at moments before it ends: where the handoff is.
fn scenarios(seed: u64) -> Vec<Scenario> {
    let plain = Scenario { seed, ..Scenario::default() };
    let mut scenarios = vec![plain.clone(), Scenario { checks_fail: true, ..plain.clone() }];
    for ((side, daemon), (from, to)) in simulate(&plain).actions {
        if daemon != Daemon::Rpd {
            continue;
        }
        for action in (from.max(to.saturating_sub(90))..to).step_by(3) {
            let strike = if action % 2 == 0 || side == Side::New { Strike::Kill } else { Strike::Pause(1500) };
            let fault = Fault::Process { side, daemon, incarnation: 0, action, strike };
            scenarios.push(Scenario { faults: vec![fault], ..plain.clone() });
        }
    }
    scenarios
}

/// How the planted mistakes show: a broken promise, or an end that is worse than without them.
fn found(bugs: &[Bug]) -> Option<String> {
    (1..=SEEDS).flat_map(scenarios).find_map(|scenario| {
        let with = simulate(&Scenario { bugs: bugs.to_vec(), ..scenario.clone() });
        let without = simulate(&scenario);
        assert_eq!(without.violation, None, "{scenario} without a mistake");
        let how = |outcome: &holdfast_simulation::Outcome| (outcome.end.as_ref().map(|end| end.outcome), outcome.flaps);
        let worse = (how(&with) != how(&without)).then(|| format!("{:?} instead of {:?}", how(&with), how(&without)));
        let what = with.violation.or(worse)?;
        Some(format!("{scenario}: {what}"))
    })
}

#[test]
fn every_planted_mistake_is_found() {
    let mistakes: [(&[Bug], &str); 11] = [
        (&[Bug::ConsumeBeforeTelling], ""),
        (&[Bug::WriteBeforeTelling], ""),
        (&[Bug::ForgetTail], ""),
        (&[Bug::ForgetDiscard], ""),
        (&[Bug::DescribeWithoutTail], ""),
        (&[Bug::NoFence], "re0/rpd.0"),
        (&[Bug::ThawWithoutCounters], ""),
        (&[Bug::PfedWritesOn], "writes to the forwarding table"),
        (&[Bug::PfedTrustsOldTable], "back from"),
        (&[Bug::BlindWrites], "needlessly"),
        (&[Bug::SkipLastFacts], ""),
    ];
    let mut missed = Vec::new();
    for (bugs, says) in mistakes {
        match found(bugs) {
            Some(what) => {
                println!("{bugs:?}: {what}");
                assert!(what.contains(says), "{bugs:?} was found as something else: {what}");
            }
            None => missed.push(bugs),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS} seeds: {missed:?}");
}
