//! `holdfast lab`: the command.

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use crate::{
    bench::{self, setting::Setting},
    error::{Doing, LabError, Result},
    fault_table,
    gateway::{self, GatewayLoss},
    host::{cleanup, guardian, programs},
    interop::{self, Interop, Maker},
    keep,
    lab::Lab,
    limits,
    neighbor::Kind,
    progress::Progress,
    result::LabResult,
    scenario::{
        Bars, Scenario,
        runner::{self, Options},
    },
    subject::{EngineRuntime, SubjectKind},
    table_text::{self, Style},
};

/// Arguments of `holdfast lab`.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario; exit code 0 only if nothing was lost
    Run(RunArguments),
    /// What each scenario shows and needs
    List,
    /// Print a scenario as a file that can be changed and run
    Show {
        /// Its name
        scenario: String,
    },
    /// Remove labs that were left over or kept (all, those of one scenario, or one); running ones are left alone
    Destroy {
        /// Only this scenario's labs, or only the lab of this name
        #[arg(value_name = "SCENARIO|LAB")]
        which: Option<String>,
    },
    /// Measure this router and others, side by side; `cargo xtask bench` installs what that needs
    #[command(hide = true)]
    Bench(bench::command::Arguments),
    #[command(hide = true)]
    Guardian { id: String },
}

/// Where none is given.
const SEED_DEFAULT: u64 = 1;
/// Most repetitions.
const RUNS_MAX: u64 = 10_000;

/// Arguments of `holdfast lab run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// The scenario's name, or a .json file that describes one
    scenario: String,
    /// Routes in all
    #[arg(long)]
    routes: Option<usize>,
    /// Probes per second in each direction
    #[arg(long, value_name = "PPS")]
    rate: Option<u32>,
    /// How often
    #[arg(long)]
    runs: Option<u32>,
    /// Of a fault matrix, only cells whose title has all these words; may be repeated
    #[arg(long, value_name = "WORDS")]
    cells: Vec<String>,
    /// Of a fault matrix, the spread that the ordinary tests take
    #[arg(long)]
    spread: bool,
    /// How the routing engines run
    #[arg(long, value_enum, default_value = "process")]
    runtime: EngineRuntime,
    /// Of everything random that matters; of a fault matrix also the order of its cells (without it: that of a run)
    #[arg(long)]
    seed: Option<u64>,
    /// Neighbours, for example frr,bird
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    neighbors: Option<Vec<String>>,
    /// The router in the middle: this project's, or BIRD stopped and started again, for comparison
    #[arg(long, value_enum, default_value = "holdfast")]
    subject: SubjectKind,
    /// Write the result to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a fault matrix as a document
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print times, but judge only what was lost: for machines that are busy with other work
    #[arg(long)]
    times_not_judged: bool,
    /// Leave the lab up, say how to log in and how to end it
    #[arg(long)]
    keep: bool,
    /// Say more
    #[arg(long)]
    verbose: bool,
    #[arg(long, hide = true)]
    kept_worker: bool,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Run(arguments) if arguments.keep && !arguments.kept_worker => {
            match Chosen::by(&arguments) {
                Chosen::Interop(interop) => drop(check_interop(interop, &arguments)?),
                Chosen::Gateways(gateways) => drop(check_gateways(gateways, &arguments)?),
                Chosen::Scenario => drop(check(&arguments)?),
            }
            keep::in_front()
        }
        Command::Run(arguments) => match Chosen::by(&arguments) {
            Chosen::Interop(interop) => run_interop(interop, &arguments),
            Chosen::Gateways(gateways) => run_gateways(gateways, &arguments),
            Chosen::Scenario => run_scenario(&arguments),
        },
        Command::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { scenario } => {
            let text = match (Interop::find(&scenario), GatewayLoss::find(&scenario)) {
                (Some(interop), _) => serde_json::to_string_pretty(&interop),
                (None, Some(gateways)) => serde_json::to_string_pretty(&gateways),
                (None, None) => serde_json::to_string_pretty(&Scenario::load(&scenario)?),
            };
            say(&text.map_err(|e| LabError::Usage(e.to_string()))?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Destroy { which } => destroy(which.as_deref()),
        Command::Bench(arguments) => bench::command::run(&arguments),
        Command::Guardian { id } => guardian::run(&id).map(|()| ExitCode::SUCCESS),
    }
}

/// What kind of scenario was asked for.
enum Chosen {
    Interop(Interop),
    Gateways(GatewayLoss),
    /// By its name or from a file.
    Scenario,
}

impl Chosen {
    fn by(arguments: &RunArguments) -> Self {
        let name = &arguments.scenario;
        let gateways = || GatewayLoss::find(name).map(Self::Gateways);
        Interop::find(name).map(Self::Interop).or_else(gateways).unwrap_or(Self::Scenario)
    }
}

