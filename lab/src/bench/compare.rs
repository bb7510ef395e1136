//! All cases, all routers, in turns.

use super::{
    case::Case,
    input::Input,
    measure::{self, Measured},
    router::Make,
    usage,
};
use crate::{error::LabError, progress::Progress};

/// All runs of one router in one case.
#[derive(Debug, Clone)]
pub struct Series {
    /// The case.
    pub case: Case,
    /// The router.
    pub make: Make,
    /// What was measured; empty if it failed.
    pub runs: Vec<Measured>,
    /// Why it did not come to an end.
    pub failure: Option<String>,
}

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The cases.
    pub cases: Vec<Case>,
    /// The routers.
    pub makes: Vec<Make>,
    /// Measurements of each.
    pub runs: u32,
    /// Of the tables.
    pub seed: u64,
}

impl Comparison {
    /// Measures. A router that fails in a case is not tried again there; an interruption ends everything.
    pub fn measure(&self, progress: &Progress) -> Result<Vec<Series>, LabError> {
        let mut all = Vec::new();
        for case in &self.cases {
            progress.step(&format!("{}: building what {} feeders send", case.title(), case.feeders));
            let input = Input::build(case, self.seed);
            let able = self.makes.iter().filter(|make| make.forwards() || !case.forwarding);
            let mut series: Vec<_> =
                able.map(|make| Series { case: *case, make: *make, runs: Vec::new(), failure: None }).collect();
            for run in 1..=self.runs {
                for one in &mut series {
                    self.turn(run, one, &input, progress)?;
                }
            }
            all.extend(series);
        }
        Ok(all)
    }

    fn turn(&self, run: u32, series: &mut Series, input: &Input, progress: &Progress) -> Result<(), LabError> {
        if series.failure.is_some() {
            return Ok(());
        }
        let title = format!("{}, run {run} of {}: {}", series.case.title(), self.runs, series.make.name());
        match measure::run(&series.case, input, series.make) {
            Ok(measured) => {
                let used = usage::sum(&measured.usage);
                progress.step(&format!(
                    "{title}: {:.2} CPU s, {:.2} s, {:.0} MiB (feeders and receiver: {:.2} CPU s)",
                    used.cpu_s, measured.wall_s, used.peak_mib, measured.lab_cpu_s
                ));
                series.runs.push(measured);
            }
            Err(LabError::Interrupted) => return Err(LabError::Interrupted),
            Err(error) => {
                progress.step(&format!("{title} FAILED: {error}"));
                series.runs.clear();
                series.failure = Some(error.to_string());
            }
        }
        Ok(())
    }
}
