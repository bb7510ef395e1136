//! Gateways that do not answer: who they are, and what pfed hears of them.
//!
//! BFD over one hop watches the way to an address on a link, whoever asked for it: all who do share one session (RFC 5882 §4.4), and what it
//! finds broken is broken for every packet that takes this gateway. So where a route has another way it takes that, also one of somebody
//! who did not ask for BFD: forwarding alone turns, which RFC 5882 §5 has in mind. Sessions end, and routes go, only with those who asked.
//!
//! Two things tell that the way is not broken, though BFD does not get through: a BGP session that came up since; and, where the
//! neighbour's BFD shares the fate of its control plane, that it restarts gracefully (§4.3.2).
//!
//! A gateway that answers again is still named while a neighbour there has to tell his routes again: his session ended with the way, and comes up
//! after it. Once all of them are told and decided, pfed gives the gateway back to all routes of a next hop in one change; each would be a change
//! of its own if they went back as they come, and those that are still to come would go elsewhere meanwhile anyway.
//!
//! Nothing of it is replicated: both engines hear of the sessions, and know since when neighbours are up, or are not any more. So an engine that joins after
//! a way is back, and before the routes are, sees that as well: the neighbour's session has ended before its BFD came up. Each tells its own pfed, so that
//! the one that takes over knows whom the other one left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use holdfast_bgp::speaker::WayLost;
use holdfast_proto::v1::FibBatch;
use holdfast_rib::{Gateway, NexthopSpec, Rib};

use super::bfd::Key;
use super::fib::gateway;
use super::{Core, now};
use crate::limits::{FAILED_GATEWAYS_MAX, GATEWAYS_INTERVAL, TOLD_AGAIN_WITHIN};

/// A way that counts as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    since: Duration,
    /// Packets get through since then; named all the same until neighbours have told their routes again.
    back_at: Option<Duration>,
    /// Where it led when that was last known: with its link's loss a gateway cannot be resolved, and does not answer any the more.
    gateways: Vec<Gateway>,
}

/// Ways that count as lost.
#[derive(Debug, Default)]
pub struct LostWays {
    named: BTreeMap<Key, Named>,
    /// When to look again at the latest: a restart's end is told by no event.
    look_at: Duration,
}

/// What tells of a way whether it counts as lost, and where it leads.
struct Evidence<W, T, R> {
    /// What neighbours say to the loss at a time: the way, when, whether their BFD shares no control plane's fate.
    word: W,
    /// Whether they are to tell their routes again after a loss at a time.
    is_to_tell_again: T,
    /// The gateways that the way leads to; none where that is not known now.
    gateways: R,
}

impl LostWays {
    /// Looks anew which ways count as lost, from those that BFD has found broken (of those that somebody wants watched), and those that were lost at some time
    /// and are back since another, by what is seen now.
    fn look<W, T, R>(
        &mut self,
        lost: &[(Key, Duration, bool)],
        back: &[(Key, Duration, Duration)],
        mut evidence: Evidence<W, T, R>,
        now: Duration,
    ) where
        W: Fn(&Key, Duration, bool) -> WayLost,
        T: Fn(&Key, Duration) -> bool,
        R: FnMut(&Key) -> Vec<Gateway>,
    {
        let before = std::mem::take(&mut self.named);
        let mut counts = BTreeMap::new();
        for (key, since, independent) in lost {
            let is_known = before.get(key).is_some_and(|named| named.since == *since);
            let back_at = match (evidence.word)(key, *since, *independent) {
                WayLost::Counts => None,
                // Its session has ended because of the loss; what comes of that does not take the loss back.
                WayLost::MayBeRestart if is_known => None,
                WayLost::IsProvenOtherwise if is_known => Some(now),
                // Who is not named for this loss, or is not any more, is not for what comes after it, as a table that grows.
                WayLost::MayBeRestart | WayLost::IsProvenOtherwise => continue,
            };
            counts.insert(*key, (*since, back_at));
        }
        for (key, named) in &before {
            counts.entry(*key).or_insert((named.since, Some(now)));
        }
        for (key, since, back_at) in back {
            counts.entry(*key).or_insert((*since, Some(*back_at)));
        }
        for (key, (since, back_at)) in counts {
            let last = before.get(&key);
            let first_back = last.filter(|last| last.since == since).and_then(|last| last.back_at);
            let back_at = back_at.map(|back_at| first_back.unwrap_or(back_at));
            let is_awaited =
                |at| now.saturating_sub(at) < TOLD_AGAIN_WITHIN && (evidence.is_to_tell_again)(&key, since);
            if back_at.is_some_and(|at| !is_awaited(at)) {
                continue;
            }
            let resolved = (evidence.gateways)(&key);
            let gateways =
                if resolved.is_empty() { last.map(|last| last.gateways.clone()).unwrap_or_default() } else { resolved };
            self.named.insert(key, Named { since, back_at, gateways });
        }
    }

