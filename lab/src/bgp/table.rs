//! A synthetic table with the Internet's shape, from a seed: prefix lengths from /8 to /24 with some 60 % /24, some
//! 90,000 attribute sets per million routes, AS paths 2 to 6 long (as the router sees them), communities, a MED sometimes.
//!
//! The table is divided among the neighbours by attribute set, as in reality: what an origin announces comes by one way.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::message::{Attributes, Prefix, announce, announce6, attribute_block};

/// Share of each prefix length in the Internet's IPv4 table, per mille (2024).
const LENGTHS_PER_MILLE: [(u8, u32); 17] = [
    (8, 1),
    (9, 1),
    (10, 1),
    (11, 1),
    (12, 1),
    (13, 1),
    (14, 1),
    (15, 2),
    (16, 14),
    (17, 9),
    (18, 15),
    (19, 27),
    (20, 46),
    (21, 52),
    (22, 115),
    (23, 103),
    (24, 610),
];

/// Attribute sets per thousand routes.
const SETS_PER_THOUSAND_ROUTES: usize = 90;

/// Address space that no table may touch: what is not routed, and what the lab itself uses (10/8, 198.18/15).
const EXCLUDED: [Prefix; 12] = [
    Prefix::new(0x0000_0000, 8),  // this network
    Prefix::new(0x0a00_0000, 8),  // private; the lab's links
    Prefix::new(0x6440_0000, 10), // shared
    Prefix::new(0x7f00_0000, 8),  // loopback
    Prefix::new(0xa9fe_0000, 16), // link local
    Prefix::new(0xac10_0000, 12), // private
    Prefix::new(0xc000_0000, 24), // protocol assignments
    Prefix::new(0xc000_0200, 24), // documentation
    Prefix::new(0xc0a8_0000, 16), // private
    Prefix::new(0xc612_0000, 15), // benchmarking; the lab's beacons
    Prefix::new(0xc633_6400, 24), // documentation
    Prefix::new(0xe000_0000, 3),  // multicast and beyond
];

/// The table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Attribute sets; without the feeder's own AS, which it puts in front.
    pub sets: Vec<Attributes>,
    /// Prefixes, each with its set.
    pub routes: Vec<(Prefix, u32)>,
    /// Among how many neighbours it is divided, and in which proportion.
    pub shares: Vec<u32>,
    owner: HashMap<Prefix, u32>,
}

impl Table {
    /// Generates one, divided into equal shares.
    pub fn generate(routes: usize, shares: usize, seed: u64) -> Self {
        Self::generate_divided(routes, vec![1; shares.max(1)], seed)
    }

    /// Generates one, divided in a proportion.
    pub fn generate_divided(routes: usize, shares: Vec<u32>, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let total = shares.iter().sum::<u32>() as usize;
        let set_count = (routes * SETS_PER_THOUSAND_ROUTES / 1000).max(total).max(1);
        let sets = (0..set_count).map(|_| attributes(&mut random)).collect();
        let mut table =
            Self { sets, routes: Vec::with_capacity(routes), shares, owner: HashMap::with_capacity(routes) };
        while table.routes.len() < routes {
            let length = pick_length(&mut random);
            let Some(prefix) = table.free_prefix(length, &mut random) else { continue };
            let set = pick_set(table.routes.len(), set_count, &mut random);
            table.owner.insert(prefix, set);
            table.routes.push((prefix, set));
        }
        table
    }

    fn free_prefix(&self, length: u8, random: &mut SmallRng) -> Option<Prefix> {
        // Short prefixes run out (there are some 200 of /8): then another length is drawn.
        (0..8).map(|_| Prefix::new(random.random(), length)).find(|p| is_routable(*p) && !self.owner.contains_key(p))
    }

    /// Which share an attribute set belongs to.
    fn share_of_set(&self, set: u32) -> usize {
        let mut point = set % self.shares.iter().sum::<u32>().max(1);
        for (share, weight) in self.shares.iter().enumerate() {
            match point.checked_sub(*weight) {
                Some(rest) => point = rest,
                None => return share,
            }
        }
        0
    }

    /// The routes of one share.
    pub fn share(&self, share: usize) -> impl Iterator<Item = &(Prefix, u32)> {
        self.routes.iter().filter(move |(_, set)| self.share_of_set(*set) == share)
    }

