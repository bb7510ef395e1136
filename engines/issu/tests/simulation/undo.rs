//! Undo until the end: abort in every phase, checks that fail, confirmations that come or do not, and single faults in all of it.

use std::time::Duration;

use holdfast_issu::{AbortOutcome, ConfirmOutcome, Daemon, Outcome, Request, Side, State};

use crate::model::{self, Fault, Operator, Plan, Refuses, Said, assert_deadlines, simulate_plan};
use crate::{assert_settled, random};

const CONFIRM: Duration = Duration::from_secs(70);

fn with_confirm() -> Plan {
    Plan { confirm: Some(CONFIRM), ..Plan::default() }
}

fn failing_check() -> Plan {
    Plan { refuses: Some((Side::New, Daemon::Rpd, Refuses::Verification)), ..Plan::default() }
}

/// The place of the first request of that state in a run without faults.
fn first_in(plan: Plan, state: State) -> usize {
    let requests = simulate_plan(plan, &[]).requests;
    requests.iter().position(|(at, _)| *at == state).unwrap_or_else(|| panic!("no request in {state}"))
}

/// Aborted, or confirmed, a few rounds after soaking began.
fn while_soaking(operator: Operator) -> Plan {
    Plan { operator: Some((first_in(with_confirm(), State::Soaking) + 30, operator)), ..with_confirm() }
}

fn aborted_in(state: State) -> Plan {
    Plan { operator: Some((first_in(Plan::default(), state), Operator::Abort)), ..Plan::default() }
}

fn assert_gap(outcome: &model::Outcome) {
    assert!(outcome.orphaned_max <= Duration::from_millis(20), "no owner for {:?}", outcome.orphaned_max);
}

#[test]
fn an_abort_in_any_phase_loses_nothing() {
    for plan in [Plan::default(), with_confirm()] {
        let requests = simulate_plan(plan, &[]).requests;
        let soaking = requests.iter().position(|(state, _)| *state == State::Soaking).unwrap_or(requests.len());
        for (at, (state, request)) in requests.iter().enumerate().take(soaking + 40) {
            let outcome = simulate_plan(Plan { operator: Some((at, Operator::Abort)), ..plan }, &[]);
            let case = format!("abort at {at} {request:?} in {state}: {:#?}", outcome.log);
            let retired = requests[..=at].iter().any(|(_, request)| *request == Request::Retire);
            let expected = match state {
                _ if retired => AbortOutcome::TooLate,
                state if state.before_switch() => AbortOutcome::Aborting,
                State::Switching if !requests[..=at].iter().any(|(_, r)| is_rpds_commit(r)) => {
                    AbortOutcome::RollingBack
                }
                _ => AbortOutcome::GivingBack,
            };
            assert_eq!(outcome.said, Some(Said::Abort(expected)), "{case}");
            let (primary, verdict) = match expected {
                AbortOutcome::TooLate => (Side::New, "nothing lost"),
                _ => (Side::Old, "undone, nothing lost"),
            };
            assert_eq!((outcome.end.primary, outcome.end.verdict.as_str()), (primary, verdict), "{case}");
            assert!(outcome.world.respawned.is_empty(), "{case}");
            if expected == AbortOutcome::GivingBack {
                assert!(outcome.end.gap_back_ns.unwrap() < 20_000_000, "{case}");
                assert!(outcome.end.reason.starts_with("aborted by operator"), "{case}");
            }
            assert_gap(&outcome);
            assert_settled(&outcome);
            assert_deadlines(&outcome);
        }
    }
}

fn is_rpds_commit(request: &Request) -> bool {
    matches!(request, Request::Commit { daemon: Daemon::Rpd, .. })
}

#[test]
fn a_confirmed_run_finishes_with_nothing_lost() {
    let outcome = simulate_plan(while_soaking(Operator::Confirm), &[]);
    assert_eq!(outcome.said, Some(Said::Confirm(ConfirmOutcome::Confirmed)));
    assert_eq!((outcome.end.verdict.as_str(), outcome.end.success), ("nothing lost", true), "{:#?}", outcome.log);
    assert_eq!(outcome.end.primary, Side::New);
    assert!(outcome.alarms.is_empty());
    assert_settled(&outcome);
    // What neighbours did meanwhile is judged apart: the state is taken again, after the switch has been judged.
    let collected: Vec<State> = outcome
        .requests
        .iter()
        .filter(|(_, request)| matches!(request, Request::CollectBaseline | Request::CollectEvidence { .. }))
        .map(|(state, _)| *state)
        .collect();
    assert_eq!(collected, [State::Validating, State::Soaking, State::ShuttingDownOld, State::ShuttingDownOld]);
}

