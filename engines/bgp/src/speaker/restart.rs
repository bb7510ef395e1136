//! Graceful restart (RFC 4724), on both sides of it: a neighbour restarts and we keep its routes, or we restart and keep them
//! as well, because nothing about them has changed.
//!
//! Our own restart is of single sessions: a new engine knows every route by facts, so best paths, RIB and forwarding
//! stay complete while a session that could not be carried over is made anew. Its routes wait as stale; the
//! neighbour tells them again; its End-of-RIB, family by family, says which of them are over. RFC 4724 §4.1 has a restarting
//! speaker defer its choice until then because it knows nothing; here there is nothing to defer, and the time
//! that the RFC asks for bounds only how long stale routes may wait.

use std::time::Duration;

use holdfast_proto::v1::{BgpEvent, GracefulRestart, SessionReadiness, SwitchoverMode, bgp_event};
use holdfast_rib::{Family, Rib};

use crate::session::{Rest, STEADY, Session};

use super::action::{Action, Kept};
use super::limits::HANDSHAKE_MAX;
use super::long_lived::long_lived_event;
use super::neighbor::{Neighbor, Up};
use super::table::NeighborId;
use super::{Speaker, facts};

/// Routes of an earlier session that wait to be told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Since the session ended; for an engine that joined later, since it heard of that. Zero until then.
    pub since: Duration,
    /// At the latest until then.
    pub until: Duration,
    /// Why.
    pub cause: StaleCause,
    /// How long they are kept beyond that if the neighbour is not back (RFC 9494), in seconds, by [`Family::index`].
    pub long_lived_s: [u32; 2],
}

impl Stale {
    /// The neighbour restarts; nothing is promised beyond that.
    pub fn of_neighbor(until: Duration) -> Stale {
        Stale { since: Duration::ZERO, until, cause: StaleCause::NeighborRestarts, long_lived_s: [0; 2] }
    }
}

/// Who has restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleCause {
    /// The neighbour (RFC 4724 §4.2): what it can no longer forward goes at once.
    NeighborRestarts,
    /// We have (RFC 4724 §4.1): the neighbour forwards as before, whatever it says of its own restarts.
    WeRestart,
}

/// Our own restart towards one neighbour.
#[derive(Clone, Debug)]
pub struct Restart {
    /// Why the session could not be carried over.
    pub reason: String,
    /// When it ended.
    pub since: Duration,
    /// Names the session that ended among the neighbour's paths.
    pub generation: u8,
    /// Routes that were kept.
    pub kept: u64,
    /// Of these, not told again.
    pub swept: u64,
    /// How it ended; `None`: it has not.
    pub end: Option<RestartEnd>,
    /// It is the whole router's: which routes were kept is known when they have been told again.
    pub whole_router: bool,
}

/// How our own restart towards one neighbour ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartEnd {
    /// Everything is told, in both directions, and what was not told again is swept.
    Complete(Duration),
    /// The neighbour did not come back in time, or went away again, or did not say End-of-RIB.
    Expired,
}

/// How a session would live through a switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// Its connection goes over.
    Nonstop,
    /// It is made anew; both sides keep their routes meanwhile.
    Restart,
    /// It is made anew, and the neighbour gives up our routes meanwhile.
    Lost,
    /// It is not established.
    Down,
}

impl Road {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Road::Nonstop => "nonstop-routing",
            Road::Restart => "graceful-restart",
            Road::Lost => "lost",
            Road::Down => "none",
        }
    }

    const fn mode(self) -> SwitchoverMode {
        match self {
            Road::Nonstop => SwitchoverMode::Nsr,
            Road::Restart => SwitchoverMode::Gr,
            Road::Lost => SwitchoverMode::Lost,
            Road::Down => SwitchoverMode::Down,
        }
    }
}

