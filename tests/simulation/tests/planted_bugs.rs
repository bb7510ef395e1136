//! The simulation judged: each mistake planted into its models has to be found.

mod common;

use holdfast_issu::{Daemon, Request, Side};
use holdfast_simulation::{Bug, Fault, Scenario, Strike, Trouble, simulate};

/// Seeds without faults.
const PLAIN_SEEDS: u64 = 60;
/// Seeds with faults that a mistake may take to show.
const SEEDS: u64 = 5;

/// A run without faults, and one of the rpds struck at moments before it ends: where the handoff is.
fn scenarios(seed: u64) -> Vec<Scenario> {
    let plain = Scenario { seed, ..Scenario::default() };
    let mut scenarios = vec![plain.clone(), Scenario { checks_fail: true, ..plain.clone() }];
    let base = simulate(&plain);
    // The new engine serves for a while, and then the old one goes on.
    let verify = Request::Verify { side: Side::New, daemon: Daemon::Rpd };
    let verified = base.requests.iter().position(|(_, request)| *request == verify);
    scenarios.extend(verified.map(|request| {
        let faults = vec![Fault::Request { request, trouble: Trouble::Lost }];
        Scenario { faults, ..plain.clone() }
    }));
    for ((side, daemon), (from, to)) in base.actions {
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

/// Runs without faults, which cost little, before those with one.
fn all_scenarios() -> impl Iterator<Item = Scenario> {
    let plain = (1..=PLAIN_SEEDS).map(|seed| Scenario { seed, ..Scenario::default() });
    plain.chain((1..=SEEDS).flat_map(scenarios))
}

/// What the planted mistakes lead to, first of all.
fn found(bugs: &[Bug]) -> Option<String> {
    all_scenarios().find_map(|scenario| {
        let scenario = Scenario { bugs: bugs.to_vec(), ..scenario };
        let what = common::problem(&scenario, &simulate(&scenario))?;
        Some(format!("{scenario}: {what}"))
    })
}

#[test]
fn every_planted_mistake_is_found() {
    let mistakes: [(&[Bug], &str); 8] = [
        (&[Bug::ConsumeBeforeTelling], ""),
        (&[Bug::WriteBeforeTelling], ""),
        (&[Bug::ForgetTail], ""),
        (&[Bug::ForgetDiscard], ""),
        (&[Bug::NoFence], "re0/rpd.0"),
        (&[Bug::ThawWithoutCounters], ""),
        (&[Bug::PfedWritesOn], "writes to the forwarding table"),
        (&[Bug::BlindWrites], "needlessly"),
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
