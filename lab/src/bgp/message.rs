//! BGP messages as the lab needs them (RFC 4271; four-octet AS numbers, RFC 6793; large communities, RFC 8092).
//! IPv4 unicast, and IPv6 unicast (RFC 4760) of tables that are drawn up in IPv4 ([`crate::family`]).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{
    error::{LabError, Result},
    family::{self, Family},
};

/// Header: marker, length, type.
pub const HEADER_BYTES: usize = 19;
/// RFC 4271 §4.1.
pub const MESSAGE_BYTES_MAX: usize = 4096;
/// OPEN.
pub const OPEN: u8 = 1;
/// UPDATE.
pub const UPDATE: u8 = 2;
/// NOTIFICATION.
pub const NOTIFICATION: u8 = 3;
/// KEEPALIVE.
pub const KEEPALIVE: u8 = 4;
/// ROUTE-REFRESH (RFC 2918).
pub const ROUTE_REFRESH: u8 = 5;
/// Where in its body RFC 7313 §4.1 puts what it is; 0: a request.
pub const REFRESH_SUBTYPE_AT: usize = 2;
/// BoRR: all routes come again from here on ...
pub const REFRESH_BEGINS: u8 = 1;
/// EoRR: ... and that was all.
pub const REFRESH_ENDS: u8 = 2;

/// RFC 4760's numbers.
const AFI_IPV6: u8 = 2;
const SAFI_UNICAST: u8 = 1;
const MP_REACH: u8 = 14;
const MP_UNREACH: u8 = 15;

/// AS_TRANS (RFC 6793), for numbers that do not fit the OPEN's two octets.
const AS_TRANS: u16 = 23456;

/// A prefix: network address in host order, and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The network address; host bits are zero.
    pub address: u32,
    /// The length.
    pub length: u8,
}

impl Prefix {
    /// Makes one; host bits are cleared.
    pub const fn new(address: u32, length: u8) -> Self {
        Self { address: address & mask(length), length }
    }

    /// Whether an address lies within.
    pub const fn contains(&self, address: u32) -> bool {
        address & mask(self.length) == self.address
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.address), self.length)
    }
}

/// The network mask of a length.
pub const fn mask(length: u8) -> u32 {
    match length {
        0 => 0,
        32.. => u32::MAX,
        _ => u32::MAX << (32 - length),
    }
}

/// A large community (RFC 8092).
pub type LargeCommunity = [u32; 3];

/// Path attributes of an announcement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// 0 IGP, 1 EGP, 2 incomplete.
    pub origin: u8,
    /// One AS_SEQUENCE.
    pub path: Vec<u32>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Communities (RFC 1997).
    pub communities: Vec<u32>,
    /// Large communities.
    pub large_communities: Vec<LargeCommunity>,
}

/// Appends a message: header around a body.
pub fn frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.extend_from_slice(&[0xff; 16]);
    out.extend_from_slice(&size16(HEADER_BYTES + body.len()));
    out.push(kind);
    out.extend_from_slice(body);
}

fn size16(size: usize) -> [u8; 2] {
    u16::try_from(size).unwrap_or(u16::MAX).to_be_bytes()
}

/// Appends an OPEN with the capabilities MP IPv4 unicast, route refresh and four-octet AS.
pub fn open(out: &mut Vec<u8>, local_as: u32, hold_time_s: u16, router_id: Ipv4Addr) {
    open_for(out, Family::Inet, local_as, hold_time_s, router_id);
}

/// The same for another family.
pub fn open_for(out: &mut Vec<u8>, family: Family, local_as: u32, hold_time_s: u16, router_id: Ipv4Addr) {
    let afi = family.pick(1, AFI_IPV6);
    let mut capabilities = vec![1, 4, 0, afi, 0, SAFI_UNICAST, 2, 0, 65, 4];
    capabilities.extend_from_slice(&local_as.to_be_bytes());
    let mut body = vec![4];
    body.extend_from_slice(&u16::try_from(local_as).unwrap_or(AS_TRANS).to_be_bytes());
    body.extend_from_slice(&hold_time_s.to_be_bytes());
    body.extend_from_slice(&router_id.octets());
    let length = u8::try_from(capabilities.len()).unwrap_or(u8::MAX);
    body.extend_from_slice(&[length + 2, 2, length]);
    body.extend_from_slice(&capabilities);
    frame(out, OPEN, &body);
}

/// The path attributes as bytes, in ascending order of type.
pub fn attribute_block(attributes: &Attributes, next_hop: Ipv4Addr) -> Vec<u8> {
    block(attributes, Some(next_hop))
}

