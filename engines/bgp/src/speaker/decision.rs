use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr};

use holdfast_proto::v1::PathSelection;
use smallvec::SmallVec;

use crate::wire::PathAttributes;

use super::long_lived;

/// RFC 4271 §5.1.5 leaves the default of LOCAL_PREF to the speaker; every implementation takes 100.
pub const LOCAL_PREFERENCE_DEFAULT: u32 = 100;

/// What of an attribute set the decision process compares, decoded once per distinct set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rank {
    /// Kept though its origin is away for long: worse than everything else (RFC 9494 §4.3).
    long_lived_stale: bool,
    local_preference: u32,
    as_path_length: u32,
    origin: u8,
    med: u32,
    /// The AS that the path came through first: MEDs compare only between paths of the same (RFC 4271 §9.1.2.2 c).
    neighbor_as: u32,
    originator_id: Option<Ipv4Addr>,
    cluster_list_length: u16,
}

impl Rank {
    /// Reads the rank off decoded attributes.
    pub fn of(attributes: &PathAttributes) -> Rank {
        Rank {
            long_lived_stale: long_lived::is_marked(attributes),
            local_preference: attributes.local_pref.unwrap_or(LOCAL_PREFERENCE_DEFAULT),
            as_path_length: attributes.as_path.path_length() as u32,
            origin: attributes.origin as u8,
            // RFC 4271 §9.1.2.2 c: a missing MED is the lowest possible value.
            med: attributes.med.unwrap_or(0),
            neighbor_as: attributes.as_path.neighbor_as().unwrap_or(0),
            originator_id: attributes.originator_id,
            cluster_list_length: attributes.cluster_list.len() as u16,
        }
    }

    /// Whether both paths come through the same neighbouring AS.
    pub fn is_through_same_as(&self, other: &Rank) -> bool {
        self.neighbor_as == other.neighbor_as
    }
}

/// One usable path to a destination, as the decision process sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Whatever the caller wants to find it by.
    pub handle: u32,
    /// Preference that policy gave to it, or BGP's; lower wins, before everything else.
    pub preference: u8,
    /// From its attributes.
    pub rank: Rank,
    /// Learned from another AS.
    pub external: bool,
    /// Metric of the way to the next hop; paths whose next hop is unreachable are no candidates.
    pub metric: u32,
    /// BGP identifier of the neighbour.
    pub router_id: Ipv4Addr,
    /// Address of the neighbour.
    pub address: IpAddr,
    /// What the neighbour calls it (RFC 7911): decides only between paths of one neighbour that are equal otherwise.
    pub identifier: u32,
}

/// What decides before MEDs do; less is better.
type BeforeMed = (bool, u8, Reverse<u32>, u32, u8);

/// What decides after them.
pub type AfterMed = (bool, u32, TieBreak);

/// What only makes the choice unique: identifier of the originator, reflections, neighbour's address, path's identifier.
type TieBreak = (Ipv4Addr, u16, IpAddr, u32);

impl Candidate {
    /// All rules before MEDs, in one.
    pub fn before_med(&self) -> BeforeMed {
        let rank = &self.rank;
        let local_preference = Reverse(rank.local_preference);
        (rank.long_lived_stale, self.preference, local_preference, rank.as_path_length, rank.origin)
    }

    /// All rules after MEDs.
    pub fn after_med(&self) -> AfterMed {
        (!self.external, self.metric, tie_break(self))
    }
}

/// Paths that are as good as the best up to the tie-breaks that only make the choice unique, in the order of these: the
/// best comes first.
pub type EqualPaths = SmallVec<[u32; 4]>;

/// How MEDs are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MedRules {
    /// Between all paths, not only those through the same neighbouring AS.
    always: bool,
    /// Path by path, so that a MED can decide which of two paths meets a third.
    pairwise: bool,
    /// The metric of the way to the next hop counts in.
    plus_igp: bool,
}

impl MedRules {
    /// As configured.
    pub fn of(config: Option<&PathSelection>) -> Self {
        config.map_or_else(Self::default, |config| Self {
            always: config.always_compare_med,
            pairwise: config.cisco_non_deterministic,
            plus_igp: config.med_plus_igp,
        })
    }

