//! Commits, and who edits.

use super::{table::Table, time::clock};
use crate::{
    candidate::{CandidateState, Edited},
    commands::Commits,
    unconfirmed::Unconfirmed,
};

/// A moment in a sentence.
pub fn moment(unix_ms: u64) -> String {
    clock(unix_ms)
}

/// Who edited last, behind a sentence.
pub fn edited(edited: &Edited) -> String {
    format!(" (last by {} at {})", edited.user, clock(edited.unix_ms))
}

/// What becomes of a commit that is not confirmed.
pub fn unconfirmed(waiting: &Unconfirmed) -> String {
    let Unconfirmed { commit_id, user, back_to, until_unix_ms } = waiting;
    let until = clock(*until_unix_ms);
    format!(
        "Commit {commit_id} by {user} waits to be confirmed by a commit; without one, commit {back_to} comes back at {until}\n"
    )
}

/// `show system commit`
pub fn commits(view: &Commits) -> String {
    let mut table = Table::new(&[">Rollback", ">Commit", "Time", "By", "Comment"]);
    for kept in &view.commits {
        let label = &kept.label;
        table.row(vec![
            kept.number.to_string(),
            label.commit_id.to_string(),
            clock(label.unix_ms),
            label.user.clone(),
            label.comment.clone(),
        ]);
    }
    table.print() + &candidate(&view.candidate)
}

fn candidate(state: &CandidateState) -> String {
    let mut out = String::new();
    if let Some(user) = &state.committing {
        out.push_str(&format!("A commit by {user} is being applied\n"));
    }
    if let Some(waiting) = &state.unconfirmed {
        out.push_str(&unconfirmed(waiting));
    }
    if let Some(uncommitted) = &state.uncommitted {
        out.push_str(&format!("The candidate has changes that are not committed{}\n", edited(uncommitted)));
    }
    if let Some(holder) = &state.exclusive {
        out.push_str(&format!("The candidate is locked by {} since {}\n", holder.user, clock(holder.unix_ms)));
    }
    out
}
