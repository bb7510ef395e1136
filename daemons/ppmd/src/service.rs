//! The gRPC service `Periodic`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_bfd::SESSIONS_MAX;
use holdfast_bfd::sessions::SessionKey;
use holdfast_ipc::mono_ns;
use holdfast_proto::v1;
use holdfast_proto::v1::periodic_server::Periodic;
use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use crate::limits::{CHANGE_QUEUE, SESSIONS_PER_REQUEST};
use crate::request::{Change, ChangeOf, Request, Wanted, Worker};
use crate::views;
use crate::worker::Changes;

/// Messages that wait for one watcher.
const WATCHER_QUEUE: usize = 64;

/// The service; cheap to clone.
#[derive(Clone, Debug)]
pub struct Service {
    worker: Worker,
    changes: broadcast::Sender<Arc<Change>>,
    /// The highest term that was heard of.
    epoch: Arc<AtomicU64>,
    /// Who wants each session; told again by whoever asks for sessions after a change of this process.
    clients: Arc<Mutex<HashMap<SessionKey, Vec<String>>>>,
    started_mono_ns: u64,
    memory_locked: bool,
}

impl Service {
    /// In front of this worker, whose changes it passes on.
    pub fn new(worker: Worker, changes: Changes, memory_locked: bool) -> Service {
        let (sender, _) = broadcast::channel(CHANGE_QUEUE);
        let service = Service {
            worker,
            changes: sender.clone(),
            epoch: Arc::new(AtomicU64::new(0)),
            clients: Arc::default(),
            started_mono_ns: mono_ns(),
            memory_locked,
        };
        tokio::spawn(pass_on(changes, sender));
        service
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<SessionKey, Vec<String>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ensure(&self, wanted: Vec<Wanted>) -> Result<Result<(), String>, Status> {
        let mut error = Ok(());
        for chunk in wanted.chunks(SESSIONS_PER_REQUEST) {
            let answer = self.worker.ask(|reply| Request::Ensure(chunk.to_vec(), reply)).await?;
            error = error.and(answer);
        }
        Ok(error)
    }
}

/// From the worker to all watchers. A hole in the numbers tells each of them to begin anew.
async fn pass_on(mut changes: Changes, watchers: broadcast::Sender<Arc<Change>>) {
    while let Some(change) = changes.queue.recv().await {
        if changes.dropped.swap(false, Ordering::AcqRel) {
            tracing::warn!("more changes of BFD sessions at once than can be queued: watchers begin anew");
        }
        if let ChangeOf::State(seen) = &change.what {
            let (key, session) = (&seen.key, &seen.session);
            tracing::info!(peer = %key.peer, diagnostic = %session.diagnostic(), "BFD session is {}", session.state());
        }
        let _ = watchers.send(Arc::new(change));
    }
}

fn message(change: &Change) -> v1::BfdEvent {
    let event = match &change.what {
        ChangeOf::State(seen) => v1::bfd_event::Event::Session(views::session(seen)),
        ChangeOf::Left(key) => v1::bfd_event::Event::Left(views::key(key)),
    };
    v1::BfdEvent { event: Some(event) }
}

/// The snapshot, then what came after it, until the watcher goes or falls behind (it then asks anew).
async fn watch(
    snapshot: crate::request::Snapshot,
    mut changes: broadcast::Receiver<Arc<Change>>,
    out: mpsc::Sender<Result<v1::BfdEvent, Status>>,
) {
    let sessions = snapshot.sessions.iter().map(|seen| v1::bfd_event::Event::Session(views::session(seen)));
    for event in sessions.chain([v1::bfd_event::Event::SnapshotDone(true)]) {
        if out.send(Ok(v1::BfdEvent { event: Some(event) })).await.is_err() {
            return;
        }
    }
    let mut number = snapshot.number;
    loop {
        let change = tokio::select! {
            () = out.closed() => return,
            change = changes.recv() => change,
        };
        let Ok(change) = change else { return };
        if change.number <= number {
            continue;
        }
        if change.number != number + 1 || out.send(Ok(message(&change))).await.is_err() {
            return;
        }
        number = change.number;
    }
}

type Incoming<T> = tonic::Request<T>;

#[tonic::async_trait]
impl Periodic for Service {
    type WatchBfdStream = ReceiverStream<Result<v1::BfdEvent, Status>>;

    async fn watch_bfd(&self, _: Incoming<v1::WatchBfdRequest>) -> Result<Response<Self::WatchBfdStream>, Status> {
        // In this order: a change between the two is in both, and told once by its number.
        let changes = self.changes.subscribe();
        let snapshot = self.worker.ask(Request::Show).await?;
        let (out, stream) = mpsc::channel(WATCHER_QUEUE);
        tokio::spawn(watch(snapshot, changes, out));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn set_bfd(&self, request: Incoming<v1::SetBfdRequest>) -> Result<Response<v1::SetBfdReply>, Status> {
        let request = request.into_inner();
        let newest = self.epoch.fetch_max(request.epoch, Ordering::AcqRel);
        if request.epoch < newest {
            let text = format!("epoch {} of {} is over: {newest} is in force", request.epoch, request.client);
            return Err(Status::failed_precondition(text));
        }
        if request.sessions.len() > SESSIONS_MAX {
            let text = format!(
                "{} BFD sessions are wanted, {SESSIONS_MAX} is the most: delete bfd-liveness-detection of some",
                request.sessions.len()
            );
            return Err(Status::invalid_argument(text));
        }
        let clients: Vec<Vec<String>> = request.sessions.iter().map(|session| session.clients.clone()).collect();
        let wanted = request.sessions.into_iter().map(views::wanted).collect::<Result<Vec<_>, _>>()?;
        *self.clients() = wanted.iter().map(|wanted| wanted.key).zip(clients).collect();
        let mut keys: Vec<_> = wanted.iter().map(|wanted| wanted.key).collect();
        keys.sort_unstable();
        // Places first: those that leave keep theirs for a while.
        self.worker.ask(|reply| Request::Retain(keys, reply)).await?;
        let error = self.ensure(wanted).await?.err().unwrap_or_default();
        Ok(Response::new(v1::SetBfdReply { error }))
    }

    async fn show_bfd(&self, _: Incoming<v1::ShowBfdRequest>) -> Result<Response<v1::BfdSessions>, Status> {
        let mut seen = self.worker.ask(Request::Show).await?.sessions;
        seen.sort_by_key(|seen| (seen.key.peer, seen.key.interface, seen.key.multihop));
        let clients = self.clients().clone();
        let shown = seen.iter().map(|seen| v1::BfdSession {
            clients: clients.get(&seen.key).cloned().unwrap_or_default(),
            ..views::session(seen)
        });
        Ok(Response::new(v1::BfdSessions { sessions: shown.collect() }))
    }

    async fn show_periodic(
        &self,
        _: Incoming<v1::ShowPeriodicRequest>,
    ) -> Result<Response<v1::PeriodicStatus>, Status> {
        let totals = self.worker.ask(Request::Totals).await?;
        Ok(Response::new(v1::PeriodicStatus {
            started_mono_ns: self.started_mono_ns,
            epoch: self.epoch.load(Ordering::Acquire),
            memory_locked: self.memory_locked,
            ..views::totals(&totals)
        }))
    }
}
