//! ppmd: one for the router, beside the slots, from the moment on when somebody wants a BFD session. No run touches it before it has ended well; then it is replaced by itself, as after
//! `restart periodic-packets`: the successor takes the sessions over while both run (ADR 23). It outlives chassisd, whose successor finds it again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use holdfast_ipc::unix_ms;
use holdfast_kernel::process::{PidFd, age, start_time_ticks, usage};
use holdfast_proto::v1;

use crate::chassis::{Chassis, News};
use crate::control::Reply;
use crate::error::ChassisError;
use crate::limits;
use crate::runtime::{Running, adopt_program, spawn_program};
use crate::store::KnownProcess;

/// Its name.
pub const NAME: &str = "ppmd";

/// Why one is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It is the first of this chassisd: what lies there is of an earlier life.
    Start,
    /// The last one has died.
    Death,
    /// It is to replace the one that runs.
    Replacement,
}

#[derive(Debug)]
struct Member {
    running: Running,
    generation: u64,
    started: Instant,
    started_unix_ms: u64,
}

/// What the chassis knows of it.
#[derive(Debug, Default)]
pub struct Periodic {
    /// The program; None: there is none beside chassisd, and no BFD.
    program: Option<PathBuf>,
    /// Somebody wants sessions, or did.
    wanted: bool,
    current: Option<Member>,
    successor: Option<Member>,
    /// Who wants to hear how the replacement went.
    waiter: Option<Reply<String>>,
    restarts: u32,
    last_exit: String,
    delay: Duration,
    misses: u32,
}

impl Periodic {
    /// With the program in this folder, if it is there.
    pub fn new(bin_dir: &std::path::Path) -> Periodic {
        let program = bin_dir.join(NAME);
        Periodic { program: program.is_file().then_some(program), ..Periodic::default() }
    }

    /// There is a program to start.
    pub fn is_installed(&self) -> bool {
        self.program.is_some()
    }

    /// Somebody wants sessions, or did.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        let members = self.current.iter().chain(&self.successor);
        members.filter(|member| member.running.exit().is_none())
    }

    /// As it is found again after a crash of chassisd.
    pub fn known(&self) -> impl Iterator<Item = KnownProcess> {
        self.members().filter_map(|member| {
            let pid = member.running.pid();
            let start_time_ticks = start_time_ticks(pid).ok()?;
            Some(KnownProcess { slot: "chassis".into(), name: NAME.into(), pid, start_time_ticks })
        })
    }

    /// For the operator; None: nobody has wanted it yet.
    pub fn view(&self) -> Option<v1::ProcessState> {
        self.wanted.then_some(())?;
        let member = self.members().next();
        let pid = member.map_or(0, |member| member.running.pid());
        let figures = if pid != 0 { usage(pid).unwrap_or_default() } else { Default::default() };
        let standstill = member.and_then(|member| member.running.standstill());
        Some(v1::ProcessState {
            name: NAME.into(),
            pid,
            state: if member.is_some() { standstill.unwrap_or("running") } else { "failed" }.into(),
            role: v1::Role::Primary.into(),
            restarts: self.restarts,
            last_exit: self.last_exit.clone(),
            started_unix_ms: member.map_or(0, |member| member.started_unix_ms),
            rss_kib: figures.rss_kib,
            cpu_ms: figures.cpu_ms,
            descriptors: figures.descriptors,
            misses: self.misses,
            ..v1::ProcessState::default()
        })
    }
}

impl Chassis {
    /// Somebody wants BFD sessions. What is wrong with that is said to him, too.
    pub fn ensure_periodic(&mut self) -> Result<(), String> {
        if self.periodic.wanted || self.stopping {
            return Ok(()); // it runs, or is being restarted
        }
        if self.periodic.program.is_none() {
            return Err(format!(
                "there is no {NAME} beside chassisd, and so no BFD: install it where the other programs are"
            ));
        }
        let member = self.spawn_periodic(Cause::Start).map_err(|error| error.to_string())?;
        self.periodic.wanted = true;
        self.periodic.current = Some(member);
        self.remember_processes();
        Ok(())
    }

