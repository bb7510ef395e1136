//! All cases, all subjects, in turns.

use super::{
    case::Case,
    measure::{self, Material, Measured},
};
use crate::{
    bench::router::Make,
    error::{LabError, Result},
    progress::Progress,
};

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The bare loop.
    BareNetlink,
    /// A router.
    Router(Make),
}

impl Subject {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::BareNetlink => "bare-netlink",
            Self::Router(make) => make.name(),
        }
    }
}

/// All runs of one subject in one case.
#[derive(Debug, Clone)]
pub struct Series {
    /// The case.
    pub case: Case,
    /// The subject.
    pub subject: Subject,
    /// What was measured; empty if it failed.
    pub runs: Vec<Measured>,
    /// Why it did not come to an end.
    pub failure: Option<String>,
}

/// What is to be compared.
#[derive(Debug, Clone)]
pub struct Comparison {
    cases: Vec<Case>,
    subjects: Vec<Subject>,
    runs: u32,
    routes: Option<usize>,
    seed: u64,
}

impl Comparison {
    /// The bare loop and these routers, in the cases of these names.
    pub fn new(names: &[String], makes: &[Make], runs: u32, routes: Option<usize>, seed: u64) -> Result<Self> {
        let able = makes.iter().copied().filter(|make| make.can_be_held_back()).map(Subject::Router);
        let subjects = std::iter::once(Subject::BareNetlink).chain(able).collect();
        Ok(Self { cases: Case::select(names)?, subjects, runs, routes, seed })
    }

    /// Measures. A subject that fails in a case is not tried again there; an interruption ends everything.
    pub fn measure(&self, progress: &Progress) -> Result<Vec<Series>> {
        progress.step("building the table");
        let (material, mut all) = (Material::build(self.routes, self.seed), Vec::new());
        for case in &self.cases {
            let suited = self.subjects.iter().filter(|subject| case.suits(**subject));
            let mut series: Vec<Series> = suited
                .map(|subject| Series { case: *case, subject: *subject, runs: Vec::new(), failure: None })
                .collect();
            for run in 1..=self.runs {
                for one in &mut series {
                    self.turn(run, one, &material, progress)?;
                }
            }
            all.extend(series);
        }
        Ok(all)
    }

    fn turn(&self, run: u32, series: &mut Series, material: &Material, progress: &Progress) -> Result<()> {
        if series.failure.is_some() {
            return Ok(());
        }
        let title = format!("{}, run {run} of {}: {}", series.case.name(), self.runs, series.subject.name());
        match measure::run(series.case, material, series.subject) {
            Ok(measured) => {
                let writes = measured.writes.map_or_else(String::new, |writes| format!(", {writes} routes written"));
                progress.step(&format!(
                    "{title}: {:.2} s, {:.2} CPU s, {:.0} MiB{writes}",
                    measured.wall_s, measured.used.cpu_s, measured.used.peak_mib
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
