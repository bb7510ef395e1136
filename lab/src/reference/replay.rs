//! A neighbour that says again what another one said, word by word, and keeps what it is told.
//!
//! Two threads on one connection: one writes, one reads, so that neither side waits for the other.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    bench::input::Session,
    bgp::{
        message::{self, HEADER_BYTES},
        told::Told,
    },
    capture::stream::Record,
    error::{Doing, LabError, Result},
    host::{interrupt, netns::Namespace},
    limits,
    time::mono_ns,
    topology::HOLD_TIME_S,
};

/// At least so often something is said (RFC 4271 §4.4).
const KEEPALIVE_EVERY: Duration = Duration::from_secs(HOLD_TIME_S as u64 / 3);
/// Written at once; between two pieces it is looked whether a KEEPALIVE is due.
const PIECE_BYTES: usize = 64 << 10;

/// A running replay; it ends with the value.
#[derive(Debug)]
pub struct Replay {
    /// Keeps the connection open when both threads have ended.
    _stream: TcpStream,
    shared: Arc<Shared>,
    reader: Mutex<Option<JoinHandle<Result<Told>>>>,
    writer: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    established: AtomicBool,
    sent: AtomicBool,
    stop: AtomicBool,
    routes: AtomicUsize,
    heard_ns: AtomicU64,
    error: Mutex<Option<String>>,
}

impl Shared {
    fn stopping(&self) -> bool {
        self.stop.load(Relaxed) || interrupt::requested()
    }

    /// Passes an outcome on, and notes why it is none.
    fn noted<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome {
            self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
        }
        outcome
    }
}

impl Replay {
    /// Connects from a namespace and begins.
    pub fn start(namespace: &Namespace, session: Session, record: &Record) -> Result<Self> {
        let title = format!("a connection to {}", session.router);
        let stream = interrupt::wait_for(&title, limits::SESSIONS_UP_WITHIN, || {
            namespace.inside(|| connect(session)).map_err(Into::into)
        })?;
        let shared = Arc::new(Shared { heard_ns: AtomicU64::new(mono_ns()), ..Shared::default() });
        let other = stream.try_clone().doing(|| "duplicate a connection".into())?;
        let (for_reader, for_writer, record) = (Arc::clone(&shared), Arc::clone(&shared), record.clone());
        let mut read_from = stream.try_clone().doing(|| "duplicate a connection".into())?;
        let reader =
            namespace.spawn_thread("replay, reading", move || for_reader.noted(read(&mut read_from, &for_reader)))?;
        let writer =
            namespace.spawn_thread("replay, writing", move || for_writer.noted(write(other, &record, &for_writer)))?;
        Ok(Self { _stream: stream, shared, reader: Mutex::new(Some(reader)), writer: Some(writer) })
    }

    /// Fails if the session has ended.
    pub fn check(&self) -> Result<()> {
        match self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(error) => Err(LabError::Fatal(format!("the router that never rebooted: {error}"))),
            None => Ok(()),
        }
    }

    /// Everything has been said again.
    pub fn has_sent_all(&self) -> bool {
        self.shared.sent.load(Relaxed)
    }

    /// Since when no UPDATE has come.
    pub fn quiet_for(&self) -> Duration {
        Duration::from_nanos(mono_ns().saturating_sub(self.shared.heard_ns.load(Relaxed)))
    }

    /// Routes that it has been told.
    pub fn routes(&self) -> usize {
        self.shared.routes.load(Relaxed)
    }

    /// What comes from now on is not heard. The session stays up as long as the value.
    pub fn hear_no_more(&self) {
        self.shared.stop.store(true, Relaxed);
    }

    /// What it was told until then; once.
    pub fn told(&self) -> Result<Told> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        let told = reader.map(JoinHandle::join);
        told.and_then(std::result::Result::ok).unwrap_or_else(|| Err(LabError::Protocol("a replay panicked".into())))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.hear_no_more();
        let _ = self.told();
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

fn connect(session: Session) -> Result<TcpStream> {
    use socket2::{Domain, Socket, Type};
    let doing = || format!("connect to {}", session.router);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).doing(doing)?;
    socket.bind(&SocketAddr::from((session.address, 0)).into()).doing(doing)?;
    socket.connect_timeout(&SocketAddr::from((session.router, 179)).into(), Duration::from_secs(2)).doing(doing)?;
    // Both threads look up now and then whether they are to end.
    socket.set_read_timeout(Some(limits::POLL_EVERY)).doing(doing)?;
    socket.set_write_timeout(Some(limits::POLL_EVERY)).doing(doing)?;
    Ok(socket.into())
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn read(stream: &mut TcpStream, shared: &Shared) -> Result<Told> {
    let (mut told, mut input, mut chunk) = (Told::default(), Vec::new(), vec![0; 256 << 10]);
    while !shared.stopping() {
        match stream.read(&mut chunk) {
            Ok(0) => return Err(LabError::Protocol("the session was closed".into())),
            Ok(count) => input.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if is_timeout(&error) => continue,
            Err(error) => return Err(error).doing(|| "read".into()),
        }
        let mut start = 0;
        while let Some(length) = message::message_length(input.get(start..).unwrap_or_default())? {
            let Some(message) = input.get(start..start + length) else { break };
            hear(message, &mut told, shared)?;
            start += length;
        }
        input.drain(..start);
        shared.routes.store(told.len(), Relaxed);
    }
    Ok(told)
}

fn hear(message: &[u8], told: &mut Told, shared: &Shared) -> Result<()> {
    match message.get(HEADER_BYTES - 1).copied() {
        Some(message::KEEPALIVE) => shared.established.store(true, Relaxed),
        Some(message::UPDATE) => {
            shared.heard_ns.store(mono_ns(), Relaxed);
            told.message(message)?;
        }
        Some(message::NOTIFICATION) => {
            let code = message.get(HEADER_BYTES..HEADER_BYTES + 2);
            return Err(LabError::Protocol(format!("NOTIFICATION {code:?}")));
        }
        _ => {}
    }
    Ok(())
}

fn write(mut stream: TcpStream, record: &Record, shared: &Shared) -> Result<()> {
    let mut keepalive = Vec::new();
    message::frame(&mut keepalive, message::KEEPALIVE, &[]);
    put(&mut stream, &record.open, shared)?;
    put(&mut stream, &keepalive, shared)?;
    let (mut said, mut written) = (Instant::now(), 0);
    while !shared.stopping() {
        if said.elapsed() >= KEEPALIVE_EVERY {
            put(&mut stream, &keepalive, shared)?;
            said = Instant::now();
        }
        if shared.established.load(Relaxed) && written < record.updates.len() {
            let piece = piece(record.updates.get(written..).unwrap_or_default())?;
            put(&mut stream, piece, shared)?;
            written += piece.len();
        } else {
            shared.sent.store(shared.established.load(Relaxed), Relaxed);
            std::thread::sleep(limits::POLL_EVERY);
        }
    }
    Ok(())
}

/// Some whole messages.
fn piece(updates: &[u8]) -> Result<&[u8]> {
    let mut end = 0;
    while let Some(length) = message::message_length(updates.get(end..).unwrap_or_default())? {
        if end > 0 && end + length > PIECE_BYTES {
            break;
        }
        end += length;
    }
    Ok(updates.get(..end).unwrap_or_default())
}

fn put(stream: &mut TcpStream, mut bytes: &[u8], shared: &Shared) -> Result<()> {
    while !bytes.is_empty() && !shared.stopping() {
        match stream.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error).doing(|| "write".into()),
        }
    }
    Ok(())
}
