//! A scenario for long.

use std::{path::Path, process::ExitCode};

use anyhow::Result;

use crate::{build, packages, shell};

/// How often each scenario is repeated, unless told otherwise.
const RUNS: [(&str, u32); 7] = [
    ("issr-basic", 10),
    ("issr-repeat", 64),
    ("issr-gap", 16),
    ("issr-scale", 3),
    ("issr-rollback", 5),
    ("issr-faults", 1),
    ("crash-matrix", 10),
];
/// The fault matrix is published as it was measured.
const PUBLISHED: (&str, &str) = ("issr-faults", "docs/faults.md");

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
    if name == PUBLISHED.0 {
        lab.args(["--markdown", PUBLISHED.1]);
    }
    if let Some(json) = json {
        lab.arg("--json").arg(json);
    }
    Ok(if shell::succeeds(&mut lab)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
