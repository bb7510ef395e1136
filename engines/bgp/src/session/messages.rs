//! Messages from the neighbour.

use super::cause::Cause;
use super::connection::{ConnectionSide, Deferred, OpenRecord};
use super::fsm::{Event, State};
use super::machine::Session;
use super::notifications::Noted;
use super::output::Received;
use super::validate::check_open;
use crate::wire::{
    Cease, MessageType, Negotiated, NotificationMessage, OpenMessage, RouteRefresh, decode_route_refresh,
};
use std::time::Duration;

impl Session {
    /// A message that [`crate::wire::frame`] found; `body` is what follows the header.
    pub fn receive(&mut self, side: ConnectionSide, kind: MessageType, body: &[u8], now: Duration) -> Received {
        if self.connection(side).is_none() {
            return Received::Handled; // it was on its way when we closed
        }
        self.counters.messages_in += 1;
        let received = match kind {
            MessageType::Open => self.receive_open(side, body, now),
            MessageType::Keepalive => self.receive_keepalive(side, now),
            MessageType::Notification => self.receive_notification(side, body, now),
            MessageType::RouteRefresh => self.receive_refresh(side, body, now),
            MessageType::Update => {
                self.release_keepalive(side, now);
                let delivered = self.run(side, Event::UpdateReceived, Cause::none(), now);
                self.counters.updates_in += u64::from(delivered);
                if delivered { Received::Update } else { Received::Handled }
            }
        };
        self.note_state(now);
        received
    }

    fn plain(&mut self, side: ConnectionSide, event: Event, now: Duration) -> Received {
        self.run(side, event, Cause::none(), now);
        Received::Handled
    }

    fn receive_open(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        if self.connection(side).is_none_or(|connection| connection.remote.is_some()) {
            return self.second_open(side, now);
        }
        let open = match OpenMessage::decode(body) {
            Ok(open) => open,
            Err(notification) => {
                let cause = Cause::sent_because(notification, "the neighbor's OPEN is malformed");
                self.run(side, Event::ErrorFound, cause, now);
                return Received::Handled;
            }
        };
        if let Err(refusal) = check_open(&self.config, &open) {
            let cause = Cause::sent_because(refusal.notification, &refusal.text);
            self.run(side, Event::ErrorFound, cause, now);
            return Received::Handled;
        }
        if let Some(loser) = self.collision_loser(side, &open) {
            let cause = Cause::sent(NotificationMessage::cease(Cease::ConnectionCollision));
            self.run(loser, Event::CollisionLost, cause, now);
        }
        if let Some(connection) = self.connection_mut(side) {
            let negotiated = Negotiated::from_opens(&connection.local_open.message, &open);
            connection.remote = Some((OpenRecord::received(open, body), negotiated));
        }
        if self.must_wait(side) {
            self.defer(side, Deferred::Open, now);
            return Received::Handled;
        }
        self.plain(side, Event::OpenReceived, now)
    }

    fn second_open(&mut self, side: ConnectionSide, now: Duration) -> Received {
        let waiting = self.connection(side).is_some_and(|connection| connection.state == State::OpenSent);
        let cause = match waiting {
            true => Cause::sent_because(
                NotificationMessage::fsm_error(1, MessageType::Open),
                "the neighbor sent a second OPEN",
            ),
            false => Cause::none(), // the table knows
        };
        self.run(side, if waiting { Event::ErrorFound } else { Event::OpenReceived }, cause, now);
        Received::Handled
    }

    fn receive_keepalive(&mut self, side: ConnectionSide, now: Duration) -> Received {
        let Some(connection) = self.connection(side) else { return Received::Handled };
        match (connection.state, connection.deferred) {
            (State::OpenSent, Some(_)) => self.defer(side, Deferred::OpenAndKeepalive, now),
            (State::OpenConfirm, Some(_)) => {}
            (State::OpenConfirm, None) if self.must_wait(side) => self.defer(side, Deferred::Keepalive, now),
            _ => {
                self.run(side, Event::KeepaliveReceived, Cause::none(), now);
            }
        }
        Received::Handled
    }

    fn receive_notification(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        self.counters.notifications_in += 1;
        let message = NotificationMessage::decode(body);
        self.notifications.received = Some(Noted { message: message.clone(), at: now });
        let cause = Cause::received(message);
        self.run(side, Event::NotificationReceived, cause, now);
        Received::Handled
    }

    fn receive_refresh(&mut self, side: ConnectionSide, body: &[u8], now: Duration) -> Received {
        if !self.run(side, Event::RefreshReceived, Cause::none(), now) {
            return Received::Handled;
        }
        match decode_route_refresh(body) {
            Ok(message) if self.is_due(side, message) => Received::RouteRefresh(message),
            Ok(_) => Received::Handled,
            // RFC 7313 §5: an error only where marks are known, and only in a mark; to others the octet means nothing (RFC 2918 §3).
            Err(notification) if self.knows_marks(side) => {
                self.run(side, Event::ErrorFound, Cause::sent(notification), now);
                Received::Handled
            }
            Err(_) => Received::Handled,
        }
    }

    fn knows_marks(&self, side: ConnectionSide) -> bool {
        let negotiated = self.connection(side).and_then(|connection| connection.negotiated());
        negotiated.is_some_and(|negotiated| negotiated.enhanced_route_refresh)
    }

    /// Marks come only where both know them (RFC 7313 §4); other families are passed over (RFC 2918 §4).
    fn is_due(&self, side: ConnectionSide, message: RouteRefresh) -> bool {
        let negotiated = self.connection(side).and_then(|connection| connection.negotiated());
        negotiated.is_some_and(|negotiated| negotiated.expects(message))
    }
}
