//! What routes say about where to go, interned, each with its resolution.

use crate::digest::{Bytes, framed, push_address};
use crate::forwarding::ForwardingNexthopId;
use crate::limits::GATEWAYS_MAX;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::net::IpAddr;

/// What a route says about where to go, before resolution.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NexthopSpec {
    /// Through these gateways; more than one is ECMP. Interning sorts them and drops duplicates.
    Gateways(SmallVec<[IpAddr; 1]>),
    /// The destination is on this link (the kernel's interface index).
    Interface(u32),
    /// A gateway on a named link: IPv6 link-local addresses mean nothing without one.
    ScopedGateway {
        /// The neighbour's address.
        address: IpAddr,
        /// The kernel's index of the link.
        interface_index: u32,
    },
    /// Through all of these at once, each one gateway: ECMP where a link-local address is among them. Interning sorts them and drops
    /// duplicates. See [`NexthopSpec::several`].
    Several(Vec<NexthopSpec>),
    /// Through all of these at once, each one gateway with its part of the packets, sorted. See [`NexthopSpec::weighted`].
    Weighted(Vec<(NexthopSpec, u16)>),
    /// Through the first; the second stands by for when the first is lost. Neither is protected itself.
    Protected(Box<[NexthopSpec; 2]>),
    /// Drop silently.
    Discard,
    /// Drop and tell the sender.
    Reject,
}

impl NexthopSpec {
    /// One gateway.
    pub fn gateway(address: IpAddr) -> NexthopSpec {
        NexthopSpec::Gateways(SmallVec::from_buf([address]))
    }

    /// Through all of these at once, each being one gateway. Equal meaning has equal form.
    pub fn several(ways: impl IntoIterator<Item = NexthopSpec>) -> NexthopSpec {
        let mut ways: Vec<NexthopSpec> = ways.into_iter().filter(NexthopSpec::is_one_gateway).collect();
        ways.sort_unstable();
        ways.dedup();
        let plain: Option<SmallVec<[IpAddr; 1]>> = ways.iter().map(NexthopSpec::plain_gateway).collect();
        match (plain, ways.len()) {
            (Some(gateways), _) => NexthopSpec::Gateways(gateways),
            (None, 1) => ways.remove(0),
            (None, _) => NexthopSpec::Several(ways),
        }
    }

    /// Through all of these at once, each being one gateway, with the parts that they have of the packets, from 1. Of the same one the greatest
    /// holds. Where all have the same it is what [`NexthopSpec::several`] says.
    pub fn weighted(ways: impl IntoIterator<Item = (NexthopSpec, u16)>) -> NexthopSpec {
        let mut ways: Vec<(NexthopSpec, u16)> = ways.into_iter().filter(|(way, _)| way.is_one_gateway()).collect();
        ways.sort_unstable_by(|(one, part), (other, others_part)| one.cmp(other).then(others_part.cmp(part)));
        ways.dedup_by(|(next, _), (kept, _)| next == kept);
        ways.truncate(GATEWAYS_MAX);
        match ways.iter().all(|(_, part)| *part == ways[0].1) {
            true => NexthopSpec::several(ways.into_iter().map(|(way, _)| way)),
            false => NexthopSpec::Weighted(ways),
        }
    }

    /// The address of one gateway on whatever link.
    fn plain_gateway(&self) -> Option<IpAddr> {
        match self {
            NexthopSpec::Gateways(gateways) => gateways.first().copied(),
            _ => None,
        }
    }

    /// Packets go to one neighbour.
    pub fn is_one_gateway(&self) -> bool {
        match self {
            NexthopSpec::Gateways(gateways) => gateways.len() == 1,
            NexthopSpec::ScopedGateway { .. } => true,
            _ => false,
        }
    }

