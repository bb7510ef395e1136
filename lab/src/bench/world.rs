//! All neighbours of the router: one thread, one `poll`, no copies. It sends bytes that were built beforehand, and counts.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    time::{ClockId, clock_gettime},
};

use super::{count::Count, input::Part, input::Session, limits};
use crate::{
    bgp::message::{self, HEADER_BYTES},
    error::{Doing, LabError, Result},
    host::{interrupt, netns::Namespace},
    time::mono_ns,
};

/// What the sessions' thread is asked to do.
#[derive(Debug)]
pub enum Order {
    /// Send this in the session of this number.
    Send(usize, Arc<Vec<u8>>),
    /// End the session of this number.
    Close(usize),
    /// Begin to count anew what is announced: what was heard so far counts as not heard.
    Forget,
}

/// What is known of one session.
#[derive(Debug, Default)]
pub struct Heard {
    established: AtomicBool,
    present: AtomicUsize,
    updates: AtomicU64,
    announced: AtomicU64,
    withdrawn: AtomicU64,
    refreshes: AtomicU64,
}

/// What the thread tells.
#[derive(Debug, Default)]
struct State {
    sessions: Vec<Heard>,
    /// When the first order after the last `Forget` was obeyed.
    began_ns: AtomicU64,
    last_update_ns: AtomicU64,
    cpu_ns: AtomicU64,
    forgotten: AtomicU64,
    stop: AtomicBool,
    error: Mutex<Option<String>>,
}

/// The running sessions; they end with the value.
#[derive(Debug)]
pub struct World {
    orders: mpsc::Sender<Order>,
    state: Arc<State>,
    forgets: AtomicU64,
    thread: Option<JoinHandle<Result<()>>>,
}

impl World {
    /// Connects all sessions, in a namespace; the table of each waits for an order.
    pub fn start(namespace: &Namespace, parts: &[Part]) -> Result<Self> {
        let sessions = parts.iter().map(|_| Heard::default()).collect();
        let state = Arc::new(State { sessions, ..State::default() });
        let (orders, receiver) = mpsc::channel();
        let (inner, parts) = (Arc::clone(&state), parts.to_vec());
        let thread = namespace.spawn_thread("sessions", move || {
            let outcome = serve(&parts, &receiver, &inner);
            if let Err(error) = &outcome {
                *inner.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
            outcome
        })?;
        Ok(Self { orders, state, forgets: AtomicU64::new(0), thread: Some(thread) })
    }

    /// Fails if a session has ended that was not to.
    pub fn check(&self) -> Result<()> {
        match self.state.error.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(error) => Err(LabError::Fatal(error.clone())),
            None => Ok(()),
        }
    }

    /// How many sessions are up.
    pub fn established(&self) -> usize {
        self.state.sessions.iter().filter(|heard| heard.established.load(Relaxed)).count()
    }

    /// Gives an order.
    pub fn order(&self, order: Order) {
        // A thread that has ended has left its error.
        let _ = self.orders.send(order);
    }

    /// What was announced counts as not heard; returns when that is so.
    pub fn forget(&self) -> Result<()> {
        let number = self.forgets.fetch_add(1, Relaxed) + 1;
        self.order(Order::Forget);
        interrupt::wait_for("the sessions to forget", limits::UP_WITHIN, || {
            self.check()?;
            if self.state.forgotten.load(Relaxed) >= number { Ok(()) } else { Err("not yet".into()) }
        })
    }

    /// Prefixes that stand announced in a session.
    pub fn present(&self, session: usize) -> usize {
        self.state.sessions.get(session).map_or(0, |heard| heard.present.load(Relaxed))
    }

    /// UPDATEs, announced and withdrawn prefixes in a session, since its start.
    pub fn totals(&self, session: usize) -> [u64; 3] {
        let of =
            |heard: &Heard| [heard.updates.load(Relaxed), heard.announced.load(Relaxed), heard.withdrawn.load(Relaxed)];
        self.state.sessions.get(session).map_or([0; 3], of)
    }

