//! Reads a capture file and picks the TCP segments out of it (Ethernet, IPv4 without options or with, IPv6 without extension headers,
//! TCP).

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::error::{Doing, LabError, Result};

/// TCP flags.
pub mod flags {
    /// End of the sender's data.
    pub const FIN: u8 = 0x01;
    /// Opening.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// An answer.
    pub const ACK: u8 = 0x10;
}

/// One TCP segment of the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// CLOCK_REALTIME.
    pub at_ns: u64,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// The TTL, or hop limit, with which it arrived.
    pub ttl: u8,
    /// It carries a signature (RFC 2385).
    pub signed: bool,
    /// Sequence number of the first byte (or of the SYN).
    pub sequence: u32,
    /// TCP flags.
    pub flags: u8,
    /// Payload.
    pub payload: Vec<u8>,
    /// Bytes of payload that the capture does not hold.
    pub truncated_bytes: usize,
}

/// A frame is bounded by the largest segmentation offload.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Reads a capture, segment by segment.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    nanoseconds: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the file's header.
    pub fn new(mut input: R) -> Result<Self> {
        let mut header = [0; 24];
        input.read_exact(&mut header).doing(|| "read the capture's header".into())?;
        let magic = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let nanoseconds = match magic {
            0xa1b2_c3d4 => false,
            0xa1b2_3c4d => true,
            other => return Err(LabError::Protocol(format!("not a capture of this machine: magic {other:#010x}"))),
        };
        Ok(Self { input, nanoseconds })
    }

    /// The next TCP segment, if there is one. A last frame that was being written is not an error.
    pub fn next_segment(&mut self) -> Result<Option<Segment>> {
        loop {
            let mut header = [0; 16];
            if !self.fill(&mut header)? {
                return Ok(None);
            }
            let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let length = word(8) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(LabError::Protocol(format!("a frame of {length} bytes in the capture")));
            }
            let mut frame = vec![0; length];
            if !self.fill(&mut frame)? {
                return Ok(None);
            }
            let fraction = u64::from(word(4)) * if self.nanoseconds { 1 } else { 1000 };
            if let Some(segment) = segment(u64::from(word(0)) * 1_000_000_000 + fraction, &frame) {
                return Ok(Some(segment));
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error).doing(|| "read the capture".into()),
        }
    }
}

/// What the network's header says.
struct Packet<'a> {
    from: IpAddr,
    to: IpAddr,
    ttl: u8,
    /// Bytes of TCP, header included; nothing: more than the header can say.
    tcp_bytes: Option<usize>,
    tcp: &'a [u8],
}

fn ipv4(ip: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?)));
    // Offloaded frames beyond 64 KiB carry a total length of 0.
    let tcp_bytes = match u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]) {
        0 => None,
        total => Some(usize::from(total).checked_sub(header)?),
    };
    let tcp = ip.get(header..)?;
    (*ip.get(9)? == TCP).then_some(Packet { from: address(12)?, to: address(16)?, ttl: *ip.get(8)?, tcp_bytes, tcp })
}

fn ipv6(ip: &[u8]) -> Option<Packet<'_>> {
    const HEADER_BYTES: usize = 40;
    let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?)));
    // A jumbogram (RFC 2675) has a length of 0, and its length in an extension header: the kernel hides that from captures.
    let length = u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]);
    let tcp_bytes = (length != 0).then_some(usize::from(length));
    let tcp = ip.get(HEADER_BYTES..)?;
    (*ip.get(6)? == TCP).then_some(Packet { from: address(8)?, to: address(24)?, ttl: *ip.get(7)?, tcp_bytes, tcp })
}

/// Protocol number.
const TCP: u8 = 6;

