//! Medians, ratios, the table and the JSON.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use super::{compare::Series, measure::Measured, router::Make, usage};

/// The three figures that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// User and system time of all of the router's processes.
    pub cpu_s: f64,
    /// From the event to its last effect.
    pub wall_s: f64,
    /// Peak of resident memory, summed over the processes.
    pub rss_mib: f64,
}

/// One program's part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ProgramFigures {
    cpu_s: f64,
    rss_mib: f64,
}

/// One router in one case.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The case.
    pub case: String,
    /// The router.
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
    /// Whether routes went into the kernel.
    pub fib: bool,
    /// Prefixes in the router's table.
    pub prefixes: usize,
    /// Medians by program.
    pub programs: BTreeMap<String, ProgramFigures>,
    /// Processor time of feeders and receiver, for comparison.
    pub lab_cpu_s: f64,
    /// Figures of `holdfast` divided by this router's: 1 for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdfast_to_this: Option<Figures>,
    /// Why there are no figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Rows in the order of the series.
pub fn rows(all: &[Series]) -> Vec<Row> {
    let mut rows: Vec<Row> = all.iter().map(row).collect();
    let ours: BTreeMap<String, Figures> = rows
        .iter()
        .filter(|row| row.subject == Make::Holdfast.name() && row.failure.is_none())
        .map(|row| (row.case.clone(), row.median))
        .collect();
    for row in rows.iter_mut().filter(|row| row.failure.is_none()) {
        row.holdfast_to_this = ours.get(&row.case).map(|ours| ratio(*ours, row.median));
    }
    rows
}

fn ratio(ours: Figures, theirs: Figures) -> Figures {
    // A clock tick and less is no divisor.
    let divide = |ours: f64, theirs: f64| round(ours / theirs.max(0.01));
    Figures {
        cpu_s: divide(ours.cpu_s, theirs.cpu_s),
        wall_s: divide(ours.wall_s, theirs.wall_s),
        rss_mib: divide(ours.rss_mib, theirs.rss_mib),
    }
}

pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The median, the least and the most of each.
pub(super) fn summary(figures: &[Figures]) -> [Figures; 3] {
    let by = |pick: fn(&[f64]) -> f64| {
        let of = |field: fn(&Figures) -> f64| round(pick(&sorted(figures.iter().map(field))));
        Figures { cpu_s: of(|f| f.cpu_s), wall_s: of(|f| f.wall_s), rss_mib: of(|f| f.rss_mib) }
    };
    let least = by(|values| values.first().copied().unwrap_or(0.0));
    let most = by(|values| values.last().copied().unwrap_or(0.0));
    [by(median), least, most]
}

fn row(series: &Series) -> Row {
    let [middle, min, max] = summary(&series.runs.iter().map(figures).collect::<Vec<_>>());
    Row {
        case: series.case.title(),
        subject: series.make.name(),
        version: series.runs.first().map(|run| run.version.clone()).unwrap_or_default(),
        median: middle,
        min,
        max,
        runs: series.runs.len(),
        fib: series.case.forwarding,
        prefixes: series.case.prefixes(),
        programs: programs(&series.runs),
        lab_cpu_s: round(median(&sorted(series.runs.iter().map(|run| run.lab_cpu_s)))),
        holdfast_to_this: None,
        failure: series.failure.clone(),
    }
}

fn figures(run: &Measured) -> Figures {
    let used = usage::sum(&run.usage);
    Figures { cpu_s: used.cpu_s, wall_s: run.wall_s, rss_mib: used.peak_mib }
}

