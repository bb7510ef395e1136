//! A scenario for long.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{build, packages, shell};

/// How often each scenario is repeated, unless told otherwise.
const RUNS: [(&str, u32); 4] = [("issr-basic", 10), ("issr-repeat", 20), ("issr-rollback", 5), ("crash-matrix", 10)];

/// Runs it.
pub fn run(name: &str, runs: Option<u32>, runtime: &str, json: Option<&Path>) -> Result<ExitCode> {
    shell::require_root("a soak")?;
    packages::ensure()?;
    let folder = build::release()?;
    let usual = RUNS.iter().find(|(scenario, _)| *scenario == name).map_or(10, |(_, runs)| *runs);
    let runs = runs.unwrap_or(usual);
    shell::say(&format!("{name}, {runs} times, runtime {runtime}"));
    let mut lab = shell::command(folder.join("holdfast"));
    lab.args(["lab", "run", name, "--runs", &runs.to_string(), "--runtime", runtime]);
    if let Some(json) = json {
        lab.arg("--json").arg(json);
    }
    Ok(if shell::succeeds(&mut lab)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