fn segment(at_ns: u64, frame: &[u8]) -> Option<Segment> {
    const ETHERNET_BYTES: usize = 14;
    let inside = frame.get(ETHERNET_BYTES..)?;
    let packet = match frame.get(12..14)? {
        [0x08, 0x00] => ipv4(inside)?,
        [0x86, 0xdd] => ipv6(inside)?,
        _ => return None,
    };
    let tcp = packet.tcp;
    let header = usize::from(tcp.get(12)? >> 4) * 4;
    let payload_bytes = packet.tcp_bytes.unwrap_or(tcp.len()).checked_sub(header)?;
    let held = tcp.get(header..)?;
    let payload = held.get(..payload_bytes.min(held.len()))?.to_vec();
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    Some(Segment {
        at_ns,
        from: SocketAddr::new(packet.from, port(0)?),
        to: SocketAddr::new(packet.to, port(2)?),
        ttl: packet.ttl,
        signed: has_signature(tcp.get(20..header)?),
        sequence: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        flags: *tcp.get(13)?,
        truncated_bytes: payload_bytes - payload.len(),
        payload,
    })
}

/// Whether TCP's options have a signature among them (RFC 2385 §3).
fn has_signature(mut options: &[u8]) -> bool {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const SIGNATURE: u8 = 19;
    loop {
        options = match options {
            [SIGNATURE, ..] => return true,
            [NO_OPERATION, rest @ ..] => rest,
            [END, ..] | [] | [_] => return false,
            [_, length, ..] => options.get(usize::from(*length).max(2)..).unwrap_or_default(),
        };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two NOPs, then the signature: a length of 18, and 16 octets.
    const SIGNATURE: [u8; 20] = [1, 1, 19, 18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    /// A capture file with the given segments.
    pub(crate) fn capture(segments: &[Segment]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for s in segments {
            let options: &[u8] = if s.signed { &SIGNATURE } else { &[] };
            let tcp_header = 20 + options.len();
            let bytes = |beside: usize| u16::try_from(beside + tcp_header + s.payload.len()).unwrap().to_be_bytes();
            let mut frame = vec![0; 12];
            match (s.from.ip(), s.to.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    frame.extend_from_slice(&[8, 0, 0x45, 0]);
                    frame.extend_from_slice(&bytes(20));
                    frame.extend_from_slice(&[0, 0, 0, 0, s.ttl, 6, 0, 0]);
                    frame.extend([from.octets(), to.octets()].concat());
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
                    frame.extend_from_slice(&bytes(0));
                    frame.extend_from_slice(&[6, s.ttl]);
                    frame.extend([from.octets(), to.octets()].concat());
                }
                other => panic!("{other:?}"),
            }
            frame.extend_from_slice(&s.from.port().to_be_bytes());
            frame.extend_from_slice(&s.to.port().to_be_bytes());
            frame.extend_from_slice(&s.sequence.to_be_bytes());
            let offset = u8::try_from(tcp_header / 4).unwrap() << 4;
            frame.extend_from_slice(&[0, 0, 0, 0, offset, s.flags, 0, 0, 0, 0, 0, 0]);
            frame.extend_from_slice(options);
            frame.extend_from_slice(&s.payload);
            let length = u32::try_from(frame.len()).unwrap();
            for word in [
                u32::try_from(s.at_ns / 1_000_000_000).unwrap(),
                u32::try_from(s.at_ns % 1_000_000_000 / 1000).unwrap(),
                length,
                length,
            ] {
                out.extend_from_slice(&word.to_le_bytes());
            }
            out.extend_from_slice(&frame);
        }
        out
    }

    #[test]
    fn segments_come_back_and_a_torn_end_is_the_end() {
        let inet = Segment {
            at_ns: 1_700_000_000_123_456_000,
            from: "10.0.0.1:179".parse().unwrap(),
            to: "10.0.0.2:40000".parse().unwrap(),
            ttl: 64,
            signed: false,
            sequence: 77,
            flags: 0x18,
            payload: b"hello".to_vec(),
            truncated_bytes: 0,
        };
        let inet6 = Segment {
            from: "[2001:db8::1]:179".parse().unwrap(),
            to: "[fe80::2]:40000".parse().unwrap(),
            ttl: 255,
            signed: true,
            ..inet.clone()
        };
        let bytes = capture(&[inet.clone(), inet6.clone(), inet6.clone()]);
        let mut reader = Reader::new(&bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(reader.next_segment().unwrap(), Some(inet));
        assert_eq!(reader.next_segment().unwrap(), Some(inet6));
        assert_eq!(reader.next_segment().unwrap(), None);
        assert!(Reader::new(&[0u8; 24][..]).is_err());
    }
}
