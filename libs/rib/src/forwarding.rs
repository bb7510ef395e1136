//! What the forwarding plane is told: resolved next hops, interned under dense ids.

use crate::digest::{Bytes, framed, prefix_entry_hash, push_address};
use hashbrown::HashMap;
use ipnet::IpNet;
use smallvec::SmallVec;
use std::net::IpAddr;

/// One resolved way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gateway {
    /// The neighbour on the link; none where the destination itself is on the link.
    pub address: Option<IpAddr>,
    /// The kernel's index of the interface.
    pub interface_index: u32,
    /// Share among the members of an ECMP group, from 1.
    pub weight: u16,
}

impl Gateway {
    fn push_to(&self, octets: &mut Bytes) {
        push_address(octets, self.address.as_ref());
        octets.extend_from_slice(&self.interface_index.to_le_bytes());
        octets.extend_from_slice(&self.weight.to_le_bytes());
    }
}

/// What happens to a packet that matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForwardingNexthop {
    /// Forwarded; sorted, no duplicates, never empty. More than one: ECMP.
    Unicast(SmallVec<[Gateway; 1]>),
    /// Forwarded through the first; through the second from the moment that the first one's link is lost. The kernel turns by itself
    /// (in pfed's objects both are members of one group), whatever the number of routes. Both weigh 1.
    Protected {
        /// The way in use.
        primary: Gateway,
        /// Another interface's or neighbour's, for the same destinations.
        backup: Gateway,
    },
    /// Dropped silently.
    Discard,
    /// Dropped, the sender is told.
    Reject,
}

impl ForwardingNexthop {
    /// Canonical octets, fixed for ever: a tag (1 unicast, 2 discard, 3 reject, 4 protected); for unicast the number of gateways
    /// (two octets), and of each its address, interface index (four) and weight (two), integers little endian; for protected the two
    /// gateways in the same form.
    fn canonical(&self) -> Bytes {
        let mut octets = Bytes::new();
        match self {
            ForwardingNexthop::Unicast(gateways) => {
                octets.push(1);
                octets.extend_from_slice(&(gateways.len() as u16).to_le_bytes());
                gateways.iter().for_each(|gateway| gateway.push_to(&mut octets));
            }
            ForwardingNexthop::Protected { primary, backup } => {
                octets.push(4);
                primary.push_to(&mut octets);
                backup.push_to(&mut octets);
            }
            ForwardingNexthop::Discard => octets.push(2),
            ForwardingNexthop::Reject => octets.push(3),
        }
        octets
    }
}

impl ForwardingNexthop {
    /// The ways that packets take now: all gateways that share them, or the one in use.
    pub fn gateways(&self) -> &[Gateway] {
        match self {
            ForwardingNexthop::Unicast(gateways) => gateways,
            ForwardingNexthop::Protected { primary, .. } => std::slice::from_ref(primary),
            ForwardingNexthop::Discard | ForwardingNexthop::Reject => &[],
        }
    }

    /// The way that stands by.
    pub fn backup(&self) -> Option<&Gateway> {
        match self {
            ForwardingNexthop::Protected { backup, .. } => Some(backup),
            _ => None,
        }
    }
}

/// The hash of one forwarding entry in the digest of a table: the same on every version.
pub fn fib_entry_hash(prefix: &IpNet, next_hop: &ForwardingNexthop) -> u64 {
    HashedNexthop::new(next_hop).entry_hash(prefix)
}

/// What of a next hop goes into the hashes of its entries, for who has many of them to hash.
#[derive(Clone, Debug)]
pub struct HashedNexthop(Bytes);

impl HashedNexthop {
    /// Of a next hop.
    pub fn new(next_hop: &ForwardingNexthop) -> HashedNexthop {
        HashedNexthop(framed(&next_hop.canonical()))
    }

    /// The same as [`fib_entry_hash`].
    pub fn entry_hash(&self, prefix: &IpNet) -> u64 {
        prefix_entry_hash(prefix, &[&self.0])
    }
}

/// An interned [`ForwardingNexthop`], dense, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ForwardingNexthopId(pub u32);

#[derive(Clone, Debug)]
struct Slot {
    next_hop: ForwardingNexthop,
    /// Its part in digests.
    hashed: HashedNexthop,
    users: u32,
}

/// The interner. An id that nobody uses any more is first *retired*: it keeps its meaning until the reader of the
/// forwarding table has taken the changes that moved routes away from it, and was told that it is released.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForwardingNexthops {
    slots: Vec<Option<Slot>>,
    ids: HashMap<ForwardingNexthop, ForwardingNexthopId>,
    free: Vec<ForwardingNexthopId>,
    retired: Vec<ForwardingNexthopId>,
}

impl ForwardingNexthops {
    /// The id of a next hop, with one more user.
    pub fn intern(&mut self, next_hop: ForwardingNexthop) -> ForwardingNexthopId {
        if let Some(id) = self.ids.get(&next_hop).copied() {
            if let Some(slot) = self.slot_mut(id) {
                slot.users += 1;
            }
            return id;
        }
        let slot = Slot { next_hop: next_hop.clone(), hashed: HashedNexthop::new(&next_hop), users: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id.0 as usize - 1] = Some(slot);
                id
            }
            None => {
                self.slots.push(Some(slot));
                ForwardingNexthopId(self.slots.len() as u32)
            }
        };
        self.ids.insert(next_hop, id);
        id
    }

    /// One user less.
    pub fn release(&mut self, id: ForwardingNexthopId) {
        let Some(slot) = self.slot_mut(id) else { return };
        slot.users = slot.users.saturating_sub(1);
        if slot.users == 0 && !self.retired.contains(&id) {
            self.retired.push(id);
        }
    }

    /// The meaning of an id; `Discard` for one that was never given out.
    pub fn get(&self, id: ForwardingNexthopId) -> &ForwardingNexthop {
        let slot = (id.0 as usize).checked_sub(1).and_then(|index| self.slots.get(index));
        match slot {
            Some(Some(slot)) => &slot.next_hop,
            _ => &ForwardingNexthop::Discard,
        }
    }

    /// The same as [`fib_entry_hash`] for an id.
    pub fn entry_hash(&self, prefix: &IpNet, id: ForwardingNexthopId) -> u64 {
        let slot = (id.0 as usize).checked_sub(1).and_then(|index| self.slots.get(index)?.as_ref());
        slot.map_or_else(|| prefix_entry_hash(prefix, &[&[0; 4]]), |slot| slot.hashed.entry_hash(prefix))
    }

    /// Frees what is retired and still unused, and says which. Only to be called when no change is left to take.
    pub fn take_released(&mut self) -> Vec<ForwardingNexthopId> {
        let retired = std::mem::take(&mut self.retired);
        let mut released = Vec::with_capacity(retired.len());
        for id in retired {
            let entry = &mut self.slots[id.0 as usize - 1];
            if entry.as_ref().is_some_and(|slot| slot.users == 0)
                && let Some(slot) = entry.take()
            {
                self.ids.remove(&slot.next_hop);
                self.free.push(id);
                released.push(id);
            }
        }
        released
    }

    /// Ids with a meaning, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (ForwardingNexthopId, &ForwardingNexthop)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((ForwardingNexthopId(index as u32 + 1), &slot.as_ref()?.next_hop)))
    }

    fn slot_mut(&mut self, id: ForwardingNexthopId) -> Option<&mut Slot> {
        self.slots.get_mut((id.0 as usize).checked_sub(1)?)?.as_mut()
    }
}
