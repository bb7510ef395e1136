//! What is remembered of a neighbour beside its session: why it ended, what was said at its end, how it rests. A follower is told, so that an
//! operator finds it after a switchover as well.

use std::time::Duration;

use holdfast_proto::v1::{self, BgpEvent, BgpHistory, Fact, bgp_event};

use crate::session::{Noted, Notifications, Rest};
use crate::wire::NotificationMessage;

use super::action::Action;
use super::malformed::Malformed;
use super::neighbor::Neighbor;
use super::table::NeighborId;
use super::{Speaker, facts};

impl Neighbor {
    /// Why the last session or connection ended.
    pub(super) fn last_words(&self) -> &str {
        let attempt = self.session.last_error().filter(|_| self.up.is_none());
        attempt.unwrap_or(&self.last_error)
    }

    /// A session that was established has ended.
    pub(super) fn note_session_end(&mut self, reason: &str) {
        reason.clone_into(&mut self.last_error);
        reason.clone_into(&mut self.session_end);
    }

    /// All of it as a fact.
    pub(super) fn history(&self) -> Fact {
        let noted = |noted: &Option<Noted>| {
            let noted = noted.as_ref()?;
            let NotificationMessage { code, subcode, data } = &noted.message;
            let message = [&[*code, *subcode], data.as_slice()].concat();
            Some(v1::BgpNotification { message, mono_ns: noted.at.as_nanos() as u64 })
        };
        let history = BgpHistory {
            flaps: self.counters.flaps,
            last_error: self.last_words().to_owned(),
            session_end: self.session_end.clone(),
            sent: noted(&self.notifications.sent),
            received: noted(&self.notifications.received),
            malformed: self.malformed.fact(),
            failures: self.rest.failures,
            counts: self.up.is_none().then_some(v1::BgpMessageCounts {
                messages_in: self.counters.messages_in,
                messages_out: self.counters.messages_out,
                updates_in: self.counters.updates_in,
                updates_out: self.counters.updates_out,
            }),
            down_since_mono_ns: if self.up.is_some() { 0 } else { self.down_since.as_nanos() as u64 },
            rest_until_mono_ns: self.rest.until.map_or(0, |until| until.as_nanos() as u64),
        };
        facts::event(self.address, &BgpEvent { event: Some(bgp_event::Event::History(history)) })
    }

    /// Whether there is anything to tell.
    pub(super) fn has_history(&self) -> bool {
        self.up.is_none()
            || self.counters.flaps > 0
            || !self.last_words().is_empty()
            || self.notifications != Notifications::default()
            || self.malformed != Malformed::default()
    }

    pub(super) fn adopt_history(&mut self, history: &BgpHistory) {
        let noted = |told: &Option<v1::BgpNotification>| {
            let told = told.as_ref()?;
            let at = Duration::from_nanos(told.mono_ns);
            Some(Noted { message: NotificationMessage::decode(&told.message), at })
        };
        self.counters.flaps = history.flaps;
        history.last_error.clone_into(&mut self.last_error);
        history.session_end.clone_into(&mut self.session_end);
        if let Some(counts) = history.counts {
            self.counters.messages_in = counts.messages_in;
            self.counters.messages_out = counts.messages_out;
            self.counters.updates_in = counts.updates_in;
            self.counters.updates_out = counts.updates_out;
        }
        if history.down_since_mono_ns > 0 {
            self.down_since = Duration::from_nanos(history.down_since_mono_ns);
        }
        self.notifications = Notifications { sent: noted(&history.sent), received: noted(&history.received) };
        let until = history.rest_until_mono_ns;
        self.rest = Rest { failures: history.failures, until: (until > 0).then(|| Duration::from_nanos(until)) };
        if let Some(told) = &history.malformed {
            self.malformed.adopt(told);
        }
    }
}

impl Speaker {
    /// An operator has ended a session's rest, by command or configuration: a successor does not go on with it.
    pub(super) fn forget_rest(&mut self, id: NeighborId) {
        let Some(neighbor) = self.get_mut(id) else { return };
        if std::mem::take(&mut neighbor.rest) != Rest::default() {
            let fact = neighbor.history();
            self.actions.push_back(Action::Replicate(Box::new(fact)));
        }
    }

    /// Takes over what a session has sent or heard at its end. What ends a handshake is reported, once as long as it stays the same:
    /// nobody else does.
    pub(super) fn note_notifications(&mut self, id: NeighborId) {
        let Some(neighbor) = self.get_mut(id) else { return };
        let Some(newer) = neighbor.session.take_notifications() else { return };
        neighbor.notifications.renew(newer);
        neighbor.rest = neighbor.session.rest();
        let text = neighbor.last_words().to_owned();
        let fact = neighbor.history();
        let news = neighbor.up.is_none() && neighbor.last_error != text && neighbor.reported != text;
        if news {
            neighbor.reported.clone_from(&text);
        }
        if news && !text.is_empty() {
            self.actions.push_back(Action::Report { neighbor: id, text });
        }
        self.actions.push_back(Action::Replicate(Box::new(fact)));
    }
}

/// A NOTIFICATION for operators.
pub(super) fn notification_view(noted: &Option<Noted>, now: Duration) -> Option<v1::BgpNotificationView> {
    let noted = noted.as_ref()?;
    Some(v1::BgpNotificationView {
        code: noted.message.code.into(),
        subcode: noted.message.subcode.into(),
        name: noted.message.name(),
        message: noted.message.reason().shutdown_text().unwrap_or_default(),
        ago_ms: now.saturating_sub(noted.at).as_millis() as u64,
    })
}