fn block(attributes: &Attributes, next_hop: Option<Ipv4Addr>) -> Vec<u8> {
    const TRANSITIVE: u8 = 0x40;
    const OPTIONAL: u8 = 0x80;
    let mut out = Vec::with_capacity(64);
    attribute(&mut out, TRANSITIVE, 1, &[attributes.origin]);
    let mut path = Vec::new();
    if !attributes.path.is_empty() {
        path.extend_from_slice(&[2, u8::try_from(attributes.path.len()).unwrap_or(u8::MAX)]);
        attributes.path.iter().for_each(|asn| path.extend_from_slice(&asn.to_be_bytes()));
    }
    attribute(&mut out, TRANSITIVE, 2, &path);
    if let Some(next_hop) = next_hop {
        attribute(&mut out, TRANSITIVE, 3, &next_hop.octets());
    }
    if let Some(med) = attributes.med {
        attribute(&mut out, OPTIONAL, 4, &med.to_be_bytes());
    }
    if !attributes.communities.is_empty() {
        let bytes: Vec<u8> = attributes.communities.iter().flat_map(|c| c.to_be_bytes()).collect();
        attribute(&mut out, OPTIONAL | TRANSITIVE, 8, &bytes);
    }
    if !attributes.large_communities.is_empty() {
        let bytes: Vec<u8> = attributes.large_communities.iter().flatten().flat_map(|c| c.to_be_bytes()).collect();
        attribute(&mut out, OPTIONAL | TRANSITIVE, 32, &bytes);
    }
    out
}

fn attribute(out: &mut Vec<u8>, flags: u8, kind: u8, value: &[u8]) {
    const EXTENDED: u8 = 0x10;
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, kind, length]),
        Err(_) => {
            out.extend_from_slice(&[flags | EXTENDED, kind]);
            out.extend_from_slice(&size16(value.len()));
        }
    }
    out.extend_from_slice(value);
}

fn put_prefix(out: &mut Vec<u8>, prefix: Prefix) {
    let octets = usize::from(prefix.length.div_ceil(8));
    out.push(prefix.length);
    out.extend_from_slice(prefix.address.to_be_bytes().get(..octets).unwrap_or_default());
}

/// Appends as many UPDATEs as the prefixes need.
pub fn announce(out: &mut Vec<u8>, block: &[u8], prefixes: &[Prefix]) {
    let room = MESSAGE_BYTES_MAX - HEADER_BYTES - 4 - block.len();
    // The longest prefix takes five octets.
    for chunk in prefixes.chunks(room / 5) {
        let mut body = vec![0, 0];
        body.extend_from_slice(&size16(block.len()));
        body.extend_from_slice(block);
        chunk.iter().for_each(|&prefix| put_prefix(&mut body, prefix));
        frame(out, UPDATE, &body);
    }
}

/// The same in IPv6: each prefix as the one that stands for it.
pub fn announce6(out: &mut Vec<u8>, attributes: &Attributes, next_hop: Ipv6Addr, prefixes: &[Prefix]) {
    const OPTIONAL: u8 = 0x80;
    let block = block(attributes, None);
    // MP_REACH_NLRI: its header with a long length, family, next hop, a reserved octet.
    let room = MESSAGE_BYTES_MAX - HEADER_BYTES - 4 - block.len() - 4 - 4 - 16 - 1;
    // The longest prefix takes seven octets.
    for chunk in prefixes.chunks(room / 7) {
        let mut reach = vec![0, AFI_IPV6, SAFI_UNICAST, 16];
        reach.extend_from_slice(&next_hop.octets());
        reach.push(0);
        chunk.iter().for_each(|&prefix| put_prefix6(&mut reach, prefix));
        // It comes first (RFC 7606 §5.1).
        let mut all = Vec::with_capacity(reach.len() + 4 + block.len());
        attribute(&mut all, OPTIONAL, MP_REACH, &reach);
        all.extend_from_slice(&block);
        let mut body = vec![0, 0];
        body.extend_from_slice(&size16(all.len()));
        body.extend_from_slice(&all);
        frame(out, UPDATE, &body);
    }
}

fn put_prefix6(out: &mut Vec<u8>, prefix: Prefix) {
    let (address, length) = family::prefix6(prefix);
    let octets = usize::from(length.div_ceil(8));
    out.push(length);
    out.extend_from_slice(address.to_be_bytes().get(..octets).unwrap_or_default());
}

/// Appends End-of-RIB (RFC 4724 §2).
pub fn end_of_rib(out: &mut Vec<u8>, family: Family) {
    let mp_unreach = [0, 0, 0, 6, 0x80, MP_UNREACH, 3, 0, AFI_IPV6, SAFI_UNICAST];
    frame(out, UPDATE, family.pick(&[0; 4], &mp_unreach));
}

