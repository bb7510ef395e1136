//! A chassis of six processes in virtual time, with faults at chosen requests.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_issu::{
    AbortOutcome, Action, Answer, Check, ConfirmOutcome, Daemon, End, Event, Issu, Request, RequestId, Side, Start,
    State, limits,
};

/// As chassisd asks for evidence.
const EVIDENCE_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Backup,
    Primary,
    Frozen,
    Activated,
}

#[derive(Clone, Copy, Debug)]
pub struct Process {
    pub role: Role,
    pub epoch: u64,
    pub stopped: bool,
    pub hung: bool,
    pub generation: u32,
    /// How often it was asked to verify: the first answers are "not yet".
    pub verified: u32,
}

/// What goes wrong at one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not performed, an error is answered.
    Error,
    /// Not performed, never answered.
    Lost,
    /// Performed, the answer is lost.
    AnswerLost,
    /// Performed and answered three seconds later, if the process still lives.
    Late,
    /// The process is killed just before.
    Kill(Side, Daemon),
    /// The process hangs from just before.
    Hang(Side, Daemon),
}

impl Fault {
    pub fn all() -> Vec<Fault> {
        let mut faults = vec![Fault::Error, Fault::Lost, Fault::AnswerLost, Fault::Late];
        for side in [Side::Old, Side::New] {
            for daemon in Daemon::ALL {
                faults.extend([Fault::Kill(side, daemon), Fault::Hang(side, daemon)]);
            }
        }
        faults
    }
}

/// What a process answers with a well-meant no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuses {
    Verification,
    Activation,
    Following,
}

/// What the operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Abort,
    Confirm,
    /// Nothing: the new rpd says that its follower is lost.
    LosesFollower,
}

/// A run as it is to be, before anything goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    pub dry_run: bool,
    pub confirm: Option<Duration>,
    /// At which request (counted from 0), just after it is made.
    pub operator: Option<(usize, Operator)>,
    pub refuses: Option<(Side, Daemon, Refuses)>,
}

enum Due {
    Answer(RequestId, Result<Answer, String>),
    Perform(RequestId, Request, [u32; 6]),
    Died(Side, Daemon),
}

/// What a run left behind.
pub struct Outcome {
    pub end: End,
    pub log: Vec<String>,
    pub requests: Vec<(State, Request)>,
    pub states: Vec<(State, Duration)>,
    pub world: World,
    pub orphaned_max: Duration,
    pub alarms: Vec<String>,
    pub confirm: Option<Duration>,
    /// What the operator heard.
    pub said: Option<Said>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Abort(AbortOutcome),
    Confirm(ConfirmOutcome),
}

pub struct World {
    pub processes: [[Option<Process>; 3]; 2],
    pub vault_epoch: u64,
    pub link: Side,
    pub respawned: Vec<(Side, Daemon)>,
    refuses: Option<(Side, Daemon, Refuses)>,
    asked: u64,
    next_generation: u32,
}

impl World {
    fn new() -> Self {
        let primary = |generation| {
            Some(Process { role: Role::Primary, epoch: 1, stopped: false, hung: false, generation, verified: 0 })
        };
        World {
            processes: [[primary(1), primary(2), primary(3)], [None; 3]],
            vault_epoch: 1,
            link: Side::Old,
            respawned: Vec::new(),
            refuses: None,
            asked: 0,
            next_generation: 4,
        }
    }

    pub fn process(&mut self, side: Side, daemon: Daemon) -> &mut Option<Process> {
        &mut self.processes[side as usize][daemon.index()]
    }

    fn start(&mut self, side: Side, daemon: Daemon, role: Role, epoch: u64) {
        let generation = self.next_generation;
        self.next_generation += 1;
        *self.process(side, daemon) =
            Some(Process { role, epoch, stopped: false, hung: false, generation, verified: 0 });
    }

    fn generations(&self) -> [u32; 6] {
        let mut all = [0; 6];
        for (place, process) in all.iter_mut().zip(self.processes.iter().flatten()) {
            *place = process.map_or(0, |p| p.generation);
        }
        all
    }

