//! Writing UPDATE and KEEPALIVE: whole messages, as full as they may be, appended to the caller's buffer.

use super::as_path::{AsPath, AsWidth, two_octets};
use super::attribute_block::{
    AttributeBlock, FLAG_EXTENDED_LENGTH, FLAG_OPTIONAL, FLAG_TRANSITIVE, attributes, position_for, put_attribute,
};
use super::attributes::code;
use super::header::{MessageType, begin_message, end_message};
use super::limits::{EXTENDED_MESSAGE_LEN, HEADER_LEN, MAX_MESSAGE_LEN, UPDATE_FIXED_LEN};
use super::next_hop::NextHop;
use super::nlri::{self, Nlri};
use holdfast_rib::Family;

/// Not even one prefix fits beside these attributes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "path attributes of {octets} octets leave no room for a prefix in a message of {message_max_len}; shorten the AS path or the communities by policy"
)]
pub struct AttributesTooLarge {
    /// Octets of the attributes as they would go to this neighbour.
    pub octets: usize,
    /// The longest message that goes to this neighbour.
    pub message_max_len: usize,
}

/// How UPDATEs are written on one session: what of [`super::Negotiated`] the writing side needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_as: bool,
    /// The longest message.
    pub message_max_len: usize,
}

impl Format {
    /// What RFC 4271 allows.
    pub const fn plain(four_octet_as: bool) -> Format {
        Format { four_octet_as, message_max_len: MAX_MESSAGE_LEN }
    }

    /// With messages as RFC 8654 allows.
    pub const fn extended(four_octet_as: bool) -> Format {
        Format { four_octet_as, message_max_len: EXTENDED_MESSAGE_LEN }
    }

    /// What is left of a message after what every UPDATE has.
    const fn room(self) -> usize {
        self.message_max_len - HEADER_LEN - UPDATE_FIXED_LEN
    }
}

/// Flags, type and a length of two octets.
const EXTENDED_HEADER_LEN: usize = 4;
/// NEXT_HOP with its header.
const NEXT_HOP_LEN: usize = 7;

/// Appends one UPDATE with as many of `prefixes` as fit; returns how many went in, at least one.
///
/// `attributes` is a canonical block; the next hop is put where the family wants it. One who knows no 4-octet AS numbers gets
/// AS_TRANS and AS4_PATH. Prefixes of another family than `family` are counted but not sent: a caller's mistake must not
/// become a malformed message.
pub fn encode_announce(
    out: &mut Vec<u8>,
    family: Family,
    attributes: &[u8],
    next_hop: NextHop,
    prefixes: &[impl Nlri],
    format: Format,
) -> Result<usize, AttributesTooLarge> {
    let for_old_speaker;
    let attributes = if format.four_octet_as {
        attributes
    } else {
        for_old_speaker = with_two_octet_as(attributes);
        &for_old_speaker
    };
    match (family, next_hop) {
        (Family::Ipv4Unicast, NextHop::V4(address)) => {
            announce_classic(out, attributes, address.octets(), prefixes, format)
        }
        (Family::Ipv6Unicast, NextHop::V4(address)) => {
            // RFC 4760 wants an address of the family: IPv4-mapped, as others do.
            let mapped = NextHop::V6 { global: address.to_ipv6_mapped(), link_local: None };
            announce_multiprotocol(out, family, attributes, mapped, prefixes, format)
        }
        (_, NextHop::V6 { .. }) => announce_multiprotocol(out, family, attributes, next_hop, prefixes, format),
    }
}

/// IPv4 unicast as in RFC 4271: NEXT_HOP in its place by type, prefixes at the end.
fn announce_classic(
    out: &mut Vec<u8>,
    attributes: &[u8],
    next_hop: [u8; 4],
    prefixes: &[impl Nlri],
    format: Format,
) -> Result<usize, AttributesTooLarge> {
    let attributes_len = attributes.len() + NEXT_HOP_LEN;
    let count = how_many_fit(prefixes, attributes_len, format)?;
    if count == 0 {
        return Ok(0);
    }
    let (before, after) = attributes.split_at(position_for(attributes, code::NEXT_HOP));
    let start = begin_update(out, attributes_len);
    out.extend_from_slice(before);
    out.extend_from_slice(&[FLAG_TRANSITIVE, code::NEXT_HOP, 4]);
    out.extend_from_slice(&next_hop);
    out.extend_from_slice(after);
    put_prefixes(out, Family::Ipv4Unicast, &prefixes[..count]);
    end_message(out, start);
    Ok(count)
}