    fn spawn_periodic(&mut self, cause: Cause) -> Result<Member, ChassisError> {
        let missing = || ChassisError::NoBinary { path: PathBuf::from(NAME) };
        let program = self.periodic.program.clone().ok_or_else(missing)?;
        let mut arguments = vec!["--run-dir".to_owned(), self.run_dir.path().to_string_lossy().into_owned()];
        match cause {
            Cause::Start => arguments.push("--fresh".into()),
            Cause::Death => {}
            Cause::Replacement => arguments.push("--take-over".into()),
        }
        let log = self.state_dir.join("log").join(format!("{NAME}.log"));
        let running = spawn_program(&program, &arguments, &log, NAME)?;
        tracing::info!(?cause, "{NAME} is started");
        Ok(self.periodic_member(running, Duration::ZERO))
    }

    fn periodic_member(&mut self, running: Running, age: Duration) -> Member {
        self.generations += 1;
        let generation = self.generations;
        let (news, handle) = (self.news.clone(), running.clone());
        tokio::spawn(async move {
            let how = handle.ended().await;
            let _ = news.send(News::PeriodicExited { generation, how }).await;
        });
        let started_unix_ms = unix_ms().saturating_sub(u64::try_from(age.as_millis()).unwrap_or_default());
        Member { running, generation, started: Instant::now(), started_unix_ms }
    }

    /// Those that an earlier chassisd had: the one that serves, and one that was to take over from it. They never noticed its end.
    pub fn adopt_periodic(&mut self, handles: Vec<PidFd>) {
        for handle in handles {
            let (pid, age) = (handle.pid(), age(handle.pid()).unwrap_or_default());
            let running = match adopt_program(handle) {
                Ok(running) => running,
                Err(error) => {
                    self.alarm(format!("{NAME} (pid {pid}) goes on, but nobody will hear of its end: {error}"));
                    continue;
                }
            };
            let member = self.periodic_member(running, age);
            self.periodic.wanted = true;
            if self.periodic.current.is_none() {
                self.periodic.current = Some(member);
            } else {
                self.periodic_overdue_after(member.generation);
                self.periodic.successor = Some(member);
            }
        }
        self.remember_processes();
    }

