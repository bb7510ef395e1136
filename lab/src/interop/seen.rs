//! A route as a neighbour sees it: every implementation's own view, in one form.

use std::collections::BTreeMap;

use serde_json::Value;

use super::offer::Origin;

/// What a neighbour has of one prefix from the router.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// ORIGIN.
    pub origin: Origin,
    /// The AS path: `65000 64512 {1 2}`, the members of a set in order of number.
    pub path: String,
    /// The next hop; of two in IPv6 the global one.
    pub next_hop: String,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; nothing where it has no meaning.
    pub local_preference: Option<u32>,
    /// Communities, in order of number.
    pub communities: Vec<u32>,
    /// Large communities, in order.
    pub large: Vec<[u32; 3]>,
    /// Route targets `64512:100`, in order of their text.
    pub targets: Vec<String>,
    /// ORIGINATOR_ID (RFC 4456), as an address.
    pub originator: Option<String>,
    /// CLUSTER_LIST: `10.0.0.9 10.0.0.8`.
    pub clusters: String,
    /// AGGREGATOR: `65000 10.113.255.1`.
    pub aggregator: Option<String>,
    /// ATOMIC_AGGREGATE.
    pub atomic: bool,
    /// Only to Customer (RFC 9234), where its tools show it.
    pub only_to_customer: Option<u32>,
}

/// By prefix; by prefix and path identifier (`172.16.0.0/24 #7`) where several paths go to one (RFC 7911).
pub type Table = BTreeMap<String, Seen>;

impl Seen {
    /// With its lists in order.
    pub fn ordered(mut self) -> Self {
        self.communities.sort_unstable();
        self.large.sort_unstable();
        self.targets.sort_unstable();
        self
    }

    /// What differs from how it has to be.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut words = Vec::new();
        let mut compare = |what: &str, seen: String, expected: String| {
            if seen != expected {
                words.push(format!("{what} {seen} instead of {expected}"));
            }
        };
        compare("origin", self.origin.word().into(), expected.origin.word().into());
        compare("AS path", self.path.clone(), expected.path.clone());
        compare("next hop", self.next_hop.clone(), expected.next_hop.clone());
        compare("MED", format!("{:?}", self.med), format!("{:?}", expected.med));
        compare("communities", format!("{:x?}", self.communities), format!("{:x?}", expected.communities));
        compare("large communities", format!("{:?}", self.large), format!("{:?}", expected.large));
        compare("route targets", format!("{:?}", self.targets), format!("{:?}", expected.targets));
        compare("originator", format!("{:?}", self.originator), format!("{:?}", expected.originator));
        compare("cluster list", self.clusters.clone(), expected.clusters.clone());
        compare("aggregator", format!("{:?}", self.aggregator), format!("{:?}", expected.aggregator));
        compare("atomic aggregate", self.atomic.to_string(), expected.atomic.to_string());
        compare("OTC", format!("{:?}", self.only_to_customer), format!("{:?}", expected.only_to_customer));
        if expected.local_preference.is_some() {
            let of = |seen: &Self| format!("{:?}", seen.local_preference);
            compare("local preference", of(self), of(expected));
        }
        words
    }
}

/// What is wrong in a table; at most so many. Identifiers of paths are for whoever sends them to choose.
pub fn wrong(table: &Table, expected: &Table, most: usize) -> Vec<String> {
    let (table, expected) = (by_prefix(table), by_prefix(expected));
    let missing = expected.keys().filter(|prefix| !table.contains_key(*prefix)).map(|p| format!("{p} is missing"));
    let others = table.iter().filter_map(|(prefix, seen)| match expected.get(prefix) {
        None => Some(format!("{prefix} should not be there")),
        Some(expected) => wrong_paths(prefix, seen, expected),
    });
    missing.chain(others).take(most).collect()
}

fn by_prefix(table: &Table) -> BTreeMap<&str, Vec<&Seen>> {
    let mut paths: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for (key, seen) in table {
        paths.entry(prefix_of(key)).or_default().push(seen);
    }
    paths
}

/// Of a key of a table.
pub fn prefix_of(key: &str) -> &str {
    key.split(' ').next().unwrap_or(key)
}

/// A time of BIRD's moves by so much between two answers: it reckons it from two clocks each time, which are not read at once.
const TIME_MOVES_MAX_MS: u64 = 100;

/// Whether two keys of tables are of the same path, told once: under the same identifier, or at the same time.
pub fn is_same_telling(one: &str, other: &str) -> bool {
    let parts = |key: &str| {
        let mut words = key.splitn(3, ' ').map(str::to_owned);
        [words.next(), words.next(), words.next()].map(Option::unwrap_or_default)
    };
    let ([prefix, mark, path], [other_prefix, other_mark, other_path]) = (parts(one), parts(other));
    let times = time_ms(&mark).zip(time_ms(&other_mark));
    let near = times.is_some_and(|(one, other)| one.abs_diff(other) <= TIME_MOVES_MAX_MS);
    prefix == other_prefix && path == other_path && (mark == other_mark || near)
}

