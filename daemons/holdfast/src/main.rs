//! `holdfast`: the operator's command. `start` and `stop` a router, talk to it (`cli`), and run the
//! network-namespace labs (`lab`). It holds no state of its own and talks to a router only through the
//! sockets in its run-dir.

mod cli;
mod container_init;
mod lab;
mod orphans;
mod start;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "holdfast", version, about = "A router whose software reboots in service")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a router; returns when it is up
    Start(start::Arguments),
    /// Stop a router; kernel routes stay unless --flush is given
    Stop(stop::Arguments),
    /// The operational command line: interactive, or one command with -c
    Cli(cli::Arguments),
    /// Labs in network namespaces, with real neighbours and live traffic
    Lab(lab::Arguments),
    /// The first process of a container; started by chassisd
    #[command(hide = true)]
    ContainerInit(container_init::Arguments),
    /// Print the version
    Version,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Start(arguments) => start::run(arguments),
        Command::Stop(arguments) => stop::run(arguments),
        Command::Cli(arguments) => cli::run(arguments),
        Command::Lab(arguments) => lab::run(arguments),
        Command::ContainerInit(arguments) => container_init::run(arguments),
        Command::Version => {
            println!("holdfast {}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
