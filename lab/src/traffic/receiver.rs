//! Receives probes and notes them.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use super::{
    flow::Flow,
    packet::{PROBE_BYTES, PROBE_PORT, Probe},
    sender::unspecified,
};
use crate::{
    error::{Doing, Result},
    host::{interrupt, netns::Namespace},
    limits,
    time::mono_ns,
};

/// A running receiver; it ends with the guard.
#[derive(Debug)]
pub struct Receiver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Receiver {
    /// Opens the socket in a namespace and starts to note what arrives for the flows.
    pub fn start(namespace: &Namespace, nonce: u64, flows: Vec<Arc<Flow>>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let socket = {
            let any = unspecified(&flows);
            namespace.inside(move || open(any))?
        };
        let thread = namespace.spawn_thread("probe receiver", move || {
            receive(&socket, nonce, &flows, &stopped);
            Ok(())
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(any: IpAddr) -> Result<UdpSocket> {
    let doing = || format!("open a probe socket on port {PROBE_PORT}");
    let socket = Socket::new(Domain::for_address((any, PROBE_PORT).into()), Type::DGRAM, None).doing(doing)?;
    setsockopt(&socket, sockopt::RcvBufForce, &limits::PROBE_RECEIVE_BUFFER_BYTES).doing(doing)?;
    socket.bind(&SocketAddr::from((any, PROBE_PORT)).into()).doing(doing)?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).doing(doing)?;
    Ok(socket.into())
}

fn receive(socket: &UdpSocket, nonce: u64, flows: &[Arc<Flow>], stop: &AtomicBool) {
    let mut buffer = [0; PROBE_BYTES + 1];
    while !stop.load(Ordering::Relaxed) && !interrupt::requested() {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let probe = buffer.get(..length).and_then(Probe::decode).filter(|p| p.nonce == nonce);
        let Some(probe) = probe else { continue };
        if let Some(flow) = flows.iter().find(|f| f.id == probe.flow) {
            flow.arrived(probe.number, probe.sent_ns, mono_ns());
        }
    }
}
