//! What changes in the kernel, as it happens.

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::address::{Address, RTM_DELADDR, RTM_NEWADDR};
use super::link::{Link, RTM_DELLINK, RTM_NEWLINK};
use super::neighbor::{Neighbor, RTM_DELNEIGH, RTM_NEWNEIGH};
use super::nexthop::{NexthopObject, RTM_DELNEXTHOP, RTM_NEWNEXTHOP};
use super::route::{RTM_DELROUTE, RTM_NEWROUTE, Route};
use super::socket::{Instruction, Socket};
use super::wire::{Message, Messages, NLM_F_REPLACE};
use super::{PROTOCOL_HOLDFAST, TABLE_MAIN};
use crate::KernelError;

/// The queue holds more than 60,000 notifications of routes while their reader is busy elsewhere: the kernel counts double what is asked for.
const BUFFER_BYTES: usize = 32 << 20;
/// Datagrams taken in one system call.
const DATAGRAMS: usize = 64;
/// The largest notification: a link with everything it has.
const DATAGRAM_BYTES: usize = 16 << 10;

/// RTNLGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR, _NEXTHOP.
const GROUPS: [i32; 4] = [1, 5, 9, 32];
/// RTNLGRP_IPV4_ROUTE, _IPV6_ROUTE.
const ROUTE_GROUPS: [i32; 2] = [7, 11];
/// RTNLGRP_NEIGH.
const NEIGHBOR_GROUP: i32 = 3;
/// Some thousand notifications of neighbours. A scan of the addresses of a link makes more; the table is read again then.
const NEIGHBOR_BUFFER_BYTES: usize = 1 << 20;

/// One change. What a socket of this process changed (see [`Monitor::open`]) is not among the routes and nexthops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link is new or has changed.
    Link(Link),
    /// A link is gone.
    LinkRemoved(Link),
    /// An address is new or has changed.
    Address(Address),
    /// An address is gone.
    AddressRemoved(Address),
    /// A route with our protocol number is new or has changed, or a route of anybody has replaced one of its metric.
    Route(Route),
    /// A route with our protocol number was deleted.
    RouteRemoved(Route),
    /// A nexthop object of anybody is new or has changed.
    Nexthop(NexthopObject),
    /// A nexthop object of anybody was deleted; the routes that used it are gone too, without a word.
    NexthopRemoved(NexthopObject),
    /// A neighbour is new or has changed.
    Neighbor(Neighbor),
    /// A neighbour was forgotten.
    NeighborRemoved(Neighbor),
    /// The queue overflowed: changes were missed, the tables must be read again.
    Overflow,
}

/// A socket that hears of links, addresses, nexthop objects and routes. Non-blocking; readable when there is news.
///
/// Three things the kernel does *not* tell: when a link goes down, its nexthop objects and the IPv4 routes that use them
/// vanish with nothing but the link's own message; the groups that they were members of go on with what is left; and a deleted nexthop
/// object takes its routes along.
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Monitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Monitor").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Monitor {
    /// Opens one in the calling thread's network namespace. Routes and nexthops written through the socket with the
    /// port `own` (see [`super::Requester::port`]) are not reported.
    pub fn open(own: Option<u32>) -> Result<Self, KernelError> {
        let open = || {
            let socket = Socket::open(BUFFER_BYTES, true)?;
            // This socket requests nothing, so its own port stands for nobody.
            socket.attach_filter(&filter(own.unwrap_or(socket.port())))?;
            for group in GROUPS.into_iter().chain(ROUTE_GROUPS) {
                socket.join(group)?;
            }
            Ok(socket)
        };
        let socket = open().map_err(KernelError::call("open a netlink socket for notifications"))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAMS * DATAGRAM_BYTES] })
    }

    /// Opens one for neighbours alone: how many they are is for whoever is on the links to say, and must not cost a notification of
    /// anything else.
    pub fn open_for_neighbors() -> Result<Self, KernelError> {
        let open = || {
            let socket = Socket::open(NEIGHBOR_BUFFER_BYTES, true)?;
            socket.join(NEIGHBOR_GROUP)?;
            Ok(socket)
        };
        let socket = open().map_err(KernelError::call("open a netlink socket for neighbors"))?;
        Ok(Self { socket, buffer: vec![0; DATAGRAMS * DATAGRAM_BYTES] })
    }

    /// Whether to hear of routes, as one that was just opened does; of everything else it always hears. Whoever writes a route pays for each socket
    /// that hears of it: its call does not return before the notification lies in the queue and the reader has been woken.
    pub fn hear_routes(&self, hear: bool) -> Result<(), KernelError> {
        let change = |group| if hear { self.socket.join(group) } else { self.socket.leave(group) };
        ROUTE_GROUPS.into_iter().try_for_each(change).map_err(KernelError::call("choose the notifications to hear"))
    }

    /// Takes up to 64 notifications and appends what they say. `WouldBlock` when there is none.
    pub fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut vectors: [libc::iovec; DATAGRAMS] = std::array::from_fn(|index| libc::iovec {
            iov_base: self.buffer[index * DATAGRAM_BYTES..].as_mut_ptr().cast(),
            iov_len: DATAGRAM_BYTES,
        });
        // SAFETY: mmsghdr is plain data for which all zeroes is a valid value.
        let mut headers: [libc::mmsghdr; DATAGRAMS] = unsafe { zeroed() };
        for (header, vector) in headers.iter_mut().zip(&mut vectors) {
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every header points at its own vector, every vector at its own DATAGRAM_BYTES of the buffer; all of
        // them outlive the call. No time-out is given.
        let received = unsafe {
            libc::recvmmsg(
                self.socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                DATAGRAMS as u32,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::ENOBUFS) => {
                    events.push(Event::Overflow);
                    Ok(())
                }
                Some(libc::EINTR) => Ok(()),
                _ => Err(error),
            };
        };
        for (index, header) in headers.iter().enumerate().take(received) {
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                events.push(Event::Overflow);
                continue;
            }
            let datagram = &self.buffer[index * DATAGRAM_BYTES..][..(header.msg_len as usize).min(DATAGRAM_BYTES)];
            events.extend(Messages(datagram).filter_map(|message| event(&message)));
        }
        Ok(())
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_fd().as_raw_fd()
    }
}

