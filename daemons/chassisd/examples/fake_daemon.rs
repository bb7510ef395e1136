//! Stands in for mgd, rpd and pfed in chassisd's tests: every service, no routing. Its name says which it is.
//! HOLDFAST_FAKE holds space-separated faults `SLOT/NAME:WHAT`, e.g. `re1/rpd:hang-activate` or `re0/mgd:no-start`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use holdfast_ipc::{DaemonArgs, mono_ns};
use holdfast_proto::v1::*;
use holdfast_vault::VaultClient;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

#[derive(Parser)]
#[command(version = "fake")]
struct Arguments {
    #[command(flatten)]
    daemon: DaemonArgs,
    #[arg(long)]
    load: Option<PathBuf>,
}

struct Shared {
    name: String,
    slot: String,
    role: Role,
    epoch: u64,
    established_unix_ms: u64,
    faults: Vec<String>,
    started_mono_ns: u64,
    polls: u64,
    verifies: u32,
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Shared>>);

type Answer<T> = Result<Response<T>, Status>;
type Streaming<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn ok<T>(value: T) -> Answer<T> {
    Ok(Response::new(value))
}

fn unused<T>() -> Answer<T> {
    Err(Status::unimplemented("not in the fake"))
}

impl Fake {
    fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap().faults.iter().any(|fault| fault == what)
    }

    async fn hang_if(&self, what: &str) {
        if self.has(what) {
            std::future::pending::<()>().await;
        }
    }

    fn change(&self, epoch: u64, from: &[Role], to: Role) -> Result<(), Status> {
        let mut shared = self.0.lock().unwrap();
        if epoch < shared.epoch || !from.contains(&shared.role) {
            return Err(Status::failed_precondition(format!("{:?} in epoch {}", shared.role, shared.epoch)));
        }
        (shared.role, shared.epoch) = (to, epoch);
        Ok(())
    }

    fn follower_lost(&self) -> String {
        if self.has("lose-follower") { "its stream was full for 200 ms".into() } else { String::new() }
    }

    fn tables() -> Vec<TableDigest> {
        vec![TableDigest { table: "t".into(), digest: 1, entries: 1 }]
    }

    fn positions() -> Vec<SessionPosition> {
        vec![SessionPosition { neighbor: "10.0.0.2".into(), bytes_consumed: 100, bytes_written: 50 }]
    }
}

#[tonic::async_trait]
impl daemon_server::Daemon for Fake {
    async fn status(&self, _: Request<StatusRequest>) -> Answer<DaemonStatus> {
        let never_ready = self.has("never-ready");
        let error = if self.has("error") { "the port is in use".into() } else { String::new() };
        let shared = self.0.lock().unwrap();
        ok(DaemonStatus {
            name: shared.name.clone(),
            slot: shared.slot.clone(),
            pid: std::process::id(),
            role: shared.role.into(),
            epoch: shared.epoch,
            ready: !never_ready,
            detail: if never_ready { "the fake never is".into() } else { String::new() },
            error,
            version: "fake".into(),
            started_mono_ns: shared.started_mono_ns,
            alarms: Vec::new(),
        })
    }
    async fn synchronization(&self, _: Request<SynchronizationRequest>) -> Answer<SynchronizationReply> {
        let mut shared = self.0.lock().unwrap();
        shared.polls += 1;
        let (polls, synchronized) = (shared.polls, shared.polls > 3);
        ok(SynchronizationReply { synchronized, entries_done: polls, ..Default::default() })
    }
    async fn prepare(&self, _: Request<PrepareRequest>) -> Answer<PrepareReply> {
        self.hang_if("hang-prepare").await;
        let refused = self.has("refuse-prepare");
        let reason = if refused { "a session waits for End-of-RIB".into() } else { String::new() };
        let session = SessionReadiness {
            protocol: "bgp".into(),
            neighbor: "10.0.0.2".into(),
            mode: SwitchoverMode::Nsr.into(),
            ready: true,
            ..Default::default()
        };
        ok(PrepareReply { ready: !refused, reason, sessions: vec![session], ..Default::default() })
    }
    async fn cancel(&self, _: Request<CancelRequest>) -> Answer<CancelReply> {
        ok(CancelReply {})
    }
    async fn freeze(&self, request: Request<FreezeRequest>) -> Answer<FreezeReply> {
        self.hang_if("hang-freeze").await;
        self.change(request.into_inner().epoch, &[Role::Primary], Role::Frozen)?;
        ok(FreezeReply { frozen_mono_ns: mono_ns(), tables: Self::tables(), sessions: Self::positions() })
    }
    async fn activate(&self, request: Request<ActivateRequest>) -> Answer<ActivateReply> {
        self.hang_if("hang-activate").await;
        if self.has("refuse-return") {
            return ok(ActivateReply { reason: "the fake does not return".into(), ..Default::default() });
        }
        self.change(request.get_ref().epoch, &[Role::Backup, Role::Frozen], Role::Activated)?;
        ok(ActivateReply { ok: true, sessions: Self::positions(), sessions_adopted: 1, ..Default::default() })
    }
    async fn commit(&self, request: Request<CommitRequest>) -> Answer<CommitReply> {
        self.change(request.into_inner().epoch, &[Role::Activated], Role::Primary)?;
        ok(CommitReply { live_mono_ns: mono_ns() })
    }
    async fn follow(&self, request: Request<FollowRequest>) -> Answer<FollowReply> {
        self.change(request.get_ref().epoch, &[Role::Frozen, Role::Backup], Role::Backup)?;
        ok(FollowReply {})
    }
    async fn verify(&self, _: Request<VerifyRequest>) -> Answer<VerifyReply> {
        self.hang_if("hang-verify").await;
        let failed = self.has("fail-verify");
        let asked = {
            let mut shared = self.0.lock().unwrap();
            shared.verifies += 1;
            shared.verifies
        };
        if asked <= 2 {
            let reason = "not heard yet".into();
            return ok(VerifyReply { reason, follower_lost: self.follower_lost(), ..Default::default() });
        }
        let reason = if failed { "10.0.0.2 has not been heard".into() } else { String::new() };
        ok(VerifyReply { done: true, ok: !failed, reason, sessions_up: 1, ..Default::default() })
    }
    async fn terminate(&self, _: Request<TerminateRequest>) -> Answer<TerminateReply> {
        tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            std::process::exit(0);
        });
        ok(TerminateReply {})
    }
}