/// Any family as in RFC 4760: next hop and prefixes in MP_REACH_NLRI, the first attribute (RFC 7606 §5.1).
fn announce_multiprotocol(
    out: &mut Vec<u8>,
    family: Family,
    attributes: &[u8],
    next_hop: NextHop,
    prefixes: &[impl Nlri],
    format: Format,
) -> Result<usize, AttributesTooLarge> {
    let fixed = EXTENDED_HEADER_LEN + 5 + next_hop.mp_len();
    let attributes_len = attributes.len() + fixed;
    let count = how_many_fit(prefixes, attributes_len, format)?;
    if count == 0 {
        return Ok(0);
    }
    let start = begin_update(out, 0);
    let attribute = begin_multiprotocol(out, family, code::MP_REACH_NLRI);
    out.push(next_hop.mp_len() as u8);
    next_hop.encode_mp(out);
    out.push(0); // reserved
    put_prefixes(out, family, &prefixes[..count]);
    end_multiprotocol(out, attribute);
    out.extend_from_slice(attributes);
    end_attributes(out, start);
    Ok(count)
}

/// Appends one UPDATE that withdraws as many of `prefixes` as fit; returns how many.
pub fn encode_withdraw(out: &mut Vec<u8>, family: Family, prefixes: &[impl Nlri], format: Format) -> usize {
    if family.is_classic() {
        withdraw_classic(out, family, prefixes, format)
    } else {
        withdraw_multiprotocol(out, family, prefixes, format)
    }
}

fn withdraw_classic(out: &mut Vec<u8>, family: Family, prefixes: &[impl Nlri], format: Format) -> usize {
    let count = count_that_fit(prefixes, format.room());
    if count == 0 {
        return 0;
    }
    let start = begin_message(out, MessageType::Update);
    out.extend_from_slice(&[0; 2]);
    let field = out.len();
    put_prefixes(out, family, &prefixes[..count]);
    let length = ((out.len() - field) as u16).to_be_bytes();
    out[field - 2..field].copy_from_slice(&length);
    out.extend_from_slice(&[0; 2]);
    end_message(out, start);
    count
}

fn withdraw_multiprotocol(out: &mut Vec<u8>, family: Family, prefixes: &[impl Nlri], format: Format) -> usize {
    let count = count_that_fit(prefixes, format.room() - EXTENDED_HEADER_LEN - 3);
    if count == 0 {
        return 0;
    }
    let start = begin_update(out, 0);
    let attribute = begin_multiprotocol(out, family, code::MP_UNREACH_NLRI);
    put_prefixes(out, family, &prefixes[..count]);
    end_multiprotocol(out, attribute);
    end_attributes(out, start);
    count
}

/// Appends the mark that all routes of a family have been sent (RFC 4724 §2).
pub fn encode_end_of_rib(out: &mut Vec<u8>, family: Family) {
    let start = begin_update(out, 0);
    if !family.is_classic() {
        out.extend_from_slice(&[FLAG_OPTIONAL, code::MP_UNREACH_NLRI, 3]);
        out.extend_from_slice(&family.afi().to_be_bytes());
        out.push(family.safi());
    }
    end_attributes(out, start);
}

/// Appends a KEEPALIVE.
pub fn encode_keepalive(out: &mut Vec<u8>) {
    let start = begin_message(out, MessageType::Keepalive);
    end_message(out, start);
}

fn begin_update(out: &mut Vec<u8>, attributes_len: usize) -> usize {
    let start = begin_message(out, MessageType::Update);
    out.extend_from_slice(&[0; 2]); // nothing withdrawn
    out.extend_from_slice(&(attributes_len as u16).to_be_bytes());
    start
}

