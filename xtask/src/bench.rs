//! Benchmarks: this router and others, side by side in one run. The work is the lab's (`lab/src/bench`).

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;

use crate::{build, packages, shell};

/// What is measured, and how.
#[derive(Args)]
pub struct Arguments {
    /// What is measured: bgp, fib, bfd
    kind: String,
    /// Only this case (bgp: 1x1000000, 10x100000-distinct, ..., each also with -fib at its end; fib: 1000000, warm-unchanged,
    /// warm-1000-changed); may be repeated
    #[arg(long, value_name = "CASE")]
    case: Vec<String>,
    /// The routers to compare with: bird,frr,gobgp when not stated; standby: ours with a backup that follows
    #[arg(long, value_name = "LIST")]
    peers: Option<String>,
    /// Measurements of each router in each case, in turns; medians are shown
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Routes in all, in the place of each case's own: for trying
    #[arg(long, value_name = "N")]
    routes: Option<usize>,
    /// BFD: how long (600 s when not stated)
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
    /// Where the figures go, besides the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    shell::require_root("a benchmark")?;
    packages::ensure()?;
    let folder = build::release()?;
    let mut lab = shell::command(folder.join("holdfast"));
    lab.args(["lab", "bench", &arguments.kind, "--runs", &arguments.runs.to_string()]);
    for case in &arguments.case {
        lab.args(["--case", case]);
    }
    if let Some(peers) = &arguments.peers {
        lab.args(["--peers", peers]);
    }
    if let Some(routes) = arguments.routes {
        lab.args(["--routes", &routes.to_string()]);
    }
    if let Some(seconds) = arguments.seconds {
        lab.args(["--seconds", &seconds.to_string()]);
    }
    if let Some(json) = &arguments.json {
        lab.arg("--json").arg(absolute(json));
    }
    Ok(if shell::succeeds(&mut lab)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The lab runs in the workspace's folder, the file is meant from where we were called.
fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}
