//! Next hops with a backup, or with several ways: who does without a lost one, when, and what is written where not all can be had.
//!
//! # The idea
//!
//! The object of a [`ForwardingNexthop::Protected`] is a resilient group of two members, of which the first has all buckets
//! (`holdfast_kernel::netlink`). When the link of either is lost the kernel takes the member out in the same moment, and the group lives on
//! with the other: however many routes use it, none is touched. The mirror follows when the link's notification comes
//! ([`Fib::read_nexthops`]): the object's content is then the one gateway that is left. That is what rpd is about to desire of these routes,
//! so both columns agree again without a write. With the members of an ordinary group (ECMP) it is the same. Where BFD and not the link
//! says that a gateway is lost, [`Fib::leave_failed`] does what the kernel would have done ([`super::leaving`]), and [`Fib::put_right`] takes it
//! back when the gateway answers again ([`super::gateways`]).
//!
//! Until rpd's word has come, and whenever one of several ways cannot be had (its link is down, or the kernel refused it), a route that
//! desires them has what is left: its *stand-in*. The columns differ as long as that is so, and the next comparison that finds
//! all writes what is desired.

use hashbrown::HashMap;
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::{self, ContentId};
use super::desired::normalize;
use super::kernel::object_family;
use super::objects::ObjectIndex;
use super::plan::{Memo, Plan};
use super::table::Table;

impl Fib {
    /// What to use instead of what is in force for the time being: what is left of several ways without those that cannot be had.
    pub(super) fn stand_in(&self, nexthop: &ForwardingNexthop) -> Option<ForwardingNexthop> {
        let is_up = |gateway: &Gateway| self.links_up.contains(&gateway.interface_index);
        match nexthop {
            ForwardingNexthop::Protected { primary, backup } => {
                let left = match (is_up(primary), is_up(backup)) {
                    (true, true) if self.refused.contains_key(nexthop) => primary,
                    (true, true) | (false, false) => return None,
                    (true, false) => primary,
                    (false, true) => backup,
                };
                Some(normalize(vec![*left]))
            }
            ForwardingNexthop::Unicast(gateways) if gateways.len() > 1 => {
                let left: Vec<Gateway> = gateways.iter().filter(|gateway| is_up(gateway)).copied().collect();
                let is_part = !left.is_empty() && left.len() < gateways.len();
                is_part.then(|| normalize(left))
            }
            _ => None,
        }
    }

    /// Whether a route has what it is to have for the time being.
    pub(super) fn has_stand_in(&self, in_force: ContentId, object: ObjectIndex) -> bool {
        let stand_in = self.contents.get(in_force).and_then(|nexthop| self.stand_in(nexthop));
        let present = self.objects.living(object).and_then(|object| self.contents.get(object.content));
        stand_in.is_some() && stand_in.as_ref() == present
    }

    /// Gives every group what all its routes are to have, where that is one and the same: one message, whatever their number. For when a
    /// gateway answers again. What shares a group with routes that are to have something else is written route by route, like any difference.
    pub fn put_right(&mut self, plan: &mut Plan) {
        if !std::mem::take(&mut self.groups_in_doubt) {
            return;
        }
        for (group, content) in self.sole_contents() {
            let _ = self.put_right_in(group, content, plan);
        }
    }

    /// Groups whose routes are all to have one thing, with that.
    fn sole_contents(&self) -> Vec<(ObjectIndex, ContentId)> {
        let mut wanted: HashMap<ObjectIndex, Option<ContentId>> = HashMap::new();
        for (desired, object) in self.tables.iter().flat_map(Table::pairs) {
            let is_group = self.objects.living(object).is_some_and(|object| !object.members.is_empty());
            if is_group && desired != contents::NOTHING {
                let content = self.contents.in_force(desired);
                let sole = wanted.entry(object).or_insert(Some(content));
                *sole = sole.filter(|sole| *sole == content);
            }
        }
        wanted.into_iter().filter_map(|(group, sole)| Some((group, sole?))).collect()
    }

    /// `Err` where the group has to stay as it is; why does not matter, as its routes can be written.
    fn put_right_in(&mut self, group: ObjectIndex, content: ContentId, plan: &mut Plan) -> Result<(), String> {
        let object = self.objects.living(group).ok_or("it is gone")?;
        let nexthop = self.contents.get(content).ok_or("its nexthop was released")?.clone();
        let (id, family) = (object.kernel_id, object.family);
        let fits = object.content != content
            && !object.stays
            && object.resilient == nexthop.backup().is_some()
            && object_family(&nexthop, family) == family
            && self.stand_in(&nexthop).is_none();
        if !fits {
            return Err("it is right, or cannot be made so".into());
        }
        let Some((kernel_content, members)) = self.group_of(content, family, plan)? else { return Ok(()) };
        plan.next(Memo::NexthopChange(id)).replace_nexthop(id, family == 1, &kernel_content);
        plan.righted += 1;
        self.begins(id);
        self.update_object(group, content, members);
        Ok(())
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
