//! Resolved next hops, interned: equal ones have one id.

use hashbrown::HashMap;
use holdfast_rib::{ForwardingNexthop, HashedNexthop};

/// The id of an interned next hop. Three are fixed.
pub type ContentId = u32;
/// No route.
pub const NOTHING: ContentId = 0;
/// Dropped silently.
pub const DISCARD: ContentId = 1;
/// Dropped, the sender is told.
pub const REJECT: ContentId = 2;

#[derive(Debug)]
struct Slot {
    nexthop: ForwardingNexthop,
    /// What of it goes into digests.
    hashed: HashedNexthop,
    /// Desired routes, and ids of senders.
    users: u32,
    /// Kernel objects with this content, dead ones included until their last route is forgotten.
    objects: u32,
    /// The object to use for it, by the family of the object; 0 for none.
    chosen: [u32; 2],
    /// The same for groups that share packets among several gateways.
    member: [u32; 2],
    /// What is in force instead of it ([`super::gateways`]), of which it is a user; [`NOTHING`]: itself.
    instead: ContentId,
}

#[derive(Debug)]
pub struct Contents {
    slots: Vec<Option<Slot>>,
    ids: HashMap<ForwardingNexthop, ContentId>,
    free: Vec<ContentId>,
}

impl Contents {
    pub fn new() -> Self {
        let fixed = |nexthop, object| {
            let hashed = HashedNexthop::new(&nexthop);
            Some(Slot { nexthop, hashed, users: 1, objects: 1, chosen: [object; 2], member: [0; 2], instead: NOTHING })
        };
        let slots = vec![
            None,
            fixed(ForwardingNexthop::Discard, super::objects::DISCARD),
            fixed(ForwardingNexthop::Reject, super::objects::REJECT),
        ];
        let ids = [(ForwardingNexthop::Discard, DISCARD), (ForwardingNexthop::Reject, REJECT)].into();
        Self { slots, ids, free: Vec::new() }
    }

    /// The id of a next hop. Without a user or an object it does not last: retain it at once.
    pub fn intern(&mut self, nexthop: ForwardingNexthop) -> ContentId {
        if let Some(id) = self.ids.get(&nexthop) {
            return *id;
        }
        let hashed = HashedNexthop::new(&nexthop);
        let (chosen, member) = ([0; 2], [0; 2]);
        let slot = Slot { nexthop: nexthop.clone(), hashed, users: 0, objects: 0, chosen, member, instead: NOTHING };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(slot);
                id
            }
            None => {
                self.slots.push(Some(slot));
                (self.slots.len() - 1) as ContentId
            }
        };
        self.ids.insert(nexthop, id);
        id
    }

    pub fn get(&self, id: ContentId) -> Option<&ForwardingNexthop> {
        Some(&self.slots.get(id as usize)?.as_ref()?.nexthop)
    }

    /// What of it goes into digests.
    pub fn hashed(&self, id: ContentId) -> Option<&HashedNexthop> {
        Some(&self.slots.get(id as usize)?.as_ref()?.hashed)
    }

    fn slot(&mut self, id: ContentId) -> Option<&mut Slot> {
        self.slots.get_mut(id as usize)?.as_mut()
    }

    pub fn retain(&mut self, id: ContentId) {
        if let Some(slot) = self.slot(id) {
            slot.users += 1;
        }
    }

    pub fn release(&mut self, id: ContentId) {
        if let Some(slot) = self.slot(id) {
            slot.users = slot.users.saturating_sub(1);
            self.free_unused(id);
        }
    }

    pub fn retain_for_object(&mut self, id: ContentId) {
        if let Some(slot) = self.slot(id) {
            slot.objects += 1;
        }
    }

    pub fn release_for_object(&mut self, id: ContentId) {
        if let Some(slot) = self.slot(id) {
            slot.objects = slot.objects.saturating_sub(1);
            self.free_unused(id);
        }
    }

    fn free_unused(&mut self, id: ContentId) {
        let Some(entry) = self.slots.get_mut(id as usize) else { return };
        if entry.as_ref().is_some_and(|slot| slot.users == 0 && slot.objects == 0)
            && let Some(slot) = entry.take()
        {
            self.ids.remove(&slot.nexthop);
            self.free.push(id);
            self.release(slot.instead);
        }
    }

    /// Every id that means something now.
    pub fn ids(&self) -> Vec<ContentId> {
        self.ids.values().copied().collect()
    }

    /// What routes that desire it are to have.
    pub fn in_force(&self, id: ContentId) -> ContentId {
        let instead = self.slots.get(id as usize).and_then(Option::as_ref).map_or(NOTHING, |slot| slot.instead);
        if instead == NOTHING { id } else { instead }
    }

    /// Puts something in force instead of a content, or with [`NOTHING`] the content itself. True where that is new.
    pub fn use_instead(&mut self, id: ContentId, instead: ContentId) -> bool {
        let Some(slot) = self.slot(id).filter(|slot| slot.instead != instead) else { return false };
        let before = std::mem::replace(&mut slot.instead, instead);
        self.retain(instead);
        self.release(before);
        true
    }

    /// Desired routes and senders that want it.
    pub fn users(&self, id: ContentId) -> u32 {
        self.slots.get(id as usize).and_then(Option::as_ref).map_or(0, |slot| slot.users)
    }

    /// Whether a desired route or a sender wants it.
    pub fn is_wanted(&self, id: ContentId) -> bool {
        self.users(id) > 0
    }

    /// The object to use for it; 0 for none.
    pub fn chosen(&self, id: ContentId, family: usize) -> u32 {
        self.slots.get(id as usize).and_then(Option::as_ref).map_or(0, |slot| slot.chosen[family])
    }

    /// The object to use for it as a member of groups that share packets; 0 for none.
    pub fn member(&self, id: ContentId, family: usize) -> u32 {
        self.slots.get(id as usize).and_then(Option::as_ref).map_or(0, |slot| slot.member[family])
    }

    pub fn choose_member(&mut self, id: ContentId, family: usize, object: u32) {
        if let Some(slot) = self.slot(id) {
            slot.member[family] = object;
        }
    }

    pub fn choose(&mut self, id: ContentId, family: usize, object: u32) {
        if let Some(slot) = self.slot(id) {
            slot.chosen[family] = object;
        }
    }
}
