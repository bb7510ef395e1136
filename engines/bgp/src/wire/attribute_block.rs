//! Path attributes as bytes in their canonical form.
//!
//! Ascending by type, each once, flags as their definition wants them, an extended length only where it is needed, AS
//! numbers in four octets. NEXT_HOP, MP_REACH_NLRI and MP_UNREACH_NLRI are not part of it: they differ per family and
//! per neighbour. So equal attributes are equal bytes, and a block can be interned, hashed and compared without being understood.

use super::as_path::SegmentKind;
use super::attributes::code;
use smallvec::SmallVec;
use std::net::Ipv4Addr;

/// Path attributes in canonical form. On the stack up to 256 octets, which nearly all are.
pub type AttributeBlock = SmallVec<[u8; 256]>;

/// A block that is none: it was not made by this codec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "attribute block: attribute type {code} at octet {offset} cannot be read; a block is what Update::parse or PathAttributes::encode made"
)]
pub struct MalformedBlock {
    /// Type of the attribute, 0 if not even that could be read.
    pub code: u8,
    /// Where it begins.
    pub offset: usize,
}

pub(crate) const FLAG_OPTIONAL: u8 = 0x80;
pub(crate) const FLAG_TRANSITIVE: u8 = 0x40;
pub(crate) const FLAG_PARTIAL: u8 = 0x20;
pub(crate) const FLAG_EXTENDED_LENGTH: u8 = 0x10;
/// In the type of an extended community: it stays within the AS (RFC 4360 §2).
pub const NON_TRANSITIVE: u8 = 0x40;
/// The subtype of an extended community with an AS in front that tells the bandwidth of a link.
const LINK_BANDWIDTH: u8 = 0x04;

/// One attribute as it lies on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireAttribute<'a> {
    pub flags: u8,
    pub code: u8,
    pub value: &'a [u8],
    /// Header and value, for a NOTIFICATION's data.
    pub whole: &'a [u8],
}

/// Takes the first attribute off `rest`. `None`: it is cut off.
#[inline]
pub(crate) fn take_attribute<'a>(rest: &mut &'a [u8]) -> Option<WireAttribute<'a>> {
    let input = *rest;
    let (flags, code, header, length) = match *input {
        [flags, code, high, low, ..] if flags & FLAG_EXTENDED_LENGTH != 0 => {
            (flags, code, 4, usize::from(u16::from_be_bytes([high, low])))
        }
        [flags, code, length, ..] if flags & FLAG_EXTENDED_LENGTH == 0 => (flags, code, 3, usize::from(length)),
        _ => return None,
    };
    let whole = input.get(..header + length)?;
    *rest = &input[header + length..];
    Some(WireAttribute { flags, code, value: &whole[header..], whole })
}

/// Appends one attribute; the length's size follows from the value.
#[inline]
pub(crate) fn put_attribute(out: &mut AttributeBlock, flags: u8, code: u8, value: &[u8]) {
    let flags = flags & !FLAG_EXTENDED_LENGTH;
    match u8::try_from(value.len()) {
        Ok(length) => out.extend_from_slice(&[flags, code, length]),
        Err(_) => {
            let [high, low] = (value.len() as u16).to_be_bytes();
            out.extend_from_slice(&[flags | FLAG_EXTENDED_LENGTH, code, high, low]);
        }
    }
    out.extend_from_slice(value);
}

/// The attributes of a block.
pub(crate) fn attributes(block: &[u8]) -> impl Iterator<Item = Result<WireAttribute<'_>, MalformedBlock>> {
    let mut rest = block;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let offset = block.len() - rest.len();
        let code = rest.get(1).copied().unwrap_or(0);
        let taken = take_attribute(&mut rest);
        if taken.is_none() {
            rest = &[];
        }
        Some(taken.ok_or(MalformedBlock { code, offset }))
    })
}

