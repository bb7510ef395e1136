//! The in-service reboot: requested, at once or for later, confirmed, aborted.

use holdfast_proto::v1::{
    AbortRunRequest, ClearScheduleRequest, ConfirmRunRequest, ExecuteConfirm, GetChassisRequest, GetScheduleRequest,
    ScheduleRunRequest, StartRunRequest,
};
use jiff::tz::TimeZone;

use super::{CommandResult, Context, Outcome, chassis::CHASSISD};
use crate::{
    clients::{AskError, ask},
    grammar::Invocation,
    limits::ANSWER_DEADLINE,
    readiness, render,
    when::Moment,
};

fn refused(message: impl Into<String>) -> AskError {
    AskError::Refused(message.into())
}

/// What the line asks for. Without a word on confirmation the configuration decides; a rehearsal has nothing to confirm.
fn request(context: &Context, invocation: &Invocation) -> Result<StartRunRequest, AskError> {
    let dry_run = invocation.has("dry-run");
    let asked = invocation.get("confirm").or(invocation.get("minutes"));
    if dry_run && asked.is_some() {
        return Err(refused("dry-run takes everything back by itself: there is nothing to confirm"));
    }
    let configured = || {
        let committed = context.state.configuration()?;
        Some(committed.configuration.compile(0).chassis?.confirm_minutes)
    };
    let minutes = match asked {
        Some(minutes) => {
            minutes.parse().map_err(|_| refused(format!("confirm {minutes}: that many minutes are too many")))?
        }
        None if dry_run => 0,
        None => configured().unwrap_or(0),
    };
    Ok(StartRunRequest {
        force: invocation.has("force"),
        dry_run,
        message: invocation.get("message").unwrap_or_default().to_owned(),
        requested_by: context.user.clone(),
        request_id: context.request_id.clone(),
        confirm_s: minutes.checked_mul(60).ok_or_else(|| refused("confirm: that many minutes are too many"))?,
    })
}

/// When, if not at once.
fn time(invocation: &Invocation) -> Result<Option<u64>, AskError> {
    let (text, moment) = match (invocation.get("at"), invocation.get("in")) {
        (Some(text), _) => (format!("at {text}"), Moment::parse(text)),
        (None, Some(minutes)) => (format!("in {minutes}"), minutes.parse().ok().map(Moment::Minutes)),
        (None, None) => return Ok(None),
    };
    let Some(moment) = moment else { return Err(refused(format!("{text}: there is no such time"))) };
    if moment == Moment::Now {
        return Ok(None);
    }
    let at = moment.unix_ms(holdfast_ipc::unix_ms(), &TimeZone::system());
    at.map(Some).ok_or_else(|| refused(format!("{text}: that time has passed")))
}

pub(super) async fn start(context: &Context, invocation: &Invocation) -> CommandResult {
    context.changes()?;
    let (run, at) = (request(context, invocation)?, time(invocation)?);
    if !context.confirmed && !invocation.has("no-confirm") {
        // Asked before, so that the answer is given in knowledge; the run asks again for itself.
        if at.is_none() && !context.json() {
            let reply = readiness::check(&context.state, 0, run.force || run.dry_run).await;
            context.text(render::before_the_question(&reply, context.columns)).await?;
        }
        let question = match (run.dry_run, at) {
            (true, _) => "Rehearse the reboot of the system ? [yes,no] ".to_owned(),
            (false, None) => "Reboot the system ? [yes,no] ".to_owned(),
            (false, Some(at)) => format!("Reboot the system at {} ? [yes,no] ", render::clock(at)),
        };
        let declined = "Reboot cancelled".to_owned();
        return Ok(Outcome::Confirm(ExecuteConfirm { question, declined }));
    }
    let mut chassis = context.state.clients.chassis();
    let Some(at_unix_ms) = at else {
        let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.start_run(run)).await?;
        return Ok(Outcome::Follow(reply.run_id));
    };
    let request = ScheduleRunRequest { at_unix_ms, run: Some(run) };
    let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.schedule_run(request)).await?;
    context.print(&reply, render::schedule).await?;
    Ok(Outcome::Done)
}

pub(super) async fn confirm(context: &Context, invocation: &Invocation) -> CommandResult {
    if invocation.get("minutes").is_some() {
        return start(context, invocation).await;
    }
    let options = ["no-confirm", "dry-run", "force", "at", "in", "message"];
    if let Some(option) = options.into_iter().find(|option| invocation.has(option)) {
        return Err(refused(format!(
            "{option} belongs to a reboot that is to begin: say for how many minutes it waits, 'confirm MINUTES'"
        )));
    }
    context.changes()?;
    let request = ConfirmRunRequest { run_id: 0, requested_by: context.user.clone() };
    let mut chassis = context.state.clients.chassis();
    let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.confirm_run(request)).await?;
    context.print(&reply, |reply| format!("{}\n", reply.outcome)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn abort(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let state = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_chassis(GetChassisRequest {})).await?;
    if state.run_id == 0 {
        return Err(refused("no in-service reboot is in progress"));
    }
    let request = AbortRunRequest { run_id: state.run_id, requested_by: context.user.clone() };
    let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.abort_run(request)).await?;
    context.print(&reply, |reply| format!("{}\n", reply.outcome)).await?;
    Ok(Outcome::Done)
}

pub(super) async fn show_schedule(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.get_schedule(GetScheduleRequest {})).await?;
    context.print(&reply, render::schedule).await?;
    Ok(Outcome::Done)
}

pub(super) async fn clear_schedule(context: &Context) -> CommandResult {
    let mut chassis = context.state.clients.chassis();
    let request = ClearScheduleRequest { requested_by: context.user.clone() };
    let reply = ask(CHASSISD, ANSWER_DEADLINE, chassis.clear_schedule(request)).await?;
    context.print(&reply, |reply| format!("cleared: {}", render::schedule(reply))).await?;
    Ok(Outcome::Done)
}
