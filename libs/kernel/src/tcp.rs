//! TCP sessions that live in the kernel and change hands between processes.
//!
//! Input is peeked at, made safe elsewhere, and only then discarded. After a process has died the kernel's counters
//! say where it stood: [`TcpCounters::consumed`] and [`TcpCounters::written`]. Both are raw; the caller subtracts what
//! they were right after the handshake (the side that sent the SYN starts at 1 written, for the SYN's own sequence number).
//!
//! The second half makes the sockets: listening, connecting, and the options that BGP needs.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::KernelError;

/// DSCP CS6 ("network control", RFC 2474 §4.2.2.2, RFC 4594 §3.2) as a TOS byte.
pub const TOS_NETWORK_CONTROL: u8 = 0xc0;

/// Receive buffer of every session, in bytes of messages; the kernel doubles it for its own overhead.
///
/// What is only peeked at stays in the kernel, and the kernel counts a segment in full until its last byte is consumed. Segments that
/// waited are merged into one of 64 KiB and more, counted double. With the ordinary 128 KiB such a segment with the beginning of
/// a message at its end closes the window, and the rest of the message, which alone would free it, never comes. So there
/// has to be room for the largest segment and for a message besides. Fixed, because the kernel's own sizing grows with what is consumed.
const RECEIVE_BUFFER_LEN: i32 = 2 * 1024 * 1024;

/// How many times [`tcp_counters`] reads again while data or acknowledgements arrive between its readings.
const COUNTER_READINGS_MAX: u32 = 10_000;

/// Reads from the front of the receive queue without consuming; never blocks (`WouldBlock` when it is empty).
/// `Ok(0)` is the peer's FIN.
pub fn peek(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is writable and its length is true.
    retry(|| unsafe {
        libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), libc::MSG_PEEK | libc::MSG_DONTWAIT)
    })
}

/// Consumes `n` bytes from the receive queue without copying them; never blocks.
///
/// Goes on until `n` bytes are gone; returns less only when the queue held less or the peer's FIN came first, and
/// `WouldBlock` when it held nothing at all. After a [`peek`] of `n` bytes by the only reader it returns `n`.
pub fn discard(fd: BorrowedFd<'_>, n: usize) -> io::Result<usize> {
    let mut done = 0;
    while done < n {
        // SAFETY: with MSG_TRUNC TCP discards instead of copying (tcp(7)), so the null buffer is never written to.
        let step = retry(|| unsafe {
            libc::recv(fd.as_raw_fd(), std::ptr::null_mut(), n - done, libc::MSG_TRUNC | libc::MSG_DONTWAIT)
        });
        match step {
            Ok(0) => break,
            Ok(step) => done += step,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads and consumes; never blocks. `Ok(0)` is the peer's FIN. For sessions that nobody follows.
pub fn recv_nowait(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is writable and its length is true.
    retry(|| unsafe { libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), libc::MSG_DONTWAIT) })
}

/// Writes what the send queue takes; never blocks (`WouldBlock` when it is full), never raises SIGPIPE.
pub fn send_nowait(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is readable and its length is true.
    retry(|| unsafe {
        libc::send(fd.as_raw_fd(), buf.as_ptr().cast(), buf.len(), libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    })
}

/// The state of a TCP connection, as in RFC 9293 §3.3.2 (numbers: include/net/tcp_states.h).
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    Unknown(u8),
}

impl From<u8> for TcpState {
    fn from(value: u8) -> Self {
        match value {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Unknown(other),
        }
    }
}

impl TcpState {
    /// Whether the peer's FIN has been received; it occupies one sequence number.
    pub fn fin_received(self) -> bool {
        matches!(self, Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait)
    }
}

/// One consistent reading of the kernel's counters of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCounters {
    /// `tcpi_bytes_received`: in order, since the handshake; counts the peer's FIN as one byte.
    pub bytes_received: u64,
    /// `SIOCINQ`: received and not yet consumed by any process; does not count the FIN.
    pub receive_queue: u64,
    /// `tcpi_bytes_acked`: acknowledged by the peer; counts our own SYN, on the side that sent it first.
    pub bytes_acked: u64,
    /// `SIOCOUTQ`: written by a process and not yet acknowledged.
    pub send_queue: u64,
    /// The connection's state.
    pub state: TcpState,
}

impl TcpCounters {
    /// How many bytes processes have consumed so far. The FIN is not a byte of the stream and is taken off.
    pub fn consumed(&self) -> u64 {
        let stream = self.bytes_received - u64::from(self.state.fin_received() && self.bytes_received > 0);
        stream.saturating_sub(self.receive_queue)
    }