    /// How many routes one share has.
    pub fn share_len(&self, share: usize) -> usize {
        self.share(share).count()
    }

    /// All UPDATEs of one share, ready to send, the feeder's AS in front of every path.
    pub fn share_bytes(&self, share: usize, feeder_as: u32, next_hop: Ipv4Addr) -> Vec<u8> {
        self.bytes(share, &[feeder_as], next_hop.into())
    }

    /// The same with several numbers in front of every path, in the family of the next hop.
    pub fn bytes(&self, share: usize, in_front: &[u32], next_hop: IpAddr) -> Vec<u8> {
        let mut by_set: Vec<Vec<Prefix>> = vec![Vec::new(); self.sets.len()];
        for (prefix, set) in self.share(share) {
            if let Some(prefixes) = by_set.get_mut(*set as usize) {
                prefixes.push(*prefix);
            }
        }
        let mut out = Vec::with_capacity(self.routes.len() * 16);
        for (attributes, prefixes) in self.sets.iter().zip(&by_set).filter(|(_, p)| !p.is_empty()) {
            let mut attributes = attributes.clone();
            attributes.path.splice(0..0, in_front.iter().copied());
            match next_hop {
                IpAddr::V4(next_hop) => announce(&mut out, &attribute_block(&attributes, next_hop), prefixes),
                IpAddr::V6(next_hop) => announce6(&mut out, &attributes, next_hop, prefixes),
            }
        }
        out
    }

    /// Addresses in one share, spread over many prefixes: for each the longest match is a prefix of that share.
    pub fn destinations(&self, share: usize, count: usize, seed: u64) -> Vec<Ipv4Addr> {
        let mut random = SmallRng::seed_from_u64(seed ^ 0xde57);
        let candidates: Vec<Prefix> = self.share(share).map(|(p, _)| *p).collect();
        if candidates.is_empty() {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(count);
        // A bound, should a tiny table have no address whose longest match is in this share.
        for _ in 0..count * 100 {
            if out.len() == count {
                break;
            }
            let Some(prefix) = candidates.get(random.random_range(0..candidates.len())) else { break };
            let host = random.random::<u32>() & !super::message::mask(prefix.length);
            let address = prefix.address | (host | 1) & !0x80;
            if prefix.contains(address)
                && self.longest_match(address).is_some_and(|(_, set)| self.share_of_set(set) == share)
            {
                out.push(Ipv4Addr::from(address));
            }
        }
        out
    }

    /// The longest prefix that holds an address.
    pub fn longest_match(&self, address: u32) -> Option<(Prefix, u32)> {
        (8..=24).rev().map(|length| Prefix::new(address, length)).find_map(|p| self.owner.get(&p).map(|set| (p, *set)))
    }
}

/// Attribute sets by themselves, from a seed.
pub fn attribute_sets(count: usize, seed: u64) -> Vec<Attributes> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..count).map(|_| attributes(&mut random)).collect()
}

fn is_routable(prefix: Prefix) -> bool {
    !EXCLUDED.iter().any(|e| e.contains(prefix.address) || prefix.contains(e.address))
}

fn pick_length(random: &mut SmallRng) -> u8 {
    let mut point = random.random_range(0..1000);
    for (length, share) in LENGTHS_PER_MILLE {
        if point < share {
            return length;
        }
        point -= share;
    }
    24
}

/// Every set is used once; the rest falls to few sets, as with origins that announce hundreds of prefixes.
fn pick_set(index: usize, sets: usize, random: &mut SmallRng) -> u32 {
    let set = if index < sets { index } else { ((random.random::<f64>().powi(3)) * sets as f64) as usize };
    u32::try_from(set.min(sets - 1)).unwrap_or(0)
}

fn attributes(random: &mut SmallRng) -> Attributes {
    // The feeder and its neighbour put themselves in front: 2 to 6 in all.
    let path = (0..random.random_range(0..=4)).map(|_| autonomous_system(random)).collect();
    let communities = (0..random.random_range(0..=6))
        .map(|_| (random.random_range(1..64_000u32) << 16) | random.random_range(0..10_000))
        .collect();
    let large = if random.random_bool(0.15) { random.random_range(1..=3) } else { 0 };
    Attributes {
        origin: if random.random_bool(0.05) { 2 } else { 0 },
        path,
        med: random.random_bool(0.2).then(|| random.random_range(0..1000)),
        communities,
        large_communities: (0..large)
            .map(|_| [autonomous_system(random), random.random_range(0..1000), random.random()])
            .collect(),
    }
}