    /// Whether paths meet one after the other.
    pub fn is_pairwise(self) -> bool {
        self.pairwise
    }

    /// What is compared between paths of one group.
    pub fn med(self, path: &Candidate) -> u64 {
        u64::from(path.rank.med) + if self.plus_igp { u64::from(path.metric) } else { 0 }
    }

    /// Paths of the same group compare their MEDs.
    pub fn group(self, path: &Candidate) -> u32 {
        if self.always { 0 } else { path.rank.neighbor_as }
    }
}

/// RFC 4271 §9.1.2.2 with RFC 4456 §9: the best of the candidates, and those equal to it for multipath.
///
/// Each rule strikes out candidates from the whole set, as the RFC has it, and no rule looks at
/// age. So the result depends on routes and configuration alone, never on the order of arrival: two engines
/// that hold the same facts choose alike. Where paths are to be compared one after the other, they are in the order of
/// their neighbours' addresses.
#[inline]
pub fn best(candidates: &mut SmallVec<[Candidate; 8]>, rules: MedRules) -> Option<(Candidate, EqualPaths)> {
    // Nearly every destination has one path.
    if candidates.len() > 1 {
        strike_out_all(candidates, rules, &mut |_, _| {});
        candidates.sort_unstable_by_key(tie_break);
    }
    candidates.first().map(|best| (*best, candidates.iter().map(|path| path.handle).collect()))
}

/// For operators: by which rule each candidate but the best was struck out.
pub fn lost_by(candidates: &mut SmallVec<[Candidate; 8]>, rules: MedRules) -> SmallVec<[(u32, Rule); 8]> {
    let mut lost = SmallVec::new();
    strike_out_all(candidates, rules, &mut |rule, path| lost.push((path.handle, rule)));
    candidates.sort_unstable_by_key(tie_break);
    if let [best, others @ ..] = candidates.as_slice() {
        let (router_id, clusters, address, _) = tie_break(best);
        lost.extend(others.iter().map(|other| match tie_break(other) {
            (other_id, ..) if other_id != router_id => (other.handle, Rule::RouterId),
            (_, other_clusters, ..) if other_clusters != clusters => (other.handle, Rule::ClusterList),
            (.., other_address, _) if other_address != address => (other.handle, Rule::Address),
            _ => (other.handle, Rule::Identifier),
        }));
    }
    lost
}

/// A rule of the decision process, in the order of application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// RFC 9494 §4.3.
    LongLivedStale,
    /// Junos' preference.
    Preference,
    /// RFC 4271 §9.1.1.
    LocalPreference,
    /// §9.1.2.2 a.
    AsPath,
    /// §9.1.2.2 b.
    Origin,
    /// §9.1.2.2 c.
    Med,
    /// §9.1.2.2 d.
    External,
    /// §9.1.2.2 e.
    Metric,
    /// §9.1.2.2 f.
    RouterId,
    /// RFC 4456 §9.
    ClusterList,
    /// §9.1.2.2 g.
    Address,
    /// None of the RFC's: paths of one neighbour (RFC 7911) that are equal otherwise.
    Identifier,
}

impl Rule {
    /// What the better path has, for operators.
    pub const fn merit(self) -> &'static str {
        match self {
            Rule::LongLivedStale => "not long-lived stale",
            Rule::Preference => "lower preference",
            Rule::LocalPreference => "higher local preference",
            Rule::AsPath => "shorter AS path",
            Rule::Origin => "lower origin",
            Rule::Med => "lower MED",
            Rule::External => "learned from another AS",
            Rule::Metric => "next hop is nearer",
            Rule::RouterId => "lower router id",
            Rule::ClusterList => "shorter cluster list",
            Rule::Address => "lower address of the neighbor",
            Rule::Identifier => "lower path id",
        }
    }

    /// What a path has lost by, for operators.
    pub fn reason(self) -> String {
        let merit = if self == Rule::LongLivedStale { "this one is long-lived stale" } else { self.merit() };
        format!("another BGP path is better: {merit}")
    }

    /// It only makes the choice unique: paths that lose by it may be used beside the best one (multipath).
    pub fn is_tie_break(self) -> bool {
        self >= Rule::RouterId
    }
}

