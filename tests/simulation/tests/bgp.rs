//! The second level: real BGP behind the model's rpd. What neighbours know at the end is what a router without a reboot would have
//! told them; sessions that are planned to restart gracefully do so once, the others not at all.

mod common;

use common::{judge, kinds, run_all, with};
use holdfast_issu::{Daemon, Outcome, Side};
use holdfast_simulation::{Fault, Scenario, Strike, Trouble, simulate};

/// None of the sessions restarts gracefully, one, all.
const RESTARTING: [u32; 3] = [0, 2, 7];
/// Unless `SIMULATION_FULL` asks for all of them: every how many system calls and requests.
const STRIDE: usize = 97;

fn stride() -> usize {
    if std::env::var_os("SIMULATION_FULL").is_some() { 1 } else { STRIDE }
}

fn real_kinds() -> Vec<Scenario> {
    let with_real = |restarting| move |kind| Scenario { real: true, restarting, ..kind };
    RESTARTING.into_iter().flat_map(|restarting| kinds().into_iter().map(with_real(restarting))).collect()
}

#[test]
fn without_faults_neighbours_know_what_a_router_without_a_reboot_says() {
    for kind in real_kinds() {
        for seed in 1..=4 {
            let scenario = Scenario { seed, ..kind.clone() };
            let outcome = judge(&scenario);
            let end = outcome.end.unwrap_or_else(|| panic!("{scenario}: no end"));
            let goes_over = !scenario.dry_run
                && !scenario.checks_fail
                && scenario.confirm_ms.is_some() == scenario.confirmed_ms.is_some();
            assert_eq!(end.primary, if goes_over { Side::New } else { Side::Old }, "{scenario}: {}", end.reason);
            assert_eq!(end.outcome == Outcome::Finished, goes_over, "{scenario}: {}", end.reason);
            assert_eq!((outcome.flaps, outcome.respawned.len()), (0, 0), "{scenario}");
        }
    }
}

#[test]
fn processes_struck_while_sessions_go_over_or_restart() {
    let mut all = Vec::new();
    for restarting in RESTARTING {
        let scenario = Scenario { seed: 1, real: true, restarting, ..Scenario::default() };
        for ((side, daemon), (from, to)) in simulate(&scenario).actions {
            for strike in [Strike::Kill, Strike::Stop, Strike::Pause(300)] {
                let stride = if daemon == Daemon::Rpd { stride() } else { stride().div_ceil(4) };
                for action in (from + 1..=to).step_by(stride) {
                    all.push(with(&scenario, Fault::Process { side, daemon, incarnation: 0, action, strike }));
                }
            }
        }
    }
    run_all(all, |scenario| drop(judge(scenario)));
}

#[test]
fn requests_in_trouble_while_sessions_go_over_or_restart() {
    let mut all = Vec::new();
    for restarting in RESTARTING {
        let scenario = Scenario { seed: 1, real: true, restarting, ..Scenario::default() };
        for request in (0..simulate(&scenario).requests.len()).step_by(stride().div_ceil(15)) {
            let troubles = [Trouble::Late(3000), Trouble::Lost, Trouble::AnswerLost, Trouble::Error, Trouble::Abort];
            all.extend(troubles.map(|trouble| with(&scenario, Fault::Request { request, trouble })));
        }
    }
    run_all(all, |scenario| drop(judge(scenario)));
}