    /// How many bytes processes have written so far (one more on the side that sent the SYN).
    pub fn written(&self) -> u64 {
        self.bytes_acked + self.send_queue
    }
}

/// Reads the counters. Data that arrives and acknowledgements that come between the system calls are noticed, and
/// the reading is taken again: nothing but a process of our own can make the result wrong.
pub fn tcp_counters(fd: BorrowedFd<'_>) -> io::Result<TcpCounters> {
    let mut before = tcp_info(fd)?;
    for _ in 0..COUNTER_READINGS_MAX {
        let receive_queue = queue_length(fd, libc::FIONREAD)?;
        let send_queue = queue_length(fd, libc::TIOCOUTQ)?;
        let after = tcp_info(fd)?;
        if after == before {
            let (state, bytes_acked, bytes_received) = after;
            return Ok(TcpCounters { bytes_received, receive_queue, bytes_acked, send_queue, state });
        }
        before = after;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the connection's counters never stood still between two readings"))
}

/// How long a connection has been quiet, by the kernel's own time stamps: one and the same for every process that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpQuiet {
    /// `tcpi_last_data_sent`: since the last segment with data of ours, in ms. The kernel's clock ticks every 1 to 10 ms.
    pub since_sent_ms: u32,
    /// `tcpi_last_data_recv`: since the last segment with data of the peer's, in ms.
    pub since_received_ms: u32,
}

/// Reads how long a connection has been quiet.
pub fn tcp_quiet(fd: BorrowedFd<'_>) -> io::Result<TcpQuiet> {
    let info = read_tcp_info(fd)?;
    let half = |offset: usize| {
        let bytes = info[offset / 8].to_ne_bytes();
        let from = offset % 8;
        u32::from_ne_bytes([bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]])
    };
    Ok(TcpQuiet { since_sent_ms: half(TCP_INFO_LAST_DATA_SENT), since_received_ms: half(TCP_INFO_LAST_DATA_RECEIVED) })
}

/// Whether this kernel tells of connections what a handoff needs to know.
pub fn probe() -> io::Result<()> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    read_tcp_info(socket.as_fd())?;
    queue_length(socket.as_fd(), libc::FIONREAD)?;
    queue_length(socket.as_fd(), libc::TIOCOUTQ).map(drop)
}

/// Offsets in `struct tcp_info` (include/uapi/linux/tcp.h), which only ever grows at its end.
const TCP_INFO_LAST_DATA_SENT: usize = 44;
const TCP_INFO_LAST_DATA_RECEIVED: usize = 52;
const TCP_INFO_BYTES_ACKED: usize = 120;
const TCP_INFO_BYTES_RECEIVED: usize = 128;
const TCP_INFO_LENGTH: usize = 136;

fn tcp_info(fd: BorrowedFd<'_>) -> io::Result<(TcpState, u64, u64)> {
    let info = read_tcp_info(fd)?;
    let state = info[0].to_ne_bytes()[0];
    Ok((state.into(), info[TCP_INFO_BYTES_ACKED / 8], info[TCP_INFO_BYTES_RECEIVED / 8]))
}

fn read_tcp_info(fd: BorrowedFd<'_>) -> io::Result<[u64; TCP_INFO_LENGTH / 8]> {
    let mut info = [0u64; TCP_INFO_LENGTH / 8];
    let mut length = TCP_INFO_LENGTH as libc::socklen_t;
    // SAFETY: the buffer is TCP_INFO_LENGTH bytes long and aligned; the kernel writes at most `length` bytes.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length)
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if (length as usize) < TCP_INFO_LENGTH {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("TCP_INFO has {length} bytes; {TCP_INFO_LENGTH} are needed (Linux 4.2 or later)"),
        ));
    }
    Ok(info)
}

/// Bytes that wait to be read from a stream socket of any kind.
pub fn receive_queue(fd: BorrowedFd<'_>) -> io::Result<u64> {
    queue_length(fd, libc::FIONREAD)
}

/// What a stream socket of any kind holds for its peer; for Unix sockets with the kernel's own overhead.
pub fn send_queue(fd: BorrowedFd<'_>) -> io::Result<u64> {
    queue_length(fd, libc::TIOCOUTQ)
}

fn queue_length(fd: BorrowedFd<'_>, request: libc::c_ulong) -> io::Result<u64> {
    let mut value: libc::c_int = 0;
    // SAFETY: both requests write one int through the pointer.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request, &mut value) };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(u64::try_from(value).unwrap_or(0)) }
}

fn retry(mut call: impl FnMut() -> libc::ssize_t) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(n) => return Ok(n),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

pub(crate) fn set_int_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_option(fd, level, name, &value)
}

