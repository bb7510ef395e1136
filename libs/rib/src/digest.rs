//! Digests: how two processes, perhaps of different versions, find out that their tables are equal.
//!
//! A table's digest is the wrapping sum of the hashes of its entries, so it does not depend on the order and is
//! maintained with one addition or subtraction per change.
//!
//! **The format is fixed for ever.** Two versions of Holdfast compare these numbers during an upgrade in service.
//! - `entry_hash`: XXH3-64, seed 0, over each part's length as four octets little endian followed by the part.
//! - A prefix: one octet for the family (1 IPv4, 2 IPv6), one for the length, then all 4 or 16 address octets in network
//!   order with the host bits zero.
//! - An address: the family octet and its 4 or 16 octets. No address: the octet 0 alone.

use ipnet::IpNet;
use smallvec::SmallVec;
use std::net::IpAddr;
use xxhash_rust::xxh3::xxh3_64;

/// Entries up to this size are hashed from the stack ...
const ENTRY_INLINE: usize = 256;
/// ... and those of routes, with a short one's worth of zeros less to write: there are several for each route.
const ENTRY_SHORT: usize = 64;

/// Canonical octets of something small.
pub(crate) type Bytes = SmallVec<[u8; 64]>;

/// Order-independent digest of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest {
    /// Wrapping sum of the entries' hashes.
    pub sum: u64,
    /// Number of entries.
    pub entries: u64,
}

impl Digest {
    /// Takes an entry in.
    pub fn add(&mut self, hash: u64) {
        self.sum = self.sum.wrapping_add(hash);
        self.entries = self.entries.wrapping_add(1);
    }

    /// Takes an entry out that was added before.
    pub fn remove(&mut self, hash: u64) {
        self.sum = self.sum.wrapping_sub(hash);
        self.entries = self.entries.wrapping_sub(1);
    }
}

/// The hash of one table entry made of `parts`. The format is fixed for ever (see the module).
pub fn entry_hash(parts: &[&[u8]]) -> u64 {
    let length: usize = parts.iter().map(|part| part.len() + 4).sum();
    if length <= ENTRY_SHORT {
        let mut octets = [0; ENTRY_SHORT];
        lay_out(parts, &mut octets);
        xxh3_64(&octets[..length])
    } else if length <= ENTRY_INLINE {
        let mut octets = [0; ENTRY_INLINE];
        lay_out(parts, &mut octets);
        xxh3_64(&octets[..length])
    } else {
        let mut octets = vec![0; length];
        lay_out(parts, &mut octets);
        xxh3_64(&octets)
    }
}

/// The hash of a route with what is known of its attributes: [`entry_hash`] of the prefix and the number, big endian. There are
/// two for each route and neighbour, so the common case is laid out by hand, with a constant length: `prefix_entry_hash` would take
/// 80 instructions more.
pub fn route_hash(prefix: &IpNet, attributes: u64) -> u64 {
    let IpNet::V4(net) = prefix else { return entry_hash(&[&prefix_bytes(prefix), &attributes.to_be_bytes()]) };
    let mut octets = [0; 22];
    octets[0] = 6;
    octets[4] = 1;
    octets[5] = net.prefix_len();
    octets[6..10].copy_from_slice(&net.network().octets());
    octets[10] = 8;
    octets[14..].copy_from_slice(&attributes.to_be_bytes());
    xxh3_64(&octets)
}

/// The hash of one of several routes to a prefix: [`entry_hash`] of what [`route_hash`] takes and the path's identifier (RFC 7911 §3),
/// big endian. Identifier 0 is that of the only route.
pub fn path_hash(prefix: &IpNet, attributes: u64, identifier: u32) -> u64 {
    match identifier {
        0 => route_hash(prefix, attributes),
        _ => entry_hash(&[&prefix_bytes(prefix), &attributes.to_be_bytes(), &identifier.to_be_bytes()]),
    }
}

