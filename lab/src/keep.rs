//! `--keep`: the lab stays up after the command has returned.
//!
//! Feeders and the rest live in the lab's process, so that process must stay. The command that the user sees is a
//! relay: it starts the lab as a process of its own, passes on what it prints and the signals that it gets, and returns
//! when the lab says that it is up for good.

use std::{
    env,
    io::{BufRead, BufReader, IsTerminal, Write},
    process::{Command, ExitCode, Stdio},
    sync::mpsc,
    thread,
};

use nix::sys::signal::Signal;

use crate::{
    error::{Doing, LabError, Result},
    host::{interrupt, lab_id::LabId, netns::Namespace, process, process::OwnGroup},
    limits,
};

/// The line by which the lab tells the relay that it is up for good; the exit code follows.
const KEPT: &str = "\u{1}holdfast-lab-kept ";
/// Tells the lab that its relay has a terminal.
const COLOURS: &str = "HOLDFAST_LAB_COLOURS";

/// Whether the relay has a terminal.
pub fn colours_wanted() -> bool {
    env::var_os(COLOURS).is_some()
}

/// The lab's side: says how to use what stays, and lets the relay go.
pub fn announce(id: &LabId, router: &Namespace, login: Option<String>, exit_code: u8) {
    let program = env::current_exe().map_or_else(|_| "holdfast".into(), |p| p.display().to_string());
    let login = login.unwrap_or_else(|| "the router has no command line of ours".into());
    let mut out = std::io::stdout();
    let _ = writeln!(out, "\nThe lab {id} stays up: router, neighbours, tables (no traffic).");
    let _ = writeln!(out, "  log in:           {login}");
    let _ = writeln!(out, "  router's network: ip netns exec {} bash", router.name());
    let _ = writeln!(out, "  end it:           {program} lab destroy {id}");
    let _ = writeln!(out, "{KEPT}{exit_code}");
    let _ = out.flush();
}

/// Waits for the signal that asks for the lab's end.
pub fn until_signal() {
    while !interrupt::requested() {
        thread::sleep(limits::POLL_EVERY);
    }
}

/// The relay's side.
pub fn in_front() -> Result<ExitCode> {
    interrupt::install()?;
    let program = env::current_exe().doing(|| "find this program".into())?;
    let mut command = Command::new(&program);
    command.args(env::args_os().skip(1)).arg("--kept-worker");
    command.own_group().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if std::io::stdout().is_terminal() {
        command.env(COLOURS, "1");
    }
    let mut child = command.spawn().doing(|| format!("start {}", program.display()))?;
    if let Some(mut stderr) = child.stderr.take() {
        // Not inherited: who waits for this command's end of file must not wait for the kept lab's.
        thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::stderr()));
    }
    let (sender, lines) = mpsc::sync_channel(256);
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    let mut asked = false;
    loop {
        if interrupt::requested() && !std::mem::replace(&mut asked, true) {
            process::signal(child.id(), Signal::SIGTERM);
        }
        match lines.recv_timeout(limits::POLL_EVERY) {
            Ok(line) => match line.strip_prefix(KEPT) {
                Some(code) => return Ok(ExitCode::from(code.trim().parse::<u8>().unwrap_or(1))),
                None => drop(writeln!(std::io::stdout(), "{line}")),
            },
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().doing(|| "wait for the lab".into())?;
    match status.code().and_then(|c| u8::try_from(c).ok()) {
        Some(code) => Ok(ExitCode::from(code)),
        None => Err(LabError::Subject(format!("the lab ended: {status}"))),
    }
}
