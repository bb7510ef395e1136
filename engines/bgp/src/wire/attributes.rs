//! Path attributes as values: what policy and best path selection look at.

use super::as_path::{AsPath, AsWidth, check};
use super::attribute_block::{
    AttributeBlock, FLAG_OPTIONAL, FLAG_PARTIAL, FLAG_TRANSITIVE, MalformedBlock, WireAttribute, attributes,
    put_attribute,
};
use std::fmt;
use std::net::Ipv4Addr;

/// Attribute types (the IANA registry "BGP Path Attributes").
pub mod code {
    /// RFC 4271 §5.1.1.
    pub const ORIGIN: u8 = 1;
    /// RFC 4271 §5.1.2.
    pub const AS_PATH: u8 = 2;
    /// RFC 4271 §5.1.3.
    pub const NEXT_HOP: u8 = 3;
    /// RFC 4271 §5.1.4.
    pub const MULTI_EXIT_DISC: u8 = 4;
    /// RFC 4271 §5.1.5.
    pub const LOCAL_PREF: u8 = 5;
    /// RFC 4271 §5.1.6.
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// RFC 4271 §5.1.7.
    pub const AGGREGATOR: u8 = 7;
    /// RFC 1997.
    pub const COMMUNITIES: u8 = 8;
    /// RFC 4456 §8.
    pub const ORIGINATOR_ID: u8 = 9;
    /// RFC 4456 §8.
    pub const CLUSTER_LIST: u8 = 10;
    /// RFC 4760 §3.
    pub const MP_REACH_NLRI: u8 = 14;
    /// RFC 4760 §4.
    pub const MP_UNREACH_NLRI: u8 = 15;
    /// RFC 4360.
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// RFC 6793 §3.
    pub const AS4_PATH: u8 = 17;
    /// RFC 6793 §3.
    pub const AS4_AGGREGATOR: u8 = 18;
    /// RFC 8092.
    pub const LARGE_COMMUNITIES: u8 = 32;
    /// RFC 9234 §5.
    pub const ONLY_TO_CUSTOMER: u8 = 35;

    /// The name that the RFCs give to it.
    pub const fn name(code: u8) -> &'static str {
        match code {
            ORIGIN => "ORIGIN",
            AS_PATH => "AS_PATH",
            NEXT_HOP => "NEXT_HOP",
            MULTI_EXIT_DISC => "MULTI_EXIT_DISC",
            LOCAL_PREF => "LOCAL_PREF",
            ATOMIC_AGGREGATE => "ATOMIC_AGGREGATE",
            AGGREGATOR => "AGGREGATOR",
            COMMUNITIES => "COMMUNITIES",
            ORIGINATOR_ID => "ORIGINATOR_ID",
            CLUSTER_LIST => "CLUSTER_LIST",
            MP_REACH_NLRI => "MP_REACH_NLRI",
            MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
            EXTENDED_COMMUNITIES => "EXTENDED_COMMUNITIES",
            AS4_PATH => "AS4_PATH",
            AS4_AGGREGATOR => "AS4_AGGREGATOR",
            LARGE_COMMUNITIES => "LARGE_COMMUNITIES",
            ONLY_TO_CUSTOMER => "ONLY_TO_CUSTOMER",
            _ => "attribute",
        }
    }
}

/// How a route came into BGP; lower is better (RFC 4271 §9.1.2.2 b).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Origin {
    /// From an interior protocol.
    #[default]
    Igp = 0,
    /// From EGP.
    Egp = 1,
    /// By other means.
    Incomplete = 2,
}

impl Origin {
    fn from_code(code: u8) -> Option<Origin> {
        Some(match code {
            0 => Origin::Igp,
            1 => Origin::Egp,
            2 => Origin::Incomplete,
            _ => return None,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Igp => "igp",
            Origin::Egp => "egp",
            Origin::Incomplete => "incomplete",
        })
    }
}

/// Which of the optional transitive attributes that we know came with the Partial bit: once set it stays (RFC 4271 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PartialBits(u8);

