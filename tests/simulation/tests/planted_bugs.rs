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
    // The owner of the sessions hangs before anybody stands by.
    let owner =
        Fault::Process { side: Side::Old, daemon: Daemon::Rpd, incarnation: 0, action: 900, strike: Strike::Stop };
    scenarios.push(Scenario { faults: vec![owner], ..plain.clone() });
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

/// The second level, with one session that restarts gracefully.
#[test]
fn every_mistake_with_the_real_speaker_is_found() {
    let mistakes = [
        (Bug::DigestsLie, "digests are equal, tables are not"),
        (Bug::RestartsAnother, "went down"),
        (Bug::ForgetStale, "is removed while a neighbor that tells of it restarts"),
    ];
    for (bug, says) in mistakes {
        let what = (1..=PLAIN_SEEDS).find_map(|seed| {
            let scenario = Scenario { seed, real: true, restarting: 2, bugs: vec![bug], ..Scenario::default() };
            common::problem(&scenario, &simulate(&scenario)).map(|what| format!("{scenario}: {what}"))
        });
        let what = what.unwrap_or_else(|| panic!("{bug:?} was not found within {PLAIN_SEEDS} seeds"));
        println!("{bug:?}: {what}");
        assert!(what.contains(says), "{bug:?} was found as something else: {what}");
    }
}

#[test]
fn every_planted_mistake_is_found() {
    let mistakes: [(&[Bug], &str); 10] = [
        (&[Bug::ConsumeBeforeTelling], ""),
        (&[Bug::WriteBeforeTelling], ""),
        (&[Bug::ForgetTail], ""),
        (&[Bug::ForgetDiscard], ""),
        (&[Bug::NoFence], "re0/rpd.0"),
        (&[Bug::ThawWithoutCounters], ""),
        (&[Bug::PfedWritesOn], "writes to the forwarding table"),
        (&[Bug::BlindWrites], "needlessly"),
        (&[Bug::NobodyWatches], "had no owner"),
        (&[Bug::PfedDoesNotWait], "puts"),
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