fn tie_break(path: &Candidate) -> TieBreak {
    let router_id = path.rank.originator_id.unwrap_or(path.router_id);
    (router_id, path.rank.cluster_list_length, path.address, path.identifier)
}

/// `struck` hears of each path that goes, and why.
fn strike_out_all(
    candidates: &mut SmallVec<[Candidate; 8]>,
    rules: MedRules,
    struck: &mut impl FnMut(Rule, &Candidate),
) {
    if rules.pairwise {
        one_after_the_other(candidates, rules, struck);
    } else {
        strike_out(candidates, rules, struck);
    }
}

fn strike_out(candidates: &mut SmallVec<[Candidate; 8]>, rules: MedRules, struck: &mut impl FnMut(Rule, &Candidate)) {
    if candidates.len() > 1 {
        keep_lowest(candidates, Rule::LongLivedStale, struck, |path| u32::from(path.rank.long_lived_stale));
        keep_lowest(candidates, Rule::Preference, struck, |path| path.preference.into());
        keep_lowest(candidates, Rule::LocalPreference, struck, |path| u32::MAX - path.rank.local_preference);
        keep_lowest(candidates, Rule::AsPath, struck, |path| path.rank.as_path_length);
        keep_lowest(candidates, Rule::Origin, struck, |path| u32::from(path.rank.origin));
        strike_out_by_med(candidates, rules, struck);
        keep_lowest(candidates, Rule::External, struck, |path| u32::from(!path.external));
        keep_lowest(candidates, Rule::Metric, struck, |path| path.metric);
    }
}

/// What is left has met one path after the other: all those that were as good as the one they met.
fn one_after_the_other(
    candidates: &mut SmallVec<[Candidate; 8]>,
    rules: MedRules,
    struck: &mut impl FnMut(Rule, &Candidate),
) {
    candidates.sort_unstable_by_key(|path| (path.address, path.identifier));
    let mut left: SmallVec<[Candidate; 8]> = SmallVec::new();
    for path in candidates.drain(..) {
        left.push(path);
        strike_out(&mut left, rules, struck);
    }
    *candidates = left;
}

fn keep_lowest(
    candidates: &mut SmallVec<[Candidate; 8]>,
    rule: Rule,
    struck: &mut impl FnMut(Rule, &Candidate),
    key: impl Fn(&Candidate) -> u32,
) {
    let Some(lowest) = candidates.iter().map(&key).min() else { return };
    candidates.retain(|path| {
        let stays = key(path) == lowest;
        if !stays {
            struck(rule, path);
        }
        stays
    });
}

