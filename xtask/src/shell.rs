//! Running other programs, and saying so.

use std::{
    io::{BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// A headline.
pub fn say(what: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[1;36m==> {what}\x1b[0m");
    } else {
        eprintln!("==> {what}");
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// A command in the folder of the workspace.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The same cargo that runs us.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs to the end with this terminal; whether it succeeded.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    Ok(status.success())
}

/// Runs to the end; fails if it fails.
pub fn must(command: &mut Command) -> Result<()> {
    if !succeeds(command)? {
        bail!("failed: {command:?}");
    }
    Ok(())
}

/// Runs to the end, showing and handing over each line of its standard output; whether it succeeded.
pub fn each_line(command: &mut Command, mut line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {command:?}"))?;
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            let text = text.context("read a line")?;
            println!("{text}");
            line(&text);
        }
    }
    Ok(child.wait().with_context(|| format!("wait for {command:?}"))?.success())
}

/// Fails, with the remedy, unless we are root.
pub fn require_root(what: &str) -> Result<()> {
    let uid = nix::unistd::geteuid();
    if !uid.is_root() {
        bail!("{what} makes network namespaces and needs root (user id is {uid}, required 0); run it with sudo -E");
    }
    Ok(())
}
