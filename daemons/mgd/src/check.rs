//! `mgd --check FILE`.

use std::{path::Path, process::ExitCode};

use crate::store;

/// Validates and prints; the exit code says whether the file may be loaded.
pub fn run(file: &Path) -> ExitCode {
    let checked = holdfast_config::Schema::load().map_err(Into::into).and_then(|schema| store::read(file, &schema));
    match checked {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
