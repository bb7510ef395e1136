//! BGP's sessions, and how they are replicated.

use holdfast_config::limits::SHUTDOWN_MESSAGE_OCTETS_MAX;
use holdfast_proto::v1::{
    BgpAllowedView, BgpNeighborSummary, ClearBgpNeighborRequest, Replication, ShowBgpNeighborsRequest,
    ShowBgpSummaryRequest, ShowReplicationRequest,
};
use serde::Serialize;

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{AskError, ask},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    render,
};

pub(super) async fn summary(context: &Context) -> CommandResult {
    let clients = &context.state.clients;
    let call =
        ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().show_bgp_summary(ShowBgpSummaryRequest {})).await?;
    context.print(&call, render::bgp_summary).await?;
    Ok(Outcome::Done)
}

pub(super) async fn neighbor(context: &Context, invocation: &Invocation) -> CommandResult {
    let address = invocation.get("neighbor").unwrap_or_default().to_owned();
    let clients = &context.state.clients;
    let request = ShowBgpNeighborsRequest { address: address.clone() };
    let reply = ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().show_bgp_neighbors(request)).await?;
    if reply.neighbors.is_empty() && !address.is_empty() {
        return Err(AskError::Refused(format!("neighbor {address} is not configured; see show bgp summary")));
    }
    context.print(&reply, render::bgp_neighbors).await?;
    Ok(Outcome::Done)
}

/// Neighbours of one group.
#[derive(Debug, Default, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Sessions that are up.
    pub established: usize,
    /// All its neighbours.
    pub neighbors: Vec<BgpNeighborSummary>,
    /// Prefixes that neighbours are accepted from.
    pub allowed: Vec<BgpAllowedView>,
}

pub(super) async fn group(context: &Context) -> CommandResult {
    #[derive(Serialize)]
    struct View {
        groups: Vec<Group>,
    }
    let clients = &context.state.clients;
    let summary =
        ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().show_bgp_summary(ShowBgpSummaryRequest {})).await?;
    let mut groups: Vec<Group> = Vec::new();
    let mut place = |name: &str| {
        let known = groups.iter().position(|group| group.name == name);
        known.unwrap_or_else(|| {
            groups.push(Group { name: name.to_owned(), ..Group::default() });
            groups.len() - 1
        })
    };
    let neighbors: Vec<_> = summary.neighbors.into_iter().map(|neighbor| (place(&neighbor.group), neighbor)).collect();
    let allowed: Vec<_> = summary.allowed.into_iter().map(|allowed| (place(&allowed.group), allowed)).collect();
    for (group, neighbor) in neighbors {
        groups[group].established += usize::from(neighbor.state.eq_ignore_ascii_case("established"));
        groups[group].neighbors.push(neighbor);
    }
    for (group, allowed) in allowed {
        groups[group].allowed.push(allowed);
    }
    context.print(&View { groups }, |view| render::bgp_groups(&view.groups)).await?;
    Ok(Outcome::Done)
}

async fn ask_replication(context: &Context) -> Result<Replication, AskError> {
    let clients = &context.state.clients;
    ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().show_replication(ShowReplicationRequest {})).await
}

pub(super) async fn replication(context: &Context) -> CommandResult {
    context.print(&ask_replication(context).await?, render::bgp_replication).await?;
    Ok(Outcome::Done)
}

pub(super) async fn task_replication(context: &Context) -> CommandResult {
    let committed = context.state.configuration();
    let routing = committed.and_then(|committed| committed.configuration.compile(0).routing).unwrap_or_default();
    let reply = ask_replication(context).await?;
    context.print(&reply, |reply| render::task_replication(reply, routing.nonstop_routing)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn clear(context: &Context, invocation: &Invocation) -> CommandResult {
    context.changes()?;
    let address = invocation.get("neighbor").filter(|address| *address != "all").unwrap_or_default().to_owned();
    let message = invocation.get("message").unwrap_or_default().to_owned();
    if message.chars().any(char::is_control) {
        return Err(AskError::Refused("the message has control characters; write one line of text".into()));
    }
    if message.len() > SHUTDOWN_MESSAGE_OCTETS_MAX {
        return Err(AskError::Refused(format!(
            "the message has {} octets, neighbors take at most {SHUTDOWN_MESSAGE_OCTETS_MAX} (RFC 9003); shorten it",
            message.len()
        )));
    }
    let request = ClearBgpNeighborRequest {
        address: address.clone(),
        soft: invocation.has("soft"),
        soft_inbound: invocation.has("soft-inbound"),
        message,
    };
    let clients = &context.state.clients;
    let reply = ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().clear_bgp_neighbor(request)).await?;
    if reply.cleared == 0 && !address.is_empty() {
        return Err(AskError::Refused(format!("neighbor {address} is not configured; see show bgp summary")));
    }
    let said =
        |count| if count == 1 { "Cleared 1 connection\n".into() } else { format!("Cleared {count} connections\n") };
    context.print(&reply, |reply| said(reply.cleared)).await?;
    Ok(Outcome::Done)
}
