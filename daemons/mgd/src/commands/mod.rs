//! Carrying out commands: one file per area, all with the same shape: ask the processes, render, send in pieces.

mod bfd;
mod bgp;
mod chassis;
mod configuration;
mod configure;
mod differences;
mod forwarding;
mod log;
mod policy;
mod reboot;
mod route;
mod system;

use std::sync::Arc;

use holdfast_proto::v1::{
    ExecuteConfirm, ExecuteDone, ExecuteError, ExecuteEvent, ExecuteFollow, ExecuteMode, ExecuteRead, ExecuteRequest,
    ExecuteWatch, Role, execute_event::Event,
};
use serde::Serialize;
use tokio::sync::mpsc::Sender;
use tonic::Status;

pub use bfd::BfdView;
pub use bgp::Group;
pub use chassis::CHASSISD;
pub use configuration::Commits;
pub use differences::Mended;
pub use log::names as logs;
pub use system::{Switchover, Uptime, Version};

use crate::{
    clients::AskError,
    grammar::{self, Action, Invocation},
    state::State,
};

/// How a command is to be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Set,
    /// As what differs from a predecessor; 0 is what is in force.
    Compare(u32),
}

/// How a command ends.
enum Outcome {
    Done,
    Confirm(ExecuteConfirm),
    Follow(u64),
    /// Go on when the client has read this and sends it.
    Read(ExecuteRead),
    /// A run's events as lines of JSON.
    Stream(u64),
    /// A run that is in progress, as it goes.
    Watch(u64),
    /// Output was given, but what it says is no success.
    Failed(String),
}

/// One command being carried out.
struct Context {
    state: Arc<State>,
    sender: Sender<Result<ExecuteEvent, Status>>,
    format: Format,
    confirmed: bool,
    /// Whoever asks can go on with a run by itself.
    watch: bool,
    /// Width of the terminal; 0: none.
    columns: usize,
    user: String,
    /// The client's own name for the command.
    request_id: String,
    /// What an earlier [`Outcome::Read`] asked for.
    text_given: Option<Vec<u8>>,
}

type CommandResult = Result<Outcome, AskError>;

impl Context {
    async fn text(&self, text: impl Into<String>) -> Result<(), AskError> {
        self.event(Event::Output(text.into())).await
    }

    async fn mode(&self, mode: ExecuteMode) -> Result<(), AskError> {
        self.event(Event::Mode(mode)).await
    }

    async fn event(&self, event: Event) -> Result<(), AskError> {
        self.sender.send(Ok(ExecuteEvent { event: Some(event) })).await.map_err(|_| AskError::Gone)
    }

    /// One value: as JSON under its own keys, or as the text made of it.
    async fn print<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), AskError> {
        match self.format {
            Format::Json => {
                let json = serde_json::to_string_pretty(value).map_err(|error| AskError::Refused(error.to_string()))?;
                self.text(json + "\n").await
            }
            _ => self.text(text(value)).await,
        }
    }

    fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Commands that change something belong to the primary.
    fn changes(&self) -> Result<(), AskError> {
        match self.state.term().role {
            Role::Primary => Ok(()),
            role => Err(AskError::Refused(format!(
                "mgd of {} is not primary ({}): an in-service reboot is at its switchover; try again in a moment",
                self.state.slot,
                role.as_str_name()
            ))),
        }
    }
}

/// Carries out one line; everything, also a failure, goes to `sender`.
pub async fn execute(state: Arc<State>, request: ExecuteRequest, sender: Sender<Result<ExecuteEvent, Status>>) {
    let looks_only = looks_only(&request.line);
    let outcome = run(state.clone(), request, sender.clone()).await;
    // The daemons of an engine that was replaced end before its mgd does: the one that is primary now has theirs. What was
    // sent of the answer by then, the client forgets.
    let outcome = match outcome {
        Err(error @ (AskError::Unreachable { .. } | AskError::Deadline { .. }))
            if looks_only && state.term().role != Role::Primary =>
        {
            Err(AskError::Elsewhere(error.to_string()))
        }
        outcome => outcome,
    };
    let event = match outcome {
        Ok(Outcome::Done) => Event::Done(ExecuteDone {}),
        Ok(Outcome::Confirm(confirm)) => Event::Confirm(confirm),
        Ok(Outcome::Read(read)) => Event::Read(read),
        Ok(Outcome::Follow(run_id)) => Event::Follow(ExecuteFollow { run_id, json_lines: false }),
        Ok(Outcome::Stream(run_id)) => Event::Follow(ExecuteFollow { run_id, json_lines: true }),
        Ok(Outcome::Watch(run_id)) => Event::Watch(ExecuteWatch { run_id }),
        Ok(Outcome::Failed(message)) => Event::Error(ExecuteError { message }),
        Err(AskError::Gone) => return,
        // Nothing was done: the client may ask again, and finds who is primary then.
        Err(AskError::Elsewhere(message)) => {
            let _ = sender.send(Err(Status::aborted(message))).await;
            return;
        }
        Err(error) => Event::Error(ExecuteError { message: error.to_string() }),
    };
    // A client that has gone needs no last word.
    let _ = sender.send(Ok(ExecuteEvent { event: Some(event) })).await;
}

