use std::time::Duration;

use holdfast_policy::Protocol;
use holdfast_proto::v1::{BgpEvent, bgp_event};
use holdfast_rib::{Family, PrefixId, Protocol as RibProtocol, Rib};
use ipnet::IpNet;

use crate::wire::{RefreshMark, encode_announce, encode_end_of_rib, encode_refresh_mark, encode_withdraw};

use super::action::Action;
use super::advertised::advertised;
use super::attributes::{AttributeId, AttributeSet};
use super::export_rules::Teller;
use super::group::{Exported, ourselves};
use super::limits::{OUTPUT_AHEAD_LEN, OUTPUT_BATCH, OUTPUT_BATCH_LEN};
use super::local::LocalPart;
use super::neighbor::Neighbor;
use super::table::NeighborId;
use super::together::bring_together;
use super::told::Slot;
use super::{Speaker, facts};

/// A route in a message: its path's identifier, where the session has them, and its prefix.
type Route = (Option<u32>, IpNet);

/// A route to be announced, in the order in which they share messages.
type Announced = (AttributeId, PrefixId, Slot);

/// What a batch of prefixes has for a neighbour.
#[derive(Default)]
struct News {
    /// The session has path identifiers.
    identified: bool,
    withdrawn: Vec<Route>,
    announced: Vec<Announced>,
    /// Octets of attributes in it.
    octets: usize,
}

impl Speaker {
    /// Every neighbour looks at this prefix again when its socket has room. Who has told us the best route is told none: if it has
    /// none of us, there is nothing to look at. `leads`: BGP's route is the active one.
    pub(super) fn mark_dirty(&mut self, family: Family, prefix: PrefixId, leads: bool, rib: &mut Rib) {
        let teller = self.tables[family.index()].best(prefix).map(|best| best.neighbor);
        self.touch_aggregates(family, prefix, rib);
        let following = self.following;
        for neighbor in self.neighbors.iter_mut().flatten() {
            if !neighbor.exchanges(family) {
                continue;
            }
            let concerned = teller != Some(neighbor.id)
                || !leads
                || neighbor.config.route_server_client
                || neighbor.sends_paths(family)
                || !advertised(&self.groups, neighbor, family, prefix, Slot::ONLY).is_none()
                || neighbor.families[family.index()].too_long.contains(&prefix);
            if concerned {
                neighbor.mark_dirty(family, prefix, following, rib);
            }
        }
    }

    /// Routes of other protocols that changed may have to be advertised, or not any more.
    pub fn redistribute(&mut self, changed: &[(Family, PrefixId)], rib: &mut Rib) {
        for (family, prefix) in changed {
            self.mark_dirty(*family, *prefix, is_led_by_bgp(rib, *family, *prefix), rib);
        }
    }

    /// Whether a neighbour is to be told anything.
    pub fn has_output(&self, id: NeighborId) -> bool {
        !self.following && !self.is_recovering() && self.get(id).is_some_and(|neighbor| neighbor.has_output())
    }

    /// Appends UPDATEs for a neighbour to `out`, up to some [`OUTPUT_AHEAD_LEN`] bytes. What is appended counts as sent.
    pub fn fill_output(&mut self, id: NeighborId, rib: &mut Rib, out: &mut Vec<u8>, now: Duration) {
        if self.is_recovering() {
            return; // RFC 4724 §4.1: nothing, End-of-RIB above all, before routes are chosen
        }
        let before = out.len();
        for family in Family::ALL {
            while out.len() < OUTPUT_AHEAD_LEN && self.fill_family(id, family, rib, out) {}
        }
        if out.len() > before {
            let (messages, updates) = facts::count_messages(&out[before..]);
            if let Some(neighbor) = self.get_mut(id) {
                neighbor.counters.messages_out += messages;
                neighbor.counters.updates_out += updates;
                neighbor.last_written = now;
                neighbor.session.note_sent(messages, updates, now);
            }
        }
        self.forget_freed();
    }

