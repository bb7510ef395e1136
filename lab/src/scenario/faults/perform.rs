//! Does one disturbance to a lab: holds the run at the point, acts, lets go, and sees what becomes of it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Disturbance, How, SOAKING, act};
use crate::{
    error::{LabError, Result},
    host::{
        interrupt::{self, NotYet},
        process,
    },
    lab::Lab,
    limits,
    subject::{RunOutcome, Running},
};

/// Does it. What the router does wrong is a complaint, not an error.
pub fn perform(lab: &mut Lab, cell: &Disturbance, print: &mut dyn FnMut(&str)) -> Result<(RunOutcome, Vec<String>)> {
    let mut complaints = Vec::new();
    act::prepare(lab, &cell.how)?;
    let (start, made) = (Instant::now(), lab.churn.made());
    let outcome = if cell.is_at_rest() { at_rest(lab, &cell.how) } else { in_a_run(lab, cell, print, &mut complaints) };
    let took = start.elapsed();
    complaints.extend(act::churn_complaint(&cell.how, lab.churn.made() - made, took));
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error @ (LabError::Interrupted | LabError::Usage(_))) => return Err(error),
        Err(error) => {
            complaints.push(error.to_string());
            RunOutcome::default()
        }
    };
    lab.subject()?.disturbable()?.release();
    act::take_back(lab, &cell.how)?;
    outcome.took = took;
    Ok((outcome, complaints))
}

fn at_rest(lab: &mut Lab, how: &How) -> Result<RunOutcome> {
    let router = lab.subject()?.disturbable()?;
    let (target, signal) = match how {
        How::Kill(target) => (target, Signal::SIGKILL),
        How::Stop(target) => (target, Signal::SIGSTOP),
        other => return Err(LabError::Usage(format!("{} is not for a router at rest", other.title()))),
    };
    let slot = router.primary_slot()?;
    let old = act::pid(router, &slot, target)?;
    process::signal(old, signal);
    interrupt::wait_for(&format!("another {target} in place of process {old}"), limits::RESTART_WITHIN, || {
        match act::pid(router, &slot, target) {
            Ok(pid) if pid != old => Ok(()),
            Ok(_) => Err("it is still there".into()),
            Err(error) => Err(error.into()),
        }
    })?;
    Ok(RunOutcome::default())
}

fn in_a_run(
    lab: &mut Lab,
    cell: &Disturbance,
    print: &mut dyn FnMut(&str),
    complaints: &mut Vec<String>,
) -> Result<RunOutcome> {
    let router = lab.subject()?.disturbable()?;
    let (slot, before) = (router.primary_slot()?, router.last_run());
    router.hold_at(&cell.phase)?;
    let mut log = Vec::new();
    let mut note = |line: &str| {
        print(line);
        log.push(line.to_owned());
    };
    let mut running = router.begin_reboot(cell.phase == SOAKING)?;
    wait_until_held(lab, &cell.phase, &mut running, &mut note)?;
    note(&format!("-- the lab: {} at {}", cell.how.title(), cell.phase));
    complaints.extend(act::act(lab, &cell.how, &slot, &running)?);
    let router = lab.subject()?.disturbable()?;
    router.release();
    if cell.phase == SOAKING {
        act::confirm(lab, &cell.how, &mut running, &mut note)?;
    }
    let router = lab.subject()?.disturbable()?;
    let status = running.finish(limits::RUN_WITHIN, &mut note)?;
    let own_end = !matches!(cell.how, How::CloseTerminal | How::KillCommand);
    if !own_end {
        // The command is gone, the run goes on: its report is waited for.
        interrupt::wait_for("the end of the run", limits::RUN_WITHIN, || {
            if router.last_run() > before { Ok(()) } else { Err("there is no report yet".into()) }
        })?;
    }
    let mut outcome = router.outcome_after(before, status.success(), log)?;
    if !own_end {
        outcome.success = outcome.verdict.as_deref() == Some("nothing lost");
    }
    Ok(outcome)
}

/// Waits until the run stands at the point and the command has learned which run is its own: what is disturbed is the run,
/// not the request for it.
fn wait_until_held(lab: &mut Lab, point: &str, running: &mut Running, note: &mut dyn FnMut(&str)) -> Result<()> {
    let router = lab.subject()?.disturbable()?;
    let end = Instant::now() + limits::RUN_WITHIN;
    let mut followed = false;
    while !(router.is_held() && followed) {
        interrupt::check()?;
        running.drain(|line| {
            followed = true;
            note(line);
        });
        if running.has_ended() || Instant::now() >= end {
            running.drain(note);
            return Err(LabError::Subject(format!("the run ended, or hung, before it reached {point}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Waits until the router is whole: one slot with one running process of each kind, sessions up by the neighbours' own
/// tools, the table complete everywhere, and a route change made from now on crosses it both ways.
pub fn wait_until_whole(lab: &mut Lab) -> Result<()> {
    let router = lab.subject()?.disturbable()?;
    interrupt::wait_for("the router to be whole", limits::WHOLE_WITHIN, || router.whole().map_err(NotYet::from))?;
    lab.wait_for_sessions()?;
    lab.wait_until_converged()?;
    let marks: Vec<usize> = lab.beacons.iter().map(|beacon| beacon.changes()).collect();
    interrupt::wait_for("a route change to cross the router each way", limits::WHOLE_WITHIN, || {
        // One more than the first: a session's end is heard like a withdrawal.
        match lab.beacons.iter().zip(&marks).find(|(beacon, mark)| beacon.changes_heard() <= **mark + 1) {
            None => Ok(()),
            Some((beacon, mark)) => {
                Err(format!("{}: heard {}, wanted more than {mark} + 1", beacon.name, beacon.changes_heard()).into())
            }
        }
    })
}
