//! SOCK_SEQPACKET sockets at paths of any length.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

/// Bytes that fit into `sun_path` beside its terminator.
const ADDRESS_MAX_LEN: usize = 107;

/// An address for `path`, and the directory that a long one leans on, which stays open while it is used.
fn address(path: &Path) -> io::Result<(UnixAddr, Option<File>)> {
    if path.as_os_str().len() <= ADDRESS_MAX_LEN {
        return Ok((UnixAddr::new(path)?, None));
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path of a socket"));
    };
    let directory = File::open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((UnixAddr::new(&short)?, Some(directory)))
}

fn new_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket::socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | flags, None)?)
}

/// Listens on `path`, in place of what an earlier process left there; for the router's own user only.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = new_socket(SockFlag::SOCK_NONBLOCK)?;
    let (address, _directory) = address(path)?;
    socket::bind(listener.as_raw_fd(), &address)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket::listen(&listener, socket::Backlog::new(64)?)?;
    Ok(listener)
}

pub(crate) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let connection = new_socket(SockFlag::empty())?;
    let (address, _directory) = address(path)?;
    socket::connect(connection.as_raw_fd(), &address)?;
    Ok(connection)
}
