//! How failed gateways are taken out of the objects that routes use.
//!
//! # The idea
//!
//! The kernel can be told in two ways that a group is to do without a member:
//!
//! - *The member goes.* The kernel takes it out of its groups, and gives what was its share to who is left. It looks at no route: a tenth of a millisecond.
//! - *The group is changed.* Of an IPv6 group the kernel looks at every route before that has an effect, and goes through them again afterwards: with 250,000
//!   routes packets turn after 22 ms, and all other changes wait for 60 to 100 ms.
//!
//! So a member goes where no route uses it by itself, which is what reserved objects are for ([`super::seats`]), and each of its groups is to do without it.
//! In all other cases the group is changed. What the kernel has in the end is the same.

use std::collections::BTreeMap;

use holdfast_kernel::netlink::{NexthopContent, RESILIENT_BUCKETS, WEIGHT_NONE};
use holdfast_rib::{ForwardingNexthop, Gateway};

use super::Fib;
use super::desired::normalize;
use super::objects::ObjectIndex;
use super::plan::{Memo, Plan};

/// A group that is to do without some of its members.
#[derive(Debug)]
struct Turn {
    group: ObjectIndex,
    /// What is left of its ways.
    left: Vec<Gateway>,
    /// The members that lead there, in the same order.
    stays: Vec<ObjectIndex>,
    /// Those that lead nowhere.
    goes: Vec<ObjectIndex>,
}

/// Members that can go, with the kernel's numbers of their groups.
type Going = BTreeMap<ObjectIndex, Vec<u32>>;

impl Fib {
    /// Takes failed gateways out of every object that has another way: one message, whatever the number of its routes.
    pub fn leave_failed(&mut self, plan: &mut Plan) {
        self.leave_failed_where(|_, _| true, plan);
    }

    /// The same for objects that the kernel has as we know them, whatever else is on its way there: these changes may overtake it.
    pub fn leave_failed_at_once(&mut self, plan: &mut Plan) {
        self.leave_failed_where(Self::is_settled, plan);
    }

    fn leave_failed_where(&mut self, may_turn: impl Fn(&Self, ObjectIndex) -> bool, plan: &mut Plan) {
        if self.failed.is_empty() {
            return;
        }
        let groups = self.objects.kernel_ids().map(|(_, index)| index).filter(|index| may_turn(self, *index));
        let turns: Vec<Turn> = groups.filter_map(|index| self.turn(index)).collect();
        let going = self.who_can_go(&turns);
        // What the kernel does at once before what it needs some time for.
        self.take_out(&going, plan);
        plan.turned += turns.len() as u64;
        for turn in turns {
            if !turn.goes.iter().all(|member| going.contains_key(member)) {
                self.change_group(&turn, plan);
            }
            let content = self.contents.intern(normalize(turn.left));
            self.update_object(turn.group, content, turn.stays);
        }
        going.into_keys().for_each(|member| self.object_died(member));
    }

    /// The kernel has an object and its members, and no change of it is under way.
    fn is_settled(&self, index: ObjectIndex) -> bool {
        let is_there = |index| self.objects.living(index).filter(|object| object.confirmed);
        is_there(index).is_some_and(|object| {
            !self.under_way.contains_key(&object.kernel_id)
                && object.members.iter().all(|member| is_there(*member).is_some())
        })
    }

    /// What an object is to do without, if it has another way; `None` where nothing is to be done, or can be.
    fn turn(&self, group: ObjectIndex) -> Option<Turn> {
        let object = self.objects.living(group)?;
        let left = self.without_failed(self.contents.get(object.content)?)?;
        let member_to = |gateway: &Gateway| {
            let alone = normalize(vec![*gateway]);
            let leads_there = |member: &ObjectIndex| {
                let member = self.objects.living(*member);
                member.is_some_and(|member| self.contents.get(member.content) == Some(&alone))
            };
            object.members.iter().copied().find(leads_there)
        };
        let stays = left.iter().map(member_to).collect::<Option<Vec<ObjectIndex>>>()?;
        let goes = object.members.iter().copied().filter(|member| !stays.contains(member)).collect();
        Some(Turn { group, left, stays, goes })
    }

    /// The members that have no use but in groups that are all to do without them. With any other its routes would go.
    fn who_can_go(&self, turns: &[Turn]) -> Going {
        let mut going = Going::new();
        for turn in turns {
            let Some(group) = self.objects.living(turn.group) else { continue };
            turn.goes.iter().for_each(|member| going.entry(*member).or_default().push(group.kernel_id));
        }
        going.retain(|member, groups| {
            let member = self.objects.living(*member);
            member.is_some_and(|it| it.reserved && !it.had_routes && it.groups as usize == groups.len())
        });
        going
    }

    fn take_out(&mut self, going: &Going, plan: &mut Plan) {
        for (member, groups) in going {
            let Some(member) = self.objects.living(*member).map(|member| member.kernel_id) else { continue };
            plan.next(Memo::MemberRemoval { member, groups: groups.clone() }).remove_nexthop(member);
            // Until the kernel has answered, what is read of any of them may be older.
            std::iter::once(&member).chain(groups).for_each(|id| self.begins(*id));
        }
    }

    fn change_group(&mut self, turn: &Turn, plan: &mut Plan) {
        let Some(object) = self.objects.living(turn.group) else { return };
        let (id, is_ipv6) = (object.kernel_id, object.family == 1);
        let content = match self.contents.get(object.content) {
            Some(ForwardingNexthop::Protected { .. }) => NexthopContent::Resilient {
                members: self.entries(&turn.stays, [WEIGHT_NONE].into_iter()),
                buckets: RESILIENT_BUCKETS,
            },
            _ => NexthopContent::Group(self.entries(&turn.stays, turn.left.iter().map(|gateway| gateway.weight))),
        };
        plan.next(Memo::NexthopChange(id)).replace_nexthop(id, is_ipv6, &content);
        self.begins(id);
    }
}