/// Public numbers only, none of which is the lab's own (64512 to 65534 are private).
fn autonomous_system(random: &mut SmallRng) -> u32 {
    if random.random_bool(0.7) { random.random_range(1_000..60_000) } else { random.random_range(131_072..401_308) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn has_the_internets_shape() {
        let table = Table::generate(100_000, 2, 1);
        assert_eq!(table.routes.len(), 100_000);
        assert_eq!(table.routes.iter().map(|r| r.0).collect::<HashSet<_>>().len(), 100_000, "no prefix twice");
        let long = table.routes.iter().filter(|(p, _)| p.length == 24).count();
        assert!((58_000..65_000).contains(&long), "{long} of 100,000 are /24");
        assert!(table.routes.iter().all(|(p, _)| (8..=24).contains(&p.length)));
        let sets: HashSet<_> = table.routes.iter().map(|r| r.1).collect();
        assert_eq!(sets.len(), 9_000);
        assert_eq!(
            table
                .sets
                .iter()
                .map(|s| (s.path.clone(), s.communities.clone(), s.med, s.large_communities.clone()))
                .collect::<HashSet<_>>()
                .len()
                * 10
                / 9_000,
            9,
            "sets differ"
        );
        assert!(table.sets.iter().all(|s| s.path.len() <= 4));
    }

    #[test]
    fn keeps_away_from_what_is_not_routed() {
        for (prefix, _) in &Table::generate(50_000, 2, 2).routes {
            let first = prefix.address >> 24;
            assert!((1..224).contains(&first) && first != 10 && first != 127, "{prefix}");
            assert!(!Prefix::new(0xc612_0000, 15).contains(prefix.address), "{prefix}");
            assert_eq!(prefix.address & !super::super::message::mask(prefix.length), 0);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_table_and_another_another() {
        let routes = |seed| Table::generate(2_000, 2, seed).routes;
        assert_eq!(routes(7), routes(7));
        assert_ne!(routes(7), routes(8));
    }

    #[test]
    fn shares_are_disjoint_complete_and_fair() {
        let table = Table::generate(30_000, 3, 3);
        let sizes: Vec<_> = (0..3).map(|s| table.share_len(s)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 30_000);
        assert!(sizes.iter().all(|s| (8_000..12_500).contains(s)), "{sizes:?}");
    }

    #[test]
    fn a_proportion_is_kept() {
        let table = Table::generate_divided(40_000, vec![1, 17, 2], 3);
        let sizes: Vec<_> = (0..3).map(|s| table.share_len(s)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 40_000);
        // The largest sets have low numbers, whoever they fall to.
        assert!(sizes[0] < 6_500 && sizes[2] < 6_500 && sizes[1] > 30_000, "{sizes:?}");
    }

    #[test]
    fn destinations_are_routed_to_their_share() {
        let table = Table::generate(20_000, 2, 4);
        for share in 0..2 {
            let destinations = table.destinations(share, 300, 4);
            assert_eq!(destinations.len(), 300);
            for destination in destinations {
                let (_, set) = table.longest_match(u32::from(destination)).unwrap();
                assert_eq!(table.share_of_set(set), share, "{destination}");
            }
        }
    }

    #[test]
    fn the_bytes_hold_exactly_the_share() {
        use super::super::message::{HEADER_BYTES, message_length, parse_update};
        let table = Table::generate(5_000, 2, 5);
        let bytes = table.share_bytes(1, 65_101, Ipv4Addr::new(10, 0, 0, 1));
        let (mut rest, mut seen) = (&bytes[..], HashSet::new());
        while let Some(length) = message_length(rest).unwrap() {
            seen.extend(parse_update(&rest[HEADER_BYTES..length]).unwrap().announced);
            rest = &rest[length..];
        }
        assert_eq!(seen, table.share(1).map(|r| r.0).collect::<HashSet<_>>());
    }
}
