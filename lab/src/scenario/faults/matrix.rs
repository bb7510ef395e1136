//! The fault matrix: every phase x {kill -9, SIGSTOP} x {mgd, rpd, pfed of either engine}, each with one declared outcome.
//!
//! The declarations follow from what the router promises (ARCHITECTURE.md, "The ways back"):
//! - before the switch, whatever is lost of the new engine undoes the run, and so does a process of the old one that dies or
//!   does not answer;
//! - once the new engine stands ready, the old one may die: its successor takes over at once, from the kernel's counters;
//! - a frozen old engine is dead weight: likewise;
//! - up to the commit point a lost new process undoes the run; after it mgd and pfed are replaced in place, and rpd's loss
//!   thaws the old engine;
//! - only where the rpd that owns the sessions at that moment is lost may they restart, once, and the report says so.

use super::{AT_REST, Disturbance, Ending, Engine, Expect, How, SOAKING, Target};

/// The processes of a routing engine.
pub const DAEMONS: [&str; 3] = ["mgd", "rpd", "pfed"];

/// Phases in which only the old engine exists.
const BEFORE_THE_NEW: [&str; 2] = ["validating", "preparing-backup"];

/// Phases in which both exist, in the order of a run. `switching` has four: before anything is frozen, frozen, right before
/// and right after the commit point.
const WITH_THE_NEW: [&str; 14] = [
    "synchronizing",
    "preparing-daemons",
    "daemons-ready",
    "fru-warm-booting",
    "fru-warm-booted",
    "preparing-switchover",
    "ready-for-switchover",
    "switching",
    "activate-pfed",
    "commit-rpd",
    "commit-mgd",
    "verifying",
    SOAKING,
    "shutting-down-old",
];

/// Changes of the neighbours' tables per second: a day's worth of the Internet's in some minutes.
const CHURN_PER_S: u32 = 5_000;

/// All cells, in the order of a run.
pub fn cells() -> Vec<Disturbance> {
    let mut out = Vec::new();
    for daemon in DAEMONS {
        out.extend(both_ways(AT_REST, Engine::Old, daemon));
    }
    for phase in BEFORE_THE_NEW {
        out.extend(DAEMONS.iter().flat_map(|daemon| both_ways(phase, Engine::Old, daemon)));
    }
    for phase in WITH_THE_NEW {
        for engine in [Engine::Old, Engine::New] {
            out.extend(DAEMONS.iter().flat_map(|daemon| both_ways(phase, engine, daemon)));
        }
    }
    out.extend(others());
    out
}

/// Faults that are not a process's death: each where it matters, or in every phase.
fn others() -> Vec<Disturbance> {
    let cell = |phase: &str, how: How, ending| {
        let expect = Expect { ending, flaps: 0, excused: None };
        Disturbance { phase: phase.into(), how, expect }
    };
    let mut out = Vec::new();
    for phase in BEFORE_THE_NEW.into_iter().chain(WITH_THE_NEW) {
        // While management stands frozen the abort waits: it may come when the run is over.
        let unheard = ["activate-pfed", "commit-rpd", "commit-mgd"].contains(&phase);
        out.push(cell(phase, How::Abort, if unheard { Ending::Either } else { Ending::Undone }));
    }
    out.push(cell(SOAKING, How::Confirmation, Ending::Finished));
    out.push(cell(SOAKING, How::NoConfirmation, Ending::Undone));
    for phase in ["validating", "synchronizing", "verifying"] {
        out.push(cell(phase, How::SecondRun, Ending::Finished));
        out.push(cell(phase, How::RestartProcess("routing".into()), Ending::Finished));
        out.push(cell(phase, How::CloseTerminal, Ending::Finished));
        out.push(cell(phase, How::KillCommand, Ending::Finished));
        out.push(cell(phase, How::Commit, Ending::Finished));
    }
    out.push(cell(SOAKING, How::Commit, Ending::Finished));
    for program in DAEMONS {
        for how in [How::Damage(program.into()), How::Remove(program.into())] {
            // Found by the check of the image, or, past it, by the program that does not start.
            out.push(cell("validating", how.clone(), Ending::Refused));
            out.push(cell("preparing-backup", how, Ending::Undone));
        }
    }
    out.extend(whole_engines());
    out.push(cell("spawn-pfed", How::Starve(rpd(Engine::New)), Ending::Undone));
    // The journal cannot be written: before the switch that ends the run, after it the report says so.
    for phase in ["preparing-backup", "synchronizing", "ready-for-switchover", "switching"] {
        out.push(cell(phase, How::FillDisk, Ending::UndoneUnproven));
    }
    for phase in ["committed", "verifying", "shutting-down-old"] {
        out.push(cell(phase, How::FillDisk, Ending::FinishedUnproven));
    }
    out.push(cell("validating", How::Churn(CHURN_PER_S), Ending::Finished));
    // A follower that does not read is given up before it holds anybody up: before the switch that ends the run, after it only
    // the way back.
    for phase in ["synchronizing", "preparing-daemons", "fru-warm-booting", "preparing-switchover"] {
        out.push(cell(phase, How::StallBackup(CHURN_PER_S), Ending::Undone));
    }
    out.push(cell("verifying", How::FillWayBack(CHURN_PER_S), Ending::Finished));
    for (phase, neighbor) in ["synchronizing", "ready-for-switchover", "activate-pfed", "verifying"]
        .into_iter()
        .flat_map(|phase| [(phase, "frr"), (phase, "bird")])
    {
        for how in [How::Reset(neighbor.into()), How::LinkFlap(neighbor.into())] {
            let expect = Expect { ending: Ending::Any, flaps: 0, excused: Some(neighbor.into()) };
            out.push(Disturbance { phase: phase.into(), how, expect });
        }
    }
    out
}

