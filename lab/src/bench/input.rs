//! What the feeders send, as bytes, and what each session must hear: built before anything is measured.
//!
//! The table has the Internet's shape ([`crate::bgp::table`]), AS paths being 3 to 6 long with the feeder's own. The prefixes of
//! an attribute set come in several UPDATEs and these in no order, as routes are learned one by one.

use std::{net::Ipv4Addr, sync::Arc};

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::{
    case::{Case, Event},
    limits,
    prefix_set::PrefixSet,
};
use crate::bgp::{
    message::{self, Attributes, Prefix},
    table::{Table, attribute_sets},
};

/// A neighbour of the router, as both see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Our address.
    pub address: Ipv4Addr,
    /// The router's address there.
    pub router: Ipv4Addr,
    /// Our AS number.
    pub autonomous_system: u32,
}

/// The router's AS number.
pub const ROUTER_AS: u32 = 65_000;
const FIRST_FEEDER_AS: u32 = 65_001;

impl Session {
    /// The session of this number.
    pub fn numbered(index: usize) -> Self {
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        Self {
            address: Ipv4Addr::new(10, 111, index, 2),
            router: Ipv4Addr::new(10, 111, index, 1),
            autonomous_system: FIRST_FEEDER_AS + u32::from(index),
        }
    }
}

/// One session's part.
#[derive(Debug, Clone)]
pub struct Part {
    /// Who it is.
    pub session: Session,
    /// What it sends, ending with End-of-RIB.
    pub table: Arc<Vec<u8>>,
    /// Prefixes that count when it hears them.
    pub hears: Arc<PrefixSet>,
    /// How many of those it hears at least.
    pub hears_least: usize,
}

/// The input of a case.
#[derive(Debug, Clone)]
pub struct Input {
    /// The feeders, then the receiver.
    pub parts: Vec<Part>,
    /// Changes of single routes by the first feeder.
    pub storm: Arc<Vec<u8>>,
}

/// A feed before it is bytes.
struct Feed {
    sets: Arc<Vec<Attributes>>,
    routes: Vec<(Prefix, u32)>,
}

impl Input {
    /// Builds it.
    pub fn build(case: &Case, seed: u64) -> Self {
        let table = Table::generate(case.prefixes(), 1, seed);
        let all = PrefixSet::of(table.routes.iter().map(|route| route.0));
        let feeds = if case.same { same(&table, case.feeders, seed) } else { distinct(&table, case.feeders) };
        let storm = match case.event {
            Event::Storm => storm(&feeds[0], case.storm()),
            _ => Vec::new(),
        };
        let mut parts: Vec<Part> =
            (0..).zip(&feeds).map(|(index, feed)| part(index, feed, &feeds, case, &all)).collect();
        let receiver = Session::numbered(parts.len());
        parts.push(Part {
            session: receiver,
            table: Arc::new(end_of_rib()),
            hears_least: all.len(),
            hears: Arc::new(all),
        });
        Self { parts, storm: Arc::new(storm) }
    }

    /// The receiver's number.
    pub fn receiver(&self) -> usize {
        self.parts.len() - 1
    }
}

fn end_of_rib() -> Vec<u8> {
    let mut out = Vec::new();
    message::frame(&mut out, message::UPDATE, &[0, 0, 0, 0]);
    out
}

fn part(index: usize, feed: &Feed, feeds: &[Feed], case: &Case, all: &PrefixSet) -> Part {
    let session = Session::numbered(index);
    let own = PrefixSet::of(feed.routes.iter().map(|route| route.0));
    let (hears, hears_least) = if case.same {
        (all.clone(), surely_heard(index, feeds))
    } else {
        let others = all.clone().without(&own);
        let len = others.len();
        (others, len)
    };
    let mut random = SmallRng::seed_from_u64(index as u64);
    Part { session, table: Arc::new(bytes(feed, session, &mut random)), hears: Arc::new(hears), hears_least }
}

/// Each feeder an equal share, by attribute set.
fn distinct(table: &Table, feeders: usize) -> Vec<Feed> {
    let sets = Arc::new(longer(table.sets.clone()));
    let mut routes = table.routes.clone();
    // Sets differ much in size, and the large ones have low numbers: a multiplication mixes them.
    routes.sort_by_key(|(prefix, set)| (set.wrapping_mul(0x9e37_79b1), *prefix));
    let share = routes.len().div_ceil(feeders);
    routes.chunks(share).map(|routes| Feed { sets: Arc::clone(&sets), routes: routes.to_vec() }).collect()
}

/// Each feeder all prefixes, with attribute sets of its own.
fn same(table: &Table, feeders: usize, seed: u64) -> Vec<Feed> {
    let sets = |index| Arc::new(longer(attribute_sets(table.sets.len(), seed.wrapping_add(1 + index))));
    (0..feeders as u64).map(|index| Feed { sets: sets(index), routes: table.routes.clone() }).collect()
}

