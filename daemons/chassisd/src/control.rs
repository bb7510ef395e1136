//! The loop: news, commands, deadlines and signals in; the chassis changes; the machine is polled until it is quiet.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use holdfast_ipc::{mono_ns, other_slot};
use holdfast_issu::limits::CONFIRM_MAX;
use holdfast_issu::{AbortOutcome, Action, ConfirmOutcome, Daemon, Event, Request, RequestId, Start, State};
use holdfast_proto::v1;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::chassis::{Chassis, News, Slot, Waiter};
use crate::evidence::SilenceWatch;
use crate::journal::RunLog;
use crate::limits;
use crate::periodic;
use crate::readiness::Inspector;
use crate::run::CurrentRun;
use crate::views;

/// A refusal or failure told to whoever called.
pub type Reply<T> = oneshot::Sender<Result<T, String>>;

/// What is asked over DIR/chassis.sock.
pub enum Command {
    /// Begin a run.
    Start(v1::StartRunRequest, Reply<u64>),
    /// Take it back.
    Abort(u64, String, Reply<String>),
    /// Begin one later.
    Schedule(v1::ScheduleRunRequest, Reply<v1::ScheduledRun>),
    /// What is scheduled?
    Scheduled(oneshot::Sender<v1::ScheduledRun>),
    /// Take the schedule back.
    ClearSchedule(String, Reply<v1::ScheduledRun>),
    /// The operator has looked at the alarms; how many there were.
    ClearAlarms(String, oneshot::Sender<usize>),
    /// BFD sessions are wanted.
    EnsurePeriodic(oneshot::Sender<Result<(), String>>),
    /// Keep it: the old engine may go.
    Confirm(u64, String, Reply<String>),
    /// The log of the last run, if this request has started it.
    RunOf(String, Reply<Arc<RunLog>>),
    /// A run's log; 0: the current or last.
    Run(u64, Reply<Arc<RunLog>>),
    /// The last records, newest first.
    Runs(usize, Reply<Vec<v1::RunSummary>>),
    /// The operator's view.
    View(oneshot::Sender<views::View>),
    /// What only the loop knows, for the pre-checks of this run (0: of nobody's).
    Inspect(u64, oneshot::Sender<Inspector>),
    /// Replace one process.
    Restart(String, Reply<String>),
    /// Stop the router.
    Stop(v1::StopRequest, oneshot::Sender<()>),
}

/// Why the loop ended.
pub enum StopRequest {
    /// By a command; answered when everything is gone.
    Command { flush: bool, message: String, done: oneshot::Sender<()> },
    /// By SIGTERM or SIGINT.
    Signal,
}

/// CLOCK_MONOTONIC, the machine's time.
pub fn now() -> Duration {
    Duration::from_nanos(mono_ns())
}

/// How long a confirmation is waited for; `None`: not at all.
pub fn confirm_time(confirm_s: u32) -> Result<Option<Duration>, String> {
    let time = Duration::from_secs(confirm_s.into());
    if time > CONFIRM_MAX {
        let (asked, most) = (time.as_secs() / 60, CONFIRM_MAX.as_secs() / 60);
        return Err(format!("confirm {asked}: a confirmation is waited for at most {most} minutes"));
    }
    Ok((confirm_s > 0).then_some(time))
}

impl Chassis {
    /// Runs until the router is to be stopped.
    pub async fn control(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        commands: &mut mpsc::Receiver<Command>,
        signals: &mut mpsc::Receiver<&'static str>,
    ) -> StopRequest {
        let mut watch_at = Instant::now() + limits::WATCH_INTERVAL;
        loop {
            self.start_scheduled();
            self.drive();
            let next = self.machine.next_deadline().filter(|_| self.standing.is_none());
            let left = next.map(|deadline| deadline.saturating_sub(now()));
            let left = left.into_iter().chain(self.schedule_due_in()).min();
            let deadline = Instant::now() + left.unwrap_or(Duration::from_secs(3600));
            let planned = deadline.min(watch_at);
            tokio::select! {
                biased;
                Some(item) = news.recv() => self.heard(item),
                Some(command) = commands.recv() => {
                    if let Some(stop) = self.commanded(command) {
                        return stop;
                    }
                }
                Some(signal) = signals.recv() => {
                    tracing::info!("{signal}: stopping the router, kernel routes stay");
                    return StopRequest::Signal;
                }
                () = tokio::time::sleep_until(watch_at) => {
                    let late = watch_at.elapsed() > limits::WATCH_OWN_DELAY_MAX;
                    self.watch(late);
                    self.watch_periodic(late);
                    self.note_returned();
                    if self.run.is_none() {
                        self.keep_ends();
                    }
                    watch_at = Instant::now() + limits::WATCH_INTERVAL;
                }
                () = tokio::time::sleep_until(deadline) => {}
            }
            if planned.elapsed() > limits::WATCH_OWN_DELAY_MAX {
                self.catch_up(news).await;
            }
        }
    }

