//! The whole run in virtual time: every single fault at every step, and pairs of faults by seed.

mod model;
mod undo;

use std::time::Duration;

use holdfast_issu::{AbortOutcome, Daemon, Issu, Outcome, Request, Side, Start, State};
use model::{Fault, Role, assert_deadlines, simulate};

/// The end that is due whatever happened.
pub fn assert_settled(outcome: &model::Outcome) {
    let primary = outcome.end.primary;
    for daemon in Daemon::ALL {
        let process = outcome.world.processes[primary as usize][daemon.index()]
            .unwrap_or_else(|| panic!("{daemon} of the primary slot is gone"));
        assert_eq!(process.role, Role::Primary, "{daemon} of the primary slot");
        assert!(!process.stopped, "{daemon} of the primary slot was left stopped");
        assert_eq!(process.epoch, outcome.world.vault_epoch, "{daemon} of the primary slot is in another term");
        let other = if primary == Side::Old { Side::New } else { Side::Old };
        let left_over = outcome.world.processes[other as usize][daemon.index()];
        assert!(left_over.is_none(), "{daemon} of the other slot was left behind");
    }
    assert_eq!(outcome.world.link, primary, "the management link");
    let shown = outcome.world.processes[primary as usize][Daemon::Rpd.index()].unwrap().epoch;
    assert!(shown <= outcome.end.epoch);
}

#[test]
fn a_run_without_faults_finishes_with_nothing_lost() {
    let outcome = simulate(false, &[]);
    assert_eq!((outcome.end.verdict.as_str(), outcome.end.success), ("nothing lost", true), "{:#?}", outcome.log);
    assert_eq!((outcome.end.primary, outcome.end.outcome), (Side::New, Outcome::Finished));
    assert!(outcome.end.gap_ns.unwrap() < 20_000_000, "the handover itself has no waits in it");
    let order: Vec<State> = outcome.states.iter().map(|(state, _)| *state).collect();
    let expected: Vec<State> = State::ALL[1..]
        .iter()
        .copied()
        .filter(|state| !matches!(state, State::Soaking | State::Aborting | State::RollingBack))
        .chain([State::Idle])
        .collect();
    assert_eq!(order, expected);
    assert_settled(&outcome);
    assert_deadlines(&outcome);
}

#[test]
fn the_log_is_the_one_reviewed() {
    let log = simulate(false, &[]).log.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write("tests/log.golden", &log).unwrap();
    }
    assert_eq!(log, std::fs::read_to_string("tests/log.golden").unwrap());
}

#[test]
fn the_journal_is_written_before_anything_is_frozen() {
    let requests = simulate(false, &[]).requests;
    let place = |wanted: &dyn Fn(&Request) -> bool| requests.iter().position(|(_, r)| wanted(r)).unwrap();
    let record = place(&|r| matches!(r, Request::Record { state: State::Switching, committed: false }));
    let freeze = place(&|r| matches!(r, Request::Freeze { .. }));
    let committed = place(&|r| matches!(r, Request::Record { committed: true, .. }));
    let commit = place(&|r| matches!(r, Request::Commit { daemon: Daemon::Rpd, .. }));
    assert!(record < freeze && commit < committed);
    let slow =
        |r: &Request| matches!(r, Request::Record { .. } | Request::Spawn { .. } | Request::CollectEvidence { .. });
    assert!(!requests[freeze..commit].iter().any(|(_, r)| slow(r)), "something slow inside the gap");
}

#[test]
fn a_rehearsal_is_taken_back() {
    let outcome = simulate(true, &[]);
    assert_eq!((outcome.end.outcome, outcome.end.success), (Outcome::Rehearsed, true));
    assert!(!outcome.requests.iter().any(|(_, request)| matches!(request, Request::Freeze { .. })));
    assert_settled(&outcome);
}

#[test]
fn every_single_fault_at_every_step_has_a_good_end() {
    let requests = simulate(false, &[]).requests;
    for (at, (state, request)) in requests.iter().enumerate() {
        for fault in Fault::all() {
            let case = format!("request {at} {request:?} in {state}, {fault:?}");
            let result = std::panic::catch_unwind(|| check_single(at, *state, request, fault));
            assert!(result.is_ok(), "{case}");
        }
    }
}

