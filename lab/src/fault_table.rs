//! A fault matrix for a person: one line per cell, and the same as a document.

use std::fmt::Write as _;

use crate::{
    result::{LabResult, Measured, NOTHING_LOST},
    scenario::faults::judge::Cell,
    table_text::Style,
};

/// One line.
struct Row<'a> {
    cell: &'a Cell,
    measured: &'a Measured,
    /// The in-service reboot after it.
    then: Option<&'a Measured>,
}

impl Row<'_> {
    fn flaps(&self) -> u64 {
        self.measured.sessions.iter().map(|s| s.flaps).sum()
    }

    fn is_good(&self) -> bool {
        self.measured.verdict == NOTHING_LOST && self.then_is_good()
    }

    fn then_is_good(&self) -> bool {
        self.then.is_some_and(|then| then.verdict == NOTHING_LOST)
    }

    fn then(&self) -> &'static str {
        match self.then {
            Some(_) if self.then_is_good() => "ok",
            Some(_) => "NO",
            None => "-",
        }
    }

    fn figures(&self) -> [String; 7] {
        [
            self.cell.fault.clone(),
            self.cell.declared.clone(),
            self.cell.observed.clone(),
            self.measured.lost().to_string(),
            self.flaps().to_string(),
            format!("{:.1}", self.measured.seconds),
            self.then().into(),
        ]
    }
}

const HEADS: [&str; 7] = ["fault", "declared", "observed", "lost", "flaps", "s", "next run"];

/// The cells of a result; none if it is not that of a fault matrix.
fn rows(result: &LabResult) -> Vec<Row<'_>> {
    let next = |number: usize| result.runs.get(number + 1).filter(|run| run.cell.is_none());
    let row = |(number, measured)| {
        let measured: &Measured = measured;
        Some(Row { cell: measured.cell.as_ref()?, measured, then: next(number) })
    };
    result.runs.iter().enumerate().filter_map(row).collect()
}

/// How many cells there are, and how many ended as declared.
fn count(rows: &[Row<'_>]) -> (usize, usize) {
    (rows.len(), rows.iter().filter(|row| row.is_good()).count())
}

/// For a terminal.
pub fn render(out: &mut String, result: &LabResult, style: Style) {
    let rows = rows(result);
    let figures: Vec<_> = rows.iter().map(Row::figures).collect();
    let mut widths = HEADS.map(str::len);
    for line in &figures {
        widths.iter_mut().zip(line).for_each(|(width, text)| *width = (*width).max(text.chars().count()));
    }
    let line = |texts: &[&str]| {
        let cells = texts.iter().zip(widths).enumerate();
        let padded: Vec<_> = cells
            .map(|(n, (text, width))| if n < 3 { format!("{text:<width$}") } else { format!("{text:>width$}") })
            .collect();
        format!("    {}", padded.join("  "))
    };
    let _ = writeln!(out, "\n{}", line(&HEADS));
    let mut phase = "";
    for (row, texts) in rows.iter().zip(&figures) {
        if row.cell.phase != phase {
            phase = &row.cell.phase;
            let _ = writeln!(out, "  {}", style.paint(phase, "1"));
        }
        let _ = writeln!(out, "{}", style.judge(&line(&texts.each_ref().map(String::as_str)), row.is_good()));
        for bad in std::iter::once(row.measured).chain(row.then).filter(|m| m.verdict != NOTHING_LOST) {
            let _ = writeln!(out, "        {}: {}", bad.name, bad.verdict);
        }
    }
    let (all, good) = count(&rows);
    let _ = writeln!(out, "\n  {good} of {all} cells ended as declared");
}

/// As a document.
pub fn markdown(result: &LabResult, machine: &str) -> String {
    let rows = rows(result);
    let (all, good) = count(&rows);
    let option = |name: &str| result.options.get(name).copied().unwrap_or(0);
    let neighbors: Vec<_> =
        result.total.sessions.iter().map(|s| format!("{} {}", s.implementation, s.version)).collect();
    let mut out = format!(
        "# What every fault in a run leads to

Written by `cargo xtask soak {}` from what it measured: {}, neighbours {} (graceful restart off, hold time 9 s),
{} routes, {} packets/s each way. {}. {good} of {all} cells ended as declared.

Each line is one fault in one phase of an in-service reboot. *Lost* are packets, by sequence numbers at the receivers; *flaps*
are counted in the neighbours' own logs; *s* is the time from the request to the end of the run; *next run* says whether the
in-service reboot right after it, of a router that had to be whole again, lost nothing. What the phases are is said in
[test-aids.md](test-aids.md), how a cell is judged in [lab.md](lab.md).
",
        result.scenario,
        result.subject,
        neighbors.join(" and "),
        option("routes"),
        option("rate"),
        machine,
    );
    let mut phase = "";
    for row in &rows {
        if row.cell.phase != phase {
            phase = &row.cell.phase;
            let _ = writeln!(out, "\n## {phase}\n\n| {} |\n|{}", HEADS.join(" | "), "---|".repeat(HEADS.len()));
        }
        let _ = writeln!(out, "| {} |", row.figures().join(" | "));
    }
    out
}

/// This machine, in half a sentence.
pub fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (processors, kernel) = (read("/proc/cpuinfo"), read("/proc/sys/kernel/osrelease"));
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let mhz = processors.lines().find_map(|l| l.strip_prefix("cpu MHz")?.split(':').nth(1)?.trim().parse::<f64>().ok());
    let speed = mhz.map(|mhz| format!(" at {:.1} GHz", mhz / 1000.0)).unwrap_or_default();
    let version: Vec<&str> = kernel.trim().split('.').take(2).collect();
    format!("A machine with {cores} processors{speed}, Linux {}", version.join("."))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn measured(verdict: &str, cell: bool) -> Measured {
        let cell = cell.then(|| Cell {
            phase: "switching".into(),
            fault: "kill -9 old-mgd".into(),
            declared: "finished, nothing lost".into(),
            observed: "nothing lost".into(),
            flaps_allowed: 0,
            excused: None,
            may_hold_up: false,
        });
        Measured { name: "run".into(), verdict: verdict.into(), cell, ..Measured::default() }
    }

    fn result(runs: Vec<Measured>) -> LabResult {
        LabResult {
            scenario: "issr-faults".into(),
            subject: "holdfast".into(),
            total: Measured::default(),
            baseline: Vec::new(),
            machine_backlog_drops: 0,
            options: BTreeMap::new(),
            sizes: Vec::new(),
            runs,
            peers: Vec::new(),
        }
    }

    #[test]
    fn a_cell_is_good_only_with_a_good_run_after_it() {
        let good = || measured(NOTHING_LOST, true);
        let then = |verdict: &str| measured(verdict, false);
        let runs = vec![good(), then(NOTHING_LOST), good(), then("1 packets lost"), good()];
        let result = result(runs);
        assert_eq!(count(&rows(&result)), (3, 1));
        let mut text = String::new();
        render(&mut text, &result, Style { colours: false });
        assert!(text.contains("run: 1 packets lost") && text.contains("1 of 3 cells"), "{text}");
        let document = markdown(&result, "A machine");
        assert_eq!(document.matches("| kill -9 old-mgd |").count(), 3, "{document}");
        assert_eq!(document.matches("## switching").count(), 1);
    }
}