    /// This process, or the whole machine, has stood still. Answers that came meanwhile are taken before anybody is called
    /// silent whose deadline has passed only here.
    async fn catch_up(&mut self, news: &mut mpsc::Receiver<News>) {
        tracing::warn!("chassisd stood still for more than {} s", limits::WATCH_OWN_DELAY_MAX.as_secs());
        let until = Instant::now() + limits::CATCH_UP;
        while let Ok(Some(item)) = tokio::time::timeout_at(until, news.recv()).await {
            self.heard(item);
        }
    }

    /// Does what the machine wants until it wants nothing.
    fn drive(&mut self) {
        while self.standing.is_none()
            && let Some(action) = self.machine.poll(now())
        {
            match action {
                Action::Request(id, request) => {
                    if !self.stands_before(id, &request) {
                        self.ask(id, request);
                    }
                }
                Action::Log { stamped, line } => {
                    if let Some(run) = &self.run {
                        run.say(stamped, line);
                    }
                }
                Action::Alarm(text) => {
                    if let Some(run) = &mut self.run {
                        run.alarms.push(text.clone());
                    }
                    self.alarm(text);
                }
                Action::Enter(state) => self.enter(state),
                Action::End(end) => self.end_run(end),
            }
        }
    }

    /// Performs a request; a prompt answer goes back at once.
    pub fn ask(&mut self, id: RequestId, request: Request) {
        if let Some(result) = self.perform(id, request) {
            self.machine.handle(Event::Answered { id, result }, now());
        }
    }

    fn enter(&mut self, state: State) {
        let confirm_until = self.machine.confirm_until().map(|until| until.saturating_sub(now()));
        self.watch_silence(state);
        let Some(run) = self.run.as_mut() else { return };
        run.enter(state);
        run.confirm_until(confirm_until);
    }

    /// Silences are measured from before anything is frozen, there and back, but not while a confirmation is waited for.
    fn watch_silence(&mut self, state: State) {
        let Some(run) = self.run.as_mut() else { return };
        match state {
            State::Soaking => run.silences = run.silence.take().map(SilenceWatch::finish).unwrap_or_default(),
            State::Switching | State::RollingBack if run.silence.is_none() => {
                let vault = self.vault.lock().unwrap_or_else(PoisonError::into_inner);
                let started = SilenceWatch::start(&vault);
                run.silence = started.inspect_err(|error| tracing::warn!(%error, "silences cannot be measured")).ok();
            }
            _ => {}
        }
    }

    fn heard(&mut self, news: News) {
        match news {
            News::Answered(id, result) => self.machine.handle(Event::Answered { id, result }, now()),
            News::Released => self.released(),
            News::Learned(id, learned) => {
                let answer = self.learned(*learned);
                self.machine.handle(Event::Answered { id, result: Ok(answer) }, now());
            }
            News::Begun => self.remember_processes(),
            News::Exited { slot, daemon, generation, how } => self.exited(slot, daemon, generation, how),
            News::Replace { slot, daemon, epoch, waiter } => self.start_replacement(slot, daemon, epoch, waiter),
            News::Restart { slot, daemon } => self.restart(slot, daemon),
            News::PeriodicExited { generation, how } => self.periodic_exited(generation, how),
            News::PeriodicRestart => self.restart_periodic(),
            News::PeriodicOverdue { generation } => self.periodic_overdue(generation),
            News::PeriodicWatched { generation, answer } => self.periodic_watched(generation, answer),
            News::Steadiness(steady) => self.machine.note_steadiness(steady),
            News::Watched { slot, daemon, generation, answer } => self.watched(slot, daemon, generation, answer),
        }
    }