    /// The invariant above all others.
    fn assert_one_primary(&self) {
        for daemon in Daemon::ALL {
            let serving = |side: Side| {
                self.processes[side as usize][daemon.index()]
                    .is_some_and(|process| process.role == Role::Primary && !process.stopped)
            };
            assert!(!(serving(Side::Old) && serving(Side::New)), "two primary {daemon}");
        }
    }

    pub fn sessions_owned(&self) -> bool {
        self.processes
            .iter()
            .flat_map(|slot| slot[Daemon::Rpd.index()])
            .any(|process| process.role == Role::Primary && !process.stopped && !process.hung)
    }

    /// Evidence is asked of every process of the primary slot; one that does not answer is waited for.
    fn patience(&self, request: &Request) -> Duration {
        let side = match request {
            Request::CollectEvidence { side } => *side,
            Request::CollectBaseline => self.link,
            _ => return Duration::ZERO,
        };
        let silent = |process: &Process| process.hung || process.stopped;
        let waits = self.processes[side as usize].iter().flatten().any(silent);
        if waits { EVIDENCE_PATIENCE } else { Duration::ZERO }
    }

    /// `None`: no answer ever (the process hangs or is stopped).
    fn perform(&mut self, request: &Request, now: Duration) -> Option<Result<Answer, String>> {
        self.asked += 1;
        if let Some((side, daemon)) = request.target() {
            match *self.process(side, daemon) {
                None => return Some(Err("connection refused".into())),
                Some(process) if process.hung || process.stopped => return None,
                Some(_) => {}
            }
        }
        let result = self.answer(request, now);
        self.assert_one_primary();
        Some(result)
    }

    fn answer(&mut self, request: &Request, now: Duration) -> Result<Answer, String> {
        let mono_ns = now.as_nanos() as u64;
        match *request {
            Request::PreChecks => {
                let check =
                    Check { title: "GRES enabled".into(), value: "Valid".into(), passed: true, ..Check::default() };
                return Ok(Answer::Checks { checks: vec![check], minimum_spacing: Duration::from_secs(300) });
            }
            Request::Spawn { daemons } => {
                daemons.iter().for_each(|&daemon| self.start(Side::New, daemon, Role::Backup, self.vault_epoch));
            }
            Request::Synchronization { side, daemon } => {
                let role = self.process(side, daemon).unwrap().role;
                assert_eq!(role, Role::Backup, "{side:?} {daemon} asked how far it follows");
                if self.refuses == Some((side, daemon, Refuses::Following)) {
                    return Err("the primary has ended the stream of facts".into());
                }
                return Ok(Answer::Synchronization {
                    synchronized: self.asked > 20,
                    pending_writes: 0,
                    progress: self.asked,
                    detail: "routes missing".into(),
                });
            }
            Request::Prepare { .. } => {
                let ready = self.asked > 25;
                return Ok(Answer::Readiness { ready, reason: "settling".into(), wait: Duration::from_millis(30) });
            }
            Request::Freeze { side, daemon } => {
                self.set_role(side, daemon, &[Role::Primary], Role::Frozen)?;
                return Ok(Answer::Frozen { mono_ns });
            }
            Request::Fence { side } | Request::Unfence { side } => {
                let stopped = matches!(request, Request::Fence { .. });
                self.processes[side as usize].iter_mut().flatten().for_each(|process| process.stopped = stopped);
            }
            Request::Follow { side, daemon, epoch } => {
                assert_eq!(epoch, self.vault_epoch, "follows a term that is not the present one");
                self.set_role(side, daemon, &[Role::Frozen, Role::Backup], Role::Backup)?;
            }
            Request::Watch { .. } => {}
            Request::RaiseEpoch { epoch } => self.vault_epoch = epoch,
            Request::Activate { side, daemon, epoch, peer_lost } => {
                assert!(epoch >= self.vault_epoch, "activated under an epoch that is over");
                assert!(!peer_lost || self.process(side.other(), daemon).is_none(), "peer_lost while the peer lives");
                if self.refuses == Some((side, daemon, Refuses::Activation)) {
                    return Err("table t differs from the primary's".into());
                }
                self.set_role(side, daemon, &[Role::Backup, Role::Frozen], Role::Activated)?;
            }
            Request::Commit { side, daemon, epoch } => {
                assert!(epoch >= self.vault_epoch);
                self.set_role(side, daemon, &[Role::Activated], Role::Primary)?;
                self.process(side, daemon).as_mut().unwrap().epoch = epoch;
                return Ok(Answer::Live { mono_ns });
            }
            Request::Flip { side } => self.link = side,
            Request::Verify { side, daemon } => {
                let process = self.process(side, daemon).as_mut().unwrap();
                assert_eq!(process.role, Role::Primary, "{side:?} {daemon} verified in role {:?}", process.role);
                process.verified += 1;
                let done = process.verified > 3;
                let failed = self.refuses == Some((side, daemon, Refuses::Verification));
                return Ok(Answer::Verified {
                    done,
                    ok: done && !failed,
                    reason: if failed {
                        "10.0.0.2 was not heard".into()
                    } else if done {
                        String::new()
                    } else {
                        "not heard yet".into()
                    },
                });
            }
            Request::Respawn { side, daemon, epoch } => {
                self.respawned.push((side, daemon));
                self.start(side, daemon, Role::Primary, epoch);
            }
            Request::Retire => self.processes[0] = [None; 3],
            Request::Kill { side, daemon: Some(daemon) } => *self.process(side, daemon) = None,
            Request::Kill { side, daemon: None } => self.processes[side as usize] = [None; 3],
            Request::CollectEvidence { .. } => {
                return Ok(Answer::Evidence { losses: Vec::new(), missing: Vec::new(), remark: String::new() });
            }
            Request::Record { .. } | Request::CollectBaseline | Request::Cancel { .. } => {}
        }
        Ok(Answer::Done)
    }

