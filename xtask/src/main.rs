//! `cargo xtask`: everything a person repeats. Each command says what it does while it does it.
//!
//! `demo` shows the router rebooting in service between FRR and BIRD; `test` is what CI runs; `soak` repeats a scenario
//! for long; `bench` measures this router beside others. All of them install the Debian packages that are missing and build what is needed.

mod bench;
mod build;
mod demo;
mod labs;
mod packages;
mod shell;
mod soak;
mod test;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A router reboots in service under live traffic, between FRR and BIRD; ends with the proof
    Demo {
        /// Leave the router running; says how to log in and how to end it
        #[arg(long)]
        keep: bool,
        /// Where the figures go
        #[arg(long, value_name = "FILE", default_value = "target/demo.json")]
        json: PathBuf,
    },
    /// Formatting, lints, documentation, every test, and the lab's scenarios in short
    Test {
        /// Only steps whose name contains this; if there is none, only tests whose name contains it
        filter: Option<String>,
    },
    /// This router beside BIRD, FRR and GoBGP, in one run: processor time, time, memory and their ratios
    Bench(bench::Arguments),
    /// A scenario for long: issr-repeat with 64 runs, the whole fault matrix (writes docs/faults.md), ...
    Soak {
        /// The scenario
        name: String,
        /// How often
        #[arg(long)]
        runs: Option<u32>,
        /// How the routing engines run: process or oci
        #[arg(long, default_value = "process")]
        runtime: String,
        /// Where the figures go
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { keep, json } => demo::run(keep, &json),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Soak { name, runs, runtime, json } => soak::run(&name, runs, &runtime, json.as_deref()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
