//! The feeder: a BGP speaker behind a neighbour, or the router's neighbour itself. It gives its peer its share of the table
//! from prebuilt bytes, counts what the peer tells it of the rest, and runs the beacons.
//!
//! One thread in the feeder's namespace, one non-blocking socket, one loop: wait, read, act, write.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand::Rng;

use super::{
    beacon::Beacon,
    churn::{self, Churn, Churner},
    message::{self, Attributes, HEADER_BYTES, Prefix},
};
use crate::{
    error::{Doing, LabError, Result},
    family::Family,
    host::{interrupt, netns::Namespace},
    limits,
};

/// What one feeder is.
#[derive(Debug, Clone)]
pub struct FeederPlan {
    /// Its title in messages.
    pub name: String,
    /// Its address, which is also its identifier.
    pub address: Ipv4Addr,
    /// Its AS number.
    pub autonomous_system: u32,
    /// Whom it feeds.
    pub peer: Ipv4Addr,
    /// The session is between these two instead, and about IPv6.
    pub over: Option<(IpAddr, IpAddr)>,
    /// A peer that says nothing for so long is given up.
    pub hold_time_s: u16,
    /// UPDATEs to send once the session is up.
    pub table: Arc<Vec<u8>>,
    /// The prefixes of those: an echo of them is not counted as heard.
    pub own: Arc<HashSet<Prefix>>,
    /// The beacon it sends.
    pub sends: Option<Arc<Beacon>>,
    /// The beacons it hears.
    pub hears: Vec<Arc<Beacon>>,
    /// Its number in the lab.
    pub number: u8,
    /// Asked for, or not, while it runs; nothing: it takes no part in it.
    pub churn: Option<Arc<Churn>>,
}

/// What the rest of the lab sees of a running feeder.
#[derive(Debug, Default)]
pub struct FeederState {
    established: AtomicBool,
    table_sent: AtomicBool,
    prefixes: AtomicUsize,
    downs: AtomicU64,
    reset: AtomicBool,
    stop: AtomicBool,
    error: Mutex<Option<String>>,
}

