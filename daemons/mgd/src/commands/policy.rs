//! Routing policies: which are in force, and what one would do.

use holdfast_config::Draft;
use holdfast_proto::v1::{ShowPoliciesRequest, TestPolicyRequest};

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{ask, next},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    render::{self, Elements},
};

pub(super) async fn show(context: &Context, invocation: &Invocation) -> CommandResult {
    let name = invocation.get("policy").unwrap_or_default().to_owned();
    let clients = &context.state.clients;
    let request = ShowPoliciesRequest { policy: name.clone() };
    let mut reply = ask(&clients.rpd_name(), ANSWER_DEADLINE, clients.routing().show_policies(request)).await?;
    if !name.is_empty() {
        for policy in &mut reply.policies {
            policy.definition = definition(context, &policy.name);
        }
    }
    context.print(&reply, render::policies).await?;
    Ok(Outcome::Done)
}

/// The policy's text in the configuration in force.
fn definition(context: &Context, name: &str) -> String {
    let schema = &context.state.schema;
    let Some(committed) = context.state.configuration() else { return String::new() };
    let Ok(draft) = Draft::parse("committed", committed.configuration.to_text(), schema) else { return String::new() };
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    draft.show(&format!("policy-options policy-statement \"{quoted}\""), "", schema).unwrap_or_default()
}

pub(super) async fn test(context: &Context, invocation: &Invocation) -> CommandResult {
    let text = |name: &str| invocation.get(name).unwrap_or_default().to_owned();
    let request = TestPolicyRequest {
        policy: text("policy"),
        prefix: text("prefix"),
        received_from: text("receive-protocol bgp"),
        told_to: text("advertising-protocol bgp"),
    };
    let clients = &context.state.clients;
    let who = clients.rpd_name();
    let mut routes = render::TestedRoutes::new(&request.policy, invocation.has("detail"));
    let mut elements = Elements::new("routes");
    let mut stream = ask(&who, ANSWER_DEADLINE, clients.routing().test_policy(request)).await?;
    while let Some(page) = next(&who, &mut stream).await? {
        let piece = if context.json() { elements.push(&page.routes) } else { routes.page(&page) };
        context.text(piece).await?;
    }
    context.text(if context.json() { elements.end() } else { routes.end() }).await?;
    Ok(Outcome::Done)
}