/// `#23:00:00.000`.
fn time_ms(mark: &str) -> Option<u64> {
    let mut words = mark.strip_prefix('#')?.split([':', '.']).map(|word| word.parse::<u64>().ok());
    let (hours, minutes, seconds, ms) = (words.next()??, words.next()??, words.next()??, words.next()??);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + ms)
}

fn wrong_paths(prefix: &str, seen: &[&Seen], expected: &[&Seen]) -> Option<String> {
    if seen.len() != expected.len() {
        return Some(format!("{prefix} has {} paths instead of {}", seen.len(), expected.len()));
    }
    let mut left = expected.to_vec();
    let mut strange = Vec::new();
    for seen in seen {
        match left.iter().position(|expected| seen.differences(expected).is_empty()) {
            Some(place) => drop(left.swap_remove(place)),
            None => strange.push(seen),
        }
    }
    let (one, other) = (strange.first()?, left.first()?);
    Some(format!("{prefix} has {}", one.differences(other).join(", ")))
}

/// An AS path in the one form, from what most print: numbers, sets in braces with blanks or commas.
pub fn path(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('{') {
            let (set, after) = inside.split_once('}').unwrap_or((inside, ""));
            let mut numbers: Vec<u32> = set.split([' ', ',']).filter_map(|number| number.trim().parse().ok()).collect();
            numbers.sort_unstable();
            let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
            words.push(format!("{{{}}}", numbers.join(" ")));
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_at(rest.find([' ', '{']).unwrap_or(rest.len()));
            words.push(word.to_owned());
            rest = after.trim_start();
        }
    }
    words.join(" ")
}

/// A community: `65000:1`, or a well-known name (RFC 1997).
pub fn community(text: &str) -> Option<u32> {
    match text.trim() {
        "no-export" => Some(super::offer::NO_EXPORT),
        "no-advertise" => Some(super::offer::NO_ADVERTISE),
        "local-AS" | "local-as" | "no-export-subconfed" => Some(super::offer::NO_EXPORT_SUBCONFED),
        "no-peer" => Some(super::offer::NO_PEER),
        "graceful-shutdown" | "gshut" => Some(super::offer::GRACEFUL_SHUTDOWN),
        "blackhole" => Some(super::offer::BLACKHOLE),
        "llgr-stale" => Some(super::offer::LLGR_STALE),
        other => {
            let (high, low) = other.split_once(':')?;
            Some(u32::from(high.trim().parse::<u16>().ok()?) << 16 | u32::from(low.trim().parse::<u16>().ok()?))
        }
    }
}

/// A large community: `1:2:3`.
pub fn large(text: &str) -> Option<[u32; 3]> {
    let words: Vec<u32> = text.split(':').filter_map(|word| word.trim().parse().ok()).collect();
    words.try_into().ok()
}

/// A number in JSON.
pub fn number(value: Option<&Value>) -> Option<u32> {
    value?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_communities_are_read_in_every_dialect() {
        for text in ["1 2 {3 70000}", "1 2 {70000,3}", " 1  2 { 3, 70000 } ", "1 2{3 70000}"] {
            assert_eq!(path(text), "1 2 {3 70000}", "{text}");
        }
        assert_eq!(path(""), "");
        assert_eq!(
            (community("65000:1"), community("no-export"), community("x")),
            (Some(0xfde8_0001), Some(0xffff_ff01), None)
        );
        assert_eq!((large("1:2:4294967295"), large("1:2")), (Some([1, 2, u32::MAX]), None));
    }

    #[test]
    fn a_time_that_moves_a_little_is_the_same_and_an_identifier_is_not() {
        let (one, other) = ("172.16.0.0/24 #22:59:59.999 65000 1", "172.16.0.0/24 #23:00:00.000 65000 1");
        assert!(is_same_telling(one, one) && is_same_telling(one, other));
        for different in [
            "172.16.0.0/24 #23:00:00.500 65000 1",
            "172.16.1.0/24 #22:59:59.999 65000 1",
            "172.16.0.0/24 #22:59:59.999 65000 2",
        ] {
            assert!(!is_same_telling(one, different), "{different}");
        }
        assert!(!is_same_telling("172.16.0.0/24 #1 65000", "172.16.0.0/24 #2 65000"));
        assert!(is_same_telling("172.16.0.0/24", "172.16.0.0/24"));
    }

    #[test]
    fn each_difference_is_named() {
        let seen = Seen { path: "1 2".into(), med: Some(3), ..Seen::default() };
        assert!(seen.differences(&Seen { local_preference: None, ..seen.clone() }).is_empty());
        let expected = Seen { path: "1".into(), local_preference: Some(100), ..Seen::default() };
        assert_eq!(seen.differences(&expected).len(), 3);
        let table =
            |list: &[(&str, &Seen)]| list.iter().map(|(p, s)| ((*p).to_owned(), (*s).clone())).collect::<Table>();
        let found = wrong(&table(&[("a", &seen), ("b", &seen)]), &table(&[("a", &expected), ("c", &seen)]), 9);
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
