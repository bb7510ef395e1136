//! The small world of fuzzed policies: what lists there are, and what routes are made of. What a list stands for is written a
//! second time as a function, for the model.

use holdfast_policy::{Origin, Protocol, RouteView};
use ipnet::IpNet;
use std::net::IpAddr;

use super::Choices;

/// A prefix-list and its members.
pub const PREFIX_LISTS: [(&str, &[&str]); 3] =
    [("P0", &["10.0.0.0/8", "10.1.0.0/16"]), ("P1", &["2001:db8::/32", "10.1.2.0/24"]), ("P2", &[])];

/// Prefixes of routes and of filters.
pub const PREFIXES: [&str; 8] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "0.0.0.0/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "::/0",
];

/// Neighbours, targets and next hops.
pub const ADDRESSES: [&str; 4] = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "2001:db8::1"];

/// A community of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Community {
    Standard(u32),
    Extended([u8; 8]),
    Large([u32; 3]),
}

use Community::{Extended, Large, Standard};

const fn standard(asn: u32, value: u32) -> Community {
    Standard(asn << 16 | value)
}

/// Communities of routes. The first six are those of plain members, below.
pub const COMMUNITIES: [Community; 10] = [
    standard(1, 1),
    standard(1, 2),
    Standard(0xffff_ff01),
    Large([1, 1, 1]),
    Extended([0, 2, 0, 1, 0, 0, 0, 1]),
    Extended([2, 3, 0, 0, 0, 1, 0, 1]),
    standard(2, 1),
    standard(1, 12),
    Large([1, 2, 1]),
    Extended([0, 2, 0, 1, 0, 0, 0, 2]),
];

type Covers = fn(Community) -> bool;

/// Members of community lists, and what each stands for. The first [`PLAIN`] are values and can be added.
pub const MEMBERS: [(&str, Covers); 13] = [
    ("1:1", |value| value == COMMUNITIES[0]),
    ("1:2", |value| value == COMMUNITIES[1]),
    ("no-export", |value| value == COMMUNITIES[2]),
    ("large:1:1:1", |value| value == COMMUNITIES[3]),
    ("target:1:1", |value| value == COMMUNITIES[4]),
    ("origin:1L:1", |value| value == COMMUNITIES[5]),
    ("1:*", |value| matches!(value, Standard(value) if value >> 16 == 1)),
    ("*:1", |value| matches!(value, Standard(value) if value & 0xffff == 1)),
    ("1:[12]", |value| matches!(value, Standard(0x1_0001 | 0x1_0002))),
    ("^(1|2):1.?$", |value| matches!(value, Standard(0x1_0001 | 0x2_0001 | 0x1_000c))),
    ("large:1:*:1", |value| matches!(value, Large([1, _, 1]))),
    ("large:1:[^1]:1", |value| value == Large([1, 2, 1])),
    ("target:1:*", |value| matches!(value, Extended([0, 2, 0, 1, ..]))),
];

/// How many of [`MEMBERS`] are values: the same as of [`COMMUNITIES`].
pub const PLAIN: usize = 6;

type Matches = fn(&[Vec<u32>]) -> bool;

/// AS-path expressions and what paths they match. A step is the members of a set; any of them may take it.
pub const AS_PATHS: [(&str, &str, Matches); 6] = [
    ("near", "1 .*", |path| path.first().is_some_and(|step| step.contains(&1))),
    ("twice", ".* 2 2 .*", |path| path.windows(2).any(|pair| pair.iter().all(|step| step.contains(&2)))),
    ("short", ".{0,2}", |path| path.len() <= 2),
    ("none", "()", |path| path.is_empty()),
    ("others", "[^1]+", |path| !path.is_empty() && path.iter().all(|step| step.iter().any(|asn| *asn != 1))),
    ("choice", "(1|2)? 3-4", |path| match path {
        [last] => last.iter().any(|asn| matches!(asn, 3 | 4)),
        [first, last] => first.iter().any(|asn| matches!(asn, 1 | 2)) && last.iter().any(|asn| matches!(asn, 3 | 4)),
        _ => false,
    }),
];

/// A route of this world.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub prefix: IpNet,
    pub protocol: Protocol,
    pub neighbor: Option<IpAddr>,
    pub target: Option<IpAddr>,
    pub external: Option<bool>,
    pub origin: Origin,
    pub path: Vec<Vec<u32>>,
    pub next_hop: Option<IpAddr>,
    pub local_preference: u32,
    pub metric: Option<u32>,
    pub preference: u32,
    pub tag: u32,
    pub standard: Vec<u32>,
    pub extended: Vec<[u8; 8]>,
    pub large: Vec<[u32; 3]>,
}

impl Route {
    /// One that the choices lead to.
    pub fn choose(choices: &mut Choices<'_>) -> Route {
        let mut route = Route {
            prefix: choices.of(&PREFIXES).parse().expect("a prefix"),
            protocol: *choices.of(&Protocol::ALL),
            neighbor: choices.maybe().then(|| address(choices)),
            target: choices.maybe().then(|| address(choices)),
            external: *choices.of(&[None, Some(true), Some(false)]),
            origin: *choices.of(&Origin::ALL),
            path: (0..choices.below(4)).map(|_| step(choices)).collect(),
            next_hop: choices.maybe().then(|| address(choices)),
            local_preference: choices.number(),
            metric: choices.maybe().then(|| choices.number()),
            preference: *choices.of(&[0, 5, 170, 255]),
            tag: choices.number(),
            standard: Vec::new(),
            extended: Vec::new(),
            large: Vec::new(),
        };
        for _ in 0..choices.below(4) {
            match *choices.of(&COMMUNITIES) {
                Standard(value) if !route.standard.contains(&value) => route.standard.push(value),
                Extended(value) if !route.extended.contains(&value) => route.extended.push(value),
                Large(value) if !route.large.contains(&value) => route.large.push(value),
                _ => {}
            }
        }
        route
    }
}

fn address(choices: &mut Choices<'_>) -> IpAddr {
    choices.of(&ADDRESSES).parse().expect("an address")
}

fn step(choices: &mut Choices<'_>) -> Vec<u32> {
    match choices.below(6) {
        0 => vec![1, 2],
        1 => vec![2, 3],
        asn => vec![asn as u32 - 1],
    }
}

impl RouteView for Route {
    fn prefix(&self) -> IpNet {
        self.prefix
    }
    fn protocol(&self) -> Protocol {
        self.protocol
    }
    fn neighbor(&self) -> Option<IpAddr> {
        self.neighbor
    }
    fn target(&self) -> Option<IpAddr> {
        self.target
    }
    fn external(&self) -> Option<bool> {
        self.external
    }
    fn origin(&self) -> Origin {
        self.origin
    }
    fn as_path(&self, hop: &mut dyn FnMut(&[u32])) {
        self.path.iter().for_each(|step| hop(step));
    }
    fn as_path_length(&self) -> u32 {
        self.path.len() as u32
    }
    fn next_hop(&self) -> Option<IpAddr> {
        self.next_hop
    }
    fn local_preference(&self) -> u32 {
        self.local_preference
    }
    fn metric(&self) -> Option<u32> {
        self.metric
    }
    fn preference(&self) -> u32 {
        self.preference
    }
    fn tag(&self) -> u32 {
        self.tag
    }
    fn communities(&self) -> &[u32] {
        &self.standard
    }
    fn extended_communities(&self) -> &[[u8; 8]] {
        &self.extended
    }
    fn large_communities(&self) -> &[[u32; 3]] {
        &self.large
    }
}