    /// Packets go to several neighbours.
    pub fn is_shared(&self) -> bool {
        match self {
            NexthopSpec::Gateways(gateways) => gateways.len() > 1,
            NexthopSpec::Several(ways) => ways.len() > 1,
            NexthopSpec::Weighted(ways) => ways.len() > 1,
            _ => false,
        }
    }

    /// The first, with the second standing by. One that is protected already keeps the backup that it has.
    pub fn protected_by(self, backup: NexthopSpec) -> NexthopSpec {
        match (&self, &backup) {
            (NexthopSpec::Protected(_), _) | (_, NexthopSpec::Protected(_)) => self,
            _ => NexthopSpec::Protected(Box::new([self, backup])),
        }
    }

    /// Sorted, without duplicates, within the limit: equal meaning has equal form.
    fn normalized(mut self) -> NexthopSpec {
        match &mut self {
            NexthopSpec::Gateways(gateways) => {
                gateways.sort_unstable();
                gateways.dedup();
                gateways.truncate(GATEWAYS_MAX);
            }
            NexthopSpec::Several(ways) => {
                ways.sort_unstable();
                ways.dedup();
                ways.truncate(GATEWAYS_MAX);
            }
            NexthopSpec::Protected(ways) => {
                for way in ways.iter_mut() {
                    *way = std::mem::replace(way, NexthopSpec::Discard).normalized();
                }
            }
            _ => {}
        }
        self
    }

    /// Canonical octets, fixed for ever: a tag (1 gateways, 2 interface, 3 scoped gateway, 4 discard, 5 reject, 6 protected, 7 several,
    /// 8 weighted), then the number of gateways (two octets) and the addresses; the interface index (four); address and index; the two ways in
    /// the same form; their number (two octets) and they; or the same, each with its weight (two) behind it. Integers little endian.
    pub(crate) fn canonical(&self) -> Bytes {
        let mut octets = Bytes::new();
        match self {
            NexthopSpec::Gateways(gateways) => {
                octets.push(1);
                octets.extend_from_slice(&(gateways.len() as u16).to_le_bytes());
                gateways.iter().for_each(|address| push_address(&mut octets, Some(address)));
            }
            NexthopSpec::Interface(index) => {
                octets.push(2);
                octets.extend_from_slice(&index.to_le_bytes());
            }
            NexthopSpec::ScopedGateway { address, interface_index } => {
                octets.push(3);
                push_address(&mut octets, Some(address));
                octets.extend_from_slice(&interface_index.to_le_bytes());
            }
            NexthopSpec::Several(ways) => {
                octets.push(7);
                octets.extend_from_slice(&(ways.len() as u16).to_le_bytes());
                ways.iter().for_each(|way| octets.extend_from_slice(&way.canonical()));
            }
            NexthopSpec::Weighted(ways) => {
                octets.push(8);
                octets.extend_from_slice(&(ways.len() as u16).to_le_bytes());
                for (way, weight) in ways {
                    octets.extend_from_slice(&way.canonical());
                    octets.extend_from_slice(&weight.to_le_bytes());
                }
            }
            NexthopSpec::Protected(ways) => {
                octets.push(6);
                ways.iter().for_each(|way| octets.extend_from_slice(&way.canonical()));
            }
            NexthopSpec::Discard => octets.push(4),
            NexthopSpec::Reject => octets.push(5),
        }
        octets
    }
}

/// An interned [`NexthopSpec`]; reference-counted, dense, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NexthopSetId(pub u32);

/// How a next hop is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// 0 on a link of ours, 1 through a static route. Of an ECMP set the lowest.
    pub metric: u32,
    /// It shares a subnet with us, on whatever link, also where packets to it go by a static route; what is dropped does not leave us.
    pub on_link: bool,
}

/// What resolution made of a specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolution {
    pub metric: u32,
    /// See [`crate::Reach::on_link`].
    pub on_link: bool,
    pub forwarding: ForwardingNexthopId,
}

