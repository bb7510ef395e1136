//! Next hops with a backup, or with several ways: who does without a lost one, when, and what is written where not all can be had.
//!
//! # The idea
//!
//! The object of a [`ForwardingNexthop::Protected`] is a resilient group of two members, of which the first has all buckets
//! (`holdfast_kernel::netlink`). When the link of either is lost the kernel takes the member out in the same moment, and the group lives on
//! with the other: however many routes use it, none is touched. The mirror follows when the link's notification comes
//! ([`Fib::read_nexthops`]): the object's content is then the one gateway that is left. That is what rpd is about to desire of these routes,
//! so both columns agree again without a write. With the members of an ordinary group (ECMP) it is the same. Where BFD and not the link
//! says that a gateway is lost, [`Fib::leave_failed`] does what the kernel would have done.
//!
//! Until rpd's word has come, and whenever one of several ways cannot be had (its link is down, or the kernel refused it), a route that
//! desires them has what is left: its *stand-in*. The columns differ as long as that is so, and the next comparison that finds
//! all writes what is desired.

use hashbrown::HashMap;
use holdfast_kernel::netlink::{NexthopContent, RESILIENT_BUCKETS, WEIGHT_NONE};
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::ContentId;
use super::desired::normalize;
use super::objects::ObjectIndex;
use super::plan::{Memo, Plan};
use crate::limits::FAILED_GATEWAYS_MAX;

/// Gateways that do not answer though their links are up. One is forgotten when rpd desires a route through it again (in a
/// later batch: what stands beside the word of the failure may be older than it), or when its link goes down.
#[derive(Debug, Default)]
pub struct FailedGateways {
    /// Of the present batch.
    now: Vec<Gateway>,
    /// Of batches before it.
    before: Vec<Gateway>,
}

fn same_way(one: &Gateway, other: &Gateway) -> bool {
    (one.address, one.interface_index) == (other.address, other.interface_index)
}

impl FailedGateways {
    pub fn begin_batch(&mut self) {
        self.before.append(&mut self.now);
        let surplus = self.before.len().saturating_sub(FAILED_GATEWAYS_MAX);
        self.before.drain(..surplus);
    }

    pub fn add(&mut self, gateway: Gateway) {
        self.before.retain(|known| !same_way(known, &gateway));
        if self.now.len() < FAILED_GATEWAYS_MAX && !self.now.iter().any(|known| same_way(known, &gateway)) {
            self.now.push(gateway);
        }
    }

    fn is_empty(&self) -> bool {
        self.now.is_empty() && self.before.is_empty()
    }

    fn contains(&self, gateway: &Gateway) -> bool {
        self.now.iter().chain(&self.before).any(|failed| same_way(failed, gateway))
    }

    pub fn link_changed(&mut self, interface_index: u32) {
        for gateways in [&mut self.now, &mut self.before] {
            gateways.retain(|gateway| gateway.interface_index != interface_index);
        }
    }
}

impl Fib {
    /// What to use instead for the time being: what is left of several ways without those that cannot be had or do not answer.
    pub(super) fn stand_in(&self, nexthop: &ForwardingNexthop) -> Option<ForwardingNexthop> {
        let is_up = |gateway: &Gateway| self.links_up.contains(&gateway.interface_index);
        match nexthop {
            ForwardingNexthop::Protected { primary, backup } => {
                let left = match (is_up(primary), is_up(backup)) {
                    (true, true) if self.failed.contains(primary) => backup,
                    (true, true) if self.refused.contains_key(nexthop) => primary,
                    (true, true) | (false, false) => return None,
                    (true, false) => primary,
                    (false, true) => backup,
                };
                Some(normalize(vec![*left]))
            }
            ForwardingNexthop::Unicast(gateways) if gateways.len() > 1 => {
                let is_good = |gateway: &&Gateway| is_up(gateway) && !self.failed.contains(gateway);
                let good = gateways.iter().filter(is_good).count();
                let is_part = good > 0 && good < gateways.len();
                is_part.then(|| normalize(gateways.iter().filter(is_good).copied().collect()))
            }
            _ => None,
        }
    }

    /// Whether a route has what it is to have for the time being.
    pub(super) fn has_stand_in(&self, desired: ContentId, object: ObjectIndex) -> bool {
        let stand_in = self.contents.get(desired).and_then(|nexthop| self.stand_in(nexthop));
        let present = self.objects.living(object).and_then(|object| self.contents.get(object.content));
        stand_in.is_some() && stand_in.as_ref() == present
    }

