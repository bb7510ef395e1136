//! The real pfed in a network namespace of its own, between a tiny mgd and a test that plays rpd and chassisd.
#![allow(missing_docs, dead_code)]

use std::future::Future;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdfast_ipc::RunDir;
use holdfast_proto::v1::daemon_client::DaemonClient;
use holdfast_proto::v1::forwarding_client::ForwardingClient;
use holdfast_proto::v1::management_server::{Management, ManagementServer};
use holdfast_proto::v1::{self, fib_nexthop::Kind};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// Runs a test in a thread with a network namespace of its own; it is gone when thread and processes are.
pub fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let run = move || {
        holdfast_kernel::process::unshare_network().unwrap();
        sh("ip link set lo up
            ip link add v0 type veth peer name p0; ip link set v0 up; ip link set p0 up
            ip link add v1 type veth peer name p1; ip link set v1 up; ip link set p1 up
            ip addr add 10.0.0.1/24 dev v0; ip addr add 10.0.1.1/24 dev v1
            ip addr add 2001:db8::1/64 dev v0 nodad; ip addr add 2001:db8:1::1/64 dev v1 nodad");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

pub fn sh(command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The index of a link.
pub fn index(name: &str) -> u32 {
    let links = holdfast_kernel::netlink::Requester::open().unwrap().links().unwrap();
    links.iter().find(|link| link.name == name).unwrap().index
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A management daemon that knows one configuration.
#[derive(Debug)]
struct TinyMgd {
    configuration: watch::Receiver<v1::RouterConfig>,
    reports: Arc<Mutex<Vec<v1::ReportAppliedRequest>>>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Management for TinyMgd {
    type ExecuteStream = ReceiverStream<Result<v1::ExecuteEvent, Status>>;
    type SubscribeConfigurationStream =
        std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<v1::RouterConfig, Status>> + Send>>;
    async fn execute(&self, _: Request<v1::ExecuteRequest>) -> Answer<Self::ExecuteStream> {
        Err(Status::unimplemented("not here"))
    }
    async fn complete(&self, _: Request<v1::CompleteRequest>) -> Answer<v1::CompleteReply> {
        Err(Status::unimplemented("not here"))
    }
    async fn subscribe_configuration(
        &self,
        _: Request<v1::SubscribeConfigurationRequest>,
    ) -> Answer<Self::SubscribeConfigurationStream> {
        Ok(Response::new(Box::pin(WatchStream::new(self.configuration.clone()).map(Ok))))
    }
    async fn report_applied(&self, request: Request<v1::ReportAppliedRequest>) -> Answer<v1::ReportAppliedReply> {
        self.reports.lock().unwrap().push(request.into_inner());
        Ok(Response::new(v1::ReportAppliedReply {}))
    }
    async fn get_configuration(&self, _: Request<v1::GetConfigurationRequest>) -> Answer<v1::GetConfigurationReply> {
        Err(Status::unimplemented("not here"))
    }
    async fn check_readiness(&self, _: Request<v1::CheckReadinessRequest>) -> Answer<v1::CheckReadinessReply> {
        Err(Status::unimplemented("not here"))
    }
}

/// A router's directories, and the configuration that both slots' mgd serve.
pub struct World {
    directory: tempfile::TempDir,
    pub configuration: watch::Sender<v1::RouterConfig>,
    pub reports: Arc<Mutex<Vec<v1::ReportAppliedRequest>>>,
}

impl World {
    pub async fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("holdfast-pfed-").tempdir().unwrap();
        let first = v1::RouterConfig { commit_id: 1, ..Default::default() };
        let (configuration, receiver) = watch::channel(first);
        let reports = Arc::new(Mutex::new(Vec::new()));
        let world = Self { directory, configuration, reports };
        for slot in ["re0", "re1"] {
            let mgd = TinyMgd { configuration: receiver.clone(), reports: world.reports.clone() };
            let listener = holdfast_ipc::bind(&world.run_dir().daemon_socket(slot, "mgd")).unwrap();
            let router = tonic::transport::Server::builder().add_service(ManagementServer::new(mgd));
            tokio::spawn(holdfast_ipc::serve(listener, router, std::future::pending()));
        }
        world
    }

    fn run_dir(&self) -> RunDir {
        RunDir::new(self.directory.path())
    }

    /// Starts one, which may not be ready yet.
    pub fn spawn(&self, slot: &str, role: &str, epoch: u64) -> Pfed {
        self.spawn_in(slot, role, epoch, &[])
    }

    fn spawn_in(&self, slot: &str, role: &str, epoch: u64, environment: &[(&str, &str)]) -> Pfed {
        let child = Command::new(env!("CARGO_BIN_EXE_pfed"))
            .envs(environment.iter().copied())
            .args(["--slot", slot, "--role", role, "--epoch", &epoch.to_string(), "--run-dir"])
            .arg(self.directory.path())
            .arg("--state-dir")
            .arg(self.directory.path())
            .spawn()
            .unwrap();
        Pfed { child, socket: self.run_dir().daemon_socket(slot, "pfed") }
    }

    pub async fn start(&self, slot: &str, role: &str, epoch: u64) -> Pfed {
        self.start_in(slot, role, epoch, &[]).await
    }

    /// The same with something in its environment.
    pub async fn start_in(&self, slot: &str, role: &str, epoch: u64, environment: &[(&str, &str)]) -> Pfed {
        let mut pfed = self.spawn_in(slot, role, epoch, environment);
        until("pfed is ready", || {
            let mut daemon = pfed.daemon();
            async move { daemon.status(v1::StatusRequest {}).await.is_ok_and(|status| status.into_inner().ready) }
        })
        .await;
        assert!(pfed.child.try_wait().unwrap().is_none());
        pfed
    }

    /// A path for a file that a test makes.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn last_report(&self) -> Option<v1::ReportAppliedRequest> {
        self.reports.lock().unwrap().last().cloned()
    }
}

/// A running pfed; killed when dropped.
pub struct Pfed {
    pub child: Child,
    socket: PathBuf,
}

impl Drop for Pfed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pfed {
    pub fn daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(holdfast_ipc::channel(&self.socket))
    }

    pub fn forwarding(&self) -> ForwardingClient<Channel> {
        ForwardingClient::new(holdfast_ipc::channel(&self.socket))
    }

    pub async fn summary(&self) -> v1::ForwardingSummary {
        self.forwarding().show_forwarding_summary(v1::ShowForwardingSummaryRequest {}).await.unwrap().into_inner()
    }

    /// Lays what the RIB says, if that is known, beside its table and the kernel's.
    pub async fn compare(&self, rib: Option<v1::FibBatch>) -> v1::ForwardingComparison {
        self.forwarding().compare_forwarding(tokio_stream::iter(rib)).await.unwrap().into_inner()
    }

    pub async fn mend(&self, ask_rpd: bool) -> Result<v1::MendForwardingReply, Status> {
        let request = v1::MendForwardingRequest { ask_rpd };
        self.forwarding().mend_forwarding(request).await.map(Response::into_inner)
    }

    pub async fn synchronization(&self) -> v1::SynchronizationReply {
        self.daemon().synchronization(v1::SynchronizationRequest {}).await.unwrap().into_inner()
    }

    pub async fn verify(&self) -> v1::VerifyReply {
        self.daemon().verify(v1::VerifyRequest {}).await.unwrap().into_inner()
    }

    /// A stream as soon as it is possible, ready or not.
    pub async fn program_early(&self, epoch: u64) -> Rpd {
        until("pfed answers", || {
            let mut daemon = self.daemon();
            async move { daemon.status(v1::StatusRequest {}).await.is_ok() }
        })
        .await;
        self.program(epoch).await
    }

    pub async fn program(&self, epoch: u64) -> Rpd {
        let (send, receive) = mpsc::channel(4);
        let acks = self.forwarding().program(ReceiverStream::new(receive)).await.unwrap().into_inner();
        Rpd { epoch, sequence: 0, send, acks }
    }

    pub async fn wait(mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "pfed has not ended within 20 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The test's end of a `Program` stream.
pub struct Rpd {
    pub epoch: u64,
    sequence: u64,
    send: mpsc::Sender<v1::FibBatch>,
    acks: Streaming<v1::FibAck>,
}

impl Rpd {
    pub async fn post(&mut self, mut batch: v1::FibBatch) {
        self.sequence += 1;
        (batch.epoch, batch.sequence) = (self.epoch, self.sequence);
        self.send.send(batch).await.unwrap();
    }

    pub async fn ack(&mut self) -> Result<v1::FibAck, Status> {
        let next = tokio::time::timeout(Duration::from_secs(30), self.acks.message()).await.expect("an answer in time");
        next.map(|ack| ack.expect("the stream goes on"))
    }

    /// Sends and waits until it is in force.
    pub async fn put(&mut self, batch: v1::FibBatch) -> v1::FibAck {
        self.post(batch).await;
        let ack = self.ack().await.unwrap();
        assert_eq!(ack.sequence, self.sequence);
        ack
    }

    /// The same, and it must be without failure.
    pub async fn must(&mut self, batch: v1::FibBatch) -> v1::FibAck {
        let ack = self.put(batch).await;
        assert_eq!((ack.failed, ack.first_error.as_str()), (0, ""));
        ack
    }
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub fn gateway(address: &str, interface_index: u32, weight: u32) -> v1::FibGateway {
    let address = if address.is_empty() { Vec::new() } else { octets(address) };
    v1::FibGateway { address, interface_index, weight }
}

pub fn unicast(id: u32, gateways: &[(&str, u32, u32)]) -> v1::FibNexthop {
    let gateways = gateways.iter().map(|(address, interface, weight)| gateway(address, *interface, *weight)).collect();
    v1::FibNexthop { id, kind: Kind::Unicast.into(), gateways, backup: None }
}

/// Through the first; through the second when the first is lost.
pub fn protected(id: u32, primary: (&str, u32), backup: (&str, u32)) -> v1::FibNexthop {
    let [primary, backup] = [primary, backup].map(|(address, interface)| gateway(address, interface, 1));
    v1::FibNexthop { id, kind: Kind::Unicast.into(), gateways: vec![primary], backup: Some(backup) }
}

pub fn special(id: u32, kind: Kind) -> v1::FibNexthop {
    v1::FibNexthop { id, kind: kind.into(), ..Default::default() }
}

pub fn route(prefix: &str, nexthop_id: u32) -> v1::FibRoute {
    let (address, length) = prefix.split_once('/').unwrap();
    v1::FibRoute { address: octets(address), length: length.parse().unwrap(), nexthop_id }
}

pub fn routes(list: &[(&str, u32)]) -> Vec<v1::FibRoute> {
    list.iter().map(|(prefix, id)| route(prefix, *id)).collect()
}

/// The nexthops that most tests use: 1 and 2 over v0 and v1, 3 both, 4 discard, 5 reject, 6 IPv6, 7 on link, 8 both IPv6.
pub fn nexthops() -> Vec<v1::FibNexthop> {
    let (v0, v1) = (index("v0"), index("v1"));
    vec![
        unicast(1, &[("10.0.0.2", v0, 1)]),
        unicast(2, &[("10.0.1.2", v1, 1)]),
        unicast(3, &[("10.0.0.2", v0, 1), ("10.0.1.2", v1, 3)]),
        special(4, Kind::Discard),
        special(5, Kind::Reject),
        unicast(6, &[("2001:db8::2", v0, 1)]),
        unicast(7, &[("", v0, 1)]),
        unicast(8, &[("2001:db8::2", v0, 1), ("2001:db8:1::2", v1, 1)]),
    ]
}

/// A table with everything in it.
pub fn table() -> Vec<v1::FibRoute> {
    routes(&[
        ("192.0.2.0/24", 1),
        ("198.51.100.0/24", 3),
        ("203.0.113.0/24", 4),
        ("203.0.113.128/25", 5),
        ("100.64.0.0/10", 2),
        ("172.31.0.0/16", 7),
        ("2001:db8:a::/48", 6),
        ("2001:db8:b::/48", 8),
        ("2001:db8:c::/48", 4),
        ("2001:db8:d::/48", 5),
        ("2001:db8:e::/48", 7),
    ])
}

pub fn whole(nexthops: Vec<v1::FibNexthop>, routes: Vec<v1::FibRoute>) -> v1::FibBatch {
    v1::FibBatch { nexthops, routes, end_of_sync: true, ..Default::default() }
}

pub fn change(routes: Vec<v1::FibRoute>) -> v1::FibBatch {
    v1::FibBatch { routes, ..Default::default() }
}

/// rpd's word that it has told everything.
pub fn caught_up() -> v1::FibBatch {
    v1::FibBatch { caught_up: true, ..Default::default() }
}

/// Waits until a backup holds what the primary does.
pub async fn follows(backup: &Pfed) {
    until("the backup is synchronized", || async { backup.synchronization().await.synchronized }).await;
    let state = backup.synchronization().await;
    assert_eq!(state.pending_writes, 0);
    assert!(state.tables.len() == 2 && state.tables.iter().all(|table| table.equal), "{state:?}");
}

/// A primary in re0 and a backup in re1, both told the small table, each with its rpd.
pub async fn side_by_side(world: &World) -> [(Pfed, Rpd); 2] {
    let old = world.start("re0", "primary", 1).await;
    let mut old_rpd = old.program(1).await;
    old_rpd.must(whole(nexthops(), table())).await;
    let new = world.start("re1", "backup", 1).await;
    let mut new_rpd = new.program(1).await;
    new_rpd.must(whole(nexthops(), table())).await;
    follows(&new).await;
    [(old, old_rpd), (new, new_rpd)]
}

/// What the kernel has of ours, as text.
pub fn kernel_routes() -> String {
    sh("ip -4 route show proto 72; ip -6 route show proto 72")
}
