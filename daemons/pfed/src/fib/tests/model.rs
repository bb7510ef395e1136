//! A model of the kernel: routes by target, nexthop objects by number, links. It reads what is sent to it, octet by octet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashSet;
use holdfast_kernel::netlink::wire::{Message, Messages};
use holdfast_kernel::netlink::{
    BatchOutcome, Failure, NexthopContent, NexthopMember, NexthopObject, RouteTarget, WEIGHT_ALL, WEIGHT_NONE,
};
use holdfast_rib::{Digest, ForwardingNexthop, Gateway, fib_entry_hash};
use ipnet::IpNet;

use super::super::desired::normalize;
use super::super::{Fib, Memo, Planned};

/// The kernel.
#[derive(Debug)]
pub struct Model {
    pub routes: BTreeMap<IpNet, RouteTarget>,
    pub objects: BTreeMap<u32, NexthopObject>,
    /// Links that are up.
    pub up: HashSet<u32>,
    /// One message in so many is refused for no reason.
    pub bad_luck: u32,
    /// Whether it is new enough to know resilient groups.
    pub knows_resilient: bool,
    /// Messages so far.
    pub messages: u32,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            routes: BTreeMap::new(),
            objects: BTreeMap::new(),
            up: HashSet::from([1, 2, 3]),
            bad_luck: 0,
            knows_resilient: true,
            messages: 0,
        }
    }
}

impl Model {
    pub fn execute(&mut self, planned: &Planned) -> BatchOutcome {
        let mut failures = Vec::new();
        let messages = Messages(planned.batch.octets());
        for (index, (memo, message)) in planned.memos.iter().zip(messages).enumerate() {
            self.messages += 1;
            let unlucky = self.bad_luck > 0 && self.messages.is_multiple_of(self.bad_luck);
            let result = if unlucky { Err(libc::ENOMEM) } else { self.one(memo, &message) };
            if let Err(errno) = result {
                failures.push(Failure { index, errno, detail: None });
            }
        }
        BatchOutcome { failures, unknown: false }
    }

    fn one(&mut self, memo: &Memo, message: &Message<'_>) -> Result<(), i32> {
        match memo {
            Memo::Route { prefix, before, after } => {
                if matches!(after, RouteTarget::Nexthop(id) if !self.objects.contains_key(id)) {
                    return Err(libc::EINVAL);
                }
                match (before, self.routes.contains_key(prefix)) {
                    (None, true) => Err(libc::EEXIST),
                    (Some(_), false) => Err(libc::ENOENT),
                    _ => {
                        self.routes.insert(*prefix, *after);
                        Ok(())
                    }
                }
            }
            Memo::RouteRemoval { prefix, .. } => self.routes.remove(prefix).map(drop).ok_or(libc::ESRCH),
            Memo::Nexthop(id) => {
                let object = self.acceptable(*id, message)?;
                match self.objects.insert(*id, object) {
                    None => Ok(()),
                    Some(_) => Err(libc::EEXIST),
                }
            }
            Memo::NexthopChange(id) => {
                let object = self.acceptable(*id, message)?;
                self.objects.get_mut(id).map(|there| *there = object).ok_or(libc::ENOENT)
            }
            Memo::NexthopRemoval(id) => self.drop_object(*id).ok_or(libc::ENOENT),
            Memo::MemberRemoval { member, groups } => self.take_out(*member, groups),
            Memo::Interface(_) => Ok(()),
        }
    }

    fn acceptable(&self, id: u32, message: &Message<'_>) -> Result<NexthopObject, i32> {
        let object = NexthopObject::parse(message).filter(|object| object.id == id).ok_or(libc::EINVAL)?;
        let members = match &object.content {
            NexthopContent::Single { interface_index, .. } if !self.up.contains(interface_index) => {
                return Err(libc::ENETDOWN);
            }
            NexthopContent::Resilient { .. } if !self.knows_resilient => return Err(libc::EINVAL),
            NexthopContent::Group(members) | NexthopContent::Resilient { members, .. } => members.as_slice(),
            _ => &[],
        };
        let known = members.iter().all(|member| self.objects.contains_key(&member.id));
        known.then_some(object).ok_or(libc::EINVAL)
    }

    /// Somebody leads the `n`th object with a gateway by another link that is up, or makes it his own as well.
    pub fn move_single(&mut self, n: usize, to: u8, takes_it: bool) -> Option<NexthopObject> {
        let is_single = |object: &&mut NexthopObject| matches!(object.content, NexthopContent::Single { gateway: Some(gateway), .. } if gateway.is_ipv4() != object.ipv6);
        let up = self.up.contains(&u32::from(to));
        let mut singles: Vec<&mut NexthopObject> = self.objects.values_mut().filter(is_single).collect();
        let count = singles.len().max(1);
        let object = singles.get_mut(n % count).filter(|_| up)?;
        let gateway = match object.ipv6 {
            false => IpAddr::from([10, 0, to, 2]),
            true => format!("2001:db8:{to}::2").parse().ok()?,
        };
        object.content = NexthopContent::Single { gateway: Some(gateway), interface_index: to.into() };
        if takes_it {
            object.protocol = 4;
        }
        Some(NexthopObject::clone(object))
    }

