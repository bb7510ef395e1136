//! One family's routes: selection, digests, and what readers have not taken yet.
//!
//! A prefix costs one slot of six bytes here. Its forwarding entry is not stored: it is the active route's next hop as
//! resolved, which every route that shares the next hop shares.

use crate::ahead::{Ahead, Changes};
use crate::digest::{Digest, prefix_entry_hash};
use crate::dirty::DirtySet;
use crate::forwarding::{ForwardingNexthopId, ForwardingNexthops};
use crate::local::{LocalCandidates, LocalRoute, LocalRoutes};
use crate::nexthop::{NexthopSetId, NexthopSets};
use crate::prefix_table::{PrefixId, PrefixTable};
use crate::rib::{ActiveRoute, BgpRoute};
use crate::{Family, Protocol};
use ipnet::IpNet;
use std::time::Duration;

const NO_NEXTHOP: u32 = u32::MAX;

/// There are direct or static candidates; look among the local routes.
const FLAG_LOCAL: u8 = 1;
/// The table holds a use of the prefix.
const FLAG_HELD: u8 = 2;
/// Counted among the destinations.
const FLAG_COUNTED: u8 = 4;
/// BGP's candidate gets no forwarding entry.
const FLAG_BGP_NOT_INSTALLED: u8 = 8;
/// Above the flags: index of the active protocol plus one; 0: none.
const ACTIVE_SHIFT: u32 = 4;

/// Packed: there is one for each prefix, and a quarter of it would be padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(2))]
struct Slot {
    bgp_nexthop: u32,
    bgp_preference: u8,
    flags: u8,
}

const EMPTY: Slot = Slot { bgp_nexthop: NO_NEXTHOP, bgp_preference: 0, flags: 0 };

impl Slot {
    fn active(&self) -> Option<Protocol> {
        let index = (self.flags >> ACTIVE_SHIFT).checked_sub(1)?;
        Some(Protocol::ALL[usize::from(index)])
    }

    fn set_active(&mut self, protocol: Option<Protocol>) {
        let active = protocol.map_or(0, |protocol| protocol.index() as u8 + 1);
        self.flags = self.flags & ((1 << ACTIVE_SHIFT) - 1) | active << ACTIVE_SHIFT;
    }

    fn bgp(&self) -> Option<BgpRoute> {
        let nexthop = NexthopSetId(self.bgp_nexthop);
        let installed = self.flags & FLAG_BGP_NOT_INSTALLED == 0;
        (self.bgp_nexthop != NO_NEXTHOP).then_some(BgpRoute { nexthop, preference: self.bgp_preference, installed })
    }

    /// BGP's candidate as a route.
    #[inline]
    fn bgp_route(&self) -> Option<ActiveRoute> {
        let BgpRoute { preference, nexthop, installed } = self.bgp()?;
        Some(ActiveRoute { protocol: Protocol::Bgp, preference, nexthop, installed, tag: 0 })
    }

    /// Whether its active route has a forwarding entry, as far as the slot alone says.
    fn is_forwarded(&self) -> bool {
        match self.active() {
            Some(Protocol::Bgp) => self.flags & FLAG_BGP_NOT_INSTALLED == 0,
            active => active.is_some_and(|protocol| protocol != Protocol::Direct),
        }
    }

    fn flag(&mut self, flag: u8, on: bool) {
        if on { self.flags |= flag } else { self.flags &= !flag }
    }
}

/// What a prefix's entries are at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub active: Option<ActiveRoute>,
    pub fib: Option<ForwardingNexthopId>,
}

/// What selection looks up.
pub(crate) struct Context<'a> {
    pub locals: &'a LocalRoutes,
    pub sets: &'a NexthopSets,
    pub forwarding: &'a ForwardingNexthops,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    family: Family,
    pub prefixes: PrefixTable,
    slots: Vec<Slot>,
    pub fib_dirty: DirtySet,
    /// In which order they are told.
    ahead: Ahead,
    changed: DirtySet,
    /// Handed out by the last `take_changed`; held until the next, so that the ids mean something to the reader.
    taken: Vec<PrefixId>,
    pub fib_digest: Digest,
    pub rib_digest: Digest,
    pub destinations: u64,
    pub routes: [u64; 4],
    pub active: [u64; 4],
}

impl Table {
    pub fn new(family: Family) -> Table {
        Table {
            family,
            prefixes: PrefixTable::new(family),
            slots: Vec::new(),
            fib_dirty: DirtySet::default(),
            ahead: Ahead::default(),
            changed: DirtySet::default(),
            taken: Vec::new(),
            fib_digest: Digest::default(),
            rib_digest: Digest::default(),
            destinations: 0,
            routes: [0; 4],
            active: [0; 4],
        }
    }

    fn slot(&self, id: PrefixId) -> Slot {
        self.slots.get(id.index()).copied().unwrap_or(EMPTY)
    }

