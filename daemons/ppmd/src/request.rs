//! What the worker is asked, and what it says by itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use holdfast_bfd::Discard;
use holdfast_bfd::session::{Session, SessionConfig};
use holdfast_bfd::sessions::SessionKey;
use nix::sys::eventfd::EventFd;
use tokio::sync::oneshot;
use tonic::Status;

use crate::lateness::Lateness;
use crate::limits::ANSWER_DEADLINE;
use crate::sockets::Named;

/// A session that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose.
    pub key: SessionKey,
    /// Our address, if it is to be a certain one.
    pub local: Option<IpAddr>,
    /// How.
    pub config: SessionConfig,
}

/// A session as it stands.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whose.
    pub key: SessionKey,
    /// Our address, as asked for, and port.
    pub source: (Option<IpAddr>, u16),
    /// Nobody wants it any more.
    pub leaving: bool,
    /// All the rest.
    pub session: Session,
}

/// All sessions, and the number of the last change that they include.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Changes up to this one are in it.
    pub number: u64,
    /// In no order.
    pub sessions: Vec<Seen>,
}

/// Something has changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// From 1, without gaps.
    pub number: u64,
    /// What.
    pub what: ChangeOf,
}

/// See [`Change`].
#[derive(Clone, Debug)]
pub enum ChangeOf {
    /// A session's state.
    State(Box<Seen>),
    /// A session is over.
    Left(SessionKey),
}

/// How a worker came to its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// There were none.
    Started,
    /// They were handed over.
    TookOver,
    /// Their worker had died.
    Found,
}

/// Counters of the whole.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// See there.
    pub origin: Origin,
    /// From the predecessor's stop until the first turn of this worker.
    pub takeover: Duration,
    /// The thread runs first.
    pub realtime: bool,
    /// Sessions.
    pub sessions: u32,
    /// Of them, Up.
    pub up: u32,
    /// Packets.
    pub sent: u64,
    /// Believed.
    pub received: u64,
    /// How often memory was asked for or given back while packets were served: only where a session begins, changes its state or ends.
    pub allocations: u64,
    /// Turns that the deputy took.
    pub stood_in: u64,
    /// Not sent, because the kernel refused.
    pub send_errors: u64,
    /// Its last error number.
    pub last_send_error: i32,
    /// Not believed, by reason.
    pub discards: [u64; Discard::ALL.len()],
    /// Of periodic packets.
    pub lateness: Lateness,
}

/// A question, with where the answer goes.
#[derive(Debug)]
pub enum Request {
    /// These exist; a few at a time.
    Ensure(Vec<Wanted>, oneshot::Sender<Result<(), String>>),
    /// Others than these (sorted) leave.
    Retain(Vec<SessionKey>, oneshot::Sender<()>),
    /// How everything stands.
    Show(oneshot::Sender<Snapshot>),
    /// Counters.
    Totals(oneshot::Sender<Box<Totals>>),
    /// Duplicates of all sockets.
    Sockets(oneshot::Sender<std::io::Result<Vec<Named>>>),
    /// Stop, until `Resume`; the answer says since when.
    Pause(oneshot::Sender<Duration>),
    /// Nobody has taken over: go on.
    Resume,
}

/// The way to the worker; cheap to clone.
#[derive(Clone, Debug)]
pub struct Worker {
    requests: SyncSender<Request>,
    wake: Arc<EventFd>,
}

impl Worker {
    pub(crate) fn new(requests: SyncSender<Request>, wake: Arc<EventFd>) -> Worker {
        Worker { requests, wake }
    }

    /// Without an answer.
    pub fn tell(&self, request: Request) -> Result<(), Status> {
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Status::resource_exhausted("ppmd has many requests; ask again")),
            Err(TrySendError::Disconnected(_)) => return Err(Status::unavailable("ppmd is ending")),
        }
        let _ = self.wake.write(1);
        Ok(())
    }

    /// With one.
    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.tell(request(reply))?;
        match tokio::time::timeout(ANSWER_DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Status::unavailable("ppmd hands its sessions over; ask its successor")),
            Err(_) => Err(Status::deadline_exceeded("ppmd's worker does not answer")),
        }
    }
}