    /// A member goes, of which nobody but its groups may know.
    fn take_out(&mut self, member: u32, groups: &[u32]) -> Result<(), i32> {
        let used = self.routes.values().any(|target| *target == RouteTarget::Nexthop(member));
        assert!(!used, "routes go with {member}: {self:?}");
        let (there, before) = (self.objects.contains_key(&member), self.routes.len());
        self.drop_object(member).ok_or(libc::ENOENT)?;
        assert!(there && self.routes.len() == before && groups.iter().all(|group| self.objects.contains_key(group)));
        Ok(())
    }

    /// What the kernel does when an object goes: groups shrink, routes vanish.
    pub fn drop_object(&mut self, id: u32) -> Option<()> {
        self.objects.remove(&id)?;
        self.routes.retain(|_, target| *target != RouteTarget::Nexthop(id));
        let mut empty = Vec::new();
        for (group, object) in &mut self.objects {
            if let NexthopContent::Group(members) | NexthopContent::Resilient { members, .. } = &mut object.content {
                members.retain(|member| member.id != id);
                if members.is_empty() {
                    empty.push(*group);
                }
            }
        }
        for group in empty {
            self.drop_object(group)?;
        }
        Some(())
    }

    /// A link goes down, and takes its objects along.
    pub fn lose_link(&mut self, index: u32) {
        self.up.remove(&index);
        let leads_there = |object: &NexthopObject| matches!(object.content, NexthopContent::Single { interface_index, .. } if interface_index == index);
        let lost: Vec<u32> =
            self.objects.values().filter(|object| leads_there(object)).map(|object| object.id).collect();
        for id in lost {
            self.drop_object(id);
        }
    }

    pub fn list(&self) -> Vec<NexthopObject> {
        self.objects.values().cloned().collect()
    }

    fn single(&self, member: &NexthopMember) -> Gateway {
        match &self.objects[&member.id].content {
            NexthopContent::Single { gateway, interface_index } => {
                Gateway { address: *gateway, interface_index: *interface_index, weight: member.weight }
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn content(&self, target: RouteTarget) -> ForwardingNexthop {
        match target {
            RouteTarget::Blackhole => ForwardingNexthop::Discard,
            RouteTarget::Unreachable => ForwardingNexthop::Reject,
            RouteTarget::Other => panic!("nobody writes that here"),
            RouteTarget::Nexthop(id) => match &self.objects[&id].content {
                NexthopContent::Group(members) => normalize(members.iter().map(|m| self.single(m)).collect()),
                NexthopContent::Resilient { members, .. } => match members.as_slice() {
                    [left] => normalize(vec![self.single(left)]),
                    [all, none] => {
                        assert_eq!((all.weight, none.weight), (WEIGHT_ALL, WEIGHT_NONE));
                        let [primary, backup] = [all, none].map(|member| Gateway { weight: 1, ..self.single(member) });
                        ForwardingNexthop::Protected { primary, backup }
                    }
                    other => panic!("{other:?}"),
                },
                _ => normalize(vec![self.single(&NexthopMember { id, weight: 1 })]),
            },
        }
    }

    fn link_of(&self, id: u32) -> Option<u32> {
        match self.objects.get(&id)?.content {
            NexthopContent::Single { interface_index, .. } => Some(interface_index),
            _ => None,
        }
    }

    /// Whether every group with a backup loses its first member before the kernel removes any route for want of the same link.
    pub fn groups_turn_first(&self) -> bool {
        let firsts: Vec<u32> = self
            .objects
            .values()
            .filter_map(|object| match &object.content {
                NexthopContent::Resilient { members, .. } if members.len() == 2 => Some(members[0].id),
                _ => None,
            })
            .collect();
        let comes_first = |first: &u32| {
            self.routes.values().all(|target| match target {
                RouteTarget::Nexthop(id) => self.link_of(*id) != self.link_of(*first) || id < first,
                _ => true,
            })
        };
        firsts.iter().all(comes_first)
    }

    /// Of all routes, per family.
    pub fn digests(&self) -> [Digest; 2] {
        let mut digests = [Digest::default(); 2];
        for (prefix, target) in &self.routes {
            digests[Fib::family_of(prefix)].add(fib_entry_hash(prefix, &self.content(*target)));
        }
        digests
    }
}
