//! The threads that a gateway's BFD runs on.
//!
//! A gateway is another machine, and our kernel's business does not keep it from sending. Here it is the same machine: where its kernel does not preempt
//! itself, a thread that is woken on a processor waits until the system call is over that goes on there, whatever its priority. With a million
//! routes there are such that last longer than BFD's detection time. So there is one thread on each processor; whichever runs first does what is due.
//! Where neither could run for a while the whole machine stood still. Another machine would not have, and would have sent: so nobody is called silent
//! until both ends have had a moment to send what is overdue, and the lab says how long it was.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::gettid,
};

use super::bfd::{Packet, Session};
use crate::{
    error::{Doing, Result},
    host::{interrupt, netns::Namespace, process, processors},
    time::mono_ns,
};

/// RFC 5881 §4.
const PORT: u16 = 3784;
/// RFC 5881 §5.
const TTL: u32 = 255;
/// What is done so late is taken for a standstill of the machine...
const STOOD_STILL: Duration = Duration::from_millis(10);
/// ... and this long a silence may last afterwards.
const RESPITE: Duration = Duration::from_millis(20);
/// How long a thread waits where nothing is due: it may have to end.
const WAIT_MS_MAX: u16 = 100;

/// BFD with the router; it ends with the value.
pub struct Watch {
    session: Arc<Mutex<Session>>,
    stop: Arc<AtomicBool>,
    stood_still_ns: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<()>>>,
}

/// What each thread has.
#[derive(Clone)]
struct Worker {
    session: Arc<Mutex<Session>>,
    stop: Arc<AtomicBool>,
    stood_still_ns: Arc<AtomicU64>,
    receives: Arc<UdpSocket>,
    sends: Arc<UdpSocket>,
    router: SocketAddr,
}

impl Watch {
    /// Starts it in the gateway's namespace. `number`: another for each gateway.
    pub fn start(namespace: &Namespace, number: u8, own: IpAddr, router: IpAddr, interval_ms: u32) -> Result<Self> {
        let (receives, sends) = namespace.inside(move || sockets(number, own))?;
        let session = Session::new(u32::from(number), interval_ms, now());
        let worker = Worker {
            session: Arc::new(Mutex::new(session)),
            stop: Arc::new(AtomicBool::new(false)),
            stood_still_ns: Arc::default(),
            receives: Arc::new(receives),
            sends: Arc::new(sends),
            router: SocketAddr::new(router, PORT),
        };
        let (session, stop) = (worker.session.clone(), worker.stop.clone());
        let stood_still_ns = worker.stood_still_ns.clone();
        let mut watch = Self { session, stop, stood_still_ns, threads: Vec::new() };
        for processor in processors::all()? {
            let worker = worker.clone();
            let work = move || {
                processors::run_on(&[processor])?;
                process::real_time(gettid())?;
                worker.run()
            };
            watch.threads.push(namespace.spawn_thread("bfd", work)?);
        }
        Ok(watch)
    }

    /// Whether it hears the router and the router hears it.
    pub fn is_up(&self) -> bool {
        lock(&self.session).is_up()
    }

    /// How often it was up and is not any more.
    pub fn times_down(&self) -> u64 {
        lock(&self.session).downs()
    }

    /// For how long, at most, nobody here could run since this was asked last.
    pub fn stood_still(&self) -> Duration {
        Duration::from_nanos(self.stood_still_ns.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Duration {
    Duration::from_nanos(mono_ns())
}

fn sockets(number: u8, own: IpAddr) -> Result<(UdpSocket, UdpSocket)> {
    // RFC 5881 §4: from 49152 on.
    let source_port = 49_152 + u16::from(number);
    let open = |port| UdpSocket::bind((own, port)).doing(|| format!("open UDP port {port} for BFD"));
    let (receives, sends) = (open(PORT)?, open(source_port)?);
    receives.set_nonblocking(true).doing(|| "prepare a BFD socket".into())?;
    let hops = socket2::SockRef::from(&sends);
    let set = if own.is_ipv6() { hops.set_unicast_hops_v6(TTL) } else { sends.set_ttl(TTL) };
    set.doing(|| "prepare a BFD socket".into())?;
    Ok((receives, sends))
}

impl Worker {
    fn run(&self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) && !interrupt::requested() {
            let wait = lock(&self.session).deadline().saturating_sub(now());
            // Rounded up: not a turn for each millisecond that is not over yet.
            let wait_ms = u16::try_from(wait.as_millis() + 1).unwrap_or(WAIT_MS_MAX).min(WAIT_MS_MAX);
            let mut watched = [PollFd::new(self.receives.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut watched, PollTimeout::from(wait_ms));
            self.turn(&mut lock(&self.session));
        }
        Ok(())
    }

    /// Packets first: what has come while nobody could run was in time.
    fn turn(&self, session: &mut Session) {
        let mut buffer = [0; 64];
        let late = now().saturating_sub(session.deadline());
        while let Ok((length, from)) = self.receives.recv_from(&mut buffer) {
            let packet = Packet::decode(buffer.get(..length).unwrap_or_default());
            if let Some(packet) = packet.filter(|_| from.ip() == self.router.ip())
                && let Some(answer) = session.receive(packet, now())
            {
                self.send(answer);
            }
        }
        if late >= STOOD_STILL {
            self.stood_still_ns.fetch_max(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            session.give_respite(now(), RESPITE);
        }
        while let Some(packet) = session.poll(rand::random(), now()) {
            self.send(packet);
        }
    }

    /// One that cannot be sent is one that is lost: its link is down.
    fn send(&self, packet: Packet) {
        let _ = self.sends.send_to(&packet.encode(), self.router);
    }
}
