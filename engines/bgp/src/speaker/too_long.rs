//! Routes that do not fit into a message to a neighbour (RFC 4271 §9.2): since RFC 8654 a route may come in a message that is longer than
//! what others take, and our own AS or a policy may make it longer than any message.
//!
//! Such a route is told without the attributes that nothing depends on (RFC 8654 §4), if that is enough; else it is not told, and withdrawn where it
//! was. Which ones are not told is known by neighbour, for operators. It follows from what is told: an engine that takes over looks again.

use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;

use crate::wire::{AttributesTooLarge, PathAttributes, encode_announce};

use super::Speaker;
use super::action::Action;
use super::attributes::AttributeId;
use super::limits::{ALWAYS_FITS_LEN, TOO_LONG_SHOWN_MAX};
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

    /// The same as [`without_discardable`] of attributes that are interned.
    fn without_discardable(&mut self, noted: AttributeId) -> AttributeId {
        let Some(set) = self.attributes.get(noted) else { return AttributeId::NONE };
        let next_hop = set.next_hop();
        let shorter = without_discardable(&set.decode());
        shorter.map_or(AttributeId::NONE, |shorter| self.attributes.intern_values(&shorter, next_hop))
    }

    /// A route is not told because it has become longer than any message.
    pub(super) fn note_too_long(&mut self, id: NeighborId, family: Family, prefix: IpNet, octets: usize, rib: &Rib) {
        let up = self.get(id).and_then(|neighbor| neighbor.up.as_ref());
        let Some(format) = up.map(|up| up.negotiated.format()) else { return };
        let reason = AttributesTooLarge { octets, message_max_len: format.message_max_len };
        self.note_length(id, family, prefix, &reason, rib);
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

    /// Neighbours that are not told of a destination because of that, the first of them.
    pub(super) fn too_long_for(&self, family: Family, prefix: PrefixId) -> Vec<String> {
        let concerned = |neighbor: &&Neighbor| neighbor.families[family.index()].too_long.contains(&prefix);
        let concerned = self.neighbors.iter().flatten().filter(concerned).take(TOO_LONG_SHOWN_MAX);
        concerned.map(|neighbor| neighbor.address.to_string()).collect()
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
    /// long messages is looked at only where something is too long for any.
    pub(super) fn look_for_long_routes(&mut self, id: NeighborId) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families.iter_mut().for_each(|family| family.too_long.clear()); // of an earlier term
        }
        let takes_long = |neighbor: &Neighbor| neighbor.up.as_ref().is_some_and(|up| up.negotiated.extended_messages);
        let group = |neighbor: &Neighbor| self.groups.get(neighbor.place.group.0 as usize)?.as_ref();
        let tells_too_long = self.get(id).and_then(group).is_some_and(|group| group.has_too_long);
        if tells_too_long || self.attributes.has_long() && !self.get(id).is_some_and(takes_long) {
            self.advertise_anew(id);
        }
    }
}

/// Attributes without those that RFC 7606 lets a receiver discard because they change nothing about a route's choice or use (§2, §7.6, §7.7);
/// none: there are no such ones.
pub fn without_discardable(attributes: &PathAttributes) -> Option<PathAttributes> {
    let discardable = attributes.aggregator.is_some() || attributes.atomic_aggregate;
    discardable.then(|| PathAttributes { aggregator: None, atomic_aggregate: false, ..attributes.clone() })
}
