use std::time::Duration;

use hashbrown::HashMap;
use holdfast_proto::v1::{Fact, SnapshotSlice, fact, snapshot_slice};
use holdfast_rib::{Family, PrefixId, Rib};
use ipnet::IpNet;

use crate::wire::{Format, MessageType, Update, encode_announce};

use super::Speaker;
use super::attributes::AttributeId;
use super::facts::{fact_of, for_each_message};
use super::limits::OUTPUT_BATCH_LEN;
use super::restart::Stale;
use super::table::NeighborId;

/// A route in a slice: its path's identifier, where there is one, and its prefix.
type SliceRoute = (Option<u32>, IpNet);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum SliceKind {
    Received,
    Unrefreshed,
    Stale,
    Sent,
}

impl Speaker {
    /// Where a slice that begins at `from` ends: before `to`, if attributes are so long that it would not fit into a frame.
    pub(super) fn slice_end(&self, family: Family, from: u32, to: u32) -> u32 {
        let length = |id: AttributeId| self.attributes.get(id).map_or(0, |set| set.block().len());
        let mut octets = 0;
        for prefix in from..to {
            if octets > OUTPUT_BATCH_LEN {
                return prefix;
            }
            // A neighbour may tell several paths, and be told several; what is told on is not much longer.
            let received = self.tables[family.index()].paths(PrefixId(prefix)).map(|path| length(path.received));
            octets += received.sum::<usize>();
        }
        to
    }

    /// The part of a snapshot that one range of prefixes makes: every neighbour's routes, received and sent.
    pub(super) fn slices(&self, rib: &Rib, family: Family, range: std::ops::Range<u32>) -> Vec<Fact> {
        let mut parts: HashMap<(NeighborId, SliceKind, bool), HashMap<AttributeId, Vec<SliceRoute>>> = HashMap::new();
        let mut add = |(id, kind), attributes, route: SliceRoute| {
            let part = parts.entry((id, kind, route.0.is_some())).or_default();
            part.entry(attributes).or_default().push(route);
        };
        for prefix_id in range.map(PrefixId) {
            if rib.prefixes(family).try_prefix(prefix_id).is_none() {
                continue;
            }
            let prefix = rib.prefixes(family).prefix(prefix_id);
            for (identifier, path) in self.tables[family.index()].identified(prefix_id) {
                let Some(neighbor) = self.get(path.neighbor) else { continue };
                let waits = neighbor.families[family.index()].unrefreshed.as_ref();
                let waits = waits.is_some_and(|unrefreshed| unrefreshed.waits(prefix_id, identifier));
                let kind = if path.generation == neighbor.generation {
                    if waits { SliceKind::Unrefreshed } else { SliceKind::Received }
                } else if neighbor.is_stale(family, path.generation) {
                    SliceKind::Stale
                } else {
                    continue; // about to be swept
                };
                add((path.neighbor, kind), path.received, ((identifier != 0).then_some(identifier), prefix));
            }
            for neighbor in self.neighbors.iter().flatten() {
                for (slot, sent) in self.advertised(neighbor, family, prefix_id) {
                    let identifier = neighbor.sends_paths(family).then(|| slot.identifier());
                    add((neighbor.id, SliceKind::Sent), sent, (identifier, prefix));
                }
            }
        }
        let fact = |((id, kind, identified), routes)| self.slice_fact(id, kind, family, identified, &routes);
        parts.into_iter().filter_map(fact).collect()
    }

    fn slice_fact(
        &self,
        id: NeighborId,
        kind: SliceKind,
        family: Family,
        path_identifiers: bool,
        routes: &HashMap<AttributeId, Vec<SliceRoute>>,
    ) -> Option<Fact> {
        let mut messages = Vec::new();
        let neighbor = self.get(id)?;
        for (attributes, prefixes) in routes {
            let set = self.attributes.get(*attributes)?;
            // Our address may be gone before what was told under it is withdrawn.
            let told = neighbor.own.told(family, set).or(neighbor.told_under[family.index()]);
            let Some(next_hop) = told else { continue };
            let mut rest = prefixes.as_slice();
            while !rest.is_empty() {
                // What came in one message fits into one; if it ever did not, the digests would say so.
                let announce = |out: &mut _, format| encode_announce(out, family, set.block(), next_hop, rest, format);
                let taken = announce(&mut messages, Format::plain(true));
                let Ok(taken) = taken.or_else(|_| announce(&mut messages, Format::extended(true))) else { break };
                rest = &rest[taken..];
            }
        }
        let table = if kind == SliceKind::Sent { snapshot_slice::Table::Sent } else { snapshot_slice::Table::Received };
        let (stale, unrefreshed) = (kind == SliceKind::Stale, kind == SliceKind::Unrefreshed);
        let slice = SnapshotSlice { table: table.into(), messages, stale, unrefreshed, path_identifiers };
        Some(fact_of(neighbor.address, fact::Kind::Slice(slice)))
    }

    /// Routes of a snapshot that wait for the neighbour to return are all of its last session, whatever they were there.
    fn adopt_stale(&mut self, id: NeighborId, update: &Update<'_>) {
        let Some(neighbor) = self.get_mut(id) else { return };
        for family in Family::ALL.into_iter().filter(|family| update.announced(*family).next().is_some()) {
            let state = &mut neighbor.families[family.index()];
            state.sessions_kept = state.sessions_kept.max(1);
        }
    }

    pub(super) fn adopt_slice(&mut self, id: NeighborId, slice: &SnapshotSlice, rib: &mut Rib) -> Result<(), String> {
        let Some(neighbor) = self.get_mut(id) else { return Ok(()) };
        if slice.stale && neighbor.stale.is_none() {
            // The primary, of an older version, knows until when; its decision comes as a fact.
            neighbor.stale = Some(Stale::of_neighbor(Duration::MAX));
        }
        let generation = slice.stale.then(|| neighbor.generation.wrapping_sub(1));
        let parameters = neighbor.snapshot_parameters(slice.path_identifiers);
        for_each_message(&slice.messages, |kind, body| match (kind, slice.table()) {
            (MessageType::Update, snapshot_slice::Table::Received) => {
                let update = Update::parse(body, &parameters).map_err(|error| error.to_string())?;
                self.apply_update(id, &update, generation, rib);
                if slice.stale {
                    self.adopt_stale(id, &update);
                }
                if slice.unrefreshed {
                    self.adopt_unrefreshed(id, &update, rib);
                }
                Ok(())
            }
            (MessageType::Update, snapshot_slice::Table::Sent) => self.note_sent_update(id, body, &parameters, rib),
            _ => Err("a slice of a snapshot holds something else than UPDATEs".into()),
        })
    }
}
