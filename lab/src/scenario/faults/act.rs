//! The faults themselves: each done to the lab while the run is held, and what of it has to be taken back afterwards.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::super::runner;
use super::{Engine, How, Target, matrix::DAEMONS};
use crate::{
    error::{LabError, Result},
    host::{interrupt, process, procfs},
    lab::{Lab, Station},
    limits,
    subject::{Holdfast, REBOOT, Running},
    topology::TO_ROUTER,
};

/// A change that would be seen.
const COMMIT: &str = "configure; set system host-name refused; commit";
/// The candidate as it was.
const ROLLBACK: &str = "configure; rollback 0";

/// Does it. What must hold at once and does not is a complaint.
pub fn act(lab: &mut Lab, how: &How, slot: &str, running: &Running) -> Result<Option<String>> {
    match how {
        How::Kill(target) => kill(&[pid(router(lab)?, slot, target)?])?,
        How::KillEngine(engine) => {
            let target = |daemon: &str| Target { engine: *engine, daemon: daemon.into() };
            let router = router(lab)?;
            let pids: Result<Vec<u32>> = DAEMONS.iter().map(|daemon| pid(router, slot, &target(daemon))).collect();
            kill(&pids?)?;
        }
        How::Stop(target) => process::signal(pid(router(lab)?, slot, target)?, Signal::SIGSTOP),
        How::Starve(target) => process::starve(pid(router(lab)?, slot, target)?)?,
        How::FillDisk => router(lab)?.fill_disk()?,
        How::Damage(program) => router(lab)?.damage(program)?,
        How::Remove(program) => router(lab)?.remove_program(program)?,
        How::Reset(name) => station(lab, name)?.neighbor.reset()?,
        How::LinkFlap(name) => link_flap(station(lab, name)?)?,
        How::CloseTerminal => running.signal(Signal::SIGHUP),
        How::KillCommand => running.signal(Signal::SIGKILL),
        How::Abort => abort(router(lab)?.command("request system reboot in-service abort")?),
        How::SecondRun => return Ok(refused(router(lab)?.command(REBOOT)?)),
        How::RestartProcess(name) => return Ok(refused(router(lab)?.command(&format!("restart {name}"))?)),
        How::Commit => return Ok(refused(router(lab)?.command(COMMIT)?)),
        How::StallBackup(_) => stall(router(lab)?, slot)?,
        How::FillWayBack(_) => interrupt::sleep(limits::STREAM_FULL_AFTER)?,
        // From before the run until after it; when the run goes on, or not at all.
        How::Churn(_) | How::Confirmation | How::NoConfirmation => {}
    }
    Ok(None)
}

fn router(lab: &mut Lab) -> Result<&mut Holdfast> {
    lab.subject()?.disturbable()
}

/// A run that soaks is confirmed, once the router has had time to find what was done to it: an operator who confirms a
/// router that hangs gets what was asked for.
pub fn confirm(lab: &mut Lab, how: &How, running: &mut Running, note: &mut dyn FnMut(&str)) -> Result<()> {
    let patience = match how {
        How::Abort | How::NoConfirmation => return Ok(()),
        How::Stop(_) | How::LinkFlap(_) | How::Reset(_) => limits::HANG_FOUND_WITHIN,
        _ => limits::CONFIRM_AFTER,
    };
    let end = Instant::now() + patience;
    while !running.has_ended() && Instant::now() < end {
        interrupt::sleep(limits::POLL_EVERY)?;
    }
    if running.has_ended() {
        return Ok(());
    }
    let confirmation = router(lab)?.command("request system reboot in-service confirm")?;
    // Refused when the run is being taken back: its report says how it ended.
    confirmation.finish(limits::COMMAND_WITHIN, note).map(drop)
}

/// Takes back what does not go by itself.
pub fn take_back(lab: &mut Lab, how: &How) -> Result<()> {
    match how {
        How::FillDisk => lab.subject()?.disturbable()?.empty_disk(),
        How::Damage(program) | How::Remove(program) => lab.subject()?.disturbable()?.restore_program(program),
        How::Commit => {
            let rollback = lab.subject()?.disturbable()?.command(ROLLBACK)?;
            rollback.finish(limits::COMMAND_WITHIN, |_| {}).map(drop)
        }
        how if how.churn().is_some() => {
            lab.churn.set(0);
            lab.subject()?.disturbable()?.restore_stream();
            // The last withdrawals cross the lab.
            interrupt::sleep(limits::CHURN_SETTLES)
        }
        _ => Ok(()),
    }
}