fn set_option<T>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads size_of::<T>() bytes of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            std::mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives a socket [`RECEIVE_BUFFER_LEN`]; as much of it as `net.core.rmem_max` allows where the process may not go beyond.
fn set_receive_buffer(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_int_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER_LEN)
        .or_else(|_| set_int_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_LEN))
}

/// Opens a non-blocking listening socket, `SO_REUSEADDR` set; an IPv6 address listens for IPv6 alone, so that
/// `0.0.0.0` and `::` stand side by side.
pub fn listen(address: SocketAddr, backlog: i32) -> Result<OwnedFd, KernelError> {
    use std::os::fd::AsFd;
    let open = || -> io::Result<Socket> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        set_int_option(socket.as_fd(), libc::IPPROTO_TCP, TCP_SAVE_SYN, 1)?;
        set_receive_buffer(socket.as_fd())?; // inherited by what is accepted
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(socket)
    };
    match open() {
        Ok(socket) => Ok(socket.into()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(KernelError::AddressInUse { address }),
        Err(source) => Err(KernelError::Listen { address, source }),
    }
}

/// Begins to connect, from `local` where given, and returns at once; writable means decided, [`take_error`] says how.
///
/// `configure` sets what must be in force before the SYN goes out (TTL, MD5 key, device). A link-local address
/// carries its scope in the `SocketAddrV6`; a link-local `local` takes the same scope.
pub fn connect(
    remote: SocketAddr,
    local: Option<IpAddr>,
    configure: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    use std::os::fd::AsFd;
    let socket = Socket::new(Domain::for_address(remote), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    set_receive_buffer(socket.as_fd())?;
    configure(socket.as_fd())?;
    if let Some(local) = local {
        let mut from = SocketAddr::new(local, 0);
        if let (SocketAddr::V6(from), SocketAddr::V6(to)) = (&mut from, &remote)
            && from.ip().is_unicast_link_local()
        {
            from.set_scope_id(to.scope_id());
        }
        // Lets the port be chosen at connect time, when the whole four-tuple is known.
        set_int_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
        socket.bind(&from.into())?;
    }
    match socket.connect(&remote.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Accepts one connection, non-blocking and close-on-exec, with the peer's address; `WouldBlock` when there is none.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let raw = retry(|| {
        // SAFETY: no address is asked for, so both pointers may be null.
        let fd = unsafe {
            libc::accept4(
                listener.as_raw_fd(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            )
        };
        fd as libc::ssize_t
    })?;
    // SAFETY: accept4 has just returned this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
    let peer = peer_address(std::os::fd::AsFd::as_fd(&fd))?;
    Ok((fd, peer))
}

/// The local address of a socket.
pub fn local_address(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    inet(SockRef::from(&fd).local_addr()?)
}

/// The address of the other side; an error where there is none (any more).
pub fn peer_address(fd: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    inet(SockRef::from(&fd).peer_addr()?)
}

fn inet(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not an Internet socket"))
}

/// Takes the pending error (`SO_ERROR`): how a connect that was begun has ended.
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    SockRef::from(&fd).take_error()
}

fn is_ipv6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(SockRef::from(&fd).domain()? == Domain::IPV6)
}

/// TTL, or hop limit, of what is sent: 1 for a directly connected eBGP neighbour, 255 for GTSM (RFC 5082), or N.
pub fn set_ttl(fd: BorrowedFd<'_>, ttl: u8) -> io::Result<()> {
    let socket = SockRef::from(&fd);
    if is_ipv6(fd)? { socket.set_unicast_hops_v6(ttl.into()) } else { socket.set_ttl_v4(ttl.into()) }
}

/// Drops, in the kernel, what arrives with a smaller TTL or hop limit (RFC 5082 §3).
pub fn set_minimum_ttl(fd: BorrowedFd<'_>, ttl: u8) -> io::Result<()> {
    const IPV6_MINHOPCOUNT: i32 = 73; // include/uapi/linux/in6.h
    if is_ipv6(fd)? {
        set_int_option(fd, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl.into())
    } else {
        set_int_option(fd, libc::IPPROTO_IP, libc::IP_MINTTL, ttl.into())
    }
}

/// TTL or hop limit that the SYN of an accepted connection arrived with; `None`: the kernel did not keep it, or it was asked
/// before. (What comes later [`set_minimum_ttl`] checks.)
pub fn syn_ttl(fd: BorrowedFd<'_>) -> Option<u8> {
    let mut packet = [0u8; SAVED_SYN_LENGTH_MAX];
    let mut length = SAVED_SYN_LENGTH_MAX as libc::socklen_t;
    // SAFETY: the buffer is writable for `length` bytes, and the kernel writes no more.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, TCP_SAVED_SYN, packet.as_mut_ptr().cast(), &mut length)
    };
    let packet = packet.get(..length as usize).filter(|_| result == 0)?;
    // RFC 791 §3.1: the ninth octet; RFC 8200 §3: the eighth.
    match packet.first()? >> 4 {
        4 => packet.get(8).copied(),
        6 => packet.get(7).copied(),
        _ => None,
    }
}

