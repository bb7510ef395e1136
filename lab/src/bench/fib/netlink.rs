//! The bare loop: routes to a nexthop object, in batches, and nothing else (rtnetlink(7)).

use std::{
    net::Ipv4Addr,
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
    bgp::message::Prefix,
    error::{Doing, LabError, Result},
    limits,
};

const NLMSG_ERROR: u16 = 2;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEXTHOP: u16 = 104;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const AF_INET: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
/// Of a route that is to be deleted: any.
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTA_DST: u16 = 1;
const RTA_PRIORITY: u16 = 6;
const RTA_NH_ID: u16 = 30;
const NHA_ID: u16 = 1;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const HEADER_BYTES: usize = 16;

/// What the router's routes carry, so that an altered one still counts as the router's: its protocol and its metric.
const PROTOCOL: u8 = 72;
const METRIC: u32 = 20;
/// More in one system call make nothing faster.
const BATCH: usize = 512;
/// The only object.
const NEXTHOP_ID: u32 = 1;

/// What is done to routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They are not there, and lead to the nexthop object then.
    Add,
    /// They are there, and lead nowhere then.
    Alter,
    /// They are there.
    Remove,
}

/// A socket to the kernel of the namespace that the thread lives in.
#[derive(Debug)]
pub struct Bare {
    fd: OwnedFd,
    sequence: u32,
    batch: Vec<u8>,
}

impl Bare {
    /// Opens it.
    pub fn open() -> Result<Self> {
        let doing = || "open a socket to write routes".to_owned();
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .doing(doing)?;
        let within = TimeVal::milliseconds(i64::try_from(limits::COMMAND_WITHIN.as_millis()).unwrap_or(i64::MAX));
        setsockopt(&fd, sockopt::ReceiveTimeout, &within).doing(doing)?;
        // Room for the refusal of a whole batch.
        setsockopt(&fd, sockopt::RcvBufForce, &(4 << 20)).doing(doing)?;
        setsockopt(&fd, sockopt::SndBufForce, &(4 << 20)).doing(doing)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).doing(doing)?;
        Ok(Self { fd, sequence: 0, batch: Vec::with_capacity(BATCH * 64) })
    }

    /// Makes the nexthop object that all routes lead to.
    pub fn make_nexthop(&mut self, gateway: Ipv4Addr, interface_index: u32) -> Result<()> {
        let header = [AF_INET, 0, PROTOCOL, 0, 0, 0, 0, 0];
        let id = attribute(NHA_ID, NEXTHOP_ID.to_ne_bytes());
        let out = attribute(NHA_OIF, interface_index.to_ne_bytes());
        let flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
        self.message(RTM_NEWNEXTHOP, flags, &[&header, &id, &out, &attribute(NHA_GATEWAY, gateway.octets())]);
        self.execute()
    }

    /// Does it to all of these routes, batch by batch.
    pub fn change(&mut self, routes: &[Prefix], change: Change) -> Result<()> {
        for some in routes.chunks(BATCH) {
            for (index, prefix) in (1..).zip(some) {
                self.route(*prefix, change, index == some.len());
            }
            self.execute()?;
        }
        Ok(())
    }

    fn route(&mut self, prefix: Prefix, change: Change, last: bool) {
        let (kind, flags, scope, type_) = match change {
            Change::Add => (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, 0, RTN_UNICAST),
            Change::Alter => (RTM_NEWROUTE, NLM_F_REPLACE, 0, RTN_BLACKHOLE),
            Change::Remove => (RTM_DELROUTE, 0, RT_SCOPE_NOWHERE, 0),
        };
        let flags = NLM_F_REQUEST | flags | if last { NLM_F_ACK } else { 0 };
        let header = [AF_INET, prefix.length, 0, 0, RT_TABLE_MAIN, PROTOCOL, scope, type_, 0, 0, 0, 0];
        let destination = attribute(RTA_DST, prefix.address.to_be_bytes());
        let metric = attribute(RTA_PRIORITY, METRIC.to_ne_bytes());
        let nexthop = attribute(RTA_NH_ID, NEXTHOP_ID.to_ne_bytes());
        let leads_to: &[u8] = if change == Change::Add { &nexthop } else { &[] };
        self.message(kind, flags, &[&header, &destination, &metric, leads_to]);
    }

    fn message(&mut self, kind: u16, flags: u16, parts: &[&[u8]]) {
        let length = HEADER_BYTES + parts.iter().map(|part| part.len()).sum::<usize>();
        self.sequence = self.sequence.wrapping_add(1);
        self.batch.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
        self.batch.extend_from_slice(&kind.to_ne_bytes());
        self.batch.extend_from_slice(&flags.to_ne_bytes());
        self.batch.extend_from_slice(&self.sequence.to_ne_bytes());
        self.batch.extend_from_slice(&[0; 4]);
        parts.iter().for_each(|part| self.batch.extend_from_slice(part));
    }

    /// Sends what was gathered and waits for the answer to its last message; fails with the first refusal.
    fn execute(&mut self) -> Result<()> {
        let doing = || "write routes".to_owned();
        send(self.fd.as_raw_fd(), &self.batch, MsgFlags::empty()).doing(doing)?;
        self.batch.clear();
        let mut buffer = [0; 8192];
        loop {
            let length = recv(self.fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).doing(doing)?;
            let word = |at: usize| buffer.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, u32::from_ne_bytes);
            let kind = u16::from_ne_bytes([buffer[4], buffer[5]]);
            if length < HEADER_BYTES + 4 || kind != NLMSG_ERROR {
                continue;
            }
            match word(HEADER_BYTES).cast_signed() {
                0 if word(8) == self.sequence => return Ok(()),
                0 => {}
                error => {
                    let error = std::io::Error::from_raw_os_error(-error);
                    return Err(LabError::Protocol(format!("the kernel refused message {}: {error}", word(8))));
                }
            }
        }
    }
}

/// An attribute of four octets.
fn attribute(kind: u16, value: [u8; 4]) -> [u8; 8] {
    let ([a, b], [w, x, y, z]) = (kind.to_ne_bytes(), value);
    let [l, m] = 8u16.to_ne_bytes();
    [l, m, a, b, w, x, y, z]
}