impl Neighbor {
    /// Why the session cannot be carried over; `None`: it can.
    pub fn why_not_nonstop(&self) -> Option<&'static str> {
        if !self.config.nonstop_routing {
            Some("nonstop-routing is not configured for it")
        } else if !self.deposited {
            Some("its connection is not in the descriptor vault")
        } else {
            None
        }
    }

    /// Why it cannot restart gracefully; `None`: both sides can.
    pub fn why_not_restart(&self) -> Option<&'static str> {
        let negotiated = self.up.as_ref().map(|up| &up.negotiated);
        if negotiated.is_some_and(|n| !n.local_graceful_restart.contains(&true)) {
            Some("graceful-restart is not configured for it")
        } else if negotiated.is_some_and(|n| !n.peer_sends_end_of_rib) {
            Some("the neighbor did not announce the graceful restart capability")
        } else if self.config.restart_time_s == 0 {
            Some("its restart-time is 0, so the neighbor does not wait for us")
        } else {
            None
        }
    }

    /// How its session would live through a switchover now.
    pub fn road(&self) -> Road {
        match (&self.up, self.why_not_nonstop(), self.why_not_restart()) {
            (None, ..) => Road::Down,
            (_, None, _) => Road::Nonstop,
            (_, _, None) => Road::Restart,
            _ => Road::Lost,
        }
    }

    /// Why it takes that road and no better one.
    fn why_this_road(&self) -> String {
        match (self.road(), self.why_not_nonstop(), self.why_not_restart()) {
            (Road::Restart, Some(why), _) => why.to_owned(),
            (Road::Lost, Some(why), Some(why_not)) => format!("{why}, and {why_not}"),
            _ => String::new(),
        }
    }

    /// We have restarted, and this neighbour has not told everything again: the Restart State bit of our OPEN (RFC 4724 §3).
    pub fn is_restarting(&self) -> bool {
        self.claims_restart_until.is_some() || self.stale.is_some_and(|stale| stale.cause == StaleCause::WeRestart)
    }

    /// Families of the session whose End-of-RIB is still to come, from either side.
    fn unfinished(&self) -> impl Iterator<Item = (Family, &'static str)> + '_ {
        let exchanged = Family::ALL.into_iter().filter(|family| self.exchanges(*family));
        let says_end = self.up.as_ref().is_some_and(|up| up.negotiated.peer_sends_end_of_rib);
        exchanged.flat_map(move |family| {
            let state = &self.families[family.index()];
            let theirs = (says_end && !state.end_of_rib_received).then_some((family, "its"));
            theirs.into_iter().chain((!state.end_of_rib_sent).then_some((family, "our")))
        })
    }

    /// What keeps a switchover waiting for this session, if anything does.
    fn why_not_settled(&self, now: Duration) -> Option<String> {
        let up = self.up.as_ref()?;
        let patience = Duration::from_secs(u64::from(self.config.stale_routes_time_s));
        if self.road() == Road::Nonstop && !self.is_restarting() || now.saturating_sub(up.established_at) > patience {
            return None; // facts carry the exchange over; one that does not end does not hold up everything else
        }
        // A second restart before the first is over sweeps what still waits (RFC 4724 §4.2), on both sides.
        let (family, whose) = self.unfinished().next()?;
        Some(format!("its table is not exchanged yet: {whose} End-of-RIB for {} is to come", family.name()))
    }
}