/// Where in the block an attribute of type `code` belongs: before the first of a higher type.
pub(crate) fn position_for(block: &[u8], code: u8) -> usize {
    let mut rest = block;
    while rest.get(1).is_some_and(|next| *next <= code) {
        if take_attribute(&mut rest).is_none() {
            break;
        }
    }
    block.len() - rest.len()
}

/// The value of one attribute of a canonical block.
fn value_of(block: &[u8], code: u8) -> Option<&[u8]> {
    attributes(block).map_while(Result::ok).find(|attribute| attribute.code == code).map(|attribute| attribute.value)
}

/// The segments of a canonical block's AS_PATH: kind, and the numbers as they lie there.
fn as_path_segments(block: &[u8]) -> impl Iterator<Item = (u8, &[[u8; 4]])> {
    let mut rest = value_of(block, code::AS_PATH).unwrap_or_default();
    std::iter::from_fn(move || {
        let [kind, count, tail @ ..] = rest else { return None };
        let (segment, behind) = tail.split_at_checked(usize::from(*count) * 4)?;
        rest = behind;
        Some((*kind, segment.as_chunks::<4>().0))
    })
}

/// Whether a canonical block's COMMUNITIES hold this one.
pub fn has_community(block: &[u8], community: u32) -> bool {
    value_of(block, code::COMMUNITIES).unwrap_or_default().as_chunks::<4>().0.contains(&community.to_be_bytes())
}

/// The bandwidth of the link that a canonical block's EXTENDED_COMMUNITIES tell of, in octets per second (draft-ietf-idr-link-bandwidth §2): the
/// first that there is, of either transitivity. None: none is told of, or one that is no bandwidth.
pub fn link_bandwidth(block: &[u8]) -> Option<f32> {
    let communities = value_of(block, code::EXTENDED_COMMUNITIES).unwrap_or_default().as_chunks::<8>().0;
    let told = communities.iter().find(|value| value[0] & !NON_TRANSITIVE == 0 && value[1] == LINK_BANDWIDTH)?;
    let bandwidth = f32::from_be_bytes([told[4], told[5], told[6], told[7]]);
    Some(bandwidth).filter(|bandwidth| bandwidth.is_normal() && bandwidth.is_sign_positive())
}

/// How often one of these AS numbers is in a canonical block's AS_PATH, in segments of any kind.
pub fn as_path_count(block: &[u8], numbers: &[u32]) -> usize {
    let in_segment = |(_, segment): (u8, &[[u8; 4]])| {
        segment.iter().filter(|asn| numbers.contains(&u32::from_be_bytes(**asn))).count()
    };
    as_path_segments(block).map(in_segment).sum()
}

/// The AS that a canonical block's AS_PATH begins with. `None`: it is empty, or begins with a set or inside a confederation.
pub fn as_path_first(block: &[u8]) -> Option<u32> {
    let (kind, segment) = as_path_segments(block).next()?;
    let first = segment.first().filter(|_| kind == SegmentKind::Sequence as u8)?;
    Some(u32::from_be_bytes(*first))
}

/// The AS in a canonical block's ONLY_TO_CUSTOMER (RFC 9234 §5).
pub fn only_to_customer(block: &[u8]) -> Option<u32> {
    value_of(block, code::ONLY_TO_CUSTOMER)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

/// Whether this router is a canonical block's ORIGINATOR_ID, or one of its clusters in the CLUSTER_LIST (RFC 4456 §8). A router
/// without a cluster of its own goes by its identifier there (§7).
pub fn was_reflected_by(block: &[u8], router_id: Ipv4Addr, clusters: &[Ipv4Addr]) -> bool {
    let names = |code| value_of(block, code).unwrap_or_default().as_chunks::<4>().0;
    let is_ours = |name: &[u8; 4]| clusters.iter().any(|cluster| cluster.octets() == *name);
    names(code::ORIGINATOR_ID).contains(&router_id.octets())
        || names(code::CLUSTER_LIST).iter().any(|name| *name == router_id.octets() || is_ours(name))
}
