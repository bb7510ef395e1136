//! What the routes that an aggregate stands for have in common (RFC 4271 §9.2.2.2), counted, so that one of them can come or go
//! without a look at the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use holdfast_rib::PrefixId;
use ipnet::IpNet;

use crate::wire::{ATTRIBUTES_MAX_LEN, AsPath, Origin, PathAttributes, Segment, SegmentKind};

use super::attributes::AttributeId;

/// Octets of an AS number or a community in a message.
const VALUE_LEN: usize = 4;

/// One contributing route, as it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contributor {
    /// Its attributes, held as long as it contributes; none where nothing more is asked of them than stands here.
    pub attributes: AttributeId,
    preference: u8,
    origin: Origin,
    /// It was put together itself, and parts of its path are missing.
    atomic: bool,
    has_path: bool,
}

impl Contributor {
    /// A route of this preference.
    pub fn new(preference: u8, attributes: &PathAttributes) -> Self {
        Self {
            attributes: AttributeId::NONE,
            preference,
            origin: attributes.origin,
            atomic: attributes.atomic_aggregate,
            has_path: attributes.as_path.asns().next().is_some(),
        }
    }
}

/// Which parts are counted: what nobody asks for costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// AS numbers and communities of all.
    pub as_set: bool,
    /// Which of them is the first.
    pub first: bool,
}

/// The contributing routes of one aggregate.
#[derive(Default)]
pub struct Contributions {
    parts: Parts,
    all: u64,
    /// By origin.
    origins: BTreeMap<Origin, u64>,
    atomic: u64,
    with_path: u64,
    /// The paths' leading sequences; what all have begun with is what the least and the greatest have.
    sequences: BTreeMap<Vec<u32>, u64>,
    asns: BTreeMap<u32, u64>,
    communities: BTreeMap<u32, u64>,
    first: BTreeSet<(u8, IpNet, PrefixId)>,
}

impl Contributions {
    /// No route contributes.
    pub fn new(parts: Parts) -> Self {
        Self { parts, ..Self::default() }
    }

    /// What is counted.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// Whether any route contributes.
    pub fn any(&self) -> bool {
        self.all > 0
    }

    /// The most preferred route, of these that of the lowest prefix, where it is counted.
    pub fn first(&self) -> Option<PrefixId> {
        self.first.first().map(|(.., id)| *id)
    }

    /// One more.
    pub fn add(&mut self, route: (PrefixId, IpNet), counted: &Contributor, attributes: &PathAttributes) {
        self.all += 1;
        increase(&mut self.origins, counted.origin);
        self.atomic += u64::from(counted.atomic);
        self.with_path += u64::from(counted.has_path);
        if self.parts.first {
            self.first.insert((counted.preference, route.1, route.0));
        }
        if self.parts.as_set {
            increase(&mut self.sequences, leading_sequence(&attributes.as_path));
            attributes.as_path.asns().for_each(|asn| increase(&mut self.asns, asn));
            attributes.communities.iter().for_each(|community| increase(&mut self.communities, *community));
        }
    }

    /// One less: what [`Self::add`] was called with.
    pub fn remove(&mut self, route: (PrefixId, IpNet), counted: &Contributor, attributes: &PathAttributes) {
        self.all -= 1;
        decrease(&mut self.origins, &counted.origin);
        self.atomic -= u64::from(counted.atomic);
        self.with_path -= u64::from(counted.has_path);
        if self.parts.first {
            self.first.remove(&(counted.preference, route.1, route.0));
        }
        if self.parts.as_set {
            decrease(&mut self.sequences, &leading_sequence(&attributes.as_path));
            attributes.as_path.asns().for_each(|asn| decrease(&mut self.asns, &asn));
            attributes.communities.iter().for_each(|community| decrease(&mut self.communities, community));
        }
    }

    /// RFC 4271 §9.2.2.2. None: they are longer than a message can be.
    pub fn attributes(&self, aggregator: (u32, Ipv4Addr)) -> Option<PathAttributes> {
        let mut attributes = PathAttributes {
            origin: self.origins.last_key_value().map(|(origin, _)| *origin).unwrap_or_default(),
            aggregator: Some(aggregator),
            atomic_aggregate: self.atomic > 0 || !self.parts.as_set && self.with_path > 0,
            ..PathAttributes::default()
        };
        if self.parts.as_set {
            if (self.asns.len() + self.communities.len()) * VALUE_LEN > ATTRIBUTES_MAX_LEN {
                return None;
            }
            let common = self.common_sequence();
            // What bore our own AS would be a loop to ourselves.
            let others = self.asns.keys().filter(|asn| !common.contains(asn) && **asn != aggregator.0);
            let asns: Vec<u32> = others.copied().collect();
            attributes.as_path = AsPath::sequence(common);
            if !asns.is_empty() {
                attributes.as_path.segments.push(Segment { kind: SegmentKind::Set, asns });
            }
            attributes.communities = self.communities.keys().copied().collect();
        }
        Some(attributes)
    }