#[tonic::async_trait]
impl management_server::Management for Fake {
    type ExecuteStream = Streaming<ExecuteEvent>;
    type SubscribeConfigurationStream = Streaming<RouterConfig>;
    async fn execute(&self, _: Request<ExecuteRequest>) -> Answer<Self::ExecuteStream> {
        unused()
    }
    async fn complete(&self, _: Request<CompleteRequest>) -> Answer<CompleteReply> {
        unused()
    }
    async fn subscribe_configuration(
        &self,
        _: Request<SubscribeConfigurationRequest>,
    ) -> Answer<Self::SubscribeConfigurationStream> {
        unused()
    }
    async fn report_applied(&self, _: Request<ReportAppliedRequest>) -> Answer<ReportAppliedReply> {
        unused()
    }
    async fn get_configuration(&self, _: Request<GetConfigurationRequest>) -> Answer<GetConfigurationReply> {
        ok(GetConfigurationReply { commit_id: 1, ..Default::default() })
    }
    async fn check_readiness(&self, _: Request<CheckReadinessRequest>) -> Answer<CheckReadinessReply> {
        let passed = !self.has("no-gres");
        let check = Check {
            id: "gres-enabled".into(),
            title: "GRES enabled".into(),
            value: if passed { "Valid" } else { "Invalid" }.into(),
            passed,
            observed: "not configured".into(),
            remedy: "set chassis redundancy graceful-switchover".into(),
            ..Default::default()
        };
        ok(CheckReadinessReply { checks: vec![check], minimum_spacing_s: 300, ..Default::default() })
    }
}

#[tonic::async_trait]
impl routing_server::Routing for Fake {
    type ShowRoutesStream = Streaming<RoutePage>;
    type ShowForwardingStream = Streaming<FibBatch>;
    type TestPolicyStream = Streaming<TestPolicyPage>;
    async fn show_forwarding(&self, _: Request<ShowForwardingRequest>) -> Answer<Self::ShowForwardingStream> {
        unused()
    }
    async fn test_policy(&self, _: Request<TestPolicyRequest>) -> Answer<Self::TestPolicyStream> {
        unused()
    }
    async fn show_policies(&self, _: Request<ShowPoliciesRequest>) -> Answer<Policies> {
        unused()
    }
    async fn show_bgp_summary(&self, _: Request<ShowBgpSummaryRequest>) -> Answer<BgpSummary> {
        unused()
    }
    async fn show_bgp_neighbors(&self, _: Request<ShowBgpNeighborsRequest>) -> Answer<BgpNeighbors> {
        let summary =
            BgpNeighborSummary { address: "10.0.0.2".into(), state: "Established".into(), ..Default::default() };
        let established_unix_ms = self.0.lock().unwrap().established_unix_ms;
        let neighbor = BgpNeighborDetail { summary: Some(summary), established_unix_ms, ..Default::default() };
        ok(BgpNeighbors { neighbors: vec![neighbor] })
    }
    async fn show_routes(&self, _: Request<ShowRoutesRequest>) -> Answer<Self::ShowRoutesStream> {
        unused()
    }
    async fn show_route_summary(&self, _: Request<ShowRouteSummaryRequest>) -> Answer<RouteSummary> {
        ok(RouteSummary::default())
    }
    async fn show_replication(&self, _: Request<ShowReplicationRequest>) -> Answer<Replication> {
        unused()
    }
    async fn clear_bgp_neighbor(&self, _: Request<ClearBgpNeighborRequest>) -> Answer<ClearBgpNeighborReply> {
        unused()
    }
}