    fn periodic_overdue_after(&self, generation: u64) {
        let news = self.news.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limits::PERIODIC_REPLACEMENT).await;
            let _ = news.send(News::PeriodicOverdue { generation }).await;
        });
    }

    /// A ppmd has ended: one that was to take over, or the one that served.
    pub fn periodic_exited(&mut self, generation: u64, how: String) {
        let is = |member: &Option<Member>| member.as_ref().is_some_and(|member| member.generation == generation);
        if is(&self.periodic.successor) {
            self.periodic.successor = None;
            let text = format!("the successor of {NAME} ended ({how}); the one that runs goes on, see {NAME}.log");
            self.answer_replacement(Err(text));
        } else if is(&self.periodic.current) {
            self.current_exited(how);
        }
        self.remember_processes();
    }

    fn current_exited(&mut self, how: String) {
        let lived = self.periodic.current.take().map_or(Duration::ZERO, |member| member.started.elapsed());
        self.periodic.last_exit.clone_from(&how);
        if self.stopping {
            return;
        }
        if let Some(successor) = self.periodic.successor.take() {
            let pid = successor.running.pid();
            tracing::info!(pid, how, "{NAME} was replaced");
            self.periodic.current = Some(successor);
            self.answer_replacement(Ok(format!("{NAME} was replaced by process {pid}; its sessions went on")));
            return;
        }
        self.periodic.restarts += 1;
        self.alarm(format!("{NAME} ended ({how}) and is restarted"));
        let forgiven = lived >= limits::PERIODIC_FORGIVEN;
        let delay = if forgiven { Duration::ZERO } else { self.periodic.delay };
        self.periodic.delay = (delay * 2).clamp(limits::RESTART_DELAY_MIN, limits::RESTART_DELAY_MAX);
        if delay.is_zero() {
            self.restart_periodic();
        } else {
            self.restart_periodic_after(delay);
        }
    }

    fn restart_periodic_after(&self, delay: Duration) {
        let news = self.news.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let _ = news.send(News::PeriodicRestart).await;
        });
    }

    /// In place of one that has died; every millisecond counts.
    pub fn restart_periodic(&mut self) {
        if self.stopping || self.periodic.current.is_some() {
            return;
        }
        match self.spawn_periodic(Cause::Death) {
            Ok(member) => {
                self.periodic.current = Some(member);
                self.periodic.misses = 0;
                self.remember_processes();
            }
            Err(error) => {
                self.alarm(error.to_string());
                self.restart_periodic_after(limits::RESTART_DELAY_MAX);
            }
        }
    }

    /// By a successor that takes the sessions over. Whoever waits is told how it went.
    pub fn replace_periodic(&mut self, waiter: Option<Reply<String>>) {
        let refusal = if self.periodic.program.is_none() {
            Some(format!("there is no {NAME} beside chassisd, and so no BFD: install it where the other programs are"))
        } else if self.periodic.successor.is_some() {
            Some(format!("{NAME} is being replaced already"))
        } else if !self.periodic.wanted {
            Some(format!("{NAME} does not run: no BFD session was wanted yet; it is started with the first one"))
        } else if self.periodic.current.is_none() {
            Some(format!("{NAME} does not run, it is being restarted"))
        } else {
            None
        };
        let started = match refusal {
            Some(refusal) => Err(refusal),
            None => self.spawn_periodic(Cause::Replacement).map_err(|error| error.to_string()),
        };
        match started {
            Ok(member) => {
                self.periodic_overdue_after(member.generation);
                self.periodic.successor = Some(member);
                self.periodic.waiter = waiter;
                self.remember_processes();
            }
            Err(error) => {
                if let Some(waiter) = waiter {
                    let _ = waiter.send(Err(error));
                }
            }
        }
    }

    /// A successor that has not taken over by now will not.
    pub fn periodic_overdue(&mut self, generation: u64) {
        if let Some(successor) = self.periodic.successor.as_ref().filter(|member| member.generation == generation) {
            successor.running.kill_now();
        }
    }

    fn answer_replacement(&mut self, result: Result<String, String>) {
        match (self.periodic.waiter.take(), result) {
            (Some(waiter), result) => drop(waiter.send(result)),
            (None, Ok(_)) => {}
            (None, Err(error)) => self.alarm(error),
        }
    }

    /// Asks whether it lives; a hung one is killed, and its successor goes on.
    pub fn watch_periodic(&mut self, late: bool) {
        let Some(member) = self.periodic.current.as_ref().filter(|member| member.running.exit().is_none()) else {
            return;
        };
        if late || self.periodic.successor.is_some() || member.started.elapsed() < limits::PERIODIC_FORGIVEN {
            self.periodic.misses = 0;
            return;
        }
        let (news, generation) = (self.news.clone(), member.generation);
        let channel = holdfast_ipc::channel(&self.run_dir.periodic_socket());
        tokio::spawn(async move {
            let mut client = v1::periodic_client::PeriodicClient::new(channel);
            let call = client.show_periodic(v1::ShowPeriodicRequest {});
            let answer = crate::calls::answer(limits::WATCH_TIMEOUT, call).await.map(|_| ());
            let _ = news.send(News::PeriodicWatched { generation, answer }).await;
        });
    }

    /// The answer, or none.
    pub fn periodic_watched(&mut self, generation: u64, answer: Result<(), String>) {
        let Some(member) = self.periodic.current.as_ref().filter(|member| member.generation == generation) else {
            return;
        };
        let running = member.running.clone();
        match answer {
            Ok(()) => self.periodic.misses = 0,
            Err(error) => {
                self.periodic.misses += 1;
                tracing::warn!(misses = self.periodic.misses, error, "{NAME} does not answer");
                if self.periodic.misses >= limits::WATCH_MISSES_MAX {
                    self.periodic.misses = 0;
                    self.alarm(format!("{NAME} hangs (no answer {} times) and is killed", limits::WATCH_MISSES_MAX));
                    running.kill_now();
                }
            }
        }
    }

    /// With the router: after the sessions of routing protocols have ended.
    pub async fn stop_periodic(&mut self) {
        let running: Vec<Running> = self.periodic.members().map(|member| member.running.clone()).collect();
        for running in running {
            running.unfence();
            running.terminate();
            if running.exited(limits::RETIRE_GRACE).await.is_none() {
                running.kill(limits::EXIT_DEADLINE).await;
            }
        }
    }
}
