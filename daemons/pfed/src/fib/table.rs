//! One family's prefixes with their two columns.
//!
//! A row's word is the number of its *pair* (desired content, kernel object) and two marks. A million routes have few different pairs, so a
//! pair costs a row four octets and not eight.

use hashbrown::HashMap;
use holdfast_rib::Family;
use ipnet::IpNet;
use std::net::IpAddr;

use super::contents::ContentId;
use super::objects::ObjectIndex;
use super::rows::{Key4, Key6, Place, Rows};

/// Where a walk over both tables stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    pub family: usize,
    pub bucket: usize,
}

/// Said of a row while something is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Heard of on the present `Program` stream.
    Confirmed,
    /// Met while the kernel's table is read.
    Seen,
}

impl Mark {
    const ALL: u32 = 3 << 30;

    fn bit(self) -> u32 {
        match self {
            Self::Confirmed => 1 << 31,
            Self::Seen => 1 << 30,
        }
    }
}

/// Both columns: desired content, kernel object.
pub type Pair = (ContentId, ObjectIndex);
/// Neither has anything.
const NOTHING: Pair = (0, 0);

/// The pairs in use, under numbers.
#[derive(Debug, Default)]
struct Pairs {
    slots: Vec<(Pair, u32)>,
    numbers: HashMap<Pair, u32>,
    free: Vec<u32>,
}

impl Pairs {
    /// The number of a pair, with one more row that has it.
    fn enter(&mut self, pair: Pair) -> u32 {
        let Self { slots, numbers, free } = self;
        let number = *numbers.entry(pair).or_insert_with(|| {
            free.pop().unwrap_or_else(|| {
                slots.push((pair, 0));
                slots.len() as u32 - 1
            })
        });
        let (of, rows) = slots[number as usize];
        slots[number as usize] = (pair, if of == pair { rows + 1 } else { 1 });
        number
    }

    /// One row less has it.
    fn leave(&mut self, number: u32) {
        let (pair, rows) = &mut self.slots[number as usize];
        *rows -= 1;
        if *rows == 0 {
            self.numbers.remove(pair);
            self.free.push(number);
        }
    }

    fn get(&self, number: u32) -> Pair {
        self.slots[number as usize].0
    }
}

#[derive(Debug)]
enum Kind {
    V4(Rows<Key4>),
    V6(Rows<Key6>),
}

/// Runs the same code on either kind of rows.
macro_rules! each {
    ($kind:expr, $rows:ident => $code:expr) => {
        match $kind {
            Kind::V4($rows) => $code,
            Kind::V6($rows) => $code,
        }
    };
}

#[derive(Debug)]
pub struct Table {
    kind: Kind,
    pairs: Pairs,
    /// Prefixes per length, so that a longest match probes only lengths that occur.
    lengths: Box<[u32; 129]>,
}

impl Table {
    pub fn new(family: Family) -> Self {
        let kind = match family {
            Family::Ipv4Unicast => Kind::V4(Rows::new()),
            Family::Ipv6Unicast => Kind::V6(Rows::new()),
        };
        Self { kind, pairs: Pairs::default(), lengths: Box::new([0; 129]) }
    }

    /// Where a prefix lies; a prefix of the other family nowhere.
    pub fn find(&self, prefix: &IpNet) -> Option<Place> {
        match (&self.kind, prefix) {
            (Kind::V4(rows), IpNet::V4(net)) => rows.find(Key4::new(net)),
            (Kind::V6(rows), IpNet::V6(net)) => rows.find(Key6::new(net)),
            _ => None,
        }
    }

    /// Both columns of a prefix.
    pub fn row_of(&self, prefix: &IpNet) -> Pair {
        self.find(prefix).map_or(NOTHING, |place| self.row(place))
    }

    /// Both columns at a place.
    pub fn row(&self, place: Place) -> Pair {
        self.pairs.get(each!(&self.kind, rows => rows.word(place)) & !Mark::ALL)
    }