pub(super) fn event(message: &Message<'_>) -> Option<Event> {
    Some(match message.kind {
        RTM_NEWLINK => Event::Link(Link::parse(message)?),
        RTM_DELLINK => Event::LinkRemoved(Link::parse(message)?),
        RTM_NEWADDR => Event::Address(Address::parse(message)?),
        RTM_DELADDR => Event::AddressRemoved(Address::parse(message)?),
        RTM_NEWROUTE => Event::Route(Route::parse(message)?),
        RTM_DELROUTE => Event::RouteRemoved(Route::parse(message)?),
        RTM_NEWNEXTHOP => Event::Nexthop(NexthopObject::parse(message)?),
        RTM_NEWNEIGH => Event::Neighbor(Neighbor::parse(message)?),
        RTM_DELNEIGH => Event::NeighborRemoved(Neighbor::parse(message)?),
        RTM_DELNEXTHOP => Event::NexthopRemoved(NexthopObject::parse(message)?),
        _ => return None,
    })
}

/// Passes links and addresses; routes with our protocol number, or that replaced another one, or that are gone from the main table, where they
/// may have had the place of one of ours; nexthops. Of the last two, and of routes of ours, only what the socket with the port `own` did not
/// write. BPF loads in network order, netlink is in the machine's.
fn filter(own: u32) -> [Instruction; 18] {
    const LOAD_WORD: u16 = 0x20;
    const LOAD_HALF: u16 = 0x28;
    const LOAD_OCTET: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    let op = |code, k| Instruction { code, jt: 0, jf: 0, k };
    let jump = |code, k, jt, jf| Instruction { code, jt, jf, k };
    let half = |value: u16| u32::from(u16::from_be_bytes(value.to_ne_bytes()));
    [
        op(LOAD_HALF, 4),                                                 // 0: nlmsg_type
        jump(JUMP_IF_EQUAL, half(RTM_NEWROUTE), 4, 0),                    // 1: -> 6
        jump(JUMP_IF_EQUAL, half(RTM_DELROUTE), 7, 0),                    // 2: -> 10
        jump(JUMP_IF_EQUAL, half(RTM_NEWNEXTHOP), 10, 0),                 // 3: -> 14
        jump(JUMP_IF_EQUAL, half(RTM_DELNEXTHOP), 9, 0),                  // 4: -> 14
        op(RETURN, u32::MAX),                                             // 5: a link or an address
        op(LOAD_HALF, 6),                                                 // 6: nlmsg_flags
        jump(JUMP_IF_SET, half(NLM_F_REPLACE), 6, 0),                     // 7: -> 14
        op(LOAD_OCTET, 21),                                               // 8: rtm_protocol
        jump(JUMP_IF_EQUAL, PROTOCOL_HOLDFAST.into(), 4, 7),              // 9: -> 14, else -> 17
        op(LOAD_OCTET, 21),                                               // 10: rtm_protocol
        jump(JUMP_IF_EQUAL, PROTOCOL_HOLDFAST.into(), 2, 0),              // 11: -> 14
        op(LOAD_OCTET, 20),                                               // 12: rtm_table
        jump(JUMP_IF_EQUAL, TABLE_MAIN, 2, 3),                            // 13: -> 16, else -> 17
        op(LOAD_WORD, 12),                                                // 14: nlmsg_pid
        jump(JUMP_IF_EQUAL, u32::from_be_bytes(own.to_ne_bytes()), 1, 0), // 15: -> 17
        op(RETURN, u32::MAX),                                             // 16: passed
        op(RETURN, 0),                                                    // 17: dropped
    ]
}
