//! `show configuration`, and what was committed before.

use serde::Serialize;

use super::{CommandResult, Context, Format, Outcome};
use crate::{
    candidate::{self, CandidateState},
    clients::AskError,
    grammar::Invocation,
    render,
    store::{Label, Store},
};

/// Output goes in pieces of about this many bytes, each ending at a line.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn show(context: &Context) -> CommandResult {
    let Some(committed) = context.state.configuration() else {
        return Err(AskError::Refused("there is no configuration yet".to_owned()));
    };
    match context.format {
        Format::Json => context.print(committed.configuration.to_json(), ToString::to_string).await?,
        Format::Set => lines(context, committed.configuration.to_set()).await?,
        Format::Text | Format::Compare(_) => lines(context, committed.configuration.to_text()).await?,
    }
    Ok(Outcome::Done)
}

/// What `show system commit` says.
#[derive(Debug, Serialize)]
pub struct Commits {
    /// Those that are kept, the one in force first.
    pub commits: Vec<Kept>,
    /// The candidate.
    pub candidate: CandidateState,
}

/// One commit that is kept.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// What `rollback` calls it.
    pub number: u32,
    /// Which commit it is.
    #[serde(flatten)]
    pub label: Label,
}

pub(super) async fn commits(context: &Context) -> CommandResult {
    let labels = Store::new(&context.state.state_dir).labels();
    let commits = labels.into_iter().map(|(number, label)| Kept { number, label }).collect();
    context.print(&Commits { commits, candidate: context.state.candidate_state() }, render::commits).await?;
    Ok(Outcome::Done)
}

pub(super) async fn rollback(context: &Context, invocation: &Invocation) -> CommandResult {
    let refused = |error: String| AskError::Refused(error);
    let number = invocation.get("number").and_then(|number| number.parse().ok()).unwrap_or(0);
    let draft = candidate::predecessor(number, &context.state).map_err(|error| refused(error.to_string()))?;
    let schema = &context.state.schema;
    let shown = match context.format {
        Format::Json => {
            let json = draft.show_json("", "", schema).map_err(|error| refused(error.to_string()))?;
            context.print(&json, ToString::to_string).await?;
            return Ok(Outcome::Done);
        }
        Format::Set => draft.show_set("", "", schema),
        Format::Text | Format::Compare(_) => draft.show("", "", schema),
    };
    lines(context, &shown.map_err(|error| refused(error.to_string()))?).await?;
    Ok(Outcome::Done)
}

/// Sends a text in pieces.
pub(super) async fn lines(context: &Context, text: &str) -> Result<(), AskError> {
    let mut piece = String::new();
    for line in text.split_inclusive('\n') {
        piece.push_str(line);
        if piece.len() >= PIECE_BYTES {
            context.text(std::mem::take(&mut piece)).await?;
        }
    }
    if piece.is_empty() { Ok(()) } else { context.text(piece).await }
}
