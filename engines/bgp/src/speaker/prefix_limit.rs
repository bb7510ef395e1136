//! How many prefixes a neighbour may tell (RFC 4271 §6.7, RFC 4486 §4): it is warned of, what is too much is dropped, or the
//! session ends and rests. And how many paths to one of them (RFC 7911): what is too much is dropped.
//!
//! Only the engine that leads judges. What it dropped and how long a session rests does not follow from what the neighbour
//! said (a follower that is still reading its snapshot counts less), so both are facts. Had the leading engine died between a
//! message and the fact of what it dropped of it, its successor would hold that bit too much: no more than one read.

use std::time::Duration;

use holdfast_proto::v1::{BgpEvent, bgp_event, bgp_neighbor_config::PrefixLimit};
use holdfast_rib::{Family, Rib};
use ipnet::IpNet;

use crate::wire::{Format, Negotiated, NotificationMessage, Update, encode_withdraw};

use super::action::Action;
use super::limits::PATHS_RECEIVED_MAX;
use super::neighbor::{FamilyState, Neighbor, family_of};
use super::table::{NeighborId, PathKey};
use super::{Speaker, facts};

const SECONDS_PER_MINUTE: u64 = 60;

/// What a family's limits have done in this session.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitState {
    /// Routes that were dropped.
    pub dropped: u64,
    /// The operator was warned, by [`PrefixLimit::accepted`].
    warned: [bool; 2],
    /// The operator was told of paths that were dropped.
    warned_of_paths: bool,
    /// The operator was told of routes that are too long to be told.
    pub(super) warned_of_length: bool,
}

/// What a route is too much for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// A configured limit of prefixes.
    Prefixes,
    /// [`PATHS_RECEIVED_MAX`].
    Paths,
}

fn is_of(limit: &PrefixLimit, family: Family) -> bool {
    family_of(limit.family()) == Some(family)
}

fn counted(limit: &PrefixLimit, state: &FamilyState) -> u64 {
    if limit.accepted { state.accepted } else { state.received.entries }
}

fn name(limit: &PrefixLimit) -> &'static str {
    if limit.accepted { "accepted-prefix-limit" } else { "prefix-limit" }
}

impl Neighbor {
    /// Whether one more route of a family is too much and to be dropped.
    pub(super) fn drops_one_more(&self, family: Family, accepted: bool) -> bool {
        let state = &self.families[family.index()];
        let applies = |limit: &&PrefixLimit| limit.drop_excess && is_of(limit, family) && (accepted || !limit.accepted);
        let mut limits = self.config.prefix_limits.iter().filter(applies);
        limits.any(|limit| counted(limit, state) >= u64::from(limit.maximum))
    }

    /// What is accepted beyond a limit is dropped.
    pub(super) fn drops_accepted(&self, family: Family) -> bool {
        self.accepted_limits(family).next().is_some()
    }

    /// Whether one more accepted route of a family is too much and to be dropped.
    pub(super) fn accepts_no_more(&self, family: Family) -> bool {
        let accepted = self.families[family.index()].accepted;
        self.accepted_limits(family).any(|limit| accepted >= u64::from(limit.maximum))
    }

    fn accepted_limits(&self, family: Family) -> impl Iterator<Item = &PrefixLimit> {
        let limits = self.config.prefix_limits.iter();
        limits.filter(move |limit| limit.accepted && limit.drop_excess && is_of(limit, family))
    }

    /// The limit of a family that is exceeded and ends the session.
    fn exceeded(&self) -> Option<(Family, PrefixLimit)> {
        let over = |family: Family| {
            let state = &self.families[family.index()];
            let mut limits =
                self.config.prefix_limits.iter().filter(move |limit| limit.teardown && is_of(limit, family));
            let limit = limits.find(|limit| counted(limit, state) > u64::from(limit.maximum))?;
            Some((family, *limit))
        };
        Family::ALL.into_iter().find_map(over)
    }

    /// Limits that are near, and were not the last time.
    fn near(&mut self) -> Vec<String> {
        let mut near = Vec::new();
        for limit in &self.config.prefix_limits {
            let Some(family) = family_of(limit.family()) else { continue };
            let state = &mut self.families[family.index()];
            let (count, maximum) = (counted(limit, state), u64::from(limit.maximum));
            let is_near = count * 100 >= maximum * u64::from(limit.warn_percent);
            if is_near && !state.limit.warned[usize::from(limit.accepted)] {
                let (what, family) = (name(limit), family.name());
                near.push(format!("neighbor {}: {count} prefixes of {family}, {what} is {maximum}", self.address));
            }
            state.limit.warned[usize::from(limit.accepted)] = is_near;
        }
        near
    }