#[derive(Clone, Debug)]
pub(crate) struct NexthopSet {
    pub spec: NexthopSpec,
    /// The specification's part in digests, kept because every route that uses it is hashed with it.
    pub hashed: Bytes,
    users: u32,
    /// What holds now.
    pub resolution: Option<Resolution>,
    /// What the routes of the table were last settled with. Differs from `resolution` only while a change of resolution
    /// is being carried to the prefixes that use the set. The seam for an indirect next hop: where the kernel lets one
    /// nexthop object be replaced under its routes, that replacement takes the place of the walk.
    pub applied: Option<ForwardingNexthopId>,
    /// Changed since the last `take_changed`.
    changed: bool,
}

impl NexthopSet {
    fn new(spec: NexthopSpec) -> NexthopSet {
        let hashed = framed(&spec.canonical());
        NexthopSet { spec, hashed, users: 1, resolution: None, applied: None, changed: false }
    }

    /// A set that was not known before has not changed for anybody.
    pub fn forget_change(&mut self) {
        self.changed = false;
    }
}

/// All specifications in use.
#[derive(Clone, Debug, Default)]
pub(crate) struct NexthopSets {
    slots: Vec<Option<NexthopSet>>,
    ids: HashMap<NexthopSpec, NexthopSetId>,
    free: Vec<NexthopSetId>,
}

/// What interning found.
pub(crate) struct Interned {
    pub id: NexthopSetId,
    /// True when the specification was not known: the caller resolves it.
    pub fresh: bool,
}

impl NexthopSets {
    /// The id of a specification, with one more user.
    pub fn intern(&mut self, spec: NexthopSpec) -> Interned {
        let spec = spec.normalized();
        if let Some(id) = self.ids.get(&spec).copied() {
            self.retain(id);
            return Interned { id, fresh: false };
        }
        let set = NexthopSet::new(spec.clone());
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id.0 as usize] = Some(set);
                id
            }
            None => {
                self.slots.push(Some(set));
                NexthopSetId(self.slots.len() as u32 - 1)
            }
        };
        self.ids.insert(spec, id);
        Interned { id, fresh: true }
    }

    pub fn retain(&mut self, id: NexthopSetId) {
        if let Some(set) = self.get_mut(id) {
            set.users += 1;
        }
    }

    /// One user less; the set itself when it was the last.
    pub fn release(&mut self, id: NexthopSetId) -> Option<NexthopSet> {
        let set = self.get_mut(id)?;
        set.users -= 1;
        if set.users > 0 {
            return None;
        }
        let set = self.slots[id.0 as usize].take()?;
        self.ids.remove(&set.spec);
        self.free.push(id);
        Some(set)
    }

    pub fn get(&self, id: NexthopSetId) -> Option<&NexthopSet> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: NexthopSetId) -> Option<&mut NexthopSet> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// Records a new resolution; readers will hear of it when reachability, metric or nearness differ.
    pub fn set_resolution(&mut self, id: NexthopSetId, resolution: Option<Resolution>) {
        if let Some(set) = self.get_mut(id) {
            let reach = |resolution: Resolution| (resolution.metric, resolution.on_link);
            set.changed |= set.resolution.map(reach) != resolution.map(reach);
            set.resolution = resolution;
        }
    }

    /// Sets whose reachability, metric or nearness changed since the last call, ascending.
    pub fn take_changed(&mut self) -> Vec<NexthopSetId> {
        let mut changed = Vec::new();
        for (index, set) in self.slots.iter_mut().enumerate() {
            if let Some(set) = set
                && std::mem::take(&mut set.changed)
            {
                changed.push(NexthopSetId(index as u32));
            }
        }
        changed
    }

    /// Every id in use, ascending.
    pub fn ids(&self) -> Vec<NexthopSetId> {
        let used = self.slots.iter().enumerate().filter(|(_, set)| set.is_some());
        used.map(|(index, _)| NexthopSetId(index as u32)).collect()
    }

    /// Exclusive upper bound of the ids.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }
}