    /// One batch for one family; false when there is nothing left to look at.
    fn fill_family(&mut self, id: NeighborId, family: Family, rib: &mut Rib, out: &mut Vec<u8>) -> bool {
        let Some(neighbor) = self.get_mut(id).filter(|neighbor| neighbor.exchanges(family)) else { return false };
        let state = &mut neighbor.families[family.index()];
        if !state.dirty.is_empty() {
            let batch: Vec<PrefixId> =
                std::iter::from_fn(|| state.dirty.pop().map(PrefixId)).take(OUTPUT_BATCH).collect();
            let done = self.advertise(id, family, &batch, rib, out);
            self.mark_again(id, family, &batch[done..], rib);
            for prefix in batch {
                rib.prefixes_mut(family).release(prefix);
            }
            return true;
        }
        if let Some(from) = state.initial {
            let capacity = rib.prefixes(family).capacity();
            let to = capacity.min(from + OUTPUT_BATCH as u32);
            let batch: Vec<PrefixId> = (from..to).map(PrefixId).collect();
            let next = from + self.advertise(id, family, &batch, rib, out) as u32;
            if let Some(neighbor) = self.get_mut(id) {
                neighbor.families[family.index()].initial = (next < capacity).then_some(next);
            }
            self.end_initial(id, family, out);
            return true;
        }
        if let Some(from) = state.refresh {
            self.repeat(id, family, from, rib, out);
            return true;
        }
        false
    }

    /// RFC 4724 §2: End-of-RIB follows the first advertisement of the whole table, always.
    fn end_initial(&mut self, id: NeighborId, family: Family, out: &mut Vec<u8>) {
        if let Some(neighbor) = self.get_mut(id) {
            let state = &mut neighbor.families[family.index()];
            if state.initial.is_none() && !state.end_of_rib_sent {
                state.end_of_rib_sent = true;
                encode_end_of_rib(out, family);
            }
        }
    }

    /// Prefixes of a batch that had no room.
    fn mark_again(&mut self, id: NeighborId, family: Family, rest: &[PrefixId], rib: &mut Rib) {
        for prefix in rest {
            if self.get_mut(id).is_some_and(|neighbor| neighbor.families[family.index()].dirty.insert(prefix.0)) {
                rib.prefixes_mut(family).retain(*prefix);
            }
        }
    }

    /// Compares what the neighbour should have with what it has, and writes the difference. Returns how many of the batch were
    /// looked at: all, unless their attributes are very long.
    fn advertise(
        &mut self,
        id: NeighborId,
        family: Family,
        batch: &[PrefixId],
        rib: &mut Rib,
        out: &mut Vec<u8>,
    ) -> usize {
        let Some(format) = self.get(id).and_then(|neighbor| Some(neighbor.up.as_ref()?.negotiated.format())) else {
            return batch.len();
        };
        let identified = self.get(id).is_some_and(|neighbor| neighbor.sends_paths(family));
        let mut news = News { identified, ..News::default() };
        let mut looked_at = 0;
        for prefix_id in batch {
            if news.octets > OUTPUT_BATCH_LEN {
                break;
            }
            looked_at += 1;
            self.forget_length(id, family, *prefix_id);
            let Some(prefix) = rib.prefixes(family).try_prefix(*prefix_id) else { continue };
            let route = (*prefix_id, prefix);
            if identified {
                for wanted in self.wanted(id, family, *prefix_id, rib) {
                    self.tell((id, family), route, wanted, &mut news, rib);
                }
            } else {
                let wanted = self.wanted_only(id, family, *prefix_id, rib);
                self.tell((id, family), route, (Slot::ONLY, wanted), &mut news, rib);
            }
        }
        let mut rest = news.withdrawn.as_slice();
        while !rest.is_empty() {
            rest = &rest[encode_withdraw(out, family, rest, format)..];
        }
        self.write_announcements(id, family, news.announced, rib, out);
        looked_at
    }

    /// Notes what a neighbour is to have in a slot, of which one use is counted for us; what is new to it is news.
    fn tell(
        &mut self,
        (id, family): (NeighborId, Family),
        (prefix_id, prefix): (PrefixId, IpNet),
        (slot, wanted): (Slot, AttributeId),
        news: &mut News,
        rib: &mut Rib,
    ) {
        if !wanted.is_none() {
            self.forget_length(id, family, prefix_id); // it is told of another path
        }
        if self.set_advertised(id, family, (prefix_id, prefix), slot, wanted, rib) {
            if wanted.is_none() {
                news.withdrawn.push((news.identified.then(|| slot.identifier()), prefix));
            } else {
                if news.announced.last().is_none_or(|(last, ..)| *last != wanted) {
                    news.octets += self.attributes.get(wanted).map_or(0, |set| set.block().len());
                }
                news.announced.push((wanted, prefix_id, slot));
            }
        }
        self.attributes.release(wanted, rib);
    }

