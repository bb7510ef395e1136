//! The in-service reboot: watched, reported.

use holdfast_proto::v1::{GetChassisRequest, GetReportRequest, GetRunRequest, ListRunsRequest};

use super::{CommandResult, Context, Outcome};
use crate::{clients::ask, grammar::Invocation, limits::ANSWER_DEADLINE, readiness, render};

/// How chassisd is called in messages.
pub(super) const CHASSISD: &str = "chassisd";
/// Runs that `history` shows.
const HISTORY: u32 = 50;

pub(super) async fn show_run(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let run = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_run(GetRunRequest { run_id: 0 })).await?;
    context.print(&run, render::run).await?;
    Ok(Outcome::Done)
}

pub(super) async fn readiness(context: &Context) -> CommandResult {
    let reply = readiness::check(&context.state).await;
    context.print(&reply, render::readiness).await?;
    Ok(Outcome::Done)
}

pub(super) async fn report(context: &Context, invocation: &Invocation) -> CommandResult {
    let run_id = invocation.get("run").and_then(|run| run.parse().ok()).unwrap_or(0);
    let mut chassis = context.state.clients.chassis();
    let report = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_report(GetReportRequest { run_id })).await?;
    context.print(&report, render::report).await?;
    if report.success {
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Failed(format!("run {}: {}", report.run_id, report.verdict)))
}

pub(super) async fn history(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let runs = ask(CHASSISD, ANSWER_DEADLINE, chassis.list_runs(ListRunsRequest { limit: HISTORY })).await?;
    context.print(&runs, render::history).await?;
    Ok(Outcome::Done)
}

pub(super) async fn routing_engine(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let state = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_chassis(GetChassisRequest {})).await?;
    context.print(&state, render::routing_engine).await?;
    Ok(Outcome::Done)
}
