//! Where packets come in and go out: four sockets that hear (two families, two ports), and one for each session that sends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holdfast_bfd::SESSIONS_MAX;
use holdfast_bfd::sessions::SessionKey;
use holdfast_kernel::{KernelError, udp};

use crate::limits::{
    MULTIHOP_PORT, SINGLE_HOP_PORT, SOURCE_PORT_ATTEMPTS, SOURCE_PORT_MIN, SOURCE_PORTS, TRAFFIC_CLASS,
};

/// One of the sockets that hear.
pub const LISTENERS: usize = 4;

/// Their addresses; those for several hops are the odd ones.
fn address_of(listener: usize) -> SocketAddr {
    let any: IpAddr = if listener < 2 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, if is_multihop(listener) { MULTIHOP_PORT } else { SINGLE_HOP_PORT })
}

/// Whether the listener is the one for several hops.
pub fn is_multihop(listener: usize) -> bool {
    listener % 2 == 1
}

/// A descriptor with what it is for, as a successor gets it.
pub type Named = (u32, OwnedFd);

/// All sockets.
#[derive(Debug)]
pub struct Sockets {
    listeners: [Option<OwnedFd>; LISTENERS],
    senders: Vec<Option<OwnedFd>>,
}

impl Default for Sockets {
    fn default() -> Self {
        Sockets { listeners: [const { None }; LISTENERS], senders: (0..SESSIONS_MAX).map(|_| None).collect() }
    }
}

impl Sockets {
    /// Opens what a session of this kind needs to hear, unless it is open: not before there is one, so that ports of a kind that no
    /// session uses are left to others. Returns the listener when it is new.
    pub fn listen_for(&mut self, key: &SessionKey) -> Result<Option<usize>, KernelError> {
        let listener = if key.peer.is_ipv4() { 0 } else { 2 } + usize::from(key.multihop);
        if self.listeners[listener].is_some() {
            return Ok(None);
        }
        let address = address_of(listener);
        self.listeners[listener] = Some(udp::listen(address.ip(), address.port(), TRAFFIC_CLASS)?);
        Ok(Some(listener))
    }

    /// The socket that hears there.
    pub fn listener(&self, listener: usize) -> Option<BorrowedFd<'_>> {
        self.listeners.get(listener)?.as_ref().map(AsFd::as_fd)
    }

    /// Which listeners are open.
    pub fn open_listeners(&self) -> impl Iterator<Item = usize> + use<> {
        let open: [bool; LISTENERS] = std::array::from_fn(|listener| self.listeners[listener].is_some());
        (0..LISTENERS).filter(move |listener| open[*listener])
    }

    /// Sends a packet of the session at this place, which comes from `local` and `port` (0: not chosen yet). Returns the port.
    pub fn send(
        &mut self,
        place: usize,
        key: &SessionKey,
        (local, port): (Option<IpAddr>, u16),
        octets: &[u8],
    ) -> io::Result<u16> {
        let slot = self.senders.get_mut(place).ok_or(io::ErrorKind::InvalidInput)?;
        let mut port = port;
        if slot.is_none() {
            let (socket, chosen) = open_sender(place, key, local, port)?;
            (*slot, port) = (Some(socket), chosen);
        }
        let to = SocketAddr::new(key.peer, if key.multihop { MULTIHOP_PORT } else { SINGLE_HOP_PORT });
        if let Some(socket) = slot {
            udp::send_to(socket.as_fd(), octets, to, key.interface)?;
        }
        Ok(port)
    }

    /// The session is gone, or sends from another address.
    pub fn close(&mut self, place: usize) {
        if let Some(slot) = self.senders.get_mut(place) {
            *slot = None;
        }
    }

    /// Duplicates of all of them, named: for a successor.
    pub fn duplicates(&self) -> io::Result<Vec<Named>> {
        let listeners = self.listeners.iter().enumerate();
        let senders = self.senders.iter().enumerate().map(|(place, socket)| (LISTENERS + place, socket));
        let open = listeners.chain(senders).filter_map(|(name, socket)| socket.as_ref().map(|socket| (name, socket)));
        open.map(|(name, socket)| Ok((name as u32, socket.try_clone()?))).collect()
    }

    /// One that a predecessor has given away. A name that means nothing is closed.
    pub fn inherit(&mut self, (name, socket): Named) {
        let name = name as usize;
        let slot = match name.checked_sub(LISTENERS) {
            None => self.listeners.get_mut(name),
            Some(place) => self.senders.get_mut(place),
        };
        if let Some(slot) = slot {
            *slot = Some(socket);
        }
    }
}

/// With the port that the session had, if it had one and nobody else has it by now; else with the first that is free, beginning at one that
/// differs from session to session.
fn open_sender(place: usize, key: &SessionKey, local: Option<IpAddr>, port: u16) -> io::Result<(OwnedFd, u16)> {
    let any: IpAddr = if key.peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = local.unwrap_or(any);
    let start = (place as u16).wrapping_mul(5);
    let others =
        (0..SOURCE_PORT_ATTEMPTS).map(|attempt| SOURCE_PORT_MIN + (start.wrapping_add(attempt)) % SOURCE_PORTS);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in Some(port).filter(|port| *port != 0).into_iter().chain(others) {
        match udp::sender(local, key.interface, port, TRAFFIC_CLASS) {
            Ok(socket) => return Ok((socket, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}
