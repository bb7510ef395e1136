//! Two routers' ppmds at the two ends of a link, each in a network namespace of its own, driven as rpd drives one.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use holdfast_ipc::RunDir;
use holdfast_kernel::process;
use holdfast_proto::v1;
use holdfast_proto::v1::periodic_client::PeriodicClient;
use tonic::transport::Channel;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace that lives as long as its thread.
pub struct Namespace {
    jobs: mpsc::Sender<Job>,
    thread: i32,
}

impl Namespace {
    pub fn new() -> Namespace {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            process::unshare_network().unwrap();
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        Namespace { jobs, thread: told.recv().unwrap() }
    }

    /// Does something there.
    pub fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(tell.send(job())))).unwrap();
        told.recv().expect("what was done there has failed")
    }

    pub fn sh(&self, command: String) {
        let status = self.inside(move || Command::new("sh").args(["-ec", &command]).status().unwrap());
        assert!(status.success());
    }
}

/// One router's end.
pub struct Router {
    pub namespace: Namespace,
    folder: tempfile::TempDir,
    pub ppmd: Child,
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.ppmd.kill();
        let _ = self.ppmd.wait();
    }
}

impl Router {
    fn new(namespace: Namespace) -> Router {
        let folder = tempfile::tempdir().unwrap();
        let ppmd = spawn(&namespace, folder.path(), &["--fresh"]);
        Router { namespace, folder, ppmd }
    }

    fn client(&self) -> PeriodicClient<Channel> {
        PeriodicClient::new(holdfast_ipc::channel(&RunDir::new(self.folder.path()).periodic_socket()))
    }

    /// A successor takes over; the predecessor ends by itself.
    pub async fn replace(&mut self) {
        let successor = spawn(&self.namespace, self.folder.path(), &["--take-over"]);
        let mut predecessor = std::mem::replace(&mut self.ppmd, successor);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match predecessor.try_wait().unwrap() {
                Some(status) => break assert!(status.success(), "{status}"),
                None => assert!(Instant::now() < deadline, "the predecessor does not end"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.status().await.pid, self.ppmd.id());
    }

    /// kill -9, and another one in its place at once, as chassisd does it.
    pub fn crash(&mut self) {
        self.ppmd.kill().unwrap();
        self.ppmd.wait().unwrap();
        self.ppmd = spawn(&self.namespace, self.folder.path(), &[]);
    }

    /// Where a successor asks.
    pub fn handover_socket(&self) -> std::path::PathBuf {
        RunDir::new(self.folder.path()).periodic_dir().join("handover.sock")
    }

    /// The answer of whoever serves, once somebody does.
    pub async fn status(&self) -> v1::PeriodicStatus {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.client().show_periodic(v1::ShowPeriodicRequest {}).await {
                Ok(status) => return status.into_inner(),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn set(&self, epoch: u64, sessions: Vec<v1::BfdWanted>) -> Result<(), tonic::Status> {
        self.status().await;
        let request = v1::SetBfdRequest { epoch, client: "test".into(), sessions };
        let reply = self.client().set_bfd(request).await?.into_inner();
        assert_eq!(reply.error, "");
        Ok(())
    }

    pub async fn sessions(&self) -> Vec<v1::BfdSession> {
        self.status().await;
        self.client().show_bfd(v1::ShowBfdRequest {}).await.unwrap().into_inner().sessions
    }

    pub async fn watch(&self) -> tonic::Streaming<v1::BfdEvent> {
        self.client().watch_bfd(v1::WatchBfdRequest::default()).await.unwrap().into_inner()
    }

    /// Waits until every session is up (or whatever is asked for).
    pub async fn until(&self, what: &str, is_so: impl Fn(&[v1::BfdSession]) -> bool) -> Vec<v1::BfdSession> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let sessions = self.sessions().await;
            if is_so(&sessions) {
                return sessions;
            }
            assert!(Instant::now() < deadline, "{what}: {sessions:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn spawn(namespace: &Namespace, folder: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppmd"));
    command.arg("--run-dir").arg(folder).args(more);
    process::die_with_parent(&mut command, libc::SIGKILL);
    namespace.inside(move || command.spawn().unwrap())
}

/// Both ends, 10.0.0.1 and 10.0.0.2, 2001:db8::1 and 2001:db8::2.
pub fn pair() -> [Router; 2] {
    let namespaces = [Namespace::new(), Namespace::new()];
    let other = namespaces[1].thread;
    namespaces[0].sh(format!("ip link add v0 type veth peer name v0 netns {other}"));
    for (index, namespace) in namespaces.iter().enumerate() {
        let own = index + 1;
        namespace.sh(format!(
            "ip link set lo up; ip link set v0 up; ip addr add 10.0.0.{own}/24 dev v0; ip addr add 2001:db8::{own}/64 dev v0 nodad"
        ));
    }
    namespaces.map(Router::new)
}

/// A session with `peer`, every `ms` milliseconds, three of which may be missing.
pub fn wanted(peer: &str, ms: u32) -> v1::BfdWanted {
    v1::BfdWanted {
        key: Some(v1::BfdSessionKey { peer: peer.into(), ..Default::default() }),
        minimum_transmit_us: ms * 1000,
        minimum_receive_us: ms * 1000,
        multiplier: 3,
        ..Default::default()
    }
}

pub fn all_up(sessions: &[v1::BfdSession]) -> bool {
    !sessions.is_empty() && sessions.iter().all(|session| session.state == "Up")
}