/// Ends an UPDATE whose last field is the attributes, however long they have become.
fn end_attributes(out: &mut [u8], start: usize) {
    let field = start + HEADER_LEN + UPDATE_FIXED_LEN;
    let length = ((out.len() - field) as u16).to_be_bytes();
    out[field - 2..field].copy_from_slice(&length);
    end_message(out, start);
}

fn begin_multiprotocol(out: &mut Vec<u8>, family: Family, code: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[FLAG_OPTIONAL | FLAG_EXTENDED_LENGTH, code, 0, 0]);
    out.extend_from_slice(&family.afi().to_be_bytes());
    out.push(family.safi());
    start
}

fn end_multiprotocol(out: &mut [u8], start: usize) {
    let length = ((out.len() - start - EXTENDED_HEADER_LEN) as u16).to_be_bytes();
    out[start + 2..start + 4].copy_from_slice(&length);
}

fn put_prefixes(out: &mut Vec<u8>, family: Family, prefixes: &[impl Nlri]) {
    for nlri in prefixes {
        let prefix = nlri.prefix();
        debug_assert_eq!(Family::of(prefix), family, "{prefix}");
        if Family::of(prefix) == family {
            nlri::encode(out, nlri);
        }
    }
}

fn how_many_fit(prefixes: &[impl Nlri], octets: usize, format: Format) -> Result<usize, AttributesTooLarge> {
    let count = count_that_fit(prefixes, format.room().saturating_sub(octets));
    match count {
        0 if !prefixes.is_empty() => Err(AttributesTooLarge { octets, message_max_len: format.message_max_len }),
        _ => Ok(count),
    }
}

fn count_that_fit(prefixes: &[impl Nlri], mut room: usize) -> usize {
    for (count, prefix) in prefixes.iter().enumerate() {
        match room.checked_sub(nlri::encoded_len(prefix)) {
            Some(left) => room = left,
            None => return count,
        }
    }
    prefixes.len()
}

/// The block for one who knows AS numbers of two octets only (RFC 6793 §4.2.2).
fn with_two_octet_as(block: &[u8]) -> AttributeBlock {
    let mut out = AttributeBlock::new();
    let (mut as4_path, mut as4_aggregator) = (AttributeBlock::new(), None);
    let mut as4_put = false;
    for attribute in attributes(block).map_while(Result::ok) {
        if attribute.code > code::AS4_AGGREGATOR && !as4_put {
            put_as4(&mut out, &as4_path, as4_aggregator);
            as4_put = true;
        }
        let (flags, value) = (attribute.flags, attribute.value);
        match attribute.code {
            code::AS_PATH => {
                let path = AsPath::decode(value, AsWidth::Four);
                let mut short = AttributeBlock::new();
                path.encode(&mut short, AsWidth::Two);
                put_attribute(&mut out, flags, code::AS_PATH, &short);
                if path.asns().any(|asn| asn > u32::from(u16::MAX)) {
                    path.without_confederations().encode(&mut as4_path, AsWidth::Four);
                }
            }
            code::AGGREGATOR if value.len() == 8 => {
                let asn = u32::from_be_bytes([value[0], value[1], value[2], value[3]]);
                let mut short = [0; 6];
                short[..2].copy_from_slice(&two_octets(asn).to_be_bytes());
                short[2..].copy_from_slice(&value[4..]);
                put_attribute(&mut out, flags, code::AGGREGATOR, &short);
                as4_aggregator = (asn > u32::from(u16::MAX)).then_some(value);
            }
            // They speak for the path above only.
            code::AS4_PATH | code::AS4_AGGREGATOR => {}
            other => put_attribute(&mut out, flags, other, value),
        }
    }
    if !as4_put {
        put_as4(&mut out, &as4_path, as4_aggregator);
    }
    out
}

fn put_as4(out: &mut AttributeBlock, path: &[u8], aggregator: Option<&[u8]>) {
    let flags = FLAG_OPTIONAL | FLAG_TRANSITIVE;
    if !path.is_empty() {
        put_attribute(out, flags, code::AS4_PATH, path);
    }
    if let Some(value) = aggregator {
        put_attribute(out, flags, code::AS4_AGGREGATOR, value);
    }
}
