//! Gateways that do not answer though their links are up, and what routes through them are to have meanwhile.
//!
//! # The idea
//!
//! rpd names such a gateway when BFD says so, and names it again when it answers. In between a next hop that leads through it and has another
//! way means that other way: its content is *in force* as what is left of it. Whatever a batch desires, that is what routes are to have, what
//! is compared with the kernel's, and what goes into the digest of what is desired. So both columns agree while a gateway fails, also of routes
//! that rpd has no reason to decide anew; and nothing that was decided before the loss, and is told after it, leads back to the gateway.
//!
//! What has no other way keeps what it has: routes are removed by rpd's word alone.
//!
//! # Who says what
//!
//! A sender that tells of answers ([`v1::FibBatch::tells_answers`]) is believed until it says otherwise, also beyond its stream: the next one
//! says which gateways fail, and in the end that these are all. An older sender never says that one answers. By its word a gateway fails until
//! a later batch desires a route through it.

use std::net::IpAddr;

use hashbrown::HashMap;
use holdfast_proto::v1;
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::{self, ContentId};
use super::desired::{gateway_of, normalize};
use crate::limits::FAILED_GATEWAYS_MAX;

/// A gateway, whatever its weight.
type Way = (Option<IpAddr>, u32);

fn way(gateway: &Gateway) -> Way {
    (gateway.address, gateway.interface_index)
}

/// Those that do not answer.
#[derive(Debug, Default)]
pub struct FailedGateways {
    /// Each with the last batch that says so, which may still wait for its turn.
    named: HashMap<Way, u64>,
    /// The present batch, counted from the start of the process.
    batch: u64,
    /// The present sender says when one answers again.
    told_of_answers: bool,
}

impl FailedGateways {
    fn add(&mut self, gateway: &Gateway, batch: u64) -> Result<(), String> {
        if self.named.len() >= FAILED_GATEWAYS_MAX && !self.named.contains_key(&way(gateway)) {
            return Err(format!("more than {FAILED_GATEWAYS_MAX}; the changes of its routes will have to do"));
        }
        let named_in = self.named.entry(way(gateway)).or_default();
        *named_in = batch.max(*named_in);
        Ok(())
    }

    /// Those that the present batch says nothing of any more, but for what a later one is known to say.
    fn forget(&mut self, answers: impl Fn(&Way) -> bool) {
        let batch = self.batch;
        self.named.retain(|way, named_in| *named_in > batch || !answers(way));
    }

    pub(super) fn contains(&self, gateway: &Gateway) -> bool {
        self.named.contains_key(&way(gateway))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty()
    }
}

impl Fib {
    /// A batch begins. The first of a stream says whether its sender tells of gateways that answer again.
    pub fn begin_batch(&mut self, batch: &v1::FibBatch, is_first: bool) {
        self.failed.batch += 1;
        if !is_first {
            return;
        }
        self.failed.told_of_answers = batch.tells_answers;
        if !batch.tells_answers && !self.failed.is_empty() {
            // It would never take that back.
            self.failed.forget(|_| true);
            self.gateways_changed();
        }
    }

    /// Each of these does not answer, though its link is up. For before anything else of a batch. `Err` says which was not understood.
    pub fn fail_gateways(&mut self, failed: &[v1::FibGateway]) -> Result<(), String> {
        self.fail_gateways_ahead(failed, 0)
    }

    /// The same where the batch that says so comes this far after the present one. What those before it say of the gateway's answering is older.
    pub fn fail_gateways_ahead(&mut self, failed: &[v1::FibGateway], ahead: u64) -> Result<(), String> {
        let before = self.failed.named.len();
        let batch = self.failed.batch + ahead;
        let mut result = Ok(());
        for gateway in failed {
            let noted = gateway_of(gateway).and_then(|gateway| self.failed.add(&gateway, batch));
            result = result.and(noted.map_err(|why| format!("failed gateway: {why}")));
        }
        if self.failed.named.len() > before {
            self.gateways_changed();
        }
        result
    }

