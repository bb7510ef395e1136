//! `holdfast lab bench`: what `cargo xtask bench` runs.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{bfd, case::Case, compare::Comparison, fib, report, router::Make};
use crate::{
    error::{Doing, LabError, Result},
    host::{interrupt, programs},
    progress::Progress,
};

/// What is measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// BGP: tables, sessions lost, policies, storms.
    Bgp,
    /// The forwarding table: filled, and found again.
    Fib,
    /// BFD: many sessions while every processor is busy.
    Bfd,
}

/// Arguments of `holdfast lab bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What is measured
    #[arg(value_enum)]
    kind: Kind,
    /// Only this case; may be repeated
    #[arg(long, value_name = "CASE")]
    case: Vec<String>,
    /// The routers
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    peers: Vec<Make>,
    /// Measurements of each router in each case, in turns; medians are shown
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Routes in all, in the place of each case's own: for trying
    #[arg(long)]
    routes: Option<usize>,
    /// BFD: sessions
    #[arg(long, default_value_t = 500)]
    sessions: usize,
    /// BFD: milliseconds between packets
    #[arg(long, default_value_t = 50)]
    interval: u32,
    /// BFD: how long
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Of the tables
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (makes, progress) = (check(arguments)?, Progress::new(false));
    interrupt::install()?;
    let Arguments { case, runs, routes, seed, .. } = arguments;
    let good = match arguments.kind {
        Kind::Bgp => {
            let cases = Case::select(case)?.into_iter().map(|case| case.scaled(*routes)).collect();
            let rows = report::rows(&Comparison { cases, makes, runs: *runs, seed: *seed }.measure(&progress)?);
            show(arguments, &report::table(&rows), &rows)?;
            rows.iter().all(|row| row.failure.is_none())
        }
        Kind::Fib => {
            let comparison = fib::Comparison::new(case, &makes, *runs, *routes, *seed)?;
            let rows = fib::rows(&comparison.measure(&progress)?);
            show(arguments, &fib::table(&rows), &rows)?;
            rows.iter().all(|row| row.failure.is_none())
        }
        Kind::Bfd => {
            let Arguments { sessions, interval, seconds, .. } = *arguments;
            let rows = bfd::measure(&bfd::Case { sessions, interval_ms: interval, seconds }, &progress)?;
            show(arguments, &bfd::table(&rows), &rows)?;
            rows.iter().all(bfd::Row::is_good)
        }
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(arguments: &Arguments, table: &str, rows: &impl serde::Serialize) -> Result<()> {
    let _ = writeln!(std::io::stdout(), "{table}");
    if let Some(file) = &arguments.json {
        let text = serde_json::to_vec_pretty(rows).map_err(|e| LabError::Usage(e.to_string()))?;
        std::fs::write(file, text).doing(|| format!("write {}", file.display()))?;
        let _ = writeln!(std::io::stdout(), "the figures are in {}", file.display());
    }
    Ok(())
}

/// Refuses what makes no sense before anything is made; the routers.
fn check(arguments: &Arguments) -> Result<Vec<Make>> {
    programs::require_root()?;
    programs::IP.find()?;
    let mut makes = if arguments.peers.is_empty() { Make::USUAL.to_vec() } else { arguments.peers.clone() };
    // Ours is compared with the others, whoever they are.
    makes.push(Make::Holdfast);
    makes.sort_unstable();
    makes.dedup();
    let takes_part = |make: &&Make| match arguments.kind {
        Kind::Bgp => true,
        Kind::Fib => make.can_be_held_back(),
        Kind::Bfd => **make == Make::Holdfast,
    };
    makes.iter().filter(takes_part).try_for_each(|make| make.check_installed())?;
    if arguments.runs == 0 {
        return Err(LabError::Usage("--runs 0: required is 1 or more".into()));
    }
    if let Some(routes) = arguments.routes.filter(|routes| !(1_000..=2_000_000).contains(routes)) {
        return Err(LabError::Usage(format!("--routes {routes}: required is a number from 1000 to 2000000")));
    }
    let folder = arguments.json.as_deref().and_then(Path::parent);
    if let Some(folder) = folder.filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(LabError::Usage(format!("--json: the folder {} does not exist", folder.display())));
    }
    Ok(makes)
}