fn check_single(at: usize, state: State, request: &Request, fault: Fault) {
    let outcome = simulate(false, &[(at, fault)]);
    assert_deadlines(&outcome);
    let hung_to_the_end = outcome.world.processes.iter().flatten().flatten().any(|process| process.hung);
    let flip_failed = matches!(request, Request::Flip { .. }) && outcome.world.link != outcome.end.primary;
    if !hung_to_the_end && !flip_failed {
        assert_settled(&outcome);
    }
    if outcome.end.success {
        assert!(outcome.end.reason.is_empty());
    } else {
        assert!(!outcome.end.reason.is_empty(), "a failure without a reason");
    }
    let hits_old_rpd = matches!(fault, Fault::Kill(Side::Old, Daemon::Rpd) | Fault::Hang(Side::Old, Daemon::Rpd));
    let hits_new_rpd = matches!(fault, Fault::Kill(Side::New, Daemon::Rpd) | Fault::Hang(Side::New, Daemon::Rpd));
    let retiring = state == State::ShuttingDownOld; // the way back is being closed
    if state.before_switch() && !hung_to_the_end && !matches!(fault, Fault::Kill(..) | Fault::Hang(..)) {
        assert!(outcome.end.success || outcome.end.primary == Side::Old);
    }
    // A session restarts only where its own process was struck with nobody standing by.
    let rpd_restarted = outcome.world.respawned.iter().any(|(_, daemon)| *daemon == Daemon::Rpd);
    let freeze_performed_unknown = matches!(fault, Fault::Error) && matches!(request, Request::Freeze { .. });
    let stood_alone =
        (hits_old_rpd && (state.before_switch() || state == State::Switching)) || (hits_new_rpd && retiring);
    let followed = matches!(fault, Fault::Kill(Side::Old, Daemon::Rpd)) && state.successor_stands_ready();
    assert!(!followed || !rpd_restarted, "the successor stood ready: {:?}", outcome.log);
    if rpd_restarted && !stood_alone && !freeze_performed_unknown {
        let cancel = outcome.requests.iter().any(|(_, r)| matches!(r, Request::Cancel { daemon: Daemon::Rpd }));
        assert!(cancel && hits_old_rpd, "rpd was restarted: {:?}", outcome.log);
    }
    let struck_alone = hits_old_rpd || (hits_new_rpd && retiring);
    if !struck_alone {
        assert!(
            outcome.orphaned_max <= Duration::from_secs(6),
            "sessions without owner for {:?}",
            outcome.orphaned_max
        );
    }
}

#[test]
fn before_the_commit_point_the_old_engine_goes_on_without_a_restart() {
    let requests = simulate(false, &[]).requests;
    let activate =
        requests.iter().position(|(_, r)| matches!(r, Request::Activate { daemon: Daemon::Rpd, .. })).unwrap();
    for fault in [Fault::Kill(Side::New, Daemon::Rpd), Fault::Hang(Side::New, Daemon::Rpd), Fault::Error, Fault::Late] {
        let outcome = simulate(false, &[(activate, fault)]);
        assert_eq!(outcome.end.verdict, "undone, nothing lost", "{fault:?} {:#?}", outcome.log);
        assert_eq!(outcome.end.primary, Side::Old);
        assert!(outcome.world.respawned.is_empty());
        assert!(outcome.end.reason.contains("re1/rpd: activation"), "{}", outcome.end.reason);
        assert_settled(&outcome);
    }
}

#[test]
fn after_the_commit_point_a_dead_successor_is_followed_by_the_old_engine() {
    let requests = simulate(false, &[]).requests;
    let verify = requests.iter().position(|(s, _)| *s == State::Verifying).unwrap();
    for fault in [Fault::Kill(Side::New, Daemon::Rpd), Fault::Hang(Side::New, Daemon::Rpd)] {
        let outcome = simulate(false, &[(verify, fault)]);
        assert_eq!(outcome.end.primary, Side::Old, "{:#?}", outcome.log);
        let drained = outcome
            .requests
            .iter()
            .any(|(_, r)| matches!(r, Request::Activate { side: Side::Old, daemon: Daemon::Rpd, peer_lost: true, .. }));
        assert!(drained && outcome.world.respawned.is_empty());
        assert_settled(&outcome);
    }
}

