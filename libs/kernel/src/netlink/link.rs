//! Links: `RTM_NEWLINK`, `RTM_DELLINK`, `RTM_GETLINK`.
//!
//! A VLAN sub-interface that we made carries our mark as its group (`IFLA_GROUP`): links have no protocol number.

use super::wire::{
    Attributes, Encoder, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, text, u16_at, u32_at, u64_at,
};

/// The group of links that we made (`ip link show group 1207959552`); the same number from which our nexthop objects count.
pub const LINK_GROUP_HOLDFAST: u32 = 0x4800_0000;

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
const IFLA_GROUP: u16 = 27;
const IFLA_CARRIER_CHANGES: u16 = 35;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const KIND_VLAN: &str = "vlan";

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
    /// What the layer below says of it.
    pub oper_state: OperState,
    /// How often its carrier came or went.
    pub carrier_changes: u32,
    /// What it is made of (`vlan`, `veth`, `bridge`), empty for hardware.
    pub kind: String,
    /// The link below it, 0 for none.
    pub parent: u32,
    /// Of a VLAN sub-interface: its tag.
    pub vlan_id: Option<u16>,
    /// Its group.
    pub group: u32,
    /// Its counters, where the message carried them.
    pub counters: Counters,
}

/// `IFLA_OPERSTATE` (RFC 2863 ifOperStatus).
#[allow(missing_docs)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OperState {
    #[default]
    Unknown,
    NotPresent,
    Down,
    LowerLayerDown,
    Testing,
    Dormant,
    Up,
}

impl OperState {
    fn read(value: u8) -> Self {
        match value {
            1 => Self::NotPresent,
            2 => Self::Down,
            3 => Self::LowerLayerDown,
            4 => Self::Testing,
            5 => Self::Dormant,
            6 => Self::Up,
            _ => Self::Unknown,
        }
    }

    /// RFC 2863's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "not-present",
            Self::Down => "down",
            Self::LowerLayerDown => "lower-layer-down",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        }
    }
}

impl Link {
    /// Whether packets can leave through it.
    pub fn is_up(&self) -> bool {
        self.admin_up && self.carrier
    }

    /// Whether it is a VLAN sub-interface that we made.
    pub fn is_our_vlan(&self) -> bool {
        self.group == LINK_GROUP_HOLDFAST && self.vlan_id.is_some()
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
            oper_state: OperState::Unknown,
            carrier_changes: 0,
            kind: String::new(),
            parent: 0,
            vlan_id: None,
            group: 0,
            counters: Counters::default(),
        };
        for (attribute, value) in Attributes::after(message.payload, IFINFOMSG_LENGTH) {
            match attribute {
                IFLA_IFNAME => link.name = text(value),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_ADDRESS => link.mac = value.to_vec(),
                IFLA_IFALIAS => link.description = text(value),
                IFLA_STATS64 => link.counters = counters(value).unwrap_or_default(),
                IFLA_OPERSTATE => link.oper_state = OperState::read(*value.first()?),
                IFLA_CARRIER_CHANGES => link.carrier_changes = u32_at(value, 0)?,
                IFLA_LINK => link.parent = u32_at(value, 0)?,
                IFLA_GROUP => link.group = u32_at(value, 0)?,
                IFLA_LINKINFO => (link.kind, link.vlan_id) = information(value),
                _ => {}
            }
        }
        Some(link)
    }
}

/// Kind and VLAN tag out of `IFLA_LINKINFO`. What a tag is depends on the kind, which may come behind it.
fn information(value: &[u8]) -> (String, Option<u16>) {
    let find = |bytes, wanted| Attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let kind = find(value, IFLA_INFO_KIND).map(text).unwrap_or_default();
    let data = find(value, IFLA_INFO_DATA).filter(|_| kind == KIND_VLAN);
    let tag = data.and_then(|data| find(data, IFLA_VLAN_ID)).and_then(|tag| u16_at(tag, 0));
    (kind, tag)
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

pub(crate) fn encode_vlan(buffer: &mut Vec<u8>, parent: u32, name: &str, vlan_id: u16) {
    let mut message = Encoder::begin(buffer, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    message.fixed(&[0; IFINFOMSG_LENGTH]);
    message.attribute_text(IFLA_IFNAME, name).attribute_u32(IFLA_LINK, parent);
    message.attribute_u32(IFLA_GROUP, LINK_GROUP_HOLDFAST);
    message.nested(IFLA_LINKINFO, |info| {
        info.attribute_text(IFLA_INFO_KIND, KIND_VLAN);
        info.nested(IFLA_INFO_DATA, |data| {
            data.attribute(IFLA_VLAN_ID, &vlan_id.to_ne_bytes());
        });
    });
    message.end();
}

pub(crate) fn encode_link_removal(buffer: &mut Vec<u8>, index: u32) {
    let mut message = Encoder::begin(buffer, RTM_DELLINK, NLM_F_REQUEST);
    message.fixed(&[0; 4]).fixed(&index.to_ne_bytes()).fixed(&[0; 8]);
    message.end();
}

pub(crate) fn encode_link_dump(buffer: &mut Vec<u8>, flags: u16) {
    let mut message = Encoder::begin(buffer, RTM_GETLINK, NLM_F_REQUEST | flags);
    message.fixed(&[0; IFINFOMSG_LENGTH]);
    message.end();
}
