//! The thread that owns the sessions.
//!
//! A turn: wait for the nearest deadline, a datagram or a request; feed what has arrived; serve a request or two; do what is due. Datagrams
//! come first, so that a neighbour is not lost because this thread was kept from running. A turn that is overdue the [`deputy`] takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_bfd::session::{Inheritance, Output, Session};
use holdfast_bfd::sessions::{Arrival, RECORD_LEN, Record, SessionKey, Sessions};
use holdfast_bfd::wire::{Datagram, State};
use holdfast_bfd::{Discard, SESSIONS_MAX};
use holdfast_kernel::allocations;
use holdfast_kernel::realtime::{self, Timer};
use holdfast_kernel::records::RecordFile;
use holdfast_kernel::udp;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::mpsc;

use crate::deputy;
use crate::error::PpmdError;
use crate::handover::{Baton, Place};
use crate::lateness::Lateness;
use crate::limits::{
    CHANGE_QUEUE, DATAGRAMS_PER_TURN, DEPUTY_AFTER, OUTPUTS_PER_TURN, PRIORITY, REQUEST_QUEUE, REQUESTS_PER_TURN,
    RESPITE, STACK_LEN, STOOD_STILL,
};
use crate::request::{Change, ChangeOf, Origin, Request, Seen, Snapshot, Totals, Wanted, Worker};
use crate::sockets::{LISTENERS, Sockets, is_multihop};

/// Octets of the longest datagram that could be a control packet.
const DATAGRAM_LEN: usize = 256;
/// What epoll says of the timer and of requests; listeners say their number.
const TIMER: u64 = 100;
const WAKE: u64 = 101;

/// Changes, as watchers get them, and whether some were dropped.
#[derive(Debug)]
pub struct Changes {
    /// In order.
    pub queue: mpsc::Receiver<Change>,
    /// Set when the queue was full.
    pub dropped: Arc<AtomicBool>,
}

/// What the two threads share; nothing once it is over.
pub(crate) type Shared = Arc<Mutex<Option<Thread>>>;

/// Whose turn it is.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Option<Thread>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread. With a baton it takes over; else it goes on with what a dead predecessor has left, if anything.
pub fn start(place: &Place, baton: Option<Baton>) -> Result<(Worker, Changes), PpmdError> {
    let failed = |what| move |source: std::io::Error| PpmdError::Start { what, source };
    let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
        .map_err(|error| failed("make an eventfd")(error.into()))?;
    let wake = Arc::new(wake);
    let (requests, asked) = sync_channel(REQUEST_QUEUE);
    let (changes, queue) = mpsc::channel(CHANGE_QUEUE);
    let dropped = Arc::new(AtomicBool::new(false));
    let thread = Thread::new(place.records()?, asked, wake.clone(), changes, dropped.clone())?;
    let epoll = thread.epoll.clone();
    let shared = Arc::new(Mutex::new(Some(thread)));
    let run = move || run(&shared, &epoll, baton);
    std::thread::Builder::new()
        .name("ppmd-worker".into())
        .stack_size(STACK_LEN)
        .spawn(run)
        .map_err(failed("start the worker"))?;
    Ok((Worker::new(requests, wake), Changes { queue, dropped }))
}

/// All that the worker is.
pub(crate) struct Thread {
    sessions: Sessions,
    sockets: Sockets,
    records: RecordFile,
    timer: Timer,
    /// That of the deputy, if there is one.
    deputys_timer: Option<Arc<Timer>>,
    epoll: Arc<Epoll>,
    wake: Arc<EventFd>,
    requests: Receiver<Request>,
    changes: mpsc::Sender<Change>,
    dropped: Arc<AtomicBool>,
    number: u64,
    totals: Totals,
    buffer: [u8; DATAGRAM_LEN],
}

/// The first thread. Waits without the lock, and takes turns with it.
fn run(shared: &Shared, epoll: &Epoll, baton: Option<Baton>) {
    let realtime = run_first();
    let deputy = if realtime { deputy::appoint(shared) } else { Ok(None) };
    if let Err(error) = &deputy {
        tracing::warn!("no deputy thread ({error}): packets are late when the kernel holds a processor for long");
    }
    if let Some(thread) = &mut *lock(shared) {
        thread.totals.realtime = realtime;
        thread.deputys_timer = deputy.unwrap_or_default();
        thread.begin(baton);
    }
    let mut events = [EpollEvent::empty(); LISTENERS + 2];
    loop {
        let seen = epoll.wait(&mut events, EpollTimeout::NONE).unwrap_or(0);
        let is_asked = events[..seen].iter().any(|event| event.data() == WAKE);
        let mut worker = lock(shared);
        if !worker.as_mut().is_some_and(|thread| thread.turn(is_asked)) {
            *worker = None;
            return;
        }
    }
}

