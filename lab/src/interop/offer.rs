//! What a neighbour announces: one route for each kind of attribute, and one with all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

pub use crate::family::Family;

/// ORIGIN (RFC 4271 §5.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Interior.
    #[default]
    Igp,
    /// Exterior.
    Egp,
    /// By other means.
    Incomplete,
}

impl Origin {
    /// Its name in lower case: `igp`, `egp`, `incomplete`.
    pub fn word(self) -> &'static str {
        ["igp", "egp", "incomplete"][self as usize]
    }

    /// From whatever an implementation calls it: by its first letter, or its number.
    pub fn read(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_bytes().first()? {
            b'i' if text.to_ascii_lowercase().starts_with("inc") => Some(Self::Incomplete),
            b'i' | b'0' => Some(Self::Igp),
            b'e' | b'1' => Some(Self::Egp),
            b'?' | b'2' => Some(Self::Incomplete),
            _ => None,
        }
    }
}

/// RFC 1997: not beyond the neighbouring AS.
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// RFC 1997: to nobody at all.
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// RFC 1997: not out of the member AS of a confederation, which we are all of.
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;
/// RFC 3765: not to peers.
pub const NO_PEER: u32 = 0xffff_ff04;
/// RFC 8326: this way is about to go.
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;
/// RFC 7999: to be discarded.
pub const BLACKHOLE: u32 = 0xffff_029a;
/// RFC 9494: kept though its neighbour is gone.
pub const LLGR_STALE: u32 = 0xffff_0006;

/// One route that a neighbour announces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The destination is one that others announce, too.
    pub shared: bool,
    /// One of several paths of this neighbour to one destination (RFC 7911).
    pub path_id: Option<u32>,
    /// Its number: part of its prefix.
    pub number: u8,
    /// What it is there for.
    pub title: &'static str,
    /// The AS path behind the neighbour's own number: one AS_SEQUENCE.
    pub path: Vec<u32>,
    /// And an AS_SET at the end of it.
    pub set: Vec<u32>,
    /// ORIGIN.
    pub origin: Origin,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Communities (RFC 1997).
    pub communities: Vec<u32>,
    /// Large communities (RFC 8092).
    pub large: Vec<[u32; 3]>,
    /// Route targets (RFC 4360 §4), transitive, two-octet AS.
    pub targets: Vec<(u16, u32)>,
    /// ORIGINATOR_ID (RFC 4456), where a neighbour has reflected it already.
    pub originator: Option<Ipv4Addr>,
    /// CLUSTER_LIST, likewise.
    pub clusters: Vec<Ipv4Addr>,
}

/// The place among the prefixes of destinations that several announce: beyond all neighbours'.
const SHARED: u8 = 15;

impl Offer {
    /// Its destination, if the neighbour of this index announces it.
    pub fn prefix(&self, family: Family, neighbor: u8) -> String {
        prefix(family, if self.shared { SHARED } else { neighbor }, self.number)
    }

    /// Another announcement of the same, not another route.
    pub fn is_of(&self, other: &Self) -> bool {
        (self.number, self.shared, self.path_id) == (other.number, other.shared, other.path_id)
    }
}

/// One that takes a message longer than RFC 4271 allows (RFC 8654). FRR takes some 250 words in a line.
pub fn long() -> Offer {
    Offer {
        number: 15,
        title: "more than 4,096 octets",
        communities: (0..200).map(|n| (65_000 << 16) + 1000 + n).collect(),
        large: (0..230).map(|n| [1, 1, 1000 + n]).collect(),
        targets: (0..100).map(|n| (64_512, 1000 + n)).collect(),
        ..Offer::default()
    }
}

impl Offer {
    /// More than 4,096 octets.
    pub fn is_long(&self) -> bool {
        self.communities.len() * 4 + self.large.len() * 12 + self.targets.len() * 8 > 4096
    }
}

