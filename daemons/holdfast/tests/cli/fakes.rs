//! An mgd and a chassisd that answer the few lines these tests send.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::{execute_event::Event, *};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, transport::Server};

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn items<T: Send + 'static>(values: Vec<Result<T, Status>>) -> Answer<Items<T>> {
    Ok(Response::new(Box::pin(tokio_stream::iter(values))))
}

/// The name of a command whose answer got lost after it had started run 8.
static LOST: Mutex<String> = Mutex::new(String::new());

struct Management {
    tries: AtomicU32,
    run_dir: RunDir,
    slot: &'static str,
}

impl Management {
    fn new(run_dir: &RunDir, slot: &'static str) -> Self {
        Self { tries: AtomicU32::default(), run_dir: run_dir.clone(), slot }
    }

    /// Answers that do not come to their end.
    fn broken(&self, what: &str) -> Answer<Items<ExecuteEvent>> {
        let output = |text: &str| Ok(ExecuteEvent { event: Some(Event::Output(text.to_owned())) });
        let done = || Ok(ExecuteEvent { event: Some(Event::Done(ExecuteDone {})) });
        let ends = || Err(Status::unavailable("mgd was killed"));
        let attempt = self.tries.fetch_add(1, Ordering::Relaxed) + 1;
        match what {
            "once" | "once by word" if attempt == 1 => {
                let end = if what == "once" { ends() } else { Err(Status::aborted("rpd of re0 does not answer")) };
                items(vec![output("old 1\nold 2\nol"), end])
            }
            "always" => items(vec![output(&format!("part {attempt}\n")), ends()]),
            "long" => items(vec![output(&"x".repeat(17 << 20)), ends()]),
            // Stopped in the middle; another engine is the primary soon.
            "frozen" if self.slot == "re0" => {
                self.run_dir.lead_to("re1");
                Ok(Response::new(Box::pin(tokio_stream::iter([output("old 1\n")]).chain(tokio_stream::pending()))))
            }
            _ => items(vec![output("new 1\nnew 2\n"), done()]),
        }
    }

    /// Lines of configure mode, and the one that leads there.
    fn configure(&self, request: &ExecuteRequest) -> Answer<Items<ExecuteEvent>> {
        let output = |text: String| Event::Output(text);
        let mode = |level: &str| {
            let configure = Some(ConfigureMode { level: level.to_owned(), ..Default::default() });
            Event::Mode(ExecuteMode { configure, ..Default::default() })
        };
        let done = || Event::Done(ExecuteDone {});
        let left = || vec![Event::Mode(ExecuteMode::default()), output("left\n".into()), done()];
        let events = match request.line.as_str() {
            "configure" => vec![mode(""), output("entered\n".into()), done()],
            "edit system" => vec![mode("system"), done()],
            "commit" if self.tries.fetch_add(1, Ordering::Relaxed) == 0 => {
                return items(vec![Err(Status::aborted("this mgd is not primary any more"))]);
            }
            "commit" => vec![output("commit complete\n".into()), done()],
            "load merge terminal" if !request.text_given => {
                vec![Event::Read(ExecuteRead { file: String::new(), prompt: "[Type ^D to end]\n".to_owned() })]
            }
            "load merge terminal" => {
                vec![output(format!("{:?}\n", String::from_utf8_lossy(&request.text))), done()]
            }
            "wrong" => vec![Event::Error(ExecuteError { message: "no".to_owned() })],
            "exit configuration-mode" if !request.confirmed => vec![Event::Confirm(ExecuteConfirm {
                question: "Exit with uncommitted changes? ".to_owned(),
                declined: "Nothing was done".to_owned(),
            })],
            "exit" | "exit configuration-mode" => left(),
            line if line.starts_with("save ") => {
                vec![Event::Write(ExecuteWrite { file: line[5..].to_owned() }), output("text\n".into()), done()]
            }
            line => {
                let level = request.configure.as_ref().map(|mode| mode.level.clone()).unwrap_or_default();
                vec![output(format!("[{level}] {line} ({})\n", request.format)), done()]
            }
        };
        items(events.into_iter().map(|event| Ok(ExecuteEvent { event: Some(event) })).collect())
    }
}

