//! Neighbours on links, by ARP and IPv6 neighbour discovery: `RTM_NEWNEIGH`, `RTM_DELNEIGH`, `RTM_GETNEIGH`. They are the kernel's, and read
//! only.

use std::net::IpAddr;

use super::wire::{Attributes, Encoder, Message, NLM_F_REQUEST, address, u16_at, u32_at};
use super::{AF_INET, AF_INET6};

pub(crate) const RTM_NEWNEIGH: u16 = 28;
pub(crate) const RTM_DELNEIGH: u16 = 29;
pub(crate) const RTM_GETNEIGH: u16 = 30;

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_CACHEINFO: u16 = 3;
const NTF_ROUTER: u8 = 0x80;
/// Length of `struct ndmsg`: family, pad (3), index (4), state (2), flags, type.
const NDMSG_LENGTH: usize = 12;
/// Where `struct nda_cacheinfo` has the time since the last change, in hundredths of a second (`USER_HZ`).
const CACHEINFO_UPDATED: usize = 8;

/// What is known of a neighbour (RFC 4861 §7.3.2, and what Linux adds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighborState {
    /// It has been asked for and has not answered yet.
    Incomplete,
    /// It answered a moment ago.
    Reachable,
    /// It was there; asked again as soon as there is something to send.
    Stale,
    /// Something was sent; asked again if nothing shows that it arrived.
    Delay,
    /// It is being asked again.
    Probe,
    /// It did not answer.
    Failed,
    /// The link needs no resolution.
    NoArp,
    /// Set by somebody, not found out.
    Permanent,
    /// Nothing yet.
    None,
}

impl NeighborState {
    fn read(value: u16) -> Self {
        match value {
            0x01 => Self::Incomplete,
            0x02 => Self::Reachable,
            0x04 => Self::Stale,
            0x08 => Self::Delay,
            0x10 => Self::Probe,
            0x20 => Self::Failed,
            0x40 => Self::NoArp,
            0x80 => Self::Permanent,
            _ => Self::None,
        }
    }

    /// The word of RFC 4861, or of Linux.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::NoArp => "noarp",
            Self::Permanent => "permanent",
            Self::None => "none",
        }
    }
}

/// A neighbour as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbor {
    /// The link it is on.
    pub interface_index: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address; empty where it is not known.
    pub mac: Vec<u8>,
    /// What is known of it.
    pub state: NeighborState,
    /// Whether it says that it is a router (IPv6).
    pub router: bool,
    /// Since the last change.
    pub age_s: u32,
}

impl Neighbor {
    /// Reads a `RTM_NEWNEIGH` or `RTM_DELNEIGH`; `None` for entries of bridges and the like.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let header = message.payload.first_chunk::<NDMSG_LENGTH>()?;
        if ![AF_INET, AF_INET6].contains(&header[0]) {
            return None;
        }
        let (mut to, mut mac, mut age_s) = (None, Vec::new(), 0);
        for (attribute, value) in Attributes::after(message.payload, NDMSG_LENGTH) {
            match attribute {
                NDA_DST => to = Some(address(value)?),
                NDA_LLADDR => mac = value.to_vec(),
                NDA_CACHEINFO => age_s = u32_at(value, CACHEINFO_UPDATED)? / 100,
                _ => {}
            }
        }
        Some(Self {
            interface_index: u32_at(header, 4)?,
            address: to?,
            mac,
            state: NeighborState::read(u16_at(header, 8)?),
            router: header[10] & NTF_ROUTER != 0,
            age_s,
        })
    }
}

pub(crate) fn encode_neighbor_dump(buffer: &mut Vec<u8>, ipv6: bool, flags: u16) {
    let mut header = [0; NDMSG_LENGTH];
    header[0] = if ipv6 { AF_INET6 } else { AF_INET };
    let mut message = Encoder::begin(buffer, RTM_GETNEIGH, NLM_F_REQUEST | flags);
    message.fixed(&header);
    message.end();
}