    fn commanded(&mut self, command: Command) -> Option<StopRequest> {
        match command {
            Command::Start(request, reply) => drop(reply.send(self.start_run(request))),
            Command::Abort(run_id, by, reply) => drop(reply.send(self.abort_run(run_id, &by))),
            Command::Confirm(run_id, by, reply) => drop(reply.send(self.confirm_run(run_id, &by))),
            Command::Schedule(request, reply) => drop(reply.send(self.schedule_run(request))),
            Command::Scheduled(reply) => drop(reply.send(self.scheduled())),
            Command::ClearSchedule(by, reply) => drop(reply.send(self.clear_schedule(&by))),
            Command::ClearAlarms(by, reply) => {
                let cleared = self.alarms.clear();
                tracing::info!(by, cleared, "alarms cleared");
                let _ = reply.send(cleared);
            }
            Command::EnsurePeriodic(reply) => drop(reply.send(self.ensure_periodic())),
            Command::RunOf(request_id, reply) => drop(reply.send(self.run_of(&request_id))),
            Command::Run(run_id, reply) => drop(reply.send(self.find_run(run_id))),
            Command::Runs(limit, reply) => drop(reply.send(Ok(self.list_runs(limit)))),
            Command::View(reply) => drop(reply.send(self.view())),
            Command::Inspect(run_id, reply) => drop(reply.send(self.inspector(run_id))),
            Command::Restart(name, reply) => self.restart_by_name(&name, reply),
            Command::Stop(request, done) => {
                return Some(StopRequest::Command { flush: request.flush, message: request.message, done });
            }
        }
        None
    }

    pub fn start_run(&mut self, request: v1::StartRunRequest) -> Result<u64, String> {
        if let Some(missing) = Daemon::ALL.into_iter().find(|daemon| self.process(self.master, *daemon).is_none()) {
            return Err(format!(
                "{}/{missing} does not run, it is being restarted; try again when 'show chassis routing-engine' shows it running",
                self.master
            ));
        }
        let confirm = confirm_time(request.confirm_s)?;
        let run_id = self.store.persistent.next_run_id.max(1);
        let (from, to) = (self.master, other_slot(self.master));
        let start = Start {
            run_id,
            from_slot: from.into(),
            to_slot: to.into(),
            epoch: self.epoch,
            force: request.force,
            dry_run: request.dry_run,
            confirm,
        };
        self.keep_ends();
        self.machine.start(start, now()).map_err(|refusal| refusal.to_string())?;
        let run = CurrentRun::new(run_id, from, to, self.epoch, request);
        if !run.request.message.is_empty() {
            run.say(false, format!("Message : {}", run.request.message));
        }
        self.last_run = Some(run.log.clone());
        self.run = Some(run);
        self.store.persistent.next_run_id = run_id + 1;
        if let Err(error) = self.store.save() {
            self.machine.abort(&format!("chassisd, whose state cannot be saved ({error})"), now());
        }
        Ok(run_id)
    }

    fn in_progress(&self, run_id: u64) -> Result<(), String> {
        match self.machine.run_id() {
            None => Err("no in-service run is in progress".into()),
            Some(current) if run_id != 0 && run_id != current => Err(format!("run {run_id} is not in progress")),
            Some(_) => Ok(()),
        }
    }

    fn confirm_run(&mut self, run_id: u64, by: &str) -> Result<String, String> {
        self.in_progress(run_id)?;
        let state = self.machine.state();
        match self.machine.confirm(by) {
            ConfirmOutcome::NoRun => Err("no in-service run is in progress".into()),
            ConfirmOutcome::Confirmed => Ok("confirmed: the old routing engine is shut down".into()),
            ConfirmOutcome::NotExpected => {
                Err(format!("the run ({state}) was not asked to wait for a confirmation; it ends by itself"))
            }
            ConfirmOutcome::TooEarly => {
                Err(format!("the run is {state}; it can be confirmed once it is soaking, after its checks have passed"))
            }
            ConfirmOutcome::TooLate => Err(format!("the run is {state}: there is nothing to confirm any more")),
        }
    }