/// Appends an UPDATE that withdraws prefixes (few: one message).
pub fn withdraw(out: &mut Vec<u8>, prefixes: &[Prefix]) {
    let mut withdrawn = Vec::new();
    prefixes.iter().for_each(|&prefix| put_prefix(&mut withdrawn, prefix));
    let mut body = size16(withdrawn.len()).to_vec();
    body.extend_from_slice(&withdrawn);
    body.extend_from_slice(&[0, 0]);
    frame(out, UPDATE, &body);
}

/// An UPDATE as it was received.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Withdrawn prefixes.
    pub withdrawn: Vec<Prefix>,
    /// Announced prefixes.
    pub announced: Vec<Prefix>,
    /// Large communities of the announced.
    pub large_communities: Vec<LargeCommunity>,
    /// An UPDATE with nothing in it (RFC 4724 §2).
    pub end_of_rib: bool,
}

/// The length of the message at the start of the bytes, once its header is there.
pub fn message_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(header) = bytes.get(..HEADER_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    if header[..16] != [0xff; 16] || length < HEADER_BYTES || !(OPEN..=ROUTE_REFRESH).contains(&header[18]) {
        return Err(LabError::Protocol(format!("not a BGP header: {header:02x?}")));
    }
    Ok(Some(length))
}

/// An UPDATE's body in its parts: withdrawn prefixes, path attributes, announced prefixes (RFC 4271 §4.3).
pub fn sections(body: &[u8]) -> Result<[&[u8]; 3]> {
    let (withdrawn, rest) = counted(body)?;
    let (attributes, announced) = counted(rest)?;
    Ok([withdrawn, attributes, announced])
}

/// Reads an UPDATE's body.
pub fn parse_update(body: &[u8]) -> Result<Received> {
    let [withdrawn, attributes, announced] = sections(body)?;
    let mut received = Received {
        withdrawn: prefixes(withdrawn)?,
        announced: prefixes(announced)?,
        end_of_rib: withdrawn.is_empty() && attributes.is_empty() && announced.is_empty(),
        ..Received::default()
    };
    each_attribute(attributes, |kind, value| received.attribute(kind, value))?;
    Ok(received)
}

impl Received {
    fn attribute(&mut self, kind: u8, value: &[u8]) -> Result<()> {
        match (kind, value) {
            (32, _) => {
                let words: Vec<u32> =
                    value.chunks_exact(4).map(|w| u32::from_be_bytes(w.try_into().unwrap_or_default())).collect();
                self.large_communities.extend(words.chunks_exact(3).filter_map(|w| LargeCommunity::try_from(w).ok()));
            }
            (MP_REACH, [0, AFI_IPV6, SAFI_UNICAST, length, rest @ ..]) => {
                // A reserved octet follows the next hop.
                let nlri = rest.get(usize::from(*length) + 1..).ok_or_else(short)?;
                self.announced.extend(prefixes6(nlri)?);
            }
            (MP_UNREACH, [0, AFI_IPV6, SAFI_UNICAST, nlri @ ..]) => self.withdrawn.extend(prefixes6(nlri)?),
            _ => {}
        }
        Ok(())
    }
}

fn short() -> LabError {
    LabError::Protocol("an UPDATE ends in the middle of a field".into())
}

fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>().ok_or_else(short)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*count))).ok_or_else(short)
}

/// Reads prefixes.
pub fn prefixes(mut bytes: &[u8]) -> Result<Vec<Prefix>> {
    let mut out = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (octets, rest) = rest.split_at_checked(usize::from(length.div_ceil(8))).ok_or_else(short)?;
        let mut address = [0; 4];
        address.get_mut(..octets.len()).ok_or_else(short)?.copy_from_slice(octets);
        out.push(Prefix::new(u32::from_be_bytes(address), length));
        bytes = rest;
    }
    Ok(out)
}

/// Those that stand for prefixes of a table.
fn prefixes6(mut bytes: &[u8]) -> Result<Vec<Prefix>> {
    let mut out = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (octets, rest) = rest.split_at_checked(usize::from(length.div_ceil(8))).ok_or_else(short)?;
        let mut address = [0; 16];
        address.get_mut(..octets.len()).ok_or_else(short)?.copy_from_slice(octets);
        out.extend(family::from_prefix6(u128::from_be_bytes(address), length));
        bytes = rest;
    }
    Ok(out)
}

