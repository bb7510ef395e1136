//! One command from the line to the exit code.

use std::{
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{
    CompleteReply, CompleteRequest, ExecuteConfirm, ExecuteEvent, ExecuteRead, ExecuteRequest, execute_event::Event,
    management_client::ManagementClient,
};
use tokio::runtime::Runtime;
use tonic::{Code, Status, transport::Channel};

use super::{
    configure::{Configure, read},
    error::CliError,
    follow, lost,
    pipe::{Line, Pipeline},
    repeat::{self, Asked, MANAGEMENT_PATIENCE, Tries},
    sink::Sink,
    watch,
};

/// Between two tries to reach it.
const RETRY: Duration = Duration::from_millis(100);
/// How long a piece of an answer may take; mgd itself is patient for 10 s with each process it asks.
const PIECE_DEADLINE: Duration = Duration::from_secs(30);
/// How long completion may hold up the terminal.
const COMPLETION_DEADLINE: Duration = Duration::from_secs(1);
/// How often the terminal is looked at while an answer is awaited.
pub const TERMINAL_POLL: Duration = Duration::from_millis(20);
/// Largest message of an answer.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: stable keys.
    Json,
}

/// A runtime that does not wait for a read from standard input which nobody will answer.
struct Background(Option<Runtime>);

impl Background {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        self.0.as_ref().map(|runtime| runtime.block_on(future))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A router and a way to print.
#[derive(Clone)]
pub struct Shell {
    /// Whose sockets are used.
    pub run_dir: RunDir,
    runtime: Arc<Background>,
    format: Format,
    /// Configure mode, if it is that.
    pub configure: Configure,
    /// The run being watched; 0: none.
    following: Arc<AtomicU64>,
    /// Who asks, as chassisd writes it into its journal.
    pub user: String,
}

/// How an answer ended.
enum End {
    Done,
    Confirm(ExecuteConfirm),
    Follow { run_id: u64, json_lines: bool },
    Watch(u64),
    Read(ExecuteRead),
}

/// What is asked beside the line.
#[derive(Default)]
struct Extra {
    confirmed: bool,
    text: Option<Vec<u8>>,
}

/// How an answer is wanted.
#[derive(Debug, Clone, Default)]
struct How {
    format: String,
    /// As it goes, where there is something that goes.
    watch: bool,
    /// There is a terminal to draw on, and nothing between it and us.
    draws: bool,
    /// Its width; 0: none.
    columns: u32,
}

impl Shell {
    /// Nothing is connected yet.
    pub fn new(run_dir: &Path, format: Format) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
        let user = user.map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name);
        let runtime = Arc::new(Background(Some(runtime)));
        let (configure, following) = (Configure::default(), Arc::default());
        Ok(Self { run_dir: RunDir::new(run_dir), runtime, format, configure, following, user })
    }

    /// Carries out one line with its pipes; prints what went wrong; says whether it was a success.
    pub fn run_line(&self, line: &str) -> bool {
        self.following.store(0, Ordering::Relaxed);
        let outcome = self.runtime.block_on(async {
            tokio::select! {
                outcome = self.line(line) => outcome,
                _ = tokio::signal::ctrl_c() => Err(match self.following.load(Ordering::Relaxed) {
                    0 => CliError::Interrupted,
                    run_id => CliError::StoppedWatching { run_id },
                }),
            }
        });
        match outcome.unwrap_or(Err(CliError::Interrupted)) {
            Ok(()) => true,
            Err(error) if error.is_closed_pipe() => true,
            Err(CliError::NotConfirmed(declined)) => {
                println!("{declined}");
                false
            }
            Err(error) => {
                eprintln!("error: {error}");
                false
            }
        }
    }

    async fn line(&self, line: &str) -> Result<(), CliError> {
        let line = Line::parse(line)?;
        let command = line.command.clone();
        let form = match self.format {
            Format::Text => "text",
            Format::Json => "json",
        };
        let format = line.display.clone().unwrap_or_else(|| form.to_owned());
        let draws = line.is_plain() && watch::usable();
        let columns = if draws { watch::columns() } else { 0 };
        let how = How { watch: format == "text" && !line.once, format, draws, columns };
        let mut pipeline = line.pipeline(Sink::stdout)?;
        let outcome = self.command(&command, &how, &mut pipeline).await;
        // A failure may come after output: that is shown all the same. But a part of an answer is not counted as if it were the whole.
        if !matches!(outcome, Err(CliError::BrokenOff(_))) {
            pipeline.finish()?;
        }
        outcome
    }

    async fn command(&self, command: &str, how: &How, pipeline: &mut Pipeline) -> Result<(), CliError> {
        let mut end = self.execute(command, how, Extra::default(), pipeline).await?;
        if let End::Read(wanted) = &end {
            let text = Some(read(wanted).await?);
            end = self.execute(command, how, Extra { confirmed: false, text }, pipeline).await?;
        }
        if let End::Confirm(confirm) = &end {
            if !confirmed(&confirm.question).await {
                return Err(CliError::NotConfirmed(confirm.declined.clone()));
            }
            end = self.execute(command, how, Extra { confirmed: true, text: None }, pipeline).await?;
        }
        match end {
            End::Done => Ok(()),
            End::Confirm(again) => Err(CliError::Refused(format!("asked again after the answer: {}", again.question))),
            End::Read(again) => Err(CliError::Refused(format!("{:?} was asked for once more", again.file))),
            End::Follow { run_id, json_lines } => {
                self.following.store(run_id, Ordering::Relaxed);
                let json = json_lines || how.format == "json";
                follow::follow(&self.run_dir, run_id, json, pipeline).await
            }
            End::Watch(run_id) => {
                self.following.store(run_id, Ordering::Relaxed);
                if how.draws {
                    return watch::watch(&self.run_dir, run_id).await;
                }
                follow::follow(&self.run_dir, run_id, false, pipeline).await
            }
        }
    }

    /// The end of the session: leaves configure mode, and says what becomes of changes that are not committed.
    pub fn leave(&self) {
        if !self.configure.is_on() {
            return;
        }
        let exclusive = self.configure.is_exclusive();
        let left = self.runtime.block_on(async {
            let mut pipeline = Line::parse("")?.pipeline(Sink::nowhere)?;
            let exit = "exit configuration-mode";
            let how = How { format: "text".into(), ..How::default() };
            let end = self.execute(exit, &how, Extra::default(), &mut pipeline).await?;
            if let End::Confirm(_) = end {
                self.execute(exit, &how, Extra { confirmed: true, text: None }, &mut pipeline).await?;
                return Ok(true);
            }
            Ok(false)
        });
        match (left, exclusive) {
            (Some(Ok(true)), true) => eprintln!("warning: the changes were not committed and are discarded"),
            (Some(Ok(true)), false) => eprintln!(
                "warning: the changes are not committed; they are kept in the candidate (configure goes on with them, rollback 0 discards them)"
            ),
            (Some(Err(error)), _) => {
                let error: CliError = error;
                eprintln!("warning: configure mode was not left properly: {error}");
            }
            _ => {}
        }
    }

    /// A command that changes nothing is asked again when its answer broke off, as long as nothing of it has been shown.
    async fn execute(&self, command: &str, how: &How, extra: Extra, pipeline: &mut Pipeline) -> Result<End, CliError> {
        let request = ExecuteRequest {
            line: command.to_owned(),
            format: how.format.clone(),
            confirmed: extra.confirmed,
            user: self.user.clone(),
            watch: how.watch,
            configure: self.configure.mode(),
            text_given: extra.text.is_some(),
            text: extra.text.unwrap_or_default(),
            columns: how.columns,
            request_id: lost::request_id(),
        };
        let repeatable = repeat::only_shows(command);
        if repeatable {
            pipeline.hold();
        }
        let mut tries = Tries::new(Instant::now());
        loop {
            let mut asked = Asked::new(&self.run_dir);
            let channel = self.connect(tries.heard()).await?;
            let status = match self.ask(channel, &request, repeatable, pipeline, &mut asked).await {
                Ok(end) => {
                    pipeline.let_go()?;
                    return end;
                }
                Err(status) => status,
            };
            // Aborted, and not a word before: this mgd is not the primary any more and has done nothing.
            let undone = status.code() == Code::Aborted && !asked.answered;
            let another = tries.another(asked.answered, Instant::now());
            if another && (undone || repeatable && (!asked.answered || pipeline.begin_anew()?)) {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            if repeatable {
                return Err(CliError::BrokenOff(status.message().to_owned()));
            }
            let run = lost::run_of(&self.run_dir, &request.request_id).await;
            let unanswered = || CliError::Unanswered(status.message().to_owned());
            return run.map(|run_id| End::Follow { run_id, json_lines: false }).ok_or_else(unanswered);
        }
    }

    /// One try.
    async fn ask(
        &self,
        channel: Channel,
        request: &ExecuteRequest,
        repeatable: bool,
        pipeline: &mut Pipeline,
        asked: &mut Asked,
    ) -> Result<Result<End, CliError>, Status> {
        let mut client = ManagementClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let call = client.execute(request.clone());
        let mut events = awaited(call, asked, repeatable && pipeline.can_begin_anew()).await?.into_inner();
        loop {
            let event = awaited(events.message(), asked, repeatable && pipeline.can_begin_anew()).await?;
            let Some(event) = event else { return Err(Status::unavailable("mgd ended")) };
            asked.answered = true;
            if let Some(end) = self.event(event, pipeline).transpose() {
                return Ok(end);
            }
        }
    }

    /// One piece of an answer; how it ended if this was the last.
    fn event(&self, event: ExecuteEvent, pipeline: &mut Pipeline) -> Result<Option<End>, CliError> {
        match event.event {
            Some(Event::Output(text)) => pipeline.write(&text)?,
            Some(Event::Error(error)) => return Err(CliError::Refused(error.message)),
            Some(Event::Confirm(confirm)) => return Ok(Some(End::Confirm(confirm))),
            Some(Event::Read(wanted)) => return Ok(Some(End::Read(wanted))),
            Some(Event::Mode(mode)) => self.configure.change(mode)?,
            Some(Event::Write(write)) => pipeline.save_to(write.file.into())?,
            Some(Event::Follow(follow)) => {
                return Ok(Some(End::Follow { run_id: follow.run_id, json_lines: follow.json_lines }));
            }
            Some(Event::Watch(watch)) => return Ok(Some(End::Watch(watch.run_id))),
            Some(Event::Done(_)) => return Ok(Some(End::Done)),
            // A kind of event that a newer mgd may have.
            None => {}
        }
        Ok(None)
    }

    /// A new connection for each command: the primary may have changed since the last one.
    async fn connect(&self, since: Instant) -> Result<Channel, CliError> {
        let socket = self.run_dir.master_management_socket();
        loop {
            let refused = match holdfast_ipc::connect(&socket, Duration::ZERO).await {
                Ok(channel) => return Ok(channel),
                Err(error) => error.to_string(),
            };
            if holdfast_ipc::connect(&self.run_dir.chassis_socket(), Duration::ZERO).await.is_err() {
                return Err(CliError::NoRouter { run_dir: self.run_dir.path().to_owned() });
            }
            if since.elapsed() >= MANAGEMENT_PATIENCE {
                let (run_dir, seconds) = (self.run_dir.path().to_owned(), MANAGEMENT_PATIENCE.as_secs());
                return Err(CliError::NoAnswer { run_dir, seconds, reason: refused });
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Asks mgd what may stand at the cursor; nothing when it does not answer at once.
    pub fn complete(&self, line: &str, cursor: usize) -> CompleteReply {
        let cursor = u32::try_from(cursor).unwrap_or(u32::MAX);
        let request = CompleteRequest { line: line.to_owned(), cursor, configure: self.configure.mode() };
        let reply = self.runtime.block_on(async {
            let mut client = ManagementClient::new(holdfast_ipc::channel(&self.run_dir.master_management_socket()));
            let reply = tokio::time::timeout(COMPLETION_DEADLINE, client.complete(request)).await;
            reply.ok().and_then(Result::ok).map(tonic::Response::into_inner)
        });
        reply.flatten().unwrap_or_default()
    }

    /// The router's configured name, else the machine's.
    pub fn host_name(&self) -> String {
        let configured = self.runtime.block_on(async {
            let mut client = ManagementClient::new(holdfast_ipc::channel(&self.run_dir.master_management_socket()))
                .max_decoding_message_size(MESSAGE_BYTES_MAX);
            let request =
                ExecuteRequest { line: "show version".to_owned(), format: "json".to_owned(), ..Default::default() };
            let answer = tokio::time::timeout(COMPLETION_DEADLINE, async {
                let mut events = client.execute(request).await.ok()?.into_inner();
                match events.message().await.ok()??.event? {
                    Event::Output(json) => serde_json::from_str::<serde_json::Value>(&json).ok(),
                    _ => None,
                }
            });
            answer.await.ok().flatten()?.get("host_name")?.as_str().map(str::to_owned)
        });
        let machine = || nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        configured.flatten().filter(|name| !name.is_empty()).unwrap_or_else(machine)
    }

    /// Whether a router is there at all.
    pub fn check_router(&self) -> Result<(), CliError> {
        self.runtime.block_on(self.connect(Instant::now())).map_or(Ok(()), |connected| connected.map(drop))
    }
}

/// The next word of the engine asked. Who can ask another one does not wait until one that is frozen goes on.
async fn awaited<T>(
    word: impl Future<Output = Result<T, Status>>,
    asked: &mut Asked,
    goes_over: bool,
) -> Result<T, Status> {
    tokio::select! {
        biased;
        word = tokio::time::timeout(PIECE_DEADLINE, word) => word.unwrap_or_else(|_| {
            Err(Status::deadline_exceeded(format!("nothing came for {} s", PIECE_DEADLINE.as_secs())))
        }),
        () = asked.replaced(), if goes_over => {
            asked.answered = true;
            Err(Status::unavailable("another routing engine became the primary"))
        }
    }
}

/// Asks on the terminal, or reads a line from whatever stands in its place. Everything but yes is no.
async fn confirmed(question: &str) -> bool {
    print!("{question}");
    let _ = io::stdout().flush();
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // A thread left reading after Ctrl-C would steal the editor's next line; so it is only read what is there.
        while !readable() {
            tokio::time::sleep(TERMINAL_POLL).await;
        }
        let mut answer = String::new();
        return stdin.read_line(&mut answer).is_ok() && is_yes(&answer);
    }
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
    is_yes(&answer)
}

/// Whether the terminal has a line, or its end, for us.
pub fn readable() -> bool {
    let stdin = io::stdin();
    let mut ready = [nix::poll::PollFd::new(stdin.as_fd(), nix::poll::PollFlags::POLLIN)];
    !matches!(nix::poll::poll(&mut ready, nix::poll::PollTimeout::ZERO), Ok(0))
}

/// Whether an answer means yes.
pub fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "yes" | "y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["yes", "y\n", " YES \n"].iter().all(|answer| is_yes(answer)));
        assert!(["", "no", "n", "yess", "ye"].iter().all(|answer| !is_yes(answer)));
    }
}