/// A closed standard output must not end a lab in the middle.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The scenario with the user's choices; refuses what makes no sense before anything is made.
fn check(arguments: &RunArguments) -> Result<Scenario> {
    let mut scenario = Scenario::load(&arguments.scenario)?;
    if let Some(kinds) = &arguments.neighbors {
        scenario.neighbors = kinds.iter().map(|k| k.trim().parse::<Kind>()).collect::<Result<_>>()?;
    }
    if let Some(routes) = arguments.routes {
        (scenario.routes, scenario.sizes) = (routes, Vec::new());
    }
    scenario.rate = arguments.rate.unwrap_or(scenario.rate);
    scenario.runs = arguments.runs.unwrap_or(scenario.runs);
    if arguments.times_not_judged {
        let Bars { no_growth, same_tables, .. } = scenario.bars;
        scenario.bars = Bars { no_growth, same_tables, ..Bars::default() };
        // Nothing of them would be judged, and ours must do without a rest.
        scenario.peers.clear();
        scenario.rest_s = 0;
    }
    if arguments.spread || !arguments.cells.is_empty() {
        scenario.select_cells(arguments.spread, &arguments.cells)?;
    }
    if arguments.runtime == EngineRuntime::Oci {
        scenario.drop_cells_of_processes();
    }
    if let Some(seed) = arguments.seed {
        scenario.shuffle_cells(seed);
    }
    check_numbers(scenario.routes, scenario.rate, scenario.runs)?;
    crate::topology::Topology::new(&scenario.neighbors)?;
    programs::require_root()?;
    check_folders(arguments)?;
    Ok(scenario)
}

fn check_numbers(routes: usize, rate: u32, runs: u32) -> Result<()> {
    within("--routes", routes as u64, 1_000, limits::ROUTES_MAX as u64)?;
    within("--rate", u64::from(rate), 1, u64::from(limits::RATE_MAX_PPS))?;
    within("--runs", u64::from(runs), 1, RUNS_MAX)
}

fn check_folders(arguments: &RunArguments) -> Result<()> {
    for (option, file) in [("--json", &arguments.json), ("--markdown", &arguments.markdown)] {
        let folder = file.as_deref().and_then(Path::parent);
        if let Some(folder) = folder.filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
            return Err(LabError::Usage(format!("{option}: the folder {} does not exist", folder.display())));
        }
    }
    Ok(())
}

fn within(option: &str, value: u64, least: u64, most: u64) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(LabError::Usage(format!("{option} {value}: required is a number from {least} to {most}")))
}

fn run_scenario(arguments: &RunArguments) -> Result<ExitCode> {
    let scenario = check(arguments)?;
    let progress = Progress::new(arguments.verbose);
    let seed = arguments.seed.unwrap_or(SEED_DEFAULT);
    let options = Options { subject: arguments.subject, runtime: arguments.runtime, seed, keep: arguments.keep };
    if arguments.seed.is_some() && scenario.holds_runs() {
        progress.step(&format!("{} cells in the order of seed {seed}", scenario.steps.len()));
    }
    let mut kept = |lab: &Lab, result: &LabResult| {
        publish(result, arguments.json.as_deref())?;
        let login = lab.subject.as_ref().and_then(|subject| subject.login());
        keep::announce(&lab.id, &lab.router, login, exit_code_number(result));
        lab.keep_until_signal()
    };
    let result = runner::run(&scenario, &options, &progress, &mut say, &mut kept)?;
    if !arguments.keep {
        publish(&result, arguments.json.as_deref())?;
    }
    if let Some(file) = &arguments.markdown {
        std::fs::write(file, fault_table::markdown(&result, &fault_table::machine()))
            .doing(|| format!("write {}", file.display()))?;
    }
    Ok(ExitCode::from(exit_code_number(&result)))
}

/// The scenario with the user's choices. What makes no sense for interoperation is refused by name; that times are not judged is always so.
fn check_interop(mut scenario: Interop, arguments: &RunArguments) -> Result<Interop> {
    let given = [("--routes", arguments.routes.is_some()), ("--rate", arguments.rate.is_some())];
    let why = "whose neighbors announce a few routes of each kind to this router";
    refuse(scenario.name, why, given.into_iter().chain(of_matrices(arguments)))?;
    if let Some(names) = &arguments.neighbors {
        scenario.keep(&names.iter().map(|name| name.trim().parse::<Maker>()).collect::<Result<Vec<_>>>()?)?;
    }
    within("--runs", arguments.runs.map_or(1, u64::from), 1, RUNS_MAX)?;
    programs::require_root()?;
    check_folders(arguments)?;
    Ok(scenario)
}

