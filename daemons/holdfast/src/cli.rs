//! `holdfast cli`: the operational command line, interactive or for one command.
//!
//! It knows no command: mgd parses, completes and carries out. What is here is what has to outlive an mgd: the terminal,
//! the history, the pipes, and the watching of an in-service reboot, which replaces mgd under the very command that
//! asked for it. So a run is followed at chassisd, which stays, and every command connects anew to whoever is primary.

mod configure;
mod error;
mod follow;
mod interactive;
mod lost;
mod pipe;
mod pipe_words;
mod repeat;
mod script;
mod shell;
mod sink;
mod watch;
mod xml;

use std::{path::PathBuf, process::ExitCode};

use shell::{Format, Shell};

/// Arguments of `holdfast cli`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where the router's sockets are
    #[arg(long, default_value = "/run/holdfast", value_name = "DIR")]
    run_dir: PathBuf,
    /// Carry out one command, or several with ; between them, and exit; the exit code is 0 only when all succeeded
    #[arg(short, long, value_name = "COMMAND")]
    command: Option<String>,
    /// How answers are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where the interactive history is kept; $HOME/.holdfast_history when not given
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let shell = Shell::new(&arguments.run_dir, arguments.format)?;
    let success = match arguments.command {
        Some(commands) => script::run(&shell, &commands),
        None => interactive::run(shell, arguments.history)?,
    };
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