/// All three processes of an engine at once: what happens to its sessions decides.
fn whole_engines() -> Vec<Disturbance> {
    let of = |engine, phases: &[&str]| -> Vec<Disturbance> {
        let cell = |phase: &&str| {
            let how = How::KillEngine(engine);
            Disturbance { phase: (*phase).into(), expect: declared(phase, &How::Kill(rpd(engine)), engine, "rpd"), how }
        };
        phases.iter().map(cell).collect()
    };
    let old = [
        "synchronizing",
        "daemons-ready",
        "fru-warm-booting",
        "ready-for-switchover",
        "switching",
        "commit-rpd",
        "verifying",
    ];
    let new = ["synchronizing", "ready-for-switchover", "commit-rpd", "commit-mgd", "verifying", SOAKING];
    [of(Engine::Old, &old), of(Engine::New, &new)].concat()
}

fn rpd(engine: Engine) -> Target {
    Target { engine, daemon: "rpd".into() }
}

fn both_ways(phase: &str, engine: Engine, daemon: &str) -> [Disturbance; 2] {
    let target = Target { engine, daemon: daemon.into() };
    [How::Kill(target.clone()), How::Stop(target)].map(|how| Disturbance {
        phase: phase.into(),
        expect: declared(phase, &how, engine, daemon),
        how,
    })
}

/// The one outcome that a cell may have.
fn declared(phase: &str, how: &How, engine: Engine, daemon: &str) -> Expect {
    let nothing_lost = |ending| Expect { ending, flaps: 0, excused: None };
    let restart = |ending| Expect { ending, flaps: 1, excused: None };
    let killed = matches!(how, How::Kill(_));
    match engine {
        _ if phase == AT_REST && daemon == "rpd" => restart(Ending::Mended),
        _ if phase == AT_REST => nothing_lost(Ending::Mended),
        Engine::Old => match (phase, daemon) {
            // Frozen, or found dead or silent by Freeze: the successor takes over. Where an rpd stands that says nothing any
            // more, only the kernel knows.
            ("switching", "rpd") => nothing_lost(Ending::FinishedUnproven),
            (phase, _) if position(phase) >= position("switching") => nothing_lost(Ending::Finished),
            // Once the new engine stands ready it takes over at once from one of which a process dies, and from one that hangs when
            // Freeze finds it.
            (phase, "rpd") if position(phase) > position("preparing-daemons") => nothing_lost(Ending::FinishedUnproven),
            (phase, _) if position(phase) > position("preparing-daemons") => nothing_lost(Ending::Finished),
            // Whoever is stopped is found by the pre-checks; an rpd is restarted by the watchdog when the run is over.
            ("validating", "pfed") if !killed => nothing_lost(Ending::Refused),
            ("validating", "rpd") if !killed => restart(Ending::Refused),
            (_, "rpd") => restart(Ending::UndoneWithRestart),
            _ => nothing_lost(Ending::Undone),
        },
        Engine::New => match (phase, daemon) {
            // Past the commit point the new rpd owns the sessions. While the old one stands by, that one goes on.
            ("shutting-down-old", "rpd") => nothing_lost(Ending::Undone),
            ("commit-rpd", "mgd" | "pfed") if !killed => nothing_lost(Ending::Finished),
            ("commit-mgd" | "verifying" | SOAKING, "rpd") => nothing_lost(Ending::Undone),
            (phase, _) if position(phase) > position("commit-rpd") => nothing_lost(Ending::Finished),
            _ => nothing_lost(Ending::Undone),
        },
    }
}