    /// The session rests because there were too many prefixes. In words.
    pub(super) fn why_idle(&self) -> Option<String> {
        let until = self.idle_until?;
        let end = if until == Duration::MAX { "until it is cleared" } else { "for the idle-timeout" };
        let remedy = "raise the limit, or have the neighbor tell less; clear bgp neighbor lets it come back at once";
        Some(format!("it told more prefixes than its limit and rests {end}: {remedy}"))
    }

    /// When the session comes up again by itself, or is tried to: after too many prefixes, or an error.
    pub(super) fn next_attempt(&self) -> Option<Duration> {
        self.session.next_attempt().or(self.idle_until).filter(|until| *until != Duration::MAX)
    }

    /// Limits, and what becomes of what exceeds them, in words.
    pub(super) fn limits_in_words(&self, rules: &mut Vec<String>) {
        for limit in &self.config.prefix_limits {
            let family = family_of(limit.family()).map_or("", |family| family.name());
            let then = match (limit.teardown, limit.drop_excess) {
                (true, _) => ", then the session ends",
                (_, true) => ", more are dropped",
                _ => "",
            };
            rules.push(format!("{} {family} {}{then}", name(limit), limit.maximum));
        }
    }
}

impl Speaker {
    /// After an UPDATE, and in time after another limit or another import policy: warns, or ends the session.
    pub(super) fn enforce_limits(&mut self, id: NeighborId, now: Duration) {
        let limited = |neighbor: &&mut Neighbor| neighbor.up.is_some() && !neighbor.config.prefix_limits.is_empty();
        let Some(neighbor) = self.get_mut(id).filter(limited) else { return };
        for text in neighbor.near() {
            self.actions.push_back(Action::Warn { text });
        }
        let Some(neighbor) = self.get_mut(id) else { return };
        let Some((family, limit)) = neighbor.exceeded() else { return };
        let notification = NotificationMessage::maximum_prefixes(family, limit.maximum);
        let idle = match limit.idle_minutes {
            Some(0) => Some(Duration::MAX),
            Some(minutes) => Some(now + Duration::from_secs(u64::from(minutes) * SECONDS_PER_MINUTE)),
            None => None,
        };
        match idle {
            Some(_) => neighbor.session.stop_with(notification, now),
            None => neighbor.session.fail(notification, now),
        }
        let (address, maximum) = (neighbor.address, limit.maximum);
        let text = format!("neighbor {address}: more than {maximum} prefixes of {}: the session ends", family.name());
        self.actions.push_back(Action::Warn { text });
        self.set_idle(id, idle);
    }

    /// The limit by which a route is one more than the neighbour may tell. A follower hears of it.
    pub(super) fn limit_reached(
        &self,
        key: PathKey,
        family: Family,
        prefix: IpNet,
        accepted: bool,
        rib: &Rib,
    ) -> Option<Limit> {
        let neighbor = self.get(key.neighbor).filter(|_| !self.following)?;
        let (full, several) = (neighbor.drops_one_more(family, accepted), neighbor.receives_paths(family));
        if !full && !several {
            return None;
        }
        let (mut present, mut known) = (0, false);
        if let Some(prefix_id) = rib.prefixes(family).get(prefix) {
            for (identifier, path) in self.tables[family.index()].of_neighbor(prefix_id, key.neighbor) {
                // One that was not accepted is one more where it is now.
                let newly = accepted && path.effective.is_none() && neighbor.accepts_no_more(family);
                known |= identifier == key.identifier && !newly;
                present += usize::from(path.generation == neighbor.generation); // what is stale goes in time
            }
        }
        match () {
            () if known => None,
            () if full => Some(Limit::Prefixes),
            () if several && present >= PATHS_RECEIVED_MAX => Some(Limit::Paths),
            () => None,
        }
    }