#[test]
fn without_the_confirmation_the_roles_go_back_in_time() {
    let outcome = simulate_plan(with_confirm(), &[]);
    assert_eq!(outcome.end.verdict, "undone, nothing lost", "{:#?}", outcome.log);
    assert_eq!((outcome.end.primary, outcome.end.reason.as_str()), (Side::Old, "not confirmed within 1 m 10 s"));
    let entered = |state| outcome.states.iter().find(|(entered, _)| *entered == state).unwrap().1;
    let soaked = entered(State::RollingBack) - entered(State::Soaking);
    assert!(soaked >= CONFIRM && soaked < CONFIRM + Duration::from_secs(1), "{soaked:?}");
    let reminders = outcome.log.iter().filter(|line| line.starts_with("Confirm within")).count();
    assert_eq!(reminders, 3, "at the beginning, at one minute and at twenty seconds: {:#?}", outcome.log);
    assert_gap(&outcome);
    assert_settled(&outcome);
}

#[test]
fn the_logs_of_the_ways_back_are_the_ones_reviewed() {
    let ways = [
        ("confirmed", while_soaking(Operator::Confirm)),
        ("not confirmed", with_confirm()),
        ("aborted while soaking", while_soaking(Operator::Abort)),
        ("a check fails", failing_check()),
    ];
    let mut text = String::new();
    for (name, plan) in ways {
        let log = simulate_plan(plan, &[]).log;
        let from = log.iter().position(|line| line.contains("Checking In-Service-Upgrade")).unwrap();
        text.push_str(&format!("{name}:\n{}\n\n", log[from..].join("\n")));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write("tests/undo.golden", &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string("tests/undo.golden").unwrap());
}

#[test]
fn a_confirmation_is_taken_only_where_one_is_waited_for() {
    let confirmed_in = |plan: Plan, state| {
        let operator = Some((first_in(plan, state), Operator::Confirm));
        simulate_plan(Plan { operator, ..plan }, &[]).said.unwrap()
    };
    assert_eq!(confirmed_in(Plan::default(), State::Verifying), Said::Confirm(ConfirmOutcome::NotExpected));
    assert_eq!(confirmed_in(with_confirm(), State::Verifying), Said::Confirm(ConfirmOutcome::TooEarly));
    assert_eq!(confirmed_in(with_confirm(), State::RollingBack), Said::Confirm(ConfirmOutcome::TooLate));
}

#[test]
fn a_check_that_fails_gives_the_roles_back() {
    for daemon in Daemon::ALL {
        let plan = Plan { refuses: Some((Side::New, daemon, Refuses::Verification)), ..Plan::default() };
        let outcome = simulate_plan(plan, &[]);
        assert_eq!(outcome.end.verdict, "undone, nothing lost", "{daemon} {:#?}", outcome.log);
        assert_eq!((outcome.end.primary, outcome.end.outcome), (Side::Old, Outcome::Undone));
        assert!(outcome.end.reason.contains(&format!("re1/{daemon} failed its checks")), "{}", outcome.end.reason);
        let planned = outcome.requests.iter().any(|(_, r)| {
            matches!(r, Request::Activate { side: Side::Old, daemon: Daemon::Rpd, peer_lost: false, .. })
        });
        assert!(planned && outcome.world.respawned.is_empty());
        assert_gap(&outcome);
        assert_settled(&outcome);
    }
}

#[test]
fn when_the_old_engine_refuses_the_new_one_goes_on() {
    for daemon in Daemon::ALL {
        let refuses = Some((Side::Old, daemon, Refuses::Activation));
        let outcome = simulate_plan(Plan { refuses, ..aborted_in(State::Verifying) }, &[]);
        assert_eq!(outcome.end.verdict, "undo failed, nothing lost", "{daemon} {:#?}", outcome.log);
        assert_eq!((outcome.end.primary, outcome.end.outcome), (Side::New, Outcome::Kept));
        assert!(outcome.end.reason.contains(&format!("re0/{daemon}: activation")), "{}", outcome.end.reason);
        assert!(!outcome.end.success && outcome.world.respawned.is_empty());
        assert_gap(&outcome);
        assert_settled(&outcome);
    }
}

/// The frozen engine does not read: what is said meanwhile has to find room in the stream.
#[test]
fn a_stream_that_is_full_while_the_checks_run_closes_the_way_back_and_the_run_goes_on() {
    let operator = Some((first_in(Plan::default(), State::Verifying), Operator::LosesFollower));
    let outcome = simulate_plan(Plan { operator, ..Plan::default() }, &[]);
    assert_eq!((outcome.end.verdict.as_str(), outcome.end.primary), ("nothing lost", Side::New), "{:#?}", outcome.log);
    assert_eq!(outcome.said, Some(Said::Abort(AbortOutcome::NoWayBack)));
    let alarm = outcome.alarms.first().expect("an alarm");
    assert!(alarm.contains("the way back to re0 is closed: re0/rpd misses facts: its stream was full"), "{alarm}");
    assert_settled(&outcome);
    // A check that fails then has nowhere to go back to.
    let refuses = Some((Side::New, Daemon::Rpd, Refuses::Verification));
    let outcome = simulate_plan(Plan { operator, refuses, ..Plan::default() }, &[]);
    assert_eq!((outcome.end.verdict.as_str(), outcome.end.primary), ("failed, with losses", Side::New));
    assert_settled(&outcome);
}

#[test]
fn a_lost_follower_closes_the_way_back_and_says_so() {
    let refuses = Some((Side::Old, Daemon::Rpd, Refuses::Following));
    let abort = simulate_plan(Plan { refuses, ..while_soaking(Operator::Abort) }, &[]);
    assert_eq!(abort.said, Some(Said::Abort(AbortOutcome::NoWayBack)));
    assert_eq!((abort.end.primary, abort.end.verdict.as_str()), (Side::New, "undo failed, nothing lost"));
    assert!(abort.alarms.iter().any(|alarm| alarm.contains("the way back to re0 is closed")), "{:?}", abort.alarms);
    assert!(abort.end.reason.contains("not confirmed within") && abort.end.reason.contains("the stream of facts"));
    assert_settled(&abort);
    let confirmed = simulate_plan(Plan { refuses, ..while_soaking(Operator::Confirm) }, &[]);
    assert_eq!(confirmed.end.verdict, "nothing lost", "{:#?}", confirmed.log);
}

#[test]
fn a_primary_that_dies_or_hangs_while_soaking_is_followed_by_the_old_engine() {
    let at = first_in(with_confirm(), State::Soaking) + 40;
    for fault in [Fault::Kill(Side::New, Daemon::Rpd), Fault::Hang(Side::New, Daemon::Rpd)] {
        let outcome = simulate_plan(with_confirm(), &[(at, fault)]);
        assert_eq!(outcome.end.verdict, "undone, nothing lost", "{:#?}", outcome.log);
        assert_eq!(outcome.end.primary, Side::Old);
        assert!(outcome.world.respawned.is_empty());
        // Three seconds since the last keepalive come on top: together below a hold time of nine.
        assert!(outcome.orphaned_max < Duration::from_millis(5500), "{:?}", outcome.orphaned_max);
        assert_settled(&outcome);
    }
    for daemon in [Daemon::Mgd, Daemon::Pfed] {
        let outcome = simulate_plan(with_confirm(), &[(at, Fault::Kill(Side::New, daemon))]);
        assert_eq!(outcome.world.respawned, [(Side::New, daemon)], "restarted in place: {:#?}", outcome.log);
        assert_eq!(outcome.end.reason, "not confirmed within 1 m 10 s");
    }
}

#[test]
fn every_single_fault_on_every_way_back_has_a_good_end() {
    let short = Plan { confirm: Some(Duration::from_secs(2)), ..Plan::default() };
    let soaked = |operator| Plan { operator: Some((first_in(short, State::Soaking) + 20, operator)), ..short };
    let plans = [
        ("failing check", failing_check()),
        ("abort while verifying", aborted_in(State::Verifying)),
        ("abort while shutting down", aborted_in(State::ShuttingDownOld)),
        ("not confirmed", short),
        ("aborted while soaking", soaked(Operator::Abort)),
        ("confirmed", soaked(Operator::Confirm)),
    ];
    for (name, plan) in plans {
        let requests = simulate_plan(plan, &[]).requests;
        let from = requests.iter().position(|(state, _)| *state == State::Verifying).unwrap();
        for (at, (state, request)) in requests.iter().enumerate().skip(from) {
            for fault in Fault::all() {
                let case = format!("{name}: request {at} {request:?} in {state}, {fault:?}");
                let result = std::panic::catch_unwind(|| check_single(plan, at, *state, request, fault));
                assert!(result.is_ok(), "{case}");
            }
        }
    }
}

fn check_single(plan: Plan, at: usize, state: State, request: &Request, fault: Fault) {
    let outcome = simulate_plan(plan, &[(at, fault)]);
    assert_deadlines(&outcome);
    let hung_to_the_end = outcome.world.processes.iter().flatten().flatten().any(|process| process.hung);
    let flip_failed = matches!(request, Request::Flip { .. }) && outcome.world.link != outcome.end.primary;
    if !hung_to_the_end && !flip_failed {
        assert_settled(&outcome);
    }
    assert!(outcome.end.success || !outcome.end.reason.is_empty(), "a failure without a reason");
    // A session restarts only where its own process was struck with nobody standing by: the old engine's rpd once it is
    // alone again, the new engine's once the old one is gone.
    let struck = |side| matches!(fault, Fault::Kill(s, Daemon::Rpd) | Fault::Hang(s, Daemon::Rpd) if s == side);
    let alone = (struck(Side::New) && state == State::ShuttingDownOld)
        || (struck(Side::Old) && outcome.world.processes[Side::New as usize][Daemon::Rpd.index()].is_none())
        || (struck(Side::New) && outcome.world.processes[Side::Old as usize][Daemon::Rpd.index()].is_none());
    // Whether it is frozen is not known then.
    let freeze_unknown = fault == Fault::Error && matches!(request, Request::Freeze { .. });
    let rpd_restarted = outcome.world.respawned.iter().any(|(_, daemon)| *daemon == Daemon::Rpd);
    assert!(!rpd_restarted || alone || freeze_unknown, "rpd was restarted: {:#?}", outcome.log);
    if !alone {
        assert!(outcome.orphaned_max <= Duration::from_secs(6), "no owner for {:?}", outcome.orphaned_max);
    }
}

#[test]
fn pairs_of_faults_on_the_ways_back_end_settled() {
    let (seed, mut next) = random();
    let faults = Fault::all();
    let short = Plan { confirm: Some(Duration::from_secs(2)), ..Plan::default() };
    for round in 0..10_000 {
        let plan = match next(4) {
            0 => failing_check(),
            1 => aborted_in(State::Verifying),
            2 => short,
            _ => Plan { operator: Some((90 + next(40), Operator::Abort)), ..short },
        };
        let pair = [(60 + next(120), faults[next(faults.len())]), (60 + next(120), faults[next(faults.len())])];
        let result = std::panic::catch_unwind(|| assert_deadlines(&simulate_plan(plan, &pair)));
        assert!(result.is_ok(), "seed {seed} round {round}: {plan:?} {pair:?}");
    }
}

#[test]
fn who_is_restarted_on_the_way_back_is_primary_even_if_its_commit_failed() {
    let verifying = first_in(Plan::default(), State::Verifying);
    for at in verifying..verifying + 3 {
        let faults = [(at, Fault::Hang(Side::Old, Daemon::Rpd)), (at + 1, Fault::Kill(Side::New, Daemon::Rpd))];
        let outcome = simulate_plan(Plan::default(), &faults);
        assert_eq!(outcome.end.outcome, Outcome::Undone, "{:#?}", outcome.log);
        assert_eq!(outcome.end.primary, Side::Old, "{:#?}", outcome.log);
        assert!(outcome.world.respawned.contains(&(Side::Old, Daemon::Rpd)), "{:#?}", outcome.log);
        assert_settled(&outcome);
    }
}