/// Where a phase with both engines stands in a run; `None` before the new one exists.
fn position(phase: &str) -> Option<usize> {
    WITH_THE_NEW.iter().position(|p| *p == phase)
}

/// A deterministic spread of the matrix for every day: each phase once, with a fault that had not come up before, each process
/// and each kind of fault.
pub fn spread(cells: &[Disturbance]) -> Vec<Disturbance> {
    let mut out: Vec<Disturbance> = Vec::new();
    for (turn, cell) in cells.iter().enumerate() {
        if out.iter().any(|chosen| chosen.phase == cell.phase) {
            continue;
        }
        let of_phase: Vec<&Disturbance> = cells.iter().filter(|other| other.phase == cell.phase).collect();
        let from = turn % of_phase.len();
        let mut turned = of_phase[from..].iter().chain(&of_phase[..from]);
        let new = turned.find(|cell| out.iter().all(|chosen| chosen.how != cell.how));
        out.extend(new.or(of_phase.first()).copied().cloned());
    }
    // Every process, and every kind of fault.
    for cell in cells {
        if let How::Kill(target) | How::Stop(target) = &cell.how
            && !out.iter().any(|chosen| matches!(&chosen.how, How::Kill(t) | How::Stop(t) if t == target))
        {
            out.push(cell.clone());
        }
    }
    for cell in cells {
        let kind = std::mem::discriminant(&cell.how);
        if out.iter().all(|chosen| std::mem::discriminant(&chosen.how) != kind) {
            out.push(cell.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn every_cell_is_there_once_and_only_owners_may_restart() {
        let cells = cells();
        let titles: BTreeSet<_> = cells.iter().map(Disturbance::title).collect();
        assert_eq!(titles.len(), cells.len());
        let deaths = cells.iter().filter(|c| matches!(c.how, How::Kill(_) | How::Stop(_))).count();
        assert_eq!(deaths, 2 * (3 + 2 * 3 + 14 * 6), "3 at rest, 2 phases of 3, 14 of 6 processes; two faults each");
        for cell in cells.iter().filter(|c| c.expect.flaps > 0) {
            let owner_dies = cell.how == How::KillEngine(Engine::Old);
            assert!(cell.how.title().ends_with("-rpd") || owner_dies, "{}", cell.title());
        }
    }

    #[test]
    fn the_spread_goes_through_phases_processes_and_faults() {
        let (all, spread) = (cells(), spread(&cells()));
        let phases = |cells: &[Disturbance]| cells.iter().map(|c| c.phase.clone()).collect::<BTreeSet<_>>();
        assert_eq!(phases(&spread), phases(&all));
        let kinds =
            |cells: &[Disturbance]| cells.iter().map(|c| std::mem::discriminant(&c.how)).collect::<HashSet<_>>();
        assert_eq!(kinds(&spread), kinds(&all));
        let targets: BTreeSet<String> = spread
            .iter()
            .filter_map(|c| {
                if let How::Kill(target) | How::Stop(target) = &c.how { Some(target.to_string()) } else { None }
            })
            .collect();
        assert_eq!(targets.len(), 6, "every process is disturbed: {targets:?}");
        assert!((20..=40).contains(&spread.len()), "{} cells: it has to fit into the ordinary tests", spread.len());
        let minutes = spread.iter().filter(|c| c.how == How::NoConfirmation).count();
        assert_eq!(minutes, 1, "a confirmation that does not come takes a minute");
    }
}
