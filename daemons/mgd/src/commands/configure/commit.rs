//! `commit`: checked, then in force everywhere, kept, and confirmed at once or later; or nothing of it.

use std::time::Duration;

use holdfast_config::{ConfigError, Configuration};
use holdfast_proto::v1::Check;
use serde::Serialize;

use super::{Client, refused, told, warnings};
use crate::{
    clients::AskError,
    commands::{CommandResult, Outcome},
    commit::{Committing, no_run, put_in_force},
    grammar::configure::Commit,
    render,
    store::Committed,
    unconfirmed::{self, Unconfirmed, Waiting},
};

/// What a commit says.
#[derive(Debug, Default, Serialize)]
struct View {
    /// The commit in force after it.
    commit_id: u64,
    /// Something was changed.
    changed: bool,
    /// What rpd and pfed have to say.
    remarks: Vec<String>,
    /// Checks of readiness that it makes fail.
    warnings: Vec<Check>,
    /// It is taken back unless it is confirmed.
    unconfirmed: Option<Unconfirmed>,
    /// The earlier commit that it has confirmed.
    confirmed: Option<u64>,
}

impl Client<'_> {
    pub(super) async fn commit(self, options: Commit<'_>) -> CommandResult {
        let state = &self.context.state;
        self.may_change()?;
        let (before, edited) = (state.configuration().map(|committed| committed.commit_id), self.candidate.edited());
        let configuration = self.checked().await?;
        // More likely a mishap than a router that is to do nothing and drop its routes.
        if configuration.to_text().trim().is_empty() {
            return Err(refused("the candidate holds no statement; a router has at least a host-name in system"));
        }
        let in_force = state.configuration().ok_or_else(|| refused("there is no configuration in force yet"))?;
        let candidate = configuration.compile(0);
        let warnings = warnings::newly_failing(&in_force.configuration.compile(0), &candidate);
        if options.check {
            let view = View { commit_id: in_force.commit_id, warnings, ..View::default() };
            let text = |view: &View| warnings::lines(&view.warnings) + "configuration check succeeds\n";
            self.context.print(&view, text).await?;
            return Ok(Outcome::Done);
        }
        let committing = Committing::begin(state, &self.context.user)?;
        // Others go on beside the check: what was checked was made for what was in force then.
        if before != Some(in_force.commit_id) {
            let reason =
                "another commit was made while the candidate was checked; look at the candidate and commit again";
            return Err(refused(reason));
        }
        no_run(state).await?;
        let view = if in_force.configuration.digest() == configuration.digest() {
            let view = self.unchanged(&in_force, options.confirm_within())?;
            // What was edited beside the check is kept.
            if self.candidate.edited() == edited {
                self.candidate.discard().map_err(|error| told(&error))?;
            }
            drop(committing);
            view
        } else {
            self.changed(committing, configuration, &options, warnings).await?
        };
        self.context.print(&view, text).await?;
        if options.and_quit { self.leave().await } else { Ok(Outcome::Done) }
    }

    /// The candidate, checked beside other work: of a large one that takes seconds, in which chassisd wants to hear that mgd lives.
    async fn checked(&self) -> Result<Configuration, AskError> {
        let (candidate, state) = (self.candidate.clone(), self.context.state.clone());
        let task = tokio::task::spawn_blocking(move || {
            let draft = candidate.load(&state).map_err(|error| told(&error))?;
            draft.check("candidate", &state.schema).map_err(|errors| mistakes(&errors))
        });
        task.await.map_err(|error| refused(error.to_string()))?
    }

    /// Nothing is to be put in force; a commit that waits is confirmed, or waits longer.
    fn unchanged(&self, in_force: &Committed, confirm_within: Option<Duration>) -> Result<View, AskError> {
        let state = &self.context.state;
        let mut view = View { commit_id: in_force.commit_id, ..View::default() };
        match (unconfirmed::waiting(state), confirm_within) {
            (None, Some(_)) => {
                return Err(refused(
                    "nothing was changed, so there is nothing to be confirmed; the candidate is what is in force",
                ));
            }
            (Some(earlier), Some(within)) => {
                let user = &self.context.user;
                let longer = Waiting::new(in_force, in_force.commit_id, user, within, Some(&earlier));
                unconfirmed::keep(state, &longer).map_err(|error| told(&error))?;
                view.unconfirmed = Some(longer.commit);
            }
            (earlier, None) => {
                unconfirmed::discard(state).map_err(|error| told(&error))?;
                view.confirmed = earlier.map(|earlier| earlier.commit.commit_id);
            }
        }
        Ok(view)
    }

    async fn changed(
        &self,
        committing: Committing,
        configuration: Configuration,
        options: &Commit<'_>,
        warnings: Vec<Check>,
    ) -> Result<View, AskError> {
        let state = &self.context.state;
        let in_force = state.configuration().ok_or_else(|| refused("there is no configuration in force yet"))?;
        let earlier = unconfirmed::waiting(state).filter(|_| options.confirm_within().is_none());
        let next = Committed {
            commit_id: in_force.commit_id + 1,
            unix_ms: holdfast_ipc::unix_ms(),
            user: self.context.user.clone(),
            comment: options.comment.to_owned(),
            configuration,
        };
        // To its end even when the client goes away.
        let task = tokio::spawn(put_in_force(committing, in_force, next, options.confirm_within()));
        let done = task.await.map_err(|error| refused(error.to_string()))?.map_err(refused)?;
        Ok(View {
            commit_id: done.commit_id,
            changed: true,
            remarks: done.remarks,
            warnings,
            unconfirmed: done.unconfirmed,
            confirmed: earlier.map(|earlier| earlier.commit.commit_id),
        })
    }
}

fn text(view: &View) -> String {
    let mut out = warnings::lines(&view.warnings);
    out.extend(view.remarks.iter().map(|remark| format!("note: {remark}\n")));
    if let Some(earlier) = view.confirmed {
        out.push_str(&format!("commit {earlier} is confirmed\n"));
    }
    if let Some(unconfirmed) = &view.unconfirmed {
        out.push_str(&render::unconfirmed(unconfirmed));
    }
    out + if view.changed { "commit complete\n" } else { "commit complete: nothing was changed\n" }
}

fn mistakes(errors: &[ConfigError]) -> AskError {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let plural = if lines.len() == 1 { "" } else { "s" };
    refused(format!("{}\ncommit failed: {} mistake{plural}", lines.join("\n"), lines.len()))
}