#[test]
fn an_engine_that_dies_instead_of_freezing_is_followed_by_its_successor() {
    let requests = simulate(false, &[]).requests;
    let freeze =
        requests.iter().position(|(_, r)| *r == Request::Freeze { side: Side::Old, daemon: Daemon::Rpd }).unwrap();
    for fault in [Fault::Kill(Side::Old, Daemon::Rpd), Fault::Hang(Side::Old, Daemon::Rpd)] {
        let outcome = simulate(false, &[(freeze, fault)]);
        assert_eq!(outcome.end.primary, Side::New, "{:#?}", outcome.log);
        assert_eq!(outcome.end.verdict, "failed, evidence missing", "no gap can be known");
        assert!(outcome.world.respawned.is_empty());
        assert_settled(&outcome);
    }
}

/// Requests at which the new engine holds every fact and nothing has been frozen.
fn while_the_successor_stands_ready() -> Vec<usize> {
    let requests = simulate(false, &[]).requests;
    let ready = requests.iter().enumerate().filter(|(_, (state, _))| state.successor_stands_ready());
    ready.map(|(at, _)| at).collect()
}

#[test]
fn an_owner_that_dies_once_its_successor_stands_ready_is_followed_by_it() {
    let places = while_the_successor_stands_ready();
    assert!(places.len() >= 10, "{places:?}");
    for (at, daemon) in places.into_iter().flat_map(|at| Daemon::ALL.map(|daemon| (at, daemon))) {
        let outcome = simulate(false, &[(at, Fault::Kill(Side::Old, daemon))]);
        assert_eq!(outcome.end.primary, Side::New, "request {at}: {:#?}", outcome.log);
        let gap_is_known = daemon != Daemon::Rpd;
        assert_eq!(outcome.end.verdict, if gap_is_known { "nothing lost" } else { "failed, evidence missing" });
        assert!(outcome.world.respawned.is_empty() && outcome.orphaned_max < Duration::from_secs(1));
        assert!(outcome.alarms[0].contains("takes over at once"), "{:?}", outcome.alarms);
        assert_settled(&outcome);
    }
}

/// mgd is ready when rpd and pfed have its configuration in force, they are ready when they have it.
#[test]
fn an_engine_that_died_as_a_whole_is_restarted_at_once() {
    let requests = simulate(false, &[]).requests;
    let at = requests.iter().position(|(state, _)| *state == State::Synchronizing).unwrap();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let outcome = simulate(false, &order.map(|place: usize| (at, Fault::Kill(Side::Old, Daemon::ALL[place]))));
        let old = |daemon| (Side::Old, daemon);
        assert_eq!(outcome.end.primary, Side::Old);
        assert_eq!(outcome.world.respawned, [old(Daemon::Mgd), old(Daemon::Pfed), old(Daemon::Rpd)], "{order:?}");
        let respawns = outcome.requests.iter().filter(|(_, request)| matches!(request, Request::Respawn { .. }));
        assert_eq!(respawns.count(), 3);
        let (_, aborting) = *outcome.states.iter().find(|(state, _)| *state == State::Aborting).unwrap();
        let (_, idle) = *outcome.states.last().unwrap();
        assert!(idle - aborting < Duration::from_millis(600), "one after the other: {:?}", idle - aborting);
        assert_settled(&outcome);
    }
}

/// A container, or a machine short of memory, takes all three. Nobody knows whose death is heard of first.
#[test]
fn an_engine_that_dies_as_a_whole_is_followed_too() {
    for at in while_the_successor_stands_ready() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let faults = order.map(|place: usize| (at, Fault::Kill(Side::Old, Daemon::ALL[place])));
            let outcome = simulate(false, &faults);
            assert_eq!(outcome.end.primary, Side::New, "request {at}: {:#?}", outcome.log);
            assert_eq!(outcome.end.verdict, "failed, evidence missing");
            assert!(outcome.world.respawned.is_empty());
            assert_settled(&outcome);
        }
    }
}

#[test]
fn a_successor_that_does_not_hold_every_fact_is_not_followed_and_a_rehearsal_changes_no_roles() {
    let at = while_the_successor_stands_ready()[0];
    let fault = [(at, Fault::Kill(Side::Old, Daemon::Rpd))];
    let refuses = Some((Side::New, Daemon::Rpd, model::Refuses::Activation));
    let refused = model::Plan { refuses, ..Default::default() };
    for plan in [refused, model::Plan { dry_run: true, ..Default::default() }] {
        let outcome = model::simulate_plan(plan, &fault);
        assert_eq!(outcome.end.primary, Side::Old, "{:#?}", outcome.log);
        assert_eq!(outcome.world.respawned, [(Side::Old, Daemon::Rpd)]);
        assert!(outcome.end.verdict.starts_with("undone, with losses"), "{}", outcome.end.verdict);
        assert_settled(&outcome);
    }
}

