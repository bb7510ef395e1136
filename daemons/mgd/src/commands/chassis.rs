//! The in-service reboot: watched, reported.

use holdfast_proto::v1::{GetChassisRequest, GetReportRequest, GetRunRequest, ListRunsRequest};

use super::{CommandResult, Context, Outcome};
use crate::{clients::ask, grammar::Invocation, limits::ANSWER_DEADLINE, readiness, render};

/// How chassisd is called in messages.
pub const CHASSISD: &str = "chassisd";
/// Runs that `history` shows.
const HISTORY: u32 = 50;

pub(super) async fn show_run(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let run = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_run(GetRunRequest::default())).await?;
    if context.watch && run.run_id != 0 && !run.ended {
        return Ok(Outcome::Watch(run.run_id));
    }
    context.print(&run, |run| render::run(run, context.columns)).await?;
    Ok(Outcome::Done)
}

/// The events of the run in progress, or of the last one, from the first on.
pub(super) async fn monitor_run(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let run = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_run(GetRunRequest::default())).await?;
    Ok(Outcome::Stream(run.run_id))
}

pub(super) async fn readiness(context: &Context) -> CommandResult {
    let reply = readiness::check(&context.state, 0, false).await;
    context.print(&reply, |reply| render::readiness(reply, context.columns)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn report(context: &Context, invocation: &Invocation) -> CommandResult {
    let run_id = invocation.get("run").and_then(|run| run.parse().ok()).unwrap_or(0);
    let mut chassis = context.state.clients.chassis();
    let report = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_report(GetReportRequest { run_id })).await?;
    context.print(&report, |report| render::report(report, context.columns)).await?;
    if report.success {
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Failed(format!("run {}: {}", report.run_id, report.verdict)))
}

pub(super) async fn history(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let runs = ask(CHASSISD, ANSWER_DEADLINE, chassis.list_runs(ListRunsRequest { limit: HISTORY })).await?;
    context.print(&runs, |runs| render::history(runs, context.columns)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn routing_engine(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let state = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_chassis(GetChassisRequest {})).await?;
    context.print(&state, render::routing_engine).await?;
    Ok(Outcome::Done)
}
