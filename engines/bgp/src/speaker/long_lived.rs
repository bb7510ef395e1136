//! Long-lived graceful restart (RFC 9494): when graceful restart is over and the neighbour is not back, its routes stay for as long
//! as it asked for, but as the last choice of everybody: marked with LLGR_STALE, preferred to nothing, told to neighbours who know
//! what the mark means.
//!
//! The mark is a community, so everything else follows from the attributes: the decision (also about routes that were marked
//! elsewhere), what is told to whom, what a follower derives. That a family has entered this state, and until when, is a
//! decision of the primary's and a fact of its own.

use std::time::Duration;

use holdfast_policy::Protocol;
use holdfast_proto::v1::{BgpEvent, BgpLongLivedStale, bgp_event};
use holdfast_rib::Family;

use crate::wire::PathAttributes;

use super::action::Action;
use super::export_rules::ExportRules;
use super::neighbor::{Neighbor, Reimport, Up};
use super::table::NeighborId;
use super::{Speaker, communities, facts};

/// RFC 9494 §4.6: the route is stale.
pub const LLGR_STALE: u32 = 0xffff_0006;
/// RFC 9494 §4.7: the route is not to be kept in this way.
pub const NO_LLGR: u32 = 0xffff_0007;

/// Is the route marked as stale, by whomever?
pub fn is_marked(attributes: &PathAttributes) -> bool {
    attributes.communities.contains(&LLGR_STALE)
}

/// Marks a route as stale.
pub fn mark(attributes: &mut PathAttributes) {
    communities::add(&mut attributes.communities, LLGR_STALE);
}

/// May a stale route be told to the neighbours of a group (RFC 9494 §4.4, and §4.5 where not everybody knows the mark)?
pub fn may_be_told(rules: &ExportRules, protocol: Protocol, attributes: &PathAttributes) -> bool {
    protocol != Protocol::Bgp || rules.long_lived || rules.long_lived_partial || !is_marked(attributes)
}

/// RFC 9494 §4.5: towards an internal neighbour that does not know the mark it stays in the AS and loses against everything.
pub fn lower(rules: &ExportRules, attributes: &mut PathAttributes) {
    if !rules.long_lived && rules.internal && is_marked(attributes) {
        attributes.local_pref = Some(0);
        communities::add(&mut attributes.communities, communities::NO_EXPORT);
    }
}

impl Up {
    /// How long routes are kept beyond graceful restart, in seconds, by [`Family::index`]; 0: they are not.
    pub fn long_lived_s(&self) -> [u32; 2] {
        self.negotiated.peer_long_lived.map(|entry| entry.map_or(0, |entry| entry.time_s))
    }

    /// Families whose routes are kept when the neighbour goes away: by graceful restart, or beyond it.
    pub fn retained(&self) -> [bool; 2] {
        let (restartable, long_lived) = (self.restartable(), self.long_lived_s());
        Family::ALL.map(|family| restartable[family.index()] || long_lived[family.index()] > 0)
    }

    /// Whether long-lived stale routes of a family may go on waiting in this session (RFC 9494 §4.3).
    pub fn long_lived_stays(&self, family: Family) -> bool {
        self.negotiated.peer_long_lived[family.index()].is_some_and(|entry| entry.forwarding_kept)
    }
}

impl Neighbor {
    /// Families whose routes are kept when it goes away: as it has said in this session, and those whose long life has begun before it.
    pub fn retains(&self, up: &Up) -> [bool; 2] {
        let retained = up.retained();
        Family::ALL.map(|family| retained[family.index()] || self.families[family.index()].long_lived.is_some())
    }

    /// Paths of earlier sessions are marked as long-lived stale.
    pub fn is_long_lived(&self, family: Family, generation: u8) -> bool {
        self.families[family.index()].long_lived.is_some() && generation != self.generation
    }

    /// The stale routes of a family are long-lived ones from now on, and judged anew as such.
    fn begin_long_life(&mut self, family: Family, until: Duration) {
        let state = &mut self.families[family.index()];
        (state.long_lived, state.reimport) = (Some(until), Some(Reimport::default()));
    }