/// What is announced at first.
pub fn first() -> Vec<Offer> {
    let communities = vec![65_000 << 16 | 1, 64_512 << 16 | 65_535];
    let large = vec![[4_200_000_000, 1, 2], [1, 0, u32::MAX]];
    let targets = vec![(64_512, 100), (64_513, 200)];
    // BIRD prints no more than some sixty numbers, and policies put others in front.
    let long = (0..40).map(|n| if n % 3 == 0 { 4_200_001_000 + n } else { 64_600 + n }).collect();
    let offer = |number, title| Offer { number, title, ..Offer::default() };
    vec![
        offer(0, "nothing but what is mandatory"),
        Offer { med: Some(77), ..offer(1, "MED") },
        Offer { communities: communities.clone(), ..offer(2, "communities") },
        Offer { large: large.clone(), ..offer(3, "large communities") },
        Offer { targets: targets.clone(), ..offer(4, "extended communities") },
        Offer { path: long, ..offer(5, "a path of 40 with four-octet numbers") },
        Offer { path: vec![64_512], set: vec![64_700, 4_200_000_700], ..offer(6, "an AS_SET") },
        Offer { origin: Origin::Egp, ..offer(7, "origin EGP") },
        Offer { origin: Origin::Incomplete, ..offer(8, "origin incomplete") },
        Offer {
            path: vec![64_512, 4_200_000_001],
            med: Some(u32::MAX),
            communities,
            large,
            targets,
            origin: Origin::Egp,
            ..offer(9, "everything together")
        },
        Offer { communities: vec![NO_EXPORT], ..offer(10, "no-export") },
        Offer { communities: vec![NO_ADVERTISE], ..offer(11, "no-advertise") },
        Offer { med: Some(1), ..offer(12, "to be changed") },
        offer(13, "to be withdrawn"),
    ]
}

/// What is announced after a change: one route is changed, one is gone, one is new.
pub fn changed() -> Vec<Offer> {
    let mut offers = first();
    offers.retain(|offer| offer.number != 13);
    for offer in offers.iter_mut().filter(|offer| offer.number == 12) {
        (offer.med, offer.path) = (Some(2), vec![64_999]);
    }
    offers.push(Offer { number: 14, title: "new", communities: vec![65_000 << 16 | 14], ..Offer::default() });
    offers
}

/// The prefix of an offer of the neighbour of an index.
pub fn prefix(family: Family, neighbor: u8, number: u8) -> String {
    let (address, length) = match family {
        Family::Inet => (IpAddr::from(Ipv4Addr::new(172, 16 + neighbor, number, 0)), 24),
        Family::Inet6 => {
            let segments = [0x2001, 0xdb8, 0x100 + u16::from(neighbor), number.into(), 0, 0, 0, 0];
            (IpAddr::from(Ipv6Addr::from(segments)), 64)
        }
    };
    format!("{address}/{length}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn prefixes_are_distinct_and_a_change_is_one_of_each_kind() {
        let all = |offers: &[Offer]| -> HashSet<String> {
            offers.iter().map(|o| prefix(Family::Inet6, 3, o.number)).collect()
        };
        let (before, after) = (all(&first()), all(&changed()));
        assert_eq!(before.len(), first().len());
        assert_eq!((before.difference(&after).count(), after.difference(&before).count()), (1, 1));
        assert_eq!(first().iter().filter(|offer| changed().contains(offer)).count(), first().len() - 2);
        assert!(long().is_long() && first().iter().all(|offer| !offer.is_long()));
        assert_eq!(prefix(Family::Inet, 2, 9), "172.18.9.0/24");
    }

    #[test]
    fn origins_are_read_in_every_dialect() {
        let read = |words: [&str; 4]| words.map(|word| Origin::read(word).map(Origin::word));
        assert_eq!(read(["IGP", "i", "0", "igp"]), [Some("igp"); 4]);
        assert_eq!(read(["incomplete", "?", "2", "Incomplete"]), [Some("incomplete"); 4]);
        assert_eq!(Origin::read("EGP"), Some(Origin::Egp));
    }
}