    fn write_announcements(
        &mut self,
        id: NeighborId,
        family: Family,
        mut announced: Vec<Announced>,
        rib: &mut Rib,
        out: &mut Vec<u8>,
    ) {
        let Some(neighbor) = self.get(id) else { return };
        let own = neighbor.own;
        let identified = neighbor.sends_paths(family);
        let Some(format) = neighbor.up.as_ref().map(|up| up.negotiated.format()) else { return };
        // Prefixes of one attribute set share messages.
        bring_together(&mut announced, |(attributes, ..)| attributes.index() as u32);
        let mut routes: Vec<Route> = Vec::new();
        for run in announced.chunk_by(|one, other| one.0 == other.0) {
            routes.clear();
            routes.extend(run.iter().map(|(_, prefix, slot)| {
                (identified.then(|| slot.identifier()), rib.prefixes(family).prefix(*prefix))
            }));
            let Some(set) = self.attributes.get(run[0].0) else { continue };
            // Without an address of ours nothing is noted; one that went away has been noted, and is followed.
            let Some(next_hop) = own.told(family, set) else { continue };
            let mut rest = routes.as_slice();
            while !rest.is_empty() {
                match encode_announce(out, family, set.block(), next_hop, rest, format) {
                    Ok(taken) => rest = &rest[taken..],
                    Err(_) => break,
                }
            }
            if !rest.is_empty() {
                // Not met: `wanted` has looked. But what is not sent must not be noted.
                for route in rest {
                    let slot = route.0.and_then(Slot::of_identifier).unwrap_or(Slot::ONLY);
                    if let Some(prefix_id) = rib.prefixes(family).get(route.1) {
                        self.set_advertised(id, family, (prefix_id, route.1), slot, AttributeId::NONE, rib);
                    }
                    encode_withdraw(out, family, &[*route], format);
                }
            }
        }
    }

