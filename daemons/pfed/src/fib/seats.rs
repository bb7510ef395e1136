//! Which of its nexthop objects the kernel drops first when a link is lost.
//!
//! # Why it matters
//!
//! The kernel goes through the objects of the link from the newest to the oldest. With each it first walks the whole table for routes of
//! that object to remove, if it has any, and only then takes the object out of its groups. With a million routes such a walk takes
//! most of a second. So a group with a backup would turn to it that late, if its first member were an object that even one route uses
//! by itself, or were older than such an object.
//!
//! Hence the first member of each group with a backup is *reserved*: an object of its own, that no route uses. When an ordinary
//! object of the same link is made after it, the group gets another, newer one ([`Fib::reseat`]), which is done a moment later and for
//! all groups together. Ids only rise, so which object is newer can be seen from them, also by a process that has just started.
//!
//! The members of a group that shares packets among several gateways (ECMP) are reserved as well, one object per gateway for all such groups: so each can be removed,
//! and turn them all, when its gateway fails ([`super::leaving`]). They are not kept the newest. A group made by a version that had routes use its
//! members is left as it is.

use hashbrown::{HashMap, HashSet};
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::ContentId;
use super::desired::normalize;
use super::kernel::object_family;
use super::making::single;
use super::objects::{self, ObjectIndex};
use super::plan::{Memo, Plan};

impl Fib {
    /// Whether a group may have a first member that is not the newest of its link.
    pub fn has_seats_in_doubt(&self) -> bool {
        self.seats_in_doubt
    }

    /// Gives a new first member to every group whose first member is older than an ordinary object of the same link. How many.
    pub fn reseat(&mut self, plan: &mut Plan) -> u64 {
        self.seats_in_doubt = false;
        let newest = self.newest_ordinary();
        let groups: Vec<ObjectIndex> = self.objects.kernel_ids().map(|(_, index)| index).collect();
        let reseated = groups.into_iter().filter_map(|group| self.reseat_group(group, &newest, plan));
        reseated.count() as u64
    }

    /// Of each link the newest object that routes may use by themselves.
    fn newest_ordinary(&self) -> HashMap<u32, u32> {
        let mut newest: HashMap<u32, u32> = HashMap::new();
        for (id, index) in self.objects.kernel_ids() {
            let Some(object) = self.objects.get(index).filter(|object| !object.reserved) else { continue };
            if let Some(ForwardingNexthop::Unicast(gateways)) = self.contents.get(object.content)
                && let ([gateway], []) = (gateways.as_slice(), object.members.as_slice())
            {
                let known = newest.entry(gateway.interface_index).or_default();
                *known = id.max(*known);
            }
        }
        newest
    }

    fn reseat_group(&mut self, group: ObjectIndex, newest: &HashMap<u32, u32>, plan: &mut Plan) -> Option<()> {
        let object = self.objects.living(group)?;
        let ForwardingNexthop::Protected { primary, .. } = *self.contents.get(object.content)? else { return None };
        let (id, family, content) = (object.kernel_id, object.family, object.content);
        let first = self.first_member(group)?;
        let backup = object.members.iter().copied().find(|member| *member != first)?;
        let first_id = self.objects.get(first)?.kernel_id;
        if newest.get(&primary.interface_index).is_none_or(|ordinary| first_id > *ordinary) {
            return None;
        }
        let members = vec![self.make_reserved(&primary, family, plan).ok()?, backup];
        plan.next(Memo::NexthopChange(id)).replace_nexthop(id, family == 1, &self.pair(&members));
        self.begins(id);
        self.update_object(group, content, members);
        Some(())
    }

    /// The member of a group with a backup that has all buckets.
    fn first_member(&self, group: ObjectIndex) -> Option<ObjectIndex> {
        let object = self.objects.living(group)?;
        let ForwardingNexthop::Protected { primary, .. } = self.contents.get(object.content)? else { return None };
        let primary = normalize(vec![*primary]);
        let leads_there = |member: &&ObjectIndex| {
            self.objects.get(**member).is_some_and(|member| self.contents.get(member.content) == Some(&primary))
        };
        object.members.iter().find(leads_there).copied()
    }

