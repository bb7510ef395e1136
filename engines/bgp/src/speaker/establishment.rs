//! A session comes up, and ends: what that means for tables, and how it is said.

use std::time::Duration;

use holdfast_rib::{Family, Rib};

use crate::session::ConnectionSide;

use super::action::Kept;
use super::limits::SESSIONS_KEPT_MAX;
use super::neighbor::{Neighbor, Reimport, Up};
use super::prefix_limit::LimitState;
use super::restart::StaleCause;
use super::table::NeighborId;
use super::{ConnectionEnds, Speaker};

impl Speaker {
    /// After [`super::Action::Established`]: the daemon tells the connection's ends; the exchange of routes begins.
    pub fn established(
        &mut self,
        id: NeighborId,
        side: ConnectionSide,
        ends: ConnectionEnds,
        unix_ms: u64,
        now: Duration,
        rib: &mut Rib,
    ) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let Some(negotiated) = neighbor.session.negotiated().cloned() else { return };
        let up = Up {
            negotiated,
            side,
            local_open: neighbor.session.local_open_wire().unwrap_or_default().to_vec(),
            remote_open: neighbor.session.remote_open_wire().unwrap_or_default().to_vec(),
            local: ends.local,
            remote: ends.remote,
            established_unix_ms: unix_ms,
            established_at: now,
        };
        self.session_up(id, up, rib, now);
    }

    pub(super) fn session_up(&mut self, id: NeighborId, up: Up, rib: &mut Rib, now: Duration) {
        let Some(neighbor) = self.get_mut(id) else { return };
        for family in Family::ALL {
            let state = &mut neighbor.families[family.index()];
            state.end_of_rib_received = false;
            state.end_of_rib_sent = false;
            state.refresh = None;
            state.unrefreshed = None;
            state.limit = LimitState::default();
            state.too_long.clear();
            state.initial = up.negotiated.families[family.index()].then_some(0);
        }
        let router_id = up.negotiated.peer_router_id;
        let renamed = std::mem::replace(&mut neighbor.router_id, router_id) != router_id;
        let stale = neighbor.stale;
        neighbor.up = Some(up.clone());
        neighbor.begin_telling(rib);
        neighbor.forwarded = true;
        neighbor.is_back();
        if let Some(stale) = stale {
            if renamed {
                // What waits was chosen, or not, under the old name, and reflected under it.
                self.import_anew(id);
                self.advertise_all_anew();
            }
            self.came_back(id, stale, &up, now);
        }
        self.renew_session_config(id);
        self.assign_group(id, rib);
        self.note_several();
    }

    /// A session has ended: what was sent is forgotten, what was received is kept as stale or goes. Returns which.
    pub(super) fn session_down(
        &mut self,
        id: NeighborId,
        reason: &str,
        graceful: bool,
        rib: &mut Rib,
        now: Duration,
    ) -> Kept {
        let Some(neighbor) = self.get_mut(id) else { return Kept::Nothing };
        let Some(up) = neighbor.up.take() else {
            reason.clone_into(&mut neighbor.last_error);
            return Kept::Nothing;
        };
        neighbor.note_session_end(reason);
        neighbor.counters.flaps += 1;
        neighbor.down_since = now;
        let helps = graceful && neighbor.config.graceful_restart_helper;
        let kept = if helps { neighbor.retains(&up) } else { [false; 2] };
        let any_kept = kept.contains(&true);
        neighbor.went_away(any_kept, &up, now);
        self.take_down(id, kept, rib);
        self.keep_beyond_restart(id, &up, kept, now);
        if any_kept { Kept::WhileItRestarts } else { Kept::Nothing }
    }

    /// `kept`: families whose routes stay as stale. What was stale before goes (RFC 4724 §4.2, consecutive restarts), unless its long life has
    /// begun (RFC 9494 §4.2): that is over with its time or End-of-RIB, and what the last session told lives on with it.
    pub(super) fn take_down(&mut self, id: NeighborId, kept: [bool; 2], rib: &mut Rib) {
        let Some(neighbor) = self.get_mut(id) else { return };
        neighbor.generation = neighbor.generation.wrapping_add(1);
        let may_go_on = neighbor.stale.is_some_and(|stale| stale.cause == StaleCause::NeighborRestarts);
        for (state, kept) in neighbor.families.iter_mut().zip(kept) {
            state.initial = None;
            state.refresh = None;
            state.unrefreshed = None;
            state.end_of_rib_received = false;
            state.end_of_rib_sent = false;
            state.long_lived = state.long_lived.filter(|_| kept && may_go_on);
            state.sessions_kept = match state.long_lived {
                Some(_) => state.sessions_kept.saturating_add(1).min(SESSIONS_KEPT_MAX),
                None => kept.into(),
            };
            if state.long_lived.is_some() {
                state.reimport = Some(Reimport::default()); // what the last session told is marked as well
            }
            state.sweep = Some(0);
        }
        self.forget_advertised(id, rib);
        self.note_several();
    }

    /// Why a session is not established, in an operator's words.
    pub(super) fn why_not_established(&self, neighbor: &Neighbor) -> String {
        if neighbor.up.is_some() {
            String::new()
        } else if neighbor.config.disable {
            "shut down by the configuration (statement shutdown)".into()
        } else if let Some(why) = neighbor.why_idle() {
            why
        } else if self.following {
            neighbor.last_error.clone()
        } else {
            let why = neighbor.session.why_not_established().unwrap_or_default();
            let drops = if neighbor.session.is_connected() { "" } else { neighbor.silent_drops() };
            format!("{why}{drops}")
        }
    }
}
