use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use crate::wire::{PathAttributes, SegmentKind};

/// RFC 4271 §5.1.5 leaves the default of LOCAL_PREF to the speaker; every implementation takes 100.
pub const LOCAL_PREFERENCE_DEFAULT: u32 = 100;

/// What of an attribute set the decision process compares, decoded once per distinct set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
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
        let first = attributes.as_path.segments.iter().find(|segment| {
            // Confederation segments do not count as a neighbouring AS (RFC 5065 §5.3).
            matches!(segment.kind, SegmentKind::Sequence | SegmentKind::Set)
        });
        Rank {
            local_preference: attributes.local_pref.unwrap_or(LOCAL_PREFERENCE_DEFAULT),
            as_path_length: attributes.as_path.path_length() as u32,
            origin: attributes.origin as u8,
            // RFC 4271 §9.1.2.2 c: a missing MED is the lowest possible value.
            med: attributes.med.unwrap_or(0),
            neighbor_as: first
                .filter(|segment| segment.kind == SegmentKind::Sequence)
                .and_then(|segment| segment.asns.first().copied())
                .unwrap_or(0),
            originator_id: attributes.originator_id,
            cluster_list_length: attributes.cluster_list.len() as u16,
        }
    }
}

/// One usable path to a destination, as the decision process sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Whatever the caller wants to find it by.
    pub handle: u32,
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
}

/// Paths that are as good as the best up to the tie-breaks that only make the choice unique, in the order of these: the
/// best comes first.
pub type EqualPaths = SmallVec<[u32; 4]>;

/// RFC 4271 §9.1.2.2 with RFC 4456 §9: the best of the candidates, and those equal to it for multipath.
///
/// Each rule strikes out candidates from the whole set, as the RFC has it, and no rule looks at
/// age. So the result depends on routes and configuration alone, never on the order of arrival: two engines
/// that hold the same facts choose alike.
pub fn best(candidates: &mut SmallVec<[Candidate; 8]>) -> Option<(Candidate, EqualPaths)> {
    if candidates.len() > 1 {
        keep_lowest(candidates, |path| u32::MAX - path.rank.local_preference);
        keep_lowest(candidates, |path| path.rank.as_path_length);
        keep_lowest(candidates, |path| u32::from(path.rank.origin));
        strike_out_by_med(candidates);
        keep_lowest(candidates, |path| u32::from(!path.external));
        keep_lowest(candidates, |path| path.metric);
    }
    candidates.sort_unstable_by_key(|path| {
        let router_id = path.rank.originator_id.unwrap_or(path.router_id);
        (router_id, path.rank.cluster_list_length, path.address)
    });
    candidates.first().map(|best| (*best, candidates.iter().map(|path| path.handle).collect()))
}

fn keep_lowest(candidates: &mut SmallVec<[Candidate; 8]>, key: impl Fn(&Candidate) -> u32) {
    if let Some(lowest) = candidates.iter().map(&key).min() {
        candidates.retain(|path| key(path) == lowest);
    }
}

/// Rule c: a path goes if another one from the same neighbouring AS has a lower MED.
fn strike_out_by_med(candidates: &mut SmallVec<[Candidate; 8]>) {
    let all = candidates.clone();
    candidates.retain(|path| {
        !all.iter().any(|other| other.rank.neighbor_as == path.rank.neighbor_as && other.rank.med < path.rank.med)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rank() -> Rank {
        Rank {
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
            rank,
            external: true,
            metric: 0,
            router_id: Ipv4Addr::from(handle),
            address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + handle)),
        }
    }

    fn winner(candidates: impl IntoIterator<Item = Candidate>) -> Option<u32> {
        best(&mut candidates.into_iter().collect()).map(|(path, _)| path.handle)
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
        assert_eq!(winner([base, better_preference, shorter]), Some(10));
        assert_eq!(winner([base, shorter, origin]), Some(11));
        assert_eq!(winner([base, origin]), Some(9));
        assert_eq!(winner([lower_med, higher_med]), Some(13));
        assert_eq!(winner([base, internal]), Some(9));
        assert_eq!(winner([base, far]), Some(9));
        assert_eq!(winner([candidate(4, rank()), candidate(3, rank())]), Some(3), "lower router id");
        assert_eq!(winner([]), None);
    }

    #[test]
    fn med_is_not_compared_between_neighbouring_ases() {
        let one = candidate(2, Rank { med: 1, neighbor_as: 1, ..rank() });
        let other = candidate(1, Rank { med: 9, neighbor_as: 2, ..rank() });
        assert_eq!(winner([one, other]), Some(1), "by router id, not by MED");
    }

    proptest! {
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
            let first = winner(paths.iter().copied());
            let by = rotation % paths.len();
            paths.rotate_left(by);
            prop_assert_eq!(winner(paths.iter().copied()), first);
            paths.reverse();
            prop_assert_eq!(winner(paths), first);
        }
    }
}
