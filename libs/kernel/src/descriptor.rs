//! Descriptors over Unix sockets (`SCM_RIGHTS`), for `SOCK_SEQPACKET` and `SOCK_STREAM` alike.
//!
//! The kernel installs what it passes before it tells of any truncation; so every descriptor that arrives is owned
//! first and judged afterwards, and nothing can leak on an error path.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The kernel's own limit of descriptors in one message (`SCM_MAX_FD`, net/scm.h).
pub const DESCRIPTORS_PER_MESSAGE_MAX: usize = 253;

const FD_SIZE: usize = std::mem::size_of::<RawFd>();

/// Control data as the kernel wants it aligned: `cmsghdr` begins with a `size_t`.
struct ControlBuffer(Vec<u64>);

impl ControlBuffer {
    fn for_descriptors(count: usize) -> Self {
        // SAFETY: CMSG_SPACE only computes; count is bounded by DESCRIPTORS_PER_MESSAGE_MAX.
        let bytes = unsafe { libc::CMSG_SPACE((count * FD_SIZE) as u32) } as usize;
        Self(vec![0; bytes.div_ceil(8)])
    }

    fn bytes(&self) -> usize {
        self.0.len() * 8
    }
}

fn message_header(iov: &mut libc::iovec, control: Option<&mut ControlBuffer>) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    if let Some(control) = control {
        header.msg_controllen = control.bytes() as _;
        header.msg_control = control.0.as_mut_ptr().cast();
    }
    header
}

/// Sends `bytes` with `descriptors` beside them and returns how many bytes went.
///
/// On `SOCK_SEQPACKET` it is all or nothing. On `SOCK_STREAM` fewer bytes may go than were given; the descriptors go
/// with the first one, and the caller sends the rest without them. Blocks only where the socket does.
pub fn send_with_fds(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if descriptors.len() > DESCRIPTORS_PER_MESSAGE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} descriptors in one message; the kernel takes at most {DESCRIPTORS_PER_MESSAGE_MAX}",
                descriptors.len()
            ),
        ));
    }
    if bytes.is_empty() && !descriptors.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "descriptors need at least one byte to travel with"));
    }
    let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = (!descriptors.is_empty()).then(|| ControlBuffer::for_descriptors(descriptors.len()));
    let mut header = message_header(&mut iov, control.as_mut());
    if !descriptors.is_empty() {
        let payload = (descriptors.len() * FD_SIZE) as u32;
        // SAFETY: msg_control points at a zeroed, aligned buffer of CMSG_SPACE(payload) bytes, so the first header
        // and its data lie inside it; the descriptors are copied byte-wise, without assuming their alignment.
        unsafe {
            let cmsg = libc::CMSG_FIRSTHDR(&header);
            (*cmsg).cmsg_level = libc::SOL_SOCKET;
            (*cmsg).cmsg_type = libc::SCM_RIGHTS;
            (*cmsg).cmsg_len = libc::CMSG_LEN(payload) as _;
            for (index, descriptor) in descriptors.iter().enumerate() {
                let raw = descriptor.as_raw_fd();
                libc::CMSG_DATA(cmsg).add(index * FD_SIZE).cast::<RawFd>().write_unaligned(raw);
            }
            header.msg_controllen = libc::CMSG_SPACE(payload) as _;
        }
    }
    loop {
        // SAFETY: header, its iovec, the bytes and the control buffer outlive the call; the kernel only reads them.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &header, libc::MSG_NOSIGNAL) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => retry_if_interrupted()?,
        }
    }
}

/// Receives into `buffer`, with at most `max` descriptors; `(0, [])` is the end of the stream.
///
/// Every descriptor is close-on-exec. More descriptors than `max`, or a packet longer than `buffer`, is an error
/// (`InvalidData`), and then everything that arrived with it is closed.
pub fn recv_with_fds(socket: BorrowedFd<'_>, buffer: &mut [u8], max: usize) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = ControlBuffer::for_descriptors(max.clamp(1, DESCRIPTORS_PER_MESSAGE_MAX));
    let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut header = message_header(&mut iov, Some(&mut control));
    let received = loop {
        // SAFETY: header, its iovec, the buffer and the control buffer outlive the call, and their lengths are true.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(received) => break received,
            Err(_) => retry_if_interrupted()?,
        }
    };
    let descriptors = take_descriptors(&header);
    if header.msg_flags & libc::MSG_CTRUNC != 0 || descriptors.len() > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("more than {max} descriptors in one message; all were closed"),
        ));
    }
    if header.msg_flags & libc::MSG_TRUNC != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a packet longer than {} bytes; its descriptors were closed", buffer.len()),
        ));
    }
    Ok((received, descriptors))
}