fn programs(runs: &[Measured]) -> BTreeMap<String, ProgramFigures> {
    let names = runs.iter().flat_map(|run| run.usage.keys());
    let of = |name: &String| {
        let mid = |field: fn(&usage::Used) -> f64| {
            round(median(&sorted(runs.iter().filter_map(|run| run.usage.get(name)).map(field))))
        };
        ProgramFigures { cpu_s: mid(|used| used.cpu_s), rss_mib: mid(|used| used.peak_mib) }
    };
    names.map(|name| (name.clone(), of(name))).collect()
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Of an even number the lower one of the two in the middle: a figure that was measured.
fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// The table, as a person reads it; it is Markdown.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| Case | Router | CPU s | Wall s | Peak MiB | Holdfast / this: CPU, wall, memory |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let router = format!("{} {}", row.subject, row.version);
        if let Some(failure) = &row.failure {
            let _ =
                writeln!(out, "| {} | {} | failed: {} | | | |", row.case, router.trim(), failure.replace('\n', " "));
            continue;
        }
        let range = (&row.median, &row.min, &row.max, row.runs);
        let ratios = match &row.holdfast_to_this {
            Some(ratio) if row.subject != Make::Holdfast.name() => {
                let own = parts(row);
                format!("{:.2}, {:.2}, {:.2} {own}", ratio.cpu_s, ratio.wall_s, ratio.rss_mib).trim_end().to_owned()
            }
            _ => parts(row),
        };
        let _ = writeln!(
            out,
            "| {} | {router} | {} | {} | {} | {ratios} |",
            row.case,
            spread(range, |f| f.cpu_s, 2),
            spread(range, |f| f.wall_s, 2),
            spread(range, |f| f.rss_mib, 0),
        );
    }
    out
}

/// A figure, and of several runs the least and the most of it: (median, least, most, runs).
pub(super) fn spread(
    (median, least, most, runs): (&Figures, &Figures, &Figures, usize),
    field: fn(&Figures) -> f64,
    digits: usize,
) -> String {
    let of = |figures| format!("{:.digits$}", field(figures));
    if runs == 1 {
        return of(median);
    }
    format!("{} ({} to {})", of(median), of(least), of(most))
}

/// Of our own router: which of its processes used what.
fn parts(row: &Row) -> String {
    if ![Make::Holdfast, Make::Standby, Make::StandbyHeld].iter().any(|make| make.name() == row.subject) {
        return String::new();
    }
    let part =
        |(name, used): (&String, &ProgramFigures)| format!("{name} {:.2} s, {:.0} MiB", used.cpu_s, used.rss_mib);
    let list: Vec<_> =
        ["rpd", "pfed", "rpd (backup)"].iter().filter_map(|name| row.programs.get_key_value(*name)).map(part).collect();
    format!("of which {}", list.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{case::Case, usage::Used};

    fn series(make: Make, figures: &[(f64, f64)]) -> Series {
        let run = |(cpu_s, wall_s): &(f64, f64)| Measured {
            version: "1.0".into(),
            wall_s: *wall_s,
            usage: [("rpd".to_owned(), Used { cpu_s: *cpu_s, peak_mib: 100.0 })].into(),
            ..Measured::default()
        };
        Series { case: Case::all()[0], make, runs: figures.iter().map(run).collect(), failure: None }
    }

    #[test]
    fn medians_ratios_and_the_range() {
        let mut failed = series(Make::Frr, &[]);
        failed.failure = Some("it crashed".into());
        let ours = series(Make::Holdfast, &[(3.0, 1.0), (1.0, 2.0), (2.0, 9.0)]);
        let rows = rows(&[ours, series(Make::Bird, &[(4.0, 4.0)]), failed]);
        assert_eq!(rows[0].median, Figures { cpu_s: 2.0, wall_s: 2.0, rss_mib: 100.0 });
        assert_eq!((rows[0].min.cpu_s, rows[0].max.wall_s), (1.0, 9.0));
        assert_eq!(rows[1].holdfast_to_this, Some(Figures { cpu_s: 0.5, wall_s: 0.5, rss_mib: 1.0 }));
        let json = serde_json::to_value(&rows).unwrap();
        assert_eq!(
            (&json[0]["cpu_s"], &json[0]["subject"], &json[1]["min"]["wall_s"]),
            (&2.0.into(), &"holdfast".into(), &4.0.into())
        );
        let table = table(&rows);
        for words in [
            "| 1x1000000 | bird 1.0 | 4.00 | 4.00 | 100 | 0.50, 0.50, 1.00 |",
            "2.00 (1.00 to 3.00)",
            "failed: it crashed",
            "rpd 2.00 s",
        ] {
            assert!(table.contains(words), "{words} in\n{table}");
        }
    }
}