    fn slot_mut(&mut self, id: PrefixId) -> &mut Slot {
        if id.index() >= self.slots.len() {
            self.slots.resize(id.index() + 1, EMPTY);
        }
        &mut self.slots[id.index()]
    }

    pub fn bgp(&self, id: PrefixId) -> Option<BgpRoute> {
        self.slot(id).bgp()
    }

    /// Puts BGP's candidate in place; the caller settles.
    pub fn set_bgp(&mut self, id: PrefixId, route: Option<BgpRoute>) {
        let slot = self.slot_mut(id);
        let before = slot.bgp().is_some();
        slot.bgp_nexthop = route.map_or(NO_NEXTHOP, |route| route.nexthop.0);
        slot.bgp_preference = route.map_or(0, |route| route.preference);
        slot.flag(FLAG_BGP_NOT_INSTALLED, route.is_some_and(|route| !route.installed));
        let count = &mut self.routes[Protocol::Bgp.index()];
        *count = *count + u64::from(route.is_some()) - u64::from(before);
    }

    /// Says that there are local candidates for a prefix; the caller settles.
    pub fn set_local(&mut self, id: PrefixId, any: bool) {
        self.slot_mut(id).flag(FLAG_LOCAL, any);
    }

    /// What this router itself says about a prefix: nothing about nearly all.
    pub fn locals(&self, id: PrefixId, locals: &LocalRoutes) -> LocalCandidates {
        if self.slot(id).flags & FLAG_LOCAL == 0 {
            return LocalCandidates::default();
        }
        locals.get(self.prefixes.prefix(id))
    }

    /// One protocol's candidate; `own`: [`Self::locals`] of the prefix.
    #[inline]
    fn candidate(&self, id: PrefixId, protocol: Protocol, own: &LocalCandidates) -> Option<ActiveRoute> {
        if protocol == Protocol::Bgp {
            return self.slot(id).bgp_route();
        }
        let LocalRoute { preference, nexthop, tag } = own.get(protocol)?;
        Some(ActiveRoute { protocol, preference, nexthop, installed: protocol != Protocol::Direct, tag })
    }

    #[inline]
    pub fn active_route(&self, id: PrefixId, locals: &LocalRoutes) -> Option<ActiveRoute> {
        let slot = self.slot(id);
        let protocol = slot.active()?;
        if protocol == Protocol::Bgp {
            return slot.bgp_route();
        }
        self.candidate(id, protocol, &self.locals(id, locals))
    }

    /// Every candidate, by protocol.
    #[inline]
    pub fn candidates(&self, id: PrefixId, locals: &LocalRoutes) -> impl Iterator<Item = ActiveRoute> {
        let own = self.locals(id, locals);
        Protocol::ALL.into_iter().filter_map(move |protocol| self.candidate(id, protocol, &own))
    }

    /// The prefix's entries as they were settled last.
    pub fn settled(&self, id: PrefixId, context: &Context) -> Outcome {
        let active = self.active_route(id, context.locals);
        let fib = active.filter(|route| route.installed);
        let fib = fib.and_then(|route| context.sets.get(route.nexthop)?.applied);
        Outcome { active, fib }
    }

    /// The reachable candidate of the lowest preference; of equal ones the earlier protocol.
    fn select(&self, id: PrefixId, context: &Context) -> Outcome {
        let resolution = |route: &ActiveRoute| context.sets.get(route.nexthop).and_then(|set| set.resolution);
        let slot = self.slot(id);
        let active = if slot.flags & FLAG_LOCAL == 0 {
            slot.bgp_route().filter(|route| resolution(route).is_some())
        } else {
            let reachable = self.candidates(id, context.locals).filter(|route| resolution(route).is_some());
            reachable.min_by_key(|route| (route.preference, route.protocol))
        };
        let fib = active.filter(|route| route.installed);
        Outcome { active, fib: fib.and_then(|route| Some(resolution(&route)?.forwarding)) }
    }

    /// Selects anew and carries the difference to what was `before` into digests, counters and readers' sets.
    pub fn settle(&mut self, id: PrefixId, before: Outcome, context: &Context) {
        let after = self.select(id, context);
        if self.slot(id) != EMPTY {
            self.slot_mut(id).set_active(after.active.map(|route| route.protocol));
        }
        if before != after {
            let prefix = self.prefixes.prefix(id);
            if before.active != after.active {
                self.account_active(&prefix, before.active, after.active, context);
                let local = |route: ActiveRoute| route.protocol != Protocol::Bgp;
                if before.active.is_some_and(local) || after.active.is_some_and(local) {
                    self.changed.insert(id.0);
                }
            }
            if before.fib != after.fib {
                let hash = |next_hop| context.forwarding.entry_hash(&prefix, next_hop);
                before.fib.into_iter().for_each(|old| self.fib_digest.remove(hash(old)));
                after.fib.into_iter().for_each(|new| self.fib_digest.add(hash(new)));
                self.fib_dirty.insert(id.0);
            }
        }
        self.sync_hold(id);
    }