/// Whether a line changes nothing, also behind the words of configure mode that lead to another command.
fn looks_only(line: &str) -> bool {
    let leads = |word: &&str| word.len() > 1 && ["run", "top"].iter().any(|leader| leader.starts_with(*word));
    let command = line.split_whitespace().find(|word| !leads(word)).unwrap_or_default();
    ["sh", "te"].iter().any(|begin| command.starts_with(begin))
}

async fn run(
    state: Arc<State>,
    request: ExecuteRequest,
    sender: Sender<Result<ExecuteEvent, Status>>,
) -> CommandResult {
    let format = format(&request.format)?;
    let user = if request.user.is_empty() { "unknown".to_owned() } else { request.user };
    let text_given = request.text_given.then_some(request.text);
    let context = Context {
        state,
        sender,
        format,
        confirmed: request.confirmed,
        watch: request.watch,
        columns: request.columns as usize,
        user,
        request_id: request.request_id,
        text_given,
    };
    match request.configure {
        Some(mode) => configure::line(&context, &request.line, mode).await,
        None => operational(&context, &request.line).await,
    }
}

fn format(name: &str) -> Result<Format, AskError> {
    let number = || name.strip_prefix("compare rollback ").and_then(|number| number.parse().ok());
    match name {
        "" | "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "set" => Ok(Format::Set),
        "compare" => Ok(Format::Compare(0)),
        other => number()
            .map(Format::Compare)
            .ok_or_else(|| AskError::Refused(format!("format {other:?} is not known; text and json are"))),
    }
}

/// Carries out an operational command.
async fn operational(context: &Context, line: &str) -> CommandResult {
    let invocation = grammar::parse(line).map_err(|error| AskError::Refused(error.to_string()))?;
    match context.format {
        Format::Set if !matches!(invocation.action, Action::ShowConfiguration | Action::ShowRollback) => {
            Err(AskError::Refused("display set is for show configuration only".to_owned()))
        }
        Format::Compare(_) => Err(AskError::Refused("compare is for show in configure mode only".to_owned())),
        _ => dispatch(context, &invocation).await,
    }
}

async fn dispatch(context: &Context, invocation: &Invocation) -> CommandResult {
    match invocation.action {
        Action::Reboot => reboot::start(context, invocation).await,
        Action::ConfirmReboot => reboot::confirm(context, invocation).await,
        Action::AbortReboot => reboot::abort(context).await,
        Action::ShowReboot => reboot::show_schedule(context).await,
        Action::ClearReboot => reboot::clear_schedule(context).await,
        Action::ShowRun => chassis::show_run(context).await,
        Action::MonitorRun => chassis::monitor_run(context).await,
        Action::ShowReadiness => chassis::readiness(context).await,
        Action::ShowReport => chassis::report(context, invocation).await,
        Action::ShowHistory => chassis::history(context).await,
        Action::ShowRoutingEngine => chassis::routing_engine(context).await,
        Action::ShowSwitchover => system::switchover(context).await,
        Action::ShowTaskReplication => bgp::task_replication(context).await,
        Action::ShowProcesses => system::processes(context).await,
        Action::ShowUptime => system::uptime(context).await,
        Action::ShowVersion => system::version(context).await,
        Action::ShowLog => log::show(context, invocation).await,
        Action::ShowAlarms => system::alarms(context).await,
        Action::ClearAlarms => system::clear_alarms(context).await,
        Action::ShowBfdSession => bfd::sessions(context, invocation).await,
        Action::ShowBgpSummary => bgp::summary(context).await,
        Action::ShowBgpNeighbor => bgp::neighbor(context, invocation).await,
        Action::ShowBgpGroup => bgp::group(context).await,
        Action::ShowBgpReplication => bgp::replication(context).await,
        Action::ShowPolicy => policy::show(context, invocation).await,
        Action::TestPolicy => policy::test(context, invocation).await,
        Action::ShowRoute => route::show(context, invocation).await,
        Action::ShowInterfaces => forwarding::interfaces(context, invocation).await,
        Action::ShowForwardingTable => forwarding::table(context, invocation).await,
        Action::ShowArp => forwarding::neighbors(context, invocation, false).await,
        Action::ShowIpv6Neighbors => forwarding::neighbors(context, invocation, true).await,
        Action::ShowForwardingDifferences => differences::show(context).await,
        Action::MendForwardingTable => differences::mend(context).await,
        Action::Configure => configure::enter(context, invocation).await,
        Action::ShowConfiguration => configuration::show(context).await,
        Action::ShowCommits => configuration::commits(context).await,
        Action::ShowRollback => configuration::rollback(context, invocation).await,
        Action::ClearBgpNeighbor => bgp::clear(context, invocation).await,
        Action::RestartRouting => system::restart(context, "rpd").await,
        Action::RestartManagement => system::restart_self(context).await,
        Action::RestartForwarding => system::restart(context, "pfed").await,
        Action::RestartPeriodicPackets => system::restart(context, "ppmd").await,
    }
}