    /// The gateways that count as lost.
    fn gateways(&self) -> BTreeSet<Gateway> {
        self.named.values().flat_map(|named| &named.gateways).copied().collect()
    }

    /// Nobody is watched any longer at this way, and so not known to be lost.
    fn keep(&mut self, is_watched: impl Fn(&Key) -> bool) {
        self.named.retain(|key, _| is_watched(key));
    }
}

/// What pfed is to be told, and has been told in this stream.
#[derive(Debug, Default)]
pub struct GatewayWords {
    /// `None` until this engine knows.
    failed: Option<BTreeSet<Gateway>>,
    told: BTreeSet<Gateway>,
    /// It has heard that there are no others.
    told_all: bool,
}

impl GatewayWords {
    /// Another stream: what is known is to be told again.
    pub fn begin_stream(&mut self) {
        self.told.clear();
        self.told_all = false;
    }

    /// Notes who does not answer.
    pub(super) fn know(&mut self, failed: BTreeSet<Gateway>) {
        self.failed = Some(failed);
    }

    /// Those that pfed has to hear of, as far as it keeps them.
    fn news(&self) -> impl Iterator<Item = Gateway> + '_ {
        let room = FAILED_GATEWAYS_MAX.saturating_sub(self.told.len());
        self.failed.iter().flatten().filter(|way| !self.told.contains(way)).take(room).copied()
    }

    /// There is something that waits for nothing.
    pub fn is_urgent(&self) -> bool {
        self.news().next().is_some()
    }

    /// There is something to tell once pfed has heard of every change that was decided before.
    pub fn is_due(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| !self.told_all || !self.told.is_subset(failed))
    }

    /// Names those that fail, in any batch.
    pub fn tell_failures(&mut self, batch: &mut FibBatch) {
        let news: Vec<Gateway> = self.news().collect();
        batch.failed_gateways.extend(news.iter().map(gateway));
        self.told.extend(news);
    }

    /// Names those that answer, in a batch after which pfed knows all that this engine has decided. The first time it says which
    /// do not, and that these are all: of others it may have heard from an earlier engine.
    pub fn tell_answers(&mut self, batch: &mut FibBatch) {
        let Some(failed) = &self.failed else { return };
        let answering: Vec<Gateway> = self.told.difference(failed).copied().collect();
        self.told.retain(|way| failed.contains(way));
        if self.told_all {
            batch.answering_gateways.extend(answering.iter().map(gateway));
        } else {
            self.told_all = true;
            batch.names_all_failed = true;
            batch.failed_gateways = self.told.iter().map(gateway).collect();
        }
    }
}

impl Core {
    /// Draws up who does not answer; pfed hears of news before a session ends or a route is chosen anew, because in the kernel it is
    /// one change for all routes that have another way. `may_have_changed`: sessions of BFD or BGP, links, the configuration.
    pub(super) fn gateways_turn(&mut self, may_have_changed: bool) {
        if !may_have_changed && now() < self.lost_ways.look_at {
            return;
        }
        self.lost_ways.look_at = now() + GATEWAYS_INTERVAL;
        let Some(lost) = self.lost_gateways() else { return };
        self.fib.gateways.know(lost);
        if self.fib.gateways.is_urgent() && self.may_program() {
            self.fib_turn();
        }
    }

