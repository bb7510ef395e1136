//! What protects neighbours' connections, put on sockets: keys (RFC 2385) and distances (RFC 5082).
//!
//! A connection that is up keeps what its descriptor has, also in another process. A listening socket has to know every neighbour's
//! key before a SYN comes, and it may be an earlier engine's, with keys of a configuration that is no longer in force. So each
//! neighbour of ours is set, or cleared, whenever a socket is taken over, and by difference when the configuration changes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use holdfast_bgp::speaker::{AuthenticationKey, Transport};
use holdfast_kernel::tcp;
use holdfast_proto::v1;
use ipnet::IpNet;

use super::Core;

/// Keys by neighbour, or by the prefix that neighbours are allowed from; `None`: what they send is not signed.
#[derive(Default, Clone)]
pub struct Keys(BTreeMap<IpNet, Option<AuthenticationKey>>);

impl Keys {
    /// Those of a configuration. An address that is not one is refused elsewhere.
    pub fn of(bgp: &v1::BgpConfig) -> Self {
        let keys = bgp.neighbors.iter().filter_map(|neighbor| {
            let address: IpAddr = neighbor.address.parse().ok()?;
            Some((address.to_canonical().into(), AuthenticationKey::new(&neighbor.authentication_key)))
        });
        let allowed = bgp.allowed.iter().filter_map(|allowed| {
            let key = &allowed.template.as_ref()?.authentication_key;
            Some((allowed.prefix.parse().ok()?, AuthenticationKey::new(key)))
        });
        Self(allowed.chain(keys).collect())
    }

    /// Puts them on a listening socket of one family, by difference to what it has; `None`: nobody knows what it has.
    pub fn install(&self, listener: BorrowedFd<'_>, v6: bool, before: Option<&Keys>) -> Result<(), String> {
        let none = Keys::default();
        let of_family = |peers: &&IpNet| peers.addr().is_ipv6() == v6;
        let gone = before.unwrap_or(&none).0.keys().filter(|peers| !self.0.contains_key(*peers));
        for peers in gone.filter(of_family) {
            set(listener, *peers, None)?;
        }
        for (peers, key) in self.0.iter().filter(|(peers, _)| of_family(peers)) {
            // Of a newcomer's address nobody knows what an earlier engine left there.
            if before.and_then(|before| before.0.get(peers)) != Some(key) {
                set(listener, *peers, key.as_ref())?;
            }
        }
        Ok(())
    }
}

fn set(socket: BorrowedFd<'_>, peers: IpNet, key: Option<&AuthenticationKey>) -> Result<(), String> {
    let bytes = key.map_or(b"".as_slice(), AuthenticationKey::as_bytes);
    let result = if peers.prefix_len() == peers.max_prefix_len() {
        tcp::set_md5_key(socket, peers.addr(), bytes)
    } else {
        tcp::set_md5_prefix_key(socket, peers.addr(), peers.prefix_len(), bytes)
    };
    result.map_err(|error| format!("neighbor {peers}: its authentication-key cannot be set on a socket: {error}"))
}

/// Sets up a connection that is about to be made.
pub fn prepare(socket: BorrowedFd<'_>, peer: IpAddr, transport: &Transport) -> std::io::Result<()> {
    if let Some(key) = &transport.key {
        tcp::set_md5_key(socket, peer, key.as_bytes())?;
    }
    adjust(socket, transport)
}

/// Sets up a connection that a neighbour made: it has its key from the listening socket.
pub fn adjust(socket: BorrowedFd<'_>, transport: &Transport) -> std::io::Result<()> {
    tcp::set_ttl(socket, transport.ttl)?;
    if transport.minimum_ttl > 0 {
        tcp::set_minimum_ttl(socket, transport.minimum_ttl)?;
    }
    tcp::set_traffic_class(socket, tcp::TOS_NETWORK_CONTROL)?;
    tcp::set_nodelay(socket, true)
}

/// Changes a connection that is up. `before`: what it has.
fn change(socket: BorrowedFd<'_>, peer: IpAddr, before: &Transport, after: &Transport) -> std::io::Result<()> {
    if before.key != after.key {
        tcp::set_md5_key(socket, peer, after.key.as_ref().map_or(b"", AuthenticationKey::as_bytes))?;
    }
    tcp::set_minimum_ttl(socket, after.minimum_ttl)?;
    tcp::set_ttl(socket, after.ttl)
}

impl Core {
    /// Brings the listening sockets' keys to what a configuration says.
    pub(super) fn install_keys(&mut self, keys: Keys) -> Result<(), String> {
        for v6 in [false, true] {
            if let Some(listener) = self.listeners.of(v6) {
                let installed = keys.install(listener.as_fd(), v6, Some(&self.listeners.keys));
                if installed.is_err() {
                    self.restore_keys(&keys);
                }
                installed?;
            }
        }
        self.listeners.keys = keys;
        Ok(())
    }

    /// What could not be put in force as a whole is taken back, so that sockets have what is noted.
    fn restore_keys(&self, tried: &Keys) {
        for v6 in [false, true] {
            if let Some(listener) = self.listeners.of(v6) {
                let _ = self.listeners.keys.install(listener.as_fd(), v6, Some(tried)); // the first error is the one to tell
            }
        }
    }

    /// Connections that are there are protected as the configuration now says. The session on them goes on: what the other end
    /// does not take yet is repeated until it has been changed as well.
    pub(super) fn renew_transports(&mut self) {
        for token in self.connections.tokens() {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let Some(transport) = self.protocols.bgp.transport(connection.neighbor) else { continue };
            let Some(address) = self.protocols.bgp.neighbor_address(connection.neighbor) else { continue };
            if connection.transport == transport {
                continue;
            }
            match change(connection.fd.as_fd(), address, &connection.transport, &transport) {
                Ok(()) => connection.transport = transport,
                Err(error) => tracing::warn!("neighbor {address}: its connection keeps its key and TTL: {error}"),
            }
        }
    }
}
