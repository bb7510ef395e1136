//! `holdfast lab`: hands over to the lab's own command.

use std::process::ExitCode;

/// Arguments of `holdfast lab`.
pub type Arguments = holdfast_lab::command::Arguments;

/// Runs the command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    Ok(holdfast_lab::command::run(arguments)?)
}
