//! How much is in the kernel's tables, counted from a dump of them: a million routes take a fifth of a second, as text ten times
//! as much.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
        sockopt,
    },
    time::{TimeVal, TimeValLike},
};

use crate::{
    error::{Doing, LabError, Result},
    host::netns::Namespace,
    limits,
};

/// rtnetlink's message types.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
/// A request for all there is.
const NLM_F_REQUEST_DUMP: u16 = 0x1 | 0x300;
const AF_INET: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
/// Routes of addresses: the kernel's own business.
const RTPROT_KERNEL: u8 = 2;
const HEADER_BYTES: usize = 16;

/// Kernel tables of a namespace, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct KernelTables {
    /// IPv4 routes of the main table that are not the kernel's own.
    pub routes: u64,
    /// Next-hop objects.
    pub nexthops: u64,
}

impl KernelTables {
    /// Counts them.
    pub fn count(namespace: &Namespace) -> Result<Self> {
        let routes = namespace.inside(count_here)?;
        let nexthops = namespace.ip("-o nexthop show")?;
        Ok(Self { routes, nexthops: nexthops.lines().filter(|line| !line.is_empty()).count() as u64 })
    }
}

/// IPv4 routes of the main table that are not the kernel's own, in the calling thread's namespace.
pub fn count_here() -> Result<u64> {
    count_routes(&open()?)
}

/// A socket to ask the kernel by, in the calling thread's namespace.
pub(crate) fn open() -> Result<OwnedFd> {
    let doing = || "open a socket to ask the kernel by".to_owned();
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
        .doing(doing)?;
    let within = TimeVal::milliseconds(i64::try_from(limits::COMMAND_WITHIN.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&fd, sockopt::ReceiveTimeout, &within).doing(doing)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).doing(doing)?;
    Ok(fd)
}

fn count_routes(fd: &OwnedFd) -> Result<u64> {
    let doing = || "ask for the kernel's routes".to_owned();
    send(fd.as_raw_fd(), &request(), MsgFlags::empty()).doing(doing)?;
    let (mut buffer, mut count) = (vec![0; 1 << 18], 0);
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).doing(doing)?;
        let part = Part::of(buffer.get(..length).unwrap_or_default());
        count += part.routes;
        if part.refused {
            return Err(LabError::Protocol("the kernel refused to tell its routes".into()));
        }
        if part.last {
            return Ok(count);
        }
    }
}

/// `struct nlmsghdr`, then `struct rtmsg`.
fn request() -> Vec<u8> {
    const RTMSG_BYTES: usize = 12;
    let mut out = u32::try_from(HEADER_BYTES + RTMSG_BYTES).unwrap_or(0).to_ne_bytes().to_vec();
    out.extend_from_slice(&RTM_GETROUTE.to_ne_bytes());
    out.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    out.push(AF_INET);
    out.extend_from_slice(&[0; RTMSG_BYTES - 1]);
    out
}

/// One datagram of the answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    routes: u64,
    last: bool,
    refused: bool,
}

impl Part {
    fn of(mut bytes: &[u8]) -> Self {
        let mut part = Self::default();
        while let Some(header) = bytes.get(..HEADER_BYTES) {
            let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let Some(body) = bytes.get(HEADER_BYTES..length) else { break };
            match u16::from_ne_bytes([header[4], header[5]]) {
                RTM_NEWROUTE => part.routes += u64::from(is_counted(body)),
                NLMSG_DONE => part.last = true,
                NLMSG_ERROR => part.refused = true,
                _ => {}
            }
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        part
    }
}

fn is_counted(route: &[u8]) -> bool {
    // family, lengths, tos, table, protocol
    matches!(route, [AF_INET, _, _, _, RT_TABLE_MAIN, protocol, ..] if *protocol != RTPROT_KERNEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn routes_of_addresses_and_of_other_tables_do_not_count() {
        let route = |table, protocol| message(RTM_NEWROUTE, &[AF_INET, 24, 0, 0, table, protocol, 0, 1, 0, 0, 0, 0]);
        let bytes =
            [route(254, 72), route(254, 2), route(255, 2), route(254, 4), message(NLMSG_DONE, &[0; 4])].concat();
        assert_eq!(Part::of(&bytes), Part { routes: 2, last: true, refused: false });
        assert!(Part::of(&message(NLMSG_ERROR, &[0; 4])).refused);
        for end in 0..bytes.len() {
            let _ = Part::of(&bytes[..end]);
        }
    }
}