/// Options of fault matrices and of comparisons, and whether they were given.
fn of_matrices(arguments: &RunArguments) -> [(&'static str, bool); 4] {
    [
        ("--cells", !arguments.cells.is_empty()),
        ("--spread", arguments.spread),
        ("--markdown", arguments.markdown.is_some()),
        ("--subject", arguments.subject != SubjectKind::Holdfast),
    ]
}

/// Fails if an option was given that means nothing to a scenario.
fn refuse(name: &str, why: &str, mut options: impl Iterator<Item = (&'static str, bool)>) -> Result<()> {
    let Some((option, _)) = options.find(|(_, given)| *given) else { return Ok(()) };
    Err(LabError::Usage(format!("{option} means nothing to {name}, {why}; leave it out")))
}

/// The scenario with the user's choices; refuses what makes no sense.
fn check_gateways(mut scenario: GatewayLoss, arguments: &RunArguments) -> Result<GatewayLoss> {
    let given = [("--neighbors", arguments.neighbors.is_some())].into_iter().chain(of_matrices(arguments));
    refuse(scenario.name, "which is about this router between two gateways", given)?;
    scenario.routes = arguments.routes.unwrap_or(scenario.routes);
    scenario.rate = arguments.rate.unwrap_or(scenario.rate);
    scenario.runs = arguments.runs.unwrap_or(scenario.runs);
    if arguments.times_not_judged {
        scenario.bars = gateway::scenario::Bars::default();
    }
    check_numbers(scenario.routes, scenario.rate, scenario.runs)?;
    programs::require_root()?;
    check_folders(arguments)?;
    Ok(scenario)
}

fn run_gateways(scenario: GatewayLoss, arguments: &RunArguments) -> Result<ExitCode> {
    let scenario = check_gateways(scenario, arguments)?;
    let seed = arguments.seed.unwrap_or(SEED_DEFAULT);
    let choices = gateway::run::Choices { runtime: arguments.runtime, seed };
    let mut end = |setting: &Setting, login: Option<String>, result: &LabResult| end(arguments, setting, login, result);
    let result = gateway::run(&scenario, &choices, &Progress::new(arguments.verbose), &mut say, &mut end)?;
    Ok(ExitCode::from(exit_code_number(&result)))
}

/// Tells the result, and leaves everything up where that is wanted.
fn end(arguments: &RunArguments, setting: &Setting, login: Option<String>, result: &LabResult) -> Result<()> {
    publish(result, arguments.json.as_deref())?;
    if !arguments.keep {
        return Ok(());
    }
    keep::announce(&setting.id, &setting.router, login, exit_code_number(result));
    setting.keep_until_signal()
}

fn run_interop(scenario: Interop, arguments: &RunArguments) -> Result<ExitCode> {
    let scenario = check_interop(scenario, arguments)?;
    let choices = interop::Choices {
        runtime: arguments.runtime,
        runs: arguments.runs.unwrap_or(1),
        seed: arguments.seed.unwrap_or(SEED_DEFAULT),
    };
    let mut end = |setting: &Setting, login: Option<String>, result: &LabResult| end(arguments, setting, login, result);
    let result = interop::run(&scenario, &choices, &Progress::new(arguments.verbose), &mut say, &mut end)?;
    Ok(ExitCode::from(exit_code_number(&result)))
}

fn exit_code_number(result: &LabResult) -> u8 {
    u8::from(!result.total.is_good())
}

fn publish(result: &LabResult, file: Option<&Path>) -> Result<()> {
    say(&table_text::render(result, Style { colours: std::io::stdout().is_terminal() || keep::colours_wanted() }));
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_vec_pretty(result).map_err(|e| LabError::Usage(e.to_string()))?;
    std::fs::write(file, text).doing(|| format!("write {}", file.display()))?;
    say(&format!("the figures are in {}", file.display()));
    Ok(())
}

fn list() {
    for scenario in Scenario::built_in() {
        say(&format!("{:<14} {}", scenario.name, scenario.shows));
        say(&format!(
            "{:<14} {} routes, {} probes/s each way, runs: {}, neighbors: {}",
            "",
            scenario.routes,
            scenario.rate,
            scenario.runs,
            scenario.neighbors.iter().map(|k| k.name()).collect::<Vec<_>>().join(",")
        ));
        say(&format!("{:<14} needs root and {}\n", "", scenario.needs));
    }
    for scenario in GatewayLoss::built_in() {
        let name = scenario.name;
        say(&format!("{name:<22} {}", scenario.shows));
        say(&format!("{:<22} {} routes, {} probes/s, runs: {}", "", scenario.routes, scenario.rate, scenario.runs));
        say(&format!("{:<22} needs root and {}\n", "", gateway::scenario::NEEDS));
    }
    for scenario in Interop::built_in() {
        say(&format!("{:<21} {}", scenario.name, scenario.shows));
        say(&format!("{:<21} needs root and {}\n", "", interop::scenario::NEEDS));
    }
}

fn destroy(which: Option<&str>) -> Result<ExitCode> {
    programs::require_root()?;
    let mut removed = 0;
    for found in cleanup::find_all() {
        let owner = found.owner.clone();
        let name = owner.as_ref().map_or("", |o| o.scenario.as_str());
        if which.is_some_and(|wanted| wanted != name && wanted != found.id.to_string()) {
            continue;
        }
        if !found.running {
            cleanup::remove(&found.id)?;
        } else if owner.is_some_and(|o| o.kept) {
            cleanup::end_kept(&found)?;
        } else {
            say(&format!("{} is running (process {}) and is left alone; ctrl-C ends it", found.id, found.id.owner_pid));
            continue;
        }
        removed += 1;
        say(&format!("removed {}", found.id));
    }
    if removed == 0 {
        say("there is nothing to remove");
    }
    Ok(ExitCode::SUCCESS)
}