/// What has to go on before the run is requested.
pub fn prepare(lab: &mut Lab, how: &How) -> Result<()> {
    let Some(per_second) = how.churn() else { return Ok(()) };
    if how.needs_short_stream() {
        lab.subject()?.disturbable()?.shorten_stream(limits::SHORT_STREAM_BYTES)?;
    }
    lab.set_churn(per_second);
    interrupt::sleep(limits::CHURN_SETTLES)
}

/// Whether the feeders kept up with the churn that was asked for, from the changes they made in a time.
pub fn churn_complaint(how: &How, made: u64, took: Duration) -> Option<String> {
    runner::churn_complaint(how.churn()?, made, took)
}

/// The supervisor must know of it before the run goes on: what follows shall not depend on who was faster.
fn kill(pids: &[u32]) -> Result<()> {
    pids.iter().for_each(|pid| process::signal(*pid, Signal::SIGKILL));
    interrupt::wait_for(&format!("processes {pids:?} to be gone"), limits::KILLED_WITHIN, || {
        if pids.iter().any(|pid| procfs::exists(*pid)) { Err("they are there".into()) } else { Ok(()) }
    })?;
    interrupt::sleep(limits::NEWS_TRAVELS)
}

/// The new rpd hangs from when it follows for longer than its stream has room, and goes on.
fn stall(router: &Holdfast, primary: &str) -> Result<()> {
    let rpd = |engine| pid(router, primary, &Target { engine, daemon: "rpd".into() });
    let owner = rpd(Engine::Old)?;
    interrupt::wait_for("the backup to follow", limits::FOLLOWS_WITHIN, || {
        if procfs::is_followed(owner) { Ok(()) } else { Err("nobody reads the stream of facts".into()) }
    })?;
    let pid = rpd(Engine::New)?;
    process::signal(pid, Signal::SIGSTOP);
    let slept = interrupt::sleep(limits::STREAM_FULL_AFTER);
    process::signal(pid, Signal::SIGCONT);
    slept
}

/// The process of a target.
pub fn pid(router: &Holdfast, primary: &str, target: &Target) -> Result<u32> {
    let slot = match (target.engine, primary) {
        (Engine::Old, slot) => slot,
        (Engine::New, "re0") => "re1",
        (Engine::New, _) => "re0",
    };
    router.process(slot, &target.daemon)
}

fn station<'a>(lab: &'a Lab, name: &str) -> Result<&'a Station> {
    lab.stations
        .iter()
        .find(|station| station.node.name == name)
        .ok_or_else(|| LabError::Usage(format!("the lab has no neighbour named {name}")))
}

/// The neighbour's end goes down: both ends lose their carrier.
fn link_flap(station: &Station) -> Result<()> {
    station.namespace.ip(&format!("link set {TO_ROUTER} down"))?;
    thread::sleep(limits::LINK_DOWN_FOR);
    station.namespace.ip(&format!("link set {TO_ROUTER} up"))?;
    // The kernel dropped it with the link; it is the lab's, no daemon of the neighbour's keeps it.
    station.namespace.ip(&format!("route replace default via {}", station.node.router().address)).map(drop)
}

/// Waits for the answer, but not for ever: where management stands still, nobody answers until the run goes on.
fn abort(mut running: Running) {
    let end = Instant::now() + limits::ABORT_WITHIN;
    while !running.has_ended() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    thread::spawn(move || running.finish(limits::COMMAND_WITHIN, |_| {}));
}

/// A request that must be refused by naming the run; an answer that takes longer than a held run may stand is one too many.
fn refused(mut running: Running) -> Option<String> {
    let (end, mut words) = (Instant::now() + limits::REFUSED_WITHIN, Vec::new());
    while !running.has_ended() && Instant::now() < end {
        running.drain(|line| words.push(line.to_owned()));
        thread::sleep(Duration::from_millis(1));
    }
    let ended = running.has_ended();
    let answer = running.finish(limits::REFUSED_WITHIN, |line| words.push(line.to_owned()));
    let words = words.join(" ");
    match answer {
        Ok(status) if ended && !status.success() && words.contains("is in progress") => None,
        _ => Some(format!("it was not refused at once by naming the run under way: {words}")),
    }
}