    /// Sends again what was sent, a batch of it.
    fn repeat(&mut self, id: NeighborId, family: Family, from: u32, rib: &mut Rib, out: &mut Vec<u8>) {
        let Some(neighbor) = self.get(id) else { return };
        let address = neighbor.address;
        let marks = neighbor.up.as_ref().is_some_and(|up| up.negotiated.enhanced_route_refresh);
        let capacity = self.advertised_capacity(neighbor, family);
        let mut to = capacity.min(from.saturating_add(OUTPUT_BATCH as u32));
        let mut again: Vec<Announced> = (from..to)
            .map(PrefixId)
            .flat_map(|prefix| {
                self.advertised(neighbor, family, prefix).map(move |(slot, attributes)| (attributes, prefix, slot))
            })
            .collect();
        if let Some(fit) = self.how_many_of(&again) {
            to = again[fit].1.0;
            again.truncate(fit);
        }
        let finished = to == capacity;
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].refresh = (!finished).then_some(to);
        }
        if marks && from == 0 {
            encode_refresh_mark(out, family, RefreshMark::Begin);
        }
        self.write_announcements(id, family, again, rib, out);
        if marks && finished {
            encode_refresh_mark(out, family, RefreshMark::End);
        }
        if finished {
            let event = BgpEvent { event: Some(bgp_event::Event::RefreshDone(family.name().into())) };
            self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
        }
    }

    /// How many of these routes are enough for one go; none: all.
    fn how_many_of(&self, routes: &[Announced]) -> Option<usize> {
        let mut octets = 0;
        let too_much = |at: &usize| {
            let is_run = *at > 0 && routes[at - 1].0 == routes[*at].0;
            let before = octets;
            octets += if is_run { 0 } else { self.attributes.get(routes[*at].0).map_or(0, |set| set.block().len()) };
            before > OUTPUT_BATCH_LEN
        };
        let enough = (0..routes.len()).find(too_much)?;
        // All paths to a prefix, or none.
        (enough..routes.len()).find(|at| routes[*at].1 != routes[*at - 1].1)
    }

    /// What the neighbour should be told about a destination now, if it is told one path. One use of it is counted for the caller.
    pub(super) fn wanted_only(
        &mut self,
        id: NeighborId,
        family: Family,
        prefix_id: PrefixId,
        rib: &mut Rib,
    ) -> AttributeId {
        let Some(neighbor) = self.get(id) else { return AttributeId::NONE };
        let (is_client, inactive_too) = (neighbor.config.route_server_client, neighbor.config.advertise_inactive);
        let Some(active) = rib.active(family, prefix_id) else { return AttributeId::NONE };
        let best = self.tables[family.index()].best(prefix_id);
        let protocol = match active.protocol {
            RibProtocol::Bgp => Protocol::Bgp,
            _ if inactive_too && best.is_some() => Protocol::Bgp,
            RibProtocol::Static => Protocol::Static,
            RibProtocol::Direct => Protocol::Direct,
            RibProtocol::Aggregate => Protocol::Aggregate,
        };
        if protocol != Protocol::Bgp {
            let prefix = rib.prefixes(family).prefix(prefix_id);
            let attributes = match protocol {
                Protocol::Aggregate => self.aggregate_attributes(&prefix),
                _ => self.local_origin,
            };
            let local = LocalPart { preference: Some(active.preference), tag: active.tag, ..LocalPart::default() };
            return self.export(id, attributes, prefix, (protocol, local), None, rib);
        }
        let Some(best) = best else { return AttributeId::NONE };
        let exported = if best.neighbor == id {
            AttributeId::NONE // it told us
        } else {
            self.export_path(id, family, prefix_id, best.neighbor, best.attributes, rib)
        };
        if exported.is_none() && is_client {
            return self.next_best_for_client(id, family, prefix_id, rib);
        }
        exported
    }

    /// What a path of one neighbour becomes for another. One use of it is counted for the caller.
    pub(super) fn export_path(
        &mut self,
        to: NeighborId,
        family: Family,
        prefix_id: PrefixId,
        from: NeighborId,
        attributes: AttributeId,
        rib: &mut Rib,
    ) -> AttributeId {
        let from = self.get(from).map(Neighbor::as_teller);
        let prefix = rib.prefixes(family).prefix(prefix_id);
        let local = self.attributes.get(attributes).map(AttributeSet::local).unwrap_or_default();
        self.export(to, attributes, prefix, (Protocol::Bgp, local), from, rib)
    }

    fn export(
        &mut self,
        to: NeighborId,
        attributes: AttributeId,
        prefix: IpNet,
        (protocol, local): (Protocol, LocalPart),
        from: Option<Teller>,
        rib: &mut Rib,
    ) -> AttributeId {
        let Some(group) = self.get(to).map(|neighbor| neighbor.place.group) else { return AttributeId::NONE };
        let Some(Some(group)) = self.groups.get_mut(group.0 as usize) else { return AttributeId::NONE };
        let family = Family::of(&prefix);
        let exported = match group.export(attributes, prefix, protocol, local, from, &mut self.attributes) {
            Exported::Nothing => return AttributeId::NONE,
            Exported::As(exported) => exported,
            Exported::TooLong(octets) => {
                self.note_too_long(to, family, prefix, octets, rib);
                return AttributeId::NONE;
            }
        };
        let noted = self.as_noted(to, family, exported, rib);
        self.if_it_fits(to, family, prefix, noted, rib)
    }

    /// What a group exports as it is noted for one member: its own next hop is another one, or there is none.
    fn as_noted(&mut self, id: NeighborId, family: Family, exported: AttributeId, rib: &mut Rib) -> AttributeId {
        let (Some(set), Some(neighbor)) = (self.attributes.get(exported), self.get(id)) else { return exported };
        let own = &neighbor.own;
        if set.leads_to_ourselves_by(family) && own.next_hop(family).is_some() {
            return exported;
        }
        let next_hop = set.next_hop();
        let noted = match set.leads_to_ourselves() || !own.understands(family, &next_hop) {
            true => ourselves(family),
            false => neighbor.noted(family, next_hop),
        };
        if noted == ourselves(family) && own.next_hop(family).is_none() {
            self.attributes.release(exported, rib);
            return AttributeId::NONE;
        }
        if next_hop == noted {
            return exported;
        }
        let block = set.block().to_vec();
        let result = self.attributes.intern(&block, noted).unwrap_or_default();
        self.attributes.release(exported, rib);
        result
    }

    /// RFC 2918: the neighbour asks for everything again.
    pub(super) fn refresh_requested(&mut self, id: NeighborId, family: Family) {
        if let Some(neighbor) = self.get_mut(id)
            && neighbor.exchanges(family)
        {
            neighbor.families[family.index()].refresh = Some(0);
        }
    }
}

/// Whether BGP's route to a destination is the active one.
pub(super) fn is_led_by_bgp(rib: &Rib, family: Family, prefix: PrefixId) -> bool {
    rib.active(family, prefix).is_some_and(|active| active.protocol == RibProtocol::Bgp)
}
