//! What happens to the router's kernel tables, as the kernel itself tells it: every change of a route or next-hop
//! object in the router's namespace, counted apart for the beacons and for all else. Independent of anything the
//! router says about its writes.

use std::{
    os::fd::{AsRawFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
            sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::{
    bgp::{churn, message::Prefix},
    error::{Doing, LabError, Result},
    host::{interrupt, netns::Namespace},
    limits,
    time::{Window, mono_ns},
};

/// rtnetlink's message types.
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
/// Multicast groups as bits: IPv4 routes, IPv6 routes, next hops (RTNLGRP_NEXTHOP is 32).
const GROUPS: u32 = 0x40 | 0x400 | 1 << 31;
/// The local table: the kernel's own business with addresses.
const RT_TABLE_LOCAL: u8 = 255;

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    at_ns: u64,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Beacon,
    Route(Option<Prefix>),
    Nexthop,
}

/// Changes in a window of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes {
    /// Changes of the beacons' routes.
    pub beacon: u64,
    /// Changes of any other route.
    pub routes: u64,
    /// Changes of next-hop objects.
    pub nexthops: u64,
    /// Some of the other routes, for a message.
    pub examples: Vec<String>,
}

impl Writes {
    /// All that no beacon caused.
    pub fn needless(&self) -> u64 {
        self.routes + self.nexthops
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Since it was started, and when the last one came: for those who need no list.
    count: AtomicU64,
    last_ns: AtomicU64,
    changes: Mutex<Vec<Change>>,
    overruns: Mutex<Vec<u64>>,
}

/// A running watch; it ends with the guard.
#[derive(Debug)]
pub struct KernelWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl KernelWatch {
    /// Starts to listen in a namespace. Churn counts as a beacon does: the lab asked for it.
    pub fn start(namespace: &Namespace, mut beacons: Vec<Prefix>) -> Result<Self> {
        beacons.push(churn::SPACE);
        let shared = Arc::new(Shared::default());
        let inner = Arc::clone(&shared);
        let socket = namespace.inside(open)?;
        let thread = namespace.spawn_thread("kernel watch", move || {
            listen(&socket, &beacons, &inner);
            Ok(())
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Changes since the watch was started; fewer than there were if the kernel could not tell us all ([`Self::was_overrun`]).
    pub fn count(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }

    /// Whether the kernel could not tell us all that happened in a window.
    pub fn was_overrun(&self, window: Window) -> bool {
        lock(&self.shared.overruns).iter().any(|&at| window.contains(at))
    }

    /// Whether nothing has changed for so long.
    pub fn is_quiet(&self, since: Duration) -> bool {
        u128::from(mono_ns().saturating_sub(self.shared.last_ns.load(Ordering::Relaxed))) >= since.as_nanos()
    }

    /// When the last change came (CLOCK_MONOTONIC), if any has.
    pub fn last_ns(&self) -> Option<u64> {
        Some(self.shared.last_ns.load(Ordering::Relaxed)).filter(|at_ns| *at_ns > 0)
    }

    /// What changed in a window; an error if the kernel could not tell us all of it.
    pub fn writes(&self, window: Window) -> Result<Writes> {
        if self.was_overrun(window) {
            return Err(LabError::Protocol("the kernel dropped notifications to the lab's watch (ENOBUFS)".into()));
        }
        let mut writes = Writes::default();
        for change in lock(&self.shared.changes).iter().filter(|c| window.contains(c.at_ns)) {
            match change.what {
                What::Beacon => writes.beacon += 1,
                What::Nexthop => writes.nexthops += 1,
                What::Route(prefix) => {
                    writes.routes += 1;
                    if writes.examples.len() < 5 {
                        writes.examples.push(prefix.map_or("IPv6".into(), |p| p.to_string()));
                    }
                }
            }
        }
        Ok(writes)
    }
}

impl Drop for KernelWatch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open() -> Result<OwnedFd> {
    let doing = || "open the kernel watch".to_owned();
    let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
        .doing(doing)?;
    setsockopt(&fd, sockopt::RcvBufForce, &limits::NETLINK_RECEIVE_BUFFER_BYTES).doing(doing)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::milliseconds(50)).doing(doing)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).doing(doing)?;
    Ok(fd)
}

fn listen(fd: &OwnedFd, beacons: &[Prefix], shared: &Shared) {
    let mut buffer = vec![0; 1 << 16];
    while !shared.stop.load(Ordering::Relaxed) && !interrupt::requested() {
        match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => {
                let at_ns = mono_ns();
                let mut changes = lock(&shared.changes);
                shared.last_ns.store(at_ns, Ordering::Relaxed);
                for what in parse(buffer.get(..length).unwrap_or_default(), beacons) {
                    shared.count.fetch_add(1, Ordering::Relaxed);
                    if changes.len() < limits::REMEMBERED_MAX {
                        changes.push(Change { at_ns, what });
                    }
                }
            }
            Err(Errno::ENOBUFS) => {
                shared.last_ns.store(mono_ns(), Ordering::Relaxed);
                lock(&shared.overruns).push(mono_ns());
            }
            Err(_) => {}
        }
    }
}

/// Reads one datagram of notifications.
fn parse(mut bytes: &[u8], beacons: &[Prefix]) -> Vec<What> {
    let mut out = Vec::new();
    while let Some(header) = bytes.get(..16) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let Some(body) = bytes.get(16..length) else { break };
        match kind {
            RTM_NEWROUTE | RTM_DELROUTE => out.extend(route(body, beacons)),
            RTM_NEWNEXTHOP | RTM_DELNEXTHOP => out.push(What::Nexthop),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

/// `struct rtmsg`, then attributes.
fn route(body: &[u8], beacons: &[Prefix]) -> Option<What> {
    const AF_INET: u8 = 2;
    const RTA_DST: u16 = 1;
    // Cached clones of routes (path MTU and the like) are no tables' entries.
    const RTM_F_CLONED: u32 = 0x200;
    let header = body.get(..12)?;
    let flags = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
    if header[4] == RT_TABLE_LOCAL || flags & RTM_F_CLONED != 0 {
        return None;
    }
    if header[0] != AF_INET {
        return Some(What::Route(None));
    }
    let destination = attribute(body.get(12..)?, RTA_DST).and_then(|v| Some(u32::from_be_bytes(v.try_into().ok()?)));
    let prefix = Prefix::new(destination.unwrap_or(0), header[1]);
    Some(if beacons.iter().any(|b| b.contains(prefix.address) && b.length <= prefix.length) {
        What::Beacon
    } else {
        What::Route(Some(prefix))
    })
}

fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let header = bytes.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = bytes.get(4..length)?;
        if u16::from_ne_bytes([header[2], header[3]]) & 0x3fff == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, family: u8, length: u8, table: u8, destination: u32) -> Vec<u8> {
        let mut body = vec![family, length, 0, 0, table, 72, 0, 1, 0, 0, 0, 0];
        body.extend_from_slice(&8u16.to_ne_bytes());
        body.extend_from_slice(&1u16.to_ne_bytes());
        body.extend_from_slice(&destination.to_be_bytes());
        let mut out = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(&body);
        out
    }

    #[test]
    fn beacons_routes_and_next_hops_are_told_apart() {
        let beacon = Prefix::new(0xc612_0000, 24);
        let mut bytes = message(RTM_NEWROUTE, 2, 24, 254, 0xc612_0000);
        bytes.extend(message(RTM_DELROUTE, 2, 24, 254, 0x0102_0300));
        bytes.extend(message(RTM_NEWROUTE, 2, 32, 255, 0x0102_0304));
        bytes.extend(message(RTM_NEWNEXTHOP, 2, 0, 0, 0));
        bytes.extend(message(16, 2, 0, 0, 0));
        let expected = [What::Beacon, What::Route(Some(Prefix::new(0x0102_0300, 24))), What::Nexthop];
        assert_eq!(parse(&bytes, &[beacon]), expected);
        assert_eq!(parse(&bytes[..20], &[beacon]), []);
    }
}