    /// How often the router asked for a whole table again (RFC 2918).
    pub fn refreshes(&self) -> u64 {
        self.state.sessions.iter().map(|heard| heard.refreshes.load(Relaxed)).sum()
    }

    /// When the first order since the last `forget` was obeyed.
    pub fn began_ns(&self) -> u64 {
        self.state.began_ns.load(Relaxed)
    }

    /// When the last UPDATE came, in any session.
    pub fn last_update_ns(&self) -> u64 {
        self.state.last_update_ns.load(Relaxed)
    }

    /// Processor time of the thread.
    pub fn cpu_s(&self) -> f64 {
        self.state.cpu_ns.load(Relaxed) as f64 / 1e9
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.state.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Connection {
    stream: Option<TcpStream>,
    session: Session,
    /// What a router that asks for everything again is sent.
    table: Arc<Vec<u8>>,
    table_sent: bool,
    input: Vec<u8>,
    filled: usize,
    output: VecDeque<(Arc<Vec<u8>>, usize)>,
    next_keepalive: Instant,
    count: Count,
}

fn serve(parts: &[Part], orders: &mpsc::Receiver<Order>, state: &State) -> Result<()> {
    let mut connections = parts.iter().map(|part| Connection::open(part, state)).collect::<Result<Vec<_>>>()?;
    while !state.stop.load(Relaxed) && !interrupt::requested() {
        while let Ok(order) = orders.try_recv() {
            obey(order, &mut connections, state);
        }
        wait(&connections)?;
        let mut heard_update = false;
        for (connection, heard) in connections.iter_mut().zip(&state.sessions) {
            heard_update |= connection.turn(heard)?;
        }
        if heard_update {
            state.last_update_ns.store(mono_ns(), Relaxed);
        }
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default();
        state.cpu_ns.store(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
    Ok(())
}

fn obey(order: Order, connections: &mut [Connection], state: &State) {
    let begin = || {
        // Only the first order counts.
        let _ = state.began_ns.compare_exchange(0, mono_ns(), Relaxed, Relaxed);
    };
    match order {
        Order::Forget => {
            for (connection, heard) in connections.iter_mut().zip(&state.sessions) {
                connection.count.present.clear();
                heard.present.store(0, Relaxed);
            }
            state.began_ns.store(0, Relaxed);
            state.forgotten.fetch_add(1, Relaxed);
        }
        Order::Send(session, bytes) => {
            begin();
            if let Some(connection) = connections.get_mut(session) {
                connection.table_sent = true;
                connection.output.push_back((bytes, 0));
            }
        }
        Order::Close(session) => {
            begin();
            if let Some(connection) = connections.get_mut(session) {
                connection.stream = None;
            }
        }
    }
}

fn wait(connections: &[Connection]) -> Result<()> {
    let watched = |connection: &Connection| {
        if connection.output.is_empty() { PollFlags::POLLIN } else { PollFlags::POLLIN | PollFlags::POLLOUT }
    };
    let mut descriptors: Vec<_> = connections
        .iter()
        .filter_map(|connection| Some(PollFd::new(connection.stream.as_ref()?.as_fd(), watched(connection))))
        .collect();
    match poll(&mut descriptors, PollTimeout::from(limits::POLL_MS)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error).doing(|| "poll".into()),
    }
}

impl Connection {
    /// Connects, again and again until the router listens.
    fn open(part: &Part, state: &State) -> Result<Self> {
        let session = part.session;
        let title = format!("a connection to {}", session.router);
        let stream = interrupt::wait_for(&title, limits::UP_WITHIN, || {
            if state.stop.load(Relaxed) {
                return Err(LabError::Interrupted.into());
            }
            connect(session).map_err(Into::into)
        })?;
        let mut open = Vec::new();
        message::open(&mut open, session.autonomous_system, limits::HOLD_TIME_S, session.address);
        Ok(Self {
            stream: Some(stream),
            session,
            table: Arc::clone(&part.table),
            table_sent: false,
            input: vec![0; limits::READ_BYTES + message::MESSAGE_BYTES_MAX],
            filled: 0,
            output: VecDeque::from([(Arc::new(open), 0)]),
            next_keepalive: Instant::now() + limits::KEEPALIVE_EVERY,
            count: Count::of(part.hears.as_ref().clone()),
        })
    }

    /// Reads, counts, writes; whether an UPDATE came.
    fn turn(&mut self, heard: &Heard) -> Result<bool> {
        if self.stream.is_none() {
            return Ok(false);
        }
        let before = self.count.updates;
        self.read(heard)?;
        self.write()?;
        if self.count.updates == before {
            return Ok(false);
        }
        heard.present.store(self.count.present.len(), Relaxed);
        heard.updates.store(self.count.updates, Relaxed);
        heard.announced.store(self.count.announced, Relaxed);
        heard.withdrawn.store(self.count.withdrawn, Relaxed);
        Ok(true)
    }

    fn read(&mut self, heard: &Heard) -> Result<()> {
        for _ in 0..limits::READS_PER_TURN {
            let Some(stream) = &mut self.stream else { return Ok(()) };
            let room = self.input.get_mut(self.filled..).unwrap_or_default();
            match stream.read(room) {
                Ok(0) => {
                    let text = format!("the router closed the session with {}", self.session.address);
                    return Err(LabError::Protocol(text));
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).doing(|| format!("read from {}", self.session.router)),
            }
            self.messages(heard)?;
        }
        Ok(())
    }

    fn messages(&mut self, heard: &Heard) -> Result<()> {
        let mut start = 0;
        while let Some(length) = message::message_length(self.input.get(start..self.filled).unwrap_or_default())? {
            let end = start + length;
            if end > self.filled {
                break;
            }
            self.message(start, end, heard)?;
            start = end;
        }
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(())
    }

    fn message(&mut self, start: usize, end: usize, heard: &Heard) -> Result<()> {
        let message = self.input.get(start..end).unwrap_or_default();
        match message.get(HEADER_BYTES - 1).copied() {
            Some(message::UPDATE) => self.count.update(message)?,
            Some(message::OPEN) => self.keepalive(),
            Some(message::KEEPALIVE) => heard.established.store(true, Relaxed),
            Some(message::ROUTE_REFRESH) if self.table_sent => {
                heard.refreshes.fetch_add(1, Relaxed);
                self.output.push_back((Arc::clone(&self.table), 0));
            }
            Some(message::NOTIFICATION) => {
                let code = message.get(HEADER_BYTES..HEADER_BYTES + 2);
                let text = format!("the router sent {} NOTIFICATION {code:?}", self.session.address);
                return Err(LabError::Protocol(text));
            }
            _ => {}
        }
        Ok(())
    }

    fn keepalive(&mut self) {
        let mut bytes = Vec::new();
        message::frame(&mut bytes, message::KEEPALIVE, &[]);
        self.output.push_back((Arc::new(bytes), 0));
        self.next_keepalive = Instant::now() + limits::KEEPALIVE_EVERY;
    }

    fn write(&mut self) -> Result<()> {
        if Instant::now() >= self.next_keepalive {
            self.keepalive();
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        while let Some((bytes, written)) = self.output.front_mut() {
            match stream.write(bytes.get(*written..).unwrap_or_default()) {
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).doing(|| format!("write to {}", self.session.router)),
            }
            if *written >= bytes.len() {
                self.output.pop_front();
            }
        }
        Ok(())
    }
}

fn connect(session: Session) -> Result<TcpStream> {
    use socket2::{Domain, Socket, Type};
    let doing = || format!("connect to {}", session.router);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).doing(doing)?;
    socket.bind(&SocketAddr::from((session.address, 0)).into()).doing(doing)?;
    socket.connect_timeout(&SocketAddr::from((session.router, 179)).into(), Duration::from_secs(2)).doing(doing)?;
    socket.set_tcp_nodelay(true).doing(doing)?;
    socket.set_nonblocking(true).doing(doing)?;
    Ok(socket.into())
}