    /// No other routes wait than those with a long life.
    fn wait_for_long_lives(&mut self) {
        let last = self.families.iter().filter_map(|state| state.long_lived).max();
        if let (Some(stale), Some(last)) = (&mut self.stale, last) {
            stale.until = last;
        }
    }

    /// When something has to be done about routes that wait.
    pub fn stale_deadline(&self) -> Option<Duration> {
        let families = self.families.iter().filter_map(|state| state.long_lived);
        families.chain(self.stale.map(|stale| stale.until)).min()
    }
}

impl Speaker {
    /// The stale routes of a family are long-lived ones from now on, and no other waits for a restart.
    fn enter_long_lived(&mut self, id: NeighborId, family: Family, until: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.begin_long_life(family, until);
        neighbor.wait_for_long_lives();
    }

    /// The neighbour is gone: what graceful restart does not keep, and what is promised beyond it, begins its long life at once.
    pub(super) fn keep_beyond_restart(&mut self, id: NeighborId, up: &Up, kept: [bool; 2], since: Duration) {
        let (restartable, times) = (up.restartable(), up.long_lived_s());
        let Some(neighbor) = self.get_mut(id) else { return };
        for family in Family::ALL.into_iter().filter(|family| kept[family.index()] && !restartable[family.index()]) {
            if neighbor.families[family.index()].long_lived.is_none() {
                neighbor.begin_long_life(family, since + Duration::from_secs(u64::from(times[family.index()])));
            }
        }
        let lives = |family: &Family| neighbor.families[family.index()].long_lived.is_some();
        if Family::ALL.iter().filter(|family| kept[family.index()]).all(lives) {
            neighbor.wait_for_long_lives();
        }
    }

    /// Graceful restart is over: where the neighbour is not back, long lives begin. Families that live on; they are facts.
    pub(super) fn begin_long_lives(&mut self, id: NeighborId, now: Duration) -> [bool; 2] {
        let Some(neighbor) = self.get(id) else { return [false; 2] };
        let Some(stale) = neighbor.stale else { return [false; 2] };
        let (address, times, away) = (neighbor.address, stale.long_lived_s, neighbor.up.is_none());
        for family in Family::ALL.into_iter().filter(|family| away && times[family.index()] > 0) {
            let known = self.get(id).and_then(|neighbor| neighbor.families[family.index()].long_lived);
            if known.is_some() {
                continue;
            }
            let until = now + Duration::from_secs(u64::from(times[family.index()]));
            self.enter_long_lived(id, family, until);
            let event = long_lived_event(family, times[family.index()], Some(until));
            self.actions.push_back(Action::Replicate(Box::new(facts::event(address, &event))));
        }
        let Some(neighbor) = self.get_mut(id) else { return [false; 2] };
        neighbor.wait_for_long_lives(); // also where a family's long life began before
        neighbor.families.each_ref().map(|state| state.long_lived.is_some())
    }

    /// A fact: what is promised beyond graceful restart, and whether it has begun.
    pub(super) fn adopt_long_lived(&mut self, id: NeighborId, told: &BgpLongLivedStale) {
        let Some(family) = Family::ALL.into_iter().find(|family| family.name() == told.family) else { return };
        if let Some(stale) = self.get_mut(id).and_then(|neighbor| neighbor.stale.as_mut()) {
            stale.long_lived_s[family.index()] = told.time_s;
        }
        // Until when the other family waits is told by itself: it may still restart.
        if told.until_mono_ns > 0
            && let Some(neighbor) = self.get_mut(id)
        {
            neighbor.begin_long_life(family, Duration::from_nanos(told.until_mono_ns));
        }
    }
}

/// The fact of [`Speaker::adopt_long_lived`].
pub(super) fn long_lived_event(family: Family, time_s: u32, until: Option<Duration>) -> BgpEvent {
    let until_mono_ns = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
    let told = BgpLongLivedStale { family: family.name().into(), time_s, until_mono_ns };
    BgpEvent { event: Some(bgp_event::Event::LongLived(told)) }
}
