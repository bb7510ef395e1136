//! Configure mode: lines that look at the candidate, edit it, or put it in force.
//!
//! Where a client stands comes with every line and goes back to it: mgd keeps nothing of a client, so that a client goes on
//! with the next mgd when this one is replaced.

mod commit;
mod edit;
mod warnings;

use holdfast_config::{Draft, EditError};
use holdfast_proto::v1::{ConfigureMode, ExecuteMode};

use super::{CommandResult, Context, Outcome, operational};
use crate::{
    candidate::{Candidate, Edited, Holder},
    clients::AskError,
    error::MgdError,
    grammar::{
        Invocation,
        configure::{self, Edit, Line},
    },
    render, unconfirmed,
};

/// What is said when the question before something is answered with no.
const NOTHING_DONE: &str = "Nothing was done";

/// A client in configure mode.
struct Client<'c> {
    context: &'c Context,
    candidate: Candidate,
    mode: ConfigureMode,
}

/// `configure`, typed in operational mode.
pub(super) async fn enter(context: &Context, invocation: &Invocation) -> CommandResult {
    primary(context)?;
    if invocation.has("private") {
        let message = "a private candidate is not built in this version; configure works on the one all operators share, configure exclusive keeps the others out of it";
        return Err(refused(message));
    }
    let candidate = Candidate::new(&context.state.state_dir);
    let session = format!("{}.{}", context.user, holdfast_ipc::mono_ns());
    if let Some(holder) = candidate.holder() {
        return Err(locked(&holder));
    }
    let exclusive = invocation.has("exclusive");
    let edited = candidate.edited();
    if let Some(Edited { user, .. }) = edited.as_ref().filter(|_| exclusive) {
        let message = format!("{user} has changes that are not committed; configure, and commit or rollback 0, first");
        return Err(refused(message));
    }
    let mode = ConfigureMode { session: session.clone(), exclusive, ..Default::default() };
    let mut entering = ExecuteMode { configure: Some(mode), ..Default::default() };
    if exclusive {
        let holder = Holder { session, user: context.user.clone(), unix_ms: holdfast_ipc::unix_ms() };
        entering.lock_file = candidate.lock_file().display().to_string();
        entering.lock_text = serde_json::to_string(&holder).unwrap_or_default();
    }
    context.mode(entering).await?;
    context.text("Entering configuration mode\n").await?;
    if let Some(edited) = edited {
        context
            .text(format!("The configuration has been changed but not committed{}\n", render::edited(&edited)))
            .await?;
    }
    if let Some(waiting) = unconfirmed::waiting(&context.state) {
        context.text(render::unconfirmed(&waiting.commit)).await?;
    }
    Ok(Outcome::Done)
}

/// A line typed in configure mode.
pub(super) async fn line(context: &Context, line: &str, mode: ConfigureMode) -> CommandResult {
    primary(context)?;
    let candidate = Candidate::new(&context.state.state_dir);
    let parsed = configure::parse(line).map_err(|error| refused(error.to_string()))?;
    Client { context, candidate, mode }.run(parsed).await
}

impl Client<'_> {
    async fn run(mut self, line: Line<'_>) -> CommandResult {
        let (mut command, mut columns) = (line.command, line.columns_before);
        if let Edit::Top(Some(inner)) = command {
            self.mode.level.clear();
            (command, columns) = (inner.command, inner.columns_before);
        }
        match command {
            Edit::Set(_) | Edit::Delete(_) | Edit::Activate(_) | Edit::Deactivate(_) | Edit::Rearrange(..) => {
                self.change(command, columns).await
            }
            Edit::GoTo(words) => self.edit(words, columns).await,
            Edit::Up(levels) => self.up(levels).await,
            Edit::Top(None) => self.go(String::new(), Vec::new()).await,
            Edit::Top(Some(_)) => Err(refused("top stands once")),
            Edit::Exit { whole } => self.exit(whole).await,
            Edit::Show(words) => self.show(words, columns).await,
            Edit::Compare(number) => self.compare(number).await,
            Edit::Rollback(number) => self.rollback(number).await,
            Edit::Load { how, file } => self.load(how, file).await,
            Edit::Save(file) => self.save(file).await,
            Edit::Commit(options) => self.commit(options).await,
            Edit::Run(line) => operational(self.context, line).await,
        }
    }

    fn draft(&self) -> Result<Draft, AskError> {
        self.candidate.load(&self.context.state).map_err(|error| told(&error))
    }

    /// Nobody else has the candidate for himself.
    fn may_change(&self) -> Result<(), AskError> {
        match self.candidate.holder() {
            Some(holder) if holder.session != self.mode.session => Err(locked(&holder)),
            None if self.mode.exclusive => Err(refused(
                "the lock of the candidate has been lost; leave configure mode and enter it again with configure exclusive",
            )),
            _ => Ok(()),
        }
    }

    fn keep(&self, draft: &Draft) -> Result<(), AskError> {
        let kept = self.candidate.keep(draft, &self.context.user, &self.context.state);
        kept.map_err(|error| refused(format!("{error}; the edit was not made")))
    }

    /// Goes to a level, and says so to the client.
    async fn go(mut self, level: String, earlier: Vec<String>) -> CommandResult {
        (self.mode.level, self.mode.earlier) = (level, earlier);
        self.context.mode(ExecuteMode { configure: Some(self.mode), ..Default::default() }).await?;
        Ok(Outcome::Done)
    }

    /// Leaves configure mode.
    async fn leave(self) -> CommandResult {
        self.context.mode(ExecuteMode::default()).await?;
        self.context.text("Exiting configuration mode\n").await?;
        Ok(Outcome::Done)
    }
}

/// Edits belong to the primary. In a switchover it is another mgd in a moment, which the client then asks.
fn primary(context: &Context) -> Result<(), AskError> {
    context.changes().map_err(|error| AskError::Elsewhere(error.to_string()))
}

fn refused(message: impl Into<String>) -> AskError {
    AskError::Refused(message.into())
}

fn told(error: &MgdError) -> AskError {
    refused(error.to_string())
}

fn mistake(error: EditError, columns_before: u32) -> AskError {
    refused(error.shifted(columns_before).to_string())
}

fn locked(holder: &Holder) -> AskError {
    let Holder { user, unix_ms, .. } = holder;
    let since = render::moment(*unix_ms);
    refused(format!(
        "the candidate is locked by {user} (configure exclusive) since {since}; wait until {user} has left configure mode"
    ))
}
