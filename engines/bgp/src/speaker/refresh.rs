//! Route refresh, both ways (RFC 2918, RFC 7313).
//!
//! Asked for our routes we repeat them (`output`), between a begin and an end where both sides know these marks. Asked by us, or
//! on its own, the neighbour marks as well: from the begin on all that it has told waits to be told again, and at the end what
//! was not is gone. What waits is a set of prefixes that exists only meanwhile. Marks are messages like all others, so
//! a follower comes to the same set; one that joins in the middle is told which routes wait.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_proto::v1::{BgpEvent, bgp_event};
use holdfast_rib::{DirtySet, Family, PrefixId, Rib};

use crate::wire::{RouteRefresh, Update, encode_route_refresh};

use super::action::Action;
use super::limits::BACKGROUND_BATCH;
use super::neighbor::Neighbor;
use super::table::{NeighborId, PathKey};
use super::{Speaker, facts};

/// Routes that wait to be told again.
pub struct Unrefreshed {
    /// To which destinations: the only paths there.
    prefixes: DirtySet,
    /// One of several paths there, with what the neighbour calls it (RFC 7911).
    paths: BTreeSet<(u32, u32)>,
    /// At the latest until then; none: what still waits is being taken out.
    pub until: Option<Duration>,
}

impl Unrefreshed {
    /// Nothing waits yet.
    pub fn new(until: Option<Duration>) -> Self {
        Self { prefixes: DirtySet::default(), paths: BTreeSet::new(), until }
    }

    /// Whether a path waits.
    pub fn contains(&self, prefix: PrefixId, identifier: u32) -> bool {
        match identifier {
            0 => self.prefixes.contains(prefix.0),
            _ => self.paths.contains(&(prefix.0, identifier)),
        }
    }

    /// How many do.
    pub fn len(&self) -> u64 {
        (self.prefixes.len() + self.paths.len()) as u64
    }

    /// Whether nothing does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, prefix: PrefixId, identifier: u32) {
        match identifier {
            0 => drop(self.prefixes.insert(prefix.0)),
            _ => drop(self.paths.insert((prefix.0, identifier))),
        }
    }

    fn remove(&mut self, prefix: PrefixId, identifier: u32) {
        match identifier {
            0 => drop(self.prefixes.remove(prefix.0)),
            _ => drop(self.paths.remove(&(prefix.0, identifier))),
        }
    }

    fn pop(&mut self) -> Option<(PrefixId, u32)> {
        let only = self.prefixes.pop().map(|prefix| (prefix, 0));
        only.or_else(|| self.paths.pop_first()).map(|(prefix, identifier)| (PrefixId(prefix), identifier))
    }
}

impl Neighbor {
    /// When the next refresh that does not end is ended for the neighbour.
    pub(super) fn refresh_ends(&self) -> Option<Duration> {
        self.families.iter().filter_map(|state| state.unrefreshed.as_ref()?.until).min()
    }

    /// A route was told or withdrawn, so it waits no longer.
    pub(super) fn note_told(&mut self, family: Family, prefix: PrefixId, identifier: u32) {
        if let Some(unrefreshed) = &mut self.families[family.index()].unrefreshed {
            unrefreshed.remove(prefix, identifier);
        }
    }
}

impl Speaker {
    /// A ROUTE-REFRESH.
    pub(super) fn refresh_heard(&mut self, id: NeighborId, message: RouteRefresh, now: Duration) {
        match message {
            RouteRefresh::Request(family) => self.refresh_requested(id, family),
            RouteRefresh::Begin(family) => self.refresh_begins(id, family, now),
            RouteRefresh::End(family) => self.refresh_ended(id, family),
            RouteRefresh::Ignored => {}
        }
    }

    /// Asks the neighbour for everything again, and applies import policy anew to what it has told.
    pub fn ask_anew(&mut self, id: NeighborId) {
        self.import_anew(id);
        let Some(neighbor) = self.get(id) else { return };
        let Some(up) = neighbor.up.as_ref().filter(|up| up.negotiated.route_refresh) else { return };
        let (side, exchanged) = (up.side, Family::ALL.map(|family| neighbor.exchanges(family)));
        for family in Family::ALL.into_iter().filter(|family| exchanged[family.index()]) {
            let mut message = Vec::new();
            encode_route_refresh(&mut message, family);
            self.actions.push_back(Action::Send { neighbor: id, side, message });
        }
    }

    /// RFC 7313 §4: all routes of the family wait, also those that waited before.
    fn refresh_begins(&mut self, id: NeighborId, family: Family, now: Duration) {
        let table = &self.tables[family.index()];
        let Some(neighbor) = self.get(id) else { return };
        let patience = Duration::from_secs(neighbor.config.stale_routes_time_s.into());
        let mut unrefreshed = Unrefreshed::new(Some(now + patience));
        for prefix in (0..table.capacity()).map(PrefixId) {
            let paths = table.of_neighbor(prefix, id).filter(|(_, path)| path.generation == neighbor.generation);
            paths.for_each(|(identifier, _)| unrefreshed.insert(prefix, identifier));
        }
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.families[family.index()].unrefreshed = Some(unrefreshed);
        }
    }

    /// What still waits goes, in slices.
    pub(super) fn refresh_ended(&mut self, id: NeighborId, family: Family) {
        let Some(neighbor) = self.get_mut(id) else { return };
        if let Some(unrefreshed) = &mut neighbor.families[family.index()].unrefreshed {
            unrefreshed.until = None;
        }
    }

    /// The neighbour has begun and does not end.
    pub(super) fn expire_refresh(&mut self, id: NeighborId, now: Duration) {
        for family in Family::ALL {
            let Some(neighbor) = self.get(id) else { return };
            let until = neighbor.families[family.index()].unrefreshed.as_ref().and_then(|waiting| waiting.until);
            if until.is_none_or(|until| until > now) {
                continue;
            }
            let event = BgpEvent { event: Some(bgp_event::Event::RefreshExpired(family.name().into())) };
            self.actions.push_back(Action::Replicate(Box::new(facts::event(neighbor.address, &event))));
            self.refresh_ended(id, family);
        }
    }

    /// A slice of what a refresh has left behind.
    pub(super) fn unrefreshed_slice(&mut self, id: NeighborId, family: Family, rib: &mut Rib) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let state = &mut neighbor.families[family.index()];
        let Some(unrefreshed) = state.unrefreshed.as_mut().filter(|unrefreshed| unrefreshed.until.is_none()) else {
            return;
        };
        let pop = || unrefreshed.pop();
        let batch: Vec<(PrefixId, u32)> = std::iter::from_fn(pop).take(BACKGROUND_BATCH as usize).collect();
        if unrefreshed.is_empty() {
            state.unrefreshed = None;
        }
        for (prefix, identifier) in batch {
            self.remove_path(PathKey { neighbor: id, identifier }, family, prefix, rib);
        }
    }

    /// Routes of a snapshot that wait to be told again; if nothing waits here any more, they were just being taken out.
    pub(super) fn adopt_unrefreshed(&mut self, id: NeighborId, update: &Update<'_>, rib: &Rib) {
        let Some(neighbor) = self.get_mut(id) else { return };
        for family in Family::ALL {
            for (identifier, prefix) in update.announced(family).identified() {
                let Some(prefix) = rib.prefixes(family).get(prefix) else { continue };
                let state = &mut neighbor.families[family.index()];
                state.unrefreshed.get_or_insert_with(|| Unrefreshed::new(None)).insert(prefix, identifier);
            }
        }
    }
}
