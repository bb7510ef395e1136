//! `mgd --check FILE`.

use std::{path::Path, process::ExitCode};

use crate::store;

/// Validates and prints; the exit code says whether the file may be loaded.
pub fn run(file: &Path) -> ExitCode {
    let checked = holdfast_config::Schema::load().map_err(Into::into).and_then(|schema| store::read(file, &schema));
    match checked {
        // More likely a file that was cut off or never filled than a router that is to do nothing and drop its routes.
        Ok((_, configuration)) if configuration.to_text().trim().is_empty() => {
            eprintln!("{}: no statement in it; a router has at least a host-name in system", file.display());
            ExitCode::FAILURE
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
