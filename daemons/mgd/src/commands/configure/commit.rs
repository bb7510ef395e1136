//! `commit`: checked, in force everywhere, kept; or nothing of it.
//!
//! The candidate is published to rpd and pfed first and written to disk when both have it in force. So what is on disk as
//! committed has been proven to apply, and a router that dies in between comes back with what it had.

use std::sync::Arc;

use holdfast_config::{ConfigError, Configuration};
use holdfast_proto::v1::{Check, GetChassisRequest};
use serde::Serialize;

use super::{Client, refused, told, warnings};
use crate::{
    candidate::Candidate,
    clients::{AskError, ask},
    commands::{CommandResult, Outcome, chassis::CHASSISD},
    grammar::configure::Commit,
    limits::{ANSWER_DEADLINE, APPLY_DEADLINE},
    state::State,
    store::{Committed, Store},
};

/// What a commit says.
#[derive(Debug, Serialize)]
struct View {
    /// The commit in force after it.
    commit_id: u64,
    /// Something was changed.
    changed: bool,
    /// What rpd and pfed have to say.
    remarks: Vec<String>,
    /// Checks of readiness that it makes fail.
    warnings: Vec<Check>,
}

/// Only one commit at a time, and none while a run is prepared: held from before chassisd is asked for a run, so that
/// either the commit sees the run or the run waits for the commit.
struct Committing(Arc<State>);

impl Committing {
    fn begin(state: &Arc<State>, user: &str) -> Result<Self, AskError> {
        let mut mutable = state.lock();
        if let Some(other) = &mutable.committing {
            return Err(refused(format!("a commit by {other} is being applied; commit again when it is complete")));
        }
        mutable.committing = Some(user.to_owned());
        drop(mutable);
        Ok(Self(state.clone()))
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        self.0.lock().committing = None;
    }
}

impl Client<'_> {
    pub(super) async fn commit(self, options: Commit<'_>) -> CommandResult {
        let state = &self.context.state;
        self.may_change()?;
        let configuration = self.draft()?.check("candidate", &state.schema).map_err(|errors| mistakes(&errors))?;
        // More likely a mishap than a router that is to do nothing and drop its routes.
        if configuration.to_text().trim().is_empty() {
            return Err(refused("the candidate holds no statement; a router has at least a host-name in system"));
        }
        let in_force = state.configuration().ok_or_else(|| refused("there is no configuration in force yet"))?;
        let candidate = configuration.compile(0);
        let warnings = warnings::newly_failing(&in_force.configuration.compile(0), &candidate);
        if options.check {
            let view = View { commit_id: in_force.commit_id, changed: false, remarks: Vec::new(), warnings };
            let text = |view: &View| warnings::lines(&view.warnings) + "configuration check succeeds\n";
            self.context.print(&view, text).await?;
            return Ok(Outcome::Done);
        }
        let committing = Committing::begin(state, &self.context.user)?;
        self.no_run().await?;
        let view = if in_force.configuration.digest() == configuration.digest() {
            drop(committing);
            self.candidate.discard().map_err(|error| told(&error))?;
            View { commit_id: in_force.commit_id, changed: false, remarks: Vec::new(), warnings: Vec::new() }
        } else {
            let next = Committed {
                commit_id: in_force.commit_id + 1,
                unix_ms: holdfast_ipc::unix_ms(),
                user: self.context.user.clone(),
                comment: options.comment.to_owned(),
                configuration,
            };
            // To its end even when the client goes away.
            let task = tokio::spawn(put_in_force(committing, in_force, next));
            let (commit_id, remarks) = task.await.map_err(|error| refused(error.to_string()))?.map_err(refused)?;
            View { commit_id, changed: true, remarks, warnings }
        };
        self.context.print(&view, text).await?;
        if options.and_quit { self.leave().await } else { Ok(Outcome::Done) }
    }

    /// A run takes over what is in force at its beginning, so nothing changes until its end.
    async fn no_run(&self) -> Result<(), AskError> {
        let mut client = self.context.state.clients.chassis();
        let chassis = ask(CHASSISD, ANSWER_DEADLINE, client.get_chassis(GetChassisRequest {})).await?;
        if chassis.run_id == 0 {
            return Ok(());
        }
        Err(refused(format!(
            "commit refused: in-service reboot {} is in progress ({}); the candidate is kept, commit again when it has ended: show chassis in-service-upgrade shows it, request system reboot in-service abort takes it back",
            chassis.run_id, chassis.state
        )))
    }
}

fn text(view: &View) -> String {
    let remarks: String = view.remarks.iter().map(|remark| format!("note: {remark}\n")).collect();
    let outcome = if view.changed { "commit complete\n" } else { "commit complete: nothing was changed\n" };
    warnings::lines(&view.warnings) + &remarks + outcome
}

fn mistakes(errors: &[ConfigError]) -> AskError {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let plural = if lines.len() == 1 { "" } else { "s" };
    refused(format!("{}\ncommit failed: {} mistake{plural}", lines.join("\n"), lines.len()))
}

/// Publishes, waits, and keeps it or takes it back.
async fn put_in_force(
    committing: Committing,
    before: Arc<Committed>,
    next: Committed,
) -> Result<(u64, Vec<String>), String> {
    let state = committing.0.clone();
    let next = Arc::new(next);
    tracing::info!(commit = next.commit_id, user = next.user, "commit");
    state.publish(next.clone());
    let kept = match applied(&state).await {
        Ok(remarks) => {
            let kept = Store::new(&state.state_dir).put(&next).map(|()| remarks);
            kept.map_err(|error| error.to_string())
        }
        Err(reason) => Err(reason),
    };
    match kept {
        Ok(remarks) => {
            forget_edits(&state, &next.configuration);
            Ok((next.commit_id, remarks))
        }
        Err(reason) => {
            tracing::error!(commit = next.commit_id, "commit is taken back: {reason}");
            state.publish(before.clone());
            let back = match applied(&state).await {
                Ok(_) => format!("commit {} is in force again", before.commit_id),
                Err(trouble) => format!("commit {} is not in force again everywhere: {trouble}", before.commit_id),
            };
            Err(format!("commit failed: {reason}; {back}, the candidate is kept"))
        }
    }
}

/// The candidate is what was committed, unless somebody has edited it meanwhile.
fn forget_edits(state: &State, committed: &Configuration) {
    let candidate = Candidate::new(&state.state_dir);
    let same = candidate.load(state).is_ok_and(|draft| draft.to_text(&state.schema) == committed.to_text());
    if same && let Err(error) = candidate.discard() {
        tracing::warn!("{error}");
    }
}

/// Waits until every daemon has what was published last in force; remarks come along.
async fn applied(state: &State) -> Result<Vec<String>, String> {
    let mut reports = state.reports.subscribe();
    let waiting = async {
        loop {
            reports.mark_unchanged();
            let (refusal, missing, remarks) = {
                let applied = &state.lock().applied;
                (applied.refusal(), applied.missing(), applied.remarks())
            };
            match refusal {
                Some(refusal) => return Err(refusal),
                None if missing.is_empty() => return Ok(remarks),
                None => {}
            }
            // The sender lives in the state.
            if reports.changed().await.is_err() {
                return Err("mgd ends".to_owned());
            }
        }
    };
    match tokio::time::timeout(APPLY_DEADLINE, waiting).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let missing = state.lock().applied.missing().join(" and ");
            let seconds = APPLY_DEADLINE.as_secs();
            Err(format!("{missing} did not put it in force within {seconds} s; see show system processes"))
        }
    }
}