    /// Makes an object that only a group uses.
    pub(super) fn make_reserved(
        &mut self,
        gateway: &Gateway,
        family: usize,
        plan: &mut Plan,
    ) -> Result<ObjectIndex, String> {
        if !self.links_up.contains(&gateway.interface_index) {
            return Err(format!("interface {} is not up", gateway.interface_index));
        }
        let nexthop = normalize(vec![*gateway]);
        let family = object_family(&nexthop, family);
        let content = self.contents.intern(nexthop);
        let index = self.add_object(content, family, &single(gateway), Vec::new(), plan);
        self.reserve(index);
        Ok(index)
    }

    /// An object for the members of all groups that share packets among several gateways; made if need be.
    pub(super) fn ensure_member(
        &mut self,
        gateway: &Gateway,
        family: usize,
        plan: &mut Plan,
    ) -> Result<ObjectIndex, String> {
        let nexthop = normalize(vec![*gateway]);
        let family = object_family(&nexthop, family);
        let content = self.contents.intern(nexthop);
        // Held meanwhile: an interned content without a user does not last.
        self.contents.retain(content);
        let known = self.contents.member(content, family);
        let known = Some(known).filter(|known| self.serves_groups(*known, content, family));
        let member = match known.or_else(|| self.newest_member(content, family)) {
            Some(member) => Ok(member),
            None => self.make_reserved(gateway, family, plan),
        };
        if let Ok(member) = member {
            self.contents.choose_member(content, family, member);
        }
        self.contents.release(content);
        member
    }

    fn serves_groups(&self, index: ObjectIndex, content: ContentId, family: usize) -> bool {
        let object = self.objects.living(index).filter(|object| object.reserved && !object.had_routes);
        object.is_some_and(|object| (object.content, object.family) == (content, family))
    }

    /// The newest object that no route uses, nor a group with a backup as its first member.
    fn newest_member(&self, content: ContentId, family: usize) -> Option<ObjectIndex> {
        let all = || self.objects.kernel_ids().map(|(_, index)| index);
        let firsts: HashSet<ObjectIndex> = all().filter_map(|group| self.first_member(group)).collect();
        let serving = all().filter(|index| self.serves_groups(*index, content, family) && !firsts.contains(index));
        serving.max_by_key(|index| self.objects.get(*index).map(|object| object.kernel_id))
    }

    /// The kernel has told a group: its first member is not to be used by routes; or, where it has no backup and the kernel's routes are known, those that none uses.
    pub(super) fn reserve_members(&mut self, group: ObjectIndex) {
        if let Some(first) = self.first_member(group) {
            self.reserve(first);
            return;
        }
        let shares = |nexthop: &ForwardingNexthop| nexthop.backup().is_none() && nexthop.gateways().len() > 1;
        let object = self.objects.living(group).filter(|_| self.routes_known);
        let sharing = object.filter(|object| self.contents.get(object.content).is_some_and(shares));
        let members = sharing.map(|object| object.members.clone()).unwrap_or_default();
        for member in members {
            if self.objects.living(member).is_some_and(|member| !member.had_routes) {
                self.reserve(member);
            }
        }
    }

    /// The kernel's routes have been read.
    pub(super) fn reserve_all_members(&mut self) {
        self.routes_known = true;
        let groups: Vec<ObjectIndex> = self.objects.kernel_ids().map(|(_, index)| index).collect();
        groups.into_iter().for_each(|group| self.reserve_members(group));
    }

    fn reserve(&mut self, index: ObjectIndex) {
        let Some(object) = self.objects.get_mut(index) else { return };
        object.reserved = true;
        let (content, family) = (object.content, object.family);
        if self.contents.chosen(content, family) == index {
            self.contents.choose(content, family, objects::NOTHING);
        }
    }
}