    /// What all paths have begun with.
    fn common_sequence(&self) -> &[u32] {
        let (Some((least, _)), Some((greatest, _))) =
            (self.sequences.first_key_value(), self.sequences.last_key_value())
        else {
            return &[];
        };
        let equal = least.iter().zip(greatest).take_while(|(one, other)| one == other).count();
        &least[..equal]
    }
}

fn increase<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn decrease<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn leading_sequence(path: &AsPath) -> Vec<u32> {
    let sequences = path.segments.iter().take_while(|segment| segment.kind == SegmentKind::Sequence);
    sequences.flat_map(|segment| segment.asns.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::Ipv4Net;
    use proptest::prelude::*;

    const AGGREGATOR: (u32, Ipv4Addr) = (65000, Ipv4Addr::new(192, 0, 2, 1));

    fn route(index: u32) -> (PrefixId, IpNet) {
        (PrefixId(index), Ipv4Net::new(Ipv4Addr::from_bits(index << 8), 24).unwrap().into())
    }

    fn add(contributions: &mut Contributions, index: u32, preference: u8, attributes: &PathAttributes) {
        contributions.add(route(index), &Contributor::new(preference, attributes), attributes);
    }

    fn with(paths: &[&[u32]], as_set: bool) -> PathAttributes {
        let mut contributions = Contributions::new(Parts { as_set, first: false });
        for (index, path) in paths.iter().enumerate() {
            let attributes = PathAttributes { as_path: AsPath::sequence(path), ..PathAttributes::default() };
            add(&mut contributions, index as u32, 5, &attributes);
        }
        contributions.attributes(AGGREGATOR).unwrap()
    }

    #[test]
    fn paths_are_put_together() {
        let paths: [&[u32]; 3] = [&[1, 2, 3], &[1, 2, 4], &[1, 2]];
        assert_eq!(with(&paths, true).as_path.to_string(), "1 2 {3 4}");
        assert_eq!(with(&[&[1, 2], &[1, 2]], true).as_path.to_string(), "1 2", "equal paths stay whole");
        assert_eq!(with(&[&[1, 2], &[]], true).as_path.to_string(), "{1 2}", "one of our own has none");
        assert_eq!(with(&[&[1, 65000], &[2]], true).as_path.to_string(), "{1 2}", "not ourselves");
        assert!(!with(&paths, true).atomic_aggregate);
        let without = with(&paths, false);
        assert_eq!((without.as_path.to_string().as_str(), without.atomic_aggregate), ("", true));
        assert!(!with(&[&[]], false).atomic_aggregate, "nothing is missing in it");
        assert_eq!(without.aggregator, Some(AGGREGATOR));
    }

    #[test]
    fn more_than_a_message_holds_is_not_even_begun() {
        let mut contributions = Contributions::new(Parts { as_set: true, first: false });
        for asn in 1..20_000 {
            let attributes = PathAttributes { as_path: AsPath::sequence(&[asn]), ..PathAttributes::default() };
            add(&mut contributions, asn, 5, &attributes);
        }
        assert_eq!(contributions.attributes(AGGREGATOR), None);
    }

    fn attributes() -> impl Strategy<Value = PathAttributes> {
        let path = prop::collection::vec(1u32..4, 0..4);
        (path, prop::collection::vec(1u32..4, 0..3), any::<bool>(), 0u8..3).prop_map(
            |(path, communities, atomic_aggregate, origin)| PathAttributes {
                as_path: AsPath::sequence(&path),
                communities,
                atomic_aggregate,
                origin: [Origin::Igp, Origin::Egp, Origin::Incomplete][usize::from(origin)],
                ..PathAttributes::default()
            },
        )
    }

    proptest! {
        /// Whatever came and went before: the outcome is that of the routes that are there, in any order.
        #[test]
        fn only_what_is_there_counts(
            operations in prop::collection::vec((0u32..8, prop::option::of((1u8..4, attributes()))), 0..40),
            as_set: bool,
        ) {
            let parts = Parts { as_set, first: true };
            let mut contributions = Contributions::new(parts);
            let mut there: BTreeMap<u32, (u8, PathAttributes)> = BTreeMap::new();
            for (index, wanted) in operations {
                if let Some((preference, attributes)) = there.remove(&index) {
                    contributions.remove(route(index), &Contributor::new(preference, &attributes), &attributes);
                }
                if let Some((preference, attributes)) = wanted {
                    add(&mut contributions, index, preference, &attributes);
                    there.insert(index, (preference, attributes));
                }
            }
            let mut anew = Contributions::new(parts);
            for (index, (preference, attributes)) in there.iter().rev() {
                add(&mut anew, *index, *preference, attributes);
            }
            prop_assert_eq!(contributions.any(), !there.is_empty());
            prop_assert_eq!(contributions.attributes(AGGREGATOR), anew.attributes(AGGREGATOR));
            let first = there.iter().min_by_key(|(index, (preference, _))| (*preference, **index));
            prop_assert_eq!(contributions.first(), first.map(|(index, _)| PrefixId(*index)));
            prop_assert_eq!(contributions.asns.len(), anew.asns.len(), "nothing is left of what went");
            prop_assert_eq!(contributions.sequences.len(), anew.sequences.len());
        }
    }
}