/// The hash of a table entry of a prefix: [`entry_hash`] of its canonical octets and what `tail` says about it, parts behind their
/// lengths ([`framed`]). There are several for each route, so the common case is laid out by hand.
pub(crate) fn prefix_entry_hash(prefix: &IpNet, tail: &[&[u8]]) -> u64 {
    let mut octets = [0; ENTRY_SHORT];
    let head = match prefix {
        IpNet::V4(net) => {
            octets[0] = 6;
            octets[4] = 1;
            octets[5] = net.prefix_len();
            octets[6..10].copy_from_slice(&net.network().octets());
            10
        }
        IpNet::V6(net) => {
            octets[0] = 18;
            octets[4] = 2;
            octets[5] = net.prefix_len();
            octets[6..22].copy_from_slice(&net.network().octets());
            22
        }
    };
    let length = head + tail.iter().map(|part| part.len()).sum::<usize>();
    if length > ENTRY_SHORT {
        return xxh3_64(&[&[&octets[..head]], tail].concat().concat());
    }
    let mut at = head;
    for part in tail {
        octets[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    xxh3_64(&octets[..length])
}

/// A part of an entry behind its length, as it is hashed.
pub(crate) fn framed(part: &[u8]) -> Bytes {
    let mut octets = Bytes::from_slice(&(part.len() as u32).to_le_bytes());
    octets.extend_from_slice(part);
    octets
}

/// Writes each part behind its length; there is room for all.
fn lay_out(parts: &[&[u8]], octets: &mut [u8]) {
    let mut rest = octets;
    for part in parts {
        let (length, behind) = rest.split_at_mut(4);
        let (body, behind) = behind.split_at_mut(part.len());
        length.copy_from_slice(&(part.len() as u32).to_le_bytes());
        body.copy_from_slice(part);
        rest = behind;
    }
}

/// A prefix's canonical octets: family, length, address with the host bits zero. Fixed for ever.
pub fn prefix_bytes(prefix: &IpNet) -> SmallVec<[u8; 18]> {
    let mut octets = [0; 18];
    octets[1] = prefix.prefix_len();
    match prefix {
        IpNet::V4(net) => {
            octets[0] = 1;
            octets[2..6].copy_from_slice(&net.network().octets());
            SmallVec::from_buf_and_len(octets, 6)
        }
        IpNet::V6(net) => {
            octets[0] = 2;
            octets[2..].copy_from_slice(&net.network().octets());
            SmallVec::from_buf_and_len(octets, 18)
        }
    }
}

/// Appends an address in its canonical form.
pub(crate) fn push_address(octets: &mut Bytes, address: Option<&IpAddr>) {
    match address {
        None => octets.push(0),
        Some(IpAddr::V4(address)) => {
            octets.push(1);
            octets.extend_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => {
            octets.push(2);
            octets.extend_from_slice(&address.octets());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn prefix_octets_are_masked() {
        assert_eq!(prefix_bytes(&net("10.1.2.3/8")).as_slice(), [1, 8, 10, 0, 0, 0]);
        let six = prefix_bytes(&net("2001:db8::1/32"));
        assert_eq!(six[..6], [2, 32, 0x20, 0x01, 0x0d, 0xb8]);
        assert!(six[6..].iter().all(|octet| *octet == 0));
        assert_eq!(six.len(), 18);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(entry_hash(&[b"ab", b"c"]), entry_hash(&[b"a", b"bc"]));
        assert_ne!(entry_hash(&[b"ab"]), entry_hash(&[b"ab", b""]));
    }

    #[test]
    fn a_routes_hash_is_that_of_its_parts() {
        for prefix in ["0.0.0.0/0", "10.1.2.3/8", "192.0.2.255/32", "2001:db8::1/32"].map(net) {
            let parts = entry_hash(&[&prefix_bytes(&prefix), &0x0102_0304_0506_0708_u64.to_be_bytes()]);
            assert_eq!(route_hash(&prefix, 0x0102_0304_0506_0708), parts, "{prefix}");
        }
    }

    #[test]
    fn a_table_entrys_hash_is_that_of_its_parts() {
        for prefix in ["0.0.0.0/0", "10.1.2.3/8", "192.0.2.255/32", "2001:db8::1/32"].map(net) {
            for length in [0, 1, 9, 40, 300] {
                let part = vec![7; length];
                let (one, other) = (framed(&[1, 2]), framed(&part));
                let parts = entry_hash(&[&prefix_bytes(&prefix), &[1, 2], &part]);
                assert_eq!(prefix_entry_hash(&prefix, &[&one, &other]), parts, "{prefix}, {length} octets");
            }
        }
    }

    #[test]
    fn paths_to_one_prefix_differ_by_their_identifiers() {
        let prefix = net("10.1.2.0/24");
        assert_eq!(path_hash(&prefix, 7, 0), route_hash(&prefix, 7));
        let parts: [&[u8]; 3] = [&prefix_bytes(&prefix), &7_u64.to_be_bytes(), &[0, 0, 0, 1]];
        assert_eq!(path_hash(&prefix, 7, 1), entry_hash(&parts));
        assert_ne!(path_hash(&prefix, 7, 1), path_hash(&prefix, 7, 2));
    }

    #[test]
    fn sum_does_not_depend_on_order() {
        let mut one = Digest::default();
        let mut other = Digest::default();
        [u64::MAX, 7, 1 << 63].iter().for_each(|hash| one.add(*hash));
        [1 << 63, u64::MAX, 9, 7].iter().for_each(|hash| other.add(*hash));
        other.remove(9);
        assert_eq!(one, other);
    }
}
