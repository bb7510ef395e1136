//! Links: `RTM_NEWLINK`, `RTM_GETLINK`.

use super::wire::{Attributes, Encoder, Message, NLM_F_REQUEST, text, u32_at, u64_at};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_LOWER_UP: u32 = 0x1_0000;
/// Length of `struct ifinfomsg`: family, pad, type (2), index (4), flags (4), change (4).
const IFINFOMSG_LENGTH: usize = 16;

/// Packets and octets through a link, since it exists (`struct rtnl_link_stats64`).
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

/// A link as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number; not used again while the namespace lives (until it wraps).
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether the administrator wants it up.
    pub admin_up: bool,
    /// Whether the layer below is up.
    pub carrier: bool,
    /// The largest packet it takes, in octets.
    pub mtu: u32,
    /// Its hardware address, empty where it has none.
    pub mac: Vec<u8>,
    /// Whether it is a loopback.
    pub loopback: bool,
    /// Its alias: what the configuration calls its description.
    pub description: String,
    /// Its counters, where the message carried them.
    pub counters: Counters,
}

impl Link {
    /// Whether packets can leave through it.
    pub fn is_up(&self) -> bool {
        self.admin_up && self.carrier
    }

    /// Reads a `RTM_NEWLINK` or `RTM_DELLINK`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let header = message.payload.first_chunk::<IFINFOMSG_LENGTH>()?;
        // Bridges and others announce their ports under their own family; these are not the link itself.
        if header[0] != super::AF_UNSPEC {
            return None;
        }
        let flags = u32_at(header, 8)?;
        let mut link = Self {
            index: u32_at(header, 4)?,
            name: String::new(),
            admin_up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            mtu: 0,
            mac: Vec::new(),
            loopback: flags & IFF_LOOPBACK != 0,
            description: String::new(),
            counters: Counters::default(),
        };
        for (attribute, value) in Attributes::after(message.payload, IFINFOMSG_LENGTH) {
            match attribute {
                IFLA_IFNAME => link.name = text(value),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_ADDRESS => link.mac = value.to_vec(),
                IFLA_IFALIAS => link.description = text(value),
                IFLA_STATS64 => link.counters = counters(value).unwrap_or_default(),
                _ => {}
            }
        }
        Some(link)
    }
}

fn counters(value: &[u8]) -> Option<Counters> {
    let field = |index: usize| u64_at(value, index * 8);
    Some(Counters {
        rx_packets: field(0)?,
        tx_packets: field(1)?,
        rx_bytes: field(2)?,
        tx_bytes: field(3)?,
        rx_errors: field(4)?,
        tx_errors: field(5)?,
        rx_dropped: field(6)?,
        tx_dropped: field(7)?,
    })
}

/// A change to a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    /// Administratively up or down.
    Admin(bool),
    /// Another MTU.
    Mtu(u32),
    /// Another description (`IFLA_IFALIAS`).
    Description(String),
}

pub(crate) fn encode_link_change(buffer: &mut Vec<u8>, index: u32, change: &LinkChange) {
    let mut message = Encoder::begin(buffer, RTM_NEWLINK, NLM_F_REQUEST);
    let (flags, mask) = match change {
        LinkChange::Admin(up) => (if *up { IFF_UP } else { 0 }, IFF_UP),
        _ => (0, 0),
    };
    message.fixed(&[0; 4]).fixed(&index.to_ne_bytes()).fixed(&flags.to_ne_bytes()).fixed(&mask.to_ne_bytes());
    match change {
        LinkChange::Admin(_) => {}
        LinkChange::Mtu(mtu) => {
            message.attribute_u32(IFLA_MTU, *mtu);
        }
        LinkChange::Description(text) => {
            message.attribute(IFLA_IFALIAS, text.as_bytes());
        }
    }
    message.end();
}

pub(crate) fn encode_link_dump(buffer: &mut Vec<u8>, flags: u16) {
    let mut message = Encoder::begin(buffer, RTM_GETLINK, NLM_F_REQUEST | flags);
    message.fixed(&[0; IFINFOMSG_LENGTH]);
    message.end();
}
