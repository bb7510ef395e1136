//! The kernel object for a next hop: found, or made.

use holdfast_kernel::netlink::{NexthopContent, NexthopMember, RESILIENT_BUCKETS, WEIGHT_ALL, WEIGHT_NONE};
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::contents::ContentId;
use super::desired::normalize;
use super::kernel::object_family;
use super::objects::{self, ObjectIndex};
use super::plan::{Memo, Plan};

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
            return self.ensure_single(&stand_in, family, plan);
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
        let nexthop = self.contents.get(content).cloned().ok_or("its nexthop was released")?;
        let (kernel_content, members) = match &nexthop {
            ForwardingNexthop::Unicast(gateways) => match gateways.as_slice() {
                [Gateway { address, interface_index, .. }] => {
                    (NexthopContent::Single { gateway: *address, interface_index: *interface_index }, Vec::new())
                }
                gateways => {
                    let members = self.ensure_members(gateways, family, plan)?;
                    let entries = self.entries(&members, gateways.iter().map(|gateway| gateway.weight));
                    (NexthopContent::Group(entries), members)
                }
            },
            ForwardingNexthop::Protected { primary, backup } => {
                let members = self.ensure_members(&[*primary, *backup], family, plan)?;
                let entries = self.entries(&members, [WEIGHT_ALL, WEIGHT_NONE].into_iter());
                (NexthopContent::Resilient { members: entries, buckets: RESILIENT_BUCKETS }, members)
            }
            ForwardingNexthop::Discard | ForwardingNexthop::Reject => return Err("not a unicast nexthop".into()),
        };
        let id = self.objects.new_kernel_id();
        plan.next(Memo::Nexthop(id)).add_nexthop(id, family == 1, &kernel_content);
        let index = self.insert_object(id, content, family, members, false);
        self.contents.choose(content, family, index);
        Ok(index)
    }

    pub(super) fn equal_object(&self, content: ContentId, family: usize) -> Option<ObjectIndex> {
        let equal = |index: &ObjectIndex| {
            self.objects.living(*index).is_some_and(|object| object.content == content && object.family == family)
        };
        self.objects.kernel_ids().map(|(_, index)| index).find(equal)
    }

    fn ensure_single(&mut self, gateway: &Gateway, family: usize, plan: &mut Plan) -> Result<ObjectIndex, String> {
        let content = self.contents.intern(normalize(vec![*gateway]));
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
        gateways.iter().map(|gateway| self.ensure_single(gateway, family, plan)).collect()
    }

    /// Members as the kernel is told them.
    fn entries(&self, members: &[ObjectIndex], weights: impl Iterator<Item = u16>) -> Vec<NexthopMember> {
        let id = |member: &ObjectIndex| self.objects.get(*member).map_or(objects::NOTHING, |object| object.kernel_id);
        members.iter().zip(weights).map(|(member, weight)| NexthopMember { id: id(member), weight }).collect()
    }

    /// Whether a route that uses one object is forwarded as if it used the other.
    pub(super) fn is_as_good(&self, one: ObjectIndex, other: ObjectIndex) -> bool {
        let content = |index| self.objects.living(index).map(|object| object.content);
        content(one).is_some() && content(one) == content(other)
    }
}
