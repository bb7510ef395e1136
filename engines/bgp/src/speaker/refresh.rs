//! Route refresh, both ways (RFC 2918, RFC 7313).
//!
//! Asked for our routes we repeat them (`output`), between a begin and an end where both sides know these marks. Asked by us, or
//! on its own, the neighbour marks as well: from the begin on all that it has told waits to be told again, and at the end what
//! was not is gone. Noted is what was told since the begin, which costs nothing where nothing was: a neighbour may say begin as often
//! as it likes. What was not is looked for after the end, in slices. Marks are messages like all others, so a follower comes to
//! the same; one that joins in the middle is told which routes wait.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_proto::v1::{BgpEvent, bgp_event};
use holdfast_rib::{DirtySet, Family, PrefixId, Rib};
use smallvec::SmallVec;

use crate::wire::{RouteRefresh, Update, encode_route_refresh};

use super::action::Action;
use super::neighbor::Neighbor;
use super::table::{NeighborId, PathKey};
use super::{Speaker, facts};

/// A refresh that has begun: all routes of the present session wait to be told again, but for those that were told since.
pub struct Unrefreshed {
    /// To which destinations: the only paths there.
    prefixes: DirtySet,
    /// One of several paths there, with what the neighbour calls it (RFC 7911).
    paths: BTreeSet<(u32, u32)>,
    phase: Phase,
}

/// How far a refresh has come.
#[derive(Clone, Copy)]
enum Phase {
    /// The neighbour tells its routes, until then at the latest.
    Telling(Duration),
    /// What still waits is being taken out, from here on.
    Sweeping(u32),
}

impl Unrefreshed {
    /// Everything waits. `until`: the neighbour has so long to tell it; none: it has ended.
    pub fn new(until: Option<Duration>) -> Self {
        let phase = until.map_or(Phase::Sweeping(0), Phase::Telling);
        Self { prefixes: DirtySet::default(), paths: BTreeSet::new(), phase }
    }

    /// Whether a path of the present session waits.
    pub fn waits(&self, prefix: PrefixId, identifier: u32) -> bool {
        match identifier {
            0 => !self.prefixes.contains(prefix.0),
            _ => !self.paths.contains(&(prefix.0, identifier)),
        }
    }

    /// How many paths do not wait any more.
    pub fn told(&self) -> u64 {
        (self.prefixes.len() + self.paths.len()) as u64
    }

    /// By when the neighbour has to have told everything; none: it has ended.
    pub fn until(&self) -> Option<Duration> {
        match self.phase {
            Phase::Telling(until) => Some(until),
            Phase::Sweeping(_) => None,
        }
    }

    fn end(&mut self) {
        if let Phase::Telling(_) = self.phase {
            self.phase = Phase::Sweeping(0);
        }
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
}

impl Neighbor {
    /// When the next refresh that does not end is ended for the neighbour.
    pub(super) fn refresh_ends(&self) -> Option<Duration> {
        self.families.iter().filter_map(|state| state.unrefreshed.as_ref()?.until()).min()
    }

    /// A route was told, so it waits no longer.
    pub(super) fn note_told(&mut self, family: Family, prefix: PrefixId, identifier: u32) {
        if let Some(unrefreshed) = &mut self.families[family.index()].unrefreshed {
            unrefreshed.insert(prefix, identifier);
        }
    }

    /// A route is no more: nothing is noted of it.
    pub(super) fn note_gone(&mut self, family: Family, prefix: PrefixId, identifier: u32) {
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

    /// RFC 7313 §4: all routes of the family wait, also those that were told after an earlier begin. Who says End-of-RIB has to have said it.
    fn refresh_begins(&mut self, id: NeighborId, family: Family, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let says_end = neighbor.up.as_ref().is_some_and(|up| up.negotiated.peer_sends_end_of_rib);
        if says_end && !neighbor.families[family.index()].end_of_rib_received {
            return;
        }
        let patience = Duration::from_secs(neighbor.config.stale_routes_time_s.into());
        neighbor.families[family.index()].unrefreshed = Some(Unrefreshed::new(Some(now + patience)));
    }

    /// What still waits goes, in slices.
    pub(super) fn refresh_ended(&mut self, id: NeighborId, family: Family) {
        let Some(neighbor) = self.get_mut(id) else { return };
        if let Some(unrefreshed) = &mut neighbor.families[family.index()].unrefreshed {
            unrefreshed.end();
        }
    }

    /// The neighbour has begun and does not end.
    pub(super) fn expire_refresh(&mut self, id: NeighborId, now: Duration) {
        for family in Family::ALL {
            let Some(neighbor) = self.get(id) else { return };
            let until = neighbor.families[family.index()].unrefreshed.as_ref().and_then(Unrefreshed::until);
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
        let unrefreshed = |speaker: &Self| match speaker.get(id)?.families[family.index()].unrefreshed.as_ref()?.phase {
            Phase::Telling(_) => None,
            Phase::Sweeping(from) => Some(from),
        };
        let Some(from) = unrefreshed(self) else { return };
        let (range, next) = self.slice(family, from);
        for prefix in range.map(PrefixId) {
            for identifier in self.left_behind(id, family, prefix) {
                self.remove_path(PathKey { neighbor: id, identifier }, family, prefix, rib);
            }
        }
        let Some(neighbor) = self.get_mut(id) else { return };
        let state = &mut neighbor.families[family.index()].unrefreshed;
        match (next, state.as_mut()) {
            (Some(next), Some(unrefreshed)) => unrefreshed.phase = Phase::Sweeping(next),
            _ => *state = None,
        }
    }

    /// The paths to a destination that wait to be told again.
    fn left_behind(&self, id: NeighborId, family: Family, prefix: PrefixId) -> SmallVec<[u32; 4]> {
        let Some(neighbor) = self.get(id) else { return SmallVec::new() };
        let Some(unrefreshed) = &neighbor.families[family.index()].unrefreshed else { return SmallVec::new() };
        let paths = self.tables[family.index()].of_neighbor(prefix, id);
        let present = paths.filter(|(_, path)| path.generation == neighbor.generation);
        present.map(|(identifier, _)| identifier).filter(|identifier| unrefreshed.waits(prefix, *identifier)).collect()
    }

    /// Routes of a snapshot that wait to be told again. Where the neighbour has ended, they were just being taken out.
    pub(super) fn adopt_unrefreshed(&mut self, id: NeighborId, update: &Update<'_>, rib: &mut Rib) {
        for family in Family::ALL {
            for (identifier, prefix) in update.announced(family).identified() {
                let Some(prefix) = rib.prefixes(family).get(prefix) else { continue };
                let Some(neighbor) = self.get_mut(id) else { return };
                let unrefreshed = neighbor.families[family.index()].unrefreshed.as_mut();
                match unrefreshed.filter(|unrefreshed| unrefreshed.until().is_some()) {
                    Some(unrefreshed) => unrefreshed.remove(prefix, identifier),
                    None => self.remove_path(PathKey { neighbor: id, identifier }, family, prefix, rib),
                }
            }
        }
    }
}