impl PartialBits {
    fn bit(code: u8) -> u8 {
        match code {
            code::AGGREGATOR => 1,
            code::COMMUNITIES => 2,
            code::EXTENDED_COMMUNITIES => 4,
            code::LARGE_COMMUNITIES => 8,
            code::ONLY_TO_CUSTOMER => 16,
            _ => 0,
        }
    }

    /// Is the bit set on this type?
    pub fn contains(self, code: u8) -> bool {
        self.0 & Self::bit(code) != 0
    }

    /// Sets the bit of a type; only AGGREGATOR, ONLY_TO_CUSTOMER and the three kinds of communities have one.
    pub fn insert(&mut self, code: u8) {
        self.0 |= Self::bit(code);
    }

    fn flag(self, code: u8) -> u8 {
        if self.contains(code) { FLAG_PARTIAL } else { 0 }
    }
}

/// An attribute that is not understood, passed on as it came.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RawAttribute {
    /// Attribute flags, without Extended Length.
    pub flags: u8,
    /// Attribute type.
    pub code: u8,
    /// Its value.
    pub data: Vec<u8>,
}

/// The path attributes of a route, but for its next hop.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PathAttributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH.
    pub as_path: AsPath,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; on internal sessions only.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS and router.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES.
    pub communities: Vec<u32>,
    /// EXTENDED COMMUNITIES.
    pub extended_communities: Vec<[u8; 8]>,
    /// LARGE_COMMUNITY.
    pub large_communities: Vec<[u32; 3]>,
    /// ORIGINATOR_ID; on internal sessions only.
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST, nearest first; on internal sessions only.
    pub cluster_list: Vec<Ipv4Addr>,
    /// ONLY_TO_CUSTOMER: the AS that first told it to a customer, a peer or a route server's client.
    pub only_to_customer: Option<u32>,
    /// Partial bits as received.
    pub partial: PartialBits,
    /// What is not understood, ascending by type.
    pub unknown: Vec<RawAttribute>,
}

const WELL_KNOWN: u8 = FLAG_TRANSITIVE;
const OPTIONAL: u8 = FLAG_OPTIONAL;
const OPTIONAL_TRANSITIVE: u8 = FLAG_OPTIONAL | FLAG_TRANSITIVE;

impl PathAttributes {
    /// Reads a canonical block.
    pub fn decode(block: &[u8]) -> Result<PathAttributes, MalformedBlock> {
        let mut read = PathAttributes::default();
        let mut offset = 0;
        for attribute in attributes(block) {
            let attribute = attribute?;
            read.take(&attribute).ok_or(MalformedBlock { code: attribute.code, offset })?;
            offset += attribute.whole.len();
        }
        Ok(read)
    }

    /// Takes over one attribute. `None`: its value cannot be.
    fn take(&mut self, attribute: &WireAttribute<'_>) -> Option<()> {
        let value = attribute.value;
        if attribute.flags & FLAG_PARTIAL != 0 {
            self.partial.insert(attribute.code);
        }
        match attribute.code {
            code::ORIGIN => self.origin = Origin::from_code(*only(value)?)?,
            code::AS_PATH => {
                check(value, AsWidth::Four).ok()?;
                self.as_path = AsPath::decode(value, AsWidth::Four);
            }
            code::MULTI_EXIT_DISC => self.med = Some(number(value)?),
            code::LOCAL_PREF => self.local_pref = Some(number(value)?),
            code::ATOMIC_AGGREGATE => self.atomic_aggregate = true,
            code::AGGREGATOR => {
                let (asn, router) = value.split_at_checked(4)?;
                self.aggregator = Some((number(asn)?, number(router)?.into()));
            }
            code::COMMUNITIES => self.communities = numbers(value)?,
            code::ORIGINATOR_ID => self.originator_id = Some(number(value)?.into()),
            code::CLUSTER_LIST => {
                self.cluster_list = numbers(value)?.into_iter().map(Ipv4Addr::from).collect();
            }
            code::EXTENDED_COMMUNITIES => {
                let (whole, []) = value.as_chunks::<8>() else { return None };
                self.extended_communities = whole.to_vec();
            }
            code::LARGE_COMMUNITIES => {
                let (whole, []) = value.as_chunks::<12>() else { return None };
                let words = |c: &[u8; 12]| std::array::from_fn(|i| be32(&c[4 * i..]));
                self.large_communities = whole.iter().map(words).collect();
            }
            code::ONLY_TO_CUSTOMER => self.only_to_customer = Some(number(value)?),
            code => {
                self.unknown.push(RawAttribute { flags: attribute.flags & 0xe0, code, data: value.to_vec() });
            }
        }
        Some(())
    }

