//! BFD sessions, as ppmd has them.

use holdfast_proto::v1::{BfdSession, PeriodicStatus, ShowBfdRequest, ShowPeriodicRequest};
use serde::Serialize;

use super::{CommandResult, Context, Outcome};
use crate::{
    clients::{PPMD, ask},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    render,
};

/// What `show bfd session` says.
#[derive(Debug, Default, Serialize)]
pub struct BfdView {
    /// All of them, by address.
    pub sessions: Vec<BfdSession>,
    /// The process that has them.
    pub periodic: PeriodicStatus,
}

pub(super) async fn sessions(context: &Context, invocation: &Invocation) -> CommandResult {
    let clients = &context.state.clients;
    let mut view = BfdView::default();
    if clients.has_periodic() {
        view.sessions = ask(PPMD, ANSWER_DEADLINE, clients.periodic().show_bfd(ShowBfdRequest {})).await?.sessions;
        view.periodic = ask(PPMD, ANSWER_DEADLINE, clients.periodic().show_periodic(ShowPeriodicRequest {})).await?;
    }
    let detail = invocation.has("detail");
    context.print(&view, |view| if detail { render::bfd_detail(view) } else { render::bfd_sessions(view) }).await?;
    Ok(Outcome::Done)
}