impl Speaker {
    /// Whether the session can be carried over as far as the speaker knows. The reason is for operators.
    pub fn why_not_nonstop(&self, id: NeighborId) -> Option<&'static str> {
        self.get(id)?.why_not_nonstop()
    }

    /// Whether the session, which cannot be carried over, at least restarts gracefully.
    pub fn why_not_restart(&self, id: NeighborId) -> Option<&'static str> {
        self.get(id)?.why_not_restart()
    }

    /// The established session's descriptor lies where a successor finds it, or does not.
    pub fn set_deposited(&mut self, id: NeighborId, deposited: bool) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.deposited = deposited;
        }
    }

    /// Whether it does.
    pub fn is_deposited(&self, id: NeighborId) -> bool {
        self.get(id).is_some_and(|neighbor| neighbor.deposited)
    }

    /// The session's connection does not go over: it begins anew with `activate`, gracefully where both sides can.
    pub fn interrupt(&mut self, id: NeighborId, reason: &str) {
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.interrupted = Some(reason.to_owned());
        }
    }

    /// How each session would live through a switchover now.
    pub(super) fn session_readiness(&self, neighbor: &Neighbor, now: Duration) -> SessionReadiness {
        let road = neighbor.road();
        // Of who is not configured nothing is known: it may come and go as it likes.
        let coming_up_since = neighbor.session.coming_up_since().filter(|_| !neighbor.allowed);
        let connecting = coming_up_since.is_some_and(|since| now.saturating_sub(since) < HANDSHAKE_MAX);
        let unsettled = match road {
            // A session that is not up has nothing to lose; one that is just coming up is worth waiting for.
            Road::Down if connecting && !self.following => Some("it is just coming up".to_owned()),
            Road::Down => None,
            _ if self.is_recovering() => Some("routes are not chosen yet since the routing process died".to_owned()),
            _ => neighbor.why_not_settled(now),
        };
        let tolerated_s = match (road, &neighbor.up) {
            (Road::Restart, _) => neighbor.config.restart_time_s,
            (_, Some(up)) => u32::from(up.negotiated.hold_time_s),
            (_, None) => 0,
        };
        SessionReadiness {
            protocol: facts::PROTOCOL.into(),
            neighbor: neighbor.address.to_string(),
            mode: road.mode().into(),
            ready: unsettled.is_none(),
            reason: match (unsettled, road) {
                (Some(unsettled), _) => unsettled,
                (None, Road::Down) => format!("not established: {}", self.why_not_established(neighbor)),
                (None, _) => neighbor.why_this_road(),
            },
            tolerated_silence_ms: tolerated_s * 1000,
        }
    }

    /// Our end of the session is gone and nobody has said a word to the neighbour, so it takes us for restarting: its routes
    /// wait here, ours wait there, and the session is made anew at once.
    pub(super) fn begin_restart(&mut self, id: NeighborId, reason: String, rib: &mut Rib, now: Duration) {
        let seed = self.seed ^ (u64::from(id.0) + 1) << 32;
        let Some(neighbor) = self.get_mut(id) else { return };
        let graceful = neighbor.why_not_restart().is_none();
        let Some(up) = neighbor.up.take() else { return };
        neighbor.forget_failures_before(&up, now);
        neighbor.counters.flaps += 1;
        neighbor.down_since = now;
        neighbor.deposited = false;
        neighbor.note_session_end(&reason);
        let kept = if graceful { up.negotiated.local_graceful_restart } else { [false; 2] };
        neighbor.wait_for_return(graceful, now);
        neighbor.restart = graceful.then(|| Restart {
            reason: reason.clone(),
            since: now,
            generation: neighbor.generation,
            kept: Family::ALL
                .iter()
                .filter(|f| kept[f.index()])
                .map(|f| neighbor.families[f.index()].received.entries)
                .sum(),
            swept: 0,
            end: None,
            whole_router: false,
        });
        self.take_down(id, kept, rib);
        let kept = if graceful { Kept::WhileWeRestart } else { Kept::Nothing };
        self.actions.push_back(Action::Down { neighbor: id, reason, kept });
        self.begin_session(id, seed, now);
    }

    /// A session from nothing.
    pub(super) fn begin_session(&mut self, id: NeighborId, seed: u64, now: Duration) {
        let Some(config) = self.get(id).map(|neighbor| self.session_config(neighbor)) else { return };
        if let Some(neighbor) = self.get_mut(id) {
            neighbor.session = Session::new(config, seed);
            neighbor.session.remember_error(&neighbor.last_error);
            neighbor.session.appear(now);
            if !neighbor.config.disable && neighbor.idle_until.is_none() {
                neighbor.session.start_after(neighbor.rest, now);
            }
        }
    }

    /// Stale routes wait, and the session is up again.
    pub(super) fn came_back(&mut self, id: NeighborId, stale: Stale, up: &Up, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let patience = Duration::from_secs(u64::from(neighbor.config.stale_routes_time_s));
        // A long life that has begun ends when it would have ended (RFC 9494 §4.2).
        neighbor.stale = Some(Stale { until: now + patience, ..stale });
        let lives = neighbor.families.each_ref().map(|state| state.long_lived.is_some());
        let staying = Family::ALL.map(|family| match lives[family.index()] {
            true => up.long_lived_stays(family),
            false => stays(family, stale.cause, up),
        });
        for family in Family::ALL.into_iter().filter(|family| !staying[family.index()]) {
            self.begin_sweep(id, family);
        }
        if stale.cause == StaleCause::WeRestart && staying == [false; 2] {
            self.nothing_waits(id);
        }
    }

    /// RFC 4724 §4.2: End-of-RIB ends the time of stale routes of its family.
    pub(super) fn end_of_rib(&mut self, id: NeighborId, family: Family) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.families[family.index()].end_of_rib_received = true;
        if neighbor.stale.is_none() {
            return;
        }
        let all = Family::ALL.into_iter().filter(|f| neighbor.exchanges(*f));
        let finished = all.into_iter().all(|family| neighbor.families[family.index()].end_of_rib_received);
        self.begin_sweep(id, family);
        if finished {
            self.nothing_waits(id);
        }
    }

    /// No stale routes wait any more; "we have restarted" is no longer true.
    pub(super) fn nothing_waits(&mut self, id: NeighborId) {
        let stale = self.get_mut(id).and_then(|neighbor| {
            neighbor.families.iter_mut().for_each(|state| state.long_lived = None);
            neighbor.stale.take()
        });
        if stale.is_some_and(|stale| stale.cause == StaleCause::WeRestart) {
            self.renew_session_config(id);
        }
    }

    /// The neighbour did not come back, or not finish, in time.
    pub(super) fn expire_stale(&mut self, id: NeighborId, now: Duration) {
        if self.get(id).and_then(Neighbor::stale_deadline).is_none_or(|deadline| deadline > now) {
            return;
        }
        let over = self.get(id).and_then(|neighbor| neighbor.stale).is_some_and(|stale| stale.until <= now);
        let lives = if over { self.begin_long_lives(id, now) } else { self.long_lives(id) };
        let Some(neighbor) = self.get(id) else { return };
        let ended = neighbor.families.each_ref().map(|state| state.long_lived.is_some_and(|until| until <= now));
        if !over || lives.iter().zip(ended).any(|(lives, ended)| *lives && !ended) {
            let gone = |family: &Family| match lives[family.index()] {
                true => ended[family.index()],
                false => over,
            };
            let gone: Vec<Family> = Family::ALL.into_iter().filter(gone).collect();
            gone.into_iter().for_each(|family| self.sweep_expired(id, family));
            return self.tell_waiting(id);
        }
        self.end_waiting(id);
    }

    /// Nothing of the neighbour waits any longer for its return, which no message tells.
    fn end_waiting(&mut self, id: NeighborId) {
        let restart = self.get_mut(id).and_then(|neighbor| neighbor.restart.as_mut());
        if let Some(restart) = restart.filter(|restart| restart.end.is_none()) {
            restart.end = Some(RestartEnd::Expired);
        }
        self.nothing_waits(id);
        Family::ALL.into_iter().for_each(|family| self.sweep_expired(id, family));
    }

    /// An operator has ended the neighbour for good while it was away: its routes wait for nobody.
    pub(super) fn give_up(&mut self, id: NeighborId) {
        let waits = |neighbor: &Neighbor| neighbor.up.is_none() && neighbor.stale.is_some();
        if !self.following && self.get(id).is_some_and(waits) {
            self.end_waiting(id);
        }
    }

    /// The neighbour is known not to forward any more: what waits for its return does so no longer, as if its time had come. Beyond graceful
    /// restart (RFC 9494) nothing is cut short: there routes wait because nobody knows better.
    pub(super) fn abort_restart(&mut self, id: NeighborId, lost_since: Duration, now: Duration) -> bool {
        let Some(neighbor) = self.get_mut(id) else { return false };
        if neighbor.families.iter().any(|family| family.long_lived.is_some()) {
            return false;
        }
        let Some(stale) = neighbor.stale.as_mut().filter(|stale| stale.since <= lost_since) else { return false };
        stale.until = stale.until.min(now);
        self.expire_stale(id, now);
        true
    }

    /// What still waits after a family is over: to a follower that means that nothing does.
    fn tell_waiting(&mut self, id: NeighborId) {
        let Some(neighbor) = self.get(id) else { return };
        let (address, waiting) = (neighbor.address, neighbor.waiting());
        let facts = waiting.iter().map(|told| Action::Replicate(Box::new(facts::event(address, told))));
        self.actions.extend(facts);
    }

    /// Families whose stale routes live on beyond graceful restart.
    fn long_lives(&self, id: NeighborId) -> [bool; 2] {
        self.get(id).map_or([false; 2], |n| n.families.each_ref().map(|state| state.long_lived.is_some()))
    }

    /// The time of a family's stale routes is over, which no message tells.
    fn sweep_expired(&mut self, id: NeighborId, family: Family) {
        self.begin_sweep(id, family);
        let Some(address) = self.get(id).map(|neighbor| neighbor.address) else { return };
        let event = BgpEvent { event: Some(bgp_event::Event::StaleSwept(family.name().into())) };
        self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
    }

    /// Notes when our own restart towards a neighbour is over.
    pub(super) fn note_restart(&mut self, id: NeighborId, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let settled = neighbor.up.is_some()
            && neighbor.stale.is_none()
            && neighbor.families.iter().all(|family| family.sweep.is_none())
            && neighbor.unfinished().next().is_none();
        if let Some(restart) = neighbor.restart.as_mut().filter(|restart| settled && restart.end.is_none()) {
            restart.end = Some(RestartEnd::Complete(now));
            if restart.whole_router {
                restart.kept = neighbor.families.iter().map(|family| family.received.entries).sum();
            }
        }
    }

    /// What our own restart towards a neighbour waits for; `None`: nothing, or there was none.
    pub fn restart_waits_for(&self, id: NeighborId) -> Option<String> {
        let neighbor = self.get(id)?;
        neighbor.restart.as_ref().filter(|restart| restart.end.is_none())?;
        Some(match neighbor.unfinished().next() {
            None if neighbor.up.is_none() => format!("the session: {}", self.why_not_established(neighbor)),
            None => "stale routes to be swept".into(),
            Some((family, whose)) => format!("{whose} End-of-RIB for {}", family.name()),
        })
    }

    /// Whether our own restart towards a neighbour ended without success.
    pub fn restart_expired(&self, id: NeighborId) -> bool {
        let restart = self.get(id).and_then(|neighbor| neighbor.restart.as_ref());
        restart.is_some_and(|restart| restart.end == Some(RestartEnd::Expired))
    }

    /// Our own restart towards a neighbour, for operators and reports.
    pub(super) fn restart_view(&self, neighbor: &Neighbor, now: Duration) -> Option<GracefulRestart> {
        let restart = neighbor.restart.as_ref()?;
        let (state, until) = match restart.end {
            None => ("waiting", now),
            Some(RestartEnd::Complete(at)) => ("complete", at),
            Some(RestartEnd::Expired) => ("expired", now),
        };
        Some(GracefulRestart {
            reason: restart.reason.clone(),
            state: state.into(),
            waits_for: self.restart_waits_for(neighbor.id).unwrap_or_default(),
            routes_kept: restart.kept,
            routes_swept: restart.swept,
            duration_ms: until.saturating_sub(restart.since).as_millis() as u64,
        })
    }
}

