//! Datagrams whose way matters: sent with TTL 255, received with the TTL and the interface that they came in by.
//!
//! Nothing here blocks: every socket is non-blocking. Nothing allocates either, once a socket is open.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::KernelError;
use crate::tcp::set_int_option;

/// As far as a datagram can go; one that arrives with it has passed no router (RFC 5082).
pub const TTL_MAX: u8 = 255;
/// Room for the two things that are asked of the kernel for each datagram, twice over.
const CONTROL_LEN: usize = 128;

/// What has come while nobody read waits here: 4,096 small datagrams, of each of which the kernel counts about a KiB. Its own measure is
/// some 270 of them.
const LISTEN_BUFFER_LEN: usize = 4 << 20;

/// What is said of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Octets of it in the buffer.
    pub length: usize,
    /// The sender.
    pub source: SocketAddr,
    /// The interface's index; 0: not told.
    pub interface: u32,
    /// TTL or hop limit; None: not told.
    pub ttl: Option<u8>,
}

fn open(domain: Domain, traffic_class: u8) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    let fd = std::os::fd::AsFd::as_fd(&socket);
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
        set_int_option(fd, libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS, TTL_MAX.into())?;
        set_int_option(fd, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, traffic_class.into())?;
        set_int_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)?;
        set_int_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    } else {
        set_int_option(fd, libc::IPPROTO_IP, libc::IP_TTL, TTL_MAX.into())?;
        set_int_option(fd, libc::IPPROTO_IP, libc::IP_TOS, traffic_class.into())?;
        set_int_option(fd, libc::IPPROTO_IP, libc::IP_RECVTTL, 1)?;
        set_int_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    Ok(socket)
}

/// A socket that hears what is sent to the port, at any of our addresses of the family of `any`.
pub fn listen(any: IpAddr, port: u16, traffic_class: u8) -> Result<OwnedFd, KernelError> {
    let address = SocketAddr::new(any, port);
    let listening = || {
        let socket = open(Domain::for_address(address), traffic_class)?;
        // As much of it as there is to be had.
        let _ = crate::descriptor::set_buffers(socket.as_fd(), LISTEN_BUFFER_LEN);
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    listening().map_err(|source: io::Error| match source.raw_os_error() {
        Some(libc::EADDRINUSE) => KernelError::DatagramPortInUse { address },
        _ => KernelError::Listen { address, source },
    })
}

/// A socket to send from, bound to this address (unspecified: the kernel chooses by the route) and port. An interface's index other than 0 is
/// the scope of a link-local address.
pub fn sender(local: IpAddr, interface: u32, port: u16, traffic_class: u8) -> io::Result<OwnedFd> {
    let address = scoped(SocketAddr::new(local, port), interface);
    let socket = open(Domain::for_address(address), traffic_class)?;
    // It never reads: what somebody sends there shall not fill memory.
    let _ = socket.set_recv_buffer_size(0);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A link-local address means nothing without its link.
fn scoped(address: SocketAddr, interface: u32) -> SocketAddr {
    match address {
        SocketAddr::V6(mut address) if address.ip().is_unicast_link_local() => {
            address.set_scope_id(interface);
            SocketAddr::V6(address)
        }
        address => address,
    }
}

/// Sends one datagram. An interface's index other than 0 is the scope of a link-local address.
pub fn send_to(socket: BorrowedFd<'_>, octets: &[u8], to: SocketAddr, interface: u32) -> io::Result<()> {
    let address = socket2::SockAddr::from(scoped(to, interface));
    // SAFETY: the octets and the address are readable for the lengths given, and outlive the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            octets.as_ptr().cast(),
            octets.len(),
            libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
            address.as_ptr().cast(),
            address.len(),
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// One datagram; None: none waits. What does not fit into the buffer is cut off.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<Received>> {
    #[repr(C, align(8))]
    struct Control([u8; CONTROL_LEN]);
    let mut control = Control([0; CONTROL_LEN]);
    let mut address = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = address.as_mut_ptr().cast();
    header.msg_namelen = std::mem::size_of::<libc::sockaddr_storage>() as _;
    header.msg_iov = &mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_LEN as _;
    // SAFETY: everything that the header points at is writable for the lengths given, and outlives the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_DONTWAIT) };
    if length < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: zeroes are a valid value, and the kernel has written an address of one of its families over them.
    let address = unsafe { address.assume_init() };
    let (interface, ttl) = ancillary(&header);
    Ok(Some(Received { length: length as usize, source: source(&address), interface, ttl }))
}

fn source(address: &libc::sockaddr_storage) -> SocketAddr {
    let pointer = std::ptr::from_ref(address);
    if i32::from(address.ss_family) == libc::AF_INET6 {
        // SAFETY: the family says which of the structures lies in the storage, which is large enough and aligned for each.
        let address = unsafe { *pointer.cast::<libc::sockaddr_in6>() };
        SocketAddr::new(Ipv6Addr::from(address.sin6_addr.s6_addr).into(), u16::from_be(address.sin6_port))
    } else {
        // SAFETY: see above.
        let address = unsafe { *pointer.cast::<libc::sockaddr_in>() };
        let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
        SocketAddr::new(ip.into(), u16::from_be(address.sin_port))
    }
}

/// Interface and TTL.
fn ancillary(header: &libc::msghdr) -> (u32, Option<u8>) {
    let (mut interface, mut ttl) = (0, None);
    // SAFETY: the kernel has filled msg_control and set msg_controllen; the CMSG macros stay inside it, and each message that is
    // looked at has the length that its type has.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(header);
        while !cmsg.is_null() {
            let data = libc::CMSG_DATA(cmsg);
            match ((*cmsg).cmsg_level, (*cmsg).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    ttl = u8::try_from(data.cast::<i32>().read_unaligned()).ok();
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    interface = data.cast::<libc::in_pktinfo>().read_unaligned().ipi_ifindex as u32;
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    interface = data.cast::<libc::in6_pktinfo>().read_unaligned().ipi6_ifindex as u32;
                }
                _ => {}
            }
            cmsg = libc::CMSG_NXTHDR(header, cmsg);
        }
    }
    (interface, ttl)
}
