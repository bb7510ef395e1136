//! What happened against what was declared.

use serde::Serialize;

use super::{Disturbance, Ending, How};
use crate::{
    result::{AS_DECLARED, Measured, NOTHING_LOST},
    subject::RunOutcome,
};

/// A neighbour that resets its session may meet its own connection on the way: once more than once.
const EXCUSED_FLAPS: u64 = 2;

/// One cell as it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cell {
    /// The point of the run.
    pub phase: String,
    /// What was done.
    pub fault: String,
    /// How it must end.
    pub declared: String,
    /// How it ended, in the router's words.
    pub observed: String,
    /// Restarts that each session may have.
    pub flaps_allowed: u64,
    /// The neighbour whose own doing it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excused: Option<String>,
    /// Somebody could hold up routing.
    pub may_hold_up: bool,
}

impl Cell {
    /// With what the router said.
    pub fn new(cell: &Disturbance, outcome: &RunOutcome) -> Self {
        Self {
            phase: cell.phase.clone(),
            fault: cell.how.title(),
            declared: cell.expect.ending.title().into(),
            observed: outcome.verdict.clone().unwrap_or_else(|| "no run".into()),
            flaps_allowed: cell.expect.flaps,
            excused: cell.expect.excused.clone(),
            may_hold_up: cell.how.needs_short_stream(),
        }
    }

    /// Restarts that the session with a neighbour may have.
    pub fn flaps_allowed(&self, neighbor: &str) -> u64 {
        if self.excused.as_deref() == Some(neighbor) { EXCUSED_FLAPS } else { self.flaps_allowed }
    }

    /// Whether packets of a flow may get lost: one from or to a neighbour that is excused.
    pub fn excuses_flow(&self, flow: &str) -> bool {
        self.excused.as_deref().is_some_and(|name| flow.split(['>', '/']).any(|end| end == name))
    }
}

/// How the run's end differs from what was declared; nothing if it does not.
pub fn ending(cell: &Disturbance, outcome: &RunOutcome) -> Vec<String> {
    let verdict = outcome.verdict.as_deref().unwrap_or_default();
    let (as_declared, success) = match cell.expect.ending {
        Ending::Finished => (verdict == "nothing lost", true),
        Ending::Undone => (verdict == "undone, nothing lost", false),
        Ending::FinishedUnproven => (verdict == "failed, evidence missing", false),
        Ending::UndoneUnproven => (verdict == "undone, evidence missing", false),
        Ending::Refused => (verdict.starts_with("refused"), false),
        Ending::UndoneWithRestart => (verdict.starts_with("undone, ") && names_restart(outcome), false),
        Ending::Either => (["nothing lost", "undone, nothing lost"].contains(&verdict), verdict == "nothing lost"),
        Ending::Any if ["nothing lost", "failed, ", "undone, "].iter().any(|words| verdict.starts_with(words)) => {
            return Vec::new();
        }
        Ending::Any => (false, outcome.success),
        Ending::Mended => return Vec::new(),
    };
    let mut complaints = Vec::new();
    if !as_declared {
        let last: Vec<&str> = outcome.log.iter().rev().take(6).rev().map(String::as_str).collect();
        complaints.push(format!(
            "declared is {:?}, the report says {verdict:?}; the router's last words: {}",
            cell.expect.ending.title(),
            last.join(" | ")
        ));
    }
    if matches!(cell.how, How::FillWayBack(_)) && !outcome.log.iter().any(|line| line.contains("the way back to")) {
        complaints.push("the run did not say that the way back is closed".into());
    }
    if outcome.success != success {
        complaints.push(format!("the command's exit code says {}", if success { "failure" } else { "success" }));
    }
    complaints
}

/// The verdict over all cells, from theirs and from what was lost in none of them.
pub fn total(total: &Measured, runs: &[Measured]) -> String {
    let mut words: Vec<String> = Vec::new();
    let of_cell = |number: usize| runs.get(..=number).and_then(|r| r.iter().rev().find_map(|m| m.cell.as_ref()));
    for (number, run) in runs.iter().enumerate().filter(|(_, run)| run.verdict != NOTHING_LOST) {
        let cell = of_cell(number).map(|cell| format!("{}, {}", cell.phase, cell.fault)).unwrap_or_default();
        let place = if run.cell.is_some() { cell } else { format!("the {} after {cell}", run.name) };
        words.push(format!("{place}: {}", run.verdict));
    }
    let between = |what: &str, all: u64, counted: u64| {
        (all > counted).then(|| format!("{} {what} outside of every cell", all - counted))
    };
    let flaps = |m: &Measured| m.sessions.iter().map(|s| s.flaps).sum::<u64>();
    words.extend(between("packets lost", total.lost(), runs.iter().map(Measured::lost).sum()));
    words.extend(between("session flaps", flaps(total), runs.iter().map(flaps).sum()));
    words.extend(total.complaints.iter().cloned());
    words.extend(total.missing_evidence.iter().map(|what| format!("evidence is missing: {what}")));
    if words.is_empty() { AS_DECLARED.into() } else { words.join("; ") }
}

/// Whether the report says that sessions restarted.
fn names_restart(outcome: &RunOutcome) -> bool {
    let words = ["had to be restarted", "was interrupted"];
    outcome.log.iter().any(|line| line.starts_with("Lost : ") && words.iter().any(|word| line.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::faults::Expect;

    fn cell(ending: Ending) -> Disturbance {
        let target = "old-rpd".to_owned().try_into().unwrap();
        Disturbance {
            phase: "switching".into(),
            how: How::Kill(target),
            expect: Expect { ending, flaps: 0, excused: None },
        }
    }

    fn outcome(verdict: &str, success: bool, log: &[&str]) -> RunOutcome {
        let log = log.iter().map(|line| (*line).to_owned()).collect();
        RunOutcome { verdict: Some(verdict.into()), success, log, ..RunOutcome::default() }
    }

    #[test]
    fn another_ending_or_a_wrong_exit_code_is_a_complaint() {
        assert!(ending(&cell(Ending::Finished), &outcome("nothing lost", true, &[])).is_empty());
        assert_eq!(ending(&cell(Ending::Finished), &outcome("failed, evidence missing", false, &[])).len(), 2);
        assert_eq!(ending(&cell(Ending::Undone), &outcome("undone, nothing lost", true, &[])).len(), 1);
        assert_eq!(ending(&cell(Ending::Undone), &outcome("undone, with losses", false, &[])).len(), 1);
    }

    #[test]
    fn sessions_that_restart_have_to_be_named() {
        let said = ["Lost : re0/rpd had to be restarted: its sessions restarted with it"];
        let silent = outcome("undone, with losses", false, &[]);
        assert!(ending(&cell(Ending::UndoneWithRestart), &outcome("undone, with losses", false, &said)).is_empty());
        assert_eq!(ending(&cell(Ending::UndoneWithRestart), &silent).len(), 1);
    }
}
