//! How far a table is filled, from some of its routes: a question for each to the kernel, a microsecond or two, where counting walks through
//! the whole table and takes a tenth of a second of the processors that the router needs.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{MsgFlags, recv, send};

use crate::{
    bgp::message::Prefix,
    error::{Doing, LabError, Result},
    kernel_tables,
};

const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 0x1;
/// The answer is the route of the table that was found, not what became of it.
const RTM_F_FIB_MATCH: u32 = 0x2000;
const RTA_DST: u16 = 1;
const AF_INET: u8 = 2;
const HEADER_BYTES: usize = 16;
/// The longest prefixes of the tables: what is found for one of their addresses is longer than all others that cover it.
const LENGTH: u8 = 24;
/// Enough to tell a thousandth.
const SIZE: usize = 1024;

/// Some of a table's routes, and which of them have not been seen in the kernel yet.
#[derive(Debug)]
pub struct Sample {
    fd: OwnedFd,
    size: usize,
    missing: Vec<Prefix>,
}

impl Sample {
    /// Evenly from all of these, in the calling thread's namespace.
    pub fn open(routes: &[Prefix]) -> Result<Self> {
        let suited: Vec<Prefix> = routes.iter().copied().filter(|route| route.length == LENGTH).collect();
        let missing: Vec<Prefix> = suited.iter().copied().step_by((suited.len() / SIZE).max(1)).collect();
        Ok(Self { fd: kernel_tables::open()?, size: missing.len(), missing })
    }

    /// The share that is missing, looked at anew; not smaller than it is.
    pub fn missing(&mut self) -> Result<f64> {
        let mut asked = Ok(());
        self.missing.retain(|route| {
            asked.is_ok()
                && !has(&self.fd, *route).unwrap_or_else(|error| {
                    asked = Err(error);
                    false
                })
        });
        asked.map(|()| self.missing.len() as f64 / self.size.max(1) as f64)
    }
}

/// Whether the kernel's table has a route.
fn has(fd: &OwnedFd, route: Prefix) -> Result<bool> {
    let doing = || "ask the kernel for a route".to_owned();
    send(fd.as_raw_fd(), &question(route), MsgFlags::empty()).doing(doing)?;
    let mut buffer = [0; 4096];
    let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()).doing(doing)?;
    names(buffer.get(..length).unwrap_or_default(), route)
}

/// Whether an answer names this route; an error does not: no route at all covers the address.
fn names(answer: &[u8], route: Prefix) -> Result<bool> {
    match answer.get(..HEADER_BYTES + 2) {
        Some(start) => Ok(start[4..6] == RTM_NEWROUTE.to_ne_bytes() && start[HEADER_BYTES + 1] == route.length),
        None => Err(LabError::Protocol(format!("an answer of {} octets to a question for a route", answer.len()))),
    }
}

/// `struct nlmsghdr`, `struct rtmsg`, one attribute.
fn question(route: Prefix) -> Vec<u8> {
    const LENGTH: u8 = 16 + 12 + 8;
    let mut out = u32::from(LENGTH).to_ne_bytes().to_vec();
    out.extend_from_slice(&RTM_GETROUTE.to_ne_bytes());
    out.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[AF_INET, 32, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&RTM_F_FIB_MATCH.to_ne_bytes());
    out.extend_from_slice(&8u16.to_ne_bytes());
    out.extend_from_slice(&RTA_DST.to_ne_bytes());
    out.extend_from_slice(&route.address.to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_route_and_an_error_are_not_the_route() {
        let answer =
            |kind: u16, length| [&[0; 4][..], &kind.to_ne_bytes(), &[0; 10], &[AF_INET, length, 0, 0]].concat();
        let route = Prefix::new(0x0102_0300, 24);
        assert!(names(&answer(RTM_NEWROUTE, 24), route).unwrap());
        assert!(!names(&answer(RTM_NEWROUTE, 16), route).unwrap());
        assert!(!names(&answer(2, 24), route).unwrap());
        assert!(names(&answer(RTM_NEWROUTE, 24)[..17], route).is_err());
        assert_eq!(question(route).len(), usize::from(question(route)[0]));
    }
}