/// A running feeder; it ends with the guard.
#[derive(Debug)]
pub struct Feeder {
    state: Arc<FeederState>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Of a feeder behind a neighbour; not that of the router's sessions: it is no part of what is judged.
pub const HOLD_TIME_S: u16 = 180;
/// A machine that is busy with other work may skip some.
const KEEPALIVES_PER_HOLD_TIME: u32 = 6;
const RECONNECT_AFTER: Duration = Duration::from_millis(300);

impl Feeder {
    /// Starts it in a namespace.
    pub fn start(namespace: &Namespace, plan: FeederPlan) -> Result<Self> {
        let state = Arc::new(FeederState::default());
        let inner = Arc::clone(&state);
        let title = plan.name.clone();
        let thread = namespace.spawn_thread(&title, move || {
            while !inner.stopping() {
                if let Err(error) = session(&plan, &inner) {
                    *inner.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
                if inner.established.swap(false, Ordering::Relaxed) {
                    inner.downs.fetch_add(1, Ordering::Relaxed);
                }
                inner.table_sent.store(false, Ordering::Relaxed);
                inner.prefixes.store(0, Ordering::Relaxed);
                std::thread::sleep(RECONNECT_AFTER);
            }
            Ok(())
        })?;
        Ok(Self { state, thread: Some(thread) })
    }

    /// Whether the session is up and the whole share has been handed to the kernel.
    pub fn has_sent_all(&self) -> bool {
        self.state.established.load(Ordering::Relaxed) && self.state.table_sent.load(Ordering::Relaxed)
    }

    /// What the rest of the lab sees of it.
    pub fn state(&self) -> Arc<FeederState> {
        Arc::clone(&self.state)
    }

    /// How many prefixes (beacons apart) the neighbour has told it of.
    pub fn prefixes_heard(&self) -> usize {
        self.state.prefixes.load(Ordering::Relaxed)
    }

    /// Why the last session ended.
    pub fn last_error(&self) -> Option<String> {
        self.state.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl FeederState {
    /// Whether the session is up.
    pub fn is_established(&self) -> bool {
        self.established.load(Ordering::Relaxed)
    }

    /// How often an established session has ended.
    pub fn times_down(&self) -> u64 {
        self.downs.load(Ordering::Relaxed)
    }

    /// Asks for the session's end; it begins anew.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || interrupt::requested()
    }
}

/// One session, from connecting to its end.
fn session(plan: &FeederPlan, state: &FeederState) -> Result<()> {
    let stream = connect(plan)?;
    let mut session = Session {
        plan,
        state,
        stream,
        input: Vec::new(),
        output: Vec::new(),
        written: 0,
        table_left: 0..0,
        heard: HashSet::new(),
        next_keepalive: Instant::now() + keepalive_every(plan),
        last_heard: Instant::now(),
        next_beacon: None,
        churner: Churner::new(plan.number, plan.autonomous_system, plan.address),
    };
    message::open_for(&mut session.output, family(plan), plan.autonomous_system, plan.hold_time_s, plan.address);
    while !state.stopping() {
        if state.reset.swap(false, Ordering::Relaxed) {
            return Err(LabError::Protocol(format!("{}: the session was reset", plan.name)));
        }
        session.turn()?;
    }
    Ok(())
}

fn family(plan: &FeederPlan) -> Family {
    if plan.over.is_some() { Family::Inet6 } else { Family::Inet }
}

fn hold_time(plan: &FeederPlan) -> Duration {
    Duration::from_secs(plan.hold_time_s.into())
}

fn keepalive_every(plan: &FeederPlan) -> Duration {
    hold_time(plan) / KEEPALIVES_PER_HOLD_TIME
}

fn connect(plan: &FeederPlan) -> Result<TcpStream> {
    use socket2::{Domain, Socket, Type};
    let (own, peer) = plan.over.unwrap_or((plan.address.into(), plan.peer.into()));
    let doing = || format!("{}: connect to {peer}", plan.name);
    let socket = Socket::new(Domain::for_address((own, 0).into()), Type::STREAM, None).doing(doing)?;
    socket.bind(&SocketAddr::from((own, 0)).into()).doing(doing)?;
    socket.connect_timeout(&SocketAddr::from((peer, 179)).into(), Duration::from_secs(2)).doing(doing)?;
    socket.set_tcp_nodelay(true).doing(doing)?;
    socket.set_nonblocking(true).doing(doing)?;
    Ok(socket.into())
}

struct Session<'a> {
    plan: &'a FeederPlan,
    state: &'a FeederState,
    stream: TcpStream,
    input: Vec<u8>,
    /// Messages made on the way; they go between two messages of the table.
    output: Vec<u8>,
    written: usize,
    /// What of the plan's table is still to be queued.
    table_left: std::ops::Range<usize>,
    heard: HashSet<Prefix>,
    next_keepalive: Instant,
    last_heard: Instant,
    next_beacon: Option<Instant>,
    churner: Churner,
}

impl Session<'_> {
    fn turn(&mut self) -> Result<()> {
        self.wait()?;
        self.read()?;
        self.queue_table();
        self.timers()?;
        self.write()
    }