    /// A route is dropped for it. Paths that are too many have no statement, so an operator is told, once in a session.
    pub(super) fn note_excess(&mut self, id: NeighborId, family: Family, prefix: IpNet, limit: Limit) {
        let Some(neighbor) = self.get_mut(id).filter(|_| limit == Limit::Paths) else { return };
        if std::mem::replace(&mut neighbor.families[family.index()].limit.warned_of_paths, true) {
            return;
        }
        let text = format!(
            "neighbor {}: more than {PATHS_RECEIVED_MAX} paths to {prefix} are dropped; have the neighbor send fewer",
            neighbor.address
        );
        self.actions.push_back(Action::Warn { text });
    }

    fn set_idle(&mut self, id: NeighborId, until: Option<Duration>) {
        let Some(neighbor) = self.get_mut(id).filter(|neighbor| neighbor.idle_until != until) else { return };
        neighbor.idle_until = until;
        if self.following {
            return;
        }
        let Some(address) = self.neighbor_address(id) else { return };
        let event = facts::event(address, &idle_event(until));
        self.actions.push_back(Action::Replicate(Box::new(event)));
    }

    /// Rest is over when its time is.
    pub(super) fn end_idle(&mut self, id: NeighborId, now: Duration) {
        if self.get(id).is_some_and(|neighbor| neighbor.idle_until.is_some_and(|until| until <= now)) {
            self.wake(id, now);
        }
    }

    /// Rest is over.
    pub(super) fn wake(&mut self, id: NeighborId, now: Duration) {
        if self.get(id).is_none_or(|neighbor| neighbor.idle_until.is_none()) {
            return;
        }
        self.set_idle(id, None);
        let following = self.following;
        if let Some(neighbor) = self.get_mut(id).filter(|neighbor| !following && !neighbor.config.disable) {
            neighbor.session.start(now);
        }
    }

    /// Routes that were too much: followers drop them as well.
    pub(super) fn tell_dropped(&mut self, id: NeighborId, family: Family, excess: &[(u32, IpNet)]) {
        let Some(neighbor) = self.get_mut(id).filter(|_| !excess.is_empty()) else { return };
        neighbor.families[family.index()].limit.dropped += excess.len() as u64;
        let mut updates = Vec::new();
        let identified = neighbor.receives_paths(family);
        let named = excess.iter().map(|(identifier, prefix)| (identified.then_some(*identifier), *prefix));
        let routes: Vec<(Option<u32>, IpNet)> = named.collect();
        let mut rest = routes.as_slice();
        while !rest.is_empty() {
            rest = &rest[encode_withdraw(&mut updates, family, rest, Format::plain(true))..];
        }
        let event = BgpEvent { event: Some(bgp_event::Event::ExcessDropped(updates)) };
        let fact = facts::event(neighbor.address, &event);
        self.actions.push_back(Action::Replicate(Box::new(fact)));
    }

    /// The fact of [`Self::tell_dropped`].
    pub(super) fn adopt_dropped(&mut self, id: NeighborId, updates: &[u8], rib: &mut Rib) -> Result<(), String> {
        let Some(neighbor) = self.get(id) else { return Ok(()) };
        let receives_paths = Family::ALL.map(|family| neighbor.receives_paths(family));
        let parameters = Negotiated { receives_paths, ..neighbor.snapshot_parameters(false) };
        facts::for_each_message(updates, |_, body| {
            let update = Update::parse(body, &parameters).map_err(|error| error.to_string())?;
            for family in Family::ALL {
                for (identifier, prefix) in update.withdrawn(family).identified() {
                    self.drop_excess(PathKey { neighbor: id, identifier }, family, prefix, rib);
                }
            }
            Ok(())
        })
    }

    fn drop_excess(&mut self, key: PathKey, family: Family, prefix: IpNet, rib: &mut Rib) {
        if let Some(prefix_id) = rib.prefixes(family).get(prefix) {
            self.remove_path(key, family, prefix_id, rib);
        }
        if let Some(neighbor) = self.get_mut(key.neighbor) {
            neighbor.families[family.index()].limit.dropped += 1;
        }
    }
}

/// The fact of how long a session rests.
pub(super) fn idle_event(until: Option<Duration>) -> BgpEvent {
    let until = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
    BgpEvent { event: Some(bgp_event::Event::IdleUntilMonoNs(until)) }
}

/// The inverse.
pub(super) fn idle_until(mono_ns: u64) -> Option<Duration> {
    match mono_ns {
        0 => None,
        u64::MAX => Some(Duration::MAX),
        _ => Some(Duration::from_nanos(mono_ns)),
    }
}