    /// `None` as long as this engine does not know: it must not say then that others answer.
    fn lost_gateways(&mut self) -> Option<BTreeSet<Gateway>> {
        if !(self.configuration.applied && self.interfaces.complete) {
            return None;
        }
        let (mut lost, mut back) = (self.bfd.lost_ways(), self.ways_back());
        if lost.is_empty() && back.is_empty() && self.bfd.is_known() && self.lost_ways.named.is_empty() {
            return Some(BTreeSet::new());
        }
        let wanted = self.sessions_wanted();
        if !wanted.is_empty() && !self.bfd.is_known() {
            return None;
        }
        let mut ways = std::mem::take(&mut self.lost_ways);
        ways.keep(|key| wanted.contains(key));
        lost.retain(|(key, ..)| wanted.contains(key));
        back.retain(|(key, ..)| wanted.contains(key));
        let (bgp, rib, now) = (&self.protocols.bgp, &mut self.rib, now());
        let evidence = Evidence {
            word: |key: &Key, since, independent| bgp.way_lost(key.0, key.1, since, independent),
            is_to_tell_again: |key: &Key, since| bgp.is_to_tell_again(key.0, key.1, since, now),
            gateways: |key: &Key| gateways_to(rib, key.0, key.1),
        };
        ways.look(&lost, &back, evidence, now);
        self.lost_ways = ways;
        Some(self.lost_ways.gateways())
    }

    /// Ways by which a session ended before BFD came up again, which has not come up itself: when it ended, and since when BFD is up.
    fn ways_back(&self) -> Vec<(Key, Duration, Duration)> {
        let ended = self.protocols.bgp.sessions_that_ended();
        let back = ended.filter_map(|(address, link, since)| {
            let keys = [(address, link, false), (address, 0, false)];
            let (key, up_since) = keys.into_iter().find_map(|key| Some((key, self.bfd.up_since(&key)?)))?;
            let is_recent = now().saturating_sub(up_since) < TOLD_AGAIN_WITHIN;
            (up_since > since && is_recent).then_some((key, since, up_since))
        });
        back.collect()
    }
}

