//! The lab's scenarios in short, as a part of every test: those that mostly wait run beside each other.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use anyhow::{Context, Result};

use crate::{build, shell};

/// A step's name, and the scenario with its arguments.
pub type Step = (&'static str, &'static [&'static str]);

/// Scenarios whose names begin so are run so many at once: they wait for timers of neighbours, and for quiet, more than for a processor. Of lost gateways no more, for
/// they have threads with a real-time priority; what they lose by it is not judged here, and what they are judged by does not depend on it.
const AT_ONCE: [(&str, usize); 2] = [("gateway-loss", 2), ("interop-", 3)];
/// Lines of what a failed one said that are said again at the end.
const LINES_AGAIN: usize = 80;

/// All of them.
pub const SCENARIOS: &[Step] = &[
    ("baseline", &["baseline", "--routes", "20000"]),
    ("issr-basic", &["issr-basic", "--runs", "2"]),
    ("issr-rollback", &["issr-rollback"]),
    ("issr-gr-mixed", &["issr-gr-mixed", "--routes", "20000"]),
    ("crash-gr", &["crash-gr"]),
    ("crash-matrix", &["crash-matrix"]),
    ("crash-bfd", &["crash-bfd"]),
    // Without the session of 3 x 10 ms, which a kernel that does not preempt itself can hold up on a busy machine.
    ("issr-bfd", &["issr-bfd", "--neighbors", "frr,bird"]),
    ("issr-faults", &["issr-faults", "--spread"]),
    ("issr-repeat", &["issr-repeat", "--runs", "5"]),
    ("issr-scale", &["issr-scale", "--routes", "100000"]),
    ("gateway-loss", &["gateway-loss", "--routes", "10000"]),
    ("gateway-loss-multipath", &["gateway-loss-multipath", "--routes", "10000"]),
    ("gateway-loss-ipv6", &["gateway-loss-ipv6", "--routes", "10000"]),
    ("gateway-loss-multipath-ipv6", &["gateway-loss-multipath-ipv6", "--routes", "10000"]),
    ("interop-routes", &["interop-routes"]),
    ("interop-internal", &["interop-internal"]),
    ("interop-internal-2", &["interop-internal-2"]),
    ("interop-policies", &["interop-policies"]),
    ("interop-multihop", &["interop-multihop"]),
    ("interop-rollback", &["interop-rollback"]),
    ("interop-reflection", &["interop-reflection"]),
    ("interop-reflection-2", &["interop-reflection-2"]),
    ("interop-route-server", &["interop-route-server"]),
    ("interop-communities", &["interop-communities"]),
    ("interop-communities-2", &["interop-communities-2"]),
    ("interop-as-paths", &["interop-as-paths"]),
    ("interop-as-paths-2", &["interop-as-paths-2"]),
    ("interop-contests", &["interop-contests"]),
    ("interop-contests-2", &["interop-contests-2"]),
    ("interop-aggregates", &["interop-aggregates"]),
    ("interop-aggregates-2", &["interop-aggregates-2"]),
    ("interop-add-paths", &["interop-add-paths"]),
    ("interop-add-paths-2", &["interop-add-paths-2"]),
    ("interop-limits", &["interop-limits"]),
    ("interop-restarts", &["interop-restarts"]),
    ("interop-long-lived", &["interop-long-lived"]),
    ("interop-keys", &["interop-keys"]),
    ("interop-near", &["interop-near"]),
    ("interop-agreed", &["interop-agreed"]),
    ("interop-crash", &["interop-crash"]),
    ("interop-peers", &["interop-peers"]),
    ("interop-next-hops", &["interop-next-hops"]),
    ("interop-allowed", &["interop-allowed"]),
    ("interop-local-as", &["interop-local-as"]),
    ("issr-rollback-oci", &["issr-rollback", "--runtime", "oci"]),
    ("crash-matrix-oci", &["crash-matrix", "--runtime", "oci"]),
    ("issr-repeat-oci", &["issr-repeat", "--runs", "5", "--runtime", "oci"]),
];

/// How one ended.
pub struct Outcome {
    /// Its name.
    pub step: &'static str,
    /// It found nothing wrong.
    pub good: bool,
    said: PathBuf,
}

impl Outcome {
    /// All that it said.
    fn words(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    /// The last of what it said.
    pub fn print_again(&self) {
        let said = self.words();
        let lines: Vec<&str> = said.lines().collect();
        shell::say(&format!("{} failed; the end of what it said", self.step));
        lines.iter().skip(lines.len().saturating_sub(LINES_AGAIN)).for_each(|line| println!("{line}"));
    }
}

/// Runs them, first those that run alone, and shows what each said when it has ended.
pub fn run(binaries: &Path, steps: &[Step], start: Instant) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (steps, at_once) in turns(steps) {
        outcomes.extend(beside_each_other(binaries, &steps, at_once, start)?);
    }
    Ok(outcomes)
}

/// Those that run in one turn, and how many of them at once.
fn turns(steps: &[Step]) -> Vec<(Vec<Step>, usize)> {
    let mut alone = steps.to_vec();
    let mut together = Vec::new();
    for (name, at_once) in AT_ONCE {
        together.push((alone.extract_if(.., |step| step.0.starts_with(name)).collect(), at_once));
    }
    std::iter::once((alone, 1)).chain(together).collect()
}

fn beside_each_other(binaries: &Path, steps: &[Step], at_once: usize, start: Instant) -> Result<Vec<Outcome>> {
    let (waiting, printing) = (Mutex::new(steps.iter()), Mutex::new(()));
    let work = || -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        // A thread that panicked has left both as they were.
        while let Some(step) = { waiting.lock().unwrap_or_else(|held| held.into_inner()).next() } {
            shell::say(&format!("{} ({:.0} s so far)", step.0, start.elapsed().as_secs_f64()));
            let outcome = one(binaries, *step)?;
            let _whole = printing.lock();
            print!("{}", outcome.words());
            outcomes.push(outcome);
        }
        Ok(outcomes)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let mut outcomes = Vec::new();
        for worker in workers {
            outcomes.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(outcomes)
    })
}

fn one(binaries: &Path, (step, arguments): Step) -> Result<Outcome> {
    let said = build::target().join(format!("{step}.log"));
    let file = File::create(&said).with_context(|| format!("write what {step} says to {}", said.display()))?;
    let good = shell::succeeds(
        shell::command(binaries.join("holdfast"))
            .args(["lab", "run"])
            .args(arguments)
            // Times are the demo's and the soaks' to judge: here they would test how busy the machine is.
            .arg("--times-not-judged")
            .arg("--json")
            .arg(build::target().join(format!("{step}.json")))
            .stdout(file.try_clone().context("a second descriptor of a file")?)
            .stderr(file),
    )?;
    Ok(Outcome { step, good, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_its_turn_and_only_those_that_wait_are_run_together() {
        let turns = turns(SCENARIOS);
        let all: usize = turns.iter().map(|(steps, _)| steps.len()).sum();
        assert_eq!(all, SCENARIOS.len());
        for (steps, at_once) in turns {
            assert!(!steps.is_empty());
            let waits = |step: &Step| AT_ONCE.iter().any(|(name, _)| step.0.starts_with(name));
            assert!(steps.iter().all(|step| waits(step) == (at_once > 1)), "{at_once} at once");
        }
    }
}
