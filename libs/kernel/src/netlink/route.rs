//! Routes: `RTM_NEWROUTE`, `RTM_DELROUTE`, `RTM_GETROUTE` (rtnetlink(7)).
//!
//! A unicast route of ours names a nexthop object and nothing else (`RTA_NH_ID`). Discard and reject are route types, so
//! that what a dump shows says exactly what was asked for, without an object in between.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{
    Attributes, Encoder, Message, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, address, u32_at,
};
use super::{AF_INET, AF_INET6, PROTOCOL_HOLDFAST, ROUTE_METRIC, TABLE_MAIN};

pub(crate) const RTM_NEWROUTE: u16 = 24;
pub(crate) const RTM_DELROUTE: u16 = 25;
pub(crate) const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_PRIORITY: u16 = 6;
const RTA_TABLE: u16 = 15;
const RTA_NH_ID: u16 = 30;

const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;

const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTM_F_CLONED: u32 = 0x200;
/// Length of `struct rtmsg`; its protocol stands at offset 5.
const RTMSG_LENGTH: usize = 12;

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteTarget {
    /// To a nexthop object.
    Nexthop(u32),
    /// Nowhere, silently (`RTN_BLACKHOLE`).
    Blackhole,
    /// Nowhere, and the sender is told (`RTN_UNREACHABLE`).
    Unreachable,
    /// Something that Holdfast does not write: gateways in the route itself, or another type.
    Other,
}

/// A route as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Its destination.
    pub prefix: IpNet,
    /// Where it leads.
    pub target: RouteTarget,
    /// Who put it there (`rtm_protocol`).
    pub protocol: u8,
    /// Its table.
    pub table: u32,
    /// Its metric (`RTA_PRIORITY`).
    pub metric: u32,
}

impl Route {
    /// Whether it carries our mark, where we put it.
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL_HOLDFAST && self.table == TABLE_MAIN && self.metric == ROUTE_METRIC
    }

    /// Reads a `RTM_NEWROUTE` or `RTM_DELROUTE`; `None` for what is no route of a table (a cache entry, another family,
    /// nonsense), or one for some packets only.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let header: &[u8; RTMSG_LENGTH] = message.payload.first_chunk()?;
        let [family, length, _, tos, table, protocol, _, kind, ..] = *header;
        // A route for packets with a certain TOS is another one than that for all to the same destination: it takes nobody's place.
        if u32_at(header, 8)? & RTM_F_CLONED != 0 || tos != 0 {
            return None;
        }
        let mut destination = None;
        let (mut table, mut metric, mut nexthop) = (u32::from(table), 0, None);
        for (attribute, value) in Attributes::after(message.payload, RTMSG_LENGTH) {
            match attribute {
                RTA_DST => destination = address(value),
                RTA_TABLE => table = u32_at(value, 0)?,
                RTA_PRIORITY => metric = u32_at(value, 0)?,
                RTA_NH_ID => nexthop = Some(u32_at(value, 0)?),
                _ => {}
            }
        }
        let prefix = match (family, destination) {
            (AF_INET, Some(IpAddr::V4(to))) => Ipv4Net::new(to, length).ok()?.trunc().into(),
            (AF_INET, None) => Ipv4Net::new(Ipv4Addr::UNSPECIFIED, length).ok()?.into(),
            (AF_INET6, Some(IpAddr::V6(to))) => Ipv6Net::new(to, length).ok()?.trunc().into(),
            (AF_INET6, None) => Ipv6Net::new(Ipv6Addr::UNSPECIFIED, length).ok()?.into(),
            _ => return None,
        };
        let target = match (kind, nexthop) {
            (RTN_UNICAST, Some(id)) => RouteTarget::Nexthop(id),
            (RTN_BLACKHOLE, None) => RouteTarget::Blackhole,
            (RTN_UNREACHABLE, None) => RouteTarget::Unreachable,
            _ => RouteTarget::Other,
        };
        Some(Self { prefix, target, protocol, table, metric })
    }
}

/// How a route is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteWrite {
    /// There is none of ours yet. A route of somebody else's with our metric is an error (EEXIST), not a victim.
    Add,
    /// There is one of ours; it is exchanged without a gap.
    Replace,
}

pub(crate) fn encode_route(buffer: &mut Vec<u8>, write: RouteWrite, prefix: &IpNet, target: RouteTarget) {
    let flags = match write {
        RouteWrite::Add => NLM_F_CREATE | NLM_F_EXCL,
        RouteWrite::Replace => NLM_F_REPLACE,
    };
    let kind = match target {
        RouteTarget::Nexthop(_) => RTN_UNICAST,
        RouteTarget::Unreachable => RTN_UNREACHABLE,
        RouteTarget::Blackhole | RouteTarget::Other => RTN_BLACKHOLE,
    };
    let mut message = Encoder::begin(buffer, RTM_NEWROUTE, NLM_F_REQUEST | flags);
    fixed(&mut message, prefix, RT_SCOPE_UNIVERSE, kind);
    if let RouteTarget::Nexthop(id) = target {
        message.attribute_u32(RTA_NH_ID, id);
    }
    message.end();
}

/// Deletes our route to `prefix`, wherever it leads; one of somebody else's does not match.
pub(crate) fn encode_route_removal(buffer: &mut Vec<u8>, prefix: &IpNet) {
    let mut message = Encoder::begin(buffer, RTM_DELROUTE, NLM_F_REQUEST);
    fixed(&mut message, prefix, RT_SCOPE_NOWHERE, 0);
    message.end();
}

fn fixed(message: &mut Encoder<'_>, prefix: &IpNet, scope: u8, kind: u8) {
    let family = if matches!(prefix, IpNet::V4(_)) { AF_INET } else { AF_INET6 };
    let table = TABLE_MAIN as u8;
    message.fixed(&[family, prefix.prefix_len(), 0, 0, table, PROTOCOL_HOLDFAST, scope, kind, 0, 0, 0, 0]);
    message.attribute_address(RTA_DST, &prefix.network());
    message.attribute_u32(RTA_PRIORITY, ROUTE_METRIC);
}

/// Asks for the routes of one family in the main table, of one protocol or (0, `RTPROT_UNSPEC`) of all; the kernel filters (strict
/// checking).
pub(crate) fn encode_route_dump(buffer: &mut Vec<u8>, ipv6: bool, protocol: u8, flags: u16) {
    let family = if ipv6 { AF_INET6 } else { AF_INET };
    let mut message = Encoder::begin(buffer, RTM_GETROUTE, NLM_F_REQUEST | flags);
    message.fixed(&[family, 0, 0, 0, TABLE_MAIN as u8, protocol, 0, 0, 0, 0, 0, 0]);
    message.end();
}
