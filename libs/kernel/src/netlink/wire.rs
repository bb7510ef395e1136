//! netlink's framing: messages, attributes, error replies. Reads arbitrary bytes without panic; writes into one buffer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of `struct nlmsghdr`.
pub const HEADER_LENGTH: usize = 16;
const ATTRIBUTE_HEADER_LENGTH: usize = 4;
/// The bits of `nla_type` that are no type: nested, network byte order.
const ATTRIBUTE_TYPE_MASK: u16 = 0x3fff;
const ATTRIBUTE_NESTED: u16 = 0x8000;

pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
/// The reply does not carry the request ([`Message::acknowledgement`]).
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;

fn align4(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Two octets in the machine's byte order, at an offset.
pub fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Four octets in the machine's byte order, at an offset.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// Eight octets in the machine's byte order, at an offset.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

/// One received message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// `nlmsg_pid`: in a notification the port of the socket whose request caused it, 0 for the kernel itself.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// What a `NLMSG_ERROR` (or the end of a dump) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// 0, or a positive error number.
    pub errno: i32,
    /// The kernel's own words, where it gives any.
    pub detail: Option<String>,
}

impl Message<'_> {
    /// Reads an error reply or the end of a dump; `None` where it is too short to be one.
    pub fn acknowledgement(&self) -> Option<Acknowledgement> {
        let errno = (u32_at(self.payload, 0)? as i32).checked_neg()?.max(0);
        let mut offset = 4;
        if self.kind == NLMSG_ERROR {
            let request = u32_at(self.payload, 4)? as usize;
            offset += if self.flags & NLM_F_CAPPED != 0 { HEADER_LENGTH } else { align4(request.max(HEADER_LENGTH)) };
        }
        let has_detail = self.flags & NLM_F_ACK_TLVS != 0;
        let attributes = if has_detail { self.payload.get(offset..).unwrap_or_default() } else { &[] };
        let text = Attributes(attributes).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG).map(|(_, value)| text(value));
        Some(Acknowledgement { errno, detail: text })
    }
}

/// Iterates over the messages of one datagram; ends at the first one whose length cannot be true.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32_at(self.0, 0)? as usize;
        if length < HEADER_LENGTH || length > self.0.len() {
            self.0 = &[];
            return None;
        }
        let (message, _) = self.0.split_at(length);
        self.0 = self.0.get(align4(length)..).unwrap_or_default();
        Some(Message {
            kind: u16_at(message, 4)?,
            flags: u16_at(message, 6)?,
            sequence: u32_at(message, 8)?,
            port: u32_at(message, 12)?,
            payload: message.get(HEADER_LENGTH..)?,
        })
    }
}

/// Iterates over attributes as (type, value); ends at the first one whose length cannot be true.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes behind a fixed header of `length` octets.
    pub fn after(payload: &'a [u8], length: usize) -> Self {
        Self(payload.get(align4(length)..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = u16_at(self.0, 0)? as usize;
        let kind = u16_at(self.0, 2)?;
        if length < ATTRIBUTE_HEADER_LENGTH || length > self.0.len() {
            self.0 = &[];
            return None;
        }
        let value = &self.0[ATTRIBUTE_HEADER_LENGTH..length];
        self.0 = self.0.get(align4(length)..).unwrap_or_default();
        Some((kind & ATTRIBUTE_TYPE_MASK, value))
    }
}

/// An address of 4 or 16 octets.
pub fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(Ipv4Addr::from(*value.first_chunk::<4>()?).into()),
        16 => Some(Ipv6Addr::from(*value.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// A text, with or without its terminator.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|octet| *octet == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// Appends messages to a buffer. A message is begun, filled, and ended; nothing is written twice but lengths.
#[derive(Debug)]
pub struct Encoder<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Encoder<'a> {
    /// Begins a message; its sequence number is filled in when it is sent.
    pub fn begin(buffer: &'a mut Vec<u8>, kind: u16, flags: u16) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(&kind.to_ne_bytes());
        buffer.extend_from_slice(&flags.to_ne_bytes());
        buffer.extend_from_slice(&[0; 8]);
        Self { buffer, start }
    }

    /// Appends a fixed header, whose length is a multiple of four.
    pub fn fixed(&mut self, octets: &[u8]) -> &mut Self {
        debug_assert!(octets.len().is_multiple_of(4));
        self.buffer.extend_from_slice(octets);
        self
    }

    /// Appends one attribute, padded.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = (ATTRIBUTE_HEADER_LENGTH + value.len()) as u16;
        self.buffer.extend_from_slice(&length.to_ne_bytes());
        self.buffer.extend_from_slice(&kind.to_ne_bytes());
        self.buffer.extend_from_slice(value);
        self.buffer.resize(align4(self.buffer.len()), 0);
        self
    }

    /// Appends an attribute of four octets in the machine's order.
    pub fn attribute_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends an address.
    pub fn attribute_address(&mut self, kind: u16, value: &IpAddr) -> &mut Self {
        match value {
            IpAddr::V4(value) => self.attribute(kind, &value.octets()),
            IpAddr::V6(value) => self.attribute(kind, &value.octets()),
        }
    }

    /// Appends a text with its terminator.
    pub fn attribute_text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut octets = value.as_bytes().to_vec();
        octets.push(0);
        self.attribute(kind, &octets)
    }

    /// Appends an attribute that holds others.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.buffer.len();
        self.attribute(kind | ATTRIBUTE_NESTED, &[]);
        fill(self);
        let length = (self.buffer.len() - start) as u16;
        self.buffer[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Ends the message: writes its length.
    pub fn end(self) {
        let length = (self.buffer.len() - self.start) as u32;
        self.buffer[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}