    /// The columns that rows have, each pair once. They are few, however many rows there are.
    pub fn pairs(&self) -> impl Iterator<Item = Pair> + '_ {
        self.pairs.numbers.keys().copied()
    }

    /// Writes both columns of a prefix that lies at `place`, or has no row yet. One without anything in either column has none.
    /// Returns where it lies now.
    pub fn set_row(&mut self, prefix: &IpNet, place: Option<Place>, pair: Pair) -> Option<Place> {
        match place {
            Some(place) if pair == NOTHING => {
                self.remove(prefix, place);
                None
            }
            Some(place) => {
                let number = self.pairs.enter(pair);
                let before = each!(&mut self.kind, rows => {
                    let word = rows.word(place);
                    rows.set_word(place, number | word & Mark::ALL);
                    word
                });
                self.pairs.leave(before & !Mark::ALL);
                Some(place)
            }
            None if pair == NOTHING => None,
            None => self.add(prefix, pair),
        }
    }

    fn add(&mut self, prefix: &IpNet, pair: Pair) -> Option<Place> {
        let number = self.pairs.enter(pair);
        let place = match (&mut self.kind, prefix) {
            (Kind::V4(rows), IpNet::V4(net)) => rows.add(Key4::new(net), number),
            (Kind::V6(rows), IpNet::V6(net)) => rows.add(Key6::new(net), number),
            _ => {
                self.pairs.leave(number);
                return None;
            }
        };
        self.lengths[usize::from(prefix.prefix_len())] += 1;
        Some(place)
    }

    fn remove(&mut self, prefix: &IpNet, place: Place) {
        let word = each!(&mut self.kind, rows => {
            let word = rows.word(place);
            rows.remove(place);
            word
        });
        self.pairs.leave(word & !Mark::ALL);
        self.lengths[usize::from(prefix.prefix_len())] -= 1;
    }

    pub fn mark(&mut self, place: Place, mark: Mark) {
        each!(&mut self.kind, rows => rows.set_word(place, rows.word(place) | mark.bit()));
    }

    pub fn clear(&mut self, mark: Mark) {
        each!(&mut self.kind, rows => rows.clear(mark.bit()));
    }

    /// The prefixes of one bucket for which `wanted` says so of their columns and of whether they have the mark, if one is named.
    pub fn select(&self, bucket: usize, mark: Option<Mark>, mut wanted: impl FnMut(Pair, bool) -> bool) -> Vec<IpNet> {
        let mut chosen = Vec::new();
        let bit = mark.map_or(0, Mark::bit);
        let mut look = |(prefix, word): (IpNet, u32)| {
            if wanted(self.pairs.get(word & !Mark::ALL), word & bit != 0) {
                chosen.push(prefix);
            }
        };
        each!(&self.kind, rows => rows.bucket(bucket).for_each(&mut look));
        chosen
    }

    /// The rows of one bucket, into a vector that is kept from one to the next.
    pub fn read_bucket(&self, bucket: usize, rows: &mut Vec<(IpNet, Pair)>) {
        rows.clear();
        let pairs = &self.pairs;
        let with_pair = |(prefix, word): (IpNet, u32)| (prefix, pairs.get(word & !Mark::ALL));
        each!(&self.kind, kind => rows.extend(kind.bucket(bucket).map(with_pair)));
    }

    /// How many buckets a walk goes through; there may be more before its end, never less.
    pub fn buckets(&self) -> usize {
        each!(&self.kind, rows => rows.buckets())
    }

    /// The longest prefix that covers an address.
    pub fn longest_match(&self, address: IpAddr) -> Option<IpNet> {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let occurring = (0..=width).rev().filter(|length| self.lengths[usize::from(*length)] > 0);
        let mut covering = occurring.filter_map(|length| Some(IpNet::new(address, length).ok()?.trunc()));
        covering.find(|prefix| self.find(prefix).is_some())
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        each!(&self.kind, rows => rows.memory_bytes()) + self.pairs.slots.capacity() * size_of::<(Pair, u32)>()
    }
}