/// Rule c: a path goes if another one from the same neighbouring AS has a lower MED.
fn strike_out_by_med(
    candidates: &mut SmallVec<[Candidate; 8]>,
    rules: MedRules,
    struck: &mut impl FnMut(Rule, &Candidate),
) {
    let mut lowest: SmallVec<[(u32, u64); 8]> =
        candidates.iter().map(|path| (rules.group(path), rules.med(path))).collect();
    lowest.sort_unstable();
    lowest.dedup_by_key(|(group, _)| *group);
    candidates.retain(|path| {
        let lowest = lowest.binary_search_by_key(&rules.group(path), |(group, _)| *group).map(|at| lowest[at].1);
        let goes = lowest.is_ok_and(|lowest| lowest < rules.med(path));
        if goes {
            struck(Rule::Med, path);
        }
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::super::path_order::in_order;
    use super::*;
    use proptest::prelude::*;

    fn rank() -> Rank {
        Rank {
            long_lived_stale: false,
            local_preference: 100,
            as_path_length: 2,
            origin: 0,
            med: 0,
            neighbor_as: 65001,
            originator_id: None,
            cluster_list_length: 0,
        }
    }

    fn candidate(handle: u32, rank: Rank) -> Candidate {
        Candidate {
            handle,
            preference: 170,
            rank,
            external: true,
            metric: 0,
            router_id: Ipv4Addr::from(handle),
            address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + handle)),
            identifier: 0,
        }
    }

    fn winner(candidates: impl IntoIterator<Item = Candidate>) -> Option<u32> {
        winner_by(MedRules::default(), candidates)
    }

    fn winner_by(rules: MedRules, candidates: impl IntoIterator<Item = Candidate>) -> Option<u32> {
        best(&mut candidates.into_iter().collect(), rules).map(|(path, _)| path.handle)
    }

    #[test]
    fn rules_apply_in_the_order_of_the_rfc() {
        let base = candidate(9, rank());
        let better_preference = candidate(10, Rank { local_preference: 200, as_path_length: 6, ..rank() });
        let shorter = candidate(11, Rank { as_path_length: 1, origin: 2, ..rank() });
        let origin = candidate(12, Rank { origin: 1, ..rank() });
        let lower_med = candidate(13, Rank { med: 0, ..rank() });
        let higher_med = candidate(8, Rank { med: 5, ..rank() });
        let internal = Candidate { external: false, ..candidate(1, rank()) };
        let far = Candidate { metric: 3, ..candidate(2, rank()) };
        let stale = candidate(1, Rank { long_lived_stale: true, local_preference: 900, ..rank() });
        assert_eq!(winner([base, stale]), Some(9));
        assert_eq!(winner([stale]), Some(1), "better than nothing");
        assert_eq!(winner([base, better_preference, shorter]), Some(10));
        assert_eq!(winner([base, shorter, origin]), Some(11));
        assert_eq!(winner([base, origin]), Some(9));
        assert_eq!(winner([lower_med, higher_med]), Some(13));
        assert_eq!(winner([base, internal]), Some(9));
        assert_eq!(winner([base, far]), Some(9));
        assert_eq!(winner([candidate(4, rank()), candidate(3, rank())]), Some(3), "lower router id");
        let preferred = Candidate { preference: 9, ..far };
        assert_eq!(winner([better_preference, preferred]), Some(2), "the preference comes first, as in Junos");
        assert_eq!(winner([]), None);
    }

    #[test]
    fn every_loser_is_told_its_rule() {
        let paths = [
            candidate(1, rank()),
            candidate(2, Rank { local_preference: 90, ..rank() }),
            candidate(3, Rank { as_path_length: 3, ..rank() }),
            candidate(4, Rank { origin: 2, ..rank() }),
            candidate(5, Rank { med: 7, ..rank() }),
            Candidate { external: false, ..candidate(6, rank()) },
            Candidate { metric: 9, ..candidate(7, rank()) },
            candidate(8, rank()),
            Candidate { router_id: Ipv4Addr::from(1), ..candidate(9, Rank { cluster_list_length: 2, ..rank() }) },
            Candidate { router_id: Ipv4Addr::from(1), ..candidate(10, rank()) },
            Candidate { preference: 200, ..candidate(11, Rank { local_preference: 900, ..rank() }) },
        ];
        let mut lost = lost_by(&mut paths.into_iter().collect(), MedRules::default());
        lost.sort_by_key(|(handle, _)| *handle);
        let expected = [
            (2, Rule::LocalPreference),
            (3, Rule::AsPath),
            (4, Rule::Origin),
            (5, Rule::Med),
            (6, Rule::External),
            (7, Rule::Metric),
            (8, Rule::RouterId),
            (9, Rule::ClusterList),
            (10, Rule::Address),
            (11, Rule::Preference),
        ];
        assert_eq!(lost.as_slice(), expected);
    }

    #[test]
    fn med_is_not_compared_between_neighbouring_ases() {
        let one = candidate(2, Rank { med: 1, neighbor_as: 1, ..rank() });
        let other = candidate(1, Rank { med: 9, neighbor_as: 2, ..rank() });
        assert_eq!(winner([one, other]), Some(1), "by router id, not by MED");
    }

    #[test]
    fn other_ways_to_compare_med() {
        let rules = MedRules::default();
        let one = candidate(2, Rank { med: 1, neighbor_as: 1, ..rank() });
        let other = candidate(1, Rank { med: 9, neighbor_as: 2, ..rank() });
        assert_eq!(winner_by(MedRules { always: true, ..rules }, [one, other]), Some(2));
        let near = Candidate { metric: 5, ..candidate(1, Rank { med: 10, ..rank() }) };
        let far = Candidate { metric: 20, ..candidate(2, Rank { med: 1, ..rank() }) };
        assert_eq!(winner_by(rules, [near, far]), Some(2));
        assert_eq!(winner_by(MedRules { plus_igp: true, ..rules }, [near, far]), Some(1));
    }

    /// The third one's MED would strike out the first, but it has met the second by then.
    #[test]
    fn one_path_after_the_other() {
        let first = Candidate { metric: 1, ..candidate(1, Rank { med: 9, neighbor_as: 1, ..rank() }) };
        let second = Candidate { metric: 2, ..candidate(2, Rank { neighbor_as: 2, ..rank() }) };
        let third = Candidate { metric: 3, ..candidate(3, Rank { med: 1, neighbor_as: 1, ..rank() }) };
        let rules = MedRules { pairwise: true, ..MedRules::default() };
        assert_eq!(winner([first, second, third]), Some(2), "the first is out before metrics are looked at");
        assert_eq!(
            winner_by(rules, [first, second, third]),
            Some(3),
            "the first strikes out the second, the third the first"
        );
        assert_eq!(winner_by(rules, [third, first, second]), Some(3), "whatever the order of arrival");
    }

    #[test]
    fn the_best_then_the_best_of_the_others() {
        let shorter = candidate(3, Rank { as_path_length: 1, ..rank() });
        let longer = candidate(1, Rank { as_path_length: 9, ..rank() });
        let twin = Candidate { identifier: 7, handle: 4, ..shorter };
        let order = in_order([longer, twin, candidate(2, rank()), shorter].into_iter().collect(), MedRules::default());
        assert_eq!(order, [3, 4, 2, 1]);
    }

    /// The definition of [`in_order`], squared.
    fn one_by_one(mut candidates: SmallVec<[Candidate; 8]>, rules: MedRules) -> Vec<u32> {
        let mut order = Vec::new();
        while let Some((chosen, _)) = best(&mut candidates.clone(), rules) {
            candidates.retain(|candidate| candidate.handle != chosen.handle);
            order.push(chosen.handle);
        }
        order
    }

    proptest! {
        #[test]
        fn in_order_is_the_best_again_and_again(
            paths in prop::collection::vec((0u32..3, 0u32..3, 0u32..3, any::<bool>(), 0u32..3, 0u32..3), 0..24),
            (always, plus_igp) in any::<(bool, bool)>(),
        ) {
            let paths = paths.into_iter().enumerate().map(|(i, (med, asn, length, external, metric, identifier))| {
                let rank = Rank { med, neighbor_as: asn, as_path_length: length, ..rank() };
                Candidate { external, metric, identifier, ..candidate(i as u32, rank) }
            });
            let paths: SmallVec<[Candidate; 8]> = paths.collect();
            let rules = MedRules { always, plus_igp, pairwise: false };
            prop_assert_eq!(in_order(paths.clone(), rules), one_by_one(paths.clone(), rules));
            let rules = MedRules { pairwise: true, ..rules };
            let order = in_order(paths.clone(), rules);
            let first = one_by_one(paths.clone(), rules).first().copied();
            prop_assert_eq!(order.first().copied(), first);
            prop_assert_eq!(order.len(), paths.len());
        }

        /// The classical MED trap: pairwise comparison is not transitive, so the order of arrival must not matter.
        #[test]
        fn order_of_arrival_never_matters(
            paths in prop::collection::vec((0u32..3, 0u32..3, 0u32..3, any::<bool>(), 0u32..3), 1..7),
            rotation in 0usize..7,
        ) {
            let mut paths: Vec<Candidate> = paths.into_iter().enumerate().map(|(i, (med, asn, length, external, metric))| {
                let rank = Rank { med, neighbor_as: asn, as_path_length: length, ..rank() };
                Candidate { external, metric, ..candidate(i as u32, rank) }
            }).collect();
            for rules in [MedRules::default(), MedRules { pairwise: true, ..MedRules::default() }] {
                let first = winner_by(rules, paths.iter().copied());
                let by = rotation % paths.len();
                paths.rotate_left(by);
                prop_assert_eq!(winner_by(rules, paths.iter().copied()), first);
                paths.reverse();
                prop_assert_eq!(winner_by(rules, paths.iter().copied()), first);
            }
        }
    }
}