/// A listening socket keeps the headers of each SYN for [`syn_ttl`] (include/uapi/linux/tcp.h).
const TCP_SAVE_SYN: i32 = 27;
/// See [`TCP_SAVE_SYN`].
const TCP_SAVED_SYN: i32 = 28;

/// Longest network and TCP header: 60 octets each, and room for extension headers of IPv6.
const SAVED_SYN_LENGTH_MAX: usize = 512;

/// Marks what is sent (`IP_TOS`, `IPV6_TCLASS`); routing protocols use [`TOS_NETWORK_CONTROL`].
pub fn set_traffic_class(fd: BorrowedFd<'_>, tos: u8) -> io::Result<()> {
    let socket = SockRef::from(&fd);
    if is_ipv6(fd)? { socket.set_tclass_v6(tos.into()) } else { socket.set_tos_v4(tos.into()) }
}

/// `TCP_NODELAY`: messages leave when they are written.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    SockRef::from(&fd).set_tcp_nodelay(on)
}

/// `TCP_USER_TIMEOUT`: how long written data may stay unacknowledged before the kernel gives the connection up.
pub fn set_user_timeout(fd: BorrowedFd<'_>, timeout: std::time::Duration) -> io::Result<()> {
    SockRef::from(&fd).set_tcp_user_timeout(Some(timeout))
}

/// Ties a socket to one interface by its index (`SO_BINDTOIFINDEX`); 0 unties it.
pub fn set_interface(fd: BorrowedFd<'_>, interface_index: u32) -> io::Result<()> {
    let index = i32::try_from(interface_index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    set_int_option(fd, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)
}

/// Longest key that the kernel takes (`TCP_MD5SIG_MAXKEYLEN`).
pub const MD5_KEY_LENGTH_MAX: usize = 80;

/// `struct tcp_md5sig` of include/uapi/linux/tcp.h.
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface_index: i32,
    key: [u8; MD5_KEY_LENGTH_MAX],
}

/// `TCP_MD5SIG_FLAG_PREFIX`: the key is for every address of a prefix.
const MD5_FLAG_PREFIX: u8 = 1;

/// Sets the key (RFC 2385) for one peer, on a listening socket (for connections to come), on one about to connect, or on one that is
/// connected; an empty key removes it. An accepted connection inherits it, and it stays with a descriptor that changes hands.
pub fn set_md5_key(fd: BorrowedFd<'_>, peer: IpAddr, key: &[u8]) -> io::Result<()> {
    md5_key(fd, peer, None, key)
}

/// The same for every peer of a prefix; the longest prefix that has a key wins.
pub fn set_md5_prefix_key(fd: BorrowedFd<'_>, network: IpAddr, prefix_length: u8, key: &[u8]) -> io::Result<()> {
    md5_key(fd, network, Some(prefix_length), key)
}

fn md5_key(fd: BorrowedFd<'_>, peer: IpAddr, prefix_length: Option<u8>, key: &[u8]) -> io::Result<()> {
    if key.len() > MD5_KEY_LENGTH_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("authentication key of {} bytes; the kernel takes at most {MD5_KEY_LENGTH_MAX}", key.len()),
        ));
    }
    let address = socket2::SockAddr::from(SocketAddr::new(peer, 0));
    // SAFETY: tcp_md5sig is plain data for which all zeroes is a valid value.
    let mut option: TcpMd5Sig = unsafe { std::mem::zeroed() };
    // SAFETY: a socket2 address of length len() is readable for that long and never longer than sockaddr_storage.
    unsafe {
        std::ptr::copy_nonoverlapping(
            address.as_ptr().cast::<u8>(),
            std::ptr::from_mut(&mut option.address).cast::<u8>(),
            address.len() as usize,
        );
    }
    option.key_length = key.len() as u16;
    option.key[..key.len()].copy_from_slice(key);
    let name = match prefix_length {
        None => libc::TCP_MD5SIG,
        Some(length) => {
            (option.flags, option.prefix_length) = (MD5_FLAG_PREFIX, length);
            libc::TCP_MD5SIG_EXT
        }
    };
    match set_option(fd, libc::IPPROTO_TCP, name, &option) {
        // There is none to remove: what is wanted is so already.
        Err(error) if key.is_empty() && error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel is built without TCP MD5 (CONFIG_TCP_MD5SIG)"))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            "the kernel takes no more keys on one socket; raise net.core.optmem_max",
        )),
        other => other,
    }
}
