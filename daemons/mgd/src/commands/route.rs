//! `show route`, streamed: a million routes pass through in pages.

use holdfast_proto::v1::{ShowRouteSummaryRequest, ShowRoutesRequest, show_routes_request::Match};

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{AskError, ask, next},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    render::{self, Elements},
};

pub(super) async fn show(context: &Context, invocation: &Invocation) -> CommandResult {
    let clients = &context.state.clients;
    let who = clients.rpd_name();
    if invocation.has("summary") {
        let call = ask(&who, ANSWER_DEADLINE, clients.routing().show_route_summary(ShowRouteSummaryRequest {})).await?;
        context.print(&call, render::route_summary).await?;
        return Ok(Outcome::Done);
    }
    let request = request(invocation)?;
    let mut routes = render::Routes::new(request.detail);
    let mut elements = Elements::new("routes");
    let mut stream = ask(&who, ANSWER_DEADLINE, clients.routing().show_routes(request)).await?;
    while let Some(page) = next(&who, &mut stream).await? {
        let piece = if context.json() { elements.push(&page.routes) } else { routes.page(&page) };
        if !piece.is_empty() {
            context.text(piece).await?;
        }
    }
    if context.json() {
        context.text(elements.end()).await?;
    }
    Ok(Outcome::Done)
}

fn request(invocation: &Invocation) -> Result<ShowRoutesRequest, AskError> {
    let text = |name: &str| invocation.get(name).unwrap_or_default().to_owned();
    let prefix = text("prefix");
    if prefix.is_empty() && (invocation.has("exact") || invocation.has("longer")) {
        return Err(AskError::Refused("exact and longer need a prefix: show route PREFIX exact".to_owned()));
    }
    let matching = match () {
        () if invocation.has("longer") => Match::Longer,
        () if invocation.has("exact") || prefix.is_empty() => Match::Exact,
        () => Match::Longest,
    };
    Ok(ShowRoutesRequest {
        prefix,
        r#match: matching.into(),
        table: text("table"),
        protocol: text("protocol"),
        received_from: text("receive-protocol bgp"),
        advertised_to: text("advertising-protocol bgp"),
        detail: invocation.has("detail"),
    })
}
