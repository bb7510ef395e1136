use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use holdfast_bgp::session::ConnectionSide;
use holdfast_kernel::tcp;
use mio::Token;

use super::connections::Connection;
use super::{Core, LISTENER_V4, LISTENER_V6, register};
use crate::limits::{ACCEPTS_PER_TURN, LISTEN_BACKLOG};

/// What the vault calls listening sockets.
const KIND: &str = "listener";

/// The sockets that neighbours connect to.
#[derive(Default)]
pub struct Listeners {
    v4: Option<OwnedFd>,
    v6: Option<OwnedFd>,
    ready: [bool; 2],
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
            let present = if v6 { self.listeners.v6.is_some() } else { self.listeners.v4.is_some() };
            if present {
                continue;
            }
            let listener = self.open_listener(v6, port)?;
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
                let listener = if v6 { &self.listeners.v6 } else { &self.listeners.v4 };
                let Some(listener) = listener else { break };
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
        let (neighbor, replaced) = match self.protocols.bgp.tcp_accepted(address, &mut self.rib, now) {
            Ok(neighbor) => neighbor,
            Err(reason) => {
                tracing::info!("connection from {from} refused: {reason}");
                return; // dropped, which closes it
            }
        };
        if let Some(side) = replaced {
            self.close(neighbor, side);
        }
        let prepared = tcp::set_ttl(socket.as_fd(), self.protocols.bgp.neighbor_ttl(neighbor))
            .and_then(|()| tcp::set_traffic_class(socket.as_fd(), tcp::TOS_NETWORK_CONTROL))
            .and_then(|()| tcp::set_nodelay(socket.as_fd(), true));
        if let Err(error) = prepared {
            self.protocols.bgp.tcp_closed(neighbor, ConnectionSide::Accepted, &error.to_string(), &mut self.rib, now);
            return;
        }
        let mut connection = Connection::new(socket, neighbor, ConnectionSide::Accepted, false);
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