    fn account_active(
        &mut self,
        prefix: &IpNet,
        old: Option<ActiveRoute>,
        new: Option<ActiveRoute>,
        context: &Context,
    ) {
        if let Some(route) = old {
            self.rib_digest.remove(rib_entry_hash(prefix, &route, context.sets));
            self.active[route.protocol.index()] -= 1;
        }
        if let Some(route) = new {
            self.rib_digest.add(rib_entry_hash(prefix, &route, context.sets));
            self.active[route.protocol.index()] += 1;
        }
    }

    /// Holds the prefix exactly while there is a candidate or a reader still has to hear of it.
    fn sync_hold(&mut self, id: PrefixId) {
        let waiting = self.fib_dirty.contains(id.0) || self.changed.contains(id.0);
        if id.index() >= self.slots.len() && !waiting {
            return;
        }
        let slot = self.slot_mut(id);
        let routed = slot.bgp_nexthop != NO_NEXTHOP || slot.flags & FLAG_LOCAL != 0;
        let (held, counted) = (slot.flags & FLAG_HELD != 0, slot.flags & FLAG_COUNTED != 0);
        slot.flag(FLAG_HELD, routed || waiting);
        slot.flag(FLAG_COUNTED, routed);
        self.destinations = self.destinations + u64::from(routed) - u64::from(counted);
        match (held, routed || waiting) {
            (false, true) => self.prefixes.retain(id),
            (true, false) => {
                self.prefixes.release(id);
            }
            _ => {}
        }
    }

    /// The next prefix whose forwarding entry changed (see [`crate::ahead`]), with its entry now; none as well while they are put in order.
    pub fn take_fib_change(&mut self, context: &Context) -> Option<(IpNet, Option<ForwardingNexthopId>)> {
        let Self { ahead, fib_dirty, prefixes, slots, fib_digest, .. } = self;
        let has_entry = |id: PrefixId| slots.get(id.index()).is_some_and(Slot::is_forwarded);
        let id = ahead.take(Changes { waiting: fib_dirty, prefixes, entries: fib_digest.entries, has_entry })?;
        let change = (self.prefixes.prefix(id), self.settled(id, context).fib);
        self.sync_hold(id);
        Some(change)
    }

    /// Goes on to put what changed in order, for a millisecond or two.
    pub fn put_fib_changes_in_order(&mut self, now: Option<Duration>) {
        let Self { ahead, fib_dirty, prefixes, slots, fib_digest, .. } = self;
        let has_entry = |id: PrefixId| slots.get(id.index()).is_some_and(Slot::is_forwarded);
        ahead.put_in_order(Changes { waiting: fib_dirty, prefixes, entries: fib_digest.entries, has_entry }, now);
    }

    /// Whether more of them are waited for.
    pub fn fib_changes_gather(&self) -> bool {
        self.ahead.gathers()
    }

    /// Whether no change can be taken before they have been put in order.
    pub fn fib_changes_are_held(&self) -> bool {
        self.ahead.waits()
    }

    /// Forgets the hold on what the last `take_changed` handed out.
    pub fn forget_taken(&mut self) {
        for id in std::mem::take(&mut self.taken) {
            self.prefixes.release(id);
        }
    }

    /// Up to `max` prefixes whose active route changed where a direct or static route is or was involved.
    pub fn take_changed(&mut self, max: usize, into: &mut Vec<(Family, PrefixId)>) {
        while into.len() < max
            && let Some(id) = self.changed.pop()
        {
            let id = PrefixId(id);
            self.prefixes.retain(id);
            self.taken.push(id);
            self.sync_hold(id);
            into.push((self.family, id));
        }
    }

    /// Ids of prefixes that may use one of the next hops that `uses` names: all with such a BGP route, and the local ones.
    pub fn users(&self, mut uses: impl FnMut(NexthopSetId) -> bool) -> Vec<PrefixId> {
        let slots = self.slots.iter().enumerate();
        let affected = slots.filter(|(_, slot)| {
            slot.flags & FLAG_LOCAL != 0 || slot.bgp_nexthop != NO_NEXTHOP && uses(NexthopSetId(slot.bgp_nexthop))
        });
        affected.map(|(index, _)| PrefixId(index as u32)).collect()
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.prefixes.memory_bytes() + self.slots.capacity() * size_of::<Slot>() + self.slots.len() / 4
    }
}

/// The hash of one active route in a table's digest: prefix; protocol octet (1 direct, 2 static, 3 bgp, 4 aggregate) and preference; the
/// next hop specification's canonical octets. Fixed for ever.
pub(crate) fn rib_entry_hash(prefix: &IpNet, route: &ActiveRoute, sets: &NexthopSets) -> u64 {
    let spec = sets.get(route.nexthop).map_or(&[0; 4][..], |set| &set.hashed);
    prefix_entry_hash(prefix, &[&[2, 0, 0, 0, route.protocol.digest_octet(), route.preference], spec])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_costs_six_bytes() {
        assert_eq!(size_of::<Slot>(), 6);
    }
}
