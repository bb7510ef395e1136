//! A netlink socket: opened, sized, sent to and received from.

use std::io::{self, IoSlice};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::tcp::set_int_option;

const NETLINK_ADD_MEMBERSHIP: i32 = 1;
const NETLINK_DROP_MEMBERSHIP: i32 = 2;
const NETLINK_CAP_ACK: i32 = 10;
const NETLINK_EXT_ACK: i32 = 11;
const NETLINK_GET_STRICT_CHK: i32 = 12;

/// One instruction of a classic BPF program.
pub(super) type Instruction = libc::sock_filter;

#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    port: u32,
}

impl Socket {
    /// Opens a rtnetlink socket in the calling thread's network namespace.
    pub fn open(buffer_bytes: usize, nonblocking: bool) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: socket() takes integers and returns a new descriptor or -1.
        let raw = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        crate::descriptor::set_buffers(fd.as_fd(), buffer_bytes)?;
        for option in [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK] {
            set_int_option(fd.as_fd(), libc::SOL_NETLINK, option, 1)?;
        }
        let port = bind(fd.as_fd())?;
        Ok(Self { fd, port })
    }

    /// The port that the kernel gave us: what notifications caused by this socket's requests carry.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// How long a receive waits.
    pub fn set_receive_timeout(&self, timeout: Duration) -> io::Result<()> {
        socket2::SockRef::from(&self.fd).set_read_timeout(Some(timeout))
    }

    /// Joins a multicast group (`RTNLGRP_*`).
    pub fn join(&self, group: i32) -> io::Result<()> {
        set_int_option(self.fd.as_fd(), libc::SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    }

    /// Leaves one.
    pub fn leave(&self, group: i32) -> io::Result<()> {
        set_int_option(self.fd.as_fd(), libc::SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group)
    }

    /// Lets the kernel drop what the program refuses before it takes room in our queue.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
        // SAFETY: the kernel reads the structure and the instructions it points to, copies both, and writes neither.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                std::ptr::from_ref(&program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends one datagram to the kernel, put together from parts.
    pub fn send(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        loop {
            // An unconnected netlink socket sends to the kernel.
            match socket2::SockRef::from(&self.fd).send_vectored(parts) {
                Ok(sent) if sent == length => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Receives one datagram from the kernel; datagrams of other processes are thrown away.
    pub fn receive(&self, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
        loop {
            // SAFETY: sockaddr_nl is plain data for which all zeroes is a valid value.
            let mut from: libc::sockaddr_nl = unsafe { zeroed() };
            let mut from_length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            // SAFETY: buffer and address are writable for the lengths given.
            let received = unsafe {
                libc::recvfrom(
                    self.fd.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    flags | libc::MSG_TRUNC,
                    std::ptr::from_mut(&mut from).cast(),
                    &mut from_length,
                )
            };
            match usize::try_from(received) {
                Ok(_) if from.nl_pid != 0 => {}
                Ok(received) if received > buffer.len() => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a datagram longer than the receive buffer",
                    ));
                }
                Ok(received) => return Ok(received),
                Err(_) => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        return Err(error);
                    }
                }
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Has the kernel choose a port, and returns it.
fn bind(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: sockaddr_nl is plain data for which all zeroes is a valid value.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as u16;
    let mut length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // SAFETY: both calls get a sockaddr_nl and its true length; getsockname writes at most that much.
    let result = unsafe {
        match libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), length) {
            0 => libc::getsockname(fd.as_raw_fd(), std::ptr::from_mut(&mut address).cast(), &mut length),
            failed => failed,
        }
    };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(address.nl_pid) }
}
