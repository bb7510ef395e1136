//! Reads a capture file and picks the TCP segments out of it (Ethernet, IPv4 without options or with, TCP).

use std::{
    io::{ErrorKind, Read},
    net::{Ipv4Addr, SocketAddrV4},
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
}

/// One TCP segment of the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// CLOCK_REALTIME.
    pub at_ns: u64,
    /// Sender.
    pub from: SocketAddrV4,
    /// Receiver.
    pub to: SocketAddrV4,
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

fn segment(at_ns: u64, frame: &[u8]) -> Option<Segment> {
    const ETHERNET_BYTES: usize = 14;
    let ip = frame.get(ETHERNET_BYTES..)?;
    if frame.get(12..14)? != [0x08, 0x00] || *ip.get(9)? != 6 {
        return None;
    }
    let ip_header = usize::from(ip.first()? & 0x0f) * 4;
    let ip_total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let tcp = ip.get(ip_header..)?;
    let tcp_header = usize::from(tcp.get(12)? >> 4) * 4;
    // Offloaded frames beyond 64 KiB carry a total length of 0.
    let payload_bytes = if ip_total == 0 { tcp.len() } else { ip_total - ip_header }.checked_sub(tcp_header)?;
    let held = tcp.get(tcp_header..)?;
    let payload = held.get(..payload_bytes.min(held.len()))?.to_vec();
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
    let port = |at: usize| Some(u16::from_be_bytes([*tcp.get(at)?, *tcp.get(at + 1)?]));
    Some(Segment {
        at_ns,
        from: SocketAddrV4::new(address(12)?, port(0)?),
        to: SocketAddrV4::new(address(16)?, port(2)?),
        sequence: u32::from_be_bytes(tcp.get(4..8)?.try_into().ok()?),
        flags: *tcp.get(13)?,
        truncated_bytes: payload_bytes - payload.len(),
        payload,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A capture file with the given segments.
    pub(crate) fn capture(segments: &[Segment]) -> Vec<u8> {
        let mut out = Vec::new();
        for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for s in segments {
            let mut frame = vec![0; 12];
            frame.extend_from_slice(&[8, 0, 0x45, 0]);
            frame.extend_from_slice(&u16::try_from(40 + s.payload.len()).unwrap().to_be_bytes());
            frame.extend_from_slice(&[0, 0, 0, 0, 64, 6, 0, 0]);
            frame.extend_from_slice(&s.from.ip().octets());
            frame.extend_from_slice(&s.to.ip().octets());
            frame.extend_from_slice(&s.from.port().to_be_bytes());
            frame.extend_from_slice(&s.to.port().to_be_bytes());
            frame.extend_from_slice(&s.sequence.to_be_bytes());
            frame.extend_from_slice(&[0, 0, 0, 0, 0x50, s.flags, 0, 0, 0, 0, 0, 0]);
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
        let segment = Segment {
            at_ns: 1_700_000_000_123_456_000,
            from: "10.0.0.1:179".parse().unwrap(),
            to: "10.0.0.2:40000".parse().unwrap(),
            sequence: 77,
            flags: 0x18,
            payload: b"hello".to_vec(),
            truncated_bytes: 0,
        };
        let bytes = capture(&[segment.clone(), segment.clone()]);
        let mut reader = Reader::new(&bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(reader.next_segment().unwrap(), Some(segment));
        assert_eq!(reader.next_segment().unwrap(), None);
        assert!(Reader::new(&[0u8; 24][..]).is_err());
    }
}
