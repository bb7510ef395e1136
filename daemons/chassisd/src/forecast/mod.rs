//! What a run is going to take on this router: reckoned, not asked for.
//!
//! **The idea.** A constant model gives the *shape*: how the duration of each phase and the gap depend on the sizes of the
//! tables. This router's own past runs give the *scale*: each past duration, divided by what the model says for the sizes of
//! that day, is a ratio; the median of the last few, times what the model says for today, is the forecast. A router whose
//! disk is slow or whose tables have doubled is predicted as it is. Without a past run the model stands alone, with constants
//! measured on a machine with two cores of 2.5 GHz.
//!
//! Pure: sizes and records go in, numbers come out. It must never look at a clock, a file or a process.

mod model;

use holdfast_issu::State;
use holdfast_issu::limits as run_limits;
use holdfast_proto::v1;

/// Past runs that a forecast is reckoned from: enough for a median, few enough to follow a machine that changes.
pub const PAST_RUNS_MAX: usize = 5;

/// What one past run teaches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// Its number.
    pub run_id: u64,
    /// The tables of that day.
    pub sizes: v1::TableSizes,
    /// Phases that were gone through to their end.
    pub phases: Vec<(String, u64)>,
    /// Of a run that switched.
    pub gap_ms: Option<f64>,
}

impl Past {
    /// What a report teaches; nothing when its run did not go as planned, or was measured by a version without sizes.
    pub fn of(report: &v1::RunReport) -> Option<Past> {
        let sizes = report.sizes?;
        if !report.success {
            return None;
        }
        let planned = |phase: &&v1::PhaseTime| State::planned().any(|known| known.name() == phase.name);
        let phases =
            report.phases.iter().filter(planned).map(|phase| (phase.name.clone(), phase.duration_ms)).collect();
        let gap_ms = (report.control_plane_gap_ms > 0.0).then_some(report.control_plane_gap_ms);
        Some(Past { run_id: report.run_id, sizes, phases, gap_ms })
    }
}

/// The forecast for tables of these sizes. `past`: newest first; only the first [`PAST_RUNS_MAX`] count.
pub fn predict(past: &[Past], sizes: v1::TableSizes) -> v1::Forecast {
    let past = &past[..past.len().min(PAST_RUNS_MAX)];
    let phases: Vec<v1::PhaseForecast> = State::planned().map(|phase| predict_phase(past, phase, &sizes)).collect();
    let gaps: Vec<f64> = past.iter().filter_map(|run| Some(run.gap_ms? / model::gap_ms(&run.sizes))).collect();
    let usual = model::gap_ms(&sizes);
    let longest = gaps.iter().copied().fold(0.0, f64::max) * usual;
    v1::Forecast {
        duration_ms: phases.iter().map(|phase| phase.duration_ms).sum(),
        phases,
        control_plane_gap_ms: median(gaps).unwrap_or(1.0) * usual,
        control_plane_gap_max_ms: (longest * model::GAP_SAFETY).max(model::gap_max_ms(&sizes)),
        run_ids: past.iter().map(|run| run.run_id).collect(),
        sizes: Some(sizes),
        way_back_max_ms: way_back_max_ms(),
    }
}

fn predict_phase(past: &[Past], phase: State, sizes: &v1::TableSizes) -> v1::PhaseForecast {
    let measured = past.iter().filter_map(|run| {
        let (_, duration_ms) = run.phases.iter().find(|(name, _)| name == phase.name())?;
        Some(*duration_ms as f64 / model::phase_ms(phase, &run.sizes))
    });
    let ratio = median(measured.collect());
    let duration_ms = (ratio.unwrap_or(1.0) * model::phase_ms(phase, sizes)).round() as u64;
    v1::PhaseForecast { name: phase.name().into(), duration_ms, measured: ratio.is_some() }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    Some((low + high) / 2.0)
}