#[tonic::async_trait]
impl management_server::Management for Management {
    type ExecuteStream = Items<ExecuteEvent>;
    type SubscribeConfigurationStream = Items<RouterConfig>;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Answer<Items<ExecuteEvent>> {
        let request = request.into_inner();
        if request.configure.is_some() || request.line == "configure" {
            return self.configure(&request);
        }
        if let Some(what) = request.line.strip_prefix("show broken ") {
            return self.broken(what);
        }
        let output = |text: &str| Event::Output(text.to_owned());
        let error = |message: &str| Event::Error(ExecuteError { message: message.to_owned() });
        let events = match (request.line.as_str(), request.format.as_str()) {
            ("show version", "json") => vec![output("{\"host_name\": \"r1\"}\n"), Event::Done(ExecuteDone {})],
            ("show version", _) => vec![output("line one\nline"), output(" two\n"), Event::Done(ExecuteDone {})],
            ("show system uptime", _) => {
                let attempt = self.tries.fetch_add(1, Ordering::Relaxed) + 1;
                if attempt < 3 {
                    return items(vec![Err(Status::unavailable("this mgd is being replaced"))]);
                }
                vec![output(&format!("answered at try {attempt}\n")), Event::Done(ExecuteDone {})]
            }
            ("show chassis in-service-upgrade report", _) => vec![output("a report\n"), error("run 7: undone")],
            ("request system reboot in-service", _) if !request.confirmed => {
                vec![Event::Confirm(ExecuteConfirm {
                    question: "Reboot the system ? [yes,no] ".to_owned(),
                    declined: "Reboot cancelled".to_owned(),
                })]
            }
            ("request system reboot in-service force no-confirm", _) => {
                vec![Event::Follow(ExecuteFollow { run_id: 9, ..Default::default() })]
            }
            ("request system reboot in-service no-confirm message lost", _) => {
                *LOST.lock().unwrap() = request.request_id;
                return items(vec![Err(Status::unavailable("mgd was killed"))]);
            }
            ("restart routing", _) => return items(vec![Err(Status::unavailable("mgd was killed"))]),
            (line, _) if line.starts_with("request system reboot in-service") => {
                vec![Event::Follow(ExecuteFollow { run_id: 8, ..Default::default() })]
            }
            ("monitor chassis in-service-upgrade", _) => {
                vec![Event::Follow(ExecuteFollow { run_id: 8, json_lines: true })]
            }
            ("show chassis in-service-upgrade", "text") if request.watch => {
                vec![Event::Watch(ExecuteWatch { run_id: 30 })]
            }
            ("show chassis in-service-upgrade", _) => vec![output("a snapshot\n"), Event::Done(ExecuteDone {})],
            ("show chassis in-service-upgrade ending", _) => vec![Event::Watch(ExecuteWatch { run_id: 8 })],
            (line, _) => vec![error(&format!("syntax error at {:?}", line.split(' ').next_back().unwrap()))],
        };
        items(events.into_iter().map(|event| Ok(ExecuteEvent { event: Some(event) })).collect())
    }

    async fn complete(&self, request: Request<CompleteRequest>) -> Answer<CompleteReply> {
        let line = request.into_inner().line;
        let completion = |word: &str, help: &str| Completion { word: word.into(), help: help.into(), literal: true };
        let reply = match line.as_str() {
            "sho" => CompleteReply {
                completions: vec![completion("show", "Show system information")],
                start: 0,
                executable: false,
            },
            "show " => CompleteReply {
                completions: vec![completion("bgp", "About BGP"), completion("version", "About versions")],
                start: 5,
                executable: false,
            },
            "show v" => CompleteReply {
                completions: vec![completion("version", "About versions")],
                start: 5,
                executable: false,
            },
            _ => CompleteReply { start: line.len() as u32, executable: true, ..Default::default() },
        };
        Ok(Response::new(reply))
    }

    async fn subscribe_configuration(&self, _: Request<SubscribeConfigurationRequest>) -> Answer<Items<RouterConfig>> {
        Err(Status::unimplemented(""))
    }
    async fn report_applied(&self, _: Request<ReportAppliedRequest>) -> Answer<ReportAppliedReply> {
        Err(Status::unimplemented(""))
    }
    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Answer<GetConfigurationReply> {
        Err(Status::unimplemented(""))
    }
    async fn check_readiness(&self, _: Request<CheckReadinessRequest>) -> Answer<CheckReadinessReply> {
        Err(Status::unimplemented(""))
    }
}

struct Chassis;

#[tonic::async_trait]
impl chassis_server::Chassis for Chassis {
    type FollowRunStream = Items<RunEvent>;

    /// Breaks after every event but the last, and repeats one that was sent before.
    async fn follow_run(&self, request: Request<FollowRunRequest>) -> Answer<Items<RunEvent>> {
        let FollowRunRequest { run_id, from_sequence } = request.into_inner();
        let event = |sequence: u64| RunEvent {
            run_id,
            sequence,
            unix_ms: 1_708_569_424_000,
            line: format!("line {sequence}"),
            stamped: sequence < 4,
            ended: sequence == 4,
            success: sequence == 4 && run_id == 8,
            verdict: if sequence == 4 { "undone, nothing lost".into() } else { String::new() },
            ..Default::default()
        };
        if run_id == 30 {
            let only = tokio_stream::iter((from_sequence == 1).then(|| Ok(event(1))));
            return Ok(Response::new(Box::pin(only.chain(tokio_stream::pending()))));
        }
        let repeated = from_sequence.saturating_sub(1).max(1);
        let broken = Err(Status::unavailable("chassisd was replaced"));
        items(vec![Ok(event(repeated)), Ok(event(from_sequence)), broken])
    }

