//! Routes that do not fit into a message to a neighbour (RFC 4271 §9.2): since RFC 8654 a route may come in a message that is longer than
//! what others take.
//!
//! Such a route is told without the attributes that nothing depends on (RFC 8654 §4), if that is enough; else it is not told, and withdrawn where it
//! was. Which ones are not told is known by neighbour, for operators. It follows from what is told: an engine that takes over looks again.

use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;

use crate::wire::{AttributesTooLarge, PathAttributes, encode_announce};

use super::Speaker;
use super::action::Action;
use super::attributes::AttributeId;
use super::limits::ALWAYS_FITS_LEN;
use super::neighbor::Neighbor;
use super::table::NeighborId;

impl Speaker {
    /// What a neighbour is told of a route, as it is noted: with these attributes, with fewer, or nothing at all. One use of the result is counted for
    /// the caller in place of that of `noted`.
    pub(super) fn if_it_fits(
        &mut self,
        id: NeighborId,
        family: Family,
        prefix: IpNet,
        noted: AttributeId,
        rib: &mut Rib,
    ) -> AttributeId {
        let Some(reason) = self.why_too_long(id, family, prefix, noted) else { return noted };
        let shorter = self.without_discardable(noted);
        self.attributes.release(noted, rib);
        if !shorter.is_none() && self.why_too_long(id, family, prefix, shorter).is_none() {
            return shorter;
        }
        self.attributes.release(shorter, rib);
        self.note_length(id, family, prefix, &reason, rib);
        AttributeId::NONE
    }

    /// Why a route with these attributes has no room in a message to a neighbour; none: it has.
    fn why_too_long(
        &self,
        id: NeighborId,
        family: Family,
        prefix: IpNet,
        noted: AttributeId,
    ) -> Option<AttributesTooLarge> {
        let set = self.attributes.get(noted).filter(|set| set.block().len() > ALWAYS_FITS_LEN)?;
        let neighbor = self.get(id)?;
        let format = neighbor.up.as_ref()?.negotiated.format();
        let next_hop = neighbor.own.told(family, set)?;
        let route = (neighbor.sends_paths(family).then_some(0), prefix);
        encode_announce(&mut Vec::new(), family, set.block(), next_hop, &[route], format).err()
    }

    /// The same without the attributes that RFC 7606 lets a receiver discard because they change nothing about a route's choice or use (§2, §7.6,
    /// §7.7); none: there are no such ones.
    fn without_discardable(&mut self, noted: AttributeId) -> AttributeId {
        let Some(set) = self.attributes.get(noted) else { return AttributeId::NONE };
        let (attributes, next_hop) = (set.decode(), set.next_hop());
        if attributes.aggregator.is_none() && !attributes.atomic_aggregate {
            return AttributeId::NONE;
        }
        let shorter = PathAttributes { aggregator: None, atomic_aggregate: false, ..attributes };
        self.attributes.intern_values(&shorter, next_hop)
    }

    /// The operator is told in the log, once in a session: whoever has one such route has many. `show bgp neighbor` counts them.
    fn note_length(&mut self, id: NeighborId, family: Family, prefix: IpNet, reason: &AttributesTooLarge, rib: &Rib) {
        let (following, prefix_id) = (self.following, rib.prefixes(family).get(prefix));
        let Some(neighbor) = self.get_mut(id).filter(|_| !following) else { return };
        let state = &mut neighbor.families[family.index()];
        state.too_long.extend(prefix_id);
        if !std::mem::replace(&mut state.limit.warned_of_length, true) {
            let text =
                format!("neighbor {}: {prefix} is not told: {reason}; others like it are not named", neighbor.address);
            self.actions.push_back(Action::Warn { text });
        }
    }

    /// A destination is looked at anew for a neighbour.
    #[inline]
    pub(super) fn forget_length(&mut self, id: NeighborId, family: Family, prefix: PrefixId) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let too_long = &mut neighbor.families[family.index()].too_long;
        if !too_long.is_empty() {
            too_long.remove(&prefix);
        }
    }

    /// This engine leads from now on, and does not know what was too long for a neighbour; nothing of what it was told changes by that. Who takes
    /// long messages is not looked at: hardly anything is too long for it, and what is, is counted when it changes.
    pub(super) fn look_for_long_routes(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families.iter_mut().for_each(|family| family.too_long.clear()); // of an earlier term
        }
        let takes_long = |neighbor: &Neighbor| neighbor.up.as_ref().is_some_and(|up| up.negotiated.extended_messages);
        if self.attributes.has_long() && !self.get(id).is_some_and(takes_long) {
            self.advertise_anew(id);
        }
    }
}
