//! Putting a configuration in force: everywhere, and kept; or nothing of it.
//!
//! It is published to rpd and pfed first and written to disk when both have it in force. So what is on disk as
//! committed has been proven to apply, and a router that dies in between comes back with what it had.

use std::{sync::Arc, time::Duration};

use holdfast_config::Configuration;
use holdfast_proto::v1::GetChassisRequest;

use crate::{
    candidate::Candidate,
    clients::{AskError, ask},
    commands::CHASSISD,
    limits::{ANSWER_DEADLINE, APPLY_DEADLINE},
    state::State,
    store::{Committed, Store},
    unconfirmed::{self, Unconfirmed},
};

/// Only one commit at a time, and none while a run is prepared: held from before chassisd is asked for a run, so that
/// either the commit sees the run or the run waits for the commit.
pub struct Committing(Arc<State>);

impl Committing {
    /// Refused while another one is being applied.
    pub fn begin(state: &Arc<State>, user: &str) -> Result<Self, AskError> {
        let mut mutable = state.lock();
        if let Some(other) = &mutable.committing {
            let message = format!("a commit by {other} is being applied; commit again when it is complete");
            return Err(AskError::Refused(message));
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

/// A run takes over what is in force at its beginning, so nothing changes until its end.
pub async fn no_run(state: &State) -> Result<(), AskError> {
    let mut client = state.clients.chassis();
    let chassis = ask(CHASSISD, ANSWER_DEADLINE, client.get_chassis(GetChassisRequest {})).await?;
    if chassis.run_id == 0 {
        return Ok(());
    }
    Err(AskError::Refused(format!(
        "commit refused: in-service reboot {} is in progress ({}); the candidate is kept, commit again when it has ended: show chassis in-service-upgrade shows it, request system reboot in-service abort takes it back",
        chassis.run_id, chassis.state
    )))
}

/// What has been put in force.
#[derive(Debug)]
pub struct InForce {
    /// Which commit it is.
    pub commit_id: u64,
    /// What rpd and pfed have to say.
    pub remarks: Vec<String>,
    /// How it has to be confirmed.
    pub unconfirmed: Option<Unconfirmed>,
}

/// Publishes, waits, and keeps it or takes it back. With `confirm_within` it has to be confirmed in that time.
pub async fn put_in_force(
    committing: Committing,
    before: Arc<Committed>,
    next: Committed,
    confirm_within: Option<Duration>,
) -> Result<InForce, String> {
    let state = committing.0.clone();
    let next = Arc::new(next);
    tracing::info!(commit = next.commit_id, user = next.user, "commit");
    state.publish(next.clone());
    let kept = match applied(&state).await {
        Ok(remarks) => keep(&state, &before, &next, confirm_within).map(|unconfirmed| (remarks, unconfirmed)),
        Err(reason) => Err(reason),
    };
    match kept {
        Ok((remarks, unconfirmed)) => {
            forget_edits(&state, &next.configuration);
            Ok(InForce { commit_id: next.commit_id, remarks, unconfirmed })
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

/// Writes what is in force to disk. The way back of an unconfirmed commit is there before the commit is, so that no crash leaves one without.
fn keep(
    state: &State,
    before: &Committed,
    next: &Committed,
    confirm_within: Option<Duration>,
) -> Result<Option<Unconfirmed>, String> {
    let earlier = unconfirmed::waiting_as(state, before.commit_id);
    let unconfirmed = match confirm_within {
        Some(within) => {
            let waiting = unconfirmed::Waiting::new(before, next.commit_id, &next.user, within, earlier.as_ref());
            unconfirmed::keep(state, &waiting).map_err(|error| error.to_string())?;
            Some(waiting.commit)
        }
        None => None,
    };
    let stored = Store::new(&state.state_dir).put(next);
    let way_back = match (&stored, confirm_within, earlier) {
        (Err(_), Some(_), Some(earlier)) => unconfirmed::keep(state, &earlier),
        (Err(_), Some(_), None) | (Ok(()), None, _) => unconfirmed::discard(state),
        _ => Ok(()),
    };
    if let Err(error) = way_back {
        tracing::warn!("{error}");
    }
    stored.map(|()| unconfirmed).map_err(|error| error.to_string())
}

/// The candidate is what was committed, unless somebody has edited it meanwhile.
fn forget_edits(state: &State, committed: &Configuration) {
    let candidate = Candidate::new(&state.state_dir);
    if candidate.holds(committed.to_text())
        && let Err(error) = candidate.discard()
    {
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
