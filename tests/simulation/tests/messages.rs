//! Each message between two processes late, and chassisd standing still before whatever it does: a single fault loses nothing.

mod common;

use common::{judge, kinds, run_all, with};
use holdfast_simulation::{Channel, Fault, Scenario, simulate};

/// Unless `SIMULATION_FULL` asks for all of them: every how many messages, and steps.
const STRIDE: usize = 23;

fn stride() -> usize {
    if std::env::var_os("SIMULATION_FULL").is_some() { 1 } else { STRIDE }
}

fn late_messages(scenario: &Scenario) -> Vec<Scenario> {
    let sent = simulate(scenario).messages;
    let mut all = Vec::new();
    for channel in Channel::ALL {
        for number in (0..sent[channel as usize]).step_by(stride()) {
            let late = |late_ms| with(scenario, Fault::Message { channel, number, late_ms });
            all.extend([150, 1200, 4000].map(late));
        }
    }
    all
}

#[test]
fn every_message_late() {
    run_all(kinds().iter().flat_map(late_messages).collect(), |scenario| drop(judge(scenario)));
}

#[test]
fn chassisd_standing_still_before_every_step() {
    let mut all = Vec::new();
    for scenario in kinds() {
        for step in (0..simulate(&scenario).chassis_steps).step_by(stride() / 5 + 1) {
            let pause = |pause_ms| with(&scenario, Fault::Chassis { step, pause_ms });
            all.extend([300, 2500].map(pause));
        }
    }
    run_all(all, |scenario| drop(judge(scenario)));
}
