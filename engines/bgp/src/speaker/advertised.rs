//! What each neighbour has from us: in the tables of its group, where those who are told the same share one note.

use holdfast_rib::{Digest, Family, PrefixId, Rib};
use ipnet::IpNet;

use super::Speaker;
use super::attributes::AttributeId;
use super::group::{ExportGroup, GroupId, GroupKey};
use super::limits::BACKGROUND_BATCH;
use super::neighbor::Neighbor;
use super::table::NeighborId;
use super::told::{Seat, Slot, Told};

/// Where what a neighbour has is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose tables.
    pub group: GroupId,
    /// Which member it is there.
    pub seat: Seat,
}

impl Place {
    /// That of a neighbour which never had a session.
    pub const NONE: Place = Place { group: GroupId(u16::MAX), seat: Seat(0) };
}

/// A neighbour's export changed in its session: what it has moves from the group it was in, in slices.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// What is not moved yet is noted there.
    pub from: Place,
    /// By family: the move goes on here.
    next: [u32; 2],
}

impl Neighbor {
    fn places(&self) -> impl Iterator<Item = Place> {
        std::iter::once(self.place).chain(self.leaving.map(|leaving| leaving.from))
    }
}

/// What a neighbour has from us for a prefix.
pub fn advertised(
    groups: &[Option<ExportGroup>],
    neighbor: &Neighbor,
    family: Family,
    prefix: PrefixId,
    slot: Slot,
) -> AttributeId {
    let noted = |place: Place| {
        let told = groups.get(place.group.0 as usize)?.as_ref()?.told(family, slot)?;
        Some(told.get(prefix.0, place.seat)).filter(|attributes| !attributes.is_none())
    };
    neighbor.places().find_map(noted).unwrap_or_default()
}

impl Speaker {
    /// What a neighbour has from us for a prefix, in one slot.
    pub(super) fn advertised_in(
        &self,
        neighbor: &Neighbor,
        family: Family,
        prefix: PrefixId,
        slot: Slot,
    ) -> AttributeId {
        advertised(&self.groups, neighbor, family, prefix, slot)
    }

