//! The release binaries.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::{self, say};

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell::root().join("target"), |folder| shell::root().join(folder))
}

/// Builds the router and its command; returns the folder that holds them.
pub fn release() -> Result<PathBuf> {
    say("building the router (release)");
    shell::must(shell::cargo().args(["build", "--release"]))?;
    Ok(target().join("release"))
}
