use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_bgp::speaker::Rejection;
use holdfast_kernel::tcp;
use mio::Token;

use super::connections::Connection;
use super::transport::{self, Keys};
use super::{Core, LISTENER_V4, LISTENER_V6, register};
use crate::limits::{ACCEPTS_PER_TURN, CLOSE_DISCARD_LEN, LISTEN_BACKLOG};

/// What the vault calls listening sockets.
const KIND: &str = "listener";

/// The sockets that neighbours connect to.
#[derive(Default)]
pub struct Listeners {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
    ready: [bool; 2],
    /// Neighbours' keys by the configuration in force.
    pub(super) keys: Keys,
}

fn vault_name(v6: bool) -> &'static str {
    if v6 { "bgp/listener/inet6" } else { "bgp/listener/inet" }
}

impl Listeners {
    /// Somebody may be waiting.
    pub fn mark_ready(&mut self, v6: bool) {
        self.ready[usize::from(v6)] = true;
    }

    /// Both are open.
    pub fn are_open(&self) -> bool {
        self.v4.is_some() && self.v6.is_some()
    }

    /// The one of a family.
    pub fn of(&self, v6: bool) -> Option<&OwnedFd> {
        if v6 { self.v6.as_ref() } else { self.v4.as_ref() }
    }

    /// Ours are closed; the vault's stay. The kernel's watch has to be taken off first: it belongs to the open socket, which
    /// the vault keeps open.
    pub fn close(&mut self, registry: &mio::Registry) {
        for listener in [self.v4.take(), self.v6.take()].into_iter().flatten() {
            let raw = listener.as_raw_fd();
            let _ = registry.deregister(&mut mio::unix::SourceFd(&raw));
        }
        self.ready = [false; 2];
    }
}

impl Core {
    /// Opens both listening sockets on the port of the configuration in force.
    pub(super) fn listen(&mut self) -> Result<(), String> {
        self.listen_on(self.protocols.bgp.listen_port())
    }

    /// Opens both listening sockets: an earlier engine's out of the vault, else new ones.
    pub(super) fn listen_on(&mut self, port: u16) -> Result<(), String> {
        for v6 in [false, true] {
            if self.listeners.of(v6).is_some() {
                continue;
            }
            let listener = self.open_listener(v6, port)?;
            // The answer to a SYN comes from this socket, and a neighbour with ttl-security takes it with 255 only (RFC 5082 §3).
            tcp::set_ttl(listener.as_fd(), u8::MAX).map_err(|error| error.to_string())?;
            self.listeners.keys.install(listener.as_fd(), v6, None)?;
            let token = if v6 { LISTENER_V6 } else { LISTENER_V4 };
            register(&self.inputs, &listener, token).map_err(|error| error.to_string())?;
            *(if v6 { &mut self.listeners.v6 } else { &mut self.listeners.v4 }) = Some(listener);
            self.listeners.mark_ready(v6);
        }
        Ok(())
    }

    fn open_listener(&mut self, v6: bool, port: u16) -> Result<OwnedFd, String> {
        let vault = self.vault()?;
        if let Ok((listener, _)) = vault.withdraw(vault_name(v6)) {
            if tcp::local_address(listener.as_fd()).is_ok_and(|address| address.port() == port) {
                return Ok(listener);
            }
            vault.remove(vault_name(v6)).map_err(|error| error.to_string())?;
        }
        let address = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        let listener =
            tcp::listen(SocketAddr::new(address, port), LISTEN_BACKLOG).map_err(|error| error.to_string())?;
        vault.deposit(vault_name(v6), KIND, &[], listener.as_fd()).map_err(|error| error.to_string())?;
        Ok(listener)
    }

    /// Takes connections that neighbours opened.
    pub(super) fn accept_connections(&mut self, now: Duration) {
        for v6 in [false, true] {
            if !std::mem::take(&mut self.listeners.ready[usize::from(v6)]) {
                continue;
            }
            for turn in 0.. {
                if turn == ACCEPTS_PER_TURN {
                    self.listeners.mark_ready(v6);
                    break;
                }
                let Some(listener) = self.listeners.of(v6) else { break };
                match tcp::accept(listener.as_fd()) {
                    Ok((socket, from)) => self.accepted(socket, from, now),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                    // The peer gave up before we took it (ECONNABORTED and the like): the next one may be fine.
                    Err(error) => tracing::debug!("a connection was lost before it was accepted: {error}"),
                }
            }
        }
    }

    fn accepted(&mut self, socket: OwnedFd, from: SocketAddr, now: Duration) {
        let address = from.ip().to_canonical();
        let bgp = &self.protocols.bgp;
        let distance = tcp::syn_ttl(socket.as_fd()).and_then(|ttl| bgp.refuses_distance(address, ttl));
        if let Some(reason) = distance.or_else(|| bgp.refuses_link(from, &self.rib)) {
            tracing::warn!("connection from {from} refused: {reason}");
            return; // dropped, which closes it
        }
        let own = tcp::local_address(socket.as_fd()).ok();
        let accepted = match own.and_then(|own| self.protocols.bgp.refuses_own_end(address, own.ip())) {
            Some(rejection) => Err(rejection),
            None => self.protocols.bgp.tcp_accepted(address, &mut self.rib, now),
        };
        let (neighbor, replaced) = match accepted {
            Ok(neighbor) => neighbor,
            Err(Rejection { reason, notification }) => {
                tracing::info!("connection from {from} refused: {reason}");
                if let Some(notification) = notification {
                    // The buffer of a new connection is empty; who has gone already hears nothing.
                    let _ = tcp::send_nowait(socket.as_fd(), &notification.encode());
                    let _ = tcp::discard(socket.as_fd(), CLOSE_DISCARD_LEN);
                }
                return; // dropped, which closes it
            }
        };
        if let Some(side) = replaced {
            self.close(neighbor, side);
        }
        let Some(transport) = self.protocols.bgp.transport(neighbor) else { return };
        if let Err(error) = transport::adjust(socket.as_fd(), &transport) {
            self.protocols.bgp.tcp_closed(neighbor, ConnectionSide::Accepted, &error.to_string(), &mut self.rib, now);
            return;
        }
        let mut connection = Connection::new(socket, neighbor, ConnectionSide::Accepted, false, transport);
        connection.take_bases();
        self.add_connection(connection);
        self.act();
    }

    /// Takes a connection in and has it watched.
    pub(super) fn add_connection(&mut self, connection: Connection) -> Option<Token> {
        let raw = connection.fd.as_raw_fd();
        let token = self.connections.insert(connection);
        match register(&self.inputs, &raw, token) {
            Ok(()) => Some(token),
            Err(error) => {
                tracing::error!("a connection cannot be watched: {error}");
                self.connections.remove(token, self.inputs.poll.registry());
                None
            }
        }
    }
}