    /// The canonical block. Lists that are empty are not there; ORIGIN and AS_PATH always are.
    pub fn encode(&self) -> AttributeBlock {
        let mut out = AttributeBlock::new();
        let mut unknown = self.unknown.iter().peekable();
        let mut put = |flags: u8, code: u8, value: Option<&[u8]>| {
            while let Some(raw) = unknown.next_if(|raw| raw.code < code) {
                put_attribute(&mut out, raw.flags, raw.code, &raw.data);
            }
            if let Some(value) = value {
                put_attribute(&mut out, flags | self.partial.flag(code), code, value);
            }
        };
        let mut path = AttributeBlock::new();
        self.as_path.encode(&mut path, AsWidth::Four);
        put(WELL_KNOWN, code::ORIGIN, Some(&[self.origin as u8]));
        put(WELL_KNOWN, code::AS_PATH, Some(&path));
        put(OPTIONAL, code::MULTI_EXIT_DISC, self.med.map(u32::to_be_bytes).as_ref().map(|o| o.as_slice()));
        put(WELL_KNOWN, code::LOCAL_PREF, self.local_pref.map(u32::to_be_bytes).as_ref().map(|o| o.as_slice()));
        put(WELL_KNOWN, code::ATOMIC_AGGREGATE, self.atomic_aggregate.then_some(&[]));
        let aggregator = self.aggregator.map(|(asn, router)| aggregator_value(asn, router));
        put(OPTIONAL_TRANSITIVE, code::AGGREGATOR, aggregator.as_ref().map(|o| o.as_slice()));
        let words = |list: &[u32]| list.iter().flat_map(|word| word.to_be_bytes()).collect::<AttributeBlock>();
        let communities = words(&self.communities);
        put(OPTIONAL_TRANSITIVE, code::COMMUNITIES, some_if_any(&communities));
        put(OPTIONAL, code::ORIGINATOR_ID, self.originator_id.map(|id| id.octets()).as_ref().map(|o| o.as_slice()));
        let clusters: AttributeBlock = self.cluster_list.iter().flat_map(|id| id.octets()).collect();
        put(OPTIONAL, code::CLUSTER_LIST, some_if_any(&clusters));
        put(OPTIONAL_TRANSITIVE, code::EXTENDED_COMMUNITIES, some_if_any(self.extended_communities.as_flattened()));
        let large = words(self.large_communities.as_flattened());
        put(OPTIONAL_TRANSITIVE, code::LARGE_COMMUNITIES, some_if_any(&large));
        let otc = self.only_to_customer.map(u32::to_be_bytes);
        put(OPTIONAL_TRANSITIVE, code::ONLY_TO_CUSTOMER, otc.as_ref().map(|o| o.as_slice()));
        for raw in unknown {
            put_attribute(&mut out, raw.flags, raw.code, &raw.data);
        }
        out
    }
}

/// The value of AGGREGATOR with a 4-octet AS number.
pub(crate) fn aggregator_value(asn: u32, router: Ipv4Addr) -> [u8; 8] {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&asn.to_be_bytes());
    value[4..].copy_from_slice(&router.octets());
    value
}

fn some_if_any(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}

fn only(value: &[u8]) -> Option<&u8> {
    match value {
        [octet] => Some(octet),
        _ => None,
    }
}

fn be32(octets: &[u8]) -> u32 {
    octets.first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets))
}

fn number(value: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes)
}

fn numbers(value: &[u8]) -> Option<Vec<u32>> {
    let (whole, []) = value.as_chunks::<4>() else { return None };
    Some(whole.iter().map(|octets| u32::from_be_bytes(*octets)).collect())
}