impl Neighbor {
    /// A session that was steady has proven itself: what failed before it is forgotten.
    pub(super) fn forget_failures_before(&mut self, up: &Up, ended: Duration) {
        if ended.saturating_sub(up.established_at) >= STEADY {
            self.rest = Rest::default();
        }
    }

    /// It is gone, perhaps to restart. A restart of ours that was under way with it ends with that.
    pub(super) fn went_away(&mut self, keeps: bool, up: &Up, since: Duration) {
        self.forget_failures_before(up, since);
        let (until, mut long_lived_s) = (since + up.restart_time(), up.long_lived_s());
        // A long life that goes on is the one that was promised before.
        if let Some(before) = self.stale {
            let goes_on = |at: &usize| self.families[*at].long_lived.is_some();
            (0..long_lived_s.len()).filter(goes_on).for_each(|at| long_lived_s[at] = before.long_lived_s[at]);
        }
        self.stale = keeps.then_some(Stale { since, until, cause: StaleCause::NeighborRestarts, long_lived_s });
        self.deposited = false;
        if let Some(restart) = self.restart.as_mut().filter(|restart| restart.end.is_none()) {
            restart.end = Some(RestartEnd::Expired);
        }
    }

    /// Until when its stale routes wait, why, and under which name, as events for a follower; none: nothing waits.
    pub(super) fn waiting(&self) -> Vec<BgpEvent> {
        let Some(stale) = self.stale else { return Vec::new() };
        let until = u64::try_from(stale.until.as_nanos()).unwrap_or(u64::MAX);
        let router_id = bgp_event::Event::RouterId(self.router_id.into());
        let ours = (stale.cause == StaleCause::WeRestart).then_some(bgp_event::Event::WeRestarted(true));
        let events = [router_id, bgp_event::Event::StaleUntilMonoNs(until)].into_iter().chain(ours);
        let promised = Family::ALL.into_iter().filter(|family| stale.long_lived_s[family.index()] > 0);
        let long_lives = promised.map(|family| {
            let begun = self.families[family.index()].long_lived;
            long_lived_event(family, stale.long_lived_s[family.index()], begun)
        });
        events.map(|told| BgpEvent { event: Some(told) }).chain(long_lives).collect()
    }

    /// We have restarted: its routes wait for as long as it was told that we may be away.
    pub(super) fn wait_for_return(&mut self, keeps: bool, since: Duration) {
        let until = since + Duration::from_secs(u64::from(self.config.restart_time_s));
        self.stale = keeps.then_some(Stale { since, until, cause: StaleCause::WeRestart, long_lived_s: [0; 2] });
    }
}

/// Whether stale routes of a family may go on waiting in the new session.
fn stays(family: Family, cause: StaleCause, up: &Up) -> bool {
    match cause {
        // RFC 4724 §4.2: those of a family for which the neighbour did not keep its forwarding state go at once.
        StaleCause::NeighborRestarts => {
            let restart = up.negotiated.peer_graceful_restart.as_ref();
            restart.is_some_and(|restart| restart.families.contains(&(family, true)))
        }
        // The neighbour forwards as before. Its own bits say nothing here: it may only help (no families), and some set the Restart
        // State bit in every session of their first minutes (FRR). But somebody has to say when all is told.
        StaleCause::WeRestart => up.negotiated.carries(family) && up.negotiated.peer_sends_end_of_rib,
    }
}