/// The seed, and numbers below a bound.
pub fn random() -> (u64, impl FnMut(usize) -> usize) {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
    println!("seed {seed} (set SEED to replay)");
    let mut random = seed;
    let next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    (seed, next)
}

#[test]
fn pairs_of_faults_end_settled() {
    let (seed, mut next) = random();
    let faults = Fault::all();
    let steps = simulate(false, &[]).requests.len() + 20; // faults may also strike the way back
    for round in 0..20_000 {
        let pair = [(next(steps), faults[next(faults.len())]), (next(steps), faults[next(faults.len())])];
        let result = std::panic::catch_unwind(|| assert_deadlines(&simulate(false, &pair)));
        assert!(result.is_ok(), "seed {seed} round {round}: {pair:?}");
    }
}

fn start(run_id: u64) -> Start {
    let (from_slot, to_slot) = ("re0".to_string(), "re1".to_string());
    Start { run_id, from_slot, to_slot, epoch: 1, force: false, dry_run: false, confirm: None }
}

#[test]
fn a_second_run_is_refused_and_names_the_first() {
    let mut machine = Issu::new(None);
    machine.start(start(1), Duration::ZERO).unwrap();
    let refusal = machine.start(start(2), Duration::ZERO).unwrap_err().to_string();
    assert!(refusal.contains("run 1 is in progress (validating)"), "{refusal}");
}

#[test]
fn an_abort_before_the_switch_undoes() {
    let mut machine = Issu::new(None);
    assert_eq!(machine.abort("operator", Duration::ZERO), AbortOutcome::NoRun);
    machine.start(start(1), Duration::ZERO).unwrap();
    assert_eq!(machine.abort("operator", Duration::ZERO), AbortOutcome::Aborting);
    assert_eq!(machine.state(), State::Aborting);
}

/// A run asked for 30 s after the last one, where 300 s are wanted; ends when its checks have been judged.
fn spaced(steady: Result<String, String>, force: bool) -> (State, Vec<String>) {
    use holdfast_issu::{Action, Answer, Event};
    let mut machine = Issu::new(Some(Duration::from_secs(100)));
    let now = Duration::from_secs(130);
    machine.start(Start { force, ..start(2) }, now).unwrap();
    machine.note_steadiness(steady);
    let mut log = Vec::new();
    while let Some(action) = machine.poll(now) {
        match action {
            Action::Request(id, Request::PreChecks) => {
                let answer = Answer::Checks { checks: Vec::new(), minimum_spacing: Duration::from_secs(300) };
                machine.handle(Event::Answered { id, result: Ok(answer) }, now);
            }
            Action::Request(id, Request::Record { .. }) => {
                machine.handle(Event::Answered { id, result: Ok(Answer::Done) }, now);
            }
            Action::Log { line, .. } => log.push(line),
            Action::End(end) => {
                assert!(!end.switched && end.outcome == Outcome::Refused);
                return (State::Idle, log);
            }
            _ => {}
        }
    }
    (machine.state(), log)
}

#[test]
fn runs_are_spaced_unless_it_is_proven_that_nothing_moved() {
    let (state, log) = spaced(Err("2 alarms since run 1".into()), false);
    assert_eq!(state, State::Idle, "refused");
    let refusal = log.iter().find(|line| line.starts_with("error:")).unwrap();
    for part in ["270 s left", "force", "not proven steady: 2 alarms since run 1"] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    assert_eq!(spaced(Ok("7 sessions unbroken".into()), false).0, State::Validating, "goes on");
    assert_eq!(spaced(Err("2 alarms".into()), true).0, State::Validating, "overridden");
}

#[test]
fn runs_that_froze_nothing_space_nothing() {
    for plan in [model::Plan { dry_run: true, ..Default::default() }, model::Plan::default()] {
        let outcome = model::simulate_plan(plan, &[]);
        assert_eq!(outcome.end.switched, !plan.dry_run);
    }
}
