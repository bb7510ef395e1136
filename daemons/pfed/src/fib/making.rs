//! The kernel object for a next hop: found, or made.

use holdfast_kernel::netlink::{NexthopContent, NexthopMember, RESILIENT_BUCKETS, WEIGHT_ALL, WEIGHT_NONE};
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::ContentId;
use super::desired::normalize;
use super::kernel::object_family;
use super::objects::{self, ObjectIndex};
use super::plan::{Memo, Plan};

/// One way out, as the kernel is told it.
pub(super) fn single(gateway: &Gateway) -> NexthopContent {
    NexthopContent::Single { gateway: gateway.address, interface_index: gateway.interface_index }
}

impl Fib {
    /// The object for a content, made if need be; that of its stand-in where it cannot be had now ([`super::backup`]).
    pub(super) fn ensure_object(
        &mut self,
        content: ContentId,
        family: usize,
        plan: &mut Plan,
    ) -> Result<ObjectIndex, String> {
        let nexthop = self.contents.get(content).ok_or("its nexthop was released")?;
        let family = object_family(nexthop, family);
        if let Some(stand_in) = self.stand_in(nexthop) {
            return self.ensure_nexthop(stand_in, family, plan);
        }
        let chosen = self.contents.chosen(content, family);
        if self.objects.living(chosen).is_some() {
            return Ok(chosen);
        }
        // There may be another one with the same content (of an earlier process, say).
        if let Some(index) = self.equal_object(content, family) {
            self.contents.choose(content, family, index);
            return Ok(index);
        }
        self.make_object(content, family, plan)
    }

    /// Makes an object; groups after their members.
    pub(super) fn make_object(
        &mut self,
        content: ContentId,
        family: usize,
        plan: &mut Plan,
    ) -> Result<ObjectIndex, String> {
        if let Some(index) = self.blocked_by_link(content) {
            return Err(format!("interface {index} is not up"));
        }
        let (kernel_content, members) = match self.group_of(content, family, plan)? {
            Some(group) => group,
            None => match self.contents.get(content) {
                Some(ForwardingNexthop::Unicast(gateways)) if gateways.len() == 1 => {
                    self.seats_in_doubt = true;
                    (single(&gateways[0]), Vec::new())
                }
                _ => return Err("not a unicast nexthop".into()),
            },
        };
        let index = self.add_object(content, family, &kernel_content, members, plan);
        self.contents.choose(content, family, index);
        Ok(index)
    }

    /// The group for a content, as the kernel is told it, and its members, made if need be; `None` for what needs none.
    pub(super) fn group_of(
        &mut self,
        content: ContentId,
        family: usize,
        plan: &mut Plan,
    ) -> Result<Option<(NexthopContent, Vec<ObjectIndex>)>, String> {
        let nexthop = self.contents.get(content).cloned().ok_or("its nexthop was released")?;
        Ok(match &nexthop {
            ForwardingNexthop::Unicast(gateways) if gateways.len() > 1 => {
                let members = self.ensure_members(gateways, family, plan)?;
                let entries = self.entries(&members, gateways.iter().map(|gateway| gateway.weight));
                Some((NexthopContent::Group(entries), members))
            }
            ForwardingNexthop::Protected { primary, backup } => {
                let backup = self.ensure_single(backup, family, plan)?;
                let members = vec![self.make_reserved(primary, family, plan)?, backup];
                Some((self.pair(&members), members))
            }
            _ => None,
        })
    }

    /// Plans an object, and notes it.
    pub(super) fn add_object(
        &mut self,
        content: ContentId,
        family: usize,
        kernel_content: &NexthopContent,
        members: Vec<ObjectIndex>,
        plan: &mut Plan,
    ) -> ObjectIndex {
        let id = self.objects.new_kernel_id();
        plan.next(Memo::Nexthop(id)).add_nexthop(id, family == 1, kernel_content);
        let index = self.insert_object(id, content, family, members, false);
        self.note_kind(index, kernel_content);
        index
    }

    pub(super) fn equal_object(&self, content: ContentId, family: usize) -> Option<ObjectIndex> {
        let equal = |index: &ObjectIndex| {
            let object = self.objects.living(*index);
            object.is_some_and(|object| object.content == content && object.family == family)
        };
        self.objects.kernel_ids().map(|(_, index)| index).find(|index| equal(index) && self.serves_all(*index))
    }

    /// Whether any route and group may use an object for its content. Not a reserved one; and not a group of which one member is left, for
    /// a group is no member of another.
    pub(super) fn serves_all(&self, index: ObjectIndex) -> bool {
        let Some(object) = self.objects.living(index) else { return false };
        let nexthop = self.contents.get(object.content);
        let is_single = nexthop.is_some_and(|nexthop| nexthop.gateways().len() == 1 && nexthop.backup().is_none());
        !object.reserved && (object.members.is_empty() || !is_single)
    }

    fn ensure_single(&mut self, gateway: &Gateway, family: usize, plan: &mut Plan) -> Result<ObjectIndex, String> {
        self.ensure_nexthop(normalize(vec![*gateway]), family, plan)
    }

    fn ensure_nexthop(
        &mut self,
        nexthop: ForwardingNexthop,
        family: usize,
        plan: &mut Plan,
    ) -> Result<ObjectIndex, String> {
        let content = self.contents.intern(nexthop);
        // Held while the object is made: an interned content without a user does not last.
        self.contents.retain(content);
        let object = self.ensure_object(content, family, plan);
        self.contents.release(content);
        object
    }

    fn ensure_members(
        &mut self,
        gateways: &[Gateway],
        family: usize,
        plan: &mut Plan,
    ) -> Result<Vec<ObjectIndex>, String> {
        gateways.iter().map(|gateway| self.ensure_member(gateway, family, plan)).collect()
    }

    /// A gateway that has all buckets, and one that has none.
    pub(super) fn pair(&self, members: &[ObjectIndex]) -> NexthopContent {
        let members = self.entries(members, [WEIGHT_ALL, WEIGHT_NONE].into_iter());
        NexthopContent::Resilient { members, buckets: RESILIENT_BUCKETS }
    }

    /// Members as the kernel is told them.
    pub(super) fn entries(&self, members: &[ObjectIndex], weights: impl Iterator<Item = u16>) -> Vec<NexthopMember> {
        let id = |member: &ObjectIndex| self.objects.get(*member).map_or(objects::NOTHING, |object| object.kernel_id);
        members.iter().zip(weights).map(|(member, weight)| NexthopMember { id: id(member), weight }).collect()
    }
}
