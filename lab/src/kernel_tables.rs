//! How much is in the kernel's tables, counted from a dump of them: a million routes take a fifth of a second, as text ten times
//! as much. Where somebody must not be kept waiting there is a gentler way ([`count_gently_here`]).

use std::{
    fs::File,
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
        sockopt,
    },
    time::{TimeVal, TimeValLike},
};

use crate::{
    error::{Doing, LabError, Result},
    family::Family,
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
    /// Routes of the main table that are not the kernel's own; of IPv6, where they are counted gently, all of all tables.
    pub routes: u64,
    /// Next-hop objects.
    pub nexthops: u64,
}

impl KernelTables {
    /// Counts them.
    pub fn count(namespace: &Namespace) -> Result<Self> {
        Self::with_routes(namespace.inside(count_here)?, namespace)
    }

    /// The same as [`count_gently_here`] and [`count6_gently_here`] count them.
    pub fn count_gently(namespace: &Namespace, family: Family) -> Result<Self> {
        Self::with_routes(namespace.inside(gentle_counter(family))?, namespace)
    }

    fn with_routes(routes: u64, namespace: &Namespace) -> Result<Self> {
        let nexthops = namespace.ip("-o nexthop show")?;
        Ok(Self { routes, nexthops: nexthops.lines().filter(|line| !line.is_empty()).count() as u64 })
    }
}

/// IPv4 routes of the main table that are not the kernel's own, in the calling thread's namespace.
pub fn count_here() -> Result<u64> {
    count_routes(&open()?)
}

/// The same, but for routes without a gateway that discard nothing, from the kernel's text of the main table. In a dump the kernel goes through all routes
/// once more for those of the local table, which lie in the same trie: with a million routes one call that holds a processor for a fifth of a
/// second, if it does not preempt itself, and with the processor whoever has to send BFD packets there. The text takes several
/// times as long, in pieces of 4 KiB, of which only the last can be less than half as long as the others (prefixes of one address stay together). Where it is, the end of the text is not read:
/// to say that there is no more, the kernel goes through all of them, too.
pub fn count_gently_here() -> Result<u64> {
    const PATH: &str = "/proc/thread-self/net/route";
    let doing = || format!("read {PATH}");
    let mut file = File::open(PATH).doing(doing)?;
    let (mut buffer, mut held, mut count, mut longest) = (vec![0; 1 << 16], 0, 0, 0);
    loop {
        let free = buffer.get_mut(held..).unwrap_or_default();
        let length = file.read(free).doing(doing)?;
        let (routes, used) = count_lines(buffer.get(..held + length).unwrap_or_default());
        count += routes;
        buffer.copy_within(used..held + length, 0);
        held = held + length - used;
        if length == 0 || length * 2 < longest {
            return Ok(count);
        }
        longest = longest.max(length);
    }
}

/// How routes of a family are counted in the calling thread's namespace without keeping anybody waiting.
pub fn gentle_counter(family: Family) -> fn() -> Result<u64> {
    match family {
        Family::Inet => count_gently_here,
        Family::Inet6 => count6_gently_here,
    }
}

/// IPv6 routes in the calling thread's namespace, of all tables, the kernel's own few among them: by its statistics, which cost nothing. (Each piece of its text
/// would be searched from the first route on, and so would each piece of a dump while the table changes, with a lock that holds up packets.)
pub fn count6_gently_here() -> Result<u64> {
    const PATH: &str = "/proc/thread-self/net/rt6_stats";
    let text = std::fs::read_to_string(PATH).doing(|| format!("read {PATH}"))?;
    entries6(&text).ok_or_else(|| LabError::Protocol(format!("{PATH} is not understood: {text}")))
}

/// The fourth number: nodes, nodes with routes, routes made, routes in tables, ...
fn entries6(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split_whitespace().nth(3)?, 16).ok()
}

/// Routes by a gateway or to nowhere among whole lines, and how long those are.
fn count_lines(text: &[u8]) -> (u64, usize) {
    const RTF_GATEWAY: u16 = 0x2;
    const RTF_REJECT: u16 = 0x200;
    let used = text.iter().rposition(|octet| *octet == b'\n').map_or(0, |last| last + 1);
    let flags = |line: &[u8]| {
        // "to-backup\t000A0101\t02026F0A\t0003\t...": interface, destination, gateway, flags
        let flags = line.split(|octet| *octet == b'\t').nth(3)?;
        u16::from_str_radix(std::str::from_utf8(flags).ok()?, 16).ok()
    };
    let lines = text.get(..used).unwrap_or_default().split(|octet| *octet == b'\n');
    let routes = lines.filter_map(flags).filter(|flags| flags & (RTF_GATEWAY | RTF_REJECT) != 0);
    (routes.count() as u64, used)
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
    fn lines_of_routes_are_counted_and_what_is_cut_off_waits() {
        let text = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   \n\
            to-backup\t00000101\t02026F0A\t0003\t0\t0\t20\t00FFFFFF\t0\t0\t0  \n\
            to-backup\t00026F0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0  \n\
            *\t00000201\t00000000\t0201\t0\t0\t20\t00FFFFFF\t0\t0\t0  \n\
            to-backup\t00000301\t02026F0A\t0003";
        assert_eq!(count_lines(text), (2, text.len() - b"to-backup\t00000301\t02026F0A\t0003".len()));
        assert_eq!(count_lines(b"to-backup"), (0, 0));
    }

    #[test]
    fn statistics_of_ipv6_routes_are_read() {
        assert_eq!(entries6("0052 0009 30d55 30d54 0000 0004 0000\n"), Some(0x30d54));
        assert_eq!(entries6("0052 0009"), None);
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