    /// Batches whose words were heard ahead of them will not come: their stream has ended.
    pub fn forget_what_was_ahead(&mut self) {
        let batch = self.failed.batch;
        self.failed.named.values_mut().for_each(|named_in| *named_in = batch.min(*named_in));
    }

    /// What a batch says of gateways that answer again: for after everything else of it. True where it says so of one that had failed.
    pub fn hear_answers(&mut self, batch: &v1::FibBatch) -> bool {
        let says_nothing = !batch.names_all_failed && batch.answering_gateways.is_empty();
        if self.failed.is_empty() || says_nothing {
            return false;
        }
        let before = self.failed.named.len();
        // What is no gateway was never named.
        let ways = |gateways: &[v1::FibGateway]| -> Vec<Way> {
            gateways.iter().filter_map(|gateway| Some(way(&gateway_of(gateway).ok()?))).collect()
        };
        let answering = ways(&batch.answering_gateways);
        self.failed.forget(|way| answering.contains(way));
        if batch.names_all_failed {
            let failing = ways(&batch.failed_gateways);
            self.failed.forget(|way| !failing.contains(way));
        }
        let some_answer = self.failed.named.len() < before;
        if some_answer {
            self.gateways_changed();
        }
        some_answer
    }

    /// A route is desired through a gateway that a sender named before who never says that one answers: so it does.
    pub(super) fn hear_of_gateways(&mut self, desired: ContentId) {
        if self.failed.is_empty() || self.failed.told_of_answers {
            return;
        }
        let Some(nexthop) = self.contents.get(desired) else { return };
        let (used, batch) = (nexthop.gateways(), self.failed.batch);
        let before = self.failed.named.len();
        self.failed
            .named
            .retain(|failed, named_in| *named_in >= batch || !used.iter().any(|gateway| way(gateway) == *failed));
        if self.failed.named.len() < before {
            self.gateways_changed();
        }
    }

    /// Who does not answer, in order.
    pub fn failed_gateways(&self) -> Vec<Gateway> {
        let gateway = |(address, interface_index): &Way| {
            let (address, interface_index) = (*address, *interface_index);
            Gateway { address, interface_index, weight: 1 }
        };
        let mut failed: Vec<Gateway> = self.failed.named.keys().map(gateway).collect();
        failed.sort();
        failed
    }

    /// Who answers, or which link is up, is not what it was: what is in force of every next hop follows.
    pub(super) fn gateways_changed(&mut self) {
        self.groups_in_doubt = true;
        for content in self.contents.ids() {
            self.sums_stale |= self.put_in_force(content);
        }
    }

    /// Notes what routes that desire a next hop are to have as things stand. True where that is new.
    pub(super) fn put_in_force(&mut self, content: ContentId) -> bool {
        let left = self.contents.get(content).and_then(|nexthop| self.without_failed(nexthop));
        let instead = left.map_or(contents::NOTHING, |left| self.contents.intern(normalize(left)));
        self.contents.use_instead(content, instead)
    }

    /// What is left of several ways without those that do not answer; `None` where that is all of them, or nothing that has a link.
    pub(super) fn without_failed(&self, nexthop: &ForwardingNexthop) -> Option<Vec<Gateway>> {
        if self.failed.is_empty() {
            return None;
        }
        let left: Vec<Gateway> = match nexthop {
            ForwardingNexthop::Protected { primary, backup } if self.failed.contains(primary) => vec![*backup],
            ForwardingNexthop::Unicast(gateways) if gateways.len() > 1 => {
                gateways.iter().filter(|gateway| !self.failed.contains(gateway)).copied().collect()
            }
            _ => return None,
        };
        let is_less = left.len() < nexthop.gateways().len() + usize::from(nexthop.backup().is_some());
        (is_less && left.iter().any(|gateway| self.links_up.contains(&gateway.interface_index))).then_some(left)
    }
}
