//! The kernel's nexthop objects of ours, with the sums over the routes that use each.

use hashbrown::HashMap;
use holdfast_kernel::netlink::RouteTarget;
use holdfast_rib::Digest;

use super::contents::{self, ContentId};

/// The place of an object in the mirror (not the kernel's number).
pub type ObjectIndex = u32;
/// No route in the kernel.
pub const NOTHING: ObjectIndex = 0;
/// Routes of type blackhole.
pub const DISCARD: ObjectIndex = 1;
/// Routes of type unreachable.
pub const REJECT: ObjectIndex = 2;
/// Routes with our mark that lead where we do not understand; equal to nothing that can be desired.
pub const ODD: ObjectIndex = 3;

/// Our objects' numbers begin here.
const KERNEL_IDS_FIRST: u32 = 0x4800_0000;

/// One object.
#[derive(Debug, Default)]
pub struct Object {
    /// The kernel's number; 0 for the fixed ones.
    pub kernel_id: u32,
    /// What it stands for; [`contents::NOTHING`] where we do not understand it.
    pub content: ContentId,
    /// Its own family (0 IPv4, 1 IPv6).
    pub family: usize,
    /// False once the kernel has dropped it, with every route that used it.
    pub alive: bool,
    /// Whether the kernel has confirmed it (or told of it).
    pub confirmed: bool,
    /// Routes in the mirror that use it.
    pub routes: u32,
    /// A route of the mirror has used it: the kernel may still have one whose change is on its way.
    pub had_routes: bool,
    /// Living groups it is a member of.
    pub groups: u32,
    /// It is, or was, a member of groups, and no route's own object ([`super::seats`]).
    pub reserved: bool,
    /// A group of this kind (one way and another that stands by) stays one.
    pub resilient: bool,
    /// The kernel has refused to have it changed.
    pub stays: bool,
    /// Its members, where it is a group.
    pub members: Vec<ObjectIndex>,
    /// Per family of the route: the digest over its routes.
    pub digest: [Digest; 2],
    /// Of its routes: those whose desired content it has.
    pub matching: [u32; 2],
    /// Of its routes: those that nobody desires.
    pub undesired: [u32; 2],
    /// It had no use at the last sweep.
    pub was_idle: bool,
}

#[derive(Debug)]
pub struct Objects {
    slots: Vec<Option<Object>>,
    by_kernel_id: HashMap<u32, ObjectIndex>,
    free: Vec<ObjectIndex>,
    next_kernel_id: u32,
}

impl Objects {
    pub fn new() -> Self {
        let fixed = |content| Some(Object { content, alive: true, confirmed: true, groups: 1, ..Object::default() });
        let slots = vec![None, fixed(contents::DISCARD), fixed(contents::REJECT), fixed(contents::NOTHING)];
        Self { slots, by_kernel_id: HashMap::new(), free: Vec::new(), next_kernel_id: KERNEL_IDS_FIRST }
    }

    pub fn get(&self, index: ObjectIndex) -> Option<&Object> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, index: ObjectIndex) -> Option<&mut Object> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// The object, if the kernel has it.
    pub fn living(&self, index: ObjectIndex) -> Option<&Object> {
        self.get(index).filter(|object| object.alive)
    }

    pub fn by_kernel_id(&self, id: u32) -> Option<ObjectIndex> {
        self.by_kernel_id.get(&id).copied()
    }

    /// The object that a route with this target uses.
    pub fn of_target(&self, target: RouteTarget) -> ObjectIndex {
        match target {
            RouteTarget::Blackhole => DISCARD,
            RouteTarget::Unreachable => REJECT,
            RouteTarget::Nexthop(id) => self.by_kernel_id(id).unwrap_or(ODD),
            RouteTarget::Other => ODD,
        }
    }

    /// How a route says that it uses this object.
    pub fn target(&self, index: ObjectIndex) -> Option<RouteTarget> {
        match index {
            NOTHING => None,
            DISCARD => Some(RouteTarget::Blackhole),
            REJECT => Some(RouteTarget::Unreachable),
            ODD => Some(RouteTarget::Other),
            _ => self.living(index).map(|object| RouteTarget::Nexthop(object.kernel_id)),
        }
    }

    pub fn insert(&mut self, object: Object) -> ObjectIndex {
        self.next_kernel_id = self.next_kernel_id.max(object.kernel_id.saturating_add(1));
        let kernel_id = object.kernel_id;
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(object);
                index
            }
            None => {
                self.slots.push(Some(object));
                (self.slots.len() - 1) as ObjectIndex
            }
        };
        self.by_kernel_id.insert(kernel_id, index);
        index
    }

    /// Forgets the kernel's number of a dead object; the slot stays while routes or groups refer to it.
    pub fn forget_kernel_id(&mut self, id: u32) {
        self.by_kernel_id.remove(&id);
    }

    /// Frees the slot of a dead object without references; returns its content.
    pub fn free_if_unused(&mut self, index: ObjectIndex) -> Option<ContentId> {
        let entry = self.slots.get_mut(index as usize)?;
        if !entry.as_ref().is_some_and(|object| !object.alive && object.routes == 0 && object.groups == 0) {
            return None;
        }
        self.free.push(index);
        entry.take().map(|object| object.content)
    }

    /// A number that no object has. Above all we have met; after the last one from the beginning again.
    pub fn new_kernel_id(&mut self) -> u32 {
        if self.next_kernel_id >= i32::MAX as u32 {
            self.next_kernel_id = KERNEL_IDS_FIRST;
        }
        while self.by_kernel_id.contains_key(&self.next_kernel_id) {
            self.next_kernel_id += 1;
        }
        self.next_kernel_id += 1;
        self.next_kernel_id - 1
    }

    /// The numbers of the living.
    pub fn kernel_ids(&self) -> impl Iterator<Item = (u32, ObjectIndex)> + '_ {
        self.by_kernel_id.iter().map(|(id, index)| (*id, *index))
    }

    /// How many the kernel has.
    pub fn alive(&self) -> u64 {
        self.by_kernel_id.len() as u64
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Object> {
        self.slots.iter_mut().flatten()
    }
}