/// Owns every descriptor in the control data, so that dropping the result closes them.
fn take_descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled msg_control and set msg_controllen; the CMSG macros stay inside it. Each
    // descriptor of an SCM_RIGHTS message is new, open, and owned by nobody else.
    unsafe {
        let mut cmsg = libc::CMSG_FIRSTHDR(header);
        while !cmsg.is_null() {
            if (*cmsg).cmsg_level == libc::SOL_SOCKET && (*cmsg).cmsg_type == libc::SCM_RIGHTS {
                let payload = ((*cmsg).cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
                let data = libc::CMSG_DATA(cmsg).cast::<RawFd>();
                for index in 0..payload / FD_SIZE {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            cmsg = libc::CMSG_NXTHDR(header, cmsg);
        }
    }
    descriptors
}

fn retry_if_interrupted() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

/// Asks for `bytes` of send and of receive buffer for a socket of any kind; beyond the system's limit where we are allowed, else up to it.
/// Returns what is in force for receiving (the kernel doubles it for its own book-keeping).
pub fn set_buffers(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let value = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
    for (forced, plain) in [(libc::SO_SNDBUFFORCE, libc::SO_SNDBUF), (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF)] {
        if crate::tcp::set_int_option(socket, libc::SOL_SOCKET, forced, value).is_err() {
            crate::tcp::set_int_option(socket, libc::SOL_SOCKET, plain, value)?;
        }
    }
    socket2::SockRef::from(&socket).recv_buffer_size()
}

/// What a stream socket's peer may leave unread at most, in the measure of [`crate::tcp::send_queue`].
pub fn send_room(socket: BorrowedFd<'_>) -> io::Result<u64> {
    socket2::SockRef::from(&socket).send_buffer_size().map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;

    fn pair(kind: i32) -> (OwnedFd, OwnedFd) {
        let (a, b) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::from(kind), None).unwrap();
        (a.into(), b.into())
    }

    #[test]
    fn descriptors_travel_over_both_kinds_of_socket() {
        for kind in [libc::SOCK_SEQPACKET, libc::SOCK_STREAM] {
            let (a, b) = pair(kind);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"kept").unwrap();
            assert_eq!(send_with_fds(a.as_fd(), b"hello", &[file.as_fd(), file.as_fd()]).unwrap(), 5);
            let mut buffer = [0; 64];
            let (n, fds) = recv_with_fds(b.as_fd(), &mut buffer, 4).unwrap();
            assert_eq!((&buffer[..n], fds.len()), (&b"hello"[..], 2));
            let mut copy = std::fs::File::from(fds.into_iter().next().unwrap());
            copy.rewind().unwrap();
            let mut text = String::new();
            copy.read_to_string(&mut text).unwrap();
            assert_eq!(text, "kept");
            drop(a);
            let (n, fds) = recv_with_fds(b.as_fd(), &mut buffer, 4).unwrap();
            assert_eq!((n, fds.len()), (0, 0));
        }
    }

    #[test]
    fn too_many_descriptors_or_too_long_a_packet_leak_nothing() {
        let (a, b) = pair(libc::SOCK_SEQPACKET);
        let (probe_a, probe_b) = pair(libc::SOCK_STREAM);
        for (length, max) in [(4, 2), (4, 0), (4, 1), (64, 8)] {
            send_with_fds(a.as_fd(), &vec![7; length], &[probe_a.as_fd(); 4]).unwrap();
            let error = recv_with_fds(b.as_fd(), &mut [0; 16], max).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        drop(probe_a);
        // Were one copy of probe_a still open, this would block for ever instead of reporting the end.
        let mut stream = std::os::unix::net::UnixStream::from(probe_b);
        stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn refuses_what_the_kernel_would_lose() {
        let (a, _b) = pair(libc::SOCK_STREAM);
        assert!(send_with_fds(a.as_fd(), b"", &[a.as_fd()]).is_err());
        assert!(send_with_fds(a.as_fd(), b"x", &vec![a.as_fd(); 254]).is_err());
    }

    #[test]
    fn buffer_is_enlarged() {
        let (a, _b) = pair(libc::SOCK_STREAM);
        assert!(set_buffers(a.as_fd(), 128 * 1024).unwrap() >= 128 * 1024);
        assert!(send_room(a.as_fd()).unwrap() >= 128 * 1024);
    }
}
