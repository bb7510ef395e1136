//! Interfaces and the kernel's table, as pfed sees them.

use holdfast_proto::v1::{
    ShowForwardingSummaryRequest, ShowForwardingTableRequest, ShowInterfacesRequest, ShowNeighborsRequest,
};

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{AskError, ask, next},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    render::{self, Elements},
};

pub(super) async fn interfaces(context: &Context, invocation: &Invocation) -> CommandResult {
    let name = invocation.get("interface").unwrap_or_default().to_owned();
    let clients = &context.state.clients;
    let request = ShowInterfacesRequest { name: name.clone() };
    let reply = ask(&clients.pfed_name(), ANSWER_DEADLINE, clients.forwarding().show_interfaces(request)).await?;
    if reply.interfaces.is_empty() && reply.waiting.is_empty() && !name.is_empty() {
        return Err(AskError::Refused(format!("interface {name} does not exist; see show interfaces terse")));
    }
    let terse = invocation.has("terse");
    context
        .print(&reply, |reply| if terse { render::interfaces_terse(reply) } else { render::interfaces(reply) })
        .await?;
    Ok(Outcome::Done)
}

/// Neighbours of one family, as the kernel knows them at this moment.
pub(super) async fn neighbors(context: &Context, invocation: &Invocation, ipv6: bool) -> CommandResult {
    let interface = invocation.get("interface").unwrap_or_default().to_owned();
    let clients = &context.state.clients;
    let request = ShowNeighborsRequest { ipv6, interface };
    let reply = ask(&clients.pfed_name(), ANSWER_DEADLINE, clients.forwarding().show_neighbors(request)).await?;
    context.print(&reply, render::neighbors).await?;
    Ok(Outcome::Done)
}

pub(super) async fn table(context: &Context, invocation: &Invocation) -> CommandResult {
    let clients = &context.state.clients;
    let who = clients.pfed_name();
    if invocation.has("summary") {
        let request = ShowForwardingSummaryRequest {};
        let summary = ask(&who, ANSWER_DEADLINE, clients.forwarding().show_forwarding_summary(request)).await?;
        context.print(&summary, render::forwarding_summary).await?;
        return Ok(Outcome::Done);
    }
    let prefix = invocation.get("prefix").unwrap_or_default().to_owned();
    let mut elements = Elements::new("entries");
    let request = ShowForwardingTableRequest { prefix };
    let mut stream = ask(&who, ANSWER_DEADLINE, clients.forwarding().show_forwarding_table(request)).await?;
    if !context.json() {
        context.text(render::forwarding_heading()).await?;
    }
    while let Some(page) = next(&who, &mut stream).await? {
        let piece = if context.json() { elements.push(&page.entries) } else { render::forwarding_page(&page) };
        if !piece.is_empty() {
            context.text(piece).await?;
        }
    }
    if context.json() {
        context.text(elements.end()).await?;
    }
    Ok(Outcome::Done)
}