/// Paths of two to five, to which the feeder adds itself.
fn longer(mut sets: Vec<Attributes>) -> Vec<Attributes> {
    for (index, set) in (0u32..).zip(&mut sets) {
        set.path.push(1_000 + index % 50_000);
        if set.path.len() < 2 {
            set.path.push(60_001 + index % 3_000);
        }
    }
    sets
}

/// Prefixes for which somebody else's route is better than this feeder's by the length of its path or its origin: whatever a
/// router does about the rest, those it tells this feeder.
fn surely_heard(index: usize, feeds: &[Feed]) -> usize {
    let merit = |feed: &Feed, set: u32| feed.sets.get(set as usize).map(|a| (a.path.len(), a.origin));
    let Some(own) = feeds.get(index) else { return 0 };
    let better = |set: u32| feeds.iter().any(|other| merit(other, set) < merit(own, set));
    own.routes.iter().filter(|(_, set)| better(*set)).count()
}

fn block(attributes: &Attributes, session: Session) -> Vec<u8> {
    let mut attributes = attributes.clone();
    attributes.path.insert(0, session.autonomous_system);
    message::attribute_block(&attributes, session.address)
}

fn bytes(feed: &Feed, session: Session, random: &mut SmallRng) -> Vec<u8> {
    let mut by_set: Vec<Vec<Prefix>> = vec![Vec::new(); feed.sets.len()];
    for (prefix, set) in &feed.routes {
        if let Some(prefixes) = by_set.get_mut(*set as usize) {
            prefixes.push(*prefix);
        }
    }
    let mut updates: Vec<(usize, &[Prefix])> = (0..)
        .zip(&by_set)
        .flat_map(|(set, prefixes)| prefixes.chunks(limits::PREFIXES_PER_UPDATE).map(move |some| (set, some)))
        .collect();
    updates.shuffle(random);
    let blocks: Vec<Vec<u8>> = feed.sets.iter().map(|attributes| block(attributes, session)).collect();
    let mut out = Vec::with_capacity(feed.routes.len() * 24);
    for (set, prefixes) in updates {
        message::announce(&mut out, &blocks[set], prefixes);
    }
    out.extend_from_slice(&end_of_rib());
    out
}

/// Every so-manyth route with the attributes of another set.
fn storm(feed: &Feed, updates: usize) -> Vec<u8> {
    let session = Session::numbered(0);
    let step = (feed.routes.len() / updates.max(1)).max(1);
    let mut out = Vec::with_capacity(updates * 100);
    for (prefix, set) in feed.routes.iter().step_by(step).take(updates) {
        let other = (*set as usize + 1) % feed.sets.len().max(1);
        let mut attributes = feed.sets.get(other).cloned().unwrap_or_default();
        // Its own even if the neighbouring set is the same by chance.
        attributes.med = Some(1_000_000 + set);
        message::announce(&mut out, &block(&attributes, session), &[*prefix]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::count::Count;

    fn case(name: &str, routes: usize) -> Case {
        Case::select(&[name.to_owned()]).unwrap()[0].scaled(Some(routes))
    }

    fn heard(bytes: &[u8], counted: &PrefixSet) -> Count {
        let (mut rest, mut count) = (bytes, Count::of(counted.clone()));
        while let Some(length) = message::message_length(rest).unwrap() {
            count.update(&rest[..length]).unwrap();
            rest = &rest[length..];
        }
        count
    }

    #[test]
    fn distinct_feeds_make_the_table_and_each_hears_the_others() {
        let input = Input::build(&case("10x100000-distinct", 10_000), 1);
        let all = &input.parts[input.receiver()].hears;
        assert_eq!((input.parts.len(), all.len()), (11, 10_000));
        let sent: usize = input.parts.iter().map(|part| heard(&part.table, all).present.len()).sum();
        assert_eq!(sent, 10_000);
        for part in &input.parts[..10] {
            assert_eq!((part.hears_least, heard(&part.table, &part.hears).present.len()), (9_000, 0));
        }
    }

    #[test]
    fn feeds_of_the_same_prefixes_differ_in_their_attributes() {
        let input = Input::build(&case("10x100000-same", 2_000), 1);
        let all = &input.parts[input.receiver()].hears;
        for part in &input.parts[..10] {
            assert_eq!(heard(&part.table, all).present.len(), 2_000);
            assert!((500..2_000).contains(&part.hears_least), "{}", part.hears_least);
        }
        assert_ne!(input.parts[0].table.len(), input.parts[1].table.len());
    }

    #[test]
    fn a_storm_is_one_update_for_each_route() {
        let mut storm = case("storm", 5_000);
        storm.routes = 5_000;
        let input = Input::build(&storm, 1);
        let all = &input.parts[input.receiver()].hears;
        let count = heard(&input.storm, all);
        assert_eq!((count.updates, count.present.len()), (5_000, 5_000));
        assert!(heard(&input.parts[0].table, all).updates < 2_500, "but a table is packed");
    }
}
