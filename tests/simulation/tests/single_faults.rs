//! Every single fault at every place: nothing may be lost.

mod common;

use common::{judge, kinds as scenarios, run_all, with};
use holdfast_issu::Side;
use holdfast_simulation::{Fault, Scenario, Strike, Trouble, simulate};

#[test]
fn without_faults_every_kind_of_run_ends_as_meant() {
    use holdfast_issu::Outcome::{Finished, Rehearsed, Undone};
    let expected = [
        (Finished, Side::New),
        (Rehearsed, Side::Old),
        (Undone, Side::Old),
        (Undone, Side::Old),
        (Finished, Side::New),
    ];
    for (scenario, expected) in scenarios().into_iter().zip(expected) {
        for seed in 1..=8 {
            let scenario = Scenario { seed, ..scenario.clone() };
            let outcome = judge(&scenario);
            let end = outcome.end.unwrap_or_else(|| panic!("{scenario}: no end"));
            assert_eq!((end.outcome, end.primary), expected, "{scenario}: {}", end.reason);
            assert_eq!((outcome.flaps, outcome.respawned.len()), (0, 0), "{scenario}");
        }
    }
}

/// Each process killed, stopped and paused before its system calls during the run: `stride` 1 visits all of them.
fn struck(scenario: &Scenario, strikes: &[(Strike, usize)]) -> Vec<Scenario> {
    let full = std::env::var_os("SIMULATION_FULL").is_some();
    let mut all = Vec::new();
    for ((side, daemon), (from, to)) in simulate(scenario).actions {
        for (strike, stride) in strikes.iter().copied() {
            let stride = if full { 1 } else { stride };
            for action in (from + 1..=to).step_by(stride) {
                all.push(with(scenario, Fault::Process { side, daemon, incarnation: 0, action, strike }));
            }
        }
    }
    all
}

#[test]
fn every_process_struck_before_every_system_call() {
    let strikes = [(Strike::Kill, 1), (Strike::Stop, 10), (Strike::Pause(300), 26), (Strike::Pause(2500), 22)];
    let plain = Scenario { seed: 1, ..Scenario::default() };
    run_all(struck(&plain, &strikes), |scenario| drop(judge(scenario)));
}

/// The ways back, and soaking. `SIMULATION_FULL=1` visits every system call of these, too.
#[test]
fn processes_struck_on_the_other_ways() {
    let strikes = [(Strike::Kill, 34), (Strike::Stop, 74), (Strike::Pause(300), 97), (Strike::Pause(2500), 83)];
    let all = scenarios().iter().skip(1).flat_map(|scenario| struck(scenario, &strikes)).collect();
    run_all(all, |scenario| drop(judge(scenario)));
}

/// Each request late, lost, refused, and the operator's abort at each. Of the other kinds of run `SIMULATION_FULL=1` asks for all.
#[test]
fn every_request_in_trouble() {
    let troubles = [
        Trouble::Late(800),
        Trouble::Late(3000),
        Trouble::AnswerLate(800),
        Trouble::AnswerLate(3000),
        Trouble::Lost,
        Trouble::AnswerLost,
        Trouble::Error,
        Trouble::Abort,
    ];
    let mut all = Vec::new();
    let others = if std::env::var_os("SIMULATION_FULL").is_some() { 1 } else { 4 };
    for (kind, scenario) in scenarios().into_iter().enumerate() {
        let stride = if kind == 0 { 1 } else { others };
        for request in (0..simulate(&scenario).requests.len()).step_by(stride) {
            all.extend(troubles.map(|trouble| with(&scenario, Fault::Request { request, trouble })));
        }
    }
    run_all(all, |scenario| drop(judge(scenario)));
}

/// A neighbour's link carries nothing for a while, from any moment on.
#[test]
fn every_link_silent_at_every_moment() {
    let mut all = Vec::new();
    for scenario in scenarios() {
        for neighbor in 0..3 {
            for at_ms in (0..1500).step_by(150) {
                all.extend([200, 4000].map(|for_ms| with(&scenario, Fault::Link { neighbor, at_ms, for_ms })));
            }
        }
    }
    run_all(all, |scenario| drop(judge(scenario)));
}
