//! `show configuration`.

use super::{CommandResult, Context, Format, Outcome};
use crate::clients::AskError;

/// Output goes in pieces of about this many bytes, each ending at a line.
const PIECE_BYTES: usize = 64 * 1024;

pub(super) async fn show(context: &Context) -> CommandResult {
    let Some(committed) = context.state.configuration() else {
        return Err(AskError::Refused("there is no configuration yet".to_owned()));
    };
    match context.format {
        Format::Json => context.print(committed.configuration.to_json(), ToString::to_string).await?,
        Format::Set => lines(context, committed.configuration.to_set()).await?,
        Format::Text => lines(context, committed.configuration.to_text()).await?,
    }
    Ok(Outcome::Done)
}

async fn lines(context: &Context, text: &str) -> Result<(), AskError> {
    let mut piece = String::new();
    for line in text.split_inclusive('\n') {
        piece.push_str(line);
        if piece.len() >= PIECE_BYTES {
            context.text(std::mem::take(&mut piece)).await?;
        }
    }
    if piece.is_empty() { Ok(()) } else { context.text(piece).await }
}