    async fn get_chassis(&self, _: Request<GetChassisRequest>) -> Answer<ChassisState> {
        Err(Status::unimplemented(""))
    }
    async fn start_run(&self, _: Request<StartRunRequest>) -> Answer<StartRunReply> {
        Err(Status::unimplemented(""))
    }
    async fn abort_run(&self, _: Request<AbortRunRequest>) -> Answer<AbortRunReply> {
        Err(Status::unimplemented(""))
    }
    async fn confirm_run(&self, _: Request<ConfirmRunRequest>) -> Answer<ConfirmRunReply> {
        Err(Status::unimplemented(""))
    }
    async fn schedule_run(&self, _: Request<ScheduleRunRequest>) -> Answer<ScheduledRun> {
        Err(Status::unimplemented(""))
    }
    async fn get_schedule(&self, _: Request<GetScheduleRequest>) -> Answer<ScheduledRun> {
        Err(Status::unimplemented(""))
    }
    async fn clear_alarms(&self, _: Request<ClearAlarmsRequest>) -> Answer<ClearAlarmsReply> {
        Err(Status::unimplemented(""))
    }
    async fn ensure_periodic(&self, _: Request<EnsurePeriodicRequest>) -> Answer<EnsurePeriodicReply> {
        Err(Status::unimplemented(""))
    }
    async fn clear_schedule(&self, _: Request<ClearScheduleRequest>) -> Answer<ScheduledRun> {
        Err(Status::unimplemented(""))
    }
    async fn get_run(&self, request: Request<GetRunRequest>) -> Answer<RunState> {
        let GetRunRequest { run_id, request_id } = request.into_inner();
        if !request_id.is_empty() {
            return match *LOST.lock().unwrap() == request_id {
                true => Ok(Response::new(RunState { run_id: 8, request_id, ..Default::default() })),
                false => Err(Status::not_found("no such request")),
            };
        }
        let ended = run_id == 8;
        let phase =
            |name: &str| PhaseTime { name: name.into(), duration_ms: 90, forecast_ms: 100, ..Default::default() };
        Ok(Response::new(RunState {
            run_id,
            state: "synchronizing".into(),
            step: 3,
            steps: 13,
            ended,
            success: ended,
            verdict: if ended { "nothing lost".into() } else { String::new() },
            phases: vec![phase("validating"), phase("synchronizing")],
            from_slot: "re0".into(),
            to_slot: "re1".into(),
            ..Default::default()
        }))
    }
    async fn get_report(&self, _: Request<GetReportRequest>) -> Answer<RunReport> {
        Err(Status::unimplemented(""))
    }
    async fn list_runs(&self, _: Request<ListRunsRequest>) -> Answer<ListRunsReply> {
        Err(Status::unimplemented(""))
    }
    async fn inspect(&self, _: Request<InspectRequest>) -> Answer<Inspection> {
        Err(Status::unimplemented(""))
    }
    async fn restart_process(&self, _: Request<RestartProcessRequest>) -> Answer<RestartProcessReply> {
        Err(Status::unimplemented(""))
    }
    async fn stop(&self, _: Request<StopRequest>) -> Answer<StopReply> {
        Err(Status::unimplemented(""))
    }
}

trait Lead {
    /// Makes a slot the primary for whoever looks for it.
    fn lead_to(&self, slot: &str);
}

impl Lead for RunDir {
    fn lead_to(&self, slot: &str) {
        let link = self.master_management_socket();
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("{slot}/mgd.sock"), link).unwrap();
    }
}

/// The fakes on sockets of a temporary run-dir, served by a thread that ends with the test's process.
pub struct Router {
    directory: tempfile::TempDir,
}

impl Router {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let serving = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run_dir = RunDir::new(directory.path());
        let (ready, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            serving.block_on(async move {
                let management = |slot| {
                    let listener = holdfast_ipc::bind(&run_dir.daemon_socket(slot, "mgd")).unwrap();
                    let service = management_server::ManagementServer::new(Management::new(&run_dir, slot))
                        .max_encoding_message_size(32 << 20);
                    holdfast_ipc::serve(listener, Server::builder().add_service(service), std::future::pending())
                };
                let (first, second) = (management("re0"), management("re1"));
                run_dir.lead_to("re0");
                let chassis = holdfast_ipc::bind(&run_dir.chassis_socket()).unwrap();
                let service = chassis_server::ChassisServer::new(Chassis);
                let third =
                    holdfast_ipc::serve(chassis, Server::builder().add_service(service), std::future::pending());
                ready.send(()).unwrap();
                let _ = tokio::join!(first, second, third);
            });
        });
        started.recv().unwrap();
        Self { directory }
    }

    pub fn run_dir(&self) -> PathBuf {
        Path::new(self.directory.path()).to_owned()
    }
}
