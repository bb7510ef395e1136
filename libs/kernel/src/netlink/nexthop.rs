//! Nexthop objects: `RTM_NEWNEXTHOP`, `RTM_DELNEXTHOP`, `RTM_GETNEXTHOP` (include/uapi/linux/nexthop.h).

use std::net::IpAddr;

use super::wire::{Attributes, Encoder, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, address, u16_at, u32_at};
use super::{AF_INET, AF_INET6, AF_UNSPEC, PROTOCOL_HOLDFAST};

pub(crate) const RTM_NEWNEXTHOP: u16 = 104;
pub(crate) const RTM_DELNEXTHOP: u16 = 105;
pub(crate) const RTM_GETNEXTHOP: u16 = 106;

const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_GROUP_TYPE: u16 = 3;
const NHA_BLACKHOLE: u16 = 4;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
/// Length of `struct nhmsg`: family, scope, protocol, reserved, flags (4).
const NHMSG_LENGTH: usize = 8;
/// Length of `struct nexthop_grp`: id (4), weight - 1, high octet of it (since Linux 6.12), reserved (2).
const GROUP_ENTRY_LENGTH: usize = 8;

/// A member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NexthopMember {
    /// The member's object.
    pub id: u32,
    /// Its share, from 1.
    pub weight: u16,
}

/// What an object stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NexthopContent {
    /// One way out.
    Single {
        /// The neighbour on the link; none where destinations are on the link themselves.
        gateway: Option<IpAddr>,
        /// The link.
        interface_index: u32,
    },
    /// Several, by weight.
    Group(Vec<NexthopMember>),
    /// None: packets are dropped.
    Blackhole,
    /// Something that Holdfast does not write.
    Other,
}

/// A nexthop object as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NexthopObject {
    /// Its number.
    pub id: u32,
    /// Who made it (`nh_protocol`).
    pub protocol: u8,
    /// Whether its own family is IPv6. An IPv6 route can use only those, an IPv4 route either; a group has no family.
    pub ipv6: bool,
    /// What it stands for.
    pub content: NexthopContent,
}

impl NexthopObject {
    /// Whether it carries our mark.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL_HOLDFAST
    }

    /// Reads a `RTM_NEWNEXTHOP` or `RTM_DELNEXTHOP`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let [family, _, protocol, ..] = *message.payload.first_chunk::<NHMSG_LENGTH>()?;
        let (mut id, mut gateway, mut interface, mut group, mut blackhole, mut group_type) =
            (None, None, None, None, false, 0);
        for (attribute, value) in Attributes::after(message.payload, NHMSG_LENGTH) {
            match attribute {
                NHA_ID => id = Some(u32_at(value, 0)?),
                NHA_GROUP => group = Some(members(value)?),
                NHA_GROUP_TYPE => group_type = u16_at(value, 0)?,
                NHA_BLACKHOLE => blackhole = true,
                NHA_OIF => interface = Some(u32_at(value, 0)?),
                NHA_GATEWAY => gateway = Some(address(value)?),
                _ => {}
            }
        }
        let content = match (group, blackhole, interface) {
            (Some(members), _, _) if group_type == 0 => NexthopContent::Group(members),
            (None, true, _) => NexthopContent::Blackhole,
            (None, false, Some(interface_index)) => NexthopContent::Single { gateway, interface_index },
            _ => NexthopContent::Other,
        };
        Some(Self { id: id?, protocol, ipv6: family == AF_INET6, content })
    }
}

fn members(value: &[u8]) -> Option<Vec<NexthopMember>> {
    let parse = |entry: &[u8]| {
        let weight = u16::from(entry[4]) | u16::from(entry[5]) << 8;
        Some(NexthopMember { id: u32_at(entry, 0)?, weight: weight.saturating_add(1) })
    };
    if !value.len().is_multiple_of(GROUP_ENTRY_LENGTH) {
        return None;
    }
    value.chunks_exact(GROUP_ENTRY_LENGTH).map(parse).collect()
}

pub(crate) fn encode_nexthop(buffer: &mut Vec<u8>, id: u32, ipv6: bool, content: &NexthopContent) {
    let family = match content {
        NexthopContent::Group(_) => AF_UNSPEC,
        _ if ipv6 => AF_INET6,
        _ => AF_INET,
    };
    let mut message = Encoder::begin(buffer, RTM_NEWNEXTHOP, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
    message.fixed(&[family, 0, PROTOCOL_HOLDFAST, 0, 0, 0, 0, 0]).attribute_u32(NHA_ID, id);
    match content {
        NexthopContent::Single { gateway, interface_index } => {
            message.attribute_u32(NHA_OIF, *interface_index);
            if let Some(gateway) = gateway {
                message.attribute_address(NHA_GATEWAY, gateway);
            }
        }
        NexthopContent::Group(members) => {
            let mut entries = Vec::with_capacity(members.len() * GROUP_ENTRY_LENGTH);
            for member in members {
                let weight = member.weight.saturating_sub(1).to_le_bytes();
                entries.extend_from_slice(&member.id.to_ne_bytes());
                entries.extend_from_slice(&[weight[0], weight[1], 0, 0]);
            }
            message.attribute(NHA_GROUP, &entries);
        }
        NexthopContent::Blackhole | NexthopContent::Other => {
            message.attribute(NHA_BLACKHOLE, &[]);
        }
    }
    message.end();
}

pub(crate) fn encode_nexthop_removal(buffer: &mut Vec<u8>, id: u32) {
    let mut message = Encoder::begin(buffer, RTM_DELNEXTHOP, NLM_F_REQUEST);
    message.fixed(&[0; NHMSG_LENGTH]).attribute_u32(NHA_ID, id);
    message.end();
}

/// Asks for every nexthop object; the kernel cannot filter these by protocol.
pub(crate) fn encode_nexthop_dump(buffer: &mut Vec<u8>, flags: u16) {
    let mut message = Encoder::begin(buffer, RTM_GETNEXTHOP, NLM_F_REQUEST | flags);
    message.fixed(&[0; NHMSG_LENGTH]);
    message.end();
}