/// Everything failing, one deadline after the other: the old engine does not freeze, the new one does not answer, the old
/// one is thawed and commits (see `holdfast_issu::limits`).
fn way_back_max_ms() -> u64 {
    let chain = run_limits::FREEZE_DEADLINE
        + run_limits::ACTIVATION_DEADLINE
        + run_limits::KILL_DEADLINE
        + run_limits::COMMIT_DEADLINE;
    chain.as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(paths: u64) -> v1::TableSizes {
        v1::TableSizes { sessions: 2, paths_received: paths, paths_sent: paths, fib_routes: paths }
    }

    fn past(run_id: u64, paths: u64, scale: f64) -> Past {
        let phases = State::planned()
            .map(|phase| (phase.name().to_string(), (model::phase_ms(phase, &sizes(paths)) * scale).round() as u64));
        let gap_ms = Some(model::gap_ms(&sizes(paths)) * scale);
        Past { run_id, sizes: sizes(paths), phases: phases.collect(), gap_ms }
    }

    #[test]
    fn without_a_past_run_the_model_speaks() {
        let (small, large) = (predict(&[], sizes(1_000)), predict(&[], sizes(1_000_000)));
        assert!(small.run_ids.is_empty() && small.phases.iter().all(|phase| !phase.measured));
        assert_eq!(small.phases.len(), State::STEPS as usize);
        assert_eq!(small.duration_ms, small.phases.iter().map(|phase| phase.duration_ms).sum::<u64>());
        assert!(large.duration_ms > 3 * small.duration_ms, "{} {}", large.duration_ms, small.duration_ms);
        assert_eq!(large.control_plane_gap_ms, small.control_plane_gap_ms, "the gap does not grow with the tables");
        assert!(small.control_plane_gap_max_ms > small.control_plane_gap_ms);
    }

    #[test]
    fn past_runs_give_the_scale_and_the_model_the_shape() {
        let runs = [past(7, 100_000, 2.0), past(6, 100_000, 2.2), past(5, 100_000, 9.0)];
        let model = predict(&[], sizes(1_000_000));
        let forecast = predict(&runs, sizes(1_000_000));
        assert_eq!(forecast.run_ids, [7, 6, 5]);
        let ratio = forecast.duration_ms as f64 / model.duration_ms as f64;
        assert!((2.1..2.3).contains(&ratio), "the median of the three, for ten times the routes: {ratio}");
        assert!(forecast.phases.iter().all(|phase| phase.measured));
        assert!(forecast.control_plane_gap_max_ms > 9.0 * model.control_plane_gap_ms, "the longest counts");
    }

    #[test]
    fn a_rehearsal_teaches_the_phases_it_went_through() {
        let mut rehearsal = past(3, 10_000, 3.0);
        rehearsal.gap_ms = None;
        rehearsal.phases.retain(|(name, _)| name != State::Switching.name());
        let forecast = predict(&[rehearsal], sizes(10_000));
        let phase = |state: State| forecast.phases.iter().find(|phase| phase.name == state.name()).unwrap();
        assert!(phase(State::Synchronizing).measured && !phase(State::Switching).measured);
        assert_eq!(forecast.control_plane_gap_ms, model::gap_ms(&sizes(10_000)));
    }

    #[test]
    fn only_the_newest_runs_count_and_empty_tables_are_no_trouble() {
        let runs: Vec<Past> = (0..20).map(|run| past(20 - run, 0, 1.0)).collect();
        let forecast = predict(&runs, v1::TableSizes::default());
        assert_eq!(forecast.run_ids, [20, 19, 18, 17, 16]);
        assert!(forecast.control_plane_gap_ms.is_finite());
    }

    #[test]
    fn a_report_teaches_only_when_all_went_well() {
        let phase = |name: &str| v1::PhaseTime { name: name.into(), duration_ms: 5, ..Default::default() };
        let report = v1::RunReport {
            run_id: 4,
            success: true,
            sizes: Some(sizes(9)),
            phases: vec![phase("switching"), phase("aborting")],
            control_plane_gap_ms: 3.0,
            ..Default::default()
        };
        let learned = Past::of(&report).unwrap();
        assert_eq!((learned.phases.len(), learned.gap_ms), (1, Some(3.0)));
        assert_eq!(Past::of(&v1::RunReport { success: false, ..report.clone() }), None);
        assert_eq!(Past::of(&v1::RunReport { sizes: None, ..report }), None);
    }
}