    /// Everything that a neighbour has from us for a prefix.
    pub(super) fn advertised<'a>(
        &'a self,
        neighbor: &'a Neighbor,
        family: Family,
        prefix: PrefixId,
    ) -> impl Iterator<Item = (Slot, AttributeId)> + 'a {
        let noted = move |slot| (slot, self.advertised_in(neighbor, family, prefix, slot));
        self.advertised_slots(neighbor, family).map(noted).filter(|(_, attributes)| !attributes.is_none())
    }

    /// Slots in which a neighbour may have something.
    fn advertised_slots(&self, neighbor: &Neighbor, family: Family) -> impl Iterator<Item = Slot> + use<> {
        let groups = neighbor.places().filter_map(|place| self.group(place.group));
        Slot::all().take(groups.map(|group| group.slots(family).count()).max().unwrap_or(0))
    }

    /// Upper bound of the prefixes that a neighbour may have.
    pub(super) fn advertised_capacity(&self, neighbor: &Neighbor, family: Family) -> u32 {
        let groups = neighbor.places().filter_map(|place| self.group(place.group));
        let told = groups.flat_map(|group| group.slots(family).filter_map(|slot| group.told(family, slot)));
        told.map(Told::capacity).max().unwrap_or(0)
    }

    /// Notes what the neighbour has of us for a prefix; true when that is something else than before.
    pub(super) fn set_advertised(
        &mut self,
        id: NeighborId,
        family: Family,
        (prefix_id, prefix): (PrefixId, IpNet),
        slot: Slot,
        now_has: AttributeId,
        rib: &mut Rib,
    ) -> bool {
        let Some(neighbor) = self.neighbors.get_mut(id.0 as usize).and_then(Option::as_mut) else { return false };
        if neighbor.place == Place::NONE {
            return false; // it never had a session
        }
        let had = advertised(&self.groups, neighbor, family, prefix_id, slot);
        if had == now_has {
            return false;
        }
        let identifier = if neighbor.sends_paths(family) { slot.identifier() } else { 0 };
        let sent = &mut neighbor.families[family.index()].sent;
        if let Some(set) = self.attributes.get(now_has) {
            sent.add(set.path_hash(&prefix, identifier));
        }
        if let Some(set) = self.attributes.get(had) {
            sent.remove(set.path_hash(&prefix, identifier));
        }
        let (place, leaving) = (neighbor.place, neighbor.leaving);
        self.note(place, family, (prefix_id, slot), now_has, rib);
        if let Some(leaving) = leaving {
            self.note(leaving.from, family, (prefix_id, slot), AttributeId::NONE, rib);
        }
        true
    }

    /// Changes one note. What is in it is held, and with it the prefix.
    fn note(
        &mut self,
        place: Place,
        family: Family,
        (prefix, slot): (PrefixId, Slot),
        now_has: AttributeId,
        rib: &mut Rib,
    ) {
        let Some(Some(group)) = self.groups.get_mut(place.group.0 as usize) else { return };
        let capacity = rib.prefixes(family).capacity();
        let change = group.told_mut(family, slot).set(prefix.0, place.seat, now_has, capacity);
        if change.gained {
            self.attributes.retain(now_has);
        }
        if change.lost {
            self.attributes.release(change.had, rib);
        }
        if change.filled {
            rib.prefixes_mut(family).retain(prefix);
        }
        if change.emptied {
            rib.prefixes_mut(family).release(prefix);
        }
    }

    /// The session is over: the neighbour has nothing of us any more.
    pub(super) fn forget_advertised(&mut self, id: NeighborId, rib: &mut Rib) {
        for family in Family::ALL {
            let Some(neighbor) = self.get(id) else { return };
            let capacity = self.advertised_capacity(neighbor, family);
            let places: Vec<Place> = neighbor.places().collect();
            let slots: Vec<Slot> = self.advertised_slots(neighbor, family).collect();
            for (place, slot) in places.iter().flat_map(|place| slots.iter().map(move |slot| (*place, *slot))) {
                for prefix in (0..capacity).map(PrefixId) {
                    self.note(place, family, (prefix, slot), AttributeId::NONE, rib);
                }
            }
            let Some(neighbor) = self.get_mut(id) else { return };
            let state = &mut neighbor.families[family.index()];
            state.sent = Digest::default();
            while let Some(prefix) = state.dirty.pop().or_else(|| neighbor.delayed.waiting[family.index()].pop()) {
                rib.prefixes_mut(family).release(PrefixId(prefix));
            }
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.leaving = None;
        }
    }

    /// Puts a neighbour into the group of those that are told the same.
    pub(super) fn assign_group(&mut self, id: NeighborId, rib: &mut Rib) {
        let Some(neighbor) = self.get(id) else { return };
        let address = neighbor.address;
        let own = neighbor.own_addresses(rib);
        let key = GroupKey {
            chain: neighbor.export.clone(),
            rules: neighbor.export_rules(),
            target: neighbor.export.depends_on_target().then_some(address),
            path_counts: Family::ALL.map(|family| neighbor.path_count(family)),
        };
        self.set_own_addresses(id, own);
        self.join_group(id, key, rib);
        self.retire_groups();
    }

    fn group(&self, id: GroupId) -> Option<&ExportGroup> {
        self.groups.get(id.0 as usize)?.as_ref()
    }

    fn group_of(&mut self, key: GroupKey) -> GroupId {
        let found = self.groups.iter().position(|group| group.as_ref().is_some_and(|group| group.key == key));
        let index = found.unwrap_or_else(|| {
            let free = self.groups.iter().position(Option::is_none).unwrap_or_else(|| {
                self.groups.push(None);
                self.groups.len() - 1
            });
            self.groups[free] = Some(ExportGroup::new(key));
            free
        });
        GroupId(index as u16)
    }

    fn join_group(&mut self, id: NeighborId, key: GroupKey, rib: &mut Rib) {
        let Some(place) = self.get(id).map(|neighbor| neighbor.place) else { return };
        if self.group(place.group).is_some_and(|group| group.key == key) {
            return;
        }
        // It moves twice at once only if exports change faster than slices move: what is left of the first goes now.
        while self.get(id).is_some_and(|neighbor| neighbor.leaving.is_some()) {
            self.move_slice(id, rib);
        }
        let group = self.group_of(key);
        let seat = self.free_seat(group);
        let Some(neighbor) = self.get_mut(id) else { return };
        let from = std::mem::replace(&mut neighbor.place, Place { group, seat });
        let has_something = neighbor.families.iter().any(|state| state.sent.entries > 0);
        neighbor.leaving = has_something.then_some(Leaving { from, next: [0; 2] });
    }

    /// The lowest number that no member of a group has, nor one that is about to leave it.
    fn free_seat(&self, group: GroupId) -> Seat {
        let taken = self.neighbors.iter().flatten().flat_map(Neighbor::places).filter(|place| place.group == group);
        let mut taken: Vec<u16> = taken.map(|place| place.seat.0).collect();
        taken.sort_unstable();
        let free = (0u16..).zip(&taken).find(|(seat, taken)| seat != *taken);
        Seat(free.map_or(taken.len() as u16, |(seat, _)| seat))
    }

    /// One slice of what a neighbour has moves to the group that it is in now.
    pub(super) fn move_slice(&mut self, id: NeighborId, rib: &mut Rib) {
        let Some((place, leaving)) = self.get(id).and_then(|neighbor| Some((neighbor.place, neighbor.leaving?))) else {
            return;
        };
        let mut next = leaving.next;
        let mut all_moved = true;
        for family in Family::ALL {
            let Some(group) = self.group(leaving.from.group) else { continue };
            let slots: Vec<Slot> = group.slots(family).collect();
            let capacities = slots.iter().filter_map(|slot| group.told(family, *slot)).map(Told::capacity);
            let capacity = capacities.max().unwrap_or(0);
            let to = capacity.min(next[family.index()].saturating_add(BACKGROUND_BATCH));
            for slot in slots {
                for prefix in (next[family.index()]..to).map(PrefixId) {
                    let told = self.group(leaving.from.group).and_then(|group| group.told(family, slot));
                    let has = told.map_or(AttributeId::NONE, |told| told.get(prefix.0, leaving.from.seat));
                    if !has.is_none() {
                        self.note(place, family, (prefix, slot), has, rib);
                        self.note(leaving.from, family, (prefix, slot), AttributeId::NONE, rib);
                    }
                }
            }
            next[family.index()] = to;
            all_moved &= to == capacity;
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.leaving = (!all_moved).then_some(Leaving { next, ..leaving });
        }
        if all_moved {
            self.retire_groups();
        }
    }

    /// Groups without members are forgotten.
    pub(super) fn retire_groups(&mut self) {
        for index in 0..self.groups.len() {
            let group = GroupId(index as u16);
            let mut places = self.neighbors.iter().flatten().flat_map(Neighbor::places);
            if !places.any(|place| place.group == group) {
                self.groups[index] = None;
            }
        }
    }
}
