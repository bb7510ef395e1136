//! Control-plane gaps over many runs, and over tables of several sizes.

use serde::Serialize;

use crate::result::{LabResult, Measured};

/// Gaps at one number of routes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SizeGaps {
    /// Routes in all.
    pub routes: u64,
    /// Runs that had a gap.
    pub runs: usize,
    /// Half of them were shorter.
    pub median_ms: f64,
    /// The longest.
    pub worst_ms: f64,
}

/// The median gap of runs; nothing if none had one.
pub fn median(runs: &[Measured]) -> Option<f64> {
    let gaps = sorted(runs.iter());
    gaps.get(gaps.len() / 2).copied()
}

fn sorted<'a>(runs: impl Iterator<Item = &'a Measured>) -> Vec<f64> {
    let mut gaps: Vec<f64> = runs.filter_map(|run| run.gap.control_plane_ms).collect();
    gaps.sort_by(f64::total_cmp);
    gaps
}

/// One line per number of routes, in the order of the labs.
pub fn by_size(results: &[LabResult]) -> Vec<SizeGaps> {
    let routes = |result: &LabResult| result.options.get("routes").copied().unwrap_or(0);
    let mut sizes: Vec<u64> = results.iter().map(routes).collect();
    sizes.dedup();
    let of_size = |size: u64| {
        let gaps = sorted(results.iter().filter(|r| routes(r) == size).flat_map(|r| &r.runs));
        let (median_ms, worst_ms) = (*gaps.get(gaps.len() / 2)?, *gaps.last()?);
        Some(SizeGaps { routes: size, runs: gaps.len(), median_ms, worst_ms })
    };
    sizes.into_iter().filter_map(of_size).collect()
}

/// What grew with the table beyond the bar.
pub fn growth(sizes: &[SizeGaps], bar_ms: Option<f64>) -> Option<String> {
    let (bar, [first, .., last]) = (bar_ms?, sizes) else { return None };
    let grown = last.median_ms - first.median_ms;
    (grown > bar).then(|| {
        format!(
            "the median control-plane gap grew by {grown:.1} ms from {} to {} routes, allowed {bar} ms",
            first.routes, last.routes
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(routes: u64, median_ms: f64) -> SizeGaps {
        SizeGaps { routes, runs: 3, median_ms, worst_ms: median_ms }
    }

    #[test]
    fn the_median_is_taken_of_runs_that_had_a_gap() {
        let run = |gap: Option<f64>| {
            let mut run = Measured::default();
            run.gap.control_plane_ms = gap;
            run
        };
        assert_eq!(median(&[run(Some(9.0)), run(None), run(Some(1.0)), run(Some(5.0))]), Some(5.0));
        assert_eq!(median(&[run(None)]), None);
    }

    #[test]
    fn growth_beyond_the_bar_is_told() {
        let sizes = [at(1_000, 2.0), at(100_000, 9.0), at(500_000, 6.9)];
        assert_eq!(growth(&sizes, Some(5.0)), None);
        assert!(growth(&sizes, Some(4.0)).is_some_and(|text| text.contains("4.9 ms")));
        assert_eq!(growth(&sizes, None), None, "times are not judged");
    }
}
