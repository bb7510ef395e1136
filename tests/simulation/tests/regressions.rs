//! Faults that once were not survived, each as it was found.

mod common;

use common::judge;
use holdfast_issu::Side;
use holdfast_simulation::{Bug, Scenario, simulate};

fn run(scenario: &str) -> holdfast_simulation::Outcome {
    judge(&scenario.parse().expect("a scenario as it was printed"))
}

/// The old engine could not be thawed and its rpd was restarted. The run then named the new slot as primary, whose
/// processes had been killed: chassisd started them again beside the old ones.
#[test]
fn a_slot_that_was_killed_is_not_named_as_the_primary() {
    for scenario in [
        "seed=20261352 lost:request@44 stop:re1/pfed.0@394",
        "seed=20261347 checks-fail kill:re1/rpd.0@809 lost:request@72",
        "seed=1 kill:re1/rpd.0@430 error:request@49",
    ] {
        let end = run(scenario).end.expect("an end");
        assert!(end.primary == Side::Old || end.reason.contains("could not go back"), "{scenario}: {end:?}");
    }
}

/// Whoever answered Freeze by an error was not asked again, stayed in a term that was over and was restarted.
#[test]
fn an_engine_that_could_not_be_frozen_goes_on_without_a_restart() {
    for request in 29..=31 {
        let outcome = run(&format!("seed=1 error:request@{request}"));
        assert_eq!((outcome.flaps, outcome.respawned.len()), (0, 0), "request {request}: {:?}", outcome.log);
    }
}

/// The confirmation came while the new rpd hung and nobody had noticed yet: the old engine was ended all the same.
#[test]
fn the_old_engine_is_not_ended_before_the_new_one_has_answered() {
    for action in [445, 519, 593, 667] {
        let outcome = run(&format!("seed=1 confirm=1500 confirmed=700 stop:re1/rpd.0@{action}"));
        assert_eq!((outcome.flaps, outcome.end.expect("an end").primary), (0, Side::Old), "at {action}");
    }
}

/// An acknowledgement that was late held up what the new rpd had to say to its pfed beyond the switch: pfed, just primary, put entries back to
/// what it had been told before.
#[test]
fn a_new_primary_does_not_put_entries_back_while_its_rpd_has_more_to_say() {
    for scenario in ["seed=1 late-150:ack@72", "seed=1 late-4000:ack@72", "seed=1 late-150:batch@72"] {
        assert_eq!(run(scenario).flaps, 0, "{scenario}");
    }
    let mut impatient: Scenario = "seed=1 late-150:ack@72".parse().expect("a scenario as it was printed");
    impatient.bugs = vec![Bug::PfedDoesNotWait];
    let found = simulate(&impatient).violation.expect("that this is the moment");
    assert!(found.contains("puts"), "{found}");
}
