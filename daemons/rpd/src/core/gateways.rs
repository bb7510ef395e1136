//! Gateways that do not answer: who they are, and what pfed hears of them.
//!
//! BFD over one hop watches the way to an address on a link, whoever asked for it: all who do share one session (RFC 5882 §4.4), and what it
//! finds broken is broken for every packet that takes this gateway. So where a route has another way it takes that, also one of somebody
//! who did not ask for BFD: forwarding alone turns, which RFC 5882 §5 has in mind. Sessions end, and routes go, only with those who asked.
//!
//! Two things tell that the way is not broken, though BFD does not get through: a BGP session that came up since; and, where the
//! neighbour's BFD shares the fate of its control plane, that it restarts gracefully (§4.3.2).
//!
//! Nothing of it is replicated: both engines hear of the sessions, and know since when neighbours are up. Each tells its own pfed, so that
//! the one that takes over knows whom the other one left.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use holdfast_bgp::speaker::WayLost;
use holdfast_proto::v1::FibBatch;
use holdfast_rib::{Gateway, NexthopSpec};

use super::bfd::Key;
use super::fib::gateway;
use super::{Core, now};
use crate::limits::{FAILED_GATEWAYS_MAX, GATEWAYS_INTERVAL};

/// A way that counts as lost.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    since: Duration,
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
        let lost = self.bfd.lost_ways();
        if lost.is_empty() && self.bfd.is_known() {
            self.lost_ways.named.clear();
            return Some(BTreeSet::new());
        }
        // Who is not watched any longer is not known to be lost.
        let wanted = self.sessions_wanted();
        if !wanted.is_empty() && !self.bfd.is_known() {
            return None;
        }
        let before = std::mem::take(&mut self.lost_ways.named);
        for (key, since, independent) in lost.into_iter().filter(|(key, ..)| wanted.contains(key)) {
            let known = before.get(&key).filter(|named| named.since == since);
            let counts = match self.protocols.bgp.way_lost(key.0, key.1, since, independent) {
                WayLost::Counts => true,
                // Its session has ended because of the loss; what comes of that does not take the loss back.
                WayLost::MayBeRestart => known.is_some(),
                WayLost::IsProvenOtherwise => false,
            };
            if counts {
                let resolved = self.gateways_to(key.0, key.1);
                let last = before.get(&key).map(|named| named.gateways.clone()).unwrap_or_default();
                let gateways = if resolved.is_empty() { last } else { resolved };
                self.lost_ways.named.insert(key, Named { since, gateways });
            }
        }
        Some(self.lost_ways.named.values().flat_map(|named| &named.gateways).copied().collect())
    }

    /// The ways to a neighbour on a link of ours. `interface_index` as with link-local addresses; else 0.
    fn gateways_to(&mut self, address: IpAddr, interface_index: u32) -> Vec<Gateway> {
        let spec = match interface_index {
            0 => NexthopSpec::gateway(address),
            _ => NexthopSpec::ScopedGateway { address, interface_index },
        };
        let nexthop = self.rib.intern_nexthop(spec);
        let ways = self.rib.resolved(nexthop).map(|resolved| resolved.gateways().to_vec()).unwrap_or_default();
        self.rib.release_nexthop(nexthop);
        // Behind a static route the way is another's.
        let direct = ways.into_iter().filter(|way| way.address == Some(address));
        direct.map(|way| Gateway { weight: 1, ..way }).collect()
    }
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
