//! Nexthop objects: `RTM_NEWNEXTHOP`, `RTM_DELNEXTHOP`, `RTM_GETNEXTHOP` (include/uapi/linux/nexthop.h).
//!
//! Of groups the kernel has two types. An ordinary one hashes every flow to a member by weight. A *resilient* one (since Linux 5.13)
//! keeps a table of buckets, of which each member owns its share, rounded: with [`WEIGHT_ALL`] against [`WEIGHT_NONE`] the first member
//! owns all of [`RESILIENT_BUCKETS`] and the second none, until the first is gone. Then the kernel gives the buckets to the second
//! in the same moment, and neither the group nor a route of it is touched.

use std::net::IpAddr;

use super::wire::{
    Attributes, Encoder, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, address, u16_at, u32_at,
};
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
const NHA_RES_GROUP: u16 = 12;
const NHA_RES_GROUP_BUCKETS: u16 = 1;
const NHA_RES_GROUP_IDLE_TIMER: u16 = 2;
const NHA_RES_GROUP_UNBALANCED_TIMER: u16 = 3;
const NEXTHOP_GRP_TYPE_MPATH: u16 = 0;
const NEXTHOP_GRP_TYPE_RES: u16 = 1;
/// Length of `struct nhmsg`: family, scope, protocol, reserved, flags (4).
const NHMSG_LENGTH: usize = 8;
/// Length of `struct nexthop_grp`: id (4), weight - 1, high octet of it (since Linux 6.12), reserved (2).
const GROUP_ENTRY_LENGTH: usize = 8;

/// Buckets of a resilient group of ours: the fewest that are common (each takes some 32 octets).
pub const RESILIENT_BUCKETS: u16 = 8;
/// The weight of the member that owns every bucket: the most that fits the octet that kernels before 6.12 have for it.
pub const WEIGHT_ALL: u16 = 255;
/// The weight of the member that owns none beside it: 8 x 1/256 rounds to nothing.
pub const WEIGHT_NONE: u16 = 1;

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
    /// Several, by buckets: see the chapter above.
    Resilient {
        /// Who owns buckets, or comes to own some.
        members: Vec<NexthopMember>,
        /// How many there are.
        buckets: u16,
    },
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
        let (mut id, mut gateway, mut interface, mut group, mut blackhole) = (None, None, None, None, false);
        let (mut group_type, mut buckets) = (NEXTHOP_GRP_TYPE_MPATH, 0);
        for (attribute, value) in Attributes::after(message.payload, NHMSG_LENGTH) {
            match attribute {
                NHA_ID => id = Some(u32_at(value, 0)?),
                NHA_GROUP => group = Some(members(value)?),
                NHA_GROUP_TYPE => group_type = u16_at(value, 0)?,
                NHA_BLACKHOLE => blackhole = true,
                NHA_OIF => interface = Some(u32_at(value, 0)?),
                NHA_GATEWAY => gateway = Some(address(value)?),
                NHA_RES_GROUP => buckets = buckets_of(value).unwrap_or(0),
                _ => {}
            }
        }
        let content = match (group, blackhole, interface) {
            (Some(members), _, _) if group_type == NEXTHOP_GRP_TYPE_MPATH => NexthopContent::Group(members),
            (Some(members), _, _) if group_type == NEXTHOP_GRP_TYPE_RES => {
                NexthopContent::Resilient { members, buckets }
            }
            (None, true, _) => NexthopContent::Blackhole,
            (None, false, Some(interface_index)) => NexthopContent::Single { gateway, interface_index },
            _ => NexthopContent::Other,
        };
        Some(Self { id: id?, protocol, ipv6: family == AF_INET6, content })
    }
}

fn buckets_of(value: &[u8]) -> Option<u16> {
    let (_, buckets) = Attributes(value).find(|(attribute, _)| *attribute == NHA_RES_GROUP_BUCKETS)?;
    u16_at(buckets, 0)
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

/// What to do where the number is in use already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NexthopWrite {
    /// Refuse.
    Add,
    /// Change what is there, under its routes; refuse where nothing is.
    Replace,
}

pub(crate) fn encode_nexthop(buffer: &mut Vec<u8>, write: NexthopWrite, id: u32, ipv6: bool, content: &NexthopContent) {
    let family = match content {
        NexthopContent::Group(_) | NexthopContent::Resilient { .. } => AF_UNSPEC,
        _ if ipv6 => AF_INET6,
        _ => AF_INET,
    };
    let flags = match write {
        NexthopWrite::Add => NLM_F_CREATE | NLM_F_EXCL,
        NexthopWrite::Replace => NLM_F_REPLACE,
    };
    let mut message = Encoder::begin(buffer, RTM_NEWNEXTHOP, NLM_F_REQUEST | flags);
    message.fixed(&[family, 0, PROTOCOL_HOLDFAST, 0, 0, 0, 0, 0]).attribute_u32(NHA_ID, id);
    match content {
        NexthopContent::Single { gateway, interface_index } => {
            message.attribute_u32(NHA_OIF, *interface_index);
            if let Some(gateway) = gateway {
                message.attribute_address(NHA_GATEWAY, gateway);
            }
        }
        NexthopContent::Group(members) => {
            message.attribute(NHA_GROUP, &entries(members));
        }
        NexthopContent::Resilient { members, buckets } => {
            message.attribute(NHA_GROUP, &entries(members));
            message.attribute(NHA_GROUP_TYPE, &NEXTHOP_GRP_TYPE_RES.to_ne_bytes());
            // Without timers: a bucket changes hands when it must, at once, and never otherwise.
            message.nested(NHA_RES_GROUP, |group| {
                group.attribute(NHA_RES_GROUP_BUCKETS, &buckets.to_ne_bytes());
                group.attribute_u32(NHA_RES_GROUP_IDLE_TIMER, 0);
                group.attribute_u32(NHA_RES_GROUP_UNBALANCED_TIMER, 0);
            });
        }
        NexthopContent::Blackhole | NexthopContent::Other => {
            message.attribute(NHA_BLACKHOLE, &[]);
        }
    }
    message.end();
}

fn entries(members: &[NexthopMember]) -> Vec<u8> {
    let mut entries = Vec::with_capacity(members.len() * GROUP_ENTRY_LENGTH);
    for member in members {
        let weight = member.weight.saturating_sub(1).to_le_bytes();
        entries.extend_from_slice(&member.id.to_ne_bytes());
        entries.extend_from_slice(&[weight[0], weight[1], 0, 0]);
    }
    entries
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
