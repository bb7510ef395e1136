//! Sends probes at an even rate, without busy waiting, and never in a burst that a queue would have to absorb.
//!
//! How fine a loss can be timed is how evenly they are sent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    flow::Flow,
    packet::{PROBE_PORT, Probe},
};
use crate::{
    error::{Doing, Result},
    host::{interrupt, netns::Namespace, process},
    limits,
    time::mono_ns,
};

/// How probes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// What is due once a millisecond.
    Bundled,
    /// One by one, by a thread with a real-time priority: an interruption is timed to the distance of two probes.
    Single,
}

impl Pace {
    /// How long the sender sleeps at least and at most, where probes are this far apart.
    fn sleep(self, interval: Duration) -> (Duration, Duration) {
        match self {
            Self::Bundled => (Duration::from_micros(200), interval.max(Duration::from_millis(1))),
            Self::Single => (interval / 4, interval),
        }
    }
}

/// A running sender; it ends with the guard.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Sender {
    /// Starts it in a namespace; `rate_pps` is for all its flows together.
    pub fn start(namespace: &Namespace, nonce: u64, flows: Vec<Arc<Flow>>, rate_pps: u32, pace: Pace) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = namespace.spawn_thread("probe sender", move || {
            let socket = UdpSocket::bind((unspecified(&flows), 0)).doing(|| "open a probe socket".into())?;
            if pace == Pace::Single {
                // Without it an interruption is taken for longer than it was, never for shorter.
                let _ = process::real_time(nix::unistd::gettid());
            }
            let interval = Duration::from_secs(1) / rate_pps.max(1);
            send(&socket, nonce, &flows, interval, pace.sleep(interval), &stopped);
            Ok(())
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Any address of the flows' family: all have one.
pub(super) fn unspecified(flows: &[Arc<Flow>]) -> IpAddr {
    let is_ipv6 = flows.iter().flat_map(|flow| &flow.destinations).any(IpAddr::is_ipv6);
    if is_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
}

/// Sleeps, and sends what is due, over and over.
fn send(
    socket: &UdpSocket,
    nonce: u64,
    flows: &[Arc<Flow>],
    interval: Duration,
    (least, most): (Duration, Duration),
    stop: &AtomicBool,
) {
    let mut next = Instant::now();
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) && !interrupt::requested() {
        let now = Instant::now();
        let mut burst = 0;
        while next <= now && burst < limits::CATCH_UP_PROBES {
            if let Some(flow) = flows.get(turn % flows.len().max(1)) {
                send_one(socket, nonce, flow);
            }
            turn += 1;
            burst += 1;
            next += interval;
        }
        if next <= now {
            next = now + interval;
        }
        thread::sleep(most.min(next.saturating_duration_since(Instant::now())).max(least));
    }
}

fn send_one(socket: &UdpSocket, nonce: u64, flow: &Flow) {
    let number = flow.next_number();
    let Some(destination) = flow.destination(number) else { return };
    let probe = Probe { nonce, flow: flow.id, number, sent_ns: mono_ns() };
    match socket.send_to(&probe.encode(), SocketAddr::new(destination, PROBE_PORT)) {
        Ok(_) => flow.sent(),
        Err(_) => flow.refused(),
    }
}