fn run_first() -> bool {
    let result = realtime::run_first(PRIORITY);
    if let Err(error) = &result {
        tracing::warn!(
            "no real-time priority ({error}): packets are late when the machine is busy; grant CAP_SYS_NICE"
        );
    }
    result.is_ok()
}

/// CLOCK_MONOTONIC.
fn now() -> Duration {
    Duration::from_nanos(holdfast_ipc::mono_ns())
}

impl Thread {
    fn new(
        records: RecordFile,
        requests: Receiver<Request>,
        wake: Arc<EventFd>,
        changes: mpsc::Sender<Change>,
        dropped: Arc<AtomicBool>,
    ) -> Result<Thread, PpmdError> {
        let failed = |what| move |source| PpmdError::Start { what, source };
        let timer = Timer::new().map_err(failed("make a timer"))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| failed("make an epoll")(e.into()))?;
        let watch = |fd, data| epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, data));
        watch(std::os::fd::AsFd::as_fd(&timer), TIMER).map_err(|error| failed("watch the timer")(error.into()))?;
        watch(std::os::fd::AsFd::as_fd(&*wake), WAKE).map_err(|error| failed("watch for requests")(error.into()))?;
        let seed = holdfast_ipc::mono_ns() ^ (u64::from(std::process::id()) << 40);
        Ok(Thread {
            sessions: Sessions::new(seed),
            sockets: Sockets::default(),
            records,
            timer,
            deputys_timer: None,
            epoll: Arc::new(epoll),
            wake,
            requests,
            changes,
            dropped,
            number: 0,
            totals: Totals {
                origin: Origin::Found,
                takeover: Duration::ZERO,
                realtime: false,
                sessions: 0,
                up: 0,
                sent: 0,
                received: 0,
                allocations: 0,
                stood_in: 0,
                send_errors: 0,
                last_send_error: 0,
                discards: [0; Discard::ALL.len()],
                lateness: Lateness::default(),
            },
            buffer: [0; DATAGRAM_LEN],
        })
    }

    /// Takes over, or goes on with what there is.
    fn begin(&mut self, baton: Option<Baton>) {
        match baton {
            Some(baton) => self.take_over(baton),
            None => self.adopt(Inheritance::Found),
        }
        self.set_timers();
    }

    /// One turn. False: nobody can ask any more.
    fn turn(&mut self, is_asked: bool) -> bool {
        let heard = self.counted(Self::hear);
        if is_asked && !self.serve() {
            return false;
        }
        self.counted(|thread| thread.act(heard));
        self.set_timers();
        true
    }

    /// A part of a turn that is to ask for no memory, with a count of how often it does.
    fn counted<T>(&mut self, part: impl FnOnce(&mut Self) -> T) -> T {
        let before = allocations::asked();
        let result = part(self);
        self.totals.allocations += allocations::asked().wrapping_sub(before);
        result
    }

    /// The deputy takes a turn, if the first thread should have taken it by now.
    pub(crate) fn stand_in(&mut self) {
        if self.sessions.next_deadline().is_some_and(|deadline| deadline + DEPUTY_AFTER <= now()) {
            self.totals.stood_in += 1;
            self.counted(|thread| {
                let heard = thread.hear();
                thread.act(heard);
            });
        }
        self.set_timers();
    }

    /// All listeners, also those that were not readable just now: what has come meanwhile is heard before anybody is called silent. Up to when that
    /// is so: what comes while others are served or sent to is heard in the next turn.
    fn hear(&mut self) -> Duration {
        let began = now();
        // A session with something prompt to say, left over by the turn before, is first with a deadline of zero, which tells nothing.
        let stood_still =
            self.sessions.next_deadline().is_some_and(|due| due > Duration::ZERO && due + STOOD_STILL <= began);
        self.receive();
        if stood_still {
            self.sessions.stood_still(began, RESPITE);
        }
        began
    }

    fn set_timers(&self) {
        let next = self.sessions.next_deadline();
        let _ = self.timer.set(next);
        if let Some(timer) = &self.deputys_timer {
            let _ = timer.set(next.map(|next| next + DEPUTY_AFTER));
        }
    }

    /// The sockets first, while the predecessor still sends; then the sessions, when it has stopped.
    fn take_over(&mut self, mut baton: Baton) {
        baton.take_sockets().into_iter().for_each(|named| self.sockets.inherit(named));
        for listener in self.sockets.open_listeners() {
            self.watch(listener);
        }
        let inheritance = match baton.stop_predecessor() {
            Ok(stopped) => {
                self.adopt(Inheritance::HandedOver);
                self.totals.takeover = now().saturating_sub(stopped);
                Origin::TookOver
            }
            Err(error) => {
                // It died in between; its records are there all the same.
                tracing::warn!("the predecessor did not answer ({error}); its sessions are taken as it left them");
                self.adopt(Inheritance::Found);
                Origin::Found
            }
        };
        self.totals.origin = inheritance;
        let heard = self.hear();
        self.act(heard);
        baton.confirm();
    }

    /// Goes on with what lies in the records.
    fn adopt(&mut self, inheritance: Inheritance) {
        let now = now();
        let mut record: Record = [0; RECORD_LEN];
        for place in 0..SESSIONS_MAX {
            // A place that became free holds zeroes.
            if !self.records.read(place, &mut record) || record.iter().all(|octet| *octet == 0) {
                continue;
            }
            if let Err(error) = self.sessions.adopt(place, &record, inheritance, now) {
                tracing::error!("a session of the predecessor is lost and begins anew: {error}");
                self.records.write(place, &[]);
                continue;
            }
            let key = self.sessions.get(place).map(|(key, _)| *key);
            if let Some(Err(error)) = key.map(|key| self.listen_for(&key)) {
                tracing::error!("{error}");
            }
        }
        if self.sessions.is_empty() && inheritance == Inheritance::Found {
            self.totals.origin = Origin::Started;
        }
    }

    fn listen_for(&mut self, key: &SessionKey) -> Result<(), String> {
        if let Some(listener) = self.sockets.listen_for(key).map_err(|error| error.to_string())? {
            self.watch(listener);
        }
        Ok(())
    }

    fn watch(&self, listener: usize) {
        let Some(socket) = self.sockets.listener(listener) else { return };
        let event = EpollEvent::new(EpollFlags::EPOLLIN, listener as u64);
        if let Err(error) = self.epoll.add(socket, event) {
            tracing::error!("a socket cannot be watched: {error}");
        }
    }

    /// Feeds what has arrived.
    fn receive(&mut self) {
        for listener in 0..LISTENERS {
            for _ in 0..DATAGRAMS_PER_TURN {
                let Some(socket) = self.sockets.listener(listener) else { break };
                let Ok(Some(received)) = udp::receive(socket, &mut self.buffer) else { break };
                let arrival = Arrival {
                    source: received.source.ip(),
                    interface: received.interface,
                    ttl: received.ttl,
                    multihop: is_multihop(listener),
                };
                match self.sessions.packet_received(&self.buffer[..received.length], &arrival, now()) {
                    Ok(place) => {
                        self.totals.received += 1;
                        self.follow(place);
                    }
                    Err(reason) => self.totals.discards[reason.index()] += 1,
                }
            }
        }
    }

    /// Does what follows from a packet before the next is looked at: no change is passed over. In its own session alone: what others have sent
    /// may still be waiting.
    fn follow(&mut self, place: usize) {
        while let Some(output) = self.sessions.poll_one(place, now()) {
            self.put_out(place, output);
        }
        self.note(place);
    }

    /// Does what is due. Who is silent was so until `heard`.
    fn act(&mut self, heard: Duration) {
        for _ in 0..OUTPUTS_PER_TURN {
            let Some((place, output)) = self.sessions.poll(heard) else { return };
            self.put_out(place, output);
            self.note(place);
        }
    }

    fn put_out(&mut self, place: usize, output: Output) {
        match output {
            Output::Send { datagram, due } => self.send(place, &datagram, due),
            Output::Changed(_) => {
                if let Some(seen) = self.seen(place) {
                    self.tell(ChangeOf::State(Box::new(seen)));
                }
            }
            Output::Left => {
                self.sockets.close(place);
                self.leave(place);
            }
        }
    }

    fn send(&mut self, place: usize, datagram: &Datagram, due: Option<Duration>) {
        let (Some((key, _)), Some(source)) = (self.sessions.get(place), self.sessions.source(place)) else { return };
        let key = *key;
        if let Some(due) = due {
            self.totals.lateness.note(now().saturating_sub(due));
        }
        match self.sockets.send(place, &key, source, datagram.octets()) {
            Ok(port) => {
                self.totals.sent += 1;
                if port != source.1 {
                    self.sessions.set_source_port(place, port);
                }
            }
            Err(error) => {
                self.totals.send_errors += 1;
                self.totals.last_send_error = error.raw_os_error().unwrap_or_default();
            }
        }
    }

    /// Brings the record up to date.
    fn note(&mut self, place: usize) {
        match self.sessions.record(place) {
            Some(record) => self.records.write(place, &record),
            None => self.records.write(place, &[]),
        }
    }

    fn seen(&self, place: usize) -> Option<Seen> {
        let (key, session) = self.sessions.get(place)?;
        let source = self.sessions.source(place)?;
        Some(Seen { key: *key, source, leaving: !self.sessions.is_wanted(place), session: session.clone() })
    }

    fn leave(&mut self, place: usize) {
        let mut record: Record = [0; RECORD_LEN];
        // The session is gone from the table; whose it was is in its last record.
        if self.records.read(place, &mut record)
            && let Some(key) = Sessions::key_of(&record)
        {
            self.tell(ChangeOf::Left(key));
        }
    }

    fn tell(&mut self, what: ChangeOf) {
        self.number += 1;
        if self.changes.try_send(Change { number: self.number, what }).is_err() {
            self.dropped.store(true, Ordering::Release);
        }
    }

    /// A request or two; false: nobody can ask any more.
    fn serve(&mut self) -> bool {
        let _ = self.wake.read();
        for _ in 0..REQUESTS_PER_TURN {
            match self.requests.try_recv() {
                Ok(Request::Pause(reply)) => return self.stand_still(reply),
                Ok(request) => self.answer(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        // There may be more: the next turn looks.
        let _ = self.wake.write(1);
        true
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Ensure(wanted, reply) => {
                // All of them, whatever becomes of one.
                let results = wanted.iter().map(|wanted| self.ensure(wanted));
                let _ = reply.send(results.fold(Ok(()), Result::and));
            }
            Request::Retain(keys, reply) => {
                self.retain(&keys);
                let _ = reply.send(());
            }
            Request::Show(reply) => {
                let sessions = self.sessions.iter().filter_map(|(place, ..)| self.seen(place)).collect();
                let _ = reply.send(Snapshot { number: self.number, sessions });
            }
            Request::Totals(reply) => {
                self.totals.sessions = self.sessions.len() as u32;
                let is_up = |session: &Session| session.state() == State::Up;
                self.totals.up = self.sessions.iter().filter(|(.., session)| is_up(session)).count() as u32;
                let _ = reply.send(Box::new(self.totals));
            }
            Request::Sockets(reply) => drop(reply.send(self.sockets.duplicates())),
            Request::Pause(_) | Request::Resume => {}
        }
    }

    fn ensure(&mut self, wanted: &Wanted) -> Result<(), String> {
        self.listen_for(&wanted.key)?;
        let Wanted { key, local, config } = *wanted;
        if let Some(place) = self.sessions.find(&key)
            && self.sessions.source(place).is_some_and(|(before, _)| before != local)
        {
            self.sockets.close(place);
        }
        let place =
            self.sessions.ensure(key, local, config, now()).map_err(|error| format!("{}: {error}", key.peer))?;
        self.note(place);
        Ok(())
    }

    fn retain(&mut self, wanted: &[SessionKey]) {
        let gone: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(place, key, _)| self.sessions.is_wanted(*place) && wanted.binary_search(key).is_err())
            .map(|(_, key, _)| *key)
            .collect();
        for key in gone {
            self.sessions.leave(&key, now());
            if let Some(place) = self.sessions.find(&key) {
                self.note(place);
            }
        }
    }

    /// Everything is in the records, and nothing is read or sent: a successor has its turn. True: it did not take it.
    fn stand_still(&mut self, reply: tokio::sync::oneshot::Sender<Duration>) -> bool {
        let stopped = now();
        if reply.send(stopped).is_err() {
            return true;
        }
        loop {
            match self.requests.recv() {
                Ok(Request::Resume) => break,
                Ok(_) => {} // whoever asks is told to ask the successor
                Err(_) => return false,
            }
        }
        // What the successor may have done with the sessions before it failed is in the records.
        let seed = stopped.as_nanos() as u64;
        self.sessions = Sessions::new(seed);
        self.adopt(Inheritance::Found);
        true
    }
}
