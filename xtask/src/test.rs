//! Everything that must hold before a change is taken: what CI runs.

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Result;

use crate::{build, labs, packages, shell};

/// What is not a lab's scenario.
const STEPS: &[&str] = &["format", "clippy", "documentation", "tests", "fuzz"];

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
    let is_wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let steps: Vec<&str> = STEPS.iter().copied().filter(|name| is_wanted(name)).collect();
    let scenarios: Vec<labs::Step> = labs::SCENARIOS.iter().copied().filter(|(name, _)| is_wanted(name)).collect();
    if steps.is_empty() && scenarios.is_empty() {
        tests(&mut tally, &binaries, filter)?;
    }
    for name in steps {
        shell::say(&format!("{name} ({:.0} s so far)", start.elapsed().as_secs_f64()));
        match name {
            "tests" => tests(&mut tally, &binaries, None)?,
            "fuzz" => fuzz(&mut tally)?,
            _ => tally.one(name, shell::succeeds(&mut lint(name))?),
        }
    }
    let outcomes = labs::run(&binaries, &scenarios, start)?;
    for outcome in &outcomes {
        tally.one(outcome.step, outcome.good);
    }
    // Once more, at the end, where it is looked for.
    outcomes.iter().filter(|outcome| !outcome.good).for_each(labs::Outcome::print_again);
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