/// The ways to a neighbour on a link of ours. `interface_index` as with link-local addresses; else 0.
fn gateways_to(rib: &mut Rib, address: IpAddr, interface_index: u32) -> Vec<Gateway> {
    let spec = match interface_index {
        0 => NexthopSpec::gateway(address),
        _ => NexthopSpec::ScopedGateway { address, interface_index },
    };
    let nexthop = rib.intern_nexthop(spec);
    let ways = rib.resolved(nexthop).map(|resolved| resolved.gateways().to_vec()).unwrap_or_default();
    rib.release_nexthop(nexthop);
    // Behind a static route the way is another's.
    let direct = ways.into_iter().filter(|way| way.address == Some(address));
    direct.map(|way| Gateway { weight: 1, ..way }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(n: u8) -> Gateway {
        Gateway { address: Some(IpAddr::from([10, 0, 0, n])), interface_index: 7, weight: 1 }
    }

    fn ways(numbers: &[u8]) -> BTreeSet<Gateway> {
        numbers.iter().map(|n| way(*n)).collect()
    }

    /// What a batch says: who fails, who answers, whether the first are all.
    fn said(batch: &FibBatch) -> (Vec<u8>, Vec<u8>, bool) {
        let last = |ways: &[holdfast_proto::v1::FibGateway]| ways.iter().map(|way| way.address[3]).collect();
        (last(&batch.failed_gateways), last(&batch.answering_gateways), batch.names_all_failed)
    }

    const KEY: Key = (IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 0, false);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What there is to see at a time: the loss that BFD knows of, what neighbours say to it, since which loss one has to tell his routes again, whether the link is up.
    struct Seen {
        lost: Option<u64>,
        word: WayLost,
        telling_since: Option<u64>,
        link: bool,
    }

    impl LostWays {
        fn see(&mut self, at: u64, seen: &Seen) -> Vec<u8> {
            let lost: Vec<_> = seen.lost.map(|since| (KEY, s(since), false)).into_iter().collect();
            let evidence = Evidence {
                word: |_: &Key, _, _| seen.word,
                is_to_tell_again: |_: &Key, since| seen.telling_since.is_some_and(|loss| s(loss) == since),
                gateways: |_: &Key| if seen.link { vec![way(1)] } else { Vec::new() },
            };
            self.look(&lost, &[], evidence, s(at));
            said(&FibBatch { failed_gateways: self.gateways().iter().map(gateway).collect(), ..Default::default() }).0
        }
    }

    const LOST: Seen = Seen { lost: Some(10), word: WayLost::Counts, telling_since: Some(10), link: true };

    #[test]
    fn a_gateway_that_answers_is_named_until_its_neighbours_have_told_their_routes_again() {
        let back = Seen { lost: None, ..LOST };
        let told = Seen { telling_since: None, ..back };
        let mut ways = LostWays::default();
        assert_eq!(ways.see(9, &told), [0; 0]);
        assert_eq!(ways.see(10, &LOST), [1]);
        assert_eq!(
            (ways.see(11, &back), ways.see(20, &back)),
            (vec![1], vec![1]),
            "its session is still to come up, or to tell"
        );
        assert_eq!((ways.see(21, &told), ways.see(22, &back)), (vec![], vec![]), "what follows is not of this loss");
        // Where no session ended nothing is waited for.
        assert_eq!((ways.see(30, &LOST), ways.see(31, &told)), (vec![1], vec![]));
    }

    #[test]
    fn a_session_that_comes_up_before_bfd_does_has_to_tell_its_routes_as_well() {
        let proven = Seen { word: WayLost::IsProvenOtherwise, ..LOST };
        let told = Seen { telling_since: None, ..proven };
        let mut ways = LostWays::default();
        assert_eq!((ways.see(10, &LOST), ways.see(11, &proven)), (vec![1], vec![1]));
        assert_eq!(ways.see(12, &Seen { lost: None, ..proven }), [1], "BFD is up, too");
        assert_eq!(ways.see(13, &told), [0; 0], "though BFD never comes up");
        assert_eq!(ways.see(14, &told), [0; 0]);
        assert_eq!(ways.see(15, &proven), [0; 0], "what follows is not of this loss");
    }

    #[test]
    fn the_wait_for_routes_has_an_end_and_another_loss_begins_it_anew() {
        let limit = TOLD_AGAIN_WITHIN.as_secs();
        let back = Seen { lost: None, ..LOST };
        let mut ways = LostWays::default();
        ways.see(10, &LOST);
        assert_eq!((ways.see(11, &back), ways.see(10 + limit, &back)), (vec![1], vec![1]));
        assert_eq!(ways.see(11 + limit, &back), [0; 0]);
        let again = Seen { lost: Some(500), telling_since: Some(500), ..LOST };
        let back = Seen { lost: None, ..again };
        assert_eq!((ways.see(500, &again), ways.see(501, &back)), (vec![1], vec![1]));
        let third = Seen { lost: Some(600), telling_since: Some(600), ..LOST };
        let back = Seen { lost: None, ..third };
        assert_eq!((ways.see(600, &third), ways.see(601, &back)), (vec![1], vec![1]));
        assert_eq!((ways.see(600 + limit, &back), ways.see(601 + limit, &back)), (vec![1], vec![]));
    }

    #[test]
    fn a_gateway_whose_link_was_lost_with_it_is_named_as_soon_as_it_can_be() {
        let mut ways = LostWays::default();
        assert_eq!(ways.see(10, &Seen { link: false, ..LOST }), [0; 0], "nobody knows where it is");
        let back = Seen { lost: None, ..LOST };
        assert_eq!(ways.see(11, &back), [1]);
        assert_eq!(ways.see(12, &Seen { link: false, ..back }), [1], "where it was last");
        ways.keep(|_| false);
        assert!(ways.gateways().is_empty(), "nobody asks any longer");
    }

    #[test]
    fn who_comes_after_the_loss_sees_that_there_was_one() {
        let mut ways = LostWays::default();
        let mut see = |at: u64, back: &[(Key, Duration, Duration)], telling: bool| {
            let evidence = Evidence {
                word: |_: &Key, _, _| WayLost::Counts,
                is_to_tell_again: |_: &Key, since| since == s(10) && telling,
                gateways: |_: &Key| vec![way(1)],
            };
            ways.look(&[], back, evidence, s(at));
            ways.gateways().len()
        };
        let back = [(KEY, s(10), s(12))];
        assert_eq!((see(20, &back, true), see(21, &back, true)), (1, 1));
        assert_eq!(see(22, &[], true), 1, "the session is up, and its routes come in");
        assert_eq!(see(23, &[], false), 0);
        assert_eq!(see(12 + TOLD_AGAIN_WITHIN.as_secs(), &back, true), 0, "it is back for long");
    }

    #[test]
    fn what_may_be_a_restart_takes_no_loss_back() {
        let restart = Seen { word: WayLost::MayBeRestart, ..LOST };
        let mut ways = LostWays::default();
        assert_eq!(ways.see(10, &restart), [0; 0]);
        assert_eq!((ways.see(11, &LOST), ways.see(12, &restart)), (vec![1], vec![1]));
    }

    fn urgent(words: &mut GatewayWords) -> (Vec<u8>, Vec<u8>, bool) {
        let mut batch = FibBatch::default();
        words.tell_failures(&mut batch);
        said(&batch)
    }

    fn quiet(words: &mut GatewayWords) -> (Vec<u8>, Vec<u8>, bool) {
        let mut batch = FibBatch::default();
        words.tell_failures(&mut batch);
        words.tell_answers(&mut batch);
        said(&batch)
    }

    #[test]
    fn failures_are_told_at_once_and_answers_when_every_change_before_them_is() {
        let mut words = GatewayWords::default();
        assert!(!words.is_urgent() && !words.is_due(), "nothing is known");
        assert_eq!(quiet(&mut words), (vec![], vec![], false));
        words.know(ways(&[]));
        assert!(!words.is_urgent() && words.is_due());
        assert_eq!(quiet(&mut words), (vec![], vec![], true));
        assert!(!words.is_due());
        words.know(ways(&[1, 2]));
        assert!(words.is_urgent());
        assert_eq!(urgent(&mut words), (vec![1, 2], vec![], false));
        assert!(!words.is_urgent() && !words.is_due());
        words.know(ways(&[2, 3]));
        assert_eq!(urgent(&mut words), (vec![3], vec![], false), "the first answers, but changes wait");
        assert!(!words.is_urgent() && words.is_due());
        assert_eq!(quiet(&mut words), (vec![], vec![1], false));
        assert!(!words.is_due());
    }

    #[test]
    fn who_fails_again_before_the_answer_was_told_has_never_answered() {
        let mut words = GatewayWords::default();
        words.know(ways(&[1]));
        quiet(&mut words);
        words.know(ways(&[]));
        words.know(ways(&[1]));
        assert!(!words.is_urgent() && !words.is_due());
        assert_eq!(quiet(&mut words), (vec![], vec![], false));
    }

    #[test]
    fn another_stream_hears_of_all_that_fail_first_and_later_that_these_are_all() {
        let mut words = GatewayWords::default();
        words.know(ways(&[1, 2]));
        quiet(&mut words);
        words.begin_stream();
        assert!(words.is_urgent());
        assert_eq!(urgent(&mut words), (vec![1, 2], vec![], false));
        words.know(ways(&[2]));
        assert_eq!(quiet(&mut words), (vec![2], vec![], true));
        assert_eq!(quiet(&mut words), (vec![], vec![], false));
    }

    #[test]
    fn no_more_are_told_than_pfed_keeps_and_others_when_there_is_room() {
        let many = |from: u32, count: u32| -> BTreeSet<Gateway> {
            (from..from + count)
                .map(|n| Gateway { address: Some(IpAddr::from(n.to_be_bytes())), interface_index: 1, weight: 1 })
                .collect()
        };
        let most = FAILED_GATEWAYS_MAX as u32;
        let mut words = GatewayWords::default();
        words.know(many(0, most + 5));
        assert_eq!(quiet(&mut words).0.len(), FAILED_GATEWAYS_MAX);
        assert!(!words.is_urgent() && !words.is_due());
        words.know(many(3, most + 2));
        assert!(!words.is_urgent(), "there is no room before it is said who answers");
        assert_eq!(quiet(&mut words).1, [0, 1, 2]);
        assert_eq!(urgent(&mut words).0.len(), 3);
        assert_eq!(words.told.len(), FAILED_GATEWAYS_MAX);
    }
}
