//! Everything that must hold before a change is taken: what CI runs.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Result;

use crate::{build, packages, shell};

/// Lab scenarios in short: the step's name, the scenario and its arguments.
const SCENARIOS: &[(&str, &[&str])] = &[
    ("baseline", &["baseline", "--routes", "20000"]),
    ("issr-basic", &["issr-basic", "--runs", "2"]),
    ("issr-rollback", &["issr-rollback"]),
    ("issr-gr-mixed", &["issr-gr-mixed", "--routes", "20000"]),
    ("crash-gr", &["crash-gr"]),
    ("crash-matrix", &["crash-matrix"]),
    ("crash-bfd", &["crash-bfd"]),
    // Without the session of 3 x 10 ms, which a kernel that does not preempt itself can hold up on a busy machine.
    ("issr-bfd", &["issr-bfd", "--neighbors", "frr,bird"]),
    ("issr-faults", &["issr-faults", "--spread"]),
    ("issr-repeat", &["issr-repeat", "--runs", "5"]),
    ("issr-scale", &["issr-scale", "--routes", "100000"]),
    ("gateway-loss", &["gateway-loss", "--routes", "10000"]),
    ("gateway-loss-multipath", &["gateway-loss-multipath", "--routes", "10000"]),
    ("interop-routes", &["interop-routes"]),
    ("interop-internal", &["interop-internal"]),
    ("interop-internal-2", &["interop-internal-2"]),
    ("interop-policies", &["interop-policies"]),
    ("interop-multihop", &["interop-multihop"]),
    ("interop-rollback", &["interop-rollback"]),
    ("interop-reflection", &["interop-reflection"]),
    ("interop-reflection-2", &["interop-reflection-2"]),
    ("interop-route-server", &["interop-route-server"]),
    ("interop-communities", &["interop-communities"]),
    ("interop-communities-2", &["interop-communities-2"]),
    ("interop-as-paths", &["interop-as-paths"]),
    ("interop-as-paths-2", &["interop-as-paths-2"]),
    ("interop-contests", &["interop-contests"]),
    ("interop-contests-2", &["interop-contests-2"]),
    ("interop-aggregates", &["interop-aggregates"]),
    ("interop-aggregates-2", &["interop-aggregates-2"]),
    ("interop-add-paths", &["interop-add-paths"]),
    ("interop-add-paths-2", &["interop-add-paths-2"]),
    ("interop-limits", &["interop-limits"]),
    ("interop-restarts", &["interop-restarts"]),
    ("interop-long-lived", &["interop-long-lived"]),
    ("interop-keys", &["interop-keys"]),
    ("interop-near", &["interop-near"]),
    ("interop-agreed", &["interop-agreed"]),
    ("interop-crash", &["interop-crash"]),
    ("interop-peers", &["interop-peers"]),
    ("interop-next-hops", &["interop-next-hops"]),
    ("interop-allowed", &["interop-allowed"]),
    ("interop-local-as", &["interop-local-as"]),
    ("issr-rollback-oci", &["issr-rollback", "--runtime", "oci"]),
    ("crash-matrix-oci", &["crash-matrix", "--runtime", "oci"]),
    ("issr-repeat-oci", &["issr-repeat", "--runs", "5", "--runtime", "oci"]),
];

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
}

impl Tally {
    fn one(&mut self, name: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
            self.failures.push(name.to_owned());
        }
    }

    /// "test result: ok. 12 passed; 0 failed; ..."
    fn cargo_line(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let count = |word: &str| -> u64 {
            rest.split([';', '.']).filter_map(|p| p.trim().strip_suffix(word)?.trim().parse().ok()).next().unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
    }
}

/// Runs all steps, or those whose name contains the filter; without any, the tests whose name contains it.
pub fn run(filter: Option<&str>) -> Result<ExitCode> {
    shell::require_root("the whole-system tests")?;
    packages::ensure()?;
    let binaries = build::release()?;
    let start = Instant::now();
    let mut tally = Tally::default();
    let names: Vec<&str> = ["format", "clippy", "documentation", "tests", "fuzz"]
        .into_iter()
        .chain(SCENARIOS.iter().map(|s| s.0))
        .collect();
    let matching: Vec<&str> = names.iter().copied().filter(|n| filter.is_none_or(|f| n.contains(f))).collect();
    if matching.is_empty() {
        tests(&mut tally, &binaries, filter)?;
    }
    for name in matching {
        shell::say(&format!("{name} ({:.0} s so far)", start.elapsed().as_secs_f64()));
        match SCENARIOS.iter().find(|(step, _)| *step == name) {
            Some((step, arguments)) => tally.one(step, lab(&binaries, step, arguments)?),
            None if name == "tests" => tests(&mut tally, &binaries, None)?,
            None if name == "fuzz" => fuzz(&mut tally)?,
            None => tally.one(name, shell::succeeds(&mut lint(name))?),
        }
    }
    println!();
    for failure in &tally.failures {
        println!("failed: {failure}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn lint(name: &str) -> Command {
    let mut cargo = shell::cargo();
    match name {
        "format" => cargo.args(["fmt", "--all", "--check"]),
        "clippy" => cargo.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        _ => cargo
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    };
    cargo
}

/// Unit, property and whole-system tests; the latter use the release binaries.
fn tests(tally: &mut Tally, binaries: &Path, filter: Option<&str>) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]).args(filter).env("HOLDFAST_BIN", binaries);
    counted(tally, &mut cargo, "tests (see above)")
}

/// Runs cargo's tests and counts them.
fn counted(tally: &mut Tally, cargo: &mut Command, name: &str) -> Result<()> {
    let before = tally.failed;
    let good = shell::each_line(cargo, |line| tally.cargo_line(line))?;
    if !good {
        tally.failures.push(name.to_owned());
        // A build that fails counts no test at all.
        tally.failed += u64::from(tally.failed == before);
    }
    Ok(())
}

/// The fuzz targets over what is kept for them in `fuzz/seeds`, by the ordinary compiler.
fn fuzz(tally: &mut Tally) -> Result<()> {
    let manifest = shell::root().join("fuzz/Cargo.toml");
    let mut format = shell::cargo();
    format.args(["fmt", "--check", "--manifest-path"]).arg(&manifest);
    tally.one("fuzz: format", shell::succeeds(&mut format)?);
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--no-default-features", "--manifest-path"])
        .arg(&manifest)
        .env("CARGO_TARGET_DIR", build::target());
    counted(tally, &mut cargo, "fuzz (see above)")
}

fn lab(binaries: &Path, step: &str, arguments: &[&str]) -> Result<bool> {
    let json: PathBuf = build::target().join(format!("{step}.json"));
    shell::succeeds(
        shell::command(binaries.join("holdfast"))
            .args(["lab", "run"])
            .args(arguments)
            // Times are the demo's and the soaks' to judge: here they would test how busy the machine is.
            .arg("--times-not-judged")
            .arg("--json")
            .arg(json),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_counted() {
        let mut tally = Tally::default();
        tally.cargo_line(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.31s",
        );
        tally.cargo_line(
            "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        );
        tally.cargo_line("test wire::parse ... ok");
        assert_eq!((tally.passed, tally.failed), (15, 2));
    }
}
