//! Medians, ratios, the table and the JSON.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::compare::{Series, Subject};
use crate::bench::report::{Figures, round, spread, summary};

/// One subject in one case.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The case.
    pub case: &'static str,
    /// Who wrote.
    pub subject: &'static str,
    /// Its version.
    pub version: String,
    /// Medians.
    #[serde(flatten)]
    pub median: Figures,
    /// The least of each.
    pub min: Figures,
    /// The most of each.
    pub max: Figures,
    /// Measurements.
    pub runs: usize,
    /// Routes and nexthop objects written, the most of all runs; in the `warm-` cases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<u64>,
    /// The time divided by that of the bare loop in the same case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_to_bare: Option<f64>,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Rows in the order of the series.
pub fn rows(all: &[Series]) -> Vec<Row> {
    let mut rows: Vec<Row> = all.iter().map(row).collect();
    let bare: BTreeMap<&str, f64> = rows
        .iter()
        .filter(|row| row.subject == Subject::BareNetlink.name() && row.failure.is_none())
        .map(|row| (row.case, row.median.wall_s))
        .collect();
    for row in rows.iter_mut().filter(|row| row.failure.is_none()) {
        row.wall_to_bare = bare.get(row.case).map(|bare| round(row.median.wall_s / bare.max(0.001)));
    }
    rows
}

fn row(series: &Series) -> Row {
    let figures = |run: &super::measure::Measured| Figures {
        cpu_s: run.used.cpu_s,
        wall_s: run.wall_s,
        rss_mib: run.used.peak_mib,
    };
    let [median, min, max] = summary(&series.runs.iter().map(figures).collect::<Vec<_>>());
    Row {
        case: series.case.name(),
        subject: series.subject.name(),
        version: series.runs.first().map(|run| run.version.clone()).unwrap_or_default(),
        median,
        min,
        max,
        runs: series.runs.len(),
        writes: series.runs.iter().filter_map(|run| run.writes).max(),
        wall_to_bare: None,
        failure: series.failure.clone(),
    }
}

/// The table, as a person reads it; it is Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| Case | Subject | CPU s | Wall s | Peak MiB | Written | Wall / bare loop |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let subject = format!("{} {}", row.subject, row.version);
        if let Some(failure) = &row.failure {
            let why = failure.replace('\n', " ");
            let _ = writeln!(out, "| `{}` | {} | failed: {why} | | | | |", row.case, subject.trim());
            continue;
        }
        let range = (&row.median, &row.min, &row.max, row.runs);
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            row.case,
            subject.trim(),
            spread(range, |f| f.cpu_s, 2),
            spread(range, |f| f.wall_s, 2),
            if row.subject == Subject::BareNetlink.name() { String::new() } else { spread(range, |f| f.rss_mib, 0) },
            row.writes.map(|writes| writes.to_string()).unwrap_or_default(),
            row.wall_to_bare.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        fib::{case::Case, measure::Measured},
        router::Make,
        usage::Used,
    };

    #[test]
    fn times_are_compared_with_the_bare_loop() {
        let series = |subject, wall: &[f64], writes| Series {
            case: Case::WarmUnchanged,
            subject,
            runs: wall
                .iter()
                .map(|wall_s| Measured {
                    version: "1.0".into(),
                    wall_s: *wall_s,
                    used: Used { cpu_s: 1.0, peak_mib: 20.0 },
                    writes,
                })
                .collect(),
            failure: None,
        };
        let ours = series(Subject::Router(Make::Holdfast), &[3.0, 1.0, 2.0], Some(0));
        let rows = rows(&[series(Subject::BareNetlink, &[0.5], None), ours]);
        assert_eq!((rows[1].wall_to_bare, rows[1].min.wall_s, rows[1].writes), (Some(4.0), 1.0, Some(0)));
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!((&json[1]["wall_s"], &json[0]["subject"]), (&2.0.into(), &"bare-netlink".into()));
        let row = "| `warm-unchanged` | holdfast 1.0 | 1.00 (1.00 to 1.00) | 2.00 (1.00 to 3.00) | 20 (20 to 20) | 0 | 4.00 |";
        assert!(table(&rows).contains(row), "{}", table(&rows));
    }
}