    /// A route is desired through a gateway that had failed before: it answers again.
    pub(super) fn hear_of_gateways(&mut self, desired: ContentId) {
        if self.failed.before.is_empty() {
            return;
        }
        let Some(nexthop) = self.contents.get(desired) else { return };
        let used = nexthop.gateways();
        self.failed.before.retain(|failed| !used.iter().any(|gateway| same_way(gateway, failed)));
    }

    /// Takes failed gateways out of every object that has another way: one message, whatever the number of its routes.
    pub fn leave_failed(&mut self, plan: &mut Plan) {
        if self.failed.is_empty() {
            return;
        }
        let indexes: Vec<ObjectIndex> = self.objects.kernel_ids().map(|(_, index)| index).collect();
        for index in indexes {
            self.leave_failed_in(index, plan);
        }
    }

    fn leave_failed_in(&mut self, index: ObjectIndex, plan: &mut Plan) -> Option<()> {
        let object = self.objects.living(index)?;
        let (id, ipv6) = (object.kernel_id, object.family == 1);
        let left = self.without_failed(self.contents.get(object.content)?)?;
        let leads_to = |gateway: &Gateway| {
            let alone = normalize(vec![*gateway]);
            let members = object.members.iter().copied();
            members.filter(|member| self.objects.living(*member).is_some()).find(|member| {
                self.objects.get(*member).is_some_and(|member| self.contents.get(member.content) == Some(&alone))
            })
        };
        let members = left.iter().map(leads_to).collect::<Option<Vec<ObjectIndex>>>()?;
        let kernel_content = match self.contents.get(object.content)? {
            ForwardingNexthop::Protected { .. } => NexthopContent::Resilient {
                members: self.entries(&members, [WEIGHT_NONE].into_iter()),
                buckets: RESILIENT_BUCKETS,
            },
            _ => NexthopContent::Group(self.entries(&members, left.iter().map(|gateway| gateway.weight))),
        };
        let content = self.contents.intern(normalize(left));
        plan.next(Memo::NexthopChange(id)).replace_nexthop(id, ipv6, &kernel_content);
        plan.turned += 1;
        self.begins(id);
        self.update_object(index, content, members);
        Some(())
    }

    /// What is left of several ways without those that failed; `None` where that is all of them, or nothing.
    fn without_failed(&self, nexthop: &ForwardingNexthop) -> Option<Vec<Gateway>> {
        let left: Vec<Gateway> = match nexthop {
            ForwardingNexthop::Protected { primary, backup } if self.failed.contains(primary) => vec![*backup],
            ForwardingNexthop::Unicast(gateways) if gateways.len() > 1 => {
                gateways.iter().filter(|gateway| !self.failed.contains(gateway)).copied().collect()
            }
            _ => return None,
        };
        (!left.is_empty() && left.len() < nexthop.gateways().len() + usize::from(nexthop.backup().is_some()))
            .then_some(left)
    }

    /// Whether the kernel has refused an object with a backup that is still wanted.
    pub fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Tries once more to make the objects that the kernel refused. Routes move to one only when the kernel has it.
    pub fn try_refused(&mut self, plan: &mut Plan) {
        for (nexthop, family) in std::mem::take(&mut self.refused) {
            let content = self.contents.intern(nexthop.clone());
            self.contents.retain(content);
            // A user beside this one.
            let wanted = self.contents.users(content) > 1;
            let there = self.equal_object(content, family).and_then(|index| self.objects.get(index));
            if wanted && !there.is_some_and(|object| object.confirmed) {
                // What cannot be tried now, because a link is down, is tried when that is up.
                if there.is_none() {
                    let _ = self.make_object(content, family, plan);
                }
                self.refused.insert(nexthop, family);
            }
            self.contents.release(content);
        }
    }

    /// The kernel has taken an object. True where routes have waited for it.
    pub(super) fn taken(&mut self, index: ObjectIndex) -> bool {
        let Some(object) = self.objects.get_mut(index) else { return false };
        object.confirmed = true;
        let nexthop = self.contents.get(object.content).filter(|_| !self.refused.is_empty());
        nexthop.is_some_and(|nexthop| self.refused.remove(nexthop).is_some())
    }

    /// The kernel has refused an object. True where its routes can have a stand-in instead.
    pub(super) fn not_taken(&mut self, index: ObjectIndex) -> bool {
        let Some(object) = self.objects.get(index) else { return false };
        let family = object.family;
        let protected = self.contents.get(object.content).filter(|nexthop| nexthop.backup().is_some()).cloned();
        self.object_died(index);
        protected.is_some_and(|nexthop| self.refused.insert(nexthop, family).is_none())
    }
}

/// Next hops with a backup whose objects the kernel has refused, with the family of the object.
pub type Refused = HashMap<ForwardingNexthop, usize>;