fn each_attribute(mut bytes: &[u8], mut take: impl FnMut(u8, &[u8]) -> Result<()>) -> Result<()> {
    while let [flags, kind, rest @ ..] = bytes {
        let (value, rest) = if flags & 0x10 != 0 {
            counted(rest)?
        } else {
            let (&length, rest) = rest.split_first().ok_or_else(short)?;
            rest.split_at_checked(usize::from(length)).ok_or_else(short)?
        };
        take(*kind, value)?;
        bytes = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT_HOP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn body(message: &[u8]) -> &[u8] {
        assert_eq!(message_length(message).unwrap(), Some(message.len()));
        &message[HEADER_BYTES..]
    }

    #[test]
    fn an_announcement_comes_back() {
        let attributes = Attributes {
            path: vec![65001, 4_200_000_000],
            med: Some(7),
            communities: vec![1, 2],
            large_communities: vec![[1, 2, 3], [4, 5, 6]],
            ..Attributes::default()
        };
        let prefixes = [Prefix::new(0x0102_0300, 24), Prefix::new(0x0800_0000, 8), Prefix::new(0xc633_6480, 25)];
        let mut out = Vec::new();
        announce(&mut out, &attribute_block(&attributes, NEXT_HOP), &prefixes);
        let received = parse_update(body(&out)).unwrap();
        assert_eq!(received.announced, prefixes);
        assert_eq!(received.large_communities, attributes.large_communities);
        assert!(received.withdrawn.is_empty() && !received.end_of_rib);
    }

    #[test]
    fn an_announcement_in_ipv6_comes_back_in_messages_of_legal_size() {
        let prefixes: Vec<_> = (0..3000u32).map(|i| Prefix::new(0x0b00_0000 + (i << 8), 24)).collect();
        let attributes = Attributes { path: vec![65001], large_communities: vec![[1, 2, 3]], ..Attributes::default() };
        let mut out = Vec::new();
        announce6(&mut out, &attributes, Ipv6Addr::LOCALHOST, &prefixes);
        let (mut rest, mut seen) = (&out[..], Vec::new());
        while let Some(length) = message_length(rest).unwrap() {
            assert!(length <= MESSAGE_BYTES_MAX);
            let received = parse_update(&rest[HEADER_BYTES..length]).unwrap();
            assert_eq!(received.large_communities, attributes.large_communities);
            seen.extend(received.announced);
            rest = &rest[length..];
        }
        assert_eq!(seen, prefixes);
        let mut end = Vec::new();
        end_of_rib(&mut end, Family::Inet6);
        let received = parse_update(body(&end)).unwrap();
        assert!(received.announced.is_empty() && received.withdrawn.is_empty());
        // What the router withdraws.
        let unreach = [0, 0, 0, 12, 0x80, MP_UNREACH, 9, 0, AFI_IPV6, SAFI_UNICAST, 40, 0x2a, 0, 11, 0, 3];
        assert_eq!(parse_update(&unreach).unwrap().withdrawn, [Prefix::new(0x0b00_0300, 24)]);
        assert!(parse_update(&unreach[..15]).is_err());
    }

    #[test]
    fn many_prefixes_take_several_messages_of_legal_size() {
        let prefixes: Vec<_> = (0..3000u32).map(|i| Prefix::new(0x0a00_0000 + (i << 8), 24)).collect();
        let mut out = Vec::new();
        announce(&mut out, &attribute_block(&Attributes::default(), NEXT_HOP), &prefixes);
        let (mut rest, mut seen) = (&out[..], Vec::new());
        while let Some(length) = message_length(rest).unwrap() {
            assert!(length <= MESSAGE_BYTES_MAX);
            seen.extend(parse_update(&rest[HEADER_BYTES..length]).unwrap().announced);
            rest = &rest[length..];
        }
        assert_eq!(seen, prefixes);
    }

    #[test]
    fn a_withdrawal_and_end_of_rib() {
        let mut out = Vec::new();
        withdraw(&mut out, &[Prefix::new(0x0102_0300, 24)]);
        assert_eq!(parse_update(body(&out)).unwrap().withdrawn, [Prefix::new(0x0102_0300, 24)]);
        assert!(parse_update(&[0, 0, 0, 0]).unwrap().end_of_rib);
    }

    #[test]
    fn damaged_updates_are_refused_and_never_panic() {
        let mut out = Vec::new();
        announce(
            &mut out,
            &attribute_block(&Attributes { path: vec![1, 2], ..Attributes::default() }, NEXT_HOP),
            &[Prefix::new(0x0102_0300, 24)],
        );
        let body = body(&out).to_vec();
        for end in 0..body.len() - 4 {
            let _ = parse_update(&body[..end]);
        }
        assert!(parse_update(&[0]).is_err() && parse_update(&[0, 9, 1]).is_err());
        assert!(message_length(&[0; 19]).is_err());
    }
}
