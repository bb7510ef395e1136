//! Links that go down and come up at a moment that is known: the kernel does it while the request is handed to it.

use std::os::fd::AsRawFd;

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{MsgFlags, recv, send},
};

use super::netns::Namespace;
use crate::{
    error::{Doing, LabError, Result},
    kernel_tables,
    time::{Moment, Window},
};

/// rtnetlink's message type, and the flags of a request that is to be answered.
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const NLMSG_ERROR: u16 = 2;
/// `struct nlmsghdr` and `struct ifinfomsg`.
const MESSAGE_BYTES: u32 = 16 + 16;
const IFF_UP: u32 = 1;

/// Sets an interface of a namespace up or down; between which two moments that was done.
pub fn set(namespace: &Namespace, interface: &str, up: bool) -> Result<Window> {
    let title = || format!("set {interface} of {} {}", namespace.name(), if up { "up" } else { "down" });
    namespace.inside(|| {
        let index = if_nametoindex(interface).doing(title)?;
        let socket = kernel_tables::open()?;
        let from = Moment::now();
        send(socket.as_raw_fd(), &request(index, up), MsgFlags::empty()).doing(title)?;
        let to = Moment::now();
        let mut buffer = [0; 4096];
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).doing(title)?;
        match answer(buffer.get(..length).unwrap_or_default()) {
            Some(0) => Ok(Window { from, to }),
            Some(error) => Err(std::io::Error::from_raw_os_error(error)).doing(title),
            None => Err(LabError::Protocol(format!("{}: the kernel's answer is not understood", title()))),
        }
    })
}

fn request(index: u32, up: bool) -> Vec<u8> {
    let mut out = MESSAGE_BYTES.to_ne_bytes().to_vec();
    out.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    out.extend_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    // Sequence number and sender; then the address family and the type, which say nothing here.
    out.extend_from_slice(&[0; 8 + 4]);
    out.extend_from_slice(&index.to_ne_bytes());
    out.extend_from_slice(&(if up { IFF_UP } else { 0 }).to_ne_bytes());
    // Which of the flags are meant.
    out.extend_from_slice(&IFF_UP.to_ne_bytes());
    out
}

/// The number of the error that a request was answered with; 0: it was done.
fn answer(bytes: &[u8]) -> Option<i32> {
    let (header, rest) = bytes.split_first_chunk::<16>()?;
    let number = i32::from_ne_bytes(*rest.first_chunk::<4>()?);
    (u16::from_ne_bytes([header[4], header[5]]) == NLMSG_ERROR).then(|| number.saturating_neg())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_means_and_an_answer_is_read() {
        let down = request(7, false);
        assert_eq!(down.len(), usize::try_from(MESSAGE_BYTES).unwrap());
        assert_eq!(
            (&down[20..24], &down[24..28], &down[28..]),
            (&7u32.to_ne_bytes()[..], &[0; 4][..], &1u32.to_ne_bytes()[..])
        );
        assert_eq!(request(7, true)[24..28], 1u32.to_ne_bytes());
        let mut error = vec![0; 36];
        error[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        error[16..20].copy_from_slice(&(-19i32).to_ne_bytes());
        assert_eq!(answer(&error), Some(19));
        assert_eq!(answer(&error[..19]), None);
        assert_eq!(answer(&[0; 36]), None, "no answer to a request");
    }
}