    fn wait(&self) -> Result<()> {
        let pending = self.written < self.output.len() || !self.table_left.is_empty();
        let events = if pending { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let mut descriptors = [PollFd::new(self.stream.as_fd(), events)];
        match poll(&mut descriptors, PollTimeout::from(5u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(error) => Err(error).doing(|| format!("{}: poll", self.plan.name)),
        }
    }

    fn read(&mut self) -> Result<()> {
        let mut chunk = [0; 65_536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    return Err(LabError::Protocol(format!("{}: the neighbour closed the session", self.plan.name)));
                }
                Ok(count) => {
                    self.last_heard = Instant::now();
                    self.input.extend_from_slice(chunk.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).doing(|| format!("{}: read", self.plan.name)),
            }
            if self.input.len() > limits::FEEDER_BUFFER_BYTES {
                break;
            }
        }
        let mut start = 0;
        while let Some(length) = message::message_length(self.input.get(start..).unwrap_or_default())? {
            let Some(bytes) = self.input.get(start..start + length) else { break };
            let bytes = bytes.to_vec();
            start += length;
            self.message(&bytes)?;
        }
        self.input.drain(..start);
        Ok(())
    }

    fn message(&mut self, bytes: &[u8]) -> Result<()> {
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        match bytes.get(18).copied() {
            Some(message::OPEN) => message::frame(&mut self.output, message::KEEPALIVE, &[]),
            Some(message::KEEPALIVE) if !self.state.established.load(Ordering::Relaxed) => self.established(),
            Some(message::UPDATE) => self.update(body)?,
            Some(message::NOTIFICATION) => {
                return Err(LabError::Protocol(format!(
                    "{}: NOTIFICATION {:?} from the neighbour",
                    self.plan.name,
                    body.get(..2)
                )));
            }
            _ => {}
        }
        Ok(())
    }

    fn established(&mut self) {
        self.state.established.store(true, Ordering::Relaxed);
        self.table_left = 0..self.plan.table.len();
    }

    fn update(&mut self, body: &[u8]) -> Result<()> {
        let update = message::parse_update(body)?;
        for prefix in &update.withdrawn {
            match self.plan.hears.iter().find(|b| b.prefix == *prefix) {
                Some(beacon) => beacon.heard_withdrawal(),
                None => drop(self.heard.remove(prefix)),
            }
        }
        for prefix in &update.announced {
            match self.plan.hears.iter().find(|b| b.prefix == *prefix) {
                Some(beacon) => beacon.heard_announcement(&update.large_communities),
                None if self.plan.own.contains(prefix) || churn::SPACE.contains(prefix.address) => {}
                None => drop(self.heard.insert(*prefix)),
            }
        }
        self.state.prefixes.store(self.heard.len(), Ordering::Relaxed);
        Ok(())
    }

    /// Queues a stretch of the table that ends with a message, when the queue is short.
    fn queue_table(&mut self) {
        if self.table_left.is_empty() || self.output.len() > self.written {
            return;
        }
        let mut end = self.table_left.start;
        while end < self.table_left.end && end - self.table_left.start < limits::FEEDER_BUFFER_BYTES {
            match message::message_length(self.plan.table.get(end..).unwrap_or_default()) {
                Ok(Some(length)) => end += length,
                _ => break,
            }
        }
        let stretch = self.plan.table.get(self.table_left.start..end).unwrap_or_default();
        self.output.extend_from_slice(stretch);
        self.table_left.start = end;
        if self.table_left.is_empty() {
            message::end_of_rib(&mut self.output, family(self.plan));
        }
    }

    fn timers(&mut self) -> Result<()> {
        let now = Instant::now();
        if now.duration_since(self.last_heard) > hold_time(self.plan) {
            return Err(LabError::Protocol(format!("{}: nothing heard within the hold time", self.plan.name)));
        }
        if now >= self.next_keepalive {
            message::frame(&mut self.output, message::KEEPALIVE, &[]);
            self.next_keepalive = now + keepalive_every(self.plan);
        }
        if let Some(churn) = self.plan.churn.as_ref().filter(|_| self.state.table_sent.load(Ordering::Relaxed)) {
            self.churner.turn(churn, now, &mut self.output);
        }
        self.beacon(now);
        Ok(())
    }

    fn beacon(&mut self, now: Instant) {
        let Some(beacon) = self.plan.sends.as_ref().filter(|b| b.is_running()) else {
            self.next_beacon = None;
            return;
        };
        let due = *self.next_beacon.get_or_insert(now);
        if now >= due && self.state.table_sent.load(Ordering::Relaxed) {
            self.change_beacon(beacon);
            let jitter = rand::rng().random_range(0.75..1.25);
            self.next_beacon = Some(now + limits::BEACON_EVERY.mul_f64(jitter));
        }
    }

    fn change_beacon(&mut self, beacon: &Beacon) {
        let number = beacon.next_change();
        if number.is_multiple_of(2) {
            message::withdraw(&mut self.output, &[beacon.prefix]);
            return;
        }
        let attributes = Attributes {
            path: vec![self.plan.autonomous_system],
            large_communities: vec![Beacon::community(number)],
            ..Attributes::default()
        };
        let block = message::attribute_block(&attributes, self.plan.address);
        message::announce(&mut self.output, &block, &[beacon.prefix]);
    }

    fn write(&mut self) -> Result<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|r| !r.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).doing(|| format!("{}: write", self.plan.name)),
            }
        }
        self.output.clear();
        self.written = 0;
        if self.state.established.load(Ordering::Relaxed) && self.table_left.is_empty() {
            self.state.table_sent.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