#[tonic::async_trait]
impl forwarding_server::Forwarding for Fake {
    type WatchInterfacesStream = Streaming<InterfaceEvent>;
    type ProgramStream = Streaming<FibAck>;
    type ShowForwardingTableStream = Streaming<ForwardingPage>;
    async fn watch_interfaces(&self, _: Request<WatchInterfacesRequest>) -> Answer<Self::WatchInterfacesStream> {
        unused()
    }
    async fn program(&self, _: Request<tonic::Streaming<FibBatch>>) -> Answer<Self::ProgramStream> {
        unused()
    }
    async fn show_interfaces(&self, _: Request<ShowInterfacesRequest>) -> Answer<Interfaces> {
        let interface = Interface { name: "eth0".into(), rx_packets: mono_ns(), ..Default::default() };
        ok(Interfaces { interfaces: vec![interface], ..Default::default() })
    }
    async fn show_neighbors(&self, _: Request<ShowNeighborsRequest>) -> Answer<NeighborEntries> {
        unused()
    }
    async fn show_forwarding_table(
        &self,
        _: Request<ShowForwardingTableRequest>,
    ) -> Answer<Self::ShowForwardingTableStream> {
        unused()
    }
    async fn compare_forwarding(&self, _: Request<tonic::Streaming<FibBatch>>) -> Answer<ForwardingComparison> {
        unused()
    }
    async fn mend_forwarding(&self, _: Request<MendForwardingRequest>) -> Answer<MendForwardingReply> {
        unused()
    }
    async fn show_forwarding_summary(&self, _: Request<ShowForwardingSummaryRequest>) -> Answer<ForwardingSummary> {
        ok(ForwardingSummary { routes_ipv4: 7, ..Default::default() })
    }
}

/// The "session" is a descriptor in the vault; its metadata is the time of establishment. A primary without one makes it.
fn session(args: &DaemonArgs) -> u64 {
    let Ok(mut vault) = VaultClient::connect(&args.run_dir().vault_socket(), "fake") else { return 0 };
    vault.set_epoch(args.epoch);
    if let Ok((_, metadata)) = vault.withdraw("bgp/10.0.0.2") {
        return u64::from_be_bytes(metadata.try_into().unwrap_or_default());
    }
    let now = holdfast_ipc::unix_ms();
    // A connection to ourselves: the kernel keeps its time stamps as it does for a neighbour's.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
    let stream = std::net::TcpStream::connect(listener.local_addr().expect("address")).expect("connects");
    use std::os::fd::AsFd;
    vault.deposit("bgp/10.0.0.2", "session", &now.to_be_bytes(), stream.as_fd()).expect("deposits");
    std::mem::forget(listener); // closing it would reset the connection that nobody accepts
    now
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let own_path = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let name = own_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "--check") {
        let file = &arguments[2];
        match std::fs::read_to_string(file) {
            Ok(text) if text.contains("wrong") => {
                eprintln!("{file}:1:1: unknown statement 'wrong'");
                std::process::exit(1);
            }
            Ok(_) => return,
            Err(error) => {
                eprintln!("{file}: {error}");
                std::process::exit(1);
            }
        }
    }
    let args = Arguments::parse().daemon;
    let place = format!("{}/{name}:", args.slot);
    let all = std::env::var("HOLDFAST_FAKE").unwrap_or_default();
    let faults: Vec<String> = all.split(' ').filter_map(|fault| fault.strip_prefix(&place)).map(String::from).collect();
    if faults.iter().any(|fault| fault == "no-start") {
        eprintln!("the fake was told not to start");
        std::process::exit(3);
    }
    let established_unix_ms = if name == "rpd" { session(&args) } else { 0 };
    let fake = Fake(Arc::new(Mutex::new(Shared {
        name: name.clone(),
        slot: args.slot.clone(),
        role: args.role(),
        epoch: args.epoch,
        established_unix_ms,
        faults,
        started_mono_ns: mono_ns(),
        polls: 0,
        verifies: 0,
    })));
    let router = tonic::transport::Server::builder()
        .add_service(daemon_server::DaemonServer::new(fake.clone()))
        .add_service(management_server::ManagementServer::new(fake.clone()))
        .add_service(routing_server::RoutingServer::new(fake.clone()))
        .add_service(forwarding_server::ForwardingServer::new(fake));
    let listener = holdfast_ipc::bind(&args.run_dir().daemon_socket(&args.slot, &name)).expect("binds");
    holdfast_ipc::serve(listener, router, std::future::pending()).await.expect("serves");
}
