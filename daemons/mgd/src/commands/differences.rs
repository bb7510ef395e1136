//! `show forwarding-table differences` and `request forwarding-table mend`: RIB, FIB and kernel side by side.
//!
//! rpd says what follows from its RIB, and pfed lays that beside what it was told and what the kernel has; here it only passes through. The
//! tables do not stand still meanwhile, so where something differs they are compared again, and what only one look
//! has seen does not count.

use std::{collections::HashSet, future::Future, pin::pin};

use holdfast_proto::v1::{
    FibBatch, ForwardingComparison, ForwardingDifference, MendForwardingReply, MendForwardingRequest,
    ShowForwardingRequest,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{AskError, Clients, ask, next},
    limits::{ANSWER_DEADLINE, COMPARISON_DEADLINE, COMPARISON_QUEUE, SECOND_LOOK, SIGN_OF_LIFE},
    render,
};

/// What was mended, and what was not.
#[derive(Debug, Serialize)]
pub struct Mended {
    /// Destinations that differed before.
    pub found: u64,
    /// What was done about it; nothing where nothing differed.
    pub mended: Option<MendForwardingReply>,
    /// What differs now.
    pub left: ForwardingComparison,
}

pub(super) async fn show(context: &Context) -> CommandResult {
    let comparison = awaited(context, compare(&context.state.clients)).await?;
    context.print(&comparison, render::differences).await?;
    Ok(Outcome::Done)
}

/// Waits for something that may take longer than who waits for this command is patient.
async fn awaited<T>(context: &Context, work: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    let mut work = pin!(work);
    loop {
        match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
            Ok(done) => return done,
            // Nothing to read, but a word.
            Err(_) => context.text("").await?,
        }
    }
}

pub(super) async fn mend(context: &Context) -> CommandResult {
    context.changes()?;
    let mended = awaited(context, compared_and_mended(&context.state.clients)).await?;
    context.print(&mended, render::mended).await?;
    match mended.left.different {
        0 => Ok(Outcome::Done),
        1 => Ok(Outcome::Failed("1 destination still differs".to_owned())),
        left => Ok(Outcome::Failed(format!("{left} destinations still differ"))),
    }
}

async fn compared_and_mended(clients: &Clients) -> Result<Mended, AskError> {
    let before = compare(clients).await?;
    let found = before.different;
    Ok(if found == 0 {
        Mended { found, mended: None, left: before }
    } else {
        // What the RIB says and pfed does not know of has to be told again.
        let is_not_told = |difference: &ForwardingDifference| {
            difference.kind == "not-told" || (before.rib_known && difference.rib != difference.fib)
        };
        let ask_rpd = before.left_out > 0 || before.differences.iter().any(is_not_told);
        let mut forwarding = clients.forwarding();
        let call = forwarding.mend_forwarding(MendForwardingRequest { ask_rpd });
        let reply = ask(&clients.pfed_name(), COMPARISON_DEADLINE, call).await?;
        Mended { found, mended: Some(reply), left: compare(clients).await? }
    })
}

/// Compares; where something differs twice.
async fn compare(clients: &Clients) -> Result<ForwardingComparison, AskError> {
    let first = look(clients).await?;
    if first.different == 0 {
        return Ok(first);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let second = look(clients).await?;
    Ok(seen_twice(first, second))
}

/// Of a second look what the first has seen as well.
fn seen_twice(first: ForwardingComparison, second: ForwardingComparison) -> ForwardingComparison {
    let key = |difference: &ForwardingDifference| {
        let column = |entry: &Option<_>| serde_json::to_string(entry).unwrap_or_default();
        let columns = [&difference.rib, &difference.fib, &difference.kernel].map(column);
        (difference.prefix.clone(), difference.kind.clone(), columns)
    };
    let known: HashSet<_> = first.differences.iter().map(key).collect();
    // A list that had no room for all says nothing against what is not on it.
    let is_known = |difference: &ForwardingDifference| first.left_out > 0 || known.contains(&key(difference));
    let (differences, news): (Vec<_>, Vec<_>) = second.differences.into_iter().partition(is_known);
    let unsettled = news.iter().filter(|difference| difference.kind != "hidden").count() as u64;
    ForwardingComparison {
        took_ms: first.took_ms + second.took_ms,
        different: second.different.saturating_sub(unsettled),
        hidden: second.hidden.saturating_sub(news.len() as u64 - unsettled),
        unsettled,
        differences,
        ..second
    }
}

/// One look.
async fn look(clients: &Clients) -> Result<ForwardingComparison, AskError> {
    let (sender, batches) = mpsc::channel(COMPARISON_QUEUE);
    let rib = tokio::spawn(what_the_rib_says(clients.clone(), sender));
    let mut forwarding = clients.forwarding();
    let call = forwarding.compare_forwarding(ReceiverStream::new(batches));
    let compared = ask(&clients.pfed_name(), COMPARISON_DEADLINE, call).await;
    let rib = rib.await.unwrap_or_else(|error| Err(AskError::Refused(error.to_string())));
    let mut comparison = compared?;
    if let Err(why) = rib {
        comparison.note = format!("the RIB was not compared: {why}");
    }
    Ok(comparison)
}

/// Passes rpd's table on to pfed, with a last batch that says that it was all.
async fn what_the_rib_says(clients: Clients, batches: mpsc::Sender<FibBatch>) -> Result<(), AskError> {
    let who = clients.rpd_name();
    let mut stream = ask(&who, ANSWER_DEADLINE, clients.routing().show_forwarding(ShowForwardingRequest {})).await?;
    while let Some(batch) = next(&who, &mut stream).await? {
        if batches.send(batch).await.is_err() {
            return Ok(()); // pfed has gone away, which says so itself
        }
    }
    let _ = batches.send(FibBatch { end_of_sync: true, ..Default::default() }).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(prefix: &str, kind: &str) -> ForwardingDifference {
        ForwardingDifference { prefix: prefix.into(), kind: kind.into(), ..Default::default() }
    }

    #[test]
    fn only_what_both_looks_have_seen_counts() {
        let first = ForwardingComparison {
            took_ms: 3,
            different: 2,
            differences: vec![difference("10.0.0.0/8", "missing"), difference("10.1.0.0/16", "missing")],
            ..Default::default()
        };
        let again = vec![
            difference("10.0.0.0/8", "missing"),
            difference("10.1.0.0/16", "elsewhere"),
            difference("::/0", "hidden"),
        ];
        let second =
            ForwardingComparison { took_ms: 4, different: 2, hidden: 1, differences: again, ..Default::default() };
        let both = seen_twice(first, second);
        assert_eq!((both.different, both.hidden, both.unsettled, both.took_ms), (1, 0, 1, 7));
        assert_eq!(both.differences, [difference("10.0.0.0/8", "missing")]);
    }
}
