//! DIR/chassis.sock: turns calls into commands for the loop.

use holdfast_proto::v1;
use holdfast_proto::v1::chassis_server::Chassis;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::control::{Command, Reply};
use crate::views;

/// Events that may wait for a slow follower.
const FOLLOWER_QUEUE_MAX: usize = 64;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct ChassisService {
    commands: mpsc::Sender<Command>,
}

type Answer<T> = Result<Response<T>, Status>;

/// A name for messages.
fn who(requested_by: String) -> String {
    if requested_by.is_empty() { "the operator".into() } else { requested_by }
}

impl ChassisService {
    /// Sends its commands there.
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        ChassisService { commands }
    }

    async fn send(&self, command: Command) -> Result<(), Status> {
        self.commands.send(command).await.map_err(|_| Status::unavailable("the router is being stopped"))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        let answer = answer.await.map_err(|_| Status::unavailable("the router is being stopped"))?;
        answer.map_err(Status::failed_precondition)
    }
}

#[tonic::async_trait]
impl Chassis for ChassisService {
    type FollowRunStream = ReceiverStream<Result<v1::RunEvent, Status>>;

    async fn get_chassis(&self, _: Request<v1::GetChassisRequest>) -> Answer<v1::ChassisState> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::View(reply)).await?;
        let view = answer.await.map_err(|_| Status::unavailable("the router is being stopped"))?;
        Ok(Response::new(view.complete().await))
    }

    async fn start_run(&self, request: Request<v1::StartRunRequest>) -> Answer<v1::StartRunReply> {
        let run_id = self.ask(|reply| Command::Start(request.into_inner(), reply)).await?;
        Ok(Response::new(v1::StartRunReply { run_id }))
    }

    async fn follow_run(&self, request: Request<v1::FollowRunRequest>) -> Answer<Self::FollowRunStream> {
        let request = request.into_inner();
        let log = self.ask(|reply| Command::Run(request.run_id, reply)).await?;
        let (sender, receiver) = mpsc::channel(FOLLOWER_QUEUE_MAX);
        tokio::spawn(async move {
            let mut changed = log.subscribe();
            let mut sequence = request.from_sequence.max(1);
            loop {
                changed.mark_unchanged();
                for event in log.events_from(sequence) {
                    sequence = event.sequence + 1;
                    let ended = event.ended;
                    if sender.send(Ok(event)).await.is_err() || ended {
                        return;
                    }
                }
                let ended = log.lock().run.ended && log.events_from(sequence).is_empty();
                tokio::select! {
                    // The record closes just before its last event is said; one of a past run says nothing more.
                    changed = changed.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(std::time::Duration::from_millis(200)), if ended => return,
                    () = sender.closed() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn abort_run(&self, request: Request<v1::AbortRunRequest>) -> Answer<v1::AbortRunReply> {
        let request = request.into_inner();
        let by = who(request.requested_by);
        let outcome = self.ask(|reply| Command::Abort(request.run_id, by, reply)).await?;
        Ok(Response::new(v1::AbortRunReply { outcome }))
    }

    async fn confirm_run(&self, request: Request<v1::ConfirmRunRequest>) -> Answer<v1::ConfirmRunReply> {
        let request = request.into_inner();
        let by = who(request.requested_by);
        let outcome = self.ask(|reply| Command::Confirm(request.run_id, by, reply)).await?;
        Ok(Response::new(v1::ConfirmRunReply { outcome }))
    }

    async fn schedule_run(&self, request: Request<v1::ScheduleRunRequest>) -> Answer<v1::ScheduledRun> {
        let scheduled = self.ask(|reply| Command::Schedule(request.into_inner(), reply)).await?;
        Ok(Response::new(scheduled))
    }

    async fn get_schedule(&self, _: Request<v1::GetScheduleRequest>) -> Answer<v1::ScheduledRun> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Scheduled(reply)).await?;
        answer.await.map(Response::new).map_err(|_| Status::unavailable("the router is being stopped"))
    }

    async fn clear_schedule(&self, request: Request<v1::ClearScheduleRequest>) -> Answer<v1::ScheduledRun> {
        let by = who(request.into_inner().requested_by);
        self.ask(|reply| Command::ClearSchedule(by, reply)).await.map(Response::new)
    }

    async fn clear_alarms(&self, request: Request<v1::ClearAlarmsRequest>) -> Answer<v1::ClearAlarmsReply> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::ClearAlarms(who(request.into_inner().requested_by), reply)).await?;
        let cleared = answer.await.map_err(|_| Status::unavailable("the router is being stopped"))?;
        Ok(Response::new(v1::ClearAlarmsReply { cleared: u32::try_from(cleared).unwrap_or(u32::MAX) }))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Answer<v1::RunState> {
        let request = request.into_inner();
        let log = if request.request_id.is_empty() {
            self.ask(|reply| Command::Run(request.run_id, reply)).await?
        } else {
            self.ask(|reply| Command::RunOf(request.request_id, reply))
                .await
                .map_err(|status| Status::not_found(status.message()))?
        };
        let run = views::run(&log.lock());
        Ok(Response::new(run))
    }

    async fn get_report(&self, request: Request<v1::GetReportRequest>) -> Answer<v1::RunReport> {
        let log = self.ask(|reply| Command::Run(request.into_inner().run_id, reply)).await?;
        let record = log.lock();
        match &record.report {
            Some(report) => Ok(Response::new(report.clone())),
            None => Err(Status::failed_precondition(format!(
                "run {} has no report yet, it is {}; follow it with 'show chassis in-service-upgrade'",
                record.run.run_id, record.run.state
            ))),
        }
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Answer<v1::ListRunsReply> {
        let runs = self.ask(|reply| Command::Runs(request.into_inner().limit as usize, reply)).await?;
        Ok(Response::new(v1::ListRunsReply { runs }))
    }

    async fn inspect(&self, request: Request<v1::InspectRequest>) -> Answer<v1::Inspection> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Inspect(request.into_inner().run_id, reply)).await?;
        let inspector = answer.await.map_err(|_| Status::unavailable("the router is being stopped"))?;
        Ok(Response::new(inspector.inspect().await))
    }

    async fn ensure_periodic(&self, _: Request<v1::EnsurePeriodicRequest>) -> Answer<v1::EnsurePeriodicReply> {
        self.ask(Command::EnsurePeriodic).await?;
        Ok(Response::new(v1::EnsurePeriodicReply {}))
    }

    async fn restart_process(&self, request: Request<v1::RestartProcessRequest>) -> Answer<v1::RestartProcessReply> {
        let outcome = self.ask(|reply| Command::Restart(request.into_inner().name, reply)).await?;
        Ok(Response::new(v1::RestartProcessReply { outcome }))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Answer<v1::StopReply> {
        let (done, stopped) = oneshot::channel();
        self.send(Command::Stop(request.into_inner(), done)).await?;
        let _ = stopped.await;
        Ok(Response::new(v1::StopReply {}))
    }
}
