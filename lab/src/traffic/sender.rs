//! Sends probes at an even rate, without busy waiting, and never in a burst that a queue would have to absorb.

use std::{
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
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
    host::{interrupt, netns::Namespace},
    limits,
    time::mono_ns,
};

/// A running sender; it ends with the guard.
#[derive(Debug)]
pub struct Sender {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Sender {
    /// Starts it in a namespace; `rate_pps` is for all its flows together.
    pub fn start(namespace: &Namespace, nonce: u64, flows: Vec<Arc<Flow>>, rate_pps: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = namespace.spawn_thread("probe sender", move || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).doing(|| "open a probe socket".into())?;
            send(&socket, nonce, &flows, rate_pps, &stopped);
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

/// Wakes once a millisecond at most and sends what is due.
fn send(socket: &UdpSocket, nonce: u64, flows: &[Arc<Flow>], rate_pps: u32, stop: &AtomicBool) {
    let interval = Duration::from_secs(1) / rate_pps.max(1);
    let wake_every = interval.max(Duration::from_millis(1));
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
        thread::sleep(wake_every.min(next.saturating_duration_since(Instant::now())).max(Duration::from_micros(200)));
    }
}

fn send_one(socket: &UdpSocket, nonce: u64, flow: &Flow) {
    let number = flow.next_number();
    let Some(destination) = flow.destination(number) else { return };
    let probe = Probe { nonce, flow: flow.id, number, sent_ns: mono_ns() };
    match socket.send_to(&probe.encode(), SocketAddrV4::new(destination, PROBE_PORT)) {
        Ok(_) => flow.sent(),
        Err(_) => flow.refused(),
    }
}