    fn abort_run(&mut self, run_id: u64, by: &str) -> Result<String, String> {
        self.in_progress(run_id)?;
        match self.machine.abort(by, now()) {
            AbortOutcome::NoRun => Err("no in-service run is in progress".into()),
            AbortOutcome::Aborting => Ok("the run is being taken back; nothing had been switched".into()),
            AbortOutcome::RollingBack => Ok("the old routing engine is being thawed and goes on".into()),
            AbortOutcome::GivingBack => Ok("the new routing engine gives the roles back to the old one".into()),
            AbortOutcome::NoWayBack => Err(format!(
                "the way back is closed: {}; 'request system reboot in-service confirm' ends the run",
                self.machine.way_closed().unwrap_or("the old routing engine is gone")
            )),
            AbortOutcome::TooLate => {
                Err("the run has finished: the new routing engine is primary and the old one has been told to end"
                    .into())
            }
        }
    }

    /// The last run, if this request has started it.
    fn run_of(&self, request_id: &str) -> Result<Arc<RunLog>, String> {
        let last = self.find_run(0)?;
        if last.lock().run.request_id == request_id {
            return Ok(last);
        }
        Err(format!("request {request_id} has not started the last run"))
    }

    fn find_run(&self, run_id: u64) -> Result<Arc<RunLog>, String> {
        if let Some(last) = &self.last_run
            && (run_id == 0 || last.lock().run.run_id == run_id)
        {
            return Ok(last.clone());
        }
        let id = if run_id == 0 { self.journal.ids().first().copied() } else { Some(run_id) };
        let id = id.ok_or("there has been no in-service run yet")?;
        let record = self.journal.read(id).map_err(|error| match error {
            crate::error::ChassisError::File { .. } => {
                format!("there is no run {id}; the last {} are kept", limits::RUNS_KEPT)
            }
            other => other.to_string(),
        })?;
        Ok(RunLog::new(record))
    }

    fn list_runs(&self, limit: usize) -> Vec<v1::RunSummary> {
        let limit = if limit == 0 { limits::RUNS_KEPT } else { limit.min(limits::RUNS_KEPT) };
        let records = self.journal.ids().into_iter().take(limit).filter_map(|id| self.find_run(id).ok());
        records.map(|log| views::summary(&log.lock())).collect()
    }

    /// Lets the runtime remove what it has of a slot, beside everything else.
    pub(crate) fn release(&self, slot: Slot, politely: bool) {
        tokio::spawn(crate::shutdown::told(self.runtime.release(slot, politely)));
    }

    fn restart_by_name(&mut self, name: &str, reply: Reply<String>) {
        let daemon = match name {
            "management" => Some(Daemon::Mgd),
            "routing" => Some(Daemon::Rpd),
            "forwarding" => Some(Daemon::Pfed),
            name => Daemon::from_name(name),
        };
        let refusal = match (daemon, self.machine.run_id()) {
            (None, None) if matches!(name, "periodic-packets" | periodic::NAME) => {
                return self.replace_periodic(Some(reply));
            }
            (None, None) => {
                format!("there is no process '{name}'; it is one of management, routing, forwarding, periodic-packets")
            }
            (_, Some(run_id)) => format!(
                "run {run_id} is in progress ({}); processes are restarted when it has ended",
                self.machine.state()
            ),
            (Some(daemon), None) => return self.restart_politely(daemon, reply),
        };
        let _ = reply.send(Err(refusal));
    }

    fn restart_politely(&mut self, daemon: Daemon, reply: Reply<String>) {
        let (slot, epoch, news) = (self.master, self.epoch, self.news.clone());
        let sessions = self.vault().list("bgp/", "").filter(|(_, entry)| entry.kind == "session").count();
        let effect = match daemon {
            Daemon::Rpd => format!("{sessions} BGP sessions restarted"),
            _ => "no session was touched".into(),
        };
        self.expect_end(slot, Some(daemon));
        let old = self.process(slot, daemon).map(|process| (process.running.clone(), process.link.clone()));
        tokio::spawn(async move {
            if let Some((running, link)) = old {
                running.unfence();
                crate::perform::retire(running, link).await;
            }
            let waiter = Waiter::Operator(reply, format!("{slot}/{daemon} has been restarted; {effect}"));
            let _ = news.send(News::Replace { slot, daemon, epoch, waiter }).await;
        });
    }
}