    fn set_role(&mut self, side: Side, daemon: Daemon, from: &[Role], to: Role) -> Result<(), String> {
        let process = self.process(side, daemon).as_mut().unwrap();
        if !from.contains(&process.role) {
            return Err(format!("it is {:?}, not {from:?}", process.role));
        }
        process.role = to;
        Ok(())
    }
}

/// Runs one run to its end; `faults`: at which request (counted from 0) what goes wrong.
pub fn simulate(dry_run: bool, faults: &[(usize, Fault)]) -> Outcome {
    simulate_plan(Plan { dry_run, ..Plan::default() }, faults)
}

/// The same for a run that is not the usual one.
pub fn simulate_plan(plan: Plan, faults: &[(usize, Fault)]) -> Outcome {
    let mut machine = Issu::new(None);
    let (from_slot, to_slot) = ("re0".to_string(), "re1".to_string());
    let start =
        Start { run_id: 7, from_slot, to_slot, epoch: 1, force: false, dry_run: plan.dry_run, confirm: plan.confirm };
    let mut now = Duration::from_secs(1000);
    machine.start(start, now).unwrap();
    let mut world = World { refuses: plan.refuses, ..World::new() };
    let mut due: BTreeMap<(Duration, u64), Due> = BTreeMap::new();
    let mut sequence = 0;
    let mut later = |due: &mut BTreeMap<_, _>, at: Duration, what: Due| {
        sequence += 1;
        due.insert((at, sequence), what);
    };
    let (mut log, mut requests, mut states) = (Vec::new(), Vec::new(), Vec::new());
    let (mut alarms, mut said) = (Vec::new(), None);
    let (mut orphaned_since, mut orphaned_max) = (None, Duration::ZERO);
    for _turn in 0..100_000 {
        while let Some(action) = machine.poll(now) {
            match action {
                Action::Log { stamped, line } => log.push(format!("{}{line}", if stamped { "*" } else { "" })),
                Action::Alarm(text) => alarms.push(text),
                Action::Enter(state) => states.push((state, now)),
                Action::End(end) => {
                    states.push((State::Idle, now));
                    return Outcome {
                        end,
                        log,
                        requests,
                        states,
                        world,
                        orphaned_max,
                        alarms,
                        said,
                        confirm: plan.confirm,
                    };
                }
                Action::Request(id, request) => {
                    let at = requests.len();
                    requests.push((machine.state(), request.clone()));
                    let here = faults.iter().filter(|(position, _)| *position == at).map(|(_, fault)| *fault);
                    let fault = here.clone().next();
                    here.for_each(|fault| inject(&mut world, Some(fault), now, |at, what| later(&mut due, at, what)));
                    let answer_at = now + latency(&request) + world.patience(&request);
                    let kill = matches!(request, Request::Kill { .. }); // SIGKILL cannot be refused
                    match fault {
                        Some(Fault::Error) if !kill => {
                            later(&mut due, answer_at, Due::Answer(id, Err("injected".into())));
                        }
                        Some(Fault::Lost) if !kill => {}
                        Some(Fault::Lost | Fault::AnswerLost) => drop(world.perform(&request, now)),
                        Some(Fault::Late) if kill => drop(world.perform(&request, now)),
                        Some(Fault::Late) => {
                            let generations = world.generations();
                            later(&mut due, now + Duration::from_secs(3), Due::Perform(id, request, generations));
                        }
                        _ => {
                            if let Some(result) = world.perform(&request, answer_at) {
                                later(&mut due, answer_at, Due::Answer(id, result));
                            }
                        }
                    }
                    said = said.or(match plan.operator {
                        Some((position, Operator::Abort)) if position == at => {
                            Some(Said::Abort(machine.abort("operator", now)))
                        }
                        Some((position, Operator::Confirm)) if position == at => {
                            Some(Said::Confirm(machine.confirm("operator")))
                        }
                        Some((position, Operator::LosesFollower)) if position == at => {
                            machine.note_follower_lost("its stream was full for 200 ms");
                            Some(Said::Abort(machine.abort("operator", now)))
                        }
                        _ => None,
                    });
                }
            }
        }
        if world.sessions_owned() {
            orphaned_since = None;
        } else {
            orphaned_max = orphaned_max.max(now - *orphaned_since.get_or_insert(now));
        }
        let deadline = machine.next_deadline().expect("a run without a deadline waits for ever");
        now = due.keys().next().map_or(deadline, |(at, _)| (*at).min(deadline));
        let Some(entry) = due.first_entry().filter(|entry| entry.key().0 <= now) else { continue };
        match entry.remove() {
            Due::Answer(id, result) => machine.handle(Event::Answered { id, result }, now),
            Due::Died(side, daemon) => {
                machine.handle(Event::ProcessDied { side, daemon, how: "killed by signal 9".into() }, now);
            }
            Due::Perform(id, request, generations) => {
                let same = |side: Side, daemon: Daemon| {
                    let place = side as usize * 3 + daemon.index();
                    generations[place] != 0 && generations[place] == world.generations()[place]
                };
                // The shell's own work is not done late: only a process can be slow to act.
                let perform = request.target().is_some_and(|(side, daemon)| same(side, daemon));
                if perform && let Some(result) = world.perform(&request, now) {
                    machine.handle(Event::Answered { id, result }, now);
                }
            }
        }
    }
    panic!("the run did not end; state {}", machine.state());
}

fn inject(world: &mut World, fault: Option<Fault>, now: Duration, mut later: impl FnMut(Duration, Due)) {
    match fault {
        Some(Fault::Kill(side, daemon)) if world.process(side, daemon).take().is_some() => {
            later(now + Duration::from_micros(500), Due::Died(side, daemon));
        }
        Some(Fault::Hang(side, daemon)) => {
            if let Some(process) = world.process(side, daemon) {
                process.hung = true;
            }
        }
        _ => {}
    }
}

fn latency(request: &Request) -> Duration {
    match request {
        Request::Spawn { .. } | Request::Respawn { .. } => Duration::from_millis(300),
        Request::Record { .. } => Duration::from_millis(4),
        _ => Duration::from_millis(1),
    }
}

/// No state outlived its deadline.
pub fn assert_deadlines(outcome: &Outcome) {
    for pair in outcome.states.windows(2) {
        let (state, entered) = pair[0];
        let confirm = outcome.confirm.filter(|_| state == State::Soaking).unwrap_or_default();
        let limit = limits::state_deadline(state).unwrap() + confirm;
        assert!(pair[1].1 - entered <= limit, "{state} took {:?}, limit {limit:?}", pair[1].1 - entered);
    }
}
