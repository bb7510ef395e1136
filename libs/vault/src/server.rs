//! The vault's thread: accepts, reads a packet, answers it. One slow client cannot hold up another, because no
//! socket here ever blocks: a client that does not take its reply is disconnected.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_kernel::descriptor::{recv_with_fds, send_with_fds};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::{Vault, VaultError, limits, protocol, socket};

/// Serves DIR/vault.sock until dropped.
#[derive(Debug)]
pub struct VaultServer {
    path: PathBuf,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl VaultServer {
    /// Listens on `path` and starts the thread.
    pub fn start(path: &Path, vault: Arc<Mutex<Vault>>) -> Result<Self, VaultError> {
        let failed = |source: io::Error| VaultError::Socket { path: path.into(), source };
        let listener = socket::listen(path).map_err(failed)?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(|error| failed(error.into()))?);
        let stop_seen = stop.clone();
        let thread = std::thread::Builder::new()
            .name("vault".into())
            .spawn(move || run(listener, &stop_seen, &vault))
            .map_err(failed)?;
        Ok(VaultServer { path: path.into(), stop, thread: Some(thread) })
    }
}

impl Drop for VaultServer {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

fn run(listener: OwnedFd, stop: &EventFd, vault: &Mutex<Vault>) {
    // The type does not know SOCK_SEQPACKET; accepting is the same for both.
    let listener = UnixListener::from(listener);
    let mut connections: Vec<OwnedFd> = Vec::new();
    let mut buffer = vec![0; limits::PACKET_MAX_LEN];
    loop {
        let mut waiting = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        waiting.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        waiting.extend(connections.iter().map(|c| PollFd::new(c.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waiting, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "the vault cannot wait for its clients");
                return;
            }
        }
        let ready: Vec<bool> = waiting.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if ready[0] {
            return;
        }
        let mut index = 0;
        connections.retain(|connection| {
            index += 1;
            !ready[index + 1] || serve(connection.as_fd(), vault, &mut buffer)
        });
        if ready[1] {
            accept(&listener, &mut connections);
        }
    }
}

fn accept(listener: &UnixListener, connections: &mut Vec<OwnedFd>) {
    let accepted = listener.accept().and_then(|(connection, _)| {
        connection.set_nonblocking(true)?;
        Ok(OwnedFd::from(connection))
    });
    match accepted {
        Ok(connection) if connections.len() < limits::CONNECTIONS_MAX => connections.push(connection),
        Ok(_) => tracing::warn!("more than {} vault clients; one was turned away", limits::CONNECTIONS_MAX),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => tracing::error!(%error, "the vault cannot accept a client"),
    }
}

/// One packet; false: the client is gone or does not read.
fn serve(connection: BorrowedFd<'_>, vault: &Mutex<Vault>, buffer: &mut [u8]) -> bool {
    let (packet, descriptors) = match recv_with_fds(connection, buffer, 1) {
        Ok((0, _)) => return false,
        Ok((length, descriptors)) => (&buffer[..length], descriptors),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
        // Too long, or too many descriptors: the reply to an empty packet says what a request looks like.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => (&buffer[..0], Vec::new()),
        Err(_) => return false,
    };
    let now_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    // A panic while the lock was held cannot have left the map half changed: go on.
    let mut vault = vault.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = protocol::answer(&mut vault, packet, descriptors, now_unix_ms);
    drop(vault);
    let descriptors: Vec<BorrowedFd<'_>> = reply.descriptor.iter().map(AsFd::as_fd).collect();
    send_with_fds(connection, &reply.packet, &descriptors).is_ok()
}
